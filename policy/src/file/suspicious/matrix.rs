//! Cells that do nothing, or nothing that is heard.

use super::Look;
use crate::file::{Table, code};
use crate::model::{Cell, Duck, Holder};
use crate::report::{Diagnostic, Span};
use crate::{Db10, MUTE};

/// The least volume that is heard, where no zone says more: that of the usual curve, 0.1 dB.
const FLOOR: Db10 = -600;

pub(super) fn look(look: &Look<'_, '_>) {
    if let Some(table) = look.root.get("defaults").and_then(|value| value.table()) {
        depth(look, &table, look.model.default_duck);
    }
    let tables = look.root.tables("matrix");
    for table in &tables {
        let line = look.root.doc().line(table.span());
        let own: Vec<&Cell> = look.model.cells.values().filter(|it| it.line == Some(line)).collect();
        if own.is_empty() {
            shadowed(look, table, &tables);
        } else if let Some(cell) = own.iter().find(|it| it.holder == Holder::Duck) {
            depth(look, table, cell.duck);
        }
    }
}

/// A duck of nothing, or to nothing.
fn depth(look: &Look<'_, '_>, table: &Table<'_>, duck: Duck) {
    let Some(span) = table.key_span("depth_db") else {
        return;
    };
    let floor = floor(look);
    let (depth, deepest) = (
        duck.shallowest(),
        duck.groups.iter().flatten().copied().fold(duck.depth, Db10::min),
    );
    if deepest == 0 {
        let found = Diagnostic::warning(code::NO_EFFECT, span, "a duck of 0 dB has no effect");
        look.doubt(
            found
                .label("who is ducked stays as loud as it was")
                .help("give a depth, as `depth_db = -14`, or write `action = \"mix\"`"),
        );
    } else if depth > MUTE && depth <= floor {
        let found = Diagnostic::warning(code::SILENT, span, "this duck leaves nothing that is heard");
        let label = format!("the least volume of a zone is {}", crate::text::decibels(floor));
        look.doubt(
            found
                .label(label)
                .help("write `action = \"pause\"`, which holds what isn't heard, or `depth_db = \"mute\"`"),
        );
    }
}

/// The least volume that a zone's curve has above silence.
fn floor(look: &Look<'_, '_>) -> Db10 {
    let heard = look
        .model
        .sinks
        .iter()
        .flat_map(|sink| sink.curve.iter().map(|point| point.1));
    let least = heard.filter(|gain| *gain > MUTE).min();
    least.map_or(FLOOR, |least| least.min(FLOOR))
}

/// Whatever it says, others say by name, or it is about safety classes.
fn shadowed(look: &Look<'_, '_>, table: &Table<'_>, all: &[Table<'_>]) {
    let found = Diagnostic::warning(code::SHADOWED, table.span(), "this cell is never used");
    let help = "take it out, or name the classes that it is meant for";
    let Some(other) = speaks_before(look, table, all) else {
        let label = "a `*` as holder is no safety class, and never the newcomer's own class";
        return look.doubt(found.label(label).help(help));
    };
    let found = found.label("all of its pairs are written by name elsewhere");
    look.doubt(found.see(other, "here, for one").help(help));
}

/// A cell that is written by name for one of this one's pairs.
fn speaks_before(look: &Look<'_, '_>, table: &Table<'_>, all: &[Table<'_>]) -> Option<Span> {
    let side = |key: &'static str| -> Vec<usize> {
        let classes = 0..look.model.classes.len();
        match table.get(key) {
            Some(value) if !value.is_star() => {
                let names: Vec<_> = value
                    .items()
                    .iter()
                    .filter_map(|it| it.text())
                    .map(|it| it.value)
                    .collect();
                classes.filter(|class| names.contains(&look.class(*class))).collect()
            }
            _ => classes.collect(),
        }
    };
    let newcomers = side("newcomer");
    let holders = side("holder").into_iter();
    let mut pairs = holders.flat_map(|holder| newcomers.iter().map(move |newcomer| (holder, *newcomer)));
    let line = pairs.find_map(|pair| look.model.cells.get(&pair)?.line)?;
    let spans = all.iter().map(Table::span);
    spans.into_iter().find(|span| look.root.doc().line(*span) == line)
}
