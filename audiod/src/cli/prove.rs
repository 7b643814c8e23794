//! `audiod check --prove`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::Model;
use policy::file::Document;
use policy::prove::{self, Budget, Proof};
use policy::report::Report;
use policy::simulate::{Cast, scenario};
use serde::Serialize;

use super::{check, print, to_json};
use crate::config;
use crate::failure::Failure;

/// Exit code when something is not decided and nothing is broken.
const NOT_DECIDED: u8 = 6;

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome<'a> {
    file: String,
    milliseconds: u64,
    #[serde(flatten)]
    proof: &'a Proof,
}

/// The domains of a scenario.
fn cast(scenario: &Path, model: &Model) -> Result<Arc<Cast>, Report> {
    let text = config::read_text(scenario)?;
    let document = Document::parse(&text);
    let read = scenario::read(&document, model);
    let report = document.finish(&scenario.display().to_string());
    if report.errors() > 0 {
        Err(report)
    } else {
        Ok(read.cast)
    }
}

/// Of a file with mistakes, those.
pub(super) fn run(
    file: &Path,
    domains: Option<&Path>,
    (states, seconds): (usize, u64),
    json: bool,
) -> Result<ExitCode, Failure> {
    let Ok(loaded) = config::load(file) else {
        return check::run(file, json);
    };
    let cast = match domains.map(|scenario| cast(scenario, &loaded.model)).transpose() {
        Ok(cast) => cast,
        Err(report) => {
            eprint!("{report}");
            return Ok(ExitCode::from(3));
        }
    };
    let begun = Instant::now();
    let limit = Duration::from_secs(seconds);
    let beside = file.file_name().unwrap_or_default().to_string_lossy();
    let mut go_on = || begun.elapsed() < limit;
    let proof = prove::prove(
        &loaded.model,
        &beside,
        cast.as_deref(),
        Budget {
            states,
            go_on: &mut go_on,
        },
    );
    let took = begun.elapsed();
    let file = file.display().to_string();
    if json {
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        print(&to_json(&Outcome {
            file,
            milliseconds,
            proof: &proof,
        })?)?;
    } else {
        print(&format!(
            "{}\n{:.1} s\n",
            prove::text(&file, &proof),
            took.as_secs_f64()
        ))?;
    }
    Ok(match (proof.is_broken(), proof.is_proven()) {
        (true, _) => ExitCode::from(1),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(NOT_DECIDED),
    })
}
