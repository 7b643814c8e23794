//! Constants and structures of the virtio sound device: virtio 1.3 §5.14, laid out as in Linux 6.12
//! `include/uapi/linux/virtio_snd.h`. Everything on the wire is little endian.

/// `VIRTIO_SND_F_CTLS`: control elements.
pub const F_CTLS: u64 = 1 << 0;
/// `VIRTIO_RING_F_INDIRECT_DESC`.
pub const F_INDIRECT_DESC: u64 = 1 << 28;
/// `VIRTIO_RING_F_EVENT_IDX`.
pub const F_EVENT_IDX: u64 = 1 << 29;
/// `VIRTIO_F_VERSION_1`.
pub const F_VERSION_1: u64 = 1 << 32;

/// Bytes of `virtio_snd_config`: jacks, streams, chmaps, controls.
pub const CONFIG_BYTES: usize = 16;

/// Control request and event codes.
pub mod code {
    /// `VIRTIO_SND_R_JACK_INFO`
    pub const JACK_INFO: u32 = 0x0001;
    /// `VIRTIO_SND_R_JACK_REMAP`
    pub const JACK_REMAP: u32 = 0x0002;
    /// `VIRTIO_SND_R_PCM_INFO`
    pub const PCM_INFO: u32 = 0x0100;
    /// `VIRTIO_SND_R_PCM_SET_PARAMS`
    pub const PCM_SET_PARAMS: u32 = 0x0101;
    /// `VIRTIO_SND_R_PCM_PREPARE`
    pub const PCM_PREPARE: u32 = 0x0102;
    /// `VIRTIO_SND_R_PCM_RELEASE`
    pub const PCM_RELEASE: u32 = 0x0103;
    /// `VIRTIO_SND_R_PCM_START`
    pub const PCM_START: u32 = 0x0104;
    /// `VIRTIO_SND_R_PCM_STOP`
    pub const PCM_STOP: u32 = 0x0105;
    /// `VIRTIO_SND_R_CHMAP_INFO`
    pub const CHMAP_INFO: u32 = 0x0200;
    /// `VIRTIO_SND_R_CTL_INFO`
    pub const CTL_INFO: u32 = 0x0300;
    /// `VIRTIO_SND_R_CTL_ENUM_ITEMS`
    pub const CTL_ENUM_ITEMS: u32 = 0x0301;
    /// `VIRTIO_SND_R_CTL_READ`
    pub const CTL_READ: u32 = 0x0302;
    /// `VIRTIO_SND_R_CTL_WRITE`
    pub const CTL_WRITE: u32 = 0x0303;
    /// `VIRTIO_SND_R_CTL_TLV_READ`
    pub const CTL_TLV_READ: u32 = 0x0304;
    /// `VIRTIO_SND_R_CTL_TLV_WRITE`
    pub const CTL_TLV_WRITE: u32 = 0x0305;
    /// `VIRTIO_SND_R_CTL_TLV_COMMAND`
    pub const CTL_TLV_COMMAND: u32 = 0x0306;
    /// `VIRTIO_SND_EVT_JACK_CONNECTED`
    pub const EVT_JACK_CONNECTED: u32 = 0x1000;
    /// `VIRTIO_SND_EVT_JACK_DISCONNECTED`
    pub const EVT_JACK_DISCONNECTED: u32 = 0x1001;
    /// `VIRTIO_SND_EVT_PCM_PERIOD_ELAPSED`
    pub const EVT_PCM_PERIOD_ELAPSED: u32 = 0x1100;
    /// `VIRTIO_SND_EVT_PCM_XRUN`
    pub const EVT_PCM_XRUN: u32 = 0x1101;
    /// `VIRTIO_SND_EVT_CTL_NOTIFY`
    pub const EVT_CTL_NOTIFY: u32 = 0x1200;
}

/// How a control request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// `VIRTIO_SND_S_OK`
    Ok = 0x8000,
    /// `VIRTIO_SND_S_BAD_MSG`: malformed, or parameters that cannot be.
    BadMsg = 0x8001,
    /// `VIRTIO_SND_S_NOT_SUPP`: understood and not offered.
    NotSupp = 0x8002,
    /// `VIRTIO_SND_S_IO_ERR`: understood, offered, failed.
    IoErr = 0x8003,
}

/// PCM feature bits (`1 << VIRTIO_SND_PCM_F_*`).
pub mod pcm_feature {
    /// No kicks for messages while the stream runs.
    pub const MSG_POLLING: u32 = 1 << 2;
    /// PERIOD_ELAPSED events.
    pub const EVT_SHMEM_PERIODS: u32 = 1 << 3;
    /// XRUN events.
    pub const EVT_XRUNS: u32 = 1 << 4;
}

/// Highest defined `VIRTIO_SND_PCM_FMT_*`, plus one.
pub const FORMATS: u8 = 25;
/// Hz of each `VIRTIO_SND_PCM_RATE_*`.
pub const RATES: [u32; 14] = [
    5512, 8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400, 192_000, 384_000,
];

/// Bytes of one sample of a `VIRTIO_SND_PCM_FMT_*`; `None` for unknown formats and IMA_ADPCM, whose samples are half bytes.
pub fn sample_bytes(format: u8) -> Option<u32> {
    match format {
        1..=4 | 21 => Some(1),
        5 | 6 | 22 => Some(2),
        7..=12 => Some(3),
        13..=19 | 23 | 24 => Some(4),
        20 => Some(8),
        _ => None,
    }
}

/// Bytes of `virtio_snd_jack_info`.
pub const JACK_INFO_BYTES: usize = 24;
/// Bytes of `virtio_snd_pcm_info`.
pub const PCM_INFO_BYTES: usize = 32;
/// Bytes of `virtio_snd_chmap_info`.
pub const CHMAP_INFO_BYTES: usize = 24;
/// Bytes of `virtio_snd_ctl_info`.
pub const CTL_INFO_BYTES: usize = 96;
/// Bytes of `virtio_snd_ctl_value`.
pub const CTL_VALUE_BYTES: usize = 512;
/// Bytes of an event.
pub const EVENT_BYTES: usize = 8;
/// Most positions of a channel map.
pub const CHMAP_POSITIONS: usize = 18;

/// Control elements (`VIRTIO_SND_CTL_*`).
pub mod ctl {
    /// Role: a volume.
    pub const ROLE_VOLUME: u32 = 1;
    /// Role: a mute switch.
    pub const ROLE_MUTE: u32 = 2;
    /// Type: 0 or 1.
    pub const TYPE_BOOLEAN: u32 = 0;
    /// Type: 32-bit integers.
    pub const TYPE_INTEGER: u32 = 1;
    /// Access: CTL_READ.
    pub const ACCESS_READ: u32 = 1 << 0;
    /// Access: CTL_WRITE.
    pub const ACCESS_WRITE: u32 = 1 << 1;
    /// Access: CTL_TLV_READ.
    pub const ACCESS_TLV_READ: u32 = 1 << 4;
    /// Event reason: the value changed.
    pub const MASK_VALUE: u16 = 1 << 0;
    /// ALSA's `SNDRV_CTL_TLVT_DB_SCALE`: minimum and step in 0.01 dB.
    pub const TLV_DB_SCALE: u32 = 1;
}

/// Little-endian bytes of words.
pub fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The little-endian word at `at`; `None` beyond the end.
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

/// `virtio_snd_query_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryInfo {
    /// First item.
    pub start: u32,
    /// How many.
    pub count: u32,
    /// Bytes from one item to the next.
    pub size: u32,
}

impl QueryInfo {
    /// From a whole request; `None` when it is cut short.
    pub fn parse(request: &[u8]) -> Option<Self> {
        Some(Self {
            start: word(request, 4)?,
            count: word(request, 8)?,
            size: word(request, 12)?,
        })
    }
}

/// `virtio_snd_pcm_set_params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetParams {
    /// Bytes of the driver's buffer.
    pub buffer_bytes: u32,
    /// Bytes of one period.
    pub period_bytes: u32,
    /// `pcm_feature` bits.
    pub features: u32,
    /// Channels.
    pub channels: u8,
    /// `VIRTIO_SND_PCM_FMT_*`.
    pub format: u8,
    /// `VIRTIO_SND_PCM_RATE_*`.
    pub rate: u8,
}

impl SetParams {
    /// From a whole request; `None` when it is cut short.
    pub fn parse(request: &[u8]) -> Option<Self> {
        let byte = |at: usize| request.get(at).copied();
        byte(23)?;
        Some(Self {
            buffer_bytes: word(request, 8)?,
            period_bytes: word(request, 12)?,
            features: word(request, 16)?,
            channels: byte(20)?,
            format: byte(21)?,
            rate: byte(22)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_cut_short_are_none() {
        let request = words(&[code::PCM_SET_PARAMS, 1, 9600, 1920, 0, 0x0007_0502]);
        assert_eq!(
            SetParams::parse(&request),
            Some(SetParams {
                buffer_bytes: 9600,
                period_bytes: 1920,
                features: 0,
                channels: 2,
                format: 5,
                rate: 7
            })
        );
        for len in 0..request.len() {
            assert_eq!(SetParams::parse(&request[..len]), None);
        }
        for len in 0..16 {
            assert_eq!(QueryInfo::parse(&request[..len]), None);
        }
    }

    #[test]
    fn every_format_but_the_coded_one_has_whole_bytes() {
        let without: Vec<u8> = (0..FORMATS).filter(|format| sample_bytes(*format).is_none()).collect();
        assert_eq!(without, [0]);
    }
}
