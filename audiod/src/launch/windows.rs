//! Windows and doorbells of guests in other VMs, opened while we may: nodes of devices belong to root.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};

use vhost_sound::link::Window;

use crate::failure::Failure;
use crate::supervisor::wire::Thing;
use crate::system::System;

/// Opens what the guests' windows name.
///
/// # Errors
/// What the system says, with the path.
pub fn open(system: &System) -> Result<Vec<(Thing, OwnedFd)>, Failure> {
    let mut things = Vec::new();
    for (index, guest) in (0..).zip(&system.guests) {
        let Some(window) = &guest.window else { continue };
        let open = |path: &std::path::Path| {
            let file = OpenOptions::new().read(true).write(true).open(path);
            file.map(OwnedFd::from)
                .map_err(Failure::when(format!("guest {}: {}", guest.name, path.display())))
        };
        things.push((Thing::Window(index), open(&window.memory)?));
        if let Some(doorbell) = &window.doorbell {
            let words = Window::words(open(doorbell)?.as_fd(), window.first_word);
            let words = words.map_err(Failure::when(format!("guest {}: its doorbell", guest.name)))?;
            things.extend((0..).zip(words).map(|(queue, word)| (Thing::Bell(index, queue), word)));
        }
    }
    Ok(things)
}
