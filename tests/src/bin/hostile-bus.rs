//! `hostile-bus play (quiet|attacked) SECONDS DOMAINS WAV`: the shipped `audiod`, beside this program, and a guest's take on it, with callers
//! that mean ill on its bus or without; prints what there was as JSON, then copies the card's file to WAV.
//! `hostile-bus attack ADDRESS DOMAINS`: those callers; a line when the daemon has so many of their domains to bear, and one after
//! standard input has ended.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use system_tests::attack::{Attack, Kind};
use system_tests::process::{self, SystemCalls};
use system_tests::rig::{PATIENCE, Player, Rig};
use system_tests::short_ring::Taken;
use system_tests::virtual_bus::{Attacked, Said, car, take};
use system_tests::witness;

const ALL: [Kind; 4] = [Kind::Fuzz, Kind::Flood, Kind::Domains, Kind::Silent];
/// Until what grows to its bound has.
const CALLS: u64 = 2000;
/// Of the take: from here on for so long calls are counted.
const COUNTED: (f64, f64) = (0.25, 0.5);

fn attack(address: &str, domains: u64) -> Result<()> {
    let attack = Attack::start(address, &ALL);
    let say = || -> Result<()> {
        let load = |count: &std::sync::atomic::AtomicU64| count.load(Relaxed);
        let attacked = Attacked {
            calls: load(&attack.calls),
            domains: load(&attack.domains),
            limited: load(&attack.limited),
        };
        println!("{}", serde_json::to_string(&attacked)?);
        Ok(())
    };
    process::until("the hostile domains", 10 * PATIENCE, || {
        (attack.calls.load(Relaxed) >= CALLS && attack.domains.load(Relaxed) >= domains).then_some(())
    })?;
    say()?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    say()
}

/// The attackers' process.
struct Attackers {
    child: Child,
    lines: BufReader<ChildStdout>,
    before: Attacked,
}

impl Attackers {
    fn start(address: &str, domains: u64) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["attack", address, &domains.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(output);
        let before = line(&mut lines)?;
        Ok(Self { child, lines, before })
    }

    fn finish(mut self) -> Result<(Attacked, Attacked)> {
        drop(self.child.stdin.take());
        let after = line(&mut self.lines)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("an attacker was thrown off: {status}");
        }
        Ok((self.before, after))
    }
}

fn line(lines: &mut impl BufRead) -> Result<Attacked> {
    let mut text = String::new();
    lines.read_line(&mut text)?;
    serde_json::from_str(&text).context("the attackers ended")
}

/// System calls of the codec's thread in so long, a period.
fn calls_a_period(rig: &Rig, window: Duration) -> Result<f64> {
    let engine = rig.process("engine", None)?;
    let is_codec = |thread: &u32| process::thread_name(engine, *thread).starts_with("codec");
    let thread = process::threads(engine).into_iter().find(is_codec);
    let (began, calls) = (
        Instant::now(),
        SystemCalls::count_threads(&[thread.context("a thread named codec-N")?])?,
    );
    std::thread::sleep(window);
    let (count, took) = (calls.read()?, began.elapsed().as_secs_f64());
    Ok(count as f64 / (took * 48_000.0 / f64::from(car().period)))
}

fn play(domains: Option<u64>, seconds: f64, wav: &str) -> Result<()> {
    let rig = Rig::start("hostile", car())?;
    let daemon = rig.daemon()?;
    process::until("the daemon is on its bus", PATIENCE, || daemon.status().ok())?;
    let control = rig.process("control", None)?;
    let attack = |domains| Attackers::start(daemon.bus(), domains);
    let attackers = domains.map(attack).transpose()?;
    let before = process::resident(control).context("control's memory")?;
    let (take, from) = (take(seconds), rig.played()?);
    let player = Player::start(&rig.socket(0), take)?;
    // Behind the player and the engine, before all that the attack makes busy: the window is as long as it is meant to be. Nobody
    // inherits it any more.
    witness::real_time(witness::PRIORITY - 2)?;
    std::thread::sleep(Duration::from_secs_f64(seconds * COUNTED.0));
    let calls_a_period = calls_a_period(&rig, Duration::from_secs_f64(seconds * COUNTED.1))?;
    let (_, stats) = player.finish()?;
    let grown = process::resident(control)
        .context("control's memory")?
        .saturating_sub(before);
    rig.settle()?;
    let attacked = attackers.map(Attackers::finish).transpose()?;
    if rig.process("control", None)? != control {
        bail!("the control process was restarted");
    }
    let seed = take.seed;
    let said = Said {
        taken: Taken { seed, from, stats },
        calls_a_period,
        grown,
        attacked,
    };
    println!("{}", serde_json::to_string(&said)?);
    std::io::copy(&mut File::open(rig.wav())?, &mut File::options().write(true).open(wav)?)?;
    Ok(())
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["attack", address, domains] => attack(address, domains.parse()?),
        ["play", how @ ("quiet" | "attacked"), seconds, domains, wav] => {
            let domains = domains.parse()?;
            play((how == "attacked").then_some(domains), seconds.parse()?, wav)
        }
        _ => bail!("see the source's head for its arguments"),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hostile-bus: {error:#}");
            ExitCode::FAILURE
        }
    }
}
