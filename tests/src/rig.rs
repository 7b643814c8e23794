//! The shipped `audiod` with a simulated card, and front ends of our own that play on it: what the tests of whole promises
//! are written with.
//!
//! ```text
//!  Player ── ring in memfd ── guest n of audiod ── zone n: channels 2n, 2n+1 ── card process ── cabin.wav ── Rig::recorded(n)
//! ```

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::coded;
use crate::daemon::Daemon;
use crate::frontend::pcm::{Pcm, Stats};
use crate::frontend::proto::{Params, RATES, TXQ};
use crate::frontend::{Options, SoundFrontend};
use crate::{process, witness};

/// Longest wait for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a started stream is held for its decision: frames are judged here, not how soon a busy machine lets control decide.
const DECISION_LIMIT_MS: u32 = 1000;
/// Bytes of a WAV file's shortest header.
const WAV_HEADER: usize = 44;
/// Bit of S16 in a set of formats, as in SET_PARAMS.
pub const S16: u8 = 5;

/// A folder that is gone afterwards.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A fresh folder with a short path (sockets go there).
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(name: &str) -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("car-{name}-{}", std::process::id()));
        let _old = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

/// The system that is run.
#[derive(Clone, Debug)]
pub struct Car {
    /// Codec period, frames at 48 kHz.
    pub period: u32,
    /// Periods kept in the card. The shortest, 2, for promises about time; more for those about samples, so that a busy
    /// machine is heard less often.
    pub lead: u32,
    /// Format of the codec and so of the file: S16, S24, S32 or FLOAT.
    pub format: &'static str,
    /// Guests `g0`, `g1`…, one stream each.
    pub guests: usize,
    /// One zone of two channels for all guests, or one for each guest (at most 4).
    pub mixed: bool,
    /// Keys of each guest's stream beside class and zone.
    pub stream: &'static str,
    /// Each guest also has a capture stream, which hears the card's counter, and a jack.
    pub whole: bool,
    /// Keys of each guest beside its socket and streams.
    pub guest: String,
}

impl Default for Car {
    fn default() -> Self {
        Self {
            period: 48,
            lead: 16,
            format: "S16",
            guests: 1,
            mixed: false,
            stream: "",
            whole: false,
            guest: String::new(),
        }
    }
}

impl Car {
    /// A car whose card holds 80 ms: for promises about samples over many seconds, on machines that pause for long.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            period: 240,
            ..Self::default()
        }
    }

    fn zones(&self) -> usize {
        if self.mixed { 1 } else { self.guests }
    }

    /// Its file.
    #[must_use]
    pub fn file(&self, bus: &str) -> String {
        let (period, lead, format, channels) = (self.period, self.lead, self.format, 2 * self.zones());
        let capture = if self.whole {
            "capture_channels = 2\ncapture = \"counter\"\n"
        } else {
            ""
        };
        let mut text = format!(
            "version = 1\nbus = \"{bus}\"\ndecision_limit_ms = {DECISION_LIMIT_MS}\n\n[codecs.main]\nbackend = \"wav\"\npath = \"cabin.wav\"\nperiod = {period}\n\
             lead = {lead}\nformat = \"{format}\"\nchannels = {channels}\n{capture}\n[classes.media]\npriority = 10\n\n\
             [[matrix]]\nholder = \"media\"\nnewcomer = \"media\"\naction = \"mix\"\n\n"
        );
        for zone in 0..self.zones() {
            let (left, right) = (2 * zone, 2 * zone + 1);
            text += &format!("[zones.z{zone}]\ncodec = \"main\"\nchannels = [{left}, {right}]\n\n");
        }
        for guest in 0..self.guests {
            let (zone, more, keys) = (if self.mixed { 0 } else { guest }, self.stream, &self.guest);
            text += &format!(
                "[guests.g{guest}]\nsocket = \"g{guest}.sock\"\n{keys}streams.media = {{ class = \"media\", zone = \"z{zone}\"{more} }}\n"
            );
            if self.whole {
                text += "streams.microphone = { direction = \"capture\", capture = true }\njacks.phones = { kind = \"headphone\" }\n";
            }
            text += "\n";
        }
        text
    }

    /// How late the witness may be before a gap in the file is the machine's: half the lead.
    #[must_use]
    pub fn tolerance(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.period * self.lead) / 48_000.0) / 2
    }

    fn sample_bytes(&self) -> usize {
        if self.format == "S16" { 2 } else { 4 }
    }
}

/// A running car.
pub struct Rig {
    /// The daemon; `None` between [`Rig::kill_daemon`] and [`Rig::start_daemon`].
    daemon: Option<Daemon>,
    car: Car,
    folder: Folder,
}

impl Rig {
    /// Starts it; engine and control are up when this returns.
    ///
    /// # Errors
    /// What kept the daemon from coming up.
    pub fn start(name: &str, car: Car) -> anyhow::Result<Self> {
        let mut rig = Self {
            daemon: None,
            folder: Folder::new(name)?,
            car,
        };
        rig.start_daemon()?;
        Ok(rig)
    }

    /// Starts the daemon (again) in the same folder.
    ///
    /// # Errors
    /// As [`Rig::start`].
    pub fn start_daemon(&mut self) -> anyhow::Result<()> {
        self.daemon = Some(Daemon::start(self.folder.path(), |bus| self.car.file(bus))?);
        Ok(())
    }

    /// SIGKILL to the supervisor and whatever it leaves.
    pub fn kill_daemon(&mut self) {
        self.daemon = None;
    }

    /// The daemon.
    ///
    /// # Errors
    /// It was killed and not started again.
    pub fn daemon(&self) -> anyhow::Result<&Daemon> {
        self.daemon.as_ref().context("the daemon was killed")
    }

    /// Process of a child: `engine`, `control` or `card`; waits until there is one that is not `old`.
    ///
    /// # Errors
    /// None within the patience.
    pub fn process(&self, role: &str, old: Option<u32>) -> anyhow::Result<u32> {
        let daemon = self.daemon()?;
        let found = || daemon.process_of(role).filter(|pid| Some(*pid) != old);
        Ok(process::until(&format!("{role} comes up"), PATIENCE, found)?)
    }

    /// Kills a child by SIGKILL and waits for its successor.
    ///
    /// # Errors
    /// There is none, before or after.
    pub fn kill(&self, role: &str) -> anyhow::Result<u32> {
        let old = self.process(role, None)?;
        process::signal(old, libc::SIGKILL)?;
        self.process(role, Some(old))
    }

    /// A guest's socket.
    #[must_use]
    pub fn socket(&self, guest: usize) -> PathBuf {
        self.folder.path().join(format!("g{guest}.sock"))
    }

    /// What the card has played in a guest's zone so far, in the codec's format, two channels.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn recorded(&self, guest: usize) -> anyhow::Result<Vec<u8>> {
        let path = self.wav();
        let samples = coded::samples(&path).with_context(|| path.display().to_string())?;
        let (pair, frame) = (
            2 * self.car.sample_bytes(),
            2 * self.car.sample_bytes() * self.car.zones(),
        );
        let at = if self.car.mixed { 0 } else { guest * pair };
        let frames = samples.chunks_exact(frame);
        Ok(frames.flat_map(|frame| frame[at..at + pair].iter().copied()).collect())
    }

    /// The card's file, which grows.
    #[must_use]
    pub fn wav(&self) -> PathBuf {
        self.folder.path().join("cabin.wav")
    }

    /// Frames that the card has played so far, to within a few (the header's length counts as the shortest one's).
    ///
    /// # Errors
    /// There is no file.
    pub fn played(&self) -> anyhow::Result<usize> {
        let bytes = std::fs::metadata(self.wav())?.len() as usize;
        Ok(bytes.saturating_sub(WAV_HEADER) / (2 * self.car.sample_bytes() * self.car.zones()))
    }

    /// Waits until the card has played all that was handed to it by now.
    ///
    /// # Errors
    /// As [`Rig::played`], or the card stands still.
    pub fn settle(&self) -> anyhow::Result<()> {
        // The lead is two periods; the card process looks every few milliseconds.
        let more = self.played()? + 4800;
        let on = || self.played().ok().filter(|frames| *frames >= more);
        process::until("the card plays on", PATIENCE, on)?;
        Ok(())
    }

    /// As [`Rig::settle`], and records it.
    ///
    /// # Errors
    /// As there.
    pub fn settled(&self, guest: usize) -> anyhow::Result<Vec<u8>> {
        self.settle()?;
        self.recorded(guest)
    }
}

/// What is played, and how.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// Period and number of periods of the guest's ring, frames.
    pub ring: (u32, u32),
    /// Virtio format.
    pub format: u8,
    /// Seconds.
    pub seconds: f64,
    /// Another sequence for each.
    pub seed: u64,
    /// Bits below full scale.
    pub headroom: u32,
}

impl Default for Take {
    fn default() -> Self {
        Self {
            ring: (480, 4),
            format: S16,
            seconds: 1.0,
            seed: 1,
            headroom: 1,
        }
    }
}

impl Take {
    /// SET_PARAMS of it: 48 kHz, stereo, with XRUN events.
    #[must_use]
    pub fn params(&self) -> Params {
        let rate = RATES.iter().position(|hz| *hz == 48_000).unwrap_or(0) as u8;
        let mut params = Params {
            buffer_bytes: 0,
            period_bytes: 0,
            features: 1 << 4,
            channels: 2,
            format: self.format,
            rate,
        };
        params.period_bytes = self.ring.0 * params.frame_bytes();
        params.buffer_bytes = params.period_bytes * self.ring.1;
        params
    }

    /// The bytes, whole periods.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        coded::generate(self.format, 2, self.frames(), self.seed, self.headroom).unwrap_or_default()
    }

    fn frames(&self) -> usize {
        let frames = (self.seconds * 48_000.0) as usize;
        frames.next_multiple_of(self.ring.0.max(1) as usize)
    }

    /// The same, a period at a time.
    fn periods(self) -> impl Iterator<Item = Vec<u8>> {
        let period = self.ring.0.max(1) as usize;
        let starts = (0..self.frames()).step_by(period);
        starts.map(move |at| {
            coded::stretch(self.format, 2, at..at + period, self.seed, self.headroom).unwrap_or_default()
        })
    }
}

/// A take being played on a thread of real-time priority (where the system grants it).
pub struct Player {
    thread: JoinHandle<anyhow::Result<Stats>>,
    /// What is played.
    pub sent: Vec<u8>,
    /// When it began.
    pub began: Instant,
}

impl Player {
    /// Connects and plays; returns when the stream has been started.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(socket: &Path, take: Take) -> anyhow::Result<Self> {
        // Made as it goes: a minute that lies ready is a minute of memory that nobody has touched for long.
        Self::start_from(socket, take, take.bytes(), take.periods())
    }

    /// As [`Player::start`], with bytes of the caller's.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_with(socket: &Path, take: Take, sent: Vec<u8>) -> anyhow::Result<Self> {
        let period = take.params().period_bytes.max(1) as usize;
        let periods: Vec<_> = sent.chunks(period).map(<[u8]>::to_vec).collect();
        Self::start_from(socket, take, sent, periods.into_iter())
    }

    fn start_from(
        socket: &Path,
        take: Take,
        sent: Vec<u8>,
        periods: impl Iterator<Item = Vec<u8>> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let socket = socket.to_owned();
        let (started, is_started) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let _or_not = (witness::real_time(witness::PRIORITY - 1), witness::keep_pages());
            let mut fe = SoundFrontend::connect(&socket, Options::default())?;
            let pcm = Pcm::open(&mut fe, TXQ, 0, take.params())?;
            started.send(()).ok();
            Ok(pcm.play_periods(&mut fe, periods)?)
        });
        if is_started.recv_timeout(PATIENCE).is_err() {
            match thread.join() {
                Ok(Err(error)) => return Err(error),
                _ => bail!("the player did not start"),
            }
        }
        Ok(Self {
            thread,
            sent,
            began: Instant::now(),
        })
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// A request was refused or not answered.
    pub fn finish(self) -> anyhow::Result<(Vec<u8>, Stats)> {
        match self.thread.join() {
            Ok(stats) => Ok((self.sent, stats?)),
            Err(_) => bail!("the player panicked"),
        }
    }
}
