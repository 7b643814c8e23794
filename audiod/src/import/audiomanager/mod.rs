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
mod elements;
mod ends;
mod policies;
mod topology;
mod translate;
mod words;

use std::collections::BTreeMap;

use policy::file::code;
use policy::report::{Diagnostic, Span};

use super::draft::{Cells, Class, Draft, Rule};
use super::ledger::BUILT_IN;
use super::names::Names;
use super::xml::El;
use super::{twice, wrong_root};
use topology::Topology;

/// The class of what names none.
const DEFAULT_CLASS: &str = "default";
/// Its reserved system property for topology-only routes.
const ONLY_TOPOLOGIES: [&str; 2] = [
    "SYP_CONNECTION_ALLOW_ONLY_TOPOLOGY_ROUTE",
    "SYP_CONNECTION_ALLOW_ONLY_TOPOLOGY_ROUTES",
];

/// A class of the file.
struct ClassOf<'a> {
    ours: String,
    capture: bool,
    priority: i64,
    topologies: Vec<(El<'a>, Topology)>,
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
    draft: Draft,
}

/// Reads a file; without a draft there is at least one mistake.
pub(super) fn read(root: El<'_>, name: &str) -> Option<Draft> {
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
    reader.topologies();
    root.all("policies")
        .iter()
        .for_each(|section| reader.policies(*section));
    reader.roles();
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
            let only = kind.is_some_and(|kind| ONLY_TOPOLOGIES.contains(&kind.value));
            if let (true, Some(value)) = (only, value) {
                self.only_topologies = value != 0;
                property
                    .rest_approximated("decides whether topologies become rules; it is no property that clients see");
            }
            property.rest_lost("system properties are not part of the file: clients set those they need");
        }
    }

    fn classes(&mut self, section: El<'a>) {
        section.known(&[], &["class"]);
        section.mapped("[classes]");
        for class in section.all("class") {
            self.class(class);
        }
    }

    fn class(&mut self, class: El<'a>) {
        class.known(
            &[
                "id",
                "name",
                "type",
                "priority",
                "isVolumePersistencySupported",
                "defaultVolume",
            ],
            &["topology", "property"],
        );
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
        if let Some(attr) = class.attr("id") {
            attr.lost("numbers are given at run time; clients look names up");
        }
        if let Some(attr) = class.attr("defaultVolume") {
            attr.lost("volumes are a zone's or a stream's");
        }
        if let Some(attr) = class.attr("isVolumePersistencySupported") {
            ends::persistence(&attr, &mut self.draft);
        }
        for property in class.all("property") {
            property.rest_lost("classes have no properties");
        }
        let topologies = class
            .all("topology")
            .into_iter()
            .filter_map(|it| Some((it, parsed(it)?)))
            .collect();
        let made = ClassOf {
            ours,
            capture,
            priority: -priority.unwrap_or(99),
            topologies,
            element: Some(class),
            used: false,
        };
        self.classes.insert(name.value.to_owned(), made);
    }

    /// The class that a source or sink names.
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
            .map(|class| Class {
                name: class.ours.clone(),
                priority: Some(class.priority),
                from: class.element.map_or_else(
                    || "of what names no class".to_owned(),
                    |element| element.input.place(element.span()),
                ),
            })
            .collect();
        for class in self.classes.values() {
            match (class.element, class.used, class.capture) {
                (Some(element), true, _) => element.mapped(format!("[classes.{}]", class.ours)),
                (Some(element), false, true) => element.approximated("streams that record have no class"),
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
            says: "action = \"mix\"",
        };
        self.draft.cells = names.iter().map(|name| mix(name, name)).collect();
        if names.len() > 1 {
            self.draft.cells.insert(0, mix("*", "*"));
        }
    }

    /// A rule a class: what its topologies don't have is disconnected.
    fn topologies(&mut self) {
        let mut rules = Vec::new();
        for class in self.classes.values() {
            let mut allowed = Vec::new();
            let mut open = false;
            for (element, topology) in &class.topologies {
                open |= self.pairs(*element, topology, class.capture, &mut allowed);
            }
            if class.topologies.is_empty() || class.capture || !class.used {
                continue;
            }
            if !self.only_topologies || open {
                continue;
            }
            rules.extend(topology_rule(class, &allowed));
        }
        self.draft.rules.extend(rules);
    }

    /// The pairs a topology has as names of our connections; true if it has all.
    fn pairs(&self, element: El<'_>, topology: &Topology, capture: bool, allowed: &mut Vec<String>) -> bool {
        let input = element.input;
        let here = |names: Option<&[String]>, known: &BTreeMap<String, (Is, Span)>, gone: &mut Vec<String>| match names
        {
            None => known
                .values()
                .filter_map(|(is, _)| is.here())
                .map(str::to_owned)
                .collect::<Vec<_>>(),
            Some(names) => {
                let mut found = Vec::new();
                for name in names {
                    match known.get(name).and_then(|(is, _)| is.here()) {
                        Some(ours) => found.push(ours.to_owned()),
                        None => gone.push(name.clone()),
                    }
                }
                found
            }
        };
        let mut gone = Vec::new();
        let sinks = here(topology.sinks(), &self.sinks, &mut gone);
        let sources = here(topology.sources(), &self.sources, &mut gone);
        allowed.extend(
            sources
                .iter()
                .flat_map(|source| sinks.iter().map(move |sink| format!("{source}:{sink}"))),
        );
        let mut how = match self.only_topologies {
            true => "a rule ends at once what has another sink; the call was answered with 0".to_owned(),
            false => "not asked for: SYP_CONNECTION_ALLOW_ONLY_TOPOLOGY_ROUTE is 0".to_owned(),
        };
        if capture {
            how = "what is recorded is the codec's input".to_owned();
        }
        if !topology.gateways.is_empty() {
            how += "; no gateway is on the way";
        }
        if !gone.is_empty() && !capture {
            how += &format!("; not here: {}", policy::file::listed(gone.iter().map(String::as_str)));
        }
        input.approximated(element.at(), &*how);
        element.text_approximated(how);
        topology.sinks().is_none() && topology.sources().is_none()
    }
}

fn parsed(element: El<'_>) -> Option<Topology> {
    element.known(&[], &["text()"]);
    let Some((text, span)) = element.text() else {
        element.approximated("says nothing");
        return None;
    };
    match topology::parse(text) {
        Ok(topology) => Some(topology),
        Err(cause) => {
            let found = Diagnostic::error(code::EXPRESSION, span, format!("`{text}` is no topology")).label(cause);
            element
                .input
                .push(found.help("as `SinkA^SinkB=Gateway(SourceA^SourceB)^SourceC`"));
            None
        }
    }
}

fn topology_rule(class: &ClassOf<'_>, allowed: &[String]) -> Option<Rule> {
    let first = class.topologies.first()?.0;
    let list: Vec<String> = allowed.iter().map(|pair| format!("\"{pair}\"")).collect();
    let range = first.range().start..class.topologies.last().map_or(first.range().end, |it| it.0.range().end);
    Some(Rule {
        name: super::names::plain(&format!("topology-{}", class.ours)),
        on: vec!["user.connection_request".to_owned()],
        when: vec![
            format!("request.class == \"{}\"", class.ours),
            format!("[{}] lacks name(request.connection)", list.join(", ")),
        ],
        then: vec!["{ disconnect = { source = \"request.source\", sink = \"request.sink\" } }".to_owned()],
        priority: Some(-1000),
        last: true,
        from: first.input.place(first.span()),
        of: range,
        ..Rule::default()
    })
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
