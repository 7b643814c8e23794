//! Control is killed before any store it makes, and replaced: a front end notices nothing but time.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use vhost::VhostBackend;

use system_tests::frontend::memory::DATA_GPA;
use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{CONTROLQ, RXQ, S_OK, TXQ, code, word, words};
use system_tests::frontend::vring::Seg;
use system_tests::frontend::{Options as Wanted, SoundFrontend};
use system_tests::harness::{Options, Sut};
use vhost_sound::ring::crash::{Outcome, run};

/// Kills calls before a store that a fixed sequence of numbers chooses: the first as often as the hundredth.
fn killed_everywhere(name: &str, mut seed: u32) -> Sut {
    let options = Options {
        guard: Some(Box::new(move |accepts, work| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Most calls make few stores; a new memory table and a queue's start make most.
            let most = if seed >> 30 == 0 { 150 } else { 9 };
            let stores = if accepts {
                u64::MAX
            } else {
                u64::from(seed >> 12) % most
            };
            run(stores, work) == Outcome::Finished
        })),
        ..Options::one()
    };
    Sut::start(name, options).unwrap()
}

fn patient() -> Wanted {
    Wanted {
        timeout: Duration::from_secs(5),
        ..Wanted::default()
    }
}

fn ask(fe: &mut SoundFrontend, asked: &mut u16, request: &[u8], response: usize) -> Vec<u8> {
    *asked += 1;
    let reply = fe.control(request, response).unwrap();
    assert_eq!(reply.status(), S_OK, "request {:#x}", word(request, 0));
    // Exactly one used element a request, whatever happened meanwhile.
    assert_eq!(fe.queues[CONTROLQ].used_index(), *asked);
    reply.bytes
}

#[test]
fn a_session_killed_before_any_store_answers_every_request_once_and_plays_every_frame() {
    let sut = killed_everywhere("restart", 1);
    for round in 0..30u32 {
        let mut fe = SoundFrontend::connect(sut.socket(0), patient()).unwrap_or_else(|e| {
            let seen = sut.seen(0);
            panic!("round {round}: {e}: {:?} {:?}", seen.closed, seen.log)
        });
        let mut asked = 0;
        for (request, count, size) in [
            (code::JACK_INFO, 2, 24),
            (code::CHMAP_INFO, 2, 24),
            (code::CTL_INFO, 4, 96),
        ] {
            ask(
                &mut fe,
                &mut asked,
                &words(&[request, 0, count, size]),
                4 + (count * size) as usize,
            );
        }
        // Queues run on, over the same memory mapped anew.
        let table = fe.ram.table();
        fe.frontend().set_mem_table(&table).unwrap();
        let infos = fe.pcm_info().unwrap();
        asked += 1;
        let params = infos[0].params(5, 480, 4);
        let pcm = Pcm::open(&mut fe, TXQ, 0, params).unwrap();
        asked += 2;
        assert_eq!(fe.queues[CONTROLQ].used_index(), asked);
        let data: Vec<u8> = (0..10 * 1920u32).map(|n| (n * 7 + round + n / 256) as u8).collect();
        sut.forget(0);
        let stats = pcm.play(&mut fe, &data).unwrap();
        asked += 3;
        assert_eq!(fe.queues[CONTROLQ].used_index(), asked);
        assert_eq!((stats.completions, stats.errors, stats.lost), (10, 0, 0));
        assert_eq!(sut.seen(0).pulled[0], data);
        let record = Pcm::open(&mut fe, RXQ, 1, infos[1].params(5, 480, 4)).unwrap();
        let (recorded, stats) = record.record(&mut fe, 8 * 1920).unwrap();
        asked += 5;
        assert_eq!((recorded.len(), stats.errors, stats.lost), (8 * 1920, 0, 0));
        ask(&mut fe, &mut asked, &words(&[code::CTL_WRITE, 0, 123 + round]), 4);
        let value = ask(&mut fe, &mut asked, &words(&[code::CTL_READ, 0]), 4 + 512);
        assert_eq!(word(&value, 4), 123 + round);
        assert!(sut.wait(0, |seen| seen.user.contains(&(0, -600 + 123 + round as i16, false))));
        assert_eq!(
            fe.queues
                .iter()
                .map(system_tests::frontend::vring::Vring::in_flight)
                .sum::<usize>(),
            16,
            "event buffers only"
        );
        fe.stop().unwrap();
    }
    assert!(sut.killed() > 500, "only {} kills", sut.killed());
    println!("{} kills", sut.killed());
}

#[test]
fn an_engine_and_a_control_replaced_under_play_lose_no_message() {
    let sut = Sut::start("replace", Options::one()).unwrap();
    let mut fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
    let info = fe.pcm_info().unwrap()[0].clone();
    let pcm = Pcm::open(&mut fe, TXQ, 0, info.params(5, 480, 4)).unwrap();
    pcm.fill(&mut fe).unwrap();
    pcm.start(&mut fe).unwrap();
    let mut back = 0;
    for round in 0..20 {
        match round % 3 {
            0 => sut.replace_control(),
            1 => sut.replace_engine(),
            _ => {
                sut.replace_engine();
                sut.replace_control();
            }
        }
        for done in fe.wait_completions(TXQ, 0, 3, Duration::from_secs(2)) {
            assert_eq!(done.status, S_OK);
            back += 1;
            fe.post(done.slot).unwrap();
        }
        fe.kick(TXQ);
    }
    assert_eq!(fe.stream(code::STOP, 0).unwrap(), S_OK);
    assert_eq!(fe.stream(code::RELEASE, 0).unwrap(), S_OK);
    fe.completions(TXQ, 0);
    assert_eq!(fe.queues[TXQ].in_flight(), 0, "RELEASE returned all of them");
    assert!(back >= 60, "{back} of 60 messages came back");
}

#[test]
fn a_front_end_that_reconnects_with_its_rings_kept_plays_on_without_a_control_message() {
    let sut = Sut::start("reconnect", Options::one()).unwrap();
    let mut fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
    let info = fe.pcm_info().unwrap()[0].clone();
    let pcm = Pcm::open(&mut fe, TXQ, 0, info.params(5, 480, 4)).unwrap();
    pcm.fill(&mut fe).unwrap();
    pcm.start(&mut fe).unwrap();
    fe.wait_completions(TXQ, 0, 1, Duration::from_secs(2));
    for _ in 0..5 {
        fe.reconnect()
            .unwrap_or_else(|e| panic!("{e}: {:?} {:?}", sut.seen(0).closed, sut.seen(0).log));
        for done in fe.wait_completions(TXQ, 0, 2, Duration::from_secs(2)) {
            assert_eq!(done.status, S_OK);
            fe.post(done.slot).unwrap();
        }
        fe.kick(TXQ);
    }
    let after = fe.wait_completions(TXQ, 0, 3, Duration::from_secs(2));
    assert_eq!(after.iter().filter(|done| done.status == S_OK).count(), 3);
}

/// What a stand-in does while the device is away: a control request is answered, and the device never hears of it.
fn answered_by_another(fe: &mut SoundFrontend) {
    let queue = &mut fe.queues[CONTROLQ];
    let head = queue.submit(&[Seg::ro(DATA_GPA, 8), Seg::wo(DATA_GPA + 8, 4)]).unwrap();
    let used = queue.used_index();
    let element = queue.used + 4 + 8 * u64::from(used % queue.size);
    fe.ram.write(element, &words(&[u32::from(head), 4]));
    fe.ram.store16(queue.used + 2, used.wrapping_add(1));
    assert_eq!(queue.pop_used(), Some((head, 4)));
}

#[test]
fn a_stream_whose_end_the_device_never_heard_of_returns_its_messages_and_plays_anew() {
    for refused in 1..=2 {
        let sut = Sut::start("refused", Options::one()).unwrap();
        let mut fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
        let params = fe.pcm_info().unwrap()[0].params(5, 480, 4);
        let pcm = Pcm::open(&mut fe, TXQ, 0, params).unwrap();
        pcm.fill(&mut fe).unwrap();
        pcm.start(&mut fe).unwrap();
        fe.wait_completions(TXQ, 0, 1, Duration::from_secs(2));

        // STOP, and RELEASE.
        fe.disconnect();
        assert!(sut.wait(0, |seen| !seen.closed.is_empty()));
        (0..refused).for_each(|_| answered_by_another(&mut fe));
        fe.reconnect().unwrap();
        while fe.queues[TXQ].in_flight() > 0 {
            assert!(!fe.wait_completions(TXQ, 0, 1, Duration::from_secs(2)).is_empty());
        }

        let pcm = Pcm::open(&mut fe, TXQ, 0, params).unwrap();
        let stats = pcm.play(&mut fe, &vec![1; 20 * params.period_bytes as usize]).unwrap();
        assert_eq!((stats.completions, stats.errors, stats.lost), (20, 0, 0));
    }
}
