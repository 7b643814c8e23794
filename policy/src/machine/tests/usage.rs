//! Volume groups, limits, activation windows, fades, mirrors, start-up connections: as the file says them.

use super::fixture::Bench;
use crate::command::{Call, ConnectionState, ReplyBody, Signal};
use crate::event::Event;
use crate::file::{Document, read};
use crate::model::{Model, Restore};
use crate::{MUTE, Machine};

const MEDIA: usize = 0;
const PHONE: usize = 1;
const RADIO: usize = 2;
const CABIN: usize = 0;
const REAR: usize = 1;
const HEADPHONES: usize = 2;

const CAR: &str = r#"
version = 1
zones.cabin = { volume = 50 }
zones.rear = { volume = 50, curve = [[0, "mute"], [100, -10.0]] }
zones.headphones = { volume = 50 }
classes.media = { priority = 10 }
classes.phone = { priority = 70 }

[guests.ivi.streams]
media = { class = "media", zone = "cabin" }
phone = { class = "phone", zone = "cabin" }
radio = { class = "media" }
"#;

fn model(more: &str) -> Model {
    let text = format!("{CAR}{more}");
    let doc = Document::parse(&text);
    let model = read(&doc);
    let report = doc.finish("car.toml");
    assert_eq!(report.to_string(), "");
    model
}

fn bench(more: &str) -> Bench {
    Bench::new(model(more))
}

fn volumes(bench: &Bench) -> Vec<(i16, bool)> {
    (0..3).filter_map(|sink| bench.machine.volume(sink)).collect()
}

fn set_volume(bench: &mut Bench, sink: usize, volume: i16) {
    let sink = bench.machine.sink_id(sink).unwrap();
    assert_eq!(bench.call(Call::SetVolume { sink, volume }).error, 0);
}

const GROUP: &str = "[volume_groups.car]\nsinks = [\"cabin\", \"rear\"]\nvolume = 30\n";

#[test]
fn sinks_of_a_group_have_one_volume_and_one_mute_and_clients_hear_of_each() {
    let mut bench = bench(GROUP);
    assert_eq!(
        volumes(&bench),
        [(30, false), (30, false), (50, false)],
        "the group's own at first"
    );

    set_volume(&mut bench, REAR, 44);

    assert_eq!(volumes(&bench), [(44, false), (44, false), (50, false)]);
    let told = |sink| Signal::VolumeChanged { sink, volume: 44 };
    let signals = bench.signals();
    assert!(
        signals.contains(&told(101)) && signals.contains(&told(102)),
        "{signals:?}"
    );
    bench.call(Call::VolumeStep { sink: 101, step: -4 });
    assert_eq!(volumes(&bench)[REAR].0, 40);
    bench.call(Call::SetSinkMuteState { sink: 101, state: 1 });
    assert_eq!(volumes(&bench), [(40, true), (40, true), (50, false)]);
}

#[test]
fn what_one_volume_means_is_each_sinks_own() {
    let mut bench = bench(GROUP);
    bench.start(MEDIA);
    bench.connect(MEDIA, REAR);
    set_volume(&mut bench, CABIN, 100);
    assert_eq!((bench.gain(MEDIA, CABIN).0, bench.gain(MEDIA, REAR).0), (0, -100));
}

#[test]
fn sources_of_a_group_have_one_wanted_gain_whoever_sets_it() {
    let mut bench = bench("[volume_groups.music]\nclasses = \"media\"\n");
    let source = bench.machine.source_id(MEDIA).unwrap();
    bench.call(Call::SetSourceGain { source, gain: -90 });
    assert_eq!(bench.machine.wanted(RADIO), Some((-90, false)));
    assert_eq!(bench.machine.wanted(PHONE), Some((0, false)));

    bench.step(Event::UserGain {
        source: RADIO,
        gain: -30,
        mute: true,
    });

    assert_eq!(bench.machine.wanted(MEDIA), Some((-30, true)));
    let shown = bench.effects.iter().any(|effect| {
        matches!(
            effect,
            crate::Effect::GuestControl {
                source: MEDIA,
                gain: -30,
                mute: true
            }
        )
    });
    assert!(shown, "the other guest's element shows it: {:?}", bench.effects);
}

#[test]
fn volumes_stay_within_a_zones_limits_and_mean_what_they_meant() {
    let limited = CAR.replace(
        "cabin = { volume = 50 }",
        "cabin = { volume = 50, min_volume = 10, max_volume = 60 }",
    );
    let doc = Document::parse(&limited);
    let mut bench = Bench::new(read(&doc));
    assert_eq!(doc.finish("car.toml").to_string(), "");
    let whole = model("");
    bench.start(MEDIA);
    for (wanted, gets) in [(100, 60), (0, 10), (33, 33)] {
        set_volume(&mut bench, CABIN, wanted);
        assert_eq!(volumes(&bench)[CABIN].0, gets);
        let means = crate::curve::gain(&whole.sinks[CABIN].curve, gets);
        assert_eq!(bench.gain(MEDIA, CABIN).0, means);
    }
}

fn window(on: &str) -> String {
    format!("[[activation]]\nzone = \"cabin\"\nclass = \"media\"\non = \"{on}\"\nmin_volume = 20\nmax_volume = 60\n")
}

/// The cabin's volume after media starts at 90, stops, the radio starts at 5, media starts again at 90 once and twice.
fn activations(on: &str) -> [i16; 4] {
    let mut bench = bench(&window(on));
    let mut found = Vec::new();
    bench.connect(RADIO, CABIN);
    for (source, volume) in [(MEDIA, 90), (RADIO, 5), (MEDIA, 90), (MEDIA, 90)] {
        set_volume(&mut bench, CABIN, volume);
        bench.start(source);
        found.push(volumes(&bench)[CABIN].0);
        bench.release(source);
    }
    found.try_into().unwrap()
}

#[test]
fn a_window_brings_the_volume_into_its_range_when_it_says() {
    assert_eq!(activations("playback"), [60, 20, 60, 60]);
    assert_eq!(activations("source"), [60, 20, 60, 90], "the same source as before");
    assert_eq!(activations("boot"), [60, 5, 90, 90], "the first of its class only");
}

#[test]
fn a_window_is_of_its_classes_and_zones_and_a_user_may_leave_it() {
    let mut bench = bench(&window("playback"));
    set_volume(&mut bench, CABIN, 90);
    bench.start(PHONE);
    assert_eq!(volumes(&bench)[CABIN].0, 90, "another class");
    bench.start(MEDIA);
    assert_eq!(volumes(&bench)[CABIN].0, 60);
    set_volume(&mut bench, CABIN, 80);
    assert_eq!(volumes(&bench)[CABIN].0, 80);
    bench.connect(MEDIA, HEADPHONES);
    assert_eq!(volumes(&bench)[HEADPHONES].0, 50, "another zone");
}

#[test]
fn what_was_active_survives_the_process() {
    let text = window("source");
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.stop(MEDIA);
    bench.machine = Machine::restore(model(&text), &bench.machine.snapshot()).unwrap();
    set_volume(&mut bench, CABIN, 90);
    bench.start(MEDIA);
    assert_eq!(volumes(&bench)[CABIN].0, 90, "still the same source");
}

#[test]
fn a_window_moves_the_whole_group() {
    let mut bench = bench(&format!("{GROUP}{}", window("playback")));
    set_volume(&mut bench, CABIN, 90);
    bench.start(MEDIA);
    assert_eq!((volumes(&bench)[CABIN].0, volumes(&bench)[REAR].0), (60, 60));
}

#[test]
fn a_class_fades_in_and_out_where_no_cell_says_how() {
    let faded = CAR.replace(
        "priority = 10 }",
        "priority = 10, fade_in_ms = 700, fade_out_ms = 900 }",
    );
    let cell =
        "[[matrix]]\nholder = \"media\"\nnewcomer = \"phone\"\naction = \"pause\"\nattack_ms = 11\nrelease_ms = 22\n";
    let text = format!("{faded}{cell}");
    let doc = Document::parse(&text);
    let mut bench = Bench::new(read(&doc));
    assert_eq!(doc.finish("car.toml").to_string(), "");

    bench.start(MEDIA);
    let at_half = bench.gain(MEDIA, CABIN);
    assert_eq!(at_half.1, 700);
    bench.start(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN), (MUTE, 11), "the cell's own");
    bench.stop(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN), (at_half.0, 22));
    bench.call(Call::Disconnect { connection: 1 });
    assert_eq!(bench.gain(MEDIA, CABIN), (MUTE, 900));

    let mut plain = self::bench("");
    plain.start(MEDIA);
    assert_eq!(plain.gain(MEDIA, CABIN).1, 0, "without a fade the first frame is heard");
}

const MIRROR: &str = "[zones.seats]\nmirrors = \"cabin\"\nvolume = 50\n";
const SEATS: usize = 3;

#[test]
fn a_mirror_plays_what_its_original_plays_and_as_long() {
    let mut bench = bench(MIRROR);
    bench.start(MEDIA);
    let connected = Some(ConnectionState::Connected);
    assert_eq!(
        (bench.state(MEDIA, CABIN), bench.state(MEDIA, SEATS)),
        (connected, connected)
    );
    bench.release(MEDIA);
    assert_eq!((bench.state(MEDIA, CABIN), bench.state(MEDIA, SEATS)), (None, None));

    let reply = bench.connect(RADIO, CABIN);
    let ReplyBody::Connection(connection) = reply.body else {
        panic!("{reply:?}");
    };
    bench.start(RADIO);
    assert_eq!(bench.state(RADIO, SEATS), connected, "what a client connects too");
    assert_eq!(bench.state(RADIO, REAR), None);
    bench.release(RADIO);
    assert_eq!(
        (bench.state(RADIO, CABIN), bench.state(RADIO, SEATS)),
        (connected, None)
    );
    bench.start(RADIO);
    assert_eq!(bench.state(RADIO, SEATS), connected, "and again with the stream");
    bench.call(Call::Disconnect { connection });
    assert_eq!((bench.state(RADIO, CABIN), bench.state(RADIO, SEATS)), (None, None));
}

#[test]
fn what_a_client_connected_to_a_mirror_itself_stays() {
    let mut bench = bench(MIRROR);
    bench.start(RADIO);
    bench.connect(RADIO, SEATS);
    let reply = bench.connect(RADIO, CABIN);
    let ReplyBody::Connection(connection) = reply.body else {
        panic!("{reply:?}");
    };
    bench.call(Call::Disconnect { connection });
    assert_eq!(bench.state(RADIO, SEATS), Some(ConnectionState::Connected));
}

const STARTUP: &str = "[[startup]]\nsource = \"ivi.radio\"\nsink = \"rear\"\n";

#[test]
fn a_start_up_connection_is_made_once_and_is_the_users_from_then_on() {
    let mut bench = bench(STARTUP);
    bench.step(Event::Tick);
    assert_eq!(bench.state(RADIO, REAR), Some(ConnectionState::Connected));
    let replies = bench.effects.iter().any(|it| matches!(it, crate::Effect::Reply { .. }));
    assert!(!replies, "nobody asked");
    bench.call(Call::Disconnect { connection: 1 });
    bench.step(Event::Tick);
    assert_eq!(bench.state(RADIO, REAR), None, "it is not made again");
    bench.machine = Machine::restore(model(STARTUP), &bench.machine.snapshot()).unwrap();
    bench.step(Event::Tick);
    assert_eq!(bench.state(RADIO, REAR), None, "nor by the next process");
}

#[test]
fn a_boot_that_brings_connections_back_makes_none_and_one_that_does_not_does() {
    let mut bench = bench(STARTUP);
    bench.step(Event::Tick);
    bench.call(Call::Disconnect { connection: 1 });
    let kept = bench.machine.lasting();
    for (connections, made) in [(true, false), (false, true)] {
        let restore = Restore {
            volumes: true,
            connections,
        };
        let mut next = Bench::new(model(STARTUP));
        next.machine = Machine::restore_lasting(model(STARTUP), &kept, restore).unwrap();
        next.step(Event::Tick);
        assert_eq!(next.state(RADIO, REAR).is_some(), made);
    }
}

#[test]
fn a_reload_connects_what_is_new_at_the_start_only() {
    let mut bench = bench("");
    bench.step(Event::Tick);
    bench.machine.reload(model(STARTUP), bench.now).unwrap();
    bench.step(Event::Tick);
    assert!(bench.state(RADIO, REAR).is_some());
    bench.call(Call::Disconnect { connection: 1 });
    bench.machine.reload(model(STARTUP), bench.now).unwrap();
    bench.step(Event::Tick);
    assert_eq!(bench.state(RADIO, REAR), None);
}
