//! Volume groups, devices and contexts of a zone's configuration.

use policy::file::{code, did_you_mean, listed};

use super::super::draft::{Lines, Stream, list, quoted};
use super::super::twice;
use super::super::xml::{Attr, El};
use super::Reader;
use super::matrix::{CONTEXTS, Contexts, SINCE_2};
use super::zones::{Config, Seen, renamed};
use crate::blocks::MAX_SOURCES;

/// Types of output devices (version 4), and whether one is always there.
const TYPES: [(&str, bool); 13] = [
    ("TYPE_BUS", true),
    ("TYPE_BUILTIN_SPEAKER", true),
    ("TYPE_WIRED_HEADSET", false),
    ("TYPE_WIRED_HEADPHONES", false),
    ("TYPE_BLUETOOTH_A2DP", false),
    ("TYPE_HDMI", false),
    ("TYPE_USB_ACCESSORY", false),
    ("TYPE_USB_DEVICE", false),
    ("TYPE_USB_HEADSET", false),
    ("TYPE_AUX_LINE", false),
    ("TYPE_BLE_HEADSET", false),
    ("TYPE_BLE_SPEAKER", false),
    ("TYPE_BLE_BROADCAST", false),
];

impl Reader<'_> {
    pub(super) fn groups(&mut self, groups: El<'_>, config: &mut Config<'_>, seen: &mut Seen) {
        groups.known(&[], &["group"]);
        groups.mapped("streams");
        for group in groups.all("group") {
            group.known(&["name", "activationConfig"], &["device"]);
            let before = seen.made.len();
            for device in group.all("device") {
                self.device(device, config, seen);
            }
            let members = seen.made.get(before..).unwrap_or_default().to_vec();
            self.group(group, &members, config.zone, seen);
            if let Some(window) = group.attr("activationConfig") {
                self.activation(&window, &members, seen);
            }
        }
    }

    /// Streams of one gain and mute.
    fn group(&self, group: El<'_>, members: &[Stream], zone: &str, seen: &mut Seen) {
        let name = group.attr("name");
        if members.len() < 2 {
            group.mapped("of one stream: that one's gain");
            if let Some(name) = name {
                name.lost("a group of one needs no name");
            }
            return;
        }
        let wanted = name.map_or_else(
            || format!("{zone}-{}", seen.groups.len() + 1),
            |name| name.value.to_owned(),
        );
        let ours = seen.group_names.take(&wanted, "group");
        group.mapped(format!("[volume_groups.{ours}]"));
        if let Some(name) = name {
            renamed(&name, &ours);
        }
        let members = members.iter().map(|stream| stream.name.clone()).collect();
        seen.groups.push((ours, members, group.input.place(group.span())));
    }

    /// The window of a group.
    fn activation(&mut self, attr: &Attr<'_>, members: &[Stream], seen: &mut Seen) {
        attr.approximated("[[activation]] of the zone's mainVolume: groups have no scale");
        if self.too_early("`activationConfig`", attr.span, 4) {
            return;
        }
        let Some(window) = self.activations.get_mut(attr.value) else {
            let names = self.activations.keys().map(String::as_str);
            let label = format!("known: {}", listed(names.clone()));
            let message = format!("there is no activation volume `{}`", attr.value);
            attr.wrong(code::UNKNOWN_NAME, message, label, did_you_mean(attr.value, names));
            return;
        };
        let mut classes: Vec<String> = members.iter().filter_map(|it| it.class.clone()).collect();
        classes.sort_unstable();
        classes.dedup();
        let Some(zone) = members.iter().find_map(|it| it.zone.clone()) else {
            attr.lost("its streams have no zone");
            return;
        };
        if (window.least, window.most) == (0, 100) {
            attr.lost("bounds nothing");
            return;
        }
        window.used = true;
        seen.windows.push(Lines {
            name: String::new(),
            keys: vec![
                format!("on = {}", quoted(window.on)),
                format!("zone = {}", quoted(&zone)),
                format!("class = {}", list(&classes)),
                format!("min_volume = {}", window.least),
                format!("max_volume = {}", window.most),
            ],
            from: String::new(),
        });
    }

    fn device(&mut self, device: El<'_>, config: &mut Config<'_>, seen: &mut Seen) {
        device.known(&["address", "type"], &["context"]);
        let contexts = self.contexts_of(device, config);
        let carries = !device.all("context").is_empty();
        let fixed = device.attr("type").is_none_or(|attr| {
            attr.mapped("a stream of the guest");
            !self.too_early("`type`", attr.span, 4) && attr.word(&TYPES).unwrap_or(true)
        });
        if !fixed {
            gone(
                device,
                "comes and goes with what is plugged in: a guest's streams are always there",
            );
            return;
        }
        let Some(address) = device.need("address", "name the bus, as `address=\"bus0_media_out\"`") else {
            return;
        };
        if let Some(first) = config.devices.insert(address.value.to_owned(), address.span) {
            twice(
                device.input,
                address.span,
                first,
                format!("device `{}` is in this configuration twice", address.value),
            );
            return;
        }
        if !carries {
            device.rest_lost("carries no context");
            return;
        }
        if let Some((name, zone, first)) = seen.addresses.get(address.value) {
            if *zone == seen.number {
                device.approximated(format!("stream `{name}`, as in the configuration before"));
                address.mapped(format!("stream `{name}`"));
            } else {
                twice(
                    device.input,
                    address.span,
                    *first,
                    format!("device `{}` is in two zones", address.value),
                );
            }
            return;
        }
        self.stream(device, &address, &contexts, config, seen);
    }

    fn stream(
        &mut self,
        device: El<'_>,
        address: &Attr<'_>,
        contexts: &Contexts,
        config: &Config<'_>,
        seen: &mut Seen,
    ) {
        if seen.made.len() >= MAX_SOURCES {
            let why = format!("there is room for {MAX_SOURCES} streams");
            device.input.lost(device.at(), &*why);
            address.lost(why);
            return;
        }
        let class = self.class(contexts, address.value);
        let name = seen.streams.take(address.value, "bus");
        device.mapped(format!("streams.{name}, class `{class}`"));
        renamed(address, &name);
        seen.addresses
            .insert(address.value.to_owned(), (name.clone(), seen.number, address.span));
        let carried = device
            .all("context")
            .iter()
            .filter_map(|it| Some(it.attr("context")?.value))
            .collect::<Vec<_>>();
        seen.made.push(Stream {
            name,
            class: Some(class),
            zone: config.is_default.then(|| config.zone.to_owned()),
            from: carried.join(", "),
            ..Stream::default()
        });
    }

    /// The contexts of a device.
    fn contexts_of(&self, device: El<'_>, config: &mut Config<'_>) -> Contexts {
        let mut all = Contexts::new();
        let here = device.all("context");
        for context in &here {
            context.known(&["context"], &[]);
            let Some(attr) = context.need("context", "name it, as `context=\"music\"`") else {
                continue;
            };
            let key = attr.value.trim().to_lowercase();
            let Some(found) = self.contexts.get(&key) else {
                let names = self.contexts.keys().map(String::as_str);
                let label = format!("known: {}", listed(names.clone()));
                let message = format!("there is no context `{}`", attr.value);
                attr.wrong(code::UNKNOWN_NAME, message, label, did_you_mean(&key, names));
                continue;
            };
            if self.version == 1 && found.iter().any(|it| SINCE_2.contains(it)) {
                self.too_early(&format!("context `{}`", attr.value), attr.span, 2);
            }
            if let Some(first) = config.contexts.insert(key, attr.span) {
                let message = format!("context `{}` is on two devices of this configuration", attr.value);
                twice(context.input, attr.span, first, message);
            }
            all.extend(found);
            if here.len() == 1 && found.len() == 1 {
                context.mapped("the stream's class");
                attr.mapped(format!(
                    "class `{}`",
                    found.first().and_then(|it| CONTEXTS.get(*it)).unwrap_or(&"?")
                ));
            } else {
                let how = "shares a device, so a class: the mildest of what its contexts would be counts";
                context.approximated(how);
                attr.approximated(how);
            }
        }
        all
    }
}

/// A device that there can't be, with what it carries.
fn gone(device: El<'_>, why: &str) {
    device.input.lost(device.at(), why);
    if let Some(attr) = device.attr("type") {
        attr.lost(why);
    }
    for context in device.all("context") {
        context.input.lost(context.at(), why);
    }
    device.rest_lost(why);
}
