//! What classes do to each other at a sink: suspend, wait, stop, reject, duck; interrupts; limits and mutes that rules hold.

use anyhow::{Result, ensure};

use super::cases;
use crate::am_suite::domain::{Acks, Element};
use crate::am_suite::elements::Pair;
use crate::am_suite::stage::{Stage, same};
use crate::am_suite::value::listed;
use crate::am_suite::words::state::{CONNECTED, SUSPENDED};

cases![
    a_newcomer_that_pauses_suspends_and_pauses_the_source,
    what_is_suspended_goes_on_when_the_newcomer_ends,
    what_comes_while_it_would_be_paused_waits,
    what_waits_is_connected_when_its_holder_ends,
    what_waits_can_be_disconnected,
    the_newest_of_a_class_is_heard_and_the_others_go_on_after_it,
    a_newcomer_that_stops_pushes_the_holder_out,
    what_was_stopped_is_removed_once_the_newcomer_is_connected,
    what_comes_while_it_would_be_stopped_is_rejected,
    a_newcomer_that_ducks_lowers_the_holder,
    a_duck_ends_with_the_last_that_ducks,
    what_comes_while_it_would_be_ducked_is_lowered,
    a_duck_is_taken_from_the_sources_own_volume,
    a_duck_at_another_sink_is_none,
    a_refused_duck_leaves_the_connection,
    connect_on_a_suspended_pair_gives_the_same_id,
    a_sink_is_not_muted_for_a_second_connection,
    a_sink_muted_by_the_user_stays_muted_for_a_connection,
    an_interrupt_ducks_and_its_end_releases,
    an_interrupt_ends_with_its_source,
    an_interrupt_of_a_source_that_sounds_elsewhere_ducks_nobody_here,
    a_limit_is_a_cap_and_not_an_attenuation,
    of_several_limits_the_strictest_counts,
    a_limit_ends_by_its_pattern,
    unlimit_without_a_target_ends_every_limit,
    a_limit_and_a_duck_do_not_add_up,
    a_volume_set_during_a_limit_is_the_sinks_alone,
    a_rule_mutes_a_class_and_unmutes_it,
];

/// Type of the notification that the configuration's rules listen to.
const SET: i16 = 7;

struct Car {
    pair: Pair,
    music: u16,
}

fn playing(s: &mut Stage) -> Result<Car> {
    let pair = s.amplifier()?;
    let music = s.connected(pair.source, pair.sink)?;
    s.asked_of(pair.domain);
    Ok(Car { pair, music })
}

impl Car {
    fn newcomer(&self, s: &mut Stage, class: &'static str) -> Result<(u16, u16)> {
        let source = s.source(self.pair.domain, &format!("the-{class}"), class)?;
        let id = s.connect(source, self.pair.sink)?;
        Ok((source, id))
    }

    fn volume(&self, s: &mut Stage) -> Vec<String> {
        let asked = s.asked_of(self.pair.domain);
        let own = format!("asyncSetSourceVolume {} ", self.pair.source);
        asked
            .iter()
            .filter_map(|it| it.strip_prefix(&own))
            .map(str::to_owned)
            .collect()
    }

    /// Volume, ramp and time of the requests to the music since looked at last.
    fn volumes(&self, s: &mut Stage, what: &str, wanted: &[&str]) -> Result<()> {
        same(what, format!("{:?}", self.volume(s)), format!("{wanted:?}"))
    }

    fn notify(&self, s: &mut Stage, value: i16) -> Result<()> {
        s.hook(
            self.pair.domain,
            "hookSourceNotificationDataChange",
            &(self.pair.source, (SET, value)),
        )
    }
}

fn a_newcomer_that_pauses_suspends_and_pauses_the_source(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let (_, call) = car.newcomer(s, "phone")?;
    s.is_in(car.music, SUSPENDED)?;
    s.is_in(call, CONNECTED)?;
    let asked = s.asked_of(car.pair.domain);
    ensure!(
        asked.contains(&format!("asyncSetSourceState {} 3", car.pair.source)),
        "asked: {asked:?}"
    );
    ensure!(
        !asked.iter().any(|it| it.starts_with("asyncDisconnect")),
        "its route stays; asked: {asked:?}"
    );
    Ok(())
}

fn what_is_suspended_goes_on_when_the_newcomer_ends(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let (_, call) = car.newcomer(s, "phone")?;
    s.disconnect(call)?;
    same(
        "states",
        format!("{:?}", s.trace.path_of(car.music)),
        "[Some(0), Some(1), Some(2), Some(5), Some(1), Some(2)]",
    )?;
    let asked = s.asked_of(car.pair.domain);
    ensure!(
        asked.contains(&format!("asyncSetSourceState {} 1", car.pair.source)),
        "asked: {asked:?}"
    );
    Ok(())
}

fn waiting(s: &mut Stage) -> Result<(Pair, u16, u16, u16)> {
    let pair = s.amplifier()?;
    let caller = s.source(pair.domain, "caller", "phone")?;
    let call = s.connected(caller, pair.sink)?;
    s.asked_of(pair.domain);
    let music = s.connect(pair.source, pair.sink)?;
    Ok((pair, caller, call, music))
}

fn what_comes_while_it_would_be_paused_waits(s: &mut Stage) -> Result<()> {
    let (pair, _, call, music) = waiting(s)?;
    s.is_in(music, SUSPENDED)?;
    s.is_in(call, CONNECTED)?;
    s.was_asked(pair.domain, &[])
}

fn what_waits_is_connected_when_its_holder_ends(s: &mut Stage) -> Result<()> {
    let (_, _, call, music) = waiting(s)?;
    s.disconnect(call)?;
    s.is_gone(call)?;
    s.is_in(music, CONNECTED)
}

fn what_waits_can_be_disconnected(s: &mut Stage) -> Result<()> {
    let (pair, _, call, music) = waiting(s)?;
    s.disconnect(music)?;
    s.is_gone(music)?;
    s.is_in(call, CONNECTED)?;
    s.was_asked(pair.domain, &[])
}

fn the_newest_of_a_class_is_heard_and_the_others_go_on_after_it(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let second = s.source(car.pair.domain, "usb", "media")?;
    let third = s.source(car.pair.domain, "radio", "media")?;
    let usb = s.connected(second, car.pair.sink)?;
    let radio = s.connected(third, car.pair.sink)?;
    s.is_in(car.music, SUSPENDED)?;
    s.is_in(usb, SUSPENDED)?;
    s.disconnect(radio)?;
    s.is_in(usb, CONNECTED)?;
    s.is_in(car.music, SUSPENDED)?;
    s.disconnect(usb)?;
    s.is_in(car.music, CONNECTED)
}

fn a_newcomer_that_stops_pushes_the_holder_out(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    s.acks(car.pair.domain, Acks::ByHand);
    let (_, news) = car.newcomer(s, "traffic")?;
    let off = s.next_request(car.pair.domain, "asyncSetSourceState")?;
    same("off", &off, format!("asyncSetSourceState {} 2", car.pair.source))?;
    s.ack(car.pair.domain, &off, 0)?;
    let disconnect = s.next_request(car.pair.domain, "asyncDisconnect")?;
    s.ack(car.pair.domain, &disconnect, 0)?;
    s.settle()?;
    s.is_in(car.music, 4)?;
    s.acks(car.pair.domain, Acks::All);
    let open: Vec<_> = s.domains[car.pair.domain]
        .asked
        .iter()
        .filter(|it| !it.done)
        .cloned()
        .collect();
    for request in open {
        s.ack(car.pair.domain, &request, 0)?;
    }
    s.wait_for_state(news, CONNECTED)
}

fn what_was_stopped_is_removed_once_the_newcomer_is_connected(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let (_, news) = car.newcomer(s, "traffic")?;
    s.is_in(news, CONNECTED)?;
    s.is_gone(car.music)
}

fn what_comes_while_it_would_be_stopped_is_rejected(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let news = s.source(pair.domain, "news", "traffic")?;
    s.connected(news, pair.sink)?;
    same(
        "answer",
        format!("{:?}", s.try_connect(pair.source, pair.sink)?),
        "(7, 0)",
    )
}

fn a_newcomer_that_ducks_lowers_the_holder(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let (_, prompt) = car.newcomer(s, "navigation")?;
    s.is_in(car.music, CONNECTED)?;
    car.volumes(s, "duck", &["-200 1 50"])?;
    s.disconnect(prompt)?;
    car.volumes(s, "release", &["0 1 500"])
}

fn a_duck_ends_with_the_last_that_ducks(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let (_, first) = car.newcomer(s, "navigation")?;
    car.volumes(s, "duck", &["-200 1 50"])?;
    let news = s.source(car.pair.domain, "announcement", "navigation")?;
    s.hook(car.pair.domain, "hookInterruptStatusChange", &(news, 2_u16))?;
    car.volumes(s, "while both are there", &[])?;
    s.disconnect(first)?;
    car.volumes(s, "while one is there", &[])?;
    s.hook(car.pair.domain, "hookInterruptStatusChange", &(news, 1_u16))?;
    car.volumes(s, "release", &["0 1 500"])
}

fn what_comes_while_it_would_be_ducked_is_lowered(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let prompt = s.source(pair.domain, "prompt", "navigation")?;
    s.connected(prompt, pair.sink)?;
    s.asked_of(pair.domain);
    let music = s.connected(pair.source, pair.sink)?;
    Car { pair, music }.volumes(s, "duck", &["-200 1 50"])
}

fn a_duck_is_taken_from_the_sources_own_volume(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let quiet = Element {
        volume: -50,
        ..Element::default()
    };
    let source = s.source_of(pair.domain, "quiet", &quiet)?;
    let music = s.connected(source, pair.sink)?;
    s.asked_of(pair.domain);
    let car = Car {
        pair: Pair { source, ..pair },
        music,
    };
    let (_, prompt) = car.newcomer(s, "navigation")?;
    car.volumes(s, "duck", &["-250 1 50"])?;
    s.disconnect(prompt)?;
    car.volumes(s, "release", &["-50 1 500"])
}

fn a_duck_at_another_sink_is_none(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let phones = s.sink(car.pair.domain, "headphones")?;
    let prompt = s.source(car.pair.domain, "prompt", "navigation")?;
    s.connected(prompt, phones)?;
    car.volumes(s, "duck", &[])
}

fn a_refused_duck_leaves_the_connection(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    s.acks(car.pair.domain, Acks::Refuses("asyncSetSourceVolume", 7));
    let (_, prompt) = car.newcomer(s, "navigation")?;
    s.is_in(car.music, CONNECTED)?;
    s.is_in(prompt, CONNECTED)?;
    car.volumes(s, "duck", &["-200 1 50"])
}

fn connect_on_a_suspended_pair_gives_the_same_id(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    car.newcomer(s, "phone")?;
    let (code, id) = s.try_connect(car.pair.source, car.pair.sink)?;
    s.settle()?;
    same("answer", format!("{code} {id}"), format!("0 {}", car.music))?;
    s.is_in(car.music, SUSPENDED)
}

fn a_sink_is_not_muted_for_a_second_connection(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    car.newcomer(s, "navigation")?;
    let asked = s.asked_of(car.pair.domain);
    ensure!(
        !asked.iter().any(|it| it.starts_with("asyncSetSinkVolume")),
        "asked: {asked:?}"
    );
    Ok(())
}

fn a_sink_muted_by_the_user_stays_muted_for_a_connection(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    same("code", s.command("SetSinkMuteState", &(pair.sink, 1_i16))?, 0)?;
    s.settle()?;
    s.asked_of(pair.domain);
    s.connected(pair.source, pair.sink)?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        !asked.iter().any(|it| it.starts_with("asyncSetSinkVolume")),
        "asked: {asked:?}"
    );
    Ok(())
}

fn an_interrupt_ducks_and_its_end_releases(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let news = s.source(car.pair.domain, "announcement", "navigation")?;
    s.hook(car.pair.domain, "hookInterruptStatusChange", &(news, 2_u16))?;
    car.volumes(s, "duck", &["-200 1 50"])?;
    s.is_in(car.music, CONNECTED)?;
    s.hook(car.pair.domain, "hookInterruptStatusChange", &(news, 1_u16))?;
    car.volumes(s, "release", &["0 1 500"])
}

fn an_interrupt_ends_with_its_source(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let news = s.source(car.pair.domain, "announcement", "navigation")?;
    s.hook(car.pair.domain, "hookInterruptStatusChange", &(news, 2_u16))?;
    car.volumes(s, "duck", &["-200 1 50"])?;
    same("code", s.code(car.pair.domain, "deregisterSource", &(news as i16))?, 0)?;
    s.settle()?;
    car.volumes(s, "release", &["0 1 500"])
}

fn an_interrupt_of_a_source_that_sounds_elsewhere_ducks_nobody_here(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let news = s.source(car.pair.domain, "announcement", "navigation")?;
    let phones = s.sink(car.pair.domain, "headphones")?;
    s.connected(news, phones)?;
    s.hook(car.pair.domain, "hookInterruptStatusChange", &(news, 2_u16))?;
    car.volumes(s, "duck", &[])
}

/// Facts §4.5 item 9: AudioManager takes -20 dB away from what is at -20 dB already.
fn a_limit_is_a_cap_and_not_an_attenuation(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let quiet = Element {
        volume: -200,
        ..Element::default()
    };
    let louder = Element {
        volume: -150,
        ..Element::default()
    };
    let at = s.source_of(pair.domain, "at-the-cap", &quiet)?;
    let above = s.source_of(pair.domain, "above", &louder)?;
    let phones = s.sink(pair.domain, "headphones")?;
    let music = s.connected(at, pair.sink)?;
    s.connected(above, phones)?;
    s.asked_of(pair.domain);
    let car = Car {
        pair: Pair { source: at, ..pair },
        music,
    };
    car.notify(s, 1)?;
    let asked = s.asked_of(pair.domain);
    same(
        "asked",
        format!("{asked:?}"),
        format!("[\"asyncSetSourceVolume {above} -200 1 100\"]"),
    )?;
    car.notify(s, 5)
}

fn of_several_limits_the_strictest_counts(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    car.notify(s, 1)?;
    car.volumes(s, "one", &["-200 1 100"])?;
    car.notify(s, 2)?;
    car.volumes(s, "both", &["-300 1 100"])?;
    car.notify(s, 5)?;
    car.volumes(s, "none", &["0 1 100"])
}

fn a_limit_ends_by_its_pattern(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    car.notify(s, 1)?;
    car.notify(s, 2)?;
    car.volume(s);
    car.notify(s, 4)?;
    car.volumes(s, "the other one stays", &[])?;
    car.notify(s, 5)?;
    car.volumes(s, "none", &["0 1 100"])
}

/// Facts §4.5 item 11: AudioManager looks for a class without a name and leaves the duck for ever.
fn unlimit_without_a_target_ends_every_limit(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    car.notify(s, 1)?;
    car.volumes(s, "limited", &["-200 1 100"])?;
    car.notify(s, 5)?;
    car.volumes(s, "free", &["0 1 100"])
}

fn a_limit_and_a_duck_do_not_add_up(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    car.notify(s, 1)?;
    car.volumes(s, "limited", &["-200 1 100"])?;
    let (_, prompt) = car.newcomer(s, "navigation")?;
    car.volumes(s, "ducked as well", &[])?;
    s.disconnect(prompt)?;
    car.volumes(s, "still limited", &[])?;
    car.notify(s, 5)
}

/// Facts §4.5 item 10: AudioManager reports one volume, leaves another audible, and asks sources for it. A cap holds for what is heard at
/// the sink: once the sink is quieter than the cap, it takes nothing away.
fn a_volume_set_during_a_limit_is_the_sinks_alone(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    let (_, prompt) = car.newcomer(s, "navigation")?;
    s.disconnect(prompt)?;
    car.notify(s, 1)?;
    s.asked_of(car.pair.domain);
    same("code", s.command("SetVolume", &(car.pair.sink, 60_i16))?, 0)?;
    s.settle()?;
    let asked = s.asked_of(car.pair.domain);
    let of_sink: Vec<&String> = asked.iter().filter(|it| it.starts_with("asyncSetSinkVolume")).collect();
    same("requests to the sink", of_sink.len(), 1)?;
    s.hears(&format!("VolumeChanged {} 60", car.pair.sink))?;
    same("mainVolume", listed(&s.call("getVolume", &car.pair.sink)?), "0 60")?;
    car.notify(s, 5)
}

fn a_rule_mutes_a_class_and_unmutes_it(s: &mut Stage) -> Result<()> {
    let car = playing(s)?;
    car.notify(s, 3)?;
    car.volumes(s, "muted", &["-3000 1 100"])?;
    s.is_in(car.music, CONNECTED)?;
    car.notify(s, 5)?;
    car.volumes(s, "unmuted", &["0 1 100"])
}
