//! What a guest sees of the policy, and the policy of a guest: jacks, PCM states, streams that are heard nowhere.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use system_tests::daemon::Daemon;
use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{EVENTQ, TXQ, code};
use system_tests::frontend::{Options, SoundFrontend};
use system_tests::process::until;

const LIMIT: Duration = Duration::from_secs(10);
/// Streams and jacks in the order of their names.
const SYSTEM: &str = r#"
version = 1
bus = "@BUS@"
[codecs.main]
backend = "null"
[zones.cabin]
codec = "main"
volume = 70
[classes.media]
priority = 10
[classes.sound]
priority = 5
[[matrix]]
holder = "media"
newcomer = "sound"
newcomer_action = "reject"
[guests.ivi]
socket = "@FOLDER@/ivi.sock"
streams.discarded = { class = "media", nid = 2 }
streams.music = { class = "media", zone = "cabin", nid = 0 }
streams.sounds = { class = "sound", zone = "cabin", nid = 1 }
jacks.line = { kind = "line-in" }
jacks.phones = { kind = "headphone", nid = 1 }
jacks.speaker = { kind = "speaker" }
[guests.rse]
socket = "@FOLDER@/rse.sock"
streams.stalled = { class = "media", unrouted = "stall" }
[[rules]]
name = "quiet-while-music-runs"
on = "stream.started"
when = 'request.source == "ivi.music"'
do = [{ set_volume = { sink = "cabin", main_volume = 20 } }]
[[rules]]
name = "loud-again"
on = "stream.stopped"
when = 'request.source == "ivi.music"'
do = [{ set_volume = { sink = "cabin", main_volume = 60 } }]
"#;
const DISCARDED: u32 = 0;
const MUSIC: u32 = 1;
const PHONES: u32 = 1;
const PLUGGED: u32 = 0x1000;
const UNPLUGGED: u32 = 0x1001;

struct Car {
    folder: PathBuf,
    daemon: Daemon,
}

impl Car {
    fn start(name: &str) -> Self {
        Self::start_with(name, SYSTEM)
    }

    fn start_with(name: &str, system: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("carillon-sees-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let place = folder.display().to_string();
        let daemon = Daemon::start(&folder, |bus| system.replace("@BUS@", bus).replace("@FOLDER@", &place)).unwrap();
        Self { folder, daemon }
    }

    fn guest(&self, name: &str) -> SoundFrontend {
        SoundFrontend::connect(&self.folder.join(format!("{name}.sock")), Options::default()).unwrap()
    }

    /// The cabin's mainVolume.
    fn volume(&self) -> i64 {
        let status = self.daemon.status().unwrap();
        status["zones"][0]["volume"].as_i64().unwrap()
    }
}

impl Drop for Car {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn open(guest: &mut SoundFrontend, stream: u32) -> Pcm {
    let params = guest.pcm_info().unwrap()[stream as usize].params(5, 480, 4);
    Pcm::open(guest, TXQ, stream, params).unwrap()
}

fn start(guest: &mut SoundFrontend, stream: u32) -> Pcm {
    let pcm = open(guest, stream);
    pcm.fill(guest).unwrap();
    pcm.start(guest).unwrap();
    pcm
}

/// line, phones, speaker: 1 = plugged.
fn jacks(guest: &mut SoundFrontend) -> [u8; 3] {
    let info = guest.info(code::JACK_INFO, 0, 3, 24).unwrap();
    [0, 1, 2].map(|jack| info.bytes[4 + 24 * jack + 16])
}

/// Events of jacks until `last` came.
fn jack_events(guest: &mut SoundFrontend, last: (u32, u32)) -> Vec<(u32, u32)> {
    let end = Instant::now() + LIMIT;
    let of_jacks = |guest: &mut SoundFrontend| -> Vec<(u32, u32)> {
        let all = guest.events().into_iter();
        all.filter(|it| [PLUGGED, UNPLUGGED].contains(&it.0)).collect()
    };
    let mut seen = of_jacks(guest);
    while !seen.contains(&last) && Instant::now() < end {
        guest.pause(EVENTQ, end);
        seen.extend(of_jacks(guest));
    }
    seen
}

#[test]
fn a_jack_shows_whether_a_route_could_be_made_and_not_whether_one_is() {
    let car = Car::start("jacks");
    let mut guest = car.guest("ivi");
    assert_eq!(
        jacks(&mut guest),
        [1, 1, 1],
        "nothing is connected, everything could be"
    );

    // Music's own jack stays as it is; sounds would be refused beside it.
    let music = start(&mut guest, MUSIC);
    assert_eq!(jack_events(&mut guest, (UNPLUGGED, PHONES)), [(UNPLUGGED, PHONES)]);
    assert_eq!(jacks(&mut guest), [1, 0, 1]);
    music.stop(&mut guest).unwrap();
    assert_eq!(jack_events(&mut guest, (PLUGGED, PHONES)), [(PLUGGED, PHONES)]);
    assert_eq!(jacks(&mut guest), [1, 1, 1]);
}

/// The jack's moves are the policy's doing: where that refuses nobody it stays plugged, which the test above would notice.
#[test]
fn a_jack_stays_plugged_beside_music_that_refuses_nobody() {
    let beside_music = |name: &str, system: &str| {
        let car = Car::start_with(name, system);
        let mut guest = car.guest("ivi");
        let _music = start(&mut guest, MUSIC);
        // What its start decides is shown by now.
        until("the rule of its start", LIMIT, || (car.volume() == 20).then_some(())).unwrap();
        jacks(&mut guest)
    };
    let milder = SYSTEM.replace("newcomer_action = \"reject\"\n", "newcomer_action = \"play\"\n");
    assert_ne!(milder, SYSTEM);

    assert_eq!(beside_music("jack-refused", SYSTEM), [1, 0, 1]);
    assert_eq!(beside_music("jack-welcome", &milder), [1, 1, 1]);
}

#[test]
fn a_pcm_state_sets_off_rules() {
    let car = Car::start("states");
    let mut guest = car.guest("ivi");
    assert_eq!(car.volume(), 70);

    let music = start(&mut guest, MUSIC);
    until("the rule of its start", LIMIT, || (car.volume() == 20).then_some(())).unwrap();
    music.stop(&mut guest).unwrap();
    until("the rule of its stop", LIMIT, || (car.volume() == 60).then_some(())).unwrap();
}

#[test]
fn a_stream_without_a_route_is_consumed_or_stalls_as_the_policy_says() {
    let car = Car::start("unrouted");
    let (mut guest, mut other) = (car.guest("ivi"), car.guest("rse"));
    let _stalled = start(&mut other, 0);
    let discarded = open(&mut guest, DISCARDED);

    // Ten times its ring, at its rate.
    let began = Instant::now();
    let data = vec![0; 40 * discarded.params.period_bytes as usize];
    let stats = discarded.play(&mut guest, &data).unwrap();
    let took = began.elapsed();
    assert_eq!((stats.lost, stats.errors), (0, 0), "{stats:?}");
    assert!(took >= Duration::from_millis(300), "{took:?} for 400 ms");
    assert_eq!(other.queues[TXQ].used_index(), 0, "it has waited all the while");
}
