//! The map as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{owned, scheduled, shown};
use crate::manifest::words::{list, sized};
use crate::manifest::{Manifest, Member};

/// One line a CPU, a partition, a window.
pub fn text(manifest: &Manifest) -> String {
    let mut out = format!("{}\n", manifest.name.value);
    let mut cpus: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for cpu in manifest.host.cpus.iter() {
        cpus.entry(*cpu).or_default().push("host".into());
    }
    for set in &manifest.sets {
        let member = |member: &Member| {
            let quota = member
                .quota_percent
                .map_or(String::new(), |quota| format!(" {quota} %"));
            let fifo = match *member.priority {
                0 => String::new(),
                priority => format!(" FIFO {priority}"),
            };
            format!("{}{quota}{fifo}", member.partition)
        };
        let members: Vec<String> = set.members.iter().map(member).collect();
        let what = format!("set {}: {}", set.name, members.join(", "));
        for cpu in &set.cpus.value {
            cpus.entry(*cpu).or_default().push(what.clone());
        }
    }
    for partition in &manifest.partitions {
        for cpu in partition.cpus.iter().flat_map(|cpus| &cpus.value) {
            cpus.entry(*cpu).or_default().push(partition.name.value.clone());
        }
    }
    for (cpu, owners) in cpus {
        // Writing to a string can't fail.
        let _ = writeln!(out, "  CPU {cpu:<4} {}", owners.join("; "));
    }
    for partition in &manifest.partitions {
        let where_ = list(&manifest.cpus_of(partition));
        let (role, size) = (partition.role.word(), sized(*partition.memory));
        let _ = writeln!(
            out,
            "  {:<24} {role:<8} {size:>6}  CPU {where_}  {}",
            partition.name,
            scheduled(manifest, partition)
        );
        for what in owned(partition) {
            let _ = writeln!(out, "    {what}");
        }
        if let Some(socket) = partition.socket() {
            let _ = writeln!(out, "    sound by {}", socket.display());
        }
        if let (Some(window), Some(service)) = (manifest.window_of(&partition.name), manifest.service()) {
            let _ = writeln!(
                out,
                "    window {} seen by {}, vsock port {}, held at most {} ms",
                shown(manifest, window),
                service.name.value,
                window.port.value,
                window.hold_ms()
            );
        }
    }
    out
}
