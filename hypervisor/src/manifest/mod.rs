//! The partition manifest: one TOML file says which VM owns which CPU, memory and device.
//!
//! ```text
//!  the types here ──► [`schema`] ──printed by `hypervisor schema`
//!                        │ checks the form
//!  text ──[`read()`]─────┴──► findings of form ─┐
//!            │                                  ├──► [`Report`]
//!            └──► [`Manifest`] ──[`check`]──► of meaning ┘
//! ```
//! Everything wrong is found at once ([`read()`], then [`crate::check`]); paths are taken from the manifest's folder. What the types'
//! documentation says of a field is the schema's description of the key; `x-cure` makes a key one that must be there.

pub(crate) mod form;
mod read;
pub mod report;
pub mod schema;
pub mod words;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use smart_default::SmartDefault;

pub use read::read;
pub use report::{At, Finding, Findings, Of, Report, Severity, Span};
use schema::{CpuList, Integer, Named, PciAddress, PortRange, Size, Text};
use words::{Cpus, some_word, word, words};

/// Longest manifest read, bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// What windows begin, end and are placed at: a device-dax mapping is of such pages.
pub const WINDOW_PAGE: u64 = 2 << 20;
/// Least memory of a partition.
pub const LEAST_MEMORY: u64 = 4 << 20;

/// A system of partitions.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Carillon partition manifest")]
pub struct Manifest {
    /// version of this format
    #[schemars(with = "Integer<1, 1>", extend("x-cure" = "write `version = 1`"))]
    pub version: u32,
    /// name of the system; its run folder has it
    #[schemars(with = "Text", extend("x-cure" = "name the system: `name = \"board\"`"))]
    pub name: At<String>,
    /// what the host keeps for itself
    pub host: Host,
    /// CPUs that several partitions share
    #[schemars(with = "Named<SharedSet>")]
    #[serde(deserialize_with = "read::named")]
    pub sets: Vec<SharedSet>,
    /// the VMs, in the order of the file
    #[schemars(with = "Named<Partition>", extend("x-cure" = "describe at least one: `[partitions.NAME]`"))]
    #[serde(deserialize_with = "read::named")]
    pub partitions: Vec<Partition>,
    /// memory of a partition that the service VM sees, by the partition's name
    #[schemars(with = "Named<Window>")]
    #[serde(deserialize_with = "read::named")]
    pub windows: Vec<Window>,
}

/// What the host keeps for itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Host {
    /// CPUs of the host's own threads: interrupts, vhost workers, this program
    #[schemars(with = "CpuList")]
    #[serde(deserialize_with = "word")]
    pub cpus: At<Cpus>,
    /// VMM processes of partition P run as user PREFIX-P, if started as root
    #[schemars(with = "Text")]
    pub user_prefix: Option<At<String>>,
}

/// CPUs that several partitions share.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SharedSet {
    /// Its name.
    #[serde(skip)]
    pub name: At<String>,
    /// its CPUs
    #[schemars(with = "CpuList", extend("x-cure" = "say which CPUs it has: `cpus = \"1\"`"))]
    #[serde(deserialize_with = "word")]
    pub cpus: At<Cpus>,
    /// the partitions that share it
    #[schemars(
        with = "Named<Member>",
        extend("x-cure" = "say who shares it: `members.NAME = { quota_percent = 50 }`")
    )]
    #[serde(deserialize_with = "read::named")]
    pub members: Vec<Member>,
}

/// A partition in a shared set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Member {
    /// The partition.
    #[serde(skip)]
    pub partition: At<String>,
    /// SCHED_FIFO priority; 0 (default): SCHED_OTHER
    #[schemars(with = "Integer<0, 98>")]
    pub priority: At<u8>,
    /// its part of the set's time, percent; default: an equal part of the rest
    #[schemars(with = "Integer<1, 100>")]
    pub quota_percent: Option<At<u8>>,
}

/// What a partition is to the others.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
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
#[derive(Clone, Debug, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Partition {
    /// Its name.
    #[serde(skip)]
    pub name: At<String>,
    /// service: the one VM that owns the codec; guest: any other system; safety: own driver, real-time vCPUs
    #[schemars(with = "Role", extend("x-cure" = "say what it is: `role = \"guest\"`"))]
    pub role: At<Role>,
    /// CPUs it has for itself
    #[schemars(with = "CpuList")]
    #[serde(deserialize_with = "some_word")]
    pub cpus: Option<At<Cpus>>,
    /// the shared set it runs in, in place of `cpus`
    #[schemars(with = "Text")]
    pub set: Option<At<String>>,
    /// vCPUs; default: one a CPU
    #[schemars(with = "Integer<1, 16>")]
    pub vcpus: Option<At<u32>>,
    /// its real-time vCPUs (service and safety only)
    #[schemars(with = "Realtime")]
    pub realtime: Option<At<Realtime>>,
    /// its RAM, one sealed memfd, locked: before the start; of a guest as it is used
    #[schemars(
        with = "Size<LEAST_MEMORY, { 64 << 30 }, 4096>",
        extend("x-cure" = "say how much: `memory = \"256M\"`")
    )]
    #[serde(deserialize_with = "word")]
    pub memory: At<u64>,
    /// 2 MiB pages from the host's pool (default false)
    pub huge_pages: bool,
    /// bzImage or PVH ELF file
    #[schemars(with = "Text", extend("x-cure" = "name a bzImage or a PVH ELF: `kernel = \"vmlinuz\"`"))]
    pub kernel: At<PathBuf>,
    /// initial RAM file system
    #[schemars(with = "Text")]
    pub initrd: Option<At<PathBuf>>,
    /// kernel command line
    #[schemars(with = "Text")]
    pub cmdline: String,
    /// where its serial port goes (default log)
    pub console: Console,
    /// its virtio-sound device
    #[schemars(with = "Sound")]
    pub sound: Option<At<Sound>>,
    /// its vsock address
    #[schemars(with = "Integer<3, 0xffff_fffe>")]
    pub vsock_cid: Option<At<u32>>,
    /// vsock port that is this partition's alone, of the host and of the service VM: it leads to the D-Bus there
    #[schemars(with = "Integer<1024, 0xffff_fffe>")]
    pub dbus_port: Option<At<u32>>,
    /// virtio-blk images
    pub disks: Vec<Disk>,
    /// virtio-rng (default false)
    pub rng: bool,
    /// pvpanic: the VMM is told of a guest's panic (default true)
    #[default(true)]
    pub panic_device: bool,
    /// it is restarted when it hasn't fed its watchdog for so long
    #[schemars(with = "Integer<10, 600_000>")]
    pub watchdog_ms: Option<At<u32>>,
    /// PCI functions of the host that it owns
    pub passthrough: Vec<Passthrough>,
    /// I/O ports of the host that it reaches, as `0x70-0x77`
    #[schemars(with = "Vec<PortRange>")]
    #[serde(deserialize_with = "words")]
    pub ioports: Vec<At<(u16, u16)>>,
    /// what happens when it ends
    pub restart: Restart,
}

impl Partition {
    /// Whether it has this role.
    pub fn is(&self, role: Role) -> bool {
        *self.role == role
    }

    /// Whether its RAM is locked page by page as it is used, rather than before it starts.
    pub fn locks_on_use(&self) -> bool {
        self.is(Role::Guest) && self.passthrough.is_empty() && !self.huge_pages
    }

    /// audiod's socket for it on this host.
    pub fn socket(&self) -> Option<&At<PathBuf>> {
        self.sound.as_ref()?.socket.as_ref()
    }
}

/// Real-time vCPUs.
#[derive(Clone, Debug, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Realtime {
    /// which vCPUs
    #[schemars(with = "Vec<Integer<0, 15>>", extend("x-cure" = "say which: `vcpus = [0]`"))]
    pub vcpus: Vec<At<u32>>,
    /// their SCHED_FIFO priority (default 60)
    #[schemars(with = "Integer<1, 98>")]
    #[default(60)]
    pub priority: u8,
    /// priority of their vhost and interrupt threads (default: one above)
    #[schemars(with = "Integer<1, 99>")]
    pub helpers: Option<At<u8>>,
}

impl Realtime {
    /// The priority of the threads that help its vCPUs.
    pub fn helper_priority(&self) -> u8 {
        self.helpers.map_or(self.priority + 1, |helpers| *helpers)
    }
}

/// Where a serial port goes.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
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
#[derive(Clone, Debug, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Sound {
    /// vhost-user socket of audiod on the host; without it: by the partition's window
    #[schemars(with = "Text")]
    pub socket: Option<At<PathBuf>>,
    /// largest queue (default 64)
    #[schemars(with = "Integer<16, 1024>")]
    #[default(At::new(64, Span::default()))]
    pub queue_size: At<u16>,
    /// declared streams: what INFO queries get while audiod is away
    pub streams: Vec<At<Stream>>,
}

/// A declared stream.
#[derive(Clone, Debug, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Stream {
    /// which way
    #[schemars(extend("x-cure" = "`direction = \"playback\"`"))]
    #[default(Direction::Playback)]
    pub direction: Direction,
    /// sample formats
    #[schemars(extend("x-cure" = "`formats = [\"s16\"]`"))]
    pub formats: Vec<Format>,
    /// frame rates, Hz
    #[schemars(with = "Vec<Integer<5512, 384_000>>", extend("x-cure" = "`rates = [48000]`"))]
    pub rates: Vec<At<u32>>,
    /// fewest channels (default 1)
    #[schemars(with = "Integer<1, 8>")]
    #[default(1)]
    pub channels_min: u8,
    /// most channels (default 2)
    #[schemars(with = "Integer<1, 8>")]
    pub channels_max: Option<u8>,
}

impl Stream {
    /// Bits of `VIRTIO_SND_PCM_FMT_*`.
    pub fn format_bits(&self) -> u64 {
        self.formats.iter().fold(0, |all, format| all | 1 << *format as u32)
    }

    /// Bits of `VIRTIO_SND_PCM_RATE_*`.
    pub fn rate_bits(&self) -> u64 {
        let bits = self.rates.iter().filter_map(|rate| rate_bit(**rate));
        bits.fold(0, |all, bit| all | 1 << bit)
    }

    /// A rate that has no bit.
    pub fn odd_rate(&self) -> Option<&At<u32>> {
        self.rates.iter().find(|rate| rate_bit(***rate).is_none())
    }

    /// Most channels.
    pub fn most_channels(&self) -> u8 {
        self.channels_max.unwrap_or(self.channels_min.max(2))
    }
}

/// The bit of `VIRTIO_SND_PCM_RATE_*` of a rate in Hz.
fn rate_bit(rate: u32) -> Option<usize> {
    vhost_sound::wire::RATES.iter().position(|known| *known == rate)
}

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the codec.
    Playback,
    /// From the codec.
    Capture,
}

/// Sample formats that audiod takes: `VIRTIO_SND_PCM_FMT_*` by their numbers.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, non_camel_case_types, reason = "named as virtio names them")]
pub enum Format {
    S8 = 3,
    U8,
    S16,
    U16,
    S18_3,
    U18_3,
    S20_3,
    U20_3,
    S24_3,
    U24_3,
    S20,
    U20,
    S24,
    U24,
    S32,
    U32,
    Float,
    Float64,
}

/// A block image.
#[derive(Clone, Debug, Deserialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// raw image file
    #[schemars(with = "Text", extend("x-cure" = "name the file: `image = \"rootfs.img\"`"))]
    pub image: At<PathBuf>,
    /// the guest can't write it (default true)
    #[default(true)]
    pub read_only: bool,
}

/// A PCI function given away.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Passthrough {
    /// PCI address on the host
    #[schemars(with = "PciAddress", extend("x-cure" = "name it: `device = \"0000:00:1f.3\"`"))]
    #[serde(deserialize_with = "word")]
    pub device: At<String>,
    /// it is the codec (default false)
    #[serde(default)]
    pub codec: bool,
}

/// When a VM is started again.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Restart {
    /// when it is started again (default on-failure)
    pub policy: RestartPolicy,
    /// how long after its end (default 100)
    #[schemars(with = "Integer<0, 600_000>")]
    #[default(100)]
    pub delay_ms: u32,
    /// restarts within a minute before it is left down (default 5)
    #[schemars(with = "Integer<1, 1000>")]
    #[default(5)]
    pub limit: u32,
}

/// After which ends a VM is started again.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// All but being stopped.
    Always,
    /// All but power-off.
    #[default]
    OnFailure,
    /// None but a reset it asked for.
    Never,
}

/// How much of a partition the service VM sees.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
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
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// Whose.
    #[serde(skip)]
    pub partition: At<String>,
    /// pool: a memory slot of its own that our driver uses; ram: all RAM; bounce: a pool that the VMM copies to and from
    #[schemars(
        with = "WindowMode",
        extend("x-cure" = "say what the service VM sees: `mode = \"bounce\"`")
    )]
    pub mode: Option<At<WindowMode>>,
    /// size of the pool (default 2M; not for `ram`)
    #[schemars(with = "Size<WINDOW_PAGE, { 64 << 20 }, WINDOW_PAGE>")]
    #[serde(deserialize_with = "some_word")]
    pub size: Option<At<u64>>,
    /// vsock port of the service VM that is this partition's (default 5000 + n)
    #[schemars(with = "Integer<1024, 0xffff_fffe>")]
    pub port: At<u32>,
    /// how long the guest may be held at DRIVER_OK until audiod is there (default 2000)
    #[schemars(with = "Integer<0, 60_000>")]
    pub hold_ms: Option<u64>,
}

impl Window {
    /// Longest hold at DRIVER_OK, milliseconds.
    pub fn hold_ms(&self) -> u64 {
        self.hold_ms.unwrap_or(2000)
    }
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
            _ => window.size.map_or(WINDOW_PAGE, |size| size.value),
        }
    }
}
