//! A machine that is broken on purpose breaks its proof.

use super::mutant::{self, Mutant};
use crate::Model;
use crate::file::{Document, read};
use crate::prove::{Budget, Promise, Proof, Verdict, prove};

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

fn car() -> Model {
    read(&Document::parse(CAR))
}

fn proof(states: usize) -> Proof {
    let budget = Budget {
        states,
        go_on: &mut || true,
    };
    prove(&car(), "car.toml", budget)
}

#[test]
fn the_machine_as_it_is_proves_every_promise() {
    let proof = proof(100_000);

    assert!(proof.complete && proof.is_proven(), "{proof:#?}");
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
    ];
    for (fault, promise) in faults {
        let proof = mutant::with(fault, || proof(1500));

        let judged = proof.promises.iter().find(|it| it.promise == promise).unwrap();
        assert!(
            matches!(judged.verdict, Verdict::Broken { .. }),
            "{fault:?}: {:?}",
            judged.verdict
        );
    }
    assert_eq!(
        mutant::ALL.len(),
        faults.len() + 1,
        "all but the one that only a restored machine has"
    );
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
