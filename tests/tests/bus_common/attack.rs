//! Callers that mean ill, each on a thread and a connection of its own until it is dropped.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use dbus_api::names::{BUS_NAME, COMMAND_PATH, OWN_PATH, ROUTING_PATH};
use system_tests::am_suite::members::{MEMBERS, Side};
use zbus::Message;
use zbus::connection::{Builder, Connection};
use zbus::message::Flags;

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
    threads: Vec<JoinHandle<()>>,
}

impl Attack {
    /// One attacker of each kind.
    pub fn start(address: &str, kinds: &[Kind]) -> Self {
        let (stop, calls, limited) = (Arc::default(), Arc::default(), Arc::default());
        let threads = kinds.iter().map(|kind| {
            let kind = *kind;
            let it = Attacker {
                address: address.to_owned(),
                stop: Arc::clone(&stop),
                calls: Arc::clone(&calls),
                limited: Arc::clone(&limited),
            };
            std::thread::spawn(move || it.run(kind))
        });
        let threads = threads.collect();
        Self {
            stop,
            calls,
            limited,
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

const SIGNATURES: [&str; 14] = [
    "", "q", "qq", "qn", "n", "s", "ss", "(nn)", "q(nn)", "q(nnn)", "aq", "a(nn)", "v", "qqaq",
];

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

    async fn fuzz(&self, connection: &Connection) {
        let mut numbers = Numbers(12345);
        let members: Vec<_> = MEMBERS
            .iter()
            .filter(|it| matches!(it.side, Side::Command | Side::Routing))
            .collect();
        while self.goes_on() {
            for _ in 0..64 {
                let path = [COMMAND_PATH, ROUTING_PATH, OWN_PATH][numbers.next(3)];
                let member = match numbers.next(8) {
                    0 => "Status",
                    1 => "Introspect",
                    _ => members[numbers.next(members.len())].name,
                };
                let call = Message::method_call(path, member)
                    .destination(BUS_NAME)
                    .with_flags(Flags::NO_REPLY_EXPECTED);
                let bytes: Vec<u8> = (0..numbers.next(40))
                    .map(|_| {
                        if numbers.next(3) == 0 {
                            numbers.next(256) as u8
                        } else {
                            0
                        }
                    })
                    .collect();
                let signature = SIGNATURES[numbers.next(SIGNATURES.len())];
                let bytes = if signature.is_empty() { Vec::new() } else { bytes };
                // SAFETY: an invalid body is what is tested; it holds no descriptors.
                let call = unsafe { call.build_raw_body(&bytes, signature, vec![]) };
                connection.send(&call.unwrap()).await.unwrap();
            }
            self.calls.fetch_add(64, Relaxed);
            self.breathe(connection).await;
        }
    }

    async fn flood(&self, connection: &Connection) {
        let (calls, limited) = (Arc::clone(&self.calls), Arc::clone(&self.limited));
        while self.goes_on() {
            // More at a time than one sender may have unanswered.
            let flood: Vec<_> = (0..600_u16)
                .map(|id| {
                    connection
                        .call_method(Some(BUS_NAME), COMMAND_PATH, None::<&str>, "Disconnect", &(id.max(1),))
                        .boxed()
                })
                .collect();
            for answer in all(flood).await {
                calls.fetch_add(1, Relaxed);
                if let Err(zbus::Error::FDO(error)) = &answer
                    && matches!(**error, zbus::fdo::Error::LimitsExceeded(_))
                {
                    limited.fetch_add(1, Relaxed);
                }
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
            self.calls.fetch_add(1, Relaxed);
            if count % 1000 == 0 {
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
                let reply =
                    connection.call_method(Some(BUS_NAME), COMMAND_PATH, None::<&str>, member, &(first, second));
                reply.await.unwrap();
            }
            volume += 1;
            self.calls.fetch_add(2, Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

use std::future::Future;
use std::pin::Pin;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

trait BoxedExt<'a>: Future + Sized + 'a {
    fn boxed(self) -> Boxed<'a, Self::Output> {
        Box::pin(self)
    }
}

impl<'a, F: Future + 'a> BoxedExt<'a> for F {}

/// All at once; their outcomes in order.
async fn all<T>(futures: Vec<Boxed<'_, T>>) -> Vec<T> {
    let mut pending: Vec<Option<Boxed<'_, T>>> = futures.into_iter().map(Some).collect();
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (slot, result) in pending.iter_mut().zip(&mut done) {
            if let Some(future) = slot
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *result = Some(value);
                *slot = None;
            }
        }
        if pending.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
