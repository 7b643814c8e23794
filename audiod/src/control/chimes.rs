//! Chime requests: from a name to the cells of the engines that sound it, and what they have sounded.
//!
//! A chime in zones of several codecs has a cell in each engine's block; it sounds while any of them does. The cells are
//! states, so a control that dies in between leaves nothing behind that its successor doesn't see.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use policy::command::error;

use crate::blocks::EngineBlock;
use crate::system::System;

/// Requests of one chime that may be waiting.
const WAITING: u32 = 16;

struct Chime {
    name: String,
    engines: Vec<&'static EngineBlock>,
    /// Of the first engine's codec.
    rate: u32,
    sounding: bool,
}

/// See the module.
pub struct Chimes(Vec<Chime>);

impl Chimes {
    /// The bank of this system.
    pub fn new(system: &System, blocks: &[&'static EngineBlock]) -> Self {
        let chimes = system.chimes.iter().map(|chime| {
            let sounds_here = |codec: usize| {
                let mut zones = chime.zones.iter().filter_map(|&zone| system.zones.get(zone));
                zones.any(|zone| zone.codec == codec)
            };
            let first = (0..blocks.len()).find(|codec| sounds_here(*codec));
            let engines = blocks.iter().enumerate().filter(|(codec, _)| sounds_here(*codec));
            Chime {
                name: chime.name.clone(),
                engines: engines.map(|(_, block)| *block).collect(),
                rate: first
                    .and_then(|codec| system.codecs.get(codec))
                    .map_or(48_000, |codec| codec.rate),
                sounding: false,
            }
        });
        Self(chimes.collect())
    }

    /// Asks for one more sounding of a chime.
    ///
    /// # Errors
    /// `am_Error_e` and words: no such chime, or too many requests of it are waiting.
    pub fn request(&self, name: &str) -> Result<(), (i16, String)> {
        let Some((index, chime)) = self.0.iter().enumerate().find(|(_, chime)| chime.name == name) else {
            let names: Vec<_> = self.0.iter().map(|chime| chime.name.as_str()).collect();
            let there = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            return Err((error::NON_EXISTENT, format!("no chime `{name}`; there is: {there}")));
        };
        if chime.engines.is_empty() {
            return Err((error::NOT_POSSIBLE, format!("chime `{name}` sounds in no zone")));
        }
        if chime.engines.iter().any(|block| waiting(block, index) >= WAITING) {
            return Err((
                error::NOT_POSSIBLE,
                format!("chime `{name}`: {WAITING} requests of it are waiting"),
            ));
        }
        for block in &chime.engines {
            block.chimes[index].wanted.fetch_add(1, Release);
        }
        Ok(())
    }

    /// Chimes that began or ended since the last call: index, and whether it sounds. Asked for counts as sounding.
    pub fn changes(&mut self) -> Vec<(usize, bool)> {
        let mut changes = Vec::new();
        for (index, chime) in self.0.iter_mut().enumerate() {
            let sounds = chime.engines.iter().any(|block| waiting(block, index) > 0);
            if std::mem::replace(&mut chime.sounding, sounds) != sounds {
                changes.push((index, sounds));
            }
        }
        changes
    }

    /// Name, whether it sounds, requests and requests sounded to the end.
    pub fn state(&self, index: usize) -> Option<(bool, u64, u64)> {
        let chime = self.0.get(index)?;
        let cell = &chime.engines.first()?.chimes[index];
        let (wanted, ended) = (cell.wanted.load(Relaxed), cell.ended.load(Relaxed));
        Some((chime.sounding, u64::from(wanted), u64::from(ended)))
    }

    /// How long one sounding is, repeats and all, ms.
    pub fn length_ms(&self, index: usize) -> u32 {
        let Some(chime) = self.0.get(index) else { return 0 };
        let frames = chime
            .engines
            .first()
            .map_or(0, |block| block.chimes[index].frames.load(Relaxed));
        u32::try_from(u64::from(frames) * 1000 / u64::from(chime.rate.max(1))).unwrap_or(u32::MAX)
    }

    /// Its name.
    pub fn name(&self, index: usize) -> &str {
        self.0.get(index).map_or("?", |chime| &chime.name)
    }
}

fn waiting(block: &EngineBlock, index: usize) -> u32 {
    let cell = &block.chimes[index];
    let ended = cell.ended.load(Acquire);
    cell.wanted.load(Acquire).wrapping_sub(ended)
}
