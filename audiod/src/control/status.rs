//! `Status`: everything there is to see, read out of the blocks and the policy when somebody asks.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use dbus_api::status::{Chime, Codec, Direction, Guest, Reason, Route, Status, Stream, StreamState, Tap, Zone};
use policy::effect::{CauseKind, Tap as PolicyTap};
use vhost_sound::block::{StreamBlock, direction, ring_state, stream_state};

use super::Control;
use super::monitor::{decibels, who, word};
use crate::system::Backend;

/// `VIRTIO_SND_PCM_FMT_*` by number.
const FORMATS: [&str; 25] = [
    "IMA_ADPCM",
    "MU_LAW",
    "A_LAW",
    "S8",
    "U8",
    "S16",
    "U16",
    "S18_3",
    "U18_3",
    "S20_3",
    "U20_3",
    "S24_3",
    "U24_3",
    "S20",
    "U20",
    "S24",
    "U24",
    "S32",
    "U32",
    "FLOAT",
    "FLOAT64",
    "DSD_U8",
    "DSD_U16",
    "DSD_U32",
    "IEC958_SUBFRAME",
];

/// Events of each flight recorder that are shown.
const RECENT: u64 = 32;

impl Control {
    /// The JSON.
    pub(super) fn status(&mut self) -> String {
        self.levels = self.meters.look(super::now_ms(), &self.system, &self.engines);
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            codecs: (0..self.system.codecs.len()).map(|codec| self.codec(codec)).collect(),
            zones: (0..self.system.zones.len()).map(|zone| self.zone(zone)).collect(),
            streams: (0..self.system.sources.len())
                .map(|source| self.stream(source))
                .collect(),
            chimes: (0..self.system.chimes.len()).map(|chime| self.chime(chime)).collect(),
            guests: self.guests.all.iter().map(guest).collect(),
            domains: self.domains(),
            sinks: self.sinks(),
            dropped_acks: self.machine.dropped_acks(),
            recent: self.recorders.last(RECENT),
        };
        // A structure of numbers and texts; there is nothing in it that JSON can't say.
        serde_json::to_string(&status).unwrap_or_default()
    }

    fn codec(&self, index: usize) -> Codec {
        let (config, block) = (&self.system.codecs[index], self.engines[index]);
        let (backend, device) = match &config.backend {
            Backend::Alsa { device, .. } => ("alsa", device.clone()),
            Backend::Cpal { device, .. } => ("cpal", device.clone().unwrap_or_default()),
            Backend::Wav { path, .. } => ("wav", path.display().to_string()),
            Backend::Null => ("null", String::new()),
        };
        Codec {
            name: config.name.clone(),
            backend: backend.to_owned(),
            device,
            rate: config.rate,
            channels: config.channels,
            period: config.period,
            position: block.played.load(Relaxed),
            underruns: block.underruns.load(Relaxed),
            stalled: block.stalled.load(Relaxed) != 0,
            muted: self.mixers.muted(index),
            realtime: block.realtime.load(Relaxed) != 0,
        }
    }

    fn zone(&self, index: usize) -> Zone {
        let config = &self.system.zones[index];
        let (volume, mute) = self.machine.volume(index).unwrap_or_default();
        let curve = self.machine.model().sinks.get(index).map(|sink| sink.curve.as_slice());
        let (peak, limiter) = self.levels.zones.get(index).copied().unwrap_or((0.0, 1.0));
        Zone {
            id: self.machine.sink_id(index).unwrap_or(0),
            name: config.name.clone(),
            codec: self
                .system
                .codecs
                .get(config.codec)
                .map(|codec| codec.name.clone())
                .unwrap_or_default(),
            volume,
            volume_db: curve.and_then(|curve| decibels(policy::curve::gain(curve, volume))),
            mute,
            peak_dbfs: dbfs(peak),
            limiter_db: 20.0 * limiter.log10(),
        }
    }

    fn stream(&self, index: usize) -> Stream {
        let source = &self.system.sources[index];
        let Some(guest) = self.guests.all.get(source.guest) else {
            return Stream::default();
        };
        let config = self.system.guests[source.guest].device.streams.get(source.stream);
        let block = &guest.block.streams[source.stream];
        let meter = self.engines.get(source.codec).map(|engine| &engine.sources[index]);
        let (before, after) = self.levels.sources.get(index).copied().unwrap_or_default();
        let capture = block.direction.load(Relaxed) == direction::CAPTURE;
        let (wanted, mute) = self.machine.wanted(index).unwrap_or_default();
        let shown = self.loudest(index);
        let doing = meter.map_or(0, |meter| meter.doing.load(Relaxed));
        let connected = guest.block.session.connected.load(Acquire) == 1;
        let broken = guest
            .block
            .queues
            .iter()
            .find(|queue| queue.actual.load(Relaxed) == ring_state::BROKEN);
        let fault = broken
            .map_or(0, |queue| queue.fault.load(Relaxed))
            .max(block.fault.load(Relaxed));
        Stream {
            id: if capture {
                0
            } else {
                self.machine.source_id(index).unwrap_or(0)
            },
            name: source.name.clone(),
            guest: guest.name.clone(),
            role: self.class(index),
            direction: if capture {
                Direction::Capture
            } else {
                Direction::Playback
            },
            state: state(block, doing, connected, broken.is_some()),
            routes: self.routes(index),
            taps: self.taps(index),
            wanted_db: decibels(wanted),
            mute,
            effective_db: shown.and_then(|tap| decibels(tap.gain)),
            cause: shown.map(|tap| self.cause(tap)).unwrap_or_default(),
            level_dbfs: dbfs(before),
            level_after_dbfs: dbfs(after),
            format: FORMATS
                .get(block.format.load(Relaxed) as usize)
                .unwrap_or(&"")
                .to_string(),
            rate: crate::engine::hertz(block.rate.load(Relaxed)).unwrap_or(0),
            channels: block.channels.load(Relaxed),
            buffer_frames: block.buffer_bytes.load(Relaxed) / frame_bytes(block),
            latency_frames: block.latency_bytes.load(Relaxed) / frame_bytes(block),
            xruns: u64::from(block.xruns.load(Relaxed)),
            starved: meter.map_or(0, |meter| u64::from(meter.starved.load(Relaxed))),
            refused: u64::from(block.refused.load(Relaxed)),
            fault: if config.is_some() {
                fault_text(fault).to_owned()
            } else {
                String::new()
            },
        }
    }

    fn class(&self, source: usize) -> String {
        let model = self.machine.model();
        let class = model
            .sources
            .get(source)
            .and_then(|source| model.classes.get(source.class));
        class.map(|class| class.name.clone()).unwrap_or_default()
    }

    fn routes(&self, source: usize) -> Vec<Route> {
        let mine = self
            .machine
            .connections()
            .filter(|connection| connection.source == source);
        let mine = mine.map(|connection| Route {
            connection: connection.id,
            state: connection.state as i16,
            zone: self.names.sink(connection.sink).to_owned(),
        });
        let id = self.machine.source_id(source);
        let over_domains = self.machine.mains().filter(|main| Some(main.1) == id);
        let over_domains = over_domains.map(|(connection, _, sink, state)| Route {
            connection,
            state: state as i16,
            zone: self
                .machine
                .registry()
                .sinks
                .get(&sink)
                .map_or("?", |it| &it.name)
                .to_owned(),
        });
        mine.chain(over_domains).collect()
    }

    /// Every zone where the source is connected or refused.
    fn taps(&self, source: usize) -> Vec<Tap> {
        let now = super::now_ms();
        let reason = |cause: &policy::Cause| Reason {
            cause: cause.kind.name().to_owned(),
            by: who(cause.kind)
                .map(|by| self.names.source(by).to_owned())
                .unwrap_or_default(),
            gain_db: decibels(cause.gain),
            for_ms: now.saturating_sub(cause.since),
            line: cause.line,
        };
        let taps = self
            .heard
            .sources
            .get(source)
            .map(|it| it.taps.iter())
            .into_iter()
            .flatten()
            .enumerate();
        let routed = taps.filter(|(_, tap)| tap.causes.iter().all(|cause| cause.kind != CauseKind::NoRoute));
        let shown = |name: &str, tap: &PolicyTap| Tap {
            zone: name.to_owned(),
            gain_db: decibels(tap.gain),
            reasons: tap.causes.iter().map(reason).collect(),
            groups: Vec::new(),
        };
        routed
            .map(|(sink, tap)| Tap {
                groups: (self.system.zones.get(sink).into_iter())
                    .flat_map(|zone| &zone.groups)
                    .zip(&tap.groups)
                    .map(|(group, tap)| shown(&group.name, tap))
                    .collect(),
                ..shown(self.names.sink(sink), self.of_zone(sink, tap))
            })
            .collect()
    }

    /// The part of a tap that stands for the zone: channels of no group, or else the group where it is loudest.
    fn of_zone<'t>(&self, sink: usize, tap: &'t PolicyTap) -> &'t PolicyTap {
        let zone = self.system.zones.get(sink).filter(|zone| zone.is_all_groups());
        let loudest = tap.groups.iter().max_by_key(|group| group.gain);
        zone.and(loudest).unwrap_or(tap)
    }

    /// The tap where the source is heard most.
    fn loudest(&self, source: usize) -> Option<&PolicyTap> {
        let taps = self.heard.sources.get(source)?.taps.iter().enumerate();
        taps.map(|(sink, tap)| self.of_zone(sink, tap))
            .max_by_key(|tap| tap.gain)
    }

    fn cause(&self, tap: &PolicyTap) -> String {
        let mut words = Vec::new();
        for cause in &tap.causes {
            let text = match who(cause.kind) {
                Some(by) => format!("{} by {}", word(cause.kind), self.names.source(by)),
                None if cause.kind == CauseKind::UserGain => continue,
                None => word(cause.kind).to_owned(),
            };
            words.push(text);
        }
        words.join(", ")
    }

    fn chime(&self, index: usize) -> Chime {
        let config = &self.system.chimes[index];
        let (sounding, requested, played) = self.chimes.state(index).unwrap_or_default();
        Chime {
            id: self.machine.source_id(self.system.sources.len() + index).unwrap_or(0),
            name: config.name.clone(),
            zones: config
                .zones
                .iter()
                .map(|&zone| self.names.sink(zone).to_owned())
                .collect(),
            length_ms: self.chimes.length_ms(index),
            sounding,
            requested,
            played,
        }
    }
}

fn guest(guest: &super::guests::Guest) -> Guest {
    Guest {
        name: guest.name.clone(),
        connected: guest.block.session.connected.load(Acquire) == 1,
        memory_warnings: guest.memory_warnings(),
        violations: guest.violations,
    }
}

fn state(block: &StreamBlock, doing: u32, connected: bool, broken: bool) -> StreamState {
    if !connected {
        return StreamState::NotConnected;
    }
    if broken {
        return StreamState::Fault;
    }
    match (block.wanted.load(Relaxed), doing) {
        (stream_state::RUNNING, 2) => StreamState::Running,
        (stream_state::RUNNING, 3) => StreamState::Discarding,
        (stream_state::RUNNING, 4) => StreamState::Paused,
        (stream_state::RUNNING, _) => StreamState::Deciding,
        (stream_state::PREPARED, _) => StreamState::Prepared,
        (stream_state::STOPPED, _) => StreamState::Stopped,
        _ => StreamState::Idle,
    }
}

fn frame_bytes(block: &StreamBlock) -> u32 {
    let format = mix::Format::from_virtio(block.format.load(Relaxed));
    let bytes = format.map_or(1, |format| format.bytes() as u32);
    (bytes * block.channels.load(Relaxed)).max(1)
}

/// A level of more than silence.
fn dbfs(peak: f32) -> Option<f32> {
    (peak > 0.0).then(|| 20.0 * peak.log10())
}

fn fault_text(code: u32) -> &'static str {
    use vhost_sound::block::fault;
    match code {
        fault::NONE => "",
        fault::OUTSIDE_MEMORY => "a descriptor points outside guest memory",
        fault::CHAIN => "a descriptor chain loops or is too long",
        fault::INDEX => "a descriptor index is out of range",
        fault::AVAIL_JUMP => "the available index jumped",
        fault::HEADER => "a message's header is short or names no such stream",
        fault::STATUS => "a message has no room for its status",
        fault::STATE => "a message for a stream that takes none",
        fault::DUPLICATE_HEAD => "a message was queued twice",
        fault::MEMORY_GONE => "guest memory vanished",
        fault::EMPTY => "a message without samples",
        fault::USED_TAMPERED => "the guest changed the used ring",
        _ => "unknown",
    }
}
