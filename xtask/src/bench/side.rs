//! One side of the bench: a device, its front ends, and what they cost while they play.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use system_tests::peer::{Card, Vds};
use system_tests::process::{self, SystemCalls};

use super::table::Figures;

const RATE: u32 = 48_000;
/// Periods in each guest's ring: what vhost-device-sound needs to play at all.
const RING: u32 = 20;
/// Played before and after the measured time.
const MARGIN: Duration = Duration::from_millis(1500);

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Case {
    /// Guest period = codec period, ms.
    pub period_ms: u32,
    /// Streams, one a guest.
    pub streams: u32,
}

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Ours.
    Audiod,
    /// vhost-device-sound 0.3.0.
    Vds,
}

/// Programs and places.
pub struct Bench {
    /// vhost-device-sound.
    pub vds: PathBuf,
    /// The card both play on.
    pub card: Card,
    /// audiod.
    pub audiod: PathBuf,
    /// fe-play.
    pub front_end: PathBuf,
    /// Sockets and configuration.
    pub scratch: PathBuf,
    /// Measured time.
    pub time: Duration,
}

/// A process that ends with its owner.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        for pid in process::descendants(self.0.id()) {
            let _already_gone = process::signal(pid, libc::SIGKILL);
        }
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A device that listens on one socket a stream.
struct Running {
    sockets: Vec<PathBuf>,
    pids: Vec<u32>,
    _peers: Vec<Vds>,
    _ours: Option<Owned>,
}

impl Bench {
    /// Plays the case on a fresh device and measures it in its steady state. Where the kernel counts no system calls for us
    /// they are counted in a second go, under a tracer, which would falsify the CPU time of the first.
    pub fn measure(&self, device: Device, case: Case) -> anyhow::Result<Figures> {
        let mut figures = self.tried(device, case, |device, fronts| measured(device, fronts, self.time))?;
        if figures.device_calls.is_none() {
            let traced = self.tried(device, case, |device, fronts| self.traced(device, fronts))?;
            figures.device_calls = traced.device_calls;
            figures.front_end_calls = traced.front_end_calls;
        }
        Ok(figures)
    }

    /// As [`Self::played`]; the peer gets four goes, each failure told: now and then it takes a stream and never plays it. Ours has one.
    fn tried(
        &self,
        device: Device,
        case: Case,
        look: impl Fn(&[u32], &[u32]) -> anyhow::Result<Figures>,
    ) -> anyhow::Result<Figures> {
        let again = if device == Device::Vds { 3 } else { 0 };
        for _ in 0..again {
            match self.played(device, case, &look) {
                Err(error) => eprintln!("once more, since: {error:#}"),
                figures => return figures,
            }
        }
        self.played(device, case, look)
    }

    /// What `look` saw of the device's and the front ends' processes while they played.
    fn played(
        &self,
        device: Device,
        case: Case,
        look: impl Fn(&[u32], &[u32]) -> anyhow::Result<Figures>,
    ) -> anyhow::Result<Figures> {
        let running = match device {
            Device::Vds => self.start_vds(case)?,
            Device::Audiod => self.start_audiod(case)?,
        };
        let front_ends: Vec<Owned> = running
            .sockets
            .iter()
            .enumerate()
            .map(|(seed, socket)| self.play(socket, seed, case))
            .collect::<anyhow::Result<_>>()?;
        std::thread::sleep(MARGIN);
        let fronts: Vec<u32> = front_ends.iter().map(|front| front.0.id()).collect();
        let mut figures = look(&running.pids, &fronts)?;
        for front_end in front_ends {
            figures.completions += self.finished(front_end, case).with_context(|| self.blame(device))?;
        }
        Ok(figures)
    }

    /// System calls alone, by `strace`; the front ends' in the second half of the time.
    fn traced(&self, device: &[u32], fronts: &[u32]) -> anyhow::Result<Figures> {
        let half = self.time / 2;
        let calls = |pids: &[u32]| trace(pids, half, &self.scratch.join("strace")).map(|calls| Some(2 * calls));
        Ok(Figures {
            device_calls: calls(device)?,
            front_end_calls: calls(fronts)?,
            ..Figures::default()
        })
    }

    /// Which device it was, and what ours said.
    fn blame(&self, device: Device) -> String {
        let said = std::fs::read_to_string(self.scratch.join("audiod.log")).unwrap_or_default();
        match device {
            Device::Audiod => format!("audiod, which said:\n{said}"),
            Device::Vds => "vhost-device-sound".to_owned(),
        }
    }

    fn start_vds(&self, case: Case) -> anyhow::Result<Running> {
        let config = self.scratch.join("asound.conf");
        self.card.configure(&config, None)?;
        let start = |n| Vds::start(&self.vds, &config, &self.scratch.join(format!("vds{n}.sock")));
        let peers: Vec<Vds> = (0..case.streams).map(start).collect::<anyhow::Result<_>>()?;
        Ok(Running {
            sockets: peers.iter().map(|peer| peer.socket.clone()).collect(),
            pids: peers.iter().map(Vds::pid).collect(),
            _peers: peers,
            _ours: None,
        })
    }

    fn start_audiod(&self, case: Case) -> anyhow::Result<Running> {
        let config = self.scratch.join("asound.conf");
        self.card.configure(&config, None)?;
        let socket = |n| self.scratch.join(format!("ours{n}.sock"));
        let sockets: Vec<PathBuf> = (0..case.streams).map(socket).collect();
        let file = self.scratch.join("system.toml");
        std::fs::write(&file, system(case, &sockets))?;
        let log = std::fs::File::create(self.scratch.join("audiod.log"))?;
        let child = Command::new(&self.audiod)
            .arg("run")
            .arg(&file)
            .args(["--ready-fd", "1"])
            .env("ALSA_CONFIG_PATH", &config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| self.audiod.display().to_string())?;
        let mut ours = Owned(child);
        let mut line = String::new();
        if let Some(output) = ours.0.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if line.trim() != "ready" {
            bail!("{}: not ready", self.blame(Device::Audiod));
        }
        let mut pids = vec![ours.0.id()];
        pids.extend(process::descendants(ours.0.id()));
        Ok(Running {
            sockets,
            pids,
            _peers: Vec::new(),
            _ours: Some(ours),
        })
    }

    fn play(&self, socket: &Path, seed: usize, case: Case) -> anyhow::Result<Owned> {
        let seconds = (self.time + 2 * MARGIN).as_secs_f64();
        let child = Command::new(&self.front_end)
            .arg(socket)
            .args(["--period", &(case.period_ms * RATE / 1000).to_string()])
            .args(["--periods", &RING.to_string()])
            .args(["--seconds", &seconds.to_string()])
            .args(["--seed", &seed.to_string(), "--headroom", "4"])
            // vhost-device-sound answers nothing any more once it has seen an event buffer with EVENT_IDX.
            .arg("--no-event-idx")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| self.front_end.display().to_string())?;
        Ok(Owned(child))
    }

    /// Waits for a front end's end; the messages it got back, which must be nearly all.
    fn finished(&self, mut front_end: Owned, case: Case) -> anyhow::Result<u64> {
        let limit = self.time + 2 * MARGIN + Duration::from_secs(10);
        process::until("the front end ends", limit, || front_end.0.try_wait().ok().flatten())?;
        let mut text = String::new();
        let mut said = String::new();
        if let Some(mut stdout) = front_end.0.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut text)?;
        }
        if let Some(mut stderr) = front_end.0.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut said)?;
        }
        let stats: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("a front end did not play: {}", said.trim()))?;
        let completions = stats["completions"].as_u64().unwrap_or(0);
        let expected = (self.time + 2 * MARGIN).as_millis() as u64 / u64::from(case.period_ms);
        if completions < expected * 9 / 10 {
            bail!("a front end got {completions} of {expected} messages back: {text}");
        }
        Ok(completions)
    }
}

/// The cost of so much time.
fn measured(device: &[u32], fronts: &[u32], time: Duration) -> anyhow::Result<Figures> {
    let cpu = |pids: &[u32]| -> anyhow::Result<Duration> {
        Ok(pids.iter().map(|p| process::cpu_time(*p)).sum::<Result<_, _>>()?)
    };
    let calls = (SystemCalls::count(device).ok(), SystemCalls::count(fronts).ok());
    let counted = |counter: &Option<SystemCalls>| counter.as_ref().and_then(|counter| counter.read().ok());
    let began = Instant::now();
    let before = (cpu(device)?, cpu(fronts)?, counted(&calls.0), counted(&calls.1));
    std::thread::sleep(time);
    let after = (cpu(device)?, cpu(fronts)?, counted(&calls.0), counted(&calls.1));
    let ms = |before: Duration, after: Duration| (after - before).as_secs_f64() * 1e3;
    Ok(Figures {
        seconds: began.elapsed().as_secs_f64(),
        device_cpu_ms: ms(before.0, after.0),
        front_end_cpu_ms: ms(before.1, after.1),
        device_calls: before.2.zip(after.2).map(|(before, after)| after - before),
        front_end_calls: before.3.zip(after.3).map(|(before, after)| after - before),
        completions: 0,
        processes: device.len(),
        threads: device.iter().map(|pid| process::threads(*pid).len()).sum(),
    })
}

/// System calls that all threads of these processes enter within `time`, counted by `strace`, which writes to `table`.
fn trace(pids: &[u32], time: Duration, table: &Path) -> anyhow::Result<u64> {
    // What an earlier one counted must not be taken for this one's.
    let _not_there = std::fs::remove_file(table);
    let seconds = time.as_secs_f64().to_string();
    let mut strace = Command::new("timeout");
    strace.args(["--signal=INT", &seconds, "strace", "--follow-forks", "--summary-only"]);
    strace
        .args(["--summary-columns=calls,name", "--quiet=all", "--output"])
        .arg(table);
    for pid in pids {
        strace.args(["--attach", &pid.to_string()]);
    }
    // Its exit code is timeout's: that it was ended is what was wanted.
    let output = strace.output().context("timeout (Debian package coreutils)")?;
    let text = std::fs::read_to_string(table).unwrap_or_default();
    total(&text).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("system calls were not counted: the kernel's tracepoints are not ours to use, and strace (Debian package strace) said: {said}{text}")
    })
}

/// The sum in strace's table.
fn total(table: &str) -> Option<u64> {
    let line = table.lines().find(|line| line.trim_end().ends_with("total"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// audiod's file: a codec on the paced card at the guests' period, one guest a socket.
fn system(case: Case, sockets: &[PathBuf]) -> String {
    let period = case.period_ms * RATE / 1000;
    let mut text = format!(
        "version = 1\n\n[codecs.main]\nbackend = \"alsa\"\ndevice = \"card\"\nrate = {RATE}\nperiod = {period}\nformat = \"S16\"\n\n\
         [zones.cabin]\ncodec = \"main\"\nchannels = [0, 1]\n\n[classes.media]\npriority = 10\n\n\
         [[matrix]]\nholder = \"media\"\nnewcomer = \"media\"\naction = \"mix\"\n\n"
    );
    for (n, socket) in sockets.iter().enumerate() {
        let socket = socket.display();
        let _never_fails = writeln!(
            text,
            "[guests.g{n}]\nsocket = \"{socket}\"\nstreams.media = {{ class = \"media\", zone = \"cabin\" }}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_sum_of_straces_table_is_read() {
        let table = "    calls syscall\n--------- ----------------\n     1200 write\n       34 ppoll\n--------- ----------------\n     1234 total\n";

        assert_eq!(total(table), Some(1234));
        assert_eq!(
            total("strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted\n"),
            None
        );
    }
}
