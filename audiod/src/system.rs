//! The system as configured: plain, resolved and bounded. The config reader makes it, everything else takes it as true.

use std::path::PathBuf;

use dbus_api::access::Roles;
use vhost_sound::config::DeviceConfig;

/// How the codec is reached.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Backend {
    /// A bare `hw:` device (or a plugin name, through alsa-lib).
    Alsa {
        /// As in `aplay -D`.
        device: String,
    },
    /// The desktop's default output, for a developer's laptop.
    Cpal {
        /// Device name, or the default.
        device: Option<String>,
    },
    /// A simulated card that writes what it played to a WAV file.
    Wav {
        /// The file.
        path: PathBuf,
    },
    /// A simulated card that keeps nothing.
    Null,
}

/// Sample format at the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum CodecFormat {
    /// 16-bit signed, little endian.
    S16,
    /// 24 bits in the low part of 32, little endian.
    S24,
    /// 32-bit signed, little endian.
    S32,
    /// 32-bit float.
    F32,
}

/// What the input of a simulated card hears. Real cards hear their own input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum CaptureSource {
    /// Silence.
    #[default]
    Silence,
    /// What the card plays, as it is played.
    Loopback,
    /// A ramp: the frame's number, in the lower 16 bits of each sample.
    Counter,
}

/// One codec.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CodecConfig {
    /// Name in the file.
    pub name: String,
    /// How it is reached.
    pub backend: Backend,
    /// Hz.
    pub rate: u32,
    /// Playback channels, 1 to 8.
    pub channels: u32,
    /// Capture channels, 0 = no capture.
    pub capture_channels: u32,
    /// What a simulated card's input hears.
    #[serde(default)]
    pub capture: CaptureSource,
    /// Sample format.
    pub format: CodecFormat,
    /// Period, frames (16 to 1024).
    pub period: u32,
    /// Lead kept in the card, in periods (at least 2).
    pub lead: u32,
}

/// One zone: a named set of channels of a codec; an AudioManager sink.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ZoneConfig {
    /// Name.
    pub name: String,
    /// Index in `System::codecs`.
    pub codec: usize,
    /// Codec channel index of each zone channel.
    pub channels: Vec<u32>,
    /// `VIRTIO_SND_CHMAP_*` of each zone channel.
    pub positions: Vec<u8>,
    /// Channel groups: those of its channels that the policy can duck by depths of their own.
    #[serde(default)]
    pub groups: Vec<ChannelGroup>,
}

impl ZoneConfig {
    /// The channels that are in a group, bit by index.
    pub fn grouped(&self) -> u8 {
        self.groups.iter().fold(0, |all, group| all | group.channels)
    }

    /// Each of its channels is in a group.
    pub fn is_all_groups(&self) -> bool {
        self.grouped().count_ones() as usize == self.channels.len()
    }
}

/// Some of a zone's channels.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChannelGroup {
    /// Name.
    pub name: String,
    /// Zone channels, bit by index. No two groups of a zone have one in common.
    pub channels: u8,
}

/// A column of the gain table: what has a gain of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Index in `System::zones`.
    pub zone: usize,
    /// The channel group, by its place in the zone; without: channels of no group.
    pub group: Option<usize>,
}

/// One guest.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GuestConfig {
    /// Name.
    pub name: String,
    /// vhost-user socket; of a window with a port of its own: empty.
    pub socket: PathBuf,
    /// The guest is in another VM: its memory is a window.
    #[serde(default)]
    pub window: Option<WindowConfig>,
    /// What its device offers.
    pub device: DeviceConfig,
}

/// Where a guest's window is, in the service VM.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WindowConfig {
    /// `/dev/daxN.0`, or a file of a memory file system.
    pub memory: PathBuf,
    /// Where in it the window starts, bytes.
    pub offset: u64,
    /// How long it is, bytes.
    pub len: u64,
    /// The vsock port that is this guest's; without it the stream comes by the guest's socket.
    pub port: Option<u32>,
    /// The doorbell that calls guests: the memory of a PCI function.
    pub doorbell: Option<PathBuf>,
    /// The guest's first word in it.
    pub first_word: u32,
}

impl GuestConfig {
    /// Where its front end connects, for people.
    pub fn place(&self) -> String {
        match self.window.as_ref().and_then(|window| window.port) {
            Some(port) => format!("vsock port {port}"),
            None => self.socket.display().to_string(),
        }
    }
}

/// One source: one stream of one guest; an AudioManager source named `guest.stream`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SourceConfig {
    /// `guest.stream`.
    pub name: String,
    /// Index in `System::guests`.
    pub guest: usize,
    /// Virtio stream id.
    pub stream: usize,
    /// Belongs to a safety partition: out of the policy's reach, added after the limiter.
    pub safety: bool,
    /// Zones it is added to when `safety` (others are routed by the policy).
    pub safety_zones: Vec<usize>,
    /// Home codec (its clock).
    pub codec: usize,
    /// A capture stream that may hear the codec's input; any other capture stream hears silence.
    #[serde(default)]
    pub capture_allowed: bool,
}

/// One chime of the bank.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ChimeConfig {
    /// Name.
    pub name: String,
    /// WAV file; read, converted and locked in memory at start.
    pub path: PathBuf,
    /// Zones it sounds in.
    pub zones: Vec<usize>,
    /// Gain, 0.1 dB, at most 0.
    pub gain: i16,
    /// Soundings a request makes.
    pub repeat: u32,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct System {
    /// Bus to own `org.genivi.audiomanager` on: `session`, `system`, or a D-Bus address; `None` = no bus.
    pub bus: Option<String>,
    /// Who may do what there; `None`: whoever the bus lets through.
    #[serde(default)]
    pub access: Option<Roles>,
    /// Codecs.
    pub codecs: Vec<CodecConfig>,
    /// Zones.
    pub zones: Vec<ZoneConfig>,
    /// Guests.
    pub guests: Vec<GuestConfig>,
    /// Sources, at most `blocks::MAX_SOURCES`.
    pub sources: Vec<SourceConfig>,
    /// Chimes, at most `blocks::MAX_CHIMES`.
    pub chimes: Vec<ChimeConfig>,
    /// Longest time a started stream's frames wait for the policy, ms.
    pub decision_limit_ms: u32,
    /// User to become after set-up, if started as root.
    pub user: Option<String>,
}

impl System {
    /// The gain table's columns: a zone's has its own index, those of channel groups follow. At most `blocks::MAX_ZONES`.
    pub fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        let column = |zone, group| Column { zone, group };
        let zones = (0..self.zones.len()).map(move |zone| column(zone, None));
        let groups = self.zones.iter().enumerate().flat_map(move |(zone, config)| {
            let places = 0..config.groups.len();
            places.map(move |group| column(zone, Some(group)))
        });
        zones.chain(groups)
    }
}
