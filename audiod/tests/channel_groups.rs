//! Ducks by channel group, in samples: policy, gain table and engine on the codec's own clock.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod engine_common;

use engine_common::car::{Car, constant};
use engine_common::{FakeStream, PERIOD};

/// Codec channels: front left and right, rear left and right, centre.
const CHANNELS: usize = 5;

/// Music in a cabin of two groups; the centre is in none.
const FILE: &str = r#"version = 1
[codecs.main]
backend = "null"
format = "S24"
channels = 5
period = 48
lead = 2

[zones.cabin]
codec = "main"
[zones.cabin.groups]
front = [0, 1]
rear = [2, 3]

[classes.media]
priority = 10
[classes.prompt]
priority = 50
[classes.call]
priority = 70
[classes.warning]
safety = true

[[matrix]]
holder = "media"
newcomer = "prompt"
action = "duck"
depth_db = 0.0
group_depth_db = { front = -12.0, rear = -6.0 }
attack_ms = 20
release_ms = 40

[[matrix]]
holder = "media"
newcomer = "call"
action = "duck"
depth_db = -20.0
group_depth_db = { front = -3.0, rear = -30.0 }
attack_ms = 20
release_ms = 40

[guests.ivi]
socket = "ivi.sock"
streams.media = { class = "media", zone = "cabin", channels = 5 }
[guests.cluster]
socket = "cluster.sock"
streams.prompt = { class = "prompt", zone = "cabin" }
[guests.phone]
socket = "phone.sock"
streams.call = { class = "call", zone = "cabin" }
[guests.partition]
socket = "partition.sock"
streams.tone = { class = "warning", zone = "cabin", channels = 5 }
"#;

/// A stream of one value in each of five channels.
fn five(value: f32, periods: usize) -> FakeStream {
    let bytes = value.to_le_bytes().repeat(CHANNELS * periods * PERIOD);
    FakeStream::playing(19, CHANNELS as u32, 7, bytes)
}

fn car() -> Car {
    let silent = || constant(0.0, 1000);
    Car::new(FILE, vec![five(0.25, 1000), silent(), silent(), five(0.125, 1000)])
}

/// The last frame played, in dB against the music's own level.
fn levels(car: &Car) -> Vec<f32> {
    let played = car.bench.played_samples();
    let last = &played[played.len() - CHANNELS..];
    last.iter().map(|it| 20.0 * (it / 0.25).log10()).collect()
}

fn assert_levels(car: &Car, wanted: [f32; CHANNELS]) {
    let levels = levels(car);
    let near = levels
        .iter()
        .zip(&wanted)
        .all(|(is, wanted)| (is - wanted).abs() < 0.01);
    assert!(near, "{levels:?}, not {wanted:?}");
}

#[test]
fn a_prompt_ducks_the_front_by_12_db_and_the_rear_by_6_and_channels_of_no_group_as_the_cell_says() {
    let mut car = car();
    car.start(0);
    car.run(30);
    assert_levels(&car, [0.0; CHANNELS]);

    car.start(1);
    car.run(10);
    let halfway = levels(&car);
    car.run(20);

    assert!(
        halfway[0] < -3.0 && halfway[0] > -12.0 && halfway[2] > halfway[0],
        "{halfway:?}"
    );
    assert_levels(&car, [-12.0, -12.0, -6.0, -6.0, 0.0]);
    car.stop(1);
    car.run(60);
    assert_levels(&car, [0.0; CHANNELS]);
}

#[test]
fn of_two_ducks_each_channel_group_has_the_deeper_of_its_own() {
    let mut car = car();
    car.start(0);
    car.start(1);
    car.start(2);

    car.run(60);

    assert_levels(&car, [-12.0, -12.0, -30.0, -30.0, -20.0]);
}

#[test]
fn a_duck_without_depths_of_groups_is_the_same_in_all_channels() {
    let mut file = FILE.to_owned();
    file.replace_range(
        file.find("group_depth_db").unwrap()..file.find("attack_ms").unwrap(),
        "",
    );
    let file = file.replacen("depth_db = 0.0", "depth_db = -9.0", 1);
    let mut car = Car::new(
        &file,
        vec![five(0.25, 500), constant(0.0, 500), constant(0.0, 1), five(0.0, 1)],
    );
    car.start(0);
    car.start(1);

    car.run(60);

    assert_levels(&car, [-9.0; CHANNELS]);
}

#[test]
fn a_safety_stream_sounds_in_all_channels_of_a_zone_with_groups() {
    let mut car = car();
    car.start(3);

    car.run(30);

    assert_levels(&car, [20.0 * 0.5_f32.log10(); CHANNELS]);
}

#[test]
fn a_reload_changes_the_depth_of_a_group_and_leaves_the_others_alone() {
    let mut car = car();
    car.start(0);
    car.start(1);
    car.run(60);

    car.reload(&FILE.replacen("front = -12.0", "front = -18.0", 1));
    car.run(60);

    assert_levels(&car, [-18.0, -18.0, -6.0, -6.0, 0.0]);
}
