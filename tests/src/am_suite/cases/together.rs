//! What AudioManager documents and its D-Bus plugins never send: cross-fades, several volumes or properties at once, domains' states,
//! system properties; and the order of a capture class.

use anyhow::{Result, ensure};

use super::cases;
use crate::am_suite::domain::{Acks, Element};
use crate::am_suite::stage::{Stage, same};
use crate::am_suite::value::listed;
use crate::am_suite::words::state::{CONNECTED, SUSPENDED};

cases![
    the_first_through_a_crossfader_takes_its_input,
    a_newcomer_by_the_other_input_of_a_crossfader_is_faded_to,
    a_refused_fade_is_rolled_back,
    several_volumes_of_a_domain_that_sets_them_at_once_are_one_request,
    a_refusal_of_several_volumes_leaves_the_connections,
    several_properties_of_a_sink_are_one_request,
    several_properties_of_a_source_are_one_request,
    a_refusal_of_several_properties_is_not_told,
    a_domain_that_ran_before_the_daemon_is_taken_control_of,
    a_system_property_that_may_be_set_is_told,
    capture_connects_the_source_side_first,
];

struct Desk {
    domain: usize,
    music: u16,
    caller: u16,
    sink: u16,
    crossfader: u16,
}

/// Two inputs, one output, and a sink that takes only what the output gives.
fn desk(s: &mut Stage) -> Result<Desk> {
    let domain = s.domain("desk")?;
    let hidden = |format| Element {
        visible: false,
        ..Element::formats(&[format])
    };
    let a = s.sink_of(domain, "input-a", &hidden(2))?;
    let b = s.sink_of(domain, "input-b", &hidden(2))?;
    let output = s.source_of(domain, "output", &hidden(3))?;
    let sink = s.sink_of(domain, "speakers", &Element::formats(&[3]))?;
    let body = ((0_u16, "fader".to_owned(), a, b, output, 1_u16),);
    let crossfader = s.registered(domain, "registerCrossfader", &body)?;
    let stereo = |class| Element {
        class,
        ..Element::formats(&[2])
    };
    let music = s.source_of(domain, "music", &stereo("media"))?;
    let caller = s.source_of(domain, "caller", &stereo("phone"))?;
    Ok(Desk {
        domain,
        music,
        caller,
        sink,
        crossfader,
    })
}

fn fades(asked: &[String]) -> Vec<&String> {
    asked.iter().filter(|it| it.starts_with("asyncCrossFade")).collect()
}

fn the_first_through_a_crossfader_takes_its_input(s: &mut Stage) -> Result<()> {
    let desk = desk(s)?;
    s.connected(desk.music, desk.sink)?;
    let asked = s.asked_of(desk.domain);
    same(
        "segments",
        asked.iter().filter(|it| it.starts_with("asyncConnect")).count(),
        2,
    )?;
    same("fades", fades(&asked).len(), 0)
}

fn a_newcomer_by_the_other_input_of_a_crossfader_is_faded_to(s: &mut Stage) -> Result<()> {
    let desk = desk(s)?;
    let music = s.connected(desk.music, desk.sink)?;
    s.asked_of(desk.domain);
    let call = s.connected(desk.caller, desk.sink)?;
    s.is_in(music, SUSPENDED)?;
    let asked = s.asked_of(desk.domain);
    same(
        "fade",
        format!("{:?}", fades(&asked)),
        format!("[\"asyncCrossFade {} 2 1 200\"]", desk.crossfader),
    )?;
    let at = |text: &str| asked.iter().position(|it| it.starts_with(text));
    let pause = format!("asyncSetSourceState {} 3", desk.music);
    ensure!(
        at("asyncCrossFade") < at(&pause),
        "paused before it was faded: {asked:?}"
    );
    s.disconnect(call)?;
    s.is_in(music, CONNECTED)?;
    let asked = s.asked_of(desk.domain);
    same(
        "fade back",
        format!("{:?}", fades(&asked)),
        format!("[\"asyncCrossFade {} 1 1 200\"]", desk.crossfader),
    )
}

fn a_refused_fade_is_rolled_back(s: &mut Stage) -> Result<()> {
    let desk = desk(s)?;
    let music = s.connected(desk.music, desk.sink)?;
    s.acks(desk.domain, Acks::Refuses("asyncCrossFade", 7));
    let call = s.connect(desk.caller, desk.sink)?;
    s.wait_until_gone(call)?;
    s.wait_for_state(music, CONNECTED)
}

/// Two sources that one limit lowers at the same time.
fn mixer(s: &mut Stage) -> Result<(usize, [u16; 2])> {
    let domain = s.domain("mixer")?;
    let mut sources = [0; 2];
    for (index, source) in sources.iter_mut().enumerate() {
        let sink = s.sink(domain, &format!("mixer-sink{index}"))?;
        *source = s.source(domain, &format!("mixer-source{index}"), "media")?;
        s.connected(*source, sink)?;
    }
    s.asked_of(domain);
    Ok((domain, sources))
}

fn notify(s: &mut Stage, domain: usize, source: u16, value: i16) -> Result<()> {
    s.hook(domain, "hookSourceNotificationDataChange", &(source, (7_i16, value)))
}

fn several_volumes_of_a_domain_that_sets_them_at_once_are_one_request(s: &mut Stage) -> Result<()> {
    let (domain, [a, b]) = mixer(s)?;
    notify(s, domain, a, 1)?;
    s.was_asked(
        domain,
        &[format!("asyncSetVolumes ((2 {a} -200 1 100) (2 {b} -200 1 100))")],
    )?;
    notify(s, domain, a, 5)?;
    s.was_asked(domain, &[format!("asyncSetVolumes ((2 {a} 0 1 100) (2 {b} 0 1 100))")])
}

fn a_refusal_of_several_volumes_leaves_the_connections(s: &mut Stage) -> Result<()> {
    let (domain, [a, _]) = mixer(s)?;
    s.acks(domain, Acks::Refuses("asyncSetVolumes", 7));
    notify(s, domain, a, 1)?;
    same("requests", s.asked_of(domain).len(), 1)?;
    let list = s.call("GetListMainConnections", &())?;
    let states: Vec<String> = list[1].items().iter().map(|it| it.items()[4].to_string()).collect();
    same("states", states.join(" "), "2 2")?;
    s.acks(domain, Acks::All);
    notify(s, domain, a, 5)
}

fn equalizer(s: &mut Stage) -> Result<(usize, u16, u16)> {
    let domain = s.domain("amplifier")?;
    let element = Element {
        sound: vec![(1, 0), (3, 0)],
        main_sound: vec![(1, 0), (3, 0)],
        ..Element::default()
    };
    let sink = s.sink_of(domain, "speakers", &element)?;
    let source = s.source_of(domain, "tuner", &element)?;
    s.settle()?;
    s.heard.clear();
    Ok((domain, source, sink))
}

fn several_properties_of_a_sink_are_one_request(s: &mut Stage) -> Result<()> {
    let (domain, _, sink) = equalizer(s)?;
    s.hook(domain, "hookSinkNotificationDataChange", &(sink, (7_i16, 6_i16)))?;
    s.was_asked(domain, &[format!("asyncSetSinkSoundProperties {sink} ((1 4) (3 5))")])?;
    s.hears(&format!("MainSinkSoundPropertyChanged {sink} (1 4)"))?;
    s.hears(&format!("MainSinkSoundPropertyChanged {sink} (3 5)"))?;
    same(
        "list",
        listed(&s.call("GetListMainSinkSoundProperties", &sink)?),
        "0 ((1 4) (3 5))",
    )
}

fn several_properties_of_a_source_are_one_request(s: &mut Stage) -> Result<()> {
    let (domain, source, _) = equalizer(s)?;
    notify(s, domain, source, 6)?;
    s.was_asked(
        domain,
        &[format!("asyncSetSourceSoundProperties {source} ((1 4) (3 5))")],
    )?;
    s.hears(&format!("MainSourceSoundPropertyChanged {source} (3 5)"))?;
    same(
        "list",
        listed(&s.call("GetListMainSourceSoundProperties", &source)?),
        "0 ((1 4) (3 5))",
    )
}

fn a_refusal_of_several_properties_is_not_told(s: &mut Stage) -> Result<()> {
    let (domain, source, sink) = equalizer(s)?;
    s.acks(domain, Acks::Refuses("asyncSetSinkSoundProperties", 7));
    s.hook(domain, "hookSinkNotificationDataChange", &(sink, (7_i16, 6_i16)))?;
    same(
        "sink",
        listed(&s.call("GetListMainSinkSoundProperties", &sink)?),
        "0 ((1 0) (3 0))",
    )?;
    s.acks(domain, Acks::Refuses("asyncSetSourceSoundProperties", 7));
    notify(s, domain, source, 6)?;
    same(
        "source",
        listed(&s.call("GetListMainSourceSoundProperties", &source)?),
        "0 ((1 0) (3 0))",
    )?;
    ensure!(
        !s.heard.iter().any(|it| it.contains("PropertyChanged")),
        "heard: {:?}",
        s.heard
    );
    Ok(())
}

/// `am_DomainState_e`: DS_INDEPENDENT_STARTUP.
const RAN_BEFORE: i16 = 2;

fn a_domain_that_ran_before_the_daemon_is_taken_control_of(s: &mut Stage) -> Result<()> {
    let domain = s.join()?;
    let body = s.domain_body(domain, 0, "early", RAN_BEFORE);
    let id = s.registered(domain, "registerDomain", &body)?;
    s.domains[domain].id = id;
    s.was_asked(domain, &[])?;
    s.hook(domain, "hookDomainRegistrationComplete", &id)?;
    same("asked", s.domains[domain].asked.len(), 1)?;
    let asked = s.domains[domain].asked[0].clone();
    same("member", &asked.member, "setDomainState")?;
    same(
        "domain and state",
        format!("{} {}", asked.handle, listed(&asked.args)),
        format!("{id} 1"),
    )
}

fn a_system_property_that_may_be_set_is_told(s: &mut Stage) -> Result<()> {
    let list = listed(&s.call("GetListSystemProperties", &())?);
    ensure!(list.contains("(9 1)"), "system properties: {list}");
    same("code", s.command("SetSystemProperty", &((9_i16, 3_i16),))?, 0)?;
    s.hears("SystemPropertyChanged (9 3)")?;
    same("code", s.command("SetSystemProperty", &((9_i16, 1_i16),))?, 0)?;
    s.hears("SystemPropertyChanged (9 1)")
}

fn capture_connects_the_source_side_first(s: &mut Stage) -> Result<()> {
    let (domains, _, sink) = s.chain(2)?;
    let microphone = s.source(domains[0], "microphone", "dictation")?;
    domains.iter().for_each(|domain| s.acks(*domain, Acks::ByHand));
    let id = s.connect(microphone, sink)?;
    let (first, last) = (domains[0], domains[1]);
    for (domain, member) in [
        (last, "asyncSetSinkVolume"),
        (first, "asyncConnect"),
        (last, "asyncConnect"),
        (first, "asyncSetSourceState"),
        (last, "asyncSetSourceState"),
        (last, "asyncSetSinkVolume"),
    ] {
        let request = s.next_request(domain, member)?;
        s.ack(domain, &request, 0)?;
    }
    s.wait_for_state(id, CONNECTED)?;
    domains.iter().for_each(|domain| s.acks(*domain, Acks::All));
    Ok(())
}
