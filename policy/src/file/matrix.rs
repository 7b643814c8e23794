//! The matrix of holder and newcomer.
//!
//! `holder` and `newcomer` are a name, a list of names, or `"*"`. A cell written by name goes before one written with one
//! `"*"`, and that before one with two. `"*"` stands for every class but, as holder, the safety ones (nothing reaches those),
//! and never pairs a class with itself.

use std::collections::BTreeMap;

use super::model::{MAX_RAMP_MS, Names};
use super::{Found, Item, Table, code, did_you_mean, listed};
use crate::model::{Cell, Duck, Holder, MAX_GROUPS, Model, Newcomer};
use crate::report::{Diagnostic, Span};

type Cells = BTreeMap<(usize, usize), Written>;

#[derive(Clone, Copy)]
struct Written {
    cell: Cell,
    /// How many sides are a `"*"`.
    wild: usize,
    at: Span,
}

/// One `[[matrix]]`.
struct Rule<'d> {
    table: Table<'d>,
    holders: Side,
    newcomers: Side,
    cell: Cell,
}

struct Side {
    classes: Vec<Found<usize>>,
    wild: bool,
}

/// `[defaults]`: the duck of cells that don't say.
pub(super) fn defaults(root: &Table<'_>, groups: &[String]) -> Duck {
    match root.get("defaults").and_then(|value| value.table()) {
        Some(table) => duck(&table, Duck::default(), groups),
        None => Duck::default(),
    }
}

fn duck(table: &Table<'_>, default: Duck, groups: &[String]) -> Duck {
    let own = table.key_span("depth_db").or(table.key_span("group_depth_db"));
    let mut depths = own.map_or(default.groups, |_| [None; MAX_GROUPS]);
    for item in table.values("group_depth_db") {
        let depth = item.value.gain().map(|found| found.value);
        match groups.iter().position(|name| name == item.name) {
            Some(group) => depths[group] = depth,
            None => unknown_group(table, &item, groups),
        }
    }
    Duck {
        depth: table.gain_or("depth_db", default.depth),
        groups: depths,
        attack_ms: table.u32_or("attack_ms", 0..=MAX_RAMP_MS, default.attack_ms),
        release_ms: table.u32_or("release_ms", 0..=MAX_RAMP_MS, default.release_ms),
    }
}

fn unknown_group(table: &Table<'_>, item: &Item<'_>, groups: &[String]) {
    let known = || groups.iter().map(String::as_str);
    let message = format!("there is no channel group `{}`", item.name);
    let label = match groups {
        [] => "no zone has `groups`".to_owned(),
        _ => format!("channel groups: {}", listed(known())),
    };
    let found = Diagnostic::error(code::UNKNOWN_NAME, item.span, message).label(label);
    table.doc().push(found.maybe_help(did_you_mean(item.name, known())));
}

/// All written cells.
pub(super) fn read(root: &Table<'_>, names: &Names<'_>, model: &Model) -> BTreeMap<(usize, usize), Cell> {
    let mut rules: Vec<Rule<'_>> = (root.tables("matrix").iter())
        .filter_map(|table| rule(*table, names, model))
        .collect();
    rules.sort_by_key(Rule::wild);
    let mut cells = Cells::new();
    for rule in rules.iter().take_while(|_| !root.doc().is_full()) {
        rule.write(model, &mut cells);
    }
    ducking_each_other(root, model, &cells);
    cells.into_iter().map(|(pair, written)| (pair, written.cell)).collect()
}

fn rule<'d>(table: Table<'d>, names: &Names<'_>, model: &Model) -> Option<Rule<'d>> {
    let holders = side(&table, "holder", names, model);
    let newcomers = side(&table, "newcomer", names, model);
    let actions = [
        ("mix", Holder::Mix),
        ("duck", Holder::Duck),
        ("pause", Holder::Pause),
        ("stop", Holder::Stop),
    ];
    let fates = [
        ("play", Newcomer::Play),
        ("delay", Newcomer::Delay),
        ("reject", Newcomer::Reject),
    ];
    let newcomer = table.word("newcomer_action", &fates).map(|found| found.value);
    if table.key_span("newcomer_action").is_none() {
        table.need(
            "action",
            "say what happens to the holder: `action = \"duck\"`, or mix, pause, stop",
        );
    }
    let action = table.word("action", &actions).map(|found| found.value);
    let cell = Cell {
        holder: action.unwrap_or(Holder::Mix),
        newcomer: newcomer.unwrap_or(Newcomer::Play),
        duck: duck(&table, model.default_duck, &model.groups),
        line: Some(table.doc().line(table.span())),
    };
    without_effect(&table, cell.holder);
    Some(Rule {
        table,
        holders: holders?,
        newcomers: newcomers?,
        cell,
    })
}

fn without_effect(table: &Table<'_>, action: Holder) {
    let useless: &[&str] = match action {
        Holder::Duck => &[],
        Holder::Pause | Holder::Stop => &["depth_db", "group_depth_db"],
        Holder::Mix => &["depth_db", "group_depth_db", "attack_ms", "release_ms"],
    };
    for (key, span) in useless.iter().filter_map(|key| Some((key, table.key_span(key)?))) {
        let found = Diagnostic::warning(code::NO_EFFECT, span, format!("`{key}` has no effect here"));
        table.doc().push(
            found
                .label("only a duck has it")
                .help("write `action = \"duck\"`, or take it out"),
        );
    }
}

fn side(table: &Table<'_>, key: &'static str, names: &Names<'_>, model: &Model) -> Option<Side> {
    let value = table.need(key, &format!("name a class, a list of classes, or `{key} = \"*\"`"))?;
    if value.is_star() {
        let every = (0..model.classes.len()).map(|class| Found {
            value: class,
            span: value.span,
        });
        return Some(Side {
            classes: every.collect(),
            wild: true,
        });
    }
    if value.items().is_empty() {
        let message = format!("there is no {key}");
        let found = Diagnostic::error(code::OUT_OF_RANGE, value.span, message).label("names no class");
        table.doc().push(found);
    }
    Some(Side {
        classes: value.names_of("class", "classes", &names.classes),
        wild: false,
    })
}

impl Rule<'_> {
    fn wild(&self) -> usize {
        usize::from(self.holders.wild) + usize::from(self.newcomers.wild)
    }

    fn write(&self, model: &Model, cells: &mut Cells) {
        let safety = |class: &Found<usize>| model.classes.get(class.value).is_some_and(|class| class.safety);
        for holder in &self.holders.classes {
            if safety(holder) {
                if !self.holders.wild {
                    self.refuse_holder(model, holder);
                }
                continue;
            }
            for newcomer in &self.newcomers.classes {
                if self.wild() > 0 && holder.value == newcomer.value {
                    continue;
                }
                if safety(newcomer) && self.cell.newcomer != Newcomer::Play {
                    if !self.newcomers.wild {
                        self.refuse_newcomer(model, newcomer);
                    }
                    continue;
                }
                self.write_cell((holder.value, newcomer.value), model, cells);
            }
        }
    }

    fn write_cell(&self, pair: (usize, usize), model: &Model, cells: &mut Cells) {
        let written = Written {
            cell: self.cell,
            wild: self.wild(),
            at: self.table.span(),
        };
        let earlier = *cells.entry(pair).or_insert(written);
        if earlier.at != written.at && earlier.wild == written.wild {
            self.clash(pair, model, earlier.at, written);
        }
    }

    fn clash(&self, pair: (usize, usize), model: &Model, earlier: Span, written: Written) {
        let doc = self.table.doc();
        if doc.is_full() {
            return;
        }
        let [holder, newcomer] = [pair.0, pair.1].map(|class| name(model, class));
        let message = format!("the cell of holder `{holder}` and newcomer `{newcomer}` is written twice");
        let (first, second) = (earlier.min(written.at), earlier.max(written.at));
        doc.push(
            Diagnostic::error(code::DUPLICATE, second, message)
                .label(format!("again here, in line {}", doc.line(second)))
                .see(first, format!("first here, in line {}", doc.line(first)))
                .help(match written.wild {
                    0 => "keep one of them",
                    _ => "write this cell by its names: it then goes before those with `*`",
                }),
        );
    }

    fn refuse_holder(&self, model: &Model, holder: &Found<usize>) {
        let message = format!(
            "`{}` is a safety class: nothing ducks, pauses or stops it",
            name(model, holder.value)
        );
        self.table.doc().push(
            Diagnostic::error(code::SAFETY, holder.span, message)
                .label("can't be a holder")
                .help("take it out: others can be ducked for it, with it as newcomer"),
        );
    }

    fn refuse_newcomer(&self, model: &Model, newcomer: &Found<usize>) {
        let message = format!(
            "`{}` is a safety class: nothing delays or rejects it",
            name(model, newcomer.value)
        );
        self.table.doc().push(
            Diagnostic::error(code::SAFETY, newcomer.span, message)
                .label("always plays")
                .help("take `newcomer_action` out"),
        );
    }
}

fn name(model: &Model, class: usize) -> &str {
    model.classes.get(class).map_or("?", |class| &class.name)
}

/// Classes each of which ducks the next, in a circle: once all sound, all are ducked.
fn ducking_each_other(root: &Table<'_>, model: &Model, cells: &Cells) {
    let mut told = vec![false; model.classes.len()];
    for start in 0..model.classes.len() {
        if told[start] {
            continue;
        }
        let Some(circle) = shortest_circle(start, model.classes.len(), cells) else {
            continue;
        };
        for &class in &circle {
            told[class] = true;
        }
        let names = circle.iter().map(|&class| name(model, class));
        let message = format!("these classes duck each other: {}", listed(names));
        let steps: Vec<Span> = (circle.iter().zip(circle.iter().cycle().skip(1)))
            .filter_map(|(&ducker, &ducked)| cells.get(&(ducked, ducker)))
            .map(|written| written.at)
            .collect();
        let Some((&first, rest)) = steps.split_first() else {
            continue;
        };
        let mut found = Diagnostic::warning(code::DUCK_CYCLE, first, message)
            .label("when all of them sound, all of them are ducked")
            .help("decide who is heard over whom, and keep that cell only");
        for &span in rest {
            found = found.see(span, "and here");
        }
        root.doc().push(found);
    }
}

/// The shortest chain of ducks from a class back to itself, through at least one other.
fn shortest_circle(start: usize, classes: usize, cells: &Cells) -> Option<Vec<usize>> {
    let ducks = |ducker: usize, ducked: usize| {
        ducker != ducked
            && cells
                .get(&(ducked, ducker))
                .is_some_and(|written| written.cell.holder == Holder::Duck)
    };
    let mut from: Vec<Option<usize>> = vec![None; classes];
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(class) = queue.pop_front() {
        if class != start && ducks(class, start) {
            let mut circle = vec![class];
            while let Some(before) = circle.last().and_then(|&class| from[class]) {
                circle.push(before);
            }
            circle.reverse();
            return Some(circle);
        }
        for next in (0..classes).filter(|&next| next != start && ducks(class, next)) {
            if from[next].is_none() {
                from[next] = Some(class);
                queue.push_back(next);
            }
        }
    }
    None
}
