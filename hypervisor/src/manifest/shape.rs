//! What may stand in a manifest: one table of keys that the reader checks by, and that the schema is printed from.

/// What a value is.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Any text but none.
    Text,
    /// An integer from, to.
    Integer(i64, i64),
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A size: at least, at most, a multiple of; bytes.
    Size(u64, u64, u64),
    /// A CPU list.
    Cpus,
    /// A PCI address.
    Pci,
    /// A range of I/O ports.
    Ports,
    /// A table.
    Table(&'static Shape),
    /// Tables by name.
    Named(&'static Shape),
    /// A list.
    List(&'static Kind),
}

/// One key.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// It must be there: what to write.
    pub need: Option<&'static str>,
    /// What it does; the schema says it.
    pub about: &'static str,
}

/// The keys of a table.
pub struct Shape(pub &'static [Key]);

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        need: None,
        about,
    }
}

const fn need(name: &'static str, kind: Kind, cure: &'static str, about: &'static str) -> Key {
    Key {
        name,
        kind,
        need: Some(cure),
        about,
    }
}

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;
const G: u64 = 1 << 30;
/// What windows begin, end and are placed at: a device-dax mapping is of such pages.
pub const WINDOW_PAGE: u64 = 2 * M;
/// Least memory of a partition.
pub const LEAST_MEMORY: u64 = 4 * M;

/// The whole manifest.
pub const MANIFEST: Shape = Shape(&[
    need(
        "version",
        Kind::Integer(1, 1),
        "write `version = 1`",
        "version of this format",
    ),
    need(
        "name",
        Kind::Text,
        "name the system: `name = \"board\"`",
        "name of the system; its run folder has it",
    ),
    key("host", Kind::Table(&HOST), "what the host keeps for itself"),
    key("sets", Kind::Named(&SET), "CPUs that several partitions share"),
    need(
        "partitions",
        Kind::Named(&PARTITION),
        "describe at least one: `[partitions.NAME]`",
        "the VMs",
    ),
    key(
        "windows",
        Kind::Named(&WINDOW),
        "memory of a partition that the service VM sees, by the partition's name",
    ),
]);

const HOST: Shape = Shape(&[
    key(
        "cpus",
        Kind::Cpus,
        "CPUs of the host's own threads: interrupts, vhost workers, this program",
    ),
    key(
        "user_prefix",
        Kind::Text,
        "VMM processes of partition P run as user PREFIX-P, if started as root",
    ),
]);

const SET: Shape = Shape(&[
    need("cpus", Kind::Cpus, "say which CPUs it has: `cpus = \"1\"`", "its CPUs"),
    need(
        "members",
        Kind::Named(&MEMBER),
        "say who shares it: `members.NAME = { quota_percent = 50 }`",
        "the partitions that share it",
    ),
]);

const MEMBER: Shape = Shape(&[
    key(
        "priority",
        Kind::Integer(0, 98),
        "SCHED_FIFO priority; 0 (default): SCHED_OTHER",
    ),
    key(
        "quota_percent",
        Kind::Integer(1, 100),
        "its part of the set's time, percent; default: an equal part of the rest",
    ),
]);

const PARTITION: Shape = Shape(&[
    need(
        "role",
        Kind::Word(&["service", "guest", "safety"]),
        "say what it is: `role = \"guest\"`",
        "service: the one VM that owns the codec; guest: any other system; safety: own driver, real-time vCPUs",
    ),
    key("cpus", Kind::Cpus, "CPUs it has for itself"),
    key("set", Kind::Text, "the shared set it runs in, in place of `cpus`"),
    key("vcpus", Kind::Integer(1, 16), "vCPUs; default: one a CPU"),
    key(
        "realtime",
        Kind::Table(&REALTIME),
        "its real-time vCPUs (service and safety only)",
    ),
    need(
        "memory",
        Kind::Size(LEAST_MEMORY, 64 * G, 4 * K),
        "say how much: `memory = \"256M\"`",
        "its RAM, one sealed memfd, locked",
    ),
    key(
        "huge_pages",
        Kind::Bool,
        "2 MiB pages from the host's pool (default false)",
    ),
    need(
        "kernel",
        Kind::Text,
        "name a bzImage or a PVH ELF: `kernel = \"vmlinuz\"`",
        "bzImage or PVH ELF file",
    ),
    key("initrd", Kind::Text, "initial RAM file system"),
    key("cmdline", Kind::Text, "kernel command line"),
    key(
        "console",
        Kind::Word(&["log", "stdio", "none"]),
        "where its serial port goes (default log)",
    ),
    key("sound", Kind::Table(&SOUND), "its virtio-sound device"),
    key("vsock_cid", Kind::Integer(3, 0xffff_fffe), "its vsock address"),
    key("disks", Kind::List(&Kind::Table(&DISK)), "virtio-blk images"),
    key("rng", Kind::Bool, "virtio-rng (default false)"),
    key(
        "panic_device",
        Kind::Bool,
        "pvpanic: the VMM is told of a guest's panic (default true)",
    ),
    key(
        "watchdog_ms",
        Kind::Integer(10, 600_000),
        "it is restarted when it hasn't fed its watchdog for so long",
    ),
    key(
        "passthrough",
        Kind::List(&Kind::Table(&PASSTHROUGH)),
        "PCI functions of the host that it owns",
    ),
    key(
        "ioports",
        Kind::List(&Kind::Ports),
        "I/O ports of the host that it reaches, as `0x70-0x77`",
    ),
    key("restart", Kind::Table(&RESTART), "what happens when it ends"),
]);

const REALTIME: Shape = Shape(&[
    need(
        "vcpus",
        Kind::List(&Kind::Integer(0, 15)),
        "say which: `vcpus = [0]`",
        "which vCPUs",
    ),
    key(
        "priority",
        Kind::Integer(1, 98),
        "their SCHED_FIFO priority (default 60)",
    ),
    key(
        "helpers",
        Kind::Integer(1, 99),
        "priority of their vhost and interrupt threads (default: one above)",
    ),
]);

const SOUND: Shape = Shape(&[
    key(
        "socket",
        Kind::Text,
        "vhost-user socket of audiod on the host; without it: by the partition's window",
    ),
    key("queue_size", Kind::Integer(16, 1024), "largest queue (default 64)"),
    key(
        "streams",
        Kind::List(&Kind::Table(&STREAM)),
        "declared streams: what INFO queries get while audiod is away",
    ),
]);

const STREAM: Shape = Shape(&[
    need(
        "direction",
        Kind::Word(&["playback", "capture"]),
        "`direction = \"playback\"`",
        "which way",
    ),
    need(
        "formats",
        Kind::List(&Kind::Word(FORMATS)),
        "`formats = [\"s16\"]`",
        "sample formats",
    ),
    need(
        "rates",
        Kind::List(&Kind::Integer(5512, 384_000)),
        "`rates = [48000]`",
        "frame rates, Hz",
    ),
    key("channels_min", Kind::Integer(1, 8), "fewest channels (default 1)"),
    key("channels_max", Kind::Integer(1, 8), "most channels (default 2)"),
    key(
        "nid",
        Kind::Integer(0, 0xffff),
        "HDA function group node id (default 0)",
    ),
]);

/// `VIRTIO_SND_PCM_FMT_*` that audiod takes, with their bits.
pub const FORMAT_BITS: &[(&str, u32)] = &[
    ("s8", 3),
    ("u8", 4),
    ("s16", 5),
    ("u16", 6),
    ("s18_3", 7),
    ("u18_3", 8),
    ("s20_3", 9),
    ("u20_3", 10),
    ("s24_3", 11),
    ("u24_3", 12),
    ("s20", 13),
    ("u20", 14),
    ("s24", 15),
    ("u24", 16),
    ("s32", 17),
    ("u32", 18),
    ("float", 19),
    ("float64", 20),
];

const FORMATS: &[&str] = &[
    "s8", "u8", "s16", "u16", "s18_3", "u18_3", "s20_3", "u20_3", "s24_3", "u24_3", "s20", "u20", "s24", "u24", "s32",
    "u32", "float", "float64",
];

/// `VIRTIO_SND_PCM_RATE_*` in the order of their bits, Hz.
pub const RATES: &[i64] = &[
    5512, 8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400, 192_000, 384_000,
];

const DISK: Shape = Shape(&[
    need(
        "image",
        Kind::Text,
        "name the file: `image = \"rootfs.img\"`",
        "raw image file",
    ),
    key("read_only", Kind::Bool, "the guest can't write it (default true)"),
]);

const PASSTHROUGH: Shape = Shape(&[
    need(
        "device",
        Kind::Pci,
        "name it: `device = \"0000:00:1f.3\"`",
        "PCI address on the host",
    ),
    key("codec", Kind::Bool, "it is the codec (default false)"),
]);

const RESTART: Shape = Shape(&[
    key(
        "policy",
        Kind::Word(&["always", "on-failure", "never"]),
        "when it is started again (default on-failure)",
    ),
    key(
        "delay_ms",
        Kind::Integer(0, 600_000),
        "how long after its end (default 100)",
    ),
    key(
        "limit",
        Kind::Integer(1, 1000),
        "restarts within a minute before it is left down (default 5)",
    ),
]);

const WINDOW: Shape = Shape(&[
    need(
        "mode",
        Kind::Word(&["pool", "ram", "bounce"]),
        "say what the service VM sees: `mode = \"bounce\"`",
        "pool: a memory slot of its own that our driver uses; ram: all RAM; bounce: a pool that the VMM copies to and from",
    ),
    key(
        "size",
        Kind::Size(WINDOW_PAGE, 64 * M, WINDOW_PAGE),
        "size of the pool (default 2M; not for `ram`)",
    ),
    key(
        "port",
        Kind::Integer(1024, 0xffff_fffe),
        "vsock port of the service VM that is this partition's (default 5000 + n)",
    ),
    key(
        "hold_ms",
        Kind::Integer(0, 60_000),
        "how long the guest may be held at DRIVER_OK until audiod is there (default 2000)",
    ),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_word_has_its_bit() {
        let words: Vec<&str> = FORMAT_BITS.iter().map(|(word, _)| *word).collect();
        assert_eq!(words, FORMATS);
    }
}
