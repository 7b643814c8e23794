//! `cargo xtask conformance`: the 33 rows of the virtio-sound checklist against any vhost-user socket, or against a peer.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use system_tests::conformance::report::{self, Summary};
use system_tests::conformance::{self, Finding, ROWS, Target, Verdict, run_row};
use system_tests::peer::{Card, VDS_FAILS, Vds, install_vds};

use crate::image::directory;

/// Options of `cargo xtask conformance`. Exit code 0: no row fails (with --peer: those known to fail do), 1: otherwise, 2: usage.
#[derive(clap::Args)]
pub struct Options {
    /// vhost-user socket of the device
    #[arg(required_unless_present = "peer", conflicts_with = "peer")]
    socket: Option<PathBuf>,
    /// Build and start this peer, and hold it to the rows it is known to fail
    #[arg(long, value_enum)]
    peer: Option<Peer>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Only this row; may be given several times
    #[arg(long = "row", value_parser = clap::value_parser!(u32).range(1..=33))]
    rows: Vec<u32>,
    /// Shell command that changes a control element of the device from its host's side (row 17)
    #[arg(long)]
    provoke: Option<String>,
    /// Negotiate EVENT_IDX in every row, not in row 33 only
    #[arg(long)]
    event_idx: bool,
}

/// A device that is not ours.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Peer {
    /// vhost-device-sound 0.3.0 on the paced card
    Vds,
}

/// Runs the rows.
///
/// # Errors
/// A row failed; with a peer: one did not that is known to.
pub fn run(options: &Options) -> anyhow::Result<()> {
    match options.peer {
        Some(Peer::Vds) => run_vds(options),
        None => {
            let target = target(options, options.socket.as_deref().unwrap_or(Path::new("")));
            let reached = target.connect().with_context(|| {
                let socket = target.socket.display();
                format!("{socket}: no vhost-user sound device answers there; is the back end running, and is nobody else connected?")
            });
            drop(reached?);
            let findings = conformance::run(&target, &options.rows, |finding| show(options, finding));
            let summary = finish(options, &findings);
            match summary.failed {
                0 => Ok(()),
                failed => bail!("{failed} rows failed"),
            }
        }
    }
}

fn target(options: &Options, socket: &Path) -> Target {
    Target {
        socket: socket.to_owned(),
        provoke: options.provoke.clone(),
        event_idx: options.event_idx,
        memory: None,
    }
}

fn show(options: &Options, finding: &Finding) {
    if !options.json {
        println!("{}", report::line(finding));
    }
}

fn finish(options: &Options, findings: &[Finding]) -> Summary {
    let summary = Summary::of(findings);
    if options.json {
        println!("{}", report::json(findings));
    } else {
        println!("{summary}");
    }
    summary
}

fn run_vds(options: &Options) -> anyhow::Result<()> {
    let peers = directory().join("peers");
    let program = install_vds(&peers)?;
    let scratch = peers.join(format!("run-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let findings = rows_of_vds(options, &program, &Card::build(&peers)?, &scratch);
    let _best_effort = std::fs::remove_dir_all(&scratch);
    let findings = findings?;
    finish(options, &findings);
    let unexpected: Vec<u32> = findings
        .iter()
        .filter(|finding| VDS_FAILS.contains(&finding.row) && !matches!(finding.verdict, Verdict::Fail(_)))
        .map(|finding| finding.row)
        .collect();
    if !unexpected.is_empty() {
        bail!("vhost-device-sound was measured to fail rows {VDS_FAILS:?}, but here did not fail {unexpected:?}");
    }
    Ok(())
}

fn rows_of_vds(options: &Options, program: &Path, card: &Card, scratch: &Path) -> anyhow::Result<Vec<Finding>> {
    let config = scratch.join("asound.conf");
    card.configure(&config, None)?;
    let mut vds = Vds::start(program, &config, &scratch.join("vds.sock"))?;
    let target = target(options, &vds.socket);
    let mut findings = Vec::new();
    for row in ROWS
        .iter()
        .filter(|row| options.rows.is_empty() || options.rows.contains(&row.number))
    {
        vds.revive()?;
        let finding = run_row(&target, row);
        show(options, &finding);
        findings.push(finding);
    }
    Ok(findings)
}
