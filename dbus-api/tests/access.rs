//! Roles on a private bus, with clients of several users: run as root, whose children become these.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::V::{B, N, Q, S, T};
use common::fake::Fake;
use common::{Folder, Raw, error_name, run};
use dbus_api::access::{Access, Role, Who};
use dbus_api::names::{
    BUS_NAME, COMMAND_INTERFACE, COMMAND_PATH, OWN_INTERFACE, OWN_PATH, ROUTING_INTERFACE, ROUTING_PATH,
};
use dbus_api::private_bus::PrivateBus;
use dbus_api::server::{BusAddress, BusState, Request, start_with};

/// User and group `nobody`, another user (`daemon`) and another group (`games`): every Linux system has them.
const NOBODY: u32 = 65_534;
const OTHER: u32 = 1;
const GAMES: u32 = 60;
const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";

fn as_root() {
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(user, 0, "this test needs clients of two users: run it as root");
}

fn who(users: &[u32], groups: &[u32]) -> Who {
    Who {
        users: BTreeSet::from_iter(users.iter().copied()),
        groups: BTreeSet::from_iter(groups.iter().copied()),
        ..Who::default()
    }
}

fn everyone() -> Who {
    Who {
        everyone: true,
        ..Who::default()
    }
}

fn access(roles: impl IntoIterator<Item = (Role, Who)>) -> Option<Access> {
    let roles = BTreeMap::from_iter(roles);
    Some(Access { roles })
}

async fn serve(bus: &PrivateBus, access: Option<Access>) {
    let (mut ours, requests, outs) = start_with(BusAddress::from(bus.address()), access);
    tokio::spawn(Fake::default().serve(requests, outs));
    ours.reached(BusState::Owned).await;
    // The handle may go, the task stays.
}

/// What `busctl` says as a user with a group: its output, or the error's name.
async fn busctl(bus: &PrivateBus, (user, group): (u32, u32), call: &[&str]) -> Result<String, String> {
    let mut command = Command::new("busctl");
    command
        .arg(format!("--address={}", bus.address()))
        .arg("call")
        .args(call);
    command.uid(user).gid(group).env("LC_ALL", "C");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.expect("busctl (Debian package systemd) is needed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(said),
    }
}

const LIST: [&str; 4] = [BUS_NAME, COMMAND_PATH, COMMAND_INTERFACE, "GetListMainSinks"];
const CONNECT: [&str; 7] = [BUS_NAME, COMMAND_PATH, COMMAND_INTERFACE, "Connect", "qq", "101", "101"];
const RELOAD: [&str; 4] = [BUS_NAME, OWN_PATH, OWN_INTERFACE, "Reload"];
const PEEK: [&str; 6] = [BUS_NAME, ROUTING_PATH, ROUTING_INTERFACE, "peekDomain", "s", "tuner"];

/// What busctl says of an AccessDenied, whatever its text.
fn is_denied(result: &Result<String, String>) -> bool {
    matches!(result, Err(said) if said.contains("Access denied"))
}

#[test]
fn each_user_may_do_what_its_role_says_and_no_more() {
    as_root();
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let roles = [
            (Role::Observe, everyone()),
            (Role::Control, who(&[NOBODY], &[])),
            (Role::Admin, who(&[0], &[])),
        ];
        serve(&bus, access(roles)).await;
        let (nobody, other) = ((NOBODY, NOBODY), (OTHER, OTHER));

        assert!(busctl(&bus, other, &LIST).await.is_ok(), "everybody may look");
        assert!(is_denied(&busctl(&bus, other, &CONNECT).await));
        assert_eq!(busctl(&bus, nobody, &CONNECT).await.as_deref(), Ok("nq 0 1"));
        assert!(is_denied(&busctl(&bus, nobody, &RELOAD).await));
        assert!(is_denied(&busctl(&bus, nobody, &PEEK).await));
        assert!(busctl(&bus, (0, 0), &RELOAD).await.is_ok());
    });
}

#[test]
fn a_group_gives_its_role_to_whoever_is_in_it() {
    as_root();
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        serve(&bus, access([(Role::Control, who(&[], &[GAMES]))])).await;

        assert_eq!(busctl(&bus, (OTHER, GAMES), &CONNECT).await.as_deref(), Ok("nq 0 1"));
        assert!(is_denied(&busctl(&bus, (OTHER, OTHER), &CONNECT).await));
        assert!(is_denied(&busctl(&bus, (0, 0), &LIST).await), "root is nobody special");
    });
}

#[test]
fn gdbus_hears_of_a_denial_by_its_name() {
    as_root();
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        serve(&bus, access([(Role::Observe, everyone())])).await;
        let mut command = Command::new("gdbus");
        command.args(["call", "--address", bus.address(), "--dest", BUS_NAME]);
        command.args([
            "--object-path",
            OWN_PATH,
            "--method",
            &format!("{OWN_INTERFACE}.Chime"),
            "belt",
        ]);
        command.uid(NOBODY).gid(NOBODY);

        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();

        let output = output.expect("gdbus (Debian package libglib2.0-bin) is needed");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(DENIED), "{said}");
        assert!(said.contains("this needs the role `control`"), "{said}");
    });
}

/// Without anything that answers: what comes through is looked at.
async fn through(bus: &PrivateBus, access: Option<Access>) -> tokio::sync::mpsc::Receiver<Request> {
    let (mut ours, mut requests, outs) = start_with(BusAddress::from(bus.address()), access);
    ours.reached(BusState::Owned).await;
    // Never dropped: the task would end.
    std::mem::forget((ours, outs));
    let owned = requests.recv().await.unwrap();
    assert_eq!(owned.token, 0, "the notice that the name is owned");
    requests
}

#[test]
fn what_is_denied_never_reaches_the_policy_and_registers_nothing() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let mut requests = through(&bus, access([(Role::Observe, everyone())])).await;
        let raw = Raw::bus(bus.address()).await;
        raw.connection.request_name("org.example.tuner").await.unwrap();
        let domain = T(vec![
            Q(0),
            S("tuner".into()),
            S("org.example.tuner".into()),
            S("n".into()),
            B(false),
            B(false),
            N(1),
        ]);
        let register = [domain, S("org.example.tuner".into()), S("/".into()), S("a.b".into())];

        let mut denials = Vec::new();
        let ack = [Q(1), Q(1), Q(0)];
        denials.push(raw.call_at(ROUTING_PATH, None, "registerDomain", &register).await);
        denials.push(raw.call_at(ROUTING_PATH, None, "ackConnect", &ack).await);
        denials.push(raw.call_at(ROUTING_PATH, None, "getRoutingReadyState", &[]).await);
        denials.push(raw.call("Connect", &[Q(101), Q(101)]).await);
        denials.push(raw.call("SetSystemProperty", &[T(vec![N(1), N(1)])]).await);

        for denial in denials {
            assert_eq!(error_name(denial), DENIED);
        }
        assert!(requests.try_recv().is_err());
    });
}

#[test]
fn a_senders_calls_keep_their_order_while_the_bus_is_asked_who_it_is_and_nobody_else_waits() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let user = std::fs::metadata("/proc/self").unwrap().uid();
        let roles = [(Role::Observe, everyone()), (Role::Control, who(&[user], &[]))];
        let mut requests = through(&bus, access(roles)).await;
        let raw = Raw::bus(bus.address()).await;
        let send = |member: &'static str, id: u16| {
            let message = zbus::Message::method_call(COMMAND_PATH, member).destination(BUS_NAME);
            message.interface(COMMAND_INTERFACE).build(&(id, 1_i16)).unwrap()
        };
        for id in 1..=3 {
            raw.connection.send(&send("SetVolume", id)).await.unwrap();
        }
        let read = zbus::Message::method_call(COMMAND_PATH, "GetListMainSinks").destination(BUS_NAME);
        raw.connection.send(&read.build(&()).unwrap()).await.unwrap();
        raw.connection.send(&send("SetVolume", 4)).await.unwrap();

        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(format!("{:?}", requests.recv().await.unwrap().what));
        }
        let sinks: Vec<&str> = seen
            .iter()
            .map(|it| if it.contains("GetList") { "list" } else { "set" })
            .collect();
        assert_eq!(sinks, ["set", "set", "set", "list", "set"]);
        for (id, at) in [(1, 0), (2, 1), (3, 2), (4, 4)] {
            assert!(seen[at].contains(&format!("sink: {id},")), "{seen:?}");
        }
    });
}
