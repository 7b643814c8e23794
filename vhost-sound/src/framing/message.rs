//! Messages: header, what carries descriptors, what is answered. Native byte order.

pub use vhost::vhost_user::message::FrontendReq as Code;

/// Bytes of a header: request, flags, size.
pub const HEADER: usize = 12;
/// Longest payload taken.
pub const MAX_PAYLOAD: usize = 4096;
/// Most descriptors of one message.
pub const MAX_FDS: usize = 32;
/// Kicks come as messages.
pub const INBAND_NOTIFICATIONS: u64 = 1 << 14;

/// Flags of a header: version 1.
pub const VERSION: u32 = 1;
/// Flag: the answer to a request.
pub const REPLY: u32 = 4;
/// Flag: the sender waits for an acknowledgement.
pub const NEED_REPLY: u32 = 8;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Message number.
    pub number: u32,
    /// Version and flags.
    pub flags: u32,
    /// Bytes of the payload.
    pub size: u32,
}

impl Header {
    /// A request's.
    pub fn request(code: Code, flags: u32, size: usize) -> Self {
        Self {
            number: code.into(),
            flags: VERSION | flags,
            size: size as u32,
        }
    }

    /// From its bytes.
    pub fn parse(bytes: &[u8; HEADER]) -> Self {
        Self {
            number: word(bytes, 0),
            flags: word(bytes, 4),
            size: word(bytes, 8),
        }
    }

    /// Its bytes.
    pub fn bytes(self) -> Vec<u8> {
        [self.number, self.flags, self.size].map(u32::to_ne_bytes).concat()
    }

    /// The answer that a request gets, if any: bytes of its payload.
    pub fn answer(self, payload: &[u8]) -> Option<usize> {
        use Code::{GET_CONFIG, GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, GET_VRING_BASE};
        match code(self.number) {
            Some(GET_FEATURES | GET_PROTOCOL_FEATURES | GET_QUEUE_NUM | GET_VRING_BASE) => Some(8),
            Some(GET_CONFIG) => Some(payload.len()),
            _ => (self.flags & NEED_REPLY != 0).then_some(8),
        }
    }

    /// Whether this is the reply to `number`.
    pub fn replies(self, number: u32) -> bool {
        self.number == number && self.flags & !NEED_REPLY == VERSION | REPLY
    }
}

/// A message by its number, if it is one.
pub fn code(number: u32) -> Option<Code> {
    Code::try_from(number).ok()
}

/// The 32-bit word at `at`; 0 beyond the end.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    found.map_or(0, u32::from_ne_bytes)
}

/// The 64-bit word at `at`; 0 beyond the end.
pub fn dword(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    found.map_or(0, u64::from_ne_bytes)
}

/// Writes the 64-bit word at `at`, if there is room.
pub fn set_dword(bytes: &mut [u8], at: usize, value: u64) {
    if let Some(place) = bytes.get_mut(at..at + 8) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
}
