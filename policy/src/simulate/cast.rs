//! Domains of other processes that take part in a scenario or a proof: what they register, and what they can be asked.
//!
//! An element's index is its place among all of its kind in the cast, from [`EXTERNAL`] on, so that it is never one of the
//! model's. (IDs, which the machine gives, are another thing: see [`super::world`].)

use serde::Serialize;

use crate::effect::EXTERNAL;
use crate::file::{Document, Table, code};
use crate::model::Model;
use crate::report::Diagnostic;

/// A source of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Name.
    pub name: String,
    /// Index in [`Model::classes`].
    pub class: usize,
}

/// A gateway of a domain: what goes into a zone or a domain's sink comes out of one of its sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gateway {
    /// Name.
    pub name: String,
    /// Index of the sink.
    pub from: usize,
    /// Index of the source.
    pub to: usize,
}

/// A domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// Name.
    pub name: String,
    /// Sources.
    pub sources: Vec<Source>,
    /// Sinks by name.
    pub sinks: Vec<String>,
    /// Gateways.
    pub gateways: Vec<Gateway>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cast {
    /// In the order of the file.
    pub domains: Vec<Domain>,
}

impl Cast {
    /// Those that the policy's file knows; sources whose class it leaves to their domain are of its first.
    pub fn known(model: &Model) -> Self {
        let known = &model.routing.known;
        let mut cast = Self::default();
        for name in known.domains.keys() {
            let sources = known.sources.iter().filter(|(_, it)| it.end.domain == *name);
            let sinks = known.sinks.iter().filter(|(_, it)| it.end.domain == *name);
            cast.domains.push(Domain {
                name: name.clone(),
                sources: sources
                    .map(|(name, it)| Source {
                        name: name.clone(),
                        class: it.end.class.unwrap_or(0),
                    })
                    .collect(),
                sinks: sinks.map(|(name, _)| name.clone()).collect(),
                gateways: Vec::new(),
            });
        }
        for (name, it) in &known.gateways {
            let zone = model.sinks.iter().position(|sink| sink.name == it.sink);
            let sink = cast.sinks().find(|sink| sink.2 == it.sink).map(|sink| sink.0);
            let source = cast.sources().find(|source| source.2.name == it.source);
            let ends = zone.or(sink).zip(source.map(|source| (source.0, source.1)));
            if let Some((from, (to, domain))) = ends {
                let name = name.clone();
                cast.domains[domain].gateways.push(Gateway { name, from, to });
            }
        }
        cast
    }

    /// Nobody.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Every source: its index, its domain's place, itself.
    pub fn sources(&self) -> impl Iterator<Item = (usize, usize, &Source)> {
        let domains = self.domains.iter().enumerate();
        let all = domains.flat_map(|(domain, it)| it.sources.iter().map(move |source| (domain, source)));
        all.enumerate()
            .map(|(place, (domain, source))| (EXTERNAL + place, domain, source))
    }

    /// Every sink: its index, its domain's place, its name.
    pub fn sinks(&self) -> impl Iterator<Item = (usize, usize, &str)> {
        let domains = self.domains.iter().enumerate();
        let all = domains.flat_map(|(domain, it)| it.sinks.iter().map(move |sink| (domain, sink.as_str())));
        all.enumerate()
            .map(|(place, (domain, sink))| (EXTERNAL + place, domain, sink))
    }

    /// Every gateway: its domain's place, itself.
    pub fn gateways(&self) -> impl Iterator<Item = (usize, &Gateway)> {
        let domains = self.domains.iter().enumerate();
        domains.flat_map(|(domain, it)| it.gateways.iter().map(move |gateway| (domain, gateway)))
    }

    /// The name of a source, the model's or a domain's.
    pub fn source_name<'c>(&'c self, model: &'c Model, index: usize) -> &'c str {
        let own = model.sources.get(index).map(|it| it.name.as_str());
        own.or_else(|| self.sources().find(|it| it.0 == index).map(|it| it.2.name.as_str()))
            .unwrap_or("?")
    }

    /// The name of a sink, the model's or a domain's.
    pub fn sink_name<'c>(&'c self, model: &'c Model, index: usize) -> &'c str {
        let own = model.sinks.get(index).map(|it| it.name.as_str());
        own.or_else(|| self.sinks().find(|it| it.0 == index).map(|it| it.2))
            .unwrap_or("?")
    }

    /// A domain's name.
    pub fn domain_name(&self, domain: usize) -> &str {
        self.domains.get(domain).map_or("?", |it| &it.name)
    }

    /// As its part of a scenario.
    pub fn toml(&self, model: &Model) -> String {
        let mut text = String::new();
        for domain in &self.domains {
            let class = |class: usize| model.classes.get(class).map_or("?", |it| it.name.as_str());
            let sources = domain.sources.iter();
            let sources = sources.map(|it| format!("{{ name = \"{}\", class = \"{}\" }}", it.name, class(it.class)));
            let sinks = domain.sinks.iter().map(|it| format!("\"{it}\""));
            let gateways = domain.gateways.iter().map(|it| {
                let (from, to) = (self.sink_name(model, it.from), self.source_name(model, it.to));
                format!("{{ from = \"{from}\", to = \"{to}\" }}")
            });
            let list = |all: Vec<String>| all.join(", ");
            text += &format!("[[domains]]\nname = \"{}\"\n", domain.name);
            text += &format!("sources = [{}]\n", list(sources.collect()));
            text += &format!("sinks = [{}]\n", list(sinks.collect()));
            if !domain.gateways.is_empty() {
                text += &format!("gateways = [{}]\n", list(gateways.collect()));
            }
            text.push('\n');
        }
        text
    }
}

/// Reads `[[domains]]`.
pub(super) fn read(root: &Table<'_>, model: &Model) -> Cast {
    let tables = root.tables("domains");
    let classes: Vec<&str> = model.classes.iter().map(|it| it.name.as_str()).collect();
    let mut taken: Vec<String> = Vec::new();
    let mut cast = Cast::default();
    for table in &tables {
        let name = name_of(table, &mut taken, "say what it is called: `name = \"amplifier\"`");
        let sources = table.tables("sources");
        let sources = sources.iter().filter_map(|source| {
            let name = name_of(source, &mut taken, "say what it is called: `name = \"tuner\"`");
            let class = source.need("class", "say what it plays: `class = \"media\"`");
            let class = class.and_then(|value| value.name_of("class", "classes", &classes));
            Some(Source {
                name: name?,
                class: class?.value,
            })
        });
        let sources = sources.collect();
        let sinks = table.get("sinks").and_then(|value| value.list("names of sinks"));
        let sinks = sinks.unwrap_or_default();
        let sinks = sinks.iter().filter_map(|value| {
            let name = value.text()?;
            unique(table.doc(), name.value, name.span, &mut taken)
        });
        cast.domains.push(Domain {
            name: name.unwrap_or_default(),
            sources,
            sinks: sinks.collect(),
            gateways: Vec::new(),
        });
    }
    for (domain, table) in tables.iter().enumerate() {
        let gateways = gateways(table, model, &cast, domain);
        cast.domains[domain].gateways = gateways;
    }
    cast
}

fn name_of(table: &Table<'_>, taken: &mut Vec<String>, cure: &str) -> Option<String> {
    let name = table.need("name", cure)?.text()?;
    unique(table.doc(), name.value, name.span, taken)
}

/// A name that nobody has yet.
fn unique(doc: &Document<'_>, name: &str, span: crate::report::Span, taken: &mut Vec<String>) -> Option<String> {
    if name.is_empty() || name.contains(['"', '\\', '\n']) || taken.iter().any(|it| it == name) {
        let found = Diagnostic::error(code::CONFLICT, span, format!("`{name}` can't be a name here"));
        doc.push(
            found
                .label("it is empty, taken, or has quotes")
                .help("give each domain, source and sink a name of its own"),
        );
        return None;
    }
    taken.push(name.to_owned());
    Some(name.to_owned())
}

/// From zones or any domain's sinks to sources of this domain.
fn gateways(table: &Table<'_>, model: &Model, cast: &Cast, domain: usize) -> Vec<Gateway> {
    let sinks: Vec<(usize, &str)> = (model
        .sinks
        .iter()
        .enumerate()
        .map(|(index, it)| (index, it.name.as_str())))
    .chain(cast.sinks().map(|it| (it.0, it.2)))
    .collect();
    let sources: Vec<(usize, &str)> = cast
        .sources()
        .filter(|it| it.1 == domain)
        .map(|it| (it.0, it.2.name.as_str()))
        .collect();
    let pick = |all: &[(usize, &str)], value: Option<crate::file::Value<'_>>, what: &str, plural: &str| {
        let names: Vec<&str> = all.iter().map(|it| it.1).collect();
        let found = value?.name_of(what, plural, &names)?;
        Some(all.get(found.value)?.0)
    };
    let tables = table.tables("gateways");
    let read = tables.iter().filter_map(|it| {
        let from = pick(
            &sinks,
            it.need("from", "say what goes in: `from = \"cabin\"`"),
            "sink",
            "sinks",
        );
        let to = it.need("to", "say where it comes out: `to = \"amplifier input\"`");
        let to = pick(&sources, to, "source of this domain", "sources of this domain");
        let (from, to) = (from?, to?);
        let name = |all: &[(usize, &str)], index| all.iter().find(|it| it.0 == index).map_or("", |it| it.1).to_owned();
        Some(Gateway {
            name: format!("{} to {}", name(&sinks, from), name(&sources, to)),
            from,
            to,
        })
    });
    read.collect()
}

/// What a domain can be asked. Indices are those of the cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "AudioManager's own words")]
pub enum Ask {
    Connect { source: usize, sink: usize },
    Disconnect { source: usize, sink: usize },
    State { source: usize },
    SourceVolume { source: usize },
    SinkVolume { sink: usize },
}

impl Ask {
    /// Words for its kind, as a scenario has them.
    pub const KINDS: [&'static str; 4] = ["connect", "disconnect", "state", "volume"];

    fn parts(self) -> (&'static str, Option<usize>, Option<usize>) {
        match self {
            Self::Connect { source, sink } => ("connect", Some(source), Some(sink)),
            Self::Disconnect { source, sink } => ("disconnect", Some(source), Some(sink)),
            Self::State { source } => ("state", Some(source), None),
            Self::SourceVolume { source } => ("volume", Some(source), None),
            Self::SinkVolume { sink } => ("volume", None, Some(sink)),
        }
    }

    /// As keys of a scenario's step.
    pub fn toml(self, model: &Model, cast: &Cast) -> String {
        let (kind, source, sink) = self.parts();
        let source = source.map(|it| format!(", source = \"{}\"", cast.source_name(model, it)));
        let sink = sink.map(|it| format!(", sink = \"{}\"", cast.sink_name(model, it)));
        format!(
            "request = \"{kind}\"{}{}",
            source.unwrap_or_default(),
            sink.unwrap_or_default()
        )
    }

    /// For people.
    pub fn text(self, model: &Model, cast: &Cast) -> String {
        let (kind, source, sink) = self.parts();
        let source = source.map(|it| format!(" {}", cast.source_name(model, it)));
        let sink = sink.map(|it| format!(" {}", cast.sink_name(model, it)));
        format!("{kind}{}{}", source.unwrap_or_default(), sink.unwrap_or_default())
    }
}
