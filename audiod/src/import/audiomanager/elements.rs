//! `system`: templates, domains, and what is in them.

use std::collections::BTreeSet;

use policy::file::{code, did_you_mean, listed};
use policy::report::Diagnostic;

use super::super::draft::Guest;
use super::super::names::Names;
use super::super::twice;
use super::super::xml::{Attr, El};
use super::ends::{self, End, Kind};
use super::{Is, Reader, domains};
use crate::blocks::MAX_GUESTS;

/// Most templates one is based on by way of others.
const MAX_CHAIN: usize = 8;
/// Templates that are lists of a name, of what has no counterpart here.
const LISTS: [&str; 3] = [
    "soundProperties",
    "notificationConfigurations",
    "mainNotificationConfigurations",
];
/// And of what has one where a domain stays a process of its own.
const SOUNDS: [&str; 2] = ["mainSoundProperties", "listmapMSPToSP"];
/// Templates that are a text of a name.
const TEXTS: [&str; 3] = ["connectionFormat", "scaleConversionMap", "conversionMatrix"];
/// Elements that may be based on another of their kind.
const KINDS: [&str; 4] = ["domain", "source", "sink", "gateway"];
const DOMAIN: [&str; 9] = [
    "id",
    "name",
    "busName",
    "nodeName",
    "early",
    "complete",
    "state",
    "baseName",
    "registrationType",
];
const GATEWAY: [&str; 9] = [
    "id",
    "name",
    "sinkName",
    "sourceName",
    "controlDomainName",
    "conversionMatrix",
    "conversionMatrixTemplateName",
    "registrationType",
    "baseName",
];

/// An element, then the templates it is based on: what the first says goes before the later ones.
#[derive(Clone)]
pub(super) struct Chain<'a>(pub Vec<El<'a>>);

impl<'a> Chain<'a> {
    /// An attribute of the first that has it.
    pub fn attr(&self, name: &str) -> Option<Attr<'a>> {
        self.0.iter().find_map(|element| element.attr(name))
    }

    /// The element itself.
    pub fn own(&self) -> Option<El<'a>> {
        self.0.first().copied()
    }
}

impl<'a> Reader<'a> {
    pub(super) fn system(&mut self, section: El<'a>) {
        section.known(&[], &["templates", "domain", "source", "sink", "gateway"]);
        section.mapped("see its parts");
        for templates in section.all("templates") {
            self.templates(templates);
        }
        let outer = domains::outer_ends(section, &self.kept);
        let mut internal = gateway_ends(section);
        internal.retain(|name| !outer.contains(name));
        let mut guests = Guests::default();
        for domain in section.all("domain") {
            self.domain(domain, &internal, &mut guests);
        }
        for end in section.children() {
            self.end(end, None, &internal, &mut guests);
        }
        for gateway in gateways(section) {
            self.gateway(gateway);
        }
        self.draft
            .guests
            .extend(guests.made.into_iter().filter(|guest| !guest.streams.is_empty()));
        for templates in section.all("templates") {
            templates.rest_lost("nothing that is read says so by way of this template");
        }
    }

    fn templates(&mut self, section: El<'a>) {
        section.known(&[], &[&KINDS[..], &LISTS[..], &SOUNDS[..], &TEXTS[..]].concat());
        section.mapped("what elements are based on is written out in each of them");
        for template in section.children() {
            let Some(kind) = KINDS
                .iter()
                .chain(&TEXTS)
                .chain(&SOUNDS)
                .find(|it| **it == template.name())
            else {
                if LISTS.contains(&template.name()) {
                    template.rest_lost(ends::note_of(template.name()));
                }
                continue;
            };
            let known: &[&str] = match *kind {
                "domain" => &DOMAIN,
                "gateway" => &GATEWAY,
                "source" => &Kind::Source.attributes(),
                "sink" => &Kind::Sink.attributes(),
                _ => &["name"],
            };
            template.known(known, &[&ends::PARTS[..], &["text()"]].concat());
            let Some(name) = template.need("name", "name it: others refer to it by `baseName` or `…TemplateName`")
            else {
                continue;
            };
            if let Some(first) = self.templates.insert((*kind, name.value.to_owned()), template) {
                twice(
                    name_input(&template),
                    name.span,
                    first.span(),
                    format!("two {kind} templates are called `{}`", name.value),
                );
            }
        }
    }

    /// The template of a name.
    pub(super) fn template(&mut self, kind: &'static str, attr: &Attr<'_>) -> Option<El<'a>> {
        let key = (kind, attr.value.to_owned());
        let Some(template) = self.templates.get(&key).copied() else {
            let names: Vec<&str> = self
                .templates
                .keys()
                .filter(|it| it.0 == kind)
                .map(|it| it.1.as_str())
                .collect();
            let label = format!("templates: {}", listed(names.iter().copied()));
            let message = format!("there is no {kind} template `{}`", attr.value);
            attr.wrong(
                code::UNKNOWN_NAME,
                message,
                label,
                did_you_mean(attr.value, names.iter().copied()),
            );
            return None;
        };
        template.mapped("written out in what is based on it");
        if let Some(name) = template.attr("name") {
            name.mapped("written out in what is based on it");
        }
        Some(template)
    }

    /// An element with what it is based on.
    pub(super) fn chain(&mut self, element: El<'a>, kind: &'static str) -> Chain<'a> {
        let mut chain = vec![element];
        while let Some(base) = chain.last().and_then(|last| last.attr("baseName")) {
            base.mapped("written out");
            if chain.len() > MAX_CHAIN {
                base.wrong(
                    code::CONFLICT,
                    "templates are based on each other in a circle",
                    "goes on and on",
                    None,
                );
                break;
            }
            let Some(template) = self.template(kind, &base) else {
                break;
            };
            chain.push(template);
        }
        Chain(chain)
    }

    fn domain(&mut self, domain: El<'a>, internal: &BTreeSet<String>, guests: &mut Guests) {
        domain.known(&DOMAIN, &["source", "sink", "gateway"]);
        let chain = self.chain(domain, "domain");
        let Some(name) = domain.need("name", "name it, as `name=\"PulseAudio\"`") else {
            return;
        };
        let kept = self.kept.contains(name.value);
        let guest = match kept {
            true => name.value.to_owned(),
            false => guests.names.take(name.value, "guest"),
        };
        if let Some((_, first)) = self.domains.insert(name.value.to_owned(), (guest.clone(), name.span)) {
            twice(
                domain.input,
                name.span,
                first,
                format!("two domains are called `{}`", name.value),
            );
        }
        match kept {
            true => self.kept_domain(domain, &chain, &name),
            false => as_guest(domain, &chain, &name, guest, guests),
        }
        for end in domain.children() {
            self.end(end, Some(name.value), internal, guests);
        }
    }

    fn end(&mut self, element: El<'a>, domain: Option<&str>, internal: &BTreeSet<String>, guests: &mut Guests) {
        let (kind, word) = match element.name() {
            "source" => (Kind::Source, "source"),
            "sink" => (Kind::Sink, "sink"),
            _ => return,
        };
        element.known(&kind.attributes(), &ends::PARTS);
        let chain = self.chain(element, word);
        let Some(name) = element.need("name", &format!("name it, as `name=\"{}\"`", kind.example())) else {
            return;
        };
        let Some(domain) = self.domain_of(&chain, domain) else {
            return;
        };
        let index = guests.made.iter().position(|guest| guest.name == domain);
        let taken = if kind == Kind::Source {
            &self.sources
        } else {
            &self.sinks
        };
        if let Some((_, first)) = taken.get(name.value) {
            twice(
                element.input,
                name.span,
                *first,
                format!("two {word}s are called `{}`", name.value),
            );
            return;
        }
        let is = if self.kept.contains(&domain) {
            let end = End {
                element,
                chain: &chain,
                name,
                kind,
            };
            self.kept_end(&end, &domain)
        } else if internal.contains(name.value) {
            let why = "an end of a gateway: inside the mixer";
            chain.0.iter().for_each(|part| part.rest_approximated(why));
            Is::Gone(why.to_owned())
        } else if let Some(guest) = index
            .filter(|index| *index < MAX_GUESTS)
            .and_then(|index| guests.made.get_mut(index))
        {
            let end = End {
                element,
                chain: &chain,
                name,
                kind,
            };
            self.read_end(&end, guest)
        } else {
            let why = format!("there is room for {MAX_GUESTS} guests");
            element.rest_lost(&why);
            Is::Gone(why)
        };
        let all = if kind == Kind::Source {
            &mut self.sources
        } else {
            &mut self.sinks
        };
        all.insert(name.value.to_owned(), (is, name.span));
    }

    /// The guest of an element, by the domain it is in or names.
    fn domain_of(&self, chain: &Chain<'_>, inside: Option<&str>) -> Option<String> {
        let named = chain.own().and_then(|own| own.attr("domainName"));
        let named = if inside.is_none() {
            named.or_else(|| chain.attr("domainName"))
        } else {
            named
        };
        if let Some(attr) = named {
            attr.mapped("the guest it is of");
        }
        if let Some(inside) = inside {
            return self.domains.get(inside).map(|(guest, _)| guest.clone());
        }
        let Some(attr) = named else {
            let own = chain.own()?;
            let message = format!("this {} is in no domain", own.name());
            let found = Diagnostic::error(code::MISSING_KEY, own.span(), message).label("has no `domainName`");
            own.input
                .push(found.help("put it into a <domain>, or name one: `domainName=\"PulseAudio\"`"));
            return None;
        };
        if let Some((guest, _)) = self.domains.get(attr.value) {
            return Some(guest.clone());
        }
        let names = self.domains.keys().map(String::as_str);
        let label = format!("domains: {}", listed(names.clone()));
        let message = format!("there is no domain `{}`", attr.value);
        attr.wrong(code::UNKNOWN_NAME, message, label, did_you_mean(attr.value, names));
        None
    }

    fn gateway(&mut self, gateway: El<'a>) {
        gateway.known(&GATEWAY, &[]);
        let chain = self.chain(gateway, "gateway");
        let Some(name) = gateway.need("name", "name it, as `name=\"GW_Amplifier\"`") else {
            return;
        };
        if let Some(first) = self.gateways.insert(name.value.to_owned(), name.span) {
            twice(
                gateway.input,
                name.span,
                first,
                format!("two gateways are called `{}`", name.value),
            );
        }
        for (key, what, known) in [
            ("sinkName", "sink", &self.sinks),
            ("sourceName", "source", &self.sources),
        ] {
            let Some(attr) = chain.attr(key).filter(|attr| !known.contains_key(attr.value)) else {
                continue;
            };
            let names = known.keys().map(String::as_str);
            let label = format!("known: {}", listed(names.clone()));
            let message = format!("there is no {what} `{}`", attr.value);
            attr.wrong(code::UNKNOWN_NAME, message, label, did_you_mean(attr.value, names));
        }
        if let Some(attr) = chain.attr("conversionMatrix") {
            matrix(&attr);
        }
        if self.kept_gateway(gateway, &chain, &name) {
            return;
        }
        for part in &chain.0 {
            part.rest_approximated(
                "no route needs it: the mixer reaches every zone itself, and converts formats and rates",
            );
        }
    }
}

/// A domain as a guest.
fn as_guest(domain: El<'_>, chain: &Chain<'_>, name: &Attr<'_>, guest: String, guests: &mut Guests) {
    ends::renamed(name, &guest);
    domain.approximated(format!(
        "guest `{guest}`, where it has sources that play: its process is no domain of its own"
    ));
    for element in &chain.0 {
        for (key, note) in [
            ("id", "numbers are given at run time; clients look names up"),
            ("busName", "a guest is known by its socket"),
            ("nodeName", "a guest is known by its socket"),
            ("state", "a guest is there or not"),
            ("early", "a guest's streams are decided when they start"),
            ("complete", "what a guest has is in this file"),
            ("registrationType", "guests and streams are there as the file says"),
        ] {
            if let Some(attr) = element.attr(key) {
                attr.lost(note);
            }
        }
    }
    guests.made.push(Guest {
        name: guest,
        from: domain.input.place(domain.span()),
        ..Guest::default()
    });
}

fn name_input<'a>(element: &El<'a>) -> &'a super::super::xml::Input<'a> {
    element.input
}

/// `CF_A,CF_B;CF_C,CF_D`.
fn matrix(attr: &Attr<'_>) {
    let pair = |pair: &str| pair.split(',').filter(|format| !format.trim().is_empty()).count() == 2;
    let wrong = attr
        .value
        .split(';')
        .map(str::trim)
        .find(|text| !text.is_empty() && !pair(text));
    if let Some(wrong) = wrong {
        let message = format!("`{wrong}` is no pair of formats");
        let help = "as `CF_GENIVI_STEREO,CF_GENIVI_MONO;CF_GENIVI_MONO,CF_GENIVI_MONO`";
        attr.wrong(
            code::EXPRESSION,
            message,
            "sink's and source's format, with a `,`",
            Some(help.to_owned()),
        );
    }
}

/// All gateways, wherever they stand.
pub(super) fn gateways(section: El<'_>) -> Vec<El<'_>> {
    let mut found = Vec::new();
    let mut open: Vec<El<'_>> = section.children().filter(|it| it.name() != "templates").collect();
    open.reverse();
    while let Some(element) = open.pop() {
        if element.name() == "gateway" {
            found.push(element);
        } else if KINDS.contains(&element.name()) {
            let inside: Vec<El<'_>> = element.children().collect();
            open.extend(inside.into_iter().rev());
        }
    }
    found
}

/// Names of the sources and sinks that gateways join.
fn gateway_ends(section: El<'_>) -> BTreeSet<String> {
    let ends = gateways(section)
        .into_iter()
        .flat_map(|gateway| ["sinkName", "sourceName"].map(|key| gateway.attr(key)));
    ends.flatten().map(|attr| attr.value.to_owned()).collect()
}

/// The guests so far.
struct Guests {
    made: Vec<Guest>,
    names: Names,
}

impl Default for Guests {
    fn default() -> Self {
        Self {
            made: Vec::new(),
            names: Names::without(&["chime"]),
        }
    }
}
