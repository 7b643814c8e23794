//! Android's car audio: its service's matrix, its fades, and how much there is room for.
#![allow(clippy::unwrap_used, reason = "tests")]

mod import_common;

use std::path::{Path, PathBuf};

use audiod::config;
use audiod::import::ledger::Fate;
use audiod::import::{Beside, Failed, Format, Imported, import};
use import_common::tree::Tree;
use import_common::{Folder, audiod, examples, fades, folder, with_fades, zones};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

#[test]
fn androids_matrix_is_the_services_for_every_pair_of_contexts() {
    // Of each holder, who is rejected and who takes its focus.
    let contexts = [
        (
            "music",
            "",
            "music voice_command call_ring call alarm emergency announcement",
        ),
        ("navigation", "", "voice_command call emergency"),
        (
            "voice_command",
            "navigation alarm notification system_sound announcement",
            "call_ring call emergency",
        ),
        ("call_ring", "music alarm notification announcement", "emergency"),
        ("call", "music voice_command system_sound announcement", ""),
        ("alarm", "announcement", "voice_command call_ring call emergency"),
        ("notification", "", "voice_command call_ring call emergency"),
        ("system_sound", "", "voice_command call_ring call emergency"),
        (
            "emergency",
            "music navigation voice_command call_ring alarm notification system_sound vehicle_status announcement",
            "",
        ),
        ("safety", "", ""),
        ("vehicle_status", "", "emergency"),
        (
            "announcement",
            "",
            "music voice_command call_ring call alarm emergency announcement",
        ),
    ];
    let devices: String = (contexts.iter())
        .map(|(name, ..)| format!("<device address=\"{name}_bus\"><context context=\"{name}\"/></device>"))
        .collect();
    let text = format!(
        "<carAudioConfiguration version=\"2\"><zones><zone isPrimary=\"true\"><volumeGroups><group>{devices}</group>\
         </volumeGroups></zone></zones></carAudioConfiguration>"
    );

    let policy = import(&Format::Aaos(None), &text, Path::new("all.xml")).unwrap().policy;

    let model = config::parse(&policy, Path::new("all.toml")).unwrap().model;
    let matrix = policy::effective::matrix(&model);
    assert_eq!(matrix.len(), 144);
    for cell in matrix {
        let (_, rejected, pausing) = contexts.iter().find(|(name, ..)| *name == cell.holder).unwrap();
        let within = |list: &str| list.split(' ').any(|name| name == cell.newcomer);
        let pair = (&cell.holder, &cell.newcomer);
        assert_eq!(
            cell.newcomer_is == policy::effective::Fate::Rejected,
            within(rejected),
            "{pair:?}"
        );
        assert_eq!(
            cell.holder_is == policy::effective::Fate::Paused,
            within(pausing),
            "{pair:?}"
        );
    }
}

#[test]
fn more_than_there_is_room_for_is_lost_not_refused() {
    let zone = |number: usize| {
        let streams: String = (0..9)
            .map(|bus| {
                format!(
                    "<device address=\"bus{number}_{bus}\"><context context=\"{}\"/></device>",
                    CONTEXTS[bus]
                )
            })
            .collect();
        let id = if number == 0 {
            "isPrimary=\"true\"".to_owned()
        } else {
            format!("audioZoneId=\"{number}\"")
        };
        format!("<zone {id}><volumeGroups><group>{streams}</group></volumeGroups></zone>")
    };
    let zones: String = (0..12).map(zone).collect();
    let text = format!("<carAudioConfiguration version=\"2\"><zones>{zones}</zones></carAudioConfiguration>");

    let made = import(&Format::Aaos(None), &text, Path::new("wide.xml")).unwrap();

    let loaded = config::parse(&made.policy, Path::new("wide.toml")).unwrap();
    assert_eq!(loaded.model.sinks.len(), 8);
    assert_eq!(loaded.model.sources.len(), 64);
    assert!(made.listing.counts.lost > 4 * 9);
}

const CONTEXTS: [&str; 9] = [
    "music",
    "navigation",
    "voice_command",
    "call_ring",
    "call",
    "alarm",
    "notification",
    "system_sound",
    "emergency",
];

/// The cell of a holder and a newcomer: fade out and fade in, ms.
fn ramps(made: &Imported, holder: &str, newcomer: &str) -> (u32, u32) {
    let model = config::parse(&made.policy, Path::new("fades.toml")).unwrap().model;
    let index = |name: &str| model.classes.iter().position(|class| class.name == name).unwrap();
    let duck = model.cells[&(index(holder), index(newcomer))].duck;
    (duck.attack_ms, duck.release_ms)
}

/// What became of a part of the second file, by a piece of its path and its value.
fn fate(made: &Imported, path: &str, value: &str) -> Fate {
    let items = &made.beside.as_ref().unwrap().items;
    let mut found = items.iter().filter(|it| it.path.contains(path) && it.value == value);
    let first = found.next().unwrap_or_else(|| panic!("{path} `{value}`: {items:?}"));
    assert!(found.next().is_none(), "{path} `{value}` is there twice");
    first.fate.clone()
}

#[test]
fn who_loses_the_focus_fades_as_the_configuration_for_who_takes_it_says() {
    let made = with_fades();

    // "relaxed" is the default one, "quick" for newcomers of media; its other times are the framework's.
    assert_eq!(ramps(&made, "music", "call"), (1500, 1200));
    assert_eq!(ramps(&made, "music", "music"), (300, 1000));
    assert_eq!(ramps(&made, "navigation", "call"), (800, 500));
    // Two contexts on one device: the slower one's time.
    assert_eq!(ramps(&made, "notification-system_sound", "call"), (800, 500));
    // Not among those that fade: as [defaults] says, and as without the second file.
    assert_eq!(ramps(&made, "alarm", "call"), (50, 500));
    let without = import(&Format::Aaos(None), &zones(), Path::new("car.xml")).unwrap();
    assert_eq!(ramps(&without, "music", "call"), (50, 500));
    assert!(without.beside.is_none());
}

#[test]
fn every_item_of_the_fades_has_a_fate_and_what_has_no_counterpart_is_named() {
    let made = with_fades();

    let counts = made.beside.as_ref().unwrap().counts;
    assert_eq!(counts.all, Tree::read(&fades().text).count());
    assert_eq!(counts.mapped + counts.approximated + counts.lost, counts.all);
    let lost = |path: &str, value: &str| match fate(&made, path, value) {
        Fate::Lost(why) => why,
        other => panic!("{path}: {other:?}"),
    };
    assert!(lost("contentType/@value", "AUDIO_CONTENT_TYPE_SPEECH").contains("content types"));
    assert!(lost("audioAttribute/@tags", "audiobook").contains("not the attributes"));
    assert_eq!(
        lost("usage[2]/@value", "AUDIO_USAGE_ALARM"),
        "isn't one of the fadeable usages"
    );
    assert!(lost("config[3]/@name", "none of these").starts_with("no zone applies it"));
    let nearly = fate(&made, "fadeOutConfigurations", "AUDIO_USAGE_NOTIFICATION");
    assert!(
        matches!(&nearly, Fate::Approximated(how) if how.starts_with("800 ms")),
        "{nearly:?}"
    );
    let mapped = fate(&made, "fadeOutConfigurations", "1500");
    assert_eq!(mapped, Fate::Mapped("`attack_ms`".to_owned()));
}

/// The example's fades with another piece of text.
fn fades_with(piece: &str, other: &str) -> Imported {
    let mut fades = fades();
    assert!(fades.text.contains(piece), "{piece}");
    fades.text = fades.text.replacen(piece, other, 1);
    import(&Format::Aaos(Some(fades)), &zones(), Path::new("car.xml")).unwrap()
}

#[test]
fn a_configuration_that_is_switched_off_leaves_the_ramps_as_they_are() {
    let made = fades_with("<fadeState value=\"1\"/>", "<fadeState value=\"0\"/>");

    assert_eq!(ramps(&made, "navigation", "call"), (50, 500));
    assert_eq!(ramps(&made, "music", "music"), (300, 1000));
}

#[test]
fn a_fade_longer_than_a_ramp_can_be_is_cut_and_listed_as_nearly() {
    let made = fades_with("fadeDurationMillis=\"1200\"", "fadeDurationMillis=\"90000\"");

    assert_eq!(ramps(&made, "music", "call"), (1500, 60_000));
    let fate = fate(&made, "@fadeDurationMillis", "90000");
    assert!(
        matches!(&fate, Fate::Approximated(how) if how.contains("60000")),
        "{fate:?}"
    );
}

#[test]
fn a_zone_that_fades_one_pair_otherwise_than_a_zone_before_is_listed_as_nearly() {
    let line_out = r#"<device address="rear_line_bus">
                                <context context="music"/>
                            </device>
                        </group>
                    </volumeGroups>"#;
    let fades_there = "<applyFadeConfigs><fadeConfig name=\"relaxed\" isDefault=\"true\"/></applyFadeConfigs>";
    let zones = zones();
    assert!(zones.contains(line_out));
    let zones = zones.replacen(line_out, &format!("{line_out}{fades_there}"), 1);

    let made = import(&Format::Aaos(Some(fades())), &zones, Path::new("car.xml")).unwrap();

    assert_eq!(ramps(&made, "music", "music"), (300, 1000), "the first zone's");
    let nearly = |item: &&audiod::import::listing::Listed| matches!(&item.fate, Fate::Approximated(how) if how.starts_with("a zone before fades `music` for `music`"));
    let told: Vec<_> = made.listing.items.iter().filter(nearly).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].path.contains("zone[2]"), "{}", told[0].path);
}

#[test]
fn the_command_reads_both_files_lists_both_and_says_what_is_wrong_with_each() {
    let desk = Folder::new("fades");
    let [car, fades] = ["car_audio_configuration.xml", "car_audio_fade_configuration.xml"]
        .map(|name| examples().join(name).to_str().unwrap().to_owned());
    let policy = desk.path("car.toml");
    let wrong = |name: &str| folder().join("wrong").join(name).to_str().unwrap().to_owned();

    let made = audiod(&["import", "aaos", &car, "--fades", &fades, "-o", &policy]);
    let check = audiod(&["check", &policy]);
    let json = audiod(&["import", "aaos", &car, "--fades", &fades, "--json"]);
    let (first, second) = (wrong("aaos-no-zones.xml"), wrong("fades-other-root.xml"));
    let both = audiod(&["import", "aaos", &first, "--fades", &second, "--json"]);
    let missing = audiod(&["import", "aaos", &car, "--fades", &desk.path("nowhere.xml")]);

    assert_eq!(made.status.code(), Some(0));
    let list = String::from_utf8(made.stdout).unwrap();
    let sums: Vec<&str> = list.lines().filter(|line| line.contains(" items = ")).collect();
    assert_eq!(sums.len(), 2, "{sums:?}");
    assert!(sums[0].starts_with(&car) && sums[1].starts_with(&fades), "{sums:?}");
    assert_eq!(check.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["fades"]["file"], fades.as_str());
    assert!(json["fades"]["counts"]["mapped"].as_u64().unwrap() > 40);
    assert_eq!(both.status.code(), Some(3));
    let both: serde_json::Value = serde_json::from_slice(&both.stdout).unwrap();
    assert_eq!(both["file"], first.as_str());
    assert_eq!(both["fades"]["file"], second.as_str());
    assert!(
        !both["findings"].as_array().unwrap().is_empty() && !both["fades"]["findings"].as_array().unwrap().is_empty()
    );
    assert_eq!(missing.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere.xml"));
}

/// Whatever is changed in the second file: every item is accounted for, or it is refused with a cause.
fn fades_are_accounted_for(tree: &Tree, changes: &[(u16, u16, u16)]) -> Result<(), TestCaseError> {
    let mut tree = tree.clone();
    changes.iter().for_each(|change| tree.change(*change));
    let beside = Beside {
        text: tree.write(),
        path: PathBuf::from("changed.xml"),
    };

    match import(&Format::Aaos(Some(beside)), &zones(), Path::new("car.xml")) {
        Ok(made) => {
            let counts = made.beside.unwrap().counts;
            prop_assert_eq!(counts.all, tree.count());
            prop_assert_eq!(counts.mapped + counts.approximated + counts.lost, tree.count());
            prop_assert!(config::parse(&made.policy, Path::new("changed.toml")).is_ok());
        }
        Err(Failed::Input(reports)) => prop_assert!(reports.iter().all(|it| it.errors() > 0)),
        Err(Failed::Own(cause)) => prop_assert!(false, "{}", cause),
    }
    Ok(())
}

#[test]
fn of_any_second_file_everything_is_accounted_for() {
    let tree = Tree::read(&fades().text);
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[3; 32]);
    let cases = prop::collection::vec(any::<(u16, u16, u16)>(), 0..8);

    let found = TestRunner::new_with_rng(config, rng).run(&cases, |changes| fades_are_accounted_for(&tree, &changes));

    assert!(found.is_ok(), "{found:?}");
}
