#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;

fn history() -> History {
    History::new([("main".to_owned(), 0)])
}

fn decide(history: &mut History, number: u32, batch: Option<u32>) {
    let about = format!("SetVolume cabin to {number}");
    history.open(u64::from(number), Occasion { about, asked: true });
    history.tell(&format!("{{\"event\":\"volume\",\"volume\":{number}}}"));
    if let Some(batch) = batch {
        history.published(&Published {
            batches: vec![batch],
            begun: vec![u64::from(batch) * 10],
        });
    }
    history.answered(0);
    history.close();
}

fn page(history: &History, from: u32, most: u16) -> Page {
    serde_json::from_str(&history.page(from, most)).unwrap()
}

fn taken(batch: u32, period: u64) -> Taken {
    Taken {
        codec: 0,
        batch,
        period,
        frame: period * 48,
        seamless: true,
    }
}

fn periods(history: &History) -> Vec<Option<u64>> {
    let page = page(history, 0, u16::MAX);
    page.decisions.iter().map(|it| it.effects[0].period).collect()
}

#[test]
fn the_last_10_000_decisions_are_kept_and_none_more() {
    let mut history = history();
    for number in 0..25_000 {
        decide(&mut history, number, None);
    }

    let mut seen = Vec::new();
    let mut from = 0;
    loop {
        let page = page(&history, from, 1000);
        assert_eq!((page.first, page.next), (15_000, 25_000));
        let Some(last) = page.decisions.last() else { break };
        from = last.number + 1;
        seen.extend(page.decisions);
    }

    let numbers: Vec<u32> = seen.iter().map(|it| it.number).collect();
    assert_eq!(numbers, (15_000..25_000).collect::<Vec<_>>());
    let whole = |it: &Decision| {
        it.about == format!("SetVolume cabin to {}", it.number)
            && it.changes[0]["volume"] == it.number
            && it.time_ms == u64::from(it.number)
    };
    assert!(seen.iter().all(whole));
}

#[test]
fn long_changes_lose_their_oldest_texts_and_no_decision() {
    let mut history = history();
    let long = format!("{{\"event\":\"{}\"}}", "x".repeat(2000));
    for number in 0..10_000 {
        let about = number.to_string();
        history.open(0, Occasion { about, asked: true });
        history.tell(&long);
        history.tell(&long);
        history.tell("{\"event\":\"beyond\"}");
        history.close();
    }

    let (oldest, newest) = (page(&history, 0, 1), page(&history, 9_999, 1));

    assert_eq!((oldest.first, oldest.next), (0, 10_000));
    let (oldest, newest) = (&oldest.decisions[0], &newest.decisions[0]);
    assert_eq!((oldest.about.as_str(), oldest.changes.len()), ("0", 0));
    assert!(oldest.changes_lost);
    assert_eq!((newest.about.as_str(), newest.changes.len()), ("9999", 3));
    assert!(
        page(&history, 9_000, u16::MAX).decisions.len() < 100,
        "a page is bounded"
    );
}

#[test]
fn what_nobody_asked_for_and_what_changed_nothing_is_no_decision() {
    let mut history = history();
    let (about, asked) = ("a time was over".to_owned(), false);
    history.open(0, Occasion { about, asked });
    history.close();
    history.close();

    assert_eq!(page(&history, 0, 10).next, 0);
}

#[test]
fn a_batch_takes_those_before_it_along_and_none_after_it() {
    let mut history = history();
    for batch in 1..=4 {
        decide(&mut history, batch, Some(batch));
    }

    history.taken(taken(1, 5));
    history.taken(taken(3, 9));

    assert_eq!(periods(&history), [Some(5), Some(9), Some(9), None]);
    let effect = &page(&history, 2, 1).decisions[0].effects[0];
    assert_eq!((effect.batch, effect.queued, effect.frame), (3, 30, Some(9 * 48)));
}

#[test]
fn a_new_engine_that_takes_the_same_batch_again_changes_no_record() {
    let mut history = history();
    decide(&mut history, 0, Some(1));
    history.taken(taken(1, 5));

    history.taken(taken(1, 80));

    assert_eq!(periods(&history), [Some(5)]);
}

#[test]
fn where_the_recorder_was_overwritten_only_what_is_certain_is_said() {
    let mut history = history();
    for batch in 1..=3 {
        decide(&mut history, batch, Some(batch));
    }

    history.taken(Taken {
        seamless: false,
        ..taken(3, 900)
    });

    assert_eq!(periods(&history), [None, None, Some(900)]);
}

#[test]
fn numbers_of_batches_may_wrap() {
    let mut history = History::new([("main".to_owned(), u32::MAX - 1)]);
    decide(&mut history, 0, Some(u32::MAX));
    decide(&mut history, 1, Some(0));

    history.taken(taken(u32::MAX, 5));
    history.taken(taken(0, 6));

    assert_eq!(periods(&history), [Some(5), Some(6)]);
}

#[test]
fn a_long_name_is_cut_between_letters() {
    let brief = Brief::new(&"ä".repeat(100));
    assert_eq!(brief.to_string(), "ä".repeat(59));
}

fn call_of(history: &mut History, caller: &str, code: i16) {
    history.called_by(caller);
    let about = format!("Connect, answered {code}");
    history.open(0, Occasion { about, asked: true });
    history.answered(code);
    history.close();
}

#[test]
fn a_flood_of_refused_calls_is_counted_and_pushes_no_decision_out() {
    let mut history = history();
    decide(&mut history, 0, None);
    for _ in 0..30_000 {
        call_of(&mut history, ":1.9", 6);
        call_of(&mut history, ":1.10", 4);
    }
    call_of(&mut history, ":1.9", 0);
    call_of(&mut history, ":1.9", 6);

    let page = page(&history, 0, u16::MAX);

    let of = |caller: &str| {
        let own = page.decisions.iter().filter(|it| it.about.ends_with(caller));
        own.map(|it| (it.error.unwrap(), it.more)).collect::<Vec<_>>()
    };
    let refused = |code| (0..16).map(move |at| (code, if at == 15 { 30_000 - 16 } else { 0 }));
    assert_eq!((page.first, page.decisions.len()), (0, 1 + 16 + 16 + 2));
    assert_eq!(page.decisions[0].about, "SetVolume cabin to 0");
    assert_eq!(of(":1.10"), refused(4).collect::<Vec<_>>());
    assert_eq!(of(":1.9"), refused(6).chain([(0, 0), (6, 0)]).collect::<Vec<_>>());
}
