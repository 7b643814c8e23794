//! The policy on its way to a file: what importers fill, and its TOML.

use std::fmt::Write as _;
use std::ops::Range;

use mix::MAX_CHANNELS;

/// A zone.
#[derive(Clone, Debug, Default)]
pub(super) struct Zone {
    pub name: String,
    pub channels: u32,
    pub volume: Option<i64>,
    /// Points of mainVolume and gain in 0.1 dB, `None` = silence.
    pub curve: Vec<(i64, Option<i64>)>,
    pub muted: bool,
    pub hidden: bool,
    /// Where in the input it comes from.
    pub from: String,
}

/// A class.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    pub name: String,
    pub priority: Option<i64>,
    pub capture: bool,
    pub own_volume: bool,
    /// Type and value.
    pub properties: Vec<(i64, i64)>,
    pub from: String,
}

/// One `[[matrix]]`.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    pub holders: Vec<String>,
    pub newcomers: Vec<String>,
    /// `action = "duck"`, or what else stands in it: whole lines.
    pub says: String,
}

/// A stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub name: String,
    /// `None` = it records.
    pub class: Option<String>,
    pub zone: Option<String>,
    /// 0.1 dB.
    pub gain: i64,
    pub channels: Option<(u32, u32)>,
    pub hidden: bool,
    pub from: String,
}

/// A guest.
#[derive(Clone, Debug, Default)]
pub(super) struct Guest {
    pub name: String,
    pub streams: Vec<Stream>,
    pub from: String,
}

/// A table and its lines `key = value`.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub name: String,
    pub keys: Vec<String>,
    pub from: String,
}

/// A domain of another process.
#[derive(Clone, Debug, Default)]
pub(super) struct Domain {
    pub table: Lines,
    pub sources: Vec<Lines>,
    pub sinks: Vec<Lines>,
}

/// A rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    pub name: String,
    pub on: Vec<String>,
    pub when: Vec<String>,
    /// Inline tables.
    pub then: Vec<String>,
    pub priority: Option<i64>,
    pub last: bool,
    pub overrides: bool,
    pub from: String,
    /// What of the input it comes from, for when it has to be taken out again.
    pub of: Range<usize>,
}

/// A whole policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// Lines of the comment at its beginning.
    pub about: Vec<String>,
    pub keep_state: bool,
    pub zones: Vec<Zone>,
    pub classes: Vec<Class>,
    /// `[defaults]`: depth in dB.
    pub depth: Option<f64>,
    pub matrix_about: Vec<String>,
    pub cells: Vec<Cells>,
    pub guests: Vec<Guest>,
    /// `[volume_groups.NAME]`.
    pub groups: Vec<Lines>,
    /// `[[activation]]`.
    pub windows: Vec<Lines>,
    /// `[[system_properties]]`.
    pub properties: Vec<Lines>,
    /// `[[main_sound_properties]]`.
    pub main_sounds: Vec<Lines>,
    /// Lines of `[routing]`.
    pub routing: Vec<String>,
    pub domains: Vec<Domain>,
    pub gateways: Vec<Lines>,
    /// Without names.
    pub topologies: Vec<Lines>,
    pub rules: Vec<Rule>,
}

/// Its text, and the lines (from 1) of each rule.
pub(super) struct Written {
    pub text: String,
    pub rules: Vec<Range<u32>>,
}

/// A text as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A text, or a list of several.
pub(super) fn list(texts: &[String]) -> String {
    match texts {
        [one] => quoted(one),
        many => format!(
            "[{}]",
            many.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// A gain of 0.1 dB as our file has it.
pub(super) fn decibels(tenths: i64) -> String {
    format!("{:.1}", tenths as f64 / 10.0)
}

impl Draft {
    /// As TOML.
    pub fn write(&self) -> Written {
        let mut out = String::new();
        for line in &self.about {
            let _ = writeln!(out, "# {}", line.replace(char::is_control, " "));
        }
        out += "version = 1\nbus = \"session\"\n";
        if self.keep_state {
            out += "state = \"audiod.state\"\n";
        }
        self.sinks(&mut out);
        self.roles(&mut out);
        for guest in &self.guests {
            write_guest(guest, &mut out);
        }
        self.write_more(&mut out);
        let mut rules = Vec::new();
        for rule in &self.rules {
            let first = lines(&out);
            write_rule(rule, &mut out);
            rules.push(first + 1..lines(&out) + 1);
        }
        Written { text: out, rules }
    }

    /// Codecs and zones: zones side by side on codecs of at most eight channels.
    fn sinks(&self, out: &mut String) {
        let most = MAX_CHANNELS as u32;
        let mut codecs: Vec<u32> = Vec::new();
        let mut places = Vec::new();
        for zone in &self.zones {
            if codecs.last().is_none_or(|used| used + zone.channels > most) {
                codecs.push(0);
            }
            let codec = codecs.len();
            if let Some(used) = codecs.last_mut() {
                places.push((codec, *used));
                *used += zone.channels;
            }
        }
        let records = self
            .guests
            .iter()
            .flat_map(|guest| &guest.streams)
            .any(|stream| stream.class.is_none());
        let codec_name = |number: usize| {
            if number == 1 {
                "main".to_owned()
            } else {
                format!("main-{number}")
            }
        };
        for (index, channels) in codecs.iter().enumerate() {
            let _ = write!(
                out,
                "\n[codecs.{}]\nbackend = \"null\"                 # the file says nothing of cards: `audiod doctor --codec`\n\
                 channels = {channels}\n",
                codec_name(index + 1)
            );
            if records {
                out.push_str("capture_channels = 2\n");
            }
        }
        for (zone, (codec, first)) in self.zones.iter().zip(places) {
            write_zone(zone, &codec_name(codec), first, out);
        }
    }

    /// Groups, windows, properties, and what other processes have.
    fn write_more(&self, out: &mut String) {
        for group in &self.groups {
            write_lines(&format!("[volume_groups.{}]", group.name), group, out);
        }
        for window in &self.windows {
            write_lines("[[activation]]", window, out);
        }
        for property in &self.properties {
            write_lines("[[system_properties]]", property, out);
        }
        for property in &self.main_sounds {
            write_lines("[[main_sound_properties]]", property, out);
        }
        if !self.routing.is_empty() {
            let _ = write!(out, "\n[routing]\n{}\n", self.routing.join("\n"));
        }
        for domain in &self.domains {
            write_lines(&format!("[domains.{}]", key(&domain.table.name)), &domain.table, out);
            for (kind, ends) in [("sources", &domain.sources), ("sinks", &domain.sinks)] {
                for end in ends {
                    let keys = end.keys.join(", ");
                    let _ = write!(out, "{kind}.{} = {{ {keys} }}{}", key(&end.name), comment(&end.from));
                }
            }
        }
        for gateway in &self.gateways {
            write_lines(&format!("[gateways.{}]", key(&gateway.name)), gateway, out);
        }
        for topology in &self.topologies {
            write_lines("[[topologies]]", topology, out);
        }
    }

    fn roles(&self, out: &mut String) {
        for class in &self.classes {
            let _ = write!(out, "\n[classes.{}]{}", class.name, comment(&class.from));
            if let Some(priority) = class.priority {
                let _ = writeln!(out, "priority = {priority}");
            }
            if class.capture {
                out.push_str("capture = true\n");
            }
            if class.own_volume {
                out.push_str("own_volume = true\n");
            }
            if !class.properties.is_empty() {
                let pairs: Vec<String> = class
                    .properties
                    .iter()
                    .map(|it| format!("[{}, {}]", it.0, it.1))
                    .collect();
                let _ = writeln!(out, "properties = [{}]", pairs.join(", "));
            }
        }
        if let Some(depth) = self.depth {
            let _ = write!(
                out,
                "\n[defaults]\ndepth_db = {depth:.1}\nattack_ms = 50\nrelease_ms = 500\n"
            );
        }
        if !self.matrix_about.is_empty() {
            out.push('\n');
        }
        for line in &self.matrix_about {
            let _ = writeln!(out, "# {line}");
        }
        for cells in &self.cells {
            let _ = write!(
                out,
                "\n[[matrix]]\nholder = {}\nnewcomer = {}\n{}\n",
                list(&cells.holders),
                list(&cells.newcomers),
                cells.says
            );
        }
    }
}

fn write_lines(head: &str, lines: &Lines, out: &mut String) {
    let _ = write!(out, "\n{head}{}", comment(&lines.from));
    for line in &lines.keys {
        let _ = writeln!(out, "{line}");
    }
}

/// A name as a key: in quotes where it has to be.
fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { name.to_owned() } else { quoted_key(name) }
}

fn quoted_key(name: &str) -> String {
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace(char::is_control, " "))
}

fn lines(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX - 1)
}

fn comment(from: &str) -> String {
    match from.is_empty() {
        true => "\n".to_owned(),
        false => format!("  # {}\n", from.replace(char::is_control, " ")),
    }
}

fn write_zone(zone: &Zone, codec: &str, first: u32, out: &mut String) {
    let channels: Vec<String> = (first..first + zone.channels)
        .map(|channel| channel.to_string())
        .collect();
    let _ = write!(
        out,
        "\n[zones.{}]{}codec = {}\nchannels = [{}]\n",
        zone.name,
        comment(&zone.from),
        quoted(codec),
        channels.join(", ")
    );
    if let Some(volume) = zone.volume {
        let _ = writeln!(out, "volume = {volume}");
    }
    if !zone.curve.is_empty() {
        let point = |(volume, gain): &(i64, Option<i64>)| match gain {
            Some(gain) => format!("[{volume}, {}]", decibels(*gain)),
            None => format!("[{volume}, \"mute\"]"),
        };
        let points: Vec<String> = zone.curve.iter().map(point).collect();
        let _ = writeln!(out, "curve = [{}]", points.join(", "));
    }
    if zone.muted {
        out.push_str("muted = true\n");
    }
    if zone.hidden {
        out.push_str("visible = false\n");
    }
}

fn write_guest(guest: &Guest, out: &mut String) {
    let _ = write!(out, "\n[guests.{}]{}", guest.name, comment(&guest.from));
    let _ = writeln!(out, "socket = {}", quoted(&format!("{}.sock", guest.name)));
    for stream in &guest.streams {
        let mut keys = Vec::new();
        match &stream.class {
            Some(class) => keys.push(format!("class = {}", quoted(class))),
            None => keys.push("direction = \"capture\", capture = true".to_owned()),
        }
        if let Some(zone) = &stream.zone {
            keys.push(format!("zone = {}", quoted(zone)));
        }
        if stream.gain < 0 {
            keys.push(format!("gain_db = {}", decibels(stream.gain)));
        }
        if let Some((fewest, most)) = stream.channels {
            keys.push(match fewest == most {
                true => format!("channels = {most}"),
                false => format!("channels = [{fewest}, {most}]"),
            });
        }
        if stream.hidden {
            keys.push("visible = false".to_owned());
        }
        let _ = write!(
            out,
            "streams.{} = {{ {} }}{}",
            stream.name,
            keys.join(", "),
            comment(&stream.from)
        );
    }
}

fn write_rule(rule: &Rule, out: &mut String) {
    let _ = write!(out, "\n[[rules]]{}", comment(&rule.from));
    let _ = writeln!(out, "name = {}", quoted(&rule.name));
    let _ = writeln!(out, "on = {}", list(&rule.on));
    if !rule.when.is_empty() {
        let _ = writeln!(out, "when = {}", list(&rule.when));
    }
    match rule.then.as_slice() {
        [one] => drop(writeln!(out, "do = [{one}]")),
        many => {
            out.push_str("do = [\n");
            for step in many {
                let _ = writeln!(out, "  {step},");
            }
            out.push_str("]\n");
        }
    }
    if let Some(priority) = rule.priority {
        let _ = writeln!(out, "priority = {priority}");
    }
    if rule.last {
        out.push_str("break = true\n");
    }
    if rule.overrides {
        out.push_str("overrides = true\n");
    }
}
