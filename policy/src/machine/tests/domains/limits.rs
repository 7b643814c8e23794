//! Limits and mutes that rules hold on domains' sources.

use super::rig::*;
use crate::command::Call;
use crate::file::{Document, read_rules};
use crate::routing_command::DomainRequest;
use crate::{MUTE, Machine};

/// The amplifier with a prompt, and rules.
fn ruled(text: &str) -> (Rig, u16, u16, u16) {
    let (mut rig, music, sink) = amplifier();
    let prompt = rig.source(":1.1", 101, "prompt", CLASS_NAVIGATION);
    let doc = Document::parse(text);
    let program = read_rules(&doc.root(), &rig.machine.model);
    assert_eq!(doc.finish("rules.toml").to_string(), "");
    rig.machine.model.rules = program;
    rig.connect(music, sink);
    rig.ack_all();
    rig.sent.clear();
    (rig, music, prompt, sink)
}

fn volumes(rig: &mut Rig) -> Vec<(u16, i16, u16)> {
    let sent = rig.sent().into_iter().filter_map(|it| match it {
        DomainRequest::SetSourceVolume {
            source,
            volume,
            time_ms,
            ..
        } => Some((source, volume, time_ms)),
        _ => None,
    });
    sent.collect()
}

fn on_connected(then: &str) -> String {
    format!(
        "[[rules]]\nname = \"a\"\non = \"system.connection_state_change\"\n\
         when = 'name(request.source) == \"prompt\" && connection_state() == connected'\ndo = [{then}]\n"
    )
}

#[test]
fn a_limit_goes_to_the_domain_and_ends_with_its_cause() {
    let (mut rig, music, prompt, sink) = ruled(&on_connected(
        r#"{ limit = { source = 'sources("media")', gain_db = -40.0, ramp_ms = 300 } }"#,
    ));
    let (_, id) = rig.connect(prompt, sink);
    rig.ack_all();
    // The sink's own -3 dB (mainVolume 5) are part of it.
    assert_eq!(volumes(&mut rig), [(music, -140, 51), (music, -370, 300)]);
    rig.call(Call::Disconnect { connection: id });
    rig.ack_all();
    assert_eq!(volumes(&mut rig), [(music, 0, 300)]);
}

#[test]
fn a_mute_at_the_requests_sink_silences_the_source() {
    let (mut rig, music, prompt, sink) = ruled(&on_connected(
        "{ mute = { class = \"media\", sink = \"request.sink\" } }",
    ));
    rig.connect(prompt, sink);
    rig.ack_all();
    assert_eq!(volumes(&mut rig).last(), Some(&(music, MUTE, 200)));
}

#[test]
fn a_rule_that_overrides_takes_the_place_of_the_cells_duck() {
    let (mut rig, music, prompt, sink) =
        ruled(&(on_connected(r#"{ limit = { class = "media", gain_db = -5.0 } }"#) + "overrides = true\n"));
    rig.connect(prompt, sink);
    rig.ack_all();
    assert_eq!(volumes(&mut rig).last().map(|it| (it.0, it.1)), Some((music, -20)));
}

#[test]
fn a_limit_on_a_domains_source_survives_a_restart_by_names() {
    let (mut rig, music, prompt, sink) = ruled(&on_connected(
        r#"{ limit = { connection = "others", gain_db = -43.0, sticky = true } }"#,
    ));
    let (_, id) = rig.connect(prompt, sink);
    rig.ack_all();
    rig.machine = Machine::restore(rig.machine.model().clone(), &rig.machine.snapshot()).unwrap();
    rig.sent.clear();
    rig.call(Call::Disconnect { connection: id });
    rig.ack_all();
    assert_eq!(volumes(&mut rig), [], "it is still at -40 dB there");
    assert_eq!(rig.machine.registry().sources[&music].volume, -400);
}
