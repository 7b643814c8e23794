//! The ways to audiod: sockets and windows.

use super::meaning::unknown_partition;
use crate::manifest::words::sized;
use crate::manifest::{At, Findings, Manifest, Partition, Role, Sound, WINDOW_PAGE, Window, WindowMode};

/// Longest path of a socket (`sun_path` less its final zero).
const MAX_SOCKET_PATH: usize = 107;
/// Bytes of a kernel's `struct page` for each 4 KiB page of a window.
const STRUCT_PAGE: u64 = 64;

pub(super) fn sound(manifest: &Manifest, partition: &Partition, findings: &mut Findings) {
    let (name, window) = (&partition.name, manifest.window_of(&partition.name));
    let Some(sound) = &partition.sound else {
        if let Some(window) = window {
            let message = format!("`{name}` has a window but no sound device");
            findings
                .error("window-without-sound", window.partition.span, message)
                .cure(format!("write `[partitions.{name}.sound]`"));
        }
        return;
    };
    way(name, sound, window, findings);
    if partition.is(Role::Service) {
        let message = format!("service VM `{name}` has the codec itself");
        findings.error("service-sound", sound.span, message);
    }
    let size = sound.queue_size;
    if !size.is_power_of_two() {
        let message = format!("a queue of {size} is no power of two");
        let found = findings.error("out-of-range", size.span, message);
        found.cure("64 is what stock drivers use");
    }
    streams(name, sound, findings);
}

/// A sound device has one way to audiod.
fn way(name: &str, sound: &At<Sound>, window: Option<&Window>, findings: &mut Findings) {
    match (&sound.socket, window) {
        (Some(socket), Some(window)) => {
            let found = findings.error("two-links", socket.span, format!("`{name}` has a socket and a window"));
            found.also(window.partition.span, "the window");
        }
        (None, None) => {
            let message = format!("the sound device of `{name}` leads nowhere");
            let found = findings.error("no-link", sound.span, message);
            found.cure(format!("write `socket = \"{name}.sock\"`, or `[windows.{name}]`"));
        }
        (Some(socket), None) if socket.as_os_str().len() > MAX_SOCKET_PATH => {
            let message = format!("a socket's path has at most {MAX_SOCKET_PATH} bytes");
            findings
                .error("out-of-range", socket.span, message)
                .cause(format!("this one has {}", socket.as_os_str().len()))
                .cure("choose a shorter folder, as /run/carillon");
        }
        _ => {}
    }
}

fn streams(name: &str, sound: &At<Sound>, findings: &mut Findings) {
    for stream in &sound.streams {
        if let Some(rate) = stream.odd_rate() {
            let message = format!("virtio-sound has no rate of {rate} Hz");
            findings
                .error("out-of-range", rate.span, message)
                .cause("a rate must be one of the standard ones")
                .cure("48000 is what codecs have");
        }
        let (least, most) = (stream.channels_min, stream.most_channels());
        if least > most {
            let message = format!("{least} to {most} channels are none");
            let found = findings.error("out-of-range", stream.span, message);
            found.cure("`channels_max` is at least `channels_min`");
        }
    }
    if sound.streams.is_empty() {
        findings.warning("no-streams", sound.span, format!("no streams of `{name}` are declared"));
    }
}

pub(super) fn window(manifest: &Manifest, window: &Window, findings: &mut Findings) {
    let Some(partition) = manifest.partition(&window.partition) else {
        return unknown_partition(manifest, &window.partition, findings);
    };
    let Some(mode) = window.mode else { return };
    let (name, memory) = (&partition.name, partition.memory);
    match (*partition.role, *mode) {
        (Role::Service, _) => {
            let message = format!("`{name}` is the service VM: a window into itself");
            findings.error("service-window", window.partition.span, message);
        }
        (Role::Safety, WindowMode::Ram | WindowMode::Bounce) => {
            let message = format!("safety partition `{name}` shares its pool only");
            findings
                .error("safety-window", mode.span, message)
                .cause(format!("`{}` lets others reach more, or wait in its VMM", mode.word()));
        }
        _ => {}
    }
    if *mode != WindowMode::Ram {
        return;
    }
    if let Some(size) = window.size {
        let message = format!("a `ram` window of `{name}` has the size of its RAM");
        findings
            .error("window-size", size.span, message)
            .cause("given twice")
            .cure("leave `size` out");
    } else if !memory.is_multiple_of(WINDOW_PAGE) {
        let (size, next) = (sized(*memory), sized(memory.next_multiple_of(WINDOW_PAGE)));
        let message = format!("the RAM of `{name}` can't be a window: {size} is no multiple of 2M");
        findings
            .error("window-size", memory.span, message)
            .also(mode.span, "the window")
            .cause("device-dax maps pages of 2 MiB")
            .cure(format!("`memory = \"{next}\"`"));
    }
}

/// The service VM's kernel keeps a `struct page` for each page of a window, in its own RAM.
pub(super) fn struct_pages(manifest: &Manifest, findings: &mut Findings) {
    let Some(service) = manifest.service().filter(|service| *service.memory > 0) else {
        return;
    };
    let bytes = manifest.windows.iter().map(|window| manifest.shown_by(window));
    let cost = bytes.fold(0, u64::saturating_add) / 4096 * STRUCT_PAGE;
    let (name, memory) = (&service.name, service.memory);
    if cost > *memory / 4 {
        let message = format!("the windows cost `{name}` {} KiB of its {}", cost >> 10, sized(*memory));
        let enough = sized((cost * 4).next_multiple_of(1 << 20));
        findings.error("struct-pages", memory.span, message).cure(format!(
            "`memory = \"{enough}\"`, or `mode = \"bounce\"` for large guests"
        ));
    }
}
