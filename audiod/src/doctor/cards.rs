//! Sound cards: what each `hw:` device can do, who holds it, and the lines of the file that would use it.

use std::fs;

use alsa::Direction;
use alsa::pcm::{Access, Format, HwParams, PCM};
use serde::Serialize;

/// One card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    /// ALSA's short id, as in `hw:ID`.
    pub id: String,
    /// Its long name.
    pub name: String,
    /// Its PCM devices.
    pub pcms: Vec<Pcm>,
}

/// One PCM device in one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pcm {
    /// As in `aplay -D`.
    pub device: String,
    /// Playback or capture.
    pub playback: bool,
    /// What it can do, or why that can't be told.
    pub can: Result<Abilities, String>,
    /// Who has it open: `pid (command)`.
    pub holder: Option<String>,
}

/// What a `hw:` device can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Abilities {
    /// Of S16, S24, S32, FLOAT.
    pub formats: Vec<String>,
    /// Lowest and highest rate, Hz.
    pub rates: (u32, u32),
    /// Fewest and most channels.
    pub channels: (u32, u32),
    /// Shortest and longest period, frames.
    pub period: (i64, i64),
    /// Smallest and largest buffer, frames.
    pub buffer: (i64, i64),
}

/// All cards; empty where there is no sound.
pub fn list() -> Vec<Card> {
    alsa::card::Iter::new().flatten().map(describe).collect()
}

fn describe(card: alsa::Card) -> Card {
    let index = card.get_index();
    let id =
        fs::read_to_string(format!("/proc/asound/card{index}/id")).map_or(index.to_string(), |id| id.trim().to_owned());
    let name = card.get_longname().or_else(|_| card.get_name()).unwrap_or_default();
    Card {
        pcms: pcms(index, &id),
        id,
        name,
    }
}

/// The PCM devices of a card, from `/proc/asound/cardN/pcmM{p,c}`.
fn pcms(index: i32, id: &str) -> Vec<Pcm> {
    let Ok(entries) = fs::read_dir(format!("/proc/asound/card{index}")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
        .iter()
        .filter_map(|name| {
            let rest = name.strip_prefix("pcm")?;
            let playback = rest.ends_with('p');
            let number: u32 = rest.trim_end_matches(['p', 'c']).parse().ok()?;
            let device = format!("hw:{id},{number}");
            let holder = holder(&format!("/proc/asound/card{index}/{name}/sub0/status"));
            Some(Pcm {
                can: abilities(&device, playback),
                device,
                playback,
                holder,
            })
        })
        .collect()
}

fn holder(path: &str) -> Option<String> {
    let status = fs::read_to_string(path).ok()?;
    let pid = status
        .lines()
        .find_map(|line| line.strip_prefix("owner_pid"))?
        .trim_start_matches([' ', ':'])
        .trim()
        .to_owned();
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{pid} ({})", command.trim()))
}

fn abilities(device: &str, playback: bool) -> Result<Abilities, String> {
    let direction = if playback {
        Direction::Playback
    } else {
        Direction::Capture
    };
    let pcm = PCM::new(device, direction, true).map_err(|error| error.to_string())?;
    read_abilities(&pcm).map_err(|error| error.to_string())
}

fn read_abilities(pcm: &PCM) -> Result<Abilities, alsa::Error> {
    let params = HwParams::any(pcm)?;
    params.set_access(Access::MMapInterleaved)?;
    let known = [
        ("S16", Format::s16()),
        ("S24", Format::s24()),
        ("S32", Format::s32()),
        ("FLOAT", Format::float()),
    ];
    Ok(Abilities {
        formats: known
            .iter()
            .filter(|(_, f)| params.test_format(*f).is_ok())
            .map(|(n, _)| (*n).to_owned())
            .collect(),
        rates: (params.get_rate_min()?, params.get_rate_max()?),
        channels: (params.get_channels_min()?, params.get_channels_max()?),
        period: (params.get_period_size_min()?, params.get_period_size_max()?),
        buffer: (params.get_buffer_size_min()?, params.get_buffer_size_max()?),
    })
}

/// The cards as text, with lines to paste.
pub fn text(cards: &[Card]) -> String {
    if cards.is_empty() {
        return "\nno sound card: use backend = \"wav\" to write what a cabin would hear to a file\n".to_owned();
    }
    let mut out = String::new();
    for card in cards {
        out += &format!("\ncard {}: {}\n", card.id, card.name);
        for pcm in &card.pcms {
            out += &pcm_text(pcm);
        }
    }
    out
}

fn pcm_text(pcm: &Pcm) -> String {
    let way = if pcm.playback { "playback" } else { "capture" };
    let mut out = format!("  {} {way}", pcm.device);
    if let Some(holder) = &pcm.holder {
        out += &format!(", held by {holder}");
    }
    match &pcm.can {
        Err(why) => out += &format!(": {why}\n"),
        Ok(can) => {
            out += &format!(
                ": {} | {} to {} Hz | {} to {} channels | period {} to {} | buffer {} to {} frames\n",
                can.formats.join(" "),
                can.rates.0,
                can.rates.1,
                can.channels.0,
                can.channels.1,
                can.period.0,
                can.period.1,
                can.buffer.0,
                can.buffer.1
            );
            if pcm.playback {
                out += &paste(pcm, can);
            }
        }
    }
    out
}

fn paste(pcm: &Pcm, can: &Abilities) -> String {
    let format = can
        .formats
        .iter()
        .rev()
        .find(|name| *name != "FLOAT")
        .map_or("s16", |name| match name.as_str() {
            "S32" => "s32",
            "S24" => "s24",
            _ => "s16",
        });
    let rate = 48_000.clamp(can.rates.0, can.rates.1);
    let channels = 2.clamp(can.channels.0, can.channels.1);
    let period = 48_i64.clamp(can.period.0, can.period.1).min(1024);
    format!(
        "    [codec.main]\n    backend = \"alsa\"\n    device = \"{}\"\n    rate = {rate}\n    channels = {channels}\n    format = \"{format}\"\n    period = {period}\n",
        pcm.device
    )
}
