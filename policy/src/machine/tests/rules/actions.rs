//! What each action does to the machine, and that what holds ends with its cause.

use super::super::fixture::*;
use super::{BY_PHONE, PHONE_STARTS, bench, on_phone, rule, ruled, with_rules};
use crate::Machine;
use crate::command::{Call, ConnectionState, Signal, error};
use crate::effect::{CauseKind, Mode};
use crate::model::{Holder, Newcomer};

#[test]
fn connect_makes_a_connection_that_the_matrix_allows() {
    let mut bench = on_phone(r#"{ connect = { source = "ivi.media", sink = "rear" } }"#);
    bench.start(MEDIA);
    bench.start(PHONE);
    assert_eq!(bench.state(MEDIA, REAR), Some(ConnectionState::Connected));
    assert!(
        bench
            .signals()
            .iter()
            .any(|it| matches!(it, Signal::NewMainConnection(new) if new.sink == 102))
    );
}

#[test]
fn connect_of_a_source_alone_goes_where_the_source_goes() {
    let mut bench = on_phone(r#"{ connect = { source = "ivi.media" } }"#);
    bench.start(PHONE);
    assert_eq!(bench.state(MEDIA, CABIN), Some(ConnectionState::Connected));
}

#[test]
fn no_rule_brings_in_what_the_matrix_rejects() {
    let text = rule(
        "user.connection_request",
        "error() == 7",
        r#"{ connect = { source = "request.source", sink = "request.sink" } }"#,
    ) + &rule(
        "stream.started",
        r#"request.source == "ivi.media""#,
        r#"{ connect = { source = "ivi.media", sink = "cabin" } }"#,
    );
    let reject = car_with(CLASS_PHONE, CLASS_MEDIA, cell(Holder::Mix, Newcomer::Reject));
    let mut bench = Bench::new(with_rules(reject, &text));
    bench.start(PHONE);
    bench.start(MEDIA);
    assert_eq!(bench.state(MEDIA, CABIN), None);
    assert_eq!(bench.connect(MEDIA, CABIN).error, error::NOT_POSSIBLE);
    assert_eq!(bench.state(MEDIA, CABIN), None);
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::Rejected { by: PHONE }]);
}

#[test]
fn disconnect_takes_what_its_filters_leave_and_never_a_safety_source() {
    for (filter, left) in [
        ("", vec![]),
        (r#"class = "media""#, vec![PROMPT, PHONE]),
        (r#"except_class = ["media", "phone"]"#, vec![MEDIA, PHONE]),
        (r#"source = ["ivi.media", "cluster.prompt"]"#, vec![PHONE]),
        (r#"except_source = "request.source""#, vec![PHONE]),
        (r#"sink = "rear""#, vec![MEDIA, PROMPT, PHONE]),
        (r#"except_sink = "cabin""#, vec![MEDIA, PROMPT, PHONE]),
        (r#"connection = "others""#, vec![PHONE]),
        (r#"connection = 'connection("ivi.media")'"#, vec![PROMPT, PHONE]),
        (
            r#"connection_state = "connected", class = "media""#,
            vec![PROMPT, PHONE],
        ),
        (r#"connection_state = ["suspended"]"#, vec![MEDIA, PROMPT, PHONE]),
        (r#"source = "request.source""#, vec![MEDIA, PROMPT]),
    ] {
        let text = rule(
            "user.set_source_main_sound_property",
            "true",
            &format!("{{ disconnect = {{ {filter} }} }}"),
        );
        let mut bench = bench(&text);
        for source in [MEDIA, PROMPT, PHONE] {
            bench.start(source);
        }
        bench.sound(BELT, true);
        let source = bench.machine.source_id(PHONE).unwrap();
        let property = (1, 1);
        bench.call(Call::SetMainSourceSoundProperty { source, property });
        // `others` needs a connection to be other than: the phone's.
        let mut expected = left;
        if filter.contains("others") {
            expected = vec![];
        }
        let connected: Vec<usize> = bench.machine.connections().map(|it| it.source).collect();
        assert_eq!(connected, expected, "{filter}");
        assert_eq!(bench.gain(BELT, CABIN), (0, 0));
    }
}

#[test]
fn others_are_all_but_the_requests() {
    let text = rule(
        "user.connection_request",
        r#"request.source == "ivi.phone""#,
        r#"{ disconnect = { connection = "others" } }"#,
    );
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PROMPT);
    bench.connect(PHONE, CABIN);
    let connected: Vec<usize> = bench.machine.connections().map(|it| it.source).collect();
    assert_eq!(connected, [PHONE]);
}

#[test]
fn what_is_pushed_is_gone_until_it_is_popped() {
    let text = rule(PHONE_STARTS, BY_PHONE, r#"{ push = { class = "media" } }"#)
        + &rule("stream.released", BY_PHONE, r#"{ pop = { class = "media" } }"#);
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PHONE);
    assert_eq!(bench.state(MEDIA, CABIN), None);
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::NoRoute]);
    bench.machine = Machine::restore(bench.machine.model().clone(), &bench.machine.snapshot()).unwrap();
    bench.connect(PROMPT, REAR);
    let ids: Vec<u16> = bench.machine.connections().map(|it| it.id).collect();
    assert_eq!(ids, [2, 3], "its ID is not given away");
    bench.release(PHONE);
    assert_eq!(bench.state(MEDIA, CABIN), Some(ConnectionState::Connected));
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0);
    assert!(bench.machine.state.ruled.pushed.is_empty());
}

#[test]
fn what_is_suspended_is_silent_until_it_is_resumed() {
    let text = rule(PHONE_STARTS, BY_PHONE, r#"{ suspend = { class = "media" } }"#)
        + &rule("stream.released", BY_PHONE, r#"{ resume = { class = "media" } }"#);
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PHONE);
    bench.wait();
    assert_eq!(bench.state(MEDIA, CABIN), Some(ConnectionState::Suspended));
    assert_eq!(
        (bench.mode(MEDIA), bench.cause(MEDIA, CABIN).line),
        (Mode::Stall, Some(5))
    );
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::RuleSuspended]);
    bench.machine = Machine::restore(bench.machine.model().clone(), &bench.machine.snapshot()).unwrap();
    assert_eq!(bench.state(MEDIA, CABIN), Some(ConnectionState::Suspended));
    bench.release(PHONE);
    assert_eq!(bench.state(MEDIA, CABIN), Some(ConnectionState::Connected));
    assert_eq!(bench.mode(MEDIA), Mode::Play);
}

#[test]
fn volumes_are_set_stepped_and_restored() {
    for (keys, volume, gain) in [
        (r#"sink = "cabin", main_volume = 3"#, 3, -30),
        (r#"sink = "cabin", main_volume_step = -2"#, 5, -30),
        (r#"sink = "cabin", restore = true"#, 10, -30),
        (
            r#"sink = "cabin", main_volume = "main_volume(sink(\"rear\"))""#,
            10,
            -30,
        ),
        (r#"class = "media", main_volume = 2"#, 2, -30),
        (r#"source = "ivi.media", gain_db = -12"#, 7, -120),
        (r#"source = "ivi.media", gain_step_db = -2.5"#, 7, -55),
        (r#"source = "ivi.media", gain_step_db = 9"#, 7, 0),
        (r#"source = "ivi.media", restore = true"#, 7, 0),
    ] {
        let mut bench = on_phone(&format!("{{ set_volume = {{ {keys} }} }}"));
        bench.start(MEDIA);
        bench.call(Call::SetVolume { sink: 101, volume: 7 });
        bench.call(Call::SetSourceGain { source: 101, gain: -30 });
        bench.start(PHONE);
        let is = (
            bench.machine.volume(CABIN).unwrap().0,
            bench.machine.wanted(MEDIA).unwrap().0,
        );
        assert_eq!(is, (volume, gain), "{keys}");
    }
}

#[test]
fn nothing_reaches_a_safety_source_by_way_of_the_request() {
    let everything = r#"{ limit = { source = "request.source", gain_db = -50, sticky = true } },
        { mute = { source = "request.source" } },
        { mute = { sink = "cabin" } },
        { disconnect = { source = "request.source" } },
        { push = {} }, { suspend = {} },
        { set_volume = { source = "request.source", gain_db = -50 } },
        { connect = { source = "request.source", sink = "rear" } }"#;
    let mut bench = bench(&(rule("chime.started", "true", everything) + &rule("stream.started", "true", everything)));
    bench.start(PARTITION);
    bench.sound(BELT, true);
    for source in [PARTITION, BELT] {
        assert_eq!((bench.gain(source, CABIN), bench.gain(source, REAR)), ((0, 0), (0, 0)));
        assert_eq!(bench.machine.wanted(source), Some((0, false)));
    }
    assert_eq!(bench.machine.connections().count(), 0);
}

#[test]
fn a_target_that_is_not_there_is_nothing_not_everything() {
    let text = rule(
        "stream.started",
        "true",
        r#"{ disconnect = { source = "source(request.connection)" } }"#,
    )
    .replace(
        "on = \"stream.started\"",
        "on = [\"stream.started\", \"user.connection_request\"]",
    );
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PROMPT);
    assert_eq!(bench.machine.connections().count(), 2);
}

#[test]
fn what_rules_hold_survives_a_restart_by_names() {
    let text = rule(
        PHONE_STARTS,
        BY_PHONE,
        r#"{ limit = { source = "ivi.media", gain_db = -25, sticky = true } },
        { mute = { class = "navigation", sink = "cabin" } }"#,
    );
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PHONE);
    let since = bench.cause(MEDIA, CABIN).since;
    let snapshot = bench.machine.snapshot();
    // Another file: the sources the other way round, the rule two lines further down.
    let mut other = ruled(&format!("\n\n{text}"));
    other.sources.swap(MEDIA, RADIO);
    let (program, _) = super::read(&format!("\n\n{text}"), &other);
    other.rules = program;
    bench.machine = Machine::restore(other, &snapshot).unwrap();
    assert_eq!(bench.gain(RADIO, CABIN).0, -250);
    assert_eq!(
        (bench.cause(RADIO, CABIN).since, bench.cause(RADIO, CABIN).line),
        (since, Some(3))
    );
    bench.start(PROMPT);
    assert_eq!(bench.why(PROMPT, CABIN)[0], CauseKind::RuleMuted);
    bench.release(PHONE);
    assert_eq!(
        (bench.gain(RADIO, CABIN).0, bench.gain(PROMPT, CABIN).0),
        (-250, 0),
        "one is sticky"
    );
    // A file without the rule.
    bench.machine = Machine::restore(car(), &snapshot).unwrap();
    assert_eq!(bench.machine.state.ruled.limits, []);
}

#[test]
fn resume_passes_by_what_is_connected() {
    let text = rule(PHONE_STARTS, BY_PHONE, r#"{ suspend = { source = "ivi.media" } }"#)
        + &rule("stream.released", BY_PHONE, r#"{ resume = { class = "media" } }"#);
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PHONE);
    bench.start(RADIO);
    bench.connect(RADIO, REAR);
    bench.call(Call::Disconnect { connection: 3 });
    assert_eq!(
        bench.state(RADIO, REAR),
        Some(ConnectionState::Connected),
        "the newest of the class"
    );
    bench.release(PHONE);
    assert_eq!(bench.state(MEDIA, CABIN), Some(ConnectionState::Connected));
}
