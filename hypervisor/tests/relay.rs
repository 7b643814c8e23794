//! The relay between a device and audiod in another VM: everything that comes from there is hostile.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;

use hypervisor::window::{Ended, Piece, Relay};
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

const GET_FEATURES: u32 = 1;
const SET_MEM_TABLE: u32 = 5;
const SET_VRING_KICK: u32 = 12;
const SET_VRING_CALL: u32 = 13;
const GET_PROTOCOL_FEATURES: u32 = 15;
const SET_PROTOCOL_FEATURES: u32 = 16;
const VRING_KICK: u32 = 35;
const INBAND: u64 = 1 << 14;

struct Bench {
    front: UnixStream,
    back: UnixStream,
    relay: JoinHandle<Ended>,
    bell: OwnedFd,
}

/// A window that shows 2 MiB at 1 MiB of the guest, behind 4 MiB of other things.
fn bench() -> Bench {
    let (front, ours) = UnixStream::pair().unwrap();
    let (back, theirs) = UnixStream::pair().unwrap();
    for end in [&front, &back] {
        end.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    let piece = Piece {
        guest: 1 << 20,
        size: 2 << 20,
        offset: 4 << 20,
    };
    let bells: Vec<OwnedFd> = (0..4).map(|_| eventfd()).collect();
    let bell = bells[2].try_clone().unwrap();
    let relay = Relay::new(ours.into(), theirs.into(), vec![piece], bells).unwrap();
    let relay = relay.patience(Duration::from_millis(200));
    Bench {
        front,
        back,
        relay: std::thread::spawn(move || relay.run()),
        bell,
    }
}

fn eventfd() -> OwnedFd {
    // SAFETY: no pointers; a fresh descriptor is ours.
    unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) }
}

fn signal(event: &OwnedFd) {
    // SAFETY: eight readable bytes.
    assert_eq!(
        unsafe { libc::write(event.as_raw_fd(), 1u64.to_ne_bytes().as_ptr().cast(), 8) },
        8
    );
}

/// Waits for an eventfd's count.
fn count(event: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    // SAFETY: eight writable bytes.
    assert_eq!(
        unsafe { libc::read(event.as_raw_fd(), count.as_mut_ptr().cast(), 8) },
        8
    );
    u64::from_ne_bytes(count)
}

fn message(number: u32, flags: u32, payload: &[u64]) -> Vec<u8> {
    let mut bytes: Vec<u8> = [number, flags, 8 * payload.len() as u32]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    bytes.extend(payload.iter().flat_map(|word| word.to_ne_bytes()));
    bytes
}

fn with_fds(stream: &UnixStream, bytes: &[u8], fds: &[RawFd]) {
    assert_eq!(stream.send_with_fds(&[bytes], fds).unwrap(), bytes.len());
}

fn expect(stream: &mut UnixStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes);
}

#[test]
fn regions_become_offsets_in_the_window_and_no_descriptor_crosses() {
    let mut bench = bench();
    let memory = eventfd();
    // One region at 2 MiB of the guest: 1 MiB into the piece.
    let table = [1, 2 << 20, 4096, 0x7000_0000, 0x5000];
    with_fds(&bench.front, &message(SET_MEM_TABLE, 1, &table), &[memory.as_raw_fd()]);
    expect(
        &mut bench.back,
        &message(SET_MEM_TABLE, 1, &[1, 2 << 20, 4096, 0x7000_0000, 5 << 20]),
    );
    drop(bench.front);
    assert!(matches!(bench.relay.join().unwrap(), Ended::Front));
}

#[test]
fn memory_outside_the_window_is_not_announced() {
    for (at, size) in [(0, 4096), (1 << 20, 2 << 21), (u64::MAX - 4095, 4096), (3 << 20, 1)] {
        let mut bench = bench();
        let memory = eventfd();
        with_fds(
            &bench.front,
            &message(SET_MEM_TABLE, 1, &[1, at, size, 0, 0]),
            &[memory.as_raw_fd()],
        );
        assert!(matches!(bench.relay.join().unwrap(), Ended::Device(_)));
        assert_eq!(bench.back.read(&mut [0]).unwrap(), 0, "nothing was sent");
    }
}

#[test]
fn kicks_become_messages_and_bells_become_calls() {
    let mut bench = bench();
    let (kick, call) = (eventfd(), eventfd());
    with_fds(&bench.front, &message(SET_VRING_KICK, 1, &[2]), &[kick.as_raw_fd()]);
    expect(&mut bench.back, &message(SET_VRING_KICK, 1, &[2 | 0x100]));
    with_fds(&bench.front, &message(SET_VRING_CALL, 1, &[2]), &[call.as_raw_fd()]);
    expect(&mut bench.back, &message(SET_VRING_CALL, 1, &[2 | 0x100]));

    signal(&kick);
    expect(&mut bench.back, &message(VRING_KICK, 1, &[2]));
    signal(&bench.bell);
    assert_eq!(count(&call), 1);
}

#[test]
fn the_device_knows_nothing_of_kicks_by_message() {
    let mut bench = bench();
    bench.front.write_all(&message(GET_PROTOCOL_FEATURES, 1, &[])).unwrap();
    expect(&mut bench.back, &message(GET_PROTOCOL_FEATURES, 1, &[]));
    bench
        .back
        .write_all(&message(GET_PROTOCOL_FEATURES, 5, &[INBAND | 9]))
        .unwrap();
    expect(&mut bench.front, &message(GET_PROTOCOL_FEATURES, 5, &[9]));
    bench.front.write_all(&message(SET_PROTOCOL_FEATURES, 1, &[9])).unwrap();
    expect(&mut bench.back, &message(SET_PROTOCOL_FEATURES, 1, &[INBAND | 9]));
}

#[test]
fn an_answer_nobody_waits_for_or_of_another_kind_ends_the_link_and_never_reaches_the_device() {
    let answers: [Vec<u8>; 6] = [
        message(2, 5, &[1]),
        message(GET_FEATURES, 1, &[1]),
        message(GET_FEATURES, 5, &[1, 2]),
        message(GET_FEATURES, 5, &[]),
        message(GET_FEATURES, 6, &[1]),
        [GET_FEATURES, 5, u32::MAX]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect(),
    ];
    for answer in answers {
        let mut bench = bench();
        bench.front.write_all(&message(GET_FEATURES, 1, &[])).unwrap();
        expect(&mut bench.back, &message(GET_FEATURES, 1, &[]));
        bench.back.write_all(&answer).unwrap();
        let ended = bench.relay.join().unwrap();
        assert!(matches!(ended, Ended::Protocol(_)), "{ended}");
        assert_eq!(bench.front.read(&mut [0]).unwrap(), 0);
    }
    let mut unasked = bench();
    unasked.back.write_all(&message(GET_FEATURES, 5, &[1])).unwrap();
    assert!(matches!(unasked.relay.join().unwrap(), Ended::Protocol(_)));
}

#[test]
fn a_descriptor_from_there_ends_the_link() {
    let bench = bench();
    let gift = eventfd();
    with_fds(&bench.back, &message(GET_FEATURES, 5, &[1]), &[gift.as_raw_fd()]);
    assert!(matches!(bench.relay.join().unwrap(), Ended::Protocol(_)));
}

#[test]
fn silence_and_half_an_answer_end_the_link_in_time() {
    for part in [0, 7, 15] {
        let mut bench = bench();
        bench.front.write_all(&message(GET_FEATURES, 1, &[])).unwrap();
        expect(&mut bench.back, &message(GET_FEATURES, 1, &[]));
        bench.back.write_all(&message(GET_FEATURES, 5, &[1])[..part]).unwrap();
        let ended = bench.relay.join().unwrap();
        assert!(matches!(ended, Ended::Late(GET_FEATURES)), "{ended}");
        assert_eq!(bench.front.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_back_end_that_does_not_read_costs_a_bounded_memory_and_stops_no_kick() {
    let bench = bench();
    let kick = eventfd();
    with_fds(&bench.front, &message(SET_VRING_KICK, 1, &[0]), &[kick.as_raw_fd()]);
    for _ in 0..100_000 {
        signal(&kick);
    }
    drop(bench.front);
    let ended = bench.relay.join().unwrap();
    assert!(matches!(ended, Ended::Front), "{ended}");
}

#[test]
fn the_service_vms_end_ends_the_link() {
    let mut bench = bench();
    drop(bench.back);
    assert!(matches!(bench.relay.join().unwrap(), Ended::Back));
    assert_eq!(bench.front.read(&mut [0]).unwrap(), 0);
}
