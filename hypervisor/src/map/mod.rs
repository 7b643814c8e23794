//! The partition map: who has which CPU, memory and device, and what the service VM sees of the others.

mod svg;
mod text;

pub use svg::svg;
pub use text::text;

use crate::manifest::words::sized;
use crate::manifest::{At, Manifest, Partition, Passthrough, Window, WindowMode};

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

/// What of the host a partition has for itself: devices and ports.
fn owned(partition: &Partition) -> Vec<String> {
    let device = |given: &Passthrough| {
        let what = if given.codec { "codec" } else { "device" };
        format!("{what} {} by VFIO", given.device)
    };
    let ports = |range: &At<(u16, u16)>| format!("ports {:#x}-{:#x}", range.0, range.1);
    let devices = partition.passthrough.iter().map(device);
    devices.chain(partition.ioports.iter().map(ports)).collect()
}
