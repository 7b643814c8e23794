//! What a message asks and what is answered at once; no I/O.

use std::collections::BTreeMap;

use zbus::Message;
use zbus::message::{Flags, Type};
use zbus::names::ErrorName;

use super::args;
use super::fair::{Admission, Fair};
use super::gate::{self, Gate};
use super::introspect::{self, Node};
use super::listeners::Listeners;
use super::outbox::Outbox;
use super::peers::{Peers, Refusals, Standing, Told};
use super::table::{self, Answer};
use super::{DomainCall, Out, OwnReply, Request, SENDER_LIMIT, TOTAL_LIMIT, What, domain_calls, encode, routing_table};
use crate::access::{Access, Role};
use crate::names::{COMMAND_INTERFACE, OWN_INTERFACE, ROUTING_INTERFACE};
use policy::command::error::{NOT_POSSIBLE, OK};
use policy::routing_command::{DomainRequest, RoutingCall, RoutingReply};

/// Names of the errors sent (D-Bus Specification).
mod error {
    pub(super) const INVALID_ARGS: &str = "org.freedesktop.DBus.Error.InvalidArgs";
    pub(super) const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";
    pub(super) const UNKNOWN_OBJECT: &str = "org.freedesktop.DBus.Error.UnknownObject";
    pub(super) const UNKNOWN_PROPERTY: &str = "org.freedesktop.DBus.Error.UnknownProperty";
    pub(super) const LIMITS_EXCEEDED: &str = "org.freedesktop.DBus.Error.LimitsExceeded";
    pub(super) const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
    pub(super) const FILE_NOT_FOUND: &str = "org.freedesktop.DBus.Error.FileNotFound";
    pub(super) const FAILED: &str = "org.freedesktop.DBus.Error.Failed";
}

/// Bytes of a call that is kept as it came.
const SMALL: usize = 512;
/// Longest error text, characters.
const ERROR_LIMIT: usize = 1000;
/// Calls to one domain's connection that may lie here before the bus takes them.
const DOMAIN_LIMIT: usize = 256;

/// An unanswered call.
struct Pending {
    /// The call; of a large one, another without body, of the same sender and serial: what an answer needs of it.
    call: Message,
    sender: String,
    answer: Answer,
    silent: bool,
    role: Role,
    /// Its sender has the role; `None`: not known yet, and the sender is held.
    allowed: Option<bool>,
    /// The bus name that a registration gives, until it is checked.
    bus_name: Option<String>,
}

/// State of the dispatcher over one connection.
pub(super) struct Dispatch {
    pub(super) fair: Fair,
    pub(super) outbox: Outbox,
    pending: BTreeMap<u64, Pending>,
    next_token: u64,
    machine_id: Option<String>,
    /// There is a bus between us and our peers.
    on_bus: bool,
    peers: Peers,
    refusals: Refusals,
    listeners: Listeners,
    gate: Option<Gate>,
}

impl Dispatch {
    pub(super) fn new(machine_id: Option<String>, access: Option<Access>) -> Self {
        Self {
            fair: Fair::new(SENDER_LIMIT, TOTAL_LIMIT),
            outbox: Outbox::default(),
            pending: BTreeMap::new(),
            next_token: 1,
            machine_id,
            on_bus: true,
            peers: Peers::default(),
            refusals: Refusals::default(),
            listeners: Listeners::default(),
            gate: access.map(Gate::new),
        }
    }

    /// A connection begins.
    pub(super) fn begin(&mut self, on_bus: bool) {
        self.on_bus = on_bus;
    }

    /// Our name is owned.
    pub(super) fn name_owned(&mut self) {
        self.fair.tell(Request::notice("", What::NameOwned));
    }

    /// The connection is gone: nobody waits any more. Tokens go on, so that late answers meet no new call.
    pub(super) fn forget(&mut self) {
        self.fair = Fair::new(SENDER_LIMIT, TOTAL_LIMIT);
        self.outbox = Outbox::default();
        self.pending.clear();
        self.peers = Peers::default();
        self.refusals = Refusals::default();
        self.listeners = Listeners::default();
        self.gate.iter_mut().for_each(Gate::forget);
        self.fair.tell(Request::notice("", What::BusLost));
    }

    /// The next for the control process.
    pub(super) fn next(&mut self) -> Option<Request> {
        while let Some(request) = self.fair.next() {
            if self
                .pending
                .get(&request.token)
                .is_some_and(|it| it.allowed == Some(false))
            {
                self.deny(&request);
                continue;
            }
            if request.what == What::Listen {
                self.listen(&request);
                continue;
            }
            if !self.refusals.take(request.token) {
                return Some(request);
            }
            let (token, error) = (request.token, NOT_POSSIBLE);
            let reply = RoutingReply::Id { id: 0, error };
            self.outgoing(&Out::RoutingReply { token, reply }, true);
        }
        None
    }

    /// A message came.
    pub(super) fn incoming(&mut self, message: &Message) {
        if message.message_type() != Type::MethodCall {
            return self.told(message);
        }
        let silent = message.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED);
        match self.call(message, silent) {
            Ok(None) => {}
            Ok(Some(reply)) if !silent => self.outbox.push(reply),
            Err((name, text)) if !silent => self.outbox.push(error_reply(message, name, &text)),
            Ok(Some(_)) | Err(_) => {}
        }
    }

    fn listen(&mut self, request: &Request) {
        let messages = self.listeners.add(&request.sender);
        messages.into_iter().for_each(|message| self.outbox.push(message));
        let (token, text) = (request.token, String::new());
        let reply = OwnReply::Result { error: OK, text };
        self.outgoing(&Out::OwnReply { token, reply }, true);
    }

    fn deny(&mut self, request: &Request) {
        self.refusals.take(request.token);
        self.fair.answered(&request.sender);
        if let Some(call) = self.pending.remove(&request.token).filter(|call| !call.silent) {
            self.outbox
                .push(error_reply(&call.call, error::ACCESS_DENIED, &denied(call.role)));
        }
    }

    /// What is known of a sender now: its waiting calls are judged and go on.
    fn judge(&mut self, sender: &str) {
        let mut names: Vec<(u64, String)> = Vec::new();
        let waiting = self.pending.iter_mut();
        for (token, call) in waiting.filter(|(_, it)| it.sender == sender && it.allowed.is_none()) {
            call.allowed = self.gate.as_ref().and_then(|gate| gate.allows(sender, call.role));
            if call.allowed == Some(true) {
                names.extend(call.bus_name.take().map(|name| (*token, name)));
            }
        }
        for (token, name) in names {
            self.check_name(sender, &name, token);
        }
        self.fair.release(sender);
    }

    /// A signal, return or error came.
    fn told(&mut self, message: &Message) {
        if let Some(sender) = self.gate.as_mut().and_then(|gate| gate.told(message)) {
            return self.judge(&sender);
        }
        let mut out = Vec::new();
        let told = match self.listeners.told(message, &mut out) {
            true => Told::Nothing,
            false => self.peers.told(message, &mut out),
        };
        out.into_iter().for_each(|message| self.outbox.push(message));
        match told {
            Told::Nothing => {}
            Told::Checked { peer, refused } => {
                if let Some(token) = refused.filter(|token| self.pending.contains_key(token)) {
                    self.refusals.add(token);
                }
                self.fair.release(&peer);
            }
            Told::Lost { peer, name } => self.lost(&peer, name),
            Told::Failed { peer, handle } => self.failed(&peer, handle),
        }
    }

    fn lost(&mut self, peer: &str, bus_name: String) {
        self.fair.tell(Request::notice(peer, What::DomainLost { bus_name }));
    }

    fn failed(&mut self, peer: &str, handle: u16) {
        if handle != 0 {
            self.fair.tell(Request::notice(peer, What::RequestFailed { handle }));
        }
    }

    /// The answer to a call, or `None` if it was queued.
    fn call(
        &mut self,
        message: &Message,
        silent: bool,
    ) -> Result<Option<zbus::Result<Message>>, (&'static str, String)> {
        let header = message.header();
        let (Some(path), Some(member)) = (header.path(), header.member()) else {
            return Ok(None);
        };
        let (path, member) = (path.as_str(), member.as_str());
        let node = introspect::node(path);
        let reply = || Message::method_return(&header);
        match (member, node) {
            ("Ping", _) => return Ok(Some(reply().build(&()))),
            ("GetMachineId", _) => {
                let id = self.machine_id.as_ref();
                let missing = || (error::FILE_NOT_FOUND, "this machine has no /etc/machine-id".to_owned());
                return Ok(Some(reply().build(id.ok_or_else(missing)?)));
            }
            (_, None) => return Err((error::UNKNOWN_OBJECT, format!("there is no object {path}"))),
            ("Introspect", Some(node)) => return Ok(Some(reply().build(&introspect::xml(path, node)))),
            ("GetAll", _) => {
                let none: BTreeMap<String, zbus::Variant<'_>> = BTreeMap::new();
                return Ok(Some(reply().build(&none)));
            }
            ("Get" | "Set", _) => return Err((error::UNKNOWN_PROPERTY, "there are no properties".to_owned())),
            _ => {}
        }
        let (methods, ours): (&'static [table::Method], _) = match node {
            Some(Node::Command) => (&table::COMMAND, COMMAND_INTERFACE),
            Some(Node::Routing) => (&routing_table::ROUTING, ROUTING_INTERFACE),
            Some(Node::Own) => (&table::OWN, OWN_INTERFACE),
            _ => (&[], ""),
        };
        if let Some(interface) = header.interface()
            && is_anothers(interface.as_str(), ours)
        {
            return Err((
                error::UNKNOWN_METHOD,
                format!("{path} has no method {member} in {interface}"),
            ));
        }
        let unknown = || (error::UNKNOWN_METHOD, format!("{path} has no method {member}"));
        let method = table::find(methods, member).ok_or_else(unknown)?;
        let role = gate::role(node, method.member);
        let sender = header.sender().map_or("", |it| it.as_str());
        let allowed = match &self.gate {
            Some(gate) if self.on_bus => gate.allows(sender, role),
            _ => Some(true),
        };
        if allowed == Some(false) {
            return Err((error::ACCESS_DENIED, denied(role)));
        }
        self.queue(message, method, silent, (role, allowed)).map(|()| None)
    }

    fn queue(
        &mut self,
        message: &Message,
        method: &table::Method,
        silent: bool,
        (role, allowed): (Role, Option<bool>),
    ) -> Result<(), (&'static str, String)> {
        let args = args::decode(message, method.takes)
            .map_err(|why| (error::INVALID_ARGS, format!("{}: {why}", method.member)))?;
        let header = message.header();
        let sender = header.sender().map_or_else(String::new, ToString::to_string);
        let call = answerable(message).map_err(|why| (error::FAILED, why.to_string()))?;
        let token = self.next_token;
        let request = Request {
            token,
            sender: sender.clone(),
            what: (method.make)(&args),
        };
        let bus_name = match &request.what {
            What::Routing(RoutingCall::RegisterDomain(domain)) if self.on_bus => Some(domain.bus_name.clone()),
            _ => None,
        };
        match self.fair.admit(request) {
            Admission::Refused => return Err((error::LIMITS_EXCEEDED, "too many unanswered calls".to_owned())),
            Admission::Queued => {}
            Admission::Instead(thrown_out) => self.drop_call(thrown_out),
        }
        self.next_token += 1;
        let answer = method.answer;
        let pending = Pending {
            call,
            sender,
            answer,
            silent,
            role,
            allowed,
            bus_name: bus_name.clone().filter(|_| allowed.is_none()),
        };
        let peer = pending.sender.clone();
        self.pending.insert(token, pending);
        match (allowed, bus_name) {
            (None, _) => self.ask_who(&peer),
            (_, Some(name)) => self.check_name(&peer, &name, token),
            _ => {}
        }
        Ok(())
    }

    /// Nothing of a sender goes on until the bus has said who it is.
    fn ask_who(&mut self, sender: &str) {
        if let Some(question) = self.gate.as_mut().and_then(|gate| gate.ask(sender)) {
            self.outbox.push(question);
            self.fair.hold(sender);
        }
    }

    /// A domain's bus name must be its connection's: what it calls waits until the bus says whose it is.
    fn check_name(&mut self, peer: &str, name: &str, token: u64) {
        let (standing, messages) = self.peers.check(peer, name, Some(token));
        messages.into_iter().for_each(|message| self.outbox.push(message));
        match standing {
            Standing::Owned => {}
            Standing::Refused => self.refusals.add(token),
            Standing::Asked => self.fair.hold(peer),
        }
    }

    /// A domain that was registered before this connection.
    fn watch(&mut self, peer: &str, name: &str) {
        let (standing, messages) = self.peers.check(peer, name, None);
        messages.into_iter().for_each(|message| self.outbox.push(message));
        if standing == Standing::Refused {
            self.lost(peer, name.to_owned());
        }
    }

    /// A call to a domain.
    fn ask(&mut self, call: &DomainCall) {
        let (peer, handle) = (call.peer.as_str(), call.request.handle());
        let is_there = !self.on_bus || self.peers.knows(peer);
        if !is_there || self.outbox.to_domain(peer) >= DOMAIN_LIMIT {
            return self.failed(peer, handle);
        }
        if let DomainRequest::Abort { .. } = call.request {
            self.peers.doubt(peer);
        }
        let member = domain_calls::member(&call.request);
        let returns = self.peers.awaits(peer, member);
        match domain_calls::message(call, returns) {
            Ok(message) => {
                if returns {
                    self.peers.sent(&message, peer, member, handle);
                }
                self.outbox.push_to(peer, message);
            }
            Err(error) => {
                tracing::error!("bus: {call:?} could not be built: {error}");
                self.failed(peer, handle);
            }
        }
    }

    /// A waiting call gave way to another sender's.
    fn drop_call(&mut self, token: u64) {
        self.refusals.take(token);
        if let Some(call) = self.pending.remove(&token).filter(|call| !call.silent) {
            let text = "too many unanswered calls of all clients";
            self.outbox.push(error_reply(&call.call, error::LIMITS_EXCEEDED, text));
        }
    }

    /// Something of the control process; signals only if `signals`.
    pub(super) fn outgoing(&mut self, out: &Out, signals: bool) {
        let answered = match out {
            Out::Signal(signal) if signals => return self.outbox.push(encode::signal(signal)),
            Out::Event(json) if signals && (!self.on_bus || self.listeners.wants()) => {
                return self.outbox.push(encode::event(json));
            }
            Out::RoutingReady if signals => return self.outbox.push(encode::routing_signal("setRoutingReady")),
            Out::RoutingRundown if signals => return self.outbox.push(encode::routing_signal("setRoutingRundown")),
            Out::Signal(_) | Out::Event(_) | Out::RoutingReady | Out::RoutingRundown => return,
            Out::Domain(call) => return self.ask(call),
            Out::Watch { peer, bus_name } => return self.watch(peer, bus_name),
            Out::Reply { token, .. } | Out::RoutingReply { token, .. } | Out::OwnReply { token, .. } => {
                self.pending.remove(token)
            }
        };
        let Some(call) = answered else {
            return;
        };
        self.fair.answered(&call.sender);
        if call.silent {
            return;
        }
        let message = match out {
            Out::Reply { reply, .. } => encode::reply(&call.call.header(), call.answer, reply),
            Out::OwnReply { reply, .. } => encode::own_reply(&call.call.header(), call.answer, reply),
            Out::RoutingReply { reply, .. } => encode::routing_reply(&call.call.header(), call.answer, reply),
            _ => None,
        };
        self.outbox.push(message.unwrap_or_else(|| {
            tracing::error!(
                "bus: the answer {out:?} does not fit a call that wants {:?}",
                call.answer
            );
            error_reply(
                &call.call,
                error::FAILED,
                "internal error: the answer does not fit the call",
            )
        }));
    }
}

fn denied(role: Role) -> String {
    format!("this needs the role `{}`: see [access] in audiod's file", role.name())
}

/// AudioManager takes any interface name. Here all but those that mean something else: a bus's policy tells by interface who
/// may do what, and must not be talked around by calling Connect a Peer's.
fn is_anothers(interface: &str, ours: &str) -> bool {
    interface != ours
        && ([COMMAND_INTERFACE, ROUTING_INTERFACE, OWN_INTERFACE].contains(&interface)
            || interface.starts_with("org.freedesktop.DBus"))
}

/// Something small to which an answer can be made later: `message` itself, or a stand-in for it.
fn answerable(message: &Message) -> zbus::Result<Message> {
    if message.data().bytes().len() <= SMALL {
        return Ok(message.clone());
    }
    let header = message.header();
    let call = Message::method_call("/", "Call").serial(message.primary_header().serial_num());
    match header.sender() {
        Some(sender) => call.sender(sender.to_owned()).build(&()),
        None => call.build(&()),
    }
}

fn error_reply(call: &Message, name: &'static str, text: &str) -> zbus::Result<Message> {
    let name = ErrorName::try_from(name)?;
    // Paths and signatures of the caller are in it, of any length.
    let text: String = text.chars().take(ERROR_LIMIT).collect();
    Message::error(&call.header(), name).build(&encode::text(&text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        /// Whatever is asked of whatever path: it is answered at once or queued, never both, and never without an end.
        #[test]
        fn every_call_is_answered_or_queued(
            path in prop_oneof![
                Just("/"), Just("/org"), Just("/x"), Just(crate::names::ROOT_PATH), Just(crate::names::COMMAND_PATH),
                Just(crate::names::OWN_PATH), Just(crate::names::ROUTING_PATH),
            ],
            interface in prop_oneof![
                Just(None), Just(Some(COMMAND_INTERFACE)), Just(Some(OWN_INTERFACE)), Just(Some("a.b")),
                Just(Some("org.freedesktop.DBus.Properties")),
            ],
            member in prop_oneof![
                "[A-Za-z]{1,12}", Just("Introspect".to_owned()), Just("GetAll".to_owned()), Just("Status".to_owned()),
                (0..22_usize).prop_map(|row| table::COMMAND[row].member.to_owned()),
                (0..52_usize).prop_map(|row| routing_table::ROUTING[row].member.to_owned()),
            ],
            signature in prop_oneof!["[nqiuysobtvg]{0,3}", Just("q(nn)".to_owned()), Just("(nn)".to_owned()), Just("qn".to_owned())],
            bytes in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..24),
        ) {
            let mut call = Message::method_call(path, member).sender(":1.5");
            if let Some(interface) = interface {
                call = call.interface(interface);
            }
            // SAFETY: an invalid body is what is tested; it holds no descriptors.
            let Ok(call) = (unsafe { call.build_raw_body(&bytes, signature.as_str(), vec![]) }) else {
                return Ok(());
            };
            let mut dispatch = Dispatch::new(None, None);

            dispatch.incoming(&call);

            let answers = dispatch.outbox.take(9);
            let queued = usize::from(dispatch.next().is_some());
            prop_assert_eq!(answers.len() + queued, 1);
            prop_assert_eq!(dispatch.pending.len(), queued);
            for answer in answers {
                prop_assert_eq!(answer.header().reply_serial(), Some(call.primary_header().serial_num()));
            }
        }
    }
}
