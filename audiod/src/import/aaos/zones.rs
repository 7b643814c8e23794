//! Zones, their configurations and what they record. What sounds in them: [`devices`](super::devices).

use std::collections::{BTreeMap, BTreeSet};

use policy::file::code;
use policy::report::{Diagnostic, Span};
use vhost_sound::block::MAX_STREAMS;

use super::super::draft::{Draft, Guest, Lines, Stream, Zone, list};
use super::super::names::Names;
use super::super::twice;
use super::super::xml::{Attr, El};
use super::Reader;
use crate::blocks::{MAX_SOURCES, MAX_ZONES};

/// What is known of all zones.
#[derive(Default)]
pub(super) struct Seen {
    pub zones: Names,
    pub streams: Names,
    pub ids: BTreeMap<i64, Span>,
    pub occupants: BTreeMap<i64, Span>,
    pub inputs: BTreeMap<String, Span>,
    pub configs: BTreeMap<String, Span>,
    pub primary: Option<Span>,
    /// Streams by address: name, and the zone (by number) it is of.
    pub addresses: BTreeMap<String, (String, usize, Span)>,
    pub made: Vec<Stream>,
    pub group_names: Names,
    /// Name, streams and place of each group.
    pub groups: Vec<(String, Vec<String>, String)>,
    pub windows: Vec<Lines>,
    /// The zone at hand.
    pub number: usize,
}

/// One zone configuration while it is read.
pub(super) struct Config<'n> {
    pub zone: &'n str,
    pub is_default: bool,
    pub contexts: BTreeMap<String, Span>,
    pub devices: BTreeMap<String, Span>,
}

impl<'a> Reader<'a> {
    /// `None` when there is a mistake that leaves no zone.
    pub(super) fn zones(&mut self, draft: &mut Draft) -> Option<()> {
        let sections = self.root.all("zones");
        let Some((section, more)) = sections.split_first() else {
            let found =
                Diagnostic::error(code::MISSING_KEY, self.root.span(), "there are no <zones>").label("has none");
            self.root.input.push(found.help("add `<zones>` with a primary zone"));
            return None;
        };
        more.iter()
            .for_each(|section| section.rest_lost("the first <zones> counts"));
        section.known(&[], &["zone"]);
        section.mapped("[zones]");
        let mut seen = Seen::default();
        for zone in section.all("zone") {
            self.zone(zone, &mut seen, draft);
            seen.number += 1;
        }
        if seen.primary.is_none() {
            let found = Diagnostic::error(code::MISSING_KEY, section.span(), "there is no primary zone");
            section.input.push(
                found
                    .label("none of its zones is")
                    .help("write `isPrimary=\"true\"` on the driver's zone"),
            );
        }
        draft.guests = guests(seen.made);
        let full = |stream: &String| {
            let guest = draft
                .guests
                .iter()
                .find(|guest| guest.streams.iter().any(|it| it.name == *stream));
            format!("{}.{stream}", guest.map_or("android", |guest| guest.name.as_str()))
        };
        let group = |(name, streams, from): (String, Vec<String>, String)| Lines {
            name,
            keys: vec![format!(
                "sources = {}",
                list(&streams.iter().map(full).collect::<Vec<_>>())
            )],
            from,
        };
        draft.groups = seen.groups.into_iter().map(group).collect();
        draft.windows = seen.windows;
        Some(())
    }

    fn zone(&mut self, zone: El<'a>, seen: &mut Seen, draft: &mut Draft) {
        zone.known(
            &["name", "isPrimary", "audioZoneId", "occupantZoneId"],
            &["volumeGroups", "zoneConfigs", "inputDevices", "displays"],
        );
        for displays in zone.all("displays") {
            displays.rest_lost("which screens a zone belongs to is not described");
        }
        self.identity(zone, seen);
        let wanted = zone.attr("name").map_or("", |attr| attr.value);
        let room = draft.zones.len() < MAX_ZONES;
        let (streams, groups, windows) = (seen.made.len(), seen.groups.len(), seen.windows.len());
        let applied = self.applied.len();
        let name = match room {
            true => seen.zones.take(wanted, "zone"),
            false => String::new(),
        };
        let (old, new) = (zone.all("volumeGroups"), zone.all("zoneConfigs"));
        if self.version < 3 {
            new.iter()
                .for_each(|it| it.rest_lost("read from version 3 on: older files have <volumeGroups> in the zone"));
            let mut config = Config::new(&name, true);
            old.iter().for_each(|groups| self.groups(*groups, &mut config, seen));
        } else {
            old.iter()
                .for_each(|it| it.rest_lost("not read from version 3 on: <volumeGroups> stand in a <zoneConfig>"));
            self.configs(zone, &new, &name, seen);
        }
        zone.all("inputDevices")
            .iter()
            .for_each(|inputs| self.inputs(*inputs, seen));
        if !room {
            let why = format!("there is room for {MAX_ZONES} zones");
            zone.rest_lost(&why);
            zone.input.refused(zone.range(), &why);
            seen.made.truncate(streams);
            seen.groups.truncate(groups);
            seen.windows.truncate(windows);
            self.applied.truncate(applied);
            return;
        }
        zone.mapped(format!("[zones.{name}]"));
        if let Some(attr) = zone.attr("name") {
            renamed(&attr, &name);
        }
        draft.zones.push(Zone {
            name,
            channels: 2,
            from: zone.input.place(zone.span()),
            ..Zone::default()
        });
    }

    /// Who a zone is, and whether another is the same.
    fn identity(&self, zone: El<'_>, seen: &mut Seen) {
        let primary = zone.attr("isPrimary").is_some_and(|attr| {
            attr.approximated("no zone is special here");
            attr.boolean() == Some(true)
        });
        if primary && let Some(first) = seen.primary.replace(zone.span()) {
            twice(zone.input, zone.span(), first, "there are two primary zones".to_owned());
        }
        if let Some(attr) = zone.attr("occupantZoneId") {
            attr.lost("which seats a zone is for is not described");
            if !self.too_early("`occupantZoneId`", attr.span, 2)
                && let Some(id) = attr.integer(0..=i32::MAX.into())
                && let Some(first) = seen.occupants.insert(id, attr.span)
            {
                twice(
                    zone.input,
                    attr.span,
                    first,
                    format!("occupant zone {id} has two audio zones"),
                );
            }
        }
        self.zone_id(zone, primary, seen);
    }

    /// `audioZoneId`: 0 is the primary zone's, each once.
    fn zone_id(&self, zone: El<'_>, primary: bool, seen: &mut Seen) {
        let Some(attr) = zone.attr("audioZoneId") else {
            if self.version > 1 && !primary {
                let found = Diagnostic::error(code::MISSING_KEY, zone.span(), "this zone has no `audioZoneId`");
                zone.input.push(
                    found
                        .label("only the primary zone may do without")
                        .help("write `audioZoneId=\"1\"`"),
                );
            }
            return;
        };
        attr.lost("zones are known by their names");
        if self.too_early("`audioZoneId`", attr.span, 2) {
            return;
        }
        let Some(id) = attr.integer(0..=i32::MAX.into()) else {
            return;
        };
        if primary != (id == 0) {
            attr.wrong(
                code::CONFLICT,
                "the primary zone, and no other, has the ID 0",
                if primary { "is primary" } else { "isn't primary" },
                None,
            );
        } else if let Some(first) = seen.ids.insert(id, attr.span) {
            twice(zone.input, attr.span, first, format!("two zones have the ID {id}"));
        }
    }

    fn configs(&mut self, zone: El<'a>, sections: &[El<'a>], name: &str, seen: &mut Seen) {
        let configs: Vec<El<'a>> = sections.iter().flat_map(|section| section.all("zoneConfig")).collect();
        for section in sections {
            section.known(&[], &["zoneConfig"]);
            section.mapped("the default one is the zone");
        }
        let is_default = |config: &&El<'a>| {
            config
                .attr("isDefault")
                .is_some_and(|attr| attr.value.eq_ignore_ascii_case("true"))
        };
        let defaults: Vec<&El<'a>> = configs.iter().filter(is_default).collect();
        match defaults.as_slice() {
            [_] => {}
            [first, second, ..] => {
                let message = "a zone has one default configuration".to_owned();
                twice(zone.input, second.span(), first.span(), message);
            }
            [] => {
                let found = Diagnostic::error(code::MISSING_KEY, zone.span(), "this zone has no default configuration");
                zone.input.push(
                    found
                        .label("has none")
                        .help("write `isDefault=\"true\"` on one <zoneConfig>"),
                );
            }
        }
        let primary = zone
            .attr("isPrimary")
            .is_some_and(|attr| attr.value.eq_ignore_ascii_case("true"));
        if let (true, true, Some(second)) = (primary, self.version < 4, configs.get(1)) {
            let message = "a primary zone of several configurations came with version 4";
            let found = Diagnostic::error(code::CONFLICT, second.span(), message);
            zone.input.push(
                found
                    .label("one too many")
                    .help("write `version=\"4\"`, or take it out"),
            );
        }
        let (first, others): (Vec<El<'a>>, Vec<El<'a>>) = configs.iter().partition(|config| is_default(config));
        for config in first.into_iter().chain(others) {
            self.config(config, name, seen);
        }
    }

    fn config(&mut self, config: El<'a>, zone: &str, seen: &mut Seen) {
        config.known(&["name", "isDefault"], &["volumeGroups", "applyFadeConfigs"]);
        let is_default = config.attr("isDefault").is_some_and(|attr| {
            attr.mapped("decides whether its streams sound in the zone of their own accord");
            attr.boolean() == Some(true)
        });
        let on_request = "not the default one: its streams have no zone, and are connected on request";
        match is_default {
            true => config.mapped(format!("[zones.{zone}]")),
            false => config.approximated(on_request),
        }
        if let Some(attr) = config.need("name", "name it, as `name=\"cabin config 0\"`") {
            attr.lost("configurations of a zone have no names here");
            if let Some(first) = seen.configs.insert(attr.value.to_owned(), attr.span) {
                twice(
                    config.input,
                    attr.span,
                    first,
                    format!("two configurations are called `{}`", attr.value),
                );
            }
        }
        let mut read = Config::new(zone, is_default);
        for groups in config.all("volumeGroups") {
            self.groups(groups, &mut read, seen);
        }
        for fades in config.all("applyFadeConfigs") {
            let classes = read.classes(seen);
            self.apply(fades, &classes);
        }
    }

    fn inputs(&self, inputs: El<'_>, seen: &mut Seen) {
        if self.too_early("<inputDevices>", inputs.span(), 2) {
            return;
        }
        inputs.known(&[], &["inputDevice"]);
        inputs.mapped("streams that record");
        for device in inputs.all("inputDevice") {
            device.known(&["address", "type"], &[]);
            if let Some(attr) = device.attr("type") {
                attr.lost("a stream records what its codec hears");
            }
            let Some(address) = device.need("address", "name it, as `address=\"bottom_mic\"`") else {
                continue;
            };
            if let Some(first) = seen.inputs.insert(address.value.to_owned(), address.span) {
                twice(
                    device.input,
                    address.span,
                    first,
                    format!("input device `{}` repeats", address.value),
                );
            }
            if seen.made.len() >= MAX_SOURCES {
                device.rest_lost(&format!("there is room for {MAX_SOURCES} streams"));
                continue;
            }
            let name = seen.streams.take(address.value, "microphone");
            device.approximated("records the codec's input; which microphone that is, is the codec's matter");
            renamed(&address, &name);
            seen.made.push(Stream {
                name,
                ..Stream::default()
            });
        }
    }
}

impl<'n> Config<'n> {
    /// The classes that sound in it.
    fn classes(&self, seen: &Seen) -> BTreeSet<String> {
        let streams = self.devices.keys().filter_map(|address| seen.addresses.get(address));
        let made = streams.filter_map(|(name, ..)| seen.made.iter().find(|it| it.name == *name));
        made.filter_map(|stream| stream.class.clone()).collect()
    }

    fn new(zone: &'n str, is_default: bool) -> Self {
        Self {
            zone,
            is_default,
            contexts: BTreeMap::new(),
            devices: BTreeMap::new(),
        }
    }
}

/// A name that our file may have to write otherwise.
pub(super) fn renamed(attr: &Attr<'_>, name: &str) {
    match attr.value == name {
        true => attr.mapped(format!("is called `{name}`")),
        false => attr.approximated(format!("is called `{name}`")),
    }
}

/// Android as one guest; as several devices of it where it has more streams than one has room for.
fn guests(streams: Vec<Stream>) -> Vec<Guest> {
    let parts = streams.chunks(MAX_STREAMS).enumerate();
    parts
        .map(|(index, streams)| Guest {
            name: if index == 0 {
                "android".to_owned()
            } else {
                format!("android-{}", index + 1)
            },
            from: if index == 0 {
                String::new()
            } else {
                "a second sound card of the same guest".to_owned()
            },
            streams: streams.to_vec(),
        })
        .collect()
}
