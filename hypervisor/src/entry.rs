//! The VMM process: takes what its parent hands it, opens its door, runs its VM.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};

use crate::parent::door::{self, Facts};
use crate::parent::resolve::{SOUND, WindowLink};
use crate::parent::socket::wait;
use crate::parent::start::{Go, Hand, START_FD};
use crate::plan::{Device, Fds, Thread};
use crate::sandbox;
use crate::vm::{self, control::Channel};
use crate::window::Relay;

struct Handed {
    go: Go,
    fds: Fds,
    keeps: BTreeMap<String, OwnedFd>,
    door: OwnedFd,
}

/// Longest time that the parent may take over handing things over, milliseconds.
const PATIENCE_MS: u64 = 10_000;

fn take() -> Result<Handed, String> {
    // SAFETY: no pointers.
    if unsafe { libc::fcntl(START_FD, libc::F_GETFD) } < 0 {
        return Err(format!("nothing was handed over (fd {START_FD})"));
    }
    // SAFETY: the parent put it there before exec; nobody else has it. A wrong one is refused by the first read.
    let start = unsafe { OwnedFd::from_raw_fd(START_FD) };
    let packets = Channel::from(start);
    let (mut fds, mut keeps, mut door) = (Fds::default(), BTreeMap::new(), None);
    loop {
        wait(&[packets.as_fd()], Some(PATIENCE_MS)).map_err(|error| error.to_string())?;
        let packet = packets
            .receive::<Hand>()
            .map_err(|error| format!("the parent's packets: {error}"))?;
        match packet.ok_or("the parent does not go on")? {
            (Hand::Given { name, .. }, Some(fd)) if name == "door" => door = Some(fd),
            (Hand::Given { name, keep }, Some(fd)) => {
                if keep {
                    keeps.insert(name.clone(), fd.try_clone().map_err(|error| error.to_string())?);
                }
                fds.insert(name, fd);
            }
            (Hand::Given { name, .. }, None) => return Err(format!("the parent gave no descriptor for {name}")),
            (Hand::Go(go), _) => {
                let (go, door) = (*go, door.ok_or("the parent gave no door")?);
                return Ok(Handed { go, fds, keeps, door });
            }
        }
    }
}

/// Runs the VM that the parent hands over. Exit codes: 0 power-off or stopped, 10 reset, 11 panic, 12 watchdog, 1 failed.
pub fn main() -> ExitCode {
    match take() {
        Ok(handed) => run(handed),
        Err(cause) => {
            eprintln!("hypervisor vm: {cause}; this command is for `hypervisor run`");
            ExitCode::from(2)
        }
    }
}

fn run(handed: Handed) -> ExitCode {
    let (go, mut fds, keeps, door) = (handed.go, handed.fds, handed.keeps, handed.door);
    let (plan, owner) = (go.plan, go.owner);
    let sound = |device: &Device| matches!(device, Device::Snd(_)).then(|| SOUND.to_owned());
    let wanting: BTreeSet<String> = plan.devices.iter().filter_map(sound).collect();
    sandbox::raise_limits();
    let relay = go
        .link
        .map(|link| relay(&plan.name, &plan.service, link, &keeps))
        .transpose();
    let opened = relay.and_then(|relay| {
        let facts = Facts {
            wanting,
            keeps,
            owner,
            relay,
        };
        door::open(door, facts)
    });
    let (open, control) = match opened {
        Ok(open) => open,
        Err(error) => {
            eprintln!("{}: its door: {error}", plan.name);
            return ExitCode::FAILURE;
        }
    };
    fds.insert("control", control);
    let ended = prepare(go.user.as_deref()).and_then(|program| {
        let lock = || sandbox::lock(&program).map_err(|error| error.to_string());
        vm::run(plan, fds, lock).map_err(|error| error.to_string())
    });
    let (code, cause) = match ended {
        Ok(exit) => (exit.code(), None),
        Err(cause) => (1, Some(cause)),
    };
    if let Some(cause) = &cause {
        eprintln!("{cause}");
    }
    open.end(code, cause);
    ExitCode::from(code)
}

/// A thread that relays one link after the other; made before the filter, which allows no new one. Every call of its guest goes
/// through it, so it is placed like the device's own thread: above the guest's real-time vCPUs, and with them above others'.
fn relay(
    name: &str,
    place: &Thread,
    link: WindowLink,
    keeps: &BTreeMap<String, OwnedFd>,
) -> io::Result<Sender<(OwnedFd, OwnedFd)>> {
    let kept = |name: &String| keeps.get(name).ok_or(io::ErrorKind::NotFound)?.try_clone();
    let bells: Vec<OwnedFd> = link.bells.iter().map(kept).collect::<io::Result<_>>()?;
    let pool = link.pool.as_ref().map(kept).transpose()?;
    let (sender, links) = channel::<(OwnedFd, OwnedFd)>();
    let partition = name.to_owned();
    let relay = move || {
        for (front, back) in links {
            let bells = bells.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>();
            let relay = bells.and_then(|bells| match &pool {
                Some(pool) => Relay::bouncing(front, back, pool.try_clone()?, bells),
                None => Relay::new(front, back, link.pieces.clone(), bells),
            });
            match relay.map(Relay::run) {
                Ok(ended) => eprintln!("{partition}: link to audiod: {ended}"),
                Err(error) => eprintln!("{partition}: link to audiod: {error}"),
            }
        }
    };
    vm::spawn(place, format!("{name}:relay"), relay).map_err(io::Error::other)?;
    Ok(sender)
}

fn prepare(user: Option<&str>) -> Result<seccompiler::BpfProgram, String> {
    if let Some(user) = user {
        sandbox::become_user(user).map_err(|error| {
            format!("user {user}: {error}; make it with `useradd -r -M {user}`, or leave `user_prefix` out")
        })?;
    }
    sandbox::program().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_is_placed_like_its_guests_other_helpers() {
        let place = Thread {
            cpus: vec![0],
            fifo: None,
        };

        let _links = relay("g", &place, WindowLink::default(), &BTreeMap::new()).unwrap();

        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let status = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("status")).ok();
        let relay = tasks
            .filter_map(status)
            .find(|status| status.starts_with("Name:\tg:relay\n"));
        assert!(relay.unwrap().contains("Cpus_allowed_list:\t0\n"));
    }
}
