//! What must be true, compared with what is.

use super::lane::decibels;
use super::scenario::Wanted;
use super::{Expectation, Simulation, Step, state_word};
use crate::MUTE;
use crate::command::error;
use crate::report::{Diagnostic, Span};

/// Kind of a finding: an expectation that fails.
const FAILED: &str = "expectation";

/// What was compared.
#[derive(Default)]
pub(super) struct Checked {
    pub count: usize,
    pub findings: Vec<Diagnostic>,
}

/// What a code means.
fn code_words(code: i16) -> &'static str {
    match code {
        error::OK => "done",
        error::OUT_OF_RANGE => "out of range",
        error::NOT_POSSIBLE => "not possible",
        error::NON_EXISTENT => "no such thing",
        error::UNKNOWN => "unknown",
        _ => "another error",
    }
}

impl Checked {
    /// The answer to a call.
    pub fn reply(&mut self, step: &Step, code: Option<i16>) {
        let Some(wanted) = step.reply else { return };
        self.count += 1;
        let Some(code) = code.filter(|code| *code != wanted.value) else {
            return;
        };
        let message = format!(
            "at {} ms the call is answered {code} ({}), not {}",
            step.at,
            code_words(code),
            wanted.value
        );
        let found = Diagnostic::error(FAILED, wanted.span, message).label(format!("it is {code}"));
        self.findings
            .push(found.help(format!("change the policy, or write `reply = {code}`")));
    }

    /// One expectation; each of its keys is compared.
    pub fn expectation(&mut self, simulation: &Simulation, wanted: &Expectation) {
        let there = There::of(simulation, wanted);
        self.gain(&there, wanted);
        self.because(simulation, &there, wanted);
        self.state(simulation, &there, wanted);
    }

    fn fail(&mut self, span: Span, message: String, label: String, help: String) {
        self.findings
            .push(Diagnostic::error(FAILED, span, message).label(label).help(help));
    }

    fn gain(&mut self, there: &There, wanted: &Expectation) {
        let Some((gain, within)) = wanted.gain else { return };
        self.count += 1;
        let meets = match there.decibels {
            None => gain == MUTE,
            Some(is) => gain > MUTE && (is - f64::from(gain) / 10.0).abs() * 1000.0 <= f64::from(within) + 1e-6,
        };
        if meets {
            return;
        }
        let is = there
            .decibels
            .map_or_else(|| "silent".to_owned(), |is| format!("at {is:.1} dB"));
        let message = format!("{} is {is} at {} ms, not {}", there.name, wanted.at, spoken(gain));
        let write = there
            .decibels
            .map_or_else(|| "\"mute\"".to_owned(), |is| format!("{is:.1}"));
        let help = format!("{}, or write `db = {write}`", there.cure());
        self.fail(wanted.span, message, there.why.clone(), help);
    }

    fn because(&mut self, simulation: &Simulation, there: &There, wanted: &Expectation) {
        let Some((cause, by)) = wanted.because else { return };
        self.count += 1;
        let by = by.map(|by| simulation.name(by));
        let meets = |(is, is_by): &(&str, Option<String>)| *is == cause && (by.is_none() || *is_by == by);
        if there.causes.iter().any(meets) {
            return;
        }
        let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
        let message = format!("{} is not {cause}{by} at {} ms", there.name, wanted.at);
        self.fail(
            wanted.span,
            message,
            there.why.clone(),
            format!("{}, or expect another cause", there.cure()),
        );
    }

    fn state(&mut self, simulation: &Simulation, there: &There, wanted: &Expectation) {
        let Some(state) = wanted.state else { return };
        self.count += 1;
        let mut all = simulation.connections();
        let is = all.find(|it| (it.source, it.sink) == (wanted.source, wanted.sink));
        let is = is.map_or(Wanted::None, |it| Wanted::State(it.state));
        if is == state {
            return;
        }
        let word = |state| match state {
            Wanted::None => "none",
            Wanted::State(state) => state_word(state),
        };
        let message = match is {
            Wanted::None => format!("{} is not connected at {} ms", there.name, wanted.at),
            Wanted::State(_) => format!(
                "{} is {} at {} ms, not {}",
                there.name,
                word(is),
                wanted.at,
                word(state)
            ),
        };
        let help = format!("{}, or write `state = \"{}\"`", there.cure(), word(is));
        self.fail(wanted.span, message, there.why.clone(), help);
    }
}

fn spoken(gain: crate::Db10) -> String {
    if gain <= MUTE {
        "silent".to_owned()
    } else {
        format!("at {}", crate::text::decibels(gain))
    }
}

/// What is true of a source at a sink.
struct There {
    name: String,
    decibels: Option<f64>,
    causes: Vec<(&'static str, Option<String>)>,
    /// The causes in words.
    why: String,
    line: Option<u32>,
}

impl There {
    fn of(simulation: &Simulation, wanted: &Expectation) -> Self {
        let (source, sink) = (wanted.source, wanted.sink);
        let heard = simulation.machine().heard();
        let tap = heard
            .sources
            .get(source)
            .and_then(|it| it.taps.get(sink)?.parts().nth(wanted.part));
        let causes = tap.map_or(&[][..], |tap| &tap.causes);
        let named = |kind: crate::effect::CauseKind| (kind.name(), kind.by().map(|by| simulation.source(by)));
        let words = causes.iter().map(|cause| {
            let (name, by) = named(cause.kind);
            let line = cause
                .line
                .map(|line| format!(", line {line} of the policy"))
                .unwrap_or_default();
            match by {
                Some(by) => format!("{name} by {by}{line}"),
                None => format!("{name}{line}"),
            }
        });
        let words: Vec<String> = words.collect();
        let sounds = simulation
            .machine()
            .state_of(source)
            .is_some_and(|it| it.running || it.sounding);
        let nothing = if sounds {
            "nothing is taken from it"
        } else {
            "it doesn't sound at that time"
        };
        Self {
            name: format!("{} at {}", simulation.name(source), simulation.part(sink, wanted.part)),
            decibels: decibels(simulation.amplitude(source, sink, wanted.part)),
            causes: causes.iter().map(|cause| named(cause.kind)).collect(),
            why: if words.is_empty() {
                nothing.to_owned()
            } else {
                words.join("; ")
            },
            line: causes.iter().find_map(|cause| cause.line),
        }
    }

    fn cure(&self) -> String {
        self.line.map_or_else(
            || "change the policy".to_owned(),
            |line| format!("change line {line} of the policy"),
        )
    }
}
