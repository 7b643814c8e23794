//! Introspection XML, made from the table, for our objects and the nodes above them.

use std::fmt::Write as _;

use super::routing_table;
use super::table::{self, Method, SignalRow};
use crate::names::{
    COMMAND_INTERFACE, COMMAND_PATH, OWN_INTERFACE, OWN_PATH, ROOT_PATH, ROUTING_INTERFACE, ROUTING_PATH,
};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// The command interface.
    Command,
    /// The routing interface.
    Routing,
    /// `org.carillon.Audio1`.
    Own,
    /// A node above them: Introspect, Peer and Properties only.
    Above,
}

/// The node at `path`.
pub(super) fn node(path: &str) -> Option<Node> {
    match path {
        COMMAND_PATH => Some(Node::Command),
        ROUTING_PATH => Some(Node::Routing),
        OWN_PATH => Some(Node::Own),
        ROOT_PATH | "/" => Some(Node::Above),
        _ if !children(path).is_empty() => Some(Node::Above),
        _ => None,
    }
}

/// Names of the nodes directly below `path`.
fn children(path: &str) -> Vec<&'static str> {
    let prefix = if path == "/" {
        "/".to_owned()
    } else {
        format!("{path}/")
    };
    let mut names: Vec<&str> = [COMMAND_PATH, ROUTING_PATH, OWN_PATH]
        .iter()
        .filter_map(|object| object.strip_prefix(prefix.as_str()))
        .filter_map(|rest| rest.split('/').next())
        .collect();
    names.dedup();
    names
}

const HEAD: &str = r#"<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node>
  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="machine_uuid" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
  </interface>
"#;

/// The XML of the node at `path`.
pub(super) fn xml(path: &str, node: Node) -> String {
    let mut xml = HEAD.to_owned();
    match node {
        Node::Command => interface(&mut xml, COMMAND_INTERFACE, &table::COMMAND, &table::COMMAND_SIGNALS),
        Node::Routing => {
            let (methods, signals) = (&routing_table::ROUTING, &routing_table::ROUTING_SIGNALS);
            interface(&mut xml, ROUTING_INTERFACE, methods, signals);
        }
        Node::Own => interface(&mut xml, OWN_INTERFACE, &table::OWN, &table::OWN_SIGNALS),
        Node::Above => {}
    }
    for name in children(path) {
        let _ = writeln!(xml, "  <node name=\"{name}\"/>");
    }
    xml.push_str("</node>\n");
    xml
}

fn interface(xml: &mut String, name: &str, methods: &[Method], signals: &[SignalRow]) {
    let _ = writeln!(xml, "  <interface name=\"{name}\">");
    for method in methods {
        let _ = writeln!(xml, "    <method name=\"{}\">", method.member);
        for arg in method.takes {
            argument(xml, arg.name, &arg.shape.signature(), " direction=\"in\"");
        }
        for (name, kind) in method.answer.outs() {
            argument(xml, name, kind, " direction=\"out\"");
        }
        xml.push_str("    </method>\n");
    }
    for signal in signals {
        let _ = writeln!(xml, "    <signal name=\"{}\">", signal.member);
        for (name, kind) in signal.args {
            argument(xml, name, kind, "");
        }
        xml.push_str("    </signal>\n");
    }
    xml.push_str("  </interface>\n");
}

fn argument(xml: &mut String, name: &str, kind: &str, direction: &str) {
    let _ = writeln!(xml, "      <arg name=\"{name}\" type=\"{kind}\"{direction}/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_from_the_root_down_leads_to_the_objects() {
        assert_eq!(children("/"), ["org"]);
        assert_eq!(children("/org"), ["genivi", "carillon"]);
        assert_eq!(children(ROOT_PATH), ["commandinterface", "routinginterface"]);
        assert_eq!(children("/org/carillon"), ["audio"]);
        assert_eq!(node("/org/genivi"), Some(Node::Above));
        assert_eq!(node("/org/gen"), None);
        assert_eq!(node("/org/genivi/audiomanager/commandinterface/x"), None);
    }
}
