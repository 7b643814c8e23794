//! Zones and streams that nobody hears, and curves.

use super::Look;
use crate::file::{Entry, Value, code, is_capture};
use crate::report::Diagnostic;
use crate::rules::kind::Element;
use crate::{MUTE, curve};

pub(super) fn look(look: &Look<'_, '_>) {
    for (sink, entry) in look.root.entries("zones").iter().enumerate() {
        loudness(look, sink, entry);
        flat(look, entry);
        lonely(look, sink, entry);
    }
    let mut source = 0;
    for guest in look.root.entries("guests") {
        for stream in guest.table.entries("streams") {
            if !is_capture(&stream.table) {
                unheard(look, source, &stream);
                mute(look, source, &stream);
            }
            source += 1;
        }
    }
}

/// Never heard, or not at first.
fn loudness(look: &Look<'_, '_>, sink: usize, entry: &Entry<'_>) {
    let Some(zone) = look.model.sinks.get(sink) else { return };
    let (_, greatest) = curve::range(&zone.curve);
    if curve::gain(&zone.curve, greatest) <= MUTE {
        let span = entry.table.key_span("curve").unwrap_or(entry.span);
        let found = Diagnostic::warning(code::SILENT, span, format!("zone `{}` can never be heard", entry.name));
        let label = format!("mainVolume {greatest}, its greatest, is silence");
        return look.doubt(found.label(label).help("let the curve end louder, as `[100, 0]`"));
    }
    let Some(span) = entry.table.key_span("volume").filter(|_| !zone.muted) else {
        return;
    };
    if curve::gain(&zone.curve, zone.main_volume) <= MUTE {
        let found = Diagnostic::warning(code::SILENT, span, format!("zone `{}` begins silent", entry.name));
        let label = format!("mainVolume {} is silence here", zone.main_volume);
        look.doubt(
            found
                .label(label)
                .help("give it a volume, or write `muted = true` if that is meant"),
        );
    }
}

/// Volumes between which nothing changes.
fn flat(look: &Look<'_, '_>, entry: &Entry<'_>) {
    let points = entry.table.get("curve").and_then(|value| value.list("points"));
    let points = points.unwrap_or_default();
    let worth = |point: &Value<'_>| {
        let pair = point.list("a point")?;
        let volume = pair.first()?.integer(i16::MIN.into()..=i16::MAX.into())?.value;
        Some((volume, pair.get(1)?.gain()?.value))
    };
    for two in points.windows(2) {
        let [Some(low), Some(high)] = [worth(&two[0]), worth(&two[1])] else {
            continue;
        };
        if low.1 == high.1 && low.1 > MUTE {
            let message = format!("volumes {} to {} sound the same", low.0, high.0);
            let found = Diagnostic::warning(code::NO_EFFECT, two[1].span, message);
            let label = format!("{} here and at the point before", crate::text::decibels(low.1));
            look.doubt(
                found
                    .label(label)
                    .help("let each point be louder than the one before, or take one out"),
            );
        }
    }
}

/// A zone that no source may reach.
fn lonely(look: &Look<'_, '_>, sink: usize, entry: &Entry<'_>) {
    let reached = (0..look.model.sources.len()).any(|source| look.reach.may(source, sink));
    let waits = look.model.sinks.get(sink).is_some_and(|it| it.visible) && !look.model.routing.known.sources.is_empty();
    if reached || waits || look.reach.is_on_a_way(entry.name) || look.reach.ruled(Element::Sink(sink)) {
        return;
    }
    let found = Diagnostic::warning(
        code::UNUSED,
        entry.span,
        format!("nothing can be heard in zone `{}`", entry.name),
    );
    let label = "no stream or chime names it, and clients can't connect one to it";
    let help = format!("let a stream name it, as `zone = \"{}\"`, or take it out", entry.name);
    look.doubt(found.label(label).help(help));
}

/// A stream that is heard nowhere.
fn unheard(look: &Look<'_, '_>, source: usize, entry: &Entry<'_>) {
    let Some(stream) = look.model.sources.get(source) else {
        return;
    };
    let reaches = (0..look.model.sinks.len()).any(|sink| look.reach.may(source, sink));
    let away = stream.visible && !look.model.routing.known.domains.is_empty();
    let startup = look.model.usage.startup.iter().any(|it| it.source == stream.name);
    if reaches || away || startup || look.reach.is_on_a_way(&stream.name) || look.reach.ruled(Element::Source(source)) {
        return;
    }
    let found = Diagnostic::warning(code::SILENT, entry.span, format!("`{}` is heard nowhere", stream.name));
    let label = "it names no `zone`, and clients can't connect it to one";
    look.doubt(
        found
            .label(label)
            .help("say where it is heard, as `zone = \"cabin\"`, or write `visible = true`"),
    );
}

/// A stream that nobody hears until somebody raises it.
fn mute(look: &Look<'_, '_>, source: usize, entry: &Entry<'_>) {
    let Some(stream) = look.model.sources.get(source).filter(|it| it.gain <= MUTE) else {
        return;
    };
    let Some(span) = entry
        .table
        .key_span("gain_db")
        .filter(|_| !look.model.protected(source))
    else {
        return;
    };
    let found = Diagnostic::warning(code::SILENT, span, format!("`{}` begins silent", stream.name));
    let label = "it is heard once its guest or a client raises it";
    look.doubt(
        found
            .label(label)
            .help("give it a gain, as `gain_db = -6`, or leave it out"),
    );
}
