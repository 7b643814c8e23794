//! The map as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{scheduled, shown};
use crate::manifest::Manifest;
use crate::manifest::words::{list, sized};

/// One line a CPU, a partition, a window.
pub fn text(manifest: &Manifest) -> String {
    let mut out = format!("{}\n", manifest.name.value);
    let mut cpus: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for cpu in manifest.host.cpus.iter() {
        cpus.entry(*cpu).or_default().push("host".into());
    }
    for set in &manifest.sets {
        let members: Vec<String> = set
            .members
            .iter()
            .map(|member| {
                let quota = member
                    .quota_percent
                    .map_or(String::new(), |quota| format!(" {} %", quota.value));
                let fifo = if member.priority.value > 0 {
                    format!(" FIFO {}", member.priority.value)
                } else {
                    String::new()
                };
                format!("{}{quota}{fifo}", member.partition.value)
            })
            .collect();
        for cpu in &set.cpus.value {
            cpus.entry(*cpu)
                .or_default()
                .push(format!("set {}: {}", set.name.value, members.join(", ")));
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
        let (role, size) = (partition.role.value.word(), sized(partition.memory.value));
        let _ = writeln!(
            out,
            "  {:<24} {role:<8} {size:>6}  CPU {where_}  {}",
            partition.name.value,
            scheduled(manifest, partition)
        );
        for given in &partition.passthrough {
            let what = if given.codec { "codec" } else { "device" };
            let _ = writeln!(out, "    {what} {} by VFIO", given.device.value);
        }
        for range in &partition.ioports {
            let _ = writeln!(out, "    ports {:#x}-{:#x}", range.value.0, range.value.1);
        }
        if let Some(socket) = partition.sound.as_ref().and_then(|sound| sound.socket.as_ref()) {
            let _ = writeln!(out, "    sound by {}", socket.value.display());
        }
        if let (Some(window), Some(service)) = (manifest.window_of(&partition.name.value), manifest.service()) {
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
