//! `cargo xtask bench dbus`: what the bus costs beside what it must cost, in one run.
//!
//! ```text
//!  calls    client ── GetListMainConnections ── bus ── daemon         beside  client ── GetId ── bus
//!  connect  client ── Connect ── bus ── daemon ── 4 requests, 4 acks ── domain's process
//!                                                                     beside  client ── 4 echo calls ── domain's process
//!  start    daemon: started until it owns its name                    beside  a program that only owns a name
//! ```
//! With `--peer CMD` the same three for another AudioManager (configured as docs/am-suite.md says). It prints, and judges no time.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::bail;
use system_tests::am_suite::bench::{Client, Timed, serve_domain};
use system_tests::am_suite::subject::{CONFIGURATION, Subject};

use super::{Profile, programs};

/// Options of `cargo xtask bench dbus`. Exit code 0: measured; 1: something does not come up; 2: usage.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Shell command of another AudioManager, which finds its bus in its environment
    #[arg(long)]
    peer: Option<String>,
    /// Round trips of each kind
    #[arg(long, default_value_t = 3000)]
    calls: usize,
    /// Connections
    #[arg(long, default_value_t = 200)]
    connections: usize,
    /// Starts
    #[arg(long, default_value_t = 10)]
    starts: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Measure the build in this profile
    #[arg(long, value_enum, default_value = "release")]
    profile: Profile,
    /// Be the domain on this bus (what the bench starts as another process)
    #[arg(long, hide = true)]
    as_domain: Option<String>,
}

/// What AudioManager 8.0 took on a machine like ours when it was looked at, to read beside ours where no peer is measured.
const QUOTED: &str = "peer not measured; AudioManager 8.0, another day (times +-50 %): GetListMainConnections p50 47-114 us with a C \
                      client, bus-only GetId 22-77 us; Connect to CS_CONNECTED p50 1.05 ms with a Python domain; start to name \
                      owned 5.5-6.6 ms";

/// One comparison, microseconds.
#[derive(serde::Serialize)]
struct Row {
    what: &'static str,
    p50_us: f64,
    p99_us: f64,
    beside: &'static str,
    beside_p50_us: f64,
    ratio: f64,
    /// What is aimed at, where there is an aim.
    goal: Option<f64>,
}

#[derive(serde::Serialize)]
struct Figures {
    ours: Vec<Row>,
    peer: Option<Vec<Row>>,
    quoted: Option<&'static str>,
}

/// Runs the bench.
///
/// # Errors
/// A daemon, the domain's process or a bus does not come up.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(address) = &options.as_domain {
        return serve_domain(address);
    }
    let programs = build(options.profile)?;
    let scratch = std::env::temp_dir().join(format!("bench-dbus-{}", std::process::id()));
    let figures = measure(options, &programs, &scratch);
    let _best_effort = std::fs::remove_dir_all(&scratch);
    let figures = figures?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{}", text(&figures));
    }
    Ok(())
}

fn build(profile: Profile) -> anyhow::Result<PathBuf> {
    let (name, folder) = match profile {
        Profile::Dev => ("dev", "debug"),
        Profile::Release => ("release", "release"),
    };
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--profile", name, "-p", "audiod", "--bin", "audiod"])
        .args(["-p", "system-tests", "--bin", "own-name"])
        .status()?;
    if !status.success() {
        bail!("building audiod and own-name failed ({status})");
    }
    Ok(programs(folder))
}

fn measure(options: &Options, programs: &Path, scratch: &Path) -> anyhow::Result<Figures> {
    let file = scratch.join("ours.toml");
    std::fs::create_dir_all(scratch)?;
    // Handles rest for twice this time: many connections a second need a short one.
    let text = CONFIGURATION.replace("ack_ms = 600", "ack_ms = 100");
    std::fs::write(&file, text)?;
    let audiod = format!("'{}' run '{}'", programs.join("audiod").display(), file.display());
    let ours = side(options, &audiod, programs, &scratch.join("ours"))?;
    let peer = match &options.peer {
        Some(command) => Some(side(options, command, programs, &scratch.join("peer"))?),
        None => None,
    };
    Ok(Figures {
        quoted: peer.is_none().then_some(QUOTED),
        ours,
        peer,
    })
}

/// The three of one daemon.
fn side(options: &Options, command: &str, programs: &Path, folder: &Path) -> anyhow::Result<Vec<Row>> {
    std::fs::create_dir_all(folder)?;
    let mut subject = Subject::start(folder, Some(command))?;
    let mut client = Client::connect(subject.address())?;
    if let Err(error) = client.wait_for_daemon() {
        bail!("{error}; {}", subject.state());
    }
    eprintln!("{command}: calls");
    let (calls, beside) = client.calls(options.calls)?;
    let calls = row("GetListMainConnections", &calls, "GetId of the bus", &beside, Some(2.0));
    eprintln!("{command}: connections");
    let domain = AsProcess::start(subject.address())?;
    let connects = client.connections(options.connections, domain.source, domain.sink)?;
    let echoes = client.echoes(options.connections)?;
    let what = "Connect until connected and unmuted";
    let connects = row(what, &connects, "four echo calls to the domain", &echoes, Some(2.0));
    drop(domain);
    eprintln!("{command}: starts");
    subject.ask_to_end();
    subject.ended()?;
    let (mut starts, mut bare) = (Timed::default(), Timed::default());
    let own = programs.join("own-name");
    for _ in 0..options.starts {
        let mut program = None;
        let address = subject.address().to_owned();
        bare.add(client.owned_after(|| {
            program = Some(Command::new(&own).arg(&address).spawn()?);
            Ok(())
        })?);
        program.as_mut().map_or(Ok(()), end)?;
        starts.add(client.owned_after(|| subject.begin())?);
        subject.ask_to_end();
        subject.ended()?;
    }
    let starts = row(
        "start until the name is owned",
        &starts,
        "a program that only owns a name",
        &bare,
        None,
    );
    Ok(vec![calls, connects, starts])
}

fn end(child: &mut Child) -> anyhow::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// The domain, as another process.
struct AsProcess {
    child: Child,
    source: u16,
    sink: u16,
}

impl AsProcess {
    fn start(address: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "dbus", "--as-domain", address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let ids = line
            .trim()
            .split_once(' ')
            .map(|(source, sink)| (source.parse(), sink.parse()));
        let Some((Ok(source), Ok(sink))) = ids else {
            end(&mut child)?;
            bail!("the domain is not registered; docs/am-suite.md says what the daemon must be configured like");
        };
        Ok(Self { child, source, sink })
    }
}

impl Drop for AsProcess {
    fn drop(&mut self) {
        // It ends with the bus at the latest.
        let _ = end(&mut self.child);
    }
}

fn row(what: &'static str, of: &Timed, beside: &'static str, other: &Timed, goal: Option<f64>) -> Row {
    let (p50_us, beside_p50_us) = (of.quantile(0.5), other.quantile(0.5));
    Row {
        what,
        p50_us,
        p99_us: of.quantile(0.99),
        beside,
        beside_p50_us,
        ratio: p50_us / beside_p50_us.max(0.001),
        goal,
    }
}

fn text(figures: &Figures) -> String {
    let mut text = String::new();
    for (name, rows) in [("carillon", Some(&figures.ours)), ("peer", figures.peer.as_ref())] {
        for row in rows.into_iter().flatten() {
            let goal = row.goal.map_or_else(String::new, |goal| format!(", goal {goal}"));
            let _ = writeln!(
                text,
                "{name}: {}: p50 {:.0} us, p99 {:.0} us; {}: p50 {:.0} us; ratio {:.2}{goal}",
                row.what, row.p50_us, row.p99_us, row.beside, row.beside_p50_us, row.ratio
            );
        }
    }
    if let Some(quoted) = figures.quoted {
        let _ = writeln!(text, "{quoted}");
    }
    text
}
