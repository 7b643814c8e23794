//! The engine's thread asks the kernel for its sleep and for one `write` to a guest's call descriptor, for nothing else: no
//! futex (so no contended lock), no memory, no clock. Shown by a filter that ends the process at any other call.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use audiod::blocks::EngineBlock;
use audiod::blocks::gains::Row;
use audiod::codec::sim::{self, SimBlock, SimCard};
use audiod::codec::{Shape, now_ns};
use audiod::engine::guest::Guest;
use audiod::engine::{Engine, EngineHandle};
use engine_common::{FakeStream, heard, recording_system};
use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
use vhost_sound::block::{DeviceBlock, TXQ, direction, stream_state};
use vhost_sound::memory::{Call, GuestMemory};
use vhost_sound::ring::{DeviceRings, StreamView};
use vhost_sound::shared::Shared;
use vhost_sound::testing::{EVENT_IDX, FakeDriver, FakeGuest, INDIRECT_DESC, Shape as Chain, device_block, set_stream};

const CHILD: &str = "ENGINE_SYSCALLS_CHILD";
const MARKER: &str = "periods done\n";

/// Real rings, byte queues, or a guest that takes a lock.
enum Party {
    Rings(Box<DeviceRings<'static>>),
    Queue(Box<FakeStream>),
    Locking(Box<FakeStream>, &'static Mutex<u64>),
}

impl Guest for Party {
    fn begin_period(&mut self) {
        match self {
            Self::Rings(rings) => rings.begin_period(),
            Self::Queue(stream) => stream.begin_period(),
            Self::Locking(stream, lock) => {
                *lock.lock().unwrap() += 1;
                stream.begin_period();
            }
        }
    }
    fn state(&self, stream: usize) -> StreamView {
        match self {
            Self::Rings(rings) => rings.state(stream),
            Self::Queue(queue) | Self::Locking(queue, _) => queue.state(stream),
        }
    }
    fn pull(&mut self, stream: usize, into: &mut [u8], latency_bytes: u32) -> usize {
        match self {
            Self::Rings(rings) => rings.pull(stream, into, latency_bytes),
            Self::Queue(queue) | Self::Locking(queue, _) => queue.pull(stream, into, latency_bytes),
        }
    }
    fn push(&mut self, stream: usize, from: &[u8], latency_bytes: u32) -> usize {
        match self {
            Self::Rings(rings) => rings.push(stream, from, latency_bytes),
            Self::Queue(queue) | Self::Locking(queue, _) => queue.push(stream, from, latency_bytes),
        }
    }
    fn end_period(&mut self) {
        if let Self::Rings(rings) = self {
            rings.end_period();
        }
    }
    fn take_news(&mut self) -> bool {
        match self {
            Self::Rings(rings) => rings.take_news(),
            _ => false,
        }
    }
    fn set_memory(&mut self, memory: GuestMemory) -> Option<GuestMemory> {
        match self {
            Self::Rings(rings) => rings.set_memory(memory),
            _ => Some(memory),
        }
    }
    fn set_call(&mut self, queue: usize, call: Option<Call>) -> Option<Call> {
        match self {
            Self::Rings(rings) => rings.set_call(queue, call),
            _ => call,
        }
    }
}

type Player = Engine<'static, Party, SimCard>;

/// A guest on real rings, one that is resampled, one that records; a locking one in place of the second.
fn scene(lock: Option<&'static Mutex<u64>>) -> (Player, EngineHandle, &'static EngineBlock, FakeDriver<'static>) {
    let mut system = recording_system(&[false, false, true]);
    system.guests[0].device.streams.clear();
    system.guests[1].device.streams.clear();
    let guest: &'static FakeGuest = Box::leak(Box::new(FakeGuest::new(16 << 20)));
    let device: &'static Shared<DeviceBlock> = Box::leak(Box::new(device_block(&[direction::PLAYBACK], 8000, 400)));
    device.ring_features.store(INDIRECT_DESC | EVENT_IDX, Release);
    let mut tx = FakeDriver::new(guest, TXQ, 64);
    let rings = DeviceRings::new(device);
    tx.set_up(device);
    device.streams[0].start_gen.store(engine_common::START, Release);
    set_stream(device, 0, stream_state::RUNNING);
    while tx.send(0, &[1; 100], &Chain::linux()).is_some() {}
    let resampled = Box::new(FakeStream::playing(5, 2, 6, vec![1; 1 << 20]));
    let second = match lock {
        Some(lock) => Party::Locking(resampled, lock),
        None => Party::Queue(resampled),
    };
    let third = Party::Queue(Box::new(FakeStream::recording(5, 2, 6, 1 << 22)));
    let card = Shared::<SimBlock>::private().unwrap();
    sim::set_up(&card, Shape::of(&system.codecs[0]), now_ns());
    card.capture.store(sim::capture::LOOPBACK, Relaxed);
    let block: &'static Shared<EngineBlock> = Box::leak(Box::new(Shared::private().unwrap()));
    block.gains.publish(&[heard(0.5), heard(0.25), Row::SILENT]);
    let guests = vec![(0, Party::Rings(Box::new(rings))), (1, second), (2, third)];
    let (mut engine, mut handle) = Engine::new(&system, 0, block, guests, SimCard::from(card), None);
    handle.set_memory(0, guest.announce(device));
    // SAFETY: no preconditions; the fresh descriptor is ours.
    let call = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, 0)) };
    handle.set_call(
        0,
        TXQ,
        Some(Call::take(call.as_fd().try_clone_to_owned().unwrap()).unwrap()),
    );
    engine.run_period();
    handle.serve();
    (engine, handle, block, tx)
}

fn allow_little() {
    let allowed = [
        libc::SYS_clock_nanosleep,
        libc::SYS_write,
        libc::SYS_rt_sigreturn,
        libc::SYS_exit_group,
    ];
    let rules: BTreeMap<i64, _> = allowed.into_iter().map(|number| (number, Vec::new())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// 300 periods in a filtered thread, then the end of the process.
fn child(mode: &str) {
    static LOCK: Mutex<u64> = Mutex::new(0);
    let (mut engine, _handle, block, _tx) = scene((mode == "lock").then_some(&LOCK));
    static STOP: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(move || {
        allow_little();
        engine.run(&STOP);
        let heard = [0, 1, 2].map(|n| block.sources[n].frames.load(Relaxed));
        if heard.iter().all(|&frames| frames > 0) {
            // SAFETY: readable bytes.
            unsafe { libc::write(1, MARKER.as_ptr().cast(), MARKER.len()) };
        }
        // SAFETY: ends the process.
        unsafe { libc::syscall(libc::SYS_exit_group, 0) };
    });
    while block.periods.load(Acquire) < 300 {
        if mode == "lock" {
            // Held longer than a period, so that the engine finds it taken.
            let held = LOCK.lock().unwrap();
            let began = now_ns();
            while now_ns() - began < 5_000_000 {
                std::hint::spin_loop();
            }
            drop(held);
        }
        std::thread::yield_now();
    }
    STOP.store(true, Release);
    std::thread::park();
}

#[test]
fn the_engines_thread_makes_no_system_call_but_its_sleep_and_its_writes_to_call_descriptors() {
    if let Ok(mode) = std::env::var(CHILD) {
        child(&mode);
    }
    let got_through = |mode: &str| {
        let me = std::env::current_exe().unwrap();
        let name = "the_engines_thread_makes_no_system_call_but_its_sleep_and_its_writes_to_call_descriptors";
        let child = Command::new(me)
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, mode)
            .output();
        String::from_utf8_lossy(&child.unwrap().stdout).contains(MARKER)
    };
    assert!(got_through("plain"), "the engine made another system call");
    assert!(
        !got_through("lock"),
        "a contended lock was not seen: the check shows nothing"
    );
}
