//! Domains' connections: who owns the names they gave, and which of our calls to them have not returned.
//!
//! ```text
//!   registerDomain(bus name) ─► AddMatch, GetNameOwner ──owner is the caller──► owned ──NameOwnerChanged──► DomainLost
//!                               (its calls wait)       └──it isn't──► the call is answered 7
//!   request ─► awaited ──method return──► proven (the ack is a call of its own): the next of this member isn't awaited
//!                ▲    └──error──► RequestFailed      │
//!                └───────── a request is aborted ────┘
//! ```
//! Without a bus there is one peer, and it owns whatever it says.
//!
//! What a return could tell (nobody takes the request) it has told once the peer took one of the same member. From then on the ack
//! alone is waited for, as AudioManager does: without the returns, four steps are four messages on the bus less, and each party is
//! woken four times less. A request that was not acknowledged and had to be aborted puts all of it in doubt again.
//!
//! A peer that never returns from our calls is asked for no more returns: a bus bounds how many a connection waits for
//! (`max_replies_per_connection`), and one domain must not use that up.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use zbus::Message;
use zbus::message::{Flags, Type};

/// Names that domains of one connection may have, and all together.
const NAMES_OF_PEER: usize = 64;
const NAMES: usize = 256;
/// Calls to one connection, and to all, whose return is waited for.
const AWAITED_OF_PEER: usize = 16;
const AWAITED: usize = 64;

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// A name whose owner the bus was asked for.
struct Check {
    peer: String,
    name: String,
    /// The call that waits for it.
    token: Option<u64>,
}

/// A call that has not returned.
struct Awaited {
    peer: String,
    member: &'static str,
    handle: u16,
}

/// What a message said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing of this.
    Nothing,
    /// The owner of a name was found: what waited for it may go on, after this token was refused, if one is.
    Checked { peer: String, refused: Option<u64> },
    /// A domain's connection no longer has (or never had) this name.
    Lost { peer: String, name: String },
    /// The request with this handle was not taken.
    Failed { peer: String, handle: u16 },
}

/// What a registration's bus name is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The caller's.
    Owned,
    /// Not the caller's, or there are too many.
    Refused,
    /// The bus is asked: these messages go out, [`Told::Checked`] comes.
    Asked,
}

/// See the module.
#[derive(Default)]
pub(super) struct Peers {
    owners: BTreeMap<String, String>,
    checks: BTreeMap<NonZeroU32, Check>,
    awaited: BTreeMap<NonZeroU32, Awaited>,
    /// Members that peers have returned from.
    proven: BTreeMap<String, BTreeSet<&'static str>>,
}

impl Peers {
    /// A domain of `peer` is to be registered (`token`), or was (none), under `name`.
    pub(super) fn check(
        &mut self,
        peer: &str,
        name: &str,
        token: Option<u64>,
    ) -> (Standing, Vec<zbus::Result<Message>>) {
        match self.owners.get(name) {
            Some(owner) if owner == peer => return (Standing::Owned, Vec::new()),
            Some(_) => return (Standing::Refused, Vec::new()),
            None => {}
        }
        let names = self.owners.values().chain(self.checks.values().map(|it| &it.peer));
        if names.clone().count() >= NAMES || names.filter(|it| *it == peer).count() >= NAMES_OF_PEER {
            return (Standing::Refused, Vec::new());
        }
        let Ok(question) = call("GetNameOwner", None, name) else {
            return (Standing::Refused, Vec::new());
        };
        let serial = question.primary_header().serial_num();
        let messages = vec![watch("AddMatch", name), Ok(question)];
        let (peer, name) = (peer.to_owned(), name.to_owned());
        self.checks.insert(serial, Check { peer, name, token });
        (Standing::Asked, messages)
    }

    /// Whether the return of one more call of this member to `peer` is waited for.
    pub(super) fn awaits(&self, peer: &str, member: &str) -> bool {
        if self.proven.get(peer).is_some_and(|it| it.contains(member)) {
            return false;
        }
        let of_peer = self.awaited.values().filter(|it| it.peer == peer).count();
        self.awaited.len() < AWAITED && of_peer < AWAITED_OF_PEER
    }

    /// A call whose return is waited for leaves.
    pub(super) fn sent(&mut self, message: &Message, peer: &str, member: &'static str, handle: u16) {
        let peer = peer.to_owned();
        let awaited = Awaited { peer, member, handle };
        self.awaited.insert(message.primary_header().serial_num(), awaited);
    }

    /// A request to `peer` is aborted.
    pub(super) fn doubt(&mut self, peer: &str) {
        self.proven.remove(peer);
    }

    /// Whether `peer` has a name of a domain.
    pub(super) fn knows(&self, peer: &str) -> bool {
        self.owners
            .values()
            .chain(self.checks.values().map(|it| &it.peer))
            .any(|it| it == peer)
    }

    /// A signal, return or error came. What is to be sent is put into `out`.
    pub(super) fn told(&mut self, message: &Message, out: &mut Vec<zbus::Result<Message>>) -> Told {
        match message.message_type() {
            Type::Signal if is_of_bus(message) => self.owner_changed(message, out),
            Type::MethodReturn | Type::Error => {
                let Some(serial) = message.header().reply_serial() else {
                    return Told::Nothing;
                };
                if self.checks.contains_key(&serial) && is_of_bus(message) {
                    return self.checked(serial, message, out);
                }
                self.returned(serial, message)
            }
            _ => Told::Nothing,
        }
    }

    fn checked(&mut self, serial: NonZeroU32, message: &Message, out: &mut Vec<zbus::Result<Message>>) -> Told {
        let Some(Check { peer, name, token }) = self.checks.remove(&serial) else {
            return Told::Nothing;
        };
        let owner = message.body().deserialize::<String>().ok();
        let is_owner = message.message_type() == Type::MethodReturn && owner.as_ref() == Some(&peer);
        // The rule was added once for each check: one stays for a name that is owned.
        if !is_owner || self.owners.insert(name.clone(), peer.clone()).is_some() {
            out.push(watch("RemoveMatch", &name));
        }
        match (is_owner, token) {
            (false, None) => Told::Lost { peer, name },
            (true, None) => Told::Nothing,
            (_, Some(token)) => Told::Checked {
                peer,
                refused: (!is_owner).then_some(token),
            },
        }
    }

    fn owner_changed(&mut self, message: &Message, out: &mut Vec<zbus::Result<Message>>) -> Told {
        let is_change = message
            .header()
            .member()
            .is_some_and(|it| it.as_str() == "NameOwnerChanged");
        let body = message.body();
        let Ok((name, _, new)) = body.deserialize::<(&str, &str, &str)>() else {
            return Told::Nothing;
        };
        let Some(peer) = self
            .owners
            .get(name)
            .filter(|peer| is_change && peer.as_str() != new)
            .cloned()
        else {
            return Told::Nothing;
        };
        self.owners.remove(name);
        out.push(watch("RemoveMatch", name));
        if !self.knows(&peer) {
            self.awaited.retain(|_, it| it.peer != peer);
            self.proven.remove(&peer);
        }
        let name = name.to_owned();
        Told::Lost { peer, name }
    }

    /// Only the callee's word counts, and the bus's for one that is gone.
    fn returned(&mut self, serial: NonZeroU32, message: &Message) -> Told {
        let header = message.header();
        let sender = header.sender().map_or("", |it| it.as_str());
        let Some(awaited) = self.awaited.get(&serial) else {
            return Told::Nothing;
        };
        if sender != awaited.peer && sender != BUS {
            return Told::Nothing;
        }
        let Some(Awaited { peer, member, handle }) = self.awaited.remove(&serial) else {
            return Told::Nothing;
        };
        match message.message_type() {
            Type::Error if handle != 0 => Told::Failed { peer, handle },
            Type::MethodReturn if self.knows(&peer) => {
                self.proven.entry(peer).or_default().insert(member);
                Told::Nothing
            }
            _ => Told::Nothing,
        }
    }
}

pub(super) fn is_of_bus(message: &Message) -> bool {
    message.header().sender().is_some_and(|sender| sender.as_str() == BUS)
}

/// One word of text to the bus.
pub(super) fn call(member: &'static str, flags: Option<Flags>, text: &str) -> zbus::Result<Message> {
    let call = Message::method_call(BUS_PATH, member).interface(BUS).destination(BUS);
    match flags {
        Some(flags) => call.with_flags(flags).build(&text),
        None => call.build(&text),
    }
}

/// `name` is a valid bus name, so it has no quotes.
pub(super) fn watch(member: &'static str, name: &str) -> zbus::Result<Message> {
    let rule = format!("type='signal',sender='{BUS}',path='{BUS_PATH}',member='NameOwnerChanged',arg0='{name}'");
    call(member, Some(Flags::NO_REPLY_EXPECTED), &rule)
}

/// Tokens of calls that are to be answered 7 when it is their turn.
#[derive(Default)]
pub(super) struct Refusals(BTreeSet<u64>);

impl Refusals {
    pub(super) fn add(&mut self, token: u64) {
        self.0.insert(token);
    }

    pub(super) fn take(&mut self, token: u64) -> bool {
        self.0.remove(&token)
    }
}
