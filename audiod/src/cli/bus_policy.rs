//! `audiod bus-policy`.

use std::path::Path;
use std::process::ExitCode;

use dbus_api::access::bus_policy;

use super::{check, print};
use crate::config::{self, Loaded};
use crate::failure::Failure;

/// User the daemon runs as, where the file names none.
const USER: &str = "root";

/// The policy of a file; of one with mistakes, those.
pub(super) fn run(file: &Path) -> Result<ExitCode, Failure> {
    let Ok(loaded) = config::load(file) else {
        return check::run(file, false);
    };
    let Some(text) = text(&loaded) else {
        return Err(Failure::Config(format!(
            "{}: there is no [access] that a policy could be made of; add one, as\n[access]\nobserve = \"*\"\ncontrol = \
             \"group:audio\"\nadmin = \"user:root\"",
            file.display()
        )));
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(loaded: &Loaded) -> Option<String> {
    let roles = loaded.system.access.as_ref()?;
    let domains = loaded.model.routing.known.domains.values();
    let names: Vec<String> = domains.filter_map(|it| it.bus_name.clone()).collect();
    let user = loaded.system.user.as_deref().unwrap_or(USER);
    Some(bus_policy(user, &names, roles))
}
