//! The policy as the file resolved it. Plain data, already checked by the file reader: indices are in range, names unique.

use std::collections::BTreeMap;

use crate::Db10;
use crate::routing::Rules;
use crate::rules::Program;
use crate::usage::Usage;

/// A class of sources (AudioManager: source class and sink class of the same name).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Name.
    pub name: String,
    /// The greater wins where the file has no cell for a pair.
    pub priority: i32,
    /// Its sources are a safety partition's: nothing in the matrix reaches them as holder or newcomer.
    pub safety: bool,
    /// Of a safety class: while one of its sources sounds at a sink, every other source there is ducked to this at least, 0.1 dB.
    /// A promise that `prove` holds the matrix to; it does nothing by itself.
    pub others_at_most: Option<Db10>,
    /// It has a mainVolume of its own at each sink, where somebody set one: see [`crate::machine::volumes`].
    pub own_volume: bool,
    /// What clients are told of it: type (as the wire's `n`) and value.
    pub properties: Vec<(i16, i16)>,
    /// Line of the file it is defined in.
    pub line: u32,
}

/// What becomes of the source that is already heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Both are heard.
    Mix,
    /// Attenuated while the newcomer is there.
    Duck,
    /// Not pulled while the newcomer is there; goes on after (its connection is SUSPENDED).
    Pause,
    /// Disconnected.
    Stop,
}

/// What becomes of the source that wants to be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newcomer {
    /// Heard.
    Play,
    /// Heard once the holder is gone (its connection is SUSPENDED until then).
    Delay,
    /// Refused.
    Reject,
}

/// Names of channel groups in one file at most.
pub const MAX_GROUPS: usize = 4;

/// How far and how fast a holder is ducked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duck {
    /// Attenuation, 0.1 dB, at most 0.
    pub depth: Db10,
    /// Where it is another in a channel group, by index in [`Model::groups`].
    pub groups: [Option<Db10>; MAX_GROUPS],
    /// Ramp down, ms.
    pub attack_ms: u32,
    /// Ramp up, ms.
    pub release_ms: u32,
}

impl Duck {
    /// The same with the depth that it has in a channel group, which then is that everywhere; `None`: in channels of no group.
    #[must_use]
    pub fn within(self, group: Option<usize>) -> Self {
        let own = group.and_then(|group| self.groups.get(group).copied().flatten());
        Self {
            depth: own.unwrap_or(self.depth),
            groups: [None; MAX_GROUPS],
            ..self
        }
    }

    /// The least that it takes anywhere, 0.1 dB.
    pub fn shallowest(&self) -> Db10 {
        self.groups.iter().flatten().copied().fold(self.depth, Db10::max)
    }
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// For the source that is heard.
    pub holder: Holder,
    /// For the one that wants to be.
    pub newcomer: Newcomer,
    /// Used when `holder` is [`Holder::Duck`]; its ramps are also those of pause and stop.
    pub duck: Duck,
    /// Line of the file, `None` when it follows from the priorities.
    pub line: Option<u32>,
}

/// What happens to a running stream that has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// Consumed at its rate and thrown away.
    Discard,
    /// Not consumed.
    Stall,
}

/// A source: one playback stream of a guest, or a chime of the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `guest.stream`, or `chime.NAME`.
    pub name: String,
    /// Index in [`Model::classes`].
    pub class: usize,
    /// Sinks it is connected to when its stream starts, indices in [`Model::sinks`]; empty = only on request.
    pub auto_connect: Vec<usize>,
    /// For safety sources and chimes: the sinks it always sounds in, outside the policy's reach.
    pub safety_sinks: Vec<usize>,
    /// Without a route.
    pub unrouted: Unrouted,
    /// Wanted gain at first start, 0.1 dB, at most 0.
    pub gain: Db10,
    /// Shown to AudioManager clients.
    pub visible: bool,
    /// Line of the file.
    pub line: u32,
}

/// A sink: a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Name.
    pub name: String,
    /// mainVolume at first start, in the scale of `curve`.
    pub main_volume: i16,
    /// Smallest and largest mainVolume and what they mean: (mainVolume, gain in 0.1 dB), ascending, linear between.
    pub curve: Vec<(i16, Db10)>,
    /// Muted at first start.
    pub muted: bool,
    /// Shown to AudioManager clients.
    pub visible: bool,
    /// Ramp of volume and mute changes, ms.
    pub ramp_ms: u32,
    /// Its channel groups, indices in [`Model::groups`].
    pub groups: Vec<usize>,
    /// Line of the file.
    pub line: u32,
}

/// What a start brings back of what the last boot left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Restore {
    /// Main volumes, mutes, wanted gains.
    pub volumes: bool,
    /// Connections that clients asked for.
    pub connections: bool,
}

impl Default for Restore {
    /// Everything.
    fn default() -> Self {
        Self {
            volumes: true,
            connections: true,
        }
    }
}

/// A system property (`am_SystemProperty_s`), as it is at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemProperty {
    /// Type, as the wire's `n`: 61440 is -4096.
    pub kind: i16,
    /// Value.
    pub value: i16,
    /// Clients may set it.
    pub writable: bool,
    /// It outlives a boot.
    pub lasting: bool,
    /// Line of the file.
    pub line: u32,
}

/// The whole policy. Unwritten cells follow from the priorities: see [`Model::cell`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Model {
    /// Classes; a class's index is its identity inside the machine.
    pub classes: Vec<Class>,
    /// Sources. The first ones are those of `system::System::sources`, in the same order; chimes follow.
    pub sources: Vec<Source>,
    /// Sinks, in the order of `system::System::zones`.
    pub sinks: Vec<Sink>,
    /// Names of channel groups: several sinks may have one of the same name. At most [`MAX_GROUPS`].
    pub groups: Vec<String>,
    /// Written cells, by (holder's class, newcomer's class).
    pub cells: BTreeMap<(usize, usize), Cell>,
    /// Duck of unwritten cells.
    pub default_duck: Duck,
    /// What the matrix can't say.
    pub rules: Program,
    /// Routes and domains.
    pub routing: Rules,
    /// System properties, each type once.
    pub system_properties: Vec<SystemProperty>,
    /// What is used together, and how it begins.
    pub usage: Usage,
}

impl Default for Duck {
    fn default() -> Self {
        Self {
            depth: -140,
            groups: [None; MAX_GROUPS],
            attack_ms: 50,
            release_ms: 500,
        }
    }
}

impl Model {
    /// Names of a sink's channel groups.
    pub fn groups_of<'m>(&'m self, sink: &'m Sink) -> impl Iterator<Item = &'m str> {
        sink.groups
            .iter()
            .filter_map(|group| self.groups.get(*group).map(String::as_str))
    }

    /// The cell for a pair. Unwritten: a newcomer of higher priority ducks the holder and plays; of equal priority both are
    /// mixed (of the same class: the newest wins, the older is paused); of lower priority it plays, ducked while the holder
    /// is there (the same duck, the other way round). Where the cell of the reversed pair is written, an unwritten newcomer of
    /// equal or lower priority gets what that one says, as if it had been there first: see [`crate::matrix`].
    pub fn cell(&self, holder: usize, newcomer: usize) -> Cell {
        if let Some(cell) = self.cells.get(&(holder, newcomer)) {
            return *cell;
        }
        let priority = |class: usize| self.classes.get(class).map_or(0, |class| class.priority);
        let action = if holder == newcomer {
            Holder::Pause
        } else if priority(newcomer) > priority(holder) {
            Holder::Duck
        } else {
            Holder::Mix
        };
        Cell {
            holder: action,
            newcomer: Newcomer::Play,
            duck: self.default_duck,
            line: None,
        }
    }
}
