//! Domains that stay processes of their own: what the file says of them, for when they register over D-Bus.

use std::collections::BTreeMap;

use policy::file::code;
use policy::report::Diagnostic;

use super::super::draft::{Domain, Lines, decibels, list, quoted};
use super::super::xml::{Attr, El};
use super::elements::{Chain, gateways};
use super::ends::{End, Kind};
use super::{Is, Reader};

/// What is not looked at here.
const BY_ITSELF: &str = "the domain says it when it registers";
const FORMATS: [(&str, &str); 4] = [
    ("CF_GENIVI_MONO", "mono"),
    ("CF_GENIVI_STEREO", "stereo"),
    ("CF_GENIVI_ANALOG", "analog"),
    ("CF_GENIVI_AUTO", "auto"),
];

impl<'a> Reader<'a> {
    /// Every domain that was to be kept has to be there.
    pub(super) fn all_kept(&mut self, root: El<'a>) {
        for name in &self.kept {
            if !self.domains.contains_key(name) {
                let known = self.domains.keys().map(String::as_str);
                let label = format!("domains: {}", policy::file::listed(known));
                let found = Diagnostic::error(code::UNKNOWN_NAME, root.span(), format!("there is no domain `{name}`"));
                root.input.push(found.label(label).help("see `--domain`"));
            }
        }
        if !self.kept.is_empty() {
            self.draft
                .routing
                .push(format!("only_topologies = {}", self.only_topologies));
        }
    }

    /// A domain of the bus.
    pub(super) fn kept_domain(&mut self, domain: El<'a>, chain: &Chain<'a>, name: &Attr<'a>) {
        name.mapped("the name it registers by");
        domain.mapped(format!("[domains], a process of its own: `{}`", name.value));
        let mut keys = Vec::new();
        if let Some(attr) = chain.attr("busName") {
            let element = |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic());
            match attr.value.contains('.') && attr.value.split('.').all(element) {
                true => {
                    attr.mapped("`bus_name`");
                    keys.push(format!("bus_name = {}", quoted(attr.value)));
                }
                false => attr.lost("no bus name"),
            }
        }
        for key in ["early", "complete"] {
            if let Some(attr) = chain.attr(key) {
                attr.mapped(format!("`{key}`"));
                keys.extend(attr.boolean().filter(|value| *value).map(|_| format!("{key} = true")));
            }
        }
        keys.extend(static_id(chain));
        own_attributes_lost(chain);
        self.draft.domains.push(Domain {
            table: Lines {
                name: name.value.to_owned(),
                keys,
                from: domain.input.place(domain.span()),
            },
            ..Domain::default()
        });
    }

    /// A source or sink of such a domain.
    pub(super) fn kept_end(&mut self, end: &End<'a, '_>, domain: &str) -> Is {
        let chain = end.chain;
        let mut keys: Vec<String> = static_id(chain).into_iter().collect();
        keys.extend(self.kept_class(end));
        keys.extend(self.formats(chain));
        if let Some(attr) = chain.attr("visible") {
            attr.mapped("`visible`");
            keys.extend(
                attr.boolean()
                    .filter(|value| !value)
                    .map(|_| "visible = false".to_owned()),
            );
        }
        keys.extend(registers(chain));
        keys.extend(available(chain));
        match end.kind {
            Kind::Source => keys.extend(gain(chain)),
            Kind::Sink => keys.extend(self.sink_keys(end)),
        }
        self.main_sounds(chain);
        end.name.mapped("the name it registers by");
        end.element.mapped(format!("[domains.{domain}]"));
        chain.0.iter().for_each(|part| part.rest_lost(BY_ITSELF));
        let lines = Lines {
            name: end.name.value.to_owned(),
            keys,
            from: end.element.input.place(end.element.span()),
        };
        if let Some(domain) = self.draft.domains.iter_mut().find(|it| it.table.name == domain) {
            match end.kind {
                Kind::Source => domain.sources.push(lines),
                Kind::Sink => domain.sinks.push(lines),
            }
        }
        Is::Here(end.name.value.to_owned())
    }

    fn kept_class(&mut self, end: &End<'a, '_>) -> Option<String> {
        let attr = end.chain.attr("className")?;
        let Some(class) = self.classes.get_mut(attr.value) else {
            attr.lost("there is no such class: the domain says it when it registers");
            return None;
        };
        class.used = true;
        attr.mapped("`class`");
        Some(format!("class = {}", quoted(&class.ours)))
    }

    fn formats(&mut self, chain: &Chain<'a>) -> Option<String> {
        let mut text = String::new();
        if let Some(attr) = chain.attr("connectionFormatsTemplateName")
            && let Some(template) = self.template("connectionFormat", &attr)
        {
            attr.mapped("written out");
            template.text_mapped("`formats`");
            text += template.text().map_or("", |(text, _)| text);
        }
        let own = chain.attr("connectionFormat");
        if let Some(attr) = own {
            text += &format!(";{}", attr.value);
        }
        let named = text
            .split([';', ',', ' '])
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let found: Vec<Option<&str>> = named
            .map(|name| FORMATS.iter().find(|it| it.0 == name).map(|it| it.1))
            .collect();
        if let Some(attr) = own {
            match found.contains(&None) {
                true => attr.approximated("`formats`, without the project's own: their numbers stand in its schema"),
                false => attr.mapped("`formats`"),
            }
        }
        let mut formats: Vec<String> = Vec::new();
        for format in found.into_iter().flatten().map(str::to_owned) {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        (!formats.is_empty()).then(|| format!("formats = {}", list(&formats)))
    }

    fn sink_keys(&mut self, end: &End<'a, '_>) -> Vec<String> {
        let mut keys = Vec::new();
        let curve = self.curve(end);
        keys.extend(self.main_volume(end, &curve).map(|volume| format!("volume = {volume}")));
        if !curve.is_empty() {
            let point = |(volume, gain): &(i64, Option<i64>)| match gain {
                Some(gain) => format!("[{volume}, {}]", decibels(*gain)),
                None => format!("[{volume}, \"mute\"]"),
            };
            keys.push(format!(
                "curve = [{}]",
                curve.iter().map(point).collect::<Vec<_>>().join(", ")
            ));
        }
        if let Some(attr) = end.chain.attr("muteState") {
            attr.mapped("`muted`");
            let muted = attr.word(&[("MS_UNKNOWN", false), ("MS_UNMUTED", false), ("MS_MUTED", true)]);
            keys.extend(muted.filter(|muted| *muted).map(|_| "muted = true".to_owned()));
        }
        keys
    }

    /// A gateway into a domain of the bus; false if it is none.
    pub(super) fn kept_gateway(&mut self, gateway: El<'a>, chain: &Chain<'a>, name: &Attr<'a>) -> bool {
        let (Some(sink), Some(source)) = (chain.attr("sinkName"), chain.attr("sourceName")) else {
            return false;
        };
        let owner = |name: &str, of_sources: bool| {
            let ends = |domain: &&Domain| {
                let ends = if of_sources { &domain.sources } else { &domain.sinks };
                ends.iter().any(|end| end.name == name)
            };
            self.draft
                .domains
                .iter()
                .find(ends)
                .map(|domain| domain.table.name.clone())
        };
        let Some(owner) = owner(source.value, true) else {
            return false;
        };
        let Some(Is::Here(from)) = self.sinks.get(sink.value).map(|(is, _)| is.clone()) else {
            return false;
        };
        let control = chain
            .attr("controlDomainName")
            .filter(|attr| self.kept.contains(attr.value));
        let domain = control.map_or(owner, |attr| attr.value.to_owned());
        let mut keys = vec![
            format!("domain = {}", quoted(&domain)),
            format!("sink = {}", quoted(&from)),
            format!("source = {}", quoted(source.value)),
        ];
        keys.extend(static_id(chain));
        keys.extend(self.conversion(chain));
        keys.extend(registers(chain));
        for attr in [Some(sink), Some(source), chain.attr("controlDomainName"), Some(*name)]
            .into_iter()
            .flatten()
        {
            attr.mapped("[gateways]");
        }
        gateway.mapped(format!("[gateways], `{}`", name.value));
        chain.0.iter().for_each(|part| part.rest_lost(BY_ITSELF));
        self.draft.gateways.push(Lines {
            name: name.value.to_owned(),
            keys,
            from: gateway.input.place(gateway.span()),
        });
        true
    }

    fn conversion(&mut self, chain: &Chain<'a>) -> Option<String> {
        let (text, attr) = match (
            chain.attr("conversionMatrixTemplateName"),
            chain.attr("conversionMatrix"),
        ) {
            (_, Some(attr)) => (attr.value, attr),
            (Some(attr), None) => {
                let template = self.template("conversionMatrix", &attr)?;
                template.text_mapped("`matrix`");
                (template.text()?.0, attr)
            }
            (None, None) => return None,
        };
        let word = |format: &str| FORMATS.iter().find(|it| it.0 == format.trim()).map(|it| quoted(it.1));
        let pairs = text.split(';').filter(|pair| !pair.trim().is_empty());
        let pairs: Vec<Option<String>> = pairs
            .map(|pair| {
                let (sink, source) = pair.split_once(',')?;
                Some(format!("[{}, {}]", word(sink)?, word(source)?))
            })
            .collect();
        let known: Vec<String> = pairs.iter().flatten().cloned().collect();
        match known.len() == pairs.len() && !known.is_empty() {
            true => attr.mapped("`matrix`"),
            false => attr.approximated("`matrix`, without the project's own formats"),
        }
        (!known.is_empty()).then(|| format!("matrix = [{}]", known.join(", ")))
    }
}

/// Names of the ends of gateways that lead into domains of the bus: those ends have to be there.
pub(super) fn outer_ends(section: El<'_>, kept: &std::collections::BTreeSet<String>) -> Vec<String> {
    let mut domains: BTreeMap<&str, &str> = BTreeMap::new();
    for domain in section.all("domain") {
        let name = domain.attr("name").map_or("", |attr| attr.value);
        for source in domain.all("source") {
            domains.extend(source.attr("name").map(|attr| (attr.value, name)));
        }
    }
    for source in section.all("source") {
        domains.extend(
            source
                .attr("name")
                .map(|attr| attr.value)
                .zip(source.attr("domainName").map(|attr| attr.value)),
        );
    }
    let outer = gateways(section).into_iter().filter(|gateway| {
        let source = gateway.attr("sourceName").and_then(|attr| domains.get(attr.value));
        source.is_some_and(|domain| kept.contains(*domain))
    });
    outer
        .filter_map(|gateway| Some(gateway.attr("sinkName")?.value.to_owned()))
        .collect()
}

/// An ID from 1 to 100; others are given at run time.
fn static_id(chain: &Chain<'_>) -> Option<String> {
    let attr = chain.attr("id")?;
    match attr.value.trim().parse::<i64>() {
        Ok(id @ 1..=100) => {
            attr.mapped("`id`");
            Some(format!("id = {id}"))
        }
        _ => {
            attr.lost("numbers above 100 are given at run time");
            None
        }
    }
}

/// What a domain itself has and is not kept; its parts are looked at later.
fn own_attributes_lost(chain: &Chain<'_>) {
    for part in &chain.0 {
        for key in [
            "id",
            "busName",
            "nodeName",
            "state",
            "early",
            "complete",
            "registrationType",
            "baseName",
        ] {
            if let Some(attr) = part.attr(key) {
                part.input.lost_if_open(attr.at(), BY_ITSELF);
            }
        }
    }
}

fn registers(chain: &Chain<'_>) -> Option<String> {
    let attr = chain.attr("registrationType")?;
    attr.mapped("`register`");
    let word = attr.word(&[("REG_ROUTER", ""), ("REG_CONTROLLER", "policy"), ("REG_NONE", "rule")])?;
    (!word.is_empty()).then(|| format!("register = {}", quoted(word)))
}

fn available(chain: &Chain<'_>) -> Option<String> {
    let part = chain
        .0
        .iter()
        .find_map(|part| part.all("availability").first().copied())?;
    let attr = part.attr("availability")?;
    part.mapped("`available`");
    attr.mapped("`available`");
    (attr.value == "A_UNAVAILABLE").then(|| "available = false".to_owned())
}

/// A source's volume and its limits, 0.1 dB.
fn gain(chain: &Chain<'_>) -> Vec<String> {
    let number = |key: &str| {
        chain
            .attr(key)
            .and_then(|attr| Some((attr, attr.integer(i16::MIN.into()..=i16::MAX.into())?)))
    };
    let mut keys = Vec::new();
    let volume = number("volume").map(|(attr, volume)| {
        match volume {
            -1000..=0 => attr.mapped("`gain_db`"),
            _ => attr.approximated("`gain_db`, from -100 to 0 dB"),
        }
        volume.clamp(-1000, 0)
    });
    if let (Some((least, low)), Some((most, high))) = (number("minVolume"), number("maxVolume"))
        && low < high
        && (-1000..=0).contains(&low)
        && (-1000..=0).contains(&high)
        && volume.is_none_or(|volume| (low..=high).contains(&volume))
    {
        least.mapped("`min_gain_db`");
        most.mapped("`max_gain_db`");
        keys.push(format!("min_gain_db = {}", decibels(low)));
        keys.push(format!("max_gain_db = {}", decibels(high)));
    }
    keys.extend(volume.map(|volume| format!("gain_db = {}", decibels(volume))));
    keys
}
