//! The command line. Exit codes: 0 done, 1 failed while running, 2 wrong usage, 3 the manifest is wrong, 4 not permitted,
//! 5 the host can't (no KVM, no IOMMU, a file in the way).

mod running;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use serde_json::json;

use crate::check::{self, System};
use crate::manifest::{self, Manifest, Of, Report, Severity};
use crate::map;

const CODES: &str = "Exit codes: 0 done, 1 failed while running, 2 wrong usage, 3 the manifest is wrong, 4 not permitted, \
                     5 the host can't (no KVM, no IOMMU, a file in the way).";

/// Static partitions from one manifest: the audio service VM with the codec, guests, safety partitions.
#[derive(Parser)]
#[command(name = "hypervisor", version, after_help = CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The command line, for its manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}

#[derive(Subcommand)]
enum Command {
    /// Proves what can be proven before anything runs; all findings at once.
    Check(Check),
    /// Draws the partition map.
    Map(Map),
    /// Prints the manifest's JSON Schema.
    Schema,
    /// Checks, then starts what is down and watches: what ends is started again as the manifest says. Ends with its VMs; when
    /// it is killed they run on, and the next `run` takes them over.
    Run(Run),
    /// How each partition is.
    Status(Which),
    /// Ends all partitions and their parent, or one.
    Stop(One),
    /// Ends one partition and starts it anew.
    Restart(One),
    #[command(hide = true)]
    Vm { name: String },
}

#[derive(Args)]
struct Run {
    /// The manifest.
    manifest: PathBuf,
    /// Where sockets and logs go, rather than to /run/hypervisor/NAME (or the user's own).
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Don't look at this host first.
    #[arg(long)]
    no_host_check: bool,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// The manifest: its name tells the run folder.
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// The run folder.
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct One {
    /// Which; `stop` without it ends all.
    partition: Option<String>,
    #[command(flatten)]
    of: Which,
}

#[derive(Args)]
struct Check {
    /// The manifest.
    manifest: PathBuf,
    /// Don't look at this host: the manifest by itself.
    #[arg(long)]
    manifest_only: bool,
    /// Findings as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Map {
    /// The manifest.
    manifest: PathBuf,
    /// As what.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Into this file rather than to standard output.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Svg,
}

/// Why a command failed: its exit code and what to say.
pub(crate) struct Failure {
    /// Exit code.
    pub code: u8,
    /// What to say; empty when it is said already.
    pub text: String,
}

impl Failure {
    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }

    /// An I/O error on a path: 4 when not permitted, else 5.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(Of::error(error).code(), format!("{}: {error}", path.display()))
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Check(args) => check(&args),
        Command::Map(args) => draw(&args),
        Command::Run(args) => running::run(&args),
        Command::Status(args) => running::status(&args),
        Command::Stop(args) => running::stop(&args),
        Command::Restart(args) => running::restart(&args),
        Command::Vm { .. } => return crate::entry::main(),
        Command::Schema => print(&format!("{:#}\n", manifest::schema::schema())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.text.is_empty() {
                eprintln!("hypervisor: {}", failure.text);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    // A reader that went away (`| head`) is no failure.
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(1, error.to_string())),
        _ => Ok(()),
    }
}

/// Reads a manifest file and checks it by itself.
pub(crate) fn load(path: &Path) -> Result<(Manifest, Report), Failure> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| Failure::file(path, &error))?;
    let read = file.take(manifest::MAX_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::file(path, &error))?;
    if text.len() as u64 > manifest::MAX_BYTES {
        let text = format!("{}: longer than {} bytes", path.display(), manifest::MAX_BYTES);
        return Err(Failure::new(3, text));
    }
    Ok(check::manifest(path, &text))
}

/// The exit code that findings lead to.
pub(crate) fn verdict(report: &Report) -> Result<(), Failure> {
    let failure = |of: Of| Err(Failure::new(of.code(), ""));
    report.stops().map_or(Ok(()), failure)
}

fn check(args: &Check) -> Result<(), Failure> {
    let (manifest, mut report) = load(&args.manifest)?;
    if !args.manifest_only {
        report.extend(check::host::look(&manifest, &System));
    }
    if args.json {
        let findings = serde_json::to_value(&report).map_err(|error| Failure::new(1, error.to_string()))?;
        print(&format!("{:#}\n", json!({ "findings": findings })))?;
    } else {
        let all = report.findings();
        let count = |severity| all.iter().filter(|one| one.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let gap = if all.is_empty() { "" } else { "\n" };
        let name = args.manifest.display();
        print(&format!("{report}{gap}{name}: {errors} errors, {warnings} warnings\n"))?;
    }
    verdict(&report)
}

fn draw(args: &Map) -> Result<(), Failure> {
    let (manifest, report) = load(&args.manifest)?;
    if report.stops().is_some() {
        eprint!("{report}");
        return verdict(&report);
    }
    let drawn = match args.format {
        Format::Text => map::text(&manifest),
        Format::Svg => map::svg(&manifest),
    };
    match &args.output {
        None => print(&drawn),
        Some(path) => fs::write(path, drawn).map_err(|error| Failure::file(path, &error)),
    }
}
