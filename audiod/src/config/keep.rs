//! `state` and `[restore]`: what is kept over a boot, and where.

use std::path::PathBuf;

use policy::file::{Table, code};
use policy::model::Restore;
use policy::report::Diagnostic;

use super::Context;
use crate::system::{Backend, System};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keep {
    /// The file that volumes and connections are kept in; `None` = nowhere.
    pub state: Option<PathBuf>,
    /// What a start brings back of it.
    pub restore: Restore,
}

pub(super) fn keep(root: &Table<'_>, context: &Context, system: &System) -> Keep {
    let state = root.get("state").and_then(|value| {
        let text = value.text()?;
        let path = context.resolve(text.value);
        if let Some(cause) = unusable(&path, context, system) {
            let message = format!("`{}` can't be where the state is kept", text.value);
            let found = Diagnostic::error(code::CONFLICT, text.span, message).label(cause);
            root.doc()
                .push(found.help("name a file of its own, as `state = \"audiod.state\"`"));
        }
        Some(path)
    });
    Keep {
        restore: restore(root, state.is_some()),
        state,
    }
}

fn unusable(path: &std::path::Path, context: &Context, system: &System) -> Option<String> {
    let written = path.to_string_lossy();
    if path.file_name().is_none() || written.ends_with('/') || (context.files && path.is_dir()) {
        return Some("this is a folder".to_owned());
    }
    let taken = |what: &str, name: &str| Some(format!("{what} {name} is there already"));
    if context.file == path {
        return Some("this is the file you are reading".to_owned());
    }
    let wav = |backend: &Backend| matches!(backend, Backend::Wav { path: there } if there == path);
    if let Some(codec) = system.codecs.iter().find(|codec| wav(&codec.backend)) {
        return taken("the sound of codec", &codec.name);
    }
    if let Some(guest) = system.guests.iter().find(|guest| guest.socket == path) {
        return taken("the socket of guest", &guest.name);
    }
    let chime = system.chimes.iter().find(|chime| chime.path == path)?;
    taken("chime", &chime.name)
}

fn restore(root: &Table<'_>, kept: bool) -> Restore {
    let Some(table) = root.get("restore").and_then(|value| value.table()) else {
        return Restore::default();
    };
    if !kept && let Some(span) = root.key_span("restore") {
        let found = Diagnostic::warning(code::NO_EFFECT, span, "nothing is kept that could be restored");
        root.doc().push(
            found
                .label("there is no `state`")
                .help("say where: `state = \"audiod.state\"`"),
        );
    }
    let default = Restore::default();
    let connections = table.word("connections", &[("user", true), ("none", false)]);
    Restore {
        volumes: table.bool_or("volumes", default.volumes),
        connections: connections.map_or(default.connections, |found| found.value),
    }
}
