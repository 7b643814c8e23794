//! XML with places: bounded, and every element, attribute and text of it on a [`Ledger`].
//!
//! A file has at most 1 MiB, 20,000 nodes and a depth of 32; a DTD is refused, so no entity can grow. The text is looked at a
//! second time by position only: a place is a byte of the input.

use std::cell::RefCell;
use std::path::Path;

use policy::file::{MAX_BYTES, code, did_you_mean, listed};
use policy::report::{Diagnostic, Report, Span};
use roxmltree::{Document, Node, ParsingOptions};

use super::ledger::{Kind, Ledger};

/// Most nodes of a file.
const MAX_NODES: u32 = 20_000;
/// Deepest nesting of elements.
const MAX_DEPTH: usize = 32;

/// What one import reads and says.
pub(super) struct Input<'a> {
    ledger: RefCell<Ledger>,
    findings: RefCell<Vec<Diagnostic>>,
    text: &'a str,
    file: &'a str,
}

/// An element.
#[derive(Clone, Copy)]
pub(super) struct El<'a> {
    pub input: &'a Input<'a>,
    node: Node<'a, 'a>,
}

/// An attribute.
#[derive(Clone, Copy)]
pub(super) struct Attr<'a> {
    input: &'a Input<'a>,
    /// Its value.
    pub value: &'a str,
    /// Where its value stands.
    pub span: Span,
    at: usize,
}

/// Parses a text.
///
/// # Errors
/// It isn't XML, or more of it than is read.
pub(super) fn parse<'a>(text: &'a str, file: &Path) -> Result<Document<'a>, Report> {
    let name = file.display().to_string();
    let wrong = |found: Diagnostic| Err(Report::new(&name, text, vec![found]));
    if text.len() > MAX_BYTES {
        let cause = format!("it has {} bytes; {MAX_BYTES} is the limit", text.len());
        return Err(crate::config::unreadable(file, &cause));
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    match Document::parse_with_options(text, options) {
        Ok(document) => match document
            .descendants()
            .find(|node| node.ancestors().count() > MAX_DEPTH + 2)
        {
            Some(deep) => wrong(
                Diagnostic::error(code::TOO_MANY, start_tag(&deep, text), "elements are nested too deeply")
                    .label(format!("deeper than {MAX_DEPTH}"))
                    .help("neither format needs more than 10"),
            ),
            None => Ok(document),
        },
        Err(error) => wrong(syntax(&error, text)),
    }
}

fn syntax(error: &roxmltree::Error, text: &str) -> Diagnostic {
    use roxmltree::Error;
    let at = match error {
        Error::DtdDetected => text.find("<!DOCTYPE").unwrap_or(0),
        Error::NoRootNode | Error::UnclosedRootNode | Error::NodesLimitReached => text.len().saturating_sub(1),
        _ => offset(text, error.pos()),
    };
    let span = Span::from(at..at + 1);
    match error {
        Error::DtdDetected => Diagnostic::error(code::CONFLICT, span, "a document type is not read")
            .label("could define entities that grow without bound")
            .help("take the DOCTYPE out: neither format has one"),
        Error::NodesLimitReached => Diagnostic::error(code::TOO_MANY, span, "this file has too many elements")
            .label(format!("more than {MAX_NODES}"))
            .help("split it, or take out what isn't used"),
        Error::UnclosedRootNode | Error::UnexpectedEndOfStream => {
            Diagnostic::error(code::SYNTAX, span, "this is not XML: the file ends within an element")
                .label("the end of the file")
                .help("is it complete?")
        }
        Error::NoRootNode => Diagnostic::error(code::SYNTAX, span, "this is not XML: there is no element in it"),
        other => Diagnostic::error(code::SYNTAX, span, format!("this is not XML: {}", told(other)))
            .help("mend it here first: what follows can't be told apart"),
    }
}

/// What the parser says, without its place.
fn told(error: &roxmltree::Error) -> String {
    let said = error.to_string();
    let at = format!(" at {}", error.pos());
    said.replace(&at, "")
}

/// Byte of a row and column, both from 1.
fn offset(text: &str, at: roxmltree::TextPos) -> usize {
    let line = text
        .split_inclusive('\n')
        .take(at.row as usize - 1)
        .map(str::len)
        .sum::<usize>();
    let rest = text.get(line..).unwrap_or_default();
    let column = rest
        .char_indices()
        .nth(at.col as usize - 1)
        .map_or(rest.len(), |(byte, _)| byte);
    (line + column).min(text.len().saturating_sub(1))
}

/// `<name`.
fn start_tag(node: &Node<'_, '_>, text: &str) -> Span {
    let range = node.range();
    let tag = text.get(range.clone()).unwrap_or_default();
    let end = tag.find([' ', '\t', '\r', '\n', '>', '/']).unwrap_or(1);
    Span::from(range.start..range.start + end.max(1))
}

impl<'a> Input<'a> {
    /// Puts everything in the document on a ledger.
    pub fn new(document: &'a Document<'a>, text: &'a str, file: &'a str) -> Self {
        let mut ledger = Ledger::default();
        for node in document.descendants() {
            let path = path(&node);
            let range = node.range();
            if node.is_element() {
                ledger.add(range.start, Kind::Element, path.clone(), String::new());
                for attribute in node.attributes() {
                    let path = format!("{path}/@{}", attribute.name());
                    ledger.add(
                        attribute.range().start,
                        Kind::Attribute,
                        path,
                        attribute.value().to_owned(),
                    );
                }
            } else if node.is_text() && node.text().is_some_and(|text| !text.trim().is_empty()) {
                ledger.add(
                    range.start,
                    Kind::Text,
                    path,
                    node.text().unwrap_or_default().trim().to_owned(),
                );
            } else if node.is_pi() {
                ledger.add(range.start, Kind::Instruction, path, String::new());
            }
        }
        Self {
            ledger: RefCell::new(ledger),
            findings: RefCell::default(),
            text,
            file,
        }
    }

    /// An element of the document.
    pub fn element(&'a self, node: Node<'a, 'a>) -> El<'a> {
        El { input: self, node }
    }

    /// Adds a finding.
    pub fn push(&self, found: Diagnostic) {
        self.findings.borrow_mut().push(found);
    }

    /// Everything that was found wrong so far.
    pub fn report(&self) -> Report {
        Report::new(self.file, self.text, self.findings.borrow().clone())
    }

    /// What became of everything.
    pub fn ledger(&self) -> Ledger {
        self.ledger.borrow().clone()
    }

    /// Its name.
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// A place for people: `generic.xml:12`.
    pub fn place(&self, span: Span) -> String {
        format!("{}:{}", self.file, self.line(span))
    }

    /// Line of a place, from 1.
    pub fn line(&self, span: Span) -> usize {
        let before = self.text.get(..span.start).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// [`Attr::mapped`] and its like, by place.
    pub fn mapped(&self, at: usize, to: impl Into<String>) {
        self.ledger.borrow_mut().mapped(at, to.into());
    }

    /// See [`Input::mapped`].
    pub fn approximated(&self, at: usize, how: impl Into<String>) {
        self.ledger.borrow_mut().approximated(at, how.into());
    }

    /// A rule made of this part of the input can't be: what isn't built in anyway is lost.
    pub fn refused(&self, of: std::ops::Range<usize>, why: &str) {
        self.ledger.borrow_mut().refused(of, why);
    }

    /// Lost, unless it has a fate already.
    pub fn lost_if_open(&self, at: usize, why: &str) {
        self.ledger
            .borrow_mut()
            .rest(at..at + 1, &mut |ledger, at| ledger.lost(at, why.to_owned()));
    }

    /// See [`Input::mapped`].
    pub fn lost(&self, at: usize, why: impl Into<String>) {
        self.ledger.borrow_mut().lost(at, why.into());
    }
}

/// `zones/zone[2]/volumeGroups`, without the root.
fn path(node: &Node<'_, '_>) -> String {
    let mut steps: Vec<String> = Vec::new();
    for it in node.ancestors() {
        if it.is_root() || (it.is_element() && it.parent().is_some_and(|parent| parent.is_root()) && it != *node) {
            continue;
        }
        let same = |other: &Node<'_, '_>| it.is_element() && other.tag_name() == it.tag_name();
        let name = match () {
            () if it.is_text() => "text()".to_owned(),
            () if it.is_pi() => "processing-instruction()".to_owned(),
            () => it.tag_name().name().to_owned(),
        };
        let before = it.prev_siblings().skip(1).filter(same).count();
        let alone = before == 0 && !it.next_siblings().skip(1).any(|other| same(&other));
        steps.push(if alone { name } else { format!("{name}[{}]", before + 1) });
    }
    steps.reverse();
    steps.join("/")
}

impl<'a> El<'a> {
    /// Its name, without a prefix.
    pub fn name(&self) -> &'a str {
        self.node.tag_name().name()
    }

    /// Where its name stands.
    pub fn span(&self) -> Span {
        start_tag(&self.node, self.input.text)
    }

    /// Its place on the ledger.
    pub fn at(&self) -> usize {
        self.node.range().start
    }

    /// All of it.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.node.range()
    }

    /// The elements in it.
    pub fn children(&self) -> impl Iterator<Item = El<'a>> + use<'a> {
        let input = self.input;
        let elements = self.node.children().filter(Node::is_element);
        elements.map(move |node| El { input, node })
    }

    /// The elements of a name in it.
    pub fn all(&self, name: &str) -> Vec<El<'a>> {
        self.children().filter(|child| child.name() == name).collect()
    }

    /// An attribute.
    pub fn attr(&self, name: &str) -> Option<Attr<'a>> {
        let attribute = self
            .node
            .attributes()
            .find(|it| it.name() == name && it.namespace().is_none())?;
        Some(Attr {
            input: self.input,
            value: attribute.value(),
            span: attribute.range_value().into(),
            at: attribute.range().start,
        })
    }

    /// An attribute that must be there and not empty.
    pub fn need(&self, name: &str, cure: &str) -> Option<Attr<'a>> {
        match self.attr(name) {
            Some(attr) if attr.value.trim().is_empty() => {
                let message = format!("`{name}` of <{}> is empty", self.name());
                self.input.push(
                    Diagnostic::error(code::OUT_OF_RANGE, attr.span, message)
                        .label("says nothing")
                        .help(cure),
                );
                None
            }
            Some(attr) => Some(attr),
            None => {
                let message = format!("<{}> has no `{name}`", self.name());
                self.input.push(
                    Diagnostic::error(code::MISSING_KEY, self.span(), message)
                        .label("is missing")
                        .help(cure),
                );
                None
            }
        }
    }

    /// Its first text that isn't blank.
    fn text_node(&self) -> Option<Node<'a, 'a>> {
        let mut texts = self.node.children().filter(Node::is_text);
        texts.find(|node| !node.text().unwrap_or_default().trim().is_empty())
    }

    /// Its text, if any, and where it stands.
    pub fn text(&self) -> Option<(&'a str, Span)> {
        let node = self.text_node()?;
        let range = node.range();
        let raw = self.input.text.get(range.clone()).unwrap_or_default();
        let start = range.start + (raw.len() - raw.trim_start().len());
        Some((node.text()?.trim(), Span::from(start..start + raw.trim().len())))
    }

    /// It has a meaning here: `to` says which.
    pub fn mapped(&self, to: impl Into<String>) {
        self.input.mapped(self.at(), to);
    }

    /// It is only roughly the same: `how`.
    pub fn approximated(&self, how: impl Into<String>) {
        self.input.approximated(self.at(), how);
    }

    /// Its text means the same.
    pub fn text_mapped(&self, to: impl Into<String>) {
        if let Some(node) = self.text_node() {
            self.input.mapped(node.range().start, to);
        }
    }

    /// Its text means nearly the same.
    pub fn text_approximated(&self, how: impl Into<String>) {
        if let Some(node) = self.text_node() {
            self.input.approximated(node.range().start, how);
        }
    }

    /// Everything in it that has no fate yet is only roughly the same.
    pub fn rest_approximated(&self, how: &str) {
        self.input
            .ledger
            .borrow_mut()
            .rest(self.node.range(), &mut |ledger, at| {
                ledger.approximated(at, how.to_owned())
            });
    }

    /// Everything in it that has no fate yet means the same.
    pub fn rest_mapped(&self, to: &str) {
        let mut told = |ledger: &mut Ledger, at| ledger.mapped(at, to.to_owned());
        self.input.ledger.borrow_mut().rest(self.node.range(), &mut told);
    }

    /// Everything in it that has no fate yet is lost.
    pub fn rest_lost(&self, why: &str) {
        self.input
            .ledger
            .borrow_mut()
            .rest(self.node.range(), &mut |ledger, at| ledger.lost(at, why.to_owned()));
    }

    /// Attributes and elements that the format doesn't have are lost; so is text where none is read.
    pub fn known(&self, attributes: &[&str], elements: &[&str]) {
        for attribute in self.node.attributes() {
            let known = attribute.namespace().is_none() && attributes.contains(&attribute.name());
            if !known {
                let why = match attribute.namespace() {
                    Some(_) => "belongs to another schema".to_owned(),
                    None => unknown("attribute", attribute.name(), attributes),
                };
                self.input.lost(attribute.range().start, why);
            }
        }
        for child in self.children().filter(|child| !elements.contains(&child.name())) {
            child.rest_lost(&unknown("element", child.name(), elements));
        }
        let read = self.text_node().filter(|_| elements.contains(&"text()"));
        for text in self.node.children().filter(Node::is_text) {
            if !text.text().unwrap_or_default().trim().is_empty() && Some(text) != read {
                self.input.lost(text.range().start, "no text is read here");
            }
        }
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let guess = did_you_mean(name, known.iter().copied());
    let guess = guess.map_or_else(String::new, |guess| format!("; {guess}"));
    format!("the documented format has no such {what} here{guess}")
}

impl Attr<'_> {
    /// Its place on the ledger.
    pub fn at(&self) -> usize {
        self.at
    }

    /// It has a meaning here: `to` says which.
    pub fn mapped(&self, to: impl Into<String>) {
        self.input.mapped(self.at, to);
    }

    /// It is only roughly the same: `how`.
    pub fn approximated(&self, how: impl Into<String>) {
        self.input.approximated(self.at, how);
    }

    /// It means nothing here: `why`.
    pub fn lost(&self, why: impl Into<String>) {
        self.input.lost(self.at, why);
    }

    /// Reports what is wrong with its value.
    pub fn wrong(
        &self,
        code: &'static str,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        let found = Diagnostic::error(code, self.span, message);
        self.input.push(found.label(label).maybe_help(help));
    }

    /// The whole number it is, within a range.
    pub fn integer(&self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let text = self.value.trim();
        let limits = format!("{} to {} is possible", range.start(), range.end());
        match text.parse::<i64>() {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(_) => {
                self.wrong(code::OUT_OF_RANGE, format!("{text} is out of range"), limits, None);
                None
            }
            Err(_) => {
                self.wrong(
                    code::WRONG_TYPE,
                    format!("`{text}` is not a whole number"),
                    limits,
                    None,
                );
                None
            }
        }
    }

    /// One of some words, in any case.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.value.trim();
        if let Some((_, value)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            return Some(*value);
        }
        let known = || words.iter().map(|(word, _)| *word);
        let label = format!("possible: {}", listed(known()));
        self.wrong(
            code::UNKNOWN_WORD,
            format!("`{text}` is not possible here"),
            label,
            did_you_mean(text, known()),
        );
        None
    }

    /// `TRUE` or `FALSE`.
    pub fn boolean(&self) -> Option<bool> {
        self.word(&[("TRUE", true), ("FALSE", false)])
    }
}
