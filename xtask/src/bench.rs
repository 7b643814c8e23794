//! `cargo xtask bench vds`: what Carillon costs beside its peer, in one run, on one paced card. `bench mix`: [`mix`], `bench dbus`: [`dbus`].
//!
//! ```text
//!  fe-play x N ── vhost-user ── N guests of one audiod ── ALSA codec, period = guest period ──┐
//!                                                                                             ├─ paced card
//!  fe-play x N ── vhost-user ── N vhost-device-sound processes (one guest each) ──────────────┘
//! ```
//! The two take turns, round by round. CPU time is the kernel's, of all processes of a side, its front ends with it and
//! apart; system calls are counted by the kernel's tracepoint in the same
//! seconds; where it isn't ours to use, by `strace` in seconds of their own.

mod dbus;
mod mix;
mod side;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use system_tests::peer::{Card, install_vds};

use crate::image::directory;
use side::{Bench, Case, Device};
use table::{Comparison, Figures};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// CPU time and system calls beside vhost-device-sound 0.3.0. Exit code 0: ahead in every case; 1: otherwise
    Vds(VdsOptions),
    /// Instructions a stream and period cost the engine
    Mix(mix::Options),
    /// Calls, connections and starts on the bus, beside what they can't be without
    Dbus(dbus::Options),
    /// A stock guest's boot under our hypervisor beside QEMU's q35 and microvm, nested on the emulated board. Exit code 1: not ahead
    Boot(BootOptions),
}

#[derive(clap::Args)]
struct VdsOptions {
    /// Guest periods, ms
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 10])]
    periods: Vec<u32>,
    /// Numbers of streams
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    streams: Vec<u32>,
    /// Seconds measured in each round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds; the sides take turns
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Measure the build in this profile
    #[arg(long, value_enum, default_value = "release")]
    profile: Profile,
    /// Measure the peer alone
    #[arg(long)]
    peer_only: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Profile {
    Dev,
    Release,
}

/// Runs the bench.
///
/// # Errors
/// A side does not start or play, or Carillon is not ahead in every case.
pub fn run(options: &Options) -> anyhow::Result<()> {
    match &options.what {
        What::Vds(options) => beside_the_peer(options),
        What::Mix(options) => mix::run(options),
        What::Dbus(options) => dbus::run(options),
        What::Boot(options) => boot(options),
    }
}

#[derive(clap::Args)]
struct BootOptions {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn boot(options: &BootOptions) -> anyhow::Result<()> {
    crate::setup::ensure()?;
    crate::board::build_hypervisor()?;
    let boots = system_tests::board::boot::compare(
        &directory().join("bench-boot"),
        &directory().join("../release/hypervisor"),
    )?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&boots)?);
    } else {
        println!("seconds from the VMM's start to the guest's first process, on the emulated board, in virtual time");
        boots
            .iter()
            .for_each(|boot| println!("  {:8} {:6.2}", boot.vmm, boot.seconds));
    }
    if !system_tests::board::boot::is_ahead(&boots) {
        bail!("not ahead of QEMU");
    }
    Ok(())
}

fn beside_the_peer(options: &VdsOptions) -> anyhow::Result<()> {
    let peers = directory().join("peers");
    let programs = build(options.profile)?;
    let bench = Bench {
        vds: install_vds(&peers)?,
        card: Card::build(&peers)?,
        audiod: programs.join("audiod"),
        front_end: programs.join("fe-play"),
        scratch: peers.join(format!("bench-{}", std::process::id())),
        time: Duration::from_secs(options.seconds),
    };
    std::fs::create_dir_all(&bench.scratch)?;
    let compared = compare(options, &bench);
    let _best_effort = std::fs::remove_dir_all(&bench.scratch);
    let compared = compared?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&compared)?);
    } else {
        println!("{}", table::render(&compared));
    }
    let behind = compared
        .iter()
        .filter(|case| !options.peer_only && !case.ahead())
        .count();
    if behind > 0 {
        bail!("not ahead in {behind} of {} cases", compared.len());
    }
    Ok(())
}

/// Builds audiod and the front end; the folder they are in.
fn build(profile: Profile) -> anyhow::Result<PathBuf> {
    let (name, folder) = match profile {
        Profile::Dev => ("dev", "debug"),
        Profile::Release => ("release", "release"),
    };
    let status = std::process::Command::new("cargo")
        .args(["build", "--quiet", "--profile", name, "-p", "audiod", "--bin", "audiod"])
        .args(["-p", "system-tests", "--bin", "fe-play"])
        .status()?;
    if !status.success() {
        bail!("building audiod and fe-play failed ({status})");
    }
    Ok(programs(folder))
}

/// Where cargo puts the programs of a profile.
fn programs(folder: &str) -> PathBuf {
    let ours = || directory().parent().map(PathBuf::from).unwrap_or_default();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(ours, PathBuf::from);
    target.join(folder)
}

fn compare(options: &VdsOptions, bench: &Bench) -> anyhow::Result<Vec<Comparison>> {
    let mut compared = Vec::new();
    for &period_ms in &options.periods {
        for &streams in &options.streams {
            let case = Case { period_ms, streams };
            let mut comparison = Comparison::new(case, options.seconds, options.rounds);
            for round in 0..options.rounds {
                eprintln!(
                    "{period_ms} ms, {streams} streams, round {} of {}",
                    round + 1,
                    options.rounds
                );
                comparison.peer.add(&bench.measure(Device::Vds, case)?);
                if !options.peer_only {
                    comparison.ours.add(&bench.measure(Device::Audiod, case)?);
                }
            }
            compared.push(comparison);
        }
    }
    Ok(compared)
}

impl Figures {
    fn add(&mut self, more: &Figures) {
        self.seconds += more.seconds;
        self.device_cpu_ms += more.device_cpu_ms;
        self.front_end_cpu_ms += more.front_end_cpu_ms;
        self.device_calls = self.device_calls.zip(more.device_calls).map(|(a, b)| a + b);
        self.front_end_calls = self.front_end_calls.zip(more.front_end_calls).map(|(a, b)| a + b);
        self.completions += more.completions;
        self.processes = self.processes.max(more.processes);
        self.threads = self.threads.max(more.threads);
    }
}
