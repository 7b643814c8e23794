//! `audiod doctor`: what this machine allows and which cards it has, each finding with its remedy.

pub mod cards;
pub mod limits;

use serde::Serialize;

pub use cards::{Abilities, Card, Pcm};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Good,
    /// Works, but latency or safety suffers.
    Warning,
    /// Will not work.
    Bad,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when good.
    pub cure: String,
}

impl Finding {
    fn new(what: &str, level: Level, found: String, cure: &str) -> Self {
        Self {
            what: what.to_owned(),
            level,
            found,
            cure: cure.to_owned(),
        }
    }
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Limits and kernel.
    pub findings: Vec<Finding>,
    /// Sound cards; `None` when not asked for.
    pub cards: Option<Vec<Card>>,
}

impl Report {
    /// Looks at this machine.
    pub fn new(with_cards: bool) -> Self {
        Self {
            findings: limits::look(),
            cards: with_cards.then(cards::list),
        }
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let mark = match finding.level {
                Level::Good => "ok  ",
                Level::Warning => "warn",
                Level::Bad => "BAD ",
            };
            out += &format!("{mark}  {:<22} {}\n", finding.what, finding.found);
            if !finding.cure.is_empty() {
                out += &format!("      {:<22} cure: {}\n", "", finding.cure);
            }
        }
        if let Some(cards) = &self.cards {
            out += &cards::text(cards);
        }
        out
    }

    /// Whether anything is bad.
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Bad)
    }
}
