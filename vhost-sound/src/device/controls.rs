//! Control elements (virtio 1.3 §5.14.6.9): a volume and a mute switch for each stream that has `controls`.
//!
//! The volume runs from 0 (-60.0 dB) to 600 (0.0 dB) in steps of 0.1 dB, so that what the policy sets and what the guest
//! reads back are the same number. Streams of a safety partition have no elements.

use std::sync::atomic::Ordering::Acquire;

use crate::block::DeviceBlock;
use crate::config::{DeviceConfig, Direction};
use crate::ring::store::put32;
use crate::wire::{CTL_INFO_BYTES, CTL_VALUE_BYTES, ctl, word, words};

/// Lowest volume, 0.1 dB.
pub const LOWEST: i16 = -600;
const NAME_BYTES: usize = 44;

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The stream's wanted gain.
    Volume,
    /// 1 = audible.
    Switch,
}

/// One element; its index is the control id.
#[derive(Clone, Debug)]
pub struct Element {
    /// Stream it belongs to.
    pub stream: usize,
    /// What it is.
    pub kind: Kind,
    name: String,
    nid: u32,
    index: u32,
}

/// All elements of a device.
pub fn elements(config: &DeviceConfig) -> Vec<Element> {
    let mut all: Vec<Element> = Vec::new();
    for (stream, offer) in config.streams.iter().enumerate() {
        if offer.safety || !offer.controls {
            continue;
        }
        let way = match offer.direction {
            Direction::Playback => "Playback",
            Direction::Capture => "Capture",
        };
        for (kind, noun) in [(Kind::Volume, "Volume"), (Kind::Switch, "Switch")] {
            let name = name(&offer.name, way, noun);
            let index = all.iter().filter(|other| other.name == name).count() as u32;
            all.push(Element {
                stream,
                kind,
                name,
                nid: offer.nid,
                index,
            });
        }
    }
    all
}

/// `Media Playback Volume`: printable ASCII that fits, as ALSA's mixers group it.
fn name(stream: &str, way: &str, noun: &str) -> String {
    let room = NAME_BYTES - 1 - way.len() - noun.len() - 2;
    let mut first = true;
    let mut name: String = stream
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .map(|c| {
            if std::mem::take(&mut first) {
                c.to_ascii_uppercase()
            } else {
                c
            }
        })
        .take(room)
        .collect();
    if name.trim().is_empty() {
        name = "PCM".into();
    }
    format!("{} {way} {noun}", name.trim())
}

impl Element {
    /// `virtio_snd_ctl_info`.
    pub fn info(&self) -> Vec<u8> {
        let (role, kind, tlv, most) = match self.kind {
            Kind::Volume => (
                ctl::ROLE_VOLUME,
                ctl::TYPE_INTEGER,
                ctl::ACCESS_TLV_READ,
                -i32::from(LOWEST) as u32,
            ),
            Kind::Switch => (ctl::ROLE_MUTE, ctl::TYPE_BOOLEAN, 0, 1),
        };
        let access = ctl::ACCESS_READ | ctl::ACCESS_WRITE | tlv;
        let mut item = words(&[self.nid, role, kind, access, 1, self.index]);
        item.extend(self.name.as_bytes());
        item.resize(24 + NAME_BYTES + 4, 0);
        item.extend(words(&[0, most, 1]));
        item.resize(CTL_INFO_BYTES, 0);
        item
    }

    /// `virtio_snd_ctl_value`.
    pub fn value(&self, block: &DeviceBlock) -> Vec<u8> {
        let stream = &block.streams[self.stream];
        let value = match self.kind {
            Kind::Volume => {
                let gain = (stream.user_gain.load(Acquire) as i32).clamp(i32::from(LOWEST), 0);
                (gain - i32::from(LOWEST)) as u32
            }
            Kind::Switch => u32::from(stream.user_mute.load(Acquire) == 0),
        };
        let mut bytes = words(&[value]);
        bytes.resize(CTL_VALUE_BYTES, 0);
        bytes
    }

    /// Sets what a guest wrote; whether that changed anything. `None`: no such value.
    pub fn write(&self, block: &DeviceBlock, value: &[u8]) -> Option<bool> {
        let (value, stream) = (word(value, 0)?, &block.streams[self.stream]);
        let (cell, new) = match self.kind {
            Kind::Volume if value <= -i32::from(LOWEST) as u32 => {
                (&stream.user_gain, (value as i32 + i32::from(LOWEST)) as u32)
            }
            Kind::Switch if value <= 1 => (&stream.user_mute, 1 - value),
            _ => return None,
        };
        let changed = cell.load(Acquire) != new;
        if changed {
            put32(cell, new);
        }
        Some(changed)
    }

    /// The dB scale of a volume.
    pub fn tlv(&self) -> Option<Vec<u8>> {
        let hundredths = |tenths: i32| (tenths * 10) as u32;
        (self.kind == Kind::Volume)
            .then(|| words(&[ctl::TLV_DB_SCALE, 8, hundredths(i32::from(LOWEST)), hundredths(1)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_printable_and_grouped_as_mixers_expect() {
        assert_eq!(name("media", "Playback", "Volume"), "Media Playback Volume");
        assert_eq!(name("naïve\u{7}", "Capture", "Switch"), "Nave Capture Switch");
        assert_eq!(name("äö", "Playback", "Switch"), "PCM Playback Switch");
        assert!(name(&"x".repeat(99), "Playback", "Volume").len() < NAME_BYTES);
    }
}
