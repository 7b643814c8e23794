//! What domains register, change, peek and take away, and the codes for what is wrong with it.

use anyhow::{Result, ensure};

use super::cases;
use super::routes::converter;
use crate::am_suite::domain::{Element, GatewayData};
use crate::am_suite::stage::{Stage, same};
use crate::am_suite::value::listed;

cases![
    a_domain_is_registered_under_the_name_its_connection_owns,
    a_domains_name_and_static_id_are_its_own,
    a_domain_without_a_name_is_refused,
    a_sink_is_told_and_listed,
    a_source_is_told_and_listed,
    an_invisible_element_is_neither_told_nor_listed,
    elements_names_and_static_ids_are_their_own,
    elements_are_registered_by_their_domains_connection_only,
    elements_without_a_name_are_refused,
    an_element_of_an_unknown_domain_is_refused,
    gateways_are_checked,
    converters_are_checked,
    crossfaders_are_checked,
    deregistering_an_unknown_id_answers_8,
    deregistering_anothers_answers_7,
    deregistered_elements_are_gone_and_told,
    a_peeked_name_has_its_id_when_it_is_registered,
    peeking_without_a_name_answers_2,
    a_class_is_peeked_by_its_name_and_an_unknown_one_answers_8_and_no_id,
    the_domain_of_a_source_and_of_a_sink_are_looked_up_as_such,
    an_update_is_told,
    updates_are_checked,
    classes_are_listed_as_those_of_sources_and_of_sinks,
];

fn refused(
    s: &mut Stage,
    from: usize,
    member: &str,
    body: &(impl serde::Serialize + zbus::DynamicType),
    code: i64,
) -> Result<()> {
    let answer = s.routing_call(Some(from), member, body)?;
    same(member, listed(&answer), format!("0 {code}"))
}

fn a_domain_is_registered_under_the_name_its_connection_owns(s: &mut Stage) -> Result<()> {
    let (owner, thief) = (s.join()?, s.join()?);
    let mut body = s.domain_body(thief, 0, "amplifier", 1);
    body.1 = s.domains[owner].bus_name.clone();
    refused(s, thief, "registerDomain", &body, 7)?;
    body.1 = "org.carillon.suite.nobodys".to_owned();
    refused(s, thief, "registerDomain", &body, 7)?;
    s.register(owner, "amplifier")
}

fn a_domains_name_and_static_id_are_its_own(s: &mut Stage) -> Result<()> {
    s.domain("amplifier")?;
    let second = s.join()?;
    let body = s.domain_body(second, 0, "amplifier", 1);
    refused(s, second, "registerDomain", &body, 5)?;
    let dynamic = s.domain_body(second, 300, "other", 1);
    refused(s, second, "registerDomain", &dynamic, 7)?;
    let fixed = s.domain_body(second, 42, "fixed", 1);
    same("static ID", s.registered(second, "registerDomain", &fixed)?, 42)?;
    s.domains[second].id = 42;
    let third = s.join()?;
    let taken = s.domain_body(third, 42, "third", 1);
    refused(s, third, "registerDomain", &taken, 5)
}

fn a_domain_without_a_name_is_refused(s: &mut Stage) -> Result<()> {
    let domain = s.join()?;
    let body = s.domain_body(domain, 0, "", 1);
    refused(s, domain, "registerDomain", &body, 2)
}

fn a_sink_is_told_and_listed(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let sink = s.sink(domain, "speakers")?;
    let class = s.class("media")?;
    let row = format!("({sink} \"speakers\" (1 0) 100 2 {class})");
    s.hears(&format!("SinkAdded {row}"))?;
    let list = listed(&s.call("GetListMainSinks", &())?);
    ensure!(list.contains(&row), "{list}");
    Ok(())
}

fn a_source_is_told_and_listed(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let source = s.source(domain, "tuner", "navigation")?;
    let class = s.class("navigation")?;
    let row = format!("({source} \"tuner\" (1 0) {class})");
    s.hears(&format!("SourceAdded {row}"))?;
    let list = listed(&s.call("GetListMainSources", &())?);
    ensure!(list.contains(&row), "{list}");
    Ok(())
}

fn an_invisible_element_is_neither_told_nor_listed(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let hidden = Element {
        visible: false,
        ..Element::default()
    };
    s.settle()?;
    s.heard.clear();
    s.sink_of(domain, "hidden", &hidden)?;
    s.source_of(domain, "hidden", &hidden)?;
    s.settle()?;
    same("signals", s.heard.join("; "), "")?;
    let lists = format!(
        "{} {}",
        listed(&s.call("GetListMainSinks", &())?),
        listed(&s.call("GetListMainSources", &())?)
    );
    ensure!(!lists.contains("hidden"), "{lists}");
    Ok(())
}

fn elements_names_and_static_ids_are_their_own(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let id = s.domains[pair.domain].id;
    let wanting = |id| Element {
        id,
        ..Element::default()
    };
    let (sink, source) = (
        s.sink_body(id, "speakers", &wanting(0))?,
        s.source_body(id, "tuner", &wanting(0))?,
    );
    refused(s, pair.domain, "registerSink", &sink, 5)?;
    refused(s, pair.domain, "registerSource", &source, 5)?;
    let (sink, source) = (
        s.sink_body(id, "x", &wanting(101))?,
        s.source_body(id, "x", &wanting(101))?,
    );
    refused(s, pair.domain, "registerSink", &sink, 7)?;
    refused(s, pair.domain, "registerSource", &source, 7)?;
    same("sink", s.sink_of(pair.domain, "fixed", &wanting(7))?, 7)?;
    same("source", s.source_of(pair.domain, "fixed", &wanting(7))?, 7)?;
    let (sink, source) = (s.sink_body(id, "y", &wanting(7))?, s.source_body(id, "y", &wanting(7))?);
    refused(s, pair.domain, "registerSink", &sink, 5)?;
    refused(s, pair.domain, "registerSource", &source, 5)
}

fn elements_are_registered_by_their_domains_connection_only(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let stranger = s.domain("stranger")?;
    let id = s.domains[pair.domain].id;
    let element = Element::default();
    let (sink, source) = (
        s.sink_body(id, "smuggled", &element)?,
        s.source_body(id, "smuggled", &element)?,
    );
    refused(s, stranger, "registerSink", &sink, 7)?;
    refused(s, stranger, "registerSource", &source, 7)
}

fn elements_without_a_name_are_refused(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let id = s.domains[domain].id;
    let element = Element::default();
    let (sink, source) = (s.sink_body(id, "", &element)?, s.source_body(id, "", &element)?);
    refused(s, domain, "registerSink", &sink, 2)?;
    refused(s, domain, "registerSource", &source, 2)
}

fn an_element_of_an_unknown_domain_is_refused(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let element = Element::default();
    let (sink, source) = (
        s.sink_body(32000, "lost", &element)?,
        s.source_body(32000, "lost", &element)?,
    );
    refused(s, domain, "registerSink", &sink, 4)?;
    refused(s, domain, "registerSource", &source, 4)
}

fn gateways_are_checked(s: &mut Stage) -> Result<()> {
    let (here, there, stranger) = (s.domain("here")?, s.domain("there")?, s.domain("stranger")?);
    let out = s.sink(here, "out")?;
    let into = s.source(there, "in", "media")?;
    let right = s.gateway_data("gateway", (here, out), (there, into));
    let wrong = |change: &dyn Fn(&mut GatewayData)| {
        let mut data = right.clone();
        change(&mut data);
        (data,)
    };
    refused(s, here, "registerGateway", &wrong(&|it| it.name.clear()), 2)?;
    refused(s, here, "registerGateway", &wrong(&|it| it.matrix = vec![true; 3]), 2)?;
    refused(s, here, "registerGateway", &wrong(&|it| it.control_domain = 32000), 4)?;
    refused(s, here, "registerGateway", &wrong(&|it| it.sink = 32000), 8)?;
    refused(s, here, "registerGateway", &wrong(&|it| it.source = 32000), 8)?;
    refused(s, here, "registerGateway", &wrong(&|it| it.id = 500), 7)?;
    refused(s, stranger, "registerGateway", &wrong(&|_| {}), 7)?;
    s.registered(here, "registerGateway", &(right.clone(),))?;
    refused(s, here, "registerGateway", &(right.clone(),), 5)
}

fn converters_are_checked(s: &mut Stage) -> Result<()> {
    let (pair, data) = converter(s)?;
    let stranger = s.domain("stranger")?;
    let wrong = |change: &dyn Fn(&mut super::routes::ConverterData)| {
        let mut data = data.clone();
        change(&mut data);
        (data,)
    };
    let d = pair.domain;
    refused(s, d, "registerConverter", &wrong(&|it| it.name.clear()), 2)?;
    refused(s, d, "registerConverter", &wrong(&|it| it.matrix.clear()), 2)?;
    refused(s, d, "registerConverter", &wrong(&|it| it.domain = 32000), 4)?;
    refused(s, d, "registerConverter", &wrong(&|it| it.sink = 32000), 8)?;
    refused(s, stranger, "registerConverter", &wrong(&|_| {}), 7)?;
    let id = s.registered(d, "registerConverter", &(data.clone(),))?;
    refused(s, d, "registerConverter", &(data.clone(),), 5)?;
    let update = |id: u16, cells: usize| (id, vec![2_i32], vec![1_i32], vec![true; cells]);
    same("updateConverter", s.code(d, "updateConverter", &update(id, 1))?, 0)?;
    same("a wrong size", s.code(d, "updateConverter", &update(id, 2))?, 2)?;
    same("unknown", s.code(d, "updateConverter", &update(32000, 1))?, 8)?;
    same("another's", s.code(stranger, "updateConverter", &update(id, 1))?, 7)?;
    same("another's", s.code(stranger, "deregisterConverter", &id)?, 7)?;
    same("deregisterConverter", s.code(d, "deregisterConverter", &id)?, 0)?;
    same("again", s.code(d, "deregisterConverter", &id)?, 8)
}

fn crossfaders_are_checked(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let stranger = s.domain("stranger")?;
    let other = s.sink(pair.domain, "second")?;
    let d = pair.domain;
    let body = |id: u16, name: &str, b: u16| ((id, name.to_owned(), pair.sink, b, pair.source, 1_u16),);
    refused(s, d, "registerCrossfader", &body(0, "", other), 2)?;
    refused(s, d, "registerCrossfader", &body(0, "fader", pair.sink), 2)?;
    refused(s, d, "registerCrossfader", &body(0, "fader", 32000), 8)?;
    refused(s, d, "registerCrossfader", &body(500, "fader", other), 7)?;
    refused(s, stranger, "registerCrossfader", &body(0, "fader", other), 7)?;
    let id = s.registered(d, "registerCrossfader", &body(0, "fader", other))?;
    refused(s, d, "registerCrossfader", &body(0, "fader", other), 5)?;
    same("another's", s.code(stranger, "deregisterCrossfader", &(id as i16))?, 7)?;
    same(
        "deregisterCrossfader",
        s.code(d, "deregisterCrossfader", &(id as i16))?,
        0,
    )?;
    same("again", s.code(d, "deregisterCrossfader", &(id as i16))?, 8)
}

fn deregistering_an_unknown_id_answers_8(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    for member in ["deregisterDomain", "deregisterGateway", "deregisterConverter"] {
        same(member, s.code(domain, member, &32000_u16)?, 8)?;
    }
    for member in ["deregisterSink", "deregisterSource", "deregisterCrossfader"] {
        same(member, s.code(domain, member, &32000_i16)?, 8)?;
    }
    Ok(())
}

fn deregistering_anothers_answers_7(s: &mut Stage) -> Result<()> {
    let (here, there, stranger) = (s.domain("here")?, s.domain("there")?, s.domain("stranger")?);
    let out = s.sink(here, "out")?;
    let into = s.source(there, "in", "media")?;
    let gateway = s.gateway("gateway", (here, out), (there, into))?;
    let domain = s.domains[here].id;
    same("domain", s.code(stranger, "deregisterDomain", &domain)?, 7)?;
    same("gateway", s.code(stranger, "deregisterGateway", &gateway)?, 7)?;
    same("sink", s.code(stranger, "deregisterSink", &(out as i16))?, 7)?;
    same("source", s.code(stranger, "deregisterSource", &(into as i16))?, 7)
}

fn deregistered_elements_are_gone_and_told(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    same("sink", s.code(pair.domain, "deregisterSink", &(pair.sink as i16))?, 0)?;
    same(
        "source",
        s.code(pair.domain, "deregisterSource", &(pair.source as i16))?,
        0,
    )?;
    s.hears(&format!("SinkRemoved {}", pair.sink))?;
    s.hears(&format!("SourceRemoved {}", pair.source))?;
    same(
        "sink again",
        s.code(pair.domain, "deregisterSink", &(pair.sink as i16))?,
        8,
    )?;
    let domain = s.domains[pair.domain].id;
    same("domain", s.code(pair.domain, "deregisterDomain", &domain)?, 0)?;
    same("domain again", s.code(pair.domain, "deregisterDomain", &domain)?, 8)
}

fn a_peeked_name_has_its_id_when_it_is_registered(s: &mut Stage) -> Result<()> {
    let domain = s.join()?;
    let id = s.registered(domain, "peekDomain", &"peeked")?;
    ensure!(id != 0, "no ID");
    s.register(domain, "peeked")?;
    same("domain", s.domains[domain].id, id)?;
    let sink = s.registered(domain, "peekSink", &"peeked-sink")?;
    same("sink", s.sink(domain, "peeked-sink")?, sink)?;
    let source = s.registered(domain, "peekSource", &"peeked-source")?;
    same("source", s.source(domain, "peeked-source", "media")?, source)?;
    same(
        "once more",
        s.registered(domain, "peekSource", &"peeked-source")?,
        source,
    )
}

fn peeking_without_a_name_answers_2(s: &mut Stage) -> Result<()> {
    let domain = s.join()?;
    for member in ["peekDomain", "peekSink", "peekSource"] {
        refused(s, domain, member, &"", 2)?;
    }
    Ok(())
}

/// Facts §2.2: AudioManager's ID is what was in memory.
fn a_class_is_peeked_by_its_name_and_an_unknown_one_answers_8_and_no_id(s: &mut Stage) -> Result<()> {
    let domain = s.join()?;
    let media = s.registered(domain, "peekSourceClassID", &"media")?;
    same("of sinks", s.registered(domain, "peekSinkClassID", &"media")?, media)?;
    refused(s, domain, "peekSourceClassID", &"no-such-class", 8)?;
    refused(s, domain, "peekSinkClassID", &"no-such-class", 8)
}

/// Facts §2.2: AudioManager looks a sink up as a source.
fn the_domain_of_a_source_and_of_a_sink_are_looked_up_as_such(s: &mut Stage) -> Result<()> {
    let (first, second) = (s.domain("first")?, s.domain("second")?);
    let fixed = |id| Element {
        id,
        ..Element::default()
    };
    s.sink_of(first, "one-sink", &fixed(9))?;
    s.source_of(second, "one-source", &fixed(9))?;
    let (of_sink, of_source) = (s.domains[first].id, s.domains[second].id);
    same("of the sink", s.registered(first, "getDomainOfSink", &9_u16)?, of_sink)?;
    same(
        "of the source",
        s.registered(first, "getDomainOfSource", &9_u16)?,
        of_source,
    )?;
    refused(s, first, "getDomainOfSink", &32000_u16, 8)?;
    refused(s, first, "getDomainOfSource", &32000_u16, 8)
}

fn an_update_is_told(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let class = s.class("phone")?;
    let body = |id: u16| (id, class, Vec::<(i32, i16)>::new(), vec![1_i32], vec![(1_i32, 4_i16)]);
    same("sink", s.code(pair.domain, "updateSink", &body(pair.sink))?, 0)?;
    same("source", s.code(pair.domain, "updateSource", &body(pair.source))?, 0)?;
    s.hears(&format!("SinkUpdated {} {class} ((1 4))", pair.sink))?;
    s.hears(&format!("SourceUpdated {} {class} ((1 4))", pair.source))?;
    same(
        "list",
        listed(&s.call("GetListMainSinkSoundProperties", &pair.sink)?),
        "0 ((1 4))",
    )
}

fn updates_are_checked(s: &mut Stage) -> Result<()> {
    let (here, there, stranger) = (s.domain("here")?, s.domain("there")?, s.domain("stranger")?);
    let out = s.sink(here, "out")?;
    let into = s.source(there, "in", "media")?;
    let gateway = s.gateway("gateway", (here, out), (there, into))?;
    let class = s.class("media")?;
    let body = |id: u16, formats: usize| {
        (
            id,
            class,
            Vec::<(i32, i16)>::new(),
            vec![1_i32; formats],
            Vec::<(i32, i16)>::new(),
        )
    };
    let bridge = |id: u16, cells: usize| (id, vec![1_i32], vec![1_i32], vec![true; cells]);
    same("unknown sink", s.code(here, "updateSink", &body(32000, 1))?, 8)?;
    same("unknown source", s.code(here, "updateSource", &body(32000, 1))?, 8)?;
    same("unknown gateway", s.code(here, "updateGateway", &bridge(32000, 1))?, 8)?;
    same("another's sink", s.code(stranger, "updateSink", &body(out, 1))?, 7)?;
    same("another's source", s.code(stranger, "updateSource", &body(into, 1))?, 7)?;
    same(
        "another's gateway",
        s.code(stranger, "updateGateway", &bridge(gateway, 1))?,
        7,
    )?;
    same(
        "a sink's list that is too long",
        s.code(here, "updateSink", &body(out, 33))?,
        2,
    )?;
    same("a source's", s.code(there, "updateSource", &body(into, 33))?, 2)?;
    same("a wrong size", s.code(here, "updateGateway", &bridge(gateway, 2))?, 2)
}

fn classes_are_listed_as_those_of_sources_and_of_sinks(s: &mut Stage) -> Result<()> {
    let sources = listed(&s.call("GetListSourceClasses", &())?);
    for class in ["media", "navigation", "phone", "traffic"] {
        let id = s.class(class)?;
        ensure!(sources.contains(&format!("({id} \"{class}\" ")), "{sources}");
    }
    same("of sinks", listed(&s.call("GetListSinkClasses", &())?), sources)
}
