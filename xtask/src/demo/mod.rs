//! `cargo xtask demo`: the main job end to end. Two stock Debian guests, the real daemon, a scene, and what the cabin heard of it: a
//! WAV file, a picture, a table, and checks made on the samples alone. On the emulated board, under the hypervisor, with the daemon in
//! the service VM that has the codec; or (`--no-vm-board`) under QEMU, with the daemon on a private bus of this machine.
//!
//! ```text
//!  packages ─► build ─► images ─► board, hypervisor, service VM ─► guests boot ─► scene ─► cabin.wav ─► checks, picture, table
//!                          └────► bus, audiod ───────────────────► guests boot ─► scene ─►────┘
//! ```
//! | module | what |
//! |---|---|
//! | [`content`] | the sounds that the guests play |
//! | [`system`] | the system file: the example's, with paths of this run, or a fault planted |
//! | [`scene`] | daemon, guests, and who plays when, on this machine |
//! | [`board`] | the same on the emulated board |
//! | [`levels`], [`cabin`] | what is in the recording, and whether it is right |
//! | [`timeline`], [`picture`], [`svg`] | what happened when |

mod board;
mod cabin;
mod content;
mod levels;
mod picture;
mod progress;
mod scene;
mod svg;
mod system;
mod timeline;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use system_tests::guest::GuestImage;

use self::cabin::{Analysis, Depth, Expected, Verdict};
use self::picture::Picture;
use self::progress::Progress;
use self::timeline::Timeline;
use crate::{image, setup};

/// How long everything sounds.
pub struct Lengths {
    /// Seconds of music.
    pub music: f64,
    /// Syllables of the prompt.
    pub prompt: u32,
    /// Soundings of the chime.
    pub chime_repeat: u32,
}

/// On this machine.
const HOST: Lengths = Lengths {
    music: 15.0,
    prompt: 9,
    chime_repeat: 3,
};
/// On the board, where a second takes several of this machine.
const BOARD: Lengths = Lengths {
    music: 8.0,
    prompt: 3,
    chime_repeat: 2,
};

/// Options of `cargo xtask demo`.
#[derive(clap::Args)]
pub struct Options {
    /// Plant a fault, which the checks must find (exit 1)
    #[arg(long, value_enum, value_name = "FAULT")]
    r#break: Option<Fault>,
    /// Without the emulated board: guests under QEMU, audiod on this machine
    #[arg(long)]
    no_vm_board: bool,
    /// Play aloud on a sound card, as in `aplay -D`; nothing is recorded then, so nothing is checked
    #[arg(long, requires = "no_vm_board", value_name = "DEVICE", num_args = 0..=1, default_missing_value = "hw:0,0")]
    codec: Option<String>,
    /// Let audiod and the guests run on after the scene, until Enter is pressed
    #[arg(long, requires = "no_vm_board")]
    keep: bool,
    /// Checks, events and files as one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// A fault for `--break`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The policy mixes where it should duck
    Duck,
    /// The chime's file is silent
    Chime,
    /// The prompt's stream has no zone
    Route,
}

/// Files of a run, all in `target/carillon/demo`.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new() -> anyhow::Result<Self> {
        let folder = image::directory().join("demo");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

/// Runs the command.
///
/// # Errors
/// A step failed, or a check did.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let progress = Progress::new(7);
    progress.step("packages");
    setup::ensure()?;
    let lengths = if options.no_vm_board { HOST } else { BOARD };
    let (music, prompt) = (content::music(lengths.music), content::prompt(lengths.prompt));
    let files = Files::new()?;
    let chime = root().join("examples/chimes/seatbelt.wav");
    let system = system::System::from_example(&files.folder, &chime, &lengths, options)?;
    let expected = Expected {
        music: cabin::sent(&music, &content::MUSIC, Depth::Music),
        prompt: cabin::sent(&prompt, &content::PROMPT, Depth::Prompt),
        chime: cabin::sent(
            &content::read(&chime)?.repeat(lengths.chime_repeat as usize),
            &content::CHIME,
            Depth::Chime,
        ),
        prompt_duck: system.prompt_duck,
        chime_duck: system.chime_duck,
    };
    let timeline = if options.no_vm_board {
        let image = host_image(&music, &prompt, &progress)?;
        let played = scene::play(&files.folder, &system, &image, &progress)?;
        if let Some(codec) = &options.codec {
            return aloud(played, codec, &files, options, &progress);
        }
        let timeline = played.timeline.clone();
        played.end(options.keep)?;
        timeline
    } else {
        board::play(&files.folder, system, [&music, &prompt], &progress)?
    };
    progress.step("looking at cabin.wav");
    let samples = content::read(&files.path("cabin.wav"))?;
    let analysis = cabin::analyse(&samples, &expected);
    let picture = Picture {
        title: "What the cabin heard: music, a prompt that ducks it, a chime on top",
        samples: &samples,
        analysis: &analysis,
        expected: &expected,
        timeline: &timeline,
    };
    files.write("cabin.svg", picture::draw(&picture).as_bytes())?;
    files.write("table.txt", timeline.table().as_bytes())?;
    progress.end();
    report(options, &files, &analysis, &timeline)
}

fn host_image(music: &[f32], prompt: &[f32], progress: &Progress) -> anyhow::Result<GuestImage> {
    progress.step("building audiod and audioctl");
    build(&["audiod", "dbus-api"])?;
    progress.step("guest image");
    let files: [(&str, &[u8], u32); 2] = [
        ("music.wav", &content::wav(music)?, 0o644),
        ("prompt.wav", &content::wav(prompt)?, 0o644),
    ];
    image::build_as("demo", "6.12", &files)
}

fn aloud(
    played: scene::Played,
    codec: &str,
    files: &Files,
    options: &Options,
    progress: &Progress,
) -> anyhow::Result<()> {
    progress.end();
    let table = played.timeline.table();
    files.write("table.txt", table.as_bytes())?;
    println!("{table}played on {codec}; nothing was recorded, so nothing is checked");
    played.end(options.keep)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn build(packages: &[&str]) -> anyhow::Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--bins"]).current_dir(root());
    packages.iter().for_each(|package| {
        cargo.args(["-p", package]);
    });
    let output = cargo.output().context("starting cargo")?;
    if !output.status.success() {
        bail!(
            "building {}: {}\n{}",
            packages.join(", "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn report(options: &Options, files: &Files, analysis: &Analysis, timeline: &Timeline) -> anyhow::Result<()> {
    let report = serde_json::json!({
        "passed": analysis.passed(),
        "planted": options.r#break.map(|fault| format!("{fault:?}").to_lowercase()),
        "checks": analysis.checks,
        "events": timeline.events,
        "wav": files.path("cabin.wav"),
        "picture": files.path("cabin.svg"),
    });
    files.write("report.json", format!("{report:#}\n").as_bytes())?;
    if options.json {
        println!("{report}");
    } else {
        println!("What happened when (seconds of cabin.wav)\n{}", timeline.table());
        println!("Checks, on the samples of cabin.wav alone\n{}", checks(analysis));
        println!(
            "{}\n{}",
            files.path("cabin.wav").display(),
            files.path("cabin.svg").display()
        );
    }
    if analysis.passed() {
        return Ok(());
    }
    let names = analysis
        .checks
        .iter()
        .filter(|check| check.verdict != Verdict::Pass)
        .map(|check| check.name);
    bail!(
        "the cabin did not hear what it should: {}",
        names.collect::<Vec<_>>().join(", ")
    )
}

fn checks(analysis: &Analysis) -> String {
    let line = |check: &cabin::Check| {
        let (mark, reason) = match &check.verdict {
            Verdict::Pass => ("pass", String::new()),
            Verdict::Fail => ("FAIL", String::new()),
            Verdict::NotJudged(reason) => ("not judged", format!(": {reason}")),
        };
        format!(
            "  {mark:10}  {:26} {:28} {}{reason}\n",
            check.name, check.measured, check.bound
        )
    };
    analysis.checks.iter().map(line).collect()
}
