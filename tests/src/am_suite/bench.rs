//! What `cargo xtask bench dbus` measures with: a client, a domain in a process of its own, and who owns a name when.

use std::future::poll_fn;
use std::io::Write;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dbus_api::names::{BUS_NAME, COMMAND_INTERFACE, COMMAND_PATH, ROUTING_INTERFACE, ROUTING_PATH};
use serde::Serialize;
use tokio::runtime::Runtime;
use zbus::connection::{Builder, Connection};
use zbus::export::futures_core::Stream;
use zbus::message::{Flags, Type};
use zbus::{DynamicType, Message, MessageStream};

use super::domain::{Element, INTERFACE, PATH};
use super::elements::{sink_data, source_data};
use super::value::{Value, arguments};
use super::words::ack_of;

/// The bus name of the bench's domain.
pub const DOMAIN: &str = "org.carillon.bench.domain";
/// The bus name of the router that decides nothing (`bare-router`).
pub const ROUTER: &str = "org.carillon.bench.router";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Times of one kind.
#[derive(Clone, Debug, Default)]
pub struct Timed(Vec<Duration>);

impl Timed {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this part of them (0 to 1) took at most, microseconds.
    #[must_use]
    pub fn quantile(&self, part: f64) -> f64 {
        let all = self.0.iter().map(|time| time.as_secs_f64() * 1e6);
        quantile(all.collect(), part)
    }

    /// The middle one of the ratios to `other`, which took turns with these: what slows both down for a while is in neither.
    #[must_use]
    pub fn ratio(&self, other: &Self) -> f64 {
        let pairs = self.0.iter().zip(&other.0);
        let ratios = pairs.map(|(own, other)| own.as_secs_f64() / other.as_secs_f64().max(1e-9));
        quantile(ratios.collect(), 0.5)
    }
}

fn quantile(mut all: Vec<f64>, part: f64) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    let at = (all.len().saturating_sub(1) as f64 * part).round() as usize;
    all.get(at).copied().unwrap_or(0.0)
}

/// Times that took turns.
#[derive(Debug, Default)]
pub struct Rounds {
    /// From Connect until the signal that it is CS_CONNECTED: three of the domain's acks are there, the fourth is asked for.
    pub connected: Timed,
    /// From Connect until the connection is connected and its sink unmuted: four requests to the domain, four acks.
    pub connects: Timed,
    /// The same of the router that decides nothing.
    pub router: Timed,
    /// Four calls to the domain's process, one after the other.
    pub echoes: Timed,
}

/// A connection that came up, and how long after Connect what was heard.
struct Connect {
    id: u16,
    connected: Duration,
    unmuted: Duration,
}

/// Messages on the bus for one of each of [`Rounds`].
#[derive(Debug)]
pub struct Messages {
    /// Of a Connect.
    pub connect: usize,
    /// Of the router's.
    pub router: usize,
    /// Of four echoes.
    pub echoes: usize,
}

async fn next(stream: &mut MessageStream) -> Result<Message> {
    let message = poll_fn(|context| Pin::new(&mut *stream).poll_next(context));
    let message = tokio::time::timeout(PATIENCE, message).await.context("nothing came")?;
    Ok(message.context("the bus is gone")??)
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A client.
pub struct Client {
    runtime: Runtime,
    connection: Connection,
    stream: MessageStream,
}

impl Client {
    /// Connects, hearing the daemon and who owns its name.
    ///
    /// # Errors
    /// The bus refuses.
    pub fn connect(address: &str) -> Result<Self> {
        let runtime = runtime()?;
        let (connection, stream) = runtime.block_on(async {
            let builder = Builder::address(address).max_queued(std::num::NonZeroUsize::new(4096).context("a number")?);
            let connection = builder.build().await?;
            let stream = MessageStream::from(&connection);
            let signals = |of| format!("type='signal',sender='{of}',path='{COMMAND_PATH}'");
            let owner = format!("type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{BUS_NAME}'");
            for rule in [signals(BUS_NAME), signals(ROUTER), owner] {
                of_bus(&connection, "AddMatch", &rule).await?;
            }
            anyhow::Ok((connection, stream))
        })?;
        Ok(Self {
            runtime,
            connection,
            stream,
        })
    }

    /// Waits until the daemon is there.
    ///
    /// # Errors
    /// It isn't.
    pub fn wait_for_daemon(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self
                .runtime
                .block_on(command(&self.connection, "GetListMainConnections", &()))
                .is_ok()
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("nobody owns {BUS_NAME}")
    }

    /// Waits until this name is owned.
    ///
    /// # Errors
    /// It isn't.
    pub fn wait_for(&mut self, name: &str) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let answer = self.runtime.block_on(of_bus(&self.connection, "NameHasOwner", &name))?;
            if answer.body().deserialize()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("nobody owns {name}")
    }

    /// Round trips of GetListMainConnections to the daemon and of GetId to the bus, taking turns.
    ///
    /// # Errors
    /// One is not answered.
    pub fn calls(&mut self, count: usize) -> Result<(Timed, Timed)> {
        let (mut list, mut id) = (Timed::default(), Timed::default());
        self.runtime.block_on(async {
            for _ in 0..count {
                let began = Instant::now();
                command(&self.connection, "GetListMainConnections", &()).await?;
                list.add(began.elapsed());
                let began = Instant::now();
                of_bus(&self.connection, "GetId", &()).await?;
                id.add(began.elapsed());
                // Nobody reads the answers that lie here as well.
                drain(&mut self.stream).await;
            }
            anyhow::Ok(())
        })?;
        Ok((list, id))
    }

    /// So many connections of the daemon's, of the router's, and four echoes, taking turns.
    ///
    /// # Errors
    /// One doesn't come up.
    pub fn rounds(&mut self, count: usize, source: u16, sink: u16) -> Result<Rounds> {
        let mut rounds = Rounds::default();
        for _ in 0..count {
            let ours = self.connect_over(BUS_NAME, source, sink)?;
            rounds.connected.add(ours.connected);
            rounds.connects.add(ours.unmuted);
            self.disconnect(BUS_NAME, ours.id)?;
            let router = self.connect_over(ROUTER, source, sink)?;
            rounds.router.add(router.unmuted);
            self.disconnect(ROUTER, router.id)?;
            rounds.echoes.add(self.echo_four_times()?);
        }
        Ok(rounds)
    }

    /// How many messages each of these takes, as a monitor of the bus sees them.
    ///
    /// # Errors
    /// One doesn't come up, or the bus lets nobody watch.
    pub fn messages(&mut self, address: &str, source: u16, sink: u16) -> Result<Messages> {
        let monitor = self.runtime.block_on(Builder::address(address).build())?;
        let mut seen = MessageStream::from(&monitor);
        self.runtime.block_on(async {
            let (all, flags): (&[&str], u32) = (&[], 0);
            let (body, interface) = ((all, flags), "org.freedesktop.DBus.Monitoring");
            let call = monitor.call_method(Some(BUS), BUS_PATH, Some(interface), "BecomeMonitor", &body);
            call.await
        })?;
        self.seen(&mut seen)?;
        let mut counts = [0; 2];
        for (router, count) in [BUS_NAME, ROUTER].into_iter().zip(&mut counts) {
            let Connect { id, .. } = self.connect_over(router, source, sink)?;
            *count = self.seen(&mut seen)?;
            self.disconnect(router, id)?;
            self.seen(&mut seen)?;
        }
        self.echo_four_times()?;
        let [connect, router] = counts;
        Ok(Messages {
            connect,
            router,
            echoes: self.seen(&mut seen)?,
        })
    }

    /// Messages that a monitor saw until now.
    fn seen(&mut self, monitor: &mut MessageStream) -> Result<usize> {
        let mark = Message::method_call(BUS_PATH, "GetId").destination(BUS).interface(BUS);
        let mark = mark.with_flags(Flags::NO_REPLY_EXPECTED).build(&())?;
        self.runtime.block_on(async {
            self.connection.send(&mark).await?;
            let mut count = 0;
            loop {
                let message = next(monitor).await?;
                let header = message.header();
                if header.member().is_some_and(|it| it.as_str() == "GetId") {
                    return Ok(count);
                }
                // It answers even who wants no answer.
                let is_of_bus = header.sender().is_some_and(|it| it.as_str() == BUS);
                count += usize::from(!is_of_bus);
            }
        })
    }

    fn connect_over(&mut self, router: &str, source: u16, sink: u16) -> Result<Connect> {
        let Self {
            runtime,
            connection,
            stream,
        } = self;
        runtime.block_on(async {
            drain(stream).await;
            let connect = call(router, "Connect").build(&(source, sink))?;
            let began = Instant::now();
            connection.send(&connect).await?;
            let (mut id, mut connected, mut unmuted) = (None, None, false);
            let mut connected_after = Duration::ZERO;
            while id.is_none() || connected != id || !unmuted {
                let message = next(stream).await?;
                let args = arguments(&message)?;
                let int = |at: usize| args.get(at).and_then(Value::int);
                if message.header().reply_serial() == Some(connect.primary_header().serial_num()) {
                    anyhow::ensure!(int(0) == Some(0), "Connect answers {args:?}");
                    id = int(1);
                }
                match message.header().member().map(|it| it.to_string()).as_deref() {
                    Some("MainConnectionStateChanged") if int(1) == Some(2) => {
                        (connected, connected_after) = (int(0), began.elapsed());
                    }
                    Some("SinkMuteStateChanged") if int(1) == Some(2) => unmuted = true,
                    Some("RemovedMainConnection") => bail!("the connection failed"),
                    _ => {}
                }
            }
            Ok(Connect {
                unmuted: began.elapsed(),
                connected: connected_after,
                id: id.and_then(|it| u16::try_from(it).ok()).unwrap_or(0),
            })
        })
    }

    fn disconnect(&mut self, router: &str, id: u16) -> Result<()> {
        self.runtime.block_on(async {
            self.connection.send(&call(router, "Disconnect").build(&id)?).await?;
            loop {
                let message = next(&mut self.stream).await?;
                let member = message.header().member().map(|it| it.to_string());
                if member.as_deref() == Some("RemovedMainConnection") {
                    return Ok(());
                }
            }
        })
    }

    fn echo_four_times(&mut self) -> Result<Duration> {
        self.runtime.block_on(async {
            drain(&mut self.stream).await;
            let began = Instant::now();
            for _ in 0..4 {
                self.connection
                    .call_method(Some(DOMAIN), PATH, Some(INTERFACE), "Echo", &1_u16)
                    .await?;
            }
            Ok(began.elapsed())
        })
    }

    /// How long after this begins the daemon's name is owned.
    ///
    /// # Errors
    /// It isn't, or this fails.
    pub fn owned_after(&mut self, start: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let Self { runtime, stream, .. } = self;
        runtime.block_on(drain(stream));
        let began = Instant::now();
        start()?;
        runtime.block_on(async {
            loop {
                let message = next(stream).await.context("the name is not owned")?;
                let is = message
                    .header()
                    .member()
                    .is_some_and(|it| it.as_str() == "NameOwnerChanged");
                if is
                    && arguments(&message)?
                        .get(2)
                        .is_some_and(|owner| !owner.text().is_empty())
                {
                    return Ok(began.elapsed());
                }
            }
        })
    }
}

async fn command(on: &Connection, member: &str, body: &(impl Serialize + DynamicType)) -> Result<Vec<Value>> {
    let call = on.call_method(Some(BUS_NAME), COMMAND_PATH, Some(COMMAND_INTERFACE), member, body);
    arguments(&call.await.with_context(|| member.to_owned())?)
}

fn call(router: &str, member: &'static str) -> zbus::message::Builder<'static> {
    let call = Message::method_call(COMMAND_PATH, member).interface(COMMAND_INTERFACE);
    call.destination(router.to_owned())
}

async fn of_bus(on: &Connection, member: &'static str, body: &(impl Serialize + DynamicType)) -> Result<Message> {
    let call = on.call_method(Some(BUS), BUS_PATH, Some(BUS), member, body);
    Ok(call.await?)
}

/// Takes off what lies there.
async fn drain(stream: &mut MessageStream) {
    while poll_fn(|context| std::task::Poll::Ready(Pin::new(&mut *stream).poll_next(context).is_ready())).await {}
}

/// Is a domain on this bus, with a source and a sink whose IDs it prints, and acknowledges everything at once; until the bus is gone.
///
/// # Errors
/// It is not registered.
pub fn serve_domain(address: &str) -> Result<()> {
    runtime()?.block_on(async {
        let connection = Builder::address(address).build().await?;
        let mut stream = MessageStream::from(&connection);
        connection.request_name(DOMAIN).await?;
        let data = (0_u16, "bench", "", "bench", false, false, 1_i16);
        let domain = id(&connection, "registerDomain", &(data, DOMAIN, PATH, INTERFACE), 0).await?;
        let class = id(&connection, "peekSourceClassID", &"media", 0).await?;
        let element = Element::default();
        let sink = sink_data(domain, class, "bench-sink", &element);
        let sink = id(&connection, "registerSink", &(sink,), 0).await?;
        let source = source_data(domain, class, "bench-source", &element);
        let source = id(&connection, "registerSource", &(source,), 0).await?;
        println!("{source} {sink}");
        std::io::stdout().flush()?;
        loop {
            let message = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
            let Some(Ok(message)) = message else { return Ok(()) };
            if message.message_type() == Type::MethodCall {
                answer(&connection, &message).await?;
            }
        }
    })
}

async fn id(connection: &Connection, member: &str, body: &(impl Serialize + DynamicType), at: usize) -> Result<u16> {
    let call = connection.call_method(Some(BUS_NAME), ROUTING_PATH, Some(ROUTING_INTERFACE), member, body);
    let values = arguments(&call.await.with_context(|| member.to_owned())?)?;
    anyhow::ensure!(
        values.last().and_then(Value::int) == Some(0),
        "{member} answers {values:?}"
    );
    let id = values.get(at).and_then(Value::int).context("an ID")?;
    Ok(u16::try_from(id)?)
}

async fn answer(connection: &Connection, message: &Message) -> Result<()> {
    let header = message.header();
    if !message.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED) {
        connection.send(&Message::method_return(&header).build(&0_i32)?).await?;
    }
    let args = arguments(message)?;
    let int = |at: usize| args.get(at).and_then(Value::int).unwrap_or(0);
    let (handle, first, second) = (int(0) as u16, int(1) as u16, int(2) as i16);
    let ack = ack_of(header.member().map_or("", |it| it.as_str()));
    if ack.is_empty() {
        return Ok(());
    }
    let call = Message::method_call(ROUTING_PATH, ack).interface(ROUTING_INTERFACE);
    let call = match header.sender() {
        Some(router) => call.destination(router.to_owned()),
        None => call,
    };
    let call = call.with_flags(Flags::NO_REPLY_EXPECTED);
    let call = match ack {
        "ackConnect" | "ackDisconnect" => call.build(&(handle, first, 0_u16))?,
        "ackSetSinkVolume" | "ackSetSourceVolume" => call.build(&(handle, second, 0_u16))?,
        _ => call.build(&(handle, 0_u16))?,
    };
    Ok(connection.send(&call).await?)
}
