//! The command line of `audiod`.

mod arguments;
mod bus_policy;
mod check;
mod import;
mod init;
mod prove;
mod run;
mod simulate;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use arguments::{Cli, Command, Import};

use crate::config;
use crate::doctor;
use crate::failure::Failure;
use crate::import::Format;

pub use init::{Found, Seen, write_file};

/// Runs `audiod` with this process's arguments.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run { file, ready_fd } => run::run(&file, ready_fd),
        Command::Check {
            file,
            matrix: true,
            json,
            ..
        } => check::matrix(&file, json),
        Command::Check {
            file,
            prove: true,
            states,
            seconds,
            domains,
            json,
            ..
        } => prove::run(&file, domains.as_deref(), (states, seconds), json),
        Command::Check { file, json, .. } => check::run(&file, json),
        Command::Schema => to_json(&config::schema::schema().0)
            .and_then(|text| print(&text))
            .map(|()| ExitCode::SUCCESS),
        Command::BusPolicy { file } => bus_policy::run(&file),
        Command::Simulate { scenario, json, svg } => simulate::run(&scenario, json, svg.as_deref()),
        Command::Init { guests, card, output } => init::run(&guests, card.as_deref(), output.as_deref()),
        Command::Import { of } => {
            let (format, fades, arguments) = match of {
                Import::AudioManager { arguments, domains } => (Format::AudioManager(domains), None, arguments),
                Import::Aaos { arguments, fades } => (Format::Aaos(None), fades, arguments),
            };
            import::run(format, fades.as_deref(), &arguments)
        }
        Command::Doctor { codec, json } => doctor(codec, json),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("audiod: {failure}");
        failure.exit_code()
    })
}

fn doctor(codec: bool, json: bool) -> Result<ExitCode, Failure> {
    let report = doctor::Report::new(codec);
    print(&if json { to_json(&report)? } else { report.text() })?;
    Ok(ExitCode::from(u8::from(report.is_bad())))
}

/// Says what is wrong with the arguments and ends the process with 2.
fn wrong_usage(cause: &str) -> ! {
    Cli::command().error(ErrorKind::ValueValidation, cause).exit()
}

fn to_json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::when("writing JSON")(error.into()))
}

/// Writes a file that isn't there yet.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::InTheWay(format!(
            "{} exists and stays as it is; choose another name",
            path.display()
        )),
        _ => Failure::when(path.display().to_string())(error),
    })?;
    file.write_all(text.as_bytes())
        .map_err(Failure::when(path.display().to_string()))
}

/// To standard output; whoever closed it early has read enough.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::when("standard output")(error)),
        _ => Ok(()),
    }
}
