//! Status as aligned lines.

use std::fmt::Write as _;

use dbus_api::status::{Codec, Direction, Domain, Guest, Status, Stream, StreamState, Zone};

use crate::print::{Colour, Printer, plain};

/// A cell and its colour.
type Cell = (String, Colour);

fn cell(text: impl AsRef<str>) -> Cell {
    (plain(text.as_ref()), Colour::None)
}

/// A gain; `None` is silence.
fn db(value: Option<f32>) -> String {
    value.map_or_else(|| "silent".to_owned(), |value| format!("{value:.1} dB"))
}

/// A level; `None` is silence.
fn dbfs(value: Option<f32>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

/// Lines of equal columns; the last column isn't padded.
pub fn aligned(out: &Printer, head: &[&str], rows: &[Vec<Cell>]) -> String {
    let head: Vec<Cell> = head.iter().map(|title| ((*title).to_owned(), Colour::Bold)).collect();
    let all: Vec<&Vec<Cell>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| {
        all.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.0.chars().count())
            .max()
    };
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (column, (content, colour)) in row.iter().enumerate() {
            let pad = if column + 1 == row.len() {
                0
            } else {
                width(column).unwrap_or(0) + 2 - content.chars().count()
            };
            let _ = write!(line, "{}{}", out.paint(*colour, content), " ".repeat(pad));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The whole of `audioctl status`.
pub fn status(out: &Printer, status: &Status) -> String {
    let mut text = String::new();
    let streams: Vec<Vec<Cell>> = status.streams.iter().map(stream).collect();
    let head = [
        "STREAM",
        "GUEST",
        "ROLE",
        "STATE",
        "ROUTE",
        "ZONE",
        "VOLUME",
        "EFFECTIVE",
        "LEVEL dBFS",
        "CAUSE",
    ];
    text.push_str(&aligned(out, &head, &streams));
    text.push('\n');
    let zones: Vec<Vec<Cell>> = status.zones.iter().map(zone).collect();
    text.push_str(&aligned(
        out,
        &["ZONE", "CODEC", "VOLUME", "PEAK dBFS", "LIMITER"],
        &zones,
    ));
    text.push('\n');
    let codecs: Vec<Vec<Cell>> = status.codecs.iter().map(codec).collect();
    text.push_str(&aligned(
        out,
        &["CODEC", "BACKEND", "FORMAT", "PERIOD", "PLAYED", "UNDERRUNS", "STATE"],
        &codecs,
    ));
    if !status.domains.is_empty() {
        let domains: Vec<Vec<Cell>> = status.domains.iter().map(|it| domain(it, status)).collect();
        text.push('\n');
        text.push_str(&aligned(
            out,
            &["DOMAIN", "BUS NAME", "SOURCES", "SINKS", "OWES"],
            &domains,
        ));
    }
    let chimes = status.chimes.iter().filter(|chime| chime.sounding);
    let notes: Vec<String> = chimes
        .map(|chime| format!("chime {} sounds", chime.name))
        .chain(status.guests.iter().filter_map(guest_line))
        .collect();
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "{}", out.paint(Colour::Yellow, &plain(&note)));
    }
    text
}

fn stream(stream: &Stream) -> Vec<Cell> {
    let routes: Vec<String> = stream
        .routes
        .iter()
        .map(|route| format!("#{} {}", route.connection, connection(route.state)))
        .collect();
    let zones: Vec<&str> = stream.routes.iter().map(|route| route.zone.as_str()).collect();
    let or_dash = |list: String| if list.is_empty() { "-".to_owned() } else { list };
    let muted = if stream.mute { " muted" } else { "" };
    let levels = match (stream.level_dbfs, stream.level_after_dbfs) {
        (None, None) => "-".to_owned(),
        (before, after) => format!("{} -> {}", dbfs(before), dbfs(after)),
    };
    let capture = if stream.direction == Direction::Capture {
        " (capture)"
    } else {
        ""
    };
    let effective = if stream.routes.is_empty() {
        "-".to_owned()
    } else {
        db(stream.effective_db)
    };
    vec![
        cell(&stream.name),
        cell(&stream.guest),
        cell(format!("{}{capture}", stream.role)),
        (stream.state.text().to_owned(), state_colour(stream.state)),
        cell(or_dash(routes.join(", "))),
        cell(or_dash(zones.join(", "))),
        cell(format!("{}{muted}", db(stream.wanted_db))),
        cell(effective),
        cell(levels),
        cell(notes(stream)),
    ]
}

/// The cause, and what went wrong with the stream.
fn notes(stream: &Stream) -> String {
    let mut notes = Vec::new();
    if !stream.cause.is_empty() {
        notes.push(stream.cause.clone());
    }
    let counts = [
        (stream.xruns, "xruns"),
        (stream.starved, "starved periods"),
        (stream.refused, "refused"),
    ];
    notes.extend(
        counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}")),
    );
    if !stream.fault.is_empty() {
        notes.push(format!("fault: {}", stream.fault));
    }
    notes.join("; ")
}

fn state_colour(state: StreamState) -> Colour {
    match state {
        StreamState::Running => Colour::Green,
        StreamState::Paused | StreamState::Deciding | StreamState::Discarding => Colour::Yellow,
        StreamState::Fault | StreamState::Stalled => Colour::Red,
        _ => Colour::Dim,
    }
}

/// `am_ConnectionState_e` in words.
pub fn connection(state: i16) -> &'static str {
    match state {
        1 => "connecting",
        2 => "connected",
        3 => "disconnecting",
        4 => "disconnected",
        5 => "suspended",
        _ => "unknown",
    }
}

fn zone(zone: &Zone) -> Vec<Cell> {
    let muted = if zone.mute { " muted" } else { "" };
    vec![
        cell(&zone.name),
        cell(&zone.codec),
        cell(format!("{} ({}){muted}", zone.volume, db(zone.volume_db))),
        cell(dbfs(zone.peak_dbfs)),
        cell(db(Some(zone.limiter_db))),
    ]
}

fn codec(codec: &Codec) -> Vec<Cell> {
    let ms = |frames: f64| frames * 1000.0 / f64::from(codec.rate.max(1));
    // Exact up to 2^53 frames: millennia.
    let played = ms(codec.position as f64) / 1000.0;
    let state = match (codec.stalled, codec.realtime) {
        (true, _) => ("stalled".to_owned(), Colour::Red),
        (false, true) => ("real time".to_owned(), Colour::Green),
        (false, false) => ("no real-time priority".to_owned(), Colour::Yellow),
    };
    let underruns = if codec.underruns == 0 {
        Colour::None
    } else {
        Colour::Red
    };
    vec![
        cell(&codec.name),
        cell(&codec.backend),
        cell(format!("{} Hz x {}", codec.rate, codec.channels)),
        cell(format!("{} ({:.3} ms)", codec.period, ms(codec.period.into()))),
        cell(format!("{played:.3} s")),
        (codec.underruns.to_string(), underruns),
        state,
    ]
}

/// A domain, its sinks by name, and what it has not acknowledged.
fn domain(domain: &Domain, status: &Status) -> Vec<Cell> {
    let sinks = status.sinks.iter().filter(|sink| sink.domain == domain.name);
    let sinks: Vec<String> = sinks
        .map(|sink| {
            let muted = if sink.mute { " muted" } else { "" };
            let away = if sink.available { "" } else { " unavailable" };
            format!("{} ({}){muted}{away}", sink.name, sink.volume)
        })
        .collect();
    let owes = match domain.owes {
        0 => ("nothing".to_owned(), Colour::None),
        owes => {
            let plural = if owes == 1 { "ack" } else { "acks" };
            let waited = domain.owes_for_ms as f64 / 1000.0;
            (format!("{owes} {plural}, the first for {waited:.1} s"), Colour::Yellow)
        }
    };
    vec![
        cell(&domain.name),
        cell(&domain.bus_name),
        cell(domain.sources.to_string()),
        cell(if sinks.is_empty() {
            "-".to_owned()
        } else {
            sinks.join(", ")
        }),
        owes,
    ]
}

/// What is wrong with a guest. (That it isn't connected is in its streams' state.)
fn guest_line(guest: &Guest) -> Option<String> {
    let mut notes = guest.memory_warnings.clone();
    if guest.violations > 0 {
        notes.push(format!("{} violations of the protocol", guest.violations));
    }
    (!notes.is_empty()).then(|| format!("guest {}: {}", guest.name, notes.join("; ")))
}
