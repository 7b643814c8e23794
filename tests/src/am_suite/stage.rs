//! What a case acts on: a client that hears every signal, and domains, each with a connection of its own. Nothing happens between a
//! case's lines: messages are read only while it waits for something.
//!
//! ```text
//!  case ─ call, ask ─► Link ─► bus ─► daemon        wait: read whatever comes first ─► signals to `heard`, answers to who
//!                                                   waits, requests to their domain, which acknowledges as it was told to
//! ```

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use dbus_api::names::{BUS_NAME, COMMAND_INTERFACE, COMMAND_PATH, ROUTING_INTERFACE, ROUTING_PATH};
use serde::Serialize;
use tokio::runtime::Runtime;
use zbus::message::{Flags, Type};
use zbus::{DynamicType, Message};

use super::bus::{Link, To, next_of};
use super::domain::{Acks, Domain, INTERFACE, PATH, Request};
use super::members::{Side, find};
use super::subject::Subject;
use super::tamper::{Tamper, Told};
use super::trace::{BUS_ERROR, NO_CODE, Trace, check_types, code_of};
use super::value::{Value, arguments, listed, signature};

/// Index of the client's connection; that of domain n is n + 1.
const CLIENT: usize = 0;

/// An answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Its arguments.
    Values(Vec<Value>),
    /// A D-Bus error.
    Error(String),
}

/// See the module.
pub struct Stage {
    runtime: Runtime,
    /// The daemon.
    pub subject: Subject,
    client: Link,
    /// Domains, in the order they came.
    pub domains: Vec<Domain>,
    answers: BTreeMap<(usize, u32), Message>,
    /// Signals in order, as `Name arg arg`.
    pub heard: Vec<String>,
    /// What this case did.
    pub trace: Trace,
    /// What a daemon with a fault would do.
    pub tamper: Tamper,
    patience: Duration,
    names: u32,
}

impl Stage {
    /// Starts bus and daemon; returns when it serves. `patience` is the longest wait for something that must happen.
    ///
    /// # Errors
    /// It doesn't.
    pub fn start(folder: &Path, command: Option<&str>, patience: Duration, tamper: Tamper) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let subject = Subject::start(folder, command)?;
        let client = runtime.block_on(Link::connect(subject.address(), COMMAND_PATH))?;
        let mut stage = Self {
            runtime,
            subject,
            client,
            domains: Vec::new(),
            answers: BTreeMap::new(),
            heard: Vec::new(),
            trace: Trace::default(),
            tamper,
            patience,
            names: 0,
        };
        stage.wait_for_daemon()?;
        Ok(stage)
    }

    /// Waits until the daemon owns its name and answers.
    ///
    /// # Errors
    /// It doesn't.
    pub fn wait_for_daemon(&mut self) -> Result<()> {
        let until = Instant::now() + self.patience.max(Duration::from_secs(20));
        while !self.runtime.block_on(self.client.daemon_is_there()) {
            if Instant::now() > until {
                bail!("nobody owns {BUS_NAME}; {}", self.subject.state());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.routing_call(None, "getRoutingReadyState", &())?;
        Ok(())
    }

    /// A name nobody has had.
    pub fn fresh_name(&mut self) -> String {
        self.names += 1;
        format!("org.carillon.suite.n{}", self.names)
    }

    /// Connects a domain without registering it; its index. It owns its bus name.
    ///
    /// # Errors
    /// The bus refuses.
    pub fn join(&mut self) -> Result<usize> {
        let bus_name = self.fresh_name();
        let address = self.subject.address().to_owned();
        let link = self.runtime.block_on(async {
            let link = Link::connect(&address, ROUTING_PATH).await?;
            link.of_bus("RequestName", &(bus_name.as_str(), 4_u32)).await?;
            anyhow::Ok(link)
        })?;
        self.domains.push(Domain {
            link,
            id: 0,
            bus_name,
            acks: Acks::All,
            asked: Vec::new(),
            looked_at: 0,
            heard: Vec::new(),
            order: std::collections::VecDeque::new(),
        });
        Ok(self.domains.len() - 1)
    }

    fn link(&self, of: usize) -> Result<&Link> {
        match of.checked_sub(1) {
            None => Ok(&self.client),
            Some(domain) => Ok(&self.domains.get(domain).context("no such domain")?.link),
        }
    }

    /// Sends a call from the client or a domain; its serial.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(
        &self,
        from: Option<usize>,
        to: To<'_>,
        body: &(impl Serialize + DynamicType),
        answered: bool,
    ) -> Result<u32> {
        let link = self.link(from.map_or(CLIENT, |it| it + 1))?;
        self.runtime.block_on(link.call(to, body, answered))
    }

    /// Sends a call and waits for its answer.
    ///
    /// # Errors
    /// None comes, or it has other types than the interface says.
    pub fn ask(&mut self, from: Option<usize>, to: To<'_>, body: &(impl Serialize + DynamicType)) -> Result<Answer> {
        let serial = self.send(from, to, body, true)?;
        let key = (from.map_or(CLIENT, |it| it + 1), serial);
        self.until(&format!("an answer to {}", to.member), |stage| {
            stage.answers.contains_key(&key)
        })?;
        let message = self.answers.remove(&key).context("an answer")?;
        if message.message_type() == Type::Error {
            self.trace.used(to.member, BUS_ERROR);
            let name = message
                .header()
                .error_name()
                .map_or_else(String::new, ToString::to_string);
            return Ok(Answer::Error(name));
        }
        let mut values = arguments(&message)?;
        if let Some(member) = find(to.member) {
            check_types(member.side, member.name, &signature(&message))?;
            self.tamper.answer(member.name, &mut values);
            // What an ack carries was in the call.
            self.trace.used(member.name, code_of(member.name, &values));
        }
        Ok(Answer::Values(values))
    }

    fn values(answer: Answer, member: &str) -> Result<Vec<Value>> {
        match answer {
            Answer::Values(values) => Ok(values),
            Answer::Error(name) => bail!("{member} was answered with {name}"),
        }
    }

    /// A call of the command interface; all it answers.
    ///
    /// # Errors
    /// It is not answered, or with a D-Bus error.
    pub fn call(&mut self, member: &str, body: &(impl Serialize + DynamicType)) -> Result<Vec<Value>> {
        let interface = Some(COMMAND_INTERFACE);
        let path = COMMAND_PATH;
        let answer = self.ask(
            None,
            To {
                path,
                interface,
                member,
            },
            body,
        )?;
        Self::values(answer, member)
    }

    /// A call of the routing interface; all it answers.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn routing_call(
        &mut self,
        from: Option<usize>,
        member: &str,
        body: &(impl Serialize + DynamicType),
    ) -> Result<Vec<Value>> {
        let interface = Some(ROUTING_INTERFACE);
        let path = ROUTING_PATH;
        let answer = self.ask(
            from,
            To {
                path,
                interface,
                member,
            },
            body,
        )?;
        Self::values(answer, member)
    }

    /// Reads one message, if there is one before `until`.
    ///
    /// # Errors
    /// It shows something that can't be.
    fn read(&mut self, until: Instant) -> Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        let domains = self
            .domains
            .iter_mut()
            .enumerate()
            .map(|(index, it)| (index + 1, &mut it.link));
        let links = std::iter::once((CLIENT, &mut self.client)).chain(domains);
        let next = self
            .runtime
            .block_on(async { tokio::time::timeout(left, next_of(links)).await });
        let Ok((of, message)) = next else {
            return Ok(false);
        };
        self.take(of, message)?;
        Ok(true)
    }

    fn take(&mut self, of: usize, message: Message) -> Result<()> {
        let header = message.header();
        let member = header.member().map_or_else(String::new, ToString::to_string);
        let path = header.path().map_or("", |it| it.as_str());
        match message.message_type() {
            Type::MethodReturn | Type::Error => {
                let serial = header.reply_serial().map_or(0, std::num::NonZeroU32::get);
                if let Some(domain) = of.checked_sub(1).and_then(|it| self.domains.get_mut(it)) {
                    domain.order.push_back(format!("reply {serial}"));
                }
                self.answers.insert((of, serial), message);
            }
            Type::Signal if path == COMMAND_PATH => {
                check_types(Side::Signal, &member, &signature(&message))?;
                let told = Told {
                    member,
                    args: arguments(&message)?,
                };
                for Told { member, args } in self.tamper.signal(told) {
                    self.trace.used(&member, NO_CODE);
                    self.trace.signal(&member, &args)?;
                    self.heard
                        .push(format!("{member} {}", listed(&args)).trim_end().to_owned());
                }
            }
            Type::Signal if path == ROUTING_PATH => {
                check_types(Side::Ready, &member, &signature(&message))?;
                self.trace.used(&member, NO_CODE);
                if let Some(domain) = of.checked_sub(1).and_then(|it| self.domains.get_mut(it)) {
                    domain.heard.push(member);
                }
            }
            Type::MethodCall if of != CLIENT && self.tamper.asks(&member) => self.asked(of - 1, &message)?,
            Type::Signal | Type::MethodCall => {}
        }
        Ok(())
    }

    /// A domain is asked something.
    fn asked(&mut self, index: usize, message: &Message) -> Result<()> {
        let header = message.header();
        let member = header.member().map_or_else(String::new, ToString::to_string);
        let place = (
            header.path().map_or("", |it| it.as_str()),
            header.interface().map_or("", |it| it.as_str()),
        );
        ensure!(place == (PATH, INTERFACE), "{member} was asked at {place:?}");
        check_types(Side::Domain, &member, &signature(message))?;
        self.trace.used(&member, NO_CODE);
        let mut args = arguments(message)?;
        let handle = args.first().and_then(Value::int).and_then(|it| u16::try_from(it).ok());
        args.drain(..1.min(args.len()));
        let request = Request {
            member,
            handle: handle.unwrap_or(0),
            args,
            done: false,
        };
        let domain = self.domains.get_mut(index).context("no such domain")?;
        domain.order.push_back(request.member.clone());
        let (acks, at) = (domain.acks, domain.asked.len());
        domain.asked.push(request.clone());
        let unknown = matches!(acks, Acks::Unknown(member) if member == request.member);
        self.return_from(index, message, unknown)?;
        let code = match acks {
            Acks::All => Some(0),
            Acks::Refuses(member, code) if member == request.member => Some(code),
            Acks::Silent(member) | Acks::Unknown(member) if member == request.member => None,
            Acks::Refuses(..) | Acks::Silent(_) | Acks::Unknown(_) => Some(0),
            Acks::ByHand => None,
        };
        if let Some(code) = code {
            self.domains[index].asked[at].done = true;
            self.ack(index, &request, code)?;
        }
        Ok(())
    }

    /// What the method itself gives back, as a stock domain's does.
    fn return_from(&self, index: usize, message: &Message, unknown: bool) -> Result<()> {
        if message.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED) {
            return Ok(());
        }
        let header = message.header();
        let reply = if unknown {
            let name = zbus::names::ErrorName::try_from("org.freedesktop.DBus.Error.UnknownMethod")?;
            Message::error(&header, name).build(&"there is no such method")?
        } else {
            Message::method_return(&header).build(&0_i32)?
        };
        let link = self.link(index + 1)?;
        self.runtime.block_on(link.send(&reply))
    }

    /// Waits until something holds.
    ///
    /// # Errors
    /// It doesn't in time, or something that can't be was read meanwhile.
    pub fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let until = Instant::now() + self.patience;
        while !holds(self) {
            if !self.read(until)? {
                return Err(anyhow!(
                    "{what} did not come within {:?}; {}",
                    self.patience,
                    self.story()
                ));
            }
        }
        Ok(())
    }

    /// Reads until everything that follows from what was said so far has been said: all connections have been through the daemon and
    /// back, again until none brought anything new.
    ///
    /// # Errors
    /// It shows something that can't be.
    pub fn settle(&mut self) -> Result<()> {
        loop {
            let before = self.events();
            for of in 0..=self.domains.len() {
                let path = if of == CLIENT { COMMAND_PATH } else { ROUTING_PATH };
                let member = if of == CLIENT {
                    "GetListMainConnections"
                } else {
                    "getRoutingReadyState"
                };
                let serial = self.send(
                    of.checked_sub(1),
                    To {
                        path,
                        interface: None,
                        member,
                    },
                    &(),
                    true,
                )?;
                self.until("an answer", |stage| stage.answers.contains_key(&(of, serial)))?;
                self.answers.remove(&(of, serial));
            }
            if self.events() == before {
                return Ok(());
            }
        }
    }

    fn events(&self) -> usize {
        let domains = self.domains.iter().map(|it| it.asked.len() + it.heard.len());
        self.heard.len() + domains.sum::<usize>()
    }

    /// What was heard and asked last, for messages.
    #[must_use]
    pub fn story(&self) -> String {
        let last = |all: &[String]| all[all.len().saturating_sub(12)..].join("; ");
        let mut text = format!("heard: {}", last(&self.heard));
        for domain in &self.domains {
            let asked: Vec<String> = domain.asked.iter().map(ToString::to_string).collect();
            text.push_str(&format!(" | domain {} was asked: {}", domain.id, last(&asked)));
        }
        text
    }

    /// Takes a domain off the bus without a word.
    ///
    /// # Errors
    /// There is no such domain.
    pub fn vanish(&mut self, domain: usize) -> Result<()> {
        ensure!(domain < self.domains.len(), "no such domain");
        let domain = self.domains.remove(domain);
        self.runtime.block_on(domain.link.close());
        Ok(())
    }

    /// Ends a case: all domains are deregistered and leave, and nothing may be left of them.
    ///
    /// # Errors
    /// Something is.
    pub fn clear(&mut self) -> Result<()> {
        while let Some(mut domain) = self.domains.pop() {
            domain.acks = Acks::All;
            self.domains.push(domain);
            let index = self.domains.len() - 1;
            let id = self.domains[index].id;
            if id != 0 {
                // One that a case has deregistered answers 8.
                self.routing_call(Some(index), "deregisterDomain", &id)?;
            }
            self.vanish(index)?;
        }
        let left = self.call("GetListMainConnections", &())?;
        ensure!(
            left.get(1).is_some_and(|it| it.items().is_empty()),
            "main connections are left: {}",
            listed(&left)
        );
        self.settle()?;
        self.heard.clear();
        self.answers.clear();
        self.trace = Trace::default();
        Ok(())
    }
}

/// Fails with both if they differ.
///
/// # Errors
/// They differ.
pub fn same(what: &str, is: impl Display, wanted: impl Display) -> Result<()> {
    let (is, wanted) = (is.to_string(), wanted.to_string());
    ensure!(is == wanted, "{what}: {is}, not {wanted}");
    Ok(())
}
