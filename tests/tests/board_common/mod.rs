//! The scene of a whole system, short and long: a stock guest in `ram`, one in `bounce`, a partition without a system in `pool`.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub mod outages;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use system_tests::board::safety;
use system_tests::board::scene::{self, Mode, Player, Scene};
use system_tests::coded;
use system_tests::mixture::{self, Place};
use system_tests::nested;

const S16: u8 = 5;
/// Three at once stay below full scale.
const HEADROOM: u32 = 2;
/// Silent frames after a stock guest's take: what aplay's STOP cuts off.
const TAIL: usize = 9600;
/// Of the codec's rate by the service VM's clock: how much it may be off.
const TOLERANCE: f64 = 0.002;

/// A safety class for the partition without a system, and media that mix.
const SYSTEM: &str = r#"
version = 1
bus = "unix:path=/run/bus"
user = "audiod"
[codecs.main]
backend = "alsa"
device = "hw:0,0"
period = 96
lead = 2
[zones.cabin]
codec = "main"
[classes.media]
priority = 10
[classes.warning]
safety = true
[[matrix]]
holder = "media"
newcomer = ["media", "warning"]
action = "mix"
"#;

fn system(players: &[Player]) -> String {
    let guest = |(nth, player): (usize, &Player)| {
        let class = if player.mode == Mode::Pool { "warning" } else { "media" };
        let (name, keys) = (&player.name, scene::keys(nth, player.mode));
        format!("[guests.{name}]\n{keys}streams.sound = {{ class = \"{class}\", zone = \"cabin\" }}\n")
    };
    SYSTEM.to_owned() + &players.iter().enumerate().map(guest).collect::<String>()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("system-{name}"))
}

/// The two stock guests, each with its take of so many frames.
pub fn stock_guests(frames: usize) -> [(Player, Vec<u8>); 2] {
    [("cluster", Mode::Ram, 1), ("ivi", Mode::Bounce, 2)].map(|(name, mode, seed)| {
        let take = coded::generate(S16, 2, frames, seed, HEADROOM).unwrap();
        (stock(name, mode, &take), take)
    })
}

fn stock(name: &str, mode: Mode, take: &[u8]) -> Player {
    Player {
        name: name.to_owned(),
        mode,
        take: [take, &[0; TAIL * 4]].concat(),
        // audiod and who listens to its events are up by then.
        does: "sleep 1; until_plays /take".to_owned(),
    }
}

/// What the service VM said: events while they played, and the state at the end.
struct Told {
    events: Vec<Value>,
    status: Value,
}

impl Told {
    fn by(log: &str) -> Self {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let (mut events, mut status) = (Vec::new(), Value::Null);
        for line in lines {
            if line.get("codecs").is_some() {
                status = line;
            } else if let Some(event) = line.get("event") {
                events.push(event.clone());
            }
        }
        Self { events, status }
    }

    fn named(&self, name: &str, source: &str) -> (f64, f64) {
        let mut all = self.events.iter();
        let event = all.find(|event| event["event"] == name && event["source"] == source);
        let event = event.unwrap_or_else(|| panic!("no {name} of {source}: {:?}", self.events));
        (event["frame"].as_f64().unwrap(), event["time_ms"].as_f64().unwrap())
    }

    /// Frames that the codec played in a second of the service VM's clock while this source ran.
    fn rate(&self, source: &str) -> f64 {
        let (first, last) = (
            self.named("stream-started", source),
            self.named("stream-stopped", source),
        );
        (last.0 - first.0) / (last.1 - first.1) * 1000.0
    }

    /// Underruns of the codec while a stock guest played; those before are the codec's own start.
    fn underruns(&self) -> Vec<String> {
        let recent = self.status["recent"].as_array().unwrap().iter();
        let lines: Vec<&str> = recent.map(|line| line.as_str().unwrap()).collect();
        let of_stock = |line: &&str| line.contains("source 0: ") || line.contains("source 1: ");
        let first = lines.iter().position(of_stock).unwrap();
        let last = lines.iter().rposition(of_stock).unwrap();
        let played = lines[first..=last].iter();
        played
            .filter(|line| line.contains("underrun"))
            .map(|line| (*line).to_owned())
            .collect()
    }

    /// Xruns of a source before so many frames of it were pulled.
    fn xruns(&self, source: &str, frames: usize) -> usize {
        let (began, _) = self.named("stream-started", source);
        let xrun = |event: &&Value| event["event"] == "xrun" && event["source"] == source;
        let at = self
            .events
            .iter()
            .filter(xrun)
            .map(|event| event["frame"].as_f64().unwrap());
        at.filter(|at| *at < began + frames as f64).count()
    }
}

/// All three play for so many seconds (the partition without a system, which is up first, for one more), at 2 ms codec periods with 2 of lead.
pub fn three_play(name: &str, seconds: usize, limit: Duration) {
    let frames = seconds * 48_000;
    let [(cluster, one), (ivi, other)] = stock_guests(frames);
    let tone = (frames + 48_000) as u32;
    let takes = [one, other, safety::tone(tone, HEADROOM)];
    let warner = Player {
        name: "warner".to_owned(),
        mode: Mode::Pool,
        take: Vec::new(),
        // The codec runs evenly by then: its first tenths of a second it fills its FIFO. It ends while the others play.
        does: format!("frames={tone} headroom={HEADROOM} delay=9000"),
    };
    let players = vec![cluster, ivi, warner];
    let rc = scene::rc(r#"until_event '"stream-released".*"\(cluster\|ivi\)' 2"#);
    let scene = Scene {
        configuration: vec![
            ("system.toml".to_owned(), system(&players).into_bytes()),
            ("rc".to_owned(), rc.into_bytes()),
        ],
        players,
        script: None,
    };
    let board = scene.board(name, &nested::kernel().unwrap(), folder(name)).unwrap();
    let logs = ["board", "hypervisor", "audio", "cluster", "ivi", "warner"].map(|name| board.log(name));

    let outcome = board.start().unwrap().finish(limit).unwrap();

    let said = logs.map(|log| log.tail(60)).join("\n--\n");
    let heard = outcome.samples().unwrap();
    let takes: Vec<&[u8]> = takes.iter().map(Vec::as_slice).collect();
    let places = mixture::places(&takes, &heard).unwrap_or_else(|other| panic!("{other}\n{said}"));
    assert!(at_once(&places), "{places:?}");
    assert_eq!(outcome.status, 0, "{said}");
    let told = Told::by(&scene_log(name));
    for source in ["cluster.sound", "ivi.sound"] {
        let rate = told.rate(source);
        assert!(
            (rate / 48_000.0 - 1.0).abs() < TOLERANCE,
            "{source}: {rate} frames a second"
        );
        // After its last message a driver that shows no event index is waited for: an xrun, beyond its take.
        assert_eq!(told.xruns(source, frames + TAIL), 0, "{:?}", told.events);
    }
    assert_eq!(told.underruns(), Vec::<String>::new());
    println!(
        "{places:?} board {:.1} s, wall {:.0} s",
        outcome.uptime,
        outcome.wall.as_secs_f64()
    );
}

/// Both stock guests for half of their takes at least, each beside the third one for a while.
fn at_once(places: &[Place]) -> bool {
    let [cluster, ivi, warner] = places else { return false };
    let beside = [cluster, ivi].iter().all(|guest| guest.overlap(warner) > 0);
    beside && cluster.overlap(ivi) * 2 >= cluster.frames
}

fn scene_log(name: &str) -> String {
    system_tests::board::Log::new(folder(name).join("audio.log")).text()
}
