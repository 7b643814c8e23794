//! GENIVI AudioManager 8's generic controller: `generic.xml`.
//!
//! ```text
//! class ──▶ [classes], with a topology: a rule that ends other connections
//! domain ─▶ [guests]          source ─▶ a stream        sink ─▶ [zones]
//! gateway ▶ nothing: the mixer reaches every zone itself
//! policy ▶ process ──▶ [[rules]], but for what the machine does of its own accord
//! ```
//!
//! There, nothing happens that no policy says: a request connects because a process has `ACTION_CONNECT`. Here the machine
//! connects, sets volumes and mutes what clients ask for, and rules say what else happens; so the matrix is all `mix`, streams
//! have no zone of their own accord, and processes that only do what was asked for become no rule.

mod action;
mod condition;
mod curve;
mod domains;
mod elements;
mod ends;
mod parameter;
mod policies;
mod properties;
mod topology;
mod translate;
mod ways;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use policy::report::Span;

use super::draft::{Cells, Class, Draft, Lines};
use super::ledger::BUILT_IN;
use super::names::Names;
use super::xml::{Attr, El};
use super::{twice, wrong_root};
use properties::MainSounds;
use topology::Topology;

/// The class of what names none.
const DEFAULT_CLASS: &str = "default";
/// Its reserved system property for topology-only routes.
const ONLY_TOPOLOGIES: i64 = 61_696;
/// Attributes of a class.
const CLASS: [&str; 6] = [
    "id",
    "name",
    "type",
    "priority",
    "isVolumePersistencySupported",
    "defaultVolume",
];

/// A class of the file.
struct ClassOf<'a> {
    ours: String,
    capture: bool,
    priority: i64,
    topologies: Vec<(El<'a>, Topology)>,
    /// As far as type and value could be read.
    properties: Vec<(El<'a>, Option<(i64, i64)>)>,
    /// `None` for the class of what names none.
    element: Option<El<'a>>,
    used: bool,
}

/// Where a source or sink of the file is in our policy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Is {
    /// A guest's stream or a zone of this name.
    Here(String),
    /// Nowhere: why.
    Gone(String),
}

/// What the parts of one file share. Names are the file's.
struct Reader<'a> {
    classes: BTreeMap<String, ClassOf<'a>>,
    class_names: Names,
    templates: BTreeMap<(&'static str, String), El<'a>>,
    sources: BTreeMap<String, (Is, Span)>,
    sinks: BTreeMap<String, (Is, Span)>,
    /// Domains: the guest each is, and how many.
    domains: BTreeMap<String, (String, Span)>,
    gateways: BTreeMap<String, Span>,
    only_topologies: bool,
    /// Streams of all guests.
    streams: usize,
    /// Domains that stay processes of their own.
    kept: BTreeSet<String>,
    main_sounds: MainSounds,
    draft: Draft,
}

/// The words of its policies, by kind.
pub(super) fn vocabulary() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("actions", action::all().collect()),
        ("conditions: functions", translate::functions().collect()),
        (
            "conditions: operators",
            condition::OPS.iter().map(|op| op.theirs).collect(),
        ),
        ("triggers", words::TRIGGERS.to_vec()),
    ]
}

/// Reads a file; without a draft there is at least one mistake.
pub(super) fn read(root: El<'_>, name: &str, kept: &[String]) -> Option<Draft> {
    if root.name() != "generic" {
        wrong_root(root, "c:generic", "configuration of the generic controller");
        return None;
    }
    root.known(&[], &["classes", "system", "policies", "properties"]);
    root.mapped("the whole policy");
    let mut reader = Reader {
        classes: BTreeMap::new(),
        class_names: Names::default(),
        templates: BTreeMap::new(),
        sources: BTreeMap::new(),
        sinks: BTreeMap::new(),
        domains: BTreeMap::new(),
        gateways: BTreeMap::new(),
        only_topologies: true,
        streams: 0,
        kept: kept.iter().cloned().collect(),
        main_sounds: MainSounds::default(),
        draft: Draft {
            about: about(name),
            ..Draft::default()
        },
    };
    root.all("properties")
        .iter()
        .for_each(|section| reader.properties(*section));
    root.all("classes").iter().for_each(|section| reader.classes(*section));
    root.all("system").iter().for_each(|section| reader.system(*section));
    reader.all_kept(root);
    reader.topologies();
    root.all("policies")
        .iter()
        .for_each(|section| reader.policies(*section));
    reader.roles();
    reader.draft.keep_state |= reader.main_sounds.last();
    reader.draft.main_sounds = reader.main_sounds.lines();
    Some(reader.draft)
}

fn about(name: &str) -> Vec<String> {
    vec![
        format!("Made by `audiod import audiomanager` of {name}."),
        "Domains are guests, sources their streams, sinks zones of the mixer; clients connect them as before."
            .to_owned(),
        "What had to be approximated, or was lost, stands in the list that the import printed.".to_owned(),
    ]
}

impl<'a> Reader<'a> {
    fn properties(&mut self, section: El<'a>) {
        section.known(&[], &["systemProperty"]);
        section.mapped("see its parts");
        for property in section.all("systemProperty") {
            property.known(&["type", "value", "isPersistenceSupported"], &[]);
            let kind = property.need("type", "say which, as `type=\"SYP_GLOBAL_LOG_THRESHOLD\"`");
            let value = property.need("value", "give its value, as `value=\"1\"`");
            let value = value.and_then(|attr| attr.integer(i16::MIN.into()..=i16::MAX.into()));
            if let (Some(kind), Some(value)) = (kind, value) {
                self.property(property, &kind, value);
            }
        }
    }

    fn property(&mut self, property: El<'a>, kind: &Attr<'_>, value: i64) {
        let number = words::number(kind.value).or_else(|| kind.value.trim().parse().ok());
        let Some(number) = number.filter(|number| (1..=u16::MAX.into()).contains(number)) else {
            property.rest_lost("no number is known for this type: a project's own stands in its own schema");
            return;
        };
        if self.draft.properties.iter().any(|it| it.name == number.to_string()) {
            property.rest_lost("given before");
            return;
        }
        if number == ONLY_TOPOLOGIES {
            self.only_topologies = value != 0;
        }
        let mut keys = vec![format!("type = {number}"), format!("value = {value}")];
        if let Some(attr) = property.attr("isPersistenceSupported") {
            attr.mapped("`lasting`");
            if attr.boolean() == Some(true) {
                self.draft.keep_state = true;
                keys.push("lasting = true".to_owned());
            }
        }
        match number {
            61_440 | 61_568 => {
                property.rest_approximated("[[system_properties]]: shown to clients, else without effect")
            }
            _ => property.rest_mapped("[[system_properties]]"),
        }
        self.draft.properties.push(Lines {
            name: number.to_string(),
            keys,
            from: kind.value.to_owned(),
        });
    }

    fn classes(&mut self, section: El<'a>) {
        section.known(&[], &["class"]);
        section.mapped("[classes]");
        for class in section.all("class") {
            self.class(class);
        }
    }

    fn class(&mut self, class: El<'a>) {
        class.known(&CLASS, &["topology", "property"]);
        let Some(name) = class.need("name", "name it, as `name=\"BASE\"`") else {
            return;
        };
        if let Some(first) = self.classes.get(name.value) {
            let first = first.element.map_or(name.span, |first| first.span());
            twice(
                class.input,
                name.span,
                first,
                format!("two classes are called `{}`", name.value),
            );
            return;
        }
        let ours = self.class_names.take(name.value, "class");
        ends::renamed(&name, &ours);
        let capture = class.attr("type").is_some_and(|attr| {
            attr.mapped("playback is streams and zones, capture is streams that record");
            attr.word(&[("C_PLAYBACK", false), ("C_CAPTURE", true)]) == Some(true)
        });
        let priority = class.attr("priority").and_then(|attr| {
            attr.mapped("the sign changes: there the lower is the higher one");
            attr.integer(-1000..=1000)
        });
        if let Some(attr) = class.attr("isVolumePersistencySupported") {
            ends::persistence(&attr, &mut self.draft);
        }
        passed_over(class);
        let topologies = class.all("topology").into_iter();
        let topologies = topologies.filter_map(|it| Some((it, ways::parsed(it)?))).collect();
        let made = ClassOf {
            ours,
            capture,
            priority: -priority.unwrap_or(99),
            topologies,
            properties: properties::of_class(class),
            element: Some(class),
            used: false,
        };
        self.classes.insert(name.value.to_owned(), made);
    }

    /// The class that a stream names.
    fn class_used(&mut self, name: &str) -> Option<&ClassOf<'a>> {
        let class = self.classes.get_mut(name)?;
        class.used |= !class.capture;
        Some(class)
    }

    /// Classes that something is of, and the matrix.
    fn roles(&mut self) {
        let used: Vec<&ClassOf<'_>> = self.classes.values().filter(|class| class.used).collect();
        let names: Vec<String> = used.iter().map(|class| class.ours.clone()).collect();
        self.draft.classes = used
            .iter()
            .map(|class| {
                let mut made = Class {
                    name: class.ours.clone(),
                    priority: Some(class.priority),
                    capture: class.capture,
                    from: class.element.map_or_else(
                        || "of what names no class".to_owned(),
                        |element| element.input.place(element.span()),
                    ),
                    ..Class::default()
                };
                properties::write(class, &mut made);
                made
            })
            .collect();
        for class in self.classes.values() {
            match (class.element, class.used, class.capture) {
                (Some(element), true, _) => element.mapped(format!("[classes.{}]", class.ours)),
                (Some(element), false, true) => {
                    element.approximated("streams that record have no class");
                    let all = class.properties.iter();
                    all.for_each(|(property, _)| property.rest_lost("streams that record have no class"));
                }
                (Some(element), false, false) => {
                    element.rest_lost("no stream is of this class");
                    element.input.refused(element.range(), "no stream is of this class");
                }
                (None, ..) => {}
            }
        }
        self.draft.matrix_about = vec![
            "What classes do to each other is said by the rules below; without them all would be heard.".to_owned(),
        ];
        let mix = |holder: &str, newcomer: &str| Cells {
            holders: vec![holder.to_owned()],
            newcomers: vec![newcomer.to_owned()],
            says: "action = \"mix\"".to_owned(),
        };
        self.draft.cells = names.iter().map(|name| mix(name, name)).collect();
        if names.len() > 1 {
            self.draft.cells.insert(0, mix("*", "*"));
        }
    }
}

/// What classes have there and not here.
fn passed_over(class: El<'_>) {
    if let Some(attr) = class.attr("id") {
        attr.lost("numbers are given at run time; clients look names up");
    }
    if let Some(attr) = class.attr("defaultVolume") {
        attr.lost("a class has no volume at first: write `volume` at its zones, or `gain_db` at its streams");
    }
}

impl Is {
    fn here(&self) -> Option<&str> {
        match self {
            Self::Here(name) => Some(name),
            Self::Gone(_) => None,
        }
    }
}

/// A note on what the machine does without a rule.
fn built_in(what: &str) -> String {
    format!("{BUILT_IN}: {what}")
}
