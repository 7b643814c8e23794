//! mainVolumes that a class has of its own at a sink (AudioManager's per-sink class volume), where its `own_volume` says so.
//!
//! They are main sound properties of the sink, of the type 61824 - 101 + classID, in the scale of its curve. What is set goes
//! before the sink's own mainVolume:
//!
//! * at a zone for the sources of that class, beside whatever else is heard there;
//! * at a domain's sink while the newest that is heard there is of that class; a client's SetVolume then sets the class's.

use std::collections::BTreeMap;

use super::Machine;
use super::state::State;
use crate::Model;
use crate::command::{Property, Signal, error};
use crate::curve;

/// Those that are kept: classes by sinks.
const MOST: usize = 4096;
/// The class property that says so.
const OWN: i16 = 61440_u16 as i16;
/// The type for classID 101.
const FIRST: i32 = 61824;

/// The mainVolume that counts for a source at a zone: its class's, or the zone's.
pub(super) fn zone_volume(model: &Model, state: &State, (source, sink): (usize, usize)) -> Option<i16> {
    let own = || {
        let class = model.sources.get(source)?.class;
        let own = model.classes.get(class)?.own_volume && !state.class_volumes.is_empty();
        let name = own.then(|| model.sinks.get(sink).map(|it| it.name.clone()))??;
        state.class_volumes.get(&(class, name)).copied()
    };
    own().or_else(|| state.sinks.get(sink).map(|it| it.volume))
}

/// Those of classes that the model still has, by name.
pub(super) fn class_volumes(model: &Model, saved: &[(String, String, i16)]) -> BTreeMap<(usize, String), i16> {
    let index = |name: &String| model.classes.iter().position(|it| it.name == *name);
    let known = saved.iter().take(MOST);
    known
        .filter_map(|(class, sink, volume)| Some(((index(class)?, sink.clone()), *volume)))
        .collect()
}

impl Machine {
    pub(super) fn save_class_volumes(&self) -> Vec<(String, String, i16)> {
        let all = self.state.class_volumes.iter();
        let named = all.filter_map(|((class, sink), volume)| {
            let class = self.model.classes.get(*class)?;
            Some((class.name.clone(), sink.clone(), *volume))
        });
        named.collect()
    }

    /// What clients are told of a class: with a volume of its own also AudioManager's 61440 = 1.
    pub(super) fn class_properties(&self, class: usize) -> Vec<Property> {
        let class = self.model.classes.get(class);
        let own = class.filter(|it| it.own_volume).map(|_| (OWN, 1));
        let written = class.map(|it| it.properties.iter().copied());
        written.into_iter().flatten().chain(own).collect()
    }

    /// The class of which a main sound property is the volume.
    pub(super) fn class_of_volume(&self, kind: i16) -> Option<usize> {
        let id = i32::from(kind as u16) - FIRST + 101;
        let class = self.state.ids.classes.index(u16::try_from(id).ok()?)?;
        self.model.classes.get(class)?.own_volume.then_some(class)
    }

    fn type_of(&self, class: usize) -> Option<i16> {
        let id = i32::from(self.state.ids.classes.id(class)?);
        u16::try_from(FIRST - 101 + id).ok().map(|it| it as i16)
    }

    /// A class's own mainVolume at a zone.
    pub(super) fn own_volume(&self, class: usize, sink: &str) -> Option<i16> {
        let own = self.model.classes.get(class)?.own_volume;
        self.state
            .class_volumes
            .get(&(class, sink.to_owned()))
            .copied()
            .filter(|_| own)
    }

    /// Sets one; `None`: the property is no class's volume.
    pub(super) fn set_class_volume(&mut self, id: u16, property: Property, late: &mut Vec<Signal>) -> Option<i16> {
        let class = self.class_of_volume(property.0)?;
        let (name, curve) = self.scale_of(id)?;
        let volume = curve::clamp(curve, property.1);
        let key = (class, name.to_owned());
        if self.state.class_volumes.insert(key, volume) != Some(volume) {
            let property = (property.0, volume);
            late.push(Signal::MainSinkSoundPropertyChanged { sink: id, property });
        }
        Some(error::OK)
    }

    fn scale_of(&self, id: u16) -> Option<(&str, &[(i16, crate::Db10)])> {
        let built_in = self.state.ids.sinks.index(id).and_then(|it| self.model.sinks.get(it));
        match built_in {
            Some(sink) => Some((&sink.name, &sink.curve)),
            None => {
                let name = &self.state.routing.registry.sinks.get(&id)?.name;
                Some((name, self.model.routing.curve_of(name)))
            }
        }
    }

    /// Those that are set at a sink, as main sound properties.
    pub(super) fn class_volumes_of(&self, id: u16) -> Vec<Property> {
        let Some((name, _)) = self.scale_of(id) else {
            return Vec::new();
        };
        let set = self.state.class_volumes.iter().filter(|((_, sink), _)| sink == name);
        set.filter_map(|((class, _), volume)| Some((self.type_of(*class)?, *volume)))
            .collect()
    }
}
