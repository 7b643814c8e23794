//! The engines' flight recorders, read as they go: to the log at debug, and what people want to know to the monitor with the
//! exact codec frame.

use crate::blocks::EngineBlock;
use crate::blocks::recorder::{Event, Kind};
use crate::system::System;

use super::history::Taken;
use super::monitor::{Happening, Names};

struct Reader {
    name: String,
    block: &'static EngineBlock,
    next: u64,
    /// Nothing was missed since the last batch it took.
    seamless: bool,
}

/// What an engine recorded.
pub enum Seen {
    /// For whoever watches, and the frame it happened at.
    Happening(u64, Happening),
    /// For the record of decisions.
    Taken(Taken),
}

/// See the module.
pub struct Recorders(Vec<Reader>);

impl Recorders {
    /// From now on.
    pub fn new(system: &System, blocks: &[&'static EngineBlock]) -> Self {
        let readers = system.codecs.iter().zip(blocks).map(|(codec, block)| Reader {
            name: codec.name.clone(),
            block,
            next: block.recorder.next(),
            seamless: true,
        });
        Self(readers.collect())
    }

    /// What was recorded since the last call.
    pub fn drain(&mut self, names: &Names, chimes: &super::chimes::Chimes) -> Vec<Seen> {
        let mut all = Vec::new();
        for (codec, reader) in self.0.iter_mut().enumerate() {
            let end = reader.block.recorder.next();
            for number in reader.next..end {
                // `None`: overwritten before anybody came by.
                let Some(event) = reader.block.recorder.get(number) else {
                    reader.seamless = false;
                    continue;
                };
                tracing::debug!(codec = reader.name, "{}", text(&event));
                if is(&event, Kind::Gains) {
                    all.push(Seen::Taken(taken(codec, &event, reader.seamless)));
                    reader.seamless = true;
                }
                let seen = happening(&event, &reader.name, names, chimes);
                all.extend(seen.map(|one| Seen::Happening(event.frame, one)));
            }
            reader.next = end;
        }
        all
    }

    /// The last events in words, oldest first; at most `count` a codec.
    pub fn last(&self, count: u64) -> Vec<String> {
        let mut lines = Vec::new();
        for reader in &self.0 {
            let end = reader.block.recorder.next();
            let events = (end.saturating_sub(count)..end).filter_map(|number| reader.block.recorder.get(number));
            lines.extend(events.map(|event| format!("{}: {}", reader.name, text(&event))));
        }
        lines
    }
}

fn taken(codec: usize, event: &Event, seamless: bool) -> Taken {
    Taken {
        codec,
        batch: event.subject,
        period: event.value,
        frame: event.frame,
        seamless,
    }
}

fn is(event: &Event, kind: Kind) -> bool {
    event.kind == kind as u32
}

fn happening(event: &Event, codec: &str, names: &Names, chimes: &super::chimes::Chimes) -> Option<Happening> {
    let subject = event.subject as usize;
    let of_codec = |name| Happening::new(name).with("codec", codec);
    if is(event, Kind::EngineUp) {
        Some(of_codec("engine").with("pid", event.value))
    } else if is(event, Kind::Underrun) {
        Some(of_codec("underrun").with("frames", event.value))
    } else if is(event, Kind::Stalled) {
        Some(of_codec("codec-stalled").with("stalled", event.value == 1))
    } else if is(event, Kind::ChimeBegun) {
        Some(of_codec("chime-begin").with("chime", chimes.name(subject)))
    } else if is(event, Kind::ChimeEnded) {
        Some(of_codec("chime-end").with("chime", chimes.name(subject)))
    } else if is(event, Kind::Stream) {
        let doing = DOING.get(usize::try_from(event.value).ok()?).copied()?;
        Some(
            Happening::new("stream")
                .with("source", names.source(subject))
                .with("doing", doing),
        )
    } else {
        None
    }
}

/// `SourceMeter::doing` in words.
const DOING: [&str; 5] = ["idle", "held", "playing", "discarding", "stalled"];

fn text(event: &Event) -> String {
    let (frame, subject, value) = (event.frame, event.subject, event.value);
    let what = match event.kind {
        kind if kind == Kind::EngineUp as u32 => format!("engine up, pid {value}"),
        kind if kind == Kind::Underrun as u32 => format!("underrun of {value} frames"),
        kind if kind == Kind::Stream as u32 => {
            let doing = usize::try_from(value).ok().and_then(|doing| DOING.get(doing));
            format!("source {subject}: {}", doing.unwrap_or(&"?"))
        }
        kind if kind == Kind::Starved as u32 => format!("source {subject} starved of {value} frames"),
        kind if kind == Kind::Gains as u32 => format!("gains, batch {subject} at the edge of period {value}"),
        kind if kind == Kind::ChimeBegun as u32 => format!("chime {subject} begun"),
        kind if kind == Kind::ChimeEnded as u32 => format!("chime {subject} ended"),
        kind if kind == Kind::Violation as u32 => format!("guest {subject}: fault {value}"),
        kind if kind == Kind::Stalled as u32 => format!("codec {}", if value == 1 { "stands still" } else { "moves" }),
        kind => format!("event {kind}: {subject}, {value}"),
    };
    format!("frame {frame}: {what}")
}
