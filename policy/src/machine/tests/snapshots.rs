//! Identity is the name: across a restart, and a changed file.

use super::fixture::*;
use crate::command::{Call, ConnectionState, ReplyBody};
use crate::effect::CauseKind;
use crate::machine::RestoreError;
use crate::{Event, Machine, Model};

fn restored(bench: &Bench, model: Model) -> Bench {
    let mut next = Bench::new(model.clone());
    next.machine = Machine::restore(model, &bench.machine.snapshot()).unwrap();
    next.now = bench.now;
    next
}

/// [`car`] with media's two sources the other way round, and no prompt.
fn rearranged() -> Model {
    let mut model = car();
    model.sources.swap(MEDIA, RADIO);
    model.sources.remove(PROMPT);
    model.sinks.reverse();
    for source in &mut model.sources {
        let other = |sink: &mut usize| *sink = 1 - *sink;
        source.auto_connect.iter_mut().for_each(other);
        source.safety_sinks.iter_mut().for_each(other);
    }
    model
}

#[test]
fn connections_volumes_and_running_streams_survive_a_restart() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.call(Call::SetVolume { sink: 101, volume: 4 });
    bench.start(PROMPT);
    let ducked_since = bench.now;
    let mut bench = restored(&bench, car());
    let ducked = bench
        .tap(MEDIA, CABIN)
        .causes
        .iter()
        .find(|it| it.kind == CauseKind::Ducked { by: PROMPT });
    assert_eq!(ducked.map(|it| it.since), Some(ducked_since));
    assert_eq!(bench.machine.heard().sources[PROMPT].decided, 2);
    bench.release(PROMPT);
    assert_eq!(
        bench.gain(MEDIA, CABIN),
        (-300, 501),
        "up with the release of the duck from before"
    );
    bench.connect(MEDIA, REAR);
    assert_eq!(
        bench.machine.connections().last().map(|it| it.id),
        Some(3),
        "IDs count on"
    );
}

#[test]
fn a_changed_file_keeps_the_ids_of_known_names() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(PROMPT);
    let bench = restored(&bench, rearranged());
    let (media, radio) = (RADIO, MEDIA);
    assert_eq!(bench.machine.source_id(media), Some(101));
    assert_eq!(bench.machine.source_id(radio), Some(102));
    assert_eq!(
        (bench.machine.sink_id(0), bench.machine.sink_id(1)),
        (Some(102), Some(101))
    );
    let cabin = 1;
    let all: Vec<_> = bench
        .machine
        .connections()
        .map(|it| (it.id, it.source, it.sink))
        .collect();
    assert_eq!(all, [(1, media, cabin)]);
    assert_eq!(bench.gain(media, cabin).0, 0, "who ducked it is no longer in the file");
}

#[test]
fn a_name_that_comes_back_has_its_id_again_and_a_new_one_a_new_id() {
    let bench = restored(&Bench::new(car()), rearranged());
    let mut model = car();
    model.sources.insert(0, source("new.stream", CLASS_MEDIA, &[]));
    let bench = restored(&bench, model);
    let ids: Vec<_> = (0..4).map(|source| bench.machine.source_id(source).unwrap()).collect();
    assert_eq!(ids, [107, 101, 102, 103]);
}

#[test]
fn a_source_that_became_a_safety_source_is_out_of_reach() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.call(Call::SetSourceGain {
        source: 101,
        gain: -100,
    });
    let mut model = car();
    model.sources[MEDIA] = safety("ivi.media", CLASS_WARNING, &[CABIN]);
    let bench = restored(&bench, model);
    assert_eq!(bench.machine.connections().count(), 0);
    assert_eq!(bench.gain(MEDIA, CABIN), (0, 0));
    assert_eq!(bench.machine.wanted(MEDIA), Some((0, false)));
}

#[test]
fn who_waited_for_one_the_file_dropped_is_heard() {
    use crate::model::{Holder, Newcomer};
    let cell = cell(Holder::Mix, Newcomer::Delay);
    let mut bench = Bench::new(car_with(CLASS_NAVIGATION, CLASS_MEDIA, cell));
    bench.start(PROMPT);
    bench.start(MEDIA);
    assert_eq!(bench.state(MEDIA, CABIN), Some(ConnectionState::Suspended));
    let bench = restored(&bench, rearranged());
    assert_eq!(bench.state(RADIO, 1), Some(ConnectionState::Connected));
}

#[test]
fn what_is_no_snapshot_is_refused_with_its_reason() {
    let restore = |text: &str| Machine::restore(car(), text.as_bytes()).unwrap_err();
    assert!(matches!(restore(""), RestoreError::Unreadable(_)));
    assert!(matches!(restore(r#"{"version":2}"#), RestoreError::Unreadable(_)));
    assert!(matches!(
        restore(r#"{"version":1}"#),
        RestoreError::Version { found: 1, reads: 2 }
    ));
    let good = String::from_utf8(Bench::new(car()).machine.snapshot()).unwrap();
    for (from, to) in [
        (r#""ivi.media":101"#, r#""ivi.media":102"#),
        (r#""ivi.media":101"#, r#""ivi.media":7"#),
        (r#""order":0"#, r#""order":18446744073709551615"#),
    ] {
        assert!(good.contains(from));
        let bad = good.replace(from, to);
        assert!(matches!(restore(&bad), RestoreError::Contradiction(_)), "{to}");
    }
}

#[test]
fn a_snapshot_is_small() {
    let mut bench = Bench::new(car());
    for source in [MEDIA, RADIO, PROMPT, PHONE] {
        bench.start(source);
    }
    let size = bench.machine.snapshot().len();
    assert!(size < 8192, "{size} bytes");
}

#[test]
fn time_never_goes_back() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    let since = bench.now;
    bench.machine.step(Event::StreamReleased { source: MEDIA }, 0);
    assert_eq!(bench.cause(MEDIA, CABIN).since, since);
    assert!(matches!(
        bench.call(Call::GetListMainConnections).body,
        ReplyBody::Connections(_)
    ));
}
