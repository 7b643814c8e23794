//! Priorities, and what a safety class promises.

use super::Look;
use crate::file::{Entry, code, listed};
use crate::model::Holder;
use crate::report::{Diagnostic, Span};

pub(super) fn look(look: &Look<'_, '_>) {
    let entries = look.root.entries("classes");
    ties(look, &entries);
    for (class, entry) in entries.iter().enumerate() {
        if look.model.classes.get(class).is_some_and(|it| it.safety) {
            let promised = look.model.classes[class].others_at_most;
            match promised {
                Some(ceiling) => promise(look, class, entry, ceiling),
                None => room(look, class, entry),
            }
        }
    }
}

/// Others that are heard where this one is.
fn others<'l>(look: &'l Look<'_, '_>, class: usize) -> impl Iterator<Item = usize> + 'l {
    let classes = look.model.classes.iter().enumerate();
    let others = classes.filter(move |(other, it)| *other != class && !it.safety);
    others
        .map(|it| it.0)
        .filter(move |other| look.reach.meet(class, *other))
}

/// Two classes that are heard at once, and nothing says whether they are meant to be.
fn ties(look: &Look<'_, '_>, entries: &[Entry<'_>]) {
    let classes = &look.model.classes;
    for (later, entry) in entries.iter().enumerate() {
        for (earlier, other) in entries.iter().enumerate().take(later) {
            let is_safety = [earlier, later].iter().any(|class| classes[*class].safety);
            let written = [(earlier, later), (later, earlier)];
            let written = written.iter().any(|pair| look.model.cells.contains_key(pair));
            let tie = !is_safety && !written && classes[earlier].priority == classes[later].priority;
            if !tie || !look.reach.meet_by_themselves(earlier, later) {
                continue;
            }
            let message = format!("`{}` and `{}` are mixed", other.name, entry.name);
            let label = format!("both have priority {}, and no cell says more", classes[later].priority);
            look.doubt(
                Diagnostic::warning(code::PRIORITY, entry.span, message)
                    .label(label)
                    .see(other.span, "the other")
                    .help("give one of them the greater `priority`, or write the cell with `action = \"mix\"`"),
            );
        }
    }
}

/// A safety class that nobody makes room for.
fn room(look: &Look<'_, '_>, class: usize, entry: &Entry<'_>) {
    let priority = look.model.classes[class].priority;
    let loud = others(look, class).filter(|other| {
        let verdict = look.model.class_pressure(*other, class);
        verdict.action == Holder::Mix && verdict.line.is_none()
    });
    let loud: Vec<&str> = loud.map(|other| look.class(other)).collect();
    if loud.is_empty() {
        return;
    }
    let span = entry.table.key_span("priority").unwrap_or(entry.span);
    let message = format!(
        "nothing makes room for `{}`: {} stays as loud as it is",
        entry.name,
        listed(loud)
    );
    look.doubt(
        Diagnostic::warning(code::PRIORITY, span, message)
            .label(format!("{priority} is not above theirs"))
            .help(
                "leave `priority` out: a safety class is above all others then, or write the cells with it as newcomer",
            ),
    );
}

/// A ceiling that the matrix doesn't keep.
fn promise(look: &Look<'_, '_>, class: usize, entry: &Entry<'_>, ceiling: crate::Db10) {
    let span = entry.table.key_span("others_at_most_db").unwrap_or(entry.span);
    let said = crate::text::decibels(ceiling);
    let mut broken: Vec<(Option<u32>, String, Vec<&str>)> = Vec::new();
    for other in others(look, class) {
        let verdict = look.model.class_pressure(other, class);
        let how = match verdict.action {
            Holder::Pause | Holder::Stop => continue,
            Holder::Duck if verdict.duck.shallowest() <= ceiling => continue,
            Holder::Duck => format!("ducked to {} only", crate::text::decibels(verdict.duck.shallowest())),
            Holder::Mix => "not ducked".to_owned(),
        };
        match broken.iter_mut().find(|it| (it.0, &it.1) == (verdict.line, &how)) {
            Some(known) => known.2.push(look.class(other)),
            None => broken.push((verdict.line, how, vec![look.class(other)])),
        }
    }
    for (line, how, names) in broken {
        let cell = line.and_then(|line| cell(look, line));
        let message = format!("{} may be louder than `{}` allows", listed(names), entry.name);
        let found = match cell {
            Some(cell) => Diagnostic::warning(code::PROMISE, cell, message)
                .label(how)
                .see(span, format!("others at most at {said}")),
            None => Diagnostic::warning(code::PROMISE, span, message).label(format!("{how}: no cell says more")),
        };
        let depth = f64::from(ceiling) / 10.0;
        look.doubt(found.help(format!(
            "write a cell with `depth_db = {depth:.1}` or deeper, with `{}` as newcomer",
            entry.name
        )));
    }
}

/// The `[[matrix]]` in a line.
fn cell(look: &Look<'_, '_>, line: u32) -> Option<Span> {
    let spans = look.root.tables("matrix").into_iter().map(|table| table.span());
    spans.into_iter().find(|span| look.root.doc().line(*span) == line)
}
