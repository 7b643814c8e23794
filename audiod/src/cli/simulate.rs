//! `audiod simulate`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::file::Document;
use policy::report::Report;
use policy::simulate::{self, Scenario, Timeline, scenario};
use serde::Serialize;

use super::{print, to_json};
use crate::config::{self, Loaded};
use crate::failure::Failure;

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome<'a> {
    file: String,
    policy: String,
    #[serde(flatten)]
    timeline: &'a Timeline,
    findings: &'a Report,
}

pub(super) fn run(file: &Path, json: bool, svg: Option<&Path>) -> Result<ExitCode, Failure> {
    let (text, loaded, scenario) = match read(file) {
        Ok(read) => read,
        Err(report) => {
            if json {
                print(&to_json(
                    &serde_json::json!({"file": file.display().to_string(), "findings": report}),
                )?)?;
            } else {
                eprint!("{report}");
            }
            return Ok(ExitCode::from(3));
        }
    };
    let policy = loaded.path.display().to_string();
    let mut timeline = simulate::run(loaded.model, &scenario);
    let findings = std::mem::take(&mut timeline.findings);
    let report = Report::new(file.display().to_string(), text, findings);
    if let Some(path) = svg {
        std::fs::write(path, simulate::svg(&timeline)).map_err(Failure::when(path.display().to_string()))?;
    }
    if json {
        let file = file.display().to_string();
        print(&to_json(&Outcome {
            file,
            policy,
            timeline: &timeline,
            findings: &report,
        })?)?;
    } else {
        print(&simulate::table(&timeline))?;
        if timeline.failed > 0 {
            eprint!("\n{report}");
        }
    }
    Ok(ExitCode::from(u8::from(timeline.failed > 0)))
}

/// The scenario, its text and its policy; or everything that is wrong with it or with that.
fn read(file: &Path) -> Result<(String, Loaded, Scenario), Report> {
    let text = config::read_text(file)?;
    let document = Document::parse(&text);
    let Some(policy) = scenario::policy_of(&document).map(|found| found.value.to_owned()) else {
        // Whose names it uses is not known: what can be said without them.
        scenario::read(&document, &policy::Model::default());
        return Err(document.finish(&file.display().to_string()));
    };
    let loaded = config::load(&beside(file, &policy))?;
    let scenario = scenario::read(&document, &loaded.model);
    let report = document.finish(&file.display().to_string());
    if report.errors() > 0 {
        return Err(report);
    }
    Ok((text, loaded, scenario))
}

fn beside(file: &Path, policy: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(policy)
}
