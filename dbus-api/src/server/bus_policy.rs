//! The bus's own policy file (`dbus-daemon(1)`, "CONFIGURATION FILE"), from the roles and the table of methods.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::gate;
use super::introspect::Node;
use super::{routing_table, table};
use crate::access::{Principal, Role, Roles};
use crate::names::{BUS_NAME, COMMAND_PATH, OWN_PATH, ROUTING_PATH};

const HEAD: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<!-- Who may do what with Carillon on the system bus, by [access] of the file: written by `audiod bus-policy FILE`.
     Goes to /usr/share/dbus-1/system.d/ (or /etc/dbus-1/system.d/). -->
<busconfig>

"#;

/// The XML: the daemon's user owns the name and calls domains by their bus names, everybody else gets the methods of their roles.
/// Methods are named by object and member, as they are dispatched: the interface's name is no way around.
pub fn bus_policy(daemon: &str, domains: &[String], roles: &Roles) -> String {
    let mut xml = HEAD.to_owned();
    xml += "  <!-- Only the daemon answers under the name. -->\n";
    let mut own = format!("    <allow own=\"{BUS_NAME}\"/>\n");
    for name in domains {
        let _ = writeln!(own, "    <allow send_destination=\"{}\"/>", escaped(name));
    }
    policy(&mut xml, &format!("user=\"{}\"", escaped(daemon)), &own);
    xml += "\n  <!-- What is not allowed below is denied. -->\n";
    let mut denied = format!("    <deny send_destination=\"{BUS_NAME}\"/>\n");
    if !has_everyone(roles, Role::Observe) {
        let _ = writeln!(
            denied,
            "    <deny receive_sender=\"{BUS_NAME}\" receive_type=\"signal\"/>"
        );
    }
    policy(&mut xml, "context=\"default\"", &denied);
    for (principal, given) in by_principal(roles) {
        let names: Vec<&str> = given.iter().map(|role| role.name()).collect();
        let _ = write!(xml, "\n  <!-- {} -->\n", names.join(", "));
        let whom = match &principal {
            Principal::Everyone => "context=\"default\"".to_owned(),
            Principal::User(name) => format!("user=\"{}\"", escaped(name)),
            Principal::Group(name) => format!("group=\"{}\"", escaped(name)),
        };
        policy(&mut xml, &whom, &allowed(&given));
    }
    xml + "\n</busconfig>\n"
}

fn has_everyone(roles: &Roles, role: Role) -> bool {
    let mut all = role.given_by().iter().filter_map(|role| roles.get(role)).flatten();
    all.any(|who| *who == Principal::Everyone)
}

/// Roles by who has them, everyone first.
fn by_principal(roles: &Roles) -> BTreeMap<Principal, Vec<Role>> {
    let mut all: BTreeMap<Principal, Vec<Role>> = BTreeMap::new();
    for (role, principals) in roles {
        for principal in principals {
            let given = all.entry(principal.clone()).or_default();
            if !given.contains(role) {
                given.push(*role);
            }
        }
    }
    all
}

fn policy(xml: &mut String, whom: &str, lines: &str) {
    let _ = write!(xml, "  <policy {whom}>\n{lines}  </policy>\n");
}

fn allowed(given: &[Role]) -> String {
    let mut lines = String::new();
    if given.contains(&Role::Admin) {
        let _ = writeln!(lines, "    <allow send_destination=\"{BUS_NAME}\"/>");
        let _ = writeln!(lines, "    <allow receive_sender=\"{BUS_NAME}\"/>");
        return lines;
    }
    for interface in ["Introspectable", "Peer", "Properties"] {
        let _ = writeln!(
            lines,
            "    <allow send_destination=\"{BUS_NAME}\" send_interface=\"org.freedesktop.DBus.{interface}\"/>"
        );
    }
    let _ = writeln!(lines, "    <allow receive_sender=\"{BUS_NAME}\"/>");
    let has = |role: Role| role.given_by().iter().any(|role| given.contains(role));
    let objects: [(Node, &str, &[table::Method]); 3] = [
        (Node::Command, COMMAND_PATH, &table::COMMAND),
        (Node::Routing, ROUTING_PATH, &routing_table::ROUTING),
        (Node::Own, OWN_PATH, &table::OWN),
    ];
    for (node, path, methods) in objects {
        if methods.iter().all(|method| has(gate::role(Some(node), method.member))) {
            let _ = writeln!(
                lines,
                "    <allow send_destination=\"{BUS_NAME}\" send_path=\"{path}\"/>"
            );
            continue;
        }
        for method in methods.iter().filter(|it| has(gate::role(Some(node), it.member))) {
            for member in std::iter::once(method.member).chain(method.also) {
                let _ = writeln!(
                    lines,
                    "    <allow send_destination=\"{BUS_NAME}\" send_path=\"{path}\"\n           send_member=\"{member}\"/>"
                );
            }
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c => escaped.push(c),
        }
    }
    escaped
}
