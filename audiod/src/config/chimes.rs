//! `[chimes.NAME]`.

use std::path::{Path, PathBuf};

use mix::MAX_CHANNELS;
use policy::Model;
use policy::file::{Entry, Table, code};
use policy::report::Diagnostic;

use super::{Context, at_most, doubts};
use crate::blocks::MAX_CHIMES;
use crate::system::ChimeConfig;

/// Longest chime, seconds: it is kept in locked memory.
const MAX_SECONDS: u32 = 30;

/// All chimes, in the order of the file.
pub(super) fn chimes(root: &Table<'_>, context: &Context, model: &Model) -> Vec<ChimeConfig> {
    let entries = root.entries("chimes");
    at_most(&entries, MAX_CHIMES, "chimes");
    let first = model.sources.len().saturating_sub(entries.len());
    let sources = model.sources.iter().skip(first);
    let mut lengths: Vec<(usize, u64)> = Vec::new();
    let mut all = Vec::new();
    for (entry, source) in entries.iter().zip(sources) {
        let repeat = entry.table.u32_or("repeat", 1..=1000, 1);
        let (path, length) = path(entry, context);
        lengths.extend(length.map(|ms| (source.class, ms * u64::from(repeat))));
        all.push(ChimeConfig {
            name: entry.name.to_owned(),
            path,
            zones: source.safety_sinks.clone(),
            gain: source.gain,
            repeat,
        });
    }
    doubts::late_ducks(root, model, &lengths);
    all
}

/// Where the file is, and how long it sounds, ms, if it was looked at.
fn path(entry: &Entry<'_>, context: &Context) -> (PathBuf, Option<u64>) {
    let value = entry
        .table
        .need("path", "name a WAV file: `path = \"chimes/seatbelt.wav\"`");
    let Some(text) = value.and_then(|value| value.text()) else {
        return (PathBuf::new(), None);
    };
    let path = context.resolve(text.value);
    let length = context.files.then(|| playable(&path));
    if let Some(Err(cause)) = &length {
        let message = format!("`{}` can't be a chime", text.value);
        let found = Diagnostic::error(code::FILE, text.span, message).label(cause.clone());
        let help = format!(
            "put a WAV file of 1 to {MAX_CHANNELS} channels there: {}",
            path.display()
        );
        entry.table.doc().push(found.help(help));
    }
    (path, length.and_then(Result::ok))
}

/// Its length, ms, or why it can't be played.
fn playable(path: &Path) -> Result<u64, String> {
    let reader = hound::WavReader::open(path).map_err(|error| error.to_string())?;
    let spec = reader.spec();
    if !(1..=MAX_CHANNELS).contains(&usize::from(spec.channels)) {
        return Err(format!("it has {} channels", spec.channels));
    }
    if reader.duration() == 0 {
        return Err("it is empty".to_owned());
    }
    if u64::from(reader.duration()) > u64::from(MAX_SECONDS) * u64::from(spec.sample_rate) {
        return Err(format!("it is longer than {MAX_SECONDS} s"));
    }
    Ok(u64::from(reader.duration()) * 1000 / u64::from(spec.sample_rate.max(1)))
}
