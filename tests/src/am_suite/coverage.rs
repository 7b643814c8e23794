//! Member x code x state sequence: a case that reached a cell (of several the one that reached fewest others), or why none can.
//!
//! A case reaches a cell if it has the member answer with the code (a signal heard, a domain asked) and a main connection go through
//! the sequence. Cells of codes that are not a member's, and of sequences it has no part in, say so.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::members::{MEMBERS, Member, Side};
use super::trace::{BUS_ERROR, NO_CODE, SEQUENCES, Sequence, Trace};

use Sequence as S;

/// `am_Error_e`, all of it.
const CODES: std::ops::RangeInclusive<i64> = 0..=11;

/// See the module.
#[derive(Debug, Default)]
pub struct Coverage {
    /// The case, and how many cells it reached.
    reached: BTreeMap<(&'static str, i64, Sequence), (usize, &'static str)>,
}

/// One cell.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Member.
    pub member: &'static str,
    /// Which interface.
    pub side: Side,
    /// Code; `None`: it has none, or is answered with a D-Bus error (see `bus_error`).
    pub code: Option<i64>,
    /// A D-Bus error.
    pub bus_error: bool,
    /// Sequence.
    pub sequence: Sequence,
    /// The case that reached it.
    pub case: Option<&'static str>,
    /// Why none can.
    pub why_not: Option<&'static str>,
}

impl Cell {
    /// Neither reached nor explained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.case.is_none() && self.why_not.is_none()
    }
}

impl Coverage {
    /// Takes in what a case did.
    pub fn add(&mut self, case: &'static str, trace: &Trace) {
        let mut cells = Vec::new();
        for member in MEMBERS {
            for code in codes_of(member).chain([BUS_ERROR]) {
                let reached = SEQUENCES.into_iter().filter(|it| trace.reached(member.name, code, *it));
                cells.extend(reached.map(|sequence| (member.name, code, sequence)));
            }
        }
        let this = (cells.len(), case);
        for cell in cells {
            let best = self.reached.entry(cell).or_insert(this);
            *best = (*best).min(this);
        }
    }

    /// All cells: each member with each code, with no code and with a D-Bus error, and each sequence.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for member in MEMBERS {
            for code in CODES.chain([NO_CODE, BUS_ERROR]) {
                cells.extend(SEQUENCES.map(|sequence| self.cell(member, code, sequence)));
            }
        }
        cells
    }

    fn cell(&self, member: &'static Member, code: i64, sequence: Sequence) -> Cell {
        let why_not = why_not(member, code, sequence);
        let case = self.reached.get(&(member.name, code, sequence)).map(|it| it.1);
        Cell {
            member: member.name,
            side: member.side,
            code: Some(code).filter(|code| *code >= 0),
            bus_error: code == BUS_ERROR,
            sequence,
            case: case.filter(|_| why_not.is_none()),
            why_not,
        }
    }

    /// The table as text: a line for each member and code with its cells; what has one reason throughout is said once.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for member in MEMBERS {
            let _ = writeln!(text, "{} ({:?})", member.name, member.side);
            let mut without: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for code in CODES.chain([NO_CODE, BUS_ERROR]) {
                let cells = SEQUENCES.map(|sequence| self.cell(member, code, sequence));
                let name = code_name(code);
                match cells[0]
                    .why_not
                    .filter(|why| cells.iter().all(|it| it.why_not == Some(why)))
                {
                    Some(why) => without.entry(why).or_default().push(name),
                    None => row(&mut text, &name, &cells),
                }
            }
            for (why, codes) in without {
                let _ = writeln!(text, "  {}: - {why}", codes.join(" "));
            }
        }
        text
    }
}

fn row(text: &mut String, name: &str, cells: &[Cell]) {
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for cell in cells {
        let sequence = format!("{:?}", cell.sequence).to_lowercase();
        match (cell.case, cell.why_not) {
            (Some(case), _) => {
                let _ = writeln!(text, "  {name:>9}  {sequence:<10} {case}");
            }
            (None, Some(why)) => by_reason.entry(why).or_default().push(sequence),
            (None, None) => {
                let _ = writeln!(text, "  {name:>9}  {sequence:<10} EMPTY");
            }
        }
    }
    for (why, sequences) in by_reason {
        let _ = writeln!(text, "  {name:>9}  {}: - {why}", sequences.join(" "));
    }
}

fn code_name(code: i64) -> String {
    match code {
        NO_CODE => "no code".to_owned(),
        BUS_ERROR => "bus error".to_owned(),
        code => code.to_string(),
    }
}

fn codes_of(member: &Member) -> impl Iterator<Item = i64> + use<> {
    let codes = member.codes;
    let none = codes.is_empty().then_some(NO_CODE);
    codes.iter().copied().chain(none)
}

/// Why a cell can't be reached.
fn why_not(member: &Member, code: i64, sequence: Sequence) -> Option<&'static str> {
    let method = matches!(member.side, Side::Command | Side::Routing);
    if code == BUS_ERROR {
        return match (method, sequence) {
            (false, _) => Some("the daemon says it, nobody answers it"),
            (true, S::None) => None,
            (true, _) => Some("a call with wrong types leaves no trace"),
        };
    }
    if let Some(why) = never(member.name) {
        return Some(why);
    }
    if !codes_of(member).any(|it| it == code) {
        return Some(match code {
            NO_CODE => "it always has a code",
            _ if member.codes.is_empty() => "it has no code",
            _ => "none of its codes",
        });
    }
    if !member.moves {
        return (sequence != S::None).then_some("it moves no main connection");
    }
    let (parts, why) = parts(member.name, code);
    (!parts.contains(&sequence)).then_some(why)
}

/// Members that are never sent.
fn never(member: &str) -> Option<&'static str> {
    match member {
        "NumberOfSinkClassesChanged" | "NumberOfSourceClassesChanged" => {
            Some("classes come from the configuration, which is one in the suite")
        }
        _ => None,
    }
}

/// The sequences a member's code has a part in, and why not in the others.
fn parts(member: &str, code: i64) -> (&'static [Sequence], &'static str) {
    const UP: &[Sequence] = &[S::Connect, S::Pop, S::Rollback];
    const REFUSED: &str = "a refused call moves no main connection";
    const UPWARDS: &str = "it is of connections on their way up";
    const DOWNWARDS: &str = "it is of connections on their way down";
    const ELEMENT: &str = "what goes takes its connections with it: 3, 4, removed";
    match (member, code) {
        ("Connect", 0) => (
            &[
                S::Connect,
                S::Disconnect,
                S::Suspend,
                S::Resume,
                S::Push,
                S::Pop,
                S::Rollback,
                S::Wait,
                S::None,
            ],
            "an end that is not available is code 4",
        ),
        ("Connect", 4) => (
            &[S::Refused, S::None],
            "an unavailable end: the connection is kept as it is",
        ),
        ("Disconnect", 0) => (
            &[S::Connect, S::Disconnect, S::Resume, S::Rollback],
            "what is disconnected is removed, and lets others go on",
        ),
        ("GetListMainConnections", _) => (&SEQUENCES, ""),
        ("deregisterDomain" | "deregisterGateway" | "deregisterSink" | "deregisterSource", 0) => {
            (&[S::Disconnect, S::None], ELEMENT)
        }
        ("registerEarlyConnection", 0) => (&[S::Disconnect, S::None], "it begins connected or suspended"),
        ("ackConnect", 0) | ("asyncConnect", _) => (UP, UPWARDS),
        ("ackConnect", _) => (&[S::Rollback], "one that fails is rolled back"),
        ("ackDisconnect", 0) | ("asyncDisconnect", _) => (&[S::Disconnect, S::Push, S::Rollback], DOWNWARDS),
        ("ackDisconnect", _) => (&[S::Disconnect], "it is gone all the same"),
        ("ackSetSinkVolume", 0) | ("asyncSetSinkVolume", _) => (
            &[S::Connect, S::Pop, S::Rollback, S::None],
            "a sink is muted only while a connection comes up at it",
        ),
        ("ackSetSinkVolume", 7) => (&[S::Rollback, S::None], "one that fails is rolled back"),
        ("ackSetSinkVolume", _) => (&[S::None], "the volume it got to counts, whatever is connected"),
        ("ackSetSourceState", 0) | ("asyncSetSourceState", _) => (
            &[
                S::Connect,
                S::Disconnect,
                S::Suspend,
                S::Resume,
                S::Push,
                S::Pop,
                S::Rollback,
            ],
            "sources change state with their connections only",
        ),
        ("ackSetSourceState", _) => (&[S::Disconnect, S::Rollback], "one that fails is rolled back"),
        ("asyncAbort", _) => (&[S::Disconnect, S::Rollback], "what is aborted is given up"),
        ("hookSinkAvailablityStatusChange" | "hookSourceAvailablityStatusChange", _) => (
            &[S::Push, S::None],
            "an end that goes away leaves its connections disconnected, and kept",
        ),
        ("NewMainConnection", _) => (&[S::Connect, S::Refused, S::Wait], "it is where a connection begins"),
        ("RemovedMainConnection", _) => (&[S::Disconnect], "it is where a connection ends"),
        ("MainConnectionStateChanged", _) => (
            &[
                S::Connect,
                S::Disconnect,
                S::Suspend,
                S::Resume,
                S::Push,
                S::Pop,
                S::Rollback,
                S::Refused,
                S::Wait,
            ],
            "without a change there is no signal",
        ),
        _ => (&[S::None], REFUSED),
    }
}
