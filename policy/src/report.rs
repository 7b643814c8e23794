//! What is wrong with a file: every mistake with its place, cause and cure, as text for people or as data for scripts.
//!
//! ```text
//! error[unknown-name]: there is no class `navigaton`
//!   --> simple-car.toml:24:12
//!    |
//! 24 | newcomer = "navigaton"
//!    |            ^^^^^^^^^^^ classes: media, navigation, warning
//!    = help: did you mean `navigation`?
//! ```

use std::fmt::{self, Write};

use serde::{Serialize, Serializer};

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
        Self {
            start: range.start,
            end: range.end,
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// It can, but it probably doesn't say what was meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable name of this kind of finding.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Beside the marked place: the cause.
    pub label: String,
    /// Other places that have to do with it.
    pub related: Vec<(Span, String)>,
    /// The cure.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span,
            label: String::new(),
            related: Vec::new(),
            help: None,
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn see(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Adds the cure.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the cure, if there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// Where a span is, for people: both count from 1; columns and lengths are in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
    /// Characters, at least 1; a span of several lines ends with its first.
    pub length: u32,
}

/// Everything that was found in one file, in the order of the places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    file: String,
    text: String,
    findings: Vec<Diagnostic>,
}

/// Most findings shown as text; a file with more has one mistake that explains the rest.
const MOST_SHOWN: usize = 100;
/// Characters of a line shown on each side of a mark.
const MOST_BESIDE: usize = 100;

impl Report {
    /// A report on `text`, which came from `file`.
    pub fn new(file: impl Into<String>, text: impl Into<String>, mut findings: Vec<Diagnostic>) -> Self {
        findings
            .sort_by(|a, b| (a.span, a.severity, a.code, &a.message).cmp(&(b.span, b.severity, b.code, &b.message)));
        findings.dedup_by(|a, b| a.span == b.span && a.code == b.code && a.message == b.message);
        Self {
            file: file.into(),
            text: text.into(),
            findings,
        }
    }

    /// The findings.
    pub fn findings(&self) -> &[Diagnostic] {
        &self.findings
    }

    /// Name of the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// How many errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|found| found.severity == severity).count()
    }

    /// Line, column and length of a span.
    pub fn position(&self, span: Span) -> Position {
        let start = floor(&self.text, span.start);
        let end = floor(&self.text, span.end).max(start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let marked = self.text.get(start..end).unwrap_or_default();
        let marked = marked.lines().next().unwrap_or_default();
        Position {
            line: count(before.matches('\n').count()) + 1,
            column: count(before.get(line_start..).unwrap_or_default().chars().count()) + 1,
            length: count(marked.chars().count()).max(1),
        }
    }

    fn render(&self, found: &Diagnostic, out: &mut impl Write) -> fmt::Result {
        let severity = match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(out, "{severity}[{}]: {}", found.code, printable(&found.message))?;
        if self.text.is_empty() {
            return found
                .help
                .as_ref()
                .map_or(Ok(()), |help| writeln!(out, " = help: {}", printable(help)));
        }
        let at = self.position(found.span);
        let last = found
            .related
            .iter()
            .map(|(span, _)| self.position(*span).line)
            .fold(at.line, u32::max);
        let gutter = last.to_string().len();
        writeln!(out, "{:gutter$}--> {}:{}:{}", "", self.file, at.line, at.column)?;
        writeln!(out, "{:gutter$} |", "")?;
        self.mark(found.span, '^', &found.label, gutter, out)?;
        for (span, label) in &found.related {
            writeln!(out, "{:gutter$} :", "")?;
            self.mark(*span, '-', label, gutter, out)?;
        }
        if let Some(help) = &found.help {
            writeln!(out, "{:gutter$} = help: {}", "", printable(help))?;
        }
        Ok(())
    }

    /// One line of the text, and the marks below it.
    fn mark(&self, span: Span, mark: char, label: &str, gutter: usize, out: &mut impl Write) -> fmt::Result {
        let at = self.position(span);
        let line = self.text.lines().nth(at.line as usize - 1).unwrap_or_default();
        let (column, length) = (at.column as usize - 1, at.length as usize);
        let skipped = column.saturating_sub(MOST_BESIDE);
        let length = length.min(MOST_BESIDE);
        let shown: String = line
            .chars()
            .skip(skipped)
            .take(column - skipped + length + MOST_BESIDE)
            .collect();
        let shown = printable(&shown);
        writeln!(out, "{:>gutter$} | {}", at.line, shown.trim_end())?;
        let pad = column - skipped;
        let marks: String = std::iter::repeat_n(mark, length).collect();
        writeln!(
            out,
            "{:gutter$} | {:pad$}{}",
            "",
            "",
            format!("{marks} {}", printable(label)).trim_end()
        )
    }
}

/// All findings, rendered one after the other with an empty line between.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, found) in self.findings.iter().take(MOST_SHOWN).enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            self.render(found, f)?;
        }
        match self.findings.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Report {}

#[derive(Serialize)]
struct Entry<'a> {
    severity: Severity,
    code: &'a str,
    file: &'a str,
    #[serde(flatten)]
    position: Position,
    message: &'a str,
    label: &'a str,
    help: Option<&'a str>,
    related: Vec<Related<'a>>,
}

#[derive(Serialize)]
struct Related<'a> {
    #[serde(flatten)]
    position: Position,
    label: &'a str,
}

/// A list of `{severity, code, file, line, column, length, message, label, help, related}`.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.findings.iter().map(|found| {
            Entry {
                severity: found.severity,
                code: found.code,
                file: &self.file,
                position: self.position(found.span),
                message: &found.message,
                label: &found.label,
                help: found.help.as_deref(),
                related: (found.related.iter())
                    .map(|(span, label)| Related {
                        position: self.position(*span),
                        label,
                    })
                    .collect(),
            }
        }))
    }
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}

/// The greatest character boundary that is not after `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

/// One character on the terminal for each in the text: no tabs, no escape sequences from a file.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}
