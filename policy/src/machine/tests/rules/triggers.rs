//! What sets off rules.

use super::super::fixture::*;
use super::happenings::{Happens, ack, happenings, routing, scene};
use super::{read, rule};
use crate::Event;
use crate::command::Call;
use crate::routing_command::RoutingCall;
use crate::rules::catalogue::Trigger;

pub(super) fn complete(bench: &mut Bench) {
    routing(bench, RoutingCall::HookDomainRegistrationComplete { domain: 101 });
}

/// The status with which all domains are said to have registered, or not.
fn registered_with(happens: Happens) -> Option<i16> {
    [0, 4, 7].into_iter().find(|status| {
        fired(
            "system.all_domain_registration_complete",
            &format!("error() == {status}"),
            happens,
        )
    })
}

fn confirm(bench: &mut Bench) {
    routing(bench, RoutingCall::ConfirmRoutingReady { domain: 101 });
}

fn later(bench: &mut Bench, ms: crate::Time) {
    bench.now += ms;
    bench.step(Event::Tick);
}

#[test]
fn all_domains_are_complete_or_one_took_too_long_or_what_was_stored_is_lost() {
    assert_eq!(registered_with(complete), Some(0));
    let lost = |bench: &mut Bench| {
        bench.machine.note_lost_store();
        complete(bench);
    };
    assert_eq!(registered_with(lost), Some(4));
    let late = |bench: &mut Bench| {
        confirm(bench);
        assert_eq!(bench.machine.next_deadline(), Some(bench.now + 10_000));
        later(bench, 10_000);
        assert_eq!(bench.machine.next_deadline(), None);
    };
    assert_eq!(registered_with(late), Some(7));
    let in_time = |bench: &mut Bench| {
        confirm(bench);
        later(bench, 9_000);
    };
    assert_eq!(registered_with(in_time), None);
    assert_eq!(
        registered_with(|bench| later(bench, 20_000)),
        None,
        "none has said that it is ready"
    );
}

/// Whether a rule on this was set off.
fn fired(on: &str, when: &str, happens: Happens) -> bool {
    let mut bench = scene();
    bench.machine.state.sources[BELT].sounding = on == "chime.stopped";
    let text = rule(on, when, r#"{ mute = { sink = "rear", sticky = true } }"#);
    let (program, report) = read(&text, &bench.machine.model);
    assert_eq!(report.to_string(), "");
    bench.machine.model.rules = program;
    happens(&mut bench);
    ack(&mut bench);
    !bench.machine.state.ruled.limits.is_empty()
}

#[test]
fn each_trigger_tells_what_happened() {
    let happenings = happenings();
    for (on, when, happens) in &happenings {
        assert!(fired(on, "true", *happens), "{on} was not fired");
        assert!(fired(on, when, *happens), "{on} says not {when}");
        assert!(!fired(on, &format!("!({when})"), *happens), "{on} was fired twice");
    }
    for trigger in Trigger::ALL {
        assert!(
            happenings.iter().any(|it| it.0 == trigger.name()),
            "{} is untested",
            trigger.name()
        );
    }
}

#[test]
fn a_trigger_is_not_fired_by_what_it_is_not_of() {
    for (on, happens) in [
        ("user.all", (|bench| bench.start(PHONE)) as Happens),
        ("user.set_volume", |bench| drop(bench.connect(PROMPT, REAR))),
        ("system.volume_changed", |bench| {
            drop(bench.call(Call::SetVolume { sink: 101, volume: 10 }))
        }),
        ("system.connection_state_change", |bench| bench.sound(BELT, true)),
        ("chime.started", |bench| bench.sound(MEDIA, true)),
        ("user.all", |bench| drop(bench.call(Call::GetListMainSinks))),
    ] {
        assert!(!fired(on, "true", happens), "{on}");
    }
}

#[test]
fn there_are_audiomanagers_thirty_five_triggers_thirty_two_functions_and_nineteen_actions() {
    use crate::rules::ast::Op;
    use crate::rules::catalogue::{Field, Function};
    use crate::rules::keys::Verb;
    let ours = ["stream.", "chime."];
    let theirs = Trigger::ALL
        .iter()
        .filter(|it| !ours.iter().any(|our| it.name().starts_with(our)));
    assert_eq!(theirs.count(), 35);
    // `name(CLASSOFSOURCE, …)` and its like are functions of their own here.
    let of_name = [
        "source",
        "sink",
        "class",
        "domain",
        "gateway",
        "connection",
        "sources",
        "sinks",
        "connections",
    ];
    let theirs = Function::ALL.iter().filter(|it| !of_name.contains(&it.name()));
    assert_eq!(theirs.count(), 32);
    assert_eq!((Verb::ALL.len(), Op::ALL.len()), (19, 8));
    // `request.is_step` is the function isMainVolumeStep.
    assert_eq!(Field::ALL.iter().filter(|it| it.name() != "is_step").count(), 23);
}
