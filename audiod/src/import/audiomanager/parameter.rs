//! Parameters of actions, beside the names of those they are about: numbers, gains, masks and words.

use policy::file::code;

use super::super::draft::{decibels, quoted};
use super::super::xml::Attr;
use super::condition::{self, SCALED, Term};
use super::words;

const ORDERS: [&str; 4] = ["O_HIGH_PRIORITY", "O_LOW_PRIORITY", "O_NEWEST", "O_OLDEST"];
const STATES: [&str; 3] = ["CS_CONNECTED", "CS_DISCONNECTED", "CS_SUSPENDED"];

/// An attribute as a key and its value in our action `action`; `None` for one that ours doesn't have, else why not.
pub(super) fn ours(attribute: &str, attr: &Attr<'_>, action: &str) -> Result<Option<(&'static str, String)>, String> {
    Ok(Some(match attribute {
        "order" => ("order", enumerator(attr, "order", &ORDERS)?),
        "connectionState" => ("connection_state", enumerator(attr, "connection state", &STATES)?),
        "pattern" => ("pattern", mask(attr)?),
        "rampTime" => ("ramp_ms", number(attr)?),
        "mainVolume" => ("main_volume", number(attr)?),
        "mainVolumeStep" => ("main_volume_step", number(attr)?),
        "volume" => ("gain_db", scaled(attr).map_or_else(|| gain(attr), Ok)?),
        "volumeStep" if action == "limit" => ("below_db", gain(attr)?),
        "volumeStep" => ("gain_step_db", decibels(tenths(attr)?)),
        "propertyType" | "debugType" => ("property_type", number(attr)?),
        "propertyValue" | "debugValue" => ("property_value", number(attr)?),
        "listMainSoundProperties" | "listSystemProperties" => ("properties", pairs(attr)?),
        "notificationConfigurationType" => ("notification_type", number(attr)?),
        "notificationConfigurationStatus" => ("status", number(attr)?),
        "notificationConfigurationParam" => ("param", number(attr)?),
        _ => return Ok(None),
    }))
}

/// One of our words; `known` are for who misspelt it.
fn enumerator(attr: &Attr<'_>, what: &str, known: &[&'static str]) -> Result<String, String> {
    if let Some(word) = words::enumerator(attr.value.trim()) {
        return Ok(quoted(&word));
    }
    let words: Vec<(&'static str, ())> = known.iter().map(|word| (*word, ())).collect();
    let _ = attr.word(&words);
    Err(format!("`{}` is no {what}", attr.value))
}

/// A whole number, an enumerator, or an expression that gives one.
fn number(attr: &Attr<'_>) -> Result<String, String> {
    let value = attr.value.trim();
    if let Ok(number) = value.parse::<i64>() {
        return Ok(number.to_string());
    }
    if let Some(number) = words::number(value) {
        return Ok(number.to_string());
    }
    if let Some(field) = words::field(value) {
        return Ok(quoted(field));
    }
    match value.contains('(') {
        true => Err("functions as parameters are names only here".to_owned()),
        false => Err(format!(
            "`{value}` is a project's own word: its number stands in its own schema"
        )),
    }
}

/// `(1:5)(2:-3)`, types and values, as `[[1, 5], [2, -3]]`. The quotes around it there keep it from being taken for a function.
fn pairs(attr: &Attr<'_>) -> Result<String, String> {
    let value = attr.value.trim();
    if value == "REQUESTING" {
        return Err("only a client's request for several properties has such a list, and that is built in".to_owned());
    }
    let pair = |text: &str| {
        let (kind, value) = text.trim().strip_suffix(')')?.split_once(':')?;
        let (kind, value) = (kind.trim().parse::<u16>().ok()?, value.trim().parse::<i16>().ok()?);
        Some(format!("[{kind}, {value}]"))
    };
    let inner = value.trim_matches(['"', '\'']).trim();
    let items = inner.strip_prefix('(').unwrap_or_default().split('(');
    let pairs: Option<Vec<String>> = items.map(pair).collect();
    match pairs {
        Some(pairs) => Ok(format!("[{}]", pairs.join(", "))),
        None => {
            let message = format!("`{value}` is no list of properties");
            let label = "types and values, as `(1:5)(2:-3)`";
            attr.wrong(code::WRONG_TYPE, message.clone(), label, None);
            Err(message)
        }
    }
}

fn tenths(attr: &Attr<'_>) -> Result<i64, String> {
    attr.value
        .trim()
        .parse::<i64>()
        .map_err(|_| "a gain here is a number".to_owned())
}

/// `scale(SYSTEM, REQ_MAIN_VOL, 'a map')`: what the mainVolume asked for means.
fn scaled(attr: &Attr<'_>) -> Option<String> {
    let term = condition::term(attr.value.trim()).ok()?;
    let volume = term.scaled().and_then(|volume| match volume {
        Term::Word(word) => words::field(word).map(str::to_owned),
        Term::Number(number) => number.parse::<i16>().ok().map(|number| number.to_string()),
        _ => None,
    })?;
    attr.approximated(SCALED);
    Some(quoted(&format!("scale({volume}, request.sink)")))
}

/// A gain of at most 0 dB.
fn gain(attr: &Attr<'_>) -> Result<String, String> {
    let tenths = tenths(attr)?;
    match tenths {
        1.. => Err(format!(
            "{} dB is above 0 dB: nothing is louder here, so it would hold nothing",
            decibels(tenths)
        )),
        -1000..=0 => Ok(decibels(tenths)),
        _ => Ok(quoted("mute")),
    }
}

/// A pattern: hexadecimal there.
fn mask(attr: &Attr<'_>) -> Result<String, String> {
    let value = attr.value.trim();
    u32::from_str_radix(value.trim_start_matches("0x"), 16)
        .map(|mask| format!("0x{mask:02x}"))
        .map_err(|_| {
            let message = format!("`{value}` is no mask");
            let label = "up to 8 hexadecimal digits, as `01`";
            attr.wrong(code::WRONG_TYPE, message.clone(), label, None);
            message
        })
}
