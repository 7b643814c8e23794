//! Actions of a process as those of a rule.

use std::fmt::Write as _;

use policy::file::{code, did_you_mean, listed};

use super::super::draft::quoted;
use super::super::xml::{Attr, El};
use super::condition::{self, Term};
use super::translate::{Of, Scope, Why};
use super::{built_in, parameter, words};

/// Their attributes.
const ATTRIBUTES: [&str; 31] = [
    "type",
    "className",
    "sourceName",
    "sinkName",
    "gatewayName",
    "connectionName",
    "rampType",
    "rampTime",
    "muteState",
    "mainVolumeStep",
    "mainVolume",
    "volumeStep",
    "volume",
    "order",
    "propertyType",
    "propertyValue",
    "timeOut",
    "pattern",
    "connectionState",
    "debugType",
    "debugValue",
    "connectionFormat",
    "exceptSource",
    "exceptSink",
    "exceptClass",
    "notificationConfigurationType",
    "notificationConfigurationStatus",
    "notificationConfigurationParam",
    "listMainSoundProperties",
    "listSystemProperties",
    "listNotificationConfigurations",
];

/// Their actions, ours, and the attributes of theirs that ours have, beside names.
const ACTIONS: [(&str, &str, &[&str]); 20] = [
    ("ACTION_CONNECT", "connect", &["order"]),
    ("ACTION_POP", "pop", &["order"]),
    ("ACTION_RESUME", "resume", &["order"]),
    (
        "ACTION_DISCONNECT",
        "disconnect",
        &["connectionState", "exceptSource", "exceptSink"],
    ),
    ("ACTION_PUSH", "push", &["exceptSource", "exceptSink"]),
    ("ACTION_SUSPEND", "suspend", &["exceptSource", "exceptSink"]),
    (
        "ACTION_SET_VOLUME",
        "set_volume",
        &["mainVolume", "mainVolumeStep", "volume", "volumeStep"],
    ),
    (
        "ACTION_LIMIT",
        "limit",
        &["volume", "volumeStep", "pattern", "rampTime"],
    ),
    ("ACTION_UNLIMIT", "unlimit", &["pattern"]),
    ("ACTION_MUTE", "mute", &["pattern", "rampTime"]),
    ("ACTION_UNMUTE", "unmute", &["pattern"]),
    (
        "ACTION_SET_PROPERTY",
        "set_property",
        &["propertyType", "propertyValue"],
    ),
    ("ACTION_SET_PROPERTIES", "set_properties", &["listMainSoundProperties"]),
    (
        "ACTION_SET_SYSTEM_PROPERTY",
        "set_system_property",
        &["propertyType", "propertyValue"],
    ),
    (
        "ACTION_SET_SYSTEM_PROPERTIES",
        "set_system_properties",
        &["listSystemProperties"],
    ),
    ("ACTION_DEBUG", "set_debug", &["debugType", "debugValue"]),
    (
        "ACTION_SET_NOTIFICATION_CONFIGURATION",
        "set_notification_configuration",
        &[
            "notificationConfigurationType",
            "notificationConfigurationStatus",
            "notificationConfigurationParam",
        ],
    ),
    ("ACTION_REGISTER", "register", &[]),
    ("ACTION_TRANSFER", "transfer", &[]),
    ("ACTION_UNKNOWN", "", &[]),
];

/// Attributes that say what is set to what.
const VALUES: [&str; 4] = [
    "propertyType",
    "propertyValue",
    "listMainSoundProperties",
    "listSystemProperties",
];

/// Every action, as it is called there.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(|(kind, ..)| *kind)
}

/// One action of ours, an inline table.
pub(super) struct Step(pub String);

/// What became of a process's actions.
pub(super) struct Steps {
    pub done: Vec<Step>,
    /// One or more are built in.
    pub built_in: bool,
    lost: Option<String>,
}

impl Steps {
    /// Why nothing is left.
    pub fn refused(&self) -> Option<String> {
        match self.done.is_empty() {
            true => Some(self.lost.clone().unwrap_or_else(|| "nothing is left to do".to_owned())),
            false => None,
        }
    }
}

/// Something that does nothing, for a rule whose only use is its `break`.
pub(super) fn nothing(triggers: &[&'static str]) -> Step {
    let connect = triggers == ["USER_CONNECTION_REQUEST"];
    Step(if connect {
        "{ connect = { source = \"request.source\", sink = \"request.sink\" } }".to_owned()
    } else {
        "{ unlimit = { pattern = 0 } }".to_owned()
    })
}

/// An action while it is read.
struct Reading<'r, 's, 'a> {
    scope: &'r Scope<'s, 'a>,
    element: El<'a>,
    kind: &'static str,
    ours: &'static str,
    extra: &'static [&'static str],
    conditional: bool,
}

/// All actions of a process, in their order. `conditional`: it has conditions.
pub(super) fn steps<'a>(scope: &Scope<'_, 'a>, actions: &[El<'a>], conditional: bool) -> Steps {
    let mut steps = Steps {
        done: Vec::new(),
        built_in: false,
        lost: None,
    };
    let kinds: Vec<&str> = actions.iter().filter_map(|it| Some(it.attr("type")?.value)).collect();
    for element in actions {
        element.known(&ATTRIBUTES, &[]);
        let Some(attr) = element.need("type", "say which, as `type=\"ACTION_DISCONNECT\"`") else {
            continue;
        };
        let Some((kind, ours, extra)) = ACTIONS.iter().find(|(kind, ..)| *kind == attr.value).copied() else {
            let known = || ACTIONS.iter().map(|(kind, ..)| *kind);
            let label = format!("known: {}", listed(known()));
            let message = format!("there is no action `{}`", attr.value);
            attr.wrong(code::UNKNOWN_WORD, message, label, did_you_mean(attr.value, known()));
            continue;
        };
        let reading = Reading {
            scope,
            element: *element,
            kind,
            ours,
            extra,
            conditional,
        };
        if let Some(what) = reading.is_built_in(&kinds) {
            reading.note_built_in(what);
            steps.built_in = true;
            continue;
        }
        match reading.step() {
            Ok(step) => steps.done.push(step),
            Err(why) => {
                element.input.lost(element.at(), &*why);
                element.input.refused(element.range(), &why);
                element.rest_lost(&why);
                steps.lost.get_or_insert(why);
            }
        }
    }
    steps
}

impl Reading<'_, '_, '_> {
    fn is(&self, attribute: &str, macros: &[&str]) -> bool {
        self.element
            .attr(attribute)
            .is_some_and(|attr| macros.contains(&attr.value.trim()))
    }

    fn has(&self, attributes: &[&str]) -> bool {
        attributes.iter().any(|it| self.element.attr(it).is_some())
    }

    /// It sets something else than what was asked for.
    fn sets_its_own(&self) -> bool {
        let given = VALUES.iter().filter_map(|it| self.element.attr(it));
        given
            .map(|attr| attr.value.trim())
            .any(|value| value != "REQUESTING" && words::field(value).is_none())
    }

    /// What our machine does without a rule.
    fn is_built_in(&self, kinds: &[&str]) -> Option<&'static str> {
        let triggers = self.scope.triggers;
        let on = |trigger: &str| !triggers.is_empty() && triggers.iter().all(|it| *it == trigger);
        let pair = self.is("sourceName", &["REQUESTING", "REQ_SOURCE_NAME"])
            && self.is("sinkName", &["REQUESTING", "REQ_SINK_NAME"]);
        let class = self.is("className", &["REQUESTING", "REQ_CLASS_NAME"]) && !self.has(&["sourceName", "sinkName"]);
        let sink = self.is("sinkName", &["REQUESTING", "REQ_SINK_NAME"]) && !self.has(&["sourceName", "className"]);
        let source = self.is("sourceName", &["REQUESTING", "REQ_SOURCE_NAME"]) && !self.has(&["sinkName", "className"]);
        let volumes = ["mainVolume", "mainVolumeStep", "volume", "volumeStep"];
        let around = kinds.contains(&"ACTION_MUTE") && kinds.contains(&"ACTION_UNMUTE");
        match self.kind {
            "ACTION_CONNECT" if on("USER_CONNECTION_REQUEST") && (pair || class) => {
                Some("what is asked for is connected before rules are")
            }
            "ACTION_DISCONNECT" if on("USER_DISCONNECTION_REQUEST") && pair => {
                Some("what is asked for is disconnected before rules are")
            }
            "ACTION_MUTE" | "ACTION_UNMUTE"
                if around && class && (on("USER_CONNECTION_REQUEST") || on("USER_DISCONNECTION_REQUEST")) =>
            {
                Some("every change is a ramp: nothing clicks")
            }
            "ACTION_SET_VOLUME" if on("USER_SET_VOLUME") && sink && !self.has(&volumes) => {
                Some("the volume asked for is set before rules are")
            }
            "ACTION_MUTE" | "ACTION_UNMUTE" if on("USER_SET_SINK_MUTE_STATE") && sink => {
                Some("the mute asked for is set before rules are")
            }
            "ACTION_SET_PROPERTY" | "ACTION_SET_PROPERTIES" | "ACTION_SET_NOTIFICATION_CONFIGURATION"
                if triggers.iter().all(|it| it.starts_with("USER_SET_"))
                    && (sink || source)
                    && !self.sets_its_own() =>
            {
                Some("what is asked for is set before rules are")
            }
            "ACTION_SET_SYSTEM_PROPERTY" | "ACTION_SET_SYSTEM_PROPERTIES"
                if triggers.iter().all(|it| it.starts_with("USER_SET_SYSTEM_")) && !self.sets_its_own() =>
            {
                Some("what is asked for is set before rules are")
            }
            _ => None,
        }
    }

    fn note_built_in(&self, what: &str) {
        let note = built_in(what);
        let asked = self
            .scope
            .triggers
            .iter()
            .any(|trigger| trigger.ends_with("MUTE_STATE"));
        match self.conditional && !asked {
            true => self
                .element
                .approximated(format!("{note}, also where the condition doesn't hold")),
            false => self.element.mapped(&*note),
        }
        self.element.rest_approximated(&note);
    }

    /// The action as ours, else why not.
    fn step(&self) -> Result<Step, String> {
        if let Some(attr) = self.element.attr("type") {
            attr.mapped(format!("`{}`", self.ours));
        }
        if self.ours.is_empty() || self.kind == "ACTION_REGISTER" && self.scope.reader.kept.is_empty() {
            return Err(match self.kind {
                "ACTION_REGISTER" => "everything of the file is registered from the start",
                "ACTION_UNKNOWN" => "does nothing there either",
                _ => "there is nothing in this machine that it could change",
            }
            .to_owned());
        }
        let list = VALUES
            .iter()
            .find(|it| it.starts_with("list") && self.extra.contains(it));
        if let Some(list) = list.filter(|list| self.element.attr(list).is_none()) {
            return Err(format!("has no `{list}`: it sets nothing there either"));
        }
        let mut keys = Vec::new();
        self.targets(&mut keys)?;
        for attribute in self.extra {
            let Some(attr) = self.element.attr(attribute) else {
                continue;
            };
            if let Some((key, value)) = parameter::ours(attribute, &attr, self.ours)? {
                attr.mapped(format!("`{key}`"));
                keys.push((key, value));
            }
        }
        self.held(&mut keys);
        if self.kind == "ACTION_TRANSFER" {
            self.element
                .approximated("`transfer`: there no policy reaches it, here connections are handed over");
        }
        self.element.mapped(format!("`{}`", self.ours));
        self.left_over();
        let mut text = format!("{{ {} = {{ ", self.ours);
        let keys: Vec<String> = keys
            .into_iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        let _ = write!(text, "{} }} }}", keys.join(", "));
        Ok(Step(text))
    }

    /// Names: of whom.
    fn targets(&self, keys: &mut Vec<(&'static str, String)>) -> Result<(), String> {
        for (attribute, key, of) in [
            ("className", "class", Of::Class),
            ("sourceName", "source", Of::Source),
            ("sinkName", "sink", Of::Sink),
            ("gatewayName", "gateway", Of::Gateway),
            ("connectionName", "connection", Of::Connection),
            ("exceptClass", "except_class", Of::Class),
            ("exceptSource", "except_source", Of::Source),
            ("exceptSink", "except_sink", Of::Sink),
        ] {
            let Some(attr) = self.element.attr(attribute) else {
                continue;
            };
            let wanted =
                !attribute.starts_with("except") || attribute == "exceptClass" || self.extra.contains(&attribute);
            if !wanted {
                continue;
            }
            match attr.value.trim() {
                "" | "ALL" => attr.mapped("everything"),
                "OTHERS" => {
                    keys.push(("connection", quoted("others")));
                    attr.approximated("all other connections than the requested one");
                }
                value => {
                    keys.push((key, self.names(&attr, value, of)?));
                    attr.mapped(format!("`{key}`"));
                }
            }
        }
        let ends = matches!(self.ours, "disconnect" | "push" | "suspend");
        let given = |key: &str| keys.iter().any(|(known, _)| *known == key);
        let wide = !given("source") && !given("sink") && !given("connection") && !given("except_source");
        if ends && wide && self.scope.triggers.contains(&"USER_CONNECTION_REQUEST") {
            // Theirs come before the requested connection is made, ours after it.
            keys.push(("except_source", quoted("request.source")));
        }
        Ok(())
    }

    /// A macro, a function, or names.
    fn names(&self, attr: &Attr<'_>, value: &str, of: Of) -> Result<String, String> {
        if value == "REQUESTING" || words::field(value).is_some() || value.contains('(') {
            let term = self.term(attr, value)?;
            return Ok(quoted(&self.told(attr, self.scope.element(of, &term))?));
        }
        let mut names = Vec::new();
        let parts: Vec<&str> = match self.scope.element(of, &Term::Text(value.to_owned())) {
            Ok(_) => vec![value],
            Err(_) => value.split([';', ',', ' ']).filter(|name| !name.is_empty()).collect(),
        };
        for name in parts {
            let ours = self.told(attr, self.scope.element(of, &Term::Text(name.to_owned())))?;
            // `class("BASE")` is its name here.
            let inner = ours.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
            names.push(match of {
                Of::Connection => quoted(&ours),
                _ => quoted(inner.unwrap_or(&ours)),
            });
        }
        Ok(match names.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        })
    }

    fn term(&self, attr: &Attr<'_>, value: &str) -> Result<Term, String> {
        condition::term(value).map_err(|(message, cause)| {
            attr.wrong(code::EXPRESSION, message.clone(), cause, None);
            message
        })
    }

    fn told<T>(&self, attr: &Attr<'_>, result: Result<T, Why>) -> Result<T, String> {
        result.map_err(|why| match why {
            Why::Lost(why) => why,
            Why::Wrong(message, cause, help) => {
                attr.wrong(code::EXPRESSION, message.clone(), cause, help);
                message
            }
        })
    }

    /// Limits and mutes end with their cause, or last until they are ended.
    fn held(&self, keys: &mut Vec<(&'static str, String)>) {
        if !matches!(self.ours, "limit" | "mute") {
            return;
        }
        if self.scope.triggers.iter().all(|trigger| words::has_cause(trigger)) {
            self.element.approximated(format!(
                "`{}`: ends by itself too, when the source that asked no longer sounds",
                self.ours
            ));
        } else if !keys.iter().any(|(key, _)| *key == "below_db") {
            keys.push(("sticky", "true".to_owned()));
        }
    }

    /// Attributes that ours doesn't have.
    fn left_over(&self) {
        for (attribute, why) in [
            ("timeOut", "nothing here waits for an acknowledgement"),
            ("rampType", "ramps are straight in amplitude"),
            ("rampTime", "of this action a ramp is the zone's `ramp_ms`"),
            ("muteState", "the action says it"),
            ("connectionState", "connections in every state that it can change"),
            ("order", "all that fit"),
            ("connectionFormat", "the mixer converts formats"),
            ("mainVolume", "volumes stay as they are"),
            ("mainVolumeStep", "volumes stay as they are"),
            ("volume", "gains stay as they are"),
            ("volumeStep", "gains stay as they are"),
        ] {
            if let Some(attr) = self
                .element
                .attr(attribute)
                .filter(|_| !self.extra.contains(&attribute))
            {
                attr.approximated(why);
            }
        }
        self.element.rest_lost("this action doesn't have it here");
    }
}
