//! What is wrong with a manifest or its host: every finding with its place, cause and cure.
//!
//! ```text
//! error[cpu-taken]: CPU 1 belongs to `cluster` and to `ivi`
//!  --> board.toml:24:8
//!    |
//! 24 | cpus = "1"
//!    |        ^^^ again here
//!    : line 12: first here
//!    = help: give each its own CPU, or make a set: `[sets.NAME]`
//! ```

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::json;

/// A place in a text: bytes `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        let std::ops::Range { start, end } = range;
        Self { start, end }
    }
}

/// A value and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At<T> {
    /// What.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> At<T> {
    /// `value`, found at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(all: &mut SchemaGenerator) -> Schema {
        T::json_schema(all)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, but something promised may not hold.
    Warning,
}

/// Whose affair a finding is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// The manifest says something that can't be.
    Manifest,
    /// The host could, but not for this user.
    Permission,
    /// The host can't.
    Host,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Whose affair.
    pub of: Of,
    /// Stable name of this kind of finding.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where in the manifest; of a host's fault: what needs it.
    pub span: Span,
    /// Why it is wrong.
    pub cause: String,
    /// Another place that has to do with it.
    pub also: Option<(Span, String)>,
    /// What to do.
    pub cure: String,
}

impl Finding {
    /// Whose affair it is.
    pub fn of(&mut self, of: Of) -> &mut Self {
        self.of = of;
        self
    }

    /// Adds the cause.
    pub fn cause(&mut self, cause: impl Into<String>) -> &mut Self {
        self.cause = cause.into();
        self
    }

    /// Adds another place.
    pub fn also(&mut self, span: Span, what: impl Into<String>) -> &mut Self {
        self.also = Some((span, what.into()));
        self
    }

    /// Adds the cure.
    pub fn cure(&mut self, cure: impl Into<String>) -> &mut Self {
        self.cure = cure.into();
        self
    }
}

/// Findings while they are made: each is told at once, its cause and cure are added to what is given back.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// An error of the manifest.
    pub fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, code, span, message.into())
    }

    /// A warning.
    pub fn warning(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, code, span, message.into())
    }

    fn add(&mut self, severity: Severity, code: &'static str, span: Span, message: String) -> &mut Finding {
        let at = self.0.len();
        self.0.push(Finding {
            severity,
            of: Of::Manifest,
            code,
            message,
            span,
            cause: String::new(),
            also: None,
            cure: String::new(),
        });
        &mut self.0[at]
    }
}

/// Everything found, in the order of the places.
#[derive(Clone, Debug, Default)]
pub struct Report {
    file: String,
    text: String,
    findings: Vec<Finding>,
}

/// Characters of a line shown.
const MOST_SHOWN: usize = 160;

impl Report {
    /// A report on `text`, which came from `file`.
    pub fn new(file: impl Into<String>, text: impl Into<String>, findings: Vec<Finding>) -> Self {
        let mut report = Self {
            file: file.into(),
            text: text.into(),
            findings: Vec::new(),
        };
        report.extend(findings);
        report
    }

    /// Adds findings.
    pub fn extend(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
        self.findings
            .sort_by(|a, b| (a.span, a.severity, a.code).cmp(&(b.span, b.severity, b.code)));
        self.findings.dedup();
    }

    /// The findings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether something keeps it from running, and whose affair the first such thing is: a manifest's before a host's.
    pub fn stops(&self) -> Option<Of> {
        let errors = self.findings.iter().filter(|found| found.severity == Severity::Error);
        errors.map(|found| found.of).min()
    }

    /// Line and column of a place, both from 1, and its length in characters.
    pub fn position(&self, span: Span) -> (usize, usize, usize) {
        let start = floor(&self.text, span.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let marked = self
            .text
            .get(start..floor(&self.text, span.end).max(start))
            .unwrap_or_default();
        (
            line,
            column,
            marked.lines().next().unwrap_or_default().chars().count().max(1),
        )
    }

    fn render(&self, found: &Finding, out: &mut impl Write) -> fmt::Result {
        let word = match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (line, column, length) = self.position(found.span);
        let gutter = line.to_string().len();
        writeln!(out, "{word}[{}]: {}", found.code, printable(&found.message))?;
        writeln!(out, "{:gutter$}--> {}:{line}:{column}", "", self.file)?;
        let source = self.text.lines().nth(line - 1).unwrap_or_default();
        let source: String = source.chars().take(MOST_SHOWN).collect();
        let note = |out: &mut dyn Write, text: String| writeln!(out, "{:gutter$} {}", "", printable(&text).trim_end());
        if !source.is_empty() && column <= MOST_SHOWN {
            writeln!(out, "{:gutter$} |\n{line} | {}", "", printable(&source).trim_end())?;
            let marks = "^".repeat(length.min(MOST_SHOWN));
            note(out, format!("| {:pad$}{marks} {}", "", found.cause, pad = column - 1))?;
        } else if !found.cause.is_empty() {
            note(out, format!("= {}", found.cause))?;
        }
        if let Some((span, what)) = &found.also {
            note(out, format!(": line {}: {what}", self.position(*span).0))?;
        }
        if !found.cure.is_empty() {
            note(out, format!("= help: {}", found.cure))?;
        }
        Ok(())
    }
}

/// All findings, rendered one after the other with an empty line between.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, found) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            self.render(found, f)?;
        }
        Ok(())
    }
}

/// A list of `{severity, of, code, file, line, column, message, cause, cure}`.
impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.findings.iter().map(|found| {
            let (line, column, _) = self.position(found.span);
            json!({
                "severity": found.severity, "of": found.of, "code": found.code,
                "file": self.file, "line": line, "column": column,
                "message": found.message, "cause": found.cause, "cure": found.cure,
            })
        }))
    }
}

/// The greatest character boundary that is not after `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// No tabs, no escape sequences of a file on the terminal.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}
