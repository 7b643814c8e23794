//! `bus-port`: a guest's way to the bus, here with UNIX sockets for vsock and users for CIDs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::{DEADLINE, Folder, Raw, run};
use dbus_api::private_bus::PrivateBus;
use nix::unistd::{Uid, User};

const DBUS: &str = "org.freedesktop.DBus";
/// Connections of one guest (`port::MOST`).
const MOST: usize = 16;
/// `pair::MOST_WAITING` each way, what the program itself needs, and room.
const MOST_KIB: u64 = 16 << 10;
const SIGN_IN: &[u8] = b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n";

/// A process that carries a guest's connections; killed when dropped.
struct Port {
    child: Child,
    path: PathBuf,
}

impl Port {
    /// Lets `from` in at `name` in this folder, and carries on as `way` says.
    fn start(folder: &Path, name: &str, from: u32, way: &[&str]) -> Self {
        let path = folder.join(name);
        let _ = std::fs::remove_file(&path);
        let mut command = Command::new(env!("CARGO_BIN_EXE_bus-port"));
        command.arg(format!("--listen=unix:{}", path.display()));
        let child = command.arg(format!("--from={from}")).args(way).spawn().unwrap();
        let port = Self { child, path };
        port.until("it listens", |port| UnixStream::connect(&port.path).is_ok());
        port
    }

    fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let late = Instant::now() + DEADLINE;
        while !so(self) {
            assert!(Instant::now() < late, "{what}");
            std::thread::yield_now();
        }
    }

    fn address(&self) -> String {
        format!("unix:path={}", self.path.display())
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// A connection that the bus has taken; none if it was shown out.
    fn try_sign_in(&self) -> Option<UnixStream> {
        let mut stream = self.connect();
        let mut answer = [0; 3];
        stream.write_all(SIGN_IN).ok()?;
        stream.read_exact(&mut answer).ok()?;
        (&answer == b"OK ").then_some(stream)
    }

    /// Whether the bus answers by this way.
    fn answers(&self) -> bool {
        self.try_sign_in().is_some()
    }

    /// As one of those that have gone may not have been seen to yet.
    fn signed_in(&self) -> UnixStream {
        let late = Instant::now() + DEADLINE;
        loop {
            if let Some(stream) = self.try_sign_in() {
                return stream;
            }
            assert!(Instant::now() < late, "no place");
        }
    }

    /// Resident memory, KiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn worker(&self) -> Option<i32> {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn own() -> u32 {
    Uid::effective().as_raw()
}

/// All that comes until the end.
fn rest(mut stream: UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is an end, too.
    let ended = stream.read_to_end(&mut all).map_err(|error| error.kind());
    assert_ne!(ended.err(), Some(std::io::ErrorKind::WouldBlock), "it is kept");
    all
}

/// As whom the bus sees a client, by itself.
async fn seen_as(address: &str) -> u32 {
    let raw = Raw::bus(address).await;
    let name = raw.connection.unique_name().unwrap().to_string();
    let to = Some(DBUS);
    let call = raw
        .connection
        .call_method(to, "/org/freedesktop/DBus", to, "GetConnectionUnixUser", &name);
    call.await.unwrap().body().deserialize().unwrap()
}

#[test]
fn the_bus_sees_a_guest_as_its_ports_user_whoever_it_says_it_is() {
    let folder = Folder::new();
    let bus = PrivateBus::start(folder.path()).unwrap();
    // Another user can be had by root only.
    let nobody = User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    let (user, way) = if own() == 0 {
        (nobody, vec!["--user=nobody"])
    } else {
        (own(), Vec::new())
    };
    let socket = format!("--bus={}", bus.address().strip_prefix("unix:path=").unwrap());
    std::fs::create_dir(folder.path().join("vm")).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path().join("vm"), open).unwrap();
    let vm = Port::start(folder.path(), "vm/port", own(), &[&way[..], &[&socket]].concat());
    let to = format!("--to=unix:{}", vm.path.display());
    let host = Port::start(folder.path(), "host", own(), &[&to]);

    // This client says that it is this test's user.
    let seen = run(seen_as(&host.address()));

    assert_eq!(seen, user);
}

#[test]
fn nobody_but_the_one_it_is_for_is_let_in() {
    let folder = Folder::new();
    let bus = PrivateBus::start(folder.path()).unwrap();
    let to = format!("--to=unix:{}", bus.address().strip_prefix("unix:path=").unwrap());
    let (ours, others) = (
        Port::start(folder.path(), "ours", own(), &[&to]),
        Port::start(folder.path(), "others", own() + 1, &[&to]),
    );

    let mut stranger = others.connect();
    let _ = stranger.write_all(SIGN_IN);

    assert!(rest(stranger).is_empty());
    assert!(ours.answers());
}

#[test]
fn a_hostile_guest_fills_its_own_places_and_disturbs_nobody() {
    let folder = Folder::new();
    let bus = PrivateBus::start(folder.path()).unwrap();
    let socket = format!("--bus={}", bus.address().strip_prefix("unix:path=").unwrap());
    let [hostile, other] = ["hostile", "other"].map(|name| Port::start(folder.path(), name, own(), &[&socket]));

    // No client: what it gets is the end.
    let garbage = [0xff; 4096];
    let long = [
        b"l\x01\0\x01",
        &(1_u32 << 20).to_le_bytes()[..],
        &[1, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    for said in [
        &garbage[..],
        b"\0BEGIN\r\n",
        &[SIGN_IN, &garbage].concat(),
        &[SIGN_IN, &long].concat(),
    ] {
        let mut stream = hostile.connect();
        let _ = stream.write_all(said);
        let answer = rest(stream);
        assert!(answer.is_empty() || answer.starts_with(b"OK "), "{answer:?}");
    }
    // All its places taken: one more is shown out, and the other guest is answered.
    let taken: Vec<UnixStream> = (0..MOST).map(|_| hostile.signed_in()).collect();
    assert!(!hostile.answers());
    assert!(other.answers());
    drop(taken);
    hostile.until("places again", Port::answers);
    // Those that never sign in end by themselves.
    let half: Vec<UnixStream> = (0..MOST).map(|_| hostile.connect()).collect();
    assert!(half.into_iter().all(|stream| rest(stream).is_empty()));
    hostile.until("places again", Port::answers);
    // Says much and reads nothing: it is read no further.
    let flood: Vec<UnixStream> = (0..MOST).map(|_| hostile.signed_in()).collect();
    for mut stream in &flood {
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let call = ping();
        let _ = (0..20_000).try_for_each(|_| stream.write_all(&call));
    }
    assert!(other.answers());
    let resident = hostile.resident();
    println!("{resident} KiB resident");
    assert!(resident < MOST_KIB, "{resident} KiB");
}

/// `Hello`, which the bus answers each time.
fn ping() -> Vec<u8> {
    let field = |code: u8, kind: u8, text: &str| {
        let mut bytes = vec![code, 1, kind, 0];
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    };
    let texts = [
        (1, b'o', "/org/freedesktop/DBus"),
        (2, b's', DBUS),
        (3, b's', "Hello"),
        (6, b's', DBUS),
    ];
    let fields = texts.map(|(code, kind, text)| field(code, kind, text)).concat();
    let mut message = vec![b'l', 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0];
    message.extend((fields.len() as u32).to_le_bytes());
    message.extend(fields);
    message
}

#[test]
fn it_is_started_again_when_it_ends_and_gone_when_its_keeper_is() {
    let folder = Folder::new();
    let bus = PrivateBus::start(folder.path()).unwrap();
    let socket = format!("--bus={}", bus.address().strip_prefix("unix:path=").unwrap());
    let parent = format!("--parent={}", std::process::id());
    let mut port = Port::start(folder.path(), "port", own(), &["--keep", &parent, &socket]);
    let first = port.worker().unwrap();

    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL).unwrap();
    port.until("another worker", |port| {
        port.worker().is_some_and(|worker| worker != first)
    });
    port.until("it answers", |port| {
        UnixStream::connect(&port.path).is_ok() && port.answers()
    });
    let second = port.worker().unwrap();
    port.child.kill().unwrap();
    port.child.wait().unwrap();

    port.until("the worker is gone", |_| {
        let stat = std::fs::read_to_string(format!("/proc/{second}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z"))
    });
}
