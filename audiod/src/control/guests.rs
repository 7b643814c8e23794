//! All guests' sessions: what they want kept goes to the supervisor at once, what they say becomes [`News`].

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use policy::Event;
use vhost_sound::block::{DeviceBlock, QUEUES};
use vhost_sound::config::Direction;
use vhost_sound::device::{Interest, Level, Output, Session, Slot, StreamChange, Token};
use vhost_sound::link::{Way, Window};
use vhost_sound::shared::Shared;

use super::monitor::{Happening, Names};
use crate::given::Given;
use crate::supervisor::wire::{Link, Record, Thing};
use crate::system::{GuestConfig, System};

/// HDA pin capabilities (7.3.4.9): sound comes out of it.
const OUT_CAPABLE: u32 = 1 << 4;

/// What a guest did.
#[derive(Debug)]
pub enum News {
    /// For the policy.
    Event(Event),
    /// For whoever watches.
    Happening(Happening),
}

/// One guest.
pub struct Guest {
    /// Its name.
    pub name: String,
    /// Its device's block.
    pub block: Arc<Shared<DeviceBlock>>,
    /// Log lines at warning level since it connected: broken rules, refused requests.
    pub violations: u64,
    session: Session,
    /// Its device was new when this process took it.
    fresh: bool,
    /// The policy's source of each stream.
    sources: Vec<Option<usize>>,
    xruns: Vec<u32>,
    due: Option<u64>,
}

/// See the module.
pub struct Guests {
    /// By index of `System::guests`.
    pub all: Vec<Guest>,
    link: Link,
    changes: u64,
}

/// Where an entry of the poll list leads.
pub type Entry = (usize, Token);

impl Guests {
    /// New sessions for fresh blocks; for all others the successors of whoever served them.
    ///
    /// # Errors
    /// When a block was not handed over.
    pub fn new(system: &System, given: Given) -> io::Result<Self> {
        let Given { link, mut things, .. } = given;
        let mut all = Vec::new();
        for (index, config) in system.guests.iter().enumerate() {
            let number = index as u32;
            let fd = things.remove(&Thing::Device(number)).ok_or(io::ErrorKind::NotFound)?;
            let block = Arc::new(Shared::<DeviceBlock>::map(fd)?);
            let listener = things.remove(&Thing::Listener(number));
            let way = way_of(&mut things, number, config);
            let kept = kept_of(&mut things, number);
            let fresh = kept.is_empty() && block.session.connection_gen.load(Acquire) == 0;
            let session = if fresh {
                Session::new(config.device.clone(), Arc::clone(&block), listener)
            } else {
                Session::restore(config.device.clone(), Arc::clone(&block), listener, kept)
            };
            let session = session.by(way);
            let streams = 0..config.device.streams.len();
            let source_of = |stream| {
                let mut sources = system.sources.iter();
                sources.position(|source| source.guest == index && source.stream == stream)
            };
            all.push(Guest {
                name: config.name.clone(),
                violations: 0,
                session,
                fresh,
                sources: streams.clone().map(source_of).collect(),
                xruns: streams
                    .map(|stream| block.streams[stream].xruns.load(Relaxed))
                    .collect(),
                block,
                due: Some(0),
            });
        }
        Ok(Self { all, link, changes: 0 })
    }

    #[cfg(test)]
    pub(super) fn none() -> Self {
        let (link, _) = Link::pair().expect("a socket pair");
        Self {
            all: Vec::new(),
            link,
            changes: 0,
        }
    }

    /// Everything to wait for now: whose, descriptor, epoll events.
    pub fn entries(&self) -> Vec<(Entry, RawFd, u32)> {
        let of = |(index, guest): (usize, &Guest)| {
            let fds = guest.session.fds().into_iter();
            let entry = fds.map(|(token, fd, interest)| {
                let events = match interest {
                    Interest::Readable => libc::EPOLLIN,
                    Interest::Hangup => libc::EPOLLRDHUP,
                };
                ((index, token), fd.as_fd().as_raw_fd(), events.cast_unsigned())
            });
            entry.collect::<Vec<_>>()
        };
        self.all.iter().enumerate().flat_map(of).collect()
    }

    /// How often descriptors came or went: one that has the number of one before it may be another.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The earliest time at which a session wants to be called, `now_ms` or later.
    pub fn due(&self) -> Option<u64> {
        self.all.iter().filter_map(|guest| guest.due).min()
    }

    /// A descriptor is ready.
    pub fn ready(&mut self, (index, token): Entry, news: &mut Vec<News>) {
        let mut outputs = Vec::new();
        if let Some(guest) = self.all.get_mut(index) {
            guest.session.on_ready(token, &mut outputs);
            guest.due = Some(0);
        }
        self.carry_out(index, outputs, news);
    }

    /// Calls every session whose time has come.
    pub fn tick(&mut self, now_ms: u64, news: &mut Vec<News>) {
        for index in 0..self.all.len() {
            let guest = &mut self.all[index];
            if guest.due.is_none_or(|due| due > now_ms) {
                continue;
            }
            let mut outputs = Vec::new();
            guest.session.poll(now_ms, &mut outputs);
            guest.due = guest.session.next_poll().map(|wait| now_ms + wait);
            guest.count_xruns(news);
            self.carry_out(index, outputs, news);
        }
    }

    /// An engine counted something: every session is called in this turn.
    pub fn look_at_all(&mut self) {
        self.all.iter_mut().for_each(|guest| guest.due = Some(0));
    }

    /// The policy's word on a source's wanted gain.
    pub fn set_user_gain(&mut self, source: usize, gain: policy::Db10, mute: bool) {
        for guest in &mut self.all {
            if let Some(stream) = guest.sources.iter().position(|one| *one == Some(source)) {
                guest.session.set_user_gain(stream, gain, mute);
                guest.due = Some(0);
            }
        }
    }

    /// Jacks that sound comes out of are plugged while any of their node's streams `could_be_heard`; those of inputs, of nodes that
    /// play nothing, and those the file says are unplugged, are as the file says.
    pub fn show_jacks(&mut self, system: &System, could_be_heard: impl Fn(usize) -> bool) {
        for (guest, config) in self.all.iter_mut().zip(&system.guests) {
            let jacks = config.device.jacks.iter().enumerate();
            for (index, jack) in jacks.filter(|(_, it)| it.connected && it.caps & OUT_CAPABLE != 0) {
                let plays = |stream: &usize| {
                    let stream = &config.device.streams[*stream];
                    stream.nid == jack.nid && stream.direction == Direction::Playback
                };
                let streams = (0..guest.sources.len()).filter(plays);
                let sources: Vec<usize> = streams.filter_map(|stream| guest.sources[stream]).collect();
                if !sources.is_empty() {
                    guest.session.set_jack(index, sources.into_iter().any(&could_be_heard));
                    guest.due = Some(0);
                }
            }
        }
    }

    /// Whether this source's device remembers nothing from before this process.
    pub fn is_fresh(&self, source: usize) -> bool {
        let mut all = self.all.iter().filter(|guest| guest.fresh);
        all.any(|guest| guest.sources.contains(&Some(source)))
    }

    /// Has the supervisor keep the text of a reload for our successor.
    ///
    /// # Errors
    /// When the supervisor takes no records.
    pub fn keep_text(&self, text: &OwnedFd) -> io::Result<()> {
        self.link.send(Record::Have(Thing::Text), Some(text.as_fd()))
    }

    /// Sources of a guest.
    pub fn sources(&self, guest: usize) -> impl Iterator<Item = usize> + '_ {
        self.all
            .get(guest)
            .into_iter()
            .flat_map(|guest| guest.sources.iter().flatten().copied())
    }

    fn carry_out(&mut self, index: usize, outputs: Vec<Output>, news: &mut Vec<News>) {
        for output in outputs {
            if matches!(
                output,
                Output::Keep { .. } | Output::Drop { .. } | Output::Connected | Output::Closed { .. }
            ) {
                self.changes += 1;
            }
            match output {
                Output::Keep { slot, fd } => self.tell(Record::Have(thing(index, slot)), Some(&fd)),
                Output::Drop { slot } => self.tell(Record::Drop(thing(index, slot)), None),
                Output::Memory { generation } => self.tell(Record::Memory(index as u32, generation), None),
                Output::Connected => self.came(index, news),
                Output::Closed { reason } => self.went(index, &reason, news),
                Output::Stream { stream, what } => self.all[index].stream_changed(stream, what, news),
                Output::User {
                    stream,
                    gain_db10,
                    mute,
                } => news.extend(self.all[index].source(stream).map(|source| {
                    let gain = gain_db10;
                    News::Event(Event::UserGain { source, gain, mute })
                })),
                Output::Log { level, text } => self.all[index].log(level, text, news),
            }
        }
    }

    /// The supervisor's death is ours; there is nobody else to tell.
    fn tell(&self, record: Record, fd: Option<&OwnedFd>) {
        if let Err(error) = self.link.send(record, fd.map(AsFd::as_fd)) {
            tracing::error!("the supervisor takes no records: {error}");
        }
    }

    /// Set-up is done.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn report_up(&self) -> io::Result<()> {
        self.link.send(Record::Up, None)
    }

    fn came(&mut self, index: usize, news: &mut Vec<News>) {
        let guest = &mut self.all[index];
        guest.violations = 0;
        tracing::info!(guest = guest.name, "connected");
        news.push(News::Happening(
            Happening::new("guest-connected").with("guest", &*guest.name),
        ));
        self.available(index, true, news);
    }

    fn went(&mut self, index: usize, reason: &str, news: &mut Vec<News>) {
        let guest = &self.all[index];
        tracing::info!(guest = guest.name, "connection closed: {reason}");
        let happening = Happening::new("guest-closed")
            .with("guest", &*guest.name)
            .with("reason", reason);
        news.push(News::Happening(happening));
        self.available(index, false, news);
    }

    fn available(&self, index: usize, available: bool, news: &mut Vec<News>) {
        let event = |source| News::Event(Event::Available { source, available });
        news.extend(self.sources(index).map(event));
    }

    /// What the blocks say of who is connected: for a policy that has just started.
    pub fn who_is_there(&self, news: &mut Vec<News>) {
        for (index, guest) in self.all.iter().enumerate() {
            let connected = guest.block.session.connected.load(Acquire) == 1;
            self.available(index, connected, news);
        }
    }
}

impl Guest {
    /// What is to be said of its memory now, one text a finding.
    pub fn memory_warnings(&self) -> Vec<String> {
        let warnings = self.session.memory_warnings().iter();
        warnings.map(ToString::to_string).collect()
    }

    fn source(&self, stream: usize) -> Option<usize> {
        self.sources.get(stream).copied().flatten()
    }

    fn stream_changed(&mut self, stream: usize, what: StreamChange, news: &mut Vec<News>) {
        let Some(source) = self.source(stream) else { return };
        let event = match what {
            StreamChange::Started { start_gen } => Event::StreamStarted { source, start_gen },
            StreamChange::Stopped => Event::StreamStopped { source },
            StreamChange::Released => Event::StreamReleased { source },
            StreamChange::Params | StreamChange::Prepared => {
                tracing::debug!(guest = self.name, stream, "{what:?}");
                return;
            }
        };
        news.push(News::Event(event));
    }

    fn log(&mut self, level: Level, text: String, news: &mut Vec<News>) {
        match level {
            Level::Warn => {
                tracing::warn!(guest = self.name, "{text}");
                self.violations += 1;
                let happening = Happening::new("violation")
                    .with("guest", &*self.name)
                    .with("text", text);
                news.push(News::Happening(happening));
            }
            Level::Info => tracing::info!(guest = self.name, "{text}"),
            Level::Debug => tracing::debug!(guest = self.name, "{text}"),
        }
    }

    fn count_xruns(&mut self, news: &mut Vec<News>) {
        for (stream, seen) in self.xruns.iter_mut().enumerate() {
            let count = self.block.streams[stream].xruns.load(Relaxed);
            if std::mem::replace(seen, count) != count {
                let name = self
                    .session
                    .config()
                    .streams
                    .get(stream)
                    .map_or("?", |stream| &stream.name);
                let source = format!("{}.{name}", self.name);
                let happening = Happening::new("xrun").with("source", source).with("count", count);
                news.push(News::Happening(happening));
            }
        }
    }
}

/// The happening that goes with a policy event.
pub fn happening_of(event: &Event, names: &Names) -> Option<Happening> {
    let (name, source) = match event {
        Event::StreamStarted { source, .. } => ("stream-started", source),
        Event::StreamStopped { source } => ("stream-stopped", source),
        Event::StreamReleased { source } => ("stream-released", source),
        _ => return None,
    };
    Some(Happening::new(name).with("source", names.source(*source)))
}

fn thing(guest: usize, slot: Slot) -> Thing {
    let guest = guest as u32;
    match slot {
        Slot::Connection => Thing::Connection(guest),
        Slot::Region(region) => Thing::Region(guest, region as u32),
        Slot::Kick(queue) => Thing::Kick(guest, queue as u32),
        Slot::Call(queue) => Thing::Call(guest, queue as u32),
        Slot::Err(queue) => Thing::Err(guest, queue as u32),
    }
}

fn slot(thing: Thing) -> Option<(u32, Slot)> {
    Some(match thing {
        Thing::Connection(guest) => (guest, Slot::Connection),
        Thing::Region(guest, region) => (guest, Slot::Region(region as usize)),
        Thing::Kick(guest, queue) => (guest, Slot::Kick(queue as usize)),
        Thing::Call(guest, queue) => (guest, Slot::Call(queue as usize)),
        Thing::Err(guest, queue) => (guest, Slot::Err(queue as usize)),
        _ => return None,
    })
}

/// By which way a guest's front end comes.
fn way_of(things: &mut BTreeMap<Thing, OwnedFd>, guest: u32, config: &GuestConfig) -> Way {
    let (Some(window), Some(file)) = (&config.window, things.remove(&Thing::Window(guest))) else {
        return Way::Unix;
    };
    let words = (0..QUEUES as u32).map_while(|queue| things.remove(&Thing::Bell(guest, queue)));
    Way::Window(Arc::new(Window {
        file,
        offset: window.offset,
        len: window.len,
        doorbell: words.collect(),
    }))
}

fn kept_of(things: &mut BTreeMap<Thing, OwnedFd>, guest: u32) -> Vec<(Slot, OwnedFd)> {
    let mine = |thing: Thing| slot(thing).filter(|(of, _)| *of == guest).map(|(_, slot)| slot);
    let keys: Vec<Thing> = things.keys().copied().filter(|thing| mine(*thing).is_some()).collect();
    keys.into_iter()
        .filter_map(|key| Some((mine(key)?, things.remove(&key)?)))
        .collect()
}
