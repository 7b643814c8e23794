//! `hypervisor`: starts, checks, draws and watches the partitions of one manifest.

use std::process::ExitCode;

fn main() -> ExitCode {
    hypervisor::cli::main()
}
