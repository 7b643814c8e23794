//! Who may sound beside whom in Android's car audio: not in its file but in its service, so written out here.
//!
//! A request is granted, granted while the holder loses focus, or rejected, by the contexts of both; of those that hold focus
//! together some duck others, whoever came first. Both tables as of AAOS 15 (the service's focus interaction and ducking).

use std::collections::{BTreeMap, BTreeSet};

use super::super::draft::Cells;
use super::fades::{Ramps, Times};

/// The contexts, in the order of the tables.
pub(super) const CONTEXTS: [&str; 12] = [
    "music",
    "navigation",
    "voice_command",
    "call_ring",
    "call",
    "alarm",
    "notification",
    "system_sound",
    "emergency",
    "safety",
    "vehicle_status",
    "announcement",
];

/// Contexts that version 1 doesn't know.
pub(super) const SINCE_2: [usize; 4] = [8, 9, 10, 11];

/// A row for each holder, a letter for each newcomer: `c` both are heard, `x` the holder loses focus, `-` the newcomer is
/// rejected.
const INTERACTION: [&[u8; 12]; 12] = [
    b"xcxxxxccxccx", // music
    b"ccxcxcccxccc", // navigation
    b"c-cxx---xcc-", // voice_command
    b"-cccc--cxcc-", // call_ring
    b"-c-cccc-ccc-", // call
    b"ccxxxcccxcc-", // alarm
    b"ccxxxcccxccc", // notification
    b"ccxxxcccxccc", // system_sound
    b"----c---cc--", // emergency
    b"cccccccccccc", // safety
    b"ccccccccxccc", // vehicle_status
    b"xcxxxxccxccx", // announcement
];

/// Whom each context ducks while both are heard.
const DUCKS: [&[usize]; 12] = [
    &[],
    &[0, 3, 4, 5, 6, 7, 10, 11],
    &[3],
    &[],
    &[3, 5, 6, 10],
    &[0],
    &[0, 5, 11],
    &[0, 5, 11],
    &[4],
    &[0, 1, 2, 3, 4, 5, 6, 7, 10, 11],
    &[0, 3, 11],
    &[],
];

/// What a pair comes to, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Both are heard.
    Mix,
    /// Both, the newcomer ducked by the holder.
    DuckNewcomer,
    /// Both, the holder ducked by the newcomer.
    DuckHolder,
    /// The holder loses focus.
    Pause,
    /// The newcomer is rejected.
    Reject,
}

/// Of two contexts.
fn of_contexts(holder: usize, newcomer: usize) -> Outcome {
    let ducks = |by: usize, whom: usize| DUCKS.get(by).is_some_and(|ducked| ducked.contains(&whom));
    match INTERACTION.get(holder).and_then(|row| row.get(newcomer)) {
        Some(b'x') => Outcome::Pause,
        Some(b'-') => Outcome::Reject,
        _ if ducks(newcomer, holder) => Outcome::DuckHolder,
        _ if ducks(holder, newcomer) => Outcome::DuckNewcomer,
        _ => Outcome::Mix,
    }
}

/// A class: the contexts that sound on one device. Such a device is held to the mildest of what its contexts would be.
pub(super) type Contexts = BTreeSet<usize>;

/// Of two classes.
pub(super) fn outcome(holder: &Contexts, newcomer: &Contexts) -> Outcome {
    let pairs = holder
        .iter()
        .flat_map(|&there| newcomer.iter().map(move |&coming| (there, coming)));
    pairs
        .map(|(there, coming)| of_contexts(there, coming))
        .min()
        .unwrap_or(Outcome::Mix)
}

/// What a cell says, in the order it is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    Mix,
    Duck,
    Pause(Option<Times>),
    Reject,
}

impl Row {
    fn says(self) -> String {
        match self {
            Self::Mix => "action = \"mix\"".to_owned(),
            Self::Duck => "action = \"duck\"".to_owned(),
            Self::Pause(None) => "action = \"pause\"".to_owned(),
            Self::Pause(Some((out, back))) => format!("action = \"pause\"\nattack_ms = {out}\nrelease_ms = {back}"),
            Self::Reject => "newcomer_action = \"reject\"".to_owned(),
        }
    }
}

/// The cells of all pairs of classes, pauses with these ramps, and those pairs (holder, newcomer) whose duck our matrix can't say: the newcomer would be
/// ducked, but the same pair the other way round is no duck.
pub(super) fn cells(classes: &[(String, Contexts)], ramps: &Ramps) -> (Vec<Cells>, Vec<(String, String)>) {
    let mut cells = Vec::new();
    let mut unducked = Vec::new();
    for (holder, held) in classes {
        let mut rows: BTreeMap<Row, Vec<String>> = BTreeMap::new();
        for (newcomer, coming) in classes {
            let row = match outcome(held, coming) {
                // Unwritten: our matrix takes the pair the other way round.
                Outcome::DuckNewcomer if outcome(coming, held) == Outcome::DuckHolder => continue,
                Outcome::DuckNewcomer => {
                    unducked.push((holder.clone(), newcomer.clone()));
                    Row::Mix
                }
                Outcome::Mix => Row::Mix,
                Outcome::DuckHolder => Row::Duck,
                Outcome::Pause => Row::Pause(ramps.get(&(holder.clone(), newcomer.clone())).copied()),
                Outcome::Reject => Row::Reject,
            };
            rows.entry(row).or_default().push(newcomer.clone());
        }
        cells.extend(rows.into_iter().map(|(row, newcomers)| Cells {
            holders: vec![holder.clone()],
            newcomers,
            says: row.says(),
        }));
    }
    (cells, unducked)
}

/// The context that a usage of the Android framework belongs to.
pub(super) fn of_usage(usage: &str) -> Option<usize> {
    let usage = usage.trim().strip_prefix("AUDIO_").unwrap_or(usage.trim());
    let name = match usage.strip_prefix("USAGE_")? {
        "UNKNOWN" | "GAME" | "MEDIA" => "music",
        "ASSISTANCE_NAVIGATION_GUIDANCE" => "navigation",
        "ASSISTANCE_ACCESSIBILITY" | "ASSISTANT" => "voice_command",
        "NOTIFICATION_RINGTONE" | "NOTIFICATION_TELEPHONY_RINGTONE" => "call_ring",
        "VOICE_COMMUNICATION" | "CALL_ASSISTANT" | "VOICE_COMMUNICATION_SIGNALLING" => "call",
        "ALARM" => "alarm",
        "NOTIFICATION"
        | "NOTIFICATION_EVENT"
        | "NOTIFICATION_COMMUNICATION_REQUEST"
        | "NOTIFICATION_COMMUNICATION_INSTANT"
        | "NOTIFICATION_COMMUNICATION_DELAYED" => "notification",
        "ASSISTANCE_SONIFICATION" => "system_sound",
        "EMERGENCY" => "emergency",
        "SAFETY" => "safety",
        "VEHICLE_STATUS" => "vehicle_status",
        "ANNOUNCEMENT" => "announcement",
        _ => return None,
    };
    of_name(name)
}

/// The context of this name, in any case.
pub(super) fn of_name(name: &str) -> Option<usize> {
    CONTEXTS
        .iter()
        .position(|context| context.eq_ignore_ascii_case(name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> Contexts {
        of_name(name).into_iter().collect()
    }

    fn between(holder: &str, newcomer: &str) -> Outcome {
        outcome(&one(holder), &one(newcomer))
    }

    #[test]
    fn safety_is_admitted_by_everyone_and_ducked_by_no_one() {
        for context in CONTEXTS {
            assert!(
                !matches!(between(context, "safety"), Outcome::Reject | Outcome::DuckNewcomer),
                "{context}"
            );
            assert!(
                !matches!(between("safety", context), Outcome::Pause | Outcome::DuckHolder),
                "{context}"
            );
        }
    }

    #[test]
    fn while_an_emergency_holds_only_calls_emergencies_and_safety_are_admitted() {
        let admitted: Vec<&str> = CONTEXTS
            .into_iter()
            .filter(|context| between("emergency", context) != Outcome::Reject)
            .collect();

        assert_eq!(admitted, ["call", "emergency", "safety"]);
    }

    #[test]
    fn who_ducks_whom_has_no_circle() {
        let mut reached: Vec<BTreeSet<usize>> = DUCKS.iter().map(|ducked| ducked.iter().copied().collect()).collect();
        for _ in 0..CONTEXTS.len() {
            for context in 0..CONTEXTS.len() {
                let further: BTreeSet<usize> = reached[context].iter().flat_map(|&it| reached[it].clone()).collect();
                reached[context].extend(further);
            }
        }

        assert!((0..CONTEXTS.len()).all(|context| !reached[context].contains(&context)));
    }

    #[test]
    fn a_device_of_several_contexts_is_held_to_the_mildest() {
        let mut both = one("music");
        both.extend(one("emergency"));

        assert_eq!(outcome(&one("call"), &both), Outcome::DuckHolder);
        assert_eq!(outcome(&one("call"), &one("music")), Outcome::Reject);
    }

    #[test]
    fn three_ducks_of_newcomers_are_left_to_rules() {
        let classes: Vec<(String, Contexts)> = CONTEXTS.map(|name| (name.to_owned(), one(name))).to_vec();

        let (_, unducked) = cells(&classes, &Ramps::new());

        let expected = [("call", "alarm"), ("call", "notification"), ("alarm", "music")];
        assert_eq!(
            unducked,
            expected.map(|(holder, newcomer)| (holder.to_owned(), newcomer.to_owned()))
        );
    }
}
