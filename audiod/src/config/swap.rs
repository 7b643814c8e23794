//! Whether a new file can take the old one's place while the daemon runs. The policy can; what the processes, devices and cards
//! were made from can't: then the whole file is refused, with every line that needs a restart.

use policy::file::{Change, changes, code};
use policy::report::{Diagnostic, Report, Span};

use super::Loaded;

/// Keys of a zone that are the policy's.
const ZONE: [&str; 8] = [
    "volume",
    "curve",
    "muted",
    "visible",
    "ramp_ms",
    "min_volume",
    "max_volume",
    "mirrors",
];
/// Keys of a stream that are the policy's.
const STREAM: [&str; 5] = ["class", "zone", "gain_db", "unrouted", "visible"];

/// What a change is to a running daemon.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The policy alone.
    Policy,
    /// The policy, but more if it makes a safety stream or moves one to another card.
    Perhaps,
    /// Processes, devices, cards.
    System,
}

/// Whether `new` can be taken up where `old` runs.
///
/// # Errors
/// What of it needs a restart.
pub fn swappable(old: &Loaded, new: &Loaded) -> Result<(), Report> {
    if old.system == new.system && old.keep.state == new.keep.state {
        return Ok(());
    }
    let found = changes(&old.text, &new.text);
    let of = |reach| found.iter().filter(move |change| self::reach(&change.path) == reach);
    let mut guilty: Vec<&Change> = of(Reach::System).collect();
    if guilty.is_empty() {
        guilty = of(Reach::Perhaps).collect();
    }
    let mut findings: Vec<Diagnostic> = guilty.into_iter().map(finding).collect();
    if findings.is_empty() {
        // The order alone: streams, zones and chimes are known by their places.
        let message = "guests, streams, zones, codecs or chimes stand in another order";
        findings.push(Diagnostic::error(code::RESTART, Span::default(), message).help(CURE));
    }
    Err(Report::new(new.path.display().to_string(), new.text.as_str(), findings))
}

const CURE: &str = "restart audiod to use this file, or undo this change and reload";

fn finding(change: &Change) -> Diagnostic {
    let name = change.path.join(".");
    let was = change.was.map(|line| format!(" (line {line} of the file that runs)"));
    let was = was.unwrap_or_default();
    let (span, message, label) = match (change.at, change.was) {
        (Some(at), Some(_)) => (
            at,
            format!("`{name}` can't be changed while audiod runs"),
            format!("changed{was}"),
        ),
        (Some(at), None) => (
            at,
            format!("`{name}` can't be added while audiod runs"),
            "new".to_owned(),
        ),
        (None, _) => (
            change.within,
            format!("`{name}` can't be taken out while audiod runs"),
            format!("was in here{was}"),
        ),
    };
    Diagnostic::error(code::RESTART, span, message).label(label).help(CURE)
}

fn reach(path: &[String]) -> Reach {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    match keys.as_slice() {
        ["zones", _, key, ..] if ZONE.contains(key) => Reach::Policy,
        ["guests", _, "streams", _, "class" | "zone"] => Reach::Perhaps,
        ["guests", _, "streams", _, key, ..] if STREAM.contains(key) => Reach::Policy,
        ["classes", _] | ["classes", _, "safety"] => Reach::Perhaps,
        [
            "access" | "bus" | "user" | "state" | "decision_limit_ms" | "codecs" | "zones" | "guests" | "chimes",
            ..,
        ] => Reach::System,
        _ => Reach::Policy,
    }
}
