//! The commands that are not for people: what the launcher, the supervisor and its children exec each other as. They are
//! recognised before any command line is parsed, so that those processes carry nothing of it.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::supervisor::{self, End, entry};
use crate::{card_process, control, engine_process};

/// Runs the process that these arguments name, if they name one of ours.
pub fn dispatch() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let outcome = match arguments.next()?.as_str() {
        "supervise" => supervise(arguments),
        "child" => {
            log();
            child(&arguments.collect::<Vec<_>>())
        }
        _ => return None,
    };
    Some(outcome.unwrap_or_else(|failure| {
        eprintln!("audiod: {failure}");
        failure.exit_code()
    }))
}

fn supervise(arguments: impl Iterator<Item = String>) -> Result<ExitCode, Failure> {
    let inheritance = entry::inherit(arguments).map_err(Failure::when("supervisor: taking over"))?;
    match supervisor::run(inheritance).map_err(Failure::when("supervisor"))? {
        End::Asked => Ok(ExitCode::SUCCESS),
        End::NeverUp(code) => Ok(ExitCode::from(code)),
    }
}

fn child(arguments: &[String]) -> Result<ExitCode, Failure> {
    abort_on_panic();
    let wrong = || Failure::InTheWay("this command is for the supervisor only".to_owned());
    match arguments {
        [role] if role == "engine" => engine_process::run()?,
        [role] if role == "control" => control::run()?,
        [role, codec] if role == "card" => card_process::run(codec.parse().map_err(|_| wrong())?)?,
        _ => return Err(wrong()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A process with a thread less must not look like one that works: the whole process ends and is replaced.
fn abort_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        std::process::abort();
    }));
}

/// To standard error; `AUDIOD_LOG` (`info` by default) says how much.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("AUDIOD_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
}
