//! Importers: other systems' policy files as ours, with a list of what became of every element, attribute and text.
//!
//! ```text
//! XML ──parse──▶ places, ledger ──reader──▶ draft ──write──▶ TOML ──check──▶ policy
//!                     │  every item gets a fate              │
//!                     └──────────── list ◀──────── rules that our language refuses become lost
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`audiomanager`] | GENIVI AudioManager's generic controller (`generic.xml`) |
//! | [`aaos`] | Android Automotive's `car_audio_configuration.xml`, versions 1 to 4, and `car_audio_fade_configuration.xml` |
//! | `xml`, `ledger`, [`listing`] | input with places, fates, the list |
//! | `draft`, `names` | the policy before it is TOML |
//!
//! docs/importers.md has the tables. What can't be read is an error with its place, as everywhere; what can be read and has no
//! counterpart here is *lost*, and listed.

pub mod aaos;
pub mod audiomanager;
mod draft;
pub mod ledger;
pub mod listing;
mod names;
mod xml;

use std::path::{Path, PathBuf};

use policy::file::code;
use policy::report::{Diagnostic, Report, Severity, Span};

use crate::config;
use draft::Draft;
use ledger::Unaccounted;
use listing::Listing;
use xml::Input;

/// A policy, and what became of what it was made from.
#[derive(Clone, Debug)]
pub struct Imported {
    /// TOML that `audiod check` has no mistake to find in.
    pub policy: String,
    /// The list.
    pub listing: Listing,
    /// The list of the second file, if there was one.
    pub beside: Option<Listing>,
}

/// A second file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Its text.
    pub text: String,
    /// Its name.
    pub path: PathBuf,
}

/// What importers read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// GENIVI AudioManager's generic controller. These of its domains stay processes of their own on the bus; the others become
    /// guests and zones.
    AudioManager(Vec<String>),
    /// Android Automotive's car audio, and its fades if they are given.
    Aaos(Option<Beside>),
}

/// Why there is no policy.
#[derive(Clone, Debug)]
pub enum Failed {
    /// The input's mistakes, all of them, by file.
    Input(Vec<Report>),
    /// The importer's: something has no fate, or its policy has mistakes.
    Own(String),
}

impl From<Report> for Failed {
    fn from(report: Report) -> Self {
        Self::Input(vec![report])
    }
}

impl From<Unaccounted> for Failed {
    fn from(unaccounted: Unaccounted) -> Self {
        Self::Own(unaccounted.to_string())
    }
}

/// Imports a text as if it stood in a file `path`.
///
/// # Errors
/// See [`Failed`].
pub fn import(format: &Format, text: &str, path: &Path) -> Result<Imported, Failed> {
    let second = match format {
        Format::Aaos(Some(beside)) => Some((beside.text.as_str(), beside.path.as_path())),
        Format::Aaos(None) | Format::AudioManager(_) => None,
    };
    let files: Vec<File<'_>> = std::iter::once((text, path)).chain(second).map(File::new).collect();
    let documents = parsed(&files)?;
    let inputs = files.iter().zip(&documents);
    let inputs: Vec<Input<'_>> = inputs
        .map(|(file, document)| Input::new(document, file.text, &file.name))
        .collect();
    let roots = inputs.iter().zip(&documents);
    let mut roots = roots.map(|(input, document)| input.element(document.root_element()));
    let own = || Failed::Own("there is neither a policy nor a mistake".to_owned());
    let (root, input) = roots.next().zip(inputs.first()).ok_or_else(own)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = match format {
        Format::AudioManager(domains) => audiomanager::read(root, &name, domains),
        Format::Aaos(_) => aaos::read(root, roots.next(), &name),
    };
    if let Some(draft) = draft.as_ref().filter(|_| input.report().errors() == 0) {
        playable(draft, root);
    }
    let mut reports: Vec<Report> = inputs.iter().map(Input::report).collect();
    reports.retain(|report| report.errors() > 0);
    if !reports.is_empty() {
        return Err(Failed::Input(reports));
    }
    let policy = settled(draft.ok_or_else(own)?, input)?;
    let listings = inputs.iter().zip(&documents).zip(&files);
    let listings: Result<Vec<Listing>, Unaccounted> = listings
        .map(|((input, document), file)| Listing::new(input.ledger(), count(document), file.text))
        .collect();
    let mut listings = listings?.into_iter();
    Ok(Imported {
        policy,
        listing: listings.next().ok_or_else(own)?,
        beside: listings.next(),
    })
}

/// The words that the generic controller's policies may use, by kind: what the importer's own tables have.
pub fn vocabulary() -> Vec<(&'static str, Vec<&'static str>)> {
    audiomanager::vocabulary()
}

/// A file to be read.
struct File<'a> {
    /// Without a byte order mark.
    text: &'a str,
    path: &'a Path,
    name: String,
}

impl<'a> File<'a> {
    fn new((text, path): (&'a str, &'a Path)) -> Self {
        Self {
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            path,
            name: path.display().to_string(),
        }
    }
}

/// All files as XML; what isn't, is said of all of them.
fn parsed<'a>(files: &'a [File<'a>]) -> Result<Vec<roxmltree::Document<'a>>, Failed> {
    let mut documents = Vec::new();
    let mut reports = Vec::new();
    for file in files {
        match xml::parse(file.text, file.path) {
            Ok(document) => documents.push(document),
            Err(report) => reports.push(report),
        }
    }
    match reports.is_empty() {
        true => Ok(documents),
        false => Err(Failed::Input(reports)),
    }
}

/// Without a zone and a stream that plays there is no policy.
fn playable(draft: &Draft, root: xml::El<'_>) {
    let plays = draft
        .guests
        .iter()
        .flat_map(|guest| &guest.streams)
        .any(|stream| stream.class.is_some());
    let missing = match (draft.zones.is_empty(), plays) {
        (false, true) => return,
        (true, _) => "has nowhere to play: no zone or sink",
        (false, false) => "has nothing to play: no device or source",
    };
    let found = Diagnostic::error(code::MISSING_KEY, root.span(), "there is no policy in this file").label(missing);
    root.input.push(found.help("is it the right one of your files?"));
}

/// How many items a document has, counted apart from the ledger.
fn count(document: &roxmltree::Document<'_>) -> usize {
    let of = |node: roxmltree::Node<'_, '_>| match node.node_type() {
        roxmltree::NodeType::Element => 1 + node.attributes().len(),
        roxmltree::NodeType::Text => usize::from(!node.text().unwrap_or_default().trim().is_empty()),
        roxmltree::NodeType::PI => 1,
        roxmltree::NodeType::Root | roxmltree::NodeType::Comment => 0,
    };
    document.descendants().map(of).sum()
}

/// The text of a draft without the rules that our language refuses: those become lost, each with what is said about it.
fn settled(mut draft: Draft, input: &Input<'_>) -> Result<String, Failed> {
    loop {
        let written = draft.write();
        let Err(report) = config::parse(&written.text, Path::new("imported.toml")) else {
            return Ok(written.text);
        };
        let errors = report
            .findings()
            .iter()
            .filter(|found| found.severity == Severity::Error);
        let refused: Vec<(usize, String)> = errors
            .filter_map(|found| {
                let line = report.position(found.span).line;
                let rule = written.rules.iter().position(|lines| lines.contains(&line))?;
                Some((rule, format!("our rules can't say it: {}", found.message)))
            })
            .collect();
        if refused.is_empty() {
            return Err(Failed::Own(format!("the policy made of it has mistakes:\n{report}")));
        }
        let mut taken: Vec<usize> = Vec::new();
        for (index, why) in refused {
            input.refused(draft.rules[index].of.clone(), &why);
            taken.push(index);
        }
        let mut index = 0;
        draft.rules.retain(|_| {
            index += 1;
            !taken.contains(&(index - 1))
        });
    }
}

/// A root element of another name.
fn wrong_root(root: xml::El<'_>, wanted: &str, of: &str) {
    let message = format!("this is no {of}: it begins with <{}>", root.name());
    let found = Diagnostic::error(code::UNKNOWN_WORD, root.span(), message);
    root.input.push(
        found
            .label(format!("should be <{wanted}>"))
            .help("`audiod import --help` lists the formats"),
    );
}

/// Says where something is twice.
fn twice(input: &Input<'_>, second: Span, first: Span, message: String) {
    let found = Diagnostic::error(code::DUPLICATE, second, message);
    input.push(found.label("again here").see(first, "first here"));
}
