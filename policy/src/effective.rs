//! The whole matrix as it takes effect: every pair of classes, written or not, with what happens to both and why.
//!
//! ```text
//! HOLDER      NEWCOMER    HOLDER IS  NEWCOMER IS  DEPTH     ATTACK  RELEASE  FROM
//! media       navigation  ducked     plays        -14.0 dB  50 ms   500 ms   line 20
//! navigation  media       plays      ducked       -14.0 dB  50 ms   500 ms   line 20, the other way round
//! ```

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Model;
use crate::matrix::Arrival;
use crate::model::{Duck, Holder};
use crate::rules::decisions::Decision;

/// What becomes of one side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Heard as before.
    Plays,
    /// Heard, attenuated.
    Ducked,
    /// Not pulled while the other is there.
    Paused,
    /// Disconnected.
    Stopped,
    /// Waits for the other to end.
    Delayed,
    /// Refused.
    Rejected,
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::Plays => "plays",
            Self::Ducked => "ducked",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Delayed => "delayed",
            Self::Rejected => "rejected",
        }
    }
}

/// Where a cell comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A `[[matrix]]` says so.
    Written,
    /// A `[[matrix]]` says so for the pair the other way round.
    Reversed,
    /// The newcomer has the higher priority.
    HigherPriority,
    /// The newcomer has the lower priority: the higher one ducks it.
    LowerPriority,
    /// Both have the same priority: both are heard.
    SamePriority,
    /// The same class: the newest is heard.
    SameClass,
    /// The holder is of a safety class: nothing reaches it, and what it does to others is what it does as a newcomer.
    Safety,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Class of the source that is there.
    pub holder: String,
    /// Class of the one that comes.
    pub newcomer: String,
    /// What becomes of the one that is there.
    pub holder_is: Fate,
    /// What becomes of the one that comes.
    pub newcomer_is: Fate,
    /// Attenuation of whoever is ducked, 0.1 dB; `None` where nobody is.
    pub depth_tenths_db: Option<i16>,
    /// Where it is another in a channel group, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups_tenths_db: BTreeMap<String, i16>,
    /// Ramp down, ms; `None` where nothing is changed.
    pub attack_ms: Option<u32>,
    /// Ramp up, ms.
    pub release_ms: Option<u32>,
    /// By which rule.
    pub origin: Origin,
    /// Line of the `[[matrix]]`; `None` where no line says so.
    pub line: Option<u32>,
    /// The same in words.
    pub from: String,
}

/// Every pair of classes, in the order of the file: holder by holder.
pub fn matrix(model: &Model) -> Vec<Effective> {
    let classes = 0..model.classes.len();
    let pairs = classes
        .clone()
        .flat_map(|holder| classes.clone().map(move |newcomer| (holder, newcomer)));
    pairs.map(|pair| cell(model, pair)).collect()
}

fn holder_fate(action: Holder) -> Fate {
    match action {
        Holder::Mix => Fate::Plays,
        Holder::Duck => Fate::Ducked,
        Holder::Pause => Fate::Paused,
        Holder::Stop => Fate::Stopped,
    }
}

fn arrival_fate(action: Arrival) -> Fate {
    match action {
        Arrival::Play => Fate::Plays,
        Arrival::Ducked => Fate::Ducked,
        Arrival::Delay => Fate::Delayed,
        Arrival::Reject => Fate::Rejected,
    }
}

fn cell(model: &Model, (holder, newcomer): (usize, usize)) -> Effective {
    let is_safety = |class: usize| model.classes.get(class).is_some_and(|class| class.safety);
    let arrival = model.class_arrival(holder, newcomer);
    let (mut newcomer_is, mut duck, mut line) = (arrival_fate(arrival.action), arrival.duck, arrival.line);
    let mut holder_is = Fate::Plays;
    if is_safety(holder) {
        // Whoever comes where a safety source sounds is treated as if it had been there first.
        let pressure = model.class_pressure(newcomer, holder);
        if newcomer_is == Fate::Plays {
            (newcomer_is, duck, line) = (holder_fate(pressure.action), pressure.duck, pressure.line);
        }
        if is_safety(newcomer) {
            (newcomer_is, line) = (Fate::Plays, None);
        }
    } else {
        let pressure = model.class_pressure(holder, newcomer);
        holder_is = holder_fate(pressure.action);
        if holder_is != Fate::Plays || model.cells.contains_key(&(holder, newcomer)) {
            (duck, line) = (pressure.duck, pressure.line);
        }
    }
    let origin = origin(model, (holder, newcomer), line.is_some());
    let fates = [holder_is, newcomer_is];
    let ducks = fates.contains(&Fate::Ducked);
    let ramps = ducks || fates.iter().any(|fate| matches!(fate, Fate::Paused | Fate::Stopped));
    let Duck {
        depth,
        groups,
        attack_ms,
        release_ms,
    } = duck;
    let groups = model.groups.iter().zip(groups).filter(|_| ducks);
    let class = |index: usize| model.classes.get(index).map_or("?", |class| &class.name);
    Effective {
        holder: class(holder).to_owned(),
        newcomer: class(newcomer).to_owned(),
        holder_is,
        newcomer_is,
        depth_tenths_db: ducks.then_some(depth),
        groups_tenths_db: groups
            .filter_map(|(name, depth)| Some((name.clone(), depth?)))
            .collect(),
        attack_ms: ramps.then_some(attack_ms),
        release_ms: ramps.then_some(release_ms),
        origin,
        line,
        from: words(model, (holder, newcomer), origin, line),
    }
}

fn origin(model: &Model, (holder, newcomer): (usize, usize), by_line: bool) -> Origin {
    let priority = |class: usize| model.classes.get(class).map_or(0, |class| class.priority);
    if model.cells.contains_key(&(holder, newcomer)) {
        return Origin::Written;
    }
    if model.classes.get(holder).is_some_and(|class| class.safety) {
        return Origin::Safety;
    }
    match priority(newcomer).cmp(&priority(holder)) {
        _ if holder == newcomer => Origin::SameClass,
        std::cmp::Ordering::Greater => Origin::HigherPriority,
        _ if by_line => Origin::Reversed,
        std::cmp::Ordering::Less => Origin::LowerPriority,
        std::cmp::Ordering::Equal => Origin::SamePriority,
    }
}

fn words(model: &Model, (holder, newcomer): (usize, usize), origin: Origin, line: Option<u32>) -> String {
    let priority = |class: usize| model.classes.get(class).map_or(0, |class| class.priority);
    let (there, coming) = (priority(holder), priority(newcomer));
    let line = line.map(|line| format!("line {line}"));
    match (origin, line) {
        (Origin::Written, line) => line.unwrap_or_else(|| "the matrix".to_owned()),
        (Origin::Reversed, line) => format!("{}, the other way round", line.unwrap_or_default()),
        (Origin::HigherPriority, _) => format!("priority {coming} over {there}"),
        (Origin::LowerPriority, _) => format!("priority {coming} under {there}"),
        (Origin::SamePriority, _) => format!("priority {coming} as {there}"),
        (Origin::SameClass, _) => "same class: the newest is heard".to_owned(),
        (Origin::Safety, Some(line)) => format!("{line}; the holder is safety"),
        (Origin::Safety, None) => format!("priority {coming}; the holder is safety"),
    }
}

/// The rules, which come after the matrix, in the order in which they are looked at; nothing where there are none. The model is
/// compiled.
pub fn rules(model: &Model) -> Option<String> {
    let rules = model.rules.decisions().filter_map(|decision| match decision {
        Decision::Rule(rule) => Some(rule),
        Decision::Pair { .. } => None,
    });
    let rows: Vec<[String; 5]> = rules
        .map(|rule| {
            let on: Vec<&str> = rule.on.iter().map(|trigger| trigger.name()).collect();
            let overrides = if rule.overrides { "overrides" } else { "-" };
            [
                rule.priority.to_string(),
                rule.name.clone(),
                on.join(", "),
                overrides.to_owned(),
                format!("line {}", rule.line),
            ]
        })
        .collect();
    let head = ["PRIORITY", "RULE", "ON", "DUCKS", "FROM"];
    (!rows.is_empty()).then(|| crate::text::aligned(head, rows))
}

impl Effective {
    fn depth(&self) -> String {
        let Some(depth) = self.depth_tenths_db else {
            return "-".to_owned();
        };
        let groups = self.groups_tenths_db.iter();
        let groups = groups.map(|(name, depth)| format!(", {name} {}", crate::text::decibels(*depth)));
        crate::text::decibels(depth) + &groups.collect::<String>()
    }
}

/// As a table.
pub fn table(cells: &[Effective]) -> String {
    let head = [
        "HOLDER",
        "NEWCOMER",
        "HOLDER IS",
        "NEWCOMER IS",
        "DEPTH",
        "ATTACK",
        "RELEASE",
        "FROM",
    ];
    let ms = |time: Option<u32>| time.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let rows = cells.iter().map(|cell| {
        [
            cell.holder.clone(),
            cell.newcomer.clone(),
            cell.holder_is.word().to_owned(),
            cell.newcomer_is.word().to_owned(),
            cell.depth(),
            ms(cell.attack_ms),
            ms(cell.release_ms),
            cell.from.clone(),
        ]
    });
    crate::text::aligned(head, rows.collect())
}
