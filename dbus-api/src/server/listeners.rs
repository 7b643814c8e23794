//! Who hears [`Out::Event`](super::Out::Event): a bus carries a signal to its daemon whether anybody wants it or not, and a decision
//! has several events, so none is sent while nobody listens.
//!
//! ```text
//!   Listen ─► AddMatch, GetNameOwner ─► listens ──NameOwnerChanged, or there is no such name──► forgotten, RemoveMatch
//! ```
//! The first [`UNASKED`] events of a connection leave anyway: who listened to a predecessor has not had time to say so again.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use zbus::Message;
use zbus::message::Type;

use super::peers::{self, is_of_bus, watch};

/// Listeners that are known; beyond them events are for everybody, until the connection ends.
const LISTENERS: usize = 64;
/// See the module.
const UNASKED: u32 = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Listeners {
    /// By unique name: the serial of the question whether it is still there.
    known: BTreeMap<String, NonZeroU32>,
    /// There were too many to be known.
    everybody: bool,
    sent: u32,
}

impl Listeners {
    /// Whether one more event is sent.
    pub(super) fn wants(&mut self) -> bool {
        self.sent = self.sent.saturating_add(1);
        self.everybody || !self.known.is_empty() || self.sent <= UNASKED
    }

    /// Somebody listens; what is to be sent for it.
    pub(super) fn add(&mut self, sender: &str) -> Vec<zbus::Result<Message>> {
        if self.known.contains_key(sender) {
            return Vec::new();
        }
        let Ok(question) = peers::call("GetNameOwner", None, sender) else {
            return Vec::new();
        };
        if self.known.len() >= LISTENERS {
            self.everybody = true;
            return Vec::new();
        }
        self.known
            .insert(sender.to_owned(), question.primary_header().serial_num());
        vec![watch("AddMatch", sender), Ok(question)]
    }

    /// A signal, return or error came: whether it was an answer to a question of here, and so nobody else's. What is to be sent is
    /// put into `out`.
    pub(super) fn told(&mut self, message: &Message, out: &mut Vec<zbus::Result<Message>>) -> bool {
        if !is_of_bus(message) {
            return false;
        }
        let asked = message.header().reply_serial().and_then(|serial| {
            let mut known = self.known.iter();
            known.find(|(_, asked)| **asked == serial).map(|(name, _)| name.clone())
        });
        let is_answer = asked.is_some();
        let gone = match message.message_type() {
            // A domain's connection may listen too: who goes is of interest elsewhere as well.
            Type::Signal => left(message),
            Type::Error => asked,
            Type::MethodReturn | Type::MethodCall => None,
        };
        if let Some(gone) = gone.filter(|gone| self.known.remove(gone).is_some()) {
            out.push(watch("RemoveMatch", &gone));
        }
        is_answer
    }
}

/// The unique name that is no longer anybody's.
fn left(message: &Message) -> Option<String> {
    let header = message.header();
    let body = message.body();
    let (name, _, new) = body.deserialize::<(&str, &str, &str)>().ok()?;
    (header.member()?.as_str() == "NameOwnerChanged" && new.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_to(question: &Message) -> Message {
        let name = zbus::names::ErrorName::try_from("org.freedesktop.DBus.Error.NameHasNoOwner").unwrap();
        let error = Message::error(&question.header(), name).sender("org.freedesktop.DBus");
        error.build(&"nobody").unwrap()
    }

    fn without_the_first() -> Listeners {
        let mut listeners = Listeners::default();
        (0..UNASKED).for_each(|_| assert!(listeners.wants()));
        listeners
    }

    #[test]
    fn a_connections_first_events_leave_unasked_and_the_others_only_for_somebody() {
        let mut listeners = without_the_first();
        assert!(!listeners.wants());

        let sent = listeners.add(":1.7").len();

        assert_eq!((sent, listeners.wants()), (2, true));
        assert_eq!(listeners.add(":1.7").len(), 0, "it is known");
    }

    #[test]
    fn who_was_gone_before_it_was_watched_does_not_listen() {
        let mut listeners = without_the_first();
        let question = listeners.add(":1.7").pop().unwrap().unwrap();
        let mut out = Vec::new();

        let told = listeners.told(&error_to(&question), &mut out);

        assert_eq!((told, out.len(), listeners.wants()), (true, 1, false));
        assert!(!listeners.told(&error_to(&question), &mut out), "it is nobody's answer");
    }

    #[test]
    fn who_leaves_listens_no_more_and_others_hear_of_it_too() {
        let mut listeners = without_the_first();
        listeners.add(":1.7");
        let signal = Message::signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged");
        let signal = signal.sender("org.freedesktop.DBus");
        let signal = signal.build(&(":1.7", ":1.7", "")).unwrap();
        let mut out = Vec::new();

        let kept = listeners.told(&signal, &mut out);

        assert_eq!((kept, out.len(), listeners.wants()), (false, 1, false));
    }

    #[test]
    fn more_than_can_be_known_all_hear() {
        let mut listeners = without_the_first();
        for n in 0..=LISTENERS {
            listeners.add(&format!(":1.{n}"));
        }
        let names: Vec<(String, NonZeroU32)> = listeners.known.clone().into_iter().collect();

        listeners.known.clear();

        assert_eq!((names.len(), listeners.wants()), (LISTENERS, true));
    }
}
