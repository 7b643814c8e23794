//! The generic controller: domains that stay processes of their own, classes, properties.
#![allow(clippy::unwrap_used, reason = "tests")]

mod import_common;

use std::path::Path;

use audiod::config;
use audiod::import::ledger::Fate;
use audiod::import::{Failed, Format, import};
use import_common::{examples, fates, with, with_the_amplifier};

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
        Err(Failed::Input(reports)) => {
            let said = reports[0].to_string();
            assert!(said.contains("domains: Amplifier, Head Unit"), "{said}");
        }
        other => panic!("{other:?}"),
    }
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

/// What the rule of one process with this action does, and what became of the action; `on` sets it off.
fn rule_of(on: &str, action: &str) -> (Option<String>, Vec<Fate>) {
    let process = format!("<process name=\"one\">{action}</process>");
    let policy = format!("<policies><policy trigger=\"{on}\">{process}</policy>");
    let text = std::fs::read_to_string(examples().join("generic.xml")).unwrap();
    let text = text.replacen("<policies>", &policy, 1);
    let made = import(&Format::AudioManager(Vec::new()), &text, Path::new("generic.xml")).unwrap();
    let mut rules = made
        .policy
        .split("[[rules]]")
        .filter(|rule| rule.contains("name = \"one\""));
    let done = rules
        .next()
        .and_then(|rule| rule.lines().find(|line| line.starts_with("do = ")));
    let of_action = |path: &str| path.starts_with("policies/policy[1]/process/action");
    let items = made.listing.items.iter().filter(|it| of_action(&it.path));
    (done.map(str::to_owned), items.map(|it| it.fate.clone()).collect())
}

#[test]
fn a_list_of_properties_of_its_own_is_set_as_pairs_of_type_and_value() {
    let sound =
        r#"<action type="ACTION_SET_PROPERTIES" sinkName="Cabin" listMainSoundProperties="&quot;(1:5)(2:-3)&quot;"/>"#;
    let system = r#"<action type="ACTION_SET_SYSTEM_PROPERTIES" listSystemProperties="(61440:1)"/>"#;

    let (sounds, of_sounds) = rule_of("SYSTEM_VOLUME_CHANGED", sound);
    // Also of a client's request for other ones: what was asked for is set before, this is another thing.
    let (systems, of_systems) = rule_of("USER_SET_SYSTEM_PROPERTIES", system);

    assert_eq!(
        sounds.as_deref(),
        Some(r#"do = [{ set_properties = { sink = "Cabin", properties = [[1, 5], [2, -3]] } }]"#)
    );
    assert_eq!(
        systems.as_deref(),
        Some("do = [{ set_system_properties = { properties = [[61440, 1]] } }]")
    );
    for fates in [of_sounds, of_systems] {
        assert!(fates.iter().all(|it| matches!(it, Fate::Mapped(_))), "{fates:?}");
    }
}

#[test]
fn the_list_of_a_request_is_built_in_and_without_a_request_nothing() {
    let requested =
        r#"<action type="ACTION_SET_PROPERTIES" sinkName="REQUESTING" listMainSoundProperties="REQUESTING"/>"#;
    let bare = r#"<action type="ACTION_SET_PROPERTIES" sinkName="Cabin"/>"#;

    let (asked, of_asked) = rule_of("USER_SET_SINK_MAIN_SOUND_PROPERTIES", requested);
    let (unasked, of_unasked) = rule_of("SYSTEM_VOLUME_CHANGED", requested);
    let (nothing, of_nothing) = rule_of("SYSTEM_VOLUME_CHANGED", bare);

    assert_eq!((asked, unasked, nothing), (None, None, None));
    assert!(
        matches!(&of_asked[0], Fate::Mapped(to) if to.starts_with("built in")),
        "{of_asked:?}"
    );
    assert!(
        matches!(&of_unasked[0], Fate::Lost(why) if why.contains("client's request")),
        "{of_unasked:?}"
    );
    assert!(
        matches!(&of_nothing[0], Fate::Lost(why) if why.contains("has no `listMainSoundProperties`")),
        "{of_nothing:?}"
    );
}

#[test]
fn a_list_that_is_none_is_refused_with_its_place() {
    for list in ["1:5", "(1:5)(2)", "(1:5", "(a:b)", "(70000:1)", ""] {
        let action =
            format!("<action type=\"ACTION_SET_PROPERTIES\" sinkName=\"Cabin\" listMainSoundProperties=\"{list}\"/>");
        let policy =
            format!("<policies><policy trigger=\"SYSTEM_VOLUME_CHANGED\"><process>{action}</process></policy>");
        let text = std::fs::read_to_string(examples().join("generic.xml")).unwrap();
        let text = text.replacen("<policies>", &policy, 1);

        match import(
            &Format::AudioManager(vec!["Amplifier".to_owned()]),
            &text,
            Path::new("generic.xml"),
        ) {
            Err(Failed::Input(reports)) => {
                let said = reports[0].to_string();
                assert!(
                    said.contains("is no list of properties") && said.contains("as `(1:5)(2:-3)`"),
                    "{said}"
                );
            }
            other => panic!("{list}: {other:?}"),
        }
    }
}
