//! `cargo xtask bench dbus`: what the bus costs beside what it must cost, in one run.
//!
//! ```text
//!  calls    client ── GetListMainConnections ── bus ── daemon         beside  client ── GetId ── bus
//!  connect  client ── Connect ── bus ── daemon ── 4 requests, 4 acks ── domain's process: until CS_CONNECTED (which is told after
//!           the third ack), and until the fourth
//!                                                                     beside  client ── 4 echo calls ── domain's process
//!                                                                     and     the same messages, of a router that decides nothing
//!  start    daemon: started until it owns its name                    beside  a program that only owns a name
//! ```
//! The bus has a CPU to itself and all who talk over it share another: where the scheduler puts them is otherwise another place with
//! each run, and the same four echoes take half or twice the time.
//!
//! With `--peer CMD` the same three for another AudioManager (configured as docs/am-suite.md says). It prints, and judges no time.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::bail;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use system_tests::am_suite::bench::{Client, ROUTER, Timed, serve_domain};
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

/// Which figure the goal is of.
const GOAL: &str = "the goal of 2 for a Connect is of CS_CONNECTED to the four echoes: it is told after the third of the four acks; until the \
                    fourth, and the protocol's messages, stand beside it";

/// Where the processes are.
const APART: &str = "the bus on one CPU, all who talk over it on another";
const TOGETHER: &str = "all on the only CPU, where an echo by another process takes some twice as long as a GetId";

/// Connections of a daemon's first seconds are not what it does for years (audiod tells whoever listened before a restart what
/// happens): they are not measured.
const WARM_UP: Duration = Duration::from_secs(6);

/// One comparison, microseconds.
#[derive(serde::Serialize)]
struct Row {
    what: &'static str,
    p50_us: f64,
    p99_us: f64,
    beside: &'static str,
    beside_p50_us: f64,
    /// The middle one of the ratios of those that took turns.
    ratio: f64,
    /// What is aimed at, where there is an aim.
    goal: Option<f64>,
    /// On the bus for one of each, where they are counted.
    messages: Option<(usize, usize)>,
}

#[derive(serde::Serialize)]
struct Figures {
    places: &'static str,
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
        .args(["-p", "system-tests", "--bin", "own-name", "--bin", "bare-router"])
        .status()?;
    if !status.success() {
        bail!("building audiod, own-name and bare-router failed ({status})");
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
        places: if cpus().len() > 1 { APART } else { TOGETHER },
        quoted: peer.is_none().then_some(QUOTED),
        ours,
        peer,
    })
}

/// The three of one daemon.
fn side(options: &Options, command: &str, programs: &Path, folder: &Path) -> anyhow::Result<Vec<Row>> {
    std::fs::create_dir_all(folder)?;
    let ours = apart()?;
    let mut subject = Subject::start(folder, Some(command))?;
    if let (Some(cpu), Some(bus)) = (ours, subject.bus_pid()) {
        stay(Pid::from_raw(bus.cast_signed()), cpu)?;
    }
    let mut client = Client::connect(subject.address())?;
    if let Err(error) = client.wait_for_daemon() {
        bail!("{error}; {}", subject.state());
    }
    eprintln!("{command}: calls");
    let (calls, beside) = client.calls(options.calls)?;
    let mut rows = vec![row(
        "GetListMainConnections",
        &calls,
        "GetId of the bus",
        &beside,
        Some(2.0),
    )];
    eprintln!("{command}: connections");
    rows.extend(connections(options, &mut client, subject.address(), programs)?);
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
    rows.push(row(
        "start until the name is owned",
        &starts,
        "a program that only owns a name",
        &bare,
        None,
    ));
    Ok(rows)
}

/// A Connect beside the goal's measure, and beside what the protocol's own messages cost.
fn connections(options: &Options, client: &mut Client, address: &str, programs: &Path) -> anyhow::Result<[Row; 4]> {
    let domain = AsProcess::start(address)?;
    let router = Command::new(programs.join("bare-router")).arg(address).spawn()?;
    let _router = Ended(router);
    client.wait_for(ROUTER)?;
    let began = Instant::now();
    while began.elapsed() < WARM_UP {
        client.rounds(1, domain.source, domain.sink)?;
    }
    let rounds = client.rounds(options.connections, domain.source, domain.sink)?;
    let counts = client.messages(address, domain.source, domain.sink)?;
    let (what, router) = (
        "Connect until connected and unmuted",
        "the protocol's messages, nothing decided",
    );
    let echoes = "four echo calls to the domain";
    let connected = "Connect until CS_CONNECTED";
    let mut rows = [
        row(connected, &rounds.connected, echoes, &rounds.echoes, Some(2.0)),
        row(what, &rounds.connects, echoes, &rounds.echoes, None),
        row(what, &rounds.connects, router, &rounds.router, None),
        row(router, &rounds.router, echoes, &rounds.echoes, None),
    ];
    let (of_connect, of_router, of_echoes) = (counts.connect, counts.router, counts.echoes);
    let pairs = [(of_connect, of_echoes), (of_connect, of_router), (of_router, of_echoes)];
    for (row, pair) in rows.iter_mut().skip(1).zip(pairs) {
        row.messages = Some(pair);
    }
    Ok(rows)
}

/// CPUs that we began with.
fn cpus() -> &'static [usize] {
    static CPUS: OnceLock<Vec<usize>> = OnceLock::new();
    CPUS.get_or_init(|| {
        let ours = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        let is_ours = |cpu: &usize| ours.is_set(*cpu).unwrap_or(false);
        (0..CpuSet::count()).filter(is_ours).collect()
    })
}

/// This thread, and what it starts from now on, stays on the last of our CPUs; the first is left to the bus. `None`: there is one.
fn apart() -> anyhow::Result<Option<usize>> {
    let [first, .., last] = cpus() else { return Ok(None) };
    stay(Pid::from_raw(0), *last)?;
    Ok(Some(*first))
}

fn stay(process: Pid, cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(process, &set)?)
}

fn end(child: &mut Child) -> anyhow::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Ends with us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It ends with the bus at the latest.
        let _ = end(&mut self.0);
    }
}

/// The domain, as another process.
struct AsProcess {
    _child: Ended,
    source: u16,
    sink: u16,
}

impl AsProcess {
    fn start(address: &str) -> anyhow::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["bench", "dbus", "--as-domain", address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut child = Ended(child);
        let mut line = String::new();
        if let Some(output) = child.0.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let ids = line
            .trim()
            .split_once(' ')
            .map(|(source, sink)| (source.parse(), sink.parse()));
        let Some((Ok(source), Ok(sink))) = ids else {
            bail!("the domain is not registered; docs/am-suite.md says what the daemon must be configured like");
        };
        Ok(Self {
            _child: child,
            source,
            sink,
        })
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
        ratio: of.ratio(other),
        goal,
        messages: None,
    }
}

fn text(figures: &Figures) -> String {
    let mut text = String::new();
    for (name, rows) in [("carillon", Some(&figures.ours)), ("peer", figures.peer.as_ref())] {
        for row in rows.into_iter().flatten() {
            let goal = row.goal.map_or_else(String::new, |goal| format!(", goal {goal}"));
            let messages = row.messages.map_or_else(String::new, |(own, beside)| {
                format!(", messages on the bus {own} and {beside}")
            });
            let _ = writeln!(
                text,
                "{name}: {}: p50 {:.0} us, p99 {:.0} us; {}: p50 {:.0} us; ratio {:.2}{goal}{messages}",
                row.what, row.p50_us, row.p99_us, row.beside, row.beside_p50_us, row.ratio
            );
        }
    }
    for line in [figures.places, GOAL].into_iter().chain(figures.quoted) {
        let _ = writeln!(text, "{line}");
    }
    text
}
