//! What the control half must know again after its own death, in `SessionBlock::words`.
//!
//! The journal holds the one control request whose effect is decided and whose answer has not been given:
//! ```text
//!  decided: JOURNAL_* written, JOURNAL last (point of no return)
//!     └─► carried out (absolute values: twice is once) ─► engine acknowledged ─► answered ─► JOURNAL = 0
//! ```
//! Its words are absolute values, so a successor carries it out again and answers; the guest's chain is used once.

use std::sync::atomic::Ordering::Acquire;

use crate::block::{DeviceBlock, MAX_STREAMS};
use crate::ring::store::put32;

const JOURNAL: usize = 0;
const JOURNAL_WHAT: usize = 1;
const JOURNAL_GEN: usize = 2;
/// Streams with an XRUN event to send.
pub(super) const XRUN: usize = 3;
/// Streams with a PERIOD_ELAPSED event to send.
pub(super) const PERIOD: usize = 4;
/// Jacks whose state is to be sent.
pub(super) const JACK: usize = 5;
/// Control elements whose value is to be sent.
pub(super) const ELEMENT: usize = 6;
/// Jacks plugged in.
pub(super) const CONNECTED: usize = 7;
/// Queues whose fault was told.
pub(super) const TOLD: usize = 8;
/// 1 while a vhost-user reply is on its way: sent or not, the message is still on the socket.
pub(super) const REPLYING: usize = 9;
/// SET_FEATURES came.
pub(super) const FEATURES_SET: usize = 10;
/// First of one word a stream: xruns already told.
const XRUNS_SEEN: usize = 16;
/// First of one word a stream: periods already told.
const PERIODS_SEEN: usize = XRUNS_SEEN + MAX_STREAMS;

const VALID: u32 = 1 << 16;

pub(super) fn get(block: &DeviceBlock, word: usize) -> u32 {
    block.session.words[word].load(Acquire)
}

pub(super) fn set(block: &DeviceBlock, word: usize, value: u32) {
    put32(&block.session.words[word], value);
}

pub(super) fn raise(block: &DeviceBlock, word: usize, bit: usize) {
    set(block, word, get(block, word) | 1 << bit);
}

pub(super) fn lower(block: &DeviceBlock, word: usize, bit: usize) {
    set(block, word, get(block, word) & !(1 << bit));
}

/// Word of the count of xruns, or periods, of a stream that the guest was told.
pub(super) fn xruns_seen(stream: usize) -> usize {
    XRUNS_SEEN + stream
}

pub(super) fn periods_seen(stream: usize) -> usize {
    PERIODS_SEEN + stream
}

/// What a decided control request does to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Another state, nothing else.
    Enter,
    /// SET_PARAMS: the parameters stand in the stream's block.
    Params,
    /// START after PREPARE.
    Start,
    /// RELEASE.
    Release,
}

/// A decided control request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    /// Available index of its chain.
    pub avail: u16,
    /// Stream.
    pub stream: usize,
    /// `stream_state` to enter.
    pub state: u32,
    /// What else.
    pub effect: Effect,
    /// New value of the generation that `effect` raises.
    pub generation: u32,
}

impl Decided {
    pub(super) fn record(&self, block: &DeviceBlock) {
        let what = self.stream as u32 | self.state << 8 | (self.effect as u32) << 16;
        set(block, JOURNAL_WHAT, what);
        set(block, JOURNAL_GEN, self.generation);
        set(block, JOURNAL, VALID | u32::from(self.avail));
    }

    pub(super) fn recorded(block: &DeviceBlock) -> Option<Self> {
        let (head, what) = (get(block, JOURNAL), get(block, JOURNAL_WHAT));
        let effect = match what >> 16 {
            0 => Effect::Enter,
            1 => Effect::Params,
            2 => Effect::Start,
            _ => Effect::Release,
        };
        (head & VALID != 0).then(|| Self {
            avail: head as u16,
            stream: (what & 0xff) as usize % MAX_STREAMS,
            state: what >> 8 & 0xff,
            effect,
            generation: get(block, JOURNAL_GEN),
        })
    }

    pub(super) fn strike(block: &DeviceBlock) {
        set(block, JOURNAL, 0);
    }

    /// Makes it so; the caller raises `cmd_seq`.
    pub(super) fn carry_out(&self, block: &DeviceBlock) {
        let stream = &block.streams[self.stream];
        match self.effect {
            Effect::Enter => {}
            Effect::Params => put32(&stream.params_gen, self.generation),
            Effect::Start => put32(&stream.start_gen, self.generation),
            Effect::Release => put32(&stream.release_gen, self.generation),
        }
        put32(&stream.wanted, self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Shared;

    #[test]
    fn a_decided_request_survives_its_record_and_is_gone_once_struck_out() {
        let block = Shared::<DeviceBlock>::private().unwrap();
        assert_eq!(Decided::recorded(&block), None);
        for effect in [Effect::Enter, Effect::Params, Effect::Start, Effect::Release] {
            let decided = Decided {
                avail: u16::MAX,
                stream: 15,
                state: 5,
                effect,
                generation: u32::MAX,
            };
            decided.record(&block);
            assert_eq!(Decided::recorded(&block), Some(decided));
        }
        Decided::strike(&block);
        assert_eq!(Decided::recorded(&block), None);
    }
}
