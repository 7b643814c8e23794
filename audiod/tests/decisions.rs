//! When what was decided is heard, and what is not, in samples: policy, gain table, engine and the record of decisions on the codec's
//! own clock.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod engine_common;

use dbus_api::history::Decision;
use engine_common::car::{Car, FILE, constant};
use engine_common::{FakeStream, PERIOD, noise};
use policy::command::{Call, ReplyBody};
use policy::routing_command::{DomainData, DomainRequest, Lists, RoutingCall, SinkData, SourceData};

/// IDs of the first zone and of the first source that clients see.
const CABIN: u16 = 101;

/// Music of one value, so that every gain can be read off the samples; and a prompt of silence.
fn car(periods: usize) -> Car {
    Car::new(FILE, vec![constant(0.5, periods), constant(0.0, periods)])
}

/// The period that a decision took effect with, and its first frame.
fn effect(decision: &Decision) -> (u64, u64, usize) {
    let effect = &decision.effects[0];
    (effect.queued, effect.period.unwrap(), effect.frame.unwrap() as usize)
}

/// Frames at which the level begins to move, having stood.
fn moves(left: &[f32]) -> Vec<usize> {
    let stands = |at: &usize| left[at - 2] == left[at - 1] && left[*at] != left[at - 1];
    (2..left.len()).filter(stands).collect()
}

#[test]
fn a_decision_takes_effect_at_the_next_periods_edge_and_its_ramp_begins_with_that_frame() {
    let mut car = car(2000);
    car.start(0);
    car.run(100);
    let settled = car.left().len();
    let before = car.decisions().len();
    for volume in [60, 100, 40, 90, 10] {
        car.call(Call::SetVolume { sink: CABIN, volume });
        car.run(37);
    }
    car.start(1);
    car.run(60);

    let left = car.left();
    let decided = &car.decisions()[before..];
    assert_eq!(decided.len(), 6);
    let frames: Vec<usize> = decided.iter().map(|it| effect(it).2).collect();
    for decision in decided {
        let (queued, period, frame) = effect(decision);
        assert_eq!(period, queued + 1, "{decision:?}");
        assert_eq!(frame, queued as usize * PERIOD, "{decision:?}");
    }
    assert_eq!(
        moves(&left[settled - 2..])
            .iter()
            .map(|at| at + settled - 2)
            .collect::<Vec<_>>(),
        frames
    );
}

#[test]
fn several_decisions_between_two_edges_take_effect_as_one_and_are_recorded_so() {
    let mut car = car(500);
    car.start(0);
    car.run(50);
    let before = car.decisions().len();
    for volume in [20, 40, 60] {
        car.call(Call::SetVolume { sink: CABIN, volume });
    }
    car.run(50);

    let left = car.left();
    let decided: Vec<_> = car.decisions()[before..].iter().map(effect).collect();
    assert_eq!(decided, [(50, 51, 50 * PERIOD); 3]);
    assert_eq!(moves(&left[50 * PERIOD - 2..]), [2]);
    let mut only_last = self::car(500);
    only_last.start(0);
    only_last.run(50);
    only_last.call(Call::SetVolume {
        sink: CABIN,
        volume: 60,
    });
    only_last.run(50);
    assert_eq!(left, only_last.left());
}

#[test]
fn a_decision_that_changes_nothing_heard_has_no_period() {
    let mut car = car(100);
    car.start(0);
    car.run(10);
    car.call(Call::SetVolume { sink: 999, volume: 7 });
    car.run(10);

    let last = car.decisions().pop().unwrap();
    assert_eq!(
        (last.about.as_str(), last.effects.len()),
        ("SetVolume sink 999 to 7", 0)
    );
    assert_eq!(last.error, Some(policy::command::error::OUT_OF_RANGE));
}

/// A domain with a source and a sink of its own that acknowledges nothing.
fn silent_amplifier(car: &mut Car) -> (u16, u16) {
    let name = "amplifier".to_owned();
    let domain = car.registered(RoutingCall::RegisterDomain(DomainData {
        name: name.clone(),
        bus_name: "a.b".to_owned(),
        path: "/a".to_owned(),
        interface: "a.b".to_owned(),
        ..DomainData::default()
    }));
    let lists = Lists {
        formats: vec![2],
        ..Lists::default()
    };
    let sink = car.registered(RoutingCall::RegisterSink(SinkData {
        domain,
        name: "speakers".to_owned(),
        visible: true,
        mute: 2,
        main_volume: 50,
        availability: (1, 0),
        lists: lists.clone(),
        ..SinkData::default()
    }));
    let source = car.registered(RoutingCall::RegisterSource(SourceData {
        domain,
        name: "tuner".to_owned(),
        visible: true,
        state: 2,
        availability: (1, 0),
        lists,
        ..SourceData::default()
    }));
    (source, sink)
}

#[test]
fn an_amplifier_that_never_acknowledges_delays_no_duck() {
    let mut waiting = car(1000);
    let (source, sink) = silent_amplifier(&mut waiting);
    waiting.start(0);
    waiting.run(100);
    let reply = waiting.call(Call::Connect { source, sink });
    assert!(matches!((reply.error, reply.body), (0, ReplyBody::Connection(1..))));
    waiting.call(Call::SetVolume { sink, volume: 20 });
    waiting.run(50);
    assert!(
        matches!(waiting.policy.asked[0], DomainRequest::SetSinkVolume { .. }),
        "{:?}",
        waiting.policy.asked
    );
    let open = waiting.policy.asked.len();

    waiting.start(1);
    waiting.run(100);

    let duck = waiting.decisions().pop().unwrap();
    assert_eq!(duck.about, "cluster.prompt was started");
    assert_eq!(effect(&duck), (150, 151, 150 * PERIOD));
    assert_eq!(waiting.policy.asked.len(), open, "nobody was asked about the duck");
    // The very samples of a car without that amplifier: 20 ms from the edge on, down to -12 dB.
    let mut alone = car(1000);
    alone.start(0);
    alone.run(150);
    alone.start(1);
    alone.run(100);
    let left = waiting.left();
    assert_eq!(left, alone.left());
    let depth = 0.5 * 10f32.powf(-12.0 / 20.0);
    let grain = 1.0 / (1 << 23) as f32;
    assert_eq!(moves(&left[150 * PERIOD - 2..]), [2]);
    assert!((left[150 * PERIOD + 20 * 48 - 1] - depth).abs() <= grain);
    assert!(left[150 * PERIOD + 20 * 48 - 2] > depth + grain);
}

/// Music in the cabin, left, and a tone in the rear, right.
const TWO_ZONES: &str = r#"version = 1
[codecs.main]
backend = "null"
format = "S24"
period = 48
lead = 2

[zones.cabin]
codec = "main"
channels = [0]
[zones.rear]
codec = "main"
channels = [1]
curve = [[0, -40], [100, 0]]

[classes.media]
priority = 10

[guests.ivi]
socket = "ivi.sock"
streams.media = { class = "media", zone = "cabin" }
[guests.tablet]
socket = "tablet.sock"
streams.media = { class = "media", zone = "rear" }
"#;

/// The reloaded policies: another for the rear each time, in ever other ways, and the same for the cabin.
fn other_policy(round: usize) -> String {
    let rear = format!("curve = [[0, -40], [100, -{}]]", round % 30 + 1);
    let other = TWO_ZONES.replace("curve = [[0, -40], [100, 0]]", &rear);
    match round % 3 {
        0 => other,
        1 => other + "[classes.prompt]\npriority = 50\n",
        _ => other.replace("channels = [1]", "channels = [1]\nramp_ms = 40"),
    }
}

fn music(frames: usize) -> Vec<f32> {
    let grain = (1 << 15) as f32;
    noise(8, frames)
        .iter()
        .map(|x| (x * 0.4 * grain).round() / grain)
        .collect()
}

/// A thousand reloads, a period to three apart, and `besides` after each; what is played must be the music to the bit.
fn reloaded(mut besides: impl FnMut(&mut Car, usize)) -> (Vec<f32>, Vec<f32>, u64) {
    let frames = 3000 * PERIOD;
    let music = music(frames);
    let bytes = music.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut car = Car::new(
        TWO_ZONES,
        vec![FakeStream::playing(19, 1, 7, bytes), constant(0.5, 3000)],
    );
    car.start(0);
    car.start(1);
    // Its fade in is over.
    car.run(500);
    let before = car.bench.block.gains.batch();
    for round in 0..1000 {
        car.reload(&other_policy(round));
        besides(&mut car, round);
        car.run(round as u64 % 3 + 1);
    }
    let left = car.left();
    let batches = u64::from(car.bench.block.gains.batch() - before);
    let music = music[500 * PERIOD..left.len()].to_vec();
    (left[500 * PERIOD..].to_vec(), music, batches)
}

#[test]
fn a_thousand_reloads_change_no_sample_of_a_connection_that_the_policy_says_the_same_of() {
    let (left, music, batches) = reloaded(|_, _| {});

    assert_eq!(left.len(), 2000 * PERIOD - PERIOD);
    assert!(batches >= 1000, "{batches} batches only: a reload publishes one");
    assert_eq!(left.iter().zip(&music).position(|(is, wanted)| is != wanted), None);
}

#[test]
fn a_reload_that_touches_the_music_is_heard_and_only_from_its_edge_on() {
    let quieter = |car: &mut Car, round: usize| {
        if round == 700 {
            car.reload(&other_policy(round).replace("channels = [0]", "channels = [0]\ncurve = [[0, -40], [100, -6]]"));
        }
    };
    let (left, music, _) = reloaded(quieter);

    let first = left.iter().zip(&music).position(|(is, wanted)| is != wanted);
    let periods: usize = (0..700).map(|round| round % 3 + 1).sum();
    // Music may be 0 at that very frame.
    let frame = (periods * PERIOD..).find(|at| music[*at] != 0.0);
    assert_eq!(first, frame);
}
