//! Everything a developer types.

mod am_suite;
mod backports;
mod bench;
mod board;
mod conformance;
mod demo;
mod hostile;
mod image;
mod kvm;
mod man;
mod room;
mod rtsan;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything a developer types")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install the Debian packages that are missing
    Setup(setup::Options),
    /// The scene: music from one guest, ducked by another's prompt, a chime on top; recorded, drawn and checked
    Demo(demo::Options),
    /// Build the stock guest: Debian's kernel, busybox and ALSA's tools
    Image(image::Options),
    /// Boot a stock guest and run commands in it
    Qemu(image::QemuOptions),
    /// The emulated dev board, its console on this terminal
    Board(board::Options),
    /// Hold any vhost-user sound device against the virtio-sound checklist
    Conformance(conformance::Options),
    /// Break every rule on any vhost-user sound device, a connection a case
    Hostile(hostile::Options),
    /// Hold any AudioManager to what its clients and domains rely on
    AmSuite(am_suite::Options),
    /// What Carillon costs beside its peers
    Bench(bench::Options),
    /// The engine's tests under the real-time sanitizer
    Rtsan,
    /// Write a manual page for each program and subcommand
    Man(man::Options),
    /// Format, lints and all tests
    Test(test::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup(options) => setup::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Image(options) => setup::ensure().and_then(|()| image::run(&options)),
        Command::Qemu(options) => setup::ensure().and_then(|()| image::qemu(&options)),
        Command::Board(options) => setup::ensure().and_then(|()| board::run(&options)),
        Command::Conformance(options) => conformance::run(&options),
        Command::Hostile(options) => hostile::run(&options),
        Command::AmSuite(options) => am_suite::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Rtsan => rtsan::run(),
        Command::Man(options) => man::run(&options),
        Command::Test(options) => test::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
