//! The relay between a device and audiod in another VM: everything that comes from there is hostile.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
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
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight readable bytes.
    let written = unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), 8) };
    assert_eq!(written, 8);
}

/// Waits for an eventfd's count.
fn count(event: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    // SAFETY: eight writable bytes.
    let got = unsafe { libc::read(event.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
    assert_eq!(got, 8);
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

/// A guest with one queue of 4 over a pool: its memory and the pool as files, the relay's two ends, kick and call.
struct Bounced {
    front: UnixStream,
    back: UnixStream,
    relay: JoinHandle<Ended>,
    guest: File,
    pool: File,
    kick: OwnedFd,
    call: OwnedFd,
    bell: OwnedFd,
}

const SET_VRING_NUM: u32 = 8;
const SET_VRING_ADDR: u32 = 9;
const SET_VRING_BASE: u32 = 10;
/// The guest's areas: descriptors, avail ring, used ring.
const DESC: u64 = 0x1000;
const AVAIL: u64 = 0x2000;
const USED: u64 = 0x3000;
/// The same in the pool, of queue 2.
const SHADOW: u64 = 2 << 16;
const SHADOW_AVAIL: u64 = SHADOW + (16 << 10);
const SHADOW_USED: u64 = SHADOW + (20 << 10);

fn memfd(len: u64) -> File {
    // SAFETY: a valid C string; a fresh descriptor is ours.
    let file = unsafe { File::from_raw_fd(libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC)) };
    file.set_len(len).unwrap();
    file
}

fn bounced() -> Bounced {
    let (front, ours) = UnixStream::pair().unwrap();
    let (back, theirs) = UnixStream::pair().unwrap();
    for end in [&front, &back] {
        end.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    let (guest, pool) = (memfd(1 << 20), memfd(2 << 20));
    let (bells, kick, call): (Vec<OwnedFd>, _, _) = ((0..4).map(|_| eventfd()).collect(), eventfd(), eventfd());
    let bell = bells[2].try_clone().unwrap();
    let relay = Relay::bouncing(ours.into(), theirs.into(), pool.try_clone().unwrap().into(), bells).unwrap();
    let relay = std::thread::spawn(move || relay.run());
    let mut this = Bounced {
        front,
        back,
        relay,
        guest,
        pool,
        kick,
        call,
        bell,
    };
    let user = 0x7000_0000;
    let table = message(SET_MEM_TABLE, 1, &[1, 0, 1 << 20, user, 0]);
    with_fds(&this.front, &table, &[this.guest.as_raw_fd()]);
    expect(
        &mut this.back,
        &message(SET_MEM_TABLE, 1, &[1, 0x1000_0000, 2 << 20, 0x2000_0000, 0]),
    );
    this.says(&message(SET_VRING_NUM, 1, &[2 | 4 << 32]));
    this.says(&message(SET_VRING_BASE, 1, &[2]));
    let areas = [2, user + DESC, user + USED, user + AVAIL, 0];
    this.front.write_all(&message(SET_VRING_ADDR, 1, &areas)).unwrap();
    let shadow = 0x2000_0000 + SHADOW;
    let areas = [2, shadow, shadow + (20 << 10), shadow + (16 << 10), 0];
    expect(&mut this.back, &message(SET_VRING_ADDR, 1, &areas));
    with_fds(&this.front, &message(SET_VRING_CALL, 1, &[2]), &[this.call.as_raw_fd()]);
    expect(&mut this.back, &message(SET_VRING_CALL, 1, &[2 | 0x100]));
    with_fds(&this.front, &message(SET_VRING_KICK, 1, &[2]), &[this.kick.as_raw_fd()]);
    expect(&mut this.back, &message(SET_VRING_KICK, 1, &[2 | 0x100]));
    this
}

impl Bounced {
    /// A message that passes unchanged.
    fn says(&mut self, bytes: &[u8]) {
        self.front.write_all(bytes).unwrap();
        expect(&mut self.back, bytes);
    }

    /// The guest makes a chain available: 64 bytes to read at 0x8000, 8 to write at 0x9000.
    fn makes_available(&mut self) {
        self.queues();
        signal(&self.kick);
    }

    /// The same without a kick.
    fn queues(&mut self) {
        self.guest.write_all_at(&[7; 64], 0x8000).unwrap();
        let descriptors: [(u64, u32, u16, u16); 2] = [(0x8000, 64, 1, 1), (0x9000, 8, 2, 0)];
        for (index, (at, len, flags, next)) in (0..).zip(descriptors) {
            let mut bytes = at.to_le_bytes().to_vec();
            bytes.extend(len.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend(next.to_le_bytes());
            self.guest.write_all_at(&bytes, DESC + 16 * index).unwrap();
        }
        self.guest.write_all_at(&[0, 0, 1, 0, 0, 0], AVAIL).unwrap();
    }

    /// audiod says that the chain of this slot is used.
    fn uses(&self, slot: u32, len: u32, index: u16) {
        let mut element = slot.to_le_bytes().to_vec();
        element.extend(len.to_le_bytes());
        self.pool.write_all_at(&element, SHADOW_USED + 4).unwrap();
        self.pool.write_all_at(&index.to_le_bytes(), SHADOW_USED + 2).unwrap();
        signal(&self.bell);
    }

    fn read<const N: usize>(file: &File, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    /// Where the shadow's chain has its bytes: to read, to write.
    fn copies(&self) -> (u64, u64) {
        let slot = u64::from(u16::from_le_bytes(Self::read(&self.pool, SHADOW_AVAIL + 4)));
        let table = SHADOW + (32 << 10) + 32 * slot;
        let at = |entry: u64| u64::from_le_bytes(Self::read(&self.pool, table + 16 * entry)) - 0x1000_0000;
        (at(0), at(1))
    }
}

#[test]
fn a_chain_is_copied_into_the_pool_and_its_answer_back_and_nothing_else_is_in_the_pool() {
    let mut bounced = bounced();
    bounced.guest.write_all_at(b"secret", 0x9008).unwrap();
    bounced.makes_available();
    expect(&mut bounced.back, &message(VRING_KICK, 1, &[2]));
    let (reads, writes) = bounced.copies();
    assert_eq!(Bounced::read(&bounced.pool, reads), [7; 64]);
    let mut pool = vec![0; 2 << 20];
    bounced.pool.read_exact_at(&mut pool, 0).unwrap();
    assert!(!pool.windows(6).any(|bytes| bytes == b"secret"));

    bounced.pool.write_all_at(&[9; 32], writes).unwrap();
    // More than the guest gave room for: it gets what fits.
    bounced.uses(
        u32::from(u16::from_le_bytes(Bounced::read(&bounced.pool, SHADOW_AVAIL + 4))),
        32,
        1,
    );

    assert_eq!(count(&bounced.call), 1);
    assert_eq!(
        Bounced::read(&bounced.guest, 0x9000),
        *b"\x09\x09\x09\x09\x09\x09\x09\x09secret"
    );
    assert_eq!(
        Bounced::read(&bounced.guest, USED),
        [0, 0, 1, 0, 0, 0, 0, 0, 8, 0, 0, 0]
    );
}

#[test]
fn a_driver_that_does_not_kick_for_pcm_messages_is_heard_all_the_same() {
    let mut bounced = bounced();

    bounced.queues();

    expect(&mut bounced.back, &message(VRING_KICK, 1, &[2]));
    assert_eq!(Bounced::read(&bounced.pool, bounced.copies().0), [7; 64]);
}

#[test]
fn used_elements_that_can_not_be_end_the_link_and_touch_nothing_of_the_guest() {
    for (slot, index) in [(99, 1), (u32::MAX, 1), (0, 2), (0, 0x8000), (1, 1)] {
        let mut bounced = bounced();
        bounced.makes_available();
        expect(&mut bounced.back, &message(VRING_KICK, 1, &[2]));
        bounced.uses(slot, 8, index);
        let ended = bounced.relay.join().unwrap();
        assert!(matches!(ended, Ended::Protocol(_)), "{ended}");
        assert_eq!(Bounced::read(&bounced.guest, 0x9000), [0; 8]);
        assert_eq!(Bounced::read(&bounced.guest, USED), [0; 4]);
    }
}

#[test]
fn a_guests_chain_beyond_its_memory_or_all_bounds_ends_its_own_link() {
    for (at, len) in [(0xffff_f000_u64, 64_u32), (0x8000, 1 << 20), (u64::MAX - 8, 16)] {
        let mut bounced = bounced();
        bounced.makes_available();
        expect(&mut bounced.back, &message(VRING_KICK, 1, &[2]));
        let mut bytes = at.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend([0; 4]);
        bounced.guest.write_all_at(&bytes, DESC + 32).unwrap();
        bounced.guest.write_all_at(&[2, 0], AVAIL + 6).unwrap();
        bounced.guest.write_all_at(&[2, 0], AVAIL + 2).unwrap();
        signal(&bounced.kick);
        let ended = bounced.relay.join().unwrap();
        assert!(matches!(ended, Ended::Device(_)), "{ended}");
    }
}
