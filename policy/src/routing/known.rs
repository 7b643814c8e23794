//! What the file says of domains of other processes and of what is in them, by name, before they register.
//!
//! What the file says goes before what a domain says at its registration; what it leaves out is the domain's to say.

use std::collections::BTreeMap;

use super::Conversion;
use crate::{Db10, Time};

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KnownDomain {
    /// Static domainID, 1 to 100.
    pub id: Option<u16>,
    /// The only bus name it may give.
    pub bus_name: Option<String>,
    /// It runs before this daemon does.
    pub early: bool,
    /// All it has is registered with it: nobody waits for its word.
    pub complete: bool,
    /// All domains are complete only once this one is.
    pub required: bool,
    /// How long it may take to acknowledge, ms.
    pub ack_ms: Option<Time>,
    /// Requests it may leave unanswered at a time.
    pub open_limit: Option<usize>,
    /// Line of the file.
    pub line: u32,
}

/// Who registers an element that the file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Registers {
    /// Its domain.
    #[default]
    Domain,
    /// The policy, as soon as the domain is registered.
    Policy,
    /// A rule's `register`.
    Rule,
}

/// What sources and sinks have in common.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KnownEnd {
    /// Name of its domain.
    pub domain: String,
    /// Static ID, 1 to 100.
    pub id: Option<u16>,
    /// Index of its class.
    pub class: Option<usize>,
    /// Connection formats; empty: the domain's.
    pub formats: Vec<u16>,
    /// Shown to clients.
    pub visible: Option<bool>,
    /// Whether it is available until its domain says so.
    pub available: Option<bool>,
    /// Who registers it.
    pub registers: Registers,
    /// Line of the file.
    pub line: u32,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KnownSource {
    /// See there.
    pub end: KnownEnd,
    /// Volume at first, 0.1 dB.
    pub volume: Option<Db10>,
    /// Least and greatest volume without ducks, 0.1 dB.
    pub limits: Option<(Db10, Db10)>,
}

/// A sink. Its curve is in [`super::Rules::curves`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KnownSink {
    /// See there.
    pub end: KnownEnd,
    /// mainVolume at first.
    pub main_volume: Option<i16>,
    /// Muted at first.
    pub muted: Option<bool>,
}

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownGateway {
    /// Static gatewayID, 1 to 100.
    pub id: Option<u16>,
    /// Name of the domain that controls it.
    pub domain: String,
    /// What goes in.
    pub sink: String,
    /// What comes out.
    pub source: String,
    /// What it makes of formats; `None`: as its domain says.
    pub conversion: Option<Conversion>,
    /// Who registers it.
    pub registers: Registers,
    /// Line of the file.
    pub line: u32,
}

/// All of a kind, or these names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// `*`
    All,
    /// These.
    These(Vec<String>),
}

impl Names {
    /// Whether a name is one of them.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|it| it == name),
        }
    }
}

/// One line of a topology: which sources may reach which sinks over which gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Of these classes.
    pub classes: Names,
    /// These sources.
    pub sources: Names,
    /// Over these gateways, from the source to the sink; a `*` among them is one or none or several of any name.
    pub via: Vec<String>,
    /// To these sinks.
    pub sinks: Names,
    /// Line of the file.
    pub line: u32,
}

/// Whether a way over these gateways fits a pattern. Patterns are short (the file's reader sees to it) and ways at most
/// [`super::search::MAX_HOPS`] long.
pub fn fits(pattern: &[String], way: &[&str]) -> bool {
    match pattern.split_first() {
        None => way.is_empty(),
        Some((first, rest)) if first == "*" => (0..=way.len()).any(|skip| fits(rest, way.get(skip..).unwrap_or(&[]))),
        Some((first, rest)) => way
            .split_first()
            .is_some_and(|(here, after)| *here == first && fits(rest, after)),
    }
}

/// All that is known, by name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "a map of names each")]
pub struct Known {
    pub domains: BTreeMap<String, KnownDomain>,
    pub sources: BTreeMap<String, KnownSource>,
    pub sinks: BTreeMap<String, KnownSink>,
    pub gateways: BTreeMap<String, KnownGateway>,
    pub topologies: Vec<Topology>,
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_number_of_gateways_and_a_name_for_that_one() {
        let fits = |pattern: &[&str], way: &[&str]| {
            let pattern: Vec<String> = pattern.iter().map(|it| (*it).to_owned()).collect();
            fits(&pattern, way)
        };
        assert!(fits(&[], &[]));
        assert!(!fits(&[], &["a"]));
        assert!(fits(&["*"], &[]) && fits(&["*"], &["a", "b"]));
        assert!(fits(&["a", "*"], &["a"]) && fits(&["a", "*"], &["a", "b"]));
        assert!(!fits(&["a", "*"], &["b", "a"]));
        assert!(fits(&["*", "b"], &["a", "b"]) && !fits(&["*", "b"], &["b", "a"]));
        assert!(!fits(&["a"], &["a", "a"]));
    }
}
