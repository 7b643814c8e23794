//! The engine's half makes no system call but the `write` to a call descriptor: shown under seccomp's strict mode, in which
//! the kernel kills a thread that makes any but `read`, `write`, `exit` and `sigreturn`.

#![allow(clippy::unwrap_used)]

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::Ordering::{Acquire, Release};

use vhost_sound::block::{TXQ, direction, stream_state};
use vhost_sound::memory::{Call, EventFd};
use vhost_sound::ring::DeviceRings;
use vhost_sound::testing::{EVENT_IDX, FakeDriver, FakeGuest, INDIRECT_DESC, Shape, device_block, set_stream};

const CHILD: &str = "RING_SYSCALLS_CHILD";
const MARKER: &str = "strict periods done\n";

/// Plays 300 periods in strict mode; `stray` makes one more system call first.
fn child(stray: bool) -> ! {
    let guest = FakeGuest::new(16 << 20);
    let block = device_block(&[direction::PLAYBACK], 8000, 400);
    block.ring_features.store(INDIRECT_DESC | EVENT_IDX, Release);
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = DeviceRings::new(&block);
    rings.set_memory(guest.announce(&block));
    tx.set_up(&block);
    set_stream(&block, 0, stream_state::RUNNING);
    // SAFETY: no preconditions; the fresh descriptor is ours.
    let theirs = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, 0)) };
    rings.set_call(
        TXQ,
        Some(Call::take(theirs.as_fd().try_clone_to_owned().unwrap()).unwrap()),
    );
    let theirs = EventFd::take(theirs).unwrap();
    while tx.send(0, &[1; 100], &Shape::linux()).is_some() {}

    // SAFETY: changes what this thread may ask of the kernel, nothing else.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
    if stray {
        // SAFETY: no preconditions.
        unsafe { libc::getppid() };
    }
    for _ in 0..300 {
        rings.begin_period();
        rings.pull(0, &mut [0; 48], 0);
        rings.end_period();
    }
    let calls = theirs.drain().unwrap_or(0);
    if calls > 0 && calls == block.queues[TXQ].calls.load(Acquire) {
        // SAFETY: readable bytes.
        unsafe { libc::write(1, MARKER.as_ptr().cast(), MARKER.len()) };
    }
    // SAFETY: ends this thread only; `exit_group` is not allowed any more.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("the thread has ended")
}

/// Whether the child with that `mode` got through its periods.
fn got_through(mode: &str) -> bool {
    let me = std::env::current_exe().unwrap();
    let output = Command::new(me).env(CHILD, mode).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains(MARKER)
}

const NAME: &str = "periods_make_no_system_call_but_writes_to_the_call_descriptor";

/// Without the test harness: the thread in strict mode must be its process's only one, so that its end is the process's.
/// `--list` and `--ignored` are answered as the harness would, for runners that ask.
fn main() {
    let asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    if asked("--list") {
        if !asked("--ignored") {
            println!("{NAME}: test");
        }
        return;
    }
    if let Ok(mode) = std::env::var(CHILD) {
        child(mode == "stray");
    }
    assert!(got_through("plain"), "a period made a system call that is no write");
    assert!(
        !got_through("stray"),
        "strict mode is not in force: the check shows nothing"
    );
    println!("test {NAME} ... ok");
}
