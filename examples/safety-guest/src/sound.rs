//! The virtio-sound driver (virtio 1.x, 5.14): one playback stream, S16, 48 kHz, 2 channels.
//!
//! ```text
//!  begin ──► queues ──► finish ──► SET_PARAMS ──► PREPARE ──► ring filled ──► START ──► a message back: filled again
//!                                                             RELEASE ◄── STOP ◄── all back ◄──┘ (frames played)
//! ```

use crate::apic;
use crate::pool::{Part, Pool};
use crate::queue::Queue;
use crate::spread::{Spread, Two};
use crate::tone::Tone;
use crate::transport::Transport;

const CONTROL: u16 = 0;
const TX: u16 = 2;
/// Requests and the good answer (virtio 1.x, 5.14.6).
pub const PCM_INFO: u32 = 0x0100;
/// See [`PCM_INFO`].
pub const SET_PARAMS: u32 = 0x0101;
/// See [`PCM_INFO`].
pub const PREPARE: u32 = 0x0102;
/// See [`PCM_INFO`].
pub const RELEASE: u32 = 0x0103;
/// See [`PCM_INFO`].
pub const START: u32 = 0x0104;
/// See [`PCM_INFO`].
pub const STOP: u32 = 0x0105;
/// See [`PCM_INFO`].
pub const OK: u32 = 0x8000;
const OUTPUT: u8 = 0;
const S16: u8 = 5;
const RATE_48000: u8 = 7;
const CHANNELS: u8 = 2;
const FRAME: u32 = 4;
const INFO_BYTES: u64 = 32;
const MOST_STREAMS: u32 = 16;
/// Chain of a PCM message: header, data, status.
const CHAIN: u16 = 3;
const IO_ERR: u32 = 0x8003;
/// How often a request is repeated, one or two ticks apart.
const AWAY_TICKS: u32 = 300;
/// Most messages in the ring.
pub const MOST_PERIODS: usize = 16;
/// For an answer or a period; a device that takes longer is broken.
const LIMIT_MS: u32 = 10_000;

/// What is played, and how.
#[derive(Clone, Copy)]
pub struct Take {
    /// Frames of tone.
    pub frames: u32,
    /// Frames a message.
    pub period: u32,
    /// Messages in the ring.
    pub periods: u16,
    /// Silent messages after the tone, so that its last frame is out before STOP.
    pub tail: u32,
    /// Of the tone.
    pub tone: Tone,
}

/// What came of it.
#[derive(Clone, Copy, Default)]
pub struct Played {
    /// Messages that came back with OK.
    pub messages: u32,
    /// Messages that came back with an error.
    pub errors: u32,
    /// Notifications between START and the last message.
    pub kicks: u32,
    /// Interrupts in that time.
    pub interrupts: u32,
    /// Least and most `latency_bytes`.
    pub latency: (u32, u32),
    /// Of all `latency_bytes`.
    pub told: Spread,
    /// Ticks of the TSC from a message's offer to its return.
    pub back: Spread,
}

/// The device.
pub struct Sound {
    transport: Transport,
    control: Queue,
    tx: Queue,
    request: Part,
    answer: Part,
    pool: Pool,
}

impl Sound {
    /// Sets the device up.
    pub fn new(transport: Transport, mut pool: Pool) -> Result<Self, &'static str> {
        if !transport.begin() {
            return Err("the device doesn't take VIRTIO_F_VERSION_1");
        }
        transport.route_interrupts();
        let control = Queue::new(transport, CONTROL, 4, &mut pool).ok_or("no control queue")?;
        let tx = Queue::new(transport, TX, 64, &mut pool).ok_or("no tx queue")?;
        let request = pool.take(32).ok_or("the pool is too small")?;
        let answer = pool
            .take(8 + INFO_BYTES * u64::from(MOST_STREAMS))
            .ok_or("the pool is too small")?;
        transport.finish();
        Ok(Self {
            transport,
            control,
            tx,
            request,
            answer,
            pool,
        })
    }

    /// Masks or unmasks the device's interrupt; false where it has none.
    pub fn mask(&self, masked: bool) -> bool {
        self.transport.mask(masked)
    }

    /// Sends `words` and waits for the answer without its interrupt.
    pub fn ask_polled(&mut self, words: &[u32]) -> Result<u32, &'static str> {
        self.offer(words, 4 * words.len() as u32, 0);
        apic::wait(LIMIT_MS, false, || self.control.ready()).map_err(|_| "a control message did not come back")?;
        self.control.take();
        Ok(self.answer.get::<u32>(0))
    }

    /// Sends `words` and waits for OK; `more` bytes of answer follow the status. An I/O error is what a stand-in says while the
    /// audio service is away: asked again, for about a minute.
    pub fn command(&mut self, words: &[u32], more: u64) -> Result<(), &'static str> {
        for _ in 0..AWAY_TICKS {
            match self.ask(words, 4 * words.len() as u32, more)? {
                OK => return Ok(()),
                IO_ERR => {
                    // Only the clock ends this wait.
                    let _ = apic::wait(apic::TICK_MS, true, || false);
                }
                _ => return Err("a control message was refused"),
            }
        }
        Err("the audio service stayed away")
    }

    /// Sends the first `bytes` of `words`; returns the status word.
    pub fn ask(&mut self, words: &[u32], bytes: u32, more: u64) -> Result<u32, &'static str> {
        self.offer(words, bytes, more);
        let halting = self.transport.interrupts();
        apic::wait(LIMIT_MS, halting, || self.control.ready()).map_err(|_| "a control message did not come back")?;
        self.control.take();
        Ok(self.answer.get::<u32>(0))
    }

    fn offer(&mut self, words: &[u32], bytes: u32, more: u64) {
        for (offset, word) in (0..).step_by(4).zip(words) {
            self.request.set(offset, *word);
        }
        self.answer.set(0, 0_u32);
        let pieces = [
            (self.request.address(), bytes, false),
            (self.answer.address(), 4 + more as u32, true),
        ];
        self.control.add(0, &pieces);
        self.control.kick();
    }

    /// The first output stream that takes S16 at 48 kHz.
    pub fn stream(&mut self) -> Result<u32, &'static str> {
        let streams = self.transport.config(4).min(MOST_STREAMS);
        if streams == 0 {
            return Err("the device has no stream");
        }
        self.command(
            &[PCM_INFO, 0, streams, INFO_BYTES as u32],
            INFO_BYTES * u64::from(streams),
        )?;
        let fits = |stream: &u32| {
            let at = 4 + INFO_BYTES * u64::from(*stream);
            let word = |offset: u64| u64::from(self.answer.get::<u32>(at + offset));
            let (formats, rates) = (word(8) | word(12) << 32, word(16) | word(20) << 32);
            let (direction, least, most) = (
                self.answer.get::<u8>(at + 24),
                self.answer.get::<u8>(at + 25),
                self.answer.get::<u8>(at + 26),
            );
            direction == OUTPUT
                && formats >> S16 & 1 == 1
                && rates >> RATE_48000 & 1 == 1
                && (least..=most).contains(&CHANNELS)
        };
        (0..streams)
            .find(fits)
            .ok_or("no output stream takes S16, 2 channels, 48 kHz")
    }

    /// Plays a take from its first frame to its last.
    pub fn play(&mut self, take: &Take) -> Result<Played, &'static str> {
        let stream = self.stream()?;
        let bytes = take.period * FRAME;
        let format = u32::from(CHANNELS) | u32::from(S16) << 8 | u32::from(RATE_48000) << 16;
        self.command(
            &[SET_PARAMS, stream, bytes * u32::from(take.periods), bytes, 0, format],
            0,
        )?;
        self.command(&[PREPARE, stream], 0)?;
        if take.periods * CHAIN > self.tx.size() {
            return Err("the tx queue is too short for the ring");
        }
        let mut ring = Ring::new(stream, take, &mut self.pool).ok_or("the pool is too small for the ring")?;
        for slot in 0..take.periods {
            ring.fill(slot, take, &mut self.tx);
        }
        self.tx.kick();
        self.command(&[START, stream], 0)?;
        let played = self.run(&mut ring, take)?;
        self.command(&[STOP, stream], 0)?;
        self.command(&[RELEASE, stream], 0)?;
        Ok(played)
    }

    fn run(&mut self, ring: &mut Ring, take: &Take) -> Result<Played, &'static str> {
        let all = take.frames.div_ceil(take.period) + take.tail;
        let mut played = Played {
            latency: (u32::MAX, 0),
            ..Played::default()
        };
        let (kicks, bells) = (self.tx.kicks, apic::bells());
        let halting = self.transport.interrupts();
        let mut samples = Two::new().ok_or("two takes at once")?;
        while played.messages + played.errors < all {
            apic::wait(LIMIT_MS, halting, || self.tx.ready()).map_err(|_| "a period did not come back")?;
            while let Some(head) = self.tx.take() {
                let slot = head / CHAIN;
                if head % CHAIN != 0 || slot >= take.periods {
                    return Err("the device returned a message that it wasn't given");
                }
                let (status, latency) = ring.status(slot);
                match status {
                    OK => played.messages += 1,
                    _ => played.errors += 1,
                }
                samples.add([latency, ring.age(slot)]);
                played.latency = (played.latency.0.min(latency), played.latency.1.max(latency));
                if ring.filled < all {
                    ring.fill(slot, take, &mut self.tx);
                    self.tx.kick();
                }
            }
        }
        played.kicks = self.tx.kicks - kicks;
        played.interrupts = apic::bells() - bells;
        [played.told, played.back] = samples.spreads();
        Ok(played)
    }
}

fn ticks() -> u64 {
    // SAFETY: an instruction that every 64-bit processor has.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The messages of a stream; message n is at the same place throughout.
struct Ring {
    header: Part,
    data: Part,
    status: Part,
    /// Messages filled so far.
    filled: u32,
    /// TSC when each was offered.
    offered: [u64; MOST_PERIODS],
}

impl Ring {
    fn new(stream: u32, take: &Take, pool: &mut Pool) -> Option<Self> {
        let periods = u64::from(take.periods);
        let header = pool.take(4)?;
        header.set(0, stream);
        Some(Self {
            header,
            data: pool.take(periods * u64::from(take.period * FRAME))?,
            status: pool.take(8 * periods)?,
            filled: 0,
            offered: [0; MOST_PERIODS],
        })
    }

    /// Writes the next period into a message and offers it; beyond the take it is silence.
    fn fill(&mut self, slot: u16, take: &Take, tx: &mut Queue) {
        let (bytes, place) = (take.period * FRAME, u64::from(slot));
        let data = place * u64::from(bytes);
        for n in 0..take.period {
            let frame = self.filled * take.period + n;
            let sample = if frame < take.frames { take.tone.frame(frame) } else { 0 };
            self.data.set(data + u64::from(n * FRAME), sample);
        }
        self.status.set(8 * place, 0_u32);
        self.filled += 1;
        self.offered[usize::from(slot) % MOST_PERIODS] = ticks();
        let pieces = [
            (self.header.address(), 4, false),
            (self.data.address() + data, bytes, false),
            (self.status.address() + 8 * place, 8, true),
        ];
        tx.add(slot * CHAIN, &pieces);
    }

    /// Ticks since a message was offered.
    fn age(&self, slot: u16) -> u32 {
        let age = ticks().wrapping_sub(self.offered[usize::from(slot) % MOST_PERIODS]);
        age.min(u64::from(u32::MAX)) as u32
    }

    /// Status and latency of a message that came back.
    fn status(&self, slot: u16) -> (u32, u32) {
        let at = 8 * u64::from(slot);
        (self.status.get(at), self.status.get(at + 4))
    }
}
