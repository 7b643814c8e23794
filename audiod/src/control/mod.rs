//! `audiod child control`: guests' messages, policy, bus. One loop on one thread; the bus connection's tasks run while it waits.
//!
//! ```text
//!   guests ── News ──► step ─► Machine ─► snapshot saved ─► gains published ─► guests' elements ─► requests to domains,
//!   bus ──── Request ──►│ (and domains' acks)                                                │  replies and signals
//!   engines: chimes ended, flight recorder ──────────────────────────────────► monitor ──────────────►┴─► bus
//! ```
//! Nothing that sounds waits for this process. It may be stopped or killed anywhere: what it decided is in the saved block
//! before anybody hears of it, what it wished of the engines is in the blocks, and its successor takes both over.

pub mod bus;
pub mod chimes;
pub mod desk;
mod domains;
pub mod gains;
pub mod guests;
pub mod history;
pub mod keep;
pub mod levels;
mod mixers;
pub mod monitor;
pub mod recorder;
pub mod reload;
mod status;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;

use dbus_api::server::{Out, OwnCall, OwnReply};
use policy::command::Signal;
use policy::machine::Changed;
use policy::{Effect, Event, Heard, Machine};
use vhost_sound::shared::Shared;

use crate::blocks::{EngineBlock, SavedBlock};
use crate::codec::now_ns;
use crate::failure::Failure;
use crate::given::Given;
use crate::plan::Plan;
use crate::sandbox::{self, Profile};
use crate::signals;
use crate::supervisor::wire::Thing;
use crate::system::System;

use bus::Bus;
use chimes::Chimes;
use desk::Desk;
use gains::Gains;
use guests::{Guests, News};
use history::History;
use keep::{Begun, Keeper, Saver};
use levels::{Levels, Meters};
use mixers::Mixers;
use monitor::{Happening, Names};
use recorder::{Recorders, Seen};
use reload::Running;
use watch::Watch;

/// At the end domains have this long to take connections over, ms: the supervisor waits 2 s for us.
const RUNDOWN_MS: u64 = 1500;
/// And meanwhile the time is looked at this often, ms.
const RUNDOWN_LOOK_MS: u64 = 100;
/// The bus's tasks that run before the guests' descriptors are looked at again: few, so that a busy bus holds up nobody.
const TASKS_A_LOOK: u32 = 8;
/// The flight recorders are read at least this often, ms.
const IDLE_LOOK_MS: u64 = 1000;
/// What is to outlive the boot is handed to the store so long after it changed, ms: who waits for an answer doesn't wait for that, and
/// changes that follow each other are handed over as one. With the store's own time it is within the half second that is promised.
pub const KEEP_MS: u64 = 50;

/// The whole life of the process.
///
/// # Errors
/// When something was not handed over or can't be had.
pub fn run() -> Result<(), Failure> {
    let signals = signals::descriptor(&[libc::SIGTERM, libc::SIGHUP]).map_err(Failure::when("control: signals"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(TASKS_A_LOOK)
        .build()
        .map_err(Failure::when("control: runtime"))?;
    runtime.block_on(live(signals.as_raw_fd()))
}

async fn live(signals: RawFd) -> Result<(), Failure> {
    let mut given = Given::receive().map_err(Failure::when("control: taking over"))?;
    let plan = given.plan().map_err(Failure::when("control: the plan"))?;
    let mut control = Control::new(&plan, given)?;
    sandbox::filter(Profile::Control).map_err(Failure::when("control: system call filter"))?;
    control
        .guests
        .report_up()
        .map_err(Failure::when("control: reporting"))?;
    while !control.turn(signals).await.map_err(Failure::when("control"))? {}
    // What clients wished is on the disk before anybody is waited for; what ends with us is nothing they wished.
    control.keep();
    control.keeper.stop();
    control.run_down().await.map_err(Failure::when("control: rundown"))?;
    control.bus.stop().await;
    Ok(())
}

struct Control {
    system: System,
    names: Names,
    machine: Machine,
    heard: Heard,
    /// Source and sink of each main connection.
    routes: BTreeMap<u16, (usize, usize)>,
    saver: Saver,
    keeper: Keeper,
    /// When what changed is to be kept, ms.
    keep_at: Option<u64>,
    running: Running,
    guests: Guests,
    engines: Vec<&'static EngineBlock>,
    gains: Gains,
    chimes: Chimes,
    recorders: Recorders,
    history: History,
    meters: Meters,
    /// As last looked at.
    levels: Levels,
    mixers: Mixers,
    bus: Bus,
    watch: Watch,
    /// Domains that were registered before setRoutingReady was said last.
    old_domains: BTreeSet<u16>,
}

/// Monotonic milliseconds: the same clock before and after a restart.
fn now_ms() -> u64 {
    now_ns() / 1_000_000
}

impl Control {
    fn new(plan: &Plan, mut given: Given) -> Result<Self, Failure> {
        let system = plan.system.clone();
        let running = Running::of(plan, &mut given)?;
        let numbers = 0..system.codecs.len() as u32;
        let engines: io::Result<Vec<&'static EngineBlock>> =
            numbers.map(|number| given.block(Thing::Engine(number))).collect();
        let engines = engines.map_err(Failure::when("control: engine blocks"))?;
        let saved = given.take(Thing::Saved).and_then(Shared::<SavedBlock>::map);
        let saved = saved.map_err(Failure::when("control: saved state"))?;
        let (model, keep) = (running.loaded.model.clone(), &running.loaded.keep);
        let (keeper, Begun { machine, booted }) = Keeper::begin(model, keep, &saved, &mut given);
        let bell = given
            .event(Thing::Rouse)
            .map_err(Failure::when("control: the engine's bell"))?;
        let guests = Guests::new(&system, given).map_err(Failure::when("control: guests"))?;
        let mut control = Self {
            names: Names::new(&system),
            heard: machine.heard().clone(),
            routes: BTreeMap::new(),
            gains: Gains::new(&system, &engines),
            chimes: Chimes::new(&system, &engines),
            recorders: Recorders::new(&system, &engines),
            history: history_of(&system, &engines),
            meters: Meters::default(),
            levels: Levels::default(),
            mixers: Mixers::open(&system),
            old_domains: BTreeSet::new(),
            bus: Bus::start(system.bus.as_deref(), plan.access.clone()),
            watch: Watch::new(bell).map_err(Failure::when("control: timer"))?,
            system,
            machine,
            saver: Saver::new(saved),
            keeper,
            keep_at: None,
            running,
            guests,
            engines,
        };
        if booted {
            control.show_wanted();
        }
        control.take_over();
        Ok(control)
    }

    /// The last boot's gains in the elements of devices that are new; what a device has kept itself is newer.
    fn show_wanted(&mut self) {
        for source in 0..self.system.sources.len() {
            if let Some((gain, mute)) = self.machine.wanted(source)
                && self.guests.is_fresh(source)
            {
                self.guests.set_user_gain(source, gain, mute);
            }
        }
    }

    /// What is true now: the table as the policy remembers it, then what happened while nobody listened.
    fn take_over(&mut self) {
        self.remember_routes();
        self.gains.publish(&self.heard);
        self.show_jacks();
        let mut news = Vec::new();
        self.guests.who_is_there(&mut news);
        // What ended with the predecessor is closed before anybody new is let in.
        self.guests.tick(now_ms(), &mut news);
        self.take_news(news);
    }

    /// Connections that are to outlive us are offered to domains; all hear that we go.
    async fn run_down(&mut self) -> io::Result<()> {
        let end = now_ms() + RUNDOWN_MS;
        self.step(Event::Rundown);
        self.bus.send(Out::RoutingRundown);
        while self.machine.hands_over() && now_ms() < end {
            // No descriptor: the signal that is there already is not looked at again.
            self.turn(-1).await?;
        }
        Ok(())
    }

    /// One turn of the loop; `true` when it was the last: a signal came.
    async fn turn(&mut self, signals: RawFd) -> io::Result<bool> {
        self.bus.flush();
        self.watch.over(&self.guests, signals)?;
        let ready = match self.patience(signals) {
            0 => {
                tokio::task::yield_now().await;
                self.watch.look()?
            }
            wait => {
                self.watch.within(wait)?;
                tokio::select! {
                    biased;
                    ready = self.watch.ready() => ready?,
                    () = self.bus.wait() => self.watch.look()?,
                }
            }
        };
        if ready.signals {
            let seen = signals::drain(signals);
            if seen.contains(&libc::SIGTERM) {
                return Ok(true);
            }
            if seen.contains(&libc::SIGHUP) {
                self.reload();
            }
        }
        if ready.bell {
            self.guests.look_at_all();
        }
        let mut news = Vec::new();
        for entry in ready.entries {
            self.guests.ready(entry, &mut news);
        }
        self.guests.tick(now_ms(), &mut news);
        self.take_news(news);
        self.take_requests();
        self.look_at_engines();
        if self.keep_at.is_some_and(|at| at <= now_ms()) {
            self.keep();
        }
        Ok(false)
    }

    fn patience(&self, signals: RawFd) -> u64 {
        let now = now_ms();
        let deadlines = [self.guests.due(), self.machine.next_deadline(), self.keep_at];
        let mut wait = IDLE_LOOK_MS;
        for deadline in deadlines.into_iter().flatten() {
            wait = wait.min(deadline.saturating_sub(now));
        }
        if signals < 0 {
            wait = wait.min(RUNDOWN_LOOK_MS);
        }
        wait
    }

    fn take_news(&mut self, news: Vec<News>) {
        for one in news {
            match one {
                News::Event(event) => {
                    if self.is_known(&event) {
                        continue;
                    }
                    if let Some(happening) = guests::happening_of(&event, &self.names) {
                        self.tell(happening);
                    }
                    self.step(event);
                }
                News::Happening(happening) => self.tell(happening),
            }
        }
    }

    /// A start that the policy has decided already: a restored session says everything once more.
    fn is_known(&self, event: &Event) -> bool {
        let Event::StreamStarted { source, start_gen } = event else {
            return false;
        };
        let state = self.machine.state_of(*source);
        state.is_some_and(|state| state.running && state.start_gen == *start_gen)
    }

    /// One decision: saved, then heard, then told. A read that is answered and nothing else decides nothing: what the machine
    /// remembers is as it was but for the time.
    fn decide(&mut self, event: Event) {
        let reads = history::reads(&event);
        let occasion = history::occasion(&event, &self.machine, &self.names);
        let overruns = self.machine.overruns().count;
        let effects = self.machine.step(event, now_ms());
        if self.machine.overruns().count != overruns {
            let rules = &self.machine.overruns().rules;
            tracing::error!(?rules, "rules set each other off without end: what they did is undone");
        }
        match effects.as_slice() {
            [Effect::Reply { .. } | Effect::RoutingReply { .. }] if reads => {
                effects.into_iter().for_each(|effect| self.answer(effect));
            }
            _ => {
                self.history.open(now_ms(), occasion);
                self.carry_out(effects);
            }
        }
    }

    /// Sends an answer.
    fn answer(&mut self, effect: Effect) {
        match &effect {
            Effect::Reply { reply, .. } => self.history.answered(reply.error),
            Effect::RoutingReply { reply, .. } => self.history.answered(history::routing_error(reply)),
            _ => {}
        }
        self.send(effect);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let changed = self.saver.save(&self.machine);
        self.remember_routes();
        if let Some(heard) = effects.iter().find_map(|effect| match effect {
            Effect::Heard(heard) => Some(heard),
            _ => None,
        }) {
            self.history.published(&self.gains.publish(heard));
        }
        for effect in effects {
            match effect {
                Effect::Reply { .. } | Effect::RoutingReply { .. } => self.answer(effect),
                Effect::Signal(ref signal) => {
                    self.tell_signal(signal);
                    self.send(effect);
                }
                Effect::GuestControl { source, gain, mute } => self.guests.set_user_gain(source, gain, mute),
                Effect::Domain { .. } => self.send(effect),
                Effect::Heard(heard) => {
                    for happening in monitor::differences(&self.heard, &heard, &self.names) {
                        self.tell(happening);
                    }
                    self.heard = heard;
                }
            }
        }
        self.routes.clear();
        self.remember_routes();
        self.show_jacks();
        self.history.close();
        if changed == Changed::Lasting {
            self.keep_at.get_or_insert_with(|| now_ms() + KEEP_MS);
        }
    }

    fn keep(&mut self) {
        self.keep_at = None;
        self.keeper.keep(&self.machine);
    }

    fn show_jacks(&mut self) {
        let machine = &self.machine;
        self.guests
            .show_jacks(&self.system, |source| machine.could_be_heard(source));
    }

    fn look_at_engines(&mut self) {
        for (chime, on) in self.chimes.changes() {
            let source = self.system.sources.len() + chime;
            self.step(Event::Sounding { source, on });
        }
        for seen in self.recorders.drain(&self.names, &self.chimes) {
            match seen {
                Seen::Happening(frame, happening) => self.bus.send(Out::Event(happening.line(now_ms(), frame))),
                Seen::Taken(taken) => self.history.taken(taken),
            }
        }
        if self
            .machine
            .next_deadline()
            .is_some_and(|deadline| deadline <= now_ms())
        {
            self.step(Event::Tick);
        }
    }

    fn tell(&mut self, happening: Happening) {
        self.history.tell(&happening.object());
        let frame = self.engines.first().map_or(0, |engine| engine.written.load(Relaxed));
        let line = happening.line(now_ms(), frame);
        tracing::debug!("{line}");
        self.bus.send(Out::Event(line));
    }

    fn tell_signal(&mut self, signal: &Signal) {
        let sink = |id: u16| {
            let mut sinks = 0..self.names.sinks.len();
            let index = sinks.find(|index| self.machine.sink_id(*index) == Some(id));
            index.map_or("?", |index| self.names.sink(index))
        };
        match signal {
            Signal::MainConnectionStateChanged { connection, state } => self.tell_route(*connection, *state),
            Signal::VolumeChanged { sink: id, volume } => {
                self.tell(Happening::new("volume").with("zone", sink(*id)).with("volume", *volume));
            }
            Signal::SinkMuteStateChanged { sink: id, state } => {
                self.tell(
                    Happening::new("mute")
                        .with("zone", sink(*id))
                        .with("muted", *state == 1),
                );
            }
            _ => {}
        }
    }

    fn tell_route(&mut self, id: u16, state: policy::command::ConnectionState) {
        let mut route = Happening::new("route").with("connection", id);
        if let Some((source, sink)) = self.routes.get(&id) {
            route = route.with("source", self.names.source(*source));
            route = route.with("zone", self.names.sink(*sink));
        }
        self.tell(route.with("state", format!("{state:?}").to_lowercase()));
    }

    /// Those that are there now, besides those that this step may have ended.
    fn remember_routes(&mut self) {
        let routes = self.machine.connections().map(|one| (one.id, (one.source, one.sink)));
        self.routes.extend(routes);
    }
}

impl Desk for Control {
    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn bus(&mut self) -> &mut Bus {
        &mut self.bus
    }

    fn step(&mut self, event: Event) {
        self.decide(event);
        self.bus.flush();
    }

    fn called_by(&mut self, sender: &str) {
        self.history.called_by(sender);
    }

    fn old_domains(&mut self) -> &mut BTreeSet<u16> {
        &mut self.old_domains
    }

    fn own(&mut self, call: OwnCall) -> OwnReply {
        match call {
            OwnCall::Status => OwnReply::Json(self.status()),
            OwnCall::History { from, most } => OwnReply::Json(self.history.page(from, most)),
            OwnCall::Chime { name } => {
                let (error, text) = match self.chimes.request(&name) {
                    Ok(()) => (policy::command::error::OK, String::new()),
                    Err(refusal) => refusal,
                };
                OwnReply::Result { error, text }
            }
            OwnCall::Reload => {
                let (error, text) = self.reload();
                OwnReply::Result { error, text }
            }
        }
    }
}

fn history_of(system: &System, engines: &[&EngineBlock]) -> History {
    let codecs = system.codecs.iter().zip(engines);
    History::new(codecs.map(|(codec, engine)| (codec.name.clone(), engine.gains.batch())))
}
