//! `bus-port`: a guest's way to the bus of the audio service VM.
//!
//! ```text
//!  guest g ──vsock──► host: bus-port --from g --to ──vsock──► service VM: bus-port --from 2 --bus ──► dbus-daemon
//!                     CID g alone is let in      port of g    the host alone is let in; it runs as g's user, so that
//!                                                             the bus sees that user, whoever the guest says it is
//! ```
//! A vsock address seen through a relay says nothing, so the port is the identity. One process serves one guest: at most
//! [`port::MOST`] connections of [`pair::MOST_WAITING`] bytes each way; more are turned away, and a slow one is read no further.
//! In a guest the same program gives its clients a UNIX socket (`--listen unix:PATH --from UID --to vsock:2:PORT`).

mod address;
mod arguments;
mod frames;
mod pair;
mod port;
mod sign_in;

use std::ffi::CString;
use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use arguments::Arguments;
use clap::Parser;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{self, User};
use port::{Port, Target};

/// Before a process that ended is started again.
const AGAIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bus-port: {}: {error}", arguments.listen);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    if let Some(user) = &arguments.user {
        become_user(user)?;
    }
    prctl::set_no_new_privs()?;
    if let Some(parent) = arguments.parent {
        // After the user: a change of it takes this back.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if unistd::getppid().as_raw() != parent {
            return Ok(());
        }
    }
    if arguments.keep {
        return keep(arguments);
    }
    let target = match (&arguments.to, &arguments.bus) {
        (Some(address), _) => Target::Address(address.clone()),
        (None, Some(path)) => Target::Bus(path.clone()),
        (None, None) => return Err(io::ErrorKind::InvalidInput.into()),
    };
    Port::open(&arguments.listen, arguments.from, target)?.serve()
}

fn become_user(name: &str) -> io::Result<()> {
    let user = User::from_name(name)?.ok_or_else(|| io::Error::other(format!("there is no user {name}")))?;
    unistd::initgroups(&CString::new(name)?, user.gid)?;
    unistd::setgid(user.gid)?;
    Ok(unistd::setuid(user.uid)?)
}

/// The same work in a child, again and again.
fn keep(arguments: &Arguments) -> io::Result<()> {
    loop {
        let mut command = Command::new("/proc/self/exe");
        command.args([
            "--listen",
            &arguments.listen.to_string(),
            "--from",
            &arguments.from.to_string(),
        ]);
        if let Some(to) = &arguments.to {
            command.args(["--to", &to.to_string()]);
        }
        if let Some(bus) = &arguments.bus {
            command.arg("--bus").arg(bus);
        }
        command.args(["--parent", &std::process::id().to_string()]);
        let status = command.stdin(Stdio::null()).status()?;
        eprintln!("bus-port: {}: ended with {status}; is started again", arguments.listen);
        std::thread::sleep(AGAIN);
    }
}
