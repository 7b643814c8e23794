//! How findings are printed: a line a row, a summary, JSON.

use super::{Finding, Verdict};

/// One row's line.
#[must_use]
pub fn line(finding: &Finding) -> String {
    let (word, reason) = match &finding.verdict {
        Verdict::Pass => ("pass", ""),
        Verdict::Fail(reason) => ("FAIL", reason.as_str()),
        Verdict::Vacuous(reason) => ("vacuous", reason.as_str()),
    };
    let colon = if reason.is_empty() { "" } else { ": " };
    format!("{:>2} {word:<8} {}{colon}{reason}", finding.row, finding.title)
}

/// How many rows passed, failed and were vacuous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Held.
    pub passed: usize,
    /// Broken.
    pub failed: usize,
    /// Did not apply.
    pub vacuous: usize,
}

impl Summary {
    /// Of these.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Self {
        let mut summary = Self::default();
        for finding in findings {
            match finding.verdict {
                Verdict::Pass => summary.passed += 1,
                Verdict::Fail(_) => summary.failed += 1,
                Verdict::Vacuous(_) => summary.vacuous += 1,
            }
        }
        summary
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} vacuous",
            self.passed, self.failed, self.vacuous
        )
    }
}

/// Summary and rows as one JSON object.
#[must_use]
pub fn json(findings: &[Finding]) -> String {
    #[derive(serde::Serialize)]
    struct Report<'a> {
        #[serde(flatten)]
        summary: Summary,
        rows: &'a [Finding],
    }
    let report = Report {
        summary: Summary::of(findings),
        rows: findings,
    };
    serde_json::to_string_pretty(&report).unwrap_or_default()
}
