//! What comes from the service VM as arbitrary bytes, on the stream and in the pool: whatever it is, the guest's VMM passes only
//! answers that are due to the device, and nothing of the guest changes but what audiod may write.
//!
//! ```text
//!  input: operation, operands, …       0 LEN BYTES       on the stream        3 QUEUE   the guest makes a chain available
//!                                      1 AT4 LEN BYTES   into the pool        4 WHICH   the device asks something
//!                                      2 QUEUE           rings the doorbell
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hypervisor::window::{Ended, Relay};
use proptest::prelude::*;
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

const GUEST: u64 = 256 << 10;
const POOL: u64 = 512 << 10;
/// Where the device has the guest's memory.
const USER: u64 = 0x7000_0000;
const SIZE: u16 = 8;
const QUEUES: [u64; 2] = [2, 3];
/// Bytes of a chain: to read, to write.
const READ: u32 = 64;
const WRITE: u32 = 40;
/// In guest memory nobody may write.
const CANARY: u8 = 0xa5;

/// A queue's areas in the guest: descriptors, avail ring, used ring, bytes to read, bytes to write (64 apart).
const fn area(queue: u64, nth: u64) -> u64 {
    queue * 0x1_0000 + nth * 0x1000
}

/// Requests of the device: number, flags, payload, bytes of the answer.
const REQUESTS: [(u32, u32, &[u64], usize); 6] = [
    (1, 1, &[], 8),
    (15, 1, &[], 8),
    (24, 1, &[16 << 32, 0, 0, 0], 32),
    (11, 1, &[2], 8),
    (17, 1, &[], 8),
    (18, 9, &[2 | 1 << 32], 8),
];

fn memfd(len: u64) -> File {
    // SAFETY: a valid C string; a fresh descriptor is ours.
    let file = unsafe { File::from_raw_fd(libc::memfd_create(c"fuzz".as_ptr(), libc::MFD_CLOEXEC)) };
    file.set_len(len).unwrap();
    file
}

fn eventfd() -> File {
    // SAFETY: no pointers; a fresh descriptor is ours.
    unsafe { File::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) }
}

fn message(number: u32, flags: u32, payload: &[u64]) -> Vec<u8> {
    let header = [number, flags, 8 * payload.len() as u32].map(u32::to_ne_bytes).concat();
    let payload = payload.iter().flat_map(|word| word.to_ne_bytes());
    header.into_iter().chain(payload).collect()
}

/// All that can be read now.
fn drained(stream: &mut UnixStream) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => return all,
            Ok(count) => all.extend(&part[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return all,
            Err(_) => return all,
        }
    }
}

struct Bench {
    relay: Relay,
    front: UnixStream,
    back: UnixStream,
    guest: File,
    pool: File,
    bells: Vec<File>,
    kicks: Vec<File>,
    /// Chains made available, by queue.
    offered: [u16; 2],
    /// Requests without an answer yet, by place in [`REQUESTS`].
    asked: Vec<usize>,
    told: Vec<u8>,
}

/// What an input came to.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    /// Answers that reached the device.
    answers: usize,
    /// Chains given back to the guest.
    used: usize,
    /// The link is over.
    ended: bool,
}

impl Bench {
    fn new() -> Self {
        let (front, ours) = UnixStream::pair().unwrap();
        let (back, theirs) = UnixStream::pair().unwrap();
        front.set_nonblocking(true).unwrap();
        back.set_nonblocking(true).unwrap();
        let (guest, pool) = (memfd(GUEST), memfd(POOL));
        let bells: Vec<File> = (0..4).map(|_| eventfd()).collect();
        let given = bells.iter().map(|bell| bell.try_clone().unwrap().into()).collect();
        let relay = Relay::bouncing(ours.into(), theirs.into(), pool.try_clone().unwrap().into(), given).unwrap();
        let mut this = Self {
            relay: relay.patience(Duration::from_secs(60)),
            front,
            back,
            guest,
            pool,
            bells,
            kicks: QUEUES.iter().map(|_| eventfd()).collect(),
            offered: [0; 2],
            asked: Vec::new(),
            told: Vec::new(),
        };
        this.set_up();
        this
    }

    fn set_up(&mut self) {
        self.guest.write_all_at(&vec![CANARY; GUEST as usize], 0).unwrap();
        let file = OwnedFd::from(self.guest.try_clone().unwrap());
        self.says(&message(5, 1, &[1, 0, GUEST, USER, 0]), Some(file.as_raw_fd()));
        for (nth, queue) in QUEUES.into_iter().enumerate() {
            for ring in [1, 2] {
                self.guest.write_all_at(&[0; 128], area(queue, ring)).unwrap();
            }
            self.says(&message(8, 1, &[queue | u64::from(SIZE) << 32]), None);
            self.says(&message(10, 1, &[queue]), None);
            let [desc, avail, used] = [0, 1, 2].map(|ring| USER + area(queue, ring));
            self.says(&message(9, 1, &[queue, desc, used, avail, 0]), None);
            let kick = self.kicks[nth].as_raw_fd();
            self.says(&message(12, 1, &[queue]), Some(kick));
        }
    }

    /// The device says this, and the relay hears it.
    fn says(&mut self, bytes: &[u8], fd: Option<i32>) {
        let fds: Vec<i32> = fd.into_iter().collect();
        assert_eq!(self.front.send_with_fds(&[bytes], &fds).unwrap(), bytes.len());
        self.relay.turn().unwrap();
        drained(&mut self.back);
    }

    /// The guest makes a chain available, unless its ring is full.
    fn offers(&mut self, nth: usize) {
        let (queue, index) = (QUEUES[nth], self.offered[nth]);
        let under_way = index.wrapping_sub(self.used(nth));
        if under_way >= SIZE / 2 {
            return;
        }
        let slot = u64::from(index % (SIZE / 2));
        let parts = [(3, READ, 1_u16, 2 * slot + 1), (4, WRITE, 2, 0)];
        for (entry, (kind, len, flags, next)) in (2 * slot..).zip(parts) {
            let mut bytes = (area(queue, kind) + 64 * slot).to_le_bytes().to_vec();
            bytes.extend(len.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend((next as u16).to_le_bytes());
            self.guest.write_all_at(&bytes, area(queue, 0) + 16 * entry).unwrap();
        }
        let avail = area(queue, 1);
        let place = avail + 4 + 2 * u64::from(index % SIZE);
        self.guest
            .write_all_at(&(2 * slot as u16).to_le_bytes(), place)
            .unwrap();
        self.offered[nth] = index.wrapping_add(1);
        self.guest
            .write_all_at(&self.offered[nth].to_le_bytes(), avail + 2)
            .unwrap();
        let _full = self.kicks[nth].write(&1_u64.to_ne_bytes());
    }

    fn used(&self, nth: usize) -> u16 {
        let mut index = [0; 2];
        self.guest.read_exact_at(&mut index, area(QUEUES[nth], 2) + 2).unwrap();
        u16::from_le_bytes(index)
    }

    /// Each element that the guest finds used is a chain of its own and says no more bytes than it has room for.
    fn check_used(&self, nth: usize) {
        let used = self.used(nth);
        assert!(used <= self.offered[nth], "{used} chains used of {}", self.offered[nth]);
        for index in used.saturating_sub(SIZE)..used {
            let mut element = [0; 8];
            let at = area(QUEUES[nth], 2) + 4 + 8 * u64::from(index % SIZE);
            self.guest.read_exact_at(&mut element, at).unwrap();
            let [head, len] = [0, 4].map(|at| u32::from_le_bytes(element[at..at + 4].try_into().unwrap()));
            let made = 2 * u32::from(self.offered[nth].min(SIZE / 2));
            assert!(head < made && head.is_multiple_of(2), "chain {head} was never made");
            assert!(len <= WRITE, "{len} bytes written of {WRITE}");
        }
    }

    fn asks(&mut self, which: usize) {
        if self.asked.len() > self.answers() {
            return;
        }
        let (number, flags, payload, _) = REQUESTS[which];
        self.asked.push(which);
        let _gone = self.front.write_all(&message(number, flags, payload));
    }

    fn answers(&mut self) -> usize {
        let more = drained(&mut self.front);
        self.told.extend(more);
        self.check_told()
    }

    /// Each answer is of the request that is due, and of its length; how many there are.
    fn check_told(&self) -> usize {
        let (mut rest, mut count) = (&self.told[..], 0);
        while let Some((header, after)) = rest.split_first_chunk::<12>() {
            let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
            let (number, _, _, len) = REQUESTS[*self.asked.get(count).expect("an answer nobody asked for")];
            assert_eq!((word(0), word(4) & 7), (number, 5), "of another kind");
            let size = word(8) as usize;
            assert!(
                size == len || number == 24 && size == 12,
                "{size} bytes for message {number}"
            );
            assert!(after.len() >= size, "a part of an answer");
            (rest, count) = (&after[size..], count + 1);
        }
        assert!(rest.is_empty(), "a part of a header");
        count
    }

    /// One operation; the rest of the input.
    fn does<'a>(&mut self, operation: u8, rest: &'a [u8]) -> &'a [u8] {
        let first = rest.first().copied().unwrap_or(0);
        let bytes = |from: usize, len: u8| {
            let rest = rest.get(from..).unwrap_or_default();
            rest.split_at(rest.len().min(usize::from(len)))
        };
        match operation % 5 {
            0 => {
                let (sent, later) = bytes(1, first);
                let _full = self.back.write(sent);
                later
            }
            1 => {
                let Some((at, [len, ..])) = rest.split_first_chunk::<4>() else {
                    return &[];
                };
                let (written, later) = bytes(5, *len);
                let at = u64::from(u32::from_le_bytes(*at)) % (POOL - 256);
                self.pool.write_all_at(written, at).unwrap();
                later
            }
            2 => {
                let _full = self.bells[usize::from(first % 4)].write(&1_u64.to_ne_bytes());
                bytes(1, 0).1
            }
            3 => {
                self.offers(usize::from(first % 2));
                bytes(1, 0).1
            }
            _ => {
                self.asks(usize::from(first) % REQUESTS.len());
                bytes(1, 0).1
            }
        }
    }

    /// The relay's turn. Something is always ready, so that it doesn't wait.
    fn turn(&mut self) -> Result<(), Ended> {
        let _full = self.bells[1].write(&1_u64.to_ne_bytes());
        let turn = self.relay.turn();
        drained(&mut self.back);
        turn
    }

    /// Nothing of the guest changed but the used rings and what chains made available give to be written.
    fn check_guest(&self) {
        let mut memory = vec![0; GUEST as usize];
        self.guest.read_exact_at(&mut memory, 0).unwrap();
        for (queue, offered) in QUEUES.into_iter().zip(self.offered) {
            for ring in 0..3 {
                memory[area(queue, ring) as usize..][..128].fill(CANARY);
            }
            for slot in 0..u64::from(offered.min(SIZE / 2)) {
                memory[(area(queue, 4) + 64 * slot) as usize..][..WRITE as usize].fill(CANARY);
            }
        }
        let changed = memory.iter().position(|byte| *byte != CANARY);
        assert_eq!(changed, None, "guest memory at this place");
    }
}

/// Feeds the input; panics when it did harm.
fn fuzz(mut bytes: &[u8]) -> Came {
    let mut bench = Bench::new();
    let mut ended = false;
    while let Some((operation, rest)) = bytes.split_first().filter(|_| !ended) {
        bytes = bench.does(*operation, rest);
        // A message is read by its header, then by the rest.
        ended = bench.turn().is_err() || bench.turn().is_err();
    }
    let answers = bench.answers();
    bench.check_guest();
    (0..2).for_each(|nth| bench.check_used(nth));
    let used = (0..2).map(|nth| usize::from(bench.used(nth))).sum();
    Came { answers, used, ended }
}

const fn came(answers: usize, used: usize, ended: bool) -> Came {
    Came { answers, used, ended }
}

/// Name, input, and what it comes to.
const CORPUS: [(&str, &[u8], Came); 8] = [
    (
        "greeting",
        include_bytes!("corpus/window/greeting.bin"),
        came(4, 0, false),
    ),
    ("plays", include_bytes!("corpus/window/plays.bin"), came(0, 3, false)),
    (
        "records",
        include_bytes!("corpus/window/records.bin"),
        came(0, 1, false),
    ),
    ("stops", include_bytes!("corpus/window/stops.bin"), came(1, 1, false)),
    ("unasked", include_bytes!("corpus/window/unasked.bin"), came(0, 0, true)),
    (
        "oversized",
        include_bytes!("corpus/window/oversized.bin"),
        came(0, 0, true),
    ),
    (
        "used-twice",
        include_bytes!("corpus/window/used-twice.bin"),
        came(0, 1, true),
    ),
    (
        "used-never-made",
        include_bytes!("corpus/window/used-never-made.bin"),
        came(0, 0, true),
    ),
];

#[test]
fn the_corpus_comes_to_what_it_should() {
    for (name, bytes, expected) in CORPUS {
        assert_eq!(fuzz(bytes), expected, "{name}");
    }
}

#[test]
fn the_corpus_with_any_byte_changed_does_no_harm() {
    for (_, bytes, _) in CORPUS {
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = bytes.to_vec();
                bytes[at] ^= flip;
                fuzz(&bytes);
            }
        }
    }
}

/// Operations whose operands are near what makes sense.
fn operation() -> impl Strategy<Value = Vec<u8>> {
    let number = prop::sample::select(vec![1_u32, 11, 15, 17, 18, 24, 35]);
    let answer = (
        number,
        prop_oneof![Just(5_u32), any::<u32>()],
        0_u32..40,
        prop::collection::vec(any::<u8>(), 0..48),
    );
    let answer = answer.prop_map(|(number, flags, size, body)| {
        let bytes = [[number, flags, size].map(u32::to_ne_bytes).concat(), body].concat();
        [vec![0, bytes.len() as u8], bytes].concat()
    });
    // The used rings of both queues and the tables beside them.
    let pool = (2_u32..4, 0_u32..0x9000, prop::collection::vec(0_u8..10, 0..20)).prop_map(|(queue, at, bytes)| {
        let at = (queue << 16) + if at < 0x4800 { 0x5000 + at % 72 } else { at };
        [vec![1], at.to_le_bytes().to_vec(), vec![bytes.len() as u8], bytes].concat()
    });
    let short = (2_u8..5, any::<u8>()).prop_map(|(operation, operand)| vec![operation, operand]);
    prop_oneof![2 => answer, 3 => pool, 3 => short]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&bytes);
    }

    #[test]
    fn what_nearly_makes_sense_does_no_harm(operations in prop::collection::vec(operation(), 0..40)) {
        fuzz(&operations.concat());
    }
}
