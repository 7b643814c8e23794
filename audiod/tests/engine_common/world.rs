//! A world of its own time: engines on simulated cards, every wake-up in order, the same in each run on any machine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Condvar, Mutex};

use audiod::codec::sim::{self, SimBlock};
use audiod::codec::{Codec, Shape};
use vhost_sound::shared::Shared;

/// Time at which the world begins, ns.
pub const BEGIN: u64 = 1_000_000_000;

/// See the module.
pub struct World {
    now: AtomicU64,
    end: u64,
    wakes: Mutex<Vec<Option<u64>>>,
    turn: Condvar,
    /// Raised when the world ends: the engines' stop flag.
    pub stop: AtomicBool,
}

impl World {
    /// A world that ends after `ns`.
    pub fn lasting(ns: u64) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU64::new(BEGIN),
            end: BEGIN + ns,
            wakes: Mutex::new(Vec::new()),
            turn: Condvar::new(),
            stop: AtomicBool::new(false),
        })
    }

    /// ns.
    pub fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    /// Waits until it is `who`'s turn at `ns`: until everybody else sleeps at least that long.
    fn sleep(&self, who: usize, ns: u64) {
        let mut wakes = self.wakes.lock().unwrap();
        wakes[who] = Some(ns);
        self.turn.notify_all();
        let first = |wakes: &Vec<Option<u64>>| {
            let others = wakes.iter().enumerate().filter(|(other, _)| *other != who);
            others
                .into_iter()
                .all(|(other, wake)| wake.is_some_and(|wake| (wake, other) > (ns, who)))
        };
        while !first(&wakes) {
            wakes = self.turn.wait(wakes).unwrap();
        }
        wakes[who] = None;
        self.now.fetch_max(ns, Relaxed);
        if ns >= self.end {
            self.stop.store(true, Release);
            // Whoever still sleeps wakes, sees the flag and ends.
            wakes[who] = Some(u64::MAX);
            self.turn.notify_all();
        }
    }
}

/// A simulated card in a world; with its engine in a thread of its own.
pub struct WorldCard {
    world: Arc<World>,
    pub block: Arc<Shared<SimBlock>>,
    who: usize,
    wakes: u64,
    /// How much later than asked wake-up `n` is, ns.
    pub late: fn(u64) -> u64,
    /// Frames the pointer moves by.
    pub grain: u64,
    last: u64,
}

impl WorldCard {
    pub fn new(world: &Arc<World>, shape: Shape) -> Self {
        let block = Shared::<SimBlock>::private().unwrap();
        sim::set_up(&block, shape, BEGIN);
        let mut wakes = world.wakes.lock().unwrap();
        wakes.push(None);
        Self {
            world: Arc::clone(world),
            block: Arc::new(block),
            who: wakes.len() - 1,
            wakes: 0,
            late: |_| 0,
            grain: 1,
            last: 0,
        }
    }

    /// The true position, for a probe.
    pub fn truth(&self) -> impl Fn() -> u64 + Send + use<> {
        let (world, block) = (Arc::clone(&self.world), Arc::clone(&self.block));
        move || block.position_at(world.now()).unwrap()
    }
}

impl Codec for WorldCard {
    fn shape(&self) -> Shape {
        self.block.shape()
    }
    fn position(&mut self) -> u64 {
        let position = self.block.position_at(self.world.now()).unwrap();
        self.last = self.last.max(position / self.grain * self.grain);
        self.last
    }
    fn written(&self) -> u64 {
        self.block.written()
    }
    fn write(&mut self, at: u64, bytes: &[u8]) -> u64 {
        self.block.write_at(at, bytes, || self.world.now())
    }
    fn read(&mut self, from: u64, into: &mut [u8]) -> usize {
        let ready = self.position().saturating_sub(from);
        self.block.read_captured(from, ready, into)
    }
    fn now(&self) -> u64 {
        self.world.now()
    }
    fn sleep_until(&mut self, ns: u64) {
        self.wakes += 1;
        let ns = ns.max(self.world.now()) + (self.late)(self.wakes);
        self.world.sleep(self.who, ns);
    }
}
