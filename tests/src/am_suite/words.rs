//! What cases say: connecting, acknowledging, looking at states, in one line each. What they register: [`elements`](super::elements).

use anyhow::{Context, Result, bail, ensure};
use dbus_api::names::{COMMAND_INTERFACE, COMMAND_PATH, ROUTING_INTERFACE, ROUTING_PATH};
use serde::Serialize;
use zbus::DynamicType;

use super::bus::To;
use super::domain::{Acks, Request};
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

pub(super) fn id(values: &[Value], at: usize) -> Result<u16> {
    let id = values.get(at).and_then(Value::int).context("an ID")?;
    Ok(u16::try_from(id)?)
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
