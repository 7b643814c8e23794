//! `fe-play SOCKET [--stream N] [--format s16] [--rate 48000] [--channels 2] [--period 480] [--periods 4] [--seconds 1]
//! [--seed 1] [--headroom 1] [--poll] [--no-event-idx] [--sent FILE] [--compare FILE]`: plays a coded sequence in the stock driver's order
//! and prints its statistics as JSON. `--sent` keeps what was played; `--compare` holds a capture (WAV or raw, same
//! format) against it and exits 1 unless it is exact. `--channels` and the rest must be offered by the stream.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use system_tests::coded;
use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{FORMATS, Params, RATES, TXQ};
use system_tests::frontend::{Options, SoundFrontend};

const FLAGS: [&str; 11] = [
    "--stream",
    "--format",
    "--rate",
    "--channels",
    "--period",
    "--periods",
    "--seconds",
    "--seed",
    "--headroom",
    "--sent",
    "--compare",
];

struct Args {
    socket: String,
    values: HashMap<String, String>,
    poll: bool,
    event_idx: bool,
}

impl Args {
    fn parse() -> Result<Self> {
        let mut args = std::env::args().skip(1);
        let (mut socket, mut values, mut poll, mut event_idx) = (None, HashMap::new(), false, true);
        while let Some(arg) = args.next() {
            if arg == "--poll" {
                poll = true;
            } else if arg == "--no-event-idx" {
                event_idx = false;
            } else if FLAGS.contains(&arg.as_str()) {
                let value = args.next().with_context(|| format!("{arg} needs a value"))?;
                values.insert(arg, value);
            } else if arg.starts_with('-') || socket.is_some() {
                bail!("unknown argument {arg}; one of {}", FLAGS.join(" "));
            } else {
                socket = Some(arg);
            }
        }
        Ok(Self {
            socket: socket.context("usage: fe-play SOCKET [options]")?,
            values,
            poll,
            event_idx,
        })
    }

    fn text(&self, flag: &str, default: &str) -> String {
        self.values.get(flag).cloned().unwrap_or_else(|| default.to_owned())
    }

    fn number<T: std::str::FromStr>(&self, flag: &str, default: &str) -> Result<T> {
        self.text(flag, default)
            .parse()
            .ok()
            .with_context(|| format!("{flag} is no number"))
    }

    fn params(&self) -> Result<Params> {
        let (name, rate) = (self.text("--format", "s16"), self.number::<u32>("--rate", "48000")?);
        let format = FORMATS
            .iter()
            .find(|(n, _)| *n == name)
            .with_context(|| format!("unknown format {name}"))?
            .1;
        let rate = RATES
            .iter()
            .position(|r| *r == rate)
            .with_context(|| format!("{rate} Hz isn't in virtio-sound"))?;
        let channels = self.number("--channels", "2")?;
        let mut params = Params {
            buffer_bytes: 0,
            period_bytes: 0,
            features: 0,
            channels,
            format,
            rate: rate as u8,
        };
        params.features = 1 << 4;
        params.period_bytes = self.number::<u32>("--period", "480")? * params.frame_bytes();
        params.buffer_bytes = params.period_bytes * self.number::<u32>("--periods", "4")?;
        Ok(params)
    }
}

fn run() -> Result<bool> {
    let args = Args::parse()?;
    let mut params = args.params()?;
    let frames = (args.number::<f64>("--seconds", "1")? * f64::from(params.hz())) as usize;
    let (seed, headroom) = (args.number("--seed", "1")?, args.number("--headroom", "1")?);
    let sent =
        coded::generate(params.format, params.channels, frames, seed, headroom).context("format is not coded")?;
    if let Some(file) = args.values.get("--sent") {
        std::fs::write(file, &sent).with_context(|| file.clone())?;
    }
    let options = Options {
        eventfd: !args.poll,
        event_idx: args.event_idx,
        ..Options::default()
    };
    let mut fe = SoundFrontend::connect(Path::new(&args.socket), options)?;
    let stream: u32 = args.number("--stream", "0")?;
    params.features &= fe.pcm_info()?.get(stream as usize).context("no such stream")?.features;
    let pcm = Pcm::open(&mut fe, TXQ, stream, params)?;
    let stats = pcm.play(&mut fe, &sent)?;
    let mut out = serde_json::to_value(&stats)?;
    out["audio_ms"] = serde_json::json!(params.seconds(sent.len() as u64) * 1e3);
    let mut fine = stats.lost == 0 && stats.errors == 0;
    if let Some(file) = args.values.get("--compare") {
        drop(fe);
        let captured = coded::samples(Path::new(file)).with_context(|| file.clone())?;
        let report = coded::compare(&sent, &captured, params.frame_bytes() as usize);
        fine &= report.is_exact();
        out["exact"] = serde_json::json!(report.is_exact());
        let first: Vec<_> = report.runs.iter().take(20).copied().collect();
        out["compare"] = serde_json::to_value(coded::Report { runs: first, ..report })?;
    }
    println!("{}", serde_json::to_string_pretty(&out)?);
    Ok(fine)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("fe-play: {e:#}");
            ExitCode::from(2)
        }
    }
}
