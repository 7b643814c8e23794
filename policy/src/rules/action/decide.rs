//! From an action's keys to what is to be done.

use std::collections::BTreeSet;

use super::{Action, Change, Level, Limit, Live, Part, RAMP_MS, Ramp, Spot, Step, Target};
use crate::MUTE;
use crate::rules::catalogue::Field;
use crate::rules::eval::{Eval, in_order};
use crate::rules::keys::{Key, Verb};
use crate::rules::kind::{Element, Kind, Value};
use crate::rules::view::Link;

/// `am_ConnectionState_e`.
const DISCONNECTED: i16 = 4;
const SUSPENDED: i16 = 5;
/// Longest ramp, ms.
const MAX_RAMP_MS: i64 = 60_000;

struct Keys<'a> {
    step: &'a Step,
    eval: Eval<'a>,
}

/// What a step comes to now; `None`: nothing it names is there.
pub(in crate::rules) fn decide(step: &Step, overrides: bool, eval: Eval<'_>) -> Option<Action> {
    let keys = Keys { step, eval };
    Some(match step.verb {
        Verb::Connect | Verb::Pop | Verb::Resume => Action::Connect {
            pairs: keys.pairs()?,
            format: keys.unsigned(Key::Format),
        },
        Verb::Disconnect => Action::Disconnect(keys.live()?),
        Verb::Push => Action::Push(keys.live()?),
        Verb::Suspend => Action::Suspend(keys.live()?),
        Verb::SetVolume => return keys.set_volume(),
        Verb::Limit => return keys.limit(overrides),
        Verb::Mute => return keys.mute(overrides),
        Verb::Unlimit | Verb::Unmute => Action::Unlimit {
            spots: keys.spots(step.verb == Verb::Unmute)?,
            mutes: step.verb == Verb::Unmute,
            mask: keys.pattern(),
        },
        Verb::SetProperty => Action::SetProperties {
            of: keys.ends()?,
            properties: vec![keys.property()?],
        },
        Verb::SetProperties => Action::SetProperties {
            of: keys.ends()?,
            properties: keys.properties()?,
        },
        Verb::SetSystemProperty => Action::SetSystemProperties(vec![keys.property()?]),
        Verb::SetSystemProperties => Action::SetSystemProperties(keys.properties()?),
        Verb::SetDebug => Action::SetDebug(keys.property()?),
        Verb::SetNotification => Action::SetNotification {
            of: keys.ends()?,
            notification: (
                keys.short(Key::NotificationType)?,
                keys.short(Key::NotificationStatus).unwrap_or(0),
                keys.short(Key::NotificationParam).unwrap_or(0),
            ),
        },
        Verb::Register => Action::Register(keys.named()?),
        Verb::Transfer => Action::Transfer,
    })
}

fn some<T>(all: Vec<T>) -> Option<Vec<T>> {
    (!all.is_empty()).then_some(all)
}

impl Keys<'_> {
    fn given(&self, key: Key) -> bool {
        self.step.keys.contains_key(&key)
    }

    fn value(&self, key: Key) -> Value {
        self.step.keys.get(&key).map(|expr| self.eval.value(expr)).into()
    }

    fn elements(&self, key: Key) -> Vec<Element> {
        let items = self.value(key).items();
        let items: BTreeSet<Element> = items.iter().filter_map(Value::element).collect();
        items.into_iter().collect()
    }

    /// Of a key that was given; `None` = everything goes.
    fn filter(&self, key: Key) -> Option<Vec<Element>> {
        self.given(key).then(|| self.elements(key))
    }

    fn short(&self, key: Key) -> Option<i16> {
        self.value(key).short()
    }

    fn unsigned(&self, key: Key) -> Option<u16> {
        self.value(key).number().and_then(|it| u16::try_from(it).ok())
    }

    fn is(&self, key: Key) -> bool {
        self.value(key) == Value::Bool(true)
    }

    /// All ones unless given; what doesn't fit in 32 bits is cut off.
    fn pattern(&self) -> u32 {
        let pattern = self.value(Key::Pattern).number();
        pattern.map_or(u32::MAX, |it| {
            u32::try_from(it & i64::from(u32::MAX)).unwrap_or(u32::MAX)
        })
    }

    fn ramp(&self) -> u32 {
        let ramp = self.value(Key::Ramp).number();
        ramp.map_or(RAMP_MS, |it| u32::try_from(it.clamp(0, MAX_RAMP_MS)).unwrap_or(RAMP_MS))
    }

    fn class_of(&self, source: usize) -> Option<Element> {
        self.eval.view.class(Element::Source(source)).map(Element::Class)
    }

    /// The main connections that the filters leave, those of protected sources never.
    fn links(&self) -> Vec<Link> {
        let only = [Key::Class, Key::Source, Key::Sink, Key::Connection].map(|key| (key, self.filter(key)));
        let except = [Key::ExceptClass, Key::ExceptSource, Key::ExceptSink].map(|key| self.elements(key));
        let states = self
            .given(Key::ConnectionState)
            .then(|| self.value(Key::ConnectionState).items());
        let is = |link: &Link| {
            let class = self.class_of(link.source);
            let (source, sink) = (Element::Source(link.source), Element::Sink(link.sink));
            let among = |(key, wanted): &(Key, Option<Vec<Element>>)| {
                let own = match key {
                    Key::Class => class,
                    Key::Source => Some(source),
                    Key::Sink => Some(sink),
                    _ => Some(Element::Connection(link.id)),
                };
                wanted
                    .as_ref()
                    .is_none_or(|wanted| own.is_some_and(|own| wanted.contains(&own)))
            };
            let spared = class.is_some_and(|class| except[0].contains(&class))
                || except[1].contains(&source)
                || except[2].contains(&sink);
            let state = Value::Word(Kind::State, link.state);
            only.iter().all(among) && !spared && states.as_ref().is_none_or(|states| states.contains(&state))
        };
        self.eval.links().filter(is).collect()
    }

    /// Those that connect could bring back; pop and resume look at no others.
    fn queue(&self) -> Vec<Link> {
        let mut links = self.links();
        if self.step.verb != Verb::Connect {
            links.retain(|it| it.state == DISCONNECTED || it.state == SUSPENDED);
        }
        links
    }

    fn live(&self) -> Option<Vec<Live>> {
        let live = self.links().into_iter().filter_map(|link| {
            Some(Live {
                id: link.id,
                source: Target::of(self.eval.view, link.source)?,
                sink: link.sink,
            })
        });
        some(live.collect())
    }

    fn target(&self, element: Element) -> Option<Target> {
        match element {
            Element::Source(source) => Target::of(self.eval.view, source),
            _ => None,
        }
    }

    /// See [`Verb::Connect`].
    fn pairs(&self) -> Option<Vec<(Target, usize)>> {
        let sources = self.filter(Key::Source);
        let sinks = self.filter(Key::Sink);
        let sinks_of = |sinks: &[Element]| -> Vec<usize> {
            let sinks = sinks.iter().filter_map(|it| match it {
                Element::Sink(sink) => Some(*sink),
                _ => None,
            });
            sinks.collect()
        };
        let waiting = || {
            let links = self.queue().into_iter();
            links.filter_map(|it| Some((Target::of(self.eval.view, it.source)?, it.sink)))
        };
        let pairs = match (sources, sinks) {
            (Some(sources), Some(sinks)) => {
                let sources = sources.iter().filter_map(|it| self.target(*it));
                let sinks = sinks_of(&sinks);
                sources
                    .flat_map(|source| sinks.iter().map(move |sink| (source, *sink)))
                    .collect()
            }
            (Some(sources), None) => {
                let mut pairs: Vec<_> = waiting().collect();
                for source in sources.iter().filter_map(|it| self.target(*it)) {
                    if !pairs.iter().any(|it| it.0 == source) {
                        let usual = self.eval.view.usual_sinks(source.source());
                        pairs.extend(usual.into_iter().map(|sink| (source, sink)));
                    }
                }
                pairs
            }
            (None, Some(_)) if !self.given(Key::Class) => waiting().collect(),
            _ => self.first_of_each_class(),
        };
        some(pairs)
    }

    fn first_of_each_class(&self) -> Vec<(Target, usize)> {
        let order = match self.value(Key::Order) {
            Value::Word(_, order) => order,
            _ => 0,
        };
        let queue = in_order(&self.eval, self.queue(), order);
        let mut seen = BTreeSet::new();
        let first = queue.into_iter().filter(|it| seen.insert(self.class_of(it.source)));
        first
            .filter_map(|it| Some((Target::of(self.eval.view, it.source)?, it.sink)))
            .collect()
    }

    /// Sources named in any way, without the protected ones.
    fn sources(&self) -> Vec<Target> {
        let mut sources: BTreeSet<usize> = BTreeSet::new();
        let view = self.eval.view;
        let classes = self.elements(Key::Class);
        let of_class = |it: &usize| self.class_of(*it).is_some_and(|class| classes.contains(&class));
        sources.extend(view.sources().into_iter().filter(of_class));
        sources.extend(self.elements(Key::Source).iter().filter_map(|it| match it {
            Element::Source(source) => Some(*source),
            _ => None,
        }));
        if self.given(Key::Connection) {
            let connections = self.elements(Key::Connection);
            let links = self.eval.links();
            let own = links.filter(|it| connections.contains(&Element::Connection(it.id)));
            sources.extend(own.map(|it| it.source));
        }
        sources.into_iter().filter_map(|it| Target::of(view, it)).collect()
    }

    /// Where a limit is to hold. Without a target: everywhere, or at the request's sink.
    fn spots(&self, here: bool) -> Option<Vec<Spot>> {
        let keys = [Key::Class, Key::Source, Key::Connection];
        let sinks = self.filter(Key::Sink);
        if !keys.iter().any(|key| self.given(*key)) && sinks.is_none() {
            let sink = match self.eval.request.element(Field::Sink) {
                Some(Element::Sink(sink)) => Some(sink),
                _ if here => return None,
                _ => None,
            };
            let sink = sink.filter(|_| here);
            return Some(vec![Spot { source: None, sink }]);
        }
        let sinks: Option<Vec<usize>> = sinks.map(|sinks| {
            let sinks = sinks.iter().filter_map(|it| match it {
                Element::Sink(sink) => Some(*sink),
                _ => None,
            });
            sinks.collect()
        });
        let mut spots = BTreeSet::new();
        let mut add = |source: Option<Target>, sink: Option<usize>| match (&sinks, sink) {
            (Some(sinks), None) => spots.extend(sinks.iter().map(|sink| Spot {
                source,
                sink: Some(*sink),
            })),
            (Some(sinks), Some(sink)) if !sinks.contains(&sink) => {}
            _ => {
                spots.insert(Spot { source, sink });
            }
        };
        if !keys.iter().any(|key| self.given(*key)) {
            add(None, None);
        } else if self.given(Key::Connection) {
            let links = self.live().unwrap_or_default();
            links.into_iter().for_each(|it| add(Some(it.source), Some(it.sink)));
        } else {
            self.sources().into_iter().for_each(|source| add(Some(source), None));
        }
        some(spots.into_iter().collect())
    }

    fn limit(&self, overrides: bool) -> Option<Action> {
        let level = match (self.value(Key::Gain), self.value(Key::Below)) {
            (Value::Gain(gain), _) => Level::AtMost(gain.clamp(MUTE, 0)),
            (_, Value::Gain(gain)) => Level::Below(gain.clamp(MUTE, 0)),
            _ => return None,
        };
        let limit = self.held(level, false, overrides)?;
        // Nothing to be below of.
        let lone = matches!(level, Level::Below(_)) && limit.cause.is_none();
        (!lone).then_some(Action::Limit(limit))
    }

    fn mute(&self, overrides: bool) -> Option<Action> {
        self.held(Level::Silent, true, overrides).map(Action::Limit)
    }

    fn held(&self, level: Level, here: bool, overrides: bool) -> Option<Limit> {
        let cause = match (self.given(Key::Cause), self.value(Key::Cause).element()) {
            (true, Some(Element::Source(cause))) => Some(cause),
            (true, _) => return None,
            (false, _) => match self.eval.request.element(Field::Source) {
                Some(Element::Source(source)) => Some(source),
                _ => None,
            },
        };
        let sticky = self.is(Key::Sticky);
        // Without cause it would never end.
        (sticky || cause.is_some()).then_some(())?;
        Some(Limit {
            spots: self.spots(here)?,
            level,
            pattern: self.pattern(),
            ramp_ms: self.ramp(),
            cause,
            sticky,
            overrides,
        })
    }

    fn set_volume(&self) -> Option<Action> {
        let sinks = || {
            let mut sinks: BTreeSet<usize> = BTreeSet::new();
            sinks.extend(self.elements(Key::Sink).iter().filter_map(|it| match it {
                Element::Sink(sink) => Some(*sink),
                _ => None,
            }));
            if self.given(Key::Class) || self.given(Key::Connection) {
                sinks.extend(self.links().iter().map(|it| it.sink));
            }
            let targets = [Key::Class, Key::Source, Key::Sink, Key::Connection];
            if let (false, Some(Element::Sink(sink))) = (
                targets.iter().any(|key| self.given(*key)),
                self.eval.request.element(Field::Sink),
            ) {
                sinks.insert(sink);
            }
            some(sinks.into_iter().collect())
        };
        let ramp = Ramp {
            kind: self.unsigned(Key::RampType),
            ms: self.given(Key::Ramp).then(|| self.ramp()),
        };
        let main = |change| {
            Some(Action::SetMainVolume {
                sinks: sinks()?,
                change,
                ramp,
            })
        };
        let gain = |change| {
            let sources = some(self.sources())?;
            Some(Action::SetGain { sources, change, ramp })
        };
        if self.given(Key::MainVolume) {
            return main(Change::To(self.short(Key::MainVolume)?));
        }
        if self.given(Key::MainVolumeStep) {
            return main(Change::By(self.short(Key::MainVolumeStep)?));
        }
        if self.given(Key::Gain) {
            return gain(Change::To(self.short(Key::Gain)?.clamp(MUTE, 0)));
        }
        if self.given(Key::GainStep) {
            return gain(Change::By(self.short(Key::GainStep)?));
        }
        if !self.is(Key::Restore) {
            return None;
        }
        if self.given(Key::Source) {
            gain(Change::Restore)
        } else {
            main(Change::Restore)
        }
    }

    fn property(&self) -> Option<(i16, i16)> {
        Some((
            self.value(Key::PropertyType).property_type()?,
            self.short(Key::PropertyValue).unwrap_or(0),
        ))
    }

    fn properties(&self) -> Option<Vec<(i16, i16)>> {
        let numbers = self.value(Key::Properties).items();
        let pairs = numbers.chunks_exact(2);
        some(
            pairs
                .filter_map(|pair| Some((pair[0].property_type()?, pair[1].short()?)))
                .collect(),
        )
    }

    /// Sources but the protected ones, and sinks.
    fn ends(&self) -> Option<Vec<Element>> {
        let sources = self.elements(Key::Source);
        let sources = sources.into_iter().filter(|it| self.target(*it).is_some());
        some(sources.chain(self.elements(Key::Sink)).collect())
    }

    /// Names of what is to be registered, gateways last: they need their ends.
    fn named(&self) -> Option<Vec<(Part, String)>> {
        let keys = [
            (Key::SourceName, Part::Source),
            (Key::SinkName, Part::Sink),
            (Key::GatewayName, Part::Gateway),
        ];
        let names = keys.into_iter().flat_map(|(key, part)| {
            let names = self.value(key).items().into_iter().filter_map(|it| match it {
                Value::Text(name) => Some(name),
                _ => None,
            });
            names.map(move |name| (part, name)).collect::<Vec<_>>()
        });
        some(names.collect())
    }
}
