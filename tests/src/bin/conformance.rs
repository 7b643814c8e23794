//! `conformance SOCKET [--json] [--row N]... [--provoke CMD] [--event-idx]`: the virtio-sound checklist against any vhost-user socket.
//! Exit 0 when no row fails, 1 when one does, 2 on wrong use.

use std::path::PathBuf;
use std::process::ExitCode;

use system_tests::conformance::{self, Finding, Target, Verdict};

struct Args {
    target: Target,
    json: bool,
    rows: Vec<u32>,
}

fn parse() -> Option<Args> {
    let mut args = std::env::args().skip(1);
    let (mut socket, mut json, mut rows, mut provoke, mut event_idx) = (None, false, Vec::new(), None, false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => json = true,
            "--event-idx" => event_idx = true,
            "--row" => rows.push(args.next()?.parse().ok().filter(|n| (1..=33).contains(n))?),
            "--provoke" => provoke = Some(args.next()?),
            flag if flag.starts_with('-') => return None,
            path if socket.is_none() => socket = Some(PathBuf::from(path)),
            _ => return None,
        }
    }
    Some(Args {
        target: Target {
            socket: socket?,
            provoke,
            event_idx,
        },
        json,
        rows,
    })
}

fn print(finding: &Finding) {
    let (word, reason) = match &finding.verdict {
        Verdict::Pass => ("pass", ""),
        Verdict::Fail(reason) => ("FAIL", reason.as_str()),
        Verdict::Vacuous(reason) => ("vacuous", reason.as_str()),
    };
    println!(
        "{:>2} {word:<8} {}{}{reason}",
        finding.row,
        finding.title,
        if reason.is_empty() { "" } else { ": " }
    );
}

fn main() -> ExitCode {
    let Some(args) = parse() else {
        eprintln!("usage: conformance SOCKET [--json] [--row N]... [--provoke CMD] [--event-idx]");
        return ExitCode::from(2);
    };
    let findings = conformance::run(&args.target, &args.rows, |f| {
        if !args.json {
            print(f);
        }
    });
    let count = |f: fn(&Verdict) -> bool| findings.iter().filter(|x| f(&x.verdict)).count();
    let failed = count(|v| matches!(v, Verdict::Fail(_)));
    let vacuous = count(|v| matches!(v, Verdict::Vacuous(_)));
    if args.json {
        match serde_json::to_string_pretty(&findings) {
            Ok(text) => println!("{text}"),
            Err(e) => eprintln!("{e}"),
        }
    } else {
        println!(
            "{} passed, {failed} failed, {vacuous} vacuous",
            findings.len() - failed - vacuous
        );
    }
    if failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
