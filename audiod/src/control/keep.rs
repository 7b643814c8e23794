//! What outlives this process (the policy's snapshot, in the saved block) and what outlives the boot (in the store): each written when
//! something of it has changed, which the time alone is not.

use std::path::Path;

use policy::machine::{Changed, Mark};
use policy::{Machine, Model};
use vhost_sound::shared::Shared;

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

/// Writes the policy's snapshot into the saved block, whenever a successor would need a new one.
pub struct Saver {
    block: Shared<SavedBlock>,
    /// The machine that was saved last.
    mark: Option<Mark>,
}

impl Saver {
    /// Nothing is saved yet.
    pub fn new(block: Shared<SavedBlock>) -> Self {
        Self { block, mark: None }
    }

    /// Saves what changed since it did so last; what did.
    pub fn save(&mut self, machine: &Machine) -> Changed {
        let changed = self
            .mark
            .as_ref()
            .map_or(Changed::Lasting, |mark| machine.changed_since(mark));
        if changed == Changed::Nothing {
            return changed;
        }
        let snapshot = machine.snapshot();
        if !self.block.save(&snapshot) {
            tracing::error!(bytes = snapshot.len(), "the policy's state is too large to be saved");
        }
        self.mark = Some(machine.mark());
        changed
    }
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

#[cfg(test)]
mod tests {
    use policy::Event;
    use policy::command::Call;

    use super::*;
    use crate::config;

    const FILE: &str = include_str!("../../../examples/simple-car.toml");
    /// What a save would have replaced.
    const UNTOUCHED: &[u8] = b"untouched";

    struct Bench {
        machine: Machine,
        saver: Saver,
        now: u64,
    }

    impl Bench {
        fn new() -> Self {
            let model = config::parse(FILE, Path::new("car.toml")).unwrap().model;
            let mut bench = Self {
                machine: Machine::new(model),
                saver: Saver::new(Shared::private().unwrap()),
                now: 0,
            };
            bench.saver.save(&bench.machine);
            bench
        }

        /// Whether the block was written.
        fn saves(&mut self, event: Event) -> bool {
            assert!(self.saver.block.save(UNTOUCHED));
            self.now += 1000;
            self.machine.step(event, self.now);
            self.saver.save(&self.machine);
            self.saver.block.load().unwrap() != UNTOUCHED
        }

        fn calls(&mut self, call: Call) -> bool {
            self.saves(Event::Call { token: 1, call })
        }
    }

    #[test]
    fn the_block_is_written_for_what_changed_and_not_for_the_time() {
        let mut bench = Bench::new();
        let sink = bench.machine.sink_id(0).unwrap();

        let written = [
            bench.saves(Event::Tick),
            bench.calls(Call::GetListMainConnections),
            bench.calls(Call::SetVolume { sink: 999, volume: 7 }),
            bench.calls(Call::SetVolume { sink, volume: 7 }),
            bench.calls(Call::SetVolume { sink, volume: 7 }),
            bench.saves(Event::Tick),
            bench.calls(Call::SetVolume { sink, volume: 8 }),
        ];

        assert_eq!(written, [false, false, false, true, false, false, true]);
        assert_eq!(bench.saver.block.load().unwrap(), bench.machine.snapshot());
    }

    #[test]
    fn a_killed_predecessors_block_is_taken_over_and_written_by_the_first_decision() {
        let mut bench = Bench::new();
        let source = 0;
        bench.saves(Event::StreamStarted { source, start_gen: 1 });
        let block = bench.saver.block;
        let kept = block.load().unwrap();

        let mut next = Bench {
            machine: taken_over(bench.machine.model(), &block).unwrap(),
            saver: Saver::new(block),
            now: bench.now + 60_000,
        };

        assert_eq!(next.machine.snapshot(), kept);
        assert!(next.saves(Event::Tick), "it doesn't know what the block holds");
        assert!(!next.saves(Event::Tick));
    }
}
