//! `audiod import`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::report::Report;
use serde::Serialize;

use super::arguments::ImportArguments;
use super::{print, to_json, write_new};
use crate::config;
use crate::failure::Failure;
use crate::import::listing::Listing;
use crate::import::{self, Beside, Failed, Format, Imported};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    fades: Option<Second<'a>>,
}

/// The second file's list.
#[derive(Serialize)]
struct Second<'a> {
    file: String,
    #[serde(flatten)]
    listing: &'a Listing,
}

/// One file's mistakes.
#[derive(Serialize)]
struct Mistakes<'a> {
    file: &'a str,
    findings: &'a Report,
    /// Those of the other file, if both have some.
    #[serde(skip_serializing_if = "Option::is_none")]
    fades: Option<Box<Mistakes<'a>>>,
}

pub(super) fn run(format: Format, fades: Option<&Path>, arguments: &ImportArguments) -> Result<ExitCode, Failure> {
    let file = arguments.file.as_path();
    let imported = match read(format, file, fades) {
        Ok(imported) => imported,
        Err(Failed::Input(reports)) => return refused(&reports, arguments.json),
        Err(Failed::Own(cause)) => {
            let cause = std::io::Error::other(cause);
            return Err(Failure::when(format!("importing {}", file.display()))(cause));
        }
    };
    if let Some(output) = &arguments.output {
        write_new(output, &imported.policy)?;
    }
    shown(arguments, fades, &imported)?;
    Ok(ExitCode::SUCCESS)
}

fn read(format: Format, file: &Path, fades: Option<&Path>) -> Result<Imported, Failed> {
    let text = config::read_text(file);
    let beside = fades.map(|path| {
        config::read_text(path).map(|text| Beside {
            text,
            path: path.to_owned(),
        })
    });
    match (text, beside.transpose()) {
        (Ok(text), Ok(None)) => import::import(&format, &text, file),
        (Ok(text), Ok(beside)) => import::import(&Format::Aaos(beside), &text, file),
        (text, beside) => Err(Failed::Input(text.err().into_iter().chain(beside.err()).collect())),
    }
}

fn shown(arguments: &ImportArguments, fades: Option<&Path>, imported: &Imported) -> Result<(), Failure> {
    let name = arguments.file.display().to_string();
    let fades = fades
        .map(|path| path.display().to_string())
        .zip(imported.beside.as_ref());
    let output = arguments.output.as_ref();
    if arguments.json {
        return print(&to_json(&Outcome {
            file: name,
            policy: output.is_none().then_some(&imported.policy),
            output: output.map(|path: &PathBuf| path.display().to_string()),
            listing: &imported.listing,
            fades: fades.map(|(file, listing)| Second { file, listing }),
        })?);
    }
    let mut list = imported.listing.text(&name);
    if let Some((file, listing)) = fades {
        list += &listing.text(&file);
    }
    if output.is_some() {
        return print(&list);
    }
    eprint!("{list}");
    print(&imported.policy)
}

fn refused(reports: &[Report], json: bool) -> Result<ExitCode, Failure> {
    if json {
        let mistakes = reports.iter().rev().fold(None, |fades, report| {
            Some(Box::new(Mistakes {
                file: report.file(),
                findings: report,
                fades,
            }))
        });
        print(&to_json(&mistakes)?)?;
    } else {
        reports.iter().for_each(|report| eprint!("{report}"));
    }
    Ok(ExitCode::from(3))
}
