//! `audioctl why` on the shipped daemon: each cause is planted for real, and the first silent link is the one named.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "domains/amplifier.rs"]
mod amplifier;
#[path = "faults/card.rs"]
mod card;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use amplifier::Amplifier;
use audiod::codec::now_ns;
use serde_json::Value;
use system_tests::daemon::Daemon;
use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{S_OK, TXQ, code, words};
use system_tests::frontend::{Options, SoundFrontend};
use system_tests::process::until;
use system_tests::rig::{Folder, PATIENCE};

/// Streams in the order of their names.
const SYSTEM: &str = r#"version = 1
bus = "@BUS@"
decision_limit_ms = 1000
[codecs.main]
backend = "wav"
path = "cabin.wav"
period = 240
lead = 16
channels = 4
[zones.cabin]
codec = "main"
channels = [0, 1]
[zones.rear]
codec = "main"
channels = [2, 3]
[classes.media]
priority = 10
[classes.navigation]
priority = 50
[classes.phone]
priority = 90
[[matrix]]
holder = "media"
newcomer = "navigation"
action = "duck"
depth_db = -14.0
[[matrix]]
holder = "phone"
newcomer = "media"
newcomer_action = "reject"
[[matrix]]
holder = "media"
newcomer = "phone"
action = "pause"
[guests.ivi]
socket = "ivi.sock"
streams.loose = { class = "media" }
streams.media = { class = "media", zone = "cabin" }
[guests.cluster]
socket = "cluster.sock"
streams.call = { class = "phone", zone = "cabin" }
streams.limits = { class = "phone", zone = "rear" }
streams.mutes = { class = "phone", zone = "rear" }
streams.prompt = { class = "navigation", zone = "cabin" }
streams.suspends = { class = "phone", zone = "rear" }
[[rules]]
name = "limiter"
on = "stream.started"
when = 'request.source == "cluster.limits"'
do = [{ limit = { class = "media", gain_db = -20.0 } }]
[[rules]]
name = "muter"
on = "stream.started"
when = 'request.source == "cluster.mutes"'
do = [{ mute = { class = "media" } }]
[[rules]]
name = "suspender"
on = "stream.started"
when = 'request.source == "cluster.suspends"'
do = [{ suspend = { sink = "cabin", except_class = "phone" } }]
"#;
/// What is loose goes to the speakers of another process, through the cabin.
const AMPLIFIER: &str = r#"
[domains.amplifier]
bus_name = "org.example.Amplifier"
ack_ms = 20000
sinks.speakers = {}
sources.cabin_in = { visible = false, formats = "stereo", class = "media", register = "policy" }
[gateways.cabin]
domain = "amplifier"
sink = "cabin"
source = "cabin_in"
matrix = [["stereo", "stereo"]]
register = "policy"
"#;
const LOOSE: u32 = 0;
const MEDIA: u32 = 1;
const CALL: u32 = 0;
const LIMITS: u32 = 1;
const MUTES: u32 = 2;
const PROMPT: u32 = 3;
const SUSPENDS: u32 = 4;
/// Control elements of the music: volume and switch, after those of the stream before it.
const MEDIA_VOLUME: u32 = 2;
const MEDIA_SWITCH: u32 = 3;

struct Car {
    folder: Folder,
    daemon: Daemon,
}

impl Car {
    fn start(name: &str) -> Self {
        Self::with(name, "")
    }

    fn with(name: &str, more: &str) -> Self {
        let folder = Folder::new(name).unwrap();
        let daemon = Daemon::start(folder.path(), |bus| SYSTEM.replace("@BUS@", bus) + more).unwrap();
        until("it is on its bus", PATIENCE, || daemon.audioctl(&["status"]).ok()).unwrap();
        Self { folder, daemon }
    }

    fn guest(&self, name: &str) -> SoundFrontend {
        SoundFrontend::connect(&self.folder.path().join(format!("{name}.sock")), Options::default()).unwrap()
    }

    /// One that plays these bytes, over and over; heard of by the policy.
    fn plays(&self, name: &str, stream: u32, byte: u8) -> Playing {
        Playing::start(self.guest(name), stream, byte)
    }

    fn why(&self, name: &str) -> Value {
        serde_json::from_str(&self.daemon.audioctl(&["--json", "why", name]).unwrap()).unwrap()
    }

    /// Why something is silent, once what was planted has come to be: heard or not, link, by whom, the file's line.
    fn says(&self, name: &str, link: &str) -> (bool, String, Option<String>) {
        let found = until(link, PATIENCE, || {
            let why = self.why(name);
            let links = why["links"].as_array().unwrap();
            let first = links.first().filter(|first| first["link"] == link)?;
            let text = |key: &str| first[key].as_str().unwrap_or_default().to_owned();
            let line = first["line"]
                .as_u64()
                .map(|line| SYSTEM.lines().nth(line as usize - 1).unwrap().to_owned());
            Some((why["heard"].as_bool().unwrap(), text("by"), line))
        });
        found.unwrap_or_else(|error| panic!("{error}: {}", self.why(name)))
    }

    fn until_heard(&self, name: &str) {
        let heard = || self.why(name)["heard"].as_bool().filter(|heard| *heard);
        until("it is heard", PATIENCE, heard).unwrap();
    }

    /// That it is silent for this, because of nobody and no line.
    fn is_silent(&self, name: &str, link: &str) {
        assert_eq!(self.says(name, link), (false, String::new(), None));
    }
}

/// A guest's stream that plays until it is ended.
struct Playing {
    end: Arc<AtomicBool>,
    player: JoinHandle<SoundFrontend>,
}

impl Playing {
    fn start(mut guest: SoundFrontend, stream: u32, byte: u8) -> Self {
        let pcm = open(&mut guest, stream);
        let end = Arc::new(AtomicBool::new(false));
        let ended = end.clone();
        let player = std::thread::spawn(move || {
            let period = vec![byte; pcm.params.period_bytes as usize];
            let periods = std::iter::repeat_with(|| period.clone()).take_while(|_| !ended.load(Ordering::Acquire));
            pcm.play_periods(&mut guest, periods).unwrap();
            guest
        });
        Self { end, player }
    }

    fn end(self) -> SoundFrontend {
        self.end.store(true, Ordering::Release);
        self.player.join().unwrap()
    }
}

fn open(guest: &mut SoundFrontend, stream: u32) -> Pcm {
    let params = guest.pcm_info().unwrap()[stream as usize].params(5, 480, 4);
    Pcm::open(guest, TXQ, stream, params).unwrap()
}

fn set(guest: &mut SoundFrontend, element: u32, value: u32) {
    let answer = guest.control(&words(&[code::CTL_WRITE, element, value]), 4).unwrap();
    assert_eq!(answer.status(), S_OK);
}

#[test]
fn a_guest_that_is_not_there_a_stream_not_started_and_one_paused() {
    let car = Car::start("why-guest");
    car.is_silent("ivi.media", "guest-not-connected");

    let mut guest = car.guest("ivi");
    car.is_silent("ivi.media", "not-started");
    let pcm = open(&mut guest, MEDIA);
    pcm.fill(&mut guest).unwrap();
    car.is_silent("ivi.media", "not-started");

    pcm.start(&mut guest).unwrap();
    pcm.stop(&mut guest).unwrap();
    car.is_silent("ivi.media", "stopped");
}

#[test]
fn a_ring_that_is_empty_digital_silence_and_what_is_heard() {
    let car = Car::start("why-frames");
    let mut guest = car.guest("ivi");
    let pcm = open(&mut guest, MEDIA);
    pcm.fill(&mut guest).unwrap();
    pcm.start(&mut guest).unwrap();
    car.is_silent("ivi.media", "starved");
    drop(guest);

    let silent = car.plays("ivi", MEDIA, 0);
    car.is_silent("ivi.media", "digital-silence");
    drop(silent.end());

    let loud = car.plays("ivi", MEDIA, 1);
    car.until_heard("ivi.media");
    assert_eq!(car.why("ivi.media")["links"], Value::Array(Vec::new()));
    loud.end();
}

#[test]
fn a_guests_own_control_at_zero_or_off() {
    let car = Car::start("why-own");
    let mut guest = car.guest("ivi");
    set(&mut guest, MEDIA_VOLUME, 0);
    let playing = Playing::start(guest, MEDIA, 1);
    car.is_silent("ivi.media", "user-gain");

    let mut guest = playing.end();
    set(&mut guest, MEDIA_SWITCH, 0);
    let playing = Playing::start(guest, MEDIA, 1);
    car.is_silent("ivi.media", "user-muted");
    playing.end();
}

#[test]
fn no_route_and_a_zone_that_is_muted_or_turned_down() {
    let car = Car::start("why-zone");
    let playing = car.plays("ivi", LOOSE, 1);
    car.is_silent("ivi.loose", "no-route");
    drop(playing.end());

    let playing = car.plays("ivi", MEDIA, 1);
    car.daemon.audioctl(&["mute", "cabin"]).unwrap();
    car.is_silent("ivi.media", "zone-muted");
    car.is_silent("cabin", "zone-muted");
    car.daemon.audioctl(&["unmute", "cabin"]).unwrap();
    car.daemon.audioctl(&["volume", "cabin", "0"]).unwrap();
    car.is_silent("ivi.media", "zone-volume");
    playing.end();
}

#[test]
fn refused_paused_or_ducked_with_the_line_that_says_so() {
    let car = Car::start("why-matrix");
    let call = car.plays("cluster", CALL, 1);
    car.until_heard("cluster.call");
    let music = car.plays("ivi", MEDIA, 1);
    let (heard, by, line) = car.says("ivi.media", "rejected");
    assert_eq!((heard, by.as_str(), line.is_some()), (false, "cluster.call", true));
    let cluster = call.end();
    let ivi = music.end();

    let music = Playing::start(ivi, MEDIA, 1);
    car.until_heard("ivi.media");
    let prompt = Playing::start(cluster, PROMPT, 1);
    let (heard, by, line) = car.says("ivi.media", "ducked");
    assert_eq!((heard, by.as_str(), line.is_some()), (true, "cluster.prompt", true));

    let call = Playing::start(prompt.end(), CALL, 1);
    let (heard, by, line) = car.says("ivi.media", "paused");
    assert_eq!((heard, by.as_str(), line.is_some()), (false, "cluster.call", true));
    drop((call.end(), music.end()));
}

#[test]
fn limited_muted_or_suspended_by_a_rule_with_its_line() {
    for (stream, link, heard, name) in [
        (LIMITS, "limited-by-rule", true, "limiter"),
        (MUTES, "muted-by-rule", false, "muter"),
        (SUSPENDS, "suspended-by-rule", false, "suspender"),
    ] {
        let car = Car::start(&format!("why-{name}"));
        let music = car.plays("ivi", MEDIA, 1);
        car.until_heard("ivi.media");
        let cause = car.plays("cluster", stream, 1);

        let said = car.says("ivi.media", link);

        assert_eq!(said.0, heard, "{name}: {said:?}");
        assert!(said.2.is_some(), "{name}: {said:?}");
        drop((cause.end(), music.end()));
    }
}

#[test]
fn a_codec_that_stands_still() {
    let car = Car::start("why-codec");
    let playing = car.plays("ivi", MEDIA, 1);
    car.until_heard("ivi.media");

    card::card(&car.daemon).set_millihertz(0, now_ns());

    car.is_silent("ivi.media", "codec-stalled");
    car.is_silent("cabin", "codec-stalled");
    playing.end();
}

#[test]
fn a_domain_that_does_not_answer_and_one_whose_sink_is_away() {
    let car = Car::with("why-domain", AMPLIFIER);
    let playing = car.plays("ivi", LOOSE, 1);
    amplifier::run(async {
        let mut amplifier = Amplifier::registered(car.daemon.bus()).await;
        car.daemon.audioctl(&["connect", "ivi.loose", "speakers"]).unwrap();

        // Asked, and never acknowledged.
        amplifier.asked().await;
        car.is_silent("ivi.loose", "domain-not-acking");

        let away = (amplifier.sink, (2_i32, 0_i32));
        amplifier.call("hookSinkAvailablityStatusChange", &away).await;
        car.is_silent("ivi.loose", "sink-unavailable");
        car.is_silent("speakers", "sink-unavailable");
    });
    playing.end();
}
