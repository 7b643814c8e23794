//! Control elements, events, jacks and sleep of the device, through a front end.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{CONTROLQ, EVENTQ, S_BAD_MSG, S_NOT_SUPP, S_OK, TXQ, code, word, words};
use system_tests::frontend::vring::Seg;
use system_tests::frontend::{Options as Wanted, SoundFrontend};
use system_tests::harness::{Options, Sut, device};

fn connected(sut: &Sut) -> SoundFrontend {
    SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap()
}

/// Events until `count` came or 2 s passed.
fn events(fe: &mut SoundFrontend, count: usize) -> Vec<(u32, u32)> {
    let end = Instant::now() + Duration::from_secs(2);
    let mut seen = fe.events();
    while seen.len() < count && Instant::now() < end {
        fe.pause(EVENTQ, end);
        seen.extend(fe.events());
    }
    seen
}

fn notify(element: u32) -> (u32, u32) {
    (code::EVT_CTL_NOTIFY, element | 1 << 16)
}

fn value(fe: &mut SoundFrontend, element: u32) -> u32 {
    let reply = fe.control(&words(&[code::CTL_READ, element]), 4 + 512).unwrap();
    assert_eq!(reply.status(), S_OK);
    word(&reply.bytes, 4)
}

fn set(fe: &mut SoundFrontend, element: u32, value: u32) -> u32 {
    fe.control(&words(&[code::CTL_WRITE, element, value]), 4)
        .unwrap()
        .status()
}

#[test]
fn elements_carry_the_streams_names_as_mixers_group_them() {
    let sut = Sut::start("names", Options::one()).unwrap();
    let mut fe = connected(&sut);
    assert_eq!(fe.config, [2, 2, 2, 4]);
    let reply = fe.info(code::CTL_INFO, 0, 4, 96).unwrap();
    let names: Vec<String> = reply.bytes[4..]
        .chunks(96)
        .map(|item| String::from_utf8_lossy(&item[24..68]).trim_end_matches('\0').to_owned())
        .collect();
    let wanted = [
        "Media Playback Volume",
        "Media Playback Switch",
        "Mic Capture Volume",
        "Mic Capture Switch",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn what_the_guest_sets_reaches_the_policy_and_is_told_only_when_it_changes() {
    let sut = Sut::start("guest-sets", Options::one()).unwrap();
    let mut fe = connected(&sut);
    assert_eq!((value(&mut fe, 0), value(&mut fe, 1)), (600, 1), "0 dB and audible");
    assert_eq!(set(&mut fe, 0, 480), S_OK);
    assert_eq!(set(&mut fe, 0, 480), S_OK);
    assert_eq!(set(&mut fe, 1, 0), S_OK);
    assert_eq!(events(&mut fe, 2), [notify(0), notify(1)]);
    assert!(
        sut.wait(0, |seen| seen.user == [(0, -120, false), (0, -120, true)]),
        "{:?}",
        sut.seen(0).user
    );
    assert_eq!(
        (set(&mut fe, 0, 601), set(&mut fe, 1, 2), set(&mut fe, 4, 0)),
        (S_BAD_MSG, S_BAD_MSG, S_BAD_MSG)
    );
    assert_eq!((value(&mut fe, 0), value(&mut fe, 1)), (480, 0));
}

#[test]
fn what_the_policy_sets_is_notified_once_and_only_if_it_differs() {
    let sut = Sut::start("policy-sets", Options::one()).unwrap();
    let mut fe = connected(&sut);
    sut.set_user_gain(0, 0, -75, true);
    assert_eq!(events(&mut fe, 2), [notify(0), notify(1)]);
    assert_eq!((value(&mut fe, 0), value(&mut fe, 1)), (525, 0));
    sut.set_user_gain(0, 0, -75, true);
    sut.set_user_gain(0, 0, 30, true);
    assert_eq!(events(&mut fe, 1), [notify(0)], "above 0 dB is 0 dB");
    assert_eq!(value(&mut fe, 0), 600);
    assert!(sut.seen(0).user.is_empty(), "the policy does not hear itself");
}

#[test]
fn a_safety_stream_has_no_elements_and_takes_no_volume() {
    let mut safety = device("partition");
    safety.streams[0].safety = true;
    let options = Options {
        devices: vec![safety],
        ..Options::one()
    };
    let sut = Sut::start("safety", options).unwrap();
    let mut fe = connected(&sut);
    assert_eq!(fe.config[3], 2, "the other stream's alone");
    sut.set_user_gain(0, 0, -100, true);
    assert_eq!(set(&mut fe, 0, 1), S_OK);
    let block = &sut.block(0).streams[0];
    let now = (&block.user_gain, &block.user_mute);
    assert_eq!(now.0.load(std::sync::atomic::Ordering::Acquire), 0);
    assert_eq!(now.1.load(std::sync::atomic::Ordering::Acquire), 0);
}

#[test]
fn without_the_feature_there_are_no_elements() {
    let sut = Sut::start("no-ctls", Options::one()).unwrap();
    let wanted = Wanted {
        controls: false,
        ..Wanted::default()
    };
    let mut fe = SoundFrontend::connect(sut.socket(0), wanted).unwrap();
    assert_eq!(fe.info(code::CTL_INFO, 0, 1, 96).unwrap().status(), S_NOT_SUPP);
    assert_eq!(set(&mut fe, 0, 1), S_NOT_SUPP);
}

#[test]
fn jacks_tell_their_last_state_once_however_often_they_moved_without_buffers() {
    let sut = Sut::start("jacks", Options::one()).unwrap();
    let mut fe = connected(&sut);
    sut.set_jack(0, 0, false);
    assert_eq!(events(&mut fe, 1), [(0x1001, 0)]);
    sut.set_jack(0, 0, false);
    sut.set_jack(0, 1, true);
    assert_eq!(events(&mut fe, 1), [(0x1000, 1)], "only what changed");
    // Use up all buffers, then move on: one event a jack is left, with its state when it can go out.
    let before = fe.queues[EVENTQ].used_index();
    for n in 0..40 {
        sut.set_jack(0, 0, n % 2 == 0);
        let told = before.wrapping_add(n.min(15) + 1);
        let end = Instant::now() + Duration::from_secs(2);
        while n < 16 && fe.queues[EVENTQ].used_index() != told && Instant::now() < end {
            std::thread::yield_now();
        }
    }
    sut.set_jack(0, 0, true);
    // Its answer tells that the device has seen the last move, before it gets buffers again.
    let info = fe.info(code::JACK_INFO, 0, 2, 24).unwrap();
    assert_eq!(
        fe.queues[EVENTQ].used_index(),
        before.wrapping_add(16),
        "all buffers are used"
    );
    assert_eq!(fe.events().len(), 16);
    assert_eq!(events(&mut fe, 1), [(0x1000, 0)]);
    assert_eq!((info.bytes[4 + 16], info.bytes[4 + 24 + 16]), (1, 1));
}

#[test]
fn xruns_and_periods_are_told_to_a_driver_that_chose_them_and_to_no_other() {
    for (features, wanted) in [(1 << 3 | 1 << 4, true), (0, false)] {
        let sut = Sut::start(&format!("xruns-{wanted}"), Options::one()).unwrap();
        let mut fe = connected(&sut);
        let mut params = fe.pcm_info().unwrap()[0].params(5, 480, 4);
        params.features = features;
        let pcm = Pcm::open(&mut fe, TXQ, 0, params).unwrap();
        pcm.fill(&mut fe).unwrap();
        pcm.start(&mut fe).unwrap();
        let seen = if wanted {
            let end = Instant::now() + Duration::from_secs(2);
            let mut seen = Vec::new();
            while Instant::now() < end && !seen.contains(&(code::EVT_XRUN, 0)) {
                seen.extend(events(&mut fe, 1));
            }
            seen
        } else {
            fe.wait_completions(TXQ, 0, 4, Duration::from_secs(2));
            fe.stream(code::STOP, 0).unwrap();
            fe.events()
        };
        assert_eq!(seen.contains(&(code::EVT_XRUN, 0)), wanted, "{seen:?}");
        assert_eq!(seen.contains(&(code::EVT_PERIOD, 0)), wanted, "{seen:?}");
    }
}

/// A second of sound in one buffer: whoever looked after xruns by the clock would be seen.
#[test]
fn control_sleeps_while_a_stream_plays_and_is_woken_for_its_xrun() {
    let sut = Sut::start("woken", Options::one()).unwrap();
    let mut fe = connected(&sut);
    let mut params = fe.pcm_info().unwrap()[0].params(5, 12_000, 4);
    params.features = 1 << 4;
    let pcm = Pcm::open(&mut fe, TXQ, 0, params).unwrap();
    pcm.fill(&mut fe).unwrap();
    pcm.start(&mut fe).unwrap();
    let before = sut.polls();

    let seen = events(&mut fe, 1);

    assert_eq!(seen, [(code::EVT_XRUN, 0)]);
    let polls = sut.polls() - before;
    assert!(
        (1..=2).contains(&polls),
        "{polls} polls in a second of play and an xrun"
    );
}

#[test]
fn a_session_with_nothing_to_do_asks_for_no_poll() {
    let sut = Sut::start("idle", Options::one()).unwrap();
    let mut fe = connected(&sut);
    let params = fe.pcm_info().unwrap()[0].params(5, 480, 4);
    let pcm = Pcm::open(&mut fe, TXQ, 0, params).unwrap();
    pcm.play(&mut fe, &[1; 1920]).unwrap();
    let before = sut.polls();
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        sut.polls() - before <= 1,
        "{} polls in an idle 300 ms",
        sut.polls() - before
    );
}

#[test]
fn an_answer_is_bounded_whatever_room_the_descriptors_claim() {
    let sut = Sut::start("room", Options::one()).unwrap();
    let mut fe = connected(&sut);
    let at = fe.slots(TXQ, 0, 4096, 1).unwrap()[0].data;
    fe.ram.write(at, &words(&[code::PCM_INFO, 0, 1, u32::MAX - 8]));
    let status = at + 64;
    let mut chain = vec![Seg::ro(at, 16), Seg::wo(status, 4)];
    chain.extend((0..4).map(|_| Seg::wo(status + 4, u32::MAX)));
    let before = fe.queues[CONTROLQ].used_index();
    fe.queues[CONTROLQ].submit(&chain).unwrap();
    fe.queues[CONTROLQ].force_kick();
    let end = Instant::now() + Duration::from_secs(2);
    while fe.queues[CONTROLQ].used_index() == before && Instant::now() < end {
        fe.pause(CONTROLQ, end);
    }
    assert_eq!(word(&fe.ram.read(status, 4), 0), S_BAD_MSG);
}

#[test]
fn refusals_are_logged_a_bounded_number_of_times() {
    let sut = Sut::start("log", Options::one()).unwrap();
    let mut fe = connected(&sut);
    for _ in 0..500 {
        assert_eq!(fe.stream(code::START, 0).unwrap(), S_NOT_SUPP);
    }
    let lines = sut
        .seen(0)
        .log
        .iter()
        .filter(|line| line.contains("not allowed in state idle"))
        .count();
    assert!((1..=60).contains(&lines), "{lines} lines for 500 refusals");
}

#[test]
fn a_period_the_codec_cannot_serve_is_not_supported_and_named_in_the_log() {
    let sut = Sut::start("short", Options::one()).unwrap();
    let mut fe = connected(&sut);
    let info = fe.pcm_info().unwrap()[0].clone();
    assert_eq!(fe.set_params(0, &info.params(5, 47, 4)).unwrap(), S_NOT_SUPP);
    assert_eq!(fe.set_params(0, &info.params(5, 48, 1)).unwrap(), S_NOT_SUPP);
    assert_eq!(fe.set_params(0, &info.params(5, 48, 2)).unwrap(), S_OK);
    let named = |seen: &system_tests::harness::Seen| {
        let about =
            |line: &&String| line.contains("stream media: SET_PARAMS") && line.contains("48 frames at 48000 Hz");
        seen.log.iter().filter(about).count() == 2
    };
    assert!(sut.wait(0, named), "{:?}", sut.seen(0).log);
}
