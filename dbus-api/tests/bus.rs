//! On a real bus: the name regained, senders served in turn, busctl and gdbus as clients.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::process::Command;

use common::V::{self, N, Q, S, T};
use common::fake::Fake;
use common::rows::methods;
use common::{Folder, Raw, error_name, listed_methods, next as next_message, next_but_signals as next, run};
use dbus_api::client::{Client, Error, Heard, Names};
use dbus_api::names::{BUS_NAME, COMMAND_INTERFACE, COMMAND_PATH, OWN_INTERFACE, OWN_PATH, ROOT_PATH};
use dbus_api::private_bus::PrivateBus;
use dbus_api::server::{Bus, BusAddress, BusState, Out, SENDER_LIMIT, What, start};
use policy::command::{Call, Reply, ReplyBody, Signal};

fn address(bus: &PrivateBus) -> BusAddress {
    BusAddress::from(bus.address())
}

/// A daemon that answers, with its name owned.
async fn daemon(bus: &PrivateBus) -> Bus {
    let (mut ours, requests, outs) = start(address(bus));
    tokio::spawn(Fake::default().serve(requests, outs));
    ours.reached(BusState::Owned).await;
    ours
}

#[test]
fn the_name_is_owned_again_after_the_bus_died_and_came_back_and_calls_work_again() {
    run(async {
        let folder = Folder::new();
        let mut bus = PrivateBus::start(folder.path()).unwrap();
        let mut ours = daemon(&bus).await;
        for _ in 0..2 {
            bus.kill();
            ours.reached(BusState::Absent).await;
            bus.restart().unwrap();
            ours.reached(BusState::Owned).await;

            let client = Client::connect(&address(&bus)).await.unwrap();
            let reply = client.call(&Call::GetVolume { sink: 101 }).await.unwrap();
            assert_eq!(reply.body, ReplyBody::Volume(50));
        }
    });
}

#[test]
fn a_bus_that_is_absent_at_the_start_is_found_when_it_comes_and_nothing_handed_over_before_is_kept() {
    run(async {
        let folder = Folder::new();
        let at = BusAddress::At(format!("unix:path={}", folder.path().join("bus").display()));
        let (mut ours, _requests, outs) = start(at);
        for n in 0..100_000 {
            outs.send(Out::Signal(Signal::SinkRemoved { sink: 1 })).unwrap();
            if n % 1000 == 0 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(ours.state(), BusState::Absent);

        let bus = PrivateBus::start(folder.path()).unwrap();
        ours.reached(BusState::Owned).await;

        let client = Client::connect(&address(&bus)).await.unwrap();
        let mut heard = client.signals().await.unwrap();
        outs.send(Out::Event("now".into())).unwrap();
        assert_eq!(heard.next().await, Some(Heard::Event("now".into())));
    });
}

/// A connection that hears all the daemon's signals and those of names, and has said so to the bus alone.
struct Bystander(zbus::Connection, zbus::MessageStream);

impl Bystander {
    async fn new(bus: &PrivateBus) -> Self {
        let connection = zbus::connection::Builder::address(bus.address()).build().await.unwrap();
        let stream = zbus::MessageStream::from(&connection);
        let dbus = "org.freedesktop.DBus";
        let call = connection.call_method(
            Some(dbus),
            "/org/freedesktop/DBus",
            Some(dbus),
            "AddMatch",
            &"type='signal'",
        );
        call.await.unwrap();
        Self(connection, stream)
    }

    /// Texts of events up to a signal that a sink went.
    async fn events(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            let message = next_message(&mut self.1).await;
            match message.header().member().map(|member| member.as_str()) {
                Some("Event") => texts.push(message.body().deserialize().unwrap()),
                Some("SinkRemoved") => return texts,
                _ => {}
            }
        }
    }

    /// Until the daemon has heard that a connection is gone: the bus told it before it carries what is called after.
    async fn hears_of_end(&mut self, gone: &str) {
        loop {
            let message = next_message(&mut self.1).await;
            let is_change = message.header().member().is_some_and(|it| it == "NameOwnerChanged");
            if is_change && message.body().deserialize::<(&str, &str, &str)>().unwrap() == (gone, gone, "") {
                break;
            }
        }
        let peer = Some("org.freedesktop.DBus.Peer");
        self.0
            .call_method(Some(BUS_NAME), "/", peer, "Ping", &())
            .await
            .unwrap();
    }
}

#[test]
fn events_leave_while_somebody_listens_and_the_first_of_a_connection_anyway() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let (mut ours, _requests, outs) = start(address(&bus));
        ours.reached(BusState::Owned).await;
        let mut bystander = Bystander::new(&bus).await;
        let send = |text: &str, count: usize| {
            for _ in 0..count {
                outs.send(Out::Event(text.into())).unwrap();
            }
            outs.send(Out::Signal(Signal::SinkRemoved { sink: 1 })).unwrap();
        };

        send("unasked", 100);
        assert_eq!(bystander.events().await, vec!["unasked"; 64]);

        let client = Client::connect(&address(&bus)).await.unwrap();
        let mut heard = client.signals().await.unwrap();
        send("wanted", 2);
        assert_eq!(bystander.events().await, ["wanted"; 2]);
        assert_eq!(heard.next().await, Some(Heard::Event("wanted".into())));

        let name = client.connection().unique_name().unwrap().to_string();
        drop((heard, client));
        bystander.hears_of_end(&name).await;
        send("nobody's", 1);
        assert_eq!(bystander.events().await, Vec::<String>::new());
    });
}

#[test]
fn a_name_that_is_anothers_is_owned_once_it_is_released() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let other = zbus::connection::Builder::address(bus.address()).build().await.unwrap();
        other.request_name(BUS_NAME).await.unwrap();
        let (mut ours, _requests, _outs) = start(address(&bus));
        ours.reached(BusState::NameTaken).await;

        assert!(other.release_name(BUS_NAME).await.unwrap());

        ours.reached(BusState::Owned).await;
    });
}

/// A bus that is stopped takes nothing: what lies before it is bounded, then it is left, and found again when it goes on.
#[test]
fn a_bus_that_reads_nothing_is_left_before_the_backlog_grows_and_found_again() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let (mut ours, _requests, outs) = start(address(&bus));
        ours.reached(BusState::Owned).await;
        let client = Client::connect(&address(&bus)).await.unwrap();
        let _listens = client.signals().await.unwrap();
        let signal = |name: &str| {
            let pid = bus.pid().unwrap().to_string();
            assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
        };
        signal("-STOP");

        let mut handed_over = 0;
        while ours.state() == BusState::Owned {
            outs.send(Out::Event("x".repeat(64 << 10))).unwrap();
            handed_over += 1;
            tokio::task::yield_now().await;
        }
        signal("-CONT");

        assert!(handed_over < (64 << 20) / (64 << 10), "{handed_over} events of 64 KiB");
        ours.reached(BusState::Owned).await;
    });
}

/// Unique names start again with the bus: a new client may have the name of an old one, and must not inherit its calls.
#[test]
fn unanswered_calls_die_with_the_bus_and_a_new_client_of_the_same_name_is_served() {
    run(async {
        let folder = Folder::new();
        let mut bus = PrivateBus::start(folder.path()).unwrap();
        let (mut ours, mut requests, outs) = start(address(&bus));
        ours.reached(BusState::Owned).await;
        let old = Raw::bus(bus.address()).await;
        let calls: Vec<zbus::Message> = (0..=SENDER_LIMIT)
            .map(|_| {
                let call = zbus::Message::method_call(COMMAND_PATH, "GetListMainSinks").destination(BUS_NAME);
                call.build(&()).unwrap()
            })
            .collect();
        let mut refusals = zbus::MessageStream::from(&old.connection);
        old.connection.send_all(&calls).await.unwrap();
        assert!(next(&mut refusals).await.header().error_name().is_some());
        let mut handed_on = Vec::new();
        while let Ok(request) = requests.try_recv() {
            handed_on.push(request.token);
        }

        bus.kill();
        ours.reached(BusState::Absent).await;
        bus.restart().unwrap();
        ours.reached(BusState::Owned).await;
        let new = Raw::bus(bus.address()).await;
        assert_eq!(new.connection.unique_name(), old.connection.unique_name());
        let asked = tokio::spawn(async move { new.call("getVolume", &[Q(1)]).await });
        while let Some(request) = requests.recv().await {
            if request.what == What::Command(Call::GetVolume { sink: 1 }) {
                let body = ReplyBody::Volume(3);
                let (token, reply) = (request.token, Reply { error: 0, body });
                outs.send(Out::Reply { token, reply }).unwrap();
                break;
            }
        }

        let reply = asked.await.unwrap().unwrap();
        assert_eq!(reply.body().deserialize::<(i16, i16)>().unwrap(), (0, 3));
        // Late answers meet nobody.
        for token in handed_on {
            let body = ReplyBody::Sinks(vec![]);
            let reply = Reply { error: 0, body };
            outs.send(Out::Reply { token, reply }).unwrap();
        }
        Raw::bus(bus.address()).await.call("Ping", &[]).await.unwrap();
        assert_eq!(ours.state(), BusState::Owned);
    });
}

#[test]
fn a_dropped_handle_stops_nothing() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();

        drop(daemon(&bus).await);

        let reply = Raw::bus(bus.address())
            .await
            .call("getVolume", &[Q(101)])
            .await
            .unwrap();
        assert_eq!(reply.body().deserialize::<(i16, i16)>().unwrap(), (0, 50));
    });
}

/// A body of 16 MiB, and a path of 1 MiB that the error would repeat.
#[test]
fn huge_messages_get_small_errors_and_others_are_served() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let _ours = daemon(&bus).await;
        let raw = Raw::bus(bus.address()).await;
        for _ in 0..8 {
            let huge = raw.call("SetVolume", &[S("x".repeat(16 << 20))]).await;
            assert_eq!(error_name(huge), "org.freedesktop.DBus.Error.InvalidArgs");
        }
        let path = format!("/{}", "x".repeat(1 << 20));
        let error = raw.call_at(&path, None, "Connect", &[Q(1), Q(1)]).await.unwrap_err();
        assert!(error.to_string().len() < 2000, "{} characters", error.to_string().len());
        raw.call("getVolume", &[Q(101)]).await.unwrap();
    });
}

/// A client that says "NameLost" does not make us give anything up.
#[test]
fn a_name_lost_signal_of_a_client_is_nothing() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let ours = daemon(&bus).await;
        let raw = Raw::bus(bus.address()).await;
        let lie = zbus::Message::signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameLost")
            .destination(BUS_NAME)
            .build(&BUS_NAME)
            .unwrap();

        raw.connection.send(&lie).await.unwrap();
        raw.call("getVolume", &[Q(101)]).await.unwrap();

        assert_eq!(ours.state(), BusState::Owned);
    });
}

#[test]
fn stop_sends_what_was_handed_over_and_gives_the_name_back() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let (mut ours, _requests, outs) = start(address(&bus));
        ours.reached(BusState::Owned).await;
        let client = Client::connect(&address(&bus)).await.unwrap();
        let mut heard = client.signals().await.unwrap();

        outs.send(Out::Event("last".into())).unwrap();
        ours.stop().await;

        assert_eq!(heard.next().await, Some(Heard::Event("last".into())));
        assert_eq!(heard.next().await, Some(Heard::Daemon(false)));
        assert!(matches!(
            client.call(&Call::GetListMainSinks).await,
            Err(Error::NoDaemon)
        ));
    });
}

/// Hundreds of calls of the flood wait when the other's comes; only those that were handed on already go first.
#[test]
fn a_flood_of_one_sender_does_not_hold_up_another() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let (mut ours, mut requests, outs) = start(address(&bus));
        ours.reached(BusState::Owned).await;
        let flood = Raw::bus(bus.address()).await;
        let other = Raw::bus(bus.address()).await;
        let message = |member, id: u16| {
            let call = zbus::Message::method_call(COMMAND_PATH, member).destination(BUS_NAME);
            call.build(&id).unwrap()
        };
        let mut refusals = zbus::MessageStream::from(&flood.connection);
        let calls: Vec<zbus::Message> = (0..2000).map(|_| message("Disconnect", 1)).collect();
        flood.connection.send_all(&calls).await.unwrap();
        for _ in SENDER_LIMIT..calls.len() {
            let refusal = next(&mut refusals).await;
            assert_eq!(
                refusal.header().error_name().unwrap().as_str(),
                "org.freedesktop.DBus.Error.LimitsExceeded"
            );
        }
        other.connection.send(&message("getVolume", 1)).await.unwrap();
        // Calls of one sender keep their order, so this answer says that the one before is queued.
        other.call("Ping", &[]).await.unwrap();

        let mut before = 0;
        loop {
            let request = requests.recv().await.unwrap();
            if request.what == What::Command(Call::GetVolume { sink: 1 }) {
                break;
            }
            before += 1;
        }

        assert!(
            before <= requests.max_capacity() + 1,
            "{before} calls of the flood went first"
        );
        drop(outs);
    });
}

/// Reads the methods out of the XML and calls each with its documented arguments.
#[test]
fn introspection_lists_every_method_and_each_listed_one_can_be_called() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let _ours = daemon(&bus).await;
        let raw = Raw::bus(bus.address()).await;
        let xml = introspect(&raw, COMMAND_PATH).await;
        let listed = listed_methods(&xml, COMMAND_INTERFACE);

        let mut names: Vec<&str> = listed.iter().map(|method| method.0.as_str()).collect();
        let mut documented: Vec<&str> = methods().iter().map(|row| row.0).collect();
        names.sort_unstable();
        documented.sort_unstable();
        assert_eq!(names, documented);

        for (member, takes, gives) in listed {
            let values: Vec<V> = takes.iter().map(|(_, kind)| value_of(kind)).collect();
            let reply = raw.call(&member, &values).await.unwrap();
            assert_eq!(
                reply.body().signature().to_string_no_parens(),
                gives.concat(),
                "{member}"
            );
        }
        let own = introspect(&raw, OWN_PATH).await;
        let own = listed_methods(&own, OWN_INTERFACE);
        let own: Vec<&str> = own.iter().map(|method| method.0.as_str()).collect();
        assert_eq!(
            own,
            [
                "Status",
                "Chime",
                "Listen",
                "Reload",
                "History",
                "SetSourceGain",
                "SetSourceMute",
                "SetMainSinkSoundProperties",
                "SetMainSourceSoundProperties",
                "SetSystemProperties"
            ]
        );
        assert_eq!(xml.matches("<signal ").count(), 23);
    });
}

async fn introspect(raw: &Raw, path: &str) -> String {
    let reply = raw
        .call_at(path, Some("org.freedesktop.DBus.Introspectable"), "Introspect", &[])
        .await;
    reply.unwrap().body().deserialize::<String>().unwrap()
}

fn value_of(kind: &str) -> V {
    match kind {
        "q" => Q(1),
        "n" => N(1),
        "(nn)" => T(vec![N(1), N(1)]),
        "(nnn)" => T(vec![N(1), N(1), N(1)]),
        "s" => S("x".into()),
        other => panic!("the XML has the type {other}"),
    }
}

/// Runs a client program off the runtime's thread.
async fn output(program: &'static str, package: &str, arguments: Vec<String>) -> String {
    let ran = tokio::task::spawn_blocking(move || Command::new(program).args(arguments).output());
    let ran = ran.await.unwrap();
    let ran = ran.unwrap_or_else(|error| {
        panic!("{program}: {error}; `cargo xtask setup` installs the Debian package {package}, which has it")
    });
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success(),
        "{program}: {text}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    text
}

#[test]
fn busctl_sees_the_tree_the_interfaces_and_can_call() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let _ours = daemon(&bus).await;
        let at = format!("--address={}", bus.address());
        let busctl = |arguments: &[&str]| {
            let arguments = std::iter::once(at.clone())
                .chain(arguments.iter().map(ToString::to_string))
                .collect();
            output("busctl", "systemd", arguments)
        };

        let tree = busctl(&["tree", "--list", BUS_NAME]).await;
        for path in ["/", "/org", ROOT_PATH, COMMAND_PATH, "/org/carillon", OWN_PATH] {
            assert!(tree.lines().any(|line| line == path), "{path} in {tree}");
        }
        let members = busctl(&["introspect", "--no-pager", BUS_NAME, COMMAND_PATH]).await;
        for (member, ..) in methods() {
            assert!(members.contains(&format!(".{member} ")), "{member} in {members}");
        }
        let call = ["call", BUS_NAME, COMMAND_PATH, COMMAND_INTERFACE];
        let connect = busctl(&[&call[..], &["Connect", "qq", "101", "101"]].concat()).await;
        assert_eq!(connect.trim(), "nq 0 1");
        let wide = busctl(&[&call[..], &["SetVolume", "ui", "101", "40"]].concat()).await;
        assert_eq!(wide.trim(), "n 0");
        let sinks = busctl(&[&call[..], &["GetListMainSinks"]].concat()).await;
        assert_eq!(
            sinks.trim(),
            r#"na(qs(nn)nnq) 0 2 101 "cabin" 1 0 40 2 1 102 "rear" 1 0 30 2 1"#
        );
    });
}

#[test]
fn gdbus_introspects_and_calls() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let _ours = daemon(&bus).await;
        let gdbus = |command: &str, more: &[&str]| {
            let fixed = [command, "--address", bus.address(), "--dest", BUS_NAME];
            let arguments = fixed.iter().chain(more).map(ToString::to_string).collect();
            output("gdbus", "libglib2.0-bin", arguments)
        };

        let tree = gdbus("introspect", &["--object-path", "/", "--recurse"]).await;
        for (member, ..) in methods() {
            assert!(tree.contains(&format!(" {member}(")), "{member} in {tree}");
        }
        let method = format!("{COMMAND_INTERFACE}.SetSinkMuteState");
        // gdbus takes the types from the introspection.
        let muted = gdbus(
            "call",
            &["--object-path", COMMAND_PATH, "--method", &method, "101", "1"],
        )
        .await;
        assert_eq!(muted.trim(), "(int16 0,)");
    });
}

#[test]
fn names_are_resolved_with_did_you_mean() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let _ours = daemon(&bus).await;
        let client = Client::connect(&address(&bus)).await.unwrap();
        let reply = client.call_ok(&Call::Connect { source: 101, sink: 102 }).await.unwrap();
        assert_eq!(reply.body, ReplyBody::Connection(1));

        let names = Names::ask(&client).await.unwrap();

        assert_eq!(names.source("ivi.media").unwrap().id, 101);
        assert_eq!(names.sink("102").unwrap().name, "rear");
        assert_eq!(
            names.source("ivi.meida").unwrap_err().to_string(),
            "there is no source ivi.meida; did you mean ivi.media?"
        );
        assert_eq!(
            names.sink("kitchen").unwrap_err().to_string(),
            "there is no sink kitchen; there are: cabin, rear"
        );
        assert_eq!(names.connection("ivi.media").unwrap().id, 1);
        assert!(names.connection_of("ivi.media", "cabin").is_err());
    });
}

#[test]
fn errors_tell_no_bus_no_daemon_and_not_permitted_apart() {
    run(async {
        let folder = Folder::new();
        let nowhere = BusAddress::At(format!("unix:path={}", folder.path().join("nowhere").display()));
        assert!(matches!(Client::connect(&nowhere).await, Err(Error::NoBus { .. })));
        let policy = format!(
            "<policy context=\"mandatory\"><deny send_destination=\"{BUS_NAME}\" send_interface=\"{COMMAND_INTERFACE}\" send_member=\"SetVolume\"/></policy>"
        );
        let bus = PrivateBus::start_with(folder.path(), &policy).unwrap();
        let client = Client::connect(&address(&bus)).await.unwrap();
        assert!(matches!(client.status().await, Err(Error::NoDaemon)));
        let _ours = daemon(&bus).await;

        let denied = client.call(&Call::SetVolume { sink: 101, volume: 5 }).await;

        assert!(matches!(denied, Err(Error::NotPermitted(_))), "{denied:?}");
        assert_eq!(
            error_name(Raw::bus(bus.address()).await.call("getVolume", &[Q(101)]).await),
            "no error"
        );
    });
}
