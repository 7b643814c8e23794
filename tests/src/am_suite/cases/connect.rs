//! Main connections in one domain: up, down, again, and what the calls answer.

use anyhow::{Result, ensure};
use dbus_api::names::{COMMAND_INTERFACE, COMMAND_PATH};

use super::cases;
use crate::am_suite::bus::To;
use crate::am_suite::domain::{Acks, Element};
use crate::am_suite::stage::{Answer, Stage, same};
use crate::am_suite::value::listed;
use crate::am_suite::words::state::{CONNECTED, CONNECTING, DISCONNECTED, SUSPENDED};

cases![
    connect_goes_from_unknown_over_connecting_to_connected,
    the_reference_exchange_step_by_step,
    the_reply_to_connect_comes_before_the_connection_is_up,
    the_first_request_leaves_before_the_reply_to_connect,
    connect_on_a_connected_pair_gives_the_same_id,
    connect_on_a_pair_that_is_connecting_gives_the_same_id,
    connect_with_an_unknown_source_answers_8_and_no_id,
    connect_with_an_unknown_sink_answers_8_and_no_id,
    connect_without_a_common_format_answers_7,
    connect_into_a_domain_without_gateway_answers_7,
    disconnect_goes_over_disconnecting_to_removed,
    disconnect_of_an_unknown_id_answers_7,
    disconnect_again_answers_7_once_it_is_removed,
    disconnect_while_connecting_gives_it_up,
    disconnect_while_suspended_removes_it,
    a_new_connections_delay_is_not_known,
    a_removed_id_is_not_given_to_the_next,
    a_connection_with_an_invisible_end_is_shown_to_nobody,
    the_list_of_connections_shows_each_state,
    any_interface_name_or_none_is_taken,
    both_integer_widths_are_taken,
    two_pairs_of_one_domain_do_not_wait_for_each_other,
];

fn connect_goes_from_unknown_over_connecting_to_connected(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    same(
        "states",
        format!("{:?}", s.trace.path_of(id)),
        "[Some(0), Some(1), Some(2)]",
    )
}

/// Facts §6, but for the defects of §1.6: the delay is not garbage, no state is said twice (the trace sees to that).
fn the_reference_exchange_step_by_step(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let (source, sink, domain) = (pair.source, pair.sink, pair.domain);
    s.acks(domain, Acks::ByHand);
    s.heard.clear();
    let (code, id) = s.try_connect(source, sink)?;
    same("code", code, 0)?;
    let mute = s.next_request(domain, "asyncSetSinkVolume")?;
    same("mute", &mute, format!("asyncSetSinkVolume {sink} -3000 1 200"))?;
    s.settle()?;
    let begun = [
        format!("NewMainConnection ({id} {source} {sink} -1 0)"),
        format!("MainConnectionStateChanged {id} 0"),
        format!("TimingInformationChanged {id} -1"),
        format!("MainConnectionStateChanged {id} 1"),
    ];
    same("signals", s.heard.join("; "), begun.join("; "))?;
    s.ack(domain, &mute, 0)?;
    let connect = s.next_request(domain, "asyncConnect")?;
    let segment = connect.args.first().map_or_else(String::new, ToString::to_string);
    same("connect", &connect, format!("asyncConnect {segment} {source} {sink} 2"))?;
    s.hears(&format!("SinkMuteStateChanged {sink} 1"))?;
    s.ack(domain, &connect, 0)?;
    let on = s.next_request(domain, "asyncSetSourceState")?;
    same("on", &on, format!("asyncSetSourceState {source} 1"))?;
    ensure!(
        s.trace.state_of(id) == Some(CONNECTING),
        "connected before the source is on"
    );
    s.ack(domain, &on, 0)?;
    let unmute = s.next_request(domain, "asyncSetSinkVolume")?;
    same("unmute", &unmute, format!("asyncSetSinkVolume {sink} 0 1 200"))?;
    s.wait_for_state(id, CONNECTED)?;
    s.ack(domain, &unmute, 0)?;
    s.hears(&format!("SinkMuteStateChanged {sink} 2"))
}

fn the_reply_to_connect_comes_before_the_connection_is_up(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    let (code, id) = s.try_connect(pair.source, pair.sink)?;
    same("code", code, 0)?;
    s.settle()?;
    s.is_in(id, CONNECTING)
}

fn the_first_request_leaves_before_the_reply_to_connect(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    s.domains[pair.domain].order.clear();
    let (path, interface, member) = (COMMAND_PATH, Some(COMMAND_INTERFACE), "Connect");
    let to = To {
        path,
        interface,
        member,
    };
    let serial = s.send(Some(pair.domain), to, &(pair.source, pair.sink), true)?;
    let reply = format!("reply {serial}");
    s.until("the reply", |s| s.domains[pair.domain].order.contains(&reply))?;
    let first = s.domains[pair.domain].order.front().cloned().unwrap_or_default();
    same("what came first", first, "asyncSetSinkVolume")
}

fn connect_on_a_connected_pair_gives_the_same_id(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    let again = s.connect(pair.source, pair.sink)?;
    same("ID", again, id)?;
    same("states", s.trace.path_of(id).len(), 3)
}

fn connect_on_a_pair_that_is_connecting_gives_the_same_id(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    let id = s.connect(pair.source, pair.sink)?;
    same("ID", s.connect(pair.source, pair.sink)?, id)?;
    s.is_in(id, CONNECTING)
}

fn connect_with_an_unknown_source_answers_8_and_no_id(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let answers = [s.try_connect(0, pair.sink)?, s.try_connect(32000, pair.sink)?];
    same("answers", format!("{answers:?}"), "[(8, 0), (8, 0)]")
}

fn connect_with_an_unknown_sink_answers_8_and_no_id(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let answers = [s.try_connect(pair.source, 0)?, s.try_connect(pair.source, 32000)?];
    same("answers", format!("{answers:?}"), "[(8, 0), (8, 0)]")
}

fn connect_without_a_common_format_answers_7(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let source = s.source_of(domain, "tuner", &Element::formats(&[1]))?;
    let sink = s.sink_of(domain, "speakers", &Element::formats(&[2]))?;
    same("answer", format!("{:?}", s.try_connect(source, sink)?), "(7, 0)")
}

fn connect_into_a_domain_without_gateway_answers_7(s: &mut Stage) -> Result<()> {
    let (here, there) = (s.domain("here")?, s.domain("there")?);
    let source = s.source(here, "tuner", "media")?;
    let sink = s.sink(there, "speakers")?;
    same("answer", format!("{:?}", s.try_connect(source, sink)?), "(7, 0)")
}

fn disconnect_goes_over_disconnecting_to_removed(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    s.asked_of(pair.domain);
    s.heard.clear();
    s.disconnect(id)?;
    s.is_gone(id)?;
    let told = [
        format!("MainConnectionStateChanged {id} 3"),
        format!("MainConnectionStateChanged {id} 4"),
        format!("RemovedMainConnection {id}"),
    ];
    same("signals", s.heard.join("; "), told.join("; "))?;
    let asked = s.asked_of(pair.domain);
    same(
        "first",
        asked.first().map_or("", String::as_str),
        format!("asyncSetSourceState {} 2", pair.source),
    )?;
    ensure!(
        asked.len() == 2 && asked[1].starts_with("asyncDisconnect "),
        "asked: {asked:?}"
    );
    Ok(())
}

fn disconnect_of_an_unknown_id_answers_7(s: &mut Stage) -> Result<()> {
    same("code", s.command("Disconnect", &4096_u16)?, 7)?;
    same("code", s.command("Disconnect", &0_u16)?, 7)
}

fn disconnect_again_answers_7_once_it_is_removed(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    s.disconnect(id)?;
    s.is_gone(id)?;
    same("code", s.command("Disconnect", &id)?, 7)
}

fn disconnect_while_connecting_gives_it_up(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    let id = s.connect(pair.source, pair.sink)?;
    let mute = s.next_request(pair.domain, "asyncSetSinkVolume")?;
    s.ack(pair.domain, &mute, 0)?;
    let connect = s.next_request(pair.domain, "asyncConnect")?;
    s.disconnect(id)?;
    s.acks(pair.domain, Acks::All);
    s.ack(pair.domain, &connect, 0)?;
    s.wait_until_gone(id)?;
    same(
        "states",
        format!("{:?}", &s.trace.path_of(id)[1..4]),
        "[Some(1), Some(3), Some(4)]",
    )?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        asked.iter().any(|it| it.starts_with("asyncDisconnect")),
        "asked: {asked:?}"
    );
    ensure!(
        !asked.contains(&format!("asyncSetSourceState {} 1", pair.source)),
        "asked: {asked:?}"
    );
    Ok(())
}

fn disconnect_while_suspended_removes_it(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let caller = s.source(pair.domain, "caller", "phone")?;
    let music = s.connected(pair.source, pair.sink)?;
    s.connected(caller, pair.sink)?;
    s.is_in(music, SUSPENDED)?;
    s.disconnect(music)?;
    s.is_gone(music)
}

fn a_new_connections_delay_is_not_known(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    let (source, sink) = (pair.source, pair.sink);
    s.hears(&format!("NewMainConnection ({id} {source} {sink} -1 0)"))?;
    same("timing", listed(&s.call("GetTimingInformation", &id)?), "7 -1")
}

fn a_removed_id_is_not_given_to_the_next(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let first = s.connected(pair.source, pair.sink)?;
    s.disconnect(first)?;
    let second = s.connected(pair.source, pair.sink)?;
    ensure!(first != second, "{first} again");
    Ok(())
}

fn a_connection_with_an_invisible_end_is_shown_to_nobody(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let hidden = Element {
        visible: false,
        ..Element::default()
    };
    let source = s.source_of(pair.domain, "hidden", &hidden)?;
    s.heard.clear();
    let id = s.connect(source, pair.sink)?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        asked.iter().any(|it| it.starts_with("asyncConnect")),
        "asked: {asked:?}"
    );
    ensure!(
        !s.heard.iter().any(|it| it.contains("MainConnection")),
        "heard: {:?}",
        s.heard
    );
    same("list", listed(&s.call("GetListMainConnections", &())?), "0 ()")?;
    s.disconnect(id)
}

fn the_list_of_connections_shows_each_state(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let (source, sink) = (pair.source, pair.sink);
    let caller = s.source(pair.domain, "caller", "phone")?;
    let late = s.source(pair.domain, "late", "media")?;
    let away = Element {
        available: (2, 0),
        ..Element::default()
    };
    let away = s.source_of(pair.domain, "away", &away)?;
    let music = s.connected(source, sink)?;
    let call = s.connected(caller, sink)?;
    let waits = s.connect(late, sink)?;
    same("code", s.try_connect(away, sink)?.0, 4)?;
    let rows = s.call("GetListMainConnections", &())?;
    let rows = listed(rows[1].items());
    for (id, source, state) in [
        (music, source, SUSPENDED),
        (call, caller, CONNECTED),
        (waits, late, SUSPENDED),
    ] {
        ensure!(rows.contains(&format!("({id} {source} {sink} -1 {state})")), "{rows}");
    }
    ensure!(rows.contains(&format!(" {away} {sink} -1 {DISCONNECTED})")), "{rows}");
    s.disconnect(call)?;
    s.disconnect(music)?;
    s.hook(
        pair.domain,
        "hookSourceAvailablityStatusChange",
        &(away as i16, (1_i16, 0_i16)),
    )?;
    s.connected(away, sink)?;
    s.acks(pair.domain, Acks::Refuses("asyncConnect", 7));
    let other = s.source(pair.domain, "other", "navigation")?;
    let failed = s.connect(other, sink)?;
    s.is_gone(failed)
}

fn any_interface_name_or_none_is_taken(s: &mut Stage) -> Result<()> {
    for interface in [
        None,
        Some("org.example.Whatever"),
        Some("org.genivi.audiomanager.CommandInterface"),
    ] {
        let (path, member) = (COMMAND_PATH, "GetListMainConnections");
        match s.ask(
            None,
            To {
                path,
                interface,
                member,
            },
            &(),
        )? {
            Answer::Values(values) => same("answer", listed(&values), "0 ()")?,
            Answer::Error(name) => anyhow::bail!("{interface:?}: {name}"),
        }
    }
    Ok(())
}

fn both_integer_widths_are_taken(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let wide = (u32::from(pair.sink), 40_i32);
    same("wide", s.command("SetVolume", &wide)?, 0)?;
    s.settle()?;
    same("volume", listed(&s.call("getVolume", &u32::from(pair.sink))?), "0 40")?;
    same(
        "the other sign",
        s.command("SetVolume", &(pair.sink as i16, 30_u16))?,
        0,
    )?;
    s.settle()?;
    same("volume", listed(&s.call("getVolume", &i32::from(pair.sink))?), "0 30")?;
    same(
        "wide",
        s.command("Connect", &(u32::from(pair.source), i32::from(pair.sink)))?,
        0,
    )?;
    s.settle()
}

/// AudioManager has one action at a time; here requests wait only for those that share an element with them.
fn two_pairs_of_one_domain_do_not_wait_for_each_other(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let other = s.source(pair.domain, "other", "media")?;
    let phones = s.sink(pair.domain, "headphones")?;
    s.acks(pair.domain, Acks::ByHand);
    let stuck = s.connect(pair.source, pair.sink)?;
    let waits = s.next_request(pair.domain, "asyncSetSinkVolume")?;
    let id = s.connect(other, phones)?;
    for member in ["asyncSetSinkVolume", "asyncConnect", "asyncSetSourceState"] {
        let request = s.next_request(pair.domain, member)?;
        s.ack(pair.domain, &request, 0)?;
    }
    s.wait_for_state(id, CONNECTED)?;
    s.is_in(stuck, CONNECTING)?;
    s.acks(pair.domain, Acks::All);
    s.ack(pair.domain, &waits, 0)?;
    s.wait_for_state(stuck, CONNECTED)
}
