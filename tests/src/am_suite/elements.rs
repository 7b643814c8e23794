//! What cases register, in one line each: domains, sinks, sources, gateways.

use anyhow::{Context, Result};
use serde::Serialize;
use zbus::DynamicType;

use super::domain::{Element, GatewayData, INTERFACE, PATH, SinkData, SourceData};
use super::stage::{Stage, same};
use super::trace::code_of;
use super::words::id;

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
}
