//! `audiod import`.

use std::path::Path;
use std::process::ExitCode;

use policy::report::Report;
use serde::Serialize;

use super::{print, to_json, write_new};
use crate::config;
use crate::failure::Failure;
use crate::import::listing::Listing;
use crate::import::{self, Failed, Format, Imported};

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome<'a> {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(flatten)]
    listing: &'a Listing,
}

pub(super) fn run(format: &Format, file: &Path, output: Option<&Path>, json: bool) -> Result<ExitCode, Failure> {
    let read = config::read_text(file).map_err(Failed::from);
    let imported = match read.and_then(|text| import::import(format, &text, file)) {
        Ok(imported) => imported,
        Err(Failed::Input(report)) => return refused(file, &report, json),
        Err(Failed::Own(cause)) => {
            let cause = std::io::Error::other(cause);
            return Err(Failure::when(format!("importing {}", file.display()))(cause));
        }
    };
    if let Some(output) = output {
        write_new(output, &imported.policy)?;
    }
    shown(file, output, json, &imported)?;
    Ok(ExitCode::SUCCESS)
}

fn shown(file: &Path, output: Option<&Path>, json: bool, imported: &Imported) -> Result<(), Failure> {
    let name = file.display().to_string();
    if json {
        return print(&to_json(&Outcome {
            file: name,
            policy: output.is_none().then_some(&imported.policy),
            output: output.map(|path| path.display().to_string()),
            listing: &imported.listing,
        })?);
    }
    let list = imported.listing.text(&name);
    if output.is_some() {
        return print(&list);
    }
    eprint!("{list}");
    print(&imported.policy)
}

fn refused(file: &Path, report: &Report, json: bool) -> Result<ExitCode, Failure> {
    if json {
        print(&to_json(
            &serde_json::json!({"file": file.display().to_string(), "findings": report}),
        )?)?;
    } else {
        eprint!("{report}");
    }
    Ok(ExitCode::from(3))
}
