//! `audioctl`: looks at a running audio daemon and tells it what to do, over D-Bus.

mod arguments;
mod commands;
mod history;
mod monitor;
mod print;
mod table;

use std::io::Write;
use std::process::ExitCode;

use arguments::{Cli, Command};
use clap::Parser;
use dbus_api::client::{self, Client};
use dbus_api::server::BusAddress;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// From the daemon, the bus, or a name that isn't one.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// Arguments that can't be.
    #[error("{0}")]
    Usage(String),
    /// The daemon's report on its file.
    #[error("{why}")]
    File { code: i16, why: String },
    /// Nothing came within a time in which it must.
    #[error("{0}")]
    Late(String),
    /// Standard output is gone.
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::File { .. } => 3,
            Self::Client(client::Error::NotPermitted(_)) => 4,
            Self::Client(client::Error::NoBus { .. } | client::Error::NoDaemon | client::Error::NoAnswer(_)) => 5,
            Self::Client(_) | Self::Late(_) | Self::Output(_) => 1,
        }
    }

    fn json(&self) -> String {
        let mut error = serde_json::json!({ "error": self.to_string(), "exit": self.code() });
        if let Self::Client(client::Error::Refused { code, why }) | Self::File { code, why } = self {
            error["code"] = (*code).into();
            error["name"] = client::error_name(*code).into();
            error["why"] = why.as_str().into();
        }
        error.to_string()
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let bus = cli
        .bus
        .clone()
        .or_else(|| std::env::var("CARILLON_BUS").ok().filter(|bus| !bus.is_empty()));
    let address = BusAddress::from(bus.as_deref().unwrap_or("session"));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "audioctl: {error}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(run(&cli, &address)) {
        Ok(()) => ExitCode::SUCCESS,
        // `audioctl ... | head` is no failure.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            let text = if cli.json {
                failure.json()
            } else {
                match &failure {
                    Failure::File { why, .. } => print::lines(why),
                    _ => format!("audioctl: {}", print::plain(&failure.to_string())),
                }
            };
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(failure.code())
        }
    }
}

async fn run(cli: &Cli, address: &BusAddress) -> Result<(), Failure> {
    if let Command::Volume { value: Some(value), .. } = &cli.command {
        commands::Change::parse(value)?;
    }
    let client = Client::connect(address).await?;
    let out = print::Printer::new(cli.json);
    match &cli.command {
        Command::Status { watch: false, .. } => commands::status(&client, &out).await,
        Command::Status { interval, count, .. } => commands::watch(client, address, &out, *interval, *count).await,
        Command::Why { name } => commands::why(&client, &out, name).await,
        Command::History { last } => history::run(&client, &out, *last).await,
        Command::List => commands::list(&client, &out).await,
        Command::Connect { source, sink } => commands::connect(&client, &out, source, sink).await,
        Command::Disconnect { connection, sink } => {
            commands::disconnect(&client, &out, connection, sink.as_deref()).await
        }
        Command::Volume { name, value } => commands::volume(&client, &out, name, value.as_deref()).await,
        Command::Mute { name } => commands::mute(&client, &out, name, true).await,
        Command::Unmute { name } => commands::mute(&client, &out, name, false).await,
        Command::Chime { name, wait } => commands::chime(&client, &out, name, *wait).await,
        Command::Reload => commands::reload(&client, &out).await,
        Command::Monitor { count } => monitor::run(&client, &out, *count).await,
    }
}
