//! The connection: made, served, lost, made again.
//!
//! ```text
//!   ┌──────► absent ──connected──► nameless ──RequestName──► owned ──NameLost──┐
//!   │ 1 s      ▲                      ▲  │ taken, 1 s: again                   │
//!   └──────────┤                      │  └─────────┐                           │
//!              │                      └────────────┴───────────────────────────┘
//!              └── socket closed, or the bus takes nothing more off us (any connected state)
//! ```

use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use zbus::connection::Connection;
use zbus::export::futures_core::Stream;
use zbus::message::Type;
use zbus::{Message, MessageStream};

use super::dispatch::Dispatch;
use super::socket;
use super::{BusAddress, BusState, Out, Request};
use crate::names::BUS_NAME;

/// Between two tries to connect, or to own the name.
const RETRY: Duration = Duration::from_secs(1);
/// A bus that hasn't answered by then is as good as absent.
const PATIENCE: Duration = Duration::from_secs(5);
/// For what was handed over before the stop.
const FLUSH: Duration = Duration::from_secs(1);
/// Messages that zbus reads ahead. Few: a client's message may have 128 MiB.
const QUEUED: NonZeroUsize = NonZeroUsize::new(16).unwrap();
/// Messages written at once.
const BATCH: usize = 64;
/// Messages and bytes waiting to be written above which no more calls are read.
const READ_LIMIT: (usize, usize) = (512, 1 << 20);
/// Messages and bytes waiting to be written above which the bus is given up.
const WRITE_LIMIT: (usize, usize) = (16_384, 32 << 20);

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why serving ended.
enum End {
    Stopped,
    Lost(String),
}

/// What the RequestName call said.
enum Name {
    Owned,
    Taken,
}

/// What came first.
enum Step {
    Stop,
    Written(zbus::Result<()>),
    Named(zbus::Result<Name>),
    HandedOn,
    Out(Out),
    Message(Option<zbus::Result<Message>>),
}

/// A connection and what goes on on it.
struct Connected {
    connection: Connection,
    stream: MessageStream,
    /// A RequestName on its way.
    naming: Option<Task<zbus::Result<Name>>>,
    /// A batch on its way.
    writing: Option<Task<zbus::Result<()>>>,
}

/// The task behind [`super::Bus`].
pub(super) struct Link {
    pub(super) dispatch: Dispatch,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) outs: mpsc::UnboundedReceiver<Out>,
    pub(super) state: watch::Sender<BusState>,
    pub(super) stop: watch::Receiver<bool>,
    /// What was told last, so that it is told once.
    pub(super) told: Option<String>,
}

impl Link {
    /// Connects and serves until stopped.
    pub(super) async fn run(mut self, address: BusAddress) {
        loop {
            match self.connect(&address).await {
                None => return,
                Some(Ok(connection)) => match self.serve(connection, true).await {
                    End::Stopped => return,
                    End::Lost(why) => {
                        self.lost(format!(
                            "bus {address}: connection lost: {why}; trying again each second"
                        ));
                    }
                },
                Some(Err(error)) => self.tell(format!("bus {address}: {error}; trying again each second")),
            }
            if self.drop_outs_until(tokio::time::sleep(RETRY)).await.is_none() {
                return;
            }
        }
    }

    /// Serves one connection that needs no name.
    pub(super) async fn run_on(mut self, connection: Connection) {
        if let End::Lost(why) = self.serve(connection, false).await {
            self.lost(format!("peer: connection lost: {why}"));
        }
        let _ = self.drop_outs_until(std::future::pending::<()>()).await;
    }

    fn lost(&mut self, text: String) {
        self.tell(text);
        self.state.send_replace(BusState::Absent);
        self.dispatch.forget();
    }

    fn tell(&mut self, text: String) {
        if self.told.as_ref() != Some(&text) {
            tracing::warn!("{text}");
            self.told = Some(text);
        }
    }

    /// `None` when stopped.
    async fn connect(&mut self, address: &BusAddress) -> Option<Result<Connection, String>> {
        let connect = async {
            let builder = socket::builder(address).await?;
            builder.method_timeout(PATIENCE).max_queued(QUEUED).build().await
        };
        let connect = tokio::time::timeout(PATIENCE, connect);
        Some(match self.drop_outs_until(connect).await? {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer within 5 s".to_owned()),
        })
    }

    /// Runs `future`; what is handed over meanwhile is for nobody, what the control process must know goes on to it. `None`
    /// when stopped or the control process is gone.
    async fn drop_outs_until<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                done = &mut future => return Some(done),
                out = self.outs.recv() => out.map(drop)?,
                room = self.requests.reserve(), if self.dispatch.fair.has_waiting() => {
                    let room = room.ok()?;
                    if let Some(notice) = self.dispatch.next() {
                        room.send(notice);
                    }
                }
                () = stopped(&mut self.stop) => return None,
            }
        }
    }

    async fn serve(&mut self, connection: Connection, named: bool) -> End {
        let mut on = Connected {
            stream: MessageStream::from(&connection),
            naming: named.then(|| request_name(connection.clone(), Duration::ZERO)),
            writing: None,
            connection,
        };
        self.dispatch.begin(named);
        if !named {
            self.state.send_replace(BusState::Owned);
        }
        loop {
            if on.writing.is_none() && !self.dispatch.outbox.is_empty() {
                let (connection, batch) = (on.connection.clone(), self.dispatch.outbox.take(BATCH));
                on.writing = Some(Box::pin(async move { connection.send_all(&batch).await }));
            }
            let step = self.step(&mut on).await;
            if let Step::Stop = step {
                let _ = tokio::time::timeout(FLUSH, self.flush(on)).await;
                return End::Stopped;
            }
            if let Err(end) = self.take(step, &mut on) {
                return end;
            }
        }
    }

    /// Waits for whatever comes first; the bus's messages come last, so that a flood of calls holds nothing else up.
    async fn step(&mut self, on: &mut Connected) -> Step {
        let reading = !self.dispatch.outbox.over(READ_LIMIT.0, READ_LIMIT.1);
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => Step::Stop,
            done = wait(&mut on.writing) => Step::Written(done),
            name = wait(&mut on.naming) => Step::Named(name),
            room = self.requests.reserve(), if self.dispatch.fair.has_waiting() => match room {
                Ok(room) => {
                    if let Some(request) = self.dispatch.next() {
                        room.send(request);
                    }
                    Step::HandedOn
                }
                Err(_) => Step::Stop,
            },
            out = self.outs.recv() => out.map_or(Step::Stop, Step::Out),
            message = next(&mut on.stream), if reading => Step::Message(message),
        }
    }

    fn take(&mut self, step: Step, on: &mut Connected) -> Result<(), End> {
        match step {
            Step::Stop | Step::HandedOn => {}
            Step::Written(done) => {
                on.writing = None;
                done.map_err(|error| End::Lost(error.to_string()))?;
            }
            Step::Named(answer) => on.naming = self.named(answer, &on.connection)?,
            Step::Out(first) => {
                let owned = *self.state.borrow() == BusState::Owned;
                // What was handed over together is written together.
                let mut next = Some(first);
                while let Some(out) = next {
                    self.dispatch.outgoing(&out, owned);
                    if self.dispatch.outbox.over(WRITE_LIMIT.0, WRITE_LIMIT.1) {
                        return Err(End::Lost("it takes nothing more off us".to_owned()));
                    }
                    next = self.outs.try_recv().ok();
                }
            }
            Step::Message(Some(Ok(message))) if name_lost(&message) => {
                self.state.send_replace(BusState::NameTaken);
                self.tell(format!("bus: the name {BUS_NAME} was lost; trying again each second"));
                on.naming = Some(request_name(on.connection.clone(), RETRY));
            }
            Step::Message(Some(Ok(message))) => self.dispatch.incoming(&message),
            Step::Message(Some(Err(error))) => return Err(End::Lost(error.to_string())),
            Step::Message(None) => return Err(End::Lost("closed".to_owned())),
        }
        Ok(())
    }

    /// Takes the answer to RequestName; returns the next try if there must be one.
    fn named(
        &mut self,
        answer: zbus::Result<Name>,
        connection: &Connection,
    ) -> Result<Option<Task<zbus::Result<Name>>>, End> {
        match answer {
            Ok(Name::Owned) => {
                self.state.send_replace(BusState::Owned);
                self.dispatch.name_owned();
                self.told = None;
                tracing::info!("bus: {BUS_NAME} owned");
                Ok(None)
            }
            Ok(Name::Taken) => {
                self.state.send_replace(BusState::NameTaken);
                self.tell(format!(
                    "bus: the name {BUS_NAME} is another's; trying again each second"
                ));
                Ok(Some(request_name(connection.clone(), RETRY)))
            }
            Err(zbus::Error::InputOutput(error)) => Err(End::Lost(error.to_string())),
            // Not allowed by the bus's policy, as a rule: it may be reloaded.
            Err(error) => {
                self.state.send_replace(BusState::NameTaken);
                self.tell(format!(
                    "bus: the name {BUS_NAME} is refused: {error}; trying again each second"
                ));
                Ok(Some(request_name(connection.clone(), RETRY)))
            }
        }
    }

    /// Writes what was handed over before the stop, then leaves the bus.
    async fn flush(&mut self, on: Connected) -> zbus::Result<()> {
        let owned = *self.state.borrow() == BusState::Owned;
        while let Ok(out) = self.outs.try_recv() {
            self.dispatch.outgoing(&out, owned);
        }
        if let Some(writing) = on.writing {
            writing.await?;
        }
        on.connection.send_all(&self.dispatch.outbox.take(usize::MAX)).await?;
        on.connection.close().await
    }
}

/// Asks for the name after `delay`, never queued for it.
fn request_name(connection: Connection, delay: Duration) -> Task<zbus::Result<Name>> {
    const DO_NOT_QUEUE: u32 = 4;
    const PRIMARY_OWNER: u32 = 1;
    const ALREADY_OWNER: u32 = 4;
    Box::pin(async move {
        tokio::time::sleep(delay).await;
        let bus = "org.freedesktop.DBus";
        let reply = connection
            .call_method(
                Some(bus),
                "/org/freedesktop/DBus",
                Some(bus),
                "RequestName",
                &(BUS_NAME, DO_NOT_QUEUE),
            )
            .await?;
        let code: u32 = reply.body().deserialize()?;
        Ok(if matches!(code, PRIMARY_OWNER | ALREADY_OWNER) {
            Name::Owned
        } else {
            Name::Taken
        })
    })
}

/// The bus (not a client that says so) took our name away.
fn name_lost(message: &Message) -> bool {
    let header = message.header();
    message.message_type() == Type::Signal
        && header
            .sender()
            .is_some_and(|sender| sender.as_str() == "org.freedesktop.DBus")
        && header.member().is_some_and(|member| member.as_str() == "NameLost")
        && message.body().deserialize::<&str>().is_ok_and(|name| name == BUS_NAME)
}

/// Only a word stops us, not a handle that was dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The result of a task that may not be there: then never.
async fn wait<T>(task: &mut Option<Task<T>>) -> T {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

async fn next(stream: &mut MessageStream) -> Option<zbus::Result<Message>> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}
