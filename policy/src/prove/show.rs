//! A proof for people.

use std::fmt::Write;

use super::{Proof, Verdict};
use crate::text::aligned;

/// Verdicts, counter-examples, notes, and what all of it is about.
pub fn text(file: &str, proof: &Proof) -> String {
    let far = if proof.complete {
        "every state was seen"
    } else {
        "the budget ended first"
    };
    let mut out = format!(
        "{file}: {far}: {} states, {} steps, {} inputs deep\n\n",
        proof.states, proof.steps, proof.depth
    );
    let rows = proof.promises.iter().map(|judged| {
        let verdict = match &judged.verdict {
            Verdict::Proven => "proven",
            Verdict::Broken { .. } => "BROKEN",
            Verdict::NotDecided { .. } => "not decided",
        };
        [judged.text.to_owned(), verdict.to_owned()]
    });
    out += &aligned(["PROMISE", "VERDICT"], rows.collect());
    // Writing to a String can't fail.
    for judged in &proof.promises {
        let _ = match &judged.verdict {
            Verdict::Proven => Ok(()),
            Verdict::NotDecided { why } => write!(out, "\nnot decided: {}: {why}\n", judged.text),
            Verdict::Broken {
                what,
                scenario,
                timeline,
            } => {
                write!(out, "\nbroken: {what}\n\n{scenario}\n{timeline}")
            }
        };
    }
    for note in &proof.notes {
        let _ = write!(out, "\nnote: {note}\n");
    }
    out += "\nWhat this is about:\n";
    for line in &proof.abstraction {
        let _ = writeln!(out, "* {line}");
    }
    out
}
