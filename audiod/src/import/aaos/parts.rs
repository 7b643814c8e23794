//! What stands beside the zones: contexts of one's own, device settings, mirroring, activation volumes.

use std::collections::BTreeMap;

use policy::file::code;
use policy::report::{Diagnostic, Span};

use super::super::twice;
use super::super::xml::{Attr, El};
use super::Reader;
use super::matrix::{self, Contexts};

/// Settings that the file may have, and what becomes of them.
const SETTINGS: [(&str, &str); 4] = [
    ("useCoreAudioVolume", "volumes are the mixer's, whoever asks for them"),
    ("useCoreAudioRouting", "routes are the mixer's, whoever asks for them"),
    (
        "useHalDuckingSignals",
        "the mixer ducks by the matrix and needs no signal",
    ),
    (
        "useCarVolumeGroupMuting",
        "a zone or a stream is muted, over D-Bus or by the guest's own control",
    ),
];

impl<'a> Reader<'a> {
    pub(super) fn oem_contexts(&mut self, section: El<'_>) {
        section.known(&[], &["oemContext"]);
        section.mapped("[classes]");
        let mut contexts: BTreeMap<String, Contexts> = BTreeMap::new();
        let mut places: BTreeMap<String, Span> = BTreeMap::new();
        for context in section.all("oemContext") {
            context.known(&["name"], &["audioAttributes"]);
            context.mapped("contexts that a class is made of");
            let usages = usages(context);
            let Some(name) = context.need("name", "name it, as `name=\"OEM_MUSIC\"`") else {
                continue;
            };
            let key = name.value.trim().to_lowercase();
            if let Some(first) = places.insert(key.clone(), name.span) {
                twice(
                    context.input,
                    name.span,
                    first,
                    format!("two contexts are called `{}`", name.value),
                );
            }
            name.approximated("classes are called by the service's contexts that the usages belong to");
            contexts.insert(key, usages);
        }
        if self.version < 3 {
            section.rest_lost("versions before 3 have the service's contexts only");
            for context in section.all("oemContext") {
                context
                    .input
                    .lost(context.at(), "versions before 3 have the service's contexts only");
            }
            return;
        }
        if !contexts.is_empty() {
            self.contexts = contexts;
            self.own_contexts = true;
        }
    }

    pub(super) fn mirroring(&mut self, section: El<'_>) {
        if self.too_early("<mirroringDevices>", section.span(), 3) {
            return;
        }
        section.known(&[], &["mirroringDevice"]);
        section.approximated("any stream may be connected to several zones over D-Bus; mirroring needs no device");
        let mut places: BTreeMap<String, Span> = BTreeMap::new();
        for device in section.all("mirroringDevice") {
            device.known(&["address"], &[]);
            device.approximated("mirroring needs no device of its own: `audioctl connect STREAM ZONE`");
            let Some(address) = device.need("address", "name a bus, as `address=\"mirror_bus\"`") else {
                continue;
            };
            if let Some(first) = places.insert(address.value.to_owned(), address.span) {
                twice(
                    device.input,
                    address.span,
                    first,
                    format!("mirroring device `{}` repeats", address.value),
                );
            }
            address.lost("no stream of its own is needed");
        }
    }

    pub(super) fn activations(&mut self, section: El<'a>) {
        section.known(&[], &["activationVolumeConfig"]);
        section.mapped("see its parts");
        let mut places: BTreeMap<String, Span> = BTreeMap::new();
        for window in section.all("activationVolumeConfig") {
            window.known(&["name"], &["activationVolumeConfigEntry"]);
            let entries = window.all("activationVolumeConfigEntry");
            let read: Vec<Window<'a>> = entries.iter().map(|it| entry(window, it)).collect();
            if let Some(second) = entries.get(1) {
                let first = entries.first().map_or(second.span(), El::span);
                twice(
                    window.input,
                    second.span(),
                    first,
                    "an activation volume has one entry".to_owned(),
                );
            }
            let Some(name) = window.need("name", "name it, as `name=\"on_boot\"`") else {
                continue;
            };
            if let Some(first) = places.insert(name.value.to_owned(), name.span) {
                let message = format!("two activation volumes are called `{}`", name.value);
                twice(window.input, name.span, first, message);
            }
            let whole = Window {
                element: window,
                on: "playback",
                least: 0,
                most: 100,
                used: false,
            };
            self.activations
                .insert(name.value.to_owned(), read.into_iter().next().unwrap_or(whole));
        }
    }

    /// What became of the windows, once all groups are read.
    pub(super) fn windows_told(&self) {
        for window in self.activations.values() {
            match window.used {
                true => {
                    window
                        .element
                        .approximated("[[activation]] of the zone's mainVolume: groups have no scale");
                    window
                        .element
                        .rest_approximated("[[activation]], percent of the zone's volumes");
                }
                false => window.element.rest_lost("no group names it, or it bounds nothing"),
            }
        }
    }
}

/// An activation volume.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    element: El<'a>,
    /// Our word for when.
    pub on: &'static str,
    /// Percent.
    pub least: i64,
    /// Percent.
    pub most: i64,
    /// Made a window of.
    pub used: bool,
}

/// One entry of a window.
fn entry<'a>(window: El<'a>, entry: &El<'a>) -> Window<'a> {
    entry.known(
        &[
            "invocationType",
            "minActivationVolumePercentage",
            "maxActivationVolumePercentage",
        ],
        &[],
    );
    let percent = |name: &str, otherwise: i64| match entry.attr(name) {
        Some(attr) => attr.integer(0..=100),
        None => Some(otherwise),
    };
    let (least, most) = (
        percent("minActivationVolumePercentage", 0),
        percent("maxActivationVolumePercentage", 100),
    );
    if let (Some(least), Some(most)) = (least, most)
        && least >= most
    {
        let message = format!("an activation window from {least} to {most} % is empty");
        let found = Diagnostic::error(code::CONFLICT, entry.span(), message);
        entry.input.push(found.label("the minimum has to be below the maximum"));
    }
    let kinds = [
        ("onBoot", "boot"),
        ("onSourceChanged", "source"),
        ("onPlaybackChanged", "playback"),
    ];
    let on = entry.attr("invocationType").and_then(|kind| kind.word(&kinds));
    Window {
        element: window,
        on: on.unwrap_or("playback"),
        least: least.unwrap_or(0),
        most: most.unwrap_or(100),
        used: false,
    }
}

pub(super) fn device_configurations(section: El<'_>) {
    section.known(&[], &["deviceConfiguration"]);
    section.approximated("see its parts");
    let mut places: BTreeMap<String, Span> = BTreeMap::new();
    for setting in section.all("deviceConfiguration") {
        setting.known(&["name", "value"], &[]);
        let Some(name) = setting.need("name", "name it, as `name=\"useHalDuckingSignals\"`") else {
            continue;
        };
        let Some((_, note)) = SETTINGS.iter().find(|(known, _)| *known == name.value) else {
            setting.rest_lost("the documented format has no such setting");
            continue;
        };
        if let Some(value) = setting.need("value", "write `value=\"true\"` or `value=\"false\"`") {
            let _ = value.boolean();
        }
        if places.insert(name.value.to_owned(), name.span).is_some() {
            setting.rest_lost("given before; the first counts");
            continue;
        }
        setting.rest_approximated(note);
    }
}

/// The service's contexts that the usages of an element belong to.
pub(super) fn usages(of: El<'_>) -> Contexts {
    let mut contexts = Contexts::new();
    let mut any = false;
    for list in of.all("audioAttributes") {
        list.known(&[], &["usage", "audioAttribute"]);
        list.mapped("see its parts");
        for item in list
            .children()
            .filter(|item| ["usage", "audioAttribute"].contains(&item.name()))
        {
            any = true;
            let key = if item.name() == "usage" { "value" } else { "usage" };
            item.known(&["value", "usage", "contentType", "tags"], &[]);
            item.mapped("decides which context of the service's tables counts");
            if !["value", "usage", "contentType", "tags"]
                .iter()
                .any(|attr| item.attr(attr).is_some())
            {
                let found = Diagnostic::error(code::MISSING_KEY, item.span(), "these audio attributes are empty");
                item.input.push(
                    found
                        .label("says nothing")
                        .help("give a usage, as `usage=\"AUDIO_USAGE_MEDIA\"`"),
                );
            }
            contexts.extend(item.attr(key).and_then(|attr| usage(&attr)));
            for attr in ["contentType", "tags", if key == "value" { "usage" } else { "value" }] {
                if let Some(attr) = item.attr(attr) {
                    attr.lost("the mixer sees a stream, not the attributes of what plays on it");
                }
            }
        }
    }
    if !any {
        let message = format!("<{}> has no audio attributes", of.name());
        let found = Diagnostic::error(code::MISSING_KEY, of.span(), message).label("belongs to no usage");
        of.input
            .push(found.help("add `<audioAttributes><usage value=\"AUDIO_USAGE_MEDIA\"/></audioAttributes>`"));
    }
    contexts
}

/// The context that a usage belongs to; one that is none is a mistake.
pub(super) fn usage(attr: &Attr<'_>) -> Option<usize> {
    match matrix::of_usage(attr.value) {
        Some(context) => {
            attr.mapped(format!("context `{}`", matrix::CONTEXTS.get(context).unwrap_or(&"?")));
            Some(context)
        }
        None => {
            let message = format!("`{}` is no usage", attr.value);
            attr.wrong(
                code::UNKNOWN_WORD,
                message,
                "known: AUDIO_USAGE_MEDIA and its like",
                None,
            );
            None
        }
    }
}
