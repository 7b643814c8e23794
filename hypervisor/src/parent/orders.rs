//! What the command line asks of a running system: of its parent if one is there, else of the VMM processes themselves.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::socket::{connect, wait};
use crate::vm::control::{Channel, Report, Request};

/// An order to the parent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Order {
    /// How is everybody?
    Status,
    /// End this partition, or all and the parent.
    Stop(Option<String>),
    /// End this partition and start it anew.
    Restart(String),
}

/// What came of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Outcome {
    /// The states of all partitions, in the order of the manifest.
    States(Vec<State>),
    /// Done, or begun.
    Done,
    /// It can't be, and why.
    Refused(String),
}

/// How a partition is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct State {
    /// Its name.
    pub partition: String,
    /// `running`, `starting`, `waiting` (to be started again), `down`, `given-up` (too many restarts).
    pub state: String,
    /// Its VMM process.
    pub pid: Option<i32>,
    /// How long it has been up, milliseconds.
    pub age_ms: Option<u64>,
    /// What its set-up took, microseconds.
    pub setup_us: Option<u64>,
    /// Restarts within the last minute of restarts; unknown without a parent.
    pub restarts: Option<usize>,
    /// Sound devices without a back end.
    pub wanting: Vec<String>,
    /// How it ended last.
    pub last: Option<String>,
}

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

fn call<Q: Serialize, A: for<'a> Deserialize<'a>>(
    fd: OwnedFd,
    question: &Q,
    mut wanted: impl FnMut(A) -> Option<A>,
) -> io::Result<A> {
    let channel = Channel::from(fd);
    channel.send(question, None)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        while let Some((answer, _)) = channel.receive::<A>()? {
            if let Some(answer) = wanted(answer) {
                return Ok(answer);
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let ms = u64::try_from(left.as_millis()).unwrap_or(0) + 1;
        wait(&[channel.as_fd()], Some(ms))?;
    }
}

/// Gives an order to the parent of a run folder; `None` when there is none.
///
/// # Errors
/// A parent that doesn't answer.
pub fn ask(folder: &Folder, order: &Order) -> io::Result<Option<Outcome>> {
    match connect(&folder.parent()) {
        Ok(fd) => call(fd, order, Some).map(Some),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The states of the VMs of a run folder that has no parent.
pub fn states(folder: &Folder) -> Vec<State> {
    folder
        .doors()
        .iter()
        .map(|partition| state(folder, partition))
        .collect()
}

fn state(folder: &Folder, partition: &str) -> State {
    let process = folder.process(partition);
    let down = State {
        partition: partition.to_owned(),
        state: "down".into(),
        ..State::default()
    };
    let Some((process, fd)) = process.zip(connect(&folder.door(partition)).ok()) else {
        return down;
    };
    let here = |report: Report| matches!(report, Report::Here { .. }).then_some(report);
    match call(fd, &Request::Hello, here) {
        Ok(Report::Here {
            age_ms,
            setup_us,
            wanting,
            ..
        }) => State {
            state: if setup_us.is_some() { "running" } else { "starting" }.into(),
            pid: Some(process.pid),
            age_ms: Some(age_ms),
            setup_us,
            wanting: wanting.into_iter().collect(),
            ..down
        },
        _ => State {
            state: "hung".into(),
            pid: Some(process.pid),
            ..down
        },
    }
}

/// Ends the VMs of a run folder that has no parent: asked first, killed when they don't go.
pub fn stop(folder: &Folder, only: Option<&str>) {
    let chosen = |partition: &String| only.is_none_or(|only| only == partition);
    let partitions: Vec<String> = folder.doors().into_iter().filter(chosen).collect();
    for partition in &partitions {
        if let Ok(fd) = connect(&folder.door(partition)) {
            // One that can't be asked is killed below.
            let _ = Channel::from(fd).send(&Request::Stop, None);
        }
    }
    let begun = Instant::now();
    for partition in &partitions {
        while let Some(process) = folder.process(partition) {
            match begun.elapsed().as_secs() {
                0..2 => {}
                // A killed one gives its memory back before it is gone.
                2..10 => process.kill(),
                _ => break,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = std::fs::remove_file(folder.door(partition));
    }
}
