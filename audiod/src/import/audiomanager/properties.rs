//! Properties: of classes, and main sound properties of domains that stay processes of their own.
//!
//! There, each source or sink says its main sound properties; here `[[main_sound_properties]]` say once for all of them what a type is
//! like. So the first element that has a type decides, and where another has it otherwise the list says so. A type without a
//! `mapMSPtoSP` stands for no sound property there: `direction = "none"`.

use std::collections::BTreeMap;

use super::super::draft::{Class, Lines};
use super::super::xml::{Attr, El};
use super::elements::Chain;
use super::{ClassOf, Reader, words};

/// A class has a mainVolume of its own at each sink.
const OWN_VOLUME: i64 = 61_440;
const UNKNOWN: &str =
    "no number is known for this type: a project's own stands in its own schema; write it as a number";
const DIRECTIONS: [(&str, &str); 3] = [("MD_BOTH", "both"), ("MD_MSP_TO_SP", "down"), ("MD_SP_TO_MSP", "up")];

/// What `[[main_sound_properties]]` say of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MainSound {
    range: Option<(i64, i64)>,
    lasting: bool,
    /// The sound property, and which way values go.
    stands_for: Option<(i64, &'static str)>,
}

/// Those of all elements so far, each with where it comes from.
#[derive(Default)]
pub(super) struct MainSounds(BTreeMap<i64, (MainSound, String)>);

/// A `mapMSPtoSP` of one pair or several.
struct Map<'a> {
    element: El<'a>,
    pairs: Vec<(i64, i64)>,
    direction: &'static str,
}

fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let number = words::number(text).or_else(|| text.parse().ok());
    number.filter(|number| (1..=u16::MAX.into()).contains(number))
}

fn short(attr: &Attr<'_>) -> Option<i64> {
    attr.integer(i16::MIN.into()..=i16::MAX.into())
}

/// A class's properties as they are written: type, value.
pub(super) fn of_class(class: El<'_>) -> Vec<(El<'_>, Option<(i64, i64)>)> {
    let properties = class.all("property").into_iter();
    let read = properties.map(|property| {
        property.known(&["type", "value"], &[]);
        let kind = property.need("type", "say which, as `type=\"1\"`");
        let value = property.need("value", "give its value, as `value=\"5\"`");
        let value = value.and_then(|attr| short(&attr));
        let pair = kind.and_then(|attr| number(attr.value)).zip(value);
        (property, pair)
    });
    read.collect()
}

/// Writes them into a class that something is of.
pub(super) fn write(class: &ClassOf<'_>, draft: &mut Class) {
    for (property, pair) in &class.properties {
        match pair {
            None => property.rest_lost(UNKNOWN),
            Some((OWN_VOLUME, value)) => {
                draft.own_volume |= *value != 0;
                property.rest_mapped("`own_volume`");
            }
            Some((kind, _)) if draft.properties.iter().any(|it| it.0 == *kind) => property.rest_lost("given before"),
            Some(pair) => {
                draft.properties.push(*pair);
                property.rest_mapped("`properties`");
            }
        }
    }
}

impl<'a> Reader<'a> {
    /// Main sound properties of a source or sink of a domain of the bus.
    pub(super) fn main_sounds(&mut self, chain: &Chain<'a>) {
        let maps = self.parts(chain, "mapMSPtoSP", "listmapMSPToSP", "mapMSPToSPTemplateName");
        let maps: Vec<Map<'_>> = maps.into_iter().filter_map(map).collect();
        let properties = self.parts(
            chain,
            "mainSoundProperty",
            "mainSoundProperties",
            "mainSoundPropertiesTemplateName",
        );
        let mut taken: Vec<i64> = Vec::new();
        for property in properties {
            let Some(kind) = property.attr("type").and_then(|attr| number(attr.value)) else {
                property.rest_lost(UNKNOWN);
                continue;
            };
            if taken.contains(&kind) {
                property.rest_lost("given before");
                continue;
            }
            taken.push(kind);
            let stands_for = maps.iter().find_map(|map| {
                let pair = map.pairs.iter().find(|pair| pair.0 == kind)?;
                Some((pair.1, map.direction))
            });
            self.main_sounds.add(property, kind, stands_for);
        }
        for map in maps {
            match map.pairs.iter().all(|pair| taken.contains(&pair.0)) {
                true => map
                    .element
                    .rest_mapped("`sound` and `direction` of [[main_sound_properties]]"),
                false => map
                    .element
                    .rest_lost("this element has no main sound property of this type"),
            }
        }
    }

    /// An element's own parts, then those of its templates, then those of a list it names.
    fn parts(&mut self, chain: &Chain<'a>, part: &str, kind: &'static str, key: &str) -> Vec<El<'a>> {
        let mut parts: Vec<El<'a>> = chain.0.iter().flat_map(|element| element.all(part)).collect();
        if let Some(attr) = chain.attr(key)
            && let Some(list) = self.template(kind, &attr)
        {
            attr.mapped("written out");
            parts.extend(list.all(part));
        }
        parts
    }
}

fn map(element: El<'_>) -> Option<Map<'_>> {
    let direction = element.attr("mappingDirection");
    let direction = direction.map_or(Some("both"), |attr| attr.word(&DIRECTIONS))?;
    let text = element.text().map_or("", |(text, _)| text);
    let pairs = text.split(';').map(str::trim).filter(|pair| !pair.is_empty());
    let pairs: Option<Vec<(i64, i64)>> = pairs
        .map(|pair| {
            let (main, sound) = pair.split_once(',')?;
            number(main).zip(number(sound))
        })
        .collect();
    match pairs.filter(|pairs| !pairs.is_empty()) {
        Some(pairs) => Some(Map {
            element,
            pairs,
            direction,
        }),
        None => {
            element.rest_lost(UNKNOWN);
            None
        }
    }
}

impl MainSounds {
    fn add(&mut self, property: El<'_>, kind: i64, stands_for: Option<(i64, &'static str)>) {
        if let Some(attr) = property.attr("value") {
            attr.lost("the domain says it when it registers");
        }
        let persists = property.attr("isPersistenceSupported");
        let sound = MainSound {
            range: range(property),
            lasting: persists.and_then(|attr| attr.boolean()) == Some(true),
            stands_for,
        };
        match self.0.get(&kind) {
            Some((first, from)) if *first != sound => {
                let how = "[[main_sound_properties]] hold for every element: it is taken from";
                property.rest_approximated(&format!("{how} {from}"));
            }
            _ => property.rest_mapped("[[main_sound_properties]]"),
        }
        let from = property.input.place(property.span());
        self.0.entry(kind).or_insert((sound, from));
    }

    /// Whether any of them is to outlive a boot.
    pub fn last(&self) -> bool {
        self.0.values().any(|(sound, _)| sound.lasting)
    }

    /// `[[main_sound_properties]]`.
    pub fn lines(self) -> Vec<Lines> {
        let lines = self.0.into_iter().map(|(kind, (sound, from))| {
            let mut keys = vec![format!("type = {kind}")];
            keys.extend(sound.range.map(|(least, most)| format!("range = [{least}, {most}]")));
            keys.extend(sound.stands_for.map(|(sound, _)| format!("sound = {sound}")));
            keys.push(format!(
                "direction = \"{}\"",
                sound.stands_for.map_or("none", |(_, direction)| direction)
            ));
            keys.extend(sound.lasting.then(|| "lasting = true".to_owned()));
            let name = kind.to_string();
            Lines { name, keys, from }
        });
        lines.collect()
    }
}

fn range(property: El<'_>) -> Option<(i64, i64)> {
    let (least, most) = (property.attr("minValue"), property.attr("maxValue"));
    let (low, high) = (least.and_then(|it| short(&it)), most.and_then(|it| short(&it)));
    let range = low.zip(high).filter(|(low, high)| low <= high);
    if range.is_none() {
        for attr in [least, most].into_iter().flatten() {
            attr.lost("a range needs both ends, the least first: write `property_range` in [routing]");
        }
    }
    range
}
