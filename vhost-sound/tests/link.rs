//! The connection as a hostile or slow front end uses it. No engine: nothing here needs one.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use vhost_sound::device::{Interest, Output, Session, Slot, Token, fuzz};
use vhost_sound::shared::Shared;
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

const GET_FEATURES: [u32; 3] = [1, 1, 0];

struct Bench {
    session: Session,
    path: std::path::PathBuf,
    out: Vec<Output>,
}

impl Bench {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("carillon-link-{}-{name}", std::process::id()));
        let _none = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let block = Arc::new(Shared::private().unwrap());
        Self {
            session: Session::new(fuzz::config(), block, Some(listener.into())),
            path,
            out: Vec::new(),
        }
    }

    fn connect(&mut self) -> UnixStream {
        let front_end = UnixStream::connect(&self.path).unwrap();
        front_end.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        self.settle();
        front_end
    }

    /// What a caller's loop does, until nothing more comes at once.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let tokens: Vec<Token> = self
                .session
                .fds()
                .into_iter()
                .filter(|(_, fd, interest)| {
                    let events = if *interest == Interest::Readable {
                        libc::POLLIN
                    } else {
                        libc::POLLRDHUP
                    };
                    let mut entry = libc::pollfd {
                        fd: fd.as_raw_fd(),
                        events,
                        revents: 0,
                    };
                    // SAFETY: one valid pollfd, no waiting.
                    unsafe { libc::poll(&mut entry, 1, 0) > 0 }
                })
                .map(|(token, ..)| token)
                .collect();
            let due = self.session.next_poll() == Some(0);
            if tokens.is_empty() && !due {
                return;
            }
            for token in tokens {
                self.session.on_ready(token, &mut self.out);
            }
            if due {
                self.session.poll(0, &mut self.out);
            }
        }
        panic!("it never comes to rest");
    }

    fn closed(&self) -> Vec<String> {
        let reason = |output: &Output| match output {
            Output::Closed { reason } => Some(reason.clone()),
            _ => None,
        };
        self.out.iter().filter_map(reason).collect()
    }

    fn serves(&mut self, front_end: &mut UnixStream) -> bool {
        front_end.write_all(&bytes(&GET_FEATURES)).unwrap();
        self.settle();
        let mut reply = [0; 20];
        front_end.read_exact(&mut reply).is_ok() && reply[..12] == bytes(&[1, 5, 8])
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn eventfd() -> OwnedFd {
    // SAFETY: no preconditions; a fresh descriptor is ours.
    unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn half_a_message_blocks_nothing_and_is_answered_once_the_rest_is_there() {
    let mut bench = Bench::new("half");
    let mut front_end = bench.connect();
    let message = bytes(&GET_FEATURES);
    for cut in 1..message.len() {
        front_end.write_all(&message[..cut]).unwrap();
        bench.settle();
        let interests: Vec<_> = bench
            .session
            .fds()
            .into_iter()
            .map(|(token, _, what)| (token, what))
            .collect();
        assert_eq!(
            interests,
            [(Token::Connection, Interest::Hangup)],
            "no descriptor that is ready for ever"
        );
        assert_eq!(bench.session.next_poll(), Some(5));
        front_end.write_all(&message[cut..]).unwrap();
        bench.session.poll(0, &mut bench.out);
        bench.settle();
        let mut reply = [0; 20];
        front_end.read_exact(&mut reply).unwrap();
        assert_eq!(reply[..12], bytes(&[1, 5, 8]), "cut at {cut}");
    }
}

#[test]
fn half_a_message_and_then_the_end_closes() {
    for cut in [1, 11, 12, 15] {
        let mut bench = Bench::new(&format!("end-{cut}"));
        let mut front_end = bench.connect();
        front_end.write_all(&bytes(&[2, 1, 8, 0])[..cut]).unwrap();
        bench.settle();
        drop(front_end);
        bench.settle();
        assert_eq!(bench.closed(), ["closed by the front end"], "cut at {cut}");
        let mut next = bench.connect();
        assert!(bench.serves(&mut next));
    }
}

#[test]
fn a_descriptor_is_taken_however_the_bytes_around_it_are_cut() {
    let message = bytes(&[13, 1, 8, 2, 0]);
    for cut in 1..message.len() {
        let mut bench = Bench::new(&format!("cut-{cut}"));
        let mut front_end = bench.connect();
        // Before it, a message without descriptors: they are not its.
        front_end.write_all(&bytes(&[3, 1, 0])).unwrap();
        front_end
            .send_with_fds(&[&message[..cut]], &[eventfd().as_raw_fd()])
            .unwrap();
        front_end.write_all(&message[cut..]).unwrap();
        bench.settle();
        let kept = bench.out.iter().any(|output| {
            matches!(
                output,
                Output::Keep {
                    slot: Slot::Call(2),
                    ..
                }
            )
        });
        assert!(kept && bench.closed().is_empty(), "cut at {cut}: {:?}", bench.closed());
        assert!(bench.serves(&mut front_end));
    }
}

#[test]
fn floods_of_descriptors_close_the_connection_and_leave_none_behind() {
    let mut bench = Bench::new("flood");
    drop(bench.connect());
    bench.settle();
    bench.out.clear();
    let before = descriptors();
    let many: Vec<OwnedFd> = (0..200).map(|_| eventfd()).collect();
    let raw: Vec<RawFd> = many.iter().map(AsRawFd::as_raw_fd).collect();
    for count in [2, 33, 61, 200] {
        let front_end = bench.connect();
        front_end
            .send_with_fds(&[&bytes(&[13, 1, 8, 2, 0])[..]], &raw[..count])
            .unwrap();
        bench.settle();
        assert!(!bench.closed().is_empty(), "{count} descriptors");
        bench.out.clear();
        drop(front_end);
        bench.settle();
    }
    drop(many);
    bench.out.clear();
    assert_eq!(descriptors(), before);
}

#[test]
fn a_call_descriptor_replaced_a_thousand_times_is_held_once() {
    let mut bench = Bench::new("replace");
    let mut front_end = bench.connect();
    bench.out.clear();
    let before = descriptors();
    for _ in 0..1000 {
        front_end
            .send_with_fds(&[&bytes(&[13, 1, 8, 2, 0])[..]], &[eventfd().as_raw_fd()])
            .unwrap();
        bench.settle();
        bench.out.clear();
    }
    assert_eq!(descriptors(), before + 1);
    assert!(bench.serves(&mut front_end));
}

#[test]
fn a_front_end_that_asks_and_never_reads_is_not_waited_for() {
    let mut bench = Bench::new("deaf");
    let mut front_end = bench.connect();
    front_end.set_nonblocking(true).unwrap();
    let mut asked = 0;
    while front_end.write_all(&bytes(&GET_FEATURES)).is_ok() && asked < 1_000_000 {
        asked += 1;
        if asked % 50 == 0 {
            bench.session.on_ready(Token::Connection, &mut bench.out);
        }
    }
    assert!(asked < 1_000_000, "its questions are not taken for ever");
    bench.settle();
    assert!(bench.closed().is_empty());
    let mut answers = Vec::new();
    for _ in 0..100_000 {
        let mut some = [0; 4096];
        match front_end.read(&mut some) {
            Ok(got) => answers.extend_from_slice(&some[..got]),
            Err(_) if answers.len() >= asked * 20 => break,
            Err(_) => {
                bench.session.poll(0, &mut bench.out);
                bench.settle();
            }
        }
    }
    let whole = asked * 20;
    assert!(answers.len() >= whole, "{} of {whole} bytes of answers", answers.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_come_the_next_front_end_is_served(
        messages in prop::collection::vec((0u32..45, prop_oneof![Just(1u32), Just(9), any::<u32>()], prop::collection::vec(any::<u8>(), 0..64), any::<bool>()), 1..8)
    ) {
        let mut bench = Bench::new("bytes");
        let mut front_end = bench.connect();
        for (number, flags, body, with_fd) in messages {
            let mut message = bytes(&[number, flags, body.len() as u32]);
            message.extend(body);
            let fd = eventfd();
            let fds = [fd.as_raw_fd()];
            let _closed = front_end.send_with_fds(&[&message[..]], if with_fd { &fds[..] } else { &[] });
            bench.settle();
        }
        let _gone = front_end.shutdown(std::net::Shutdown::Both);
        let _rest = front_end.read(&mut [0; 4096]);
        drop(front_end);
        for _ in 0..3 {
            bench.session.poll(0, &mut bench.out);
            bench.settle();
        }
        let mut next = bench.connect();
        prop_assert!(bench.serves(&mut next), "{:?}", bench.closed());
    }
}
