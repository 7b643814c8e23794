//! The scene on the emulated board, in virtual time: hypervisor, service VM with the codec passed to it, two stock guests.
//!
//! ```text
//!  s after the music's start       0     0.8    1.8      3.8        8
//!  ivi (ram)       aplay music     ├───────┼────────┼───────┼─────────┤
//!  cluster (bounce) aplay prompt           ├────────┤
//!  service VM      audioctl chime                           ├───┤
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use system_tests::board::scene::{self, Mode, Player, Scene};
use system_tests::board::{Board, Running};
use system_tests::nested;

use super::content;
use super::progress::Progress;
use super::system::System;
use super::timeline::Timeline;

/// Guests and their windows.
const GUESTS: [(&str, Mode); 2] = [("ivi", Mode::Ram), ("cluster", Mode::Bounce)];
/// When they play, by the clock that all VMs of a board have: seconds after the board was switched on, when all is up. (How long a guest
/// boots depends on when the machine below has read its images.)
const MUSIC_AT: u32 = 20;
const STARTS: [&str; 2] = ["0", "0.8"];
/// The service VM's part.
const CHIME: &str = r#"
until_event '"stream-started".*"ivi.media"' 1
sleep 3.7
audioctl chime seatbelt --bus system
until_event '"stream-stopped".*"ivi.media"' 1
"#;
/// Silence after what a guest plays: what aplay's STOP cuts off.
const TAIL: usize = 4800;
/// For each of the steps that are told.
const LIMIT: Duration = Duration::from_secs(300);
/// What is told, as it is seen on a console.
const STEPS: [(&str, &str, &str); 6] = [
    (
        "board",
        "board: ready",
        "the board is up; the hypervisor starts the VMs",
    ),
    (
        "audio",
        "service: core",
        "service VM: audiod runs on the codec that was passed to it",
    ),
    ("ivi", "guest: up", "ivi is up"),
    ("cluster", "guest: up", "cluster is up"),
    ("cluster", "guest: played", "cluster: the prompt's aplay ended"),
    ("ivi", "guest: played", "ivi: the music's aplay ended"),
];

/// Plays it; the recording is `cabin.wav` in the folder. `content`: music and prompt.
///
/// # Errors
/// Something is not there or does not start, or a player failed.
pub fn play(folder: &Path, system: System, content: [&[f32]; 2], progress: &Progress) -> anyhow::Result<Timeline> {
    progress.step("building audiod, audioctl and the hypervisor");
    super::build(&["audiod", "dbus-api", "hypervisor"])?;
    progress.step("QEMU for virtual time (built once)");
    crate::board::qemu()?;
    progress.step("images of board, service VM and guests");
    let board = board(folder, system, content)?;
    let (audio, wav) = (board.log("audio"), board.wav());
    progress.step("starting the board");
    let mut running = board.start()?;
    progress.step("playing the scene, in virtual time");
    follow(&mut running, progress)?;
    let outcome = running.finish(LIMIT)?;
    if outcome.status != 0 {
        bail!(
            "the board ended with {}; see {}",
            outcome.status,
            folder.join("board").display()
        );
    }
    std::fs::copy(&wav, folder.join("cabin.wav")).with_context(|| format!("copying {}", wav.display()))?;
    let lines: Vec<String> = audio.text().lines().map(str::to_owned).collect();
    Ok(Timeline::new(&lines, &[]))
}

fn board(folder: &Path, system: System, content: [&[f32]; 2]) -> anyhow::Result<Board> {
    let mut configuration = system.on_the_board(&GUESTS)?;
    configuration.push(("rc".to_owned(), scene::rc(CHIME).into_bytes()));
    let players = GUESTS.iter().zip(STARTS).zip(content);
    let player = |((&(name, mode), start), samples): ((&(&str, Mode), &str), &[f32])| Player {
        name: name.to_owned(),
        mode,
        take: [content::raw(samples), vec![0; TAIL * 4]].concat(),
        does: format!("until_clock {MUSIC_AT}; sleep {start}; until_plays /take"),
    };
    let scene = Scene {
        players: players.map(player).collect(),
        configuration,
        script: None,
        beside: String::new(),
    };
    scene.board("demo", &nested::kernel()?, folder.join("board"))
}

fn follow(running: &mut Running, progress: &Progress) -> anyhow::Result<()> {
    for (console, line, text) in STEPS {
        running.wait_line(console, line, LIMIT)?;
        progress.detail(text);
    }
    Ok(())
}
