//! The device under test, in this process: control sessions on one thread, rings on another, over the same blocks as the
//! daemon uses, paced by the clock and ending in a recorder instead of a codec.
//!
//! ```text
//!  front ends ══ sockets ══► control thread: Session a guest ──outputs──► kept descriptors (as a supervisor's)
//!       ║                          ║ DeviceBlock                             │ memory, calls
//!       ╚══ guest memory ══► engine thread: DeviceRings a guest ◄────────────┘ ─► what was pulled, by stream
//! ```
//! Control can be killed and replaced in the middle of anything ([`Options::guard`], [`Sut::replace_control`]), the engine
//! between two periods ([`Sut::replace_engine`]).

mod control;
mod engine;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vhost_sound::block::DeviceBlock;
use vhost_sound::config::{ChannelMapConfig, DeviceConfig, Direction, JackConfig, StreamConfig};
use vhost_sound::device::StreamChange;
use vhost_sound::link::Way;
use vhost_sound::shared::Shared;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Runs a call into a session; false when it was killed over it. The flag: the call accepts a connection, which ends with a
/// process that is killed before anybody else has it.
pub type Guard = Box<dyn FnMut(bool, &mut dyn FnMut()) -> bool + Send>;

/// How the device under test is made.
pub struct Options {
    /// One device a guest. All have the same `codec_period`.
    pub devices: Vec<DeviceConfig>,
    /// Runs every call into a session.
    pub guard: Option<Guard>,
    /// By which ways front ends come; vhost-user where none is said.
    pub ways: Vec<Way>,
    /// How many times faster than the clock the engine runs, where only order matters.
    pub haste: u32,
}

impl Options {
    /// One guest with the usual device.
    #[must_use]
    pub fn one() -> Self {
        Self {
            devices: vec![device("guest")],
            guard: None,
            ways: Vec::new(),
            haste: 1,
        }
    }
}

/// A device with a playback and a capture stream, each with controls, two jacks and two channel maps, at 48 frames a
/// codec period: formats of whole bytes up to FLOAT64, all rates.
#[must_use]
pub fn device(guest: &str) -> DeviceConfig {
    let stream = |name: &str, direction| StreamConfig {
        name: name.into(),
        direction,
        formats: 0x1f_fff8,
        rates: 0x3fff,
        channels_min: 1,
        channels_max: 2,
        safety: false,
        controls: true,
        nid: 0,
    };
    let map = |direction| ChannelMapConfig {
        nid: 0,
        direction,
        positions: vec![3, 4],
    };
    let jack = |connected| JackConfig {
        nid: 1,
        defconf: 0x0101_0000,
        caps: 4,
        connected,
    };
    DeviceConfig {
        guest: guest.into(),
        streams: vec![stream("media", Direction::Playback), stream("mic", Direction::Capture)],
        jacks: vec![jack(true), jack(false)],
        channel_maps: vec![map(Direction::Playback), map(Direction::Capture)],
        queue_size: 1024,
        codec_period: (48, 48_000),
    }
}

/// What was seen of one guest.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What was pulled from each stream, up to 16 MiB.
    pub pulled: Vec<Vec<u8>>,
    /// Changes of streams, as the policy would hear them.
    pub changes: Vec<(usize, StreamChange)>,
    /// Volumes and mutes that the guest set: stream, 0.1 dB, mute.
    pub user: Vec<(usize, i16, bool)>,
    /// Connections closed, with their reasons.
    pub closed: Vec<String>,
    /// Log lines.
    pub log: Vec<String>,
}

impl Seen {
    fn of(device: &DeviceConfig) -> Self {
        Self {
            pulled: vec![Vec::new(); device.streams.len()],
            ..Self::default()
        }
    }
}

enum Command {
    Stop,
    UserGain(usize, usize, i16, bool),
    Jack(usize, usize, bool),
    ReplaceControl,
    ReplaceEngine,
}

struct Common {
    devices: Vec<DeviceConfig>,
    ways: Vec<Way>,
    blocks: Vec<Arc<Shared<DeviceBlock>>>,
    listeners: Vec<UnixListener>,
    seen: Vec<Mutex<Seen>>,
    wake: EventFd,
    /// An engine has news for control.
    news: AtomicBool,
    stop: AtomicBool,
    /// The engine's while it serves the rings.
    turn: Mutex<()>,
    killed: AtomicU64,
    polls: AtomicU64,
}

impl Common {
    fn seen(&self, guest: usize) -> MutexGuard<'_, Seen> {
        // A test that panicked while it looked has broken nothing.
        self.seen[guest].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running device under test. Ends when dropped.
pub struct Sut {
    sockets: Vec<PathBuf>,
    common: Arc<Common>,
    commands: Sender<Command>,
    threads: Vec<JoinHandle<()>>,
}

impl Sut {
    /// Starts it; `name` makes its sockets' names unique in this process.
    ///
    /// # Errors
    /// Sockets, eventfds or blocks could not be made.
    pub fn start(name: &str, options: Options) -> std::io::Result<Self> {
        let socket = |guest: usize| {
            let file = format!("carillon-{}-{name}-{guest}.sock", std::process::id());
            std::env::temp_dir().join(file)
        };
        let guests = options.devices.len();
        let sockets: Vec<PathBuf> = (0..guests).map(socket).collect();
        let listen = |path: &PathBuf| {
            let _none = std::fs::remove_file(path);
            UnixListener::bind(path)
        };
        let common = Arc::new(Common {
            blocks: (0..guests)
                .map(|_| Shared::private().map(Arc::new))
                .collect::<Result<_, _>>()?,
            listeners: sockets.iter().map(listen).collect::<Result<_, _>>()?,
            seen: options
                .devices
                .iter()
                .map(|device| Mutex::new(Seen::of(device)))
                .collect(),
            devices: options.devices,
            ways: options.ways,
            wake: EventFd::new(EFD_NONBLOCK)?,
            news: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            turn: Mutex::new(()),
            killed: AtomicU64::new(0),
            polls: AtomicU64::new(0),
        });
        let (commands, inbox) = channel();
        let (to_engine, from_control) = channel();
        let (for_control, for_engine) = (common.clone(), common.clone());
        let guard = options.guard.unwrap_or_else(|| {
            Box::new(|_, work: &mut dyn FnMut()| {
                work();
                true
            })
        });
        let control = std::thread::spawn(move || control::run(&for_control, &inbox, &to_engine, guard));
        let haste = options.haste.max(1);
        let engine = std::thread::spawn(move || engine::run(&for_engine, &from_control, haste));
        Ok(Self {
            sockets,
            common,
            commands,
            threads: vec![control, engine],
        })
    }

    /// A guest's socket.
    #[must_use]
    pub fn socket(&self, guest: usize) -> &Path {
        &self.sockets[guest]
    }

    /// A guest's block.
    #[must_use]
    pub fn block(&self, guest: usize) -> &DeviceBlock {
        &self.common.blocks[guest]
    }

    /// What was seen of a guest so far.
    #[must_use]
    pub fn seen(&self, guest: usize) -> Seen {
        self.common.seen(guest).clone()
    }

    /// Waits until what was seen of a guest fulfils `what`; false after 5 s.
    #[must_use]
    pub fn wait(&self, guest: usize, what: impl Fn(&Seen) -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(5);
        while !what(&self.common.seen(guest)) {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Forgets what was seen of a guest.
    pub fn forget(&self, guest: usize) {
        let mut seen = self.common.seen(guest);
        *seen = Seen::of(&self.common.devices[guest]);
    }

    /// Times control was killed by the guard.
    #[must_use]
    pub fn killed(&self) -> u64 {
        self.common.killed.load(Ordering::Acquire)
    }

    /// Calls of `Session::poll` so far.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.common.polls.load(Ordering::Acquire)
    }

    /// The policy sets a stream's gain and mute.
    pub fn set_user_gain(&self, guest: usize, stream: usize, gain_db10: i16, mute: bool) {
        self.command(Command::UserGain(guest, stream, gain_db10, mute));
    }

    /// A jack is plugged in or out.
    pub fn set_jack(&self, guest: usize, jack: usize, connected: bool) {
        self.command(Command::Jack(guest, jack, connected));
    }

    /// Control dies between two calls and is replaced.
    pub fn replace_control(&self) {
        self.command(Command::ReplaceControl);
    }

    /// The engine dies between two periods and is replaced.
    pub fn replace_engine(&self) {
        self.command(Command::ReplaceEngine);
    }

    /// The engine stands still between two periods for as long as this is kept.
    pub fn hold_engine(&self) -> MutexGuard<'_, ()> {
        self.common.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self, command: Command) {
        // The threads are gone only after a panic, which is told when this is dropped.
        let _gone = self.commands.send(command);
        let _full = self.common.wake.write(1);
    }
}

impl Drop for Sut {
    fn drop(&mut self) {
        self.common.stop.store(true, Ordering::Release);
        self.command(Command::Stop);
        for thread in self.threads.drain(..) {
            let died = thread.join().is_err();
            assert!(
                !died || std::thread::panicking(),
                "a thread of the device under test panicked"
            );
        }
        for socket in &self.sockets {
            let _gone = std::fs::remove_file(socket);
        }
    }
}
