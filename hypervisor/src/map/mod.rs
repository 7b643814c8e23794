//! The partition map: who has which CPU, memory and device, and what the service VM sees of the others.

mod svg;
mod text;

pub use svg::svg;
pub use text::text;

use crate::manifest::words::sized;
use crate::manifest::{Manifest, Partition, Window, WindowMode};

/// What a window shows, in words.
fn shown(manifest: &Manifest, window: &Window) -> String {
    match window.mode.map(|mode| mode.value) {
        Some(WindowMode::Ram) => {
            let memory = manifest
                .partition(&window.partition.value)
                .map_or(0, |partition| partition.memory.value);
            format!("ram, all {}", sized(memory))
        }
        Some(mode) => format!("{}, {}", mode.word(), sized(window.pool())),
        None => String::new(),
    }
}

/// How a partition's vCPUs are scheduled.
fn scheduled(manifest: &Manifest, partition: &Partition) -> String {
    let vcpus = manifest.vcpus_of(partition);
    let count = format!("{vcpus} vCPU{}", if vcpus == 1 { "" } else { "s" });
    match &partition.realtime {
        Some(realtime) => {
            let which: Vec<String> = realtime.vcpus.iter().map(|vcpu| vcpu.value.to_string()).collect();
            format!("{count}, FIFO {}: vCPU {}", realtime.priority, which.join(", "))
        }
        None => count,
    }
}
