//! Domains that refuse, never answer, answer too late, or are not who they say.

use anyhow::{Result, ensure};

use super::cases;
use crate::am_suite::domain::{Acks, Element};
use crate::am_suite::stage::{Stage, same};
use crate::am_suite::value::{Value, listed};
use crate::am_suite::words::state::{CONNECTED, CONNECTING, DISCONNECTED};

cases![
    a_refused_connect_is_rolled_back,
    a_refused_mute_is_rolled_back,
    a_refused_source_state_takes_the_segments_down_again,
    a_refusal_of_the_second_domain_takes_down_what_the_first_has,
    a_connect_that_is_never_acknowledged_is_aborted_and_rolled_back,
    a_mute_that_is_never_acknowledged_is_aborted_and_rolled_back,
    a_source_state_that_is_never_acknowledged_is_aborted_and_rolled_back,
    an_aborted_request_is_aborted_once_and_only_it,
    an_ack_that_is_too_late_changes_nothing,
    a_connect_that_succeeds_after_its_abort_is_taken_down,
    an_ack_of_another_domain_is_dropped,
    an_ack_of_another_kind_is_dropped,
    an_ack_with_an_unknown_handle_is_dropped,
    an_ack_for_another_connection_is_dropped,
    a_second_ack_is_dropped,
    an_object_without_the_method_is_a_refusal,
    a_refused_disconnect_removes_the_connection_all_the_same,
    a_disconnect_that_is_never_acknowledged_removes_the_connection_all_the_same,
    a_refused_source_state_on_the_way_down_removes_the_connection_all_the_same,
    connect_after_a_failure_tries_again,
    a_connection_that_was_stopped_comes_back_when_its_newcomer_fails,
    a_connection_that_was_paused_goes_on_when_its_newcomer_fails,
    a_domain_that_never_acknowledges_holds_no_other_up,
    a_refused_request_is_not_repeated,
    handles_are_not_given_again_at_once,
    more_requests_than_a_domain_may_have_open_answer_7,
    an_aborted_volume_counts_as_far_as_it_got,
];

fn fails(s: &mut Stage, acks: Acks) -> Result<(usize, Vec<String>)> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, acks);
    let id = s.connect(pair.source, pair.sink)?;
    s.wait_until_gone(id)?;
    same(
        "states",
        format!("{:?}", s.trace.path_of(id)),
        "[Some(0), Some(1), Some(3), Some(4), None]",
    )?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        s.times(&format!("SinkMuteStateChanged {} 1", pair.sink))
            == s.times(&format!("SinkMuteStateChanged {} 2", pair.sink)),
        "muted for good: {:?}",
        s.heard
    );
    let mute = listed(&s.call("GetListMainSinks", &())?);
    ensure!(
        mute.contains(&format!("({} \"speakers\" (1 0) 100 2 ", pair.sink)),
        "{mute}"
    );
    Ok((pair.domain, asked))
}

fn a_refused_connect_is_rolled_back(s: &mut Stage) -> Result<()> {
    let (_, asked) = fails(s, Acks::Refuses("asyncConnect", 7))?;
    let members: Vec<&str> = asked.iter().filter_map(|it| it.split(' ').next()).collect();
    same(
        "asked",
        members.join(" "),
        "asyncSetSinkVolume asyncConnect asyncSetSinkVolume",
    )
}

fn a_refused_mute_is_rolled_back(s: &mut Stage) -> Result<()> {
    let (_, asked) = fails(s, Acks::Refuses("asyncSetSinkVolume", 7))?;
    ensure!(
        !asked.iter().any(|it| it.starts_with("asyncConnect")),
        "asked: {asked:?}"
    );
    Ok(())
}

fn a_refused_source_state_takes_the_segments_down_again(s: &mut Stage) -> Result<()> {
    let (_, asked) = fails(s, Acks::Refuses("asyncSetSourceState", 7))?;
    ensure!(
        asked.iter().any(|it| it.starts_with("asyncDisconnect")),
        "asked: {asked:?}"
    );
    Ok(())
}

fn a_refusal_of_the_second_domain_takes_down_what_the_first_has(s: &mut Stage) -> Result<()> {
    let (domains, source, sink) = s.chain(2)?;
    s.acks(domains[0], Acks::Refuses("asyncConnect", 7));
    let id = s.connect(source, sink)?;
    s.is_gone(id)?;
    let asked = s.asked_of(domains[1]);
    let count = |member: &str| asked.iter().filter(|it| it.starts_with(member)).count();
    same(
        "connects and disconnects",
        format!("{} {}", count("asyncConnect"), count("asyncDisconnect")),
        "1 1",
    )
}

fn aborts(asked: &[String]) -> usize {
    asked.iter().filter(|it| it.starts_with("asyncAbort")).count()
}

fn a_connect_that_is_never_acknowledged_is_aborted_and_rolled_back(s: &mut Stage) -> Result<()> {
    let (_, asked) = fails(s, Acks::Silent("asyncConnect"))?;
    same("aborts", aborts(&asked), 1)
}

fn a_mute_that_is_never_acknowledged_is_aborted_and_rolled_back(s: &mut Stage) -> Result<()> {
    let (_, asked) = fails(s, Acks::Silent("asyncSetSinkVolume"))?;
    ensure!(aborts(&asked) > 0, "asked: {asked:?}");
    Ok(())
}

fn a_source_state_that_is_never_acknowledged_is_aborted_and_rolled_back(s: &mut Stage) -> Result<()> {
    let (_, asked) = fails(s, Acks::Silent("asyncSetSourceState"))?;
    ensure!(aborts(&asked) > 0, "asked: {asked:?}");
    ensure!(
        asked.iter().any(|it| it.starts_with("asyncDisconnect")),
        "asked: {asked:?}"
    );
    Ok(())
}

fn an_aborted_request_is_aborted_once_and_only_it(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::Silent("asyncConnect"));
    let id = s.connect(pair.source, pair.sink)?;
    s.wait_until_gone(id)?;
    let asked = &s.domains[pair.domain].asked;
    let connect = asked.iter().find(|it| it.member == "asyncConnect").map(|it| it.handle);
    let aborted: Vec<u16> = asked
        .iter()
        .filter(|it| it.member == "asyncAbort")
        .map(|it| it.handle)
        .collect();
    same(
        "handles aborted",
        format!("{aborted:?}"),
        format!("{:?}", connect.into_iter().collect::<Vec<u16>>()),
    )
}

fn an_ack_that_is_too_late_changes_nothing(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::Silent("asyncSetSourceState"));
    let id = s.connect(pair.source, pair.sink)?;
    let on = s.next_request(pair.domain, "asyncSetSourceState")?;
    s.wait_until_gone(id)?;
    s.acks(pair.domain, Acks::All);
    let heard = s.heard.len();
    // After the time it had to be undone: the handle is nobody's.
    let gone = (on.handle, 0_u16);
    s.hook(pair.domain, "ackSetSourceState", &gone)?;
    s.hook(pair.domain, "ackSetSourceState", &gone)?;
    same("signals", s.heard.len(), heard)
}

fn a_connect_that_succeeds_after_its_abort_is_taken_down(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::Silent("asyncConnect"));
    let id = s.connect(pair.source, pair.sink)?;
    let connect = s.next_request(pair.domain, "asyncConnect")?;
    s.until("the abort", |s| {
        s.domains[pair.domain].asked.iter().any(|it| it.member == "asyncAbort")
    })?;
    s.ack(pair.domain, &connect, 0)?;
    s.wait_until_gone(id)?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        asked.iter().any(|it| it.starts_with("asyncDisconnect")),
        "a segment nobody wants stays: {asked:?}"
    );
    Ok(())
}

/// The amplifier waits with an asyncConnect open: what is sent must not count; then the right ack does.
fn dropped(s: &mut Stage, wrong: impl FnOnce(&mut Stage, usize, u16, u16) -> Result<()>) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    let id = s.connect(pair.source, pair.sink)?;
    let mute = s.next_request(pair.domain, "asyncSetSinkVolume")?;
    s.ack(pair.domain, &mute, 0)?;
    let connect = s.next_request(pair.domain, "asyncConnect")?;
    let segment = connect.args.first().and_then(Value::int).unwrap_or(0) as u16;
    wrong(s, pair.domain, connect.handle, segment)?;
    s.settle()?;
    s.is_in(id, CONNECTING)?;
    let open = s.domains[pair.domain].asked.iter().filter(|it| !it.done).count();
    same("further requests", open, 0)?;
    s.acks(pair.domain, Acks::All);
    s.ack(pair.domain, &connect, 0)?;
    s.wait_for_state(id, CONNECTED)
}

fn an_ack_of_another_domain_is_dropped(s: &mut Stage) -> Result<()> {
    dropped(s, |s, _, handle, segment| {
        let stranger = s.domain("stranger")?;
        s.hook(stranger, "ackConnect", &(handle, segment, 0_u16))
    })
}

fn an_ack_of_another_kind_is_dropped(s: &mut Stage) -> Result<()> {
    dropped(s, |s, domain, handle, _| {
        for member in [
            "ackSetSourceState",
            "ackSetSinkSoundProperty",
            "ackSetSourceSoundProperty",
        ] {
            s.hook(domain, member, &(handle, 0_u16))?;
        }
        for member in [
            "ackSetSinkSoundProperties",
            "ackSetSourceSoundProperties",
            "ackTransferConnection",
        ] {
            s.hook(domain, member, &(handle, 0_u16))?;
        }
        s.hook(domain, "ackCrossFading", &(handle, 1_i16, 0_u16))?;
        let none = Vec::<(i16, u16, u16, i16, u16)>::new();
        s.hook(domain, "ackSetVolumes", &(handle, none, 0_u16))?;
        s.hook(domain, "ackSinkNotificationConfiguration", &(handle, 0_u16))?;
        s.hook(domain, "ackSourceNotificationConfiguration", &(handle, 0_u16))?;
        s.hook(domain, "ackSetSinkVolume", &(handle, 0_i16, 0_u16))
    })
}

fn an_ack_with_an_unknown_handle_is_dropped(s: &mut Stage) -> Result<()> {
    dropped(s, |s, domain, handle, segment| {
        for other in [0, handle + 1, 1023, 1024, u16::MAX] {
            s.hook(domain, "ackConnect", &(other, segment, 0_u16))?;
        }
        Ok(())
    })
}

fn an_ack_for_another_connection_is_dropped(s: &mut Stage) -> Result<()> {
    dropped(s, |s, domain, handle, segment| {
        s.hook(domain, "ackConnect", &(handle, segment + 1, 0_u16))
    })
}

fn a_second_ack_is_dropped(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    let asked = s.domains[pair.domain].asked.clone();
    for request in asked {
        s.ack(pair.domain, &request, 7)?;
    }
    s.settle()?;
    s.is_in(id, CONNECTED)
}

fn an_object_without_the_method_is_a_refusal(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::Unknown("asyncConnect"));
    let id = s.connect(pair.source, pair.sink)?;
    s.wait_until_gone(id)?;
    same("aborts", aborts(&s.asked_of(pair.domain)), 0)
}

fn goes_anyway(s: &mut Stage, acks: Acks) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    s.acks(pair.domain, acks);
    s.disconnect(id)?;
    s.wait_until_gone(id)?;
    s.acks(pair.domain, Acks::All);
    // It waits for what was not acknowledged to be over.
    let again = s.connect(pair.source, pair.sink)?;
    s.wait_for_state(again, CONNECTED)?;
    s.disconnect(again)?;
    s.is_gone(again)
}

fn a_refused_disconnect_removes_the_connection_all_the_same(s: &mut Stage) -> Result<()> {
    goes_anyway(s, Acks::Refuses("asyncDisconnect", 7))
}

fn a_disconnect_that_is_never_acknowledged_removes_the_connection_all_the_same(s: &mut Stage) -> Result<()> {
    goes_anyway(s, Acks::Silent("asyncDisconnect"))
}

fn a_refused_source_state_on_the_way_down_removes_the_connection_all_the_same(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    s.acks(pair.domain, Acks::Refuses("asyncSetSourceState", 7));
    s.disconnect(id)?;
    s.wait_until_gone(id)
}

fn connect_after_a_failure_tries_again(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::Refuses("asyncSetSourceState", 7));
    let id = s.connect(pair.source, pair.sink)?;
    s.wait_until_gone(id)?;
    s.acks(pair.domain, Acks::All);
    let again = s.connected(pair.source, pair.sink)?;
    ensure!(again != id, "{id} again");
    Ok(())
}

/// Facts §4.5 item 3: AudioManager rolls back but forgets the connection that made room.
fn a_connection_that_was_stopped_comes_back_when_its_newcomer_fails(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let news = s.source(pair.domain, "news", "traffic")?;
    let music = s.connected(pair.source, pair.sink)?;
    s.acks(pair.domain, Acks::Refuses("asyncConnect", 7));
    let failed = s.connect(news, pair.sink)?;
    s.acks(pair.domain, Acks::All);
    s.wait_until_gone(failed)?;
    let path = format!("{:?}", s.trace.path_of(music));
    ensure!(
        path.starts_with("[Some(0), Some(1), Some(2), Some(3), Some(4), Some(1)"),
        "its states: {path}"
    );
    // Its connect was refused as well: asked again, it is back for good.
    let again = s.connected(pair.source, pair.sink)?;
    s.is_in(again, CONNECTED)
}

fn a_connection_that_was_paused_goes_on_when_its_newcomer_fails(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let caller = s.source(pair.domain, "caller", "phone")?;
    let music = s.connected(pair.source, pair.sink)?;
    s.acks(pair.domain, Acks::Refuses("asyncConnect", 7));
    let failed = s.connect(caller, pair.sink)?;
    s.acks(pair.domain, Acks::All);
    s.wait_until_gone(failed)?;
    s.wait_for_state(music, CONNECTED)?;
    same(
        "states",
        format!("{:?}", s.trace.path_of(music)),
        "[Some(0), Some(1), Some(2), Some(5), Some(1), Some(2)]",
    )
}

fn a_domain_that_never_acknowledges_holds_no_other_up(s: &mut Stage) -> Result<()> {
    let stuck = s.amplifier()?;
    s.acks(stuck.domain, Acks::ByHand);
    let waits = s.connect(stuck.source, stuck.sink)?;
    let other = s.domain("other")?;
    let (source, sink) = (s.source(other, "radio", "media")?, s.sink(other, "radio-speakers")?);
    s.connected(source, sink)?;
    s.is_in(waits, CONNECTING)?;
    s.acks(stuck.domain, Acks::All);
    let open: Vec<_> = s.domains[stuck.domain]
        .asked
        .iter()
        .filter(|it| !it.done)
        .cloned()
        .collect();
    for request in open {
        s.ack(stuck.domain, &request, 0)?;
    }
    s.wait_for_state(waits, CONNECTED)
}

fn a_refused_request_is_not_repeated(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::Refuses("asyncSetSinkVolume", 7));
    same("code", s.command("SetVolume", &(pair.sink, 40_i16))?, 0)?;
    s.settle()?;
    s.settle()?;
    same("requests", s.asked_of(pair.domain).len(), 1)
}

fn handles_are_not_given_again_at_once(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    for _ in 0..20 {
        let id = s.connected(pair.source, pair.sink)?;
        s.disconnect(id)?;
    }
    let handles: Vec<u16> = s.domains[pair.domain].asked.iter().map(|it| it.handle).collect();
    let distinct: std::collections::BTreeSet<u16> = handles.iter().copied().collect();
    same("handles", distinct.len(), handles.len())?;
    ensure!(
        distinct.iter().all(|it| (1..=1023).contains(it)),
        "handles: {distinct:?}"
    );
    Ok(())
}

fn more_requests_than_a_domain_may_have_open_answer_7(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let equalizer = Element {
        sound: vec![(1, 0)],
        main_sound: vec![(1, 0)],
        ..Element::default()
    };
    let sink = s.sink_of(domain, "speakers", &equalizer)?;
    s.acks(domain, Acks::ByHand);
    let mut refused = 0;
    for value in 0..110_i16 {
        match s.command("SetMainSinkSoundProperty", &(sink, (1_i16, value % 10)))? {
            0 => {}
            7 => refused += 1,
            code => anyhow::bail!("code {code}"),
        }
    }
    ensure!(refused > 0, "110 requests were left open");
    s.settle()?;
    let open = s.domains[domain].asked.clone();
    s.acks(domain, Acks::All);
    for request in open {
        s.ack(domain, &request, 0)?;
    }
    s.settle()?;
    same(
        "code once they are answered",
        s.command("SetMainSinkSoundProperty", &(sink, (1_i16, 3_i16)))?,
        0,
    )?;
    s.settle()
}

/// The next volume is held against the volume it got to, not against what was asked for.
fn an_aborted_volume_counts_as_far_as_it_got(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    same("code", s.command("SetVolume", &(pair.sink, 40_i16))?, 0)?;
    let request = s.next_request(pair.domain, "asyncSetSinkVolume")?;
    s.hook(pair.domain, "ackSetSinkVolume", &(request.handle, -100_i16, 9_u16))?;
    s.trace.used("ackSetSinkVolume", 9);
    same("mainVolume", listed(&s.call("getVolume", &pair.sink)?), "0 100")?;
    same("state", s.trace.state_of(DISCONNECTED as u16).is_none(), true)?;
    s.acks(pair.domain, Acks::All);
    same("code", s.command("SetVolume", &(pair.sink, 40_i16))?, 0)?;
    s.settle()?;
    same("mainVolume", listed(&s.call("getVolume", &pair.sink)?), "0 40")
}
