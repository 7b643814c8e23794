//! `audioctl`: looks at a running audio daemon and tells it what to do, over D-Bus.

mod commands;
mod monitor;
mod print;
mod table;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dbus_api::client::{self, Client};
use dbus_api::server::BusAddress;

const AFTER: &str = "\
SOURCE is a name as `audioctl list` shows it (ivi.media) or an ID; so is SINK (cabin), a zone.

Environment: CARILLON_BUS is the bus where --bus isn't given; NO_COLOR switches colours off.

Exit codes: 0 ok, 1 refused (AudioManager's code and why are told), 2 wrong usage, 3 mistakes in the file, or it needs \
a restart (reload), 4 not permitted, 5 no bus, no daemon on it, or no answer.";

const RELOAD: &str = "\
Classes, the matrix, ducks, curves, limits, ramps, the zones and classes of streams, and [restore] are taken up at once, \
at one period's edge; what the file says the same of sounds on untouched. Volumes and mutes stay as they are now. What the \
new matrix no longer allows fades out and is disconnected.

A file with mistakes, or one that changes guests, devices, codecs, the channels of zones, chimes or paths, changes nothing: \
its report is printed and the command ends with 3. `audiod check FILE` finds the mistakes beforehand. SIGHUP to audiod does \
the same, with the report in its log.";

/// See who is heard, and say who shall be: the command line of Carillon's audio daemon.
#[derive(Parser)]
#[command(name = "audioctl", version, after_help = AFTER, max_term_width = 100)]
struct Cli {
    /// Bus of the daemon: session, system, or a D-Bus address (unix:path=...) [default: session]
    #[arg(long, global = true, value_name = "BUS")]
    bus: Option<String>,
    /// Answers and errors as JSON, one line each
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show each stream: guest, role, state, route, zone, volume, what is heard and why, level; zones and codecs below
    Status {
        /// Again and again, until Ctrl-C
        #[arg(long)]
        watch: bool,
        /// With --watch: milliseconds between two looks
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..=3_600_000))]
        interval: u64,
        /// With --watch: end after this many looks
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Say why a source or a sink is silent: the first link between guest and loudspeaker that lets nothing through
    Why {
        /// Stream (ivi.media), chime (chime.belt) or zone (cabin)
        name: String,
    },
    /// List sources, sinks and main connections with their IDs
    List,
    /// Connect a source to a sink
    Connect {
        /// Source
        source: String,
        /// Sink
        sink: String,
    },
    /// End a main connection
    Disconnect {
        /// Connection by ID, or its source
        connection: String,
        /// Its sink, where the source has several
        sink: Option<String>,
    },
    /// Show or set the volume of a sink (mainVolume) or the wanted gain of a source (dB)
    #[command(
        after_help = "Examples: volume cabin; volume cabin 40; volume cabin +5; volume cabin -5; volume cabin =-5 \
                            (a volume below 0); volume ivi.media -6dB"
    )]
    Volume {
        /// Sink or source
        name: String,
        /// VALUE, +STEP, -STEP or =VALUE for a sink; VALUEdB, at most 0dB, for a source
        #[arg(allow_hyphen_values = true)]
        value: Option<String>,
    },
    /// Mute a sink or a source
    Mute {
        /// Sink or source
        name: String,
    },
    /// Unmute a sink or a source
    Unmute {
        /// Sink or source
        name: String,
    },
    /// Sound a chime of the bank
    Chime {
        /// Chime
        name: String,
        /// Return once it was played to its end
        #[arg(long)]
        wait: bool,
    },
    /// Have the daemon read its file again and take up the new policy, while it plays
    #[command(after_help = RELOAD)]
    Reload,
    /// Print every signal and event as a JSON line, until Ctrl-C
    Monitor {
        /// End after this many lines (the first, which says that it listens, isn't counted)
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
}

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
