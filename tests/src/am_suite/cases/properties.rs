//! Sound properties, system properties, notification configurations and what is notified.

use anyhow::{Result, ensure};

use super::cases;
use crate::am_suite::domain::{Acks, Element};
use crate::am_suite::elements::Pair;
use crate::am_suite::stage::{Stage, same};
use crate::am_suite::value::listed;

cases![
    a_sinks_main_sound_property_is_its_domains_to_set,
    a_sources_main_sound_property_is_its_domains_to_set,
    a_main_sound_property_without_a_sound_property_is_set_at_once,
    a_refused_sound_property_is_not_told,
    a_sound_property_out_of_range_is_clamped,
    a_sound_property_an_element_has_not_answers_1,
    a_sound_property_of_an_unknown_element_answers_2,
    lists_of_sound_properties_of_unknown_elements_answer_8,
    a_system_property_cannot_be_set,
    system_properties_are_listed,
    a_sinks_notification_is_its_domains_to_configure,
    a_sources_notification_is_its_domains_to_configure,
    a_refused_notification_configuration_is_not_told,
    a_notification_an_element_has_not_answers_1,
    a_notification_of_an_unknown_element_answers_2,
    lists_of_notifications_of_unknown_elements_answer_8,
    registered_notification_configurations_are_read_field_by_field,
    of_two_notification_configurations_of_one_type_the_first_counts,
    an_empty_list_registers_nothing,
    what_a_sink_notifies_is_told,
    what_a_source_notifies_is_told,
    what_another_domain_notifies_is_dropped,
    changed_data_of_a_domain_is_taken,
];

fn equalizer(s: &mut Stage) -> Result<Pair> {
    let domain = s.domain("amplifier")?;
    let element = Element {
        sound: vec![(1, 0), (3, 2)],
        main_sound: vec![(1, 0), (2, 1), (3, 2)],
        notifications: vec![(5, 1, 100)],
        main_notifications: vec![(5, 1, 100), (6, 2, -7)],
        ..Element::default()
    };
    let sink = s.sink_of(domain, "speakers", &element)?;
    let source = s.source_of(domain, "tuner", &element)?;
    s.settle()?;
    s.heard.clear();
    Ok(Pair { domain, source, sink })
}

fn is_set_by_its_domain(s: &mut Stage, of_sink: bool) -> Result<()> {
    let pair = equalizer(s)?;
    let (kind, id) = if of_sink {
        ("Sink", pair.sink)
    } else {
        ("Source", pair.source)
    };
    s.acks(pair.domain, Acks::ByHand);
    same(
        "code",
        s.command(&format!("SetMain{kind}SoundProperty"), &(id, (3_i16, 5_i16)))?,
        0,
    )?;
    let request = s.next_request(pair.domain, &format!("asyncSet{kind}SoundProperty"))?;
    same("request", listed(&request.args), format!("{id} (3 5)"))?;
    let list = format!("GetListMain{kind}SoundProperties");
    same("before the ack", listed(&s.call(&list, &id)?), "0 ((1 0) (2 1) (3 2))")?;
    s.ack(pair.domain, &request, 0)?;
    s.hears(&format!("Main{kind}SoundPropertyChanged {id} (3 5)"))?;
    same("after it", listed(&s.call(&list, &id)?), "0 ((1 0) (2 1) (3 5))")
}

fn a_sinks_main_sound_property_is_its_domains_to_set(s: &mut Stage) -> Result<()> {
    is_set_by_its_domain(s, true)
}

fn a_sources_main_sound_property_is_its_domains_to_set(s: &mut Stage) -> Result<()> {
    is_set_by_its_domain(s, false)
}

fn a_main_sound_property_without_a_sound_property_is_set_at_once(s: &mut Stage) -> Result<()> {
    let pair = equalizer(s)?;
    same(
        "code",
        s.command("SetMainSinkSoundProperty", &(pair.sink, (2_i16, 4_i16)))?,
        0,
    )?;
    s.hears(&format!("MainSinkSoundPropertyChanged {} (2 4)", pair.sink))?;
    same(
        "code",
        s.command("SetMainSourceSoundProperty", &(pair.source, (2_i16, 4_i16)))?,
        0,
    )?;
    s.hears(&format!("MainSourceSoundPropertyChanged {} (2 4)", pair.source))?;
    s.was_asked(pair.domain, &[])
}

fn a_refused_sound_property_is_not_told(s: &mut Stage) -> Result<()> {
    let pair = equalizer(s)?;
    for (kind, id) in [("Sink", pair.sink), ("Source", pair.source)] {
        let request = if kind == "Sink" {
            "asyncSetSinkSoundProperty"
        } else {
            "asyncSetSourceSoundProperty"
        };
        s.acks(pair.domain, Acks::Refuses(request, 7));
        same(
            "code",
            s.command(&format!("SetMain{kind}SoundProperty"), &(id, (3_i16, 5_i16)))?,
            0,
        )?;
        s.settle()?;
        let list = s.call(&format!("GetListMain{kind}SoundProperties"), &id)?;
        same("properties", listed(&list), "0 ((1 0) (2 1) (3 2))")?;
    }
    same("signals", s.heard.join("; "), "")
}

fn a_sound_property_out_of_range_is_clamped(s: &mut Stage) -> Result<()> {
    let pair = equalizer(s)?;
    same(
        "code",
        s.command("SetMainSinkSoundProperty", &(pair.sink, (1_i16, 30_000_i16)))?,
        0,
    )?;
    s.settle()?;
    same(
        "code",
        s.command("SetMainSinkSoundProperty", &(pair.sink, (2_i16, i16::MIN)))?,
        0,
    )?;
    s.settle()?;
    let list = listed(&s.call("GetListMainSinkSoundProperties", &pair.sink)?);
    same("properties", list, "0 ((1 10) (2 -10) (3 2))")
}

fn a_sound_property_an_element_has_not_answers_1(s: &mut Stage) -> Result<()> {
    let pair = equalizer(s)?;
    same(
        "sink",
        s.command("SetMainSinkSoundProperty", &(pair.sink, (9_i16, 1_i16)))?,
        1,
    )?;
    same(
        "source",
        s.command("SetMainSourceSoundProperty", &(pair.source, (9_i16, 1_i16)))?,
        1,
    )
}

fn a_sound_property_of_an_unknown_element_answers_2(s: &mut Stage) -> Result<()> {
    same(
        "sink",
        s.command("SetMainSinkSoundProperty", &(32000_u16, (1_i16, 1_i16)))?,
        2,
    )?;
    same(
        "source",
        s.command("SetMainSourceSoundProperty", &(32000_u16, (1_i16, 1_i16)))?,
        2,
    )
}

fn lists_of_sound_properties_of_unknown_elements_answer_8(s: &mut Stage) -> Result<()> {
    same(
        "sink",
        listed(&s.call("GetListMainSinkSoundProperties", &32000_u16)?),
        "8 ()",
    )?;
    same(
        "source",
        listed(&s.call("GetListMainSourceSoundProperties", &32000_u16)?),
        "8 ()",
    )
}

fn a_system_property_cannot_be_set(s: &mut Stage) -> Result<()> {
    same("unsigned", s.command("SetSystemProperty", &((61440_u16, 1_i16),))?, 7)?;
    same("signed", s.command("SetSystemProperty", &((-4096_i16, 1_i16),))?, 7)
}

fn system_properties_are_listed(s: &mut Stage) -> Result<()> {
    let list = s.call("GetListSystemProperties", &())?;
    same("code", &list[0], 0)?;
    ensure!(
        list[1].items().iter().all(|it| it.items().len() == 2),
        "{}",
        listed(&list)
    );
    Ok(())
}

fn is_configured_by_its_domain(s: &mut Stage, of_sink: bool) -> Result<()> {
    let pair = equalizer(s)?;
    let (kind, id) = if of_sink {
        ("Sink", pair.sink)
    } else {
        ("Source", pair.source)
    };
    s.acks(pair.domain, Acks::ByHand);
    let set = format!("set{kind}MainNotificationConfiguration");
    same("code", s.command(&set, &(id, (5_i16, 2_i16, 250_i16)))?, 0)?;
    let request = s.next_request(pair.domain, &format!("asyncSet{kind}NotificationConfiguration"))?;
    same("request", listed(&request.args), format!("{id} (5 2 250)"))?;
    s.ack(pair.domain, &request, 0)?;
    s.hears(&format!("{kind}MainNotificationConfigurationChanged {id} (5 2 250)"))?;
    let list = listed(&s.call(&format!("getList{kind}MainNotificationConfigurations"), &id)?);
    same("list", list, "0 ((5 2 250) (6 2 -7))")?;
    same("without a domain's", s.command(&set, &(id, (6_i16, 4_i16, 9_i16)))?, 0)?;
    s.hears(&format!("{kind}MainNotificationConfigurationChanged {id} (6 4 9)"))
}

fn a_sinks_notification_is_its_domains_to_configure(s: &mut Stage) -> Result<()> {
    is_configured_by_its_domain(s, true)
}

fn a_sources_notification_is_its_domains_to_configure(s: &mut Stage) -> Result<()> {
    is_configured_by_its_domain(s, false)
}

fn a_refused_notification_configuration_is_not_told(s: &mut Stage) -> Result<()> {
    let pair = equalizer(s)?;
    let requests = [
        "asyncSetSinkNotificationConfiguration",
        "asyncSetSourceNotificationConfiguration",
    ];
    let sets = [
        "setSinkMainNotificationConfiguration",
        "setSourceMainNotificationConfiguration",
    ];
    for (request, (set, id)) in requests.into_iter().zip(sets.into_iter().zip([pair.sink, pair.source])) {
        s.acks(pair.domain, Acks::Refuses(request, 7));
        same("code", s.command(set, &(id, (5_i16, 2_i16, 250_i16)))?, 0)?;
        s.settle()?;
    }
    same("signals", s.heard.join("; "), "")
}

fn a_notification_an_element_has_not_answers_1(s: &mut Stage) -> Result<()> {
    let pair = equalizer(s)?;
    let other = (9_i16, 1_i16, 1_i16);
    same(
        "sink",
        s.command("setSinkMainNotificationConfiguration", &(pair.sink, other))?,
        1,
    )?;
    same(
        "source",
        s.command("setSourceMainNotificationConfiguration", &(pair.source, other))?,
        1,
    )
}

fn a_notification_of_an_unknown_element_answers_2(s: &mut Stage) -> Result<()> {
    let one = (5_i16, 1_i16, 1_i16);
    same(
        "sink",
        s.command("setSinkMainNotificationConfiguration", &(32000_u16, one))?,
        2,
    )?;
    same(
        "source",
        s.command("setSourceMainNotificationConfiguration", &(32000_u16, one))?,
        2,
    )
}

fn lists_of_notifications_of_unknown_elements_answer_8(s: &mut Stage) -> Result<()> {
    same(
        "sink",
        listed(&s.call("getListSinkMainNotificationConfigurations", &32000_u16)?),
        "8 ()",
    )?;
    same(
        "source",
        listed(&s.call("getListSourceMainNotificationConfigurations", &32000_u16)?),
        "8 ()",
    )
}

/// Facts §2.2: AudioManager reads the second field twice and never the third.
fn registered_notification_configurations_are_read_field_by_field(s: &mut Stage) -> Result<()> {
    let pair = equalizer(s)?;
    let sink = listed(&s.call("getListSinkMainNotificationConfigurations", &pair.sink)?);
    same("sink", sink, "0 ((5 1 100) (6 2 -7))")?;
    let source = listed(&s.call("getListSourceMainNotificationConfigurations", &pair.source)?);
    same("source", source, "0 ((5 1 100) (6 2 -7))")
}

fn of_two_notification_configurations_of_one_type_the_first_counts(s: &mut Stage) -> Result<()> {
    let domain = s.domain("amplifier")?;
    let element = Element {
        main_notifications: vec![(5, 1, 100), (5, 2, 200)],
        ..Element::default()
    };
    let sink = s.sink_of(domain, "speakers", &element)?;
    same(
        "list",
        listed(&s.call("getListSinkMainNotificationConfigurations", &sink)?),
        "0 ((5 1 100))",
    )
}

/// Facts §2.2: AudioManager registers an entry of zeros for each empty list.
fn an_empty_list_registers_nothing(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    same(
        "properties",
        listed(&s.call("GetListMainSinkSoundProperties", &pair.sink)?),
        "0 ()",
    )?;
    same(
        "properties",
        listed(&s.call("GetListMainSourceSoundProperties", &pair.source)?),
        "0 ()",
    )?;
    let notifications = listed(&s.call("getListSinkMainNotificationConfigurations", &pair.sink)?);
    same("notifications", notifications, "0 ()")?;
    same(
        "property 0",
        s.command("SetMainSinkSoundProperty", &(pair.sink, (0_i16, 0_i16)))?,
        1,
    )?;
    let bare = s.source_of(pair.domain, "bare", &Element::formats(&[]))?;
    let bare_sink = s.sink_of(pair.domain, "bare-sink", &Element::formats(&[]))?;
    same(
        "no format is none in common",
        format!("{:?}", s.try_connect(bare, bare_sink)?),
        "(7, 0)",
    )
}

fn what_a_sink_notifies_is_told(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.hook(
        pair.domain,
        "hookSinkNotificationDataChange",
        &(pair.sink, (5_i16, -3_i16)),
    )?;
    s.hears(&format!("SinkNotification {} (5 -3)", pair.sink))
}

fn what_a_source_notifies_is_told(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    s.hook(
        pair.domain,
        "hookSourceNotificationDataChange",
        &(pair.source, (5_i16, -3_i16)),
    )?;
    s.hears(&format!("SourceNotification {} (5 -3)", pair.source))
}

fn what_another_domain_notifies_is_dropped(s: &mut Stage) -> Result<()> {
    let pair = s.amplifier()?;
    let stranger = s.domain("stranger")?;
    s.heard.clear();
    s.hook(
        stranger,
        "hookSinkNotificationDataChange",
        &(pair.sink, (5_i16, -3_i16)),
    )?;
    s.hook(
        stranger,
        "hookSourceNotificationDataChange",
        &(pair.source, (5_i16, -3_i16)),
    )?;
    same("signals", s.heard.join("; "), "")
}

/// A source's own volume is what ducks are taken from.
fn changed_data_of_a_domain_is_taken(s: &mut Stage) -> Result<()> {
    let pair = equalizer(s)?;
    let volumes = vec![(1_u16, pair.source, -70_i16)];
    let properties = vec![(4_u16, pair.sink, (3_i16, 7_i16))];
    s.hook(pair.domain, "sendChangedData", &(volumes, properties))?;
    s.connected(pair.source, pair.sink)?;
    s.asked_of(pair.domain);
    let prompt = s.source(pair.domain, "prompt", "navigation")?;
    s.connected(prompt, pair.sink)?;
    let asked = s.asked_of(pair.domain);
    ensure!(
        asked.contains(&format!("asyncSetSourceVolume {} -270 1 50", pair.source)),
        "asked: {asked:?}"
    );
    Ok(())
}
