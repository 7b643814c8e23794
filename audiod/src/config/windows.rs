//! `link = "window"`: a guest in another VM, whose memory is mapped here.

use std::collections::BTreeMap;

use policy::file::{Entry, Table, code};
use policy::report::{Diagnostic, Span};

use super::{Context, twice};
use crate::system::WindowConfig;

/// Most words of a doorbell: one page.
const WORDS: i64 = 1024;
/// Longest window, MiB.
const MOST_MIB: i64 = 64 << 10;

/// What no two windows may share.
#[derive(Default)]
pub(super) struct Windows {
    ports: BTreeMap<u32, Span>,
    words: BTreeMap<u32, Span>,
}

/// Whether a guest's stream comes by vsock, so that it needs no socket.
pub(super) fn has_port(entry: &Entry<'_>) -> bool {
    let window = entry.table.get("window").filter(|_| entry.table.get("link").is_some());
    window
        .and_then(|window| window.table())
        .is_some_and(|table| table.get("port").is_some())
}

impl Windows {
    /// A guest's window, if that is its link.
    pub(super) fn window(&mut self, entry: &Entry<'_>, context: &Context) -> Option<WindowConfig> {
        let link = entry.table.word("link", &[("socket", false), ("window", true)]);
        let linked = link.is_some_and(|link| link.value);
        let window = entry.table.get("window");
        match (linked, window) {
            (false, None) => None,
            (false, Some(window)) => {
                let found = Diagnostic::error(
                    code::CONFLICT,
                    window.span,
                    "a window, but the guest's link is a socket",
                );
                window.push(
                    found
                        .label("nobody would use it")
                        .help("write `link = \"window\"`, or leave `window` out"),
                );
                None
            }
            (true, None) => {
                let cure = "say where it is: `window = { memory = \"/dev/dax0.0\", size_mib = 2, port = 5000 }`";
                entry.table.need("window", cure);
                None
            }
            (true, Some(window)) => self.read(&window.table()?, context),
        }
    }

    fn read(&mut self, table: &Table<'_>, context: &Context) -> Option<WindowConfig> {
        let memory = table.need("memory", "name what is mapped: `memory = \"/dev/dax0.0\"`");
        let memory = memory.and_then(|value| value.text());
        let mib = |key, least, cure: Option<&str>| {
            let value = match cure {
                Some(cure) => table.need(key, cure),
                None => table.get(key),
            };
            let found = value.and_then(|value| value.integer(least..=MOST_MIB));
            found.map_or(0, |found| u64::try_from(found.value).unwrap_or(0) << 20)
        };
        let (len, offset) = (
            mib("size_mib", 1, Some("say how long it is: `size_mib = 2`")),
            mib("offset_mib", 0, None),
        );
        let port = table.integer("port", 1024..=i64::from(u32::MAX - 1));
        let port = port.and_then(|found| Some((u32::try_from(found.value).ok()?, found.span)));
        if let Some((port, span)) = port
            && let Some(first) = self.ports.insert(port, span)
        {
            twice(table, span, first, format!("two guests can't share vsock port {port}"));
        }
        let doorbell = table.get("doorbell").and_then(|value| value.text());
        let word = table.integer("first_word", 0..=WORDS - 4);
        let first_word = word.and_then(|found| u32::try_from(found.value).ok()).unwrap_or(0);
        if let (Some(_), Some(word)) = (doorbell, word) {
            let near = first_word.saturating_sub(3)..=first_word + 3;
            if let Some((_, first)) = self.words.range(near).next() {
                twice(
                    table,
                    word.span,
                    *first,
                    "two guests can't share words of the doorbell (each has 4)".to_owned(),
                );
            }
            self.words.insert(first_word, word.span);
        }
        Some(WindowConfig {
            memory: context.resolve(memory?.value),
            offset,
            len,
            port: port.map(|(port, _)| port),
            doorbell: doorbell.map(|text| context.resolve(text.value)),
            first_word,
        })
    }
}
