//! A small SVG writer: elements with attributes, text escaped, coordinates to a tenth of a unit.

use std::fmt::Write;

/// The document being drawn.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text is anchored.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// Its start.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// A stroke.
#[derive(Clone, Copy)]
pub struct Pen {
    /// CSS colour.
    pub colour: &'static str,
    /// Units.
    pub width: f64,
    /// `stroke-dasharray`, empty for a full line.
    pub dash: &'static str,
}

impl Svg {
    /// An empty white page. `title` and `description` are read out by screen readers.
    #[must_use]
    pub fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let mut svg = Self {
            width,
            height,
            body: String::new(),
        };
        svg.put(&format!("<title>{}</title>", escaped(title)));
        svg.put(&format!("<desc>{}</desc>", escaped(description)));
        svg.rectangle((0.0, 0.0), (width, height), "#ffffff");
        svg
    }

    fn put(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    /// Opens a group with an id, for whoever looks for it.
    pub fn open(&mut self, id: &str) {
        self.put(&format!("<g id=\"{}\">", escaped(id)));
    }

    /// Closes it.
    pub fn close(&mut self) {
        self.put("</g>");
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        self.put(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
        ));
    }

    /// A line through points.
    pub fn line(&mut self, points: &[(f64, f64)], pen: Pen) {
        let mut path = String::new();
        for (n, (x, y)) in points.iter().enumerate() {
            // Writing to a string can't fail.
            let _ = write!(path, "{}{x:.1} {y:.1}", if n == 0 { "M" } else { "L" });
        }
        let dash = match pen.dash {
            "" => String::new(),
            dash => format!(" stroke-dasharray=\"{dash}\""),
        };
        let (colour, width) = (pen.colour, pen.width);
        self.put(&format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}/>"
        ));
    }

    /// A filled outline.
    pub fn area(&mut self, points: &[(f64, f64)], fill: &str) {
        let mut list = String::new();
        for (x, y) in points {
            let _ = write!(list, "{x:.1},{y:.1} ");
        }
        self.put(&format!("<polygon points=\"{}\" fill=\"{fill}\"/>", list.trim_end()));
    }

    /// Text; `style` is CSS.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, style: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.put(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" style=\"{style}\">{text}</text>"
        ));
    }

    /// Text that reads upwards, its middle at the point.
    pub fn upward(&mut self, (x, y): (f64, f64), style: &str, text: &str) {
        let text = escaped(text);
        self.put(&format!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"middle\" style=\"{style}\">{text}</text>"
        ));
    }

    /// The file.
    #[must_use]
    pub fn finish(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" \
             font-family=\"DejaVu Sans, Liberation Sans, Arial, sans-serif\">\n{2}</svg>\n",
            self.width, self.height, self.body
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_text() {
        let mut svg = Svg::new(10.0, 10.0, "a<b", "");
        svg.text((1.0, 2.0), Anchor::Start, "", "<script>&\"");

        let file = svg.finish();

        assert!(file.contains(">&lt;script&gt;&amp;&quot;<"), "{file}");
        assert!(file.contains("<title>a&lt;b</title>"), "{file}");
    }
}
