//! Hostile guests as data: each case breaks one rule on a connection of its own, against any vhost-user socket.
//!
//! Expected of every one: the device answers afterwards on the same connection, or says that it gave up by closing it or
//! by a ring's error eventfd (contained), and in both cases serves a new, well-behaved client in full.
//!
//! ```text
//!  connect ─ offence ─ PCM_INFO? ─┬─ answered ──────────────┐
//!                                 ├─ closed, or error fd ───┼─ new client plays 4 periods ─► held
//!                                 └─ silent: Deaf           └─ doesn't: Lost
//! ```

mod chains;
mod control;
mod link;
mod memory;
mod rig;
mod samples;
mod streams;

pub use rig::Rig;

use std::path::Path;
use std::time::Duration;

use crate::frontend::pcm::Pcm;
use crate::frontend::proto::{S_OK, TXQ};
use crate::frontend::{FrontendError, Options, SoundFrontend};

/// One way to break the rules.
#[derive(Clone, Copy)]
pub struct Case {
    /// Name, unique.
    pub name: &'static str,
    act: fn(&mut Rig) -> Result<(), FrontendError>,
}

const fn case(name: &'static str, act: fn(&mut Rig) -> Result<(), FrontendError>) -> Case {
    Case { name, act }
}

/// What became of the device.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "lowercase")]
pub enum Outcome {
    /// Answers on the same connection and serves a new client.
    Answered,
    /// Closed the connection or rang an error eventfd, and serves a new client.
    Contained,
    /// The device lacks what the case needs, so nothing was tried.
    Vacuous(String),
    /// Open, but silent on this connection.
    Deaf,
    /// A new, well-behaved client is not served (or only in part).
    Lost(String),
}

impl Outcome {
    /// Whether the expectation held; a vacuous case has nothing to hold.
    #[must_use]
    pub fn held(&self) -> bool {
        !matches!(self, Self::Deaf | Self::Lost(_))
    }
}

/// All cases.
pub fn cases() -> impl Iterator<Item = Case> {
    [
        control::CASES,
        chains::CASES,
        streams::CASES,
        link::CASES,
        memory::CASES,
        samples::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Runs one case.
#[must_use]
pub fn run_case(socket: &Path, case: &Case, event_idx: bool) -> Outcome {
    let options = Options {
        event_idx,
        ..Options::default()
    };
    let first = match SoundFrontend::connect(socket, options.clone()).and_then(Rig::new) {
        Ok(mut rig) => offend(&mut rig, case),
        Err(e) => return Outcome::Lost(format!("before the case: {e}")),
    };
    match well_behaved(socket, options) {
        Ok(()) => first,
        Err(why) => Outcome::Lost(why),
    }
}

fn offend(rig: &mut Rig, case: &Case) -> Outcome {
    // A request of the case itself that gets no answer is judged below, by whether the next one does.
    if let Err(FrontendError::Refused { what, .. }) = (case.act)(rig) {
        return Outcome::Vacuous(what);
    }
    if !rig.gone && rig.fe.pcm_info().is_ok() {
        Outcome::Answered
    } else if rig.gave_up() {
        Outcome::Contained
    } else {
        Outcome::Deaf
    }
}

/// A new client that plays four periods of 50 ms, and gets every one back with OK.
fn well_behaved(socket: &Path, options: Options) -> Result<(), String> {
    let play = || -> Result<String, FrontendError> {
        let mut fe = SoundFrontend::connect(socket, options)?;
        let infos = fe.pcm_info()?;
        let Some((stream, info)) = infos.iter().enumerate().find(|(_, i)| i.direction == 0) else {
            return Ok(String::new());
        };
        let pcm = Pcm::open(&mut fe, TXQ, stream as u32, info.params(5, 2400, 4))?;
        pcm.fill(&mut fe)?;
        pcm.start(&mut fe)?;
        let back = fe.wait_completions(TXQ, pcm.stream, 4, Duration::from_secs(2));
        pcm.stop(&mut fe)?;
        pcm.release(&mut fe)?;
        let fine = back.iter().filter(|c| c.status == S_OK).count();
        Ok(if fine == 4 {
            String::new()
        } else {
            format!("{fine} of 4 messages of a new client were played")
        })
    };
    match play() {
        Ok(why) if why.is_empty() => Ok(()),
        Ok(why) => Err(why),
        Err(e) => Err(e.to_string()),
    }
}
