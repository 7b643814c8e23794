//! The real binary in a folder of its own, its children found by their names in /proc.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests; each binary uses its part"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dbus_api::client::Client;
use dbus_api::private_bus::PrivateBus;
use dbus_api::server::BusAddress;

/// For anything that must happen; far longer than it takes, so that a busy machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that is gone afterwards.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("audiod-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and returns where.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One guest, one stereo WAV codec, one chime; `bus` is a D-Bus address or nothing.
pub fn car(folder: &Folder, bus: Option<&str>) -> PathBuf {
    chime(&folder.path().join("chime.wav"), CHIME_FRAMES);
    let bus = bus.map_or_else(String::new, |bus| format!("bus = \"{bus}\"\n"));
    let text = format!(
        r#"version = 1
{bus}
[codecs.main]
backend = "wav"
path = "cabin.wav"
period = 480   # a busy machine is late by milliseconds now and then, and this is not what is tested here
lead = 8

[zones.cabin]
codec = "main"

[classes.media]
priority = 10
[classes.warning]
safety = true

[guests.ivi]
socket = "ivi.sock"
streams.media = {{ class = "media", zone = "cabin" }}

[chimes.bell]
path = "chime.wav"
class = "warning"
zones = ["cabin"]
"#
    );
    folder.write("car.toml", &text)
}

/// Frames of the test's chime: half a second.
pub const CHIME_FRAMES: usize = 24_000;

/// A sample that tells which frame it is of, never 0.
pub fn chime_sample(frame: usize) -> i16 {
    (frame % 30_000) as i16 + 1
}

fn chime(path: &Path, frames: usize) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).unwrap();
    for frame in 0..frames {
        file.write_sample(chime_sample(frame)).unwrap();
        file.write_sample(-chime_sample(frame)).unwrap();
    }
    file.finalize().unwrap();
}

/// Left and right of every frame.
pub fn frames(path: &Path) -> Vec<[i16; 2]> {
    let samples: Vec<i16> = hound::WavReader::open(path)
        .unwrap()
        .samples()
        .map(|one| one.unwrap())
        .collect();
    samples.as_chunks().0.to_vec()
}

/// Where the chime is in the file, frame for frame; panics when it is not there whole.
pub fn find_chime(played: &[[i16; 2]], from: usize) -> usize {
    let start = from
        + played[from..]
            .iter()
            .position(|frame| *frame != [0, 0])
            .expect("the chime is not in the file");
    for (index, frame) in played[start..start + CHIME_FRAMES].iter().enumerate() {
        let sample = chime_sample(index);
        assert_eq!(*frame, [sample, -sample], "frame {index} of the chime");
    }
    start
}

/// A running daemon. Ends, whatever happens, when dropped.
pub struct Daemon {
    pub process: Child,
    /// What it has said so far is read by a thread.
    said: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Daemon {
    /// Starts and waits until it is ready.
    pub fn start(file: &Path) -> Self {
        let mut daemon = Self::spawn(file);
        let mut line = String::new();
        let mut ready = BufReader::new(daemon.process.stdout.take().unwrap());
        ready.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "audiod did not come up:\n{}", daemon.said());
        daemon
    }

    fn spawn(file: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_audiod"))
            .args(["run", "--ready-fd", "1"])
            .arg(file)
            .env("AUDIOD_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let (lines, into) = (BufReader::new(process.stderr.take().unwrap()), said.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                *into.lock().unwrap() += &(line + "\n");
            }
        });
        Self { process, said }
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Process id of a child: `engine`, `control`, `card 0`.
    pub fn child(&self, role: &str) -> Option<u32> {
        children(self.process.id())
            .into_iter()
            .find(|pid| arguments(*pid).ends_with(&format!("child {role}")))
    }

    /// The child that took over from `old`.
    pub fn successor(&self, role: &str, old: u32) -> u32 {
        until(&format!("another {role}"), || {
            self.child(role).filter(|pid| *pid != old)
        })
    }

    pub fn end(mut self) -> ExitStatus {
        signal(self.process.id(), libc::SIGTERM);
        until("the daemon's end", || self.process.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("audiod said:\n{}", self.said());
        }
    }
}

/// Runs to its end: exit code and what it said.
pub fn run_to_end(file: &Path) -> (Option<i32>, String) {
    let mut daemon = Daemon::spawn(file);
    let status = until("audiod's refusal", || daemon.process.try_wait().unwrap());
    let mut nothing = String::new();
    daemon
        .process
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut nothing)
        .unwrap();
    assert_eq!(nothing, "", "it claims to be ready");
    until("its words", || Some(daemon.said()).filter(|said| !said.is_empty()));
    (status.code(), daemon.said())
}

pub fn signal(pid: u32, signal: i32) {
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0, "signal {signal} to {pid}");
}

pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// There, and not just waiting to be reaped.
pub fn alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat[0] != "Z" && stat[0] != "X")
}

pub fn children(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|stat| stat[1] == parent.to_string()))
        .collect()
}

fn arguments(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .replace('\0', " ")
}

/// A field of `/proc/PID/status`.
pub fn status_field(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line[field.len() + 1..].trim().to_owned()
}

/// A client of the daemon on a private bus.
pub struct OnBus {
    pub bus: PrivateBus,
    runtime: tokio::runtime::Runtime,
}

impl OnBus {
    pub fn new(folder: &Folder) -> Self {
        Self {
            bus: PrivateBus::start(folder.path()).unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// Does something as a client, as soon as the daemon is there.
    pub fn with<T, E: std::fmt::Debug>(&self, what: impl AsyncFn(&Client) -> Result<T, E>) -> T {
        let address = BusAddress::At(self.bus.address().to_owned());
        self.runtime.block_on(async {
            let client = Client::connect(&address).await.unwrap();
            let end = Instant::now() + PATIENCE;
            loop {
                match what(&client).await {
                    Ok(value) => return value,
                    Err(error) => assert!(Instant::now() < end, "{error:?}"),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    }
}
