//! Calls with wrong types: one clean error each, and nothing sticks.

use anyhow::{Context, Result, ensure};
use dbus_api::names::{COMMAND_PATH, ROUTING_PATH};

use super::cases;
use crate::am_suite::bus::To;
use crate::am_suite::members::{MEMBERS, Side};
use crate::am_suite::stage::{Answer, Stage, same};
use crate::am_suite::value::listed;

cases![
    a_wrong_type_gets_one_clean_error_and_nothing_sticks,
    a_text_for_a_volume_and_the_calls_that_killed_the_peer,
    connect_with_one_argument_gets_one_clean_error_and_nothing_sticks,
    a_member_that_is_none_is_unknown,
    introspection_lists_every_member,
    calls_of_one_client_are_answered_in_their_order,
];

const INVALID: &str = "org.freedesktop.DBus.Error.InvalidArgs";

/// Facts §1.6 on every member: after the first wrong type, AudioManager answers InvalidArgs for ever.
fn a_wrong_type_gets_one_clean_error_and_nothing_sticks(s: &mut Stage) -> Result<()> {
    for member in MEMBERS {
        let routing = match member.side {
            Side::Command => false,
            Side::Routing => true,
            _ => continue,
        };
        let error = s.error(routing, member.name, &(1_u64, "wrong"))?;
        same(member.name, error, INVALID)?;
        same(
            "GetListMainConnections",
            listed(&s.call("GetListMainConnections", &())?),
            "0 ()",
        )?;
    }
    same("getVolume", listed(&s.call("getVolume", &32000_u16)?), "8 -1")
}

fn a_text_for_a_volume_and_the_calls_that_killed_the_peer(s: &mut Stage) -> Result<()> {
    same("getVolume(\"x\")", s.error(false, "getVolume", &"x")?, INVALID)?;
    same("getVolume", listed(&s.call("getVolume", &32000_u16)?), "8 -1")?;
    same("GetListMainSinks", &s.call("GetListMainSinks", &())?[0], 0)
}

fn connect_with_one_argument_gets_one_clean_error_and_nothing_sticks(s: &mut Stage) -> Result<()> {
    same("Connect", s.error(false, "Connect", &1_u16)?, INVALID)?;
    same("Connect", format!("{:?}", s.try_connect(32000, 32000)?), "(8, 0)")?;
    same("GetListMainSources", &s.call("GetListMainSources", &())?[0], 0)
}

fn a_member_that_is_none_is_unknown(s: &mut Stage) -> Result<()> {
    const UNKNOWN: &str = "org.freedesktop.DBus.Error.UnknownMethod";
    same("command", s.error(false, "NoSuchMember", &())?, UNKNOWN)?;
    same("routing", s.error(true, "NoSuchMember", &())?, UNKNOWN)
}

fn introspection_lists_every_member(s: &mut Stage) -> Result<()> {
    for (path, sides) in [
        (COMMAND_PATH, [Side::Command, Side::Signal]),
        (ROUTING_PATH, [Side::Routing, Side::Ready]),
    ] {
        let to = To {
            path,
            interface: Some("org.freedesktop.DBus.Introspectable"),
            member: "Introspect",
        };
        let Answer::Values(xml) = s.ask(None, to, &())? else {
            anyhow::bail!("{path} can't be introspected");
        };
        let xml = xml.first().context("XML")?.text().to_owned();
        for member in MEMBERS.iter().filter(|it| sides.contains(&it.side)) {
            ensure!(
                xml.contains(&format!("name=\"{}\"", member.name)),
                "{path} lists no {}",
                member.name
            );
        }
    }
    Ok(())
}

fn calls_of_one_client_are_answered_in_their_order(s: &mut Stage) -> Result<()> {
    let domain = s.join()?;
    s.settle()?;
    s.domains[domain].order.clear();
    let mut wanted = Vec::new();
    for round in 0..20_u16 {
        let (member, path) = if round % 2 == 0 {
            ("getVolume", COMMAND_PATH)
        } else {
            ("Disconnect", COMMAND_PATH)
        };
        let serial = s.send(
            Some(domain),
            To {
                path,
                interface: None,
                member,
            },
            &(32000 + round),
            true,
        )?;
        wanted.push(format!("reply {serial}"));
    }
    s.until("all answers", |s| s.domains[domain].order.len() >= 20)?;
    let order: Vec<String> = s.domains[domain].order.iter().cloned().collect();
    same("order", order.join(", "), wanted.join(", "))
}
