//! `cargo xtask hostile`: guests that break every rule, against any vhost-user sound socket or a peer.

use std::path::{Path, PathBuf};

use anyhow::bail;
use system_tests::hostile::{Case, Outcome, cases, run_case};
use system_tests::peer::{Card, Vds, install_vds};

use crate::conformance::Peer;
use crate::image::directory;

/// Options of `cargo xtask hostile`. Exit code 0: every case was answered or contained; 1: otherwise; 2: usage.
#[derive(clap::Args)]
pub struct Options {
    /// vhost-user socket of the device
    #[arg(required_unless_present_any = ["peer", "list"], conflicts_with = "peer")]
    socket: Option<PathBuf>,
    /// Build and start this peer; it is started afresh for each case
    #[arg(long, value_enum)]
    peer: Option<Peer>,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    case: String,
    /// Only print the names of the cases
    #[arg(long)]
    list: bool,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
    /// Negotiate EVENT_IDX
    #[arg(long)]
    event_idx: bool,
}

#[derive(serde::Serialize)]
struct Line {
    case: &'static str,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Default)]
struct Tally {
    held: usize,
    deaf: usize,
    lost: usize,
    vacuous: usize,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Answered | Outcome::Contained => self.held += 1,
            Outcome::Vacuous(_) => self.vacuous += 1,
            Outcome::Deaf => self.deaf += 1,
            Outcome::Lost(_) => self.lost += 1,
        }
    }
}

/// Runs the cases.
///
/// # Errors
/// A case did not hold.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let chosen: Vec<Case> = cases().filter(|case| case.name.contains(&options.case)).collect();
    if options.list {
        for case in &chosen {
            println!("{}", case.name);
        }
        return Ok(());
    }
    let tally = match options.peer {
        Some(Peer::Vds) => against_vds(options, &chosen)?,
        None => {
            let socket = options.socket.as_deref().unwrap_or(Path::new(""));
            let mut tally = Tally::default();
            for case in &chosen {
                tally.add(&one(options, socket, case));
            }
            tally
        }
    };
    let Tally {
        held,
        deaf,
        lost,
        vacuous,
    } = tally;
    if !options.json {
        println!("{held} answered or contained, {deaf} deaf afterwards, {lost} lost, {vacuous} vacuous");
    }
    if deaf + lost > 0 {
        bail!("{} of {} cases did not hold", deaf + lost, chosen.len());
    }
    Ok(())
}

fn one(options: &Options, socket: &Path, case: &Case) -> Outcome {
    let outcome = run_case(socket, case, options.event_idx);
    if options.json {
        let line = Line {
            case: case.name,
            outcome: outcome.clone(),
        };
        println!("{}", serde_json::to_string(&line).unwrap_or_default());
    } else {
        println!("{:<60} {outcome:?}", case.name);
    }
    outcome
}

fn against_vds(options: &Options, chosen: &[Case]) -> anyhow::Result<Tally> {
    let peers = directory().join("peers");
    let (program, card) = (install_vds(&peers)?, Card::build(&peers)?);
    let scratch = peers.join(format!("hostile-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let config = scratch.join("asound.conf");
    card.configure(&config, None)?;
    let mut tally = Tally::default();
    for case in chosen {
        let vds = Vds::start(&program, &config, &scratch.join("vds.sock"))?;
        tally.add(&one(options, &vds.socket, case));
    }
    let _best_effort = std::fs::remove_dir_all(&scratch);
    Ok(tally)
}
