//! `cargo xtask bench mix`: what a stream costs the engine in instructions a period, counted by Callgrind: the same on any
//! machine, however busy.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// What is measured; see `audiod/examples/mix.rs`.
const KINDS: [(&str, &str); 4] = [
    ("steady", "S16 stereo at the codec's rate"),
    ("ducking", "the same under a moving gain"),
    ("resampled", "44.1 kHz stereo to 48 kHz"),
    ("bridged", "heard on another codec (both engines)"),
];
/// The difference of two runs takes start and set-up out.
const PERIODS: [u32; 2] = [500, 1500];

/// Options of `cargo xtask bench mix`.
#[derive(clap::Args)]
pub struct Options {
    /// Numbers of streams
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    streams: Vec<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Figure {
    kind: &'static str,
    what: &'static str,
    streams: u32,
    /// Instructions a period of 48 frames, all streams.
    period: u64,
    /// Of them for one stream: less an engine without streams.
    stream: u64,
}

/// Runs the bench.
///
/// # Errors
/// The program does not build, or Valgrind is missing (`cargo xtask setup`) or fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--release", "-p", "audiod", "--example", "mix"])
        .status()?;
    if !status.success() {
        bail!("building the mix example failed ({status})");
    }
    let program = super::programs("release").join("examples/mix");
    let mut figures = Vec::new();
    for (kind, what) in KINDS {
        let idle = a_period(&program, kind, 0)?;
        for &streams in options.streams.iter().filter(|&&streams| streams > 0) {
            let period = a_period(&program, kind, streams)?;
            figures.push(Figure {
                kind,
                what,
                streams,
                period,
                stream: period.saturating_sub(idle) / u64::from(streams),
            });
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
        return Ok(());
    }
    println!("instructions a period of 48 frames (Callgrind), stereo zone, S16 codec");
    println!(
        "{:<10} {:>7} {:>12} {:>12}  what",
        "kind", "streams", "a period", "a stream"
    );
    for figure in figures {
        println!(
            "{:<10} {:>7} {:>12} {:>12}  {}",
            figure.kind, figure.streams, figure.period, figure.stream, figure.what
        );
    }
    Ok(())
}

/// Instructions of one period.
fn a_period(program: &Path, kind: &str, streams: u32) -> anyhow::Result<u64> {
    let [short, long] = PERIODS;
    let counts = [short, long].map(|periods| count(program, kind, streams, periods));
    let [few, many] = counts;
    Ok((many? - few?) / u64::from(long - short))
}

fn count(program: &Path, kind: &str, streams: u32, periods: u32) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([kind, &streams.to_string(), &periods.to_string()])
        .output()
        .context("starting valgrind; `apt-get install valgrind`")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{kind} with {streams} streams failed ({}):\n{text}", output.status);
    }
    let collected = text.lines().find_map(|line| line.split_once("Collected :"));
    let (_, number) = collected.with_context(|| format!("valgrind told no count:\n{text}"))?;
    number.trim().parse().context("valgrind's count")
}
