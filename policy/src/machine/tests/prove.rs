//! A machine that is broken on purpose breaks its proof.

use super::mutant::{self, Mutant};
use crate::Model;
use crate::file::{Document, read};
use crate::prove::{Budget, Promise, Proof, Verdict, prove};
use crate::simulate::{Cast, scenario};

const CAR: &str = r#"version = 1
[zones.cabin]
[classes.media]
priority = 10
[classes.navigation]
priority = 50
[classes.assistant]
priority = 20
[classes.warning]
safety = true
others_at_most_db = -20.0
[[matrix]]
holder = "media"
newcomer = "warning"
action = "pause"
[[matrix]]
holder = ["navigation", "assistant"]
newcomer = "warning"
action = "duck"
depth_db = -20.0
[[matrix]]
holder = "navigation"
newcomer = "assistant"
newcomer_action = "delay"
[guests.ivi]
streams.media = { class = "media", zone = "cabin" }
streams.assistant = { class = "assistant", zone = "cabin" }
[guests.cluster]
streams.prompt = { class = "navigation", zone = "cabin" }
[chimes.belt]
class = "warning"
zones = "cabin"
"#;

/// The music is limited for the assistant also where it isn't ducked.
const RULE: &str = r#"
[[rules]]
name = "quiet for the assistant"
on = "stream.started"
when = 'class(request.source) == "assistant"'
do = [{ limit = { source = "ivi.media", gain_db = -30.0, cause = "request.source" } }]
"#;

fn proof(text: &str, states: usize) -> Proof {
    let document = Document::parse(text);
    let model: Model = read(&document);
    let budget = Budget {
        states,
        go_on: &mut || true,
    };
    prove(&model, "car.toml", Some(&Cast::default()), budget)
}

#[test]
fn the_machine_as_it_is_proves_every_promise() {
    let matrix = proof(CAR, 100_000);
    let ruled = proof(&(CAR.to_owned() + RULE), 10_000);

    assert!(matrix.complete && matrix.is_proven(), "{matrix:#?}");
    assert!(!ruled.is_broken(), "{ruled:#?}");
}

#[test]
fn each_planted_fault_breaks_the_promise_it_is_about_and_its_scenario_replays() {
    let faults = [
        (Mutant::IdleIsThere, Promise::Lasting),
        (Mutant::ForgetsDucks, Promise::Ceiling),
        (Mutant::NeverPauses, Promise::Ceiling),
        (Mutant::NeverComesUp, Promise::Lasting),
        (Mutant::FadesForEver, Promise::Lasting),
        (Mutant::PolicesSafety, Promise::Safety),
        (Mutant::OwesDecisions, Promise::Answered),
        (Mutant::NeverAdmits, Promise::Answered),
        (Mutant::NeverConnects, Promise::Answered),
        (Mutant::LimitsOutliveTheirCause, Promise::Lasting),
    ];
    for (fault, promise) in faults {
        let proof = mutant::with(fault, || proof(&(CAR.to_owned() + RULE), 3000));

        let judged = proof.promises.iter().find(|it| it.promise == promise).unwrap();
        assert!(
            matches!(judged.verdict, Verdict::Broken { .. }),
            "{fault:?}: {:?}",
            judged.verdict
        );
    }
    let others = [Mutant::ForgetsWhoWasFirst, Mutant::RulesDoNothing];
    let known = |fault: &Mutant| others.contains(fault) || faults.iter().any(|(planted, _)| planted == fault);
    assert!(
        mutant::ALL.iter().all(known),
        "one that only a restart shows, one that breaks no promise"
    );
}

/// A stream, and an amplifier that takes the zone's sound and has a tuner.
const AMPLIFIER: &str = r#"version = 1
policy = "car.toml"
[[domains]]
name = "amplifier"
sources = [{ name = "input", class = "media" }, { name = "tuner", class = "media" }]
sinks = ["speakers"]
gateways = [{ from = "cabin", to = "input" }]
"#;

const ONE: &str = r#"version = 1
[zones.cabin]
[classes.media]
[guests.ivi]
streams.media = { class = "media", zone = "cabin" }
"#;

fn with_amplifier() -> Proof {
    let model: Model = read(&Document::parse(ONE));
    let document = Document::parse(AMPLIFIER);
    let cast = scenario::read(&document, &model).cast;
    assert_eq!(document.finish("amplifier.toml").to_string(), "");
    let budget = Budget {
        states: 30_000,
        go_on: &mut || true,
    };
    prove(&model, "car.toml", Some(&cast), budget)
}

#[test]
fn each_fault_in_what_is_about_domains_breaks_the_proof_with_an_amplifier() {
    let sound = with_amplifier();
    assert!(sound.complete && sound.is_proven(), "{sound:#?}");
    let faults = [
        (Mutant::NeverAborts, Promise::Answered),
        (Mutant::ForgetsHold, Promise::Lasting),
        (Mutant::KeepsLost, Promise::Answered),
    ];
    for (fault, promise) in faults {
        let proof = mutant::with(fault, with_amplifier);

        let judged = proof.promises.iter().find(|it| it.promise == promise).unwrap();
        assert!(
            matches!(judged.verdict, Verdict::Broken { .. }),
            "{fault:?}: {:?}",
            proof
                .promises
                .iter()
                .map(|it| (it.promise, &it.verdict))
                .collect::<Vec<_>>()
        );
    }
}

#[test]
fn machines_that_differ_in_what_was_only_counted_have_one_essence_and_others_have_not() {
    use super::fixture::{Bench, CABIN, MEDIA, RADIO, car};
    let apart: Vec<usize> = (0..6).collect();
    let mut once = Bench::new(car());
    once.start(MEDIA);
    let mut twice = Bench::new(car());
    twice.start(MEDIA);
    twice.release(MEDIA);
    twice.wait();
    twice.start(MEDIA);
    assert_ne!(once.machine.snapshot(), twice.machine.snapshot());
    assert_eq!(once.machine.essence(&apart), twice.machine.essence(&apart));

    let mut other = Bench::new(car());
    other.start(RADIO);
    assert_ne!(once.machine.essence(&apart), other.machine.essence(&apart));
    let mut together = apart.clone();
    together[RADIO] = MEDIA;
    assert_eq!(
        once.machine.essence(&together),
        other.machine.essence(&together),
        "they may change places"
    );

    once.connect(MEDIA, CABIN);
    assert_ne!(
        once.machine.essence(&apart),
        twice.machine.essence(&apart),
        "the user's now, and not automatic"
    );
}
