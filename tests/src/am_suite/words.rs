//! What cases say: registering, connecting, acknowledging, looking at states, in one line each.

use anyhow::{Context, Result, bail, ensure};
use dbus_api::names::{COMMAND_INTERFACE, COMMAND_PATH, ROUTING_INTERFACE, ROUTING_PATH};
use serde::Serialize;
use zbus::DynamicType;

use super::bus::To;
use super::domain::{Acks, Element, GatewayData, INTERFACE, PATH, Request, SinkData, SourceData};
use super::stage::{Answer, Stage, same};
use super::trace::code_of;
use super::value::{Value, listed};

/// `am_ConnectionState_e`.
pub mod state {
    #![allow(missing_docs, reason = "the names are the interface's own")]
    pub const UNKNOWN: i64 = 0;
    pub const CONNECTING: i64 = 1;
    pub const CONNECTED: i64 = 2;
    pub const DISCONNECTING: i64 = 3;
    pub const DISCONNECTED: i64 = 4;
    pub const SUSPENDED: i64 = 5;
}

/// `(qsssbbn)sss`: ID, name, bus name, node, early, complete, state; bus name, path, interface.
pub type DomainBody = ((u16, String, String, String, bool, bool, i16), String, String, String);

/// A pair that can be connected.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Index of its domain.
    pub domain: usize,
    /// sourceID.
    pub source: u16,
    /// sinkID.
    pub sink: u16,
}

fn id(values: &[Value], at: usize) -> Result<u16> {
    let id = values.get(at).and_then(Value::int).context("an ID")?;
    Ok(u16::try_from(id)?)
}

/// What registerSink takes.
#[must_use]
pub fn sink_data(domain: u16, class: u16, name: &str, element: &Element) -> SinkData {
    let it = element.clone();
    SinkData {
        id: it.id,
        name: name.to_owned(),
        domain,
        class: class.into(),
        volume: it.volume,
        visible: it.visible,
        available: it.available,
        mute: it.mute,
        main_volume: it.main_volume,
        sound: it.sound,
        formats: it.formats,
        main_sound: it.main_sound,
        main_notifications: it.main_notifications,
        notifications: it.notifications,
    }
}

/// What registerSource takes.
#[must_use]
pub fn source_data(domain: u16, class: u16, name: &str, element: &Element) -> SourceData {
    let it = element.clone();
    SourceData {
        id: it.id,
        domain,
        name: name.to_owned(),
        class,
        state: it.state,
        volume: it.volume,
        visible: it.visible,
        available: it.available,
        interrupt: 1,
        sound: it.sound,
        formats: it.formats,
        main_sound: it.main_sound,
        main_notifications: it.main_notifications,
        notifications: it.notifications,
    }
}

impl Stage {
    /// A method of the routing interface that answers with a code; the code.
    ///
    /// # Errors
    /// It is not answered.
    pub fn code(&mut self, from: usize, member: &str, body: &(impl Serialize + DynamicType)) -> Result<i64> {
        let values = self.routing_call(Some(from), member, body)?;
        Ok(code_of(member, &values))
    }

    /// One of the command interface; the code.
    ///
    /// # Errors
    /// It is not answered.
    pub fn command(&mut self, member: &str, body: &(impl Serialize + DynamicType)) -> Result<i64> {
        let values = self.call(member, body)?;
        Ok(code_of(member, &values))
    }

    /// The name of the D-Bus error a call is answered with, empty if it isn't.
    ///
    /// # Errors
    /// It is not answered.
    pub fn error(&mut self, routing: bool, member: &str, body: &(impl Serialize + DynamicType)) -> Result<String> {
        let (path, interface) = if routing {
            (ROUTING_PATH, ROUTING_INTERFACE)
        } else {
            (COMMAND_PATH, COMMAND_INTERFACE)
        };
        let interface = Some(interface);
        Ok(
            match self.ask(
                None,
                To {
                    path,
                    interface,
                    member,
                },
                body,
            )? {
                Answer::Values(_) => String::new(),
                Answer::Error(name) => name,
            },
        )
    }

    /// The body of registerDomain.
    #[must_use]
    pub fn domain_body(&self, domain: usize, id: u16, name: &str, state: i16) -> DomainBody {
        let bus_name = self.domains[domain].bus_name.clone();
        let data = (
            id,
            name.to_owned(),
            String::new(),
            "suite".to_owned(),
            false,
            false,
            state,
        );
        (data, bus_name, PATH.to_owned(), INTERFACE.to_owned())
    }

    /// A registered domain that acknowledges everything.
    ///
    /// # Errors
    /// It isn't taken.
    pub fn domain(&mut self, name: &str) -> Result<usize> {
        let domain = self.join()?;
        self.register(domain, name)?;
        Ok(domain)
    }

    /// Registers one that has joined.
    ///
    /// # Errors
    /// It isn't taken.
    pub fn register(&mut self, domain: usize, name: &str) -> Result<()> {
        let body = self.domain_body(domain, 0, name, 1);
        let answer = self.routing_call(Some(domain), "registerDomain", &body)?;
        same("registerDomain", code_of("registerDomain", &answer), 0)?;
        self.domains[domain].id = id(&answer, 0)?;
        let own = self.domains[domain].id;
        self.routing_call(Some(domain), "confirmRoutingReady", &own)?;
        Ok(())
    }

    /// A class's ID by its name.
    ///
    /// # Errors
    /// There is none.
    pub fn class(&mut self, name: &str) -> Result<u16> {
        let answer = self.routing_call(None, "peekSourceClassID", &name)?;
        same(
            &format!("class {name}: peekSourceClassID"),
            code_of("peekSourceClassID", &answer),
            0,
        )?;
        id(&answer, 0)
    }

    /// The body of registerSink.
    ///
    /// # Errors
    /// Its class is not there.
    pub fn sink_body(&mut self, domain: u16, name: &str, element: &Element) -> Result<(SinkData,)> {
        let class = self.class(element.class)?;
        Ok((sink_data(domain, class, name, element),))
    }

    /// The body of registerSource.
    ///
    /// # Errors
    /// Its class is not there.
    pub fn source_body(&mut self, domain: u16, name: &str, element: &Element) -> Result<(SourceData,)> {
        let class = self.class(element.class)?;
        Ok((source_data(domain, class, name, element),))
    }

    /// A registered sink; its ID.
    ///
    /// # Errors
    /// It isn't taken.
    pub fn sink_of(&mut self, domain: usize, name: &str, element: &Element) -> Result<u16> {
        let body = self.sink_body(self.domains[domain].id, name, element)?;
        self.registered(domain, "registerSink", &body)
    }

    /// A registered source; its ID.
    ///
    /// # Errors
    /// It isn't taken.
    pub fn source_of(&mut self, domain: usize, name: &str, element: &Element) -> Result<u16> {
        let body = self.source_body(self.domains[domain].id, name, element)?;
        self.registered(domain, "registerSource", &body)
    }

    /// The usual sink.
    ///
    /// # Errors
    /// It isn't taken.
    pub fn sink(&mut self, domain: usize, name: &str) -> Result<u16> {
        self.sink_of(domain, name, &Element::default())
    }

    /// The usual source of a class.
    ///
    /// # Errors
    /// It isn't taken.
    pub fn source(&mut self, domain: usize, name: &str, class: &'static str) -> Result<u16> {
        self.source_of(domain, name, &Element::of(class))
    }

    /// Something that is registered with E_OK; its ID.
    ///
    /// # Errors
    /// It isn't.
    pub fn registered(&mut self, domain: usize, member: &str, body: &(impl Serialize + DynamicType)) -> Result<u16> {
        let answer = self.routing_call(Some(domain), member, body)?;
        same(member, code_of(member, &answer), 0)?;
        id(&answer, 0)
    }

    /// A domain `amplifier` with a source `tuner` of class media and a sink `speakers`.
    ///
    /// # Errors
    /// They aren't taken.
    pub fn amplifier(&mut self) -> Result<Pair> {
        let domain = self.domain("amplifier")?;
        let sink = self.sink(domain, "speakers")?;
        let source = self.source(domain, "tuner", "media")?;
        self.settle()?;
        Ok(Pair { domain, source, sink })
    }

    /// What is known of a gateway from a sink to a source, controlled by the first domain, that takes mono and stereo as they are.
    #[must_use]
    pub fn gateway_data(&self, name: &str, (from, sink): (usize, u16), (to, source): (usize, u16)) -> GatewayData {
        GatewayData {
            id: 0,
            name: name.to_owned(),
            sink,
            source,
            domain_sink: self.domains[from].id,
            domain_source: self.domains[to].id,
            control_domain: self.domains[from].id,
            source_formats: vec![1, 2],
            sink_formats: vec![1, 2],
            matrix: vec![true, false, false, true],
        }
    }

    /// As [`Self::gateway_data`], registered; its ID.
    ///
    /// # Errors
    /// It isn't taken.
    pub fn gateway(&mut self, name: &str, from: (usize, u16), to: (usize, u16)) -> Result<u16> {
        let data = self.gateway_data(name, from, to);
        self.registered(from.0, "registerGateway", &(data,))
    }

    /// Domains in a row with a gateway from each to the next: the source is in the first, the sink in the last.
    ///
    /// # Errors
    /// They aren't taken.
    pub fn chain(&mut self, length: usize) -> Result<(Vec<usize>, u16, u16)> {
        let mut domains = Vec::new();
        for index in 0..length {
            domains.push(self.domain(&format!("chain{index}"))?);
        }
        let first = *domains.first().context("a chain has a domain")?;
        let last = *domains.last().context("a chain has a domain")?;
        let source = self.source(first, "far", "media")?;
        for (index, pair) in domains.windows(2).enumerate() {
            let [from, to] = *pair else { continue };
            let out = self.sink(from, &format!("out{index}"))?;
            let into = self.source(to, &format!("in{index}"), "media")?;
            self.gateway(&format!("gateway{index}"), (from, out), (to, into))?;
        }
        let sink = self.sink(last, "near")?;
        Ok((domains, source, sink))
    }

    /// Connect; its code and ID.
    ///
    /// # Errors
    /// It is not answered.
    pub fn try_connect(&mut self, source: u16, sink: u16) -> Result<(i64, u16)> {
        let answer = self.call("Connect", &(source, sink))?;
        Ok((code_of("Connect", &answer), id(&answer, 1)?))
    }

    /// Connect with E_OK, as far as it goes; the connection.
    ///
    /// # Errors
    /// It is refused.
    pub fn connect(&mut self, source: u16, sink: u16) -> Result<u16> {
        let (code, connection) = self.try_connect(source, sink)?;
        same("Connect", code, 0)?;
        self.settle()?;
        Ok(connection)
    }

    /// Connect until it is connected.
    ///
    /// # Errors
    /// It isn't.
    pub fn connected(&mut self, source: u16, sink: u16) -> Result<u16> {
        let connection = self.connect(source, sink)?;
        self.is_in(connection, state::CONNECTED)?;
        Ok(connection)
    }

    /// Disconnect with E_OK, as far as it goes.
    ///
    /// # Errors
    /// It is refused.
    pub fn disconnect(&mut self, connection: u16) -> Result<()> {
        same("Disconnect", self.command("Disconnect", &connection)?, 0)?;
        self.settle()
    }

    /// A connection is said to be in a state.
    ///
    /// # Errors
    /// It isn't.
    pub fn is_in(&self, connection: u16, state: i64) -> Result<()> {
        match self.trace.state_of(connection) {
            Some(is) if is == state => Ok(()),
            other => bail!(
                "connection {connection} is in state {other:?}, not {state}; {}",
                self.story()
            ),
        }
    }

    /// A connection is said to be removed.
    ///
    /// # Errors
    /// It isn't.
    pub fn is_gone(&self, connection: u16) -> Result<()> {
        ensure!(
            self.trace.path_of(connection).last() == Some(&None),
            "connection {connection} is not removed; {}",
            self.story()
        );
        Ok(())
    }

    /// Waits until a connection is in a state.
    ///
    /// # Errors
    /// It doesn't come.
    pub fn wait_for_state(&mut self, connection: u16, state: i64) -> Result<()> {
        let what = format!("state {state} of connection {connection}");
        self.until(&what, |stage| stage.trace.state_of(connection) == Some(state))
    }

    /// Waits until a connection is removed, then for all that follows.
    ///
    /// # Errors
    /// It isn't.
    pub fn wait_until_gone(&mut self, connection: u16) -> Result<()> {
        let what = format!("removal of connection {connection}");
        self.until(&what, |stage| stage.trace.path_of(connection).last() == Some(&None))?;
        self.settle()
    }

    /// Waits for a signal, also one that was heard already.
    ///
    /// # Errors
    /// It doesn't come.
    pub fn hears(&mut self, signal: &str) -> Result<()> {
        self.until(signal, |stage| stage.heard.iter().any(|it| it == signal))
    }

    /// How often a signal was heard.
    #[must_use]
    pub fn times(&self, signal: &str) -> usize {
        self.heard.iter().filter(|it| *it == signal).count()
    }

    /// What a domain was asked since this was looked at last, without handles.
    pub fn asked_of(&mut self, domain: usize) -> Vec<String> {
        let domain = &mut self.domains[domain];
        let new = domain.asked[domain.looked_at..]
            .iter()
            .map(ToString::to_string)
            .collect();
        domain.looked_at = domain.asked.len();
        new
    }

    /// A domain was asked just this since it was looked at last.
    ///
    /// # Errors
    /// It wasn't.
    pub fn was_asked(&mut self, domain: usize, wanted: &[String]) -> Result<()> {
        let asked = self.asked_of(domain);
        same("asked of the domain", format!("{asked:?}"), format!("{wanted:?}"))
    }

    /// Waits for the next request of a domain that acknowledges by hand.
    ///
    /// # Errors
    /// None comes, or another.
    pub fn next_request(&mut self, domain: usize, member: &str) -> Result<Request> {
        let open = |stage: &Self| stage.domains[domain].asked.iter().position(|it| !it.done);
        self.until(member, |stage| open(stage).is_some())?;
        let at = open(self).context("a request")?;
        let request = &mut self.domains[domain].asked[at];
        request.done = true;
        same("the next request", &request.member, member)?;
        Ok(request.clone())
    }

    /// Acknowledges a request, as it was asked, with a code.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn ack(&mut self, domain: usize, request: &Request, code: u16) -> Result<()> {
        let int = |at: usize| request.args.get(at).and_then(Value::int).unwrap_or(0);
        let (handle, id, volume) = (request.handle, int(0) as u16, int(1) as i16);
        let ack = ack_of(&request.member);
        if ack.is_empty() {
            return Ok(());
        }
        self.trace.used(ack, i64::from(code));
        match ack {
            "ackConnect" | "ackDisconnect" => self.tell(domain, ack, &(handle, id, code)),
            "ackSetSinkVolume" | "ackSetSourceVolume" => self.tell(domain, ack, &(handle, volume, code)),
            // The input that is hot now.
            "ackCrossFading" => self.tell(domain, ack, &(handle, volume, code)),
            "ackSetVolumes" => {
                let all = int_rows(request.args.first());
                self.tell(domain, ack, &(handle, all, code))
            }
            _ => self.tell(domain, ack, &(handle, code)),
        }
    }

    /// A call of the routing interface that nobody answers.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn tell(&mut self, domain: usize, member: &str, body: &(impl Serialize + DynamicType)) -> Result<()> {
        let (path, interface) = (ROUTING_PATH, Some(ROUTING_INTERFACE));
        self.send(
            Some(domain),
            To {
                path,
                interface,
                member,
            },
            body,
            false,
        )?;
        Ok(())
    }

    /// A hook or another call that answers with nothing; it must answer.
    ///
    /// # Errors
    /// It doesn't, or with something.
    pub fn hook(&mut self, domain: usize, member: &str, body: &(impl Serialize + DynamicType)) -> Result<()> {
        let answer = self.routing_call(Some(domain), member, body)?;
        same(member, listed(&answer), "")?;
        self.settle()
    }

    /// From now on a domain acknowledges so.
    pub fn acks(&mut self, domain: usize, acks: Acks) {
        self.domains[domain].acks = acks;
    }
}

/// `a(nqqnq)` of what was asked as `a(nqnnq)`.
fn int_rows(list: Option<&Value>) -> Vec<(i16, u16, u16, i16, u16)> {
    let rows = list.map_or(&[][..], Value::items).iter();
    let row = |it: &Value| {
        let int = |at: usize| it.items().get(at).and_then(Value::int).unwrap_or(0);
        (
            int(0) as i16,
            int(1) as u16,
            int(2) as u16,
            int(3) as i16,
            int(4) as u16,
        )
    };
    rows.map(row).collect()
}

/// The member that acknowledges a request; empty where none does.
#[must_use]
pub fn ack_of(request: &str) -> &'static str {
    match request {
        "asyncConnect" => "ackConnect",
        "asyncDisconnect" => "ackDisconnect",
        "asyncSetSinkVolume" => "ackSetSinkVolume",
        "asyncSetSourceVolume" => "ackSetSourceVolume",
        "asyncSetSourceState" => "ackSetSourceState",
        "asyncSetSinkSoundProperty" => "ackSetSinkSoundProperty",
        "asyncSetSourceSoundProperty" => "ackSetSourceSoundProperty",
        "asyncSetSinkSoundProperties" => "ackSetSinkSoundProperties",
        "asyncSetSourceSoundProperties" => "ackSetSourceSoundProperties",
        "asyncCrossFade" => "ackCrossFading",
        "asyncSetVolumes" => "ackSetVolumes",
        "asyncSetSinkNotificationConfiguration" => "ackSinkNotificationConfiguration",
        "asyncSetSourceNotificationConfiguration" => "ackSourceNotificationConfiguration",
        "asyncTransferConnection" => "ackTransferConnection",
        _ => "",
    }
}
