//! What may happen: the alphabet of the exploration.

use crate::command::error;
use crate::model::{Model, Source};
use crate::simulate::cast::Ask;
use crate::simulate::scenario::{guest_of, guests};
use crate::simulate::world::World;
use crate::simulate::{Action, Cast};
use crate::{Machine, curve};

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A guest, client or chime does something.
    Act(Action),
    /// A guest is lost and comes back.
    Lose(String),
    /// Time goes on to the next deadline.
    Pass,
}

impl Input {
    /// As steps of a scenario; none is time going on.
    pub fn actions(&self) -> Vec<Action> {
        match self {
            Self::Act(action) => vec![action.clone()],
            Self::Lose(guest) => {
                let guest = guest.clone();
                vec![Action::Gone { guest: guest.clone() }, Action::Available { guest }]
            }
            Self::Pass => Vec::new(),
        }
    }

    /// A domain refuses or is lost, or (where they are) time goes on without an answer.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Act(Action::Lose { .. }) => true,
            Self::Act(Action::Ack { error, .. }) => *error != 0,
            Self::Act(_) | Self::Lose(_) => false,
            Self::Pass => true,
        }
    }

    /// A client or a domain wants something new.
    pub fn is_wish(&self) -> bool {
        matches!(
            self,
            Self::Act(Action::Connect { .. } | Action::Disconnect { .. } | Action::Interrupt { .. })
        )
    }

    /// Whether it can happen now: a stream is started when it isn't running, and so on.
    pub fn can_happen(&self, machine: &Machine, world: &World) -> bool {
        let connection = |source: usize, sink: usize| world.connection(machine, source, sink).is_some();
        let sink_is_there = |sink: usize| {
            let mut sinks = world.cast.sinks();
            sinks
                .find(|it| it.0 == sink)
                .is_none_or(|it| world.is_there(machine, it.1))
        };
        let lives = |source: usize| {
            let running = machine.state_of(source).is_some_and(|it| it.running);
            running || machine.connections().any(|it| it.source == source && it.automatic)
        };
        let is_there = |guest: &str| {
            let mut sources =
                (0..machine.model().sources.len()).filter(|source| of_guest(machine.model(), *source, guest));
            sources.any(|source| machine.state_of(source).is_some_and(|it| it.available))
        };
        match self {
            Self::Act(Action::Start { source }) => {
                machine.state_of(*source).is_some_and(|it| !it.running && it.available)
            }
            Self::Act(Action::Gone { guest }) => is_there(guest),
            Self::Act(Action::Available { guest }) => !is_there(guest),
            Self::Act(Action::Volume { sink, volume }) => machine.volume(*sink).is_some_and(|it| it.0 != *volume),
            Self::Act(Action::Stop { source }) => machine.state_of(*source).is_some_and(|it| it.running),
            Self::Act(Action::Release { source }) => lives(*source),
            Self::Act(Action::Sound { source, on }) => machine.state_of(*source).is_some_and(|it| it.sounding != *on),
            Self::Act(Action::Disconnect { source, sink }) => connection(*source, *sink),
            Self::Act(Action::MuteSource { source, mute }) => machine.wanted(*source).is_some_and(|it| it.1 != *mute),
            Self::Act(Action::MuteSink { sink, mute }) => machine.volume(*sink).is_some_and(|it| it.1 != *mute),
            Self::Act(Action::Connect { sink, .. }) => sink_is_there(*sink),
            Self::Act(Action::Register { domain }) => !world.is_there(machine, *domain),
            Self::Act(Action::Lose { domain }) => world.is_there(machine, *domain),
            Self::Act(Action::Interrupt { source, on }) => world.interrupts(machine, *source) == Some(!on),
            Self::Act(Action::Ack { domain, ask, .. }) => world.asked(*domain, *ask).is_some(),
            Self::Act(_) => true,
            Self::Lose(guest) => {
                let sources = 0..machine.model().sources.len();
                sources
                    .into_iter()
                    .any(|source| of_guest(machine.model(), source, guest) && lives(source))
            }
            // Where domains are, fades are passed over: nothing looks at them, and all times stay multiples of the time-outs.
            Self::Pass if !world.cast.is_empty() => machine.ack_deadline().is_some(),
            Self::Pass => machine.next_deadline().is_some(),
        }
    }
}

fn of_guest(model: &Model, source: usize, guest: &str) -> bool {
    model
        .sources
        .get(source)
        .is_some_and(|it| guest_of(&it.name) == Some(guest))
}

/// A source that nobody can hear: a capture stream, or one without a zone that no client sees.
fn can_be_heard(source: &Source) -> bool {
    source.visible || !source.auto_connect.is_empty() || !source.safety_sinks.is_empty()
}

/// Everything that may happen, in the order in which it is tried.
pub(super) fn alphabet(model: &Model) -> Vec<Input> {
    let mut actions = Vec::new();
    for (source, described) in model.sources.iter().enumerate() {
        let protected = model.protected(source);
        if !can_be_heard(described) || (protected && described.safety_sinks.is_empty()) {
            continue;
        }
        if guest_of(&described.name).is_none() {
            actions.extend([true, false].map(|on| Action::Sound { source, on }));
            continue;
        }
        actions.extend([
            Action::Start { source },
            Action::Stop { source },
            Action::Release { source },
        ]);
        if protected {
            continue;
        }
        for sink in 0..model.sinks.len() {
            actions.extend([Action::Connect { source, sink }, Action::Disconnect { source, sink }]);
        }
        actions.extend([true, false].map(|mute| Action::MuteSource { source, mute }));
    }
    for sink in 0..model.sinks.len() {
        actions.extend([true, false].map(|mute| Action::MuteSink { sink, mute }));
    }
    let guests = guests(model).into_iter().map(str::to_owned);
    if model.rules.is_empty() {
        // Nothing looks at whether a guest is there: that it is lost and comes back is one input.
        let lost: Vec<Input> = guests.map(Input::Lose).collect();
        return actions
            .into_iter()
            .map(Input::Act)
            .chain(lost)
            .chain([Input::Pass])
            .collect();
    }
    for guest in guests {
        actions.extend([Action::Gone { guest: guest.clone() }, Action::Available { guest }]);
    }
    for (sink, described) in model.sinks.iter().enumerate() {
        let (low, high) = curve::range(&described.curve);
        actions.extend([low, high].map(|volume| Action::Volume { sink, volume }));
    }
    actions.into_iter().map(Input::Act).chain([Input::Pass]).collect()
}

/// What may happen where domains are: to them, and to the few streams and chimes in `some`.
pub(super) fn with_domains(model: &Model, cast: &Cast, some: &[usize], in_order: bool) -> Vec<Input> {
    let mut actions = Vec::new();
    for domain in 0..cast.domains.len() {
        actions.extend([Action::Register { domain }, Action::Lose { domain }]);
    }
    let (guests, chimes): (Vec<usize>, Vec<usize>) = (some.iter()).partition(|source| {
        model
            .sources
            .get(**source)
            .is_some_and(|it| guest_of(&it.name).is_some())
    });
    actions.extend(
        chimes
            .iter()
            .flat_map(|&source| [true, false].map(|on| Action::Sound { source, on })),
    );
    actions.extend(
        guests
            .iter()
            .flat_map(|&source| [Action::Start { source }, Action::Stop { source }]),
    );
    let fed: Vec<usize> = cast.gateways().map(|(_, it)| it.to).collect();
    let own = cast.sources().map(|it| it.0).filter(|source| !fed.contains(source));
    let own: Vec<usize> = own.collect();
    let led = guests
        .into_iter()
        .filter(|source| !model.protected(*source) && cast.gateways().next().is_some());
    for source in led.chain(own.iter().copied()) {
        // What leads into a gateway is no end.
        let leads_on = |sink: usize| cast.gateways().any(|(_, it)| it.from == sink);
        for (sink, ..) in cast.sinks().filter(|it| !leads_on(it.0)) {
            actions.extend([Action::Connect { source, sink }, Action::Disconnect { source, sink }]);
        }
    }
    actions.extend(
        own.into_iter()
            .flat_map(|source| [true, false].map(|on| Action::Interrupt { source, on })),
    );
    let oldest = (0..cast.domains.len()).map(|domain| (domain, None));
    let any = asks(cast).into_iter().map(|(domain, ask)| (domain, Some(ask)));
    let acks: Vec<(usize, Option<Ask>)> = if in_order { oldest.collect() } else { any.collect() };
    for (domain, ask) in acks {
        actions.extend([0, error::NOT_POSSIBLE as u16].map(|error| Action::Ack { domain, ask, error }));
    }
    actions.into_iter().map(Input::Act).chain([Input::Pass]).collect()
}

/// All that domains can be asked.
fn asks(cast: &Cast) -> Vec<(usize, Ask)> {
    let mut asks = Vec::new();
    for (source, domain, _) in cast.sources() {
        asks.extend([Ask::State { source }, Ask::SourceVolume { source }].map(|ask| (domain, ask)));
        for (sink, ..) in cast.sinks().filter(|it| it.1 == domain) {
            asks.extend([Ask::Connect { source, sink }, Ask::Disconnect { source, sink }].map(|ask| (domain, ask)));
        }
    }
    asks.extend(cast.sinks().map(|(sink, domain, _)| (domain, Ask::SinkVolume { sink })));
    asks
}

/// A number for each source; those with the same may change places: they differ in nothing but their names, and no rule names one.
pub(super) fn alike(model: &Model) -> Vec<usize> {
    if !model.rules.is_empty() {
        return (0..model.sources.len()).collect();
    }
    let same = |a: &Source, b: &Source| {
        let of = |it: &Source| {
            (
                it.class,
                it.auto_connect.clone(),
                it.safety_sinks.clone(),
                it.unrouted,
                it.gain,
                it.visible,
            )
        };
        of(a) == of(b) && guest_of(&a.name).is_some() == guest_of(&b.name).is_some()
    };
    let first = |source: &Source| model.sources.iter().position(|other| same(source, other));
    model
        .sources
        .iter()
        .map(|source| first(source).unwrap_or(usize::MAX))
        .collect()
}
