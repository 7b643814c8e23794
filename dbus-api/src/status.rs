//! What `org.carillon.Audio1.Status` returns, as JSON: filled by the control process, shown by `audioctl status`.
//!
//! Levels are dBFS (the highest of the last half second, the same for all who ask), gains dB, times as their names say. A level or gain of silence is
//! `None` (JSON has no minus infinity). Unknown fields are ignored when read, absent ones take their default, so that an
//! older `audioctl` reads a newer daemon.

use serde::{Deserialize, Serialize};

/// The whole answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Codecs.
    pub codecs: Vec<Codec>,
    /// Zones: AudioManager's sinks.
    pub zones: Vec<Zone>,
    /// Streams: AudioManager's sources that are a guest's.
    pub streams: Vec<Stream>,
    /// The chime bank.
    pub chimes: Vec<Chime>,
    /// Guests.
    pub guests: Vec<Guest>,
    /// Domains of other processes.
    pub domains: Vec<Domain>,
    /// Sinks of domains of other processes.
    pub sinks: Vec<Sink>,
    /// Acks of domains that were too late, of nobody's request, or another's.
    pub dropped_acks: u64,
    /// The last events of the engines' flight recorders, in words, oldest first.
    pub recent: Vec<String>,
}

/// A domain of another process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Domain {
    /// domainID.
    pub id: u16,
    /// Name.
    pub name: String,
    /// Its bus name.
    pub bus_name: String,
    /// How many sources it has.
    pub sources: usize,
    /// How many sinks.
    pub sinks: usize,
    /// Requests it has not acknowledged yet.
    pub owes: usize,
    /// For how long the first of them has waited, ms.
    pub owes_for_ms: u64,
}

/// A sink of a domain of another process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sink {
    /// sinkID.
    pub id: u16,
    /// Name.
    pub name: String,
    /// Its domain, by name.
    pub domain: String,
    /// Its domain says that it is there.
    pub available: bool,
    /// mainVolume.
    pub volume: i16,
    /// Muted.
    pub mute: bool,
}

/// One codec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Codec {
    /// Name in the system file.
    pub name: String,
    /// `alsa`, `cpal`, `wav`, `null`.
    pub backend: String,
    /// What it plays on: a device, a file; empty where there is none.
    pub device: String,
    /// Frames a second.
    pub rate: u32,
    /// Channels.
    pub channels: u32,
    /// Frames a period.
    pub period: u32,
    /// Frames the hardware has played since it was opened.
    pub position: u64,
    /// Times the engine came too late.
    pub underruns: u64,
    /// Its clock stands still: a timer paces the streams.
    pub stalled: bool,
    /// Elements of the card's own mixer that keep it silent; empty: none that is known.
    pub muted: String,
    /// The engine has real-time scheduling and locked memory.
    pub realtime: bool,
}

/// One zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Zone {
    /// sinkID.
    pub id: u16,
    /// Name.
    pub name: String,
    /// Its codec.
    pub codec: String,
    /// mainVolume, in the scale of the zone's curve.
    pub volume: i16,
    /// What that means, dB.
    pub volume_db: Option<f32>,
    /// Muted by the user.
    pub mute: bool,
    /// Peak after the limiter, dBFS.
    pub peak_dbfs: Option<f32>,
    /// What the limiter takes now, dB, at most 0.
    pub limiter_db: f32,
}

/// State of a guest's stream (virtio-sound's PCM states and what the engine does with the frames).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamState {
    /// The guest's driver is not there.
    #[default]
    NotConnected,
    /// Driver there, no parameters set (or released).
    Idle,
    /// Prepared.
    Prepared,
    /// Started; its frames wait for the policy's decision.
    Deciding,
    /// Pulled and heard.
    Running,
    /// Stopped by the guest.
    Stopped,
    /// Not pulled: policy paused it (its connection is SUSPENDED).
    Paused,
    /// Pulled at its rate and thrown away: no route.
    Discarding,
    /// Not pulled: no route and the file says stall.
    Stalled,
    /// Stopped after a violation.
    Fault,
    /// A state this version doesn't know.
    #[serde(other)]
    Other,
}

impl StreamState {
    /// As `audioctl status` shows it.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotConnected => "not connected",
            Self::Idle => "idle",
            Self::Prepared => "prepared",
            Self::Deciding => "deciding",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Discarding => "discarding",
            Self::Stalled => "stalled",
            Self::Fault => "fault",
            Self::Other => "?",
        }
    }
}

/// Playback or capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Guest to codec.
    #[default]
    Playback,
    /// Codec to guest.
    Capture,
}

/// A main connection of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// mainConnectionID.
    pub connection: u16,
    /// `am_ConnectionState_e`: 1 connecting, 2 connected, 3 disconnecting, 4 disconnected, 5 suspended.
    pub state: i16,
    /// Name of the zone, or of a domain's sink.
    pub zone: String,
}

/// One reason for a gain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reason {
    /// `ducked`, `paused`, `delayed`, `rejected`, `sink muted`, `main volume`, `user mute`, `user gain`, `not running`, `limited`,
    /// `muted by rule`, `suspended by rule`.
    pub cause: String,
    /// Because of this source; empty = of none.
    pub by: String,
    /// What it takes, dB; `None` = all.
    pub gain_db: Option<f32>,
    /// For so long, ms.
    pub for_ms: u64,
    /// Line of the file that says so.
    pub line: Option<u32>,
}

/// A stream at a zone: connected there, or refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tap {
    /// Name of the zone.
    pub zone: String,
    /// Effective gain, dB; `None` = silent.
    pub gain_db: Option<f32>,
    /// Why, strongest first; empty at 0 dB.
    pub reasons: Vec<Reason>,
    /// The same of each of the zone's channel groups, whose name is `zone` there. What is above is of the channels of no group, or,
    /// where there are none, of the group where it is loudest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Tap>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stream {
    /// sourceID, 0 for capture.
    pub id: u16,
    /// `guest.stream`.
    pub name: String,
    /// Guest.
    pub guest: String,
    /// Role: the class.
    pub role: String,
    /// Direction.
    pub direction: Direction,
    /// State.
    pub state: StreamState,
    /// Its main connections.
    pub routes: Vec<Route>,
    /// Each zone where it is connected or refused, with what the policy does to it there.
    pub taps: Vec<Tap>,
    /// Wanted gain (user, guest), dB.
    pub wanted_db: Option<f32>,
    /// User mute.
    pub mute: bool,
    /// Effective gain at its (first) zone, dB; `None` = silent.
    pub effective_db: Option<f32>,
    /// Why it is what it is, in words ("ducked by cluster.prompt"); empty when nothing but its wanted gain.
    pub cause: String,
    /// Level before gain, dBFS.
    pub level_dbfs: Option<f32>,
    /// Level after gain, dBFS.
    pub level_after_dbfs: Option<f32>,
    /// Sample format as virtio-sound spells it (`S16`, `FLOAT`).
    pub format: String,
    /// Frames a second.
    pub rate: u32,
    /// Channels.
    pub channels: u32,
    /// Guest's buffer, frames.
    pub buffer_frames: u32,
    /// Pulled and not yet played, frames of this stream.
    pub latency_frames: u32,
    /// Gaps heard: the guest had nothing when a period was due.
    pub xruns: u64,
    /// Periods in which there was nothing at all.
    pub starved: u64,
    /// START or SET_PARAMS refused.
    pub refused: u64,
    /// The last violation in words; empty = none.
    pub fault: String,
}

/// One chime of the bank.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chime {
    /// sourceID.
    pub id: u16,
    /// Name as `Chime` takes it.
    pub name: String,
    /// Zones it sounds in.
    pub zones: Vec<String>,
    /// Length, ms.
    pub length_ms: u32,
    /// Sounds now.
    pub sounding: bool,
    /// Requests accepted since the start.
    pub requested: u64,
    /// Requests played to the end since the start.
    pub played: u64,
}

/// One guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guest {
    /// Name.
    pub name: String,
    /// Its front end is there.
    pub connected: bool,
    /// Warnings about its memory as it is now: regions whose file its owner could make vanish.
    pub memory_warnings: Vec<String>,
    /// Violations of the protocol since it connected.
    pub violations: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_reader_ignores_what_it_does_not_know_and_defaults_what_is_absent() {
        let text = r#"{"version":"9","novel":{"x":1},"streams":[{"id":3,"name":"a.b","state":"levitating"}]}"#;

        let status: Status = serde_json::from_str(text).unwrap();

        assert_eq!(status.streams[0].state, StreamState::Other);
        assert_eq!(status.streams[0].effective_db, None);
    }

    #[test]
    fn a_status_survives_its_json() {
        let status = Status {
            version: "1".into(),
            streams: vec![Stream {
                id: 1,
                state: StreamState::NotConnected,
                effective_db: Some(-14.0),
                routes: vec![Route {
                    connection: 7,
                    state: 2,
                    zone: "cabin".into(),
                }],
                ..Stream::default()
            }],
            ..Status::default()
        };

        let text = serde_json::to_string(&status).unwrap();

        assert!(text.contains("\"not-connected\""));
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}
