//! `short-rings PERIOD RING-PERIOD PERIODS TAKES SECONDS HALT-MS WAV`: the shipped `audiod`, beside this program, at a codec period
//! of so many frames, and takes on a short ring, each other samples; prints what the front end saw of each as a line of JSON, then
//! copies the card's file to WAV. In the middle of each take the engine stands still for HALT-MS.

use std::fs::File;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use system_tests::short_ring::ShortRing;

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |at: usize| arguments.get(at).context("seven arguments, see the source's head");
    let number = |at: usize| Ok::<u32, anyhow::Error>(text(at)?.parse()?);
    let seconds: f64 = text(4)?.parse()?;
    let halt = Duration::from_millis(number(5)?.into());
    let mut short = ShortRing::start(number(0)?, (number(1)?, number(2)?))?;
    for _ in 0..number(3)? {
        let taken = short.take(seconds, halt)?;
        println!("{}", serde_json::to_string(&taken)?);
    }
    let mut wav = File::options().write(true).open(text(6)?)?;
    std::io::copy(&mut File::open(short.wav())?, &mut wav)?;
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("short-rings: {error:#}");
            ExitCode::FAILURE
        }
    }
}
