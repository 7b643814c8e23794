//! The partition map: who has which CPU, memory and device, and what the service VM sees of the others.

mod svg;
mod text;

pub use svg::svg;
pub use text::text;

use crate::manifest::words::sized;
use crate::manifest::{Manifest, Partition, Window, WindowMode};

/// What a window shows, in words.
fn shown(manifest: &Manifest, window: &Window) -> String {
    let size = sized(manifest.shown_by(window));
    match window.mode.as_deref() {
        Some(WindowMode::Ram) => format!("ram, all {size}"),
        Some(mode) => format!("{}, {size}", mode.word()),
        None => String::new(),
    }
}

/// How a partition's vCPUs are scheduled.
fn scheduled(manifest: &Manifest, partition: &Partition) -> String {
    let vcpus = manifest.vcpus_of(partition);
    let count = format!("{vcpus} vCPU{}", if vcpus == 1 { "" } else { "s" });
    match &partition.realtime {
        Some(realtime) => {
            let which: Vec<String> = realtime.vcpus.iter().map(ToString::to_string).collect();
            format!("{count}, FIFO {}: vCPU {}", realtime.priority, which.join(", "))
        }
        None => count,
    }
}
