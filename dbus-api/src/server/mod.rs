//! The bus side of the control process: one ordered dispatcher over raw messages.
//!
//! ```text
//!            messages                     Request                     Effect
//!   bus ──────────────► decode, queue a ──────────► control ─► policy ───┐
//!    ▲                  sender, round robin                              │
//!    └──────────────────────────── encode ◄───────────── Out ◄───────────┘
//! ```
//!
//! * Calls of one sender keep their order; senders take turns. A sender has at most [`SENDER_LIMIT`] calls unanswered and all
//!   together [`TOTAL_LIMIT`]; what is over is answered `org.freedesktop.DBus.Error.LimitsExceeded`, the greediest sender first.
//! * Replies, signals and events leave in the order they were handed over.
//! * A call whose sender hasn't the role it needs ([`crate::access`]) is answered `org.freedesktop.DBus.Error.AccessDenied`.
//! * A call with wrong types is answered `InvalidArgs` once and leaves no trace.
//! * A domain is registered only by the connection that owns the bus name it gives; losing that name is told after the
//!   calls it had made. Calls to domains are never waited for: an error that comes back is told, an ack is a call of its own.
//! * The bus may be absent, die, come back, or the name be another's: tried again each second, told once, never given up.
//!   While there is no bus, what is handed over is dropped: nobody is there to hear it.

mod args;
mod bus_policy;
mod dispatch;
mod domain_calls;
mod encode;
mod fair;
mod gate;
mod introspect;
mod link;
mod listeners;
mod outbox;
mod peers;
mod routing_table;
mod shape;
mod socket;
mod table;

pub use bus_policy::bus_policy;

use crate::access::Access;
use policy::command::{Call, Reply, Signal};
use policy::routing_command::{DomainRequest, RoutingCall, RoutingReply};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Calls of one sender that may be unanswered (queued here or with the control process).
pub const SENDER_LIMIT: usize = 256;
/// Calls of all senders that may be unanswered.
pub const TOTAL_LIMIT: usize = 2048;

/// Which bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusAddress {
    /// `DBUS_SESSION_BUS_ADDRESS`.
    Session,
    /// The system bus.
    System,
    /// A D-Bus address (`unix:path=…`).
    At(String),
}

impl From<&str> for BusAddress {
    /// `session`, `system`, or an address.
    fn from(text: &str) -> Self {
        match text {
            "session" => Self::Session,
            "system" => Self::System,
            address => Self::At(address.to_owned()),
        }
    }
}

impl std::fmt::Display for BusAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session => f.write_str("session"),
            Self::System => f.write_str("system"),
            Self::At(address) => f.write_str(address),
        }
    }
}

/// One call, to be answered by exactly one [`Out::Reply`] (for [`What::Command`]), [`Out::RoutingReply`] (for
/// [`What::Routing`]) or [`Out::OwnReply`] (for [`What::Own`]) with its token; or a notice, which nobody answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names the call; never reused while the process lives. 0: a notice.
    pub token: u64,
    /// Unique bus name of the caller, empty on a connection without a bus.
    pub sender: String,
    /// What is asked.
    pub what: What,
}

impl Request {
    fn notice(sender: &str, what: What) -> Self {
        Self {
            token: 0,
            sender: sender.to_owned(),
            what,
        }
    }

    fn is_call(&self) -> bool {
        self.token != 0
    }
}

/// See [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// For the policy.
    Command(Call),
    /// For the policy, of a domain; the sender is the peer it registers with.
    Routing(RoutingCall),
    /// For the control process itself.
    Own(OwnCall),
    /// For the dispatcher, which answers it; never handed on. `org.carillon.Audio1.Listen() -> n error, s text`: the sender wants
    /// [`Out::Event`]s as long as it is on the bus; whatever comes after the answer is sent.
    Listen,
    /// Notice: the bus name is ours. Domains want to hear [`Out::RoutingReady`]; those that are registered already are to be
    /// told with [`Out::Watch`].
    NameOwned,
    /// Notice: the connection to the bus is gone, and every domain with it.
    BusLost,
    /// Notice: the sender no longer owns this name, or never did: its domains under that name are gone.
    DomainLost {
        /// As given at the registration.
        bus_name: String,
    },
    /// Notice: the sender's object did not take the request with this handle.
    RequestFailed {
        /// The request's.
        handle: u16,
    },
}

/// A request to a domain, as a method call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainCall {
    /// Unique name of the connection that registered it: whoever has its name by now is never asked in its place.
    pub peer: String,
    /// Object path, as given at the registration.
    pub path: String,
    /// Interface, as given at the registration.
    pub interface: String,
    /// What is asked.
    pub request: DomainRequest,
}

/// Calls of `org.carillon.Audio1` that are not the policy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnCall {
    /// `Status() -> s`: JSON of [`crate::status::Status`].
    Status,
    /// `Chime(s name) -> n error, s text`: sound a chime of the bank.
    Chime {
        /// Name in the bank.
        name: String,
    },
    /// `Reload() -> n error, s text`: read the file again and take up its policy; the text is the report.
    Reload,
    /// `History(u from, q most) -> s`: JSON of a [`crate::history::Page`].
    History {
        /// Number of the first wanted; one that is not kept any more means the oldest that is.
        from: u32,
        /// So many at most.
        most: u16,
    },
}

/// Answer to an [`OwnCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnReply {
    /// To [`OwnCall::Status`] and [`OwnCall::History`].
    Json(String),
    /// To all others.
    Result {
        /// `am_Error_e`.
        error: i16,
        /// Why, for people; empty when it is OK.
        text: String,
    },
}

/// What the control process hands to the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Answer to a [`What::Command`].
    Reply {
        /// The request's.
        token: u64,
        /// Its body's kind must fit the call.
        reply: Reply,
    },
    /// Answer to a [`What::Routing`].
    RoutingReply {
        /// The request's.
        token: u64,
        /// Its kind must fit the call.
        reply: RoutingReply,
    },
    /// A call to a domain. One that can't be sent comes back as [`What::RequestFailed`].
    Domain(DomainCall),
    /// A domain that was registered before this connection: its name is watched from now on. If it isn't its peer's any more,
    /// [`What::DomainLost`] comes.
    Watch {
        /// Its connection.
        peer: String,
        /// As given at the registration.
        bus_name: String,
    },
    /// The signal `setRoutingReady`: domains may register.
    RoutingReady,
    /// The signal `setRoutingRundown`: the daemon goes.
    RoutingRundown,
    /// Answer to a [`What::Own`].
    OwnReply {
        /// The request's.
        token: u64,
        /// Its kind must fit the call.
        reply: OwnReply,
    },
    /// A signal of the command interface.
    Signal(Signal),
    /// A JSON line for `audioctl monitor`: the signal `org.carillon.Audio1.Event(s)`, while there is somebody who called [`What::Listen`].
    Event(String),
}

/// Requests that lie between the dispatcher and the control process: few, so that senders take turns.
const HANDED_ON: usize = 16;

/// How we stand with the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusState {
    /// Not connected; tried again each second.
    Absent,
    /// Connected, but the name is another's (or refused by the bus's policy); tried again each second.
    NameTaken,
    /// Connected and named. (Without a bus: connected.)
    Owned,
}

/// Handle of the task that [`start`] made. Dropping it does not stop the task; dropping the receiver or the sender does.
#[derive(Debug)]
pub struct Bus {
    state: watch::Receiver<BusState>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Bus {
    /// How we stand with the bus now.
    pub fn state(&self) -> BusState {
        *self.state.borrow()
    }

    /// Waits until the state is `wanted`. Cancel-safe.
    pub async fn reached(&mut self, wanted: BusState) {
        if self.state.wait_for(|state| *state == wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the state changed since it was last waited for, and returns it. Never returns once the task ended.
    pub async fn changed(&mut self) -> BusState {
        if self.state.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *self.state.borrow_and_update()
    }

    /// Writes what was handed over so far (at most 1 s), leaves the bus, ends the task.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

/// The handle, what clients ask, and where answers and signals go. The sender is unbounded because the control process must
/// never wait for the bus: answers are bounded by [`TOTAL_LIMIT`], and the task takes off everything at once; a bus that
/// doesn't read is left when 32 MiB lie before it.
pub type Started = (Bus, mpsc::Receiver<Request>, mpsc::UnboundedSender<Out>);

/// Starts to serve on `address`: connects, owns [`crate::names::BUS_NAME`] and keeps at it (see the module). Returns at once,
/// whatever the bus is doing.
///
/// # Panics
/// Outside a tokio runtime with I/O and time enabled.
pub fn start(address: BusAddress) -> Started {
    start_with(address, None)
}

/// As [`start`]; with `access` each call needs a role, without it whoever the bus lets through may do everything.
///
/// # Panics
/// As [`start`].
pub fn start_with(address: BusAddress, access: Option<Access>) -> Started {
    spawn(access, |link| link.run(address))
}

/// Serves one peer-to-peer connection; when it is lost the state is [`BusState::Absent`] for good.
///
/// # Panics
/// As [`start`].
pub fn start_on(connection: zbus::Connection) -> Started {
    spawn(None, |link| link.run_on(connection))
}

fn spawn<F>(access: Option<Access>, run: impl FnOnce(link::Link) -> F) -> Started
where
    F: Future<Output = ()> + Send + 'static,
{
    let (requests, received) = mpsc::channel(HANDED_ON);
    let (sender, outs) = mpsc::unbounded_channel();
    let (state, watched) = watch::channel(BusState::Absent);
    let (stop, stopped) = watch::channel(false);
    let link = link::Link {
        dispatch: dispatch::Dispatch::new(machine_id(), access),
        requests,
        outs,
        state,
        stop: stopped,
        told: None,
    };
    let bus = Bus {
        state: watched,
        stop,
        task: tokio::spawn(run(link)),
    };
    (bus, received, sender)
}

/// `org.freedesktop.DBus.Peer.GetMachineId`, read once at the start: later the process may open no files.
fn machine_id() -> Option<String> {
    let read = |path| std::fs::read_to_string(path).ok();
    let id = read("/etc/machine-id").or_else(|| read("/var/lib/dbus/machine-id"))?;
    let id = id.trim();
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}
