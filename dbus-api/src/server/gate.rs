//! Which role a call needs, and whether its sender has it.
//!
//! ```text
//!   call ─► role ─► everyone's? ─────────────────────────────► queued
//!                   sender known? ── has it ─────────────────► queued
//!                        │         └ hasn't ─────────────────► AccessDenied
//!                        └ no: queued and held ─► GetConnectionCredentials ─► judged: goes on, or AccessDenied in its turn
//! ```
//! Nobody waits but the sender. A bus never gives a unique name twice, so what it once said of one stays true; the oldest is
//! forgotten when there are too many.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

use zbus::Message;
use zbus::fdo::ConnectionCredentials;
use zbus::message::Type;

use super::introspect::Node;
use super::peers;
use crate::access::{Access, Credentials, Role};

/// Senders remembered.
const REMEMBERED: usize = 1024;

/// The role that a method needs.
pub(super) fn role(node: Option<Node>, member: &str) -> Role {
    match (node, member) {
        (Some(Node::Routing), _) => Role::Domain,
        (Some(Node::Own), "Status" | "History" | "Listen") => Role::Observe,
        (Some(Node::Own), "Reload" | "SetSystemProperties") | (Some(Node::Command), "SetSystemProperty") => Role::Admin,
        (Some(Node::Command), read) if read.starts_with("get") || read.starts_with("Get") => Role::Observe,
        _ => Role::Control,
    }
}

/// See the module.
pub(super) struct Gate {
    access: Access,
    known: BTreeMap<String, Credentials>,
    /// Names in `known`, oldest first.
    order: VecDeque<String>,
    asked: BTreeMap<NonZeroU32, String>,
}

impl Gate {
    pub(super) fn new(access: Access) -> Self {
        Self {
            access,
            known: BTreeMap::new(),
            order: VecDeque::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Another connection: names on it mean others.
    pub(super) fn forget(&mut self) {
        *self = Self::new(std::mem::take(&mut self.access));
    }

    /// Whether a sender has a role; `None`: the bus has to be asked.
    pub(super) fn allows(&self, sender: &str, role: Role) -> Option<bool> {
        if self.access.is_open(role) {
            return Some(true);
        }
        let known = self.known.get(sender)?;
        Some(self.access.allows(role, known))
    }

    /// The question to the bus, unless it is on its way.
    pub(super) fn ask(&mut self, sender: &str) -> Option<zbus::Result<Message>> {
        if self.asked.values().any(|asked| asked == sender) {
            return None;
        }
        let question = peers::call("GetConnectionCredentials", None, sender);
        if let Ok(question) = &question {
            self.asked
                .insert(question.primary_header().serial_num(), sender.to_owned());
        }
        Some(question)
    }

    /// The bus's answer about a sender, if it is one: whose.
    pub(super) fn told(&mut self, message: &Message) -> Option<String> {
        if !matches!(message.message_type(), Type::MethodReturn | Type::Error) || !peers::is_of_bus(message) {
            return None;
        }
        let sender = self.asked.remove(&message.header().reply_serial()?)?;
        let said = match message.message_type() {
            Type::MethodReturn => message.body().deserialize::<ConnectionCredentials>().ok(),
            _ => None,
        };
        let credentials = said.map(|said| Credentials {
            user: said.unix_user_id(),
            groups: said.unix_group_ids().cloned(),
        });
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(sender.clone());
        self.known.insert(sender.clone(), credentials.unwrap_or_default());
        Some(sender)
    }
}
