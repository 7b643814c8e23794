//! The ways to audiod: sockets and windows.

use super::meaning::{names, unknown};
use crate::manifest::shape::WINDOW_PAGE;
use crate::manifest::words::sized;
use crate::manifest::{Finding, Manifest, Partition, Role, Window, WindowMode};

/// Longest path of a socket (`sun_path` less its final zero).
const MAX_SOCKET_PATH: usize = 107;
/// Bytes of a kernel's `struct page` for each 4 KiB page of a window.
const STRUCT_PAGE: u64 = 64;

pub(super) fn sound(manifest: &Manifest, partition: &Partition, findings: &mut Vec<Finding>) {
    let (name, window) = (&partition.name, manifest.window_of(&partition.name.value));
    let Some(sound) = &partition.sound else {
        if let Some(window) = window {
            let message = format!("`{}` has a window but no sound device", name.value);
            let found = Finding::error("window-without-sound", window.partition.span, message);
            findings.push(
                found
                    .cause("nothing would use it")
                    .cure(format!("write `[partitions.{}.sound]`", name.value)),
            );
        }
        return;
    };
    match (&sound.socket, window) {
        (Some(socket), Some(window)) => findings.push(
            Finding::error(
                "two-links",
                socket.span,
                format!("`{}` has a socket and a window", name.value),
            )
            .cause("its sound device has one way to audiod")
            .also(window.partition.span, "the window")
            .cure("leave one of them out"),
        ),
        (None, None) => findings.push(
            Finding::error(
                "no-link",
                sound.span,
                format!("the sound device of `{}` leads nowhere", name.value),
            )
            .cause("neither `socket` nor a window")
            .cure(format!("write `socket = \"{0}.sock\"`, or `[windows.{0}]`", name.value)),
        ),
        (Some(socket), None) if socket.value.as_os_str().len() > MAX_SOCKET_PATH => findings.push(
            Finding::error(
                "out-of-range",
                socket.span,
                format!("a socket's path has at most {MAX_SOCKET_PATH} bytes"),
            )
            .cause(format!("this one has {}", socket.value.as_os_str().len()))
            .cure("choose a shorter folder, as /run/carillon"),
        ),
        _ => {}
    }
    if partition.role.value == Role::Service {
        let found = Finding::error(
            "service-sound",
            sound.span,
            format!("service VM `{}` has the codec itself", name.value),
        );
        findings.push(
            found
                .cause("a sound device for the one that makes them")
                .cure("leave `sound` out"),
        );
    }
    if !sound.queue_size.value.is_power_of_two() {
        let message = format!("a queue of {} is no power of two", sound.queue_size.value);
        findings
            .push(Finding::error("out-of-range", sound.queue_size.span, message).cure("64 is what stock drivers use"));
    }
    for stream in &sound.streams {
        if let Some(rate) = stream.odd_rate {
            let found = Finding::error(
                "out-of-range",
                rate.span,
                format!("virtio-sound has no rate of {} Hz", rate.value),
            );
            findings.push(
                found
                    .cause("a rate must be one of the standard ones")
                    .cure("48000 is what codecs have"),
            );
        }
        if stream.channels.is_empty() {
            let message = format!(
                "{} to {} channels are none",
                stream.channels.start(),
                stream.channels.end()
            );
            findings.push(
                Finding::error("out-of-range", stream.span, message).cure("`channels_max` is at least `channels_min`"),
            );
        }
    }
    if sound.streams.is_empty() {
        let found = Finding::warning(
            "no-streams",
            sound.span,
            format!("no streams of `{}` are declared", name.value),
        );
        let found = found.cause("a guest that starts while audiod is away would find none");
        findings.push(found.cure("`streams = [{ direction = \"playback\", formats = [\"s16\"], rates = [48000] }]`"));
    }
}

pub(super) fn window(manifest: &Manifest, window: &Window, findings: &mut Vec<Finding>) {
    let Some(partition) = manifest.partition(&window.partition.value) else {
        findings.push(unknown("partition", &window.partition, &names(manifest)));
        return;
    };
    let Some(mode) = window.mode else { return };
    let name = &partition.name.value;
    match (partition.role.value, mode.value) {
        (Role::Service, _) => findings.push(
            Finding::error(
                "service-window",
                window.partition.span,
                format!("`{name}` is the service VM: a window into itself"),
            )
            .cause("windows are of the other partitions")
            .cure("leave it out"),
        ),
        (Role::Safety, WindowMode::Ram | WindowMode::Bounce) => findings.push(
            Finding::error(
                "safety-window",
                mode.span,
                format!("safety partition `{name}` shares its pool only"),
            )
            .cause(format!(
                "`{}` lets others reach more, or wait in its VMM",
                mode.value.word()
            ))
            .cure("`mode = \"pool\"`"),
        ),
        _ => {}
    }
    let Some(span) = window
        .size
        .map(|size| size.span)
        .filter(|_| mode.value == WindowMode::Ram)
    else {
        if mode.value == WindowMode::Ram && !partition.memory.value.is_multiple_of(WINDOW_PAGE) {
            let message = format!(
                "the RAM of `{name}` can't be a window: {} is no multiple of 2M",
                sized(partition.memory.value)
            );
            let found = Finding::error("window-size", partition.memory.span, message).also(mode.span, "the window");
            let found = found.cause("device-dax maps pages of 2 MiB");
            findings.push(found.cure(format!(
                "`memory = \"{}\"`",
                sized(partition.memory.value.next_multiple_of(WINDOW_PAGE))
            )));
        }
        return;
    };
    let found = Finding::error(
        "window-size",
        span,
        format!("a `ram` window of `{name}` has the size of its RAM"),
    );
    findings.push(found.cause("given twice").cure("leave `size` out"));
}

/// The service VM's kernel keeps a `struct page` for each page of a window, in its own RAM.
pub(super) fn struct_pages(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let Some(service) = manifest.service().filter(|service| service.memory.value > 0) else {
        return;
    };
    let bytes = |window: &Window| match (
        window.mode.map(|mode| mode.value),
        manifest.partition(&window.partition.value),
    ) {
        (Some(WindowMode::Ram), Some(partition)) => partition.memory.value,
        _ => window.pool(),
    };
    let pages: u64 = manifest.windows.iter().map(bytes).fold(0, u64::saturating_add) / 4096;
    let cost = pages * STRUCT_PAGE;
    if cost > service.memory.value / 4 {
        let message = format!(
            "the windows cost `{}` {} KiB of its {}",
            service.name.value,
            cost >> 10,
            sized(service.memory.value)
        );
        findings.push(
            Finding::error("struct-pages", service.memory.span, message)
                .cause("its kernel keeps 64 bytes for each page of a window")
                .cure(format!(
                    "`memory = \"{}\"`, or `mode = \"bounce\"` for large guests",
                    sized((cost * 4).next_multiple_of(1 << 20))
                )),
        );
    }
}
