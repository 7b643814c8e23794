//! `audiod check`.

use std::path::Path;
use std::process::ExitCode;

use policy::effective::{self, Effective};
use policy::report::Report;
use serde::Serialize;

use super::{print, to_json};
use crate::config::{self, offer};
use crate::failure::Failure;

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome<'a> {
    file: String,
    errors: usize,
    warnings: usize,
    findings: &'a Report,
    streams: Vec<offer::Offer>,
}

pub(super) fn run(file: &Path, json: bool) -> Result<ExitCode, Failure> {
    let (report, streams) = match config::load(file) {
        Ok(loaded) => {
            let streams = offer::offers(&loaded.system);
            (loaded.warnings, streams)
        }
        Err(report) => (report, Vec::new()),
    };
    let (errors, warnings) = (report.errors(), report.warnings());
    if json {
        print(&to_json(&Outcome {
            file: file.display().to_string(),
            errors,
            warnings,
            findings: &report,
            streams,
        })?)?;
    } else {
        eprint!("{report}");
        if errors + warnings > 0 {
            eprintln!();
        }
        print(&summary(file, errors, warnings, &streams))?;
    }
    Ok(ExitCode::from(if errors > 0 { 3 } else { 0 }))
}

/// What `--matrix --json` prints.
#[derive(Serialize)]
struct Matrix {
    file: String,
    matrix: Vec<Effective>,
}

/// `--matrix`; of a file with mistakes, those.
pub(super) fn matrix(file: &Path, json: bool) -> Result<ExitCode, Failure> {
    let Ok(loaded) = config::load(file) else {
        return run(file, json);
    };
    let matrix = effective::matrix(&loaded.model);
    if json {
        let file = file.display().to_string();
        print(&to_json(&Matrix { file, matrix })?)?;
    } else {
        print(&effective::table(&matrix))?;
        if let Some(rules) = effective::rules(&loaded.model) {
            print(&format!("\n{rules}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(file: &Path, errors: usize, warnings: usize, streams: &[offer::Offer]) -> String {
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let file = file.display();
    let warned = match warnings {
        0 => String::new(),
        _ => format!(", {}", many(warnings, "warning")),
    };
    if errors > 0 {
        return format!("{file}: {}{warned}\n", many(errors, "mistake"));
    }
    let table = offer::table(streams);
    format!("{file}: no mistakes{warned}\n\nWhat each stream allows a stock Linux driver:\n{table}")
}
