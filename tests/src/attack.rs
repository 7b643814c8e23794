//! Callers that mean ill, each on a thread and a connection of its own until it is dropped.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::am_suite::members::{MEMBERS, Side};
use dbus_api::names::{BUS_NAME, COMMAND_PATH, OWN_PATH, ROUTING_PATH};
use zbus::connection::{Builder, Connection};
use zbus::export::futures_core::Stream;
use zbus::message::{Flags, Type};
use zbus::{Message, MessageStream};

/// What an attacker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every member of every interface with types and bytes out of a generator.
    Fuzz,
    /// Calls without waiting for answers, as many as the bus takes.
    Flood,
    /// Registers domains, sources and sinks in each, a thousand times over.
    Domains,
    /// One domain that asks to be connected again and again, and never acknowledges.
    Silent,
}

/// Running attackers.
pub struct Attack {
    stop: Arc<AtomicBool>,
    /// Calls made by all of them.
    pub calls: Arc<AtomicU64>,
    /// Answers with LimitsExceeded.
    pub limited: Arc<AtomicU64>,
    /// Domains that wanted to be registered.
    pub domains: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Attack {
    /// One attacker of each kind.
    pub fn start(address: &str, kinds: &[Kind]) -> Self {
        let (stop, calls, limited) = (Arc::default(), Arc::default(), Arc::default());
        let domains = Arc::default();
        let threads = kinds.iter().map(|kind| {
            let kind = *kind;
            let it = Attacker {
                address: address.to_owned(),
                stop: Arc::clone(&stop),
                calls: Arc::clone(&calls),
                limited: Arc::clone(&limited),
                domains: Arc::clone(&domains),
            };
            std::thread::spawn(move || it.run(kind))
        });
        let threads = threads.collect();
        Self {
            stop,
            calls,
            limited,
            domains,
            threads,
        }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "an attacker was thrown off");
        }
    }
}

struct Attacker {
    address: String,
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    limited: Arc<AtomicU64>,
    domains: Arc<AtomicU64>,
}

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % below.max(1)
    }
}

fn any_body(call: zbus::message::Builder<'_>, numbers: &mut Numbers) -> Message {
    let short = numbers.next(1 << 16) as u16;
    // None that is the guest's or its zone's: what a client may do to those is no attack.
    let id = 1000 + short % 30_000;
    let value = numbers.next(1 << 16) as u16 as i16;
    let text: String = "x".repeat(numbers.next(300));
    let many = numbers.next(2000);
    let call = match numbers.next(18) {
        0 => call.build(&()),
        1 => call.build(&id),
        2 => call.build(&(id, id)),
        3 => call.build(&(id, value)),
        4 => call.build(&(id, (value, value))),
        5 => call.build(&((value, value),)),
        6 => call.build(&(id, (value, value, value))),
        7 => call.build(&text.as_str()),
        8 => call.build(&(id, id, short)),
        9 => call.build(&(u32::from(id), i32::from(value))),
        10 => call.build(&(i64::from(value), 0.5_f64)),
        11 => call.build(&vec![id; many]),
        12 => call.build(&vec![(value, value); many]),
        13 => call.build(&(id, id, vec![id; many], vec![true; many])),
        14 => call.build(&((
            id,
            text.as_str(),
            id,
            id,
            id,
            id,
            id,
            vec![1_i32; many],
            vec![2_i32],
            vec![true; many],
        ),)),
        15 => call.build(&(u32::MAX, u32::MAX)),
        16 => call.build(&(id, id, id, vec![(id, id, id, short); many % 50], 2_u16)),
        _ => call.build(&(((((value,),),),), text.as_str())),
    };
    call.unwrap()
}

impl Attacker {
    fn run(&self, kind: Kind) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let connection = Builder::address(self.address.as_str()).build().await.unwrap();
            match kind {
                Kind::Fuzz => self.fuzz(&connection).await,
                Kind::Flood => self.flood(&connection).await,
                Kind::Domains => self.domains(&connection).await,
                Kind::Silent => self.silent(&connection).await,
            }
        });
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed)
    }

    /// Answered, so that the bus does not throw us off for what lies before it.
    async fn breathe(&self, connection: &Connection) {
        let ping = connection.call_method(
            Some(BUS_NAME),
            COMMAND_PATH,
            Some("org.freedesktop.DBus.Peer"),
            "Ping",
            &(),
        );
        ping.await.unwrap();
    }

    /// Bodies are of all sorts of types but valid: the bus itself throws off who sends others.
    async fn fuzz(&self, connection: &Connection) {
        let mut numbers = Numbers(12345);
        let members = MEMBERS
            .iter()
            .filter(|it| matches!(it.side, Side::Command | Side::Routing));
        let members: Vec<&str> = members
            .map(|it| it.name)
            .chain(["Status", "Introspect", "GetAll"])
            .collect();
        while self.goes_on() {
            for _ in 0..64 {
                let path = [COMMAND_PATH, ROUTING_PATH, OWN_PATH][numbers.next(3)];
                let member = members[numbers.next(members.len())];
                let call = Message::method_call(path, member).destination(BUS_NAME);
                let call = any_body(call.with_flags(Flags::NO_REPLY_EXPECTED), &mut numbers);
                connection.send(&call).await.unwrap();
            }
            self.calls.fetch_add(64, Relaxed);
            self.breathe(connection).await;
        }
    }

    async fn flood(&self, connection: &Connection) {
        let mut stream = MessageStream::from(connection);
        while self.goes_on() {
            // More at a time than one sender may have unanswered.
            let call = |id: u16| {
                let call = Message::method_call(COMMAND_PATH, "Disconnect").destination(BUS_NAME);
                call.build(&id).unwrap()
            };
            let flood: Vec<Message> = (2000..2600).map(call).collect();
            connection.send_all(&flood).await.unwrap();
            let mut left = flood.len();
            while left > 0 {
                let message = poll_fn(|context| Pin::new(&mut stream).poll_next(context));
                let message = message.await.unwrap().unwrap();
                match message.message_type() {
                    Type::MethodReturn => left -= 1,
                    Type::Error => {
                        let name = message.header().error_name().map(ToString::to_string);
                        assert_eq!(name.as_deref(), Some("org.freedesktop.DBus.Error.LimitsExceeded"));
                        self.limited.fetch_add(1, Relaxed);
                        left -= 1;
                    }
                    _ => {}
                }
                self.calls.fetch_add(1, Relaxed);
            }
        }
    }

    async fn domains(&self, connection: &Connection) {
        let name = "org.example.Hostile";
        connection.request_name(name).await.unwrap();
        let mut count = 0_u32;
        while self.goes_on() {
            let data = (0_u16, format!("hostile{count}"), "", "node", false, false, 1_i16);
            let body = (data, name, "/hostile", "org.example.hostile");
            let reply = connection.call_method(Some(BUS_NAME), ROUTING_PATH, None::<&str>, "registerDomain", &body);
            let (id, error): (u16, u16) = reply.await.unwrap().body().deserialize().unwrap();
            assert!(error == 0 || (error, id) == (7, 0), "{error} {id}");
            count += 1;
            self.domains.fetch_add(1, Relaxed);
            self.calls.fetch_add(1, Relaxed);
            if count.is_multiple_of(1000) {
                // All of them go, and come again.
                connection.release_name(name).await.unwrap();
                connection.request_name(name).await.unwrap();
            }
        }
    }

    async fn silent(&self, connection: &Connection) {
        let name = "org.example.Silent";
        connection.request_name(name).await.unwrap();
        let data = (0_u16, "silent", "", "node", false, false, 1_i16);
        let body = (data, name, "/silent", "org.example.silent");
        let call = |member: &'static str| (Some(BUS_NAME), ROUTING_PATH, None::<&str>, member);
        let (to, path, interface, member) = call("registerDomain");
        let reply = connection
            .call_method(to, path, interface, member, &body)
            .await
            .unwrap();
        let (domain, _): (u16, u16) = reply.body().deserialize().unwrap();
        let none = Vec::<(i32, i16)>::new;
        let notes = Vec::<(i32, i32, i16)>::new;
        let sink = (
            0_u16,
            "silent",
            domain,
            101_i32,
            0_i16,
            true,
            (1_i32, 0_i32),
            2_i16,
            50_i16,
            none(),
            vec![2_i32],
            none(),
            notes(),
            notes(),
        );
        let (to, path, interface, member) = call("registerSink");
        let reply = connection
            .call_method(to, path, interface, member, &(sink,))
            .await
            .unwrap();
        let (sink, _): (u16, u16) = reply.body().deserialize().unwrap();
        let source = (
            0_u16,
            domain,
            "silent",
            101_u16,
            2_i32,
            0_i16,
            true,
            (1_i32, 0_i32),
            1_u16,
            none(),
            vec![2_i32],
            none(),
            notes(),
            notes(),
        );
        let (to, path, interface, member) = call("registerSource");
        let reply = connection
            .call_method(to, path, interface, member, &(source,))
            .await
            .unwrap();
        let (source, _): (u16, u16) = reply.body().deserialize().unwrap();
        let mut volume = 0_i16;
        while self.goes_on() {
            for (member, second) in [("Connect", sink), ("SetVolume", (volume % 100) as u16)] {
                let first = if member == "Connect" { source } else { sink };
                let body = (first, second);
                let reply = connection.call_method(Some(BUS_NAME), COMMAND_PATH, None::<&str>, member, &body);
                reply.await.unwrap();
            }
            volume += 1;
            self.calls.fetch_add(2, Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
