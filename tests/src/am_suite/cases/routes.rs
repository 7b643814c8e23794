//! Routes over domains: gateways, converters, formats, and the order things are connected in.

use anyhow::{Result, ensure};

use super::cases;
use crate::am_suite::domain::{Acks, Element, GatewayData};
use crate::am_suite::elements::Pair;
use crate::am_suite::stage::{Stage, same};
use crate::am_suite::words::state::CONNECTED;

cases![
    a_route_in_one_domain,
    a_route_over_two_domains,
    a_route_over_three_domains,
    a_route_over_four_domains,
    the_shortest_of_several_routes_is_taken,
    a_route_enters_a_domain_again_where_there_is_no_other,
    a_route_enters_no_domain_again_where_there_is_another,
    a_route_enters_a_domain_again_once_only,
    a_gateway_without_a_true_cell_leads_nowhere,
    a_deregistered_gateway_leads_nowhere,
    stereo_is_chosen_before_mono,
    mono_is_chosen_where_nothing_else_is_common,
    a_format_neither_mono_nor_stereo_is_chosen_where_it_is_common,
    a_gateway_converts_the_format,
    a_conversion_matrix_is_read_row_by_row,
    a_gateway_that_converts_to_nothing_the_sink_takes_leads_nowhere,
    a_converter_inside_a_domain_bridges_formats,
    an_updated_gateway_leads_on,
    an_updated_source_is_connected_in_its_new_format,
    a_shared_segment_keeps_its_format,
    playback_connects_the_sink_side_first_and_turns_sources_on_towards_the_main_source,
    disconnecting_goes_the_other_way_round,
    a_source_without_states_is_sent_none,
    a_shared_segment_stays_while_another_connection_uses_it,
    a_shared_gateway_source_stays_on_while_another_connection_uses_it,
    what_was_shared_goes_with_the_last_connection,
    the_connect_goes_to_the_domain_of_the_source,
];

fn over(s: &mut Stage, length: usize) -> Result<()> {
    let (domains, source, sink) = s.chain(length)?;
    let id = s.connected(source, sink)?;
    for domain in domains {
        let asked = s.asked_of(domain);
        let connects = asked.iter().filter(|it| it.starts_with("asyncConnect")).count();
        ensure!(connects == 1, "asked of one domain: {asked:?}");
    }
    s.disconnect(id)?;
    s.is_gone(id)
}

fn a_route_in_one_domain(s: &mut Stage) -> Result<()> {
    over(s, 1)
}

fn a_route_over_two_domains(s: &mut Stage) -> Result<()> {
    over(s, 2)
}

fn a_route_over_three_domains(s: &mut Stage) -> Result<()> {
    over(s, 3)
}

fn a_route_over_four_domains(s: &mut Stage) -> Result<()> {
    over(s, 4)
}

fn connects(s: &mut Stage, domain: usize) -> usize {
    s.asked_of(domain)
        .iter()
        .filter(|it| it.starts_with("asyncConnect"))
        .count()
}

fn the_shortest_of_several_routes_is_taken(s: &mut Stage) -> Result<()> {
    let (domains, source, sink) = s.chain(3)?;
    let (first, middle, last) = (domains[0], domains[1], domains[2]);
    let out = s.sink(first, "short-out")?;
    let into = s.source(last, "short-in", "media")?;
    s.gateway("short", (first, out), (last, into))?;
    s.connected(source, sink)?;
    same(
        "segments",
        format!("{:?}", [connects(s, first), connects(s, middle), connects(s, last)]),
        "[1, 0, 1]",
    )
}

/// here: far -> out; there: in -> back; here again: again -> near. The direct way has no format in common.
fn round_trip(s: &mut Stage, direct: &[i32]) -> Result<(usize, usize, u16, u16)> {
    let (here, there) = (s.domain("here")?, s.domain("there")?);
    let source = s.source_of(here, "far", &Element::formats(&[1]))?;
    let out = s.sink_of(here, "out", &Element::formats(&[1]))?;
    let into = s.source(there, "in", "media")?;
    let back = s.sink(there, "back")?;
    let again = s.source_of(here, "again", &Element::formats(&[2]))?;
    let sink = s.sink_of(here, "near", &Element::formats(direct))?;
    s.gateway("gateway-out", (here, out), (there, into))?;
    s.gateway("gateway-back", (there, back), (here, again))?;
    Ok((here, there, source, sink))
}

fn a_route_enters_a_domain_again_where_there_is_no_other(s: &mut Stage) -> Result<()> {
    let (here, there, source, sink) = round_trip(s, &[2])?;
    // Mono to the other domain, stereo from there on: its own segment converts nothing, the gateway does.
    let mono_to_stereo = s.domains[here].id;
    ensure!(mono_to_stereo != 0, "registered");
    let (code, _) = s.try_connect(source, sink)?;
    same("as long as no gateway converts", code, 7)?;
    let into = s.source_of(there, "in2", &Element::formats(&[2]))?;
    let out = s.sink_of(here, "out2", &Element::formats(&[1]))?;
    let gateway = GatewayData {
        source_formats: vec![2],
        sink_formats: vec![1],
        matrix: vec![true],
        ..s.gateway_data("converts", (here, out), (there, into))
    };
    s.registered(here, "registerGateway", &(gateway,))?;
    s.connected(source, sink)?;
    same(
        "segments",
        format!("{:?}", [connects(s, here), connects(s, there)]),
        "[2, 1]",
    )
}

fn a_route_enters_no_domain_again_where_there_is_another(s: &mut Stage) -> Result<()> {
    let (here, there, source, sink) = round_trip(s, &[1, 2])?;
    s.connected(source, sink)?;
    same(
        "segments",
        format!("{:?}", [connects(s, here), connects(s, there)]),
        "[1, 0]",
    )
}

/// Two round trips would be needed.
fn a_route_enters_a_domain_again_once_only(s: &mut Stage) -> Result<()> {
    let domains = [s.domain("here")?, s.domain("there")?];
    let source = s.source_of(domains[0], "far", &Element::formats(&[11]))?;
    for (hop, format) in (0..4_usize).zip(11..) {
        let (from, to) = (domains[hop % 2], domains[(hop + 1) % 2]);
        let out = s.sink_of(from, &format!("out{hop}"), &Element::formats(&[format]))?;
        let into = s.source_of(to, &format!("in{hop}"), &Element::formats(&[format + 1]))?;
        let gateway = GatewayData {
            source_formats: vec![format + 1],
            sink_formats: vec![format],
            matrix: vec![true],
            ..s.gateway_data(&format!("gateway{hop}"), (from, out), (to, into))
        };
        s.registered(from, "registerGateway", &(gateway,))?;
    }
    let near = s.sink_of(domains[0], "near", &Element::formats(&[13]))?;
    let far = s.sink_of(domains[0], "farther", &Element::formats(&[15]))?;
    same("entered again once", s.try_connect(source, near)?.0, 0)?;
    same(
        "entered again twice",
        format!("{:?}", s.try_connect(source, far)?),
        "(7, 0)",
    )?;
    s.settle()
}

fn two_domains(s: &mut Stage, change: impl FnOnce(&mut GatewayData)) -> Result<(usize, usize, Pair, u16)> {
    let (here, there) = (s.domain("here")?, s.domain("there")?);
    let source = s.source(here, "far", "media")?;
    let out = s.sink(here, "out")?;
    let into = s.source(there, "in", "media")?;
    let sink = s.sink(there, "near")?;
    let mut data = s.gateway_data("gateway", (here, out), (there, into));
    change(&mut data);
    let gateway = s.registered(here, "registerGateway", &(data,))?;
    let pair = Pair {
        domain: here,
        source,
        sink,
    };
    Ok((here, there, pair, gateway))
}

fn a_gateway_without_a_true_cell_leads_nowhere(s: &mut Stage) -> Result<()> {
    let (.., pair, _) = two_domains(s, |it| it.matrix = vec![false; 4])?;
    same(
        "answer",
        format!("{:?}", s.try_connect(pair.source, pair.sink)?),
        "(7, 0)",
    )
}

fn a_deregistered_gateway_leads_nowhere(s: &mut Stage) -> Result<()> {
    let (here, _, pair, gateway) = two_domains(s, |_| {})?;
    same("code", s.code(here, "deregisterGateway", &gateway)?, 0)?;
    same(
        "answer",
        format!("{:?}", s.try_connect(pair.source, pair.sink)?),
        "(7, 0)",
    )
}

/// The format of the connect a domain was asked for.
fn format_in(s: &mut Stage, domain: usize) -> Result<String> {
    let asked = s.asked_of(domain);
    let connect = asked.iter().find(|it| it.starts_with("asyncConnect"));
    let format = connect.and_then(|it| it.rsplit(' ').next()).map(str::to_owned);
    format.ok_or_else(|| anyhow::anyhow!("no asyncConnect; {}", s.story()))
}

fn connected_in(s: &mut Stage, source: &[i32], sink: &[i32], wanted: &str) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let source = s.source_of(domain, "tuner", &Element::formats(source))?;
    let sink = s.sink_of(domain, "speakers", &Element::formats(sink))?;
    s.connected(source, sink)?;
    same("format", format_in(s, domain)?, wanted)
}

fn stereo_is_chosen_before_mono(s: &mut Stage) -> Result<()> {
    connected_in(s, &[1, 2], &[2, 1], "2")
}

fn mono_is_chosen_where_nothing_else_is_common(s: &mut Stage) -> Result<()> {
    connected_in(s, &[1, 2], &[3, 1], "1")
}

fn a_format_neither_mono_nor_stereo_is_chosen_where_it_is_common(s: &mut Stage) -> Result<()> {
    connected_in(s, &[1, 3], &[2, 3], "3")
}

fn a_gateway_converts_the_format(s: &mut Stage) -> Result<()> {
    let (here, there, pair, _) = two_domains(s, |it| {
        (it.sink_formats, it.source_formats, it.matrix) = (vec![2], vec![1], vec![true]);
    })?;
    s.connected(pair.source, pair.sink)?;
    same(
        "formats",
        format!("{} {}", format_in(s, here)?, format_in(s, there)?),
        "2 1",
    )
}

/// Rows are the sink's formats: 2 becomes 3, 1 becomes nothing. Read column by column, 1 would become 3.
fn a_conversion_matrix_is_read_row_by_row(s: &mut Stage) -> Result<()> {
    let (here, there) = (s.domain("here")?, s.domain("there")?);
    let source = s.source(here, "far", "media")?;
    let out = s.sink(here, "out")?;
    let into = s.source_of(there, "in", &Element::formats(&[1, 2, 3]))?;
    let sink = s.sink_of(there, "near", &Element::formats(&[3]))?;
    let data = GatewayData {
        sink_formats: vec![1, 2],
        source_formats: vec![1, 2, 3],
        matrix: vec![true, false, false, false, false, true],
        ..s.gateway_data("gateway", (here, out), (there, into))
    };
    s.registered(here, "registerGateway", &(data,))?;
    s.connected(source, sink)?;
    same(
        "formats",
        format!("{} {}", format_in(s, here)?, format_in(s, there)?),
        "2 3",
    )
}

fn a_gateway_that_converts_to_nothing_the_sink_takes_leads_nowhere(s: &mut Stage) -> Result<()> {
    let (here, there) = (s.domain("here")?, s.domain("there")?);
    let source = s.source(here, "far", "media")?;
    let out = s.sink(here, "out")?;
    let into = s.source(there, "in", "media")?;
    let sink = s.sink_of(there, "near", &Element::formats(&[1]))?;
    let data = GatewayData {
        source_formats: vec![2],
        matrix: vec![true, true],
        ..s.gateway_data("gateway", (here, out), (there, into))
    };
    s.registered(here, "registerGateway", &(data,))?;
    same("answer", format!("{:?}", s.try_connect(source, sink)?), "(7, 0)")
}

/// `(qsqqqaiaiab)`.
#[derive(Clone, serde::Serialize, zbus::Type)]
pub(super) struct ConverterData {
    pub id: u16,
    pub name: String,
    pub sink: u16,
    pub source: u16,
    pub domain: u16,
    pub source_formats: Vec<i32>,
    pub sink_formats: Vec<i32>,
    pub matrix: Vec<bool>,
}

pub(super) fn converter(s: &mut Stage) -> Result<(Pair, ConverterData)> {
    let domain = s.domain("amplifier")?;
    let source = s.source_of(domain, "tuner", &Element::formats(&[1]))?;
    let sink = s.sink_of(domain, "speakers", &Element::formats(&[2]))?;
    let into = s.sink_of(domain, "converter-in", &Element::formats(&[1]))?;
    let out = s.source_of(domain, "converter-out", &Element::formats(&[2]))?;
    let data = ConverterData {
        id: 0,
        name: "converter".to_owned(),
        sink: into,
        source: out,
        domain: s.domains[domain].id,
        source_formats: vec![2],
        sink_formats: vec![1],
        matrix: vec![true],
    };
    Ok((Pair { domain, source, sink }, data))
}

fn a_converter_inside_a_domain_bridges_formats(s: &mut Stage) -> Result<()> {
    let (pair, data) = converter(s)?;
    same("without", s.try_connect(pair.source, pair.sink)?.0, 7)?;
    s.registered(pair.domain, "registerConverter", &(data,))?;
    s.connected(pair.source, pair.sink)?;
    same("segments", connects(s, pair.domain), 2)
}

fn an_updated_gateway_leads_on(s: &mut Stage) -> Result<()> {
    let (here, _, pair, gateway) = two_domains(s, |it| it.matrix = vec![false; 4])?;
    same("before", s.try_connect(pair.source, pair.sink)?.0, 7)?;
    let update = (gateway, vec![1_i32, 2], vec![1_i32, 2], vec![true, false, false, true]);
    same("code", s.code(here, "updateGateway", &update)?, 0)?;
    s.connected(pair.source, pair.sink)?;
    Ok(())
}

fn an_updated_source_is_connected_in_its_new_format(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let class = s.class("media")?;
    let none = Vec::<(i32, i16)>::new;
    let update = (pair.source, class, none(), vec![1_i32], none());
    same("code", s.code(pair.domain, "updateSource", &update)?, 0)?;
    s.connected(pair.source, pair.sink)?;
    same("format", format_in(s, pair.domain)?, "1")
}

/// Two sources, one gateway, one sink.
fn shared(s: &mut Stage) -> Result<(usize, usize, [u16; 2], u16)> {
    let (here, there, pair, _) = two_domains(s, |_| {})?;
    let second = s.source(here, "prompt", "navigation")?;
    Ok((here, there, [pair.source, second], pair.sink))
}

fn a_shared_segment_keeps_its_format(s: &mut Stage) -> Result<()> {
    let (here, there, sources, sink) = shared(s)?;
    s.connected(sources[0], sink)?;
    s.asked_of(there);
    s.connected(sources[1], sink)?;
    same("format", format_in(s, here)?, "2")?;
    same("segments of the shared part", connects(s, there), 0)
}

fn playback_connects_the_sink_side_first_and_turns_sources_on_towards_the_main_source(s: &mut Stage) -> Result<()> {
    let (domains, source, sink) = s.chain(3)?;
    for domain in &domains {
        s.acks(*domain, Acks::ByHand);
    }
    let id = s.connect(source, sink)?;
    let (first, middle, last) = (domains[0], domains[1], domains[2]);
    let order = [
        (last, "asyncSetSinkVolume"),
        (last, "asyncConnect"),
        (middle, "asyncConnect"),
        (first, "asyncConnect"),
        (last, "asyncSetSourceState"),
        (middle, "asyncSetSourceState"),
        (first, "asyncSetSourceState"),
        (last, "asyncSetSinkVolume"),
    ];
    for (domain, member) in order {
        s.settle()?;
        let open: usize = s.domains.iter().flat_map(|it| &it.asked).filter(|it| !it.done).count();
        same("requests open at a time", open, 1)?;
        let request = s.next_request(domain, member)?;
        s.ack(domain, &request, 0)?;
    }
    s.wait_for_state(id, CONNECTED)?;
    domains.iter().for_each(|domain| s.acks(*domain, Acks::All));
    Ok(())
}

fn disconnecting_goes_the_other_way_round(s: &mut Stage) -> Result<()> {
    let (domains, source, sink) = s.chain(2)?;
    let id = s.connected(source, sink)?;
    domains.iter().for_each(|domain| s.acks(*domain, Acks::ByHand));
    s.disconnect(id)?;
    let (first, last) = (domains[0], domains[1]);
    for (domain, member) in [
        (first, "asyncSetSourceState"),
        (last, "asyncSetSourceState"),
        (first, "asyncDisconnect"),
        (last, "asyncDisconnect"),
    ] {
        let request = s.next_request(domain, member)?;
        s.ack(domain, &request, 0)?;
    }
    s.wait_until_gone(id)
}

fn a_source_without_states_is_sent_none(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let simple = Element {
        state: 0,
        ..Element::default()
    };
    let source = s.source_of(pair.domain, "simple", &simple)?;
    let id = s.connected(source, pair.sink)?;
    s.disconnect(id)?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        !asked.iter().any(|it| it.starts_with("asyncSetSourceState")),
        "asked: {asked:?}"
    );
    Ok(())
}

fn a_shared_segment_stays_while_another_connection_uses_it(s: &mut Stage) -> Result<()> {
    let (_, there, sources, sink) = shared(s)?;
    let music = s.connected(sources[0], sink)?;
    let prompt = s.connected(sources[1], sink)?;
    s.asked_of(there);
    s.disconnect(music)?;
    s.is_gone(music)?;
    s.is_in(prompt, CONNECTED)?;
    s.was_asked(there, &[])
}

/// Facts §4.5 item 6: AudioManager turns it off under the class that is still connected.
fn a_shared_gateway_source_stays_on_while_another_connection_uses_it(s: &mut Stage) -> Result<()> {
    let (_, there, sources, sink) = shared(s)?;
    s.connected(sources[0], sink)?;
    let prompt = s.connected(sources[1], sink)?;
    s.asked_of(there);
    s.disconnect(prompt)?;
    let asked = s.asked_of(there);
    ensure!(
        !asked.iter().any(|it| it.starts_with("asyncSetSourceState")),
        "asked: {asked:?}"
    );
    Ok(())
}

fn what_was_shared_goes_with_the_last_connection(s: &mut Stage) -> Result<()> {
    let (_, there, sources, sink) = shared(s)?;
    let music = s.connected(sources[0], sink)?;
    let prompt = s.connected(sources[1], sink)?;
    s.disconnect(music)?;
    s.asked_of(there);
    s.disconnect(prompt)?;
    let asked = s.asked_of(there);
    ensure!(
        asked.len() == 2 && asked[0].starts_with("asyncSetSourceState") && asked[0].ends_with(" 2"),
        "{asked:?}"
    );
    ensure!(asked[1].starts_with("asyncDisconnect"), "asked: {asked:?}");
    Ok(())
}

fn the_connect_goes_to_the_domain_of_the_source(s: &mut Stage) -> Result<()> {
    let (here, there, pair, _) = two_domains(s, |_| {})?;
    s.connected(pair.source, pair.sink)?;
    let (first, second) = (s.asked_of(here), s.asked_of(there));
    let of = |asked: &[String], source: u16| {
        let fields = |it: &String| it.split(' ').nth(2) == Some(source.to_string().as_str());
        asked.iter().filter(|it| it.starts_with("asyncConnect")).all(fields)
    };
    ensure!(of(&first, pair.source), "asked of the first: {first:?}");
    ensure!(!of(&second, pair.source), "asked of the second: {second:?}");
    Ok(())
}
