//! What `audioctl` is told on its command line. Nothing but `clap`: `cargo xtask man` reads this file too.

use clap::{Parser, Subcommand};

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
pub(crate) struct Cli {
    /// Bus of the daemon: session, system, or a D-Bus address (unix:path=...) [default: session]
    #[arg(long, global = true, value_name = "BUS")]
    pub(crate) bus: Option<String>,
    /// Answers and errors as JSON, one line each
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
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
    /// Show the last decisions: what was asked or happened, what it changed, and the period it took effect with
    History {
        /// So many
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        last: u32,
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
