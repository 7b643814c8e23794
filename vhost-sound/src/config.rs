//! What one guest's device offers: streams, jacks, channel maps. Plain data, already checked by the config reader.

/// Which way a stream flows, seen from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Direction {
    /// Guest → codec (`VIRTIO_SND_D_OUTPUT`).
    Playback,
    /// Codec → guest (`VIRTIO_SND_D_INPUT`).
    Capture,
}

/// One PCM stream of a device.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StreamConfig {
    /// Name within the guest, e.g. `media`; control elements carry it.
    pub name: String,
    /// Direction.
    pub direction: Direction,
    /// Offered formats: bit n = `VIRTIO_SND_PCM_FMT_n`.
    pub formats: u64,
    /// Offered rates: bit n = `VIRTIO_SND_PCM_RATE_n`.
    pub rates: u64,
    /// Fewest channels, 1 to 8.
    pub channels_min: u8,
    /// Most channels, 1 to 8.
    pub channels_max: u8,
    /// A stream of a safety partition: control elements have no effect on it.
    pub safety: bool,
    /// Whether the stream has a volume and a mute control element.
    pub controls: bool,
    /// HDA function group node id: the driver's PCM device number.
    pub nid: u32,
}

/// One jack.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JackConfig {
    /// HDA function group node id.
    pub nid: u32,
    /// HDA pin default configuration register.
    pub defconf: u32,
    /// HDA pin capabilities register.
    pub caps: u32,
    /// Plugged in at start.
    pub connected: bool,
}

/// One channel map.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChannelMapConfig {
    /// HDA function group node id of the streams it is for.
    pub nid: u32,
    /// Direction of the streams it is for.
    pub direction: Direction,
    /// `VIRTIO_SND_CHMAP_*`, one a channel, 1 to 8.
    pub positions: Vec<u8>,
}

/// One guest's device.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeviceConfig {
    /// The guest's name.
    pub guest: String,
    /// At most `block::MAX_STREAMS`; playback and capture in any order; the index is the virtio stream id.
    pub streams: Vec<StreamConfig>,
    /// Jacks.
    pub jacks: Vec<JackConfig>,
    /// Channel maps.
    pub channel_maps: Vec<ChannelMapConfig>,
    /// Largest vring accepted, a power of two up to `block::MAX_QUEUE`.
    pub queue_size: u16,
    /// One codec period as a fraction: `period` frames at `rate` Hz. SET_PARAMS with a period shorter than one or a buffer
    /// shorter than two of them is NOT_SUPP.
    pub codec_period: (u32, u32),
}
