//! What `audiod` is told on its command line. Nothing but `clap`: `cargo xtask man` reads this file too.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failure while running, 2 wrong usage, 3 mistakes in the file, 4 not permitted, \
                          5 a device, socket or file is in the way, 6 not decided (`check --prove`).";

/// Carillon's audio daemon: mixes and routes the sound of virtual machines by a policy.
#[derive(Parser)]
#[command(name = "audiod", version, about, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a system: listens for its guests until it is told to end (SIGTERM)
    Run {
        /// The file
        file: PathBuf,
        /// Write one line to this inherited descriptor once engine and control are up
        #[arg(long, value_name = "FD")]
        ready_fd: Option<i32>,
    },
    /// Check a file: all mistakes at once, and what each stream allows a stock driver
    Check {
        /// The file
        file: PathBuf,
        /// Print the whole effective matrix: every pair of classes, and the line or rule each cell comes from
        #[arg(long)]
        matrix: bool,
        /// Prove what the policy promises, state by state, or print the shortest scenario that breaks it; ends with 0 when all is
        /// proven, 1 when something is broken, 6 when something is not decided
        #[arg(long, conflicts_with = "matrix")]
        prove: bool,
        /// With --prove: states looked at, at most
        #[arg(long, value_name = "N", default_value_t = 2_000_000, requires = "prove")]
        states: usize,
        /// With --prove: time it may take
        #[arg(long, value_name = "S", default_value_t = 60, requires = "prove")]
        seconds: u64,
        /// With --prove: with the domains of this scenario (its steps don't count), instead of the file's or one that stands for any
        #[arg(long, value_name = "SCENARIO", requires = "prove")]
        domains: Option<PathBuf>,
        /// Everything as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema of the file, for editors and tools: every key, with its description, type and range
    Schema,
    /// Print the bus's own policy (dbus-daemon XML) that says the same as [access] of a file
    BusPolicy {
        /// The file
        file: PathBuf,
    },
    /// Run a scenario through the policy: who is heard how loud, when and why; ends with 1 if it expects something else
    Simulate {
        /// The scenario; it names its policy
        scenario: PathBuf,
        /// The timeline as one JSON object
        #[arg(long)]
        json: bool,
        /// Also draw it: a lane for each source, as an SVG picture
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Write a first file for the guests and cards found, ready to run
    Init {
        /// Names of guests, or NAME=SOCKET; without any, those of running QEMUs, or two to begin with
        guests: Vec<String>,
        /// Codec to use: wav, null, cpal, or an ALSA device as hw:0,0; without, the first card found, or wav
        #[arg(long)]
        card: Option<String>,
        /// Write here instead of to standard output; an existing file stays as it is
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Make a policy of another system's file, with a list of what was mapped, approximated and lost
    Import {
        /// What the file is
        #[command(subcommand)]
        of: Import,
    },
    /// Look at what this machine allows: real-time limits, kernel, cards
    Doctor {
        /// Also list the sound cards, what each can do, who holds it, and the lines to paste
        #[arg(long)]
        codec: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum Import {
    /// GENIVI AudioManager: the generic controller's configuration (generic.xml)
    #[command(name = "audiomanager")]
    AudioManager {
        #[command(flatten)]
        arguments: ImportArguments,
        /// A domain that stays a process of its own on the bus; without, all become guests and zones. May be given several times
        #[arg(long = "domain", value_name = "NAME")]
        domains: Vec<String>,
    },
    /// Android Automotive: car_audio_configuration.xml, versions 1 to 4
    Aaos {
        #[command(flatten)]
        arguments: ImportArguments,
        /// Also read the fades that its zones apply: car_audio_fade_configuration.xml, version 1
        #[arg(long, value_name = "FILE")]
        fades: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct ImportArguments {
    /// The file to read
    pub(crate) file: PathBuf,
    /// Write the policy here, and the list to standard output; without, the policy to standard output and the list to standard
    /// error. An existing file stays as it is
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The list (and without --output the policy, too) as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
