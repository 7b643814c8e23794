//! Who owns what: each CPU, device, port, address and file has one owner.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::manifest::{Finding, Manifest, Span};

/// Notes an owner of a thing; a second owner is a finding.
struct Owners<K> {
    code: &'static str,
    cure: &'static str,
    taken: BTreeMap<K, (String, Span)>,
}

impl<K: Ord> Owners<K> {
    fn new(code: &'static str, cure: &'static str) -> Self {
        Self {
            code,
            cure,
            taken: BTreeMap::new(),
        }
    }

    fn give(&mut self, key: K, what: impl Display, owner: &str, span: Span, findings: &mut Vec<Finding>) {
        match self.taken.get(&key) {
            Some((first, at)) if first != owner => findings.push(
                Finding::error(self.code, span, format!("{what} belongs to `{first}` and to `{owner}`"))
                    .cause("again here")
                    .also(*at, "first here")
                    .cure(self.cure),
            ),
            Some((_, at)) if *at == span => {}
            Some((_, at)) => findings.push(
                Finding::error(self.code, span, format!("`{owner}` has {what} twice"))
                    .cause("again here")
                    .also(*at, "first here")
                    .cure("write it once"),
            ),
            None => drop(self.taken.insert(key, (owner.to_owned(), span))),
        }
    }
}

/// Everything that two would own.
pub(super) fn owners(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    cpus(manifest, &mut findings);
    devices(manifest, &mut findings);
    ports(manifest, &mut findings);
    addresses(manifest, &mut findings);
    files(manifest, &mut findings);
    findings
}

fn cpus(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut owners = Owners::new(
        "cpu-taken",
        "give each its own CPU, or share it by a set: `[sets.NAME]`",
    );
    for set in &manifest.sets {
        for cpu in &set.cpus.value {
            owners.give(
                *cpu,
                format!("CPU {cpu}"),
                &format!("set {}", set.name.value),
                set.cpus.span,
                findings,
            );
        }
    }
    for partition in &manifest.partitions {
        for cpu in partition.cpus.iter().flat_map(|cpus| &cpus.value) {
            let span = partition.cpus.as_ref().map_or(partition.name.span, |cpus| cpus.span);
            owners.give(*cpu, format!("CPU {cpu}"), &partition.name.value, span, findings);
        }
    }
}

fn devices(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut owners = Owners::new("device-taken", "a PCI function goes to one partition");
    for partition in &manifest.partitions {
        for given in &partition.passthrough {
            let device = given.device;
            owners.give(
                device.value,
                format!("device {}", device.value),
                &partition.name.value,
                device.span,
                findings,
            );
        }
    }
}

/// I/O ports that every VMM emulates: first, last, what.
const EMULATED: [(u16, u16, &str); 5] = [
    (0x3f8, 0x3ff, "the serial port"),
    (0x505, 0x505, "the panic device"),
    (0x510, 0x513, "the watchdog"),
    (0x600, 0x607, "ACPI sleep and reset"),
    (0xcf8, 0xcff, "PCI configuration"),
];

fn ports(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut given: Vec<((u16, u16), &str, Span)> = Vec::new();
    for partition in &manifest.partitions {
        let owner = partition.name.value.as_str();
        for range in &partition.ioports {
            let (first, last) = range.value;
            let meets = |a: u16, b: u16| a <= last && first <= b;
            if let Some((_, _, what)) = EMULATED.iter().find(|(a, b, _)| meets(*a, *b)) {
                let message = format!("ports {first:#x}-{last:#x} hold {what} of every VM");
                let found = Finding::error("ports-emulated", range.span, message).cause("emulated by the VMM");
                findings.push(found.cure("leave these ports out"));
            }
            if let Some((_, other, at)) = given.iter().find(|((a, b), _, _)| meets(*a, *b)) {
                let message = format!("ports {first:#x}-{last:#x} belong to `{other}` and to `{owner}`");
                let found = Finding::error("ports-taken", range.span, message).cause("again here");
                findings.push(found.also(*at, "first here").cure("a port goes to one partition"));
            }
            given.push((range.value, owner, range.span));
        }
    }
}

fn addresses(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut cids = Owners::new("cid-taken", "give each partition its own `vsock_cid`");
    for partition in &manifest.partitions {
        if let Some(cid) = partition.vsock_cid {
            cids.give(
                cid.value,
                format!("vsock CID {}", cid.value),
                &partition.name.value,
                cid.span,
                findings,
            );
        }
    }
    let mut ports = Owners::new("port-taken", "the port is the partition's identity: give each its own");
    for window in &manifest.windows {
        let port = window.port;
        ports.give(
            port.value,
            format!("vsock port {}", port.value),
            &window.partition.value,
            port.span,
            findings,
        );
    }
}

fn files(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut sockets = Owners::new("socket-taken", "audiod has a socket for each guest");
    let mut written: BTreeMap<&std::path::Path, (&str, Span, bool)> = BTreeMap::new();
    for partition in &manifest.partitions {
        let owner = partition.name.value.as_str();
        if let Some(socket) = partition.sound.as_ref().and_then(|sound| sound.socket.as_ref()) {
            sockets.give(
                &socket.value,
                format!("socket {}", socket.value.display()),
                owner,
                socket.span,
                findings,
            );
        }
        for disk in &partition.disks {
            let (path, span) = (disk.image.value.as_path(), disk.image.span);
            match written.get(path) {
                Some((first, at, writes)) if *writes || !disk.read_only => findings.push(
                    Finding::error(
                        "disk-taken",
                        span,
                        format!("image {} is written by one and used by another", path.display()),
                    )
                    .cause(format!("`{owner}` uses it"))
                    .also(*at, format!("`{first}` uses it"))
                    .cure("give each a copy, or make it `read_only` for all"),
                ),
                _ => drop(written.insert(path, (owner, span, !disk.read_only))),
            }
        }
    }
}
