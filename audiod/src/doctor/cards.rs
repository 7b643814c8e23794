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
    match codec_lines(pcm, can, &name(&pcm.device)) {
        Ok(lines) => lines.iter().map(|line| format!("    {line}\n")).collect(),
        Err(why) => format!("    {why}\n"),
    }
}

/// The lines of the file that use this device as codec `name`: the widest integer format, 48 kHz and stereo where it can, the
/// shortest period from 1 ms on, and a lead that the card's buffer holds.
///
/// # Errors
/// Why it can't be used.
pub fn codec_lines(pcm: &Pcm, can: &Abilities, name: &str) -> Result<Vec<String>, String> {
    let Some(format) = ["S32", "S24", "S16", "FLOAT"]
        .into_iter()
        .find(|name| can.formats.iter().any(|has| has == name))
    else {
        return Err("none of its formats (S16, S24, S32, FLOAT) can be used; try plughw:".to_owned());
    };
    let rate = 48_000.clamp(can.rates.0, can.rates.1.max(can.rates.0));
    let channels = 2.clamp(can.channels.0, can.channels.1.max(can.channels.0));
    let period = i64::from(rate / 1000).clamp(16, 1024).max(can.period.0);
    if channels > 8 || period > 1024 {
        return Err(format!(
            "needs {channels} channels and a period of {period} frames: at most 8 and 1024 can be used"
        ));
    }
    Ok(vec![
        format!("[codecs.{name}]"),
        "backend = \"alsa\"".to_owned(),
        format!("device = \"{}\"", pcm.device),
        format!("rate = {rate}"),
        format!("channels = {channels}"),
        format!("format = \"{format}\""),
        format!("period = {period}"),
        "lead = 2".to_owned(),
    ])
}

/// A bare key of TOML for a device's name.
fn name(device: &str) -> String {
    let letters = device.trim_start_matches("hw:").chars();
    letters
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect::<String>()
        .trim_matches('-')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcm(formats: &[&str], rates: (u32, u32), period: (i64, i64)) -> Pcm {
        Pcm {
            device: "hw:PCH,0".to_owned(),
            playback: true,
            can: Ok(Abilities {
                formats: formats.iter().map(|&name| name.to_owned()).collect(),
                rates,
                channels: (2, 8),
                period,
                buffer: (64, 16_384),
            }),
            holder: Some("812 (pipewire)".to_owned()),
        }
    }

    fn text_of(pcm: Pcm) -> String {
        text(&[Card {
            id: "PCH".to_owned(),
            name: "HDA Intel PCH".to_owned(),
            pcms: vec![pcm],
        }])
    }

    #[test]
    fn the_lines_to_paste_are_toml_with_the_codecs_keys() {
        let text = text_of(pcm(&["S16", "S32"], (44_100, 192_000), (32, 8192)));

        let lines: String = text
            .lines()
            .skip_while(|line| !line.contains("[codecs."))
            .map(|line| format!("{line}\n"))
            .collect();
        let table: toml::Table = lines.parse().unwrap();
        let codec = &table["codecs"]["pch-0"];
        assert_eq!(codec["backend"].as_str(), Some("alsa"));
        assert_eq!(codec["device"].as_str(), Some("hw:PCH,0"));
        assert_eq!(codec["rate"].as_integer(), Some(48_000));
        assert_eq!(codec["format"].as_str(), Some("S32"));
        assert_eq!(codec["period"].as_integer(), Some(48));
        assert_eq!(codec["lead"].as_integer(), Some(2));
    }

    #[test]
    fn the_holder_is_named() {
        assert!(text_of(pcm(&["S16"], (48_000, 48_000), (32, 64))).contains("held by 812 (pipewire)"));
    }

    #[test]
    fn a_device_with_no_usable_format_gets_advice_instead_of_lines() {
        let text = text_of(pcm(&[], (48_000, 48_000), (32, 64)));
        assert!(text.contains("plughw") && !text.contains("[codecs."));
    }

    #[test]
    fn a_card_that_only_does_long_periods_gets_its_shortest() {
        assert!(text_of(pcm(&["S16"], (48_000, 48_000), (256, 1024))).contains("period = 256"));
    }
}
