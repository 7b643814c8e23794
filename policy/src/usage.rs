//! What the file says of how sinks and sources are used together and begin: volume groups, activation windows, fades, mirrors,
//! connections at the start.

use std::collections::BTreeMap;

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Volume groups; each sink and source is in one at most.
    pub groups: Vec<Group>,
    /// Activation windows, in the order of the file.
    pub windows: Vec<Window>,
    /// By class.
    pub fades: BTreeMap<usize, Fade>,
    /// By sink: the sink whose sources it plays too.
    pub mirrors: BTreeMap<usize, usize>,
    /// What is connected at the first start, by names.
    pub startup: Vec<Pair>,
}

/// Sinks with one mainVolume and mute, sources with one wanted gain and mute: who sets one sets all.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Zones, indices of sinks.
    pub sinks: Vec<usize>,
    /// Sinks of domains.
    pub external: Vec<String>,
    /// Guests' streams, indices of sources.
    pub sources: Vec<usize>,
    /// Line of the file.
    pub line: u32,
}

/// What makes an arrival at a zone an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The first of its class there since the boot.
    Boot,
    /// Another source than the last one there.
    Source,
    /// Each.
    Playback,
}

/// A range that a zone's mainVolume is brought into when a source becomes active there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Of these zones.
    pub sinks: Vec<usize>,
    /// For sources of these classes.
    pub classes: Vec<usize>,
    /// When.
    pub on: Activation,
    /// Least mainVolume.
    pub least: i16,
    /// Greatest mainVolume.
    pub most: i16,
    /// Line of the file.
    pub line: u32,
}

/// How sources of a class come and go where no cell of the matrix says so, ms; `None`: as the zone's own ramp and, at a stream's
/// start, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Fade {
    /// From silence.
    pub in_ms: Option<u32>,
    /// To silence.
    pub out_ms: Option<u32>,
}

/// A source and a sink, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Pair {
    /// Guest's stream or domain's source.
    pub source: String,
    /// Zone or domain's sink.
    pub sink: String,
}

impl Usage {
    /// The group of a zone.
    pub fn group_of_sink(&self, sink: usize) -> Option<&Group> {
        self.groups.iter().find(|it| it.sinks.contains(&sink))
    }

    /// The group of a domain's sink.
    pub fn group_of_external(&self, sink: &str) -> Option<&Group> {
        self.groups
            .iter()
            .find(|it| it.external.iter().any(|name| name == sink))
    }

    /// The group of a source.
    pub fn group_of_source(&self, source: usize) -> Option<&Group> {
        self.groups.iter().find(|it| it.sources.contains(&source))
    }

    /// Sinks that mirror this one.
    pub fn mirrors_of(&self, sink: usize) -> impl Iterator<Item = usize> + '_ {
        let mirrors = self.mirrors.iter().filter(move |it| *it.1 == sink);
        mirrors.map(|it| *it.0)
    }
}
