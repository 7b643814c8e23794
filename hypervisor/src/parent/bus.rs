//! Guests' ways to the service VM's D-Bus: for each guest that has one a process of its own carries the connections, `bus-port`
//! beside this program. It is no part of a VM: it ends with this parent, and the next has another.

use std::io;
use std::process::{self, Command, Stdio};

use crate::manifest::{Manifest, Partition};

/// Starts what a partition's manifest wants: its port here, for its address alone, to the same port of the service VM.
///
/// # Errors
/// The program can't be started.
pub(super) fn start(manifest: &Manifest, partition: &Partition) -> io::Result<()> {
    let places = || {
        Some((
            partition.dbus_port?,
            partition.vsock_cid?,
            manifest.service()?.vsock_cid?,
        ))
    };
    let Some((port, from, service)) = places() else {
        return Ok(());
    };
    let mut command = Command::new(std::env::current_exe()?.with_file_name("bus-port"));
    command.arg("--keep").arg(format!("--parent={}", process::id()));
    command.args([format!("--listen=vsock:{port}"), format!("--from={from}")]);
    command.arg(format!("--to=vsock:{service}:{port}"));
    if let Some(prefix) = &manifest.host.user_prefix {
        command.arg(format!("--user={prefix}-{}", partition.name));
    }
    // It starts itself again, and is gone when this process is: there is nothing to watch.
    command.stdin(Stdio::null()).spawn().map(drop)
}
