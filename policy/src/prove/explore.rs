//! Breadth first over all states: the first way to a state is a shortest one.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::bounded::With;
use super::input::{self, Input};
use super::promise::{Breach, Promise, Watch};
use crate::effect::Effect;
use crate::simulate::world::World;
use crate::simulate::{Action, Cast};
use crate::{Event, Machine, Model, Time};

/// Machines kept while they wait; of those beyond, only the way to them is.
const MOST_KEPT: usize = 20_000;
/// Deadlines served while time goes on and nothing happens.
const MOST_TICKS: usize = 256;
/// States between two looks at the clock.
const LOOK_EVERY: usize = 256;

/// How far it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub states: usize,
    pub steps: usize,
    /// Inputs on the longest of the shortest ways.
    pub depth: usize,
    pub complete: bool,
}

/// A broken promise and a shortest way there: what is done when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub promise: Promise,
    pub what: String,
    pub steps: Vec<(Time, Action)>,
    /// When it is broken.
    pub at: Time,
}

/// A machine that waits, with what is around it, or only the way to it.
type Kept = Option<Box<(Machine, World)>>;

struct Node {
    parent: u32,
    input: u16,
    depth: u16,
}

/// An exploration of one model.
pub(super) struct Explorer<'m> {
    model: &'m Model,
    cast: Arc<Cast>,
    /// See [`With`].
    faults: Option<u32>,
    inputs: Vec<Input>,
    alike: Vec<usize>,
    watch: Watch,
    nodes: Vec<Node>,
    seen: HashSet<u128>,
    queue: VecDeque<(u32, Kept)>,
    /// Promises that are not broken yet.
    open: Vec<Promise>,
    pub found: Vec<Found>,
    /// Pairs of classes of which one came where the other was: (holder, newcomer).
    pub met: BTreeSet<(usize, usize)>,
    /// Rules that did something.
    pub fired: BTreeSet<usize>,
    pub extent: Extent,
}

impl<'m> Explorer<'m> {
    pub fn new(model: &'m Model, open: Vec<Promise>) -> Self {
        Self {
            model,
            cast: Arc::default(),
            faults: None,
            inputs: input::alphabet(model),
            alike: input::alike(model),
            watch: Watch::new(model),
            nodes: Vec::new(),
            seen: HashSet::new(),
            queue: VecDeque::new(),
            open,
            found: Vec::new(),
            met: BTreeSet::new(),
            fired: BTreeSet::new(),
            extent: Extent::default(),
        }
    }

    /// The same with domains.
    pub fn with_domains(model: &'m Model, open: Vec<Promise>, with: &With) -> Self {
        let With { cast, some, faults } = with.clone();
        Self {
            inputs: input::with_domains(model, &cast, &some, faults.is_some()),
            faults,
            alike: (0..model.sources.len()).collect(),
            cast,
            ..Self::new(model, open)
        }
    }

    /// A machine at its first start with all guests there and no domain.
    fn root(&self) -> (Machine, World) {
        let mut machine = Machine::new(self.model.clone());
        for source in 0..self.model.sources.len() {
            machine.step(
                Event::Available {
                    source,
                    available: true,
                },
                0,
            );
        }
        (machine, World::new(self.cast.clone()))
    }

    /// Visits every state, until `states` are known or `go_on` says no.
    pub fn run(&mut self, states: usize, go_on: &mut dyn FnMut() -> bool) {
        let (machine, world) = self.root();
        let mut breaches = Vec::new();
        self.watch.state(&machine, &self.open, &mut breaches);
        self.nodes.push(Node {
            parent: 0,
            input: u16::MAX,
            depth: 0,
        });
        self.seen.insert(self.essence(&machine, &world));
        self.note(0, breaches, machine.now());
        self.queue.push_back((0, Some(Box::new((machine, world)))));
        let mut visited = 0_usize;
        while let Some((node, kept)) = self.queue.pop_front() {
            visited += 1;
            if visited.is_multiple_of(LOOK_EVERY) && !go_on() {
                break;
            }
            let (machine, world) = kept.map_or_else(|| self.again(node), |kept| *kept);
            if !self.expand(node, &machine, &world, states) {
                // So that what is left counts as such.
                self.queue.push_front((node, None));
                break;
            }
        }
        self.extent.states = self.nodes.len();
        self.extent.complete = self.queue.is_empty();
    }

    /// What decides the future: the machine's, and where it counts, the order of requests and how many faults there were.
    fn essence(&self, machine: &Machine, world: &World) -> u128 {
        let own = machine.essence(&self.alike);
        if self.faults.is_none() {
            return own;
        }
        let mut around = std::hash::DefaultHasher::new();
        (world.faults, &world.open.iter().map(|it| it.ask).collect::<Vec<_>>()).hash(&mut around);
        own ^ u128::from(around.finish())
    }

    /// Goes the way to a node once more.
    fn again(&self, node: u32) -> (Machine, World) {
        let (mut machine, mut world) = self.root();
        for input in self.way(node) {
            self.take(&mut machine, &mut world, input, &mut Vec::new());
        }
        (machine, world)
    }

    fn way(&self, mut node: u32) -> Vec<&Input> {
        let mut way = Vec::new();
        while let Some(input) = self
            .nodes
            .get(node as usize)
            .and_then(|it| self.inputs.get(usize::from(it.input)))
        {
            way.push(input);
            node = self.nodes[node as usize].parent;
        }
        way.reverse();
        way
    }

    /// All that can happen in one state; `false` when there is no room for what comes of it.
    fn expand(&mut self, node: u32, machine: &Machine, world: &World, states: usize) -> bool {
        let depth = self.nodes[node as usize].depth + 1;
        for input in 0..self.inputs.len() {
            let fault = self.inputs[input].is_fault();
            let too_many = self.faults.is_some_and(|most| {
                let wish = self.inputs[input].is_wish() && !world.open.is_empty();
                wish || (fault && world.faults >= most)
            });
            if too_many || !self.inputs[input].can_happen(machine, world) {
                continue;
            }
            let (mut next, mut world) = (machine.clone(), world.clone());
            let mut breaches = Vec::new();
            self.take(&mut next, &mut world, &self.inputs[input], &mut breaches);
            self.extent.steps += 1;
            self.fired.extend(next.acted().iter().map(|decided| decided.rule));
            self.meets(machine, &self.inputs[input].clone());
            let is_new = self.seen.insert(self.essence(&next, &world));
            // What time alone does to a state is not told apart, and is looked at all the same.
            if is_new || self.inputs[input] == Input::Pass {
                self.watch.state(&next, &self.open, &mut breaches);
                self.settles(&next, &mut breaches);
            }
            if is_new || !breaches.is_empty() {
                if self.nodes.len() >= states {
                    return false;
                }
                let id = self.nodes.len() as u32;
                self.nodes.push(Node {
                    parent: node,
                    input: input as u16,
                    depth,
                });
                self.note(id, breaches, next.now());
                self.extent.depth = self.extent.depth.max(depth.into());
                if is_new {
                    let kept = (self.queue.len() < MOST_KEPT).then(|| Box::new((next, world)));
                    self.queue.push_back((id, kept));
                }
            }
        }
        true
    }

    fn take(&self, machine: &mut Machine, world: &mut World, input: &Input, breaches: &mut Vec<Breach>) {
        world.faults += u32::from(input.is_fault());
        if *input == Input::Pass {
            return self.pass(machine, world, breaches);
        }
        let now = machine.now();
        for action in input.actions() {
            let mut code = None;
            for part in world.parts(machine, &action) {
                let event = world.event(machine, part);
                let effects = machine.step(event, now);
                world.note(machine, &effects);
                let mut replies = effects.into_iter().filter_map(|effect| match effect {
                    Effect::Reply { reply, .. } => Some(reply.error),
                    _ => None,
                });
                code = replies.next_back().or(code);
                breaches.extend(Watch::rules(machine).filter(|it| self.open.contains(&it.0)));
            }
            breaches.extend(Watch::reply(machine, world, &action, code).filter(|it| self.open.contains(&it.0)));
        }
    }

    /// Time goes on to the next deadline; with domains, to the next of theirs.
    fn pass(&self, machine: &mut Machine, world: &mut World, breaches: &mut Vec<Breach>) {
        let until = machine.ack_deadline().filter(|_| !self.cast.is_empty());
        for _ in 0..MOST_TICKS {
            let Some(due) = machine.next_deadline() else { return };
            let late = machine.ack_deadline().is_some_and(|it| it <= due);
            let before = machine.heard().clone();
            let effects = machine.step(Event::Tick, due);
            world.note(machine, &effects);
            // A domain that doesn't acknowledge is something that happens.
            if !late {
                breaches.extend(Watch::time(&before, machine).filter(|it| self.open.contains(&it.0)));
            }
            if until.is_none_or(|until| until <= due) {
                return;
            }
        }
    }

    /// What was begun ends if time goes on, and no deadline is asked for without end.
    fn settles(&self, machine: &Machine, breaches: &mut Vec<Breach>) {
        if breaches.iter().all(|breach| breach.0 != Promise::Answered) {
            return;
        }
        // It may only need time.
        let mut later = machine.clone();
        for _ in 0..MOST_TICKS {
            let Some(due) = later.next_deadline() else { break };
            later.step(Event::Tick, due);
        }
        let mut lasting = Vec::new();
        self.watch.state(&later, &[Promise::Answered], &mut lasting);
        if lasting.is_empty() {
            breaches.retain(|breach| breach.0 != Promise::Answered);
        }
    }

    /// Notes which classes met: who comes where whom is there.
    fn meets(&mut self, before: &Machine, input: &Input) {
        let Input::Act(action) = input else { return };
        let (source, sinks) = match action {
            Action::Start { source } | Action::Sound { source, on: true } => {
                let model = self.model;
                let of_it = before.connections().filter(|it| it.source == *source).map(|it| it.sink);
                let described = &model.sources[*source];
                let own = described.auto_connect.iter().chain(&described.safety_sinks).copied();
                (*source, of_it.chain(own).collect::<BTreeSet<usize>>())
            }
            Action::Connect { source, sink } if before.state_of(*source).is_some_and(|it| it.running) => {
                (*source, BTreeSet::from([*sink]))
            }
            _ => return,
        };
        let class = |source: usize| self.model.sources[source].class;
        let running = |source: usize| before.state_of(source).is_some_and(|it| it.running);
        let there = before
            .connections()
            .filter(|it| sinks.contains(&it.sink) && running(it.source));
        let met = there
            .filter(|it| it.source != source)
            .map(|it| (class(it.source), class(source)));
        self.met.extend(met.collect::<Vec<_>>());
    }

    fn note(&mut self, node: u32, breaches: Vec<Breach>, at: Time) {
        for (promise, what) in breaches {
            let Some(index) = self.open.iter().position(|open| *open == promise) else {
                continue;
            };
            self.open.remove(index);
            let steps = self.timed(node);
            self.found.push(Found {
                promise,
                what,
                steps,
                at,
            });
        }
    }

    /// The way to a node with times.
    fn timed(&self, node: u32) -> Vec<(Time, Action)> {
        let (mut machine, mut world) = self.root();
        let mut steps = Vec::new();
        for input in self.way(node) {
            let now = machine.now();
            steps.extend(input.actions().into_iter().map(|action| (now, action)));
            self.take(&mut machine, &mut world, input, &mut Vec::new());
        }
        steps
    }
}

/// Cells of which no line was used: by line, the pairs of classes that never met.
pub(super) fn unused(model: &Model, met: &BTreeSet<(usize, usize)>) -> Vec<(u32, Vec<(usize, usize)>)> {
    let mut lines: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
    for (pair, cell) in &model.cells {
        if let Some(line) = cell.line {
            lines.entry(line).or_default().push(*pair);
        }
    }
    let never = |(_, pairs): &(u32, Vec<(usize, usize)>)| pairs.iter().all(|pair| !met.contains(pair));
    lines.into_iter().filter(never).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::file::{Document, read};

    const CAR: &str = r#"version = 1
[zones.cabin]
[classes.media]
priority = 10
[classes.call]
priority = 50
[classes.warning]
safety = true
[[matrix]]
holder = "media"
newcomer = "call"
action = "pause"
[guests.ivi]
streams.media = { class = "media", zone = "cabin" }
streams.radio = { class = "media" }
streams.call = { class = "call", zone = "cabin" }
[chimes.belt]
class = "warning"
zones = "cabin"
"#;

    /// Where every input leads from here; time going on leads to the same.
    fn successors(explorer: &Explorer<'_>, apart: &[usize], (machine, world): &(Machine, World)) -> Vec<(usize, u128)> {
        let inputs = explorer.inputs.iter().enumerate();
        let possible = inputs.filter(|(_, input)| {
            (**input != Input::Pass || !explorer.cast.is_empty()) && input.can_happen(machine, world)
        });
        let lead = possible.map(|(index, input)| {
            let (mut next, mut world) = (machine.clone(), world.clone());
            explorer.take(&mut next, &mut world, input, &mut Vec::new());
            (index, next.essence(apart))
        });
        lead.collect()
    }

    /// What `Machine::essence` leaves out decides nothing: whichever way a state was reached, it goes on alike.
    #[test]
    fn states_that_count_as_one_go_on_as_one() {
        go_on_as_one(CAR);
    }

    #[test]
    fn states_that_count_as_one_go_on_as_one_under_rules() {
        let rules = r#"
[[rules]]
name = "quiet"
on = "stream.started"
when = 'class(request.source) == "call"'
do = [
    { limit = { source = "ivi.radio", gain_db = -20.0, sticky = true } },
    { push = { class = "media" } },
]
[[rules]]
name = "loud"
on = "stream.stopped"
when = 'class(request.source) == "call"'
do = [{ unlimit = {} }, { pop = {} }]
"#;
        go_on_as_one(&(CAR.to_owned() + rules));
    }

    #[test]
    fn states_that_count_as_one_go_on_as_one_with_domains() {
        let model = read(&Document::parse(CAR));
        for with in super::super::bounded::anybody(&model) {
            // Of some, not all orders are tried: then what is left out is noted beside the state.
            let all = With { faults: None, ..with };
            go_on(&Explorer::with_domains(&model, Vec::new(), &all));
        }
    }

    fn go_on_as_one(text: &str) {
        let doc = Document::parse(text);
        let model = read(&doc);
        let report = doc.finish("car.toml");
        assert!(report.findings().is_empty(), "{report}");
        go_on(&Explorer::new(&model, Vec::new()));
    }

    fn go_on(explorer: &Explorer<'_>) {
        let apart: Vec<usize> = (0..explorer.model.sources.len()).collect();
        let mut known: HashMap<u128, Vec<(usize, u128)>> = HashMap::new();
        let mut queue = VecDeque::from([explorer.root()]);
        let mut compared = 0;
        while let Some((machine, world)) = queue.pop_front().filter(|_| compared < 4000) {
            let possible = explorer
                .inputs
                .iter()
                .filter(|input| input.can_happen(&machine, &world));
            for input in possible {
                let mut next = (machine.clone(), world.clone());
                explorer.take(&mut next.0, &mut next.1, input, &mut Vec::new());
                let lead = successors(explorer, &apart, &next);
                let essence = next.0.essence(&apart);
                assert!(
                    *input != Input::Pass || !explorer.cast.is_empty() || essence == machine.essence(&apart),
                    "time alone decides nothing"
                );
                match known.get(&essence) {
                    Some(before) => {
                        assert_eq!(before, &lead, "{input:?}");
                        compared += 1;
                    }
                    None => {
                        known.insert(essence, lead);
                        queue.push_back(next);
                    }
                }
            }
        }
        assert!(
            compared >= 4000 && known.len() > 200,
            "{compared} ways to {} states",
            known.len()
        );
    }
}
