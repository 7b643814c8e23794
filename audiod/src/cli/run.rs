//! `audiod run`.

use std::os::fd::RawFd;
use std::path::Path;
use std::process::ExitCode;

use crate::access;
use crate::config;
use crate::failure::Failure;
use crate::launch::{self, Options};
use crate::plan::Plan;

pub(super) fn run(file: &Path, ready_fd: Option<RawFd>) -> Result<ExitCode, Failure> {
    let loaded = config::load(file).map_err(|report| Failure::Config(report.to_string()))?;
    if loaded.warnings.warnings() > 0 {
        eprintln!("{}", loaded.warnings);
    }
    let access = loaded.system.access.as_ref().map(|roles| {
        let (access, unknown) = access::resolve(roles);
        unknown.iter().for_each(|what| eprintln!("audiod: {what}"));
        access
    });
    let plan = Plan {
        system: loaded.system,
        path: loaded.path,
        text: loaded.text,
        access,
        state: loaded.keep.state,
    };
    match launch::run(&plan, &Options { ready_fd })? {}
}
