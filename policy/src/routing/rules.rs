//! What the policy says about routing and domains.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Names of domains that know `asyncSetVolumes`: what changes there at the same time is sent as one request.
    pub set_volumes: BTreeSet<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            formats: vec![format::STEREO, format::MONO],
            only_free: false,
            ack_ms: 5000,
            undo_ms: 10_000,
            open_limit: 100,
            ramp: 1,
            ramp_ms: 200,
            capture_classes: BTreeSet::new(),
            curves: BTreeMap::new(),
            curve: vec![(0, MUTE), (1, -600), (100, 0)],
            property_range: (-10, 10),
            set_volumes: BTreeSet::new(),
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
}
