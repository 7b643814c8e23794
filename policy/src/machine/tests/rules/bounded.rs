//! Rules that set off rules, and in which order.

use super::super::fixture::*;
use super::{bench, rule, ruled};
use crate::Event;
use crate::command::{Call, ConnectionState, error};
use crate::effect::Effect;

/// Two rules that set a volume against each other.
fn fight() -> String {
    rule(
        "system.volume_changed",
        "request.main_volume == 1",
        "{ set_volume = { main_volume = 2 } }",
    ) + &rule(
        "system.volume_changed",
        "request.main_volume == 2",
        "{ set_volume = { main_volume = 1 } }",
    )
}

#[test]
fn what_a_rule_does_sets_off_the_next() {
    let text = rule("stream.started", "true", r#"{ disconnect = { class = "media" } }"#)
        .replace("'true'", r#"'class(request.source) == "phone"'"#)
        + &rule(
            "system.connection_state_change",
            r#"request.connection_state == disconnected && class(request.source) == "media""#,
            r#"{ set_volume = { sink = "request.sink", main_volume = 3 } }"#,
        )
        + &rule(
            "system.volume_changed",
            "request.main_volume == 3",
            r#"{ connect = { source = "cluster.prompt", sink = "rear" } }"#,
        );
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PHONE);
    assert_eq!(bench.machine.volume(CABIN), Some((3, false)));
    assert_eq!(bench.state(PROMPT, REAR), Some(ConnectionState::Connected));
    assert_eq!(bench.machine.overruns().count, 0);
}

#[test]
fn rules_that_set_each_other_off_without_end_are_stopped_and_what_they_did_is_undone() {
    let mut bench = bench(&fight());
    bench.start(MEDIA);
    let reply = bench.call(Call::SetVolume { sink: 101, volume: 1 });
    assert_eq!(reply.error, error::OK, "the client is answered");
    assert_eq!(
        bench.machine.volume(CABIN),
        Some((1, false)),
        "and gets what it asked for"
    );
    let volumes = bench.signals().len();
    assert_eq!(volumes, 1, "nobody hears of the quarrel");
    assert_eq!(bench.machine.overruns().count, 1);
    let names = &bench.machine.overruns().rules;
    assert_eq!(names.len(), 8);
    assert!(names[6] != names[7] && names[5] == names[7], "{names:?}");
}

#[test]
fn a_start_is_answered_even_where_rules_run_away() {
    let text = fight()
        + &rule(
            "stream.started",
            "true",
            r#"{ set_volume = { sink = "cabin", main_volume = 1 } }"#,
        );
    let mut bench = bench(&text);
    bench.start(MEDIA);
    assert_eq!(bench.machine.heard().sources[MEDIA].decided, 1);
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0);
    assert_eq!(
        (bench.machine.volume(CABIN), bench.machine.overruns().count),
        (Some((10, false)), 1)
    );
}

#[test]
fn sixty_four_rules_may_act_and_no_more() {
    // Each step of the volume sets off the next, until `end`.
    let text = |end: i16| {
        rule(
            "system.volume_changed",
            &format!("request.main_volume > {end}"),
            "{ set_volume = { main_volume_step = -1 } }",
        )
    };
    for (end, overruns, left) in [(35, 0, 35), (34, 1, 99)] {
        let mut model = ruled(&text(end));
        for sink in &mut model.sinks {
            sink.curve = vec![(0, crate::MUTE), (100, 0)];
            sink.main_volume = 100;
        }
        let mut bench = Bench::new(model);
        bench.call(Call::SetVolume { sink: 101, volume: 99 });
        assert_eq!(bench.machine.overruns().count, overruns);
        assert_eq!(bench.machine.volume(CABIN), Some((left, false)));
    }
}

#[test]
fn a_rule_that_breaks_is_the_last() {
    let text = |first: &str| {
        rule(
            "stream.started",
            "true",
            r#"{ set_volume = { sink = "cabin", main_volume = 3 } }"#,
        ) + first
            + &rule(
                "stream.started",
                "true",
                r#"{ set_volume = { sink = "rear", main_volume = 3 } }"#,
            )
    };
    for (text, rear) in [(text(""), 3), (text("break = true\n"), 10)] {
        let mut bench = bench(&text);
        bench.start(MEDIA);
        assert_eq!(bench.machine.volume(CABIN).unwrap().0, 3);
        assert_eq!(bench.machine.volume(REAR).unwrap().0, rear);
    }
}

#[test]
fn later_rules_see_what_earlier_ones_did() {
    let text = rule(
        "stream.started",
        r#"main_volume("cabin") == 3"#,
        r#"{ set_volume = { sink = "rear", main_volume = 4 } }"#,
    ) + "priority = 50\n"
        + &rule(
            "stream.started",
            "true",
            r#"{ set_volume = { sink = "cabin", main_volume = 3 } }"#,
        );
    let mut bench = bench(&text);
    bench.start(MEDIA);
    assert_eq!(bench.machine.volume(REAR).unwrap().0, 4);
}

#[test]
fn all_conditions_must_hold() {
    let text = rule(
        "stream.started",
        "true",
        r#"{ set_volume = { sink = "cabin", main_volume = 3 } }"#,
    );
    for (when, volume) in [("['true', 'true']", 3), ("['true', 'false']", 10), ("[]", 3)] {
        let mut bench = bench(&text.replace("'true'", when));
        bench.start(MEDIA);
        assert_eq!(bench.machine.volume(CABIN).unwrap().0, volume, "{when}");
    }
}

#[test]
fn heard_is_still_the_last_effect_and_told_once() {
    let text = rule(
        "stream.started",
        "true",
        r#"{ set_volume = { sink = "cabin", main_volume = 3 } }"#,
    );
    let mut bench = bench(&text);
    bench.step(Event::StreamStarted {
        source: MEDIA,
        start_gen: 1,
    });
    let heard = bench.effects.iter().filter(|it| matches!(it, Effect::Heard(_))).count();
    assert_eq!(
        (heard, matches!(bench.effects.last(), Some(Effect::Heard(_)))),
        (1, true)
    );
    assert_eq!(bench.gain(MEDIA, CABIN).0, -350);
}
