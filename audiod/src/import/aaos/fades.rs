//! Android's fades: `car_audio_fade_configuration.xml`, version 1, and what zones apply of it.
//!
//! ```text
//! zoneConfig ▶ applyFadeConfigs ▶ fadeConfig ──names──▶ config ▶ default durations, fadeable usages, durations by usage
//!                    │  isDefault, or the one for a newcomer of these usages          │
//!                    └────────── [[matrix]] action = "pause": attack_ms, release_ms ◀─┘ of the holder's usages
//! ```
//!
//! There, who loses focus is faded out and, once it has focus again, in: here that is a pause of the matrix, so its ramps are
//! the fades. Our classes' `fade_in_ms` would be another thing: it fades in every start of a stream, which Android doesn't.

use std::collections::{BTreeMap, BTreeSet};

use policy::file::{code, did_you_mean, listed};
use policy::report::{Diagnostic, Span};

use super::super::xml::{Attr, El};
use super::super::{twice, wrong_root};
use super::Reader;
use super::matrix::{self, Contexts, Outcome};
use super::parts::{self, usage};

/// What a configuration without times of its own fades with, ms: the framework's.
const OUT_MS: u32 = 2000;
/// See [`OUT_MS`].
const IN_MS: u32 = 1000;
/// The usages that fade where a configuration lists none: the framework's.
const FADEABLE: [&str; 2] = ["USAGE_GAME", "USAGE_MEDIA"];
/// Longest ramp of our language, ms.
const MOST_MS: u32 = 60_000;

/// Fade out and fade in of a pause, ms.
pub(super) type Times = (u32, u32);
/// By names of holder and newcomer.
pub(super) type Ramps = BTreeMap<(String, String), Times>;

/// The second file.
pub(super) struct Fades<'a> {
    file: &'a str,
    configs: BTreeMap<&'a str, Config<'a>>,
}

/// One configuration.
struct Config<'a> {
    element: El<'a>,
    enabled: bool,
    out: Way<'a>,
    back: Way<'a>,
    /// Usages that fade.
    fadeable: BTreeSet<&'a str>,
    /// A zone names it.
    applied: bool,
    /// Whom it faded, and how.
    taken: Vec<(Contexts, Times)>,
}

/// How long one of the two ways takes.
struct Way<'a> {
    otherwise: u32,
    own: Vec<Own<'a>>,
}

/// The time of one usage.
struct Own<'a> {
    /// `USAGE_MEDIA`.
    usage: &'a str,
    context: usize,
    ms: u32,
    said: Attr<'a>,
}

/// What one configuration of a zone applies.
pub(super) struct Applied<'a> {
    classes: BTreeSet<String>,
    /// Which configuration, and whether for newcomers of these contexts only.
    named: Vec<(&'a str, Option<Contexts>, El<'a>)>,
}

/// Reads the second file; `None` when it is none.
pub(super) fn read(root: El<'_>) -> Option<Fades<'_>> {
    if root.name() != "carAudioFadeConfiguration" {
        wrong_root(root, "carAudioFadeConfiguration", "car audio fade configuration");
        return None;
    }
    root.known(&["version"], &["configs"]);
    root.mapped("pauses of the matrix");
    let version = root.need("version", "say which it is written in: `version=\"1\"`")?;
    if version.integer(1..=1).is_some() {
        version.mapped("read as version 1");
    }
    let mut fades = Fades {
        file: root.input.file(),
        configs: BTreeMap::new(),
    };
    let mut places: BTreeMap<&str, Span> = BTreeMap::new();
    for section in root.all("configs") {
        section.known(&[], &["config"]);
        section.mapped("see its parts");
        for element in section.all("config") {
            let config = config(element);
            let Some(name) = element.need("name", "name it, as `name=\"relaxed fading\"`") else {
                continue;
            };
            name.mapped("zones apply it by this name");
            if let Some(first) = places.insert(name.value, name.span) {
                let message = format!("two fade configurations are called `{}`", name.value);
                twice(root.input, name.span, first, message);
            }
            fades.configs.insert(name.value, config);
        }
    }
    if fades.configs.is_empty() && root.input.report().errors() == 0 {
        let found = Diagnostic::error(
            code::MISSING_KEY,
            root.span(),
            "there is no fade configuration in this file",
        );
        root.input
            .push(found.label("has none").help("add `<configs>` with a `<config>`"));
    }
    Some(fades)
}

fn config(element: El<'_>) -> Config<'_> {
    element.known(
        &[
            "name",
            "defaultFadeOutDurationInMillis",
            "defaultFadeInDurationInMillis",
        ],
        &[
            "fadeState",
            "fadeableUsages",
            "unfadeableContentTypes",
            "unfadeableAudioAttributes",
            "fadeOutConfigurations",
            "fadeInConfigurations",
        ],
    );
    element.approximated("`attack_ms` and `release_ms` of pauses: straight in amplitude, there they bend");
    let (out, back) = (
        element.attr("defaultFadeOutDurationInMillis"),
        element.attr("defaultFadeInDurationInMillis"),
    );
    let both = out.is_some() && back.is_some();
    let otherwise = |attr: Option<Attr<'_>>, key: &str, unsaid: u32| {
        let Some(attr) = attr else { return unsaid };
        let read = duration(&attr, key);
        if !both {
            attr.lost("counts only where the other one is given too");
            return unsaid;
        }
        read.filter(|ms| *ms > 0).unwrap_or(unsaid)
    };
    let fadeable = fadeable(element);
    unfadeable(element, &fadeable);
    Config {
        element,
        enabled: state(element),
        out: Way {
            otherwise: otherwise(out, "attack_ms", OUT_MS),
            own: own(element, "fadeOutConfigurations", "attack_ms"),
        },
        back: Way {
            otherwise: otherwise(back, "release_ms", IN_MS),
            own: own(element, "fadeInConfigurations", "release_ms"),
        },
        fadeable,
        applied: false,
        taken: Vec::new(),
    }
}

/// A time in ms as `key` of ours has it.
fn duration(attr: &Attr<'_>, key: &str) -> Option<u32> {
    let ms = attr.integer(0..=i64::MAX)?;
    let most = i64::from(MOST_MS);
    match ms > most {
        true => attr.approximated(format!("`{key}` of {MOST_MS}: the longest ramp there is")),
        false => attr.mapped(format!("`{key}`")),
    }
    u32::try_from(ms.min(most)).ok()
}

/// Whether it fades at all.
fn state(config: El<'_>) -> bool {
    let mut enabled = true;
    for state in config.all("fadeState") {
        state.known(&["value"], &[]);
        state.mapped("whether its zones fade");
        let Some(value) = state.need("value", "write `value=\"1\"`, or 0 for none") else {
            continue;
        };
        enabled = value.integer(0..=1) != Some(0);
        value.mapped(match enabled {
            true => "fades",
            false => "no fade of its own: the ramps of `[defaults]`",
        });
    }
    enabled
}

/// The usages that fade.
fn fadeable(config: El<'_>) -> BTreeSet<&str> {
    let mut all = BTreeSet::new();
    for list in config.all("fadeableUsages") {
        list.known(&[], &["usage"]);
        list.approximated("a class fades whole, if one of its contexts' usages does: a stream says no usage");
        for item in list.all("usage") {
            item.known(&["value"], &[]);
            item.mapped("its context fades");
            let Some(value) = item.need("value", "name it, as `value=\"AUDIO_USAGE_MEDIA\"`") else {
                continue;
            };
            if usage(&value).is_some() {
                all.insert(plain(value.value));
            }
        }
    }
    match all.is_empty() {
        true => BTreeSet::from(FADEABLE),
        false => all,
    }
}

/// Exceptions from those that fade: of tags and content types nothing is seen here.
fn unfadeable(config: El<'_>, fadeable: &BTreeSet<&str>) {
    for list in config.all("unfadeableContentTypes") {
        list.rest_lost("the mixer sees a stream, not the content types of what plays on it");
    }
    for list in config.all("unfadeableAudioAttributes") {
        list.known(&[], &["audioAttributes"]);
        list.mapped("see its parts");
        for (_, value) in attributes(list, "isn't among those that fade either") {
            if fadeable.contains(plain(value.value)) {
                let message = format!("`{}` is to fade and not to fade", value.value);
                value.wrong(
                    code::CONFLICT,
                    message,
                    "is one of the fadeable usages",
                    Some("take it out of one of the two lists".to_owned()),
                );
            }
        }
    }
}

/// The times by usage in a section.
fn own<'a>(config: El<'a>, section: &str, key: &str) -> Vec<Own<'a>> {
    let mut all = Vec::new();
    for list in config.all(section) {
        list.known(&[], &["fadeConfiguration"]);
        list.mapped("see its parts");
        for item in list.all("fadeConfiguration") {
            item.known(&["fadeDurationMillis"], &["audioAttributes"]);
            item.mapped(format!("`{key}` of the pauses of its usages"));
            let said = item.need("fadeDurationMillis", "write it in ms, as `fadeDurationMillis=\"500\"`");
            let ms = said.and_then(|attr| duration(&attr, key));
            for (context, said) in attributes(item, &format!("`{key}` where its class is paused")) {
                // 0 is "not set" there.
                let Some(ms) = ms.filter(|ms| *ms > 0) else { continue };
                all.push(Own {
                    usage: plain(said.value),
                    context,
                    ms,
                    said,
                });
            }
        }
    }
    all
}

/// The usages, with their contexts, of attributes that are nothing but a usage; of others nothing is seen here.
fn attributes<'a>(of: El<'a>, to: &str) -> Vec<(usize, Attr<'a>)> {
    // All of them, and what is wrong with them.
    let _ = parts::usages(of);
    let mut all = Vec::new();
    let items = of.all("audioAttributes").into_iter().flat_map(|list| list.children());
    for item in items.filter(|item| ["usage", "audioAttribute"].contains(&item.name())) {
        let narrow = ["contentType", "tags"].iter().any(|key| item.attr(key).is_some());
        let key = if item.name() == "usage" { "value" } else { "usage" };
        let context = item
            .attr(key)
            .and_then(|attr| Some((matrix::of_usage(attr.value)?, attr)));
        if narrow {
            item.input.lost(item.at(), "the mixer sees no tags and content types");
            if let Some((_, attr)) = context {
                attr.lost("counts only beside its tags or content type");
            }
        } else if let Some((context, attr)) = context {
            item.mapped(to);
            all.push((context, attr));
        }
    }
    all
}

/// `USAGE_MEDIA` of `AUDIO_USAGE_MEDIA`.
fn plain(usage: &str) -> &str {
    let usage = usage.trim();
    usage.strip_prefix("AUDIO_").unwrap_or(usage)
}

impl Config<'_> {
    /// How the holder of these contexts fades, if it does: of several usages as the slowest.
    fn times(&self, holder: &Contexts) -> Option<Times> {
        let of = |usage: &&&str| matrix::of_usage(usage).is_some_and(|context| holder.contains(&context));
        let usages = self.fadeable.iter().filter(of);
        let times = usages.map(|usage| (self.out.of(usage), self.back.of(usage)));
        let slowest = times.reduce(|one, other| (one.0.max(other.0), one.1.max(other.1)));
        slowest.filter(|_| self.enabled)
    }

    /// What became of the times by usage.
    fn told(&self) {
        let whole = self.element;
        if !self.applied || (self.enabled && self.taken.is_empty()) {
            whole.input.refused(
                whole.range(),
                "no zone applies it, or nothing is paused there that it fades",
            );
            return;
        }
        self.out.own.iter().for_each(|own| own.told(self, |times| times.0));
        self.back.own.iter().for_each(|own| own.told(self, |times| times.1));
    }
}

impl Own<'_> {
    fn told(&self, config: &Config<'_>, of: fn(&Times) -> u32) {
        if !config.enabled {
            return self.said.lost("this configuration is switched off");
        }
        if !config.fadeable.contains(self.usage) {
            return self.said.lost("isn't one of the fadeable usages");
        }
        let taken = config.taken.iter().filter(|(holder, _)| holder.contains(&self.context));
        let taken: BTreeSet<u32> = taken.map(|(_, times)| of(times)).collect();
        match taken.iter().find(|ms| **ms != self.ms) {
            _ if taken.is_empty() => self.said.lost("nothing of its context is paused where this applies"),
            Some(ms) => self
                .said
                .approximated(format!("{ms} ms: its class has other usages, the slowest counts")),
            None => {}
        }
    }
}

impl Way<'_> {
    /// The last word on a usage counts.
    fn of(&self, usage: &str) -> u32 {
        let own = self.own.iter().rev().find(|own| own.usage == usage);
        own.map_or(self.otherwise, |own| own.ms)
    }
}

impl<'a> Reader<'a> {
    /// What a configuration of a zone, in which these classes sound, applies.
    pub(super) fn apply(&mut self, section: El<'a>, classes: &BTreeSet<String>) {
        if self.too_early("<applyFadeConfigs>", section.span(), 4) {
            return;
        }
        section.known(&[], &["fadeConfig"]);
        let mut named = Vec::new();
        for fade in section.all("fadeConfig") {
            fade.known(&["name", "isDefault"], &["audioAttributes"]);
            let name = fade.need("name", "name one of car_audio_fade_configuration.xml");
            let default = fade.attr("isDefault").is_some_and(|attr| attr.boolean() == Some(true));
            let transient = !fade.all("audioAttributes").is_empty();
            if !default && !transient {
                let message = "this fade is neither the default nor for some attributes";
                let found = Diagnostic::error(code::MISSING_KEY, fade.span(), message).label("is for nothing");
                fade.input
                    .push(found.help("write `isDefault=\"true\"`, or add <audioAttributes>"));
            }
            let (Some(name), Some(fades)) = (name, &self.fades) else {
                continue;
            };
            self.named(&name, fades);
            fade.mapped("`attack_ms` and `release_ms` of the pauses there");
            if let Some(attr) = fade.attr("isDefault") {
                attr.mapped("holds for whomever another one isn't for");
            }
            let contexts = transient.then(|| parts::usages(fade)).filter(|_| !default);
            if default {
                fade.rest_lost("the default one holds for all attributes");
            }
            named.push((name.value, contexts, fade));
        }
        match self.fades {
            None => section.rest_lost("its times stand in another file: name it with `--fades`"),
            Some(_) => section.mapped("`attack_ms` and `release_ms` of the pauses there"),
        }
        self.applied.push(Applied {
            classes: classes.clone(),
            named,
        });
    }

    fn named(&self, name: &Attr<'_>, fades: &Fades<'_>) {
        name.mapped("that configuration's times");
        // Of a file without any it is said there.
        if !fades.configs.is_empty() && !fades.configs.contains_key(name.value) {
            let known = || fades.configs.keys().copied();
            let label = format!("known: {}", listed(known()));
            let message = format!("there is no fade configuration `{}` in {}", name.value, fades.file);
            name.wrong(code::UNKNOWN_NAME, message, label, did_you_mean(name.value, known()));
        }
    }

    /// The fades of all pauses; what zones say of one pair otherwise than a zone before, is told.
    pub(super) fn ramps(&mut self) -> Ramps {
        let mut ramps: BTreeMap<(String, String), Option<Times>> = BTreeMap::new();
        let Some(fades) = &mut self.fades else {
            return Ramps::new();
        };
        for applied in &self.applied {
            for (name, ..) in &applied.named {
                if let Some(config) = fades.configs.get_mut(name) {
                    config.applied = true;
                }
            }
            let here = |class: &&(String, Contexts)| applied.classes.contains(&class.0);
            for (holder, held) in self.classes.iter().filter(here) {
                for (newcomer, coming) in self.classes.iter().filter(here) {
                    if matrix::outcome(held, coming) != Outcome::Pause {
                        continue;
                    }
                    let Some((name, element)) = applied.of(coming) else {
                        continue;
                    };
                    let Some(config) = fades.configs.get_mut(name) else {
                        continue;
                    };
                    let times = config.times(held);
                    let pair = (holder.clone(), newcomer.clone());
                    if *ramps.entry(pair).or_insert(times) == times {
                        config.taken.extend(times.map(|times| (held.clone(), times)));
                    } else {
                        element.approximated(format!(
                            "a zone before fades `{holder}` for `{newcomer}` otherwise: the matrix holds for all zones"
                        ));
                    }
                }
            }
        }
        fades.configs.values().for_each(Config::told);
        ramps
            .into_iter()
            .filter_map(|(pair, times)| Some((pair, times?)))
            .collect()
    }
}

impl<'a> Applied<'a> {
    /// Which configuration holds while a newcomer of these contexts takes the focus.
    fn of(&self, newcomer: &Contexts) -> Option<(&'a str, El<'a>)> {
        let own = |contexts: &Contexts| !contexts.is_disjoint(newcomer);
        let transient = self.named.iter().find(|it| it.1.as_ref().is_some_and(own));
        let found = transient.or_else(|| self.named.iter().find(|it| it.1.is_none()))?;
        Some((found.0, found.2))
    }
}
