//! The device block: what the two halves of one guest's sound device share.
//!
//! `control` (vhost-user messages, control and event queues) writes what it *wants*; `engine` (tx and rx rings) makes it so
//! at a period's edge and acknowledges. Everything is level-triggered: wishes are states, not messages, so either side may
//! be killed at any point and its successor carries on from the block alone.
//!
//! ```text
//!  control                                   engine, once a codec period
//!  ───────                                   ───────────────────────────
//!  set wanted_* fields                       if cmd_seq != ack_seq:
//!  cmd_seq += 1  ──────────────────────────►     for each ring and stream: wanted != actual → make it so
//!  wait until ack_seq == cmd_seq ◄───────────     ack_seq = the cmd_seq that was read first
//!  answer the guest or the front end
//! ```
//!
//! Crash rules: a head lives in exactly one place (a stream's FIFO or the queue's done list); it is recorded here before the
//! guest can see it; `done` entries are published to the used ring in one batch a period.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::config::{DeviceConfig, Direction};
use crate::shared::Block;

/// Streams one device can have (all directions together).
pub const MAX_STREAMS: usize = 16;
/// Descriptors of the largest vring we accept.
pub const MAX_QUEUE: usize = 1024;
/// Memory regions of one front end.
pub const MAX_REGIONS: usize = 32;
/// controlq, eventq, txq, rxq (virtio 1.3 §5.14.2).
pub const QUEUES: usize = 4;
/// Index of the control queue.
pub const CONTROLQ: usize = 0;
/// Index of the event queue.
pub const EVENTQ: usize = 1;
/// Index of the playback queue.
pub const TXQ: usize = 2;
/// Index of the capture queue.
pub const RXQ: usize = 3;

/// One region of guest memory as the front end announced it; its file travels as a kept descriptor.
#[repr(C)]
pub struct Region {
    /// Guest physical address.
    pub gpa: AtomicU64,
    /// Length in bytes.
    pub len: AtomicU64,
    /// Address in the front end's own address space (vring addresses are given in it).
    pub front_end_addr: AtomicU64,
    /// Where the region starts in its file.
    pub file_offset: AtomicU64,
}

/// Wanted and actual state of a ring.
pub mod ring_state {
    /// Not ours to touch.
    pub const STOPPED: u32 = 0;
    /// The engine serves it.
    pub const RUNNING: u32 = 1;
    /// Stopped by the engine after a violation or a memory fault; see `fault`.
    pub const BROKEN: u32 = 2;
}

/// One virtqueue.
#[repr(C)]
pub struct QueueBlock {
    /// `ring_state`, by control.
    pub wanted: AtomicU32,
    /// `ring_state`, by whoever serves the ring.
    pub actual: AtomicU32,
    /// Descriptors.
    pub size: AtomicU32,
    /// 1 once SET_VRING_ENABLE said so (or no protocol features were negotiated).
    pub enabled: AtomicU32,
    /// 1 once the front end gave a kick (or asked for polling): the ring is started.
    pub started: AtomicU32,
    /// Raised whenever the kept kick, call or error descriptor changes.
    pub fd_gen: AtomicU32,
    /// Bit 0: a kick descriptor is kept, bit 1: call, bit 2: error.
    pub fds: AtomicU32,
    /// Descriptor table, front-end address.
    pub desc: AtomicU64,
    /// Available ring, front-end address.
    pub avail: AtomicU64,
    /// Used ring, front-end address.
    pub used: AtomicU64,
    /// Next index of the available ring that is not yet sorted (mod 2^16).
    pub last_avail: AtomicU32,
    /// Used index as published last (mod 2^16).
    pub used_idx: AtomicU32,
    /// Used index at the last call that went out, for EVENT_IDX (mod 2^16).
    pub signalled: AtomicU32,
    /// Completed, not yet published: count, then head and written length of each.
    pub done_count: AtomicU32,
    /// See `done_count`.
    pub done: [Done; MAX_QUEUE],
    /// A `fault` code when `actual` is BROKEN.
    pub fault: AtomicU32,
    /// Chains returned since the ring was started.
    pub returned: AtomicU64,
    /// Calls (interrupts) sent.
    pub calls: AtomicU64,

    // Engine only, for the tx and rx queues; see `ring::queue`.
    /// The `used_idx` that `done[0]` will be published at; the list is empty unless this equals `used_idx`.
    pub done_base: AtomicU32,
    /// The move of a head that is under way; 0 = none.
    pub journal: AtomicU64,
    /// Descriptor table the heads in flight belong to.
    pub own_desc: AtomicU64,
    /// Available ring the heads in flight belong to.
    pub own_avail: AtomicU64,
    /// Used ring the heads in flight belong to.
    pub own_used: AtomicU64,
    /// Ring size the heads in flight belong to.
    pub own_size: AtomicU32,
    /// Bit 16: the `own_*` fields are valid; bits 0 to 15: `last_avail` when the ring was stopped.
    pub own_base: AtomicU32,
}

/// One entry of `QueueBlock::done`.
#[repr(C)]
pub struct Done {
    /// Head index.
    pub head: AtomicU32,
    /// Bytes written for the guest.
    pub len: AtomicU32,
}

/// States of a PCM stream (virtio 1.3 §5.14.6.6.1).
pub mod stream_state {
    /// No parameters yet.
    pub const IDLE: u32 = 0;
    /// SET_PARAMS done.
    pub const PARAMS: u32 = 1;
    /// PREPARE done; playback buffers are queued, not played.
    pub const PREPARED: u32 = 2;
    /// START done.
    pub const RUNNING: u32 = 3;
    /// STOP done; buffers stay queued (pause).
    pub const STOPPED: u32 = 4;
    /// RELEASE done; all buffers were returned.
    pub const RELEASED: u32 = 5;
}

/// `StreamBlock::direction`.
pub mod direction {
    /// No such stream.
    pub const NONE: u32 = 0;
    /// Guest → codec, served on the tx queue.
    pub const PLAYBACK: u32 = 1;
    /// Codec → guest, served on the rx queue.
    pub const CAPTURE: u32 = 2;
}

/// One PCM stream.
#[repr(C)]
pub struct StreamBlock {
    /// `direction`, from the config (`DeviceBlock::configure`).
    pub direction: AtomicU32,
    /// `stream_state`, by control.
    pub wanted: AtomicU32,
    /// `stream_state`, as the engine has it.
    pub actual: AtomicU32,
    /// Raised by control with each RELEASE; the engine returns every buffer and copies it to `released_gen`.
    pub release_gen: AtomicU32,
    /// See `release_gen`.
    pub released_gen: AtomicU32,
    /// Raised by control with each START after PREPARE; the gain table's row says which of them it has decided.
    pub start_gen: AtomicU32,
    /// Raised with each SET_PARAMS.
    pub params_gen: AtomicU32,
    /// Buffer size of SET_PARAMS, bytes.
    pub buffer_bytes: AtomicU32,
    /// Period size of SET_PARAMS, bytes.
    pub period_bytes: AtomicU32,
    /// PCM feature bits the driver chose.
    pub features: AtomicU32,
    /// Channels, 1 to 8.
    pub channels: AtomicU32,
    /// `VIRTIO_SND_PCM_FMT_*`.
    pub format: AtomicU32,
    /// `VIRTIO_SND_PCM_RATE_*`.
    pub rate: AtomicU32,

    /// Engine: messages queued, in order: `head | avail index << 16`.
    pub fifo: [AtomicU32; MAX_QUEUE],
    /// Engine: payload bytes of the message in the same slot of `fifo`.
    pub fifo_len: [AtomicU32; MAX_QUEUE],
    /// Engine: guest physical address of its status, or `u64::MAX` when the status is split over descriptors.
    pub fifo_status: [AtomicU64; MAX_QUEUE],
    /// Engine: next slot to take (free running).
    pub fifo_take: AtomicU32,
    /// Engine: next slot to fill (free running).
    pub fifo_fill: AtomicU32,
    /// Engine: payload bytes of the front message already consumed.
    pub front_bytes: AtomicU32,
    /// Engine: payload bytes pulled (or recorded) since START.
    pub bytes: AtomicU64,
    /// Engine: xruns since PREPARE; control turns a change into an XRUN event.
    pub xruns: AtomicU32,
    /// Engine: messages completed; control turns a change into PERIOD_ELAPSED where the driver asked for it.
    pub periods: AtomicU32,
    /// Engine: completions held back because the driver had not seen the lap.
    pub laps_held: AtomicU32,
    /// Engine: messages refused (wrong state, malformed).
    pub refused: AtomicU32,
    /// Engine: the last `fault` seen on this stream.
    pub fault: AtomicU32,
    /// Engine: `latency_bytes` told last.
    pub latency_bytes: AtomicU32,

    /// Control: volume set in the guest, 0.1 dB, at most 0 (stored as i32 bits).
    pub user_gain: AtomicU32,
    /// Control: 1 when the guest muted the stream.
    pub user_mute: AtomicU32,
}

/// What `control` must know again after its own restart; nobody else reads it.
#[repr(C)]
pub struct SessionBlock {
    /// 1 while a front end is connected.
    pub connected: AtomicU32,
    /// Raised with each accepted connection.
    pub connection_gen: AtomicU32,
    /// Acknowledged virtio features.
    pub features: AtomicU64,
    /// Acknowledged vhost-user protocol features.
    pub protocol_features: AtomicU64,
    /// 1 after SET_OWNER.
    pub owned: AtomicU32,
    /// Event queue subscriptions and the like, private to `device`.
    pub words: [AtomicU32; 64],
}

/// Why something was refused, stopped or broken. Codes are stable: they stand in logs and in `audioctl status --json`.
pub mod fault {
    /// Nothing wrong.
    pub const NONE: u32 = 0;
    /// A descriptor points outside guest memory.
    pub const OUTSIDE_MEMORY: u32 = 1;
    /// A chain loops or is longer than its queue allows.
    pub const CHAIN: u32 = 2;
    /// A head or next index is not below the queue size.
    pub const INDEX: u32 = 3;
    /// The available index jumped by more than the queue size.
    pub const AVAIL_JUMP: u32 = 4;
    /// The message header is short, or the stream id is unknown or of the other direction.
    pub const HEADER: u32 = 5;
    /// No room for the status, or the status is not last.
    pub const STATUS: u32 = 6;
    /// The stream was not in a state that takes buffers.
    pub const STATE: u32 = 7;
    /// The same head was made available while in flight.
    pub const DUPLICATE_HEAD: u32 = 8;
    /// Guest memory vanished under us (SIGBUS).
    pub const MEMORY_GONE: u32 = 9;
    /// The message holds no payload.
    pub const EMPTY: u32 = 10;
    /// The guest changed what only the device may write.
    pub const USED_TAMPERED: u32 = 11;
}

/// One guest's device.
#[repr(C)]
pub struct DeviceBlock {
    /// Raised by control after changing any `wanted` field.
    pub cmd_seq: AtomicU32,
    /// The `cmd_seq` the engine has fully applied.
    pub ack_seq: AtomicU32,
    /// Generation of `regions`; raised by control when a new table is complete and its files are kept.
    pub mem_gen: AtomicU32,
    /// The generation the engine has mapped and uses.
    pub engine_mem_gen: AtomicU32,
    /// Valid entries of `regions`.
    pub region_count: AtomicU32,
    /// Streams that exist, by the config: what lies behind them is not looked at, since each is on pages of its own.
    pub stream_count: AtomicU32,
    /// Virtio features the front end acknowledged that concern the rings: bit 28 INDIRECT_DESC, bit 29 EVENT_IDX.
    pub ring_features: AtomicU64,
    /// Guest memory.
    pub regions: [Region; MAX_REGIONS],
    /// The four queues.
    pub queues: [QueueBlock; QUEUES],
    /// The streams, by virtio stream id.
    pub streams: [StreamBlock; MAX_STREAMS],
    /// Control's own restart state.
    pub session: SessionBlock,
}

// SAFETY: repr(C), atomics and arrays of such structures only.
unsafe impl Block for DeviceBlock {
    const NAME: &'static str = "carillon-device";
}

impl DeviceBlock {
    /// Writes what both halves must know of the configuration: which streams exist and which way they flow. Writing the
    /// same configuration again changes nothing; streams beyond [`MAX_STREAMS`] are ignored (the config reader refuses them).
    pub fn configure(&self, config: &DeviceConfig) {
        for (stream, block) in self.streams.iter().enumerate() {
            let way = match config.streams.get(stream).map(|stream| stream.direction) {
                Some(Direction::Playback) => direction::PLAYBACK,
                Some(Direction::Capture) => direction::CAPTURE,
                None => direction::NONE,
            };
            block.direction.store(way, Ordering::Release);
        }
        let count = config.streams.len().min(MAX_STREAMS);
        self.stream_count.store(count as u32, Ordering::Release);
    }
}
