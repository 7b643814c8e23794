//! What is wrong with a manifest or its host: every finding with its place, cause and cure. How it is shown is [`policy::report`]'s.
//!
//! ```text
//! error[cpu-taken]: CPU 1 belongs to `cluster` and to `ivi`
//!   --> board.toml:24:8
//!    |
//! 24 | cpus = "1"
//!    |        ^^^ again here
//!    :
//! 12 | cpus = "1"
//!    |        --- first here
//!    = help: give each its own CPU, or make a set: `[sets.NAME]`
//! ```

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Deref;

use policy::report::{self, Diagnostic};
pub use policy::report::{Severity, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::json;

/// What each kind of finding always says.
const KINDS: &str = include_str!("../check/kinds.md");

/// Cause and cure of a kind of finding, empty where they depend on the finding.
fn kind(code: &str) -> (&'static str, &'static str) {
    let mut cells = KINDS.lines().map(|line| line.split('|').map(str::trim).skip(1));
    let mut found = cells.find_map(|mut cells| (cells.next() == Some(code)).then_some(cells));
    let mut next = || found.as_mut().and_then(Iterator::next).unwrap_or_default();
    (next(), next())
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

impl Of {
    /// Whose an error of a system call is: not permitted, or not there.
    pub fn error(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission,
            _ => Self::Host,
        }
    }

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Manifest => 3,
            Self::Permission => 4,
            Self::Host => 5,
        }
    }
}

/// One finding. The span of a host's fault is of what needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose affair.
    pub of: Of,
    /// What, where, why.
    pub found: Diagnostic,
}

impl Deref for Finding {
    type Target = Diagnostic;

    fn deref(&self) -> &Diagnostic {
        &self.found
    }
}

impl Finding {
    /// Whose affair it is.
    pub fn of(&mut self, of: Of) -> &mut Self {
        self.of = of;
        self
    }

    /// The cause, where it is not the kind's own.
    pub fn cause(&mut self, cause: impl Into<String>) -> &mut Self {
        self.found.label = cause.into();
        self
    }

    /// Adds another place.
    pub fn also(&mut self, span: Span, what: impl Into<String>) -> &mut Self {
        self.found.related.push((span, what.into()));
        self
    }

    /// The cure, where it is not the kind's own.
    pub fn cure(&mut self, cure: impl Into<String>) -> &mut Self {
        self.found.help = Some(cure.into()).filter(|cure| !cure.is_empty());
        self
    }
}

/// Findings being made.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Nothing runs. Cause and cure are those of the kind, if it has any.
    pub fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Diagnostic::error(code, span, message))
    }

    /// It runs, but something promised may not hold.
    pub fn warning(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Diagnostic::warning(code, span, message))
    }

    fn add(&mut self, found: Diagnostic) -> &mut Finding {
        let ((cause, cure), at, of) = (kind(found.code), self.0.len(), Of::Manifest);
        self.0.push(Finding { of, found });
        self.0[at].cause(cause).cure(cure)
    }
}

/// Everything found in one manifest.
#[derive(Clone, Debug, Default)]
pub struct Report {
    file: String,
    text: String,
    findings: Vec<Finding>,
}

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

    /// Adds more; all are in the order of their places.
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

    /// Why nothing may run: the first in the order of exit codes.
    pub fn stops(&self) -> Option<Of> {
        let errors = self.findings.iter().filter(|found| found.severity == Severity::Error);
        errors.map(|found| found.of).min()
    }

    fn rendered(&self) -> report::Report {
        let found = self.findings.iter().map(|finding| finding.found.clone());
        report::Report::new(&*self.file, &*self.text, found.collect())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rendered().fmt(f)
    }
}

/// A list of `{severity, of, code, file, line, column, message, cause, cure}`.
impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rendered = self.rendered();
        serializer.collect_seq(self.findings.iter().map(|found| {
            let at = rendered.position(found.span);
            let cure = found.help.as_deref().unwrap_or_default();
            json!({
                "severity": found.severity, "of": found.of, "code": found.code,
                "file": self.file, "line": at.line, "column": at.column,
                "message": found.message, "cause": found.label, "cure": cure,
            })
        }))
    }
}
