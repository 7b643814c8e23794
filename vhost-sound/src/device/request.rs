//! Control requests (virtio 1.3 §5.14.6): what is asked, and the answer or the decision.
//!
//! BAD_MSG: cut short, out of range, no such stream, jack or element. NOT_SUPP: understood and not offered, or not in this
//! state. IO_ERR is never given: what is accepted is done.

use std::sync::atomic::Ordering::Acquire;

use super::controls::Element;
use super::pcm::{FEATURES, check_params, next_state};
use super::words::{CONNECTED, Decided, Effect, get};
use crate::block::{DeviceBlock, stream_state};
use crate::config::{ChannelMapConfig, DeviceConfig, Direction, JackConfig, StreamConfig};
use crate::ring::store::put32;
use crate::wire::{self, QueryInfo, SetParams, Status, code, word, words};

/// What becomes of a request.
pub(super) enum Verdict {
    /// This is the answer.
    Answer(Vec<u8>),
    /// The engine has to do something first; the answer will be OK.
    Decided(Decided),
    /// A guest wrote this control element; the answer is OK.
    Written {
        /// Control id.
        element: usize,
        /// The value is another one now.
        changed: bool,
    },
    /// Refused, and the log should say why.
    Refused(Status, String),
}

/// What requests are judged against.
pub(super) struct Judge<'a> {
    pub config: &'a DeviceConfig,
    pub block: &'a DeviceBlock,
    pub elements: &'a [Element],
    /// `VIRTIO_SND_F_CTLS` was negotiated.
    pub controls: bool,
    /// Available index of the request's chain.
    pub avail: u16,
}

fn status(status: Status) -> Verdict {
    Verdict::Answer(words(&[status as u32]))
}

fn ok(body: &[u8]) -> Verdict {
    let mut answer = words(&[Status::Ok as u32]);
    answer.extend(body);
    Verdict::Answer(answer)
}

impl Judge<'_> {
    /// Judges a request whose answer may take `room` bytes (at least 4).
    pub fn judge(&self, request: &[u8], room: usize) -> Verdict {
        let Some(number) = word(request, 0) else {
            return status(Status::BadMsg);
        };
        match number {
            code::JACK_INFO | code::PCM_INFO | code::CHMAP_INFO => self.info(number, request, room),
            code::JACK_REMAP => self.remap(request),
            code::PCM_SET_PARAMS => self.set_params(request),
            code::PCM_PREPARE..=code::PCM_STOP => self.transition(number, request),
            code::CTL_INFO if self.controls => self.info(number, request, room),
            code::CTL_ENUM_ITEMS..=code::CTL_TLV_COMMAND if self.controls => self.control(number, request, room),
            _ => status(Status::NotSupp),
        }
    }

    fn info(&self, number: u32, request: &[u8], room: usize) -> Verdict {
        let Some(query) = QueryInfo::parse(request) else {
            return status(Status::BadMsg);
        };
        let (total, least) = match number {
            code::JACK_INFO => (self.config.jacks.len(), wire::JACK_INFO_BYTES),
            code::PCM_INFO => (self.config.streams.len(), wire::PCM_INFO_BYTES),
            code::CHMAP_INFO => (self.config.channel_maps.len(), wire::CHMAP_INFO_BYTES),
            _ => (self.elements.len(), wire::CTL_INFO_BYTES),
        };
        let (start, count, size) = (u64::from(query.start), u64::from(query.count), u64::from(query.size));
        if start + count > total as u64 || size < least as u64 || 4 + count * size > room as u64 {
            return status(Status::BadMsg);
        }
        let mut body = Vec::new();
        for id in query.start as usize..(query.start + query.count) as usize {
            let item = match number {
                code::JACK_INFO => self.config.jacks.get(id).map(|jack| self.jack(id, jack)),
                code::PCM_INFO => self.config.streams.get(id).map(pcm),
                code::CHMAP_INFO => self.config.channel_maps.get(id).map(channel_map),
                _ => self.elements.get(id).map(Element::info),
            };
            let at = body.len();
            body.extend(item.unwrap_or_default());
            body.resize(at + query.size as usize, 0);
        }
        ok(&body)
    }

    fn jack(&self, id: usize, jack: &JackConfig) -> Vec<u8> {
        let mut item = words(&[jack.nid, 0, jack.defconf, jack.caps]);
        item.push(u8::from(get(self.block, CONNECTED) >> id & 1 == 1));
        item.resize(wire::JACK_INFO_BYTES, 0);
        item
    }

    /// No jack offers it.
    fn remap(&self, request: &[u8]) -> Verdict {
        let jack = word(request, 4).filter(|_| request.len() >= 16);
        match jack {
            Some(jack) if (jack as usize) < self.config.jacks.len() => status(Status::NotSupp),
            _ => status(Status::BadMsg),
        }
    }

    fn stream(&self, request: &[u8]) -> Option<(usize, &StreamConfig)> {
        let stream = word(request, 4)? as usize;
        Some((stream, self.config.streams.get(stream)?))
    }

    fn set_params(&self, request: &[u8]) -> Verdict {
        let (Some((stream, offer)), Some(params)) = (self.stream(request), SetParams::parse(request)) else {
            return status(Status::BadMsg);
        };
        let block = &self.block.streams[stream];
        let refused =
            |status, why: String| Verdict::Refused(status, format!("stream {}: SET_PARAMS: {why}", offer.name));
        let state = match next_state(block.wanted.load(Acquire), code::PCM_SET_PARAMS) {
            Ok(state) => state,
            Err(error) => return refused(Status::NotSupp, error.to_string()),
        };
        if let Err(error) = check_params(self.config, offer, &params) {
            return refused(error.status(), error.to_string());
        }
        // Nobody reads these before `params_gen` changes.
        put32(&block.buffer_bytes, params.buffer_bytes);
        put32(&block.period_bytes, params.period_bytes);
        put32(&block.features, params.features);
        put32(&block.channels, u32::from(params.channels));
        put32(&block.format, u32::from(params.format));
        put32(&block.rate, u32::from(params.rate));
        Verdict::Decided(Decided {
            avail: self.avail,
            stream,
            state,
            effect: Effect::Params,
            generation: block.params_gen.load(Acquire).wrapping_add(1),
        })
    }

    fn transition(&self, number: u32, request: &[u8]) -> Verdict {
        let Some((stream, offer)) = self.stream(request) else {
            return status(Status::BadMsg);
        };
        let block = &self.block.streams[stream];
        let before = block.wanted.load(Acquire);
        let state = match next_state(before, number) {
            Ok(state) => state,
            Err(error) => return Verdict::Refused(Status::NotSupp, format!("stream {}: {error}", offer.name)),
        };
        let (effect, generation) = match number {
            code::PCM_RELEASE => (Effect::Release, block.release_gen.load(Acquire)),
            code::PCM_START if before == stream_state::PREPARED => (Effect::Start, block.start_gen.load(Acquire)),
            _ => (Effect::Enter, 0),
        };
        Verdict::Decided(Decided {
            avail: self.avail,
            stream,
            state,
            effect,
            generation: generation.wrapping_add(1),
        })
    }

    fn control(&self, number: u32, request: &[u8], room: usize) -> Verdict {
        let found = word(request, 4).map(|id| id as usize);
        let Some((id, element)) = found.and_then(|id| Some((id, self.elements.get(id)?))) else {
            return status(Status::BadMsg);
        };
        match number {
            code::CTL_READ => {
                let value = element.value(self.block);
                let fits = value.len().min(room - 4);
                // One word of it says everything.
                if fits < 4 {
                    status(Status::BadMsg)
                } else {
                    ok(&value[..fits])
                }
            }
            code::CTL_WRITE => match element.write(self.block, request.get(8..).unwrap_or_default()) {
                Some(changed) => Verdict::Written { element: id, changed },
                None => status(Status::BadMsg),
            },
            code::CTL_TLV_READ => match element.tlv() {
                Some(tlv) => ok(&tlv[..tlv.len().min(room - 4)]),
                None => status(Status::NotSupp),
            },
            _ => status(Status::NotSupp),
        }
    }
}

fn direction(way: Direction) -> u8 {
    match way {
        Direction::Playback => 0,
        Direction::Capture => 1,
    }
}

fn pcm(stream: &StreamConfig) -> Vec<u8> {
    let mut item = words(&[stream.nid, FEATURES]);
    item.extend(stream.formats.to_le_bytes());
    item.extend(stream.rates.to_le_bytes());
    item.extend([direction(stream.direction), stream.channels_min, stream.channels_max]);
    item.resize(wire::PCM_INFO_BYTES, 0);
    item
}

fn channel_map(map: &ChannelMapConfig) -> Vec<u8> {
    let positions = &map.positions[..map.positions.len().min(wire::CHMAP_POSITIONS)];
    let mut item = words(&[map.nid]);
    item.extend([direction(map.direction), positions.len() as u8]);
    item.extend(positions);
    item.resize(wire::CHMAP_INFO_BYTES, 0);
    item
}
