//! What outlives a boot: taken from the store when nothing newer is in the saved block, given to it whenever it changed.

use std::path::Path;

use policy::{Machine, Model};

use crate::blocks::SavedBlock;
use crate::config::keep::Keep;
use crate::given::Given;
use crate::store::{self, Folder, Store};
use crate::supervisor::wire::Thing;

/// See the module.
#[derive(Default)]
pub struct Keeper {
    store: Option<Store>,
    /// What the store was given last, or holds.
    last: Vec<u8>,
}

/// The policy as this process begins with it.
pub struct Begun {
    /// It.
    pub machine: Machine,
    /// Wanted gains came from the store: guests don't know them yet.
    pub booted: bool,
}

impl Keeper {
    /// Starts the store's writer, if the file names a state; and the policy: as the predecessor left it, as the last boot left it, or
    /// new.
    pub fn begin(model: Model, keep: &Keep, saved: &SavedBlock, given: &mut Given) -> (Self, Begun) {
        let name = keep.state.as_deref().and_then(Path::file_name);
        let name = name.map(|name| name.to_string_lossy().into_owned());
        // A folder that could not be opened was told by the launcher.
        let place = name.zip(given.things.remove(&Thing::StateFolder));
        let place = place.map(|(name, fd)| (name, Folder::new(fd)));
        let machine = taken_over(&model, saved);
        let Some((name, folder)) = place else {
            let machine = machine.unwrap_or_else(|| Machine::new(model));
            return (Self::default(), Begun { machine, booted: false });
        };
        let (mut last, mut booted) = (Vec::new(), false);
        let machine = machine.unwrap_or_else(|| {
            let Some(bytes) = store::load(&folder, &name) else {
                return Machine::new(model);
            };
            match Machine::restore_lasting(model.clone(), &bytes, keep.restore) {
                Ok(machine) => {
                    (last, booted) = (bytes, true);
                    machine
                }
                Err(error) => {
                    store::set_aside(&folder, &name, &error.to_string());
                    let mut machine = Machine::new(model);
                    machine.note_lost_store();
                    machine
                }
            }
        });
        let store = Store::start(folder, name);
        let store = store.inspect_err(|error| tracing::error!("state: nothing will be kept: {error}"));
        let mut keeper = Self {
            store: store.ok(),
            last,
        };
        keeper.keep(&machine);
        (keeper, Begun { machine, booted })
    }

    /// Has written what changed, within half a second.
    pub fn keep(&mut self, machine: &Machine) {
        let Some(store) = &self.store else { return };
        let lasting = machine.lasting();
        if lasting != self.last {
            store.save(lasting.clone());
            self.last = lasting;
        }
    }

    /// Writes what is left.
    pub fn stop(&mut self) {
        if let Some(store) = self.store.take() {
            store.stop();
        }
    }
}

fn taken_over(model: &Model, saved: &SavedBlock) -> Option<Machine> {
    let snapshot = saved.load()?;
    Machine::restore(model.clone(), &snapshot)
        .inspect_err(|error| tracing::error!("the saved policy state can't be used: {error}"))
        .ok()
}
