//! What the command line says.

use std::path::PathBuf;

use clap::Parser;

use super::address::Address;

/// Carries the connections of one guest to the audio service VM's bus.
#[derive(Debug, Parser)]
#[command(name = "bus-port", version)]
pub struct Arguments {
    /// Where connections come in: vsock:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Address,
    /// Who may connect: a CID; by a UNIX socket a user's number
    #[arg(long, value_name = "ID")]
    pub from: u32,
    /// Where they go on, as they are: vsock:CID:PORT or unix:PATH
    #[arg(
        long,
        value_name = "ADDRESS",
        required_unless_present = "bus",
        conflicts_with = "bus"
    )]
    pub to: Option<Address>,
    /// The bus's socket: each connection is signed in there as this process's own user
    #[arg(long, value_name = "PATH")]
    pub bus: Option<PathBuf>,
    /// Become this user first, with its groups
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// End with the parent, which is this process
    #[arg(long, value_name = "PID")]
    pub parent: Option<i32>,
    /// Work in a child, and start it again should it end
    #[arg(long)]
    pub keep: bool,
}
