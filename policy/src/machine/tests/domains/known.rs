//! What the file says of domains before they register.

use super::rig::*;
use crate::command::{Call, ReplyBody};
use crate::file::{Document, read};
use crate::model::Model;
use crate::routing::BUILT_IN;
use crate::routing_command::{DomainData, DomainRequest, Kind, RoutingCall, RoutingReply};

const CAR: &str = r#"
version = 1
zones.cabin = {}
classes.media = { priority = 10 }
classes.phone = { priority = 70 }

[guests.ivi.streams]
media = { class = "media" }

[routing]
formats = ["mono", "stereo"]

[domains.amplifier]
bus_name = "org.example.amplifier"
ack_ms = 700
open_requests = 5
sinks.speakers = { volume = 40, muted = true, curve = [[0, -60], [50, -20], [100, 0]] }
sinks.headphones = { like = "speakers", visible = false }

[domains.tuner]
id = 7
required = false
sources.fm = { class = "media", gain_db = -6.0, max_gain_db = -3.0, formats = ["stereo"], id = 9 }
sources.am = { like = "fm", id = 10, visible = false, available = false }
"#;

fn model(more: &str) -> Model {
    let text = format!("{CAR}{more}");
    let doc = Document::parse(&text);
    let model = read(&doc);
    let report = doc.finish("car.toml");
    let wrong: Vec<_> = report.findings().iter().filter(|it| it.code != "unused").collect();
    assert!(wrong.is_empty(), "{report}");
    model
}

fn amplifier_of(rig: &mut Rig) -> (u16, u16) {
    let domain = rig.domain(":1.1", "amplifier");
    (domain, rig.sink(":1.1", domain, "speakers"))
}

fn refused(error: i16) -> RoutingReply {
    RoutingReply::Id { id: 0, error }
}

#[test]
fn a_sink_gets_the_files_volume_mute_and_curve_whatever_its_domain_says() {
    let mut rig = Rig::new(model(""));
    let (_, sink) = amplifier_of(&mut rig);

    let volumes = rig.sent().into_iter().filter_map(|it| match it {
        DomainRequest::SetSinkVolume { volume, .. } => Some(volume),
        _ => None,
    });
    assert_eq!(volumes.collect::<Vec<_>>(), [crate::MUTE], "muted at first");
    rig.ack_all();
    rig.call(Call::SetSinkMuteState { sink, state: 2 });
    let Some(DomainRequest::SetSinkVolume { volume, .. }) = rig.sent().pop() else {
        panic!("no request");
    };
    assert_eq!(volume, -280, "40 of the file's curve");
}

#[test]
fn a_source_gets_the_files_class_id_and_gain_and_never_more_than_its_limit() {
    let mut rig = Rig::new(model(""));
    let tuner = rig.domain(":1.2", "tuner");
    assert_eq!(tuner, 7);
    let fm = rig.registered(":1.2", RoutingCall::RegisterSource(source(tuner, "fm", 102)));
    assert_eq!(fm, 9);
    let class = rig.machine.registry().sources[&fm].class;
    assert_eq!(class, 101, "media, though it said phone");
    assert_eq!(rig.machine.registry().sources[&fm].lists.formats, [2]);
    let Some(DomainRequest::SetSourceVolume { volume, .. }) = rig.sent().pop() else {
        panic!("no request");
    };
    assert_eq!(volume, -60);

    rig.ack_all();
    let louder = RoutingCall::SendChangedData {
        volumes: vec![(crate::routing_command::End::Source(fm), 0)],
        properties: Vec::new(),
    };
    rig.routing(":1.2", louder);
    let Some(DomainRequest::SetSourceVolume { volume, .. }) = rig.sent().pop() else {
        panic!("no request");
    };
    assert_eq!(volume, -30, "back to its limit");
}

#[test]
fn like_takes_over_what_an_element_does_not_say_itself() {
    let model = model("");
    let am = &model.routing.known.sources["am"];
    assert_eq!((am.volume, am.end.class, am.end.id), (Some(-60), Some(0), Some(10)));
    assert_eq!((am.end.visible, am.end.available), (Some(false), Some(false)));
    assert_eq!(model.routing.known.sources["fm"].end.visible, None);
    let sinks = &model.routing.curves;
    assert_eq!(sinks["headphones"], sinks["speakers"]);
}

#[test]
fn a_domain_of_the_file_registers_with_its_bus_name_only_and_its_elements_in_it_only() {
    let mut rig = Rig::new(model(""));
    let posing = DomainData {
        bus_name: "org.example.other".to_owned(),
        ..domain("amplifier")
    };
    assert_eq!(rig.routing(":1.9", RoutingCall::RegisterDomain(posing)), refused(7));
    let tuner = rig.domain(":1.2", "tuner");
    let foreign = RoutingCall::RegisterSink(sink(tuner, "speakers"));
    assert_eq!(rig.routing(":1.2", foreign), refused(7));
}

#[test]
fn where_only_the_file_counts_nothing_else_registers() {
    let text = CAR.replace("[routing]", "[routing]\nunknown = \"refuse\"");
    let doc = Document::parse(&text);
    let mut rig = Rig::new(read(&doc));
    let unknown = RoutingCall::RegisterDomain(domain("intruder"));
    assert_eq!(rig.routing(":1.9", unknown), refused(4));
    let (amplifier, _) = amplifier_of(&mut rig);
    let unknown = RoutingCall::RegisterSink(sink(amplifier, "subwoofer"));
    assert_eq!(rig.routing(":1.1", unknown), refused(7));
    let unknown = RoutingCall::RegisterSource(source(amplifier, "aux", 101));
    assert_eq!(rig.routing(":1.1", unknown), refused(7));
}

#[test]
fn a_domain_has_its_own_patience_and_its_own_bound_of_open_requests() {
    let mut rig = Rig::new(model(""));
    let (_, sink) = amplifier_of(&mut rig);
    assert!(!rig.open.is_empty());
    assert_eq!(rig.wait(), 700);
    assert!(matches!(rig.sent().pop(), Some(DomainRequest::Abort { .. })));
    let rules = &rig.machine.model().routing;
    assert_eq!(
        (rules.open_limit_of("amplifier"), rules.open_limit_of("tuner")),
        (5, 100)
    );
    assert_eq!(rig.machine.registry().sinks[&sink].name, "speakers");
}

const GATEWAYS: &str = r#"
[domains.amplifier.sources]
line_in = { class = "media", formats = ["stereo"], register = "policy" }

[gateways.cabin_out]
domain = "amplifier"
sink = "cabin"
source = "line_in"
matrix = [["stereo", "stereo"]]
register = "policy"
"#;

#[test]
fn what_the_policy_registers_is_there_once_its_domain_is() {
    let mut rig = Rig::new(model(GATEWAYS));
    assert!(rig.machine.registry().gateways.is_empty());
    let (_, speakers) = amplifier_of(&mut rig);
    let gateways: Vec<&str> = rig
        .machine
        .registry()
        .gateways
        .values()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(gateways, ["cabin_out"]);
    rig.call(Call::SetSinkMuteState {
        sink: speakers,
        state: 2,
    });
    rig.ack_all();

    let (error, id) = rig.connect(101, speakers);

    assert_eq!(error, 0);
    rig.ack_all();
    assert_eq!(rig.states(id).last(), Some(&2));
    let twice = RoutingCall::RegisterSource(source(101, "line_in", 101));
    assert_eq!(rig.routing(":1.1", twice), refused(5), "it is registered already");
}

#[test]
fn a_gateway_converts_as_the_file_says_and_has_the_files_ends() {
    let file = GATEWAYS
        .replace("register = \"policy\"\n", "")
        .replace(", register = \"policy\"", "");
    let mut rig = Rig::new(model(&file));
    let (amplifier, _) = amplifier_of(&mut rig);
    let input = rig.registered(":1.1", RoutingCall::RegisterSource(source(amplifier, "line_in", 0)));
    let mut data = gateway((BUILT_IN, 101), (amplifier, input));
    data.control_domain = amplifier;
    data.name = "cabin_out".to_owned();
    let other = rig.registered(":1.1", RoutingCall::RegisterSource(source(amplifier, "aux", 0)));
    let crossed = RoutingCall::RegisterGateway(crate::routing_command::GatewayData {
        source: other,
        ..data.clone()
    });
    assert_eq!(rig.routing(":1.1", crossed), refused(7));

    let id = rig.registered(":1.1", RoutingCall::RegisterGateway(data));

    let conversion = &rig.machine.registry().gateways[&id].conversion;
    assert!(
        conversion.converts(2, 2) && !conversion.converts(1, 1),
        "no mono, though its domain said so"
    );
}

/// Two ways from the tuner to the speakers: a cable, and over the head unit.
const WAYS: &str = r#"
[domains.amplifier.sources]
aux1 = {}
aux2 = {}
[domains.tuner.sinks]
out1 = {}
out2 = {}
[gateways.cable]
domain = "tuner"
sink = "out1"
source = "aux1"
[gateways.wireless]
domain = "tuner"
sink = "out2"
source = "aux2"
"#;

/// The gateway that a connection from `fm` to `speakers` goes over, or the code.
fn way(topologies: &str) -> Result<String, i16> {
    let mut rig = Rig::new(model(&format!("{WAYS}{topologies}")));
    let (amplifier, speakers) = amplifier_of(&mut rig);
    let tuner = rig.domain(":1.2", "tuner");
    let fm = rig.registered(":1.2", RoutingCall::RegisterSource(source(tuner, "fm", 0)));
    let names = ["cable", "wireless"];
    for (number, name) in (1..).zip(names) {
        let out = rig.sink(":1.2", tuner, &format!("out{number}"));
        let aux = rig.registered(
            ":1.1",
            RoutingCall::RegisterSource(source(amplifier, &format!("aux{number}"), 0)),
        );
        let mut data = gateway((tuner, out), (amplifier, aux));
        data.name = name.to_owned();
        rig.registered(":1.2", RoutingCall::RegisterGateway(data));
    }
    rig.ack_all();
    rig.sent();
    let (error, _) = rig.connect(fm, speakers);
    rig.ack_all();
    let entered: Vec<u16> = (rig.sent().iter())
        .filter_map(|it| match it {
            DomainRequest::Connect { source, .. } => Some(*source),
            _ => None,
        })
        .collect();
    let gateways = rig.machine.registry().gateways.values();
    let mut over = gateways
        .filter(|it| entered.contains(&it.source))
        .map(|it| it.name.clone());
    over.next_back().filter(|_| error == 0).ok_or(error)
}

#[test]
fn a_topology_says_over_which_gateways_a_class_or_source_goes() {
    let line = |class: &str, via: &str, sink: &str| {
        format!("[[topologies]]\nclass = \"{class}\"\nvia = {via}\nsink = \"{sink}\"\n")
    };
    assert_eq!(way("").as_deref(), Ok("cable"), "without a topology the first route");
    assert_eq!(
        way(&line("media", "[\"wireless\"]", "speakers")).as_deref(),
        Ok("wireless")
    );
    assert_eq!(way(&line("*", "\"*\"", "*")).as_deref(), Ok("cable"));
    assert_eq!(
        way(&line("phone", "[\"wireless\"]", "*")).as_deref(),
        Ok("cable"),
        "another class's"
    );
    assert_eq!(way(&line("media", "[]", "speakers")), Err(7), "no gateway, no way");
    assert_eq!(
        way(&line("media", "[\"wireless\"]", "headphones")),
        Err(7),
        "to others only"
    );
    let own = "[[topologies]]\nsource = \"fm\"\nvia = [\"*\", \"wireless\"]\nsink = [\"speakers\"]\n";
    assert_eq!(way(own).as_deref(), Ok("wireless"));
}

#[test]
fn where_only_topologies_count_a_class_without_one_has_no_route() {
    let text = format!("{CAR}{WAYS}").replace("[routing]", "[routing]\nonly_topologies = true");
    let doc = Document::parse(&text);
    let rules = read(&doc).routing;
    assert_eq!(
        rules.ways("media", "fm", "speakers", rules.only_topologies),
        Some(Vec::new())
    );
}

#[test]
fn all_domains_are_complete_once_those_of_the_file_are() {
    let rules = r#"
[[rules]]
name = "all"
on = "system.all_domain_registration_complete"
do = [{ set_volume = { sink = "cabin", main_volume = 1 } }]
"#;
    let mut rig = Rig::new(model(rules));
    let volume = |rig: &mut Rig| match rig.call(Call::GetVolume { sink: 101 }).body {
        ReplyBody::Volume(volume) => volume,
        other => panic!("{other:?}"),
    };
    let tuner = rig.domain(":1.2", "tuner");
    rig.routing(":1.2", RoutingCall::HookDomainRegistrationComplete { domain: tuner });
    assert_eq!(volume(&mut rig), 100, "the amplifier is required");
    let (amplifier, _) = amplifier_of(&mut rig);
    rig.routing(
        ":1.1",
        RoutingCall::HookDomainRegistrationComplete { domain: amplifier },
    );
    assert_eq!(volume(&mut rig), 1);
}

#[test]
fn an_element_that_does_not_know_its_availability_has_the_files() {
    let mut rig = Rig::new(model(""));
    let tuner = rig.domain(":1.2", "tuner");
    let unknown = crate::routing_command::SourceData {
        availability: (0, 0),
        ..source(tuner, "am", 0)
    };
    let am = rig.registered(":1.2", RoutingCall::RegisterSource(unknown));
    assert_eq!(rig.machine.registry().sources[&am].availability, (2, 0));
    rig.routing(":1.2", deregister(Kind::Source, am));
    let known = crate::routing_command::SourceData {
        availability: (1, 0),
        ..source(tuner, "am", 0)
    };
    rig.registered(":1.2", RoutingCall::RegisterSource(known));
    assert_eq!(rig.machine.registry().sources[&am].availability, (1, 0));
}

#[test]
fn a_domains_sink_takes_part_in_its_group_from_its_registration_on() {
    let group = "[volume_groups.all]\nsinks = [\"cabin\", \"speakers\"]\nvolume = 60\n";
    let mut rig = Rig::new(model(group));
    rig.call(Call::SetVolume { sink: 101, volume: 70 });
    let (_, speakers) = amplifier_of(&mut rig);
    rig.ack_all();
    assert_eq!(rig.machine.registry().sinks[&speakers].wanted_volume, 70);
    rig.call(Call::SetVolume {
        sink: speakers,
        volume: 20,
    });
    assert_eq!(rig.machine.volume(0), Some((20, false)));
    rig.ack_all();
    rig.sent();
    rig.call(Call::SetVolume { sink: 101, volume: 50 });
    let Some(DomainRequest::SetSinkVolume { volume, .. }) = rig.sent().pop() else {
        panic!("no request");
    };
    assert_eq!(volume, -200, "50 of the sink's own curve");
}

#[test]
fn a_start_up_connection_over_a_domain_waits_for_it() {
    let startup = "[[startup]]\nsource = \"fm\"\nsink = \"aux_out\"\n[domains.tuner.sinks]\naux_out = {}\n";
    let mut rig = Rig::new(model(startup));
    let tuner = rig.domain(":1.2", "tuner");
    rig.registered(":1.2", RoutingCall::RegisterSource(source(tuner, "fm", 0)));
    rig.ack_all();
    assert_eq!(rig.state(1), None);
    rig.sink(":1.2", tuner, "aux_out");
    rig.ack_all();
    assert_eq!(rig.state(1), Some(crate::command::ConnectionState::Connected));
}

const RULE: &str = r#"
[[rules]]
name = "radio-in-the-speakers"
on = "system.register_source"
when = ['request.source == "fm"', 'is_registered("speakers") && main_volume(sink("speakers")) < 70']
do = [{ set_volume = { sink = "speakers", main_volume = 70 } }, { limit = { source = "fm", sink = ["cabin", "speakers"], gain_db = -20, cause = "am" } }]
"#;

#[test]
fn rules_name_what_the_file_describes_in_domains() {
    let mut rig = Rig::new(model(RULE));
    let (_, speakers) = amplifier_of(&mut rig);
    let tuner = rig.domain(":1.2", "tuner");
    rig.ack_all();
    assert_eq!(rig.machine.registry().sinks[&speakers].main_volume, 40);

    rig.registered(":1.2", RoutingCall::RegisterSource(source(tuner, "am", 102)));
    assert_eq!(
        rig.machine.registry().sinks[&speakers].main_volume,
        40,
        "another source"
    );
    rig.registered(":1.2", RoutingCall::RegisterSource(source(tuner, "fm", 102)));

    assert_eq!(rig.machine.registry().sinks[&speakers].main_volume, 70);
}

#[test]
fn what_a_rule_names_in_a_domain_is_nothing_while_it_is_not_registered() {
    let mut rig = Rig::new(model(RULE));
    let tuner = rig.domain(":1.2", "tuner");
    rig.registered(":1.2", RoutingCall::RegisterSource(source(tuner, "fm", 102)));

    let (_, speakers) = amplifier_of(&mut rig);
    rig.ack_all();

    assert_eq!(rig.machine.registry().sinks[&speakers].main_volume, 40);
}

#[test]
fn a_name_that_no_domain_has_is_an_error_where_it_stands() {
    for (wrong, cure) in [("\"speakers\"", "\"speakres\""), ("\"fm\"", "\"fn\"")] {
        let text = format!("{CAR}{}", RULE.replace(wrong, cure));
        let doc = Document::parse(&text);
        read(&doc);
        let report = doc.finish("car.toml");

        let unknown: Vec<_> = report
            .findings()
            .iter()
            .filter(|it| it.code == "unknown-name")
            .collect();
        assert!(!unknown.is_empty(), "{report}");
        for found in unknown {
            let said = cure.trim_matches('"');
            assert!(text[found.span.start..found.span.end].contains(said), "{report}");
            let help = format!("did you mean `{}`?", wrong.trim_matches('"'));
            assert_eq!(found.help.as_deref(), Some(help.as_str()), "{report}");
        }
    }
}
