//! The scene: `audiod` on a private bus, two guests, and who plays when.
//!
//! ```text
//!  s after the music's start   0              3             ≥ 9.3          15
//!  ivi      aplay music.wav    ├──────────────┼──────────────┼──────────────┤
//!  cluster  aplay prompt.wav                  ├────────┤
//!  host     audioctl chime                                   ├───┤
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use system_tests::daemon::{Daemon, Monitor};
use system_tests::guest::{Finished, Guest, GuestImage, Sound, Vm};

use super::progress::Progress;
use super::system::System;
use super::timeline::{self, Action, Timeline};

const BOOT_LIMIT: Duration = Duration::from_secs(120);
const EVENT_LIMIT: Duration = Duration::from_secs(30);
const PLAY_LIMIT: Duration = Duration::from_secs(90);
const PROMPT_AT: Duration = Duration::from_millis(3000);
const CHIME_AT: Duration = Duration::from_millis(9300);
/// From the prompt's end to the chime, at least: ramp, and a second to measure in.
const AFTER_PROMPT: Duration = Duration::from_millis(2200);
/// Longest path of a socket: 107 bytes.
const LONGEST_FOLDER: usize = 80;

/// A scene that was played; audiod and the guests still run.
pub struct Played {
    /// What happened.
    pub timeline: Timeline,
    daemon: Daemon,
    guests: [Guest; 2],
}

impl Played {
    /// Ends guests and audiod; with `keep` when Enter is pressed.
    ///
    /// # Errors
    /// audiod did not end as it should.
    pub fn end(self, keep: bool) -> anyhow::Result<()> {
        if keep {
            eprintln!(
                "audiod and both guests run on; for example:  audioctl --bus {} status",
                self.daemon.bus()
            );
            eprintln!("Enter ends them");
            std::io::stdin().read_line(&mut String::new())?;
        }
        drop(self.guests);
        let status = self.daemon.terminate()?;
        if !status.success() {
            bail!("audiod ended with {status}");
        }
        Ok(())
    }
}

/// Plays it.
///
/// # Errors
/// Something did not start, or a player failed.
pub fn play(folder: &Path, system: &System, image: &GuestImage, progress: &Progress) -> anyhow::Result<Played> {
    progress.step("starting a private bus and audiod");
    if folder.as_os_str().len() > LONGEST_FOLDER {
        bail!(
            "{}: too long a path for sockets in it; move the sources up",
            folder.display()
        );
    }
    let daemon = Daemon::start(folder, |bus| system.text(bus))?;
    let monitor = daemon.monitor()?;
    progress.step("booting two guests");
    let mut ivi = start(folder, "ivi", image)?;
    let mut cluster = start(folder, "cluster", image)?;
    ivi.wait_ready(BOOT_LIMIT)?;
    cluster.wait_ready(BOOT_LIMIT)?;
    progress.step("playing the scene");
    let actions = act(&daemon, &monitor, &mut ivi, &mut cluster, progress)?;
    let timeline = Timeline::new(&monitor.lines(), &actions);
    Ok(Played {
        timeline,
        daemon,
        guests: [ivi, cluster],
    })
}

fn start(folder: &Path, name: &str, image: &GuestImage) -> anyhow::Result<Guest> {
    let vm = Vm {
        name: name.to_owned(),
        image: image.clone(),
        memory: 192,
        sound: Sound::VhostUser {
            socket: folder.join(format!("{name}.sock")),
            controls: true,
        },
        append: String::new(),
        directory: folder.to_path_buf(),
    };
    vm.start().with_context(|| format!("starting guest {name}"))
}

fn act(
    daemon: &Daemon,
    monitor: &Monitor,
    ivi: &mut Guest,
    cluster: &mut Guest,
    progress: &Progress,
) -> anyhow::Result<Vec<Action>> {
    let mut actions = Vec::new();
    let mut told = |text: &str| {
        progress.detail(text);
        actions.push(Action {
            time_ms: now_ms(),
            text: text.to_owned(),
        });
    };
    told("ivi: aplay music.wav");
    let music = ivi.spawn("aplay -q /music.wav")?;
    monitor.wait_for("the music's start", EVENT_LIMIT, |line| {
        is(line, "stream-started", "ivi.media")
    })?;
    let began = Instant::now();
    sleep_until(began + PROMPT_AT);
    told("cluster: aplay prompt.wav");
    let prompt = cluster.run("aplay -q /prompt.wav", PLAY_LIMIT)?;
    ended("prompt", &prompt)?;
    sleep_until((began + CHIME_AT).max(Instant::now() + AFTER_PROMPT));
    told("audioctl chime seatbelt");
    daemon.audioctl(&["chime", "seatbelt"])?;
    let music = ivi.wait(music, PLAY_LIMIT)?;
    ended("music", &music)?;
    told("ivi: the music's aplay ended");
    monitor.wait_for("the music's end", EVENT_LIMIT, |line| {
        is(line, "stream-stopped", "ivi.media")
    })?;
    // What is still in the card.
    std::thread::sleep(Duration::from_millis(500));
    Ok(actions)
}

fn is(line: &str, event: &str, source: &str) -> bool {
    timeline::event_of(line).is_some_and(|line| line["event"] == event && line["source"] == source)
}

fn ended(what: &str, end: &Finished) -> anyhow::Result<()> {
    if end.status != 0 {
        bail!(
            "{what}: aplay in the guest failed (exit status {}): {}",
            end.status,
            end.output.trim()
        );
    }
    Ok(())
}

fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// `CLOCK_MONOTONIC`, as audiod's events have it.
fn now_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the answer; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1000 + time.tv_nsec.cast_unsigned() / 1_000_000
}
