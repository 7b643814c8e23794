//! Formats, rates and channel positions by the names of the virtio specification (1.3 §5.14.6.6.2, §5.14.6.9.1).

use policy::file::{Found, Table, Value, code};
use policy::report::Diagnostic;

/// Formats: names without `VIRTIO_SND_PCM_FMT_`, and their numbers.
pub const FORMATS: [(&str, u32); 18] = [
    ("S8", 3),
    ("U8", 4),
    ("S16", 5),
    ("U16", 6),
    ("S18_3", 7),
    ("U18_3", 8),
    ("S20_3", 9),
    ("U20_3", 10),
    ("S24_3", 11),
    ("U24_3", 12),
    ("S20", 13),
    ("U20", 14),
    ("S24", 15),
    ("U24", 16),
    ("S32", 17),
    ("U32", 18),
    ("FLOAT", 19),
    ("FLOAT64", 20),
];

/// What the specification has and the engine doesn't, and why.
const REFUSED: [(&str, &str); 7] = [
    ("IMA_ADPCM", "it is compressed: the mixer takes linear samples"),
    ("MU_LAW", "it is companded: the mixer takes linear samples"),
    ("A_LAW", "it is companded: the mixer takes linear samples"),
    ("DSD_U8", "it is a bit stream: the mixer takes linear samples"),
    ("DSD_U16", "it is a bit stream: the mixer takes linear samples"),
    ("DSD_U32", "it is a bit stream: the mixer takes linear samples"),
    (
        "IEC958_SUBFRAME",
        "it may be coded and can't be mixed: the mixer takes linear samples",
    ),
];

/// `VIRTIO_SND_PCM_RATE_*` by number, Hz.
pub const RATES: [u32; 14] = [
    5_512, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400, 192_000, 384_000,
];

/// `VIRTIO_SND_CHMAP_*` by number.
pub const POSITIONS: [&str; 37] = [
    "NONE", "NA", "MONO", "FL", "FR", "RL", "RR", "FC", "LFE", "SL", "SR", "RC", "FLC", "FRC", "RLC", "RRC", "FLW",
    "FRW", "FLH", "FCH", "FRH", "TC", "TFL", "TFR", "TFC", "TRL", "TRR", "TRC", "TFLC", "TFRC", "TSL", "TSR", "LLFE",
    "RLFE", "BC", "BLC", "BRC",
];

/// S16, S24, S32, FLOAT.
const USUAL_FORMATS: u64 = 1 << 5 | 1 << 15 | 1 << 17 | 1 << 19;
/// 8 to 48 kHz.
const USUAL_RATES: u64 = 0xfe;

/// Bytes of a sample of format number `format` in memory.
pub fn sample_bytes(format: u32) -> u32 {
    mix::Format::from_virtio(format).map_or(0, |format| format.bytes() as u32)
}

/// Name of a format.
pub fn format_name(format: u32) -> &'static str {
    let known = FORMATS.iter().find(|(_, number)| *number == format);
    known.map_or("?", |(name, _)| name)
}

/// `formats`: a name or a list of names, as a bit set.
pub fn formats(table: &Table<'_>) -> u64 {
    let Some(value) = table.get("formats") else {
        return USUAL_FORMATS;
    };
    set(table, &value, "format", |item| {
        let text = item.text()?;
        if let Some((name, cause)) = REFUSED.iter().find(|(name, _)| *name == text.value) {
            let found =
                Diagnostic::error(code::CONFLICT, text.span, format!("`{name}` can't be offered")).label(*cause);
            item.push(found.help("offer S16, S24, S32 or FLOAT; drivers convert to them"));
            return None;
        }
        item.word(&FORMATS)
    })
}

/// `rates`: Hz, one or a list, as a bit set.
pub fn rates(table: &Table<'_>) -> u64 {
    let Some(value) = table.get("rates") else {
        return USUAL_RATES;
    };
    set(table, &value, "rate", |item| {
        let hertz = item.integer(0..=i64::MAX)?;
        let number = RATES.iter().position(|&rate| i64::from(rate) == hertz.value);
        let Some(number) = number else {
            let near = RATES.iter().min_by_key(|&&rate| i64::from(rate).abs_diff(hertz.value));
            let found = Diagnostic::error(
                code::OUT_OF_RANGE,
                hertz.span,
                format!("virtio-sound has no rate of {} Hz", hertz.value),
            );
            let rates = RATES.map(|rate| rate.to_string()).join(", ");
            let help = near.map(|rate| format!("did you mean {rate}?"));
            item.push(found.label(format!("possible: {rates}")).maybe_help(help));
            return None;
        };
        Some(Found {
            value: number as u32,
            span: hertz.span,
        })
    })
}

fn set<'d>(table: &Table<'d>, value: &Value<'d>, what: &str, read: impl Fn(&Value<'d>) -> Option<Found<u32>>) -> u64 {
    let items = value.items();
    if items.is_empty() {
        let _: Option<()> = value.out_of_range(format!("a stream offers at least one {what}"), "an empty list");
    }
    let mut seen: Vec<Found<u32>> = Vec::new();
    for found in items.iter().filter_map(read) {
        match seen.iter().find(|earlier| earlier.value == found.value) {
            Some(first) => super::twice(table, found.span, first.span, format!("this {what} is given twice")),
            None => seen.push(found),
        }
    }
    seen.iter().fold(0, |set, found| set | 1 << found.value)
}

/// A channel position.
pub fn position(item: &Value<'_>) -> Option<Found<u8>> {
    let words: Vec<(&'static str, u8)> = POSITIONS.into_iter().zip(0..).collect();
    item.word(&words)
}
