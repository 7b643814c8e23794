//! Main volumes and mutes of sinks.

use anyhow::{Result, ensure};

use super::cases;
use crate::am_suite::domain::{Acks, Element};
use crate::am_suite::stage::{Stage, same};
use crate::am_suite::value::listed;

cases![
    a_volume_is_told_once_its_domain_has_it,
    a_volume_is_sent_by_the_curve,
    a_volume_out_of_range_is_clamped,
    a_step_goes_from_the_volume_there_is,
    a_step_beyond_the_end_stops_there,
    a_volume_of_an_unknown_sink_answers_2,
    a_volume_that_is_so_already_asks_nobody,
    a_refused_volume_is_not_told,
    a_volume_set_again_before_the_ack_ends_at_the_last,
    one_volume_of_a_sink_with_two_connections_is_one_change,
    a_mute_is_sent_as_silence_and_told_once_its_domain_has_it,
    an_unmute_goes_back_to_the_volume,
    a_mute_state_that_is_none_answers_2,
    a_mute_of_an_unknown_sink_answers_2,
    a_refused_mute_is_not_told,
    a_volume_set_while_muted_is_told_at_once_and_sent_with_the_unmute,
    the_volume_of_an_unknown_sink_is_8_and_minus_1,
    a_registered_volume_is_taken_as_it_is,
    a_volume_tick_is_taken_and_a_foreign_one_dropped,
    an_invisible_sinks_volume_is_told_to_nobody,
];

fn set(s: &mut Stage, sink: u16, volume: i16) -> Result<()> {
    same("code", s.command("SetVolume", &(sink, volume))?, 0)?;
    s.settle()
}

fn volume_is(s: &mut Stage, sink: u16, volume: i16) -> Result<()> {
    same("getVolume", listed(&s.call("getVolume", &sink)?), format!("0 {volume}"))
}

fn a_volume_is_told_once_its_domain_has_it(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    set(s, pair.sink, 40)?;
    let told = format!("VolumeChanged {} 40", pair.sink);
    ensure!(s.times(&told) == 0, "told before the ack");
    volume_is(s, pair.sink, 100)?;
    let request = s.next_request(pair.domain, "asyncSetSinkVolume")?;
    s.ack(pair.domain, &request, 0)?;
    s.hears(&told)?;
    volume_is(s, pair.sink, 40)
}

/// -60 dB at 1, 0 dB at 100, linear between, silence at 0.
fn a_volume_is_sent_by_the_curve(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    for (volume, gain) in [(1, -600), (34, -400), (0, -3000), (100, 0)] {
        s.asked_of(pair.domain);
        set(s, pair.sink, volume)?;
        s.was_asked(pair.domain, &[format!("asyncSetSinkVolume {} {gain} 1 200", pair.sink)])?;
    }
    Ok(())
}

fn a_volume_out_of_range_is_clamped(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    set(s, pair.sink, -5)?;
    volume_is(s, pair.sink, 0)?;
    set(s, pair.sink, i16::MAX)?;
    volume_is(s, pair.sink, 100)
}

fn step(s: &mut Stage, sink: u16, by: i16) -> Result<()> {
    same("code", s.command("VolumeStep", &(sink, by))?, 0)?;
    s.settle()
}

fn a_step_goes_from_the_volume_there_is(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    set(s, pair.sink, 40)?;
    step(s, pair.sink, 5)?;
    volume_is(s, pair.sink, 45)?;
    step(s, pair.sink, -10)?;
    volume_is(s, pair.sink, 35)?;
    s.hears(&format!("VolumeChanged {} 35", pair.sink))
}

fn a_step_beyond_the_end_stops_there(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    set(s, pair.sink, 95)?;
    step(s, pair.sink, i16::MAX)?;
    volume_is(s, pair.sink, 100)?;
    step(s, pair.sink, i16::MIN)?;
    volume_is(s, pair.sink, 0)
}

fn a_volume_of_an_unknown_sink_answers_2(s: &mut Stage) -> Result<()> {
    same("SetVolume", s.command("SetVolume", &(32000_u16, 10_i16))?, 2)?;
    same("VolumeStep", s.command("VolumeStep", &(32000_u16, 1_i16))?, 2)
}

fn a_volume_that_is_so_already_asks_nobody(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.heard.clear();
    set(s, pair.sink, 100)?;
    s.was_asked(pair.domain, &[])?;
    same("signals", s.heard.len(), 0)
}

fn a_refused_volume_is_not_told(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::Refuses("asyncSetSinkVolume", 7));
    set(s, pair.sink, 40)?;
    volume_is(s, pair.sink, 100)?;
    ensure!(
        !s.heard.iter().any(|it| it.starts_with("VolumeChanged")),
        "heard: {:?}",
        s.heard
    );
    s.acks(pair.domain, Acks::All);
    set(s, pair.sink, 40)?;
    volume_is(s, pair.sink, 40)
}

fn a_volume_set_again_before_the_ack_ends_at_the_last(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    for volume in [90, 80, 70, 60] {
        set(s, pair.sink, volume)?;
    }
    let first = s.next_request(pair.domain, "asyncSetSinkVolume")?;
    same("requests at a time", s.domains[pair.domain].asked.len(), 1)?;
    s.ack(pair.domain, &first, 0)?;
    let last = s.next_request(pair.domain, "asyncSetSinkVolume")?;
    s.ack(pair.domain, &last, 0)?;
    s.hears(&format!("VolumeChanged {} 60", pair.sink))?;
    same("requests", s.domains[pair.domain].asked.len(), 2)
}

/// Facts §4.5 item 10: AudioManager makes two source changes of it and tells 40 for 60.
fn one_volume_of_a_sink_with_two_connections_is_one_change(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let prompt = s.source(pair.domain, "prompt", "navigation")?;
    s.connected(pair.source, pair.sink)?;
    s.connected(prompt, pair.sink)?;
    s.asked_of(pair.domain);
    s.heard.clear();
    set(s, pair.sink, 60)?;
    same("asked", s.asked_of(pair.domain).len(), 1)?;
    same("heard", s.heard.join("; "), format!("VolumeChanged {} 60", pair.sink))
}

fn mute(s: &mut Stage, sink: u16, state: i16) -> Result<()> {
    same("code", s.command("SetSinkMuteState", &(sink, state))?, 0)?;
    s.settle()
}

fn a_mute_is_sent_as_silence_and_told_once_its_domain_has_it(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    mute(s, pair.sink, 1)?;
    let request = s.next_request(pair.domain, "asyncSetSinkVolume")?;
    same(
        "request",
        &request,
        format!("asyncSetSinkVolume {} -3000 1 200", pair.sink),
    )?;
    let told = format!("SinkMuteStateChanged {} 1", pair.sink);
    ensure!(s.times(&told) == 0, "told before the ack");
    s.ack(pair.domain, &request, 0)?;
    s.hears(&told)?;
    volume_is(s, pair.sink, 100)
}

fn an_unmute_goes_back_to_the_volume(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    set(s, pair.sink, 34)?;
    mute(s, pair.sink, 1)?;
    s.asked_of(pair.domain);
    mute(s, pair.sink, 2)?;
    s.was_asked(pair.domain, &[format!("asyncSetSinkVolume {} -400 1 200", pair.sink)])?;
    s.hears(&format!("SinkMuteStateChanged {} 2", pair.sink))
}

fn a_mute_state_that_is_none_answers_2(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    for state in [0_i16, 3, -1] {
        same("code", s.command("SetSinkMuteState", &(pair.sink, state))?, 2)?;
    }
    s.was_asked(pair.domain, &[])
}

fn a_mute_of_an_unknown_sink_answers_2(s: &mut Stage) -> Result<()> {
    same("code", s.command("SetSinkMuteState", &(32000_u16, 1_i16))?, 2)
}

fn a_refused_mute_is_not_told(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::Refuses("asyncSetSinkVolume", 7));
    mute(s, pair.sink, 1)?;
    ensure!(
        !s.heard.iter().any(|it| it.starts_with("SinkMuteStateChanged")),
        "heard: {:?}",
        s.heard
    );
    Ok(())
}

fn a_volume_set_while_muted_is_told_at_once_and_sent_with_the_unmute(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    mute(s, pair.sink, 1)?;
    s.asked_of(pair.domain);
    set(s, pair.sink, 34)?;
    s.hears(&format!("VolumeChanged {} 34", pair.sink))?;
    s.was_asked(pair.domain, &[])?;
    mute(s, pair.sink, 2)?;
    s.was_asked(pair.domain, &[format!("asyncSetSinkVolume {} -400 1 200", pair.sink)])
}

fn the_volume_of_an_unknown_sink_is_8_and_minus_1(s: &mut Stage) -> Result<()> {
    same("getVolume", listed(&s.call("getVolume", &32000_u16)?), "8 -1")
}

fn a_registered_volume_is_taken_as_it_is(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let own = Element {
        main_volume: 55,
        mute: 1,
        ..Element::default()
    };
    let sink = s.sink_of(domain, "speakers", &own)?;
    s.settle()?;
    let class = s.class("media")?;
    s.hears(&format!("SinkAdded ({sink} \"speakers\" (1 0) 55 1 {class})"))?;
    volume_is(s, sink, 55)?;
    s.was_asked(domain, &[])
}

fn a_volume_tick_is_taken_and_a_foreign_one_dropped(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.acks(pair.domain, Acks::ByHand);
    set(s, pair.sink, 34)?;
    let request = s.next_request(pair.domain, "asyncSetSinkVolume")?;
    s.hook(pair.domain, "ackSinkVolumeTick", &(request.handle, pair.sink, -100_i16))?;
    let stranger = s.domain("stranger")?;
    s.hook(stranger, "ackSinkVolumeTick", &(request.handle, pair.sink, -3000_i16))?;
    s.hook(
        stranger,
        "ackSourceVolumeTick",
        &(request.handle, pair.source, -3000_i16),
    )?;
    volume_is(s, pair.sink, 100)?;
    s.ack(pair.domain, &request, 0)?;
    s.hears(&format!("VolumeChanged {} 34", pair.sink))
}

fn an_invisible_sinks_volume_is_told_to_nobody(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let hidden = Element {
        visible: false,
        ..Element::default()
    };
    let sink = s.sink_of(domain, "hidden", &hidden)?;
    s.heard.clear();
    set(s, sink, 34)?;
    same("heard", s.heard.join("; "), "")?;
    volume_is(s, sink, 34)
}
