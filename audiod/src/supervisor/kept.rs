//! The descriptors the supervisor keeps.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::child::Role;
use super::wire::Thing;
use crate::blocks::MAX_GUESTS;

/// Most descriptors kept: per guest a connection, listener, block, 32 regions and 12 eventfds. Control can't make us hold more.
const MOST: usize = MAX_GUESTS * (3 + 32 + 12) + 64;

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
        self.memory.insert(guest, generation);
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
                    Thing::Plan | Thing::Engine(_) | Thing::ChimeBank(_) | Thing::Card(_) | Thing::Device(_)
                )
        }
        Role::Control => !matches!(thing, Thing::ChimeBank(_) | Thing::Card(_)),
    }
}
