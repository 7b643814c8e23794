//! The control thread: what `audiod control` and its supervisor do, for as many guests as there are.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use vhost_sound::device::{Interest, Output, Session, Slot, Token};
use vhost_sound::memory::{Call, GuestMemory};

use super::engine::Order;
use super::{Command, Common, Guard};

type Kept = BTreeMap<Slot, OwnedFd>;

struct Control<'a> {
    common: &'a Common,
    engine: &'a Sender<Order>,
    guard: Guard,
    sessions: Vec<Session>,
    kept: Vec<Kept>,
    began: Instant,
}

/// Longest sleep. Long, so that a session that forgets to ask for a poll is seen to be late.
const NAP_MS: u64 = 1000;

pub(super) fn run(common: &Common, inbox: &Receiver<Command>, engine: &Sender<Order>, guard: Guard) {
    let mut control = Control {
        common,
        engine,
        guard,
        sessions: Vec::new(),
        kept: common.devices.iter().map(|_| Kept::new()).collect(),
        began: Instant::now(),
    };
    for (guest, device) in common.devices.iter().enumerate() {
        let listener = common.listeners[guest].try_clone().ok().map(OwnedFd::from);
        let block = common.blocks[guest].clone();
        let way = common.ways.get(guest).cloned().unwrap_or_default();
        control
            .sessions
            .push(Session::new(device.clone(), block, listener).by(way));
    }
    while !common.stop.load(Ordering::Acquire) {
        control.turn();
        while let Ok(command) = inbox.try_recv() {
            control.command(command);
        }
    }
}

impl Control<'_> {
    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn turn(&mut self) {
        let mut who = Vec::new();
        let mut entries = vec![entry(self.common.wake.as_raw_fd(), libc::POLLIN)];
        for (guest, session) in self.sessions.iter().enumerate() {
            for (token, fd, interest) in session.fds() {
                let readable = interest == Interest::Readable;
                let events = if readable { libc::POLLIN } else { libc::POLLRDHUP };
                entries.push(entry(fd.as_raw_fd(), events));
                who.push((guest, token));
            }
        }
        let wait = self
            .sessions
            .iter()
            .filter_map(Session::next_poll)
            .min()
            .unwrap_or(NAP_MS);
        // SAFETY: valid pollfds.
        unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, wait as i32) };
        if entries[0].revents != 0 {
            let _count = self.common.wake.read();
        }
        for (entry, (guest, token)) in entries[1..].iter().zip(who) {
            if entry.revents != 0 {
                let accepts = token == Token::Listener;
                self.call(guest, accepts, |session, _, out| session.on_ready(token, out));
            }
        }
        let news = self.common.news.swap(false, Ordering::AcqRel);
        for guest in 0..self.sessions.len() {
            if news || self.sessions[guest].next_poll().is_some() {
                self.common.polls.fetch_add(1, Ordering::AcqRel);
                self.call(guest, false, Session::poll);
            }
        }
    }

    fn call(&mut self, guest: usize, accepts: bool, mut what: impl FnMut(&mut Session, u64, &mut Vec<Output>)) {
        let (now, mut out) = (self.now(), Vec::new());
        let session = &mut self.sessions[guest];
        if (self.guard)(accepts, &mut || what(session, now, &mut out)) {
            out.into_iter().for_each(|output| self.carry_out(guest, output));
        } else {
            // What it wanted to say died with it.
            self.common.killed.fetch_add(1, Ordering::AcqRel);
            self.replace(guest);
        }
    }

    fn replace(&mut self, guest: usize) {
        let listener = self.common.listeners[guest].try_clone().ok().map(OwnedFd::from);
        let dup = |(slot, fd): (&Slot, &OwnedFd)| Some((*slot, fd.try_clone().ok()?));
        let kept: Vec<_> = self.kept[guest].iter().filter_map(dup).collect();
        let (device, block) = (self.common.devices[guest].clone(), self.common.blocks[guest].clone());
        let way = self.common.ways.get(guest).cloned().unwrap_or_default();
        self.sessions[guest] = Session::restore(device, block, listener, kept).by(way);
    }

    fn carry_out(&mut self, guest: usize, output: Output) {
        match output {
            Output::Keep { slot, fd } => {
                self.kept[guest].insert(slot, fd);
                self.tell_call(guest, slot);
            }
            Output::Drop { slot } => {
                self.kept[guest].remove(&slot);
                self.tell_call(guest, slot);
            }
            Output::Memory { .. } => self.tell_memory(guest),
            Output::Stream { stream, what } => self.common.seen(guest).changes.push((stream, what)),
            Output::User {
                stream,
                gain_db10,
                mute,
            } => self.common.seen(guest).user.push((stream, gain_db10, mute)),
            Output::Connected => {}
            Output::Closed { reason } => self.common.seen(guest).closed.push(reason),
            Output::Log { text, .. } => self.common.seen(guest).log.push(text),
        }
    }

    fn tell_call(&self, guest: usize, slot: Slot) {
        if let Slot::Call(queue) = slot {
            let fd = self.kept[guest].get(&slot).and_then(|fd| fd.try_clone().ok());
            let call = fd.and_then(|fd| Call::take(fd).ok());
            let _stopping = self.engine.send(Order::Call(guest, queue, call));
        }
    }

    fn tell_memory(&self, guest: usize) {
        let block = &self.common.blocks[guest];
        let regions = self.kept[guest]
            .iter()
            .filter(|(slot, _)| matches!(slot, Slot::Region(_)));
        let count = block.region_count.load(Ordering::Acquire) as usize;
        let files: Vec<OwnedFd> = regions
            .take(count)
            .filter_map(|(_, fd)| fd.as_fd().try_clone_to_owned().ok())
            .collect();
        let generation = block.mem_gen.load(Ordering::Acquire);
        let memory = GuestMemory::map_block(block, &files).unwrap_or_else(|_| GuestMemory::empty(generation));
        let _stopping = self.engine.send(Order::Memory(guest, memory));
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Stop => {}
            Command::UserGain(guest, stream, gain, mute) => self.sessions[guest].set_user_gain(stream, gain, mute),
            Command::Jack(guest, jack, connected) => self.sessions[guest].set_jack(jack, connected),
            Command::ReplaceControl => (0..self.sessions.len()).for_each(|guest| self.replace(guest)),
            Command::ReplaceEngine => {
                let _stopping = self.engine.send(Order::Replace);
                for guest in 0..self.sessions.len() {
                    self.tell_memory(guest);
                    let calls: Vec<Slot> = self.kept[guest].keys().copied().collect();
                    calls.into_iter().for_each(|slot| self.tell_call(guest, slot));
                }
            }
        }
    }
}

fn entry(fd: i32, events: i16) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}
