//! `audiod run`: from a plan to a supervisor that has everything it needs.
//!
//! ```text
//!   plan ─► limits raised ─► sockets bound, folders opened ─► user changed, no new privileges ─► blocks, cards, chimes, plan frozen
//!        ─► exec: `audiod supervise …`, the same process without any memory of what was read
//! ```

pub mod folders;
pub mod lasting;
pub mod sockets;
pub mod windows;

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::Release;

use vhost_sound::memory::EventFd;
use vhost_sound::shared::{Block, Shared};

use crate::blocks::{EngineBlock, SavedBlock};
use crate::codec::{alsa, sim};
use crate::engine::chimes::ChimeBank;
use crate::failure::Failure;
use crate::plan::Plan;
use crate::sandbox;
use crate::supervisor::silence::Hold;
use crate::supervisor::wire::Thing;
use crate::supervisor::{Inheritance, entry};
use crate::system::{Backend, System};

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// An inherited descriptor that gets the line `ready` once engine and control are up.
    pub ready_fd: Option<RawFd>,
}

/// Becomes the supervisor of this plan.
///
/// # Errors
/// Always when it returns: what could not be had.
pub fn run(plan: &Plan, options: &Options) -> Result<Infallible, Failure> {
    let ready = options.ready_fd.map(inherited).transpose()?;
    sandbox::raise_limits();
    let mut things = sockets::listen(&plan.system)?;
    things.extend(windows::open(&plan.system)?);
    things.extend(folders::open(plan));
    if let Some(user) = &plan.system.user {
        sandbox::become_user(user).map_err(Failure::when(format!("becoming user {user}")))?;
    }
    folders::check(&things, plan);
    sandbox::no_new_privileges().map_err(Failure::when("giving up new privileges"))?;
    things.extend(blocks(&plan.system)?);
    let rouse = EventFd::new().map_err(Failure::when("the bell between engine and control"))?;
    things.push((Thing::Rouse, rouse.into()));
    things.push((Thing::Plan, plan.freeze().map_err(Failure::when("the plan's memory"))?));
    let cards = cards(&plan.system)?;
    let holds = real_cards(&plan.system, &mut things)?;
    for guest in &plan.system.guests {
        eprintln!("audiod: guest {}: listening on {}", guest.name, guest.place());
    }
    let inheritance = Inheritance {
        things,
        cards,
        holds,
        ready,
    };
    let arguments = entry::arguments(inheritance).map_err(Failure::when("handing over"))?;
    let error = Command::new("/proc/self/exe").arg0("audiod").args(arguments).exec();
    Err(Failure::when("starting the supervisor")(error))
}

fn inherited(fd: RawFd) -> Result<OwnedFd, Failure> {
    // A duplicate, so that it may be standard output too.
    // SAFETY: a plain call; it fails for a number that is not open.
    let duplicate = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate < 0 {
        return Err(Failure::InTheWay(format!(
            "--ready-fd {fd}: no such inherited descriptor"
        )));
    }
    // SAFETY: a fresh descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}

/// Every block, card and bank.
fn blocks(system: &System) -> Result<Vec<(Thing, OwnedFd)>, Failure> {
    let memory = |what: &str| Failure::when(format!("memory for {what}"));
    let mut things = vec![(Thing::Saved, block::<SavedBlock>().map_err(memory("the saved state"))?)];
    for (index, codec) in (0..).zip(&system.codecs) {
        things.push((
            Thing::Engine(index),
            block::<EngineBlock>().map_err(memory(&codec.name))?,
        ));
        if matches!(codec.backend, Backend::Wav { .. } | Backend::Null) {
            things.push((Thing::Card(index), sim::create(codec).map_err(memory(&codec.name))?));
        }
        let bank = ChimeBank::build(system, index as usize).map_err(|error| Failure::InTheWay(error.to_string()))?;
        things.push((Thing::ChimeBank(index), bank));
    }
    let keeper = lasting::Keeper::find();
    for (index, guest) in (0..).zip(&system.guests) {
        let device = keeper.device(guest).map_err(memory(&guest.name))?;
        device.configure(&guest.device);
        // No engine has it mapped: control is to say so even if it is there before the engine.
        device.engine_mem_gen.store(0, Release);
        things.push((Thing::Device(index), file_of(&device).map_err(memory(&guest.name))?));
    }
    Ok(things)
}

fn block<T: Block>() -> io::Result<OwnedFd> {
    file_of(&Shared::<T>::create()?)
}

fn file_of<T: Block>(block: &Shared<T>) -> io::Result<OwnedFd> {
    block.fd().ok_or(io::ErrorKind::NotFound)?.try_clone_to_owned()
}

/// Codecs with a file to write; each file is tried now, while the user is there to read the message.
fn cards(system: &System) -> Result<Vec<u32>, Failure> {
    let mut cards = Vec::new();
    for (index, codec) in (0..).zip(&system.codecs) {
        if let Backend::Wav { path } = &codec.backend {
            writable(path).map_err(|error| {
                Failure::InTheWay(format!(
                    "codec {}: {} can't be written: {error}",
                    codec.name,
                    path.display()
                ))
            })?;
            cards.push(index);
        }
    }
    Ok(cards)
}

/// Opens bare devices, so that they outlive engines. Plugins end with the engine that opens them.
fn real_cards(system: &System, things: &mut Vec<(Thing, OwnedFd)>) -> Result<Vec<Hold>, Failure> {
    let mut holds = Vec::new();
    for (index, codec) in (0..).zip(&system.codecs) {
        if let Backend::Alsa { device } = &codec.backend
            && alsa::is_hw(device)
        {
            let fd = alsa::open_pcm(codec, device).map_err(|error| Failure::InTheWay(error.to_string()))?;
            things.push((Thing::Card(index), fd));
            holds.push(Hold {
                codec: index,
                rate: codec.rate,
                period: codec.period,
                lead: codec.lead,
            });
        }
    }
    Ok(holds)
}

fn writable(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map(drop)
}
