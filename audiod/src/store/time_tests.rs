//! How old a change may get before it is on the disk: the writer's turns, its slot and its system calls, on a clock that only they move.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use super::slot::AGAIN;
use super::*;
use crate::control::KEEP_MS;

const NAME: &str = "audiod.state";
/// At most half a second is ever lost, of which control has let a part pass.
const BOUND: Duration = Duration::from_millis(500 - KEEP_MS);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A disk of which each call takes its time, and the user who goes on changing things meanwhile.
struct Slow {
    now: Cell<Duration>,
    call: Duration,
    /// Fails before this time.
    fails_until: Duration,
    /// When each change will come.
    changes: RefCell<VecDeque<Duration>>,
    /// How many came.
    made: Cell<u64>,
    slot: RefCell<Slot>,
    files: RefCell<BTreeMap<String, Vec<u8>>>,
    /// When writing was tried, and with which change.
    tried: RefCell<Vec<Duration>>,
    /// What was on the disk from when on.
    durable: RefCell<Vec<(Duration, u64)>>,
}

impl Slow {
    fn new(call: Duration, fails_until: Duration, changes: impl IntoIterator<Item = Duration>) -> Self {
        Self {
            now: Cell::new(Duration::ZERO),
            call,
            fails_until,
            changes: RefCell::new(changes.into_iter().collect()),
            made: Cell::new(0),
            slot: RefCell::default(),
            files: RefCell::default(),
            tried: RefCell::default(),
            durable: RefCell::default(),
        }
    }

    /// Time passes; changes come when they come.
    fn pass(&self, until: Duration) {
        while let Some(at) = self.changes.borrow_mut().pop_front_if(|at| *at <= until) {
            self.made.set(self.made.get() + 1);
            self.slot.borrow_mut().offer(self.made.get().to_le_bytes().to_vec(), at);
        }
        self.now.set(until);
    }

    fn spend(&self) -> io::Result<()> {
        self.pass(self.now.get() + self.call);
        if self.now.get() < self.fails_until {
            return Err(io::Error::other("no space"));
        }
        Ok(())
    }

    /// The writer's loop until nothing is left to do.
    fn run(&self) {
        loop {
            let turn = self.slot.borrow_mut().turn(self.now.get());
            let next = self.changes.borrow().front().copied();
            match turn {
                Turn::Write(body) => {
                    self.tried.borrow_mut().push(self.now.get());
                    if replace(self, NAME, &body).is_err() {
                        self.slot.borrow_mut().put_back(body, self.now.get());
                    }
                }
                Turn::Wait(wait) => {
                    let due = wait.map(|wait| self.now.get() + wait);
                    match due.into_iter().chain(next).min() {
                        Some(then) => self.pass(then),
                        None => return,
                    }
                }
                Turn::End(_) => unreachable!("nobody ends it"),
            }
        }
    }

    /// The longest time between a change and its being on the disk.
    fn oldest(&self, changes: &[Duration]) -> Duration {
        let durable = self.durable.borrow();
        let kept = |index: usize| durable.iter().find(|(_, change)| *change > index as u64).map(|it| it.0);
        let ages = changes.iter().enumerate().map(|(index, at)| kept(index).unwrap() - *at);
        ages.max().unwrap()
    }
}

impl Disk for Slow {
    type File = String;

    fn create(&self, name: &str) -> io::Result<String> {
        self.spend()?;
        self.files.borrow_mut().insert(name.to_owned(), Vec::new());
        Ok(name.to_owned())
    }

    fn write(&self, file: &mut String, bytes: &[u8]) -> io::Result<usize> {
        self.spend()?;
        self.files.borrow_mut().get_mut(file).unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn sync(&self, _file: &String) -> io::Result<()> {
        self.spend()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.spend()?;
        let mut files = self.files.borrow_mut();
        let bytes = files.remove(from).unwrap();
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.spend()?;
        let body = load(self, NAME).unwrap();
        let change = u64::from_le_bytes(body.try_into().unwrap());
        self.durable.borrow_mut().push((self.now.get(), change));
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.borrow().get(name).cloned())
    }

    fn exists(&self, name: &str) -> bool {
        self.files.borrow().contains_key(name)
    }
}

/// Changes at random, each so much after the last at most; the same for the same seed.
fn changes(mut seed: u64, most: u64) -> Vec<Duration> {
    let mut at = Duration::ZERO;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        at += Duration::from_micros((seed >> 33) % (most * 1000) + 1);
        at
    };
    (0..2000).map(|_| next()).collect()
}

#[test]
fn no_change_is_lost_that_is_older_than_half_a_second_while_writing_takes_up_to_a_tenth() {
    for call in [ms(0), ms(1), ms(20)] {
        for (seed, most) in (0..20).flat_map(|seed| [3, 50, 349, 351, 2000].map(|most| (seed, most))) {
            let changes = changes(seed, most);
            let disk = Slow::new(call, Duration::ZERO, changes.clone());

            disk.run();

            let oldest = disk.oldest(&changes);
            assert!(
                oldest <= BOUND,
                "{oldest:?} at {call:?} a call, changes up to {most} ms apart"
            );
            let gaps = disk.tried.borrow().windows(2).map(|pair| pair[1] - pair[0]).min();
            assert!(gaps.is_none_or(|gap| gap >= ms(350)), "written after {gaps:?} again");
        }
    }
}

#[test]
fn a_disk_that_takes_longer_is_noticed_by_the_measure() {
    let changes = changes(1, 50);
    let disk = Slow::new(ms(21), Duration::ZERO, changes.clone());

    disk.run();

    assert!(disk.oldest(&changes) > BOUND);
}

#[test]
fn what_could_not_be_written_is_tried_again_five_seconds_later() {
    let disk = Slow::new(ms(0), ms(12_000), [ms(100)]);

    disk.run();

    assert_eq!(AGAIN, ms(5000));
    assert_eq!(*disk.tried.borrow(), [ms(450), ms(5450), ms(10_450), ms(15_450)]);
    assert_eq!(*disk.durable.borrow(), [(ms(15_450), 1)]);
}

#[test]
fn a_change_after_a_failure_does_not_wait_the_five_seconds() {
    let disk = Slow::new(ms(0), ms(1000), [ms(100), ms(2000)]);

    disk.run();

    assert_eq!(*disk.tried.borrow(), [ms(450), ms(2350)]);
    assert_eq!(*disk.durable.borrow(), [(ms(2350), 2)]);
}

#[test]
fn a_change_that_comes_while_a_write_fails_is_written_in_its_own_time() {
    let disk = Slow::new(ms(10), ms(600), [ms(100), ms(455)]);

    disk.run();

    assert_eq!(*disk.tried.borrow(), [ms(450), ms(805)]);
    assert_eq!(disk.durable.borrow()[0].1, 2);
}
