//! The same promises for what runs over domains of other processes.

use crate::Machine;
use crate::command::ConnectionState;
use crate::effect::EXTERNAL;
use crate::routing_command::End;

fn name(machine: &Machine, source: u16) -> &str {
    let own = (0..machine.model().sources.len()).find(|it| machine.source_id(*it) == Some(source));
    let index = own.unwrap_or(EXTERNAL + usize::from(source));
    machine.source_name(index).unwrap_or("?")
}

fn sink_name(machine: &Machine, sink: u16) -> &str {
    let own = machine.registry().sinks.get(&sink);
    own.map_or("?", |it| it.name.as_str())
}

/// A domain's source sounds on its own, or a connection of it is there.
pub(super) fn is_there(machine: &Machine, source: usize) -> bool {
    let Some(id) = source.checked_sub(EXTERNAL).and_then(|id| u16::try_from(id).ok()) else {
        return false;
    };
    let interrupts = machine.registry().sources.get(&id).is_some_and(|it| it.interrupts());
    let gone = [ConnectionState::Disconnected, ConnectionState::Unknown];
    interrupts || machine.mains().any(|it| it.1 == id && !gone.contains(&it.3))
}

/// A connection over domains is on its way, or waits and nobody is in its way.
pub(super) fn on_the_way(machine: &Machine) -> Option<String> {
    for (id, source, sink, state) in machine.mains() {
        let own = (0..machine.model().sources.len()).any(|it| machine.source_id(it) == Some(source));
        let registry = machine.registry();
        let is_lost = !registry.sinks.contains_key(&sink) || !(own || registry.sources.contains_key(&source));
        let what = match state {
            ConnectionState::Connected if is_lost => "stays connected, and one of them is gone".to_owned(),
            ConnectionState::Connected | ConnectionState::Disconnected => continue,
            ConnectionState::Suspended if machine.is_held_up(id) => continue,
            ConnectionState::Suspended => "waits for nobody".to_owned(),
            state => format!("stays {state:?}"),
        };
        return Some(format!(
            "{} at {} {what}",
            name(machine, source),
            sink_name(machine, sink)
        ));
    }
    None
}

/// A sink that is muted, or a source that is ducked, at its domain, and nobody is there to be muted or ducked for. What its domain
/// has refused or not answered yet is its domain's.
pub(super) fn held_down(machine: &Machine) -> Option<String> {
    for (id, sink) in &machine.registry().sinks {
        let coming = machine
            .mains()
            .any(|it| it.2 == *id && it.3 == ConnectionState::Connecting);
        if sink.mute && !sink.wanted_mute && !coming && machine.level_is_settled(End::Sink(*id)) {
            return Some(format!(
                "{} is still muted, and nothing is being connected to it",
                sink.name
            ));
        }
    }
    let alone = |source: u16| {
        let others = machine
            .registry()
            .sources
            .iter()
            .any(|(id, it)| *id != source && it.interrupts());
        let mains = machine.mains().any(|it| it.1 != source);
        let guests = (0..machine.model().sources.len()).filter_map(|it| machine.state_of(it));
        !others && !mains && !guests.into_iter().any(|it| it.running || it.sounding)
    };
    for (id, source) in &machine.registry().sources {
        if source.volume < source.base_volume && alone(*id) && machine.level_is_settled(End::Source(*id)) {
            return Some(format!("{} is still ducked, and nobody else is there", source.name));
        }
    }
    None
}
