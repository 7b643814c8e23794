//! What limits and mutes of rules do to what is heard, and that they end with their cause.

use super::super::fixture::*;
use super::{BY_PHONE, PHONE_STARTS, bench, on_phone, rule, ruled};
use crate::command::Call;
use crate::effect::{Cause, CauseKind, Mode};
use crate::{Event, MUTE};

#[test]
fn a_limit_holds_its_source_at_or_below_its_gain_while_the_cause_sounds() {
    let mut bench = on_phone(r#"{ limit = { source = "ivi.media", gain_db = -20.0, ramp_ms = 300 } }"#);
    bench.start(MEDIA);
    bench.start(PHONE);
    let since = bench.now;
    assert_eq!(bench.gain(MEDIA, CABIN), (-200, 300));
    let line = Some(5);
    let kind = CauseKind::Limited;
    assert_eq!(
        bench.cause(MEDIA, CABIN),
        Cause {
            kind,
            gain: -200,
            since,
            line
        }
    );

    bench.stop(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN), (0, 300), "over with its cause, by its ramp");
    bench.release(PHONE);
    assert_eq!(
        bench.machine.state.ruled.limits,
        [],
        "and forgotten with its connection"
    );
}

#[test]
fn a_limit_is_a_cap_not_an_attenuation() {
    let mut bench = on_phone(r#"{ limit = { source = "ivi.media", gain_db = -20.0 } }"#);
    bench.start(MEDIA);
    bench.call(Call::SetVolume { sink: 101, volume: 7 });
    bench.start(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN).0, -200, "the volume's -15 dB are part of it");
    bench.call(Call::SetVolume { sink: 101, volume: 2 });
    assert_eq!(bench.gain(MEDIA, CABIN).0, -400, "what is quieter stays so");
    bench.call(Call::SetVolume { sink: 101, volume: 10 });
    assert_eq!(bench.gain(MEDIA, CABIN).0, -200);
}

#[test]
fn a_limit_below_its_cause_follows_it() {
    let mut bench = on_phone(r#"{ limit = { class = "media", below_db = -10, cause = "request.source" } }"#);
    bench.start(MEDIA);
    bench.start(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN).0, -100);
    let phone = bench.machine.source_id(PHONE).unwrap();
    bench.call(Call::SetSourceGain {
        source: phone,
        gain: -50,
    });
    assert_eq!(bench.gain(MEDIA, CABIN).0, -150);
}

#[test]
fn of_several_limits_the_strictest_counts_and_each_is_ended_by_its_pattern() {
    let limit = |gain: &str, pattern: u8| {
        format!("{{ limit = {{ class = \"media\", gain_db = {gain}, pattern = {pattern}, sticky = true }} }}")
    };
    let limits = format!("{},\n{}", limit("-20", 1), limit("-10", 2));
    let unlimit = |volume: &str, pattern: &str| {
        let then = format!("{{ unlimit = {{ class = \"media\"{pattern} }} }}");
        rule("user.set_volume", &format!("request.main_volume == {volume}"), &then)
    };
    let text = [
        rule(PHONE_STARTS, BY_PHONE, &limits),
        unlimit("1", ", pattern = 1"),
        unlimit("2", ", pattern = 2"),
        unlimit("3", ", pattern = 3"),
    ];
    let mut model = ruled(&text.concat());
    model.classes[CLASS_PHONE].priority = 10;
    let mut bench = Bench::new(model);
    let rear = 102;
    let volume = |bench: &mut Bench, volume| {
        bench.call(Call::SetVolume { sink: rear, volume });
        bench.gain(MEDIA, CABIN).0
    };
    bench.start(MEDIA);
    bench.start(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN).0, -200);
    bench.release(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN).0, -200, "sticky");
    assert_eq!(volume(&mut bench, 2), -200, "the other one is gone");
    assert_eq!(volume(&mut bench, 1), 0);
    bench.start(PHONE);
    assert_eq!(volume(&mut bench, 3), 0, "both are covered");
}

#[test]
fn an_unlimit_without_a_target_ends_all_limits() {
    let text = rule(
        PHONE_STARTS,
        BY_PHONE,
        r#"{ limit = { class = "media", gain_db = -20, sticky = true } }"#,
    ) + &rule("user.set_volume", "true", "{ unlimit = {} }");
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PHONE);
    bench.release(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN).0, -200);
    bench.call(Call::SetVolume { sink: 102, volume: 3 });
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0);
}

#[test]
fn duck_and_limit_do_not_add_up() {
    let text = |gain: &str| {
        rule(
            "stream.started",
            "true",
            &format!(r#"{{ limit = {{ class = "media", gain_db = {gain} }} }}"#),
        )
    };
    for (gain, expected, kind) in [
        ("-10", -140, CauseKind::Ducked { by: PROMPT }),
        ("-20", -200, CauseKind::Limited),
    ] {
        let mut bench = bench(&text(gain).replace("'true'", r#"'class(request.source) == "navigation"'"#));
        bench.start(MEDIA);
        bench.start(PROMPT);
        assert_eq!(
            (bench.gain(MEDIA, CABIN).0, bench.why(MEDIA, CABIN)),
            (expected, vec![kind])
        );
    }
}

#[test]
fn a_rule_that_overrides_goes_before_the_cell_but_never_before_a_safety_source() {
    let text = rule(
        "stream.started",
        r#"class(request.source) == "navigation""#,
        r#"{ limit = { class = "media", gain_db = -5 } }"#,
    ) + "overrides = true\n";
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PROMPT);
    assert_eq!(
        (bench.gain(MEDIA, CABIN).0, bench.why(MEDIA, CABIN)),
        (-50, vec![CauseKind::Limited])
    );
    bench.sound(BELT, true);
    assert_eq!(
        (bench.gain(MEDIA, CABIN).0, bench.why(MEDIA, CABIN)),
        (-200, vec![CauseKind::Ducked { by: BELT }])
    );
    bench.sound(BELT, false);
    assert_eq!(bench.gain(MEDIA, CABIN).0, -50);
}

#[test]
fn a_mute_silences_until_it_is_unmuted_or_its_cause_ends() {
    let text = rule(
        PHONE_STARTS,
        BY_PHONE,
        r#"{ mute = { class = "media", sink = "cabin", ramp_ms = 0 } }"#,
    ) + &rule("user.set_volume", "true", "{ unmute = {} }");
    let mut model = ruled(&text);
    model.classes[CLASS_PHONE].priority = 10;
    let mut bench = Bench::new(model);
    bench.start(MEDIA);
    bench.connect(MEDIA, REAR);
    bench.start(PHONE);
    assert_eq!(
        (bench.gain(MEDIA, CABIN).0, bench.why(MEDIA, CABIN)),
        (MUTE, vec![CauseKind::RuleMuted])
    );
    assert_eq!(bench.gain(MEDIA, REAR).0, 0, "only there");
    assert_eq!(bench.mode(MEDIA), Mode::Play);
    bench.call(Call::SetVolume { sink: 102, volume: 10 });
    assert_eq!(bench.gain(MEDIA, CABIN).0, MUTE, "the request's sink is another");
    bench.call(Call::SetVolume { sink: 101, volume: 10 });
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0);
    bench.start(RADIO);
    bench.stop(PHONE);
    bench.start(PHONE);
    assert_eq!(bench.gain(RADIO, CABIN).0, MUTE);
    bench.release(PHONE);
    assert_eq!(bench.gain(RADIO, CABIN).0, 0);
}

#[test]
fn who_a_rule_silences_ducks_nobody() {
    let text = rule(
        "stream.started",
        r#"class(request.source) == "phone""#,
        r#"{ mute = { class = "navigation" } }"#,
    );
    let mut model = ruled(&text);
    model.classes[CLASS_PHONE].priority = 10;
    let mut bench = Bench::new(model);
    bench.start(MEDIA);
    bench.start(PROMPT);
    assert_eq!(bench.gain(MEDIA, CABIN).0, -140);
    bench.start(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0);
}

#[test]
fn a_limit_for_a_domains_source_lasts_while_it_interrupts() {
    use crate::routing_command::{DomainData, RoutingCall, SourceData};
    let text = rule(
        "system.interrupt_state_changed",
        "request.interrupt == interrupted",
        r#"{ limit = { class = "media", gain_db = -30 } }"#,
    );
    let mut bench = bench(&text);
    let routing = |bench: &mut Bench, call| {
        let peer = ":1.1".to_owned();
        bench.step(Event::Routing { token: 1, peer, call });
    };
    let domain = DomainData {
        name: "tuner".to_owned(),
        ..DomainData::default()
    };
    routing(&mut bench, RoutingCall::RegisterDomain(domain));
    let source = SourceData {
        domain: 101,
        name: "announcement".to_owned(),
        class: 102,
        interrupt: 1,
        ..SourceData::default()
    };
    routing(&mut bench, RoutingCall::RegisterSource(source));
    let source = *bench.machine.registry().sources.keys().next().unwrap();
    bench.start(MEDIA);
    routing(&mut bench, RoutingCall::HookInterruptStatusChange { source, state: 2 });
    assert_eq!(bench.gain(MEDIA, CABIN).0, -300);
    routing(&mut bench, RoutingCall::HookInterruptStatusChange { source, state: 1 });
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0);
}

#[test]
fn several_limits_of_one_line_are_told_apart_by_their_pattern() {
    let text = rule(
        PHONE_STARTS,
        BY_PHONE,
        r#"{ limit = { class = "media", gain_db = -30, pattern = 1 } }, { limit = { class = "media", gain_db = -25, pattern = 2 } }"#,
    ) + &rule(
        "user.set_volume",
        "true",
        r#"{ unlimit = { class = "media", pattern = 1 } }"#,
    );
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.start(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN).0, -300);
    bench.call(Call::SetVolume { sink: 102, volume: 3 });
    assert_eq!(bench.gain(MEDIA, CABIN).0, -250);
}
