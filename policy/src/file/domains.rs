//! Domains of other processes: `[domains.NAME]` with its sources and sinks. Ways between them are in `ways.rs`.

use super::model::{Names, curve, narrowed};
use super::properties;
use super::routing::{self, MAX_OPEN, MILLISECONDS, formats};
use super::{Entry, Table, Value, code};
use crate::Model;
use crate::report::{Diagnostic, Span};
use crate::routing::known::{KnownDomain, KnownEnd, KnownSink, KnownSource, Registers};
use crate::routing::{BUILT_IN, BUILT_IN_NAME, Rules};

/// Largest static ID.
const MAX_STATIC: i64 = 100;

/// Everything about routes over domains. `capture` are the classes that say so of themselves.
pub(super) fn read(root: &Table<'_>, names: &Names<'_>, model: &Model) -> Rules {
    let mut rules = routing::read(root);
    let default = root.get("routing").and_then(|value| value.table());
    let default = default.and_then(|table| table.get("default_class"));
    let default = default.and_then(|value| value.name_of("class", "classes", &names.classes));
    rules.default_class = default.map(|found| found.value);
    rules.main_sound = properties::main_sound(root, rules.property_range);
    let domains = root.elements("domains");
    let mut reader = Reader {
        root,
        names,
        rules: &mut rules,
        ends: Ends::of(model, names),
        ids: Ids::default(),
    };
    for entry in &domains {
        reader.domain(entry);
    }
    reader.gateways();
    reader.topologies();
    for entry in root.entries("classes") {
        if entry.table.bool_or("capture", false) {
            rules.capture_classes.insert(entry.name.to_owned());
        }
    }
    rules
}

/// Names that gateways and topologies may give, and who has them.
pub(super) struct Ends<'d> {
    pub sources: Vec<&'d str>,
    pub sinks: Vec<&'d str>,
    pub gateways: Vec<&'d str>,
    /// Guests' streams, and zones.
    pub built_in: (Vec<String>, Vec<&'d str>),
}

impl<'d> Ends<'d> {
    fn of(model: &Model, names: &Names<'d>) -> Self {
        Self {
            sources: Vec::new(),
            sinks: Vec::new(),
            gateways: Vec::new(),
            built_in: (
                model.sources.iter().map(|it| it.name.clone()).collect(),
                names.zones.clone(),
            ),
        }
    }
}

/// Static IDs that are given, where.
#[derive(Default)]
struct Ids(Vec<(&'static str, u16, Span)>);

/// Domains first, then the ways between them (`ways.rs`), which name their elements.
pub(super) struct Reader<'d, 'r> {
    pub root: &'r Table<'d>,
    pub names: &'r Names<'d>,
    pub rules: &'r mut Rules,
    pub ends: Ends<'d>,
    ids: Ids,
}

impl<'d> Reader<'d, '_> {
    pub(super) fn push(&self, found: Diagnostic) {
        self.root.doc().push(found);
    }

    pub(super) fn line(&self, entry: &Entry<'_>) -> u32 {
        self.root.doc().line(entry.span)
    }

    /// `id`: each once of its kind.
    pub(super) fn id(&mut self, kind: &'static str, table: &Table<'_>) -> Option<u16> {
        let found = table.integer("id", 1..=MAX_STATIC)?;
        let id = found.value as u16;
        match self.ids.0.iter().find(|it| (it.0, it.1) == (kind, id)) {
            Some((_, _, first)) => {
                let found = Diagnostic::error(code::DUPLICATE, found.span, format!("two {kind}s have ID {id}"));
                self.push(found.label("again here").see(*first, "first here"));
            }
            None => self.ids.0.push((kind, id, found.span)),
        }
        Some(id)
    }

    fn domain(&mut self, entry: &Entry<'d>) {
        let table = &entry.table;
        if entry.name == BUILT_IN_NAME {
            let found = Diagnostic::error(
                code::BAD_NAME,
                entry.span,
                format!("a domain can't be called `{BUILT_IN_NAME}`"),
            );
            self.push(found.label("that is the domain of guests' streams and zones"));
        }
        let id = self.id("domain", table);
        if id == Some(BUILT_IN) {
            let found = Diagnostic::error(
                code::CONFLICT,
                table.key_span("id").unwrap_or(entry.span),
                "this ID is taken",
            );
            self.push(found.label(format!("{BUILT_IN} is the domain of guests' streams and zones")));
        }
        let ack_ms = table.integer("ack_ms", (*MILLISECONDS.start()).into()..=(*MILLISECONDS.end()).into());
        let open = table.integer("open_requests", 4..=MAX_OPEN.into());
        let known = KnownDomain {
            id,
            bus_name: self.bus_name(table),
            early: table.bool_or("early", false),
            complete: table.bool_or("complete", false),
            required: table.bool_or("required", true),
            ack_ms: ack_ms.map(|found| found.value as u64),
            open_limit: open.map(|found| found.value as usize),
            line: self.line(entry),
        };
        if table.bool_or("set_volumes", false) {
            self.rules.set_volumes.insert(entry.name.to_owned());
        }
        self.rules.known.domains.insert(entry.name.to_owned(), known);
        let sources = table.elements("sources");
        for source in &sources {
            let source = self.like(source, &sources);
            self.source(entry, &source);
        }
        let sinks = table.elements("sinks");
        for sink in &sinks {
            let sink = self.like(sink, &sinks);
            self.sink(entry, &sink);
        }
    }

    fn bus_name(&self, table: &Table<'_>) -> Option<String> {
        let text = table.get("bus_name")?.text()?;
        let element = |part: &str| {
            let mut bytes = part.bytes();
            bytes.next().is_some_and(|first| !first.is_ascii_digit())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        let valid = text.value.len() <= 255 && text.value.contains('.') && text.value.split('.').all(element);
        if !valid {
            let found = Diagnostic::error(code::BAD_NAME, text.span, format!("`{}` is no bus name", text.value));
            self.push(found.label("a name that the domain's process owns on the bus, as `com.example.amplifier`"));
        }
        Some(text.value.to_owned())
    }

    /// An element that takes over what another of its table says: `like = "fm"`.
    fn like(&self, entry: &Entry<'d>, all: &[Entry<'d>]) -> Entry<'d> {
        let names: Vec<&str> = all.iter().map(|it| it.name).filter(|it| *it != entry.name).collect();
        let Some(found) = (entry.table.get("like")).and_then(|value| value.name_of("element", "elements here", &names))
        else {
            return *entry;
        };
        let base = all.iter().find(|it| Some(&it.name) == names.get(found.value));
        let Some(base) = base else { return *entry };
        if base.table.key_span("like").is_some() {
            let found = Diagnostic::error(
                code::CONFLICT,
                found.span,
                format!("`{}` is itself like another", base.name),
            );
            self.push(found.label("only one that says everything itself can be taken over"));
        }
        Entry {
            table: entry.table.like(&base.table),
            ..*entry
        }
    }

    /// A name that nobody else may have.
    pub(super) fn claim(&mut self, kind: &'static str, entry: &Entry<'d>) {
        let built_in = match kind {
            "source" => self.ends.built_in.0.iter().any(|it| it == entry.name),
            "sink" => self.ends.built_in.1.contains(&entry.name),
            _ => false,
        };
        let list = match kind {
            "source" => &mut self.ends.sources,
            "sink" => &mut self.ends.sinks,
            _ => &mut self.ends.gateways,
        };
        let taken = list.contains(&entry.name);
        list.push(entry.name);
        if taken || built_in {
            let found = Diagnostic::error(
                code::DUPLICATE,
                entry.span,
                format!("two {kind}s are called `{}`", entry.name),
            );
            let label = if built_in {
                "a guest's stream or a zone has this name"
            } else {
                "names are unique over all domains"
            };
            self.push(found.label(label));
        }
    }

    fn end(&mut self, kind: &'static str, domain: &Entry<'d>, entry: &Entry<'d>) -> KnownEnd {
        let table = &entry.table;
        self.claim(kind, entry);
        let class = table
            .get("class")
            .and_then(|value| value.name_of("class", "classes", &self.names.classes));
        let flag = |key: &'static str| Some(table.get(key)?.boolean()?.value);
        KnownEnd {
            domain: domain.name.to_owned(),
            id: self.id(kind, table),
            class: class.map(|found| found.value),
            formats: table.get("formats").map(|value| formats(&value)).unwrap_or_default(),
            visible: flag("visible"),
            available: flag("available"),
            registers: registers(table),
            line: self.line(entry),
        }
    }

    fn source(&mut self, domain: &Entry<'d>, entry: &Entry<'d>) {
        let table = &entry.table;
        let end = self.end("source", domain, entry);
        self.not_safety(table);
        self.registers_whole(entry, &end, true);
        let gain = |key: &'static str| Some(table.get(key)?.gain()?.value);
        let (least, most) = (gain("min_gain_db"), gain("max_gain_db"));
        let volume = gain("gain_db");
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            let span = table.key_span("max_gain_db").unwrap_or(entry.span);
            let found = Diagnostic::error(code::CONFLICT, span, "the greatest gain is less than the least");
            self.push(found.label(format!("`min_gain_db` is {} dB", f64::from(least) / 10.0)));
        }
        let limits = (least.is_some() || most.is_some()).then(|| (least.unwrap_or(crate::MUTE), most.unwrap_or(0)));
        if let (Some((least, most)), Some(volume)) = (limits, volume)
            && !(least..=most.max(least)).contains(&volume)
        {
            let span = table.key_span("gain_db").unwrap_or(entry.span);
            let found = Diagnostic::error(code::CONFLICT, span, "this is outside of the source's own limits");
            self.push(found.label("see `min_gain_db` and `max_gain_db`"));
        }
        let known = KnownSource { end, volume, limits };
        self.rules.known.sources.insert(entry.name.to_owned(), known);
    }

    /// What a safety class promises can't be kept for what another process plays.
    fn not_safety(&self, table: &Table<'_>) {
        let Some(value) = table.get("class").filter(Value::is_text) else {
            return;
        };
        let Some(name) = value.text() else { return };
        let classes = self.root.entries("classes");
        let safety = classes
            .iter()
            .find(|it| it.name == name.value)
            .and_then(|it| it.table.get("safety"))
            .and_then(|it| it.boolean());
        if safety.is_some_and(|it| it.value) {
            let message = format!("class `{}` of a domain's source is a safety class", name.value);
            let found = Diagnostic::error(code::SAFETY, name.span, message);
            self.push(
                found
                    .label("another process plays it: nobody here can promise that it sounds")
                    .help("use another class; a rule or the matrix can duck others for it"),
            );
        }
    }

    /// Who registers for a domain has to know all of it.
    fn registers_whole(&self, entry: &Entry<'_>, end: &KnownEnd, source: bool) {
        if end.registers == Registers::Domain {
            return;
        }
        let missing = |key: &str, cure: &str| {
            let message = format!("`{key}` is missing");
            let found = Diagnostic::error(code::MISSING_KEY, entry.span, message);
            self.push(
                found
                    .label("its domain won't say it: it is registered from here")
                    .help(cure),
            );
        };
        if end.formats.is_empty() {
            missing("formats", "say which it has, as `formats = [\"stereo\"]`");
        }
        if source && end.class.is_none() {
            missing("class", "say which class it belongs to");
        }
    }

    fn sink(&mut self, domain: &Entry<'d>, entry: &Entry<'d>) {
        let table = &entry.table;
        let end = self.end("sink", domain, entry);
        self.registers_whole(entry, &end, false);
        let own = table.get("curve").and_then(|value| curve(table.doc(), &value));
        let limited = ["min_volume", "max_volume"]
            .iter()
            .any(|key| table.key_span(key).is_some());
        let given = own.is_some() || limited;
        let points = narrowed(table, own.unwrap_or_else(|| self.rules.curve.clone()));
        if given {
            self.rules.curves.insert(entry.name.to_owned(), points);
        }
        let points = self.rules.curve_of(entry.name);
        let lowest = points.first().map_or(i16::MIN, |point| point.0);
        let highest = points.last().map_or(i16::MAX, |point| point.0);
        let volume = table.integer("volume", lowest.into()..=highest.into());
        let known = KnownSink {
            end,
            main_volume: volume.and_then(|found| i16::try_from(found.value).ok()),
            muted: table
                .get("muted")
                .and_then(|value| value.boolean())
                .map(|found| found.value),
        };
        self.rules.known.sinks.insert(entry.name.to_owned(), known);
    }
}

/// Who registers an element.
pub(super) fn registers(table: &Table<'_>) -> Registers {
    let words = [
        ("domain", Registers::Domain),
        ("policy", Registers::Policy),
        ("rule", Registers::Rule),
    ];
    table
        .word("register", &words)
        .map_or(Registers::Domain, |found| found.value)
}
