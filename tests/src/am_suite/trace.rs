//! What a case was seen to do: the members it used with their codes, and the states of main connections.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::members::{Code, Side, find};
use super::value::Value;

/// Where a member's code would be if it had one.
pub const NO_CODE: i64 = -1;
/// A D-Bus error instead of an answer.
pub const BUS_ERROR: i64 = -2;

/// A sequence of states of a main connection (facts of the live daemon, §3 and §1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sequence {
    /// New, 0, 1, 2.
    Connect,
    /// 3, 4, removed.
    Disconnect,
    /// 2, 5.
    Suspend,
    /// 5, 1, 2.
    Resume,
    /// 3, 4, kept.
    Push,
    /// 4, 1, 2.
    Pop,
    /// 1, 3, 4: it failed, or was given up, before it was connected.
    Rollback,
    /// New, 0, 4: an end is not available.
    Refused,
    /// New, 0, 1, 5: it waits for another to end.
    Wait,
    /// None: no main connection's state changes.
    None,
}

/// All of them, in the order of the table.
pub const SEQUENCES: [Sequence; 10] = [
    Sequence::Connect,
    Sequence::Disconnect,
    Sequence::Suspend,
    Sequence::Resume,
    Sequence::Push,
    Sequence::Pop,
    Sequence::Rollback,
    Sequence::Refused,
    Sequence::Wait,
    Sequence::None,
];

/// States of one main connection in order; its removal is [`REMOVED`].
type Path = Vec<i64>;

const REMOVED: i64 = -1;

/// See the module.
#[derive(Debug, Default)]
pub struct Trace {
    used: BTreeSet<(String, i64)>,
    paths: BTreeMap<i64, Path>,
}

impl Trace {
    /// A method was answered, a signal heard, a domain asked.
    pub fn used(&mut self, member: &str, code: i64) {
        self.used.insert((member.to_owned(), code));
    }

    /// A signal.
    ///
    /// # Errors
    /// It has a place where none can be: a state before the connection is there, the same state twice, anything after its removal.
    pub fn signal(&mut self, member: &str, args: &[Value]) -> Result<()> {
        let int = |index: usize| args.get(index).and_then(Value::int).unwrap_or(REMOVED);
        match member {
            "NewMainConnection" => {
                let fields = args.first().map_or(&[][..], Value::items);
                let field = |index: usize| fields.get(index).and_then(Value::int).unwrap_or(REMOVED);
                let known = self
                    .paths
                    .get(&field(0))
                    .is_none_or(|path| path.last() == Some(&REMOVED));
                ensure!(
                    known,
                    "NewMainConnection of connection {} that is there already",
                    field(0)
                );
                // An early one begins with the state it has.
                let first = if field(4) == 0 { vec![] } else { vec![field(4)] };
                self.paths.insert(field(0), first);
            }
            "MainConnectionStateChanged" => self.state(int(0), int(1))?,
            "RemovedMainConnection" => self.state(int(0), REMOVED)?,
            _ => {}
        }
        Ok(())
    }

    fn state(&mut self, connection: i64, state: i64) -> Result<()> {
        let path = self.paths.get_mut(&connection);
        let Some(path) = path.filter(|path| path.last() != Some(&REMOVED)) else {
            anyhow::bail!("state {state} of connection {connection}, of which there is none");
        };
        ensure!(
            path.last() != Some(&state),
            "connection {connection} is said to be in state {state} twice"
        );
        path.push(state);
        Ok(())
    }

    /// The state of a connection as it was told; `None` where there is none.
    #[must_use]
    pub fn state_of(&self, connection: u16) -> Option<i64> {
        let path = self.paths.get(&i64::from(connection))?;
        path.last().copied().filter(|state| *state != REMOVED)
    }

    /// All states a connection was told to have had, [`None`] at its removal.
    #[must_use]
    pub fn path_of(&self, connection: u16) -> Vec<Option<i64>> {
        let path = self.paths.get(&i64::from(connection)).into_iter().flatten();
        path.map(|state| Some(*state).filter(|it| *it != REMOVED)).collect()
    }

    /// Whether the case has reached a cell of the table.
    #[must_use]
    pub fn reached(&self, member: &str, code: i64, sequence: Sequence) -> bool {
        let used = self.used.contains(&(member.to_owned(), code));
        used && match sequence {
            Sequence::Connect => self.has(&[0, 1, 2]),
            Sequence::Disconnect => self.has(&[3, 4, REMOVED]) || self.has(&[4, REMOVED]),
            Sequence::Suspend => self.has(&[2, 5]),
            Sequence::Resume => self.has(&[5, 1, 2]),
            Sequence::Push => self.paths.values().any(kept),
            Sequence::Pop => self.has(&[4, 1, 2]),
            Sequence::Rollback => self.has(&[1, 3, 4]),
            Sequence::Refused => self.has(&[0, 4]),
            Sequence::Wait => self.has(&[0, 1, 5]),
            Sequence::None => true,
        }
    }

    fn has(&self, wanted: &[i64]) -> bool {
        self.paths
            .values()
            .any(|path| path.windows(wanted.len()).any(|it| it == wanted))
    }
}

/// It was disconnected, and then not removed at once.
#[allow(clippy::ptr_arg, reason = "as the paths' own type")]
fn kept(path: &Path) -> bool {
    let at = path.windows(2).position(|it| it == [3, 4]);
    at.is_some_and(|at| path.get(at + 2) != Some(&REMOVED))
}

/// The code in an answer, or that a call carries.
#[must_use]
pub fn code_of(member: &str, args: &[Value]) -> i64 {
    let place = match find(member).map(|it| it.code) {
        Some(Code::First) => args.first(),
        Some(Code::Last | Code::Carries) => args.last(),
        _ => None,
    };
    place.and_then(Value::int).unwrap_or(NO_CODE)
}

/// Whether the types of an answer, signal or call to a domain are those of the interface.
///
/// # Errors
/// They aren't, or there is no such member.
pub fn check_types(side: Side, member: &str, types: &str) -> Result<()> {
    let known = find(member).filter(|it| it.side == side);
    let Some(known) = known else {
        anyhow::bail!("there is no {member} in the {side:?} interface");
    };
    ensure!(
        known.types == types,
        "{member} has the types `{types}`, not `{}`",
        known.types
    );
    Ok(())
}
