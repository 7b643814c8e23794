//! Who owns what: each CPU, device, port, address and file has one owner.

use std::collections::BTreeMap;
use std::path::Path;

use crate::manifest::{Findings, Manifest, Partition, SharedSet, Span};

/// Notes an owner of a thing; a second owner is a finding.
struct Owners {
    code: &'static str,
    taken: BTreeMap<String, (String, Span)>,
}

impl Owners {
    fn new(code: &'static str) -> Self {
        let taken = BTreeMap::new();
        Self { code, taken }
    }

    /// The thing by its name in messages.
    fn give(&mut self, what: String, owner: &str, span: Span, findings: &mut Findings) {
        let Some((first, at)) = self.taken.get(&what) else {
            self.taken.insert(what, (owner.to_owned(), span));
            return;
        };
        if first != owner {
            let message = format!("{what} belongs to `{first}` and to `{owner}`");
            findings.error(self.code, span, message).also(*at, "first here");
        } else if *at != span {
            let found = findings.error(self.code, span, format!("`{owner}` has {what} twice"));
            found.also(*at, "first here").cure("write it once");
        }
    }
}

/// Everything that two would own.
pub(super) fn owners(manifest: &Manifest, findings: &mut Findings) {
    cpus(manifest, findings);
    let mut devices = Owners::new("device-taken");
    let mut cids = Owners::new("cid-taken");
    let mut sockets = Owners::new("socket-taken");
    for partition in &manifest.partitions {
        let name = partition.name.as_str();
        for given in &partition.passthrough {
            devices.give(format!("device {}", given.device), name, given.device.span, findings);
        }
        if let Some(cid) = partition.vsock_cid {
            cids.give(format!("vsock CID {cid}"), name, cid.span, findings);
        }
        if let Some(socket) = partition.socket() {
            sockets.give(format!("socket {}", socket.display()), name, socket.span, findings);
        }
    }
    let mut ports = Owners::new("port-taken");
    let windows = manifest.windows.iter().map(|window| (window.port, &window.partition));
    let buses = manifest.partitions.iter();
    let buses = buses.filter_map(|partition| Some((partition.dbus_port?, &partition.name)));
    for (port, owner) in windows.chain(buses) {
        ports.give(format!("vsock port {port}"), owner, port.span, findings);
    }
    io_ports(manifest, findings);
    disks(manifest, findings);
}

fn cpus<'m>(manifest: &'m Manifest, findings: &mut Findings) {
    let mut owners = Owners::new("cpu-taken");
    let of_set = |set: &'m SharedSet| (format!("set {}", set.name), &set.cpus);
    let own = |partition: &'m Partition| Some((partition.name.value.clone(), partition.cpus.as_ref()?));
    let sets = manifest.sets.iter().map(of_set);
    for (owner, cpus) in sets.chain(manifest.partitions.iter().filter_map(own)) {
        for cpu in cpus.iter() {
            owners.give(format!("CPU {cpu}"), &owner, cpus.span, findings);
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

fn io_ports(manifest: &Manifest, findings: &mut Findings) {
    let mut given: Vec<((u16, u16), &str, Span)> = Vec::new();
    for partition in &manifest.partitions {
        let owner = partition.name.as_str();
        for range in &partition.ioports {
            let (first, last) = **range;
            let meets = |a: u16, b: u16| a <= last && first <= b;
            if let Some((_, _, what)) = EMULATED.iter().find(|(a, b, _)| meets(*a, *b)) {
                let message = format!("ports {first:#x}-{last:#x} hold {what} of every VM");
                findings.error("ports-emulated", range.span, message);
            }
            if let Some((_, other, at)) = given.iter().find(|((a, b), _, _)| meets(*a, *b)) {
                let message = format!("ports {first:#x}-{last:#x} belong to `{other}` and to `{owner}`");
                findings
                    .error("ports-taken", range.span, message)
                    .also(*at, "first here");
            }
            given.push((**range, owner, range.span));
        }
    }
}

/// An image may have many readers, or one writer.
fn disks(manifest: &Manifest, findings: &mut Findings) {
    let mut users: BTreeMap<&Path, (&str, Span, bool)> = BTreeMap::new();
    for partition in &manifest.partitions {
        for disk in &partition.disks {
            let (path, owner, span) = (disk.image.as_path(), partition.name.as_str(), disk.image.span);
            match users.get(path) {
                Some((first, at, writes)) if *writes || !disk.read_only => {
                    let message = format!("image {} is written by one and used by another", path.display());
                    findings
                        .error("disk-taken", span, message)
                        .cause(format!("`{owner}` uses it"))
                        .also(*at, format!("`{first}` uses it"));
                }
                _ => drop(users.insert(path, (owner, span, !disk.read_only))),
            }
        }
    }
}
