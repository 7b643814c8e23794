//! The partition manifest: one TOML file says which VM owns which CPU, memory and device.
//!
//! ```text
//!  text ──[`read`] by [`shape`]──► findings of form ─┐
//!            │                                        ├──► [`Report`]
//!            └──► [`Manifest`] ──[`check`]──► of meaning ┘
//! ```
//! Everything wrong is found at once ([`read()`], then [`crate::check`]); paths are taken from the manifest's folder.

mod build;
pub mod read;
pub mod report;
pub mod schema;
pub mod shape;
pub mod words;

use std::ops::RangeInclusive;
use std::path::PathBuf;

pub use build::read;
pub use report::{At, Finding, Findings, Of, Report, Severity, Span};
use words::{Cpus, Pci};

/// Longest manifest read, bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// A system of partitions.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// Its name.
    pub name: At<String>,
    /// CPUs of the host's own threads.
    pub host_cpus: At<Cpus>,
    /// Prefix of the VMM processes' users.
    pub user_prefix: Option<At<String>>,
    /// Shared CPU sets.
    pub sets: Vec<SharedSet>,
    /// The VMs, in the order of the file.
    pub partitions: Vec<Partition>,
    /// What the service VM sees of the others.
    pub windows: Vec<Window>,
}

/// CPUs that several partitions share.
#[derive(Clone, Debug)]
pub struct SharedSet {
    /// Its name.
    pub name: At<String>,
    /// Its CPUs.
    pub cpus: At<Cpus>,
    /// Who shares it.
    pub members: Vec<Member>,
}

/// A partition in a shared set.
#[derive(Clone, Debug)]
pub struct Member {
    /// The partition.
    pub partition: At<String>,
    /// SCHED_FIFO priority; 0: SCHED_OTHER.
    pub priority: At<u8>,
    /// Its part of the set's time.
    pub quota_percent: Option<At<u8>>,
}

/// What a partition is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Owns the codec.
    Service,
    /// Any system.
    #[default]
    Guest,
    /// Own driver, real-time vCPUs.
    Safety,
}

impl Role {
    /// As in the manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Guest => "guest",
            Self::Safety => "safety",
        }
    }
}

/// A VM.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    /// Its name.
    pub name: At<String>,
    /// What it is.
    pub role: At<Role>,
    /// Its own CPUs.
    pub cpus: Option<At<Cpus>>,
    /// The set it runs in.
    pub set: Option<At<String>>,
    /// vCPUs, if they are not as many as CPUs.
    pub vcpus: Option<At<u32>>,
    /// Real-time vCPUs.
    pub realtime: Option<Realtime>,
    /// RAM, bytes.
    pub memory: At<u64>,
    /// From the host's pool of 2 MiB pages.
    pub huge_pages: bool,
    /// bzImage or PVH ELF.
    pub kernel: At<PathBuf>,
    /// Initial RAM file system.
    pub initrd: Option<At<PathBuf>>,
    /// Kernel command line.
    pub cmdline: String,
    /// Where its serial port goes.
    pub console: Console,
    /// Its sound device.
    pub sound: Option<Sound>,
    /// vsock address.
    pub vsock_cid: Option<At<u32>>,
    /// Block images.
    pub disks: Vec<Disk>,
    /// virtio-rng.
    pub rng: bool,
    /// pvpanic.
    pub panic_device: bool,
    /// Watchdog, milliseconds.
    pub watchdog_ms: Option<At<u32>>,
    /// Functions of the host's PCI bus.
    pub passthrough: Vec<Passthrough>,
    /// I/O ports of the host.
    pub ioports: Vec<At<(u16, u16)>>,
    /// When it ends.
    pub restart: Restart,
}

impl Partition {
    /// Whether it has this role.
    pub fn is(&self, role: Role) -> bool {
        *self.role == role
    }

    /// audiod's socket for it on this host.
    pub fn socket(&self) -> Option<&At<PathBuf>> {
        self.sound.as_ref()?.socket.as_ref()
    }
}

/// Real-time vCPUs.
#[derive(Clone, Debug)]
pub struct Realtime {
    /// Where the table stands.
    pub span: Span,
    /// Which.
    pub vcpus: Vec<At<u32>>,
    /// Their SCHED_FIFO priority.
    pub priority: u8,
    /// That of their vhost and interrupt threads.
    pub helpers: At<u8>,
}

/// Where a serial port goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Console {
    /// A file in the run folder.
    #[default]
    Log,
    /// Standard input and output.
    Stdio,
    /// Nowhere.
    None,
}

/// A sound device.
#[derive(Clone, Debug)]
pub struct Sound {
    /// Where the table stands.
    pub span: Span,
    /// audiod's socket on the host; without it, the window is the way.
    pub socket: Option<At<PathBuf>>,
    /// Largest queue.
    pub queue_size: At<u16>,
    /// What INFO queries get while audiod is away.
    pub streams: Vec<Stream>,
}

/// A declared stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Where it stands.
    pub span: Span,
    /// Capture.
    pub capture: bool,
    /// Bits of `VIRTIO_SND_PCM_FMT_*`.
    pub formats: u64,
    /// Bits of `VIRTIO_SND_PCM_RATE_*`.
    pub rates: u64,
    /// A rate that has no bit.
    pub odd_rate: Option<At<i64>>,
    /// Fewest and most channels.
    pub channels: RangeInclusive<u8>,
    /// HDA function group node id.
    pub nid: u32,
}

/// A block image.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The file.
    pub image: At<PathBuf>,
    /// The guest can't write it.
    pub read_only: bool,
}

/// A PCI function given away.
#[derive(Clone, Copy, Debug)]
pub struct Passthrough {
    /// Which.
    pub device: At<Pci>,
    /// It is the codec.
    pub codec: bool,
}

/// When a VM is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// After which ends.
    pub policy: RestartPolicy,
    /// How long after, milliseconds.
    pub delay_ms: u32,
    /// Restarts within a minute before it is left down.
    pub limit: u32,
}

/// After which ends a VM is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// All but being stopped.
    Always,
    /// All but power-off.
    #[default]
    OnFailure,
    /// None but a reset it asked for.
    Never,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::OnFailure,
            delay_ms: 100,
            limit: 5,
        }
    }
}

/// How much of a partition the service VM sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowMode {
    /// A memory slot of its own.
    Pool,
    /// All RAM.
    Ram,
    /// A pool that the VMM copies to and from.
    Bounce,
}

impl WindowMode {
    /// As in the manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Ram => "ram",
            Self::Bounce => "bounce",
        }
    }
}

/// Memory of a partition that the service VM sees.
#[derive(Clone, Debug)]
pub struct Window {
    /// Whose.
    pub partition: At<String>,
    /// How much; `None` when it could not be read.
    pub mode: Option<At<WindowMode>>,
    /// Size of the pool, if it was given.
    pub size: Option<At<u64>>,
    /// The service VM's vsock port for it.
    pub port: At<u32>,
    /// Longest hold at DRIVER_OK, milliseconds.
    pub hold_ms: u64,
}

impl Manifest {
    /// A partition by name.
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| *partition.name == name)
    }

    /// The set a partition runs in.
    pub fn set_of(&self, partition: &Partition) -> Option<&SharedSet> {
        let name = partition.set.as_ref()?;
        self.sets.iter().find(|set| *set.name == **name)
    }

    /// The CPUs a partition may run on.
    pub fn cpus_of(&self, partition: &Partition) -> Cpus {
        let cpus = partition.cpus.as_ref().or_else(|| Some(&self.set_of(partition)?.cpus));
        cpus.map(|cpus| cpus.value.clone()).unwrap_or_default()
    }

    /// How many vCPUs a partition has.
    pub fn vcpus_of(&self, partition: &Partition) -> u32 {
        let cpus = u32::try_from(self.cpus_of(partition).len()).unwrap_or(1);
        partition.vcpus.map_or(cpus.max(1), |vcpus| vcpus.value)
    }

    /// The service VM.
    pub fn service(&self) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.is(Role::Service))
    }

    /// A partition's window.
    pub fn window_of(&self, partition: &str) -> Option<&Window> {
        self.windows.iter().find(|window| *window.partition == partition)
    }

    /// Bytes that a window shows.
    pub fn shown_by(&self, window: &Window) -> u64 {
        match (window.mode.as_deref(), self.partition(&window.partition)) {
            (Some(WindowMode::Ram), Some(partition)) => *partition.memory,
            _ => window.size.map_or(shape::WINDOW_PAGE, |size| size.value),
        }
    }
}
