//! Output: text or JSON, colours only where they are welcome, no control characters of others.

use std::io::{IsTerminal, Write};

use serde_json::Value;

/// A colour of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    None,
    Bold,
    Green,
    Yellow,
    Red,
    Dim,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bold => "\x1b[1m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Red => "\x1b[31m",
            Self::Dim => "\x1b[2m",
        }
    }
}

/// Where answers go.
pub struct Printer {
    /// JSON is wanted.
    pub json: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    colour: bool,
}

impl Printer {
    pub fn new(json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json,
            terminal,
            colour: terminal && !refused,
        }
    }

    /// `text` in a colour, if colours are welcome.
    pub fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colour && colour != Colour::None {
            format!("{}{text}\x1b[0m", colour.code())
        } else {
            text.to_owned()
        }
    }

    /// Text or JSON, as wanted; `text` ends its lines itself.
    pub fn answer(&self, text: &str, json: &Value) -> std::io::Result<()> {
        if self.json {
            self.line(&json.to_string())
        } else {
            self.raw(text)
        }
    }

    /// One line.
    pub fn line(&self, text: &str) -> std::io::Result<()> {
        self.raw(&format!("{text}\n"))
    }

    /// Text as it is, at once.
    pub fn raw(&self, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// Without control characters: names and texts come from others.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A text of several lines, each [`plain`].
pub fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(plain).collect();
    lines.join("\n")
}
