//! Wire constants and encoders of virtio-sound (virtio 1.3 §5.14), written down once more on purpose: a mistake in the
//! product's own tables must not be repeated by what checks it.

/// Control queue index.
pub const CONTROLQ: usize = 0;
/// Event queue index.
pub const EVENTQ: usize = 1;
/// Playback queue index.
pub const TXQ: usize = 2;
/// Capture queue index.
pub const RXQ: usize = 3;

/// `VIRTIO_SND_F_CTLS`.
pub const F_CTLS: u64 = 1 << 0;
/// `VIRTIO_RING_F_INDIRECT_DESC`.
pub const F_INDIRECT: u64 = 1 << 28;
/// `VIRTIO_RING_F_EVENT_IDX`.
pub const F_EVENT_IDX: u64 = 1 << 29;
/// `VIRTIO_F_VERSION_1`.
pub const F_VERSION_1: u64 = 1 << 32;

/// Request codes.
pub mod code {
    #![allow(missing_docs)]
    pub const JACK_INFO: u32 = 1;
    pub const JACK_REMAP: u32 = 2;
    pub const PCM_INFO: u32 = 0x100;
    pub const SET_PARAMS: u32 = 0x101;
    pub const PREPARE: u32 = 0x102;
    pub const RELEASE: u32 = 0x103;
    pub const START: u32 = 0x104;
    pub const STOP: u32 = 0x105;
    pub const CHMAP_INFO: u32 = 0x200;
    pub const CTL_INFO: u32 = 0x300;
    pub const CTL_ENUM_ITEMS: u32 = 0x301;
    pub const CTL_READ: u32 = 0x302;
    pub const CTL_WRITE: u32 = 0x303;
    pub const CTL_TLV_READ: u32 = 0x304;
    pub const CTL_TLV_COMMAND: u32 = 0x306;
    pub const EVT_PERIOD: u32 = 0x1100;
    pub const EVT_XRUN: u32 = 0x1101;
    pub const EVT_CTL_NOTIFY: u32 = 0x1200;
}

/// Status `VIRTIO_SND_S_OK`.
pub const S_OK: u32 = 0x8000;
/// Status `VIRTIO_SND_S_BAD_MSG`.
pub const S_BAD_MSG: u32 = 0x8001;
/// Status `VIRTIO_SND_S_NOT_SUPP`.
pub const S_NOT_SUPP: u32 = 0x8002;
/// Status `VIRTIO_SND_S_IO_ERR`.
pub const S_IO_ERR: u32 = 0x8003;

/// Size of one item of JACK_INFO, PCM_INFO, CHMAP_INFO and CTL_INFO (Linux lays out the last with 4 bytes of padding).
pub const INFO_SIZE: [(u32, u32); 4] = [
    (code::JACK_INFO, 24),
    (code::PCM_INFO, 32),
    (code::CHMAP_INFO, 24),
    (code::CTL_INFO, 96),
];

/// Bytes a sample takes, by format bit; 0 for formats that have no whole number of bytes a sample.
pub const SAMPLE_BYTES: [u32; 25] = [
    0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 8, 1, 2, 4, 4,
];
/// Hz, by rate bit.
pub const RATES: [u32; 14] = [
    5512, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176_400, 192_000, 384_000,
];
/// Format bits with names, as `fe-play --format` takes them.
pub const FORMATS: [(&str, u8); 17] = [
    ("s8", 3),
    ("u8", 4),
    ("s16", 5),
    ("u16", 6),
    ("s18_3", 7),
    ("u18_3", 8),
    ("s20_3", 9),
    ("u20_3", 10),
    ("s24_3", 11),
    ("u24_3", 12),
    ("s20", 13),
    ("s24", 15),
    ("u24", 16),
    ("s32", 17),
    ("u32", 18),
    ("float", 19),
    ("float64", 20),
];

/// Little-endian words as bytes.
#[must_use]
pub fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The little-endian word at `at`, 0 beyond the end.
#[must_use]
pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// The little-endian double word at `at`, 0 beyond the end.
#[must_use]
pub fn dword(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

/// Body of a SET_PARAMS request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Bytes of the driver's ring.
    pub buffer_bytes: u32,
    /// Bytes of one period.
    pub period_bytes: u32,
    /// `VIRTIO_SND_PCM_F_*` bits.
    pub features: u32,
    /// Channels.
    pub channels: u8,
    /// Format bit number.
    pub format: u8,
    /// Rate bit number.
    pub rate: u8,
}

impl Params {
    /// Bytes of one frame (at least 1).
    #[must_use]
    pub fn frame_bytes(&self) -> u32 {
        let sample = SAMPLE_BYTES.get(usize::from(self.format)).copied().unwrap_or(1).max(1);
        sample * u32::from(self.channels.max(1))
    }

    /// Hz (48000 where the rate bit is unknown).
    #[must_use]
    pub fn hz(&self) -> u32 {
        RATES.get(usize::from(self.rate)).copied().unwrap_or(48_000)
    }

    /// Seconds that so many bytes last.
    #[must_use]
    pub fn seconds(&self, bytes: u64) -> f64 {
        bytes as f64 / f64::from(self.frame_bytes()) / f64::from(self.hz())
    }

    /// The whole request.
    #[must_use]
    pub fn request(&self, stream: u32) -> Vec<u8> {
        let mut out = words(&[
            code::SET_PARAMS,
            stream,
            self.buffer_bytes,
            self.period_bytes,
            self.features,
        ]);
        out.extend([self.channels, self.format, self.rate, 0]);
        out
    }
}

/// One item of PCM_INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcmInfo {
    /// `VIRTIO_SND_PCM_F_*` bits.
    pub features: u32,
    /// Format bits.
    pub formats: u64,
    /// Rate bits.
    pub rates: u64,
    /// 0 = output, 1 = input.
    pub direction: u8,
    /// Fewest channels.
    pub channels_min: u8,
    /// Most channels.
    pub channels_max: u8,
    /// Must be zero.
    pub padding: [u8; 5],
}

impl PcmInfo {
    /// From its 32 bytes; what is missing is zero.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        Self {
            features: word(bytes, 4),
            formats: dword(bytes, 8),
            rates: dword(bytes, 16),
            direction: byte(24),
            channels_min: byte(25),
            channels_max: byte(26),
            padding: std::array::from_fn(|i| byte(27 + i)),
        }
    }

    /// Parameters of this offer: `format` and 48 kHz if offered, else the lowest bits offered; fewest channels but two if allowed.
    #[must_use]
    pub fn params(&self, format: u8, period_frames: u32, periods: u32) -> Params {
        let pick = |mask: u64, want: u8| {
            if mask >> want & 1 == 1 {
                want
            } else {
                mask.trailing_zeros().min(63) as u8
            }
        };
        let format = if self.formats >> format & 1 == 1 {
            format
        } else {
            self.smallest_format()
        };
        let channels = 2.clamp(
            self.channels_min.max(1),
            self.channels_max.max(self.channels_min).max(1),
        );
        let mut params = Params {
            buffer_bytes: 0,
            period_bytes: 0,
            features: 0,
            channels,
            format,
            rate: pick(self.rates, 7),
        };
        params.period_bytes = period_frames * params.frame_bytes();
        params.buffer_bytes = params.period_bytes * periods;
        params
    }

    /// The offered format with the smallest sample of whole bytes.
    #[must_use]
    pub fn smallest_format(&self) -> u8 {
        let offered = (0..25u8).filter(|f| self.formats >> f & 1 == 1 && SAMPLE_BYTES[usize::from(*f)] > 0);
        offered.min_by_key(|f| SAMPLE_BYTES[usize::from(*f)]).unwrap_or(5)
    }
}
