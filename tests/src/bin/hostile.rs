//! `hostile SOCKET [--json] [--list] [--case TEXT] [--event-idx]`: every hostile case against any vhost-user sound socket.
//! `--respawn CMD` runs a shell command before each case, for devices that one case ends. Exit 1 if any case didn't hold.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use system_tests::hostile::{self, Outcome};

#[derive(Default)]
struct Args {
    socket: Option<PathBuf>,
    json: bool,
    list: bool,
    only: Option<String>,
    event_idx: bool,
    respawn: Option<String>,
}

fn parse() -> Option<Args> {
    let mut args = std::env::args().skip(1);
    let mut out = Args::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => out.json = true,
            "--list" => out.list = true,
            "--event-idx" => out.event_idx = true,
            "--case" => out.only = Some(args.next()?),
            "--respawn" => out.respawn = Some(args.next()?),
            flag if flag.starts_with('-') => return None,
            path => out.socket = Some(PathBuf::from(path)),
        }
    }
    (out.list || out.socket.is_some()).then_some(out)
}

#[derive(serde::Serialize)]
struct Line {
    case: &'static str,
    #[serde(flatten)]
    outcome: Outcome,
}

fn main() -> ExitCode {
    let Some(args) = parse() else {
        eprintln!("usage: hostile SOCKET [--json] [--list] [--case TEXT] [--event-idx] [--respawn CMD]");
        return ExitCode::from(2);
    };
    let chosen = hostile::cases().filter(|c| args.only.as_ref().is_none_or(|text| c.name.contains(text)));
    let (mut held, mut deaf, mut lost, mut vacuous) = (0, 0, 0, 0);
    for case in chosen {
        let Some(socket) = args.socket.as_ref().filter(|_| !args.list) else {
            println!("{}", case.name);
            continue;
        };
        if let Some(command) = &args.respawn {
            let _its_own_affair = Command::new("sh").arg("-c").arg(command).status();
        }
        let outcome = hostile::run_case(socket, &case, args.event_idx);
        match &outcome {
            Outcome::Deaf => deaf += 1,
            Outcome::Lost(_) => lost += 1,
            Outcome::Vacuous(_) => vacuous += 1,
            _ => held += 1,
        }
        if args.json {
            println!(
                "{}",
                serde_json::to_string(&Line {
                    case: case.name,
                    outcome
                })
                .unwrap_or_default()
            );
        } else {
            println!("{:<60} {outcome:?}", case.name);
        }
    }
    if !args.json && !args.list {
        println!("{held} held, {deaf} deaf, {lost} lost, {vacuous} vacuous");
    }
    if deaf + lost > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
