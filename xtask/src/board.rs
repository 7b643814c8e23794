//! `cargo xtask board`: the emulated dev board, with its console on this terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use system_tests::board::{self, Board, Clock, Contents, Image, System};
use system_tests::guest::Kernel;
use system_tests::nested::Linux;

use crate::image::directory;

/// Between two lines of progress where there is no terminal.
const SAY_EACH: Duration = Duration::from_secs(15);

/// Options of `cargo xtask board`.
#[derive(clap::Args)]
pub struct Options {
    /// A manifest to start on the board; its images are `images/` vmlinuz, audio.cpio, guest.cpio, chime (built here), or beside it
    manifest: Option<PathBuf>,
    /// The service VM's /etc/carillon, for audio.cpio: system.toml, chimes, rc
    #[arg(long, value_name = "FOLDER")]
    service: Option<PathBuf>,
    /// One instruction is one nanosecond, the same from run to run; builds the QEMU for it once (some minutes)
    #[arg(long)]
    virtual_time: bool,
    /// Run this shell script on the board and power off instead of giving a shell (exit 1 if it fails)
    #[arg(long)]
    script: Option<PathBuf>,
    /// Say whether a QEMU has the fault that virtual time can't do with, and nothing else (exit 1 if it has)
    #[arg(long, value_name = "QEMU")]
    probe: Option<PathBuf>,
    /// Run the hypervisor's tests of VMs on it, as `cargo xtask test` does where /dev/kvm doesn't work, and nothing else
    #[arg(long)]
    kvm_tests: bool,
    /// Virtual processors
    #[arg(long, default_value_t = 2)]
    cpus: u32,
}

/// Runs the command.
///
/// # Errors
/// Something the board needs is missing, or its script failed.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(qemu) = &options.probe {
        return probe(qemu);
    }
    if options.kvm_tests {
        return crate::kvm::on_the_board();
    }
    let folder = directory().join("board");
    std::fs::create_dir_all(folder.join("../kernel"))?;
    std::fs::create_dir_all(&folder)?;
    let kernel = Kernel::fetch("6.12", &folder.join("../kernel"))?;
    let script = options.script.as_ref().map(std::fs::read_to_string).transpose()?;
    let mut board = match &options.manifest {
        Some(manifest) => system(&kernel, manifest, options, script, folder)?,
        None => plain(&kernel, script, folder)?,
    };
    board.cpus = options.cpus;
    if options.virtual_time {
        board.qemu = qemu()?;
        board.clock = Clock::Virtual { seed: 1 };
    }
    board.terminal = true;
    if options.script.is_none() {
        if options.manifest.is_none() {
            board.append = "shell".to_owned();
        }
        println!(
            "A shell on the board; its codec plays into {}. `poweroff -f` or Ctrl-A X ends it.",
            board.wav().display()
        );
    }
    match board.attend()? {
        Some(status) if status != 0 => bail!("the board's script ended with {status}"),
        _ => Ok(()),
    }
}

/// A board that only plays by itself.
fn plain(kernel: &Kernel, scenario: Option<String>, folder: PathBuf) -> anyhow::Result<Board> {
    let contents = Contents {
        modules: board::HDA.to_vec(),
        programs: ["aplay", "amixer"].map(str::to_owned).to_vec(),
        trees: vec!["/usr/share/alsa".into()],
        scenario,
        ..Contents::default()
    };
    let image = Image::build(kernel, &contents, &folder.join("board.cpio"))?;
    Ok(Board::new("board", image, folder))
}

/// A board that runs a manifest: its consoles are files outside, and the script or a shell is in the board.
fn system(
    kernel: &Kernel,
    manifest: &Path,
    options: &Options,
    script: Option<String>,
    folder: PathBuf,
) -> anyhow::Result<Board> {
    build_hypervisor()?;
    let text = std::fs::read_to_string(manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let parsed: toml::Table = text.parse().with_context(|| manifest.display().to_string())?;
    let partitions = parsed.get("partitions").and_then(toml::Value::as_table);
    let names: Vec<String> = partitions.into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let beside = manifest.parent().unwrap_or(Path::new("."));
    let mut images = Vec::new();
    for name in ["vmlinuz", "audio.cpio", "guest.cpio", "chime"] {
        if !text.contains(&format!("images/{name}")) {
            continue;
        }
        let own = beside.join("images").join(name);
        let path = if own.exists() {
            own
        } else {
            built(name, kernel, options, &folder)?
        };
        images.push((path, name.to_owned()));
    }
    let system = System {
        manifest: text,
        images,
        hypervisor: crate::image::directory().join("../release/hypervisor"),
        consoles: names.clone(),
        script: script.unwrap_or_else(|| "setsid cttyhack sh; stop".to_owned()),
        codec: true,
        options: String::new(),
    };
    println!(
        "Consoles: {}/NAME.log for {}, hypervisor",
        folder.display(),
        names.join(", ")
    );
    Ok(system.board("board", kernel, folder)?)
}

/// An image that the manifest names and nobody put beside it.
fn built(name: &str, kernel: &Kernel, options: &Options, folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    match name {
        "vmlinuz" => return Ok(kernel.image.clone()),
        "chime" => return Ok(board::safety::build()?),
        "audio.cpio" => {
            let service = options.service.as_ref().context(
                "the manifest has a service VM: name the folder of its configuration by --service (it has system.toml)",
            )?;
            crate::image::service_with(kernel, service, &path)?;
        }
        _ => {
            let guest = Linux {
                modules: vec!["virtio_pci", "virtio_snd"],
                programs: vec!["aplay", "amixer", "speaker-test"],
                scenario: "card && timeout 30 speaker-test -D hw:0,0 -c 2 -t sine -l 1".to_owned(),
                ..Linux::default()
            };
            std::fs::write(&path, guest.initramfs(kernel)?)?;
        }
    }
    Ok(path)
}

/// Most bytes of the hypervisor's program without symbols (SPECIFICATION.md 9.9).
const MOST_BYTES: u64 = 3 << 20;

/// Builds the hypervisor for the board.
///
/// # Errors
/// It does not build, or is larger than promised.
pub fn build_hypervisor() -> anyhow::Result<()> {
    let status = std::process::Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "hypervisor",
            "-p",
            "dbus-api",
            "--bins",
        ])
        .current_dir(directory().join("../.."))
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("cargo build --release -p hypervisor failed ({status})");
    }
    small_enough(&directory().join("../release/hypervisor"), MOST_BYTES)
}

/// Whether a program has at most so many bytes when its symbols are taken off.
fn small_enough(program: &Path, most: u64) -> anyhow::Result<()> {
    let stripped = std::env::temp_dir().join(format!("carillon-stripped-{}", std::process::id()));
    let mut strip = std::process::Command::new("strip");
    let status = strip.arg("-o").arg(&stripped).arg(program).status();
    let status = status.context("starting strip (package binutils)")?;
    if !status.success() {
        bail!("strip {} failed ({status})", program.display());
    }
    let size = std::fs::metadata(&stripped)?.len();
    std::fs::remove_file(&stripped)?;
    if size > most {
        bail!(
            "{} has {size} bytes without symbols, {most} are promised (SPECIFICATION.md 9.9): look for what grew with \
             `git log -p Cargo.lock hypervisor/Cargo.toml`, and turn off features of crates that the hypervisor does without",
            program.display()
        );
    }
    Ok(())
}

fn probe(qemu: &std::path::Path) -> anyhow::Result<()> {
    if board::qemu::is_sound(qemu)? {
        println!("{}: delivers an injected interrupt once", qemu.display());
        return Ok(());
    }
    bail!(
        "{}: delivers an injected interrupt twice; nested guests lock up in virtual time",
        qemu.display()
    )
}

/// A QEMU that virtual time can do with; built with progress if there is none yet.
///
/// # Errors
/// It can't be built.
pub fn qemu() -> anyhow::Result<PathBuf> {
    let bar = std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(1);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {pos}/{len} [{elapsed}, {eta} to go]") {
            bar.set_style(style);
        }
        bar
    });
    let began = Instant::now();
    let mut said: Option<(String, Instant)> = None;
    let found = board::qemu::for_virtual_time(&mut |what, done, all| match &bar {
        Some(bar) => {
            bar.set_length(u64::from(all));
            bar.set_position(u64::from(done));
            bar.set_message(what.to_owned());
        }
        None => {
            let silent = |(last, at): &(String, Instant)| last == what && at.elapsed() < SAY_EACH;
            if !said.as_ref().is_some_and(silent) {
                eprintln!("board [{:3.0} s] {what} {done}/{all}", began.elapsed().as_secs_f64());
                said = Some((what.to_owned(), Instant::now()));
            }
        }
    });
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    Ok(found?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_has_grown_too_large_is_told_with_its_size_and_the_most() {
        let program = std::env::current_exe().unwrap();
        let with_symbols = std::fs::metadata(&program).unwrap().len();

        let error = small_enough(&program, 1000).unwrap_err().to_string();

        let said: u64 = error
            .split(" has ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1001..with_symbols).contains(&said), "{said} of {with_symbols}");
        assert!(error.contains("1000 are promised"), "{error}");
        small_enough(&program, said).unwrap();
        assert!(small_enough(&program, said - 1).is_err());
    }

    #[test]
    fn what_is_no_program_is_not_taken_for_a_small_one() {
        assert!(small_enough(Path::new("/dev/null/none"), MOST_BYTES).is_err());
    }
}
