//! `run`, `status`, `stop`, `restart`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Failure, One, Run, Which, load, print, verdict};
use crate::check::{self, System};
use crate::manifest::Of;
use crate::parent::folder::Folder;
use crate::parent::start::StartError;
use crate::parent::{self, Order, Outcome, Parent, RunError, State};

fn say(text: &str) {
    eprintln!("hypervisor: {text}");
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let code = match &error {
            RunError::Folder(_, source) | RunError::Start(StartError { source, .. }) => Of::error(source).code(),
            RunError::Watched(_) => Of::Host.code(),
            RunError::Unknown(_) => 2,
            RunError::System(_) => 1,
        };
        Self::new(code, error.to_string())
    }
}

pub(super) fn run(args: &Run) -> Result<(), Failure> {
    let (manifest, mut report) = load(&args.manifest)?;
    if !args.no_host_check && report.stops().is_none() {
        report.extend(check::host::look(&manifest, &System));
    }
    eprint!("{report}");
    verdict(&report)?;
    let folder = match &args.run_dir {
        Some(path) => Folder::at(path),
        None => Folder::of(&manifest.name.value),
    };
    let mut parent = Parent::new(manifest, &args.manifest, folder, say)?;
    // What is up is watched even if another can't be started.
    let started = parent.start_all();
    if let Err(error) = &started {
        say(&error.to_string());
    }
    let well = parent.watch()?;
    started?;
    if well {
        Ok(())
    } else {
        Err(Failure::new(1, "a partition was left down"))
    }
}

fn folder(which: &Which) -> Result<Folder, Failure> {
    if let Some(path) = &which.run_dir {
        return Ok(Folder::at(path));
    }
    let path = which.manifest.as_deref().unwrap_or(Path::new(""));
    let (manifest, report) = load(path)?;
    if report.stops().is_some() {
        eprint!("{report}");
    }
    verdict(&report)?;
    Ok(Folder::of(&manifest.name.value))
}

fn ask(folder: &Folder, order: &Order) -> Result<Option<Outcome>, Failure> {
    let asked = parent::ask(folder, order);
    match asked.map_err(|error| Failure::file(&folder.parent(), &error))? {
        Some(Outcome::Refused(cause)) => Err(Failure::new(1, cause)),
        outcome => Ok(outcome),
    }
}

pub(super) fn status(args: &Which) -> Result<(), Failure> {
    let folder = folder(args)?;
    let (watched, states) = match ask(&folder, &Order::Status)? {
        Some(Outcome::States(states)) => (true, states),
        _ => (false, parent::states(&folder)),
    };
    if args.json {
        return print(&format!("{:#}\n", json!({ "watched": watched, "partitions": states })));
    }
    if !watched && states.is_empty() {
        return print(&format!("nothing runs in {}\n", folder.path().display()));
    }
    let mut text: String = states.iter().map(line).collect();
    if !watched {
        text.push_str("nobody watches them: `hypervisor run MANIFEST` takes them over\n");
    }
    print(&text)
}

fn line(state: &State) -> String {
    let seconds = |ms| format!("  up {}.{} s", ms / 1000, ms % 1000 / 100);
    let restarts = state.restarts.filter(|times| *times > 0);
    let wanting = Some(state.wanting.join(", ")).filter(|names| !names.is_empty());
    let parts = [
        state.pid.map(|pid| format!("  process {pid}")),
        state.age_ms.map(seconds),
        restarts.map(|times| format!("  restarts {times}")),
        wanting.map(|names| format!("  without audio: {names}")),
        state.last.as_ref().map(|last| format!("  last: {last}")),
    ];
    let parts: String = parts.into_iter().flatten().collect();
    format!("{:<24} {:<9}{parts}\n", state.partition, state.state)
}

pub(super) fn stop(args: &One) -> Result<(), Failure> {
    let folder = folder(&args.of)?;
    if ask(&folder, &Order::Stop(args.partition.clone()))?.is_none() {
        parent::stop(&folder, args.partition.as_deref());
    }
    done(&args.of)
}

fn done(which: &Which) -> Result<(), Failure> {
    if which.json {
        print("{ \"done\": true }\n")
    } else {
        Ok(())
    }
}

pub(super) fn restart(args: &One) -> Result<(), Failure> {
    let Some(name) = &args.partition else {
        return Err(Failure::new(2, "restart: name the partition"));
    };
    let folder = folder(&args.of)?;
    if ask(&folder, &Order::Restart(name.clone()))?.is_none() {
        // Nobody watches: taken over for this one step, and left again.
        let place = folder.file("manifest");
        let text = std::fs::read_to_string(&place).map_err(|error| Failure::file(&place, &error))?;
        let path = PathBuf::from(text);
        let (manifest, report) = load(&path)?;
        verdict(&report)?;
        let mut parent = Parent::new(manifest, &path, folder, say)?;
        parent.restart(name)?;
        parent.until_running(name)?;
    }
    done(&args.of)
}
