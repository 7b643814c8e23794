//! What an expression is worth, given what the machine knows and what set off the rule. Pure.

use std::cell::OnceCell;

use super::ast::{Expr, Join, Op};
use super::catalogue::{Field, Function};
use super::kind::{Element, Kind, Value};
use super::view::{Link, Property, Request, View};

/// One evaluation.
pub(crate) struct Eval<'a> {
    pub view: &'a dyn View,
    pub request: &'a Request,
    /// By ID; asked for once.
    links: OnceCell<Vec<Link>>,
}

const DISCONNECTED: i16 = 4;
const YES: i16 = 1;
const NO: i16 = 2;

fn source(index: usize) -> Value {
    Value::Element(Element::Source(index))
}

fn sink(index: usize) -> Value {
    Value::Element(Element::Sink(index))
}

fn number(value: Option<impl Into<i64>>) -> Value {
    value.map(|it| Value::Number(it.into())).into()
}

fn word(kind: Kind, code: Option<i16>) -> Value {
    code.map(|code| Value::Word(kind, code)).into()
}

/// 1 or 2, as AudioManager says yes and no.
fn yes_or_no(yes: bool) -> i16 {
    if yes { YES } else { NO }
}

impl<'a> Eval<'a> {
    pub fn new(view: &'a dyn View, request: &'a Request) -> Self {
        Self {
            view,
            request,
            links: OnceCell::new(),
        }
    }

    pub fn links(&self) -> impl Iterator<Item = Link> + '_ {
        self.links.get_or_init(|| self.view.links()).iter().copied()
    }

    /// Whether a condition holds; what is absent doesn't.
    pub fn holds(&self, expr: &Expr) -> bool {
        self.value(expr) == Value::Bool(true)
    }

    pub fn value(&self, expr: &Expr) -> Value {
        match expr {
            Expr::Value(value) => value.clone(),
            Expr::Source(name) => self.view.find_source(name).map(source).into(),
            Expr::Sink(name) => self.view.find_sink(name).map(sink).into(),
            Expr::Domain(name) => self
                .view
                .find_domain(name)
                .map(|id| Value::Element(Element::Domain(id)))
                .into(),
            Expr::Gateway(name) => self
                .view
                .find_gateway(name)
                .map(|id| Value::Element(Element::Gateway(id)))
                .into(),
            Expr::Request(field) => self.request.get(*field),
            Expr::All => self.connections(|_| true),
            Expr::Others => {
                let ends = (self.request.element(Field::Source), self.request.element(Field::Sink));
                let connection = self.request.element(Field::Connection);
                self.connections(|it| {
                    let own = connection == Some(Element::Connection(it.id))
                        || ends == (Some(Element::Source(it.source)), Some(Element::Sink(it.sink)));
                    !own
                })
            }
            Expr::List(items) => Value::List(items.iter().map(|item| self.value(item)).collect()),
            Expr::Call(function, args) => {
                let args: Vec<Value> = args.iter().map(|arg| self.value(arg)).collect();
                self.call(*function, &args)
            }
            Expr::Test(op, sides) => Value::Bool(test(*op, &self.value(&sides[0]), &self.value(&sides[1]))),
            Expr::Joined(Join::And, parts) => Value::Bool(parts.iter().all(|part| self.holds(part))),
            Expr::Joined(Join::Or, parts) => Value::Bool(parts.iter().any(|part| self.holds(part))),
            Expr::Not(inner) => Value::Bool(!self.holds(inner)),
        }
    }

    fn connections(&self, is: impl Fn(&Link) -> bool) -> Value {
        let links = self.links().filter(is);
        Value::List(links.map(|it| Value::Element(Element::Connection(it.id))).collect())
    }

    fn link(&self, id: u16) -> Option<Link> {
        let links = self.links.get_or_init(|| self.view.links());
        let at = links.binary_search_by_key(&id, |it| it.id).ok()?;
        links.get(at).copied()
    }

    /// Connections of a source, sink or class.
    fn links_of(&self, of: Element) -> Vec<Link> {
        let is = |it: &Link| match of {
            Element::Source(source) => it.source == source,
            Element::Sink(sink) => it.sink == sink,
            Element::Class(class) => self.view.class(Element::Source(it.source)) == Some(class),
            Element::Connection(id) => it.id == id,
            Element::Domain(_) | Element::Gateway(_) => false,
        };
        self.links().filter(is).collect()
    }

    fn call(&self, function: Function, args: &[Value]) -> Value {
        let first = args.first().and_then(Value::element);
        match function {
            Function::Count => match args.first() {
                Some(Value::List(items)) => Value::Number(items.len().try_into().unwrap_or(i64::MAX)),
                _ => Value::Absent,
            },
            Function::Scale => self.scale(args),
            Function::SystemPropertyValue => {
                let kind = args.first().and_then(Value::property_type);
                number(kind.and_then(|kind| self.view.system_property(kind)))
            }
            Function::IsRegistrationComplete => match first {
                Some(Element::Domain(domain)) => Value::Bool(self.view.complete(Some(domain))),
                _ => Value::Bool(args.is_empty() && self.view.complete(None)),
            },
            Function::IsRegistered => Value::Bool(first.is_some_and(|of| self.view.registered(of))),
            Function::ConnectionState => self.connection_state(args),
            // A connection that isn't there any more is disconnected.
            Function::State if first.is_none() => Value::Absent,
            _ => first.map(|of| self.of_element(function, of, args)).into(),
        }
    }

    fn of_element(&self, function: Function, of: Element, args: &[Value]) -> Value {
        let view = self.view;
        match function {
            Function::Name => self.name(of),
            Function::Source | Function::Sink | Function::Class | Function::Domain | Function::Gateway => {
                self.related(function, of)
            }
            Function::Connection => self.connection(of, args.get(1)),
            Function::Connections => {
                let links = self.links_of(of).into_iter();
                Value::List(links.map(|it| Value::Element(Element::Connection(it.id))).collect())
            }
            Function::Sources => self.members(of, view.sources(), Element::Source),
            Function::Sinks => match of {
                Element::Class(_) => {
                    let mut sinks: Vec<usize> = self.links_of(of).iter().map(|it| it.sink).collect();
                    sinks.extend(view.sinks().into_iter().filter(|it| self.is_of(of, Element::Sink(*it))));
                    sinks.sort_unstable();
                    sinks.dedup();
                    Value::List(sinks.into_iter().map(sink).collect())
                }
                _ => self.members(of, view.sinks(), Element::Sink),
            },
            Function::Elements => self.elements(of, args.get(1)),
            Function::Priority => number(self.priority(of)),
            Function::Volume | Function::MainVolume | Function::VolumeLimit => self.loudness(function, of),
            Function::MuteState => self.mute_state(of),
            Function::Availability => word(
                Kind::Availability,
                self.ends(of, |end| Some(view.availability(end)?.0))
                    .map(|ends| if ends.contains(&NO) { NO } else { YES }),
            ),
            Function::AvailabilityReason => number(view.availability(of).map(|it| it.1)),
            Function::ConnectionFormat => match of {
                Element::Connection(id) => number(view.format(id)),
                _ => Value::Absent,
            },
            Function::InterruptState => match of {
                Element::Source(source) => word(Kind::Interrupt, view.interrupts(source).map(|it| yes_or_no(!it))),
                _ => Value::Absent,
            },
            Function::State => self.state(of),
            Function::Peek => self.peek(of, args),
            _ => self.property(function, of, args.get(1)),
        }
    }

    fn name(&self, of: Element) -> Value {
        let name = match of {
            Element::Connection(id) => self.link(id).and_then(|it| {
                let source = self.view.name(Element::Source(it.source))?;
                Some(format!("{source}:{}", self.view.name(Element::Sink(it.sink))?))
            }),
            other => self.view.name(other),
        };
        name.map(Value::Text).into()
    }

    /// An element itself, or the one it belongs to.
    fn related(&self, function: Function, of: Element) -> Value {
        let value = match (function, of) {
            (Function::Source, Element::Connection(id)) => self.link(id).map(|it| source(it.source)),
            (Function::Sink, Element::Connection(id)) => self.link(id).map(|it| sink(it.sink)),
            (Function::Class, Element::Connection(id)) => {
                let class = self.link(id).and_then(|it| self.view.class(Element::Source(it.source)));
                class.map(|it| Value::Element(Element::Class(it)))
            }
            (Function::Class, Element::Source(_) | Element::Sink(_)) => {
                self.view.class(of).map(|it| Value::Element(Element::Class(it)))
            }
            (Function::Domain, Element::Source(_) | Element::Sink(_) | Element::Gateway(_)) => {
                self.view.domain(of).map(|it| Value::Element(Element::Domain(it)))
            }
            _ => Some(Value::Element(of)),
        };
        value.into()
    }

    fn connection(&self, of: Element, sink: Option<&Value>) -> Value {
        let sink = match sink.map(Value::element) {
            None => None,
            Some(Some(Element::Sink(sink))) => Some(sink),
            Some(_) => return Value::Absent,
        };
        let links = self.links_of(of).into_iter();
        let link = links
            .filter(|it| sink.is_none_or(|sink| it.sink == sink))
            .min_by_key(|it| it.id);
        link.map(|it| Value::Element(Element::Connection(it.id))).into()
    }

    fn is_of(&self, of: Element, element: Element) -> bool {
        match of {
            Element::Class(class) => self.view.class(element) == Some(class),
            Element::Domain(domain) => self.view.domain(element) == Some(domain),
            _ => false,
        }
    }

    fn members<T: Copy>(&self, of: Element, all: Vec<T>, element: fn(T) -> Element) -> Value {
        let all = all.into_iter().map(element).filter(|it| self.is_of(of, *it));
        Value::List(all.map(Value::Element).collect())
    }

    fn elements(&self, of: Element, part: Option<&Value>) -> Value {
        let Some(Value::Word(Kind::Part, part)) = part else {
            return Value::Absent;
        };
        let listed = match part {
            0 => self.members(of, self.view.sources(), Element::Source),
            1 => self.members(of, self.view.sinks(), Element::Sink),
            2 => self.members(of, self.view.gateways(), Element::Gateway),
            _ => {
                let links = self.links();
                let own = links.filter(|it| self.is_of(of, Element::Source(it.source)));
                Value::List(own.map(|it| Value::Element(Element::Connection(it.id))).collect())
            }
        };
        let names = listed.items().into_iter().filter_map(|it| it.element());
        Value::List(names.map(|it| self.name(it)).collect())
    }

    fn priority(&self, of: Element) -> Option<i64> {
        match of {
            Element::Class(class) => self.view.priority(class),
            Element::Source(_) | Element::Sink(_) => self.view.priority(self.view.class(of)?),
            Element::Connection(id) => {
                let link = self.link(id)?;
                let source = self.priority(Element::Source(link.source))?;
                // A zone has no class, so it adds nothing.
                Some(source.saturating_add(self.priority(Element::Sink(link.sink)).unwrap_or(0)))
            }
            Element::Domain(_) | Element::Gateway(_) => None,
        }
    }

    fn loudness(&self, function: Function, of: Element) -> Value {
        let (from, to) = match of {
            Element::Source(source) => (Some(source), None),
            Element::Sink(sink) => (None, Some(sink)),
            Element::Connection(id) => match self.link(id) {
                Some(link) => (Some(link.source), Some(link.sink)),
                None => return Value::Absent,
            },
            _ => return Value::Absent,
        };
        match function {
            Function::MainVolume => number(to.and_then(|sink| self.view.main_volume(sink))),
            Function::VolumeLimit => Value::Gain(self.view.limit(from, to)),
            _ => {
                let gains = [from.map(Element::Source), to.map(Element::Sink)].into_iter().flatten();
                let gains: Option<Vec<_>> = gains.map(|it| self.view.gain(it)).collect();
                let sum = gains.map(|all| all.iter().fold(0_i16, |sum, gain| sum.saturating_add(*gain)));
                sum.map(|sum| Value::Gain(sum.max(crate::MUTE))).into()
            }
        }
    }

    /// Something of an element, or of both ends of a connection; `None` if any is missing.
    fn ends<T>(&self, of: Element, what: impl Fn(Element) -> Option<T>) -> Option<Vec<T>> {
        let ends = match of {
            Element::Connection(id) => {
                let link = self.link(id)?;
                vec![Element::Source(link.source), Element::Sink(link.sink)]
            }
            one => vec![one],
        };
        ends.into_iter().map(what).collect()
    }

    fn mute_state(&self, of: Element) -> Value {
        let of_one = |of| {
            let ends = self.ends(of, |end| self.view.muted(end));
            word(Kind::Mute, ends.map(|ends| yes_or_no(ends.contains(&true))))
        };
        match of {
            Element::Class(_) => {
                let sources = self.members(of, self.view.sources(), Element::Source).items();
                let states = sources.iter().filter_map(Value::element).map(of_one);
                Value::List(states.filter(|it| *it != Value::Absent).collect())
            }
            one => of_one(one),
        }
    }

    fn connection_state(&self, args: &[Value]) -> Value {
        let state = |id: u16| Value::Word(Kind::State, self.link(id).map_or(DISCONNECTED, |it| it.state));
        match args.first() {
            Some(Value::Element(Element::Connection(id))) => state(*id),
            Some(Value::Element(of)) => Value::List(
                self.links_of(*of)
                    .iter()
                    .map(|it| Value::Word(Kind::State, it.state))
                    .collect(),
            ),
            Some(Value::List(items)) => {
                let ids = items.iter().filter_map(Value::element);
                let states = ids.filter_map(|it| match it {
                    Element::Connection(id) => Some(state(id)),
                    _ => None,
                });
                Value::List(states.collect())
            }
            _ => Value::Word(Kind::State, DISCONNECTED),
        }
    }

    fn state(&self, of: Element) -> Value {
        match of {
            Element::Connection(_) => self.connection_state(&[Value::Element(of)]),
            Element::Domain(_) => word(Kind::DomainState, self.view.state(of)),
            _ => word(Kind::SourceState, self.view.state(of)),
        }
    }

    fn peek(&self, of: Element, args: &[Value]) -> Value {
        let (Element::Class(_), Some(Value::Word(Kind::Order, order))) = (of, args.get(1)) else {
            return Value::Absent;
        };
        let index = args
            .get(2)
            .and_then(Value::number)
            .and_then(|it| usize::try_from(it).ok());
        let queue = in_order(self, self.links_of(of), *order);
        let link = index.and_then(|index| queue.get(index).copied());
        link.map(|it| Value::Element(Element::Connection(it.id))).into()
    }

    fn scale(&self, args: &[Value]) -> Value {
        match args {
            [volume, Value::Element(Element::Sink(sink))] => {
                let gain = volume.short().and_then(|volume| self.view.scale(*sink, volume));
                gain.map(Value::Gain).into()
            }
            _ => Value::Absent,
        }
    }

    fn property(&self, function: Function, of: Element, kind: Option<&Value>) -> Value {
        let which = match function {
            Function::SoundProperty => Property::Sound,
            Function::MainSoundPropertyValue => Property::MainSound,
            Function::NotificationConfigurationStatus => Property::NotificationStatus,
            Function::NotificationConfigurationParam => Property::NotificationParam,
            Function::MainNotificationConfigurationStatus => Property::MainNotificationStatus,
            Function::MainNotificationConfigurationParam => Property::MainNotificationParam,
            _ => return Value::Absent,
        };
        let kind = kind.and_then(Value::property_type);
        number(kind.and_then(|kind| self.view.property(of, which, kind)))
    }
}

/// A class's queue: newest, oldest, high or low priority first; of equal ones the newest.
pub(super) fn in_order(eval: &Eval<'_>, mut links: Vec<Link>, order: i16) -> Vec<Link> {
    let priority = |link: &Link| eval.priority(Element::Connection(link.id)).unwrap_or(0);
    links.sort_by_key(|it| std::cmp::Reverse((it.order, it.id)));
    match order {
        1 => links.reverse(),
        2 => links.sort_by_cached_key(|it| std::cmp::Reverse(priority(it))),
        3 => links.sort_by_cached_key(priority),
        _ => {}
    }
    links
}

/// A comparison; nothing absent equals anything or is in a list.
fn test(op: Op, left: &Value, right: &Value) -> bool {
    let absent = *left == Value::Absent || *right == Value::Absent;
    let among = || matches!(left, Value::List(items) if !absent && items.contains(right));
    let order = left.number().zip(right.number()).map(|(left, right)| left.cmp(&right));
    match op {
        Op::Equal => !absent && left == right,
        Op::Unequal => absent || left != right,
        Op::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        Op::AtLeast => order.is_some_and(std::cmp::Ordering::is_ge),
        Op::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Op::AtMost => order.is_some_and(std::cmp::Ordering::is_le),
        Op::Has => among(),
        Op::Lacks => !among(),
    }
}
