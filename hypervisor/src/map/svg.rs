//! The map as a drawing: CPUs below, partitions above them, windows as dashed lines to the service VM.

use std::fmt::Write;

use super::{owned, scheduled, shown};
use crate::manifest::words::{list, sized};
use crate::manifest::{Manifest, Partition, Role};

/// Pixels of a partition's box, and between boxes.
const WIDTH: usize = 210;
const HEIGHT: usize = 150;
const GAP: usize = 30;
/// Pixels from the top to the boxes, and from them to the CPUs.
const TOP: usize = 110;
const BELOW: usize = 60;

/// A standalone SVG document.
pub fn svg(manifest: &Manifest) -> String {
    let count = manifest.partitions.len().max(1);
    let width = GAP + count * (WIDTH + GAP);
    let height = TOP + HEIGHT + BELOW + 80;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{0}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{GAP}\" y=\"28\" font-size=\"18\">{0}</text>\n",
        escaped(&manifest.name.value)
    );
    let place = |name: &str| {
        manifest
            .partitions
            .iter()
            .position(|partition| partition.name.value == name)
    };
    for (index, partition) in manifest.partitions.iter().enumerate() {
        partition_box(manifest, partition, GAP + index * (WIDTH + GAP), &mut out);
    }
    let service = manifest.service().and_then(|service| place(&service.name.value));
    for window in &manifest.windows {
        let (Some(from), Some(to)) = (place(&window.partition.value), service) else {
            continue;
        };
        let middle = |index: usize| GAP + index * (WIDTH + GAP) + WIDTH / 2;
        let rise = TOP - 25;
        // Writing to a string can't fail.
        let _ = write!(
            out,
            "<path d=\"M{0} {TOP} V{rise} H{1} V{TOP}\" fill=\"none\" stroke=\"#7a3fa0\" stroke-dasharray=\"5 3\"/>\n\
             <text x=\"{0}\" y=\"{2}\" text-anchor=\"middle\" fill=\"#7a3fa0\">{3}</text>\n",
            middle(from),
            middle(to),
            rise - 6,
            escaped(&shown(manifest, window))
        );
    }
    host(manifest, width, &mut out);
    out.push_str("</svg>\n");
    out
}

fn partition_box(manifest: &Manifest, partition: &Partition, x: usize, out: &mut String) {
    let fill = match partition.role.value {
        Role::Service => "#d8e8f8",
        Role::Guest => "#eeeeee",
        Role::Safety => "#f8e0d0",
    };
    let mut lines = vec![
        format!("{}, {}", partition.role.word(), sized(*partition.memory)),
        scheduled(manifest, partition),
    ];
    lines.extend(owned(partition));
    if partition.socket().is_some() {
        lines.push("sound by socket".into());
    }
    let _ = write!(
        out,
        "<rect x=\"{x}\" y=\"{TOP}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"{fill}\" stroke=\"#444444\"/>\n\
         <text x=\"{0}\" y=\"{1}\" font-size=\"15\">{2}</text>\n",
        x + 10,
        TOP + 24,
        escaped(&partition.name.value)
    );
    let most = (HEIGHT - 40) / 17;
    for (index, line) in lines.iter().take(most).enumerate() {
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\">{}</text>",
            x + 10,
            TOP + 46 + 17 * index,
            escaped(line)
        );
    }
    let cpus = match &partition.set {
        Some(set) => format!("CPU {} (set {})", list(&manifest.cpus_of(partition)), set.value),
        None => format!("CPU {}", list(&manifest.cpus_of(partition))),
    };
    let (middle, from) = (x + WIDTH / 2, TOP + HEIGHT);
    let _ = write!(
        out,
        "<path d=\"M{middle} {from} V{}\" stroke=\"#444444\"/>\n<text x=\"{}\" y=\"{}\">{}</text>\n",
        from + BELOW,
        middle + 6,
        from + 34,
        escaped(&cpus)
    );
}

fn host(manifest: &Manifest, width: usize, out: &mut String) {
    let y = TOP + HEIGHT + BELOW;
    let cpus = match list(&manifest.host.cpus) {
        none if none.is_empty() => "host".to_owned(),
        cpus => format!("host: its own threads on CPU {cpus}"),
    };
    let _ = write!(
        out,
        "<rect x=\"{GAP}\" y=\"{y}\" width=\"{}\" height=\"46\" rx=\"6\" fill=\"#e4f0e0\" stroke=\"#444444\"/>\n\
         <text x=\"{}\" y=\"{}\">{}</text>\n",
        width - 2 * GAP,
        GAP + 10,
        y + 28,
        escaped(&cpus)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
