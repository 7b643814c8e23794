//! Row 2 on the shipped daemon: what a front end plays at unity gain and equal rate stands in the card's file bit for bit,
//! whatever the guest's period, with no frame lost at a period's edge or at drain.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::coded::{compare, generate};
use system_tests::frontend::proto::{FORMATS, SAMPLE_BYTES};
use system_tests::rig::{Car, Player, Rig, Take};
use system_tests::witness::held;

/// Plays a take and holds the file against `expected` (S32 or S16 as the codec's).
fn plays_exactly(rig: &Rig, take: Take, expected: impl Fn(&[u8]) -> Vec<u8>, frame: usize) -> Result<(), String> {
    let before = rig.settled(0).map_err(|e| format!("{e:#}"))?.len();
    let (sent, stats) = Player::start(&rig.socket(0), take)
        .and_then(Player::finish)
        .map_err(|e| format!("{take:?}: {e:#}"))?;
    let after = rig.settled(0).map_err(|e| format!("{e:#}"))?;
    let report = compare(&expected(&sent), &after[before..], frame);
    if report.is_exact() && stats.lost == 0 && stats.errors == 0 {
        return Ok(());
    }
    let runs = report.runs.len();
    Err(format!(
        "{take:?}: {runs} runs, {} exact, {} + {} + {} missing, {} zeros, {} foreign; {stats:?}",
        report.exact, report.missing_head, report.lost, report.missing_tail, report.inner_zeros, report.foreign
    ))
}

#[test]
fn s16_is_exact_whatever_the_guests_period() {
    for ring in [(480, 4), (441, 6), (48, 20), (1024, 3), (97, 16), (4800, 2)] {
        held(Car::default().tolerance(), || {
            let rig = Rig::start("edges", Car::default()).map_err(|e| format!("{e:#}"))?;
            let take = Take {
                ring,
                seconds: 0.4,
                ..Take::default()
            };
            plays_exactly(&rig, take, <[u8]>::to_vec, 4)
        })
        .unwrap();
    }
}

const ALL: &str = ", formats = [\"S8\", \"U8\", \"S16\", \"U16\", \"S18_3\", \"U18_3\", \"S20_3\", \"U20_3\", \"S24_3\", \
                   \"U24_3\", \"S20\", \"S24\", \"U24\", \"S32\", \"U32\", \"FLOAT\", \"FLOAT64\"]";

/// Bits of each format that must come through: 24 where the sample has more.
fn bits(format: u8) -> u32 {
    match format {
        3 | 4 => 8,
        5 | 6 => 16,
        7 | 8 => 18,
        9 | 10 | 13 => 20,
        _ => 24,
    }
}

/// Samples of `format` whose bits below the 24th are zero; and the same as S32.
fn samples(format: u8, frames: usize) -> (Vec<u8>, Vec<u8>) {
    let bytes = SAMPLE_BYTES[usize::from(format)] as usize;
    let unsigned = FORMATS.iter().any(|(name, f)| *f == format && name.starts_with('u'));
    let values = generate(17, 2, frames, u64::from(format), 1).unwrap();
    let (mut wire, mut wanted) = (Vec::new(), Vec::new());
    for value in values.chunks_exact(4) {
        let value = i32::from_le_bytes(value.try_into().unwrap()) >> (32 - bits(format));
        let full = value << (32 - bits(format));
        wanted.extend(full.to_le_bytes());
        match format {
            19 => wire.extend((full as f32 / 2_147_483_648.0).to_le_bytes()),
            20 => wire.extend((f64::from(full) / 2_147_483_648.0).to_le_bytes()),
            17 => wire.extend(full.to_le_bytes()),
            18 => wire.extend(full.wrapping_sub(i32::MIN).to_le_bytes()),
            _ if unsigned => wire.extend(&(value + (1 << (bits(format) - 1))).to_le_bytes()[..bytes]),
            _ => wire.extend(&value.to_le_bytes()[..bytes]),
        }
    }
    (wire, wanted)
}

#[test]
fn every_offered_format_is_exact_to_24_bits() {
    let car = Car {
        format: "S32",
        stream: ALL,
        ..Car::calm()
    };
    held(car.tolerance(), || -> Result<(), String> {
        let rig = Rig::start("formats", car.clone()).map_err(|e| format!("{e:#}"))?;
        for (name, format) in FORMATS {
            let (wire, wanted) = samples(format, 9600);
            let before = rig.settled(0).map_err(|e| format!("{e:#}"))?.len();
            let take = Take {
                format,
                ..Take::default()
            };
            let stats = Player::start_with(&rig.socket(0), take, wire)
                .and_then(Player::finish)
                .map_err(|e| format!("{name}: {e:#}"))?
                .1;
            let after = rig.settled(0).map_err(|e| format!("{e:#}"))?;
            let report = compare(&wanted, &after[before..], 8);
            if !report.is_exact() || stats.errors + stats.lost > 0 {
                let (runs, exact, foreign) = (report.runs.len(), report.exact, report.foreign);
                return Err(format!(
                    "{name}: {runs} runs, {exact} of 9600 exact, {foreign} foreign; {stats:?}"
                ));
            }
        }
        Ok(())
    })
    .unwrap();
}
