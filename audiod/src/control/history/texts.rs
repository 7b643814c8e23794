//! Texts in memory that never grows.

use std::fmt;

/// All changes together, bytes: 300 a decision.
const LENGTH: usize = 3 << 20;
const BRIEF: usize = 119;

/// A short text, cut where it is too long.
#[derive(Clone, Copy)]
pub(super) struct Brief {
    bytes: [u8; BRIEF],
    length: u8,
}

impl Brief {
    pub(super) const EMPTY: Self = Self {
        bytes: [b' '; BRIEF],
        length: 0,
    };

    pub(super) fn new(text: &str) -> Self {
        let mut brief = Self::EMPTY;
        let length = (0..=text.len().min(BRIEF))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        let length = length.unwrap_or(0);
        brief.bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        brief.length = length as u8;
        brief
    }
}

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default())
    }
}

impl fmt::Debug for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// A ring of bytes; a text is found by where it was put, counted from the first that ever was.
pub(super) struct Texts {
    bytes: Vec<u8>,
    end: u64,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self {
            // Not zeros: those would be memory only once they are written.
            bytes: vec![b'\n'; LENGTH],
            end: 0,
        }
    }

    /// Keeps a text, shorter than all together, until others need the room.
    pub(super) fn keep(&mut self, text: &str) -> u64 {
        let at = self.end;
        for byte in text.bytes() {
            self.bytes[(self.end % LENGTH as u64) as usize] = byte;
            self.end += 1;
        }
        at
    }

    /// The text that was put there; `None` when it is overwritten.
    pub(super) fn get(&self, (at, length): (u64, usize)) -> Option<String> {
        if self.end - at > LENGTH as u64 {
            return None;
        }
        let byte = |position: u64| self.bytes[(position % LENGTH as u64) as usize];
        String::from_utf8((at..at + length as u64).map(byte).collect()).ok()
    }
}
