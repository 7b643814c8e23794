//! The manifest of a document's tables: defaults, words and places. What the form forbids was told of before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::read::{self, Table};
use super::{
    At, Console, Disk, Finding, Manifest, Member, Partition, Passthrough, Realtime, Restart, RestartPolicy, Role,
    SharedSet, Sound, Stream, Window, WindowMode, shape, words,
};

/// vsock port of the first window; the nth has the nth after it.
const FIRST_PORT: u32 = 5000;

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
