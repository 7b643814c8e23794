//! `cargo xtask man`: a manual page for each program and each of its subcommands, made of what `--help` says.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};

#[path = "../../dbus-api/src/bin/audioctl/arguments.rs"]
#[allow(dead_code, reason = "only what --help says is of use here")]
mod audioctl;
#[path = "../../audiod/src/cli/arguments.rs"]
#[allow(dead_code, reason = "only what --help says is of use here")]
mod audiod;
#[path = "../../dbus-api/src/bin/bus-port"]
#[allow(dead_code, reason = "only what --help says is of use here")]
mod bus_port {
    pub mod address;
    pub mod arguments;
}

#[derive(Args)]
pub(crate) struct Options {
    /// Where the pages go
    #[arg(long, value_name = "FOLDER", default_value = "target/man")]
    output: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = &options.output;
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for command in commands() {
        clap_mangen::generate_to(command, folder).with_context(|| folder.display().to_string())?;
    }
    println!("{}", folder.display());
    Ok(())
}

fn commands() -> [clap::Command; 4] {
    [
        audiod::Cli::command(),
        audioctl::Cli::command(),
        hypervisor::cli::command(),
        bus_port::arguments::Arguments::command(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn each_subcommand_has_a_page_with_its_options() {
        let folder = std::env::temp_dir().join(format!("carillon-man-{}", std::process::id()));

        run(&Options { output: folder.clone() }).unwrap();

        let mut pages = 0;
        let mut open: Vec<(String, clap::Command)> = commands()
            .map(|command| (command.get_name().to_owned(), command))
            .to_vec();
        while let Some((name, command)) = open.pop() {
            let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
            let plain = page.replace("\\-", "-");
            for option in command.get_opts().filter_map(clap::Arg::get_long) {
                assert!(plain.contains(&format!("--{option}")), "{name}: --{option}");
            }
            pages += 1;
            for sub in command
                .get_subcommands()
                .filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
            {
                open.push((format!("{name}-{}", sub.get_name()), sub.clone()));
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(pages >= 28, "{pages}");
    }
}
