//! Ends that are not available, and what is deregistered or leaves the bus.

use anyhow::{Result, ensure};

use super::cases;
use crate::am_suite::domain::{Acks, Element};
use crate::am_suite::elements::Pair;
use crate::am_suite::stage::{Stage, same};
use crate::am_suite::value::listed;
use crate::am_suite::words::state::{CONNECTED, CONNECTING, DISCONNECTED, SUSPENDED};

cases![
    connect_with_an_unavailable_source_answers_4_and_keeps_the_connection,
    connect_with_an_unavailable_sink_answers_4_and_keeps_the_connection,
    connect_again_on_an_unavailable_end_answers_4,
    an_end_that_becomes_unavailable_pushes_its_connections,
    a_sink_that_becomes_unavailable_pushes_its_connections,
    what_was_pushed_is_connected_again_on_request,
    what_was_pushed_can_be_disconnected,
    what_was_pushed_lets_the_suspended_go_on,
    availability_is_told_with_its_reason_by_both_spellings,
    availability_that_is_so_already_is_not_told,
    availability_told_by_another_domain_is_dropped,
    a_source_that_is_deregistered_takes_its_connection_with_it,
    a_sink_that_is_deregistered_takes_its_connection_with_it,
    a_domain_that_is_deregistered_takes_all_with_it,
    a_domain_that_leaves_the_bus_is_deregistered,
    a_gateway_that_is_deregistered_takes_its_connections_with_it,
    a_domain_in_the_middle_of_a_route_takes_down_both_sides,
    what_is_lost_while_connecting_is_removed,
    what_is_lost_while_suspended_is_removed,
    a_lost_holder_lets_the_suspended_go_on,
    connect_to_what_was_lost_answers_8,
    what_comes_back_has_its_ids_again,
    a_domain_that_comes_back_is_connected_anew,
];

fn unavailable(s: &mut Stage, source: (i32, i32), sink: (i32, i32)) -> Result<Pair> {
    let domain = s.domain("amplifier")?;
    let element = |available| Element {
        available,
        ..Element::default()
    };
    let sink = s.sink_of(domain, "speakers", &element(sink))?;
    let source = s.source_of(domain, "tuner", &element(source))?;
    s.settle()?;
    Ok(Pair { domain, source, sink })
}

fn is_kept(s: &mut Stage, pair: Pair) -> Result<u16> {
    same(
        "answer",
        format!("{:?}", s.try_connect(pair.source, pair.sink)?),
        "(4, 0)",
    )?;
    s.settle()?;
    s.was_asked(pair.domain, &[])?;
    let list = s.call("GetListMainConnections", &())?;
    let kept = list[1]
        .items()
        .first()
        .map(|it| it.items().to_vec())
        .unwrap_or_default();
    let id = kept.first().and_then(crate::am_suite::value::Value::int).unwrap_or(0) as u16;
    same(
        "kept",
        listed(&kept),
        format!("{id} {} {} -1 4", pair.source, pair.sink),
    )?;
    s.is_in(id, DISCONNECTED)?;
    Ok(id)
}

fn connect_with_an_unavailable_source_answers_4_and_keeps_the_connection(s: &mut Stage) -> Result<()> {
    let pair = unavailable(s, (2, 3), (1, 0))?;
    let id = is_kept(s, pair)?;
    s.disconnect(id)?;
    s.is_gone(id)
}

fn connect_with_an_unavailable_sink_answers_4_and_keeps_the_connection(s: &mut Stage) -> Result<()> {
    let pair = unavailable(s, (1, 0), (2, 0))?;
    let id = is_kept(s, pair)?;
    s.disconnect(id)
}

fn connect_again_on_an_unavailable_end_answers_4(s: &mut Stage) -> Result<()> {
    let pair = unavailable(s, (2, 3), (1, 0))?;
    let id = is_kept(s, pair)?;
    same("ID", is_kept(s, pair)?, id)?;
    s.disconnect(id)
}

fn source_away(s: &mut Stage, pair: Pair, away: bool) -> Result<()> {
    let availability = if away { (2_i16, 3_i16) } else { (1, 1) };
    s.hook(
        pair.domain,
        "hookSourceAvailablityStatusChange",
        &(pair.source as i16, availability),
    )
}

fn pushed(s: &mut Stage) -> Result<(Pair, u16)> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    source_away(s, pair, true)?;
    s.is_in(id, DISCONNECTED)?;
    Ok((pair, id))
}

fn an_end_that_becomes_unavailable_pushes_its_connections(s: &mut Stage) -> Result<()> {
    let (pair, id) = pushed(s)?;
    same(
        "states",
        format!("{:?}", s.trace.path_of(id)),
        "[Some(0), Some(1), Some(2), Some(3), Some(4)]",
    )?;
    let list = listed(&s.call("GetListMainConnections", &())?);
    same("list", list, format!("0 (({id} {} {} -1 4))", pair.source, pair.sink))
}

fn a_sink_that_becomes_unavailable_pushes_its_connections(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    s.hook(
        pair.domain,
        "hookSinkAvailablityStatusChange",
        &(pair.sink as i16, (2_i16, 5_i16)),
    )?;
    s.is_in(id, DISCONNECTED)
}

fn what_was_pushed_is_connected_again_on_request(s: &mut Stage) -> Result<()> {
    let (pair, id) = pushed(s)?;
    source_away(s, pair, false)?;
    s.is_in(id, DISCONNECTED)?;
    same("ID", s.connected(pair.source, pair.sink)?, id)?;
    let path = format!("{:?}", s.trace.path_of(id));
    ensure!(path.ends_with("Some(4), Some(1), Some(2)]"), "its states: {path}");
    Ok(())
}

fn what_was_pushed_can_be_disconnected(s: &mut Stage) -> Result<()> {
    let (pair, id) = pushed(s)?;
    s.asked_of(pair.domain);
    s.disconnect(id)?;
    s.is_gone(id)?;
    s.was_asked(pair.domain, &[])
}

fn what_was_pushed_lets_the_suspended_go_on(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let caller = s.source(pair.domain, "caller", "phone")?;
    let music = s.connected(pair.source, pair.sink)?;
    let call = s.connected(caller, pair.sink)?;
    s.is_in(music, SUSPENDED)?;
    source_away(s, Pair { source: caller, ..pair }, true)?;
    s.is_in(call, DISCONNECTED)?;
    s.is_in(music, CONNECTED)
}

fn availability_is_told_with_its_reason_by_both_spellings(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let (source, sink) = (pair.source as i16, pair.sink as i16);
    s.hook(pair.domain, "hookSinkAvailablityStatusChange", &(sink, (2_i16, 4_i16)))?;
    s.hears(&format!("SinkAvailabilityChanged {sink} (2 4)"))?;
    s.hook(pair.domain, "hookSinkAvailabilityStatusChange", &(sink, (1_i16, 2_i16)))?;
    s.hears(&format!("SinkAvailabilityChanged {sink} (1 2)"))?;
    s.hook(
        pair.domain,
        "hookSourceAvailablityStatusChange",
        &(source, (2_i16, 3_i16)),
    )?;
    s.hears(&format!("SourceAvailabilityChanged {source} (2 3)"))?;
    s.hook(
        pair.domain,
        "hookSourceAvailabilityStatusChange",
        &(source, (1_i16, 1_i16)),
    )?;
    s.hears(&format!("SourceAvailabilityChanged {source} (1 1)"))?;
    let sources = listed(&s.call("GetListMainSources", &())?);
    ensure!(sources.contains(&format!("({source} \"tuner\" (1 1) ")), "{sources}");
    Ok(())
}

fn availability_that_is_so_already_is_not_told(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.heard.clear();
    s.hook(
        pair.domain,
        "hookSinkAvailablityStatusChange",
        &(pair.sink as i16, (1_i16, 0_i16)),
    )?;
    same("signals", s.heard.join("; "), "")
}

fn availability_told_by_another_domain_is_dropped(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    let stranger = s.domain("stranger")?;
    s.heard.clear();
    s.hook(
        stranger,
        "hookSinkAvailablityStatusChange",
        &(pair.sink as i16, (2_i16, 0_i16)),
    )?;
    s.hook(
        stranger,
        "hookSourceAvailablityStatusChange",
        &(pair.source as i16, (2_i16, 0_i16)),
    )?;
    same("signals", s.heard.join("; "), "")?;
    s.is_in(id, CONNECTED)
}

/// 3, 4, removed, and the element's own signal, each once.
fn is_lost(s: &mut Stage, id: u16, signals: &[String]) -> Result<()> {
    s.settle()?;
    s.is_gone(id)?;
    let told = [
        format!("MainConnectionStateChanged {id} 3"),
        format!("MainConnectionStateChanged {id} 4"),
        format!("RemovedMainConnection {id}"),
    ];
    for signal in told.iter().chain(signals) {
        same(signal, s.times(signal), 1)?;
    }
    Ok(())
}

fn a_source_that_is_deregistered_takes_its_connection_with_it(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    same(
        "code",
        s.code(pair.domain, "deregisterSource", &(pair.source as i16))?,
        0,
    )?;
    is_lost(s, id, &[format!("SourceRemoved {}", pair.source)])
}

fn a_sink_that_is_deregistered_takes_its_connection_with_it(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    same("code", s.code(pair.domain, "deregisterSink", &(pair.sink as i16))?, 0)?;
    is_lost(s, id, &[format!("SinkRemoved {}", pair.sink)])?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        asked.last() == Some(&format!("asyncSetSourceState {} 2", pair.source)),
        "asked: {asked:?}"
    );
    Ok(())
}

fn a_domain_that_is_deregistered_takes_all_with_it(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    let domain = s.domains[pair.domain].id;
    same("code", s.code(pair.domain, "deregisterDomain", &domain)?, 0)?;
    is_lost(
        s,
        id,
        &[
            format!("SourceRemoved {}", pair.source),
            format!("SinkRemoved {}", pair.sink),
        ],
    )
}

fn a_domain_that_leaves_the_bus_is_deregistered(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    s.vanish(pair.domain)?;
    s.wait_until_gone(id)?;
    s.hears(&format!("SourceRemoved {}", pair.source))?;
    s.hears(&format!("SinkRemoved {}", pair.sink))?;
    is_lost(
        s,
        id,
        &[
            format!("SourceRemoved {}", pair.source),
            format!("SinkRemoved {}", pair.sink),
        ],
    )
}

fn a_gateway_that_is_deregistered_takes_its_connections_with_it(s: &mut Stage) -> Result<()> {
    let (here, there) = (s.domain("here")?, s.domain("there")?);
    let source = s.source(here, "far", "media")?;
    let out = s.sink(here, "out")?;
    let into = s.source(there, "in", "media")?;
    let sink = s.sink(there, "near")?;
    let gateway = s.gateway("gateway", (here, out), (there, into))?;
    let id = s.connected(source, sink)?;
    same("code", s.code(here, "deregisterGateway", &gateway)?, 0)?;
    is_lost(s, id, &[])?;
    for domain in [here, there] {
        let asked = s.asked_of(domain);
        ensure!(
            asked.iter().any(|it| it.starts_with("asyncDisconnect")),
            "asked: {asked:?}"
        );
    }
    Ok(())
}

fn a_domain_in_the_middle_of_a_route_takes_down_both_sides(s: &mut Stage) -> Result<()> {
    let (domains, source, sink) = s.chain(3)?;
    let id = s.connected(source, sink)?;
    let middle = s.domains[domains[1]].id;
    same("code", s.code(domains[1], "deregisterDomain", &middle)?, 0)?;
    is_lost(s, id, &[])?;
    for domain in [domains[0], domains[2]] {
        let asked = s.asked_of(domain);
        ensure!(
            asked.iter().any(|it| it.starts_with("asyncDisconnect")),
            "asked: {asked:?}"
        );
    }
    Ok(())
}

fn what_is_lost_while_connecting_is_removed(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    let id = s.connect(pair.source, pair.sink)?;
    s.is_in(id, CONNECTING)?;
    same(
        "code",
        s.code(pair.domain, "deregisterSource", &(pair.source as i16))?,
        0,
    )?;
    is_lost(s, id, &[])
}

fn what_is_lost_while_suspended_is_removed(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let caller = s.source(pair.domain, "caller", "phone")?;
    let music = s.connected(pair.source, pair.sink)?;
    let call = s.connected(caller, pair.sink)?;
    same(
        "code",
        s.code(pair.domain, "deregisterSource", &(pair.source as i16))?,
        0,
    )?;
    is_lost(s, music, &[])?;
    s.is_in(call, CONNECTED)
}

fn a_lost_holder_lets_the_suspended_go_on(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let other = s.domain("phone")?;
    let caller = s.source(pair.domain, "caller", "phone")?;
    let music = s.connected(pair.source, pair.sink)?;
    s.connected(caller, pair.sink)?;
    s.vanish(other)?;
    s.is_in(music, SUSPENDED)?;
    same("code", s.code(pair.domain, "deregisterSource", &(caller as i16))?, 0)?;
    s.settle()?;
    s.is_in(music, CONNECTED)
}

fn connect_to_what_was_lost_answers_8(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    same("code", s.code(pair.domain, "deregisterSink", &(pair.sink as i16))?, 0)?;
    same(
        "answer",
        format!("{:?}", s.try_connect(pair.source, pair.sink)?),
        "(8, 0)",
    )?;
    same("volume", listed(&s.call("getVolume", &pair.sink)?), "8 -1")
}

fn what_comes_back_has_its_ids_again(s: &mut Stage) -> Result<()> {
    let first = s.amplifier()?;
    let domain = s.domains[first.domain].id;
    s.code(first.domain, "deregisterDomain", &domain)?;
    s.vanish(first.domain)?;
    let second = s.amplifier()?;
    same(
        "IDs",
        format!("{} {} {}", s.domains[second.domain].id, second.source, second.sink),
        format!("{domain} {} {}", first.source, first.sink),
    )
}

fn a_domain_that_comes_back_is_connected_anew(s: &mut Stage) -> Result<()> {
    let first = s.amplifier()?;
    let id = s.connected(first.source, first.sink)?;
    s.vanish(first.domain)?;
    s.wait_until_gone(id)?;
    let second = s.amplifier()?;
    s.connected(second.source, second.sink)?;
    Ok(())
}
