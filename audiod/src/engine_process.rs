//! `audiod child engine`: a real-time thread a codec, and the helper thread (this process's first) that maps, frees and
//! answers them.
//!
//! ```text
//!   link: Region, Call, Memory ─► helper ── EngineHandle of the guest's codec ──► real-time thread
//!   SIGTERM, or the link's end ─► helper ── stop ─► all threads end at their period's edge
//! ```
//! Nothing here waits for control: it may be stopped or gone. What a guest's front end handed over is taken again from
//! the supervisor by every new engine; all other state is in the blocks.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vhost_sound::block::{DeviceBlock, MAX_REGIONS, RXQ, TXQ};
use vhost_sound::memory::{Call, EventFd, GuestMemory};
use vhost_sound::ring::DeviceRings;

use crate::blocks::EngineBlock;
use crate::codec::{self, Codec};
use crate::engine::bridge;
use crate::engine::chimes::ChimeBank;
use crate::engine::{Engine, EngineHandle, rt};
use crate::failure::Failure;
use crate::given::Given;
use crate::sandbox::{self, Profile};
use crate::signals;
use crate::supervisor::wire::{Link, Record, Thing};
use crate::system::System;

/// SCHED_FIFO priority of the codec threads: above the kernel's own threaded interrupts' 50.
pub const PRIORITY: i32 = 60;
/// The helper looks again this often, ms, while something waits for room in an engine's mailbox; else it waits for the bell.
const ROUND_MS: libc::c_int = 10;

type CodecEngine = Engine<'static, DeviceRings<'static>, Box<dyn Codec>>;

/// The whole life of the process.
///
/// # Errors
/// When something was not handed over, a codec can't be opened or a thread can't be made.
pub fn run() -> Result<(), Failure> {
    let signals = signals::descriptor(&[libc::SIGTERM]).map_err(Failure::when("engine: signals"))?;
    let mut given = Given::receive().map_err(Failure::when("engine: taking over"))?;
    let system = given.plan().map_err(Failure::when("engine: the plan"))?.system;
    let devices = devices(&mut given, &system).map_err(Failure::when("engine: device blocks"))?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    let mut handles = Vec::new();
    let bell = EventFd::new().map_err(Failure::when("engine: bell"))?;
    let rouse = given
        .event(Thing::Rouse)
        .map_err(Failure::when("engine: control's bell"))?;
    for (index, bridges) in bridge::build(&system).into_iter().enumerate() {
        let (mut engine, handle, block) = engine(&mut given, &system, index, &devices)?;
        engine.connect(bridges);
        engine.set_bell(bell.try_clone().map_err(Failure::when("engine: bell"))?);
        engine.set_controls_bell(rouse.try_clone().map_err(Failure::when("engine: control's bell"))?);
        threads.push(start(engine, block, index, &stop).map_err(Failure::when("engine: a thread"))?);
        handles.push(handle);
    }
    let homes = (0..system.guests.len()).map(|guest| home(&system, guest)).collect();
    let names = system.guests.iter().map(|guest| guest.name.clone()).collect();
    let mut helper = Helper {
        handles,
        homes,
        names,
        devices,
        regions: BTreeMap::new(),
        bell,
    };
    helper.take_over(given.things, given.tables);
    wait_for_first_beats(&threads);
    sandbox::filter(Profile::Engine).map_err(Failure::when("engine: system call filter"))?;
    given
        .link
        .send(Record::Up, None)
        .map_err(Failure::when("engine: reporting"))?;
    let end = helper.serve(&given.link, &signals);
    stop.store(true, Release);
    for thread in threads {
        // A panic has already ended the process.
        let _ = thread.handle.join();
    }
    end.map_err(Failure::when("engine: link"))
}

fn devices(given: &mut Given, system: &System) -> io::Result<Vec<&'static DeviceBlock>> {
    let guests = 0..system.guests.len() as u32;
    guests.map(|guest| given.block(Thing::Device(guest))).collect()
}

/// The codec whose clock a guest's rings follow.
fn home(system: &System, guest: usize) -> usize {
    let source = system.sources.iter().find(|source| source.guest == guest);
    source.map_or(0, |source| source.codec)
}

fn engine(
    given: &mut Given,
    system: &System,
    index: usize,
    devices: &[&'static DeviceBlock],
) -> Result<(CodecEngine, EngineHandle, &'static EngineBlock), Failure> {
    let number = index as u32;
    let config = &system.codecs[index];
    let block: &'static EngineBlock = given
        .block(Thing::Engine(number))
        .map_err(Failure::when(format!("engine: block of codec {}", config.name)))?;
    let codec = codec::open(config, given.take(Thing::Card(number)).ok())
        .map_err(|error| Failure::InTheWay(error.to_string()))?;
    let bank = given.take(Thing::ChimeBank(number)).ok().map(ChimeBank::map);
    let bank = bank.transpose().map_err(|error| Failure::InTheWay(error.to_string()))?;
    let guests = devices
        .iter()
        .enumerate()
        .filter(|(guest, _)| home(system, *guest) == index)
        .map(|(guest, device)| (guest, DeviceRings::new(device)))
        .collect();
    let (engine, handle) = Engine::new(system, index, block, guests, codec, bank);
    Ok((engine, handle, block))
}

struct Thread {
    handle: JoinHandle<()>,
    block: &'static EngineBlock,
    first: u64,
}

fn start(
    mut engine: CodecEngine,
    block: &'static EngineBlock,
    index: usize,
    stop: &Arc<AtomicBool>,
) -> io::Result<Thread> {
    let stop = Arc::clone(stop);
    let first = block.heartbeat.load(Acquire);
    let handle = std::thread::Builder::new()
        .name(format!("codec-{index}"))
        .spawn(move || {
            let refused = rt::enter(PRIORITY);
            let scheduled = !refused.iter().any(|one| matches!(one, rt::Refused::Scheduling { .. }));
            block.realtime.store(u32::from(scheduled), Relaxed);
            for one in refused {
                tracing::warn!("{one}");
            }
            engine.run(&stop);
        })?;
    Ok(Thread { handle, block, first })
}

/// Up means sounding: every thread has mixed a period. One that can't (its codec hangs) is reported by the supervisor.
fn wait_for_first_beats(threads: &[Thread]) {
    let patience = Instant::now() + Duration::from_secs(1);
    let beats = |thread: &Thread| thread.block.heartbeat.load(Acquire) != thread.first;
    while !threads.iter().all(beats) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Helper {
    handles: Vec<EngineHandle>,
    homes: Vec<usize>,
    names: Vec<String>,
    devices: Vec<&'static DeviceBlock>,
    regions: BTreeMap<(u32, u32), OwnedFd>,
    /// Rung by the real-time threads when they have sent something.
    bell: EventFd,
}

impl Helper {
    fn take_over(&mut self, things: BTreeMap<Thing, OwnedFd>, tables: Vec<(u32, u32)>) {
        for (thing, fd) in things {
            self.have(thing, fd);
        }
        for (guest, generation) in tables {
            self.memory(guest, generation);
        }
    }

    fn serve(&mut self, link: &Link, signals: &OwnedFd) -> io::Result<()> {
        link.set_nonblocking(true)?;
        loop {
            self.handles.iter_mut().for_each(EngineHandle::serve);
            let mut polls = [
                signals::entry(link.as_raw_fd(), libc::POLLIN),
                signals::entry(signals.as_raw_fd(), libc::POLLIN),
                signals::entry(self.bell.as_fd().as_raw_fd(), libc::POLLIN),
            ];
            let busy = self.handles.iter().any(EngineHandle::busy);
            signals::wait(&mut polls, if busy { ROUND_MS } else { -1 })?;
            if polls[1].revents != 0 {
                return Ok(());
            }
            if polls[2].revents != 0 {
                self.bell.drain()?;
            }
            if polls[0].revents != 0 && !self.take_records(link)? {
                return Ok(());
            }
        }
    }

    /// `false` when the supervisor is gone.
    fn take_records(&mut self, link: &Link) -> io::Result<bool> {
        loop {
            match link.receive() {
                Ok(None) => return Ok(false),
                Ok(Some((Record::Have(thing), Some(fd)))) => self.have(thing, fd),
                Ok(Some((Record::Drop(thing), _))) => self.dropped(thing),
                Ok(Some((Record::Memory(guest, generation), _))) => self.memory(guest, generation),
                Ok(Some(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    fn have(&mut self, thing: Thing, fd: OwnedFd) {
        match thing {
            Thing::Region(guest, region) => {
                self.regions.insert((guest, region), fd);
            }
            Thing::Call(guest, queue) => match Call::take(fd) {
                Ok(call) => self.call(guest, queue, Some(call)),
                Err(error) => tracing::warn!(guest = self.name(guest), queue, "call refused: {error}"),
            },
            _ => {}
        }
    }

    fn dropped(&mut self, thing: Thing) {
        match thing {
            Thing::Region(guest, region) => {
                self.regions.remove(&(guest, region));
            }
            Thing::Call(guest, queue) => self.call(guest, queue, None),
            _ => {}
        }
    }

    fn name(&self, guest: u32) -> &str {
        self.names.get(guest as usize).map_or("?", String::as_str)
    }

    fn handle(&mut self, guest: u32) -> Option<&mut EngineHandle> {
        let home = *self.homes.get(guest as usize)?;
        self.handles.get_mut(home)
    }

    fn call(&mut self, guest: u32, queue: u32, call: Option<Call>) {
        let queue = queue as usize;
        if (queue == TXQ || queue == RXQ)
            && let Some(handle) = self.handle(guest)
        {
            handle.set_call(guest as usize, queue, call);
        }
    }

    /// Maps the table that control has completed. Another one is on its way when the block already says so.
    fn memory(&mut self, guest: u32, generation: u32) {
        let Some(&device) = self.devices.get(guest as usize) else {
            return;
        };
        if device.mem_gen.load(Acquire) != generation {
            return;
        }
        let count = (device.region_count.load(Acquire) as usize).min(MAX_REGIONS);
        let files: Vec<_> = (0..count as u32)
            .map_while(|region| self.regions.get(&(guest, region)))
            .map(|fd| fd.try_clone())
            .collect();
        let files: io::Result<Vec<OwnedFd>> = files.into_iter().collect();
        let mapped = files
            .map_err(|error| error.to_string())
            .and_then(|files| GuestMemory::map_block(device, &files).map_err(|error| error.to_string()));
        let memory = mapped.unwrap_or_else(|error| {
            tracing::warn!(guest = self.name(guest), "memory refused: {error}");
            GuestMemory::empty(generation)
        });
        for warning in memory.warnings() {
            // Control has said so already.
            tracing::debug!(guest = self.name(guest), "{warning}");
        }
        if memory.generation() == generation
            && let Some(handle) = self.handle(guest)
        {
            handle.set_memory(guest as usize, memory);
        }
    }
}
