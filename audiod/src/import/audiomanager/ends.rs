//! Sources and sinks: streams of guests and zones.

use policy::file::{code, did_you_mean, listed};
use vhost_sound::block::MAX_STREAMS;

use super::super::draft::{Draft, Guest, Stream, Zone};
use super::super::names::Names;
use super::super::xml::{Attr, El};
use super::curve;
use super::elements::Chain;
use super::{ClassOf, DEFAULT_CLASS, Is, Reader};
use crate::blocks::{MAX_SOURCES, MAX_ZONES};

/// Elements within a source or sink.
pub(super) const PARTS: [&str; 7] = [
    "availability",
    "soundProperty",
    "mainSoundProperty",
    "mapMSPtoSP",
    "notificationConfiguration",
    "mainNotificationConfiguration",
    "gateway",
];

/// Attributes of both.
const COMMON: [&str; 19] = [
    "id",
    "domainName",
    "name",
    "volume",
    "visible",
    "className",
    "connectionFormat",
    "soundPropertiesTemplateName",
    "mainSoundPropertiesTemplateName",
    "notificationConfigurationsTemplateName",
    "mainNotificationConfigurationsTemplateName",
    "connectionFormatsTemplateName",
    "baseName",
    "registrationType",
    "isVolumeSupported",
    "isPersistencySupported",
    "isVolumePersistencySupported",
    "priority",
    "mapMSPToSPTemplateName",
];
const OF_SOURCES: [&str; 6] = [
    "sourceState",
    "interruptState",
    "sourceVolumeMap",
    "minVolume",
    "maxVolume",
    "sourceVolumeMapTemplateName",
];
const OF_SINKS: [&str; 7] = [
    "mainVolume",
    "muteState",
    "sinkVolumeMap",
    "listMainVolumesToNormalizedVolumes",
    "listNormalizedVolumesToDecibelVolumes",
    "mainVolumesToNormalizedVolumesTemplateName",
    "normalizedVolumesToDecibelVolumesTemplateName",
];

/// What is lost of each, and why. Checked where a whole number is wanted.
const LOST: [(&str, &str); 16] = [
    ("id", "numbers are given at run time; clients look names up"),
    (
        "registrationType",
        "guests, streams and zones are there as the file says",
    ),
    ("priority", "priorities are classes'"),
    ("sourceState", "a stream's state is what its driver makes it"),
    (
        "interruptState",
        "a guest's stream doesn't interrupt: it starts and stops",
    ),
    ("isVolumeSupported", "the mixer sets every volume"),
    ("sourceVolumeMap", "gains are in dB"),
    ("sourceVolumeMapTemplateName", "gains are in dB"),
    ("sinkVolumeMap", "gains are in dB"),
    ("minVolume", "a stream's gain has no least value"),
    ("maxVolume", "a stream's gain ends at 0 dB"),
    ("soundPropertiesTemplateName", "the mixer has no tone controls"),
    ("mainSoundPropertiesTemplateName", "the mixer has no tone controls"),
    (
        "notificationConfigurationsTemplateName",
        "streams and zones notify by their signals only",
    ),
    (
        "mainNotificationConfigurationsTemplateName",
        "streams and zones notify by their signals only",
    ),
    ("mapMSPToSPTemplateName", "the mixer has no tone controls"),
];

/// Why a part or a list of parts is lost.
pub(super) fn note_of(part: &str) -> &'static str {
    match part {
        "availability" => "a guest's stream is available while its guest is there, a zone always",
        "notificationConfiguration"
        | "mainNotificationConfiguration"
        | "notificationConfigurations"
        | "mainNotificationConfigurations" => "streams and zones notify by their signals only",
        _ => "the mixer has no tone controls",
    }
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Source,
    Sink,
}

impl Kind {
    /// All attributes.
    pub fn attributes(self) -> Vec<&'static str> {
        let own: &[&str] = if self == Self::Source { &OF_SOURCES } else { &OF_SINKS };
        COMMON.iter().chain(own).copied().collect()
    }

    /// A name for messages.
    pub fn example(self) -> &'static str {
        if self == Self::Source { "Media" } else { "AllSpeakers" }
    }
}

/// A source or sink while it is read.
pub(super) struct End<'a, 'c> {
    pub element: El<'a>,
    pub chain: &'c Chain<'a>,
    pub name: Attr<'a>,
    pub kind: Kind,
}

impl<'a> Reader<'a> {
    /// A stream or zone of a source or sink.
    pub(super) fn read_end(&mut self, end: &End<'a, '_>, guest: &mut Guest) -> Is {
        let Some((class, capture)) = self.class_of(end) else {
            return Is::Gone("its class is unknown".to_owned());
        };
        self.common(end);
        match (end.kind, capture) {
            (Kind::Source, false) => self.stream(end, Some(class), guest),
            (Kind::Sink, false) => self.zone(end),
            (Kind::Sink, true) => self.stream(end, None, guest),
            (Kind::Source, true) => {
                let why = "what is recorded is the input of the codec";
                end.chain.0.iter().for_each(|part| part.rest_approximated(why));
                Is::Gone(why.to_owned())
            }
        }
    }

    /// Our name of its class, and whether that is of capture.
    fn class_of(&mut self, end: &End<'a, '_>) -> Option<(String, bool)> {
        let attr = end.chain.attr("className");
        let name = attr.map_or(DEFAULT_CLASS, |attr| attr.value);
        if end.kind == Kind::Sink {
            let capture = self.classes.get(name).is_some_and(|class| class.capture);
            match attr {
                Some(attr) if capture => attr.mapped("a sink of a capture class is a stream that records"),
                Some(attr) => attr.lost("a zone has no class: those of its streams count"),
                None => {}
            }
            return Some((String::new(), capture));
        }
        if name == DEFAULT_CLASS {
            self.default_class();
        }
        if let Some(attr) = attr {
            attr.mapped("the stream's class");
        }
        let known = self.class_used(name).map(|class| (class.ours.clone(), class.capture));
        if known.is_none()
            && let Some(attr) = attr
        {
            let names = self.classes.keys().map(String::as_str);
            let label = format!("classes: {}", listed(names.clone()));
            let message = format!("there is no class `{name}`");
            attr.wrong(code::UNKNOWN_NAME, message, label, did_you_mean(name, names));
        }
        known
    }

    /// The class that the controller gives to what has none.
    fn default_class(&mut self) {
        if self.classes.contains_key(DEFAULT_CLASS) {
            return;
        }
        let class = ClassOf {
            ours: self.class_names.take(DEFAULT_CLASS, DEFAULT_CLASS),
            capture: false,
            priority: -100,
            topologies: Vec::new(),
            properties: Vec::new(),
            element: None,
            used: false,
        };
        self.classes.insert(DEFAULT_CLASS.to_owned(), class);
    }

    /// What both kinds have, and is not looked at here.
    fn common(&mut self, end: &End<'a, '_>) {
        for part in &end.chain.0 {
            for (key, why) in LOST {
                if let Some(attr) = part.attr(key) {
                    attr.lost(why);
                }
            }
            for key in ["isPersistencySupported", "isVolumePersistencySupported"] {
                if let Some(attr) = part.attr(key) {
                    persistence(&attr, &mut self.draft);
                }
            }
            for child in part
                .children()
                .filter(|child| PARTS.contains(&child.name()) && child.name() != "gateway")
            {
                child.rest_lost(note_of(child.name()));
            }
        }
        for (key, words) in [
            ("sourceState", &["SS_UNKNOWN", "SS_ON", "SS_OFF", "SS_PAUSED"][..]),
            ("interruptState", &["IS_UNKNOWN", "IS_OFF", "IS_INTERRUPTED"]),
            ("registrationType", &["REG_NONE", "REG_CONTROLLER", "REG_ROUTER"]),
        ] {
            if let Some(attr) = end.chain.attr(key) {
                let words: Vec<(&'static str, ())> = words.iter().map(|word| (*word, ())).collect();
                let _ = attr.word(&words);
            }
        }
        if let Some(attr) = end.chain.attr("priority") {
            let _ = attr.integer(i32::MIN.into()..=i32::MAX.into());
        }
    }

    fn stream(&mut self, end: &End<'a, '_>, class: Option<String>, guest: &mut Guest) -> Is {
        if guest.streams.len() >= MAX_STREAMS || self.streams >= MAX_SOURCES {
            let why = format!("there is room for {MAX_STREAMS} streams of a guest, {MAX_SOURCES} of all");
            end.element.rest_lost(&why);
            return Is::Gone(why);
        }
        let mut names = Names::default();
        for stream in &guest.streams {
            names.take(&stream.name, "stream");
        }
        let name = names.take(end.name.value, "stream");
        let ours = format!("{}.{name}", guest.name);
        end.name.approximated(format!("is called `{ours}`"));
        match class.is_some() {
            true => end.element.mapped(format!("guests.{}.streams.{name}", guest.name)),
            false => end.element.approximated(format!("`{ours}` records the codec's input")),
        }
        for key in OF_SINKS {
            if let Some(attr) = end.chain.attr(key) {
                attr.lost("a stream that records has no mainVolume");
            }
        }
        self.streams += 1;
        let records = class.is_none();
        guest.streams.push(Stream {
            name,
            gain: self.gain(end),
            channels: self.channels(end),
            hidden: class.is_some() && self.hidden(end),
            class,
            zone: None,
            from: end.element.input.place(end.element.span()),
        });
        match records {
            true => Is::Gone("a stream that records".to_owned()),
            false => Is::Here(ours),
        }
    }

    fn zone(&mut self, end: &End<'a, '_>) -> Is {
        if self.draft.zones.len() >= MAX_ZONES {
            let why = format!("there is room for {MAX_ZONES} zones");
            end.element.rest_lost(&why);
            return Is::Gone(why);
        }
        let mut names = Names::default();
        for zone in &self.draft.zones {
            names.take(&zone.name, "zone");
        }
        let name = names.take(end.name.value, "zone");
        renamed(&end.name, &name);
        end.element.mapped(format!("[zones.{name}]"));
        let curve = self.curve(end);
        if let Some(attr) = end.chain.attr("volume") {
            attr.lost("a zone's gain follows from its mainVolume");
        }
        let volume = self.main_volume(end, &curve);
        let muted = end.chain.attr("muteState").is_some_and(|attr| {
            attr.mapped("`muted`");
            attr.word(&[("MS_UNKNOWN", false), ("MS_UNMUTED", false), ("MS_MUTED", true)]) == Some(true)
        });
        let channels = self.channels(end).map_or(2, |(_, most)| most);
        self.draft.zones.push(Zone {
            name: name.clone(),
            channels,
            volume,
            curve,
            muted,
            hidden: self.hidden(end),
            from: end.element.input.place(end.element.span()),
        });
        Is::Here(name)
    }

    fn hidden(&self, end: &End<'_, '_>) -> bool {
        end.chain.attr("visible").is_some_and(|attr| {
            attr.mapped("`visible`");
            attr.boolean() == Some(false)
        })
    }

    /// A source's volume, 0.1 dB.
    fn gain(&self, end: &End<'_, '_>) -> i64 {
        let Some(attr) = end.chain.attr("volume") else {
            return 0;
        };
        let volume = attr.integer(i16::MIN.into()..=i16::MAX.into()).unwrap_or(0);
        match volume {
            -1000..=0 => attr.mapped("`gain_db`, in dB"),
            1.. => attr.approximated("0 dB: nothing is made louder"),
            _ => attr.approximated("-100 dB, the least there is"),
        }
        volume.clamp(-1000, 0)
    }

    /// The fewest and most channels, by `connectionFormat`.
    fn channels(&mut self, end: &End<'a, '_>) -> Option<(u32, u32)> {
        let mut formats = String::new();
        if let Some(attr) = end.chain.attr("connectionFormatsTemplateName")
            && let Some(template) = self.template("connectionFormat", &attr)
        {
            attr.mapped("written out");
            template.text_mapped("`channels`");
            formats += template.text().map_or("", |(text, _)| text);
        }
        let own = end.chain.attr("connectionFormat");
        if let Some(attr) = own {
            formats += &format!(";{}", attr.value);
        }
        let counts: Vec<Option<u32>> = formats
            .split([';', ',', ' '])
            .filter(|format| !format.trim().is_empty())
            .map(|format| match format.trim() {
                "CF_GENIVI_MONO" => Some(1),
                "CF_GENIVI_STEREO" => Some(2),
                _ => None,
            })
            .collect();
        let known = counts.iter().flatten();
        let range = known.clone().min().copied().zip(known.max().copied());
        if let Some(attr) = own {
            match counts.contains(&None) {
                true => attr.approximated("of its formats only mono and stereo are channel counts"),
                false => attr.mapped("`channels`; the mixer converts the rest"),
            }
        }
        range
    }

    pub(super) fn curve(&mut self, end: &End<'a, '_>) -> Vec<(i64, Option<i64>)> {
        let main = self.scale(
            end,
            "listMainVolumesToNormalizedVolumes",
            "mainVolumesToNormalizedVolumesTemplateName",
        );
        let decibels = self.scale(
            end,
            "listNormalizedVolumesToDecibelVolumes",
            "normalizedVolumesToDecibelVolumesTemplateName",
        );
        let keys = [
            "listMainVolumesToNormalizedVolumes",
            "listNormalizedVolumesToDecibelVolumes",
        ];
        let note = |told: &dyn Fn(&Attr<'_>)| {
            keys.iter()
                .filter_map(|key| end.chain.attr(key))
                .for_each(|attr| told(&attr))
        };
        let (Some(main), Some(decibels)) = (main, decibels) else {
            note(&|attr| attr.lost("a curve needs both lists: the usual one is taken"));
            return Vec::new();
        };
        match curve::curve(&main, &decibels) {
            None => {
                note(&|attr| attr.lost("louder volumes would be quieter: the usual curve is taken"));
                Vec::new()
            }
            Some(curve) if curve.notes.is_empty() => {
                note(&|attr| attr.mapped("`curve`: both lists in one"));
                curve.points
            }
            Some(curve) => {
                note(&|attr| attr.approximated(format!("`curve`: {}", curve.notes.join("; "))));
                curve.points
            }
        }
    }

    fn scale(&mut self, end: &End<'a, '_>, key: &str, template: &str) -> Option<Vec<(f64, f64)>> {
        if let Some(attr) = end.chain.attr(template) {
            let found = self.template("scaleConversionMap", &attr)?;
            attr.mapped("written out");
            found.text_mapped("`curve`: both lists in one");
            let (text, _) = found.text()?;
            return match curve::pairs(text) {
                Ok(pairs) => Some(pairs),
                Err(cause) => {
                    attr.wrong(code::EXPRESSION, "the template is no list of pairs", cause, None);
                    None
                }
            };
        }
        let attr = end.chain.attr(key)?;
        match curve::pairs(attr.value) {
            Ok(pairs) => Some(pairs),
            Err(cause) => {
                attr.wrong(
                    code::EXPRESSION,
                    format!("`{key}` is no list of rising pairs"),
                    cause,
                    None,
                );
                None
            }
        }
    }

    pub(super) fn main_volume(&self, end: &End<'_, '_>, curve: &[(i64, Option<i64>)]) -> Option<i64> {
        let attr = end.chain.attr("mainVolume")?;
        let volume = attr.integer(i16::MIN.into()..=i16::MAX.into())?;
        let (least, most) = match (curve.first(), curve.last()) {
            (Some(first), Some(last)) => (first.0, last.0),
            _ => (0, 100),
        };
        match (least..=most).contains(&volume) {
            true => attr.mapped("`volume`"),
            false => attr.approximated(format!("the curve ends at {most}")),
        }
        Some(volume.clamp(least, most))
    }
}

/// `TRUE` where something is kept: one file keeps it all.
pub(super) fn persistence(attr: &Attr<'_>, draft: &mut Draft) {
    attr.approximated("`state` keeps all volumes, mutes and what clients connected, or nothing");
    draft.keep_state |= attr.boolean() == Some(true);
}

/// A name that our file may have to write otherwise.
pub(super) fn renamed(attr: &Attr<'_>, name: &str) {
    match attr.value == name {
        true => attr.mapped(format!("is called `{name}`")),
        false => attr.approximated(format!("is called `{name}`")),
    }
}
