//! One connected sound device: control requests, events and PCM messages.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vhost::VhostBackend;
use vhost::vhost_user::{Frontend, VhostUserFrontend, VhostUserProtocolFeatures};

use super::link::{self, Armed, Deadline, Negotiated};
use super::memory::{DATA, Ram};
use super::proto::{self, CONTROLQ, EVENTQ, PcmInfo, S_OK, code, word, words};
use super::vring::{Seg, Vring};
use super::{FrontendError, Options};

const REQUEST_MAX: usize = 1024;
const RESPONSE_MAX: usize = 16 * 1024;
const CONTROL_SLOTS: usize = 32;
const EVENTS: usize = 16;
/// Time-outs that negotiation and set-up of all rings may take together.
const HANDSHAKES: u32 = 5;
/// What response buffers hold before the device writes them.
pub const FILL: u8 = 0xA5;

/// The answer to a control request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The whole response buffer, `FILL` where the device wrote nothing.
    pub bytes: Vec<u8>,
    /// Used length.
    pub used: u32,
}

impl Reply {
    /// `VIRTIO_SND_S_*`.
    #[must_use]
    pub fn status(&self) -> u32 {
        word(&self.bytes, 0)
    }
}

/// A PCM message's place in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// TXQ or RXQ.
    pub queue: usize,
    /// Stream id in its header.
    pub stream: u32,
    /// Guest address of header (4 bytes) and, 16 bytes on, status (8 bytes).
    pub head: u64,
    /// Guest address of the samples.
    pub data: u64,
    /// Bytes of samples.
    pub len: u32,
}

/// A PCM message that came back.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// Which.
    pub slot: Slot,
    /// Status word.
    pub status: u32,
    /// `latency_bytes`.
    pub latency: u32,
    /// Used length.
    pub used: u32,
    /// When it was seen.
    pub at: Instant,
}

/// A connected device.
pub struct SoundFrontend {
    frontend: Frontend,
    /// The same connection, for bytes that the `vhost` crate would not send.
    pub raw: UnixStream,
    /// Guest memory.
    pub ram: Arc<Ram>,
    /// control, event, tx, rx.
    pub queues: Vec<Vring>,
    /// Negotiation's outcome.
    pub negotiated: Negotiated,
    /// jacks, streams, chmaps, controls.
    pub config: [u32; 4],
    options: Options,
    path: PathBuf,
    control: u64,
    control_next: usize,
    events: HashMap<u16, u64>,
    seen_events: VecDeque<(u32, u32)>,
    messages: HashMap<(usize, u16), Slot>,
    done: Vec<Completion>,
    calls: [AtomicU64; 4],
}

impl SoundFrontend {
    /// Connects, negotiates, sets up all four queues and offers event buffers.
    ///
    /// # Errors
    /// The socket, a protocol message, or guest memory.
    pub fn connect(path: &Path, options: Options) -> Result<Self, FrontendError> {
        let raw = link::dial(path, options.dial, options.timeout)?;
        let mut frontend = Frontend::from_stream(raw.try_clone()?, 4);
        let _deadline = Deadline::on(&raw, HANDSHAKES * options.timeout)?;
        let negotiated = link::negotiate(&mut frontend, &options)?;
        let has = |bit| negotiated.acked & bit != 0;
        let per_queue = usize::from(options.queue_size) * (super::vring::MAX_INDIRECT * 16 + 32) + 16 * 4096;
        let ram = Arc::new(Ram::new(
            4 * per_queue + (1 << 16),
            options.data_bytes,
            options.memory.as_deref(),
        )?);
        let queue = |_| {
            Vring::new(
                ram.clone(),
                options.queue_size,
                has(proto::F_EVENT_IDX),
                has(proto::F_INDIRECT),
            )
        };
        let queues = (0..4).map(queue).collect::<Result<Vec<_>, _>>()?;
        let mut config = [0; 4];
        if negotiated.protocol.contains(VhostUserProtocolFeatures::CONFIG) {
            let len = if has(proto::F_CTLS) { 16 } else { 12 };
            let bytes = link::read_config(&mut frontend, len)?;
            config = std::array::from_fn(|i| word(&bytes, 4 * i));
        }
        link::set_up(&mut frontend, &ram, &queues)?;
        let control = ram
            .alloc(DATA, CONTROL_SLOTS * (REQUEST_MAX + RESPONSE_MAX))
            .ok_or(FrontendError::OutOfMemory)?;
        let mut this = Self {
            frontend,
            raw,
            ram,
            queues,
            negotiated,
            config,
            options,
            path: path.to_owned(),
            control,
            control_next: 0,
            events: HashMap::new(),
            seen_events: VecDeque::new(),
            messages: HashMap::new(),
            done: Vec::new(),
            calls: Default::default(),
        };
        this.offer_events(EVENTS)?;
        Ok(this)
    }

    /// Connects again with the same ring memory; nothing is sent on the control queue (as a stock guest whose front end
    /// reconnects). Chains in flight stay in flight.
    ///
    /// # Errors
    /// The socket or a protocol message.
    pub fn reconnect(&mut self) -> Result<(), FrontendError> {
        self.disconnect();
        self.raw = link::dial(&self.path, self.options.dial, self.options.timeout)?;
        self.frontend = Frontend::from_stream(self.raw.try_clone()?, 4);
        let _deadline = Deadline::on(&self.raw, HANDSHAKES * self.options.timeout)?;
        self.negotiated = link::negotiate(&mut self.frontend, &self.options)?;
        link::set_up(&mut self.frontend, &self.ram, &self.queues)?;
        for queue in &self.queues {
            queue.force_kick();
        }
        Ok(())
    }

    /// The protocol end, for messages of the caller's; one that is not answered in time ends the connection.
    pub fn frontend(&mut self) -> Armed<'_> {
        Armed {
            _deadline: Deadline::on(&self.raw, self.options.timeout).ok(),
            frontend: &mut self.frontend,
        }
    }

    /// Whether the device has closed the connection, now or within 200 ms.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let mut entry = libc::pollfd {
            fd: self.raw.as_raw_fd(),
            events: libc::POLLRDHUP,
            revents: 0,
        };
        // SAFETY: one valid pollfd.
        let ready = unsafe { libc::poll(&raw mut entry, 1, 200) };
        ready > 0 && entry.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
    }

    /// Closes the connection, as seen by the device.
    pub fn disconnect(&mut self) {
        let _already_gone = self.raw.shutdown(std::net::Shutdown::Both);
    }

    /// Stops all rings in order (disable, GET_VRING_BASE), as a front end does at guest reset; the bases.
    ///
    /// # Errors
    /// A message refused, lost or late.
    pub fn stop(&mut self) -> Result<Vec<u32>, FrontendError> {
        let mut bases = Vec::new();
        for index in 0..self.queues.len() {
            self.frontend().set_vring_enable(index, false)?;
            bases.push(self.frontend().get_vring_base(index)?);
        }
        Ok(bases)
    }

    /// Calls (interrupts) of a queue, as far as they were waited for.
    #[must_use]
    pub fn calls(&self, queue: usize) -> u64 {
        self.calls.get(queue).map_or(0, |calls| calls.load(Ordering::Relaxed))
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    fn offer_events(&mut self, count: usize) -> Result<(), FrontendError> {
        for _ in 0..count {
            let gpa = self.ram.alloc(DATA, 8).ok_or(FrontendError::OutOfMemory)?;
            self.offer_event(gpa)?;
        }
        self.queues[EVENTQ].kick();
        Ok(())
    }

    fn offer_event(&mut self, gpa: u64) -> Result<(), FrontendError> {
        let head = self.queues[EVENTQ]
            .submit(&[Seg::wo(gpa, 8)])
            .ok_or(FrontendError::QueueFull(EVENTQ))?;
        self.events.insert(head, gpa);
        Ok(())
    }

    /// Sends a control request and waits for its answer of at most `response` bytes.
    ///
    /// # Errors
    /// Timeout when no answer came in time.
    pub fn control(&mut self, request: &[u8], response: usize) -> Result<Reply, FrontendError> {
        let timeout = self.options.timeout;
        self.control_within(request, response, timeout)
    }

    /// As `control`, with its own time-out.
    ///
    /// # Errors
    /// As `control`.
    pub fn control_within(
        &mut self,
        request: &[u8],
        response: usize,
        timeout: Duration,
    ) -> Result<Reply, FrontendError> {
        let (head, at, response) = self.control_post(request, response)?;
        let end = Instant::now() + timeout;
        loop {
            while let Some((id, used)) = self.queues[CONTROLQ].pop_used() {
                if id == head {
                    return Ok(Reply {
                        bytes: self.ram.read(at, response),
                        used,
                    });
                }
            }
            if Instant::now() >= end {
                return Err(FrontendError::Timeout {
                    what: format!("request {:#x}", word(request, 0)),
                    waited: timeout,
                });
            }
            self.pause(CONTROLQ, end);
        }
    }

    /// Makes a control request available and kicks; head, response address and response length.
    fn control_post(&mut self, request: &[u8], response: usize) -> Result<(u16, u64, usize), FrontendError> {
        let slot = (self.control_next % CONTROL_SLOTS) as u64;
        self.control_next += 1;
        let at = self.control + slot * (REQUEST_MAX + RESPONSE_MAX) as u64;
        let out = at + REQUEST_MAX as u64;
        let request = &request[..request.len().min(REQUEST_MAX)];
        let response = response.min(RESPONSE_MAX);
        self.ram.write(at, request);
        self.ram.write(out, &vec![FILL; response]);
        let mut segs = Vec::new();
        if !request.is_empty() {
            segs.push(Seg::ro(at, request.len() as u32));
        }
        if response > 0 {
            segs.push(Seg::wo(out, response as u32));
        }
        let head = self.queues[CONTROLQ]
            .submit(&segs)
            .ok_or(FrontendError::QueueFull(CONTROLQ))?;
        self.queues[CONTROLQ].kick();
        Ok((head, out, response))
    }

    /// Sleeps until the device calls on `queue`, or a moment when polling; never beyond `end`.
    pub fn pause(&self, queue: usize, end: Instant) {
        let left = end.saturating_duration_since(Instant::now());
        if !self.options.eventfd {
            std::thread::sleep(left.min(Duration::from_micros(100)));
            return;
        }
        let call = &self.queues[queue].call;
        let mut entry = libc::pollfd {
            fd: call.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // Never for long: a device may write its used ring and not call, which other checks judge.
        let wait = left.min(Duration::from_millis(20)).as_millis().max(1) as i32;
        // SAFETY: one valid pollfd.
        if unsafe { libc::poll(&raw mut entry, 1, wait) } > 0 {
            self.calls[queue].fetch_add(call.read().unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// A stream's simple request (PREPARE, RELEASE, START, STOP); its status.
    ///
    /// # Errors
    /// As `control`.
    pub fn stream(&mut self, code: u32, stream: u32) -> Result<u32, FrontendError> {
        Ok(self.control(&words(&[code, stream]), 4)?.status())
    }

    /// SET_PARAMS; its status.
    ///
    /// # Errors
    /// As `control`.
    pub fn set_params(&mut self, stream: u32, params: &proto::Params) -> Result<u32, FrontendError> {
        Ok(self.control(&params.request(stream), 4)?.status())
    }

    /// An INFO request with a stride of `size` bytes.
    ///
    /// # Errors
    /// As `control`.
    pub fn info(&mut self, code: u32, start: u32, count: u32, size: u32) -> Result<Reply, FrontendError> {
        self.control(&words(&[code, start, count, size]), 4 + (count * size) as usize)
    }

    /// What all streams offer.
    ///
    /// # Errors
    /// As `control`; Refused if the device gives no OK.
    pub fn pcm_info(&mut self) -> Result<Vec<PcmInfo>, FrontendError> {
        let reply = self.info(code::PCM_INFO, 0, self.config[1], 32)?;
        if reply.status() != S_OK {
            return Err(FrontendError::Refused {
                what: "PCM_INFO".into(),
                status: reply.status(),
            });
        }
        Ok(reply.bytes[4..].chunks(32).map(PcmInfo::parse).collect())
    }

    /// Events seen so far: (code, data); hands their buffers back.
    pub fn events(&mut self) -> Vec<(u32, u32)> {
        let mut returned = Vec::new();
        while let Some((head, _)) = self.queues[EVENTQ].pop_used() {
            if let Some(gpa) = self.events.remove(&head) {
                let bytes = self.ram.read(gpa, 8);
                self.seen_events.push_back((word(&bytes, 0), word(&bytes, 4)));
                returned.push(gpa);
            }
        }
        for gpa in &returned {
            let _full = self.offer_event(*gpa);
        }
        if !returned.is_empty() {
            self.queues[EVENTQ].kick();
        }
        self.seen_events.drain(..).collect()
    }

    /// Room for `count` messages of `len` bytes.
    ///
    /// # Errors
    /// OutOfMemory.
    pub fn slots(&self, queue: usize, stream: u32, len: u32, count: usize) -> Result<Vec<Slot>, FrontendError> {
        let slot = || {
            let head = self.ram.alloc(DATA, 32)?;
            let data = self.ram.alloc(DATA, len.max(1) as usize)?;
            Some(Slot {
                queue,
                stream,
                head,
                data,
                len,
            })
        };
        (0..count).map(|_| slot().ok_or(FrontendError::OutOfMemory)).collect()
    }

    /// Makes a PCM message available as the stock driver does: header, one descriptor a page, status. No kick.
    ///
    /// # Errors
    /// QueueFull.
    pub fn post(&mut self, slot: Slot) -> Result<(), FrontendError> {
        self.ram.write(slot.head, &slot.stream.to_le_bytes());
        self.ram.write(slot.head + 16, &[FILL; 8]);
        let write = slot.queue == proto::RXQ;
        let mut segs = vec![Seg::ro(slot.head, 4)];
        let mut at = 0;
        while at < slot.len {
            let here = (4096 - ((slot.data + u64::from(at)) % 4096) as u32).min(slot.len - at);
            segs.push(Seg {
                gpa: slot.data + u64::from(at),
                len: here,
                write,
            });
            at += here;
        }
        segs.push(Seg::wo(slot.head + 16, 8));
        let head = self.queues[slot.queue]
            .submit(&segs)
            .ok_or(FrontendError::QueueFull(slot.queue))?;
        self.messages.insert((slot.queue, head), slot);
        Ok(())
    }

    /// Kicks a queue if the device wants it.
    pub fn kick(&mut self, queue: usize) {
        self.queues[queue].kick();
    }

    /// PCM messages that came back on `queue` for `stream` since last asked; those of other streams are kept for them.
    pub fn completions(&mut self, queue: usize, stream: u32) -> Vec<Completion> {
        while let Some((head, used)) = self.queues[queue].pop_used() {
            if let Some(slot) = self.messages.remove(&(queue, head)) {
                let status = self.ram.read(slot.head + 16, 8);
                let (status, latency) = (word(&status, 0), word(&status, 4));
                self.done.push(Completion {
                    slot,
                    status,
                    latency,
                    used,
                    at: Instant::now(),
                });
            }
        }
        let mine = |c: &Completion| c.slot.queue == queue && c.slot.stream == stream;
        let (out, rest) = std::mem::take(&mut self.done).into_iter().partition(mine);
        self.done = rest;
        out
    }

    /// Completions, waiting until `count` came or `timeout` passed.
    pub fn wait_completions(&mut self, queue: usize, stream: u32, count: usize, timeout: Duration) -> Vec<Completion> {
        let end = Instant::now() + timeout;
        let mut all = Vec::new();
        loop {
            all.extend(self.completions(queue, stream));
            if all.len() >= count || Instant::now() >= end {
                return all;
            }
            self.pause(queue, end);
        }
    }
}
