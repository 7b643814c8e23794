//! Guests' streams: start makes the route, release ends it, control elements are wishes.

use super::fixture::*;
use crate::MUTE;
use crate::command::{ConnectionState, Signal};
use crate::effect::{CauseKind, Effect, Mode};
use crate::event::Event;
use crate::model::{Holder, Newcomer, Unrouted};

#[test]
fn a_started_stream_is_connected_and_heard_from_its_first_frame() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    assert_eq!(bench.state(MEDIA, CABIN), Some(ConnectionState::Connected));
    assert_eq!(bench.mode(MEDIA), Mode::Play);
    assert_eq!(bench.gain(MEDIA, CABIN), (0, 0), "no ramp may eat the first frame");
    assert_eq!(bench.tap(MEDIA, CABIN).causes, []);
    assert_eq!(bench.why(MEDIA, REAR), [CauseKind::NoRoute]);
    assert_eq!(bench.machine.heard().sources[MEDIA].decided, 1);
}

#[test]
fn release_ends_the_automatic_connection_and_not_the_users() {
    let mut bench = Bench::new(car());
    bench.connect(MEDIA, REAR);
    bench.start(MEDIA);
    assert_eq!(
        bench.gain(MEDIA, REAR).0,
        0,
        "a connected source is heard when it starts"
    );
    bench.release(MEDIA);
    assert_eq!(bench.state(MEDIA, CABIN), None);
    assert_eq!(bench.state(MEDIA, REAR), Some(ConnectionState::Connected));
    let automatic = 2;
    assert_eq!(
        bench.signals(),
        [
            Signal::MainConnectionStateChanged {
                connection: automatic,
                state: ConnectionState::Disconnecting
            },
            Signal::MainConnectionStateChanged {
                connection: automatic,
                state: ConnectionState::Disconnected
            },
            Signal::RemovedMainConnection { connection: automatic },
        ]
    );
}

#[test]
fn a_connection_the_user_asked_for_again_is_the_users() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.connect(MEDIA, CABIN);
    bench.release(MEDIA);
    assert_eq!(bench.state(MEDIA, CABIN), Some(ConnectionState::Connected));
}

#[test]
fn a_guests_pause_keeps_the_connection_and_ducks_nobody() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(PROMPT);
    assert_eq!(bench.gain(MEDIA, CABIN), (-140, 51));
    bench.stop(PROMPT);
    assert_eq!(bench.state(PROMPT, CABIN), Some(ConnectionState::Connected));
    assert_eq!(bench.why(PROMPT, CABIN), [CauseKind::NotRunning]);
    assert_eq!(bench.gain(MEDIA, CABIN), (0, 501));
    bench.start(PROMPT);
    assert_eq!(bench.gain(MEDIA, CABIN), (-140, 51));
    assert_eq!(bench.gain(PROMPT, CABIN), (0, 0));
}

/// Else the engine would take the pause's row, which discards, for an answer to the guest that goes on, and consume its frames.
#[test]
fn what_goes_on_after_a_pause_under_the_same_number_is_decided_again() {
    let mut bench = Bench::new(car());
    let (source, start_gen) = (PROMPT, 7);
    bench.step(Event::StreamStarted { source, start_gen });
    bench.stop(PROMPT);
    assert_ne!(bench.machine.heard().sources[PROMPT].decided, start_gen);

    bench.step(Event::StreamStarted { source, start_gen });

    assert_eq!(bench.machine.heard().sources[PROMPT].decided, start_gen);
    assert_eq!((bench.mode(PROMPT), bench.gain(PROMPT, CABIN)), (Mode::Play, (0, 0)));
}

#[test]
fn a_stream_without_a_route_follows_its_rule() {
    let mut model = car();
    model.sources[MEDIA].auto_connect.clear();
    model.sources[RADIO].auto_connect.clear();
    model.sources[RADIO].unrouted = Unrouted::Stall;
    let mut bench = Bench::new(model);
    bench.start(MEDIA);
    bench.start(RADIO);
    assert_eq!(bench.mode(MEDIA), Mode::Discard);
    assert_eq!(bench.mode(RADIO), Mode::Stall);
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::NoRoute]);
    bench.connect(MEDIA, CABIN);
    assert_eq!((bench.mode(MEDIA), bench.gain(MEDIA, CABIN)), (Mode::Play, (0, 20)));
}

#[test]
fn every_start_is_answered_by_its_generation() {
    let mut bench = Bench::new(car());
    let start = |bench: &mut Bench, start_gen| {
        let source = MEDIA;
        bench.step(Event::StreamStarted { source, start_gen });
        bench.machine.heard().sources[MEDIA].decided
    };
    assert_eq!(start(&mut bench, 5), 5);
    assert_eq!(start(&mut bench, 6), 6, "told again without a stop between");
    let Some(Effect::Heard(heard)) = bench.effects.last() else {
        panic!("heard, and last")
    };
    assert_eq!(heard.sources[MEDIA].decided, 6);
    start(&mut bench, 6);
    assert_eq!(bench.effects, [], "nothing changed, so nothing is said");
}

#[test]
fn a_guest_that_goes_takes_its_streams_along() {
    let mut bench = Bench::new(car());
    let there = |source, available| Event::Available { source, available };
    bench.step(there(PROMPT, true));
    let changed = |availability| Signal::SourceAvailabilityChanged {
        source: 103,
        availability,
    };
    assert_eq!(bench.signals(), [changed((1, 0))]);
    bench.start(MEDIA);
    bench.start(PROMPT);
    bench.step(there(PROMPT, false));
    assert_eq!(bench.signals().last(), Some(&changed((2, 0))));
    assert_eq!(bench.state(PROMPT, CABIN), None);
    assert_eq!(bench.gain(MEDIA, CABIN), (0, 501));
    bench.step(there(PROMPT, false));
    assert_eq!(bench.effects, []);
}

#[test]
fn control_elements_are_the_wanted_gain_and_never_show_ducks() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    let wish = |gain, mute| Event::UserGain {
        source: MEDIA,
        gain,
        mute,
    };
    bench.step(wish(-60, false));
    assert_eq!(bench.gain(MEDIA, CABIN), (-60, 20));
    assert!(!bench.effects.iter().any(|it| matches!(it, Effect::GuestControl { .. })));
    bench.start(PROMPT);
    assert_eq!(bench.gain(MEDIA, CABIN), (-200, 51));
    assert_eq!(
        bench.why(MEDIA, CABIN),
        [CauseKind::Ducked { by: PROMPT }, CauseKind::UserGain]
    );
    assert!(!bench.effects.iter().any(|it| matches!(it, Effect::GuestControl { .. })));
    assert_eq!(bench.machine.wanted(MEDIA), Some((-60, false)));
    bench.step(wish(40, true));
    let clamped = Effect::GuestControl {
        source: MEDIA,
        gain: 0,
        mute: true,
    };
    assert_eq!(bench.effects[0], clamped);
    assert_eq!(bench.gain(MEDIA, CABIN), (MUTE, 20));
    assert_eq!(bench.cause(MEDIA, CABIN).kind, CauseKind::UserMuted);
}

#[test]
fn a_muted_source_ducks_nobody() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(PROMPT);
    let (source, gain, mute) = (PROMPT, 0, true);
    bench.step(Event::UserGain { source, gain, mute });
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0);
}

#[test]
fn a_safety_sources_control_elements_spring_back() {
    let mut bench = Bench::new(car());
    let (source, gain, mute) = (PARTITION, -300, true);
    bench.step(Event::UserGain { source, gain, mute });
    let back = Effect::GuestControl {
        source: PARTITION,
        gain: 0,
        mute: false,
    };
    assert_eq!(bench.effects, [back]);
}

#[test]
fn indices_of_another_model_are_ignored() {
    let mut bench = Bench::new(car());
    let source = usize::MAX;
    for event in [
        Event::StreamStarted { source, start_gen: 1 },
        Event::StreamStopped { source },
        Event::StreamReleased { source },
        Event::Sounding { source, on: true },
        Event::Available {
            source,
            available: true,
        },
        Event::UserGain {
            source,
            gain: 0,
            mute: true,
        },
    ] {
        assert_eq!(bench.step(event), []);
    }
}

/// What guests' jacks show.
#[test]
fn a_stream_could_be_heard_unless_it_would_be_refused_everywhere_whether_it_is_connected_or_not() {
    let mut model = car_with(CLASS_MEDIA, CLASS_NAVIGATION, cell(Holder::Mix, Newcomer::Reject));
    model.sources[PROMPT].visible = false;
    let mut bench = Bench::new(model);
    assert!((0..bench.machine.model().sources.len()).all(|source| bench.machine.could_be_heard(source)));

    bench.start(MEDIA);
    assert!(
        !bench.machine.could_be_heard(PROMPT),
        "it would be refused in the only zone it is for"
    );
    assert!(bench.machine.could_be_heard(MEDIA) && bench.machine.could_be_heard(RADIO));
    bench.stop(MEDIA);
    assert!(bench.machine.could_be_heard(PROMPT));
}
