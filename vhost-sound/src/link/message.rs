//! vhost-user messages from a front end (QEMU `docs/interop/vhost-user.rst`): header, payload, reply. Native byte order.

pub use crate::framing::{HEADER, MAX_FDS, MAX_PAYLOAD};
use crate::framing::{Header, NEED_REPLY, REPLY, VERSION};

/// Longest configuration space that GET_CONFIG can name.
pub const MAX_CONFIG: u32 = 256;

/// Protocol feature bits.
pub mod protocol {
    /// GET_QUEUE_NUM.
    pub const MQ: u64 = 1 << 0;
    /// NEED_REPLY.
    pub const REPLY_ACK: u64 = 1 << 3;
    /// GET_CONFIG, SET_CONFIG.
    pub const CONFIG: u64 = 1 << 9;
    /// RESET_DEVICE.
    pub const RESET_DEVICE: u64 = 1 << 13;
    /// VRING_KICK. Only where no kick descriptor can come.
    pub use crate::framing::INBAND_NOTIFICATIONS;
    /// Everything we offer. Not STATUS: QEMU reports status 0 for a paused machine too, which is no reset.
    pub const OFFERED: u64 = MQ | REPLY_ACK | CONFIG | RESET_DEVICE;
}

/// Virtio feature bit `VHOST_USER_F_PROTOCOL_FEATURES`.
pub const F_PROTOCOL_FEATURES: u64 = 1 << 30;

const VERSION_MASK: u32 = 3;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Flags that are not version 1 of a request.
    #[error("message {request}: header flags {flags:#x} are not those of a request of version 1")]
    Flags {
        /// Message number.
        request: u32,
        /// Its flags.
        flags: u32,
    },
    /// More payload than any message has.
    #[error("message {request}: {size} bytes of payload (at most {MAX_PAYLOAD})")]
    TooLong {
        /// Message number.
        request: u32,
        /// Its size.
        size: u32,
    },
    /// A payload of another length than the message has.
    #[error("message {request}: a payload of {size} bytes is not its length")]
    Size {
        /// Message number.
        request: u32,
        /// Its size.
        size: u32,
    },
    /// A message that is unknown or was not negotiated.
    #[error("message {request} is unknown or was not negotiated")]
    Unknown {
        /// Message number.
        request: u32,
    },
    /// Descriptors where none belong, or too few.
    #[error("message {request}: {got} descriptors, {wanted} belong to it")]
    Descriptors {
        /// Message number.
        request: u32,
        /// How many came.
        got: usize,
        /// How many should have.
        wanted: usize,
    },
}

/// Where a vring's areas lie, in the front end's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VringAddress {
    /// Bit 0: log writes.
    pub flags: u32,
    /// Descriptor table.
    pub desc: u64,
    /// Used ring.
    pub used: u64,
    /// Available ring.
    pub avail: u64,
}

/// One memory region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// Guest physical address.
    pub gpa: u64,
    /// Bytes.
    pub len: u64,
    /// Front end's address.
    pub user: u64,
    /// Offset in its file.
    pub offset: u64,
}

/// What a front end asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which virtio features are offered.
    GetFeatures,
    /// Which of them are used.
    SetFeatures(u64),
    /// The sender is the owner.
    SetOwner,
    /// Obsolete; nothing is to be done.
    ResetOwner,
    /// A whole memory table.
    SetMemTable(Vec<MemoryRegion>),
    /// Size of a queue.
    SetVringNum(u32, u32),
    /// Addresses of a queue.
    SetVringAddr(u32, VringAddress),
    /// Where the available ring is to be read next.
    SetVringBase(u32, u32),
    /// Stop a queue, say where it stands.
    GetVringBase(u32),
    /// Kick descriptor of a queue; false: there is none.
    SetVringKick(u32, bool),
    /// Call descriptor of a queue.
    SetVringCall(u32, bool),
    /// Error descriptor of a queue.
    SetVringErr(u32, bool),
    /// Which protocol features are offered.
    GetProtocolFeatures,
    /// Which of them are used.
    SetProtocolFeatures(u64),
    /// How many queues there are.
    GetQueueNum,
    /// Enable or disable a queue.
    SetVringEnable(u32, bool),
    /// Part of the configuration space: offset, size, flags.
    GetConfig(u32, u32, u32),
    /// A write to the configuration space.
    SetConfig,
    /// Back to the initial state.
    ResetDevice,
    /// A kick of a queue, in place of a kick descriptor.
    VringKick(u32),
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Number, as it came.
    pub number: u32,
    /// What is asked.
    pub request: Request,
    /// The sender waits for an acknowledgement (if that was negotiated).
    pub need_reply: bool,
}

/// Reads a header; `Some(payload bytes)`, or `None` while there are too few bytes.
///
/// # Errors
/// Flags or a size that no request has.
pub fn payload_bytes(bytes: &[u8]) -> Result<Option<usize>, ParseError> {
    let (Some(request), Some(flags), Some(size)) = (word(bytes, 0), word(bytes, 4), word(bytes, 8)) else {
        return Ok(None);
    };
    if flags & VERSION_MASK != VERSION || flags & !(VERSION_MASK | NEED_REPLY) != 0 {
        return Err(ParseError::Flags { request, flags });
    }
    if size as usize > MAX_PAYLOAD {
        return Err(ParseError::TooLong { request, size });
    }
    Ok(Some(size as usize))
}

impl Message {
    /// Reads a whole message: header and payload.
    ///
    /// # Errors
    /// [`ParseError`]: nothing that can be answered.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let number = word(bytes, 0).unwrap_or(0);
        let wrong = ParseError::Size {
            request: number,
            size: word(bytes, 8).unwrap_or(0),
        };
        let size = payload_bytes(bytes)?.ok_or(wrong)?;
        let payload = bytes.get(HEADER..HEADER + size).ok_or(wrong)?;
        let request = Payload(payload).request(number, wrong)?;
        let need_reply = word(bytes, 4).unwrap_or(0) & NEED_REPLY != 0;
        Ok(Self {
            number,
            request,
            need_reply,
        })
    }

    /// Checks the number of descriptors that came with it.
    ///
    /// # Errors
    /// [`ParseError::Descriptors`].
    pub fn came_with(&self, got: usize) -> Result<(), ParseError> {
        let wanted = self.request.descriptors();
        if got == wanted {
            return Ok(());
        }
        let request = self.number;
        Err(ParseError::Descriptors { request, got, wanted })
    }

    /// A reply to this message.
    pub fn reply(&self, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            number: self.number,
            flags: VERSION | REPLY,
            size: payload.len() as u32,
        };
        [&header.bytes(), payload].concat()
    }

    /// A reply that holds one number.
    pub fn reply_u64(&self, value: u64) -> Vec<u8> {
        self.reply(&value.to_ne_bytes())
    }
}

impl Request {
    /// Descriptors that belong to the message.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::SetMemTable(regions) => regions.len(),
            Self::SetVringKick(_, fd) | Self::SetVringCall(_, fd) | Self::SetVringErr(_, fd) => usize::from(*fd),
            _ => 0,
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn dword(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

struct Payload<'a>(&'a [u8]);

impl Payload<'_> {
    fn request(&self, number: u32, wrong: ParseError) -> Result<Request, ParseError> {
        let request = match number {
            1 => self.empty(Request::GetFeatures),
            2 => self.number().map(Request::SetFeatures),
            3 => self.empty(Request::SetOwner),
            4 => self.empty(Request::ResetOwner),
            5 => self.table(),
            8 => self.state().map(|(index, value)| Request::SetVringNum(index, value)),
            9 => self.address(),
            10 => self.state().map(|(index, value)| Request::SetVringBase(index, value)),
            11 => self.state().map(|(index, _)| Request::GetVringBase(index)),
            12 => self.descriptor(Request::SetVringKick),
            13 => self.descriptor(Request::SetVringCall),
            14 => self.descriptor(Request::SetVringErr),
            15 => self.empty(Request::GetProtocolFeatures),
            16 => self.number().map(Request::SetProtocolFeatures),
            17 => self.empty(Request::GetQueueNum),
            18 => self
                .state()
                .filter(|(_, on)| *on <= 1)
                .map(|(index, on)| Request::SetVringEnable(index, on == 1)),
            24 => self
                .config()
                .map(|(offset, size, flags)| Request::GetConfig(offset, size, flags)),
            25 => self.config().map(|_| Request::SetConfig),
            34 => self.empty(Request::ResetDevice),
            35 => self.state().map(|(index, _)| Request::VringKick(index)),
            request => return Err(ParseError::Unknown { request }),
        };
        request.ok_or(wrong)
    }

    fn exactly(&self, len: usize) -> Option<&[u8]> {
        (self.0.len() == len).then_some(self.0)
    }

    fn empty(&self, request: Request) -> Option<Request> {
        self.exactly(0).map(|_| request)
    }

    fn number(&self) -> Option<u64> {
        dword(self.exactly(8)?, 0)
    }

    fn state(&self) -> Option<(u32, u32)> {
        let bytes = self.exactly(8)?;
        Some((word(bytes, 0)?, word(bytes, 4)?))
    }

    /// Bits 0 to 7: the queue; bit 8: no descriptor comes with it.
    fn descriptor(&self, make: fn(u32, bool) -> Request) -> Option<Request> {
        let value = self.number().filter(|value| value >> 9 == 0)?;
        Some(make(value as u32 & 0xff, value & 0x100 == 0))
    }

    fn address(&self) -> Option<Request> {
        let bytes = self.exactly(40)?;
        let address = VringAddress {
            flags: word(bytes, 4)?,
            desc: dword(bytes, 8)?,
            used: dword(bytes, 16)?,
            avail: dword(bytes, 24)?,
        };
        Some(Request::SetVringAddr(word(bytes, 0)?, address))
    }

    fn table(&self) -> Option<Request> {
        let count = word(self.0, 0)? as usize;
        if count == 0 || count > MAX_FDS {
            return None;
        }
        let bytes = self.exactly(8 + 32 * count)?;
        let region = |n: usize| {
            let field = |nth: usize| dword(bytes, 8 + 32 * n + 8 * nth);
            Some(MemoryRegion {
                gpa: field(0)?,
                len: field(1)?,
                user: field(2)?,
                offset: field(3)?,
            })
        };
        Some(Request::SetMemTable((0..count).map(region).collect::<Option<_>>()?))
    }

    fn config(&self) -> Option<(u32, u32, u32)> {
        let (offset, size, flags) = (word(self.0, 0)?, word(self.0, 4)?, word(self.0, 8)?);
        (self.0.len() - 12 == size as usize).then_some((offset, size, flags))
    }
}
