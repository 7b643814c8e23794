//! The command line: `name=value` words; what isn't known is passed over, numbers may be `0x…`.

use crate::sound::{MOST_PERIODS, Take};
use crate::tone::Tone;

/// Longest command line read.
const LONGEST: usize = 1024;

/// See the module.
pub struct Options {
    /// What is played.
    pub take: Take,
    /// The hypervisor's pool.
    pub pool: Option<u64>,
    /// Bytes of RAM.
    pub ram: Option<u64>,
    /// Register block of a virtio-mmio sound device.
    pub mmio: Option<u64>,
    /// Milliseconds before it plays.
    pub delay: u32,
}

impl Options {
    /// From the text at `address`, which ends with a zero; none at 0.
    pub fn read(address: u64) -> Self {
        let mut options = Self {
            take: Take {
                frames: 48_000,
                period: 480,
                periods: 4,
                tail: 4,
                tone: Tone { headroom: 0 },
            },
            pool: None,
            ram: None,
            mmio: None,
            delay: 0,
        };
        let mut bytes = [0; LONGEST];
        let mut length = 0;
        while address != 0 && length < LONGEST {
            // SAFETY: the loader's text, in the first 4 GiB; reading ends at its zero.
            let byte = unsafe { ((address + length as u64) as *const u8).read() };
            if byte == 0 {
                break;
            }
            bytes[length] = byte;
            length += 1;
        }
        let text = core::str::from_utf8(&bytes[..length]).unwrap_or("");
        for word in text.split_ascii_whitespace() {
            if let Some((name, value)) = word.split_once('=')
                && let Some(value) = number(value)
            {
                options.set(name, value);
            }
        }
        options
    }

    /// Values are brought into the range that makes sense: a message is at most 4096 frames.
    fn set(&mut self, name: &str, value: u64) {
        let small = value.min(u64::from(u32::MAX)) as u32;
        match name {
            "frames" => self.take.frames = small.min(u32::MAX / 2),
            "period" => self.take.period = small.clamp(16, 4096),
            "periods" => self.take.periods = small.clamp(2, MOST_PERIODS as u32) as u16,
            "tail" => self.take.tail = small.min(1000),
            "headroom" => self.take.tone.headroom = small.min(8),
            "delay" => self.delay = small.min(60_000),
            "pool" => self.pool = Some(value),
            "ram" => self.ram = Some(value),
            "mmio" => self.mmio = Some(value),
            _ => {}
        }
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
