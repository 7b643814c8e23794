//! Ways between domains: `[gateways.NAME]` and `[[topologies]]`, once all elements are known by name.

use super::domains::{Reader, registers};
use super::routing::{FORMATS, number_or_word};
use super::{Entry, MAX_TABLES, Table, Value, code};
use crate::report::Diagnostic;
use crate::routing::known::{KnownGateway, Registers, Topology};
use crate::routing::{Conversion, known};

/// Gateways of one way.
const MAX_VIA: usize = 12;

impl<'d> Reader<'d, '_> {
    /// `[gateways.NAME]`.
    pub(super) fn gateways(&mut self) {
        for entry in &self.root.elements("gateways") {
            self.claim("gateway", entry);
            let id = self.id("gateway", &entry.table);
            if let Some(known) = self.gateway(entry, id) {
                self.rules.known.gateways.insert(entry.name.to_owned(), known);
            }
        }
    }

    fn gateway(&self, entry: &Entry<'d>, id: Option<u16>) -> Option<KnownGateway> {
        let table = &entry.table;
        let domains: Vec<&str> = self.rules.known.domains.keys().map(String::as_str).collect();
        let domain = table.need("domain", "say whose it is, as `domain = \"amplifier\"`");
        let sink = table.need("sink", "name what goes in: a zone, or a sink of a domain");
        let source = table.need(
            "source",
            "name what comes out: a source of a domain, or a guest's stream",
        );
        let domain = domain.and_then(|value| value.name_of("domain", "domains", &domains));
        let sinks: Vec<&str> = self.ends.sinks.iter().chain(&self.ends.built_in.1).copied().collect();
        let sink = sink.and_then(|value| value.name_of("sink", "sinks", &sinks));
        let built_in = self.ends.built_in.0.iter().map(String::as_str);
        let sources: Vec<&str> = self.ends.sources.iter().copied().chain(built_in).collect();
        let source = source.and_then(|value| value.name_of("source", "sources", &sources));
        let conversion = table.get("matrix").map(|value| matrix(&value));
        let registers = registers(table);
        if registers != Registers::Domain && conversion.is_none() {
            let found = Diagnostic::error(code::MISSING_KEY, entry.span, "`matrix` is missing");
            let label = "its domain won't say it: it is registered from here";
            self.push(
                found
                    .label(label)
                    .help("say what it converts, as `matrix = [[\"stereo\", \"stereo\"]]`"),
            );
        }
        Some(KnownGateway {
            id,
            domain: domains.get(domain?.value).map(|it| (*it).to_owned())?,
            sink: (*sinks.get(sink?.value)?).to_owned(),
            source: (*sources.get(source?.value)?).to_owned(),
            conversion: conversion.flatten(),
            registers,
            line: self.line(entry),
        })
    }

    /// `[[topologies]]`.
    pub(super) fn topologies(&mut self) {
        for table in self.root.tables("topologies").iter().take(MAX_TABLES) {
            let classes = &self.names.classes;
            let built_in = self.ends.built_in.0.iter().map(String::as_str);
            let sources: Vec<&str> = self.ends.sources.iter().copied().chain(built_in).collect();
            let sinks: Vec<&str> = self.ends.sinks.iter().chain(&self.ends.built_in.1).copied().collect();
            if table.key_span("class").is_none() && table.key_span("source").is_none() {
                table.need("class", "say whose it is, as `class = \"media\"` or `source = \"fm\"`");
            }
            table.need(
                "sink",
                "say where it leads to, as `sink = \"speakers\"` or `sink = \"*\"`",
            );
            let topology = Topology {
                classes: some_of(table, "class", ("class", "classes"), classes),
                sources: some_of(table, "source", ("source", "sources"), &sources),
                via: self.via(table),
                sinks: some_of(table, "sink", ("sink", "sinks"), &sinks),
                line: table.doc().line(table.span()),
            };
            self.rules.known.topologies.push(topology);
        }
    }

    /// `via = ["to_amp", "*"]`.
    fn via(&self, table: &Table<'_>) -> Vec<String> {
        let Some(value) = table.get("via") else {
            return Vec::new();
        };
        let items = value.items();
        if items.len() > MAX_VIA {
            let message = format!("{} gateways: there is room for {MAX_VIA}", items.len());
            self.push(Diagnostic::error(code::TOO_MANY, value.span, message).label("too many"));
        }
        let mut via: Vec<String> = Vec::new();
        for item in items.iter().take(MAX_VIA) {
            let star = item.text().is_some_and(|text| text.value == "*");
            if star && via.last().is_some_and(|last| last == "*") {
                let found = Diagnostic::warning(code::NO_EFFECT, item.span, "this `*` has no effect");
                self.push(found.label("one stands for any number of gateways"));
                continue;
            }
            if star {
                via.push("*".to_owned());
            } else if item.is_text()
                && let Some(found) = item.name_of("gateway", "gateways", &self.ends.gateways)
            {
                via.extend(self.ends.gateways.get(found.value).map(|it| (*it).to_owned()));
            }
        }
        via
    }
}

/// Names, or `"*"`; all if the key isn't there.
fn some_of(table: &Table<'_>, key: &'static str, (what, plural): (&str, &str), names: &[&str]) -> known::Names {
    let Some(value) = table.get(key) else {
        return known::Names::All;
    };
    if value.is_star() {
        return known::Names::All;
    }
    if value.items().is_empty() {
        let found = Diagnostic::error(code::OUT_OF_RANGE, value.span, format!("there is no {what}"));
        value.push(
            found
                .label("an empty list")
                .help(format!("name one, or write `{key} = \"*\"`")),
        );
    }
    let found = value.names_of(what, plural, names);
    let found = found.iter().filter_map(|it| names.get(it.value));
    known::Names::These(found.map(|it| (*it).to_owned()).collect())
}

/// `[["stereo", "stereo"], ["mono", "stereo"]]`: what goes in, what comes out.
fn matrix(value: &Value<'_>) -> Option<Conversion> {
    let wanted = "pairs of formats, as `[[\"stereo\", \"stereo\"], [\"mono\", \"stereo\"]]`";
    let mut pairs: Vec<(u16, u16)> = Vec::new();
    for item in value.list(wanted)? {
        let pair = item.list(wanted)?;
        let [sink, source] = pair.as_slice() else {
            return item.out_of_range("a conversion is a pair", format!("has {} formats", pair.len()));
        };
        let (sink, source) = (number_or_word(sink, &FORMATS)?, number_or_word(source, &FORMATS)?);
        pairs.push((sink.value, source.value));
    }
    if pairs.is_empty() {
        return value.out_of_range("this gateway converts nothing", wanted);
    }
    let each = |side: fn(&(u16, u16)) -> u16| {
        let mut all: Vec<u16> = Vec::new();
        for format in pairs.iter().map(side) {
            if !all.contains(&format) {
                all.push(format);
            }
        }
        all
    };
    let (sinks, sources) = (each(|it| it.0), each(|it| it.1));
    let cells = sinks
        .iter()
        .flat_map(|sink| sources.iter().map(|source| pairs.contains(&(*sink, *source))));
    let cells: Vec<bool> = cells.collect();
    Conversion::new(sinks, sources, cells)
}
