//! Readiness and rundown, delays, connections from before the daemon and after it, what a restart keeps.

use anyhow::{Result, ensure};

use super::cases;
use crate::am_suite::domain::{Acks, Element};
use crate::am_suite::elements::Pair;
use crate::am_suite::stage::{Stage, same};
use crate::am_suite::value::{Value, listed};
use crate::am_suite::words::state::{CONNECTED, SUSPENDED};

cases![
    the_daemon_says_that_it_is_ready_for_domains,
    a_delay_of_a_segment_is_told_as_the_connections,
    a_delay_is_the_sum_of_all_segments_and_unknown_while_one_is,
    a_delay_of_another_domains_segment_is_dropped,
    the_delay_of_an_unknown_connection_answers_8,
    every_hook_is_answered,
    an_early_connection_is_there_as_it_is,
    an_early_connection_whose_ends_are_registered_later_is_shown_then,
    an_early_connection_is_disconnected_as_any,
    an_early_connection_that_a_call_pauses_is_suspended,
    early_connections_are_checked,
    rundown_is_told_and_connections_offered_to_one_domain_after_the_other,
    ids_of_names_survive_a_restart,
    the_volume_of_the_daemons_own_sink_survives_a_restart,
];

fn the_daemon_says_that_it_is_ready_for_domains(s: &mut Stage) -> Result<()> {
    let domain = s.join()?;
    let ready = s.routing_call(Some(domain), "getRoutingReadyState", &())?;
    same("state", listed(&ready), "true")?;
    s.subject.ask_to_end();
    s.subject.ended()?;
    s.subject.begin()?;
    s.until("setRoutingReady", |s| {
        s.domains[domain].heard.iter().any(|it| it == "setRoutingReady")
    })?;
    s.wait_for_daemon()
}

fn segment_of(s: &Stage, domain: usize) -> i16 {
    let connect = s.domains[domain]
        .asked
        .iter()
        .rev()
        .find(|it| it.member == "asyncConnect");
    connect.and_then(|it| it.args.first()?.int()).unwrap_or(0) as i16
}

fn a_delay_of_a_segment_is_told_as_the_connections(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    let segment = segment_of(s, pair.domain);
    s.hook(pair.domain, "hookTimingInformationChanged", &(segment, 120_i16))?;
    s.hears(&format!("TimingInformationChanged {id} 120"))?;
    same("timing", listed(&s.call("GetTimingInformation", &id)?), "0 120")?;
    let list = listed(&s.call("GetListMainConnections", &())?);
    same("list", list, format!("0 (({id} {} {} 120 2))", pair.source, pair.sink))
}

fn a_delay_is_the_sum_of_all_segments_and_unknown_while_one_is(s: &mut Stage) -> Result<()> {
    let (domains, source, sink) = s.chain(3)?;
    let id = s.connected(source, sink)?;
    for (domain, delay) in domains.iter().zip([10_i16, 20, 30]) {
        same(
            "while one is not known",
            listed(&s.call("GetTimingInformation", &id)?),
            "7 -1",
        )?;
        let segment = segment_of(s, *domain);
        s.hook(*domain, "hookTimingInformationChanged", &(segment, delay))?;
    }
    same("timing", listed(&s.call("GetTimingInformation", &id)?), "0 60")?;
    same("told", s.times(&format!("TimingInformationChanged {id} 60")), 1)
}

fn a_delay_of_another_domains_segment_is_dropped(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.connected(pair.source, pair.sink)?;
    let stranger = s.domain("stranger")?;
    let segment = segment_of(s, pair.domain);
    s.hook(stranger, "hookTimingInformationChanged", &(segment, 120_i16))?;
    same("timing", listed(&s.call("GetTimingInformation", &id)?), "7 -1")
}

fn the_delay_of_an_unknown_connection_answers_8(s: &mut Stage) -> Result<()> {
    same("timing", listed(&s.call("GetTimingInformation", &4096_u16)?), "8 -1")
}

/// Facts §2.2: five of them never are in AudioManager.
fn every_hook_is_answered(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let (domain, source, sink) = (s.domains[pair.domain].id, pair.source, pair.sink);
    let d = pair.domain;
    s.hook(d, "hookDomainRegistrationComplete", &domain)?;
    s.hook(d, "confirmRoutingReady", &domain)?;
    s.hook(d, "confirmRoutingRundown", &domain)?;
    s.hook(d, "hookDomainStateChange", &(domain, 1_i16))?;
    s.hook(d, "hookTimingInformationChanged", &(0_i16, 0_i16))?;
    s.hook(d, "hookSinkAvailablityStatusChange", &(sink as i16, (1_i16, 0_i16)))?;
    s.hook(d, "hookSourceAvailablityStatusChange", &(source as i16, (1_i16, 0_i16)))?;
    s.hook(d, "hookInterruptStatusChange", &(source, 1_u16))?;
    s.hook(d, "hookSinkNotificationDataChange", &(sink, (1_i16, 1_i16)))?;
    s.hook(d, "hookSourceNotificationDataChange", &(source, (1_i16, 1_i16)))?;
    let (volumes, properties) = (Vec::<(u16, u16, i16)>::new(), Vec::<(u16, u16, (i16, i16))>::new());
    s.hook(d, "sendChangedData", &(volumes, properties))
}

/// Announces what runs between two ends; the code and the connection.
fn announce(s: &mut Stage, pair: Pair, state: u16) -> Result<(i64, u16)> {
    let domain = s.domains[pair.domain].id;
    let route = vec![(pair.source, pair.sink, domain, 2_u16)];
    let body = (domain, pair.source, pair.sink, route, state);
    let answer = s.routing_call(Some(pair.domain), "registerEarlyConnection", &body)?;
    s.settle()?;
    let number = |at: usize| answer.get(at).and_then(Value::int).unwrap_or(-1);
    Ok((number(0), number(1) as u16))
}

fn an_early_connection_is_there_as_it_is(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let (code, id) = announce(s, pair, 2)?;
    same("code", code, 0)?;
    s.hears(&format!("NewMainConnection ({id} {} {} -1 2)", pair.source, pair.sink))?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        !asked.iter().any(|it| it.starts_with("asyncConnect")),
        "asked: {asked:?}"
    );
    same(
        "Connect",
        format!("{:?}", s.try_connect(pair.source, pair.sink)?),
        format!("(0, {id})"),
    )?;
    s.settle()
}

fn an_early_connection_whose_ends_are_registered_later_is_shown_then(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let peek = |s: &mut Stage, member: &str, name: &str| s.registered(domain, member, &name);
    let source = peek(s, "peekSource", "tuner")?;
    let sink = peek(s, "peekSink", "speakers")?;
    let pair = Pair { domain, source, sink };
    let (code, id) = announce(s, pair, 2)?;
    same("code", code, 0)?;
    same("before", listed(&s.call("GetListMainConnections", &())?), "0 ()")?;
    same("sink", s.sink(domain, "speakers")?, sink)?;
    same("source", s.source(domain, "tuner", "media")?, source)?;
    s.settle()?;
    s.hears(&format!("NewMainConnection ({id} {source} {sink} -1 2)"))
}

fn an_early_connection_is_disconnected_as_any(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let (_, id) = announce(s, pair, 2)?;
    s.asked_of(pair.domain);
    s.disconnect(id)?;
    s.is_gone(id)?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        asked.iter().any(|it| it.starts_with("asyncDisconnect")),
        "asked: {asked:?}"
    );
    Ok(())
}

fn an_early_connection_that_a_call_pauses_is_suspended(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let caller = s.source(pair.domain, "caller", "phone")?;
    let (_, id) = announce(s, pair, 2)?;
    let call = s.connected(caller, pair.sink)?;
    s.is_in(id, SUSPENDED)?;
    s.disconnect(call)?;
    s.is_in(id, CONNECTED)
}

fn early_connections_are_checked(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let stranger = s.domain("stranger")?;
    same("a state that is none of it", announce(s, pair, 1)?.0, 2)?;
    same(
        "an unknown source",
        announce(s, Pair { source: 32000, ..pair }, 2)?.0,
        8,
    )?;
    same(
        "another domain's",
        announce(
            s,
            Pair {
                domain: stranger,
                ..pair
            },
            2,
        )?
        .0,
        7,
    )?;
    let route = vec![(pair.source, pair.sink, 32000_u16, 2_u16)];
    let body = (32000_u16, pair.source, pair.sink, route, 2_u16);
    same(
        "an unknown domain",
        s.code(pair.domain, "registerEarlyConnection", &body)?,
        4,
    )?;
    same("the first", announce(s, pair, 2)?.0, 0)?;
    same("again", announce(s, pair, 2)?.0, 5)
}

/// `am_DomainState_e` of one that goes on without the daemon.
const INDEPENDENT_RUNDOWN: i16 = 3;

fn rundown_is_told_and_connections_offered_to_one_domain_after_the_other(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let (first, second) = (s.domain("keeper-a")?, s.domain("keeper-b")?);
    for domain in [first, second] {
        let id = s.domains[domain].id;
        s.hook(domain, "hookDomainStateChange", &(id, INDEPENDENT_RUNDOWN))?;
    }
    s.connected(pair.source, pair.sink)?;
    s.acks(first, Acks::Refuses("asyncTransferConnection", 7));
    s.subject.ask_to_end();
    s.until("the offers", |s| !s.domains[second].asked.is_empty())?;
    s.until("setRoutingRundown", |s| {
        s.domains[first].heard.iter().any(|it| it == "setRoutingRundown")
    })?;
    let id = s.domains[second].id;
    s.tell(second, "confirmRoutingRundown", &id)?;
    s.subject.ended()?;
    for domain in [first, second] {
        let asked = s.asked_of(domain);
        let id = s.domains[domain].id;
        same(
            "asked",
            asked.join("; "),
            format!("asyncTransferConnection {id} ((\"tuner\" \"speakers\")) 2"),
        )?;
    }
    restart(s)
}

/// Starts the daemon, which knows no domain any more.
fn restart(s: &mut Stage) -> Result<()> {
    s.subject.begin()?;
    s.wait_for_daemon()?;
    s.domains.iter_mut().for_each(|it| it.id = 0);
    Ok(())
}

fn end_and_restart(s: &mut Stage) -> Result<()> {
    s.subject.ask_to_end();
    s.subject.ended()?;
    restart(s)
}

fn ids_of_names_survive_a_restart(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let filler = s.source_of(pair.domain, "kept-filler", &Element::default())?;
    let kept = s.source_of(pair.domain, "kept", &Element::default())?;
    ensure!(filler != kept, "one ID for two names");
    end_and_restart(s)?;
    same("kept", s.registered(pair.domain, "peekSource", &"kept")?, kept)
}

/// The configuration's own sink, `cabin`.
fn the_volume_of_the_daemons_own_sink_survives_a_restart(s: &mut Stage) -> Result<()> {
    let own = |s: &mut Stage| -> Result<(u16, i64)> {
        let sinks = s.call("GetListMainSinks", &())?;
        let cabin = sinks[1].items().iter().find(|it| it.items()[1].text() == "cabin");
        let cabin = cabin.map(|it| it.items().to_vec()).unwrap_or_default();
        let number = |at: usize| cabin.get(at).and_then(Value::int).unwrap_or(-1);
        ensure!(number(0) > 0, "there is no sink `cabin`: {}", listed(&sinks));
        Ok((number(0) as u16, number(3)))
    };
    let (sink, _) = own(s)?;
    same("code", s.command("SetVolume", &(sink, 33_i16))?, 0)?;
    s.hears(&format!("VolumeChanged {sink} 33"))?;
    end_and_restart(s)?;
    same("volume", own(s)?.1, 33)?;
    same("code", s.command("SetVolume", &(sink, 100_i16))?, 0)?;
    s.settle()
}
