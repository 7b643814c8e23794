//! How much the importers carry over, counted: each word of the importer's own tables in a file of its own, each element in the
//! examples. The table in docs/importers.md is this count.
#![allow(clippy::unwrap_used, reason = "tests")]

mod import_common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use audiod::import::ledger::{Fate, Kind};
use audiod::import::listing::Listing;
use audiod::import::{Failed, Format, Imported, import, vocabulary};
use import_common::{examples, files, folder, imported, inputs, with_fades, with_the_amplifier};

/// A condition with each function.
const CONDITIONS: [&str; 32] = [
    "name(CLASS, REQUESTING) EQ 'ENTERTAINMENT'",
    "elements(CLASS, 'ENTERTAINMENT', SOURCE) INC 'Radio'",
    "priority(SOURCE, 'Radio') GT 3",
    "volume(SOURCE, 'Radio') GT -100",
    "mainVolume(SINK, 'Cabin') GT 3",
    "isMainVolumeStep(USER) EQ TRUE",
    "volumeLimit(SOURCE, 'Radio') LT 0",
    "muteState(SINK, 'Cabin') EQ MS_MUTED",
    "availability(SOURCE, 'Radio') EQ A_AVAILABLE",
    "availabilityReason(SOURCE, 'Radio') EQ 1",
    "connectionState(CONNECTIONOFSINK, 'Cabin') INC CS_CONNECTED",
    "connectionFormat(CONNECTION, 'Radio:Cabin') EQ 2",
    "interruptState(SOURCE, 'Radio') EQ IS_OFF",
    "state(SOURCE, 'Radio') EQ SS_ON",
    "isRegistered(SOURCE, 'Radio') EQ TRUE",
    "isRegistrationComplete(DOMAIN, 'Head Unit') EQ TRUE",
    "peek(SOURCEOFCLASS, 'ENTERTAINMENT', O_NEWEST, 0) EQ 'Radio'",
    "soundProperty(SINK, 'Cabin', 1) EQ 1",
    "mainSoundPropertyType(USER) EQ 1",
    "mainSoundPropertyValue(SINK, 'Cabin', 1) EQ 1",
    "systemPropertyType(USER) EQ 1",
    "systemPropertyValue(SYSTEM, 61569) EQ 1",
    "notificationConfigurationStatus(SINK, 'Cabin', 1) EQ 1",
    "notificationConfigurationParam(SINK, 'Cabin', 1) EQ 1",
    "notificationDataType(USER) EQ 1",
    "notificationDataValue(USER) EQ 1",
    "mainNotificationConfigurationType(USER) EQ 1",
    "mainNotificationConfigurationStatus(SINK, 'Cabin', 1) EQ 1",
    "mainNotificationConfigurationParam(SINK, 'Cabin', 1) EQ 1",
    "error(USER) EQ E_OK",
    "count(elements(CLASS, 'ENTERTAINMENT', SOURCE)) GT 1",
    "scale(SYSTEM, REQ_MAIN_VOL, 'Steps') LT -100",
];

/// A trigger whose request has what a function asks for.
fn trigger_of(function: &str) -> &'static str {
    match function {
        "isMainVolumeStep" | "scale" => "USER_SET_VOLUME",
        "mainSoundPropertyType" => "USER_SET_SINK_MAIN_SOUND_PROPERTY",
        "systemPropertyType" => "USER_SET_SYSTEM_PROPERTY",
        "notificationDataType" | "notificationDataValue" => "SYSTEM_SINK_NOTIFICATION_DATA_CHANGED",
        "mainNotificationConfigurationType" => "USER_SET_SINK_MAIN_NOTIFICATION_CONFIGURATION",
        _ => "USER_CONNECTION_REQUEST",
    }
}

/// An action of each kind, without its `type`.
const ACTIONS: [(&str, &str); 20] = [
    ("ACTION_CONNECT", "sourceName='Radio' sinkName='Cabin'"),
    ("ACTION_POP", "className='ENTERTAINMENT'"),
    ("ACTION_RESUME", "className='ENTERTAINMENT'"),
    ("ACTION_DISCONNECT", "sourceName='Radio'"),
    ("ACTION_PUSH", "sourceName='Radio'"),
    ("ACTION_SUSPEND", "sourceName='Radio'"),
    ("ACTION_SET_VOLUME", "sinkName='Cabin' mainVolume='20'"),
    ("ACTION_LIMIT", "sourceName='Radio' volume='-200' pattern='01'"),
    ("ACTION_UNLIMIT", "sourceName='Radio' pattern='01'"),
    ("ACTION_MUTE", "sourceName='Radio' pattern='01'"),
    ("ACTION_UNMUTE", "sourceName='Radio' pattern='01'"),
    (
        "ACTION_SET_PROPERTY",
        "sinkName='Cabin' propertyType='1' propertyValue='2'",
    ),
    (
        "ACTION_SET_PROPERTIES",
        "sinkName='Cabin' listMainSoundProperties='(1:2)'",
    ),
    ("ACTION_SET_SYSTEM_PROPERTY", "propertyType='61569' propertyValue='2'"),
    ("ACTION_SET_SYSTEM_PROPERTIES", "listSystemProperties='(61569:2)'"),
    ("ACTION_DEBUG", "debugType='1' debugValue='2'"),
    (
        "ACTION_SET_NOTIFICATION_CONFIGURATION",
        "sinkName='Cabin' notificationConfigurationType='1' notificationConfigurationStatus='1' notificationConfigurationParam='1'",
    ),
    ("ACTION_REGISTER", "sourceName='GatewayOut'"),
    ("ACTION_TRANSFER", ""),
    ("ACTION_UNKNOWN", ""),
];

/// How many are carried over, approximated, lost.
type Counts = [usize; 3];

fn counted(fates: impl IntoIterator<Item = usize>) -> Counts {
    let mut counts = Counts::default();
    fates.into_iter().for_each(|rank| counts[rank] += 1);
    counts
}

fn rank(fate: &Fate) -> usize {
    match fate {
        Fate::Mapped(_) => 0,
        Fate::Approximated(_) => 1,
        Fate::Lost(_) => 2,
    }
}

/// The example with one more process; what registers is of an amplifier that is a process of its own.
fn specimen(trigger: &str, condition: &str, action: &str) -> Imported {
    let text = std::fs::read_to_string(examples().join("generic.xml")).unwrap();
    let process = format!("<process>{condition}{action}</process>");
    let policy = format!("<policies><policy trigger=\"{trigger}\">{process}</policy>");
    let text = text.replacen("<policies>", &policy, 1);
    let kept = action.contains("ACTION_REGISTER").then(|| "Amplifier".to_owned());
    let format = Format::AudioManager(kept.into_iter().collect());
    match import(&format, &text, Path::new("generic.xml")) {
        Ok(made) => made,
        Err(Failed::Input(reports)) => panic!("{process}: {}", reports[0]),
        Err(Failed::Own(cause)) => panic!("{process}: {cause}"),
    }
}

/// The worst fate of what stands at a path and in it.
fn worst(made: &Imported, path: &str) -> usize {
    let items = made.listing.items.iter().filter(|it| it.path.starts_with(path));
    items.map(|it| rank(&it.fate)).max().unwrap()
}

/// The fate of one word of the controller's policies.
fn of_word(kind: &str, word: &str) -> usize {
    let plain = "<action type=\"ACTION_SET_VOLUME\" sinkName=\"Cabin\" mainVolume=\"20\"/>";
    let condition = |text: &str| format!("<condition>{text}</condition>");
    let at = "policies/policy[1]/process";
    match kind {
        "actions" => {
            let (_, rest) = ACTIONS.iter().find(|(kind, _)| *kind == word).unwrap();
            let action = format!("<action type='{word}' {rest}/>");
            worst(&specimen("SYSTEM_VOLUME_CHANGED", "", &action), &format!("{at}/action"))
        }
        "conditions: functions" => {
            let text = CONDITIONS.iter().find(|it| it.split('(').next() == Some(word)).unwrap();
            let made = specimen(trigger_of(word), &condition(text), plain);
            worst(&made, &format!("{at}/condition"))
        }
        "conditions: operators" => {
            let text = match word {
                "INC" | "EXC" => format!("elements(CLASS, 'ENTERTAINMENT', SOURCE) {word} 'Radio'"),
                _ => format!("mainVolume(SINK, 'Cabin') {word} 3"),
            };
            let made = specimen("USER_CONNECTION_REQUEST", &condition(&text), plain);
            worst(&made, &format!("{at}/condition"))
        }
        "triggers" => worst(&specimen(word, "", plain), "policies/policy[1]/@trigger"),
        other => panic!("{other}"),
    }
}

/// The best fate of each element of some files, by name: what is lost nowhere else is lost.
fn elements<'l>(listings: impl IntoIterator<Item = &'l Listing>) -> Counts {
    let mut best: BTreeMap<String, usize> = BTreeMap::new();
    let items = listings.into_iter().flat_map(|listing| &listing.items);
    for item in items.filter(|item| item.kind == Kind::Element) {
        let name = item
            .path
            .rsplit('/')
            .next()
            .unwrap()
            .split('[')
            .next()
            .unwrap()
            .to_owned();
        let rank = rank(&item.fate);
        best.entry(name).and_modify(|it| *it = rank.min(*it)).or_insert(rank);
    }
    counted(best.into_values())
}

/// The table of the document.
fn table() -> String {
    let mut out = "| | all | carried over | approximated | lost |\n|---|---|---|---|---|\n".to_owned();
    let mut row = |what: &str, counts: Counts| {
        let [mapped, approximated, lost] = counts;
        let all = mapped + approximated + lost;
        writeln!(out, "| {what} | {all} | {mapped} | {approximated} | {lost} |").unwrap();
    };
    for (kind, words) in vocabulary() {
        row(
            &format!("AudioManager: {kind}"),
            counted(words.iter().map(|word| of_word(kind, word))),
        );
    }
    let generic = imported(&examples().join("generic.xml")).listing;
    row(
        "AudioManager: elements",
        elements([&generic, &with_the_amplifier().listing]),
    );
    let cars = files(&folder(), "xml").into_iter().map(|path| imported(&path).listing);
    let (cars, example) = (cars.collect::<Vec<_>>(), with_fades());
    row(
        "Android: elements of the zones",
        elements(cars.iter().chain([&example.listing])),
    );
    row("Android: elements of the fades", elements(&example.beside));
    out
}

#[test]
fn every_word_of_the_importers_tables_has_a_specimen() {
    for (kind, words) in vocabulary() {
        let known: Vec<&str> = match kind {
            "actions" => ACTIONS.iter().map(|(word, _)| *word).collect(),
            "conditions: functions" => CONDITIONS.iter().map(|it| it.split('(').next().unwrap()).collect(),
            _ => continue,
        };
        assert_eq!(words, known, "{kind}");
    }
    assert!(inputs().len() >= 5);
}

#[test]
fn the_document_says_how_much_is_carried_over() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/importers.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- counts -->\n").unwrap();
    let (said, after) = rest.split_once("<!-- /counts -->").unwrap();

    let counted = table();

    if std::env::var_os("BLESS").is_some() {
        let text = format!("{before}<!-- counts -->\n{counted}<!-- /counts -->{after}");
        std::fs::write(&path, text).unwrap();
    } else {
        assert_eq!(said, counted, "docs/importers.md: write it anew with BLESS=1");
    }
}
