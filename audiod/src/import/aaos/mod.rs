//! Android Automotive's `car_audio_configuration.xml`, versions 1 to 4.
//!
//! ```text
//! zone ▶ zoneConfig ▶ group ▶ device ▶ context        [zones] ◀─ [guests.android] streams ─▶ [classes]
//!   │                            └──────────── a stream ───┘            └── its contexts ──┘
//!   └──────────────────────────── a zone ──────────────┘        [[matrix]] from the service's tables, its pauses' ramps from
//!                                                               the fades of a second file
//! ```
//!
//! Android is one guest: each output device (a bus of its audio HAL) is a stream, its contexts are the stream's class, its zone
//! the stream's zone. The interaction of contexts stands in the service, not in the file: [`matrix`] writes it out.

mod devices;
mod fades;
mod matrix;
mod parts;
mod zones;

use std::collections::BTreeMap;

use policy::file::{code, listed};
use policy::report::{Diagnostic, Span};

use super::draft::{Class, Draft, Rule, Stream};
use super::names::Names;
use super::wrong_root;
use super::xml::El;
use fades::{Applied, Fades};
use matrix::{CONTEXTS, Contexts};
use parts::Window;

/// Depth of every duck: the file leaves it to the audio HAL.
const DEPTH_DB: f64 = -14.0;

/// What the parts of one file share.
struct Reader<'a> {
    version: i64,
    /// Contexts that devices may name, in lower case, and what they are by the service's tables.
    contexts: BTreeMap<String, Contexts>,
    /// Windows that groups may name.
    activations: BTreeMap<String, Window<'a>>,
    /// Contexts of the file have other names than the service's.
    own_contexts: bool,
    /// The classes so far, in order of their first use.
    classes: Vec<(String, Contexts)>,
    class_names: Names,
    class_places: Vec<String>,
    /// The second file, if there is one.
    fades: Option<Fades<'a>>,
    /// What zones apply of it, in their order.
    applied: Vec<Applied<'a>>,
    root: El<'a>,
}

/// Reads a file, and the second one with its fades; without a draft there is at least one mistake.
pub(super) fn read<'a>(root: El<'a>, fades: Option<El<'a>>, name: &str) -> Option<Draft> {
    let fades = fades.and_then(fades::read);
    if root.name() != "carAudioConfiguration" {
        wrong_root(root, "carAudioConfiguration", "car audio configuration");
        return None;
    }
    root.known(
        &["version"],
        &[
            "oemContexts",
            "deviceConfigurations",
            "mirroringDevices",
            "activationVolumeConfigs",
            "zones",
        ],
    );
    let version = version(root)?;
    root.mapped("the whole policy");
    let mut reader = Reader {
        version,
        contexts: CONTEXTS
            .iter()
            .enumerate()
            .map(|(index, name)| ((*name).to_owned(), Contexts::from([index])))
            .collect(),
        activations: BTreeMap::new(),
        own_contexts: false,
        classes: Vec::new(),
        class_names: Names::default(),
        class_places: Vec::new(),
        fades,
        applied: Vec::new(),
        root,
    };
    for child in root.children() {
        match child.name() {
            "oemContexts" => reader.oem_contexts(child),
            "deviceConfigurations" => parts::device_configurations(child),
            "mirroringDevices" => reader.mirroring(child),
            "activationVolumeConfigs" => reader.activations(child),
            _ => {}
        }
    }
    let mut draft = Draft {
        depth: Some(DEPTH_DB),
        about: about(name, version),
        ..Draft::default()
    };
    reader.zones(&mut draft)?;
    reader.windows_told();
    reader.roles(&mut draft);
    Some(draft)
}

fn about(name: &str, version: i64) -> Vec<String> {
    vec![
        format!("Made by `audiod import aaos` of {name}, version {version}."),
        "Android is a guest: each of its output devices is a PCM of its sound card, in this order.".to_owned(),
        "What had to be approximated, or was lost, stands in the list that the import printed.".to_owned(),
    ]
}

fn version(root: El<'_>) -> Option<i64> {
    let attr = root.need("version", "say which it is written in: `version=\"4\"`")?;
    let version = attr.integer(i64::MIN..=i64::MAX)?;
    if !(1..=4).contains(&version) {
        attr.wrong(
            code::OUT_OF_RANGE,
            format!("version {version} is not known"),
            "this program reads versions 1 to 4",
            None,
        );
        return None;
    }
    attr.mapped(format!("read as version {version}"));
    Some(version)
}

impl<'a> Reader<'a> {
    /// Reports a thing that this version doesn't have.
    fn too_early(&self, what: &str, at: Span, since: i64) -> bool {
        if self.version >= since {
            return false;
        }
        let message = format!("{what} came with version {since}");
        let found =
            Diagnostic::error(code::CONFLICT, at, message).label(format!("this file is of version {}", self.version));
        self.root
            .input
            .push(found.help(format!("write `version=\"{since}\"`, or take it out")));
        true
    }

    /// The class of these contexts, made when it is first asked for.
    fn class(&mut self, contexts: &Contexts, place: &str) -> String {
        if let Some((name, _)) = self.classes.iter().find(|(_, known)| known == contexts) {
            return name.clone();
        }
        let names: Vec<&str> = contexts
            .iter()
            .filter_map(|&index| CONTEXTS.get(index).copied())
            .collect();
        let joined = names.join("-");
        let wanted = match names.as_slice() {
            [] => "other".to_owned(),
            all if all.len() == CONTEXTS.len() => "everything".to_owned(),
            [first, rest @ ..] if joined.len() > policy::file::MAX_NAME => format!("{first}-and-{}-more", rest.len()),
            _ => joined,
        };
        let name = self.class_names.take(&wanted, "class");
        self.classes.push((name.clone(), contexts.clone()));
        self.class_places.push(match names.len() {
            0 => format!("{place}: no usage that the service's tables know; heard beside all others"),
            1 => String::new(),
            _ => format!("{place}: {}", listed(names.iter().copied())),
        });
        name
    }

    /// Classes and the matrix.
    fn roles(&mut self, draft: &mut Draft) {
        let ramps = self.ramps();
        let classes = self.classes.iter().zip(&self.class_places);
        draft.classes = classes
            .map(|((name, _), from)| Class {
                name: name.clone(),
                from: from.clone(),
                ..Class::default()
            })
            .collect();
        let (cells, unducked) = matrix::cells(&self.classes, &ramps);
        draft.cells = cells;
        draft.matrix_about = vec![
            "What Android's car audio service decides by its own tables, as of AAOS 15: a rejected request fails, an".to_owned(),
            "exclusive one pauses the holder, concurrent ones are mixed or ducked. How deep is up to its HAL: [defaults].".to_owned(),
        ];
        draft.rules = late_ducks(&unducked, draft);
    }
}

/// What the matrix can't say: who begins while another sounds is ducked by that one, though the other way round is no duck.
/// A rule for each stream that ducks, for those of its own zone.
fn late_ducks(unducked: &[(String, String)], draft: &Draft) -> Vec<Rule> {
    let streams: Vec<(String, &Stream)> = (draft.guests.iter())
        .flat_map(|guest| {
            guest
                .streams
                .iter()
                .map(move |stream| (format!("{}.{}", guest.name, stream.name), stream))
        })
        .filter(|(_, stream)| stream.zone.is_some())
        .collect();
    let mut rules = Vec::new();
    for (name, holder) in &streams {
        let ducked = |newcomer: &Stream| {
            let pair = holder.class.clone().zip(newcomer.class.clone());
            newcomer.zone == holder.zone && pair.is_some_and(|pair| unducked.contains(&pair))
        };
        let newcomers = streams.iter().filter(|(_, newcomer)| ducked(newcomer));
        let newcomers: Vec<String> = newcomers.map(|(name, _)| format!("\"{name}\"")).collect();
        if newcomers.is_empty() {
            continue;
        }
        rules.push(Rule {
            name: super::names::plain(&format!("under-{}", holder.name)),
            on: vec!["stream.started".to_owned()],
            when: vec![
                format!("[{}] has name(request.source)", newcomers.join(", ")),
                format!("connection_state(source(\"{name}\")) has connected"),
            ],
            then: vec![format!(
                "{{ limit = {{ source = \"request.source\", gain_db = {DEPTH_DB:.1}, ramp_ms = 50, cause = \"{name}\" }} }}"
            )],
            from: "begins while that one sounds: ducked, as by the service".to_owned(),
            ..Rule::default()
        });
    }
    rules
}
