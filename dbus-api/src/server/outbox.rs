//! What leaves for the bus, in order; and how much of it is for each domain.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;

use zbus::Message;

/// Messages that wait to be written, and their size.
#[derive(Default)]
pub(super) struct Outbox {
    messages: VecDeque<Message>,
    bytes: usize,
    /// Serials of calls to domains among them, by connection.
    to_domains: BTreeMap<String, BTreeSet<NonZeroU32>>,
}

impl Outbox {
    pub(super) fn push(&mut self, message: zbus::Result<Message>) {
        match message {
            Ok(message) => {
                self.bytes += message.data().bytes().len();
                self.messages.push_back(message);
            }
            Err(error) => tracing::error!("bus: a message could not be built: {error}"),
        }
    }

    /// Up to `most` messages, oldest first.
    pub(super) fn take(&mut self, most: usize) -> Vec<Message> {
        let batch: Vec<Message> = self.messages.drain(..most.min(self.messages.len())).collect();
        self.bytes -= batch.iter().map(|message| message.data().bytes().len()).sum::<usize>();
        if !self.to_domains.is_empty() {
            batch.iter().for_each(|message| self.left(message));
        }
        batch
    }

    /// How many calls to this domain's connection wait.
    pub(super) fn to_domain(&self, peer: &str) -> usize {
        self.to_domains.get(peer).map_or(0, BTreeSet::len)
    }

    pub(super) fn push_to(&mut self, peer: &str, call: Message) {
        let serial = call.primary_header().serial_num();
        self.to_domains.entry(peer.to_owned()).or_default().insert(serial);
        self.push(Ok(call));
    }

    fn left(&mut self, message: &Message) {
        let header = message.header();
        let peer = header.destination().map_or("", |it| it.as_str());
        let Some(serials) = self.to_domains.get_mut(peer) else {
            return;
        };
        serials.remove(&message.primary_header().serial_num());
        if serials.is_empty() {
            self.to_domains.remove(peer);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// More than this many messages or bytes wait.
    pub(super) fn over(&self, messages: usize, bytes: usize) -> bool {
        self.messages.len() > messages || self.bytes > bytes
    }
}
