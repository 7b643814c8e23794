//! `audiod import`: what becomes of other systems' files, item by item; how the policies made of them behave; what is said about
//! broken ones.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "import/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use audiod::config;
use audiod::import::ledger::Fate;
use audiod::import::{Failed, Format, Imported, import};
use policy::file::code;
use policy::report::Report;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tree::Tree;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/import")
}

/// Whole files, all of them to be imported.
fn inputs() -> Vec<PathBuf> {
    let mut inputs = files(&examples(), "xml");
    inputs.extend(files(&folder(), "xml"));
    assert!(inputs.len() >= 5);
    inputs
}

/// Files of an extension in a folder, by name.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == extension));
    files.sort();
    files
}

/// `car-…` and `aaos-…` are Android's.
fn format(path: &Path) -> Format {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name.starts_with("car") || name.starts_with("aaos") {
        true => Format::Aaos,
        false => Format::AudioManager(Vec::new()),
    }
}

fn imported(path: &Path) -> Imported {
    let text = std::fs::read_to_string(path).unwrap();
    import(&format(path), &text, path.file_name().unwrap().as_ref()).unwrap()
}

fn refusal(path: &Path) -> Report {
    let text = std::fs::read_to_string(path).unwrap();
    match import(&format(path), &text, path.file_name().unwrap().as_ref()) {
        Err(Failed::Input(report)) => report,
        other => panic!("{}: {other:?}", path.display()),
    }
}

fn audiod(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audiod"))
        .args(arguments)
        .output()
        .unwrap()
}

/// A folder of its own that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("carillon-import-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_item_of_a_file_is_mapped_approximated_or_lost() {
    for path in inputs() {
        let listing = imported(&path).listing;

        let counts = listing.counts;
        let items = Tree::read(&std::fs::read_to_string(&path).unwrap()).count();
        assert_eq!(counts.all, items, "{}", path.display());
        assert_eq!(counts.mapped + counts.approximated + counts.lost, items);
        assert_eq!(listing.items.len(), items);
        assert!(counts.mapped > 0);
    }
}

#[test]
fn every_note_says_something() {
    for path in inputs() {
        for item in imported(&path).listing.items {
            let (Fate::Mapped(note) | Fate::Approximated(note) | Fate::Lost(note)) = item.fate;
            assert!(note.len() > 3 && item.line > 0, "{}: {}", path.display(), item.path);
        }
    }
}

#[test]
fn the_policies_have_no_mistakes_and_nothing_in_them_goes_unused() {
    for path in inputs() {
        let policy = imported(&path).policy;

        let warnings = config::parse(&policy, Path::new("imported.toml")).unwrap().warnings;
        // Its limit while the cabin is loud is ended by no rule, as `check` is to say.
        let expected = if path.ends_with("generic.xml") {
            &[code::FOR_EVER][..]
        } else {
            &[]
        };
        let found: Vec<_> = warnings.findings().iter().map(|it| it.code).collect();
        assert_eq!(found, expected, "{}: {warnings}", path.display());
    }
}

#[test]
fn the_policies_are_word_for_word_those_kept() {
    let mut wrong = Vec::new();
    for path in inputs() {
        let policy = imported(&path).policy;
        let beside = folder().join(path.with_extension("toml").file_name().unwrap());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&beside, &policy).unwrap();
        }
        if std::fs::read_to_string(&beside).unwrap_or_default() != policy {
            wrong.push(format!("{}:\n{policy}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_policies_behave_as_the_scenarios_say() {
    let scenarios = files(&folder().join("scenarios"), "toml");
    assert!(scenarios.len() >= 9);
    let desk = Folder::new("scenarios");
    for (kind, name) in [("audiomanager", "generic"), ("aaos", "car_audio_configuration")] {
        let input = examples().join(format!("{name}.xml"));
        let output = desk.path(&format!("{name}.toml"));
        let made = audiod(&["import", kind, input.to_str().unwrap(), "-o", &output]);
        assert_eq!(made.status.code(), Some(0));
        assert_eq!(audiod(&["check", &output]).status.code(), Some(0));
    }
    for scenario in scenarios {
        let name = scenario.file_name().unwrap().to_str().unwrap();
        let here = desk.path(name);
        std::fs::copy(&scenario, &here).unwrap();

        let output = audiod(&["simulate", &here]);

        assert_eq!(
            output.status.code(),
            Some(0),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The amplifier of `generic.xml` as a process of its own.
fn with_the_amplifier() -> Imported {
    let text = std::fs::read_to_string(examples().join("generic.xml")).unwrap();
    let format = Format::AudioManager(vec!["Amplifier".to_owned()]);
    import(&format, &text, Path::new("generic.xml")).unwrap()
}

#[test]
fn a_domain_may_stay_a_process_of_its_own_with_its_gateways_and_topologies() {
    let made = with_the_amplifier();

    let counts = made.listing.counts;
    assert_eq!(counts.mapped + counts.approximated + counts.lost, counts.all);
    let loaded = config::parse(&made.policy, Path::new("generic.toml")).unwrap();
    let rules = &loaded.model.routing;
    let known = &rules.known;
    assert_eq!(known.domains.keys().collect::<Vec<_>>(), ["Amplifier"]);
    assert_eq!(known.sinks.keys().collect::<Vec<_>>(), ["Cabin", "Rear"]);
    assert_eq!(known.sources.keys().collect::<Vec<_>>(), ["GatewayOut", "Microphone"]);
    let gateway = &known.gateways["GW_Amp"];
    assert_eq!(
        (gateway.sink.as_str(), gateway.source.as_str()),
        ("GatewayIn", "GatewayOut")
    );
    assert!(rules.only_topologies);
    let properties: Vec<(i16, i16)> = loaded
        .model
        .system_properties
        .iter()
        .map(|it| (it.kind, it.value))
        .collect();
    assert_eq!(properties, [(61_569_u16 as i16, 5000), (61_696_u16 as i16, 1)]);
    let vias: Vec<&[String]> = known.topologies.iter().map(|it| it.via.as_slice()).collect();
    let over = vec!["GW_Amp".to_owned()];
    assert_eq!(vias, vec![over.as_slice(); 3]);
}

#[test]
fn a_domain_that_is_not_there_can_not_be_kept() {
    let text = std::fs::read_to_string(examples().join("generic.xml")).unwrap();
    let format = Format::AudioManager(vec!["Amplifyer".to_owned()]);

    match import(&format, &text, Path::new("generic.xml")) {
        Err(Failed::Input(report)) => assert!(report.to_string().contains("domains: Amplifier, Head Unit"), "{report}"),
        other => panic!("{other:?}"),
    }
}

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

    let policy = import(&Format::Aaos, &text, Path::new("all.xml")).unwrap().policy;

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
fn each_broken_file_gets_the_words_beside_it() {
    let broken = files(&folder().join("wrong"), "xml");
    assert!(broken.len() >= 30, "{}", broken.len());
    let mut wrong = Vec::new();
    for path in broken {
        let said = refusal(&path).to_string();
        let beside = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&beside, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        if said.is_empty() || said != expected {
            wrong.push(format!("{}:\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_broken_files_mistakes_come_all_at_once_each_with_place_and_cause() {
    let most = files(&folder().join("wrong"), "xml")
        .iter()
        .map(|path| refusal(path).errors())
        .max();
    assert!(most.unwrap() >= 12);
    for path in files(&folder().join("wrong"), "xml") {
        let report = refusal(&path);
        assert!(report.errors() > 0 && report.warnings() == 0);
        let places: BTreeSet<_> = report
            .findings()
            .iter()
            .map(|found| (found.span, &found.message))
            .collect();
        assert_eq!(places.len(), report.findings().len(), "{}", path.display());
    }
}

#[test]
fn what_is_too_large_is_refused_without_being_read() {
    let nodes = "<a/>".repeat(30_000);
    let many = format!("<carAudioConfiguration version=\"4\">{nodes}</carAudioConfiguration>");
    let deep = "<a>".repeat(100_000);
    let long = " ".repeat(policy::file::MAX_BYTES + 1);
    for text in [many, deep, long] {
        match import(&Format::Aaos, &text, Path::new("large.xml")) {
            Err(Failed::Input(report)) => assert_eq!(report.errors(), 1),
            other => panic!("{other:?}"),
        }
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

    let made = import(&Format::Aaos, &text, Path::new("wide.xml")).unwrap();

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

#[test]
fn the_command_writes_policy_and_list_where_it_says() {
    let desk = Folder::new("command");
    let input = folder().join("car-v1.xml");
    let input = input.to_str().unwrap();
    let file = desk.path("car.toml");

    let shown = audiod(&["import", "aaos", input]);
    let written = audiod(&["import", "aaos", input, "-o", &file]);
    let again = audiod(&["import", "aaos", input, "-o", &file]);
    let json = audiod(&["import", "aaos", input, "--json"]);

    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(shown.status.code(), Some(0));
    assert_eq!(text(&shown.stdout), std::fs::read_to_string(&file).unwrap());
    assert_eq!(text(&shown.stderr), text(&written.stdout));
    assert!(text(&written.stdout).ends_with("20 items = 18 mapped + 2 approximated + 0 lost\n"));
    assert_eq!(again.status.code(), Some(5));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["counts"]["all"], 20);
    assert_eq!(json["items"].as_array().unwrap().len(), 20);
    assert_eq!(json["items"][0]["fate"], "mapped");
    assert!(json["policy"].as_str().unwrap().contains("[guests.android]"));
}

#[test]
fn the_command_ends_with_3_for_a_broken_file_and_says_so_in_json_too() {
    let input = folder().join("wrong/aaos-no-primary.xml");
    let input = input.to_str().unwrap();

    let shown = audiod(&["import", "aaos", input]);
    let json = audiod(&["import", "aaos", input, "--json"]);
    let missing = audiod(&["import", "audiomanager", "/nowhere/generic.xml"]);

    assert_eq!(shown.status.code(), Some(3));
    assert!(shown.stdout.is_empty());
    assert_eq!(json.status.code(), Some(3));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["findings"][0]["severity"], "error");
    assert_eq!(missing.status.code(), Some(3));
}

fn seeds() -> Vec<(Format, Tree)> {
    let read = |path: &PathBuf| (format(path), Tree::read(&std::fs::read_to_string(path).unwrap()));
    inputs().iter().map(read).collect()
}

/// Whatever is taken out, doubled, renamed or put in: every item is accounted for, or the file is refused with a cause; and
/// what isn't refused passes `check`.
fn is_accounted_for(seed: usize, changes: &[(u16, u16, u16)]) -> Result<(), TestCaseError> {
    let seeds = seeds();
    let (format, tree) = &seeds[seed % seeds.len()];
    let format = match format {
        Format::AudioManager(_) if seed.is_multiple_of(2) => &Format::AudioManager(vec!["Amplifier".to_owned()]),
        other => other,
    };
    let mut tree = tree.clone();
    for change in changes {
        tree.change(*change);
    }

    match import(format, &tree.write(), Path::new("changed.xml")) {
        Ok(made) => {
            let counts = made.listing.counts;
            prop_assert_eq!(counts.all, tree.count());
            prop_assert_eq!(counts.mapped + counts.approximated + counts.lost, tree.count());
            prop_assert!(config::parse(&made.policy, Path::new("changed.toml")).is_ok());
        }
        Err(Failed::Input(report)) => prop_assert!(report.errors() > 0),
        Err(Failed::Own(cause)) => prop_assert!(false, "{}", cause),
    }
    Ok(())
}

#[test]
fn of_any_file_everything_is_accounted_for() {
    let config = || ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    for seed in 0..8 {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let cases = (0_usize..64, prop::collection::vec(any::<(u16, u16, u16)>(), 0..12));
        let found =
            TestRunner::new_with_rng(config(), rng).run(&cases, |(seed, changes)| is_accounted_for(seed, &changes));
        assert!(found.is_ok(), "random seed {seed}: {found:?}");
    }
}

/// `generic.xml` with other lines, its amplifier a process of its own.
fn with(lines: &[(&str, &str)]) -> Imported {
    let mut text = std::fs::read_to_string(examples().join("generic.xml")).unwrap();
    for (line, other) in lines {
        assert!(text.contains(line), "{line}");
        text = text.replacen(line, other, 1);
    }
    let format = Format::AudioManager(vec!["Amplifier".to_owned()]);
    import(&format, &text, Path::new("generic.xml")).unwrap()
}

/// What became of the items at a path, whichever of several of one name they are.
fn fates(made: &Imported, path: &str) -> Vec<Fate> {
    let plain = |path: &str| -> String {
        let parts = path.split('/').map(|part| part.split('[').next().unwrap_or(part));
        parts.collect::<Vec<_>>().join("/")
    };
    let items = made.listing.items.iter().filter(|it| plain(&it.path) == path);
    items.map(|it| it.fate.clone()).collect()
}

#[test]
fn a_class_has_its_properties_and_its_volume_at_each_sink() {
    let class = r#"<class name="PARKING" priority="5">
        <property type="7" value="-3" />
        <property type="CP_PER_SINK_CLASS_VOLUME_SUPPORT" value="1" />
        <property type="CP_OF_A_PROJECT" value="1" />
        <property type="7" value="4" />
    </class>"#;

    let made = with(&[(r#"<class name="PARKING" priority="5" />"#, class)]);

    let model = config::parse(&made.policy, Path::new("generic.toml")).unwrap().model;
    let class = model.classes.iter().find(|it| it.name == "PARKING").unwrap();
    assert_eq!((class.own_volume, class.properties.as_slice()), (true, &[(7, -3)][..]));
    // The example's own.
    let own_volume = model.classes.iter().filter(|it| it.own_volume && it.name != "PARKING");
    assert_eq!(
        own_volume.map(|it| it.name.as_str()).collect::<Vec<_>>(),
        ["ENTERTAINMENT"]
    );
    let [_, first, own, unknown, again] = fates(&made, "classes/class/property").try_into().unwrap();
    assert!(matches!((first, own), (Fate::Mapped(_), Fate::Mapped(_))));
    assert!(matches!(unknown, Fate::Lost(why) if why.contains("write it as a number")));
    assert!(matches!(again, Fate::Lost(why) if why == "given before"));
}

#[test]
fn a_domains_main_sound_properties_are_said_once_for_all_elements_of_it() {
    let list = r#"<mainSoundProperties name="Tones">
        <mainSoundProperty type="MSP_GENIVI_BASS" value="2" minValue="-10" maxValue="10" isPersistenceSupported="TRUE" />
        <mainSoundProperty type="400" value="2" minValue="0" maxValue="5" />
      </mainSoundProperties>
      <listmapMSPToSP name="Down"><mapMSPtoSP mappingDirection="MD_MSP_TO_SP">MSP_GENIVI_BASS,104</mapMSPtoSP></listmapMSPToSP>
      <soundProperties name="Tone">"#;
    let names = r#"mainSoundPropertiesTemplateName="Tones" mapMSPToSPTemplateName="Down""#;
    let cabin = r#"name="Cabin" className="ENTERTAINMENT""#;
    let rear = r#"mainVolume="10" muteState="MS_MUTED" />"#;
    let otherwise = r#"mainVolume="10" muteState="MS_MUTED">
        <mainSoundProperty type="400" value="2" minValue="0" maxValue="9" />
      </sink>"#;

    let made = with(&[
        (r#"<soundProperties name="Tone">"#, list),
        (cabin, &format!("{cabin} {names}")),
        (rear, otherwise),
    ]);

    let loaded = config::parse(&made.policy, Path::new("generic.toml")).unwrap();
    let rules = &loaded.model.routing;
    let (bass, own) = (rules.main_sound(3), rules.main_sound(400));
    assert_eq!(
        (bass.range, bass.sound, bass.down, bass.up, bass.lasting),
        ((-10, 10), 104, true, false, true)
    );
    assert_eq!(
        (own.range, own.down, own.up, own.lasting),
        ((0, 5), false, false, false)
    );
    let in_list = fates(&made, "system/templates/mainSoundProperties/mainSoundProperty");
    assert!(
        in_list.len() == 2 && in_list.iter().all(|it| matches!(it, Fate::Mapped(_))),
        "{in_list:?}"
    );
    let at_rear = fates(&made, "system/domain/sink/mainSoundProperty");
    assert!(
        matches!(&at_rear[..], [Fate::Approximated(how)] if how.contains("it is taken from generic.xml:")),
        "{at_rear:?}"
    );
    // A guest's stream has no tone controls, whatever its list says.
    let of_a_guest = fates(&made, "system/domain/source/mainSoundProperty");
    assert!(matches!(&of_a_guest[..], [Fate::Lost(_)]), "{of_a_guest:?}");
}
