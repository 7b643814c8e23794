//! Ducks of and by domains' sources.

use super::rig::*;
use crate::command::Call;
use crate::effect::{CauseKind, EXTERNAL};
use crate::event::Event;
use crate::machine::tests::fixture::{CABIN, CLASS_NAVIGATION as NAVIGATION, DUCK_LINE, MEDIA, car};
use crate::routing_command::{DomainRequest, RoutingCall};

fn interrupt(source: u16, on: bool) -> RoutingCall {
    let state = if on { 2 } else { 1 };
    RoutingCall::HookInterruptStatusChange { source, state }
}

#[test]
fn a_prompt_ducks_the_music_at_its_sink_with_the_cells_ramps() {
    let (mut rig, music, sink) = amplifier();
    let prompt = rig.source(":1.1", 101, "prompt", CLASS_NAVIGATION);
    rig.connect(music, sink);
    rig.ack_all();
    rig.sent.clear();
    rig.connect(prompt, sink);
    rig.ack_all();
    rig.call(Call::Disconnect { connection: 2 });
    rig.ack_all();
    let sent = rig.sent().into_iter().filter_map(|it| match it {
        DomainRequest::SetSourceVolume {
            source,
            volume,
            time_ms,
            ..
        } => Some((source, volume, time_ms)),
        _ => None,
    });
    assert_eq!(sent.collect::<Vec<_>>(), [(music, -140, 51), (music, 0, 501)]);
}

#[test]
fn a_source_that_sounds_on_its_own_ducks_what_guests_play() {
    let mut rig = Rig::new(car());
    let domain = rig.domain(":1.1", "traffic");
    let news = rig.source(":1.1", domain, "news", NAVIGATION);
    let (source, start_gen) = (MEDIA, 1);
    rig.step(Event::StreamStarted { source, start_gen });
    rig.routing(":1.1", interrupt(news, true));
    let tap = rig.machine.heard().sources[MEDIA].taps[CABIN].clone();
    assert_eq!((tap.gain, tap.ramp_ms), (-140, 51));
    let by = EXTERNAL + usize::from(news);
    assert_eq!(tap.causes[0].kind, CauseKind::Ducked { by });
    assert_eq!(tap.causes[0].line, Some(DUCK_LINE));
    assert_eq!(rig.machine.source_name(by), Some("news"));
    rig.routing(":1.1", interrupt(news, false));
    assert_eq!(rig.machine.heard().sources[MEDIA].taps[CABIN].gain, 0);
}

#[test]
fn an_interrupt_ends_with_its_domain() {
    let mut rig = Rig::new(car());
    let domain = rig.domain(":1.1", "traffic");
    let news = rig.source(":1.1", domain, "news", NAVIGATION);
    let (source, start_gen) = (MEDIA, 1);
    rig.step(Event::StreamStarted { source, start_gen });
    rig.routing(":1.1", interrupt(news, true));
    let peer = ":1.1".to_owned();
    rig.step(Event::PeerLost { peer });
    assert_eq!(rig.machine.heard().sources[MEDIA].taps[CABIN].gain, 0);
}

#[test]
fn an_interrupt_ducks_a_domains_source_too() {
    let (mut rig, music, sink) = amplifier();
    let news = rig.source(":1.1", 101, "news", CLASS_NAVIGATION);
    rig.connect(music, sink);
    rig.ack_all();
    rig.sent.clear();
    rig.routing(":1.1", interrupt(news, true));
    rig.ack_all();
    assert!(matches!(
        rig.sent()[..],
        [DomainRequest::SetSourceVolume { volume: -140, .. }]
    ));
}

#[test]
fn a_prompt_of_a_guest_ducks_its_music_while_an_amplifier_never_acks() {
    let mut rig = Rig::new(car());
    let domain = rig.domain(":1.1", "amplifier");
    let tuner = rig.source(":1.1", domain, "tuner", CLASS_MEDIA);
    let sink = rig.sink(":1.1", domain, "speakers");
    rig.connect(tuner, sink);
    for source in [MEDIA, crate::machine::tests::fixture::PROMPT] {
        rig.step(Event::StreamStarted { source, start_gen: 1 });
    }
    assert_eq!(
        rig.machine.heard().sources[MEDIA].taps[CABIN].gain,
        -140,
        "in the very step"
    );
}
