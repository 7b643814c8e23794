//! The reference device: queues, clock, messages of streams.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vhost::vhost_user::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackend, VringRwLock, VringT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

use super::stream::{Done, Pending, State, Stream};
use super::{Mutation, control};
use crate::frontend::proto::{
    CONTROLQ, EVENTQ, F_CTLS, F_EVENT_IDX, F_INDIRECT, F_VERSION_1, RXQ, S_BAD_MSG, S_IO_ERR, S_OK, TXQ, code, word,
    words,
};

/// Event id of the clock.
pub const TICK: u64 = 5;
const TICK_NS: i64 = 2_000_000;

/// A popped chain.
pub struct Chain {
    head: u16,
    readable: Vec<(u64, u32)>,
    writable: Vec<(u64, u32)>,
}

fn total(segs: &[(u64, u32)]) -> u64 {
    segs.iter().map(|s| u64::from(s.1)).sum()
}

impl Chain {
    /// Bytes of samples: without the 4-byte header, or without the 8-byte status.
    pub fn payload(&self, input: bool) -> u64 {
        if input {
            total(&self.writable).saturating_sub(8)
        } else {
            total(&self.readable).saturating_sub(4)
        }
    }
}

/// All that a connection changes.
#[derive(Default)]
pub struct Inner {
    /// Output, input.
    pub streams: [Stream; 2],
    /// Configuration space: jacks, streams, chmaps, controls.
    pub config: [u32; 4],
    /// Values of the two control elements.
    pub values: [u32; 2],
    /// Events to send: code, data.
    pub events: Vec<(u32, u32)>,
    event_idx: bool,
    deaf: bool,
    late: Vec<(Instant, usize, Done)>,
}

/// The device.
pub struct Device {
    mutation: Mutation,
    left_running: Arc<AtomicBool>,
    inner: Mutex<Inner>,
    memory: Mutex<Option<GuestMemoryAtomic<GuestMemoryMmap>>>,
    timer: OwnedFd,
    exit: (EventConsumer, EventNotifier),
}

impl Device {
    /// A device as after reset.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new(mutation: Mutation, left_running: Arc<AtomicBool>) -> io::Result<Self> {
        let mut inner = Inner {
            config: [1, 2, 2, 2],
            values: [10, 1],
            ..Inner::default()
        };
        inner.streams[1].input = true;
        if mutation.breaks(31) && left_running.load(Ordering::Acquire) {
            inner.streams[0].state = State::Running;
        }
        let exit = new_event_consumer_and_notifier(EventFlag::NONBLOCK)?;
        Ok(Self {
            mutation,
            left_running,
            inner: Mutex::new(inner),
            memory: Mutex::new(None),
            timer: ticker()?,
            exit,
        })
    }

    /// The clock's descriptor.
    #[must_use]
    pub fn timer(&self) -> RawFd {
        self.timer.as_raw_fd()
    }

    /// Ends the queue thread, when the connection has ended; notes whether it left the first stream running.
    ///
    /// # Errors
    /// What the write to its descriptor said.
    pub fn end(&self) -> io::Result<()> {
        let running = self.lock().streams[0].state == State::Running;
        self.left_running.store(running, Ordering::Release);
        self.exit.1.notify()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guest(&self) -> Option<GuestMemoryAtomic<GuestMemoryMmap>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pop(&self, vring: &VringRwLock) -> Option<Chain> {
        let memory = self.guest()?;
        let mut state = vring.get_mut();
        let chain = virtio_queue::QueueT::pop_descriptor_chain(state.get_queue_mut(), memory.memory())?;
        let mut out = Chain {
            head: chain.head_index(),
            readable: Vec::new(),
            writable: Vec::new(),
        };
        for desc in chain {
            let side = if desc.is_write_only() {
                &mut out.writable
            } else {
                &mut out.readable
            };
            side.push((desc.addr().0, desc.len()));
        }
        Some(out)
    }

    fn read(&self, segs: &[(u64, u32)], most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(memory) = self.guest() else { return out };
        for (gpa, len) in segs {
            let mut part = vec![0; (*len as usize).min(most - out.len())];
            if memory.memory().read_slice(&mut part, GuestAddress(*gpa)).is_err() {
                break;
            }
            out.append(&mut part);
        }
        out
    }

    /// Writes from `skip` bytes into the writable part; the bytes that fitted.
    fn write(&self, segs: &[(u64, u32)], mut skip: u64, mut bytes: &[u8]) -> u32 {
        let Some(memory) = self.guest() else { return 0 };
        let mut written = 0;
        for (gpa, len) in segs {
            let here = u64::from(*len).saturating_sub(skip).min(bytes.len() as u64) as usize;
            if here > 0
                && memory
                    .memory()
                    .write_slice(&bytes[..here], GuestAddress(gpa + skip))
                    .is_err()
            {
                break;
            }
            skip = skip.saturating_sub(u64::from(*len));
            bytes = &bytes[here..];
            written += here as u32;
        }
        written
    }

    fn give_back(vring: &VringRwLock, head: u16, used: u32) {
        let _bad_head = vring.add_used(head, used);
        let _no_call = vring.signal_used_queue();
    }

    fn finish(&self, vring: &VringRwLock, done: Done, params_latency: u32) {
        let status = words(&[done.status, params_latency]);
        let room = total(&done.chain.writable);
        let (at, recorded) = (room.saturating_sub(8), u64::from(done.recorded.unwrap_or(0)));
        let samples = recorded.min(if done.chain.readable.len() > 1 { 0 } else { at });
        self.write(&done.chain.writable, 0, &vec![0; samples as usize]);
        let wrote = self.write(&done.chain.writable, at, &status);
        let used = if done.recorded.is_none() {
            0
        } else {
            samples as u32 + wrote
        };
        Self::give_back(vring, done.chain.head, used);
    }

    fn control(&self, inner: &mut Inner, vrings: &[VringRwLock]) {
        while let Some(chain) = self.pop(&vrings[CONTROLQ]) {
            let loops = chain.readable.len() + chain.writable.len() >= 32;
            if self.mutation.breaks(30) && loops {
                inner.deaf = true;
                return;
            }
            let request = self.read(&chain.readable, 1024);
            let room = total(&chain.writable).min(16 * 1024) as usize;
            let answer = match (word(&request, 0), request.len()) {
                (_, ..4) => words(&[if self.mutation.breaks(18) {
                    crate::frontend::proto::S_NOT_SUPP
                } else {
                    S_BAD_MSG
                }]),
                (code::RELEASE, 8..) => self.release(inner, &request, vrings),
                _ => control::answer(inner, &request, room, self.mutation),
            };
            let used = self.write(&chain.writable, 0, &answer);
            Self::give_back(&vrings[CONTROLQ], chain.head, used);
        }
    }

    fn release(&self, inner: &mut Inner, request: &[u8], vrings: &[VringRwLock]) -> Vec<u8> {
        self.messages(inner, vrings, TXQ);
        self.messages(inner, vrings, RXQ);
        let id = word(request, 4) as usize;
        let Some(stream) = inner.streams.get_mut(id) else {
            return words(&[S_BAD_MSG]);
        };
        let was = stream.state;
        let status = stream.request(code::RELEASE, self.mutation);
        if status != S_OK {
            return words(&[status]);
        }
        let queue = if stream.input { RXQ } else { TXQ };
        for done in stream.flush(was, self.mutation) {
            if self.mutation.breaks(7) {
                inner
                    .late
                    .push((Instant::now() + Duration::from_millis(100), queue, done));
            } else {
                self.finish(&vrings[queue], done, 0);
            }
        }
        words(&[S_OK])
    }

    /// Sorts what is in the available ring to its stream, or back with an error.
    fn messages(&self, inner: &mut Inner, vrings: &[VringRwLock], queue: usize) {
        while let Some(chain) = self.pop(&vrings[queue]) {
            if self.mutation.breaks(32) && chain.writable.is_empty() {
                continue;
            }
            let header = self.read(&chain.readable, 4);
            let stream = inner
                .streams
                .get_mut(word(&header, 0) as usize)
                .filter(|s| s.input == (queue == RXQ));
            let live = |s: &Stream| !matches!(s.state, State::New | State::Set | State::Released);
            match stream.filter(|s| live(s) && header.len() == 4 && total(&chain.writable) >= 8) {
                Some(stream) => stream.pending.push_back(Pending {
                    chain,
                    since: Instant::now(),
                }),
                None => {
                    let status = if self.mutation.breaks(24) { S_BAD_MSG } else { S_IO_ERR };
                    self.finish(
                        &vrings[queue],
                        Done {
                            chain,
                            status,
                            recorded: Some(0),
                        },
                        0,
                    );
                }
            }
        }
    }

    fn tick(&self, inner: &mut Inner, vrings: &[VringRwLock]) {
        let now = Instant::now();
        if !self.mutation.breaks(28) {
            self.messages(inner, vrings, TXQ);
            self.messages(inner, vrings, RXQ);
        }
        for (id, queue) in [(0, TXQ), (1, RXQ)] {
            let stream = &mut inner.streams[id];
            let done = stream.tick(now, self.mutation);
            let told = stream.params.map_or(0, |p| {
                if self.mutation.breaks(25) {
                    p.hz() * p.frame_bytes()
                } else {
                    0
                }
            });
            let asked = stream.params.is_some_and(|p| p.features & control::F_EVT_XRUNS != 0);
            if std::mem::take(&mut stream.xrun) && asked && !self.mutation.breaks(27) {
                inner.events.push((code::EVT_XRUN, id as u32));
            }
            for done in done {
                self.finish(&vrings[queue], done, told);
            }
        }
        let (due, rest) = std::mem::take(&mut inner.late)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        inner.late = rest;
        let due: Vec<(Instant, usize, Done)> = due;
        for (_, queue, done) in due {
            self.finish(&vrings[queue], done, 0);
        }
    }

    fn events(&self, inner: &mut Inner, vrings: &[VringRwLock]) {
        while !inner.events.is_empty() {
            let Some(chain) = self.pop(&vrings[EVENTQ]) else { return };
            let (code, data) = inner.events.remove(0);
            let used = self.write(&chain.writable, 0, &words(&[code, data]));
            Self::give_back(&vrings[EVENTQ], chain.head, used);
        }
    }
}

fn ticker() -> io::Result<OwnedFd> {
    // SAFETY: plain system call; the result is checked.
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nothing else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let every = libc::timespec {
        tv_sec: 0,
        tv_nsec: TICK_NS,
    };
    let spec = libc::itimerspec {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: a timerfd and a valid itimerspec.
    if unsafe { libc::timerfd_settime(fd.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}

impl VhostUserBackend for Device {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        4
    }

    fn max_queue_size(&self) -> usize {
        256
    }

    fn features(&self) -> u64 {
        F_CTLS | F_INDIRECT | F_EVENT_IDX | F_VERSION_1 | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::MQ | VhostUserProtocolFeatures::CONFIG
    }

    fn set_event_idx(&self, enabled: bool) {
        self.lock().event_idx = enabled;
    }

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let bytes = words(&self.lock().config);
        bytes
            .get(offset as usize..(offset + size) as usize)
            .map_or_else(Vec::new, <[u8]>::to_vec)
    }

    fn set_config(&self, _offset: u32, bytes: &[u8]) -> io::Result<()> {
        if self.mutation.breaks(29) {
            self.lock().config[0] = word(bytes, 0);
        }
        Ok(())
    }

    fn update_memory(&self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
        Ok(())
    }

    fn exit_event(&self, _thread: usize) -> Option<(EventConsumer, EventNotifier)> {
        Some((self.exit.0.try_clone().ok()?, self.exit.1.try_clone().ok()?))
    }

    fn handle_event(&self, event: u16, _set: EventSet, vrings: &[VringRwLock], _thread: usize) -> io::Result<()> {
        let mut inner = self.lock();
        if u64::from(event) == TICK {
            let mut expirations = [0u8; 8];
            // SAFETY: reads at most 8 bytes into a buffer of 8.
            unsafe { libc::read(self.timer(), expirations.as_mut_ptr().cast(), 8) };
        }
        if inner.deaf {
            return Ok(());
        }
        match usize::from(event) {
            CONTROLQ => self.control(&mut inner, vrings),
            EVENTQ if self.mutation.breaks(33) && inner.event_idx => {
                // The peer's loop never ends; this one does, so that the test does.
                drop(inner);
                std::thread::sleep(Duration::from_millis(1500));
                return Ok(());
            }
            TXQ | RXQ => self.messages(&mut inner, vrings, usize::from(event)),
            _ => self.tick(&mut inner, vrings),
        }
        self.events(&mut inner, vrings);
        for vring in vrings {
            let _more_comes_with_the_tick = vring.enable_notification();
        }
        Ok(())
    }
}
