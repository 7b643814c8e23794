//! What is legal but suspicious about the policy, as far as only the daemon can tell: whether anybody could call, whether anything is
//! kept, how long chimes are. The rest is `policy::file`'s.

use policy::Model;
use policy::file::{Table, code};
use policy::model::{Cell, Holder};
use policy::report::Diagnostic;

use super::keep::Keep;

/// The trigger of a mainVolume that was kept.
const STORED: &str = "system.stored_sink_volume";

/// Triggers that nobody sends.
pub(super) fn triggers(root: &Table<'_>, keep: &Keep) {
    let deaf = root.key_span("bus").is_none();
    let forgetful = keep.state.is_none() || !keep.restore.volumes;
    for table in root.tables("rules") {
        let items = table.get("on").map(|value| value.items()).unwrap_or_default();
        for item in items.iter().filter(|item| item.is_text()) {
            let Some(name) = item.text().map(|it| it.value) else {
                continue;
            };
            let (label, help) = if deaf && name.starts_with("user.") {
                (
                    "there is no `bus` that clients could call on",
                    "name one, as `bus = \"session\"`",
                )
            } else if forgetful && name == STORED {
                (
                    "no mainVolume is kept over a boot",
                    "say where, as `state = \"audiod.state\"`, with `volumes` restored",
                )
            } else {
                continue;
            };
            let found = Diagnostic::warning(code::NEVER, item.span, format!("`{name}` never comes"));
            root.doc().doubt(found.label(label).help(help));
        }
    }
}

/// Ducks that are not there before the chime they are for is over: `lengths` are the chimes' classes and lengths, ms.
pub(super) fn late_ducks(root: &Table<'_>, model: &Model, lengths: &[(usize, u64)]) {
    let longest = |class: usize| {
        let own = lengths.iter().filter(|it| it.0 == class);
        own.map(|it| it.1).max()
    };
    let late = |newcomer: usize, attack_ms: u32| longest(newcomer).filter(|ms| u64::from(attack_ms) >= *ms);
    for table in root.tables("matrix") {
        let line = root.doc().line(table.span());
        let own = |(_, cell): &(&(usize, usize), &Cell)| cell.line == Some(line) && cell.holder == Holder::Duck;
        let mut cells = model.cells.iter().filter(own);
        let found = cells.find_map(|((_, newcomer), cell)| Some((*newcomer, late(*newcomer, cell.duck.attack_ms)?)));
        let Some((class, longest)) = found else { continue };
        let span = table.key_span("attack_ms").unwrap_or(table.span());
        let name = model.classes.get(class).map_or("?", |class| &class.name);
        let message = format!("chimes of class `{name}` are over before this duck is there");
        let label = format!("the longest of them sounds {longest} ms");
        let found = Diagnostic::warning(code::LATE, span, message).label(label);
        root.doc().doubt(found.help("write a shorter `attack_ms`"));
    }
}
