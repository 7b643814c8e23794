//! A domain as another process would be: a bus connection that registers a source and a sink and acknowledges what it is asked,
//! or doesn't; and a client that hears every signal.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, reason = "helpers of tests")]

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use dbus_api::client::{Client, Heard, Signals};
use dbus_api::names::{BUS_NAME, COMMAND_INTERFACE, COMMAND_PATH, ROUTING_INTERFACE, ROUTING_PATH};
use dbus_api::server::BusAddress;
use system_tests::daemon::Daemon;
use zbus::connection::{Builder, Connection};
use zbus::export::futures_core::Stream;
use zbus::message::Type;
use zbus::{DynamicType, Message, MessageStream};

/// Longest wait for something that must happen; a missing ack is noticed after 5 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// The bus name of the domain.
pub const NAME: &str = "org.example.Amplifier";
/// Its interface.
const INTERFACE: &str = "org.example.amplifier";

/// One zone, a guest with music and prompts that duck it.
pub fn system(bus: &str) -> String {
    format!(
        r#"version = 1
bus = "{bus}"

[codecs.main]
backend = "wav"
path = "cabin.wav"
period = 240
lead = 16

[zones.cabin]
codec = "main"

[classes.media]
priority = 10
[classes.navigation]
priority = 50

[[matrix]]
holder = "media"
newcomer = "navigation"
action = "duck"

[guests.ivi]
socket = "ivi.sock"
streams.media = {{ class = "media", zone = "cabin" }}
streams.prompt = {{ class = "navigation", zone = "cabin" }}
"#
    )
}

pub fn start(folder: &Path) -> Daemon {
    Daemon::start(folder, system).unwrap()
}

/// Runs a test with a deadline.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(2 * PATIENCE, test).await.expect("the test hangs") });
}

async fn next(stream: &mut MessageStream) -> Message {
    let message = poll_fn(|context| Pin::new(&mut *stream).poll_next(context));
    let message = tokio::time::timeout(PATIENCE, message).await.expect("nothing came");
    message.expect("the bus is gone").unwrap()
}

/// The numbers of a body, structures flattened: what requests and their acks are made of.
fn numbers(message: &Message) -> Vec<i64> {
    let body = message.body();
    let text = body.signature().to_string_no_parens();
    let one = |value: Result<i64, zbus::Error>| vec![value.unwrap()];
    match text.as_str() {
        "q" => one(body.deserialize::<u16>().map(i64::from)),
        "qqqqi" => {
            let (a, b, c, d, e): (u16, u16, u16, u16, i32) = body.deserialize().unwrap();
            vec![a.into(), b.into(), c.into(), d.into(), e.into()]
        }
        "qq" => {
            let (a, b): (u16, u16) = body.deserialize().unwrap();
            vec![a.into(), b.into()]
        }
        "qqi" => {
            let (a, b, c): (u16, u16, i32) = body.deserialize().unwrap();
            vec![a.into(), b.into(), c.into()]
        }
        "qqnnq" => {
            let (a, b, c, d, e): (u16, u16, i16, i16, u16) = body.deserialize().unwrap();
            vec![a.into(), b.into(), c.into(), d.into(), e.into()]
        }
        other => panic!("a request with {other}"),
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub member: String,
    pub handle: u16,
    /// After the handle.
    pub rest: Vec<i64>,
}

/// The domain.
pub struct Amplifier {
    pub connection: Connection,
    pub stream: MessageStream,
    pub domain: u16,
    pub source: u16,
    pub sink: u16,
}

impl Amplifier {
    /// Connects, and listens to the routing interface.
    pub async fn connect(address: &str) -> Self {
        let connection = Builder::address(address).max_queued(std::num::NonZeroUsize::new(256).unwrap());
        let connection = connection.build().await.unwrap();
        let stream = MessageStream::from(&connection);
        let rule = format!("type='signal',sender='{BUS_NAME}',interface='{ROUTING_INTERFACE}'");
        let bus = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        connection
            .call_method(Some(bus), path, Some(bus), "AddMatch", &rule)
            .await
            .unwrap();
        let (domain, source, sink) = (0, 0, 0);
        Self {
            connection,
            stream,
            domain,
            source,
            sink,
        }
    }

    /// As [`Self::connect`], with everything registered: the source with state OFF, the sink at mainVolume 100, not muted.
    pub async fn registered(address: &str) -> Self {
        let mut amplifier = Self::connect(address).await;
        amplifier.connection.request_name(NAME).await.unwrap();
        amplifier.ready().await;
        amplifier.register().await;
        amplifier
    }

    /// Waits until the daemon has its name and serves.
    pub async fn ready(&self) {
        let interface = Some(ROUTING_INTERFACE);
        for _ in 0..2000 {
            let call =
                self.connection
                    .call_method(Some(BUS_NAME), ROUTING_PATH, interface, "getRoutingReadyState", &());
            match call.await {
                Ok(reply) => return assert!(reply.body().deserialize::<bool>().unwrap()),
                Err(zbus::Error::FDO(error)) if matches!(*error, zbus::fdo::Error::ServiceUnknown(_)) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("getRoutingReadyState: {error} (audiod as built last: cargo build -p audiod)"),
            }
        }
        panic!("the daemon's name is not owned");
    }

    /// No request has come that was not taken yet.
    pub async fn nothing_asked(&mut self) {
        let call = Message::method_call(ROUTING_PATH, "getRoutingReadyState").destination(BUS_NAME);
        let call = call.build(&()).unwrap();
        self.connection.send(&call).await.unwrap();
        loop {
            let message = next(&mut self.stream).await;
            if message.header().reply_serial() == Some(call.primary_header().serial_num()) {
                return;
            }
            assert_ne!(message.message_type(), Type::MethodCall, "{message:?}");
        }
    }

    pub async fn register(&mut self) {
        let data = (0_u16, "amplifier", "", "node", false, false, 1_i16);
        let body = (data, NAME, "/amplifier", INTERFACE);
        self.domain = self.id("registerDomain", &body).await;
        self.call("confirmRoutingReady", &self.domain).await;
        let class = self.id("peekSourceClassID", &"media").await;
        let (sounds, formats) = (Vec::<(i32, i16)>::new(), vec![1_i32, 2]);
        let none = || Vec::<(i32, i32, i16)>::new();
        let available = (1_i32, 0_i32);
        let lists = (sounds.clone(), formats, sounds);
        let sink = (
            0_u16,
            "speakers",
            self.domain,
            i32::from(class),
            0_i16,
            true,
            available,
            2_i16,
            100_i16,
            lists.0.clone(),
            lists.1.clone(),
            lists.2.clone(),
            none(),
            none(),
        );
        self.sink = self.id("registerSink", &(sink,)).await;
        let source = (
            0_u16,
            self.domain,
            "tuner",
            class,
            2_i32,
            0_i16,
            true,
            available,
            1_u16,
            lists.0,
            lists.1,
            lists.2,
            none(),
            none(),
        );
        self.source = self.id("registerSource", &(source,)).await;
        self.call("hookDomainRegistrationComplete", &self.domain).await;
    }

    /// A call at the routing interface and its reply.
    pub async fn call(&self, member: &str, body: &(impl serde::Serialize + DynamicType)) -> Message {
        let interface = Some(ROUTING_INTERFACE);
        let call = self
            .connection
            .call_method(Some(BUS_NAME), ROUTING_PATH, interface, member, body);
        call.await.unwrap_or_else(|error| panic!("{member}: {error}"))
    }

    /// One that gives an ID.
    pub async fn id(&self, member: &str, body: &(impl serde::Serialize + DynamicType)) -> u16 {
        let (id, error): (u16, u16) = self.call(member, body).await.body().deserialize().unwrap();
        assert_eq!(error, 0, "{member}");
        id
    }

    /// The next request; it is returned from, as a stock domain does.
    pub async fn asked(&mut self) -> Asked {
        loop {
            let message = next(&mut self.stream).await;
            if message.message_type() != Type::MethodCall {
                continue;
            }
            let header = message.header();
            assert_eq!(header.path().unwrap().as_str(), "/amplifier");
            assert_eq!(header.interface().unwrap().as_str(), INTERFACE);
            let reply = Message::method_return(&header).build(&0_i32).unwrap();
            self.connection.send(&reply).await.unwrap();
            let all = numbers(&message);
            return Asked {
                member: header.member().unwrap().to_string(),
                handle: u16::try_from(all[0]).unwrap(),
                rest: all[1..].to_vec(),
            };
        }
    }

    /// The next request, which must be this one.
    pub async fn expect(&mut self, member: &str, rest: &[i64]) -> u16 {
        let asked = self.asked().await;
        assert_eq!((asked.member.as_str(), asked.rest.as_slice()), (member, rest));
        asked.handle
    }

    /// Acknowledges a request with an error or 0.
    pub async fn ack(&self, asked: &Asked, error: u16) {
        let handle = asked.handle;
        let number = |index: usize| asked.rest[index];
        match asked.member.as_str() {
            "asyncConnect" => self.call("ackConnect", &(handle, number(0) as u16, error)).await,
            "asyncDisconnect" => self.call("ackDisconnect", &(handle, number(0) as u16, error)).await,
            "asyncSetSourceState" => self.call("ackSetSourceState", &(handle, error)).await,
            "asyncSetSinkVolume" => self.call("ackSetSinkVolume", &(handle, number(1) as i16, error)).await,
            other => panic!("no ack for {other}"),
        };
    }

    /// Takes and acknowledges requests until this one was.
    pub async fn serve_until(&mut self, member: &str) -> Asked {
        loop {
            let asked = self.asked().await;
            self.ack(&asked, 0).await;
            if asked.member == member {
                return asked;
            }
        }
    }

    /// Waits for a signal of the routing interface.
    pub async fn signal(&mut self, member: &str) {
        loop {
            let message = next(&mut self.stream).await;
            let header = message.header();
            let is_ours = header.interface().is_some_and(|it| it.as_str() == ROUTING_INTERFACE);
            if message.message_type() == Type::Signal && is_ours {
                assert_eq!(header.member().unwrap().as_str(), member);
                return;
            }
        }
    }

    /// Sends Connect from this connection, so that its reply's place among the requests is seen; its serial.
    pub async fn send_connect(&self) -> std::num::NonZeroU32 {
        let call = Message::method_call(COMMAND_PATH, "Connect").destination(BUS_NAME);
        let call = call
            .interface(COMMAND_INTERFACE)
            .build(&(self.source, self.sink))
            .unwrap();
        self.connection.send(&call).await.unwrap();
        call.primary_header().serial_num()
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        next(&mut self.stream).await
    }
}

/// A client of the command interface.
pub struct Listener {
    pub client: Client,
    pub signals: Signals,
}

impl Listener {
    pub async fn connect(address: &str) -> Self {
        let client = Client::connect(&BusAddress::from(address)).await.unwrap();
        let signals = client.signals().await.unwrap();
        Self { client, signals }
    }

    /// The next signal, as text: `MainConnectionStateChanged { connection: 1, state: Connected }`.
    pub async fn next(&mut self) -> String {
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.signals.next()).await;
            if let Some(Heard::Signal(signal)) = heard.expect("no signal came") {
                return format!("{signal:?}");
            }
        }
    }

    /// The next signals, which must be these.
    pub async fn expect(&mut self, signals: &[&str]) {
        for wanted in signals {
            assert_eq!(self.next().await, *wanted);
        }
    }

    /// The next event of this name.
    pub async fn event(&mut self, name: &str) -> serde_json::Value {
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.signals.next()).await;
            let heard = heard.unwrap_or_else(|_| panic!("no event {name} came"));
            if let Some(Heard::Event(line)) = heard {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap();
                if event["event"] == name {
                    return event;
                }
            }
        }
    }
}

/// A state change as [`Listener::next`] has it.
pub fn state(id: u16, state: &str) -> String {
    format!("MainConnectionStateChanged {{ connection: {id}, state: {state} }}")
}

/// A removal as [`Listener::next`] has it.
pub fn removed(id: u16) -> String {
    format!("RemovedMainConnection {{ connection: {id} }}")
}
