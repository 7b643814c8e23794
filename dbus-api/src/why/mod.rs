//! Why is it silent? Walks the chain from a guest to the loudspeaker and names the first link that lets nothing through.
//!
//! ```text
//!  guest there? ─► stream started? ─► frames in its ring? ─► not digital silence? ─► own gain and mute ─►
//!     route? not refused, delayed, paused, suspended? domain acknowledges, its sink is there? ─► zone's mute and volume ─►
//!     ducks and rules' limits ─► limiter ─► codec's clock runs ─► its card's mixer is open ─►
//!     heard (as far as can be seen: what hangs on the card can't)
//! ```
//! It looks twice ([`source`], [`sink`] take what `Status` said some time apart): counters and levels say only together what goes on
//! now. What is not in `Status` is said of whatever is heard: that another device may be the one meant.

mod links;

use serde::Serialize;

use crate::status::{Codec, Direction, Sink, Status, Stream, StreamState, Tap, Zone};
use links::{held_up, of_guest, of_user, quieter};

/// `am_ConnectionState_e`.
const CONNECTING: i16 = 1;
const CONNECTED: i16 = 2;
const DISCONNECTING: i16 = 3;
/// A limiter that takes more than this is worth a word, dB.
const LIMITED_DB: f32 = -0.5;

/// One link of the chain: where nothing, or less, gets through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Stable name.
    pub link: &'static str,
    /// What is so.
    pub text: String,
    /// At this zone; empty = everywhere.
    pub zone: String,
    /// Because of this source; empty = of none.
    pub by: String,
    /// For so long, ms; `None` = not known.
    pub for_ms: Option<u64>,
    /// Line of the policy that says so.
    pub line: Option<u32>,
    /// What ends it.
    pub release: String,
}

impl Link {
    fn new(link: &'static str, text: impl Into<String>, release: impl Into<String>) -> Self {
        Self {
            link,
            text: text.into(),
            release: release.into(),
            ..Self::default()
        }
    }

    fn at(self, zone: &str) -> Self {
        Self {
            zone: zone.to_owned(),
            ..self
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// Of whom.
    pub name: String,
    /// Something of it is heard somewhere.
    pub heard: bool,
    /// Not heard: the first link that lets nothing through, one a zone. Heard: all that makes it quieter.
    pub links: Vec<Link>,
    /// Heard: what nobody here can see of its way on, one a card.
    pub beyond: Vec<Link>,
}

impl Why {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = match (self.heard, self.links.is_empty()) {
            (true, true) => format!("{} is heard, and nothing makes it quieter\n", self.name),
            (true, false) => format!("{} is heard, and quieter than it is meant to be\n", self.name),
            (false, _) => format!("{} is not heard\n", self.name),
        };
        for link in self.links.iter().chain(&self.beyond) {
            let at = if link.zone.is_empty() {
                String::new()
            } else {
                format!("at {}: ", link.zone)
            };
            let line = link
                .line
                .map(|line| format!(" (line {line} of the file)"))
                .unwrap_or_default();
            text += &format!("  {at}{}{line}\n", link.text);
            if let Some(ms) = link.for_ms {
                text += &format!("      for {}.{} s\n", ms / 1000, ms % 1000 / 100);
            }
            if !link.release.is_empty() {
                text += &format!("      until {}\n", link.release);
            }
        }
        text
    }
}

/// Two looks at the daemon, some hundred milliseconds apart.
#[derive(Clone, Copy, Debug)]
pub struct Looks<'s> {
    /// The first.
    pub before: &'s Status,
    /// The second.
    pub now: &'s Status,
}

/// Why a stream or chime is not heard; `None` = there is none of that name.
pub fn source(looks: Looks<'_>, name: &str) -> Option<Why> {
    if let Some(stream) = looks.now.streams.iter().find(|stream| stream.name == name) {
        return Some(looks.stream(stream));
    }
    let chime = looks
        .now
        .chimes
        .iter()
        .find(|chime| name.strip_prefix("chime.").unwrap_or(name) == chime.name)?;
    let mut links = Vec::new();
    if !chime.sounding {
        links.push(Link::new(
            "chime-silent",
            "nobody asked for this chime, or it has ended",
            format!("`audioctl chime {}`", chime.name),
        ));
    } else {
        links.extend(chime.zones.iter().filter_map(|zone| looks.codec_of(zone)));
    }
    let heard = chime.sounding && links.len() < chime.zones.len();
    let zones = chime.zones.iter().map(String::as_str);
    Some(Why {
        name: format!("chime.{}", chime.name),
        heard,
        links,
        beyond: looks.beyond(heard, zones),
    })
}

/// Why nothing is heard at a zone; `None` = there is none of that name.
pub fn sink(looks: Looks<'_>, name: &str) -> Option<Why> {
    let Some(zone) = looks.now.zones.iter().find(|zone| zone.name == name) else {
        return looks.sink_of_domain(name);
    };
    let name = zone.name.clone();
    let chimes = looks
        .now
        .chimes
        .iter()
        .filter(|chime| chime.sounding && chime.zones.contains(&zone.name));
    let sounding = chimes.count() > 0;
    if let Some(link) = looks.codec_of(&zone.name) {
        return Some(Why {
            name,
            heard: false,
            links: vec![link],
            beyond: Vec::new(),
        });
    }
    let streams = looks
        .now
        .streams
        .iter()
        .filter(|stream| tap(stream, &zone.name).is_some());
    let each: Vec<(bool, Vec<Link>)> = streams
        .map(|stream| {
            let why = looks.stream(stream);
            let heard = why.heard && tap(stream, &zone.name).is_some_and(|tap| tap.gain_db.is_some());
            let here = why
                .links
                .into_iter()
                .filter(|link| link.zone.is_empty() || link.zone == zone.name);
            let named = here.map(|link| Link {
                text: format!("{}: {}", stream.name, link.text),
                ..link
            });
            (heard, named.collect())
        })
        .collect();
    let heard = sounding || each.iter().any(|(heard, _)| *heard);
    let mut links: Vec<Link> = zone_link(zone).into_iter().collect();
    if links.is_empty() {
        links = each.into_iter().flat_map(|(_, links)| links).collect();
    }
    if links.is_empty() && !heard {
        let release = format!("a stream with this zone starts, or `audioctl connect SOURCE {name}`");
        links.push(Link::new("no-source", "no source is connected to it", release));
    }
    let beyond = looks.beyond(heard, [name.as_str()].into_iter());
    Some(Why {
        name,
        heard,
        links,
        beyond,
    })
}

fn tap<'s>(stream: &'s Stream, zone: &str) -> Option<&'s Tap> {
    stream.taps.iter().find(|tap| tap.zone == zone)
}

/// What the user did to a zone.
fn zone_link(zone: &Zone) -> Option<Link> {
    let name = &zone.name;
    if zone.mute {
        return Some(
            Link::new(
                "zone-muted",
                format!("{name} is muted"),
                format!("`audioctl unmute {name}`"),
            )
            .at(name),
        );
    }
    zone.volume_db.is_none().then(|| {
        let text = format!("the volume of {name} is {}: silence", zone.volume);
        Link::new("zone-volume", text, format!("`audioctl volume {name} VALUE`")).at(name)
    })
}

impl<'s> Looks<'s> {
    fn stream(&self, stream: &Stream) -> Why {
        let name = stream.name.clone();
        if stream.direction == Direction::Capture {
            let links = vec![Link::new("capture", "it records: nothing of it is played", "")];
            return Why {
                name,
                heard: false,
                links,
                beyond: Vec::new(),
            };
        }
        if let Some(link) = of_guest(stream)
            .or_else(|| self.of_frames(stream))
            .or_else(|| of_user(stream))
            .or_else(|| self.of_domains(stream))
        {
            return Why {
                name,
                heard: false,
                links: vec![link],
                beyond: Vec::new(),
            };
        }
        let taps: Vec<&Tap> = stream.taps.iter().collect();
        if taps.is_empty() {
            let release = format!(
                "`audioctl connect {} ZONE`, or a `zone` in its line of the file",
                stream.name
            );
            let links = vec![Link::new("no-route", "it is connected to no zone", release)];
            return Why {
                name,
                heard: false,
                links,
                beyond: Vec::new(),
            };
        }
        let walked: Vec<(bool, Vec<Link>)> = taps.iter().map(|tap| self.tap(tap)).collect();
        let heard = walked.iter().any(|(heard, _)| *heard);
        let links = walked.into_iter().flat_map(|(_, links)| links).collect();
        let beyond = self.beyond(heard, taps.iter().map(|tap| tap.zone.as_str()));
        Why {
            name,
            heard,
            links,
            beyond,
        }
    }

    /// What a stream's connections over domains wait for, when it is heard nowhere else.
    fn of_domains(&self, stream: &Stream) -> Option<Link> {
        if stream.taps.iter().any(|tap| tap.gain_db.is_some()) {
            return None;
        }
        let mut links = stream.routes.iter().filter_map(|route| {
            let sink = self.now.sinks.iter().find(|sink| sink.name == route.zone)?;
            self.of_sink(sink, route.state)
        });
        links.next()
    }

    /// A domain's sink that lets nothing through; `state` is that of a connection to it.
    fn of_sink(&self, sink: &Sink, state: i16) -> Option<Link> {
        let (name, domain) = (&sink.name, &sink.domain);
        let owing = self
            .now
            .domains
            .iter()
            .find(|it| it.name == *domain)
            .filter(|it| it.owes > 0);
        let link = match (sink.available, state, owing) {
            (false, ..) => Link::new(
                "sink-unavailable",
                format!("{name} is unavailable: domain {domain} says so"),
                "the domain says that it is there again",
            ),
            (true, CONNECTING | DISCONNECTING, Some(owing)) => Link {
                for_ms: Some(owing.owes_for_ms),
                ..Link::new(
                    "domain-not-acking",
                    format!(
                        "domain {domain} has not acknowledged {} of what it was asked",
                        owing.owes
                    ),
                    "it acknowledges, or its time is over and the connection is given up",
                )
            },
            _ if sink.mute => {
                let release = format!("`audioctl unmute {name}`");
                Link::new("sink-muted", format!("{name} is muted"), release)
            }
            _ => return None,
        };
        Some(link.at(name))
    }

    fn sink_of_domain(&self, name: &str) -> Option<Why> {
        let sink = self.now.sinks.iter().find(|sink| sink.name == name)?;
        let here = self
            .now
            .streams
            .iter()
            .flat_map(|it| &it.routes)
            .filter(|it| it.zone == name);
        let states: Vec<i16> = here.map(|route| route.state).collect();
        let connected = states.contains(&CONNECTED);
        let state = if connected {
            CONNECTED
        } else {
            states.first().copied().unwrap_or(0)
        };
        let mut links: Vec<Link> = self.of_sink(sink, state).into_iter().collect();
        if links.is_empty() && !connected {
            let release = format!("`audioctl connect SOURCE {name}`, or a source of another domain is connected to it");
            links.push(Link::new("no-source", "no stream is connected to it", release));
        }
        Some(Why {
            name: name.to_owned(),
            heard: links.is_empty(),
            links,
            beyond: Vec::new(),
        })
    }

    /// Of what is heard at these zones: the devices that play it, for whoever hears nothing all the same.
    fn beyond<'z>(&self, heard: bool, zones: impl Iterator<Item = &'z str>) -> Vec<Link> {
        let mut links: Vec<Link> = Vec::new();
        for zone in zones.filter(|_| heard) {
            let codec = self.now.zones.iter().find(|it| it.name == zone).map(|it| &it.codec);
            let codec = self.now.codecs.iter().find(|it| Some(&it.name) == codec);
            let Some(codec) = codec.filter(|it| it.backend == "alsa" || it.backend == "cpal") else {
                continue;
            };
            let device = if codec.device.is_empty() {
                "the default device"
            } else {
                &codec.device
            };
            let text = format!(
                "it leaves here for {device}; if nothing comes out of it, another is meant, or what follows it is off"
            );
            let release = "`device` names another (`audiod doctor --codec`), or its plug, amplifier or mixer is looked at (`alsamixer`)";
            let link = Link::new("card", text, release).at(zone);
            if links.iter().all(|it| it.text != link.text) {
                links.push(link);
            }
        }
        links
    }

    /// What a source's ring and its samples say.
    fn of_frames(&self, stream: &Stream) -> Option<Link> {
        let before = self.before.streams.iter().find(|it| it.name == stream.name);
        let pulled = matches!(stream.state, StreamState::Running | StreamState::Discarding);
        if !pulled {
            return None;
        }
        let starved = before.map_or(0, |before| stream.starved.saturating_sub(before.starved));
        if starved > 0 && stream.level_dbfs.is_none() {
            let text = format!("its ring is empty: nothing came in {starved} periods since the first look");
            return Some(Link::new("starved", text, "the guest's application writes again"));
        }
        stream.level_dbfs.is_none().then(|| {
            let text = "the guest sends digital silence: every sample is 0";
            Link::new(
                "digital-silence",
                text,
                "the guest's application plays something, or isn't muted inside the guest",
            )
        })
    }

    fn tap(&self, tap: &Tap) -> (bool, Vec<Link>) {
        let zone = self.now.zones.iter().find(|zone| zone.name == tap.zone);
        if let Some(link) = tap.reasons.iter().find_map(|reason| held_up(reason, &tap.zone)) {
            return (false, vec![link]);
        }
        if let Some(link) = zone.and_then(zone_link).or_else(|| self.codec_of(&tap.zone)) {
            return (false, vec![link]);
        }
        let mut links: Vec<Link> = tap
            .reasons
            .iter()
            .filter_map(|reason| quieter(reason, &tap.zone))
            .collect();
        for group in &tap.groups {
            let place = format!("{}.{}", tap.zone, group.zone);
            let own = group.reasons.iter().filter(|reason| !tap.reasons.contains(reason));
            links.extend(own.filter_map(|reason| quieter(reason, &place)));
        }
        if tap.gain_db.is_none() && links.is_empty() {
            // A reason that this version doesn't know.
            let text = tap
                .reasons
                .first()
                .map_or("nothing says why", |reason| reason.cause.as_str());
            return (false, vec![Link::new("policy", text, "").at(&tap.zone)]);
        }
        if let Some(zone) = zone.filter(|zone| zone.limiter_db < LIMITED_DB) {
            let text = format!(
                "the limiter of {} takes {:.1} dB: all together are too loud",
                zone.name, -zone.limiter_db
            );
            links.push(Link::new("limited", text, "fewer or quieter sources are heard there").at(&zone.name));
        }
        let heard = tap.gain_db.is_some() || tap.groups.iter().any(|group| group.gain_db.is_some());
        (heard, links)
    }

    /// A codec whose clock stands still, or that plays nothing.
    fn codec_of(&self, zone: &str) -> Option<Link> {
        let codec = &self.now.zones.iter().find(|it| it.name == zone)?.codec;
        let of = |status: &'s Status| status.codecs.iter().find(|it| it.name == *codec);
        let now: &Codec = of(self.now)?;
        if now.stalled {
            let text = format!("codec {codec} stands still: a timer consumes what guests send");
            return Some(Link::new("codec-stalled", text, "its card plays again (`audiod doctor --codec`)").at(zone));
        }
        if !now.muted.is_empty() {
            let text = format!("the card of codec {codec} is muted: {}", now.muted);
            let release = "its own mixer is opened (`alsamixer`)";
            return Some(Link::new("card-muted", text, release).at(zone));
        }
        let before = of(self.before).filter(|before| before.position == now.position)?;
        let text = format!("codec {} has played no frame since the first look", before.name);
        Some(Link::new("codec-stalled", text, "its card plays again (`audiod doctor --codec`)").at(zone))
    }
}
