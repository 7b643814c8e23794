//! The states of the link, with a real vhost-user back end's first answers played by a thread.

use std::os::unix::net::UnixStream;

use super::super::Ring;
use super::super::testing::{DriverRing, driver, memory};
use super::*;
use crate::plan::{Declared, DeclaredStream, Transport};
use crate::vm::control::Channel;
use crate::vm::memory::Guest;
use std::io::{Read, Write};
use vm_memory::{Bytes, GuestAddress};

struct Rig {
    snd: Snd,
    poller: Arc<Poller>,
    parent: Channel,
    memory: Guest,
}

fn rig(hold_ms: u64) -> Rig {
    declaring(hold_ms, false)
}

fn declaring(hold_ms: u64, flags_only: bool) -> Rig {
    let poller = Arc::new(Poller::new().unwrap());
    let (parent, other) = Channel::pair().unwrap();
    let reporter = Reporter::new(Some(Arc::new(other.into())));
    let stream = DeclaredStream {
        input: false,
        formats: 0x20,
        rates: 0x80,
        channels_min: 2,
        channels_max: 2,
    };
    let declared = Declared {
        streams: vec![stream],
        flags_only,
    };
    let options = Sound {
        name: "snd0".to_owned(),
        transport: Transport::Pci,
        queue_size: 64,
        hold_ms,
        declared,
    };
    Rig {
        snd: Snd::new(options, reporter, &poller).unwrap(),
        poller,
        parent,
        memory: memory(),
    }
}

/// A back end played by a thread.
struct Player {
    thread: std::thread::JoinHandle<Vec<u32>>,
    hang_up: UnixStream,
}

impl Player {
    /// Hangs up; gives the codes of all requests.
    fn end(self) -> Vec<u32> {
        self.hang_up.shutdown(std::net::Shutdown::Both).unwrap();
        self.thread.join().unwrap()
    }
}

/// Answers requests as a back end does until someone hangs up.
fn backend(config: [u8; 16]) -> (OwnedFd, Player) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let hang_up = theirs.try_clone().unwrap();
    let thread = std::thread::spawn(move || {
        let mut seen = Vec::new();
        let mut header = [0; 12];
        while theirs.read_exact(&mut header).is_ok() {
            let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
            let (code, flags, size) = (word(0), word(4), word(8) as usize);
            let mut body = vec![0; size];
            theirs.read_exact(&mut body).unwrap();
            seen.push(code);
            let reply = match code {
                1 => Some(
                    (super::super::VERSION_1 | 1 << 30 | INDIRECT_DESC)
                        .to_le_bytes()
                        .to_vec(),
                ),
                15 => Some((1_u64 << 3 | 1 << 9).to_le_bytes().to_vec()),
                24 => Some([&body[..12], &config].concat()),
                11 => Some(body[..8].to_vec()),
                _ if flags & 8 != 0 => Some(0_u64.to_le_bytes().to_vec()),
                _ => None,
            };
            if let Some(reply) = reply {
                let head = [code, 5, reply.len() as u32].map(u32::to_le_bytes).concat();
                theirs.write_all(&[head, reply].concat()).unwrap();
            }
        }
        seen
    });
    (ours.into(), Player { thread, hang_up })
}

const SET_VRING_ENABLE: u32 = 18;
const GET_VRING_BASE: u32 = 11;

fn rings(memory: &Guest) -> (DriverRing, Vec<Ring>) {
    let (control, ring) = DriverRing::new(memory, 0, 0x1_0000);
    (control, vec![ring, DriverRing::new(memory, 2, 0x2_0000).1])
}

/// The device's state, by name.
fn state(rig: &Rig) -> &'static str {
    match lock(&rig.snd.0.inner).state {
        State::Absent => "absent",
        State::Connected(_) => "connected",
        State::Held => "held",
        State::Running(_) => "running",
        State::StandIn(_) => "stand-in",
    }
}

/// Turns the loop until so many chains were used.
fn until_used(rig: &Rig, ring: &DriverRing, count: u16) {
    while ring.used().0 < count {
        rig.poller.turn().unwrap();
    }
}

#[test]
fn a_back_end_that_is_there_gets_the_rings_and_gives_them_back_at_a_reset() {
    let mut rig = rig(0);
    let (socket, thread) = backend([9; 16]);
    rig.snd.link().connect(socket);
    assert_eq!(state(&rig), "connected");
    let mut config = [0; 4];
    rig.snd.read_config(4, &mut config);
    assert_eq!(config, [9; 4]);

    let queues = rings(&rig.memory).1;
    rig.snd.activate(driver(&rig.memory, queues)).unwrap();
    assert_eq!(state(&rig), "running");
    rig.snd.reset();
    assert_eq!(state(&rig), "connected");

    let seen = thread.end();
    assert_eq!(seen.iter().filter(|code| **code == SET_VRING_ENABLE).count(), 2);
    assert_eq!(seen.iter().filter(|code| **code == GET_VRING_BASE).count(), 2);
}

#[test]
fn without_a_back_end_the_driver_is_answered_after_the_hold_and_gets_what_was_declared() {
    let mut rig = rig(1);
    let (mut control, queues) = rings(&rig.memory);
    rig.snd.activate(driver(&rig.memory, queues)).unwrap();
    assert_eq!(state(&rig), "stand-in");

    for (index, word) in [0x100_u32, 0, 1, 32].iter().enumerate() {
        rig.memory
            .write_obj(*word, GuestAddress(0x3_0000 + 4 * index as u64))
            .unwrap();
    }
    control.offer(&[(0x3_0000, 16, false), (0x4_0000, 4, true), (0x4_1000, 32, true)]);
    until_used(&rig, &control, 1);

    assert_eq!(control.used(), (1, 36));
    let status: u32 = rig.memory.read_obj(GuestAddress(0x4_0000)).unwrap();
    assert_eq!(status, 0x8000);
}

#[test]
fn a_driver_that_came_up_without_a_back_end_goes_on_with_one_that_knows_no_event_indices() {
    let mut rig = declaring(0, true);
    let mut driver = driver(&rig.memory, rings(&rig.memory).1);
    driver.features = rig.snd.features();
    rig.snd.activate(driver).unwrap();

    let (socket, _thread) = backend([0; 16]);
    rig.snd.link().connect(socket);

    assert_eq!(state(&rig), "running");
}

#[test]
fn a_held_driver_goes_on_with_the_back_end_that_comes_in_time() {
    let rig = rig(60_000);
    let queues = rings(&rig.memory).1;
    let driver = driver(&rig.memory, queues);
    let link = rig.snd.link();
    let vcpu = std::thread::spawn({
        let link = Arc::clone(&link);
        move || link.activate(driver)
    });
    while state(&rig) != "held" {
        std::thread::yield_now();
    }

    let (socket, thread) = backend([0; 16]);
    link.connect(socket);
    vcpu.join().unwrap();

    assert_eq!(state(&rig), "running");
    assert!(thread.end().contains(&SET_VRING_ENABLE));
}

#[test]
fn a_lost_back_end_is_told_pending_messages_come_back_and_a_new_one_goes_on() {
    let mut rig = rig(0);
    let link = rig.snd.link();
    let (socket, thread) = backend([0; 16]);
    link.connect(socket);
    let (mut control, queues) = rings(&rig.memory);
    rig.snd.activate(driver(&rig.memory, queues)).unwrap();
    rig.memory.write_obj(0x104_u32, GuestAddress(0x3_0000)).unwrap();
    control.offer(&[(0x3_0000, 8, false), (0x4_0000, 4, true)]);

    thread.end();
    until_used(&rig, &control, 1);

    assert_eq!(state(&rig), "stand-in");
    assert_eq!(control.used(), (1, 4), "the pending request came back");
    let status: u32 = rig.memory.read_obj(GuestAddress(0x4_0000)).unwrap();
    assert_eq!(status, 0x8003);
    let (socket, _thread) = backend([0; 16]);
    link.connect(socket);
    assert_eq!(state(&rig), "running");
    let mut reports = Vec::new();
    while let Some((report, _)) = rig.parent.receive::<Report>().unwrap() {
        reports.push(report);
    }
    let device = "snd0".to_owned();
    assert!(
        matches!(&reports[..], [Report::LinkUp { .. }, Report::LinkLost { .. }, Report::LinkUp { device: d }] if *d == device)
    );
}

#[test]
fn a_stream_that_runs_moves_on_by_a_message_a_turn_and_the_new_back_end_finds_the_rest_of_the_ring() {
    let mut rig = rig(0);
    let link = rig.snd.link();
    let (socket, thread) = backend([0; 16]);
    link.connect(socket);
    let (control, ring) = DriverRing::new(&rig.memory, 0, 0x1_0000);
    let (mut tx, tx_ring) = DriverRing::new(&rig.memory, 2, 0x2_0000);
    rig.snd.activate(driver(&rig.memory, vec![ring, tx_ring])).unwrap();
    for _ in 0..8 {
        tx.offer(&[(0x3_0000, 964, false), (0x4_0000, 8, true)]);
    }

    thread.end();
    rig.poller.turn().unwrap();
    assert_eq!(
        (state(&rig), tx.used().0),
        ("stand-in", 0),
        "nothing comes back at once"
    );
    for turn in 1..=3 {
        rig.poller.turn().unwrap();
        assert_eq!(tx.used(), (turn, 8));
        let status: u32 = rig.memory.read_obj(GuestAddress(0x4_0000)).unwrap();
        assert_eq!(status, 0x8003);
    }
    let (socket, _thread) = backend([0; 16]);
    link.connect(socket);

    assert_eq!((state(&rig), tx.used().0, control.used().0), ("running", 3, 0));
}

#[test]
fn a_request_waits_for_a_back_end_that_is_soon_back() {
    let mut rig = rig(0);
    let link = rig.snd.link();
    let (socket, thread) = backend([0; 16]);
    link.connect(socket);
    let (mut control, queues) = rings(&rig.memory);
    rig.snd.activate(driver(&rig.memory, queues)).unwrap();

    thread.end();
    rig.poller.turn().unwrap();
    control.offer(&[(0x3_0000, 8, false), (0x4_0000, 4, true)]);
    rig.poller.turn().unwrap();
    let (socket, _thread) = backend([0; 16]);
    link.connect(socket);

    assert_eq!(
        (state(&rig), control.used().0),
        ("running", 0),
        "it is the back end's to answer"
    );
}

#[test]
fn a_back_end_that_does_not_answer_is_none() {
    let rig = rig(0);
    let (ours, _theirs) = UnixStream::pair().unwrap();

    rig.snd.link().connect(ours.into());

    assert_eq!(state(&rig), "absent");
}
