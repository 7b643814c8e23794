//! The matrix: who is heard, ducked, paused, delayed, refused and stopped, and that all of it ends by itself.

use super::fixture::*;
use crate::command::{ConnectionState, Signal, error};
use crate::effect::{CauseKind, Mode};
use crate::model::{Holder, Newcomer};
use crate::{Event, MUTE};

use ConnectionState::{Connected, Connecting, Disconnected, Disconnecting, Suspended};

#[test]
fn a_duck_says_by_whom_how_much_since_when_and_where_it_is_written() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(PROMPT);
    let since = bench.now;
    let cause = bench.cause(MEDIA, CABIN);
    assert_eq!(cause.kind, CauseKind::Ducked { by: PROMPT });
    assert_eq!((cause.gain, cause.since, cause.line), (-140, since, Some(DUCK_LINE)));
    bench.step(Event::Tick);
    assert_eq!(
        bench.cause(MEDIA, CABIN).since,
        since,
        "since it began, not since it was last looked at"
    );
}

#[test]
fn what_is_heard_does_not_depend_on_who_came_first() {
    let mut bench = Bench::new(car());
    bench.start(PROMPT);
    bench.start(MEDIA);
    assert_eq!(
        bench.gain(MEDIA, CABIN),
        (-140, 0),
        "by the written duck of the reversed pair, from its first frame"
    );
    bench.release(PROMPT);
    assert_eq!(bench.gain(MEDIA, CABIN), (0, 501));
}

#[test]
fn an_unwritten_pair_goes_by_priority() {
    let mut bench = Bench::new(car());
    bench.start(PROMPT);
    bench.start(PHONE);
    assert_eq!(bench.gain(PROMPT, CABIN), (-200, 52));
    assert_eq!(bench.cause(PROMPT, CABIN).line, None);
    let mut model = car();
    model.classes[CLASS_PHONE].priority = 50;
    let mut bench = Bench::new(model);
    bench.start(PROMPT);
    bench.start(PHONE);
    assert_eq!(
        (bench.gain(PROMPT, CABIN).0, bench.gain(PHONE, CABIN).0),
        (0, 0),
        "equal ones are mixed"
    );
}

#[test]
fn of_several_ducks_the_deepest_counts_alone() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(PROMPT);
    bench.start(PHONE);
    assert_eq!(bench.gain(MEDIA, CABIN), (-200, 52));
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::Ducked { by: PHONE }]);
    bench.release(PHONE);
    assert_eq!(
        bench.gain(MEDIA, CABIN),
        (-140, 502),
        "up with the release of the duck that ended"
    );
}

#[test]
fn connected_but_silent_streams_duck_nobody() {
    let mut bench = Bench::new(car());
    bench.connect(PROMPT, CABIN);
    bench.start(MEDIA);
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0);
}

#[test]
fn a_duck_stays_in_its_zone() {
    let mut bench = Bench::new(car());
    bench.connect(MEDIA, REAR);
    bench.start(MEDIA);
    bench.start(PROMPT);
    assert_eq!((bench.gain(MEDIA, CABIN).0, bench.gain(MEDIA, REAR).0), (-140, 0));
}

#[test]
fn of_one_class_the_newest_plays_and_the_older_goes_on_after() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(RADIO);
    assert_eq!(bench.changes(), [(2, Connecting), (1, Suspended), (2, Connected)]);
    assert_eq!(bench.gain(MEDIA, CABIN), (MUTE, 52));
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::Paused { by: RADIO }]);
    bench.wait();
    assert_eq!(bench.mode(MEDIA), Mode::Stall);
    bench.release(RADIO);
    assert_eq!(
        bench.changes(),
        [(2, Disconnecting), (2, Disconnected), (1, Connecting), (1, Connected)]
    );
    assert_eq!((bench.mode(MEDIA), bench.gain(MEDIA, CABIN)), (Mode::Play, (0, 502)));
}

#[test]
fn a_paused_source_fades_before_it_is_no_longer_pulled() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(RADIO);
    let begun = bench.now;
    assert_eq!(bench.mode(MEDIA), Mode::Play, "pulled while it goes down");
    let deadline = bench.machine.next_deadline().expect("the fade ends");
    assert!(deadline > begun + 52, "not before its ramp of 52 ms");
    assert_eq!(bench.machine.step(Event::Tick, deadline - 1), []);
    bench.machine.step(Event::Tick, deadline);
    assert_eq!(bench.mode(MEDIA), Mode::Stall);
    assert_eq!(bench.machine.next_deadline(), None);
}

#[test]
fn a_fade_ends_with_its_stream_and_when_it_is_heard_again() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(RADIO);
    bench.connect(MEDIA, CABIN);
    bench.now = bench.machine.next_deadline().expect("now the radio fades");
    bench.stop(RADIO);
    assert_eq!(bench.machine.next_deadline(), None);
    assert_eq!((bench.mode(MEDIA), bench.mode(RADIO)), (Mode::Play, Mode::Discard));
}

#[test]
fn what_was_silent_anyway_needs_no_fade() {
    let mut model = car();
    model.sinks[CABIN].muted = true;
    let mut bench = Bench::new(model);
    bench.start(MEDIA);
    bench.start(RADIO);
    assert_eq!((bench.mode(MEDIA), bench.machine.next_deadline()), (Mode::Stall, None));
}

#[test]
fn connect_again_makes_a_paused_source_the_newest() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(RADIO);
    let reply = bench.connect(MEDIA, CABIN);
    assert_eq!(reply.error, error::OK);
    assert_eq!(bench.state(MEDIA, CABIN), Some(Connected));
    assert_eq!(bench.state(RADIO, CABIN), Some(Suspended));
}

#[test]
fn a_paused_source_ducks_nobody_and_still_pauses() {
    let mut model = car_with(CLASS_NAVIGATION, CLASS_PHONE, cell(Holder::Pause, Newcomer::Play));
    model
        .cells
        .insert((CLASS_MEDIA, CLASS_PHONE), cell(Holder::Mix, Newcomer::Play));
    let mut bench = Bench::new(model.clone());
    bench.start(MEDIA);
    bench.start(PROMPT);
    bench.start(PHONE);
    assert_eq!(bench.state(PROMPT, CABIN), Some(Suspended));
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0, "the prompt is not heard now");
    model
        .cells
        .insert((CLASS_MEDIA, CLASS_NAVIGATION), cell(Holder::Pause, Newcomer::Play));
    let mut bench = Bench::new(model);
    bench.start(MEDIA);
    bench.start(PROMPT);
    bench.start(PHONE);
    assert_eq!(
        bench.why(MEDIA, CABIN),
        [CauseKind::Paused { by: PROMPT }],
        "the prompt goes on later"
    );
}

#[test]
fn a_delayed_newcomer_waits_unpulled_and_then_starts_at_its_first_frame() {
    let mut bench = Bench::new(car_with(
        CLASS_PHONE,
        CLASS_NAVIGATION,
        cell(Holder::Mix, Newcomer::Delay),
    ));
    bench.start(PHONE);
    bench.start(PROMPT);
    assert_eq!(bench.changes(), [(2, Connecting), (2, Suspended)]);
    assert_eq!(bench.mode(PROMPT), Mode::Stall);
    assert_eq!(bench.why(PROMPT, CABIN), [CauseKind::Delayed { by: PHONE }]);
    assert_eq!(bench.gain(PHONE, CABIN).0, 0, "who waits ducks nobody");
    bench.stop(PHONE);
    assert_eq!(bench.changes(), [(2, Connecting), (2, Connected)]);
    assert_eq!((bench.mode(PROMPT), bench.gain(PROMPT, CABIN)), (Mode::Play, (0, 0)));
    assert_eq!(bench.machine.heard().sources[PROMPT].decided, 2);
}

#[test]
fn several_that_wait_come_in_the_order_they_asked() {
    let mut model = car_with(CLASS_PHONE, CLASS_NAVIGATION, cell(Holder::Mix, Newcomer::Delay));
    model
        .cells
        .insert((CLASS_PHONE, CLASS_MEDIA), cell(Holder::Mix, Newcomer::Delay));
    model
        .cells
        .insert((CLASS_MEDIA, CLASS_MEDIA), cell(Holder::Mix, Newcomer::Delay));
    let mut bench = Bench::new(model);
    for source in [PHONE, RADIO, MEDIA] {
        bench.start(source);
    }
    bench.release(PHONE);
    assert_eq!(bench.state(RADIO, CABIN), Some(Connected));
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::Delayed { by: RADIO }]);
    bench.release(RADIO);
    assert_eq!(bench.state(MEDIA, CABIN), Some(Connected));
}

#[test]
fn a_refused_start_makes_no_connection_and_says_why_until_it_ends() {
    let mut bench = Bench::new(car_with(CLASS_PHONE, CLASS_MEDIA, cell(Holder::Mix, Newcomer::Reject)));
    bench.start(PHONE);
    bench.start(MEDIA);
    assert_eq!(bench.signals(), []);
    assert_eq!(bench.mode(MEDIA), Mode::Discard);
    assert_eq!(bench.machine.heard().sources[MEDIA].decided, 2);
    let cause = bench.cause(MEDIA, CABIN);
    assert_eq!(
        (cause.kind, cause.line),
        (CauseKind::Rejected { by: PHONE }, Some(DUCK_LINE))
    );
    bench.release(PHONE);
    assert_eq!(bench.state(MEDIA, CABIN), None, "refused is not delayed");
    bench.stop(MEDIA);
    bench.start(MEDIA);
    assert_eq!(bench.gain(MEDIA, CABIN), (0, 0));
}

#[test]
fn a_refused_connect_is_not_possible_and_one_before_is_suspended() {
    let mut bench = Bench::new(car_with(CLASS_PHONE, CLASS_MEDIA, cell(Holder::Mix, Newcomer::Reject)));
    bench.connect(RADIO, CABIN);
    bench.start(PHONE);
    bench.start(MEDIA);
    let reply = bench.connect(MEDIA, CABIN);
    assert_eq!(
        (reply.error, reply.body),
        (error::NOT_POSSIBLE, crate::ReplyBody::Connection(0))
    );
    bench.start(RADIO);
    assert_eq!(bench.changes(), [(1, Suspended)]);
    assert_eq!(
        (bench.mode(RADIO), bench.why(RADIO, CABIN)),
        (Mode::Discard, vec![CauseKind::Rejected { by: PHONE }])
    );
    bench.stop(RADIO);
    assert_eq!(bench.changes(), [(1, Connecting), (1, Connected)]);
}

#[test]
fn a_stopped_holder_is_disconnected_for_good() {
    let mut bench = Bench::new(car_with(CLASS_MEDIA, CLASS_PHONE, cell(Holder::Stop, Newcomer::Play)));
    bench.start(MEDIA);
    bench.start(PHONE);
    assert_eq!(
        bench.changes(),
        [(2, Connecting), (1, Disconnecting), (1, Disconnected), (2, Connected)]
    );
    assert!(
        bench
            .signals()
            .contains(&Signal::RemovedMainConnection { connection: 1 })
    );
    assert_eq!(bench.gain(MEDIA, CABIN), (MUTE, 51));
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::Rejected { by: PHONE }]);
    bench.release(PHONE);
    bench.wait();
    assert_eq!(bench.mode(MEDIA), Mode::Discard);
}

#[test]
fn a_chime_ducks_others_where_it_sounds_and_only_then() {
    let mut bench = Bench::new(car());
    bench.connect(MEDIA, REAR);
    bench.start(MEDIA);
    bench.sound(BELT, true);
    assert_eq!(
        bench.gain(MEDIA, CABIN),
        (-200, 52),
        "a safety class is above every priority"
    );
    assert_eq!(bench.gain(MEDIA, REAR), (-200, 52));
    bench.start(PHONE);
    assert_eq!(bench.gain(PHONE, CABIN), (-200, 0), "one that comes later too");
    bench.sound(BELT, false);
    assert_eq!(bench.gain(MEDIA, REAR), (0, 502));
    assert_eq!(bench.gain(PHONE, CABIN), (0, 502));
}

#[test]
fn nothing_reaches_a_safety_source() {
    let mut model = car_with(CLASS_WARNING, CLASS_PHONE, cell(Holder::Stop, Newcomer::Play));
    model
        .cells
        .insert((CLASS_PHONE, CLASS_WARNING), cell(Holder::Mix, Newcomer::Reject));
    model.sinks[CABIN].muted = true;
    let mut bench = Bench::new(model);
    bench.start(PHONE);
    bench.start(PARTITION);
    bench.sound(BELT, true);
    bench.start(PHONE);
    for source in [PARTITION, BELT] {
        for sink in [CABIN, REAR] {
            assert_eq!((bench.gain(source, sink), bench.mode(source)), ((0, 0), Mode::Play));
            assert_eq!(bench.tap(source, sink).causes, []);
        }
    }
    assert_eq!(bench.machine.heard().sources[PARTITION].decided, 2);
    assert_eq!(bench.gain(PHONE, CABIN).0, MUTE);
}

#[test]
fn a_chime_may_pause_delay_and_stop_others() {
    let mut model = car_with(CLASS_MEDIA, CLASS_WARNING, cell(Holder::Pause, Newcomer::Play));
    model
        .cells
        .insert((CLASS_PHONE, CLASS_WARNING), cell(Holder::Stop, Newcomer::Play));
    let mut bench = Bench::new(model);
    bench.start(MEDIA);
    bench.start(PHONE);
    bench.sound(BELT, true);
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::Paused { by: BELT }]);
    assert_eq!(bench.state(PHONE, CABIN), None);
    bench.start(RADIO);
    assert_eq!(bench.why(RADIO, CABIN), [CauseKind::Delayed { by: BELT }]);
    bench.sound(BELT, false);
    assert_eq!(bench.state(RADIO, CABIN), Some(Connected));
    assert_eq!(
        bench.why(MEDIA, CABIN),
        [CauseKind::Paused { by: RADIO }],
        "the one that waited is the newest now"
    );
}
