//! The file: read, checked, resolved. One TOML file describes codecs, zones, guests, chimes and the policy; every mistake is
//! reported at once, with line, cause and cure (see [`policy::report`]).
//!
//! | module | what it reads |
//! |---|---|
//! | [`access`] | `[access]` |
//! | [`codecs`] | `[codecs.NAME]`, `[zones.NAME]` |
//! | [`guests`] | `[guests.NAME]` with streams and jacks |
//! | [`chimes`] | `[chimes.NAME]` |
//! | [`keep`] | `state`, `[restore]` |
//! | `doubts` | what is suspicious about the policy |
//! | [`schema`] | the JSON schema of all of it |
//! | [`swap`] | whether a new file can take the old one's place while it runs |
//! | [`offer`] | what the streams' offers make of a stock driver |
//! | [`windows`] | `link` and `window` of guests in other VMs |
//! | [`words`] | formats, rates and channel positions by name |
//! | `policy::file` | classes, the matrix, and the policy's share of zones, streams and chimes |
//!
//! Paths in the file are relative to its folder.

pub mod access;
pub mod chimes;
pub mod codecs;
mod doubts;
pub mod guests;
pub mod keep;
pub mod offer;
pub mod schema;
pub mod swap;
pub mod windows;
pub mod words;

use std::path::{Path, PathBuf};

use policy::Model;
use policy::file::{Document, Entry, MAX_BYTES, Table, code, did_you_mean};
use policy::report::{Diagnostic, Report, Span};

use crate::system::System;

/// Longest time a started stream may wait for the policy, ms, where the file doesn't say.
const DECISION_LIMIT_MS: u32 = 50;

/// A file without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What everything but the policy needs.
    pub system: System,
    /// What the policy needs.
    pub model: Model,
    /// What is kept over a boot.
    pub keep: keep::Keep,
    /// What is legal but suspicious.
    pub warnings: Report,
    /// The file itself.
    pub text: String,
    /// Where it is, absolute.
    pub path: PathBuf,
}

/// Reads and checks a file, and the files it names.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    read(&read_text(path)?, path, true)
}

/// A file's text.
///
/// # Errors
/// Why it can't be read, as a report.
pub fn read_text(path: &Path) -> Result<String, Report> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &format!("it can't be read: {error}")))?;
    text_of(bytes, path)
}

/// The bytes of a file `path` as text.
///
/// # Errors
/// They are too many, or not UTF-8.
pub fn text_of(bytes: Vec<u8>, path: &Path) -> Result<String, Report> {
    if bytes.len() > MAX_BYTES {
        let cause = format!("it has {} bytes; {MAX_BYTES} is the limit", bytes.len());
        return Err(unreadable(path, &cause));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1;
        unreadable(path, &format!("it is not UTF-8 in line {line}"))
    })
}

/// Checks a text as if it stood in a file `path`. Files that it names are not looked at.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn parse(text: &str, path: &Path) -> Result<Loaded, Report> {
    read(text, path, false)
}

/// A report on a file that is no text.
pub fn unreadable(path: &Path, cause: &str) -> Report {
    let message = format!("{}: {cause}", path.display());
    let found = Diagnostic::error(code::FILE, Span::default(), message);
    Report::new(path.display().to_string(), "", vec![found])
}

/// What the readers share.
pub(crate) struct Context {
    /// Folder of the file.
    pub base: PathBuf,
    /// The file itself.
    pub file: PathBuf,
    /// Whether to look at the files it names.
    pub files: bool,
}

impl Context {
    /// A path of the file, made absolute.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }
}

fn read(text: &str, path: &Path, files: bool) -> Result<Loaded, Report> {
    let context = context(path, files);
    let absolute = context.file.clone();
    let document = Document::parse(text);
    let (model, system, keep) = read_all(&document, &context);
    let report = document.finish(&path.display().to_string());
    if report.errors() > 0 {
        return Err(report);
    }
    Ok(Loaded {
        system,
        model,
        keep,
        warnings: report,
        text: text.to_owned(),
        path: absolute,
    })
}

fn context(path: &Path, files: bool) -> Context {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Context {
        base: absolute.parent().unwrap_or(Path::new("/")).to_owned(),
        file: absolute,
        files,
    }
}

fn read_all(document: &Document<'_>, context: &Context) -> (Model, System, keep::Keep) {
    let model = policy::file::read(document);
    let system = system(document, context, &model);
    let keep = keep::keep(&document.root(), context, &system);
    doubts::triggers(&document.root(), &keep);
    (model, system, keep)
}

fn system(document: &Document<'_>, context: &Context, model: &Model) -> System {
    let root = document.root();
    let codecs = codecs::codecs(&root, context);
    let zones = codecs::zones(&root, &codecs);
    let (guests, sources) = guests::guests(&root, context, model, &codecs, &zones);
    codecs::unused(&root, &zones);
    System {
        bus: bus(&root),
        access: access::access(&root),
        decision_limit_ms: root.u32_or("decision_limit_ms", 1..=1000, DECISION_LIMIT_MS),
        user: root
            .get("user")
            .and_then(|value| value.text())
            .map(|user| user.value.to_owned()),
        chimes: chimes::chimes(&root, context, model),
        codecs,
        zones,
        guests,
        sources,
    }
}

fn bus(root: &Table<'_>) -> Option<String> {
    let bus = root.get("bus")?.text()?;
    if ["session", "system"].contains(&bus.value) || bus.value.contains(':') {
        return Some(bus.value.to_owned());
    }
    let message = format!("`{}` is no bus", bus.value);
    root.doc().push(
        Diagnostic::error(code::UNKNOWN_WORD, bus.span, message)
            .label("possible: session, system, a D-Bus address as `unix:path=/run/bus`")
            .maybe_help(did_you_mean(bus.value, ["session", "system"])),
    );
    None
}

/// Reports the first entry that there is no room for.
pub(crate) fn at_most(entries: &[Entry<'_>], most: usize, what: &str) {
    if let Some(surplus) = entries.get(most) {
        let message = format!("there is room for {most} {what}");
        surplus
            .table
            .doc()
            .push(Diagnostic::error(code::TOO_MANY, surplus.span, message).label("one too many"));
    }
}

/// Reports that something is given twice.
pub(crate) fn twice(table: &Table<'_>, second: Span, first: Span, message: String) {
    let found = Diagnostic::error(code::DUPLICATE, second, message);
    table.doc().push(found.label("again here").see(first, "first here"));
}
