//! The timeline as a table.

use super::{Entry, Timeline, What};
use crate::text::{aligned, decibels};

/// One line an entry; the time is said once.
pub fn table(timeline: &Timeline) -> String {
    let mut last = None;
    let rows = timeline.entries.iter().map(|entry| {
        let time = if last.replace(entry.at) == Some(entry.at) {
            String::new()
        } else {
            format!("{} ms", entry.at)
        };
        let [what, detail] = words(entry);
        [format!("{time:>10}"), what, detail]
    });
    let rows: Vec<[String; 3]> = rows.collect();
    let table = aligned(["      TIME", "WHAT", "HOW"], rows);
    let title = if timeline.title.is_empty() {
        String::new()
    } else {
        format!("{}\n\n", timeline.title)
    };
    let expected = match (timeline.expected, timeline.failed) {
        (0, _) => "nothing is expected".to_owned(),
        (all, 0) => format!("all {all} expectations hold"),
        (all, failed) => format!("{failed} of {all} expectations fail"),
    };
    format!("{title}{table}\n{expected}\n")
}

fn words(entry: &Entry) -> [String; 2] {
    match &entry.what {
        What::Step { step, line } => [step.clone(), format!("line {line}")],
        What::Reply { code } => ["  reply".to_owned(), code.to_string()],
        What::Connection {
            id,
            source,
            sink,
            state,
        } => [format!("  connection {id}, {source} to {sink}"), (*state).to_owned()],
        What::Asked { domain, request } => [format!("  {domain} is asked"), request.clone()],
        What::Rule { rule, line } => [format!("  rule {rule}"), format!("line {line} of the policy")],
        What::Control {
            source,
            tenths_db,
            muted,
        } => {
            let muted = if *muted { ", muted" } else { "" };
            [
                format!("  control of {source}"),
                format!("{}{muted}", decibels(*tenths_db)),
            ]
        }
        What::Heard {
            source,
            sink,
            tenths_db,
            ramp_ms,
            reasons,
        } => {
            let gain = tenths_db.map_or_else(|| "silent".to_owned(), decibels);
            let ramp = if *ramp_ms > 0 {
                format!(" in {ramp_ms} ms")
            } else {
                String::new()
            };
            let why: Vec<String> = reasons.iter().map(super::Reason::text).collect();
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(": {}", why.join(", "))
            };
            [format!("  {source} at {sink}"), format!("{gain}{ramp}{why}")]
        }
    }
}
