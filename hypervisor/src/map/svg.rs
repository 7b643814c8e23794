//! The map as a drawing: CPUs below, partitions above them, windows as dashed lines to the service VM.

use std::collections::BTreeMap;
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
    let width = GAP + manifest.partitions.len().max(1) * (WIDTH + GAP);
    let (height, bottom) = (TOP + HEIGHT + BELOW + 80, TOP + HEIGHT + BELOW);
    let title = escaped(&manifest.name.value);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    text(&mut out, (GAP, 28), "font-size=\"18\"", &manifest.name.value);
    let mut middles = BTreeMap::new();
    for (partition, x) in manifest.partitions.iter().zip((GAP..).step_by(WIDTH + GAP)) {
        partition_box(manifest, partition, x, &mut out);
        middles.insert(&partition.name.value, x + WIDTH / 2);
    }
    let service = manifest.service().and_then(|service| middles.get(&service.name.value));
    for window in &manifest.windows {
        let (Some(from), Some(to), rise) = (middles.get(&window.partition.value), service, TOP - 25) else {
            continue;
        };
        let dashed = "stroke=\"#7a3fa0\" stroke-dasharray=\"5 3\"";
        path(&mut out, &format!("M{from} {TOP} V{rise} H{to} V{TOP}"), dashed);
        let centred = "text-anchor=\"middle\" fill=\"#7a3fa0\"";
        text(&mut out, (*from, rise - 6), centred, &shown(manifest, window));
    }
    let cpus = match list(&manifest.host.cpus) {
        none if none.is_empty() => "host".to_owned(),
        cpus => format!("host: its own threads on CPU {cpus}"),
    };
    rect(&mut out, (GAP, bottom), (width - 2 * GAP, 46), "#e4f0e0");
    text(&mut out, (GAP + 10, bottom + 28), "", &cpus);
    out + "</svg>\n"
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
    rect(out, (x, TOP), (WIDTH, HEIGHT), fill);
    text(out, (x + 10, TOP + 24), "font-size=\"15\"", &partition.name.value);
    let most = (HEIGHT - 40) / 17;
    for (line, y) in lines.iter().take(most).zip((TOP + 46..).step_by(17)) {
        text(out, (x + 10, y), "", line);
    }
    let cpus = match &partition.set {
        Some(set) => format!("CPU {} (set {})", list(&manifest.cpus_of(partition)), set.value),
        None => format!("CPU {}", list(&manifest.cpus_of(partition))),
    };
    let (middle, from) = (x + WIDTH / 2, TOP + HEIGHT);
    path(out, &format!("M{middle} {from} v{BELOW}"), "stroke=\"#444444\"");
    text(out, (middle + 6, from + 34), "", &cpus);
}

// Writing to a string can't fail.

fn rect(out: &mut String, (x, y): (usize, usize), (width, height): (usize, usize), fill: &str) {
    let place = format!("x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"");
    let _ = writeln!(out, "<rect {place} rx=\"6\" fill=\"{fill}\" stroke=\"#444444\"/>");
}

fn path(out: &mut String, path: &str, pen: &str) {
    let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" {pen}/>");
}

fn text(out: &mut String, (x, y): (usize, usize), look: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" {look}>{}</text>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
