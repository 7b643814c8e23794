//! The partition manifest: one TOML file says which VM owns which CPU, memory and device.
//!
//! ```text
//!  text ──[`read`] by [`shape`]──► findings of form ─┐
//!            │                                        ├──► [`Report`]
//!            └──► [`Manifest`] ──[`check`]──► of meaning ┘
//! ```
//! Everything wrong is found at once ([`read()`], then [`crate::check`]); paths are taken from the manifest's folder.

pub mod read;
pub mod report;
pub mod schema;
pub mod shape;
pub mod words;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use read::Table;
pub use report::{At, Finding, Of, Report, Severity, Span};
use words::{Cpus, Pci};

/// Longest manifest read, bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// vsock port of the first window; the nth has the nth after it.
const FIRST_PORT: u32 = 5000;

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

impl Window {
    /// Bytes of the pool.
    pub fn pool(&self) -> u64 {
        self.size.map_or(shape::WINDOW_PAGE, |size| size.value)
    }
}

impl Manifest {
    /// A partition by name.
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.name.value == name)
    }

    /// The set a partition runs in.
    pub fn set_of(&self, partition: &Partition) -> Option<&SharedSet> {
        let name = &partition.set.as_ref()?.value;
        self.sets.iter().find(|set| set.name.value == *name)
    }

    /// The CPUs a partition may run on.
    pub fn cpus_of(&self, partition: &Partition) -> Cpus {
        let own = partition.cpus.as_ref().map(|cpus| cpus.value.clone());
        own.or_else(|| self.set_of(partition).map(|set| set.cpus.value.clone()))
            .unwrap_or_default()
    }

    /// How many vCPUs a partition has.
    pub fn vcpus_of(&self, partition: &Partition) -> u32 {
        let cpus = u32::try_from(self.cpus_of(partition).len()).unwrap_or(1);
        partition.vcpus.map_or(cpus.max(1), |vcpus| vcpus.value)
    }

    /// The service VM.
    pub fn service(&self) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.role.value == Role::Service)
    }

    /// A partition's window.
    pub fn window_of(&self, partition: &str) -> Option<&Window> {
        self.windows.iter().find(|window| window.partition.value == partition)
    }
}

/// Reads a manifest: the findings of form with it. `folder` is where its paths start.
pub fn read(text: &str, folder: &Path) -> (Manifest, Vec<Finding>) {
    let (root, findings) = read::document(text, &shape::MANIFEST);
    let root = Table::root(&root);
    let host = root.table("host");
    let manifest = Manifest {
        name: root.text("name").unwrap_or_default(),
        host_cpus: host
            .and_then(|host| host.words("cpus", words::cpus))
            .unwrap_or_default(),
        user_prefix: host.and_then(|host| host.text("user_prefix")),
        sets: root
            .named("sets")
            .into_iter()
            .map(|(name, table)| set(name, &table))
            .collect(),
        partitions: root
            .named("partitions")
            .into_iter()
            .map(|(name, table)| partition(name, &table, folder))
            .collect(),
        windows: root
            .named("windows")
            .into_iter()
            .zip(FIRST_PORT..)
            .map(|((name, table), port)| window(name, &table, port))
            .collect(),
    };
    (manifest, findings)
}

fn set(name: &str, table: &Table<'_>) -> SharedSet {
    let member = |(name, table): (&str, Table<'_>)| Member {
        partition: At::new(name.to_owned(), table.span),
        priority: table.number("priority").unwrap_or(At::new(0, table.span)),
        quota_percent: table.number("quota_percent"),
    };
    SharedSet {
        name: At::new(name.to_owned(), table.span),
        cpus: table.words("cpus", words::cpus).unwrap_or_default(),
        members: table.named("members").into_iter().map(member).collect(),
    }
}

fn partition(name: &str, table: &Table<'_>, folder: &Path) -> Partition {
    let path = |key| Some(located(table.text(key)?, folder));
    let ports = |text: &str| words::ports(text).map(|range| range.into_inner());
    Partition {
        name: At::new(name.to_owned(), table.span),
        role: table.words("role", |word| Ok(one_of(word, &ROLES))).unwrap_or_default(),
        cpus: table.words("cpus", words::cpus),
        set: table.text("set"),
        vcpus: table.number("vcpus"),
        realtime: table.table("realtime").map(|table| realtime(&table)),
        memory: table.words("memory", words::size).unwrap_or_default(),
        huge_pages: table.bool_or("huge_pages", false),
        kernel: path("kernel").unwrap_or_default(),
        initrd: path("initrd"),
        cmdline: table.text("cmdline").unwrap_or_default().value,
        console: table
            .words("console", |word| Ok(one_of(word, &CONSOLES)))
            .unwrap_or_default()
            .value,
        sound: table.table("sound").map(|table| sound(&table, folder)),
        vsock_cid: table.number("vsock_cid"),
        disks: table
            .list("disks")
            .iter()
            .filter_map(|value| {
                let table = value.table(value.span)?;
                let image = located(table.text("image")?, folder);
                Some(Disk {
                    image,
                    read_only: table.bool_or("read_only", true),
                })
            })
            .collect(),
        rng: table.bool_or("rng", false),
        panic_device: table.bool_or("panic_device", true),
        watchdog_ms: table.number("watchdog_ms"),
        passthrough: table
            .list("passthrough")
            .iter()
            .filter_map(|value| {
                let table = value.table(value.span)?;
                Some(Passthrough {
                    device: table.words("device", words::pci)?,
                    codec: table.bool_or("codec", false),
                })
            })
            .collect(),
        ioports: table
            .list("ioports")
            .iter()
            .filter_map(|value| value.words(ports))
            .collect(),
        restart: table
            .table("restart")
            .map_or_else(Restart::default, |table| restart(&table)),
    }
}

const ROLES: [(&str, Role); 3] = [
    ("service", Role::Service),
    ("guest", Role::Guest),
    ("safety", Role::Safety),
];
const CONSOLES: [(&str, Console); 3] = [
    ("log", Console::Log),
    ("stdio", Console::Stdio),
    ("none", Console::None),
];
const POLICIES: [(&str, RestartPolicy); 3] = [
    ("always", RestartPolicy::Always),
    ("on-failure", RestartPolicy::OnFailure),
    ("never", RestartPolicy::Never),
];

/// The form was checked: a word that is none of them is told of already.
fn one_of<T: Copy + Default>(word: &str, words: &[(&str, T)]) -> T {
    words
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, value)| *value)
        .unwrap_or_default()
}

fn located(text: At<String>, folder: &Path) -> At<PathBuf> {
    At::new(folder.join(text.value), text.span)
}

fn realtime(table: &Table<'_>) -> Realtime {
    let priority = table.number("priority").map_or(60, |found| found.value);
    Realtime {
        span: table.span,
        vcpus: table.list("vcpus").iter().filter_map(|value| value.number()).collect(),
        priority,
        helpers: table.number("helpers").unwrap_or(At::new(priority + 1, table.span)),
    }
}

fn sound(table: &Table<'_>, folder: &Path) -> Sound {
    Sound {
        span: table.span,
        socket: table.text("socket").map(|text| located(text, folder)),
        queue_size: table.number("queue_size").unwrap_or(At::new(64, table.span)),
        streams: table
            .list("streams")
            .iter()
            .filter_map(|value| value.table(value.span).map(|table| stream(&table)))
            .collect(),
    }
}

fn stream(table: &Table<'_>) -> Stream {
    let bits: BTreeMap<&str, u32> = shape::FORMAT_BITS.iter().copied().collect();
    let formats = table
        .list("formats")
        .iter()
        .filter_map(|value| value.text())
        .fold(0, |all, word| {
            all | bits.get(word.value.as_str()).map_or(0, |bit| 1 << bit)
        });
    let rates: Vec<At<i64>> = table.list("rates").iter().filter_map(|value| value.number()).collect();
    let bit = |rate: &At<i64>| shape::RATES.iter().position(|known| *known == rate.value);
    let least = table.number("channels_min").map_or(1, |found| found.value);
    Stream {
        span: table.span,
        capture: table.text("direction").is_some_and(|word| word.value == "capture"),
        formats,
        rates: rates.iter().filter_map(bit).fold(0, |all, bit| all | 1 << bit),
        odd_rate: rates.iter().find(|rate| bit(rate).is_none()).copied(),
        channels: least..=table.number("channels_max").map_or(least.max(2), |found| found.value),
        nid: table.number("nid").map_or(0, |found| found.value),
    }
}

fn restart(table: &Table<'_>) -> Restart {
    let default = Restart::default();
    Restart {
        policy: table
            .words("policy", |word| Ok(one_of(word, &POLICIES)))
            .map_or(default.policy, |found| found.value),
        delay_ms: table.number("delay_ms").map_or(default.delay_ms, |found| found.value),
        limit: table.number("limit").map_or(default.limit, |found| found.value),
    }
}

fn window(name: &str, table: &Table<'_>, port: u32) -> Window {
    let mode = |word: &str| match word {
        "pool" => Ok(WindowMode::Pool),
        "ram" => Ok(WindowMode::Ram),
        "bounce" => Ok(WindowMode::Bounce),
        _ => Err(String::new()),
    };
    Window {
        partition: At::new(name.to_owned(), table.span),
        mode: table.words("mode", mode),
        size: table.words("size", words::size),
        port: table.number("port").unwrap_or(At::new(port, table.span)),
        hold_ms: table.number("hold_ms").map_or(2000, |found| found.value),
    }
}
