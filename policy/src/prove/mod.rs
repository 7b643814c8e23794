//! What a policy promises, shown for every state it can get into; or broken, with the shortest scenario that does it.
//!
//! ```text
//!             ┌───────── Machine::step, the daemon's own ◄── every input that can happen there
//!  first      │                 │
//!  start ─► queue of states ◄───┤ a state not seen before (`Machine::essence`)
//!                               └─► promises judged from outside ─► broken: shortest way ─► replayed by `simulate` ─► printed
//! ```
//! Breadth first, so the first counter-example is a shortest one. Verdicts: *proven* (every state was seen and keeps it), *broken*
//! (the scenario was replayed on the whole policy and breaks it there), *not decided* (the budget ended first, or what was found
//! doesn't replay).
//!
//! Zones are explored one at a time: what is heard at one depends on connections there, on streams that run and on users' mutes,
//! never on another zone. A policy with rules is explored whole: rules may look at anything. Then domains of other processes, with a
//! few streams. [`Proof::abstraction`] says what is left out.

mod bounded;
mod explore;
mod input;
mod promise;
mod show;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::file::Document;
use crate::model::Sink;
use crate::simulate::scenario;
use crate::simulate::{self, Action, Cast, Simulation};
use crate::{MUTE, Machine, Model, Time};
use bounded::With;
use explore::{Explorer, Found};
use promise::Watch;

pub use promise::Promise;
pub use show::text;

/// What the exploration is about, and what it leaves out; part of every report.
fn abstraction(model: &Model, domains: &[With]) -> Vec<String> {
    let mut lines = vec![
        "inputs: every stream starts, stops, is released; every guest is lost and comes back; every chime sounds and ends; every \
         pair is connected and disconnected; every source and zone is muted and unmuted; time goes on to the next deadline",
        "a stream starts only when it does not run, stops only when it runs; what has no effect by its kind is not tried",
    ];
    lines.extend(match model.rules.is_empty() {
        true => [
            "volumes and gains stay as the file has them (0 dB for a gain that isn't silence): how loud somebody is decides nothing",
            "zones one at a time: nothing heard at one depends on another",
            "sources that differ only in their names may change places",
        ]
        .as_slice(),
        false => [
            "because of the rules: all zones together, every source by its name; volumes are moved to their lowest and highest",
            "gains stay as the file and the rules have them; properties and notifications are not set",
        ]
        .as_slice(),
    });
    lines.extend([
        "of arrivals only the order counts; states that differ only in a fade under way count as one, and time is let go on from \
         the first of them",
        "a duck counts from the end of its ramp; safety sources are not held to each other's ceilings",
    ]);
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    lines.extend(bounded::abstraction(model, domains));
    lines
}

/// Shown after what breaks a promise, ms: what it comes to.
const AFTERWARDS: Time = 1000;
/// The same where domains may take their time: all that is waited for is over by then.
const AFTER_DOMAINS: Time = 120_000;

/// How much may be looked at.
pub struct Budget<'c> {
    /// States in all.
    pub states: usize,
    /// Asked now and then; `false` ends it.
    pub go_on: &'c mut dyn FnMut() -> bool,
}

/// What is known of a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Every state keeps it.
    Proven,
    /// One doesn't.
    Broken {
        /// How.
        what: String,
        /// A shortest scenario that gets there, as a file for `audiod simulate`.
        scenario: String,
        /// What it does.
        timeline: String,
    },
    /// Not known.
    NotDecided {
        /// Why.
        why: String,
    },
}

/// One promise's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Which.
    pub promise: Promise,
    /// In words.
    pub text: &'static str,
    /// Its verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A whole report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// All promises.
    pub promises: Vec<Judged>,
    /// States seen, in all zones.
    pub states: usize,
    /// Calls of `step`.
    pub steps: usize,
    /// Inputs on the longest of the shortest ways.
    pub depth: usize,
    /// Every state was seen.
    pub complete: bool,
    /// What is legal and has no use.
    pub notes: Vec<String>,
    /// What all of it is about, and what is left out.
    pub abstraction: Vec<String>,
}

impl Proof {
    /// Everything is proven.
    pub fn is_proven(&self) -> bool {
        self.promises.iter().all(|judged| judged.verdict == Verdict::Proven)
    }

    /// Something is broken.
    pub fn is_broken(&self) -> bool {
        self.promises
            .iter()
            .any(|judged| matches!(judged.verdict, Verdict::Broken { .. }))
    }
}

/// Looks at all states of a policy. `file` is its name as a scenario beside it would say it; `cast` are the domains it is to be
/// seen with; `None`: those that it knows, or one that stands for any.
pub fn prove(model: &Model, file: &str, cast: Option<&Cast>, budget: Budget<'_>) -> Proof {
    let Budget { states, go_on } = budget;
    let mut open = Promise::ALL.to_vec();
    let mut found: Vec<(Part, Found)> = Vec::new();
    let (mut met, mut fired) = (BTreeSet::new(), BTreeSet::new());
    let domains = cast.map_or_else(|| bounded::expected(model), |cast| bounded::given(model, cast));
    let mut proof = Proof {
        promises: Vec::new(),
        states: 0,
        steps: 0,
        depth: 0,
        complete: true,
        notes: Vec::new(),
        abstraction: abstraction(model, &domains),
    };
    // Rules may look at anything, so with them everything is looked at together.
    let mut parts: Vec<Part> = match model.rules.is_empty() {
        true => (0..model.sinks.len()).map(Part::Zone).collect(),
        false => vec![Part::Whole],
    };
    parts.extend(domains.into_iter().map(Part::Domains));
    for part in parts {
        let alone = match part {
            Part::Zone(zone) => alone(model, zone),
            _ => model.clone(),
        };
        let mut explorer = match &part {
            Part::Domains(with) => Explorer::with_domains(&alone, open.clone(), with),
            _ => Explorer::new(&alone, open.clone()),
        };
        explorer.run(states.saturating_sub(proof.states), go_on);
        let extent = explorer.extent;
        proof.states += extent.states;
        proof.steps += extent.steps;
        proof.depth = proof.depth.max(extent.depth);
        proof.complete &= extent.complete;
        met.append(&mut explorer.met);
        fired.append(&mut explorer.fired);
        open.retain(|promise| explorer.found.iter().all(|it| it.promise != *promise));
        found.extend(explorer.found.into_iter().map(|it| (part.clone(), it)));
    }
    proof.promises = Promise::ALL
        .map(|promise| judged(model, file, promise, &found, &proof))
        .to_vec();
    proof.notes = notes(model, &met, &fired, proof.complete);
    proof
}

/// What is explored on its own.
#[derive(Clone, Debug)]
enum Part {
    /// One zone.
    Zone(usize),
    /// All zones together.
    Whole,
    /// Domains, all zones, and some streams.
    Domains(With),
}

/// The policy as one zone sees it.
fn alone(model: &Model, zone: usize) -> Model {
    let mut alone = model.clone();
    alone.sinks = model
        .sinks
        .get(zone)
        .map(|sink| Sink { ..sink.clone() })
        .into_iter()
        .collect();
    for source in &mut alone.sources {
        for zones in [&mut source.auto_connect, &mut source.safety_sinks] {
            let here = zones.contains(&zone);
            *zones = if here { vec![0] } else { Vec::new() };
        }
        if source.gain > MUTE {
            source.gain = 0;
        }
    }
    alone
}

fn judged(model: &Model, file: &str, promise: Promise, found: &[(Part, Found)], proof: &Proof) -> Judged {
    let verdict = match found.iter().find(|(_, it)| it.promise == promise) {
        Some((part, found)) => replayed(model, file, part, found),
        None if proof.complete => Verdict::Proven,
        None => Verdict::NotDecided {
            why: format!(
                "the budget ended after {} states, {} inputs deep; none of them breaks it",
                proof.states, proof.depth
            ),
        },
    };
    Judged {
        promise,
        text: promise.text(),
        verdict,
    }
}

/// A step of an exploration of one zone as one of the whole policy.
fn whole(action: &Action, part: &Part) -> Action {
    let mut action = action.clone();
    let Part::Zone(zone) = *part else { return action };
    match &mut action {
        Action::Connect { sink, .. }
        | Action::Disconnect { sink, .. }
        | Action::Volume { sink, .. }
        | Action::MuteSink { sink, .. } => *sink = zone,
        _ => {}
    }
    action
}

/// Writes the counter-example as a scenario, runs that on the whole policy, and looks whether the promise is broken there.
fn replayed(model: &Model, file: &str, part: &Part, found: &Found) -> Verdict {
    let nobody = Arc::default();
    let cast = match part {
        Part::Domains(with) => &with.cast,
        _ => &nobody,
    };
    let steps: Vec<(Time, Action)> = found
        .steps
        .iter()
        .map(|(at, action)| (*at, whole(action, part)))
        .collect();
    let text = as_scenario(model, cast, file, found, &steps);
    let document = Document::parse(&text);
    let scenario = scenario::read(&document, model);
    let unreadable = document.finish("counter-example").errors() > 0;
    match (unreadable, breaks(model, &scenario, found.promise)) {
        (false, Some(what)) => Verdict::Broken {
            what,
            scenario: text,
            timeline: simulate::table(&simulate::run(model.clone(), &scenario)),
        },
        _ => Verdict::NotDecided {
            why: format!("a counter-example was found and does not replay: {}", found.what),
        },
    }
}

fn as_scenario(model: &Model, cast: &Cast, file: &str, found: &Found, steps: &[(Time, Action)]) -> String {
    let afterwards = match (cast.is_empty(), found.promise) {
        (false, Promise::Answered) => AFTER_DOMAINS,
        _ => AFTERWARDS,
    };
    let mut text = format!(
        "# {}\n# broken: {}\nversion = 1\npolicy = \"{file}\"\ntitle = \"{}\"\nuntil = {}\n\n",
        found.promise.text(),
        found.what,
        found.promise.text(),
        found.at + afterwards
    );
    text += "steps = [\n";
    for (at, action) in steps {
        text += &format!("  {{ at = {at}, {} }},\n", action.toml(model, cast));
    }
    text += "]\n";
    if !cast.is_empty() {
        text.push('\n');
        text += &cast.toml(model);
    }
    text.trim_end().to_owned() + "\n"
}

/// How rules fought on a machine's last event, if they did.
pub(crate) fn fight(machine: &Machine) -> Option<String> {
    Watch::rules(machine).map(|(_, what)| what)
}

/// How a scenario breaks a promise, if it does.
fn breaks(model: &Model, scenario: &simulate::Scenario, promise: Promise) -> Option<String> {
    let watch = Watch::new(model);
    let mut simulation = Simulation::new(model.clone(), scenario.cast.clone(), |guest| {
        !scenario.absent.contains(guest)
    });
    // With domains, what is on its way may only need time.
    let waits = promise == Promise::Answered && !scenario.cast.is_empty();
    let state = |simulation: &Simulation| {
        let mut breaches = Vec::new();
        watch.state(simulation.machine(), &[promise], &mut breaches);
        breaches.into_iter().next()
    };
    let broken = |simulation: &Simulation| (!waits).then(|| state(simulation))?;
    let mut breach = broken(&simulation);
    for step in &scenario.steps {
        breach = breach.or_else(|| passes(&mut simulation, step.at));
        let code = simulation.act(step.at, &step.action, step.line);
        breach = breach.or_else(|| simulation.fight().map(|what| (Promise::Fights, what)));
        breach = breach.or_else(|| Watch::reply(simulation.machine(), simulation.world(), &step.action, code));
        breach = breach.filter(|it| it.0 == promise).or_else(|| broken(&simulation));
    }
    breach = breach
        .or_else(|| passes(&mut simulation, scenario.end))
        .filter(|it| it.0 == promise);
    breach.or_else(|| state(&simulation)).map(|(_, what)| what)
}

/// Lets time go on, and says what it breaks by that alone.
fn passes(simulation: &mut Simulation, until: Time) -> Option<promise::Breach> {
    let before = simulation.machine().heard().clone();
    let late = simulation.machine().ack_deadline().is_some_and(|due| due <= until);
    simulation.pass(until);
    // A domain that doesn't acknowledge is something that happens.
    (!late).then(|| Watch::time(&before, simulation.machine()))?
}

/// Lines that were never used; only where every state was seen.
fn notes(model: &Model, met: &BTreeSet<(usize, usize)>, fired: &BTreeSet<usize>, complete: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let safety = model.classes.iter().filter(|class| class.safety);
    for class in safety.filter(|class| class.others_at_most.is_none()) {
        notes.push(format!(
            "class {} (line {}) states no ceiling for others: write `others_at_most_db = -20.0` there to have it proven",
            class.name, class.line
        ));
    }
    if !complete {
        return notes;
    }
    let name = |class: usize| model.classes.get(class).map_or("?", |class| class.name.as_str());
    for (line, pairs) in explore::unused(model, met) {
        let pairs = pairs
            .iter()
            .map(|(holder, newcomer)| format!("{} over {}", name(*newcomer), name(*holder)));
        let pairs: Vec<String> = pairs.take(4).collect();
        notes.push(format!(
            "line {line} is never used: these never meet ({})",
            pairs.join(", ")
        ));
    }
    let rules = model.rules.rules().iter().enumerate();
    for (_, rule) in rules.filter(|(index, _)| !fired.contains(index)) {
        notes.push(format!("rule `{}` (line {}) never does anything", rule.name, rule.line));
    }
    notes
}
