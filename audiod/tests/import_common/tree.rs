//! XML as a tree that can be changed and written again: the tests' own view of how many items a file has.

/// An element, or a text.
#[derive(Clone, Debug)]
pub enum Tree {
    Element {
        name: String,
        attributes: Vec<(String, String)>,
        children: Vec<Tree>,
    },
    Text(String),
}

const NAMES: [&str; 12] = [
    "zone",
    "group",
    "device",
    "context",
    "source",
    "sink",
    "process",
    "condition",
    "action",
    "template",
    "x",
    "zoneConfig",
];
const ATTRIBUTES: [&str; 8] = [
    "name",
    "version",
    "address",
    "className",
    "volume",
    "trigger",
    "type",
    "x",
];
const VALUES: [&str; 14] = [
    "",
    "1",
    "-40",
    "99999999999999999999",
    "TRUE",
    "music",
    "Radio",
    "a \"b\" 'c' & <d>",
    "\u{e4}\u{1F600}",
    "ACTION_LIMIT",
    "USER_ALL_TRIGGER",
    "name(CLASS, REQUESTING) EQ 'BASE'",
    "]]> # = { }",
    "chime",
];

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

impl Tree {
    pub fn read(text: &str) -> Self {
        let document = roxmltree::Document::parse(text).unwrap();
        Self::of(document.root_element())
    }

    fn of(node: roxmltree::Node<'_, '_>) -> Self {
        let prefix = |uri: Option<&str>| match uri {
            Some("controller") => "c:",
            Some("http://www.w3.org/2001/XMLSchema-instance") => "xsi:",
            _ => "",
        };
        let children = node
            .children()
            .filter(|child| child.is_element() || child.is_text() && !child.text().unwrap().trim().is_empty());
        Self::Element {
            name: format!("{}{}", prefix(node.tag_name().namespace()), node.tag_name().name()),
            attributes: (node.attributes())
                .map(|it| {
                    (
                        format!("{}{}", prefix(it.namespace()), it.name()),
                        it.value().to_owned(),
                    )
                })
                .collect(),
            children: children
                .map(|child| match child.text().filter(|_| child.is_text()) {
                    Some(text) => Self::Text(text.to_owned()),
                    None => Self::of(child),
                })
                .collect(),
        }
    }

    /// Elements, attributes and texts.
    pub fn count(&self) -> usize {
        match self {
            Self::Text(text) => usize::from(!text.trim().is_empty()),
            Self::Element {
                attributes, children, ..
            } => 1 + attributes.len() + children.iter().map(Self::count).sum::<usize>(),
        }
    }

    pub fn write(&self) -> String {
        let mut out = String::new();
        self.append(
            " xmlns:c=\"controller\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
            &mut out,
        );
        out
    }

    fn append(&self, more: &str, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(&escaped(text)),
            Self::Element {
                name,
                attributes,
                children,
            } => {
                *out += &format!("<{name}{more}");
                for (name, value) in attributes {
                    *out += &format!(" {name}=\"{}\"", escaped(value));
                }
                *out += ">\n";
                for child in children {
                    child.append("", out);
                    // Texts side by side would be one.
                    *out += "<!-- -->";
                }
                *out += &format!("</{name}>\n");
            }
        }
    }

    /// One change, by numbers: at which element, what, and with what.
    pub fn change(&mut self, (at, what, with): (u16, u16, u16)) {
        let mut left = usize::from(at) % self.inner();
        self.change_nth(&mut left, what, usize::from(with));
    }

    fn inner(&self) -> usize {
        match self {
            Self::Text(_) => 0,
            Self::Element { children, .. } => 1 + children.iter().map(Self::inner).sum::<usize>(),
        }
    }

    fn change_nth(&mut self, left: &mut usize, what: u16, with: usize) -> bool {
        if !matches!(self, Self::Element { .. }) {
            return false;
        }
        if *left == 0 {
            self.change_here(what, with);
            return true;
        }
        *left -= 1;
        let Self::Element { children, .. } = self else {
            return false;
        };
        children.iter_mut().any(|child| child.change_nth(left, what, with))
    }

    fn change_here(&mut self, what: u16, with: usize) {
        let Self::Element {
            name,
            attributes,
            children,
        } = self
        else {
            return;
        };
        let attribute = with.checked_rem(attributes.len());
        let child = with.checked_rem(children.len());
        match (what % 8, attribute, child) {
            (0, Some(index), _) => drop(attributes.remove(index)),
            (1, Some(index), _) => attributes[index].1 = VALUES[with % VALUES.len()].to_owned(),
            (2, ..) => {
                let new = ATTRIBUTES[with % ATTRIBUTES.len()];
                if attributes.iter().all(|(name, _)| name != new) {
                    attributes.push((new.to_owned(), VALUES[(with / 8) % VALUES.len()].to_owned()));
                }
            }
            (3, _, Some(index)) => drop(children.remove(index)),
            (4, _, Some(index)) => {
                let twin = children[index].clone();
                children.push(twin);
            }
            (5, ..) => children.push(Self::Text(VALUES[with % VALUES.len()].to_owned())),
            (6, ..) => children.push(Self::Element {
                name: NAMES[with % NAMES.len()].to_owned(),
                attributes: Vec::new(),
                children: Vec::new(),
            }),
            (7, ..) => *name = NAMES[with % NAMES.len()].to_owned(),
            _ => {}
        }
    }
}
