//! The engine: everything from a stream's bytes to the codec, one period at a time.
//!
//! ```text
//!  run_period, at a period's edge
//!   commands ─► gains ─► each guest: begin_period
//!            ─► each source: pull ─► decode ─► (convert) ─► ramp x matrix ─► zone bus, or safety slot
//!            ─► chimes ─► safety slots ─► each zone: limiter + safety ─► codec format ─► codec
//!            ─► capture ─► each guest: end_period ─► block
//! ```
//! `run_period` allocates nothing, frees nothing, takes no lock, and calls the system only through the codec, the guests'
//! call eventfds and the bells of helper and control. What has to allocate happens in the [`EngineHandle`], on another thread.
#![deny(clippy::disallowed_types)]

mod bells;
pub mod bridge;
mod capture;
pub mod chimes;
pub mod guest;
mod helper;
mod latency;
mod levels;
mod maps;
pub mod pace;
pub mod resample;
pub mod rt;
mod source;
mod tap;
mod zone;

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use vhost_sound::config::Direction;
use vhost_sound::memory::EventFd;

use crate::blocks::gains::Row;
use crate::blocks::recorder::Kind;
use crate::blocks::{EngineBlock, MAX_SOURCES};
use crate::codec::{Clock, Codec, Shape};
use crate::system::{CodecConfig, SourceConfig, System};

use bridge::{Bridges, Now, Receiver};
use capture::{Capture, Intake};
use chimes::{ChimeBank, Did, Player};
use guest::Guest;
pub use helper::EngineHandle;
use helper::{Command, Mailbox, Return, Wanted};
use maps::Maps;
use resample::Convert;
pub use source::hertz;
use source::{Period, Place, Source};
use tap::Taps;
use zone::Zone;

/// Bytes of the widest sample.
const WIDEST: usize = 8;

/// One codec's engine. `G` is a guest's rings.
pub struct Engine<'a, G: Guest, C: Codec> {
    block: &'a EngineBlock,
    codec: C,
    shape: Shape,
    period: usize,
    lead: u64,
    patience: u32,
    guests: Vec<(usize, G)>,
    sources: Vec<Source>,
    captures: Vec<Capture>,
    intake: Intake,
    receivers: Vec<Receiver>,
    zones: Vec<Zone>,
    players: Vec<Player>,
    bank: Option<ChimeBank>,
    rows: Box<[Row; MAX_SOURCES]>,
    spare_rows: Box<[Row; MAX_SOURCES]>,
    batch: Option<u32>,
    /// Gains had been decided before this engine came.
    took_over: bool,
    mailbox: Mailbox,
    planar: Vec<f32>,
    bytes: Vec<u8>,
    scratch: Vec<f32>,
    written: u64,
    played: u64,
    paced_by_timer: bool,
    /// The last wake-up found nothing to do.
    early: bool,
    /// A capture stream ran in the last period.
    heard: bool,
    controls_bell: Option<EventFd>,
    /// Something is counted that control should see.
    news: bool,
}

impl<'a, G: Guest, C: Codec> Engine<'a, G, C> {
    /// An engine for codec `index` of `system`, taking over where the block and the codec say the last one left off.
    /// `guests`: index in `System::guests`, and its rings. Allocates all that it will ever use.
    pub fn new(
        system: &System,
        index: usize,
        block: &'a EngineBlock,
        guests: Vec<(usize, G)>,
        mut codec: C,
        bank: Option<ChimeBank>,
    ) -> (Self, EngineHandle) {
        let shape = codec.shape();
        let config = &system.codecs[index];
        let period = period_of(config);
        let (mailbox, handle) = helper::pair(shape.rate, period);
        let zones: Vec<Zone> = (system.zones.iter().enumerate())
            .filter(|(_, zone)| zone.codec == index)
            .map(|(at, zone)| Zone::new(at, zone, period, shape.rate, shape.format))
            .collect();
        let sources = sources(system, index, &guests, period);
        let captures = captures(system, index, &guests, period);
        let players = bank
            .as_ref()
            .map_or_else(Vec::new, |bank| players(system, bank, &zones, block));
        let period_ms = period as u64 * 1000 / u64::from(shape.rate.max(1));
        let (written, played) = (codec.written(), codec.position());
        let intake = Intake::new(shape, period, codec.recorded());
        block.pid.store(std::process::id(), Relaxed);
        block
            .recorder
            .record(written, Kind::EngineUp, index as u32, u64::from(std::process::id()));
        let engine = Self {
            block,
            shape,
            period,
            lead: u64::from(config.lead.max(1)) * period as u64,
            patience: u32::try_from(u64::from(system.decision_limit_ms) / period_ms.max(1)).unwrap_or(u32::MAX),
            guests,
            sources,
            captures,
            intake,
            receivers: Vec::new(),
            zones,
            players,
            bank,
            rows: Box::new([Row::SILENT; MAX_SOURCES]),
            spare_rows: Box::new([Row::SILENT; MAX_SOURCES]),
            batch: None,
            took_over: written > 0 && block.gains.batch() > 0,
            mailbox,
            planar: vec![0.0; shape.channels * period],
            bytes: vec![0; shape.frame_bytes().max(shape.capture_frame_bytes()) * period],
            scratch: vec![0.0; period],
            written: written.max(played),
            played,
            paced_by_timer: false,
            early: false,
            heard: false,
            controls_bell: None,
            // A predecessor may have counted something and died before it rang.
            news: true,
            codec,
        };
        (engine, handle)
    }

    /// Joins this engine to those of the system's other codecs; see [`bridge::build`].
    pub fn connect(&mut self, bridges: Bridges) {
        for sender in bridges.senders {
            if let Some(source) = self.sources.iter_mut().find(|source| source.index == sender.source) {
                source.connect(sender);
            }
        }
        self.receivers = bridges.receivers;
    }

    /// The codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// A guest's rings, by position in the list given to [`Engine::new`].
    pub fn guest(&mut self, position: usize) -> Option<&mut G> {
        self.guests.get_mut(position).map(|(_, guest)| guest)
    }

    /// One period: all the real-time work.
    pub fn run_period(&mut self) {
        self.played = self.codec.position().max(self.played);
        self.period();
    }

    /// One period, with the codec's position just looked at.
    #[cfg_attr(feature = "rtsan", rtsan_standalone::nonblocking)]
    fn period(&mut self) {
        self.take_commands();
        self.take_gains();
        self.guests.iter_mut().for_each(|(_, guest)| guest.begin_period());
        self.zones.iter_mut().for_each(Zone::clear);
        self.run_sources();
        self.run_receivers();
        self.run_chimes();
        self.output();
        self.run_captures();
        for (_, guest) in &mut self.guests {
            guest.end_period();
            self.news |= guest.take_news();
        }
        self.mailbox.ring();
        self.publish();
        self.ring_control();
    }

    /// Takes what the helper sent; each command has room for what it sends back, or waits.
    fn take_commands(&mut self) {
        while self.mailbox.has_room() {
            let Ok(command) = self.mailbox.commands.pop() else {
                return;
            };
            let back = match command {
                Command::Memory(guest, memory) => Return::Memory(match find(&mut self.guests, guest) {
                    Some(rings) => rings.set_memory(memory),
                    None => Some(memory),
                }),
                Command::Call(guest, queue, call) => Return::Call(match find(&mut self.guests, guest) {
                    Some(rings) => rings.set_call(queue, call),
                    None => call,
                }),
                Command::Converter(wanted, made, samples, bytes) => self.take_converter(wanted, made, samples, bytes),
            };
            // There is room: looked at above, and nobody else sends.
            let _ = self.mailbox.send(back);
        }
    }

    fn take_converter(
        &mut self,
        wanted: Wanted,
        made: Option<Box<dyn Convert>>,
        samples: Vec<f32>,
        bytes: Vec<u8>,
    ) -> Return {
        let source = self.sources.iter_mut().find(|source| source.index == wanted.source);
        let capture = self.captures.iter_mut().find(|capture| capture.index == wanted.source);
        match (source, capture) {
            (Some(source), _) => source.take_converter(wanted, made, samples, bytes),
            (_, Some(capture)) => capture.take_converter(wanted, made, samples, bytes),
            _ => Return::Converter(made, samples, bytes),
        }
    }

    fn take_gains(&mut self) {
        let period = self.block.periods.load(Relaxed) + 1;
        self.block.begun.store(period, Relaxed);
        // Pairs with that of `control::gains`: either control sees that this period has begun, or this period sees the batch.
        fence(SeqCst);
        if self.batch == Some(self.block.gains.batch()) {
            return;
        }
        let Some(batch) = self.block.gains.read(&mut self.spare_rows) else {
            return;
        };
        // Taking over: what the predecessor had ramped to is where this one begins.
        if self.batch.is_none() && self.took_over {
            let taps = self.spare_rows.iter_mut().flat_map(|row| &mut row.taps);
            taps.for_each(|tap| tap.ramp = 0);
        }
        self.batch = Some(batch);
        std::mem::swap(&mut self.rows, &mut self.spare_rows);
        for source in &mut self.sources {
            source.taps.take_row(&self.rows[source.index]);
        }
        for receiver in &mut self.receivers {
            receiver.take_row(&self.rows[receiver.source]);
        }
        self.record(Kind::Gains, batch, period);
    }

    fn run_sources(&mut self) {
        let now_ns = self.codec.now();
        for source in &mut self.sources {
            let (_, guest) = &mut self.guests[source.guest];
            let view = guest.state(source.stream());
            if let Some(wanted) = source.settle(&view, self.shape.rate, &self.zones)
                && !self.mailbox.send(Return::Wanted(wanted))
            {
                source.unsettle();
            }
            let period = Period {
                frames: self.period,
                rate: self.shape.rate,
                at: self.written,
                played: self.played,
                written: !self.paced_by_timer,
                now_ns,
                row: &self.rows[source.index],
                patience: self.patience,
            };
            let before = source.doing();
            source.run(
                guest,
                &view,
                &period,
                &mut self.zones,
                &self.block.sources[source.index],
            );
            if before != source.doing() {
                let doing = source.doing() as u64;
                self.block
                    .recorder
                    .record(self.written, Kind::Stream, source.index as u32, doing);
            }
        }
    }

    fn run_receivers(&mut self) {
        if self.receivers.is_empty() {
            return;
        }
        let now = Now {
            at: self.written,
            played: self.played,
            written: !self.paced_by_timer,
            ns: self.codec.now(),
            period: self.period,
        };
        for receiver in &mut self.receivers {
            let source = receiver.source;
            receiver.run(&now, &self.rows[source], &mut self.zones, &self.block.sources[source]);
        }
    }

    fn run_chimes(&mut self) {
        let Some(bank) = &self.bank else { return };
        for player in &mut self.players {
            let chime = player.chime();
            let cell = &self.block.chimes[chime];
            let kind = match player.run(bank, cell, &mut self.zones, &mut self.scratch, self.written) {
                Did::Nothing => continue,
                Did::Began => Kind::ChimeBegun,
                Did::Ended => Kind::ChimeEnded,
            };
            self.block.recorder.record(self.written, kind, chime as u32, 0);
            self.news = true;
        }
    }

    fn output(&mut self) {
        self.planar.fill(0.0);
        for zone in &mut self.zones {
            zone.finish(&mut self.planar, &self.block.zones[zone.index]);
        }
        if self.paced_by_timer {
            return;
        }
        let bytes = &mut self.bytes[..self.shape.frame_bytes() * self.period];
        self.shape.format.encode(&self.planar, self.shape.channels, bytes);
        let placed = self.codec.write(self.written, bytes);
        let late = placed.saturating_sub(self.written);
        self.written = placed + self.period as u64;
        if late > 0 {
            let due = placed - late;
            self.sources.iter_mut().for_each(|one| one.played_later(due, late));
            self.receivers.iter_mut().for_each(|one| one.played_later(due, late));
            self.underrun(late);
        }
    }

    /// Gives the capture streams what the input recorded since the last period: at most two periods of it, so that a late
    /// wake-up is made good.
    fn run_captures(&mut self) {
        if self.captures.is_empty() {
            return;
        }
        let mut listening = false;
        for capture in &mut self.captures {
            let (_, guest) = &self.guests[capture.guest];
            let view = guest.state(capture.stream());
            if let Some(wanted) = capture.settle(&view, self.shape)
                && !self.mailbox.send(Return::Wanted(wanted))
            {
                capture.unsettle();
            }
            listening |= view.running;
        }
        if !listening && !self.heard {
            self.intake.skip(&mut self.codec);
            return;
        }
        // One more round after the last stream has stopped, so that its meter says so.
        self.heard = listening;
        if self.paced_by_timer {
            self.intake.silence();
            self.give(0);
            return;
        }
        for _ in 0..2 {
            let Some(behind) = self.intake.take(&mut self.codec) else {
                return;
            };
            self.give(behind);
        }
    }

    fn give(&mut self, behind: u64) {
        for capture in &mut self.captures {
            let (_, guest) = &mut self.guests[capture.guest];
            let view = guest.state(capture.stream());
            let meters = &self.block.sources[capture.index];
            capture.run(guest, &view, &self.intake, behind, meters);
        }
    }

    fn underrun(&self, frames: u64) {
        self.block
            .underruns
            .store(self.block.underruns.load(Relaxed) + 1, Relaxed);
        self.block
            .underrun_frames
            .store(self.block.underrun_frames.load(Relaxed) + frames, Relaxed);
        self.record(Kind::Underrun, 0, frames);
    }

    fn publish(&self) {
        let block = self.block;
        block.written.store(self.written, Relaxed);
        block.played.store(self.played, Relaxed);
        block.periods.store(block.periods.load(Relaxed) + 1, Relaxed);
        block.heartbeat.store(block.heartbeat.load(Acquire) + 1, Release);
    }

    fn record(&self, kind: Kind, subject: u32, value: u64) {
        self.block.recorder.record(self.written, kind, subject, value);
    }

    fn is_offline(&self) -> bool {
        self.codec.clock() == Clock::Offline
    }
}

/// A codec's period in frames.
fn period_of(config: &CodecConfig) -> usize {
    (config.period as usize).clamp(16, 1024)
}

fn find<G>(guests: &mut [(usize, G)], guest: usize) -> Option<&mut G> {
    guests
        .iter_mut()
        .find(|(index, _)| *index == guest)
        .map(|(_, rings)| rings)
}

fn sources<G>(system: &System, codec: usize, guests: &[(usize, G)], period: usize) -> Vec<Source> {
    let mine = system
        .sources
        .iter()
        .enumerate()
        .take(MAX_SOURCES)
        .filter(|(_, source)| source.codec == codec && !records(system, source));
    mine.filter_map(|(index, source)| {
        let guest = guests.iter().position(|(guest, _)| *guest == source.guest)?;
        let place = Place {
            index,
            guest,
            stream: source.stream,
            taps: Taps::new(system, source, codec),
        };
        Some(Source::new(place, period, WIDEST))
    })
    .collect()
}

fn captures<G>(system: &System, codec: usize, guests: &[(usize, G)], period: usize) -> Vec<Capture> {
    let mine = system
        .sources
        .iter()
        .enumerate()
        .take(MAX_SOURCES)
        .filter(|(_, source)| source.codec == codec && records(system, source));
    mine.filter_map(|(index, source)| {
        let guest = guests.iter().position(|(guest, _)| *guest == source.guest)?;
        Some(Capture::new(
            index,
            guest,
            source.stream,
            source.capture_allowed,
            Maps::of(system, source),
            period,
        ))
    })
    .collect()
}

fn records(system: &System, source: &SourceConfig) -> bool {
    let guest = system.guests.get(source.guest);
    let stream = guest.and_then(|guest| guest.device.streams.get(source.stream));
    stream.is_some_and(|stream| stream.direction == Direction::Capture)
}

fn players(system: &System, bank: &ChimeBank, zones: &[Zone], block: &EngineBlock) -> Vec<Player> {
    let chimes = system.chimes.iter().enumerate().zip(&block.chimes);
    chimes
        .map(|((index, chime), cell)| {
            let here: Vec<(usize, &[u8])> = (zones.iter().enumerate())
                .filter(|(_, zone)| chime.zones.contains(&zone.index))
                .map(|(at, zone)| (at, zone.positions.as_slice()))
                .collect();
            Player::new(index, chime, bank, &here, cell)
        })
        .collect()
}
