//! The 33 rows of the virtio-sound conformance checklist (virtio 1.3 §5.14, every device-normative statement, then
//! what the text describes without MUST) against any vhost-user socket.
//!
//! Each row opens its own connection, so that a device deafened by one row is judged afresh in the next. A row that
//! cannot apply says `Vacuous` and why; a row that times out fails. What each row observes is in its own doc.

mod control;
mod core;
mod info;
mod pacing;
mod pcm;
pub mod report;
mod setup;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::frontend::{FrontendError, Options, SoundFrontend};

/// What a row found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "lowercase")]
pub enum Verdict {
    /// Held.
    Pass,
    /// Broken, and how.
    Fail(String),
    /// The requirement doesn't apply to this device, and why.
    Vacuous(String),
}

/// What a check returns; an error of the front end (a time-out above all) fails the row.
pub type Outcome = Result<Verdict, FrontendError>;

/// What a check may use.
#[derive(Clone, Debug)]
pub struct Target {
    /// The device's socket.
    pub socket: PathBuf,
    /// A shell command that makes the device change a control element or a jack, for events no guest can cause.
    pub provoke: Option<String>,
    /// Negotiate EVENT_IDX in every row. Otherwise only row 33 does: a device that loops for ever there (as
    /// vhost-device-sound does once the event queue is kicked) is lost for all rows that follow.
    pub event_idx: bool,
    /// Guest memory that the device sees as a window; otherwise it comes with the messages.
    pub memory: Option<Arc<File>>,
}

impl Target {
    /// A fresh connection with the default options.
    ///
    /// # Errors
    /// The socket or a protocol message.
    pub fn connect(&self) -> Result<SoundFrontend, FrontendError> {
        self.connect_with(Options {
            event_idx: self.event_idx,
            ..Options::default()
        })
    }

    /// A fresh connection.
    ///
    /// # Errors
    /// The socket or a protocol message.
    pub fn connect_with(&self, options: Options) -> Result<SoundFrontend, FrontendError> {
        let memory = options.memory.clone().or_else(|| self.memory.clone());
        SoundFrontend::connect(&self.socket, Options { memory, ..options })
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Number in the checklist.
    pub number: u32,
    /// The requirement, short.
    pub title: &'static str,
    check: fn(&Target) -> Outcome,
}

const fn row(number: u32, title: &'static str, check: fn(&Target) -> Outcome) -> Row {
    Row { number, title, check }
}

/// The checklist.
pub const ROWS: [Row; 33] = [
    row(1, "jack info: no undefined feature values", info::jack_features),
    row(2, "jack info: padding 0", info::jack_padding),
    row(
        3,
        "PCM info: no undefined feature, format, rate, direction",
        info::pcm_defined,
    ),
    row(4, "PCM info: padding 0", info::pcm_padding),
    row(
        5,
        "SET_PARAMS: an intermediate buffer >= buffer_bytes",
        pacing::intermediate_buffer,
    ),
    row(
        6,
        "RELEASE completes all pending I/O of the stream",
        pcm::release_completes,
    ),
    row(7, "RELEASE is not answered while I/O is pending", pcm::release_waits),
    row(
        8,
        "output: I/O not complete until the buffer is totally consumed",
        pacing::output_consumed,
    ),
    row(
        9,
        "input: I/O not complete until full, but at end of stream",
        pcm::input_full,
    ),
    row(10, "chmap: no undefined direction", info::chmap_direction),
    row(11, "chmap: channels <= 18", info::chmap_channels),
    row(12, "ctl info: no undefined role, type, access", control::defined),
    row(
        13,
        "ctl info: count nonzero and within its type's limit",
        control::count,
    ),
    row(14, "ctl name and item: non-empty, 0-terminated ASCII", control::names),
    row(15, "ctl (name, index) unique", control::unique),
    row(
        16,
        "TLV read into a short buffer writes what fits, succeeds",
        control::short_tlv,
    ),
    row(17, "ctl event: no undefined mask", control::event_mask),
    row(18, "status: BAD_MSG malformed, NOT_SUPP unsupported", setup::statuses),
    row(19, "INFO honours size as stride", info::stride),
    row(
        20,
        "SET_PARAMS checks channels, format, rate, features, divisor",
        setup::params_checked,
    ),
    row(21, "lifecycle transitions", setup::lifecycle),
    row(22, "output pre-buffering between PREPARE and START", pcm::prebuffer),
    row(23, "pause (STOP, START) keeps queued I/O", pcm::pause),
    row(24, "PCM status is OK or IO_ERR", pcm::io_status),
    row(25, "latency_bytes is the current device latency", pacing::latency),
    row(26, "RX used length = 8 + recorded bytes", pcm::rx_used),
    row(27, "events: XRUN, PERIOD_ELAPSED as offered", pcm::events),
    row(28, "MSG_POLLING works if offered", pcm::polling),
    row(29, "config fields are read-only; controls only with CTLS", core::config),
    row(
        30,
        "an error leads to an answer or a reset, never silence",
        core::never_silent,
    ),
    row(31, "reset returns to the initial state", core::reset),
    row(
        32,
        "every popped chain is returned, used length = bytes written",
        core::returned,
    ),
    row(
        33,
        "the EVENT_IDX loop ends with unconsumed buffers present",
        core::event_idx,
    ),
];

/// A row's outcome, as `conformance --json` prints it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Finding {
    /// Row number.
    pub row: u32,
    /// The requirement.
    pub title: &'static str,
    /// What was found.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Runs one row.
#[must_use]
pub fn run_row(target: &Target, row: &Row) -> Finding {
    let verdict = (row.check)(target).unwrap_or_else(|e| Verdict::Fail(e.to_string()));
    Finding {
        row: row.number,
        title: row.title,
        verdict,
    }
}

/// Runs all rows, or those numbered in `only`.
pub fn run(target: &Target, only: &[u32], mut report: impl FnMut(&Finding)) -> Vec<Finding> {
    let chosen = ROWS.iter().filter(|r| only.is_empty() || only.contains(&r.number));
    chosen
        .map(|row| {
            let finding = run_row(target, row);
            report(&finding);
            finding
        })
        .collect()
}

/// Pass if there is no complaint.
fn judge(complaints: Vec<String>) -> Outcome {
    Ok(if complaints.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Fail(complaints.join("; "))
    })
}

fn vacuous(reason: &str) -> Outcome {
    Ok(Verdict::Vacuous(reason.into()))
}

fn fail(reason: String) -> Outcome {
    Ok(Verdict::Fail(reason))
}
