//! The descriptors the supervisor keeps.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::child::Role;
use super::wire::Thing;
use crate::blocks::MAX_GUESTS;
use vhost_sound::block::{MAX_REGIONS, QUEUES};

/// Most descriptors kept: per guest a connection, listener, block, window, 32 regions, 12 eventfds and
/// 4 words of a doorbell. Control can't make us hold more.
const MOST: usize = MAX_GUESTS * (4 + 32 + 12 + 4) + 64;

/// See the module.
#[derive(Default)]
pub struct Kept {
    things: BTreeMap<Thing, OwnedFd>,
    memory: BTreeMap<u32, u32>,
}

impl Kept {
    /// Keeps (or replaces) a descriptor; one too many is closed.
    pub fn keep(&mut self, thing: Thing, fd: OwnedFd) {
        if self.things.len() < MOST || self.things.contains_key(&thing) {
            self.things.insert(thing, fd);
        }
    }

    /// Closes a descriptor.
    pub fn forget(&mut self, thing: Thing) {
        self.things.remove(&thing);
    }

    /// A descriptor, if kept.
    pub fn get(&self, thing: Thing) -> Option<BorrowedFd<'_>> {
        self.things.get(&thing).map(AsFd::as_fd)
    }

    /// Remembers the latest complete memory table of a guest.
    pub fn memory(&mut self, guest: u32, generation: u32) {
        if is_guest(guest) {
            self.memory.insert(guest, generation);
        }
    }

    /// What a new child of `role` must be given, in order.
    pub fn for_role(&self, role: Role) -> impl Iterator<Item = (Thing, BorrowedFd<'_>)> {
        self.things
            .iter()
            .filter(move |(thing, _)| needs(role, **thing))
            .map(|(thing, fd)| (*thing, fd.as_fd()))
    }

    /// Memory tables a new engine must map.
    pub fn tables(&self) -> impl Iterator<Item = (u32, u32)> {
        self.memory.iter().map(|(guest, generation)| (*guest, *generation))
    }
}

fn is_guest(guest: u32) -> bool {
    (guest as usize) < MAX_GUESTS
}

/// Whether a child may have this kept or dropped: control what its guests hand over and the text of a reload, which only its own
/// successor is given; nobody anything that the launcher made. A child that was taken over by its guest can't forge a plan or a
/// block for the others.
pub fn may_change(role: Role, thing: Thing) -> bool {
    let queue = |queue: u32| (queue as usize) < QUEUES;
    let theirs = match thing {
        Thing::Connection(guest) => is_guest(guest),
        Thing::Region(guest, region) => is_guest(guest) && (region as usize) < MAX_REGIONS,
        Thing::Kick(guest, of) | Thing::Call(guest, of) | Thing::Err(guest, of) => is_guest(guest) && queue(of),
        Thing::Text => true,
        _ => false,
    };
    role == Role::Control && theirs
}

/// Whether the engine is told about changes of this one.
pub fn engine_uses(thing: Thing) -> bool {
    matches!(thing, Thing::Region(..) | Thing::Call(..))
}

fn needs(role: Role, thing: Thing) -> bool {
    match role {
        Role::Card(codec) => thing == Thing::Card(codec) || thing == Thing::Plan,
        Role::Engine => {
            engine_uses(thing)
                || matches!(
                    thing,
                    Thing::Plan
                        | Thing::Rouse
                        | Thing::Engine(_)
                        | Thing::ChimeBank(_)
                        | Thing::Card(_)
                        | Thing::Device(_)
                )
        }
        Role::Control => !matches!(thing, Thing::ChimeBank(_) | Thing::Card(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_may_keep_what_guests_hand_over_and_nothing_else() {
        for thing in [
            Thing::Connection(0),
            Thing::Region(1, 31),
            Thing::Call(2, 3),
            Thing::Kick(0, 0),
            Thing::Text,
        ] {
            assert!(may_change(Role::Control, thing), "{thing:?}");
            assert!(!may_change(Role::Engine, thing), "{thing:?}");
        }
        let launchers = [
            Thing::Plan,
            Thing::Saved,
            Thing::Engine(0),
            Thing::Card(0),
            Thing::Device(0),
            Thing::Listener(0),
            Thing::Window(0),
            Thing::Bell(0, 1),
            Thing::FileFolder,
            Thing::StateFolder,
            Thing::Rouse,
        ];
        let outside = [
            Thing::Connection(MAX_GUESTS as u32),
            Thing::Region(0, 32),
            Thing::Err(0, 4),
        ];
        assert!(!needs(Role::Engine, Thing::Text), "a text is control's own");
        for thing in launchers.into_iter().chain(outside) {
            assert!(!may_change(Role::Control, thing), "{thing:?}");
        }
    }
}
