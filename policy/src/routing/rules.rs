//! What the policy says about routing and domains.

use std::collections::{BTreeMap, BTreeSet};

use super::known::{Known, fits};
use crate::routing_command::format;
use crate::{Db10, MUTE, Time};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Formats in order of priority; others come after these, ascending.
    pub formats: Vec<u16>,
    /// Gateways and converters that carry a connection are not used for another route.
    pub only_free: bool,
    /// How long a domain may take to acknowledge, ms.
    pub ack_ms: Time,
    /// How long it may take for what only undoes, ms.
    pub undo_ms: Time,
    /// How long all domains may take to register once the first is ready, ms.
    pub registration_ms: Time,
    /// Requests a domain may leave unanswered at a time.
    pub open_limit: usize,
    /// Ramp type of volume changes (`am_RampType_t`; 1 = direct).
    pub ramp: u16,
    /// Its time, ms.
    pub ramp_ms: u16,
    /// Names of classes whose connections run from a microphone to a guest: connected source-side first.
    pub capture_classes: BTreeSet<String>,
    /// mainVolume to 0.1 dB, by the name of a domain's sink.
    pub curves: BTreeMap<String, Vec<(i16, Db10)>>,
    /// The curve of sinks not named.
    pub curve: Vec<(i16, Db10)>,
    /// Smallest and largest value of a main sound property.
    pub property_range: (i16, i16),
    /// What is different for some of them, by type.
    pub main_sound: BTreeMap<i16, MainSound>,
    /// Class of what registers with one that the file doesn't have, by its index.
    pub default_class: Option<usize>,
    /// Names of domains that know `asyncSetVolumes`: what changes there at the same time is sent as one request.
    pub set_volumes: BTreeSet<String>,
    /// What the file says of domains and of what is in them.
    pub known: Known,
    /// Only what the file names may register.
    pub only_known: bool,
    /// Routes over domains only where a topology allows them; else a class or source that no topology names is free.
    pub only_topologies: bool,
}

/// A main sound property (clients' side), and the sound property (domains' side) that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MainSound {
    /// Smallest and largest value.
    pub range: (i16, i16),
    /// Type of the sound property.
    pub sound: i16,
    /// Setting the main one sets the other.
    pub down: bool,
    /// A domain's change of the other changes the main one.
    pub up: bool,
    /// It outlives a boot.
    pub lasting: bool,
}

impl Rules {
    /// What a main sound property is.
    pub fn main_sound(&self, kind: i16) -> MainSound {
        self.main_sound.get(&kind).copied().unwrap_or(MainSound {
            range: self.property_range,
            sound: kind,
            down: true,
            up: false,
            lasting: false,
        })
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            formats: vec![format::STEREO, format::MONO],
            only_free: false,
            ack_ms: 5000,
            undo_ms: 10_000,
            registration_ms: 10_000,
            open_limit: 100,
            ramp: 1,
            ramp_ms: 200,
            capture_classes: BTreeSet::new(),
            curves: BTreeMap::new(),
            curve: vec![(0, MUTE), (1, -600), (100, 0)],
            property_range: (-10, 10),
            main_sound: BTreeMap::new(),
            default_class: None,
            set_volumes: BTreeSet::new(),
            known: Known::default(),
            only_known: false,
            only_topologies: false,
        }
    }
}

impl Rules {
    /// A format's place in the order of priority.
    pub fn rank(&self, format: u16) -> (usize, u16) {
        let place = self.formats.iter().position(|known| *known == format);
        (place.unwrap_or(self.formats.len()), format)
    }

    /// The curve of a domain's sink.
    pub fn curve_of(&self, sink: &str) -> &[(i16, Db10)] {
        self.curves.get(sink).unwrap_or(&self.curve)
    }

    /// How long the domain of this name may take to acknowledge, ms.
    pub fn ack_ms_of(&self, domain: &str) -> Time {
        let known = self.known.domains.get(domain);
        known.and_then(|it| it.ack_ms).unwrap_or(self.ack_ms)
    }

    /// The longest that any domain may take to acknowledge, ms.
    pub fn longest_ack_ms(&self) -> Time {
        let own = self.known.domains.values().filter_map(|it| it.ack_ms);
        own.fold(self.ack_ms, Time::max)
    }

    /// Requests that the domain of this name may leave unanswered.
    pub fn open_limit_of(&self, domain: &str) -> usize {
        let known = self.known.domains.get(domain);
        known.and_then(|it| it.open_limit).unwrap_or(self.open_limit)
    }

    /// A source's volume, within its limits.
    pub fn clamp_volume(&self, source: &str, volume: Db10) -> Db10 {
        let limits = self.known.sources.get(source).and_then(|it| it.limits);
        limits.map_or(volume, |(least, most)| volume.clamp(least, most.max(least)))
    }

    /// The ways that topologies allow from a source to a sink: patterns of gateways' names. `None`: any way. `only`: where no
    /// topology names the class or source, there is none.
    pub fn ways(&self, class: &str, source: &str, sink: &str, only: bool) -> Option<Vec<&[String]>> {
        let all = self.known.topologies.iter();
        let mut named = all
            .filter(|it| it.classes.has(class) && it.sources.has(source))
            .peekable();
        if named.peek().is_none() && !only {
            return None;
        }
        Some(
            named
                .filter(|it| it.sinks.has(sink))
                .map(|it| it.via.as_slice())
                .collect(),
        )
    }

    /// Whether one of these ways goes over these gateways.
    pub fn allows(ways: Option<&[&[String]]>, over: &[&str]) -> bool {
        ways.is_none_or(|ways| ways.iter().any(|way| fits(way, over)))
    }
}
