//! vhost-device-sound 0.3.0 ("VDS"), the peer that Carillon is held against, and the paced card that both play on.
//!
//! Both are built on first use into a folder of the caller's: VDS from crates.io with its ALSA backend only, the card
//! (`tests/peer/card.c`) with the C compiler.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Version of vhost-device-sound that is compared with.
pub const VDS_VERSION: &str = "0.3.0";
/// Conformance rows that VDS was measured to fail: NO (m) of the checklist.
pub const VDS_FAILS: [u32; 8] = [3, 5, 8, 19, 20, 25, 30, 32];
const CARD_SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peer/card.c");
const CARD: &str = "libasound_module_pcm_carillon_card.so";

/// The card, compiled.
#[derive(Clone, Debug)]
pub struct Card {
    module: PathBuf,
}

impl Card {
    /// Compiles the card into `folder` unless it is there and newer than its source.
    ///
    /// # Errors
    /// No C compiler or no alsa-lib headers (`cargo xtask setup`).
    pub fn build(folder: &Path) -> anyhow::Result<Self> {
        let module = folder.join(CARD);
        let time = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
        if time(&module).is_some_and(|built| Some(built) >= time(Path::new(CARD_SOURCE))) {
            return Ok(Self { module });
        }
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let fresh = folder.join(format!("{CARD}.{}", std::process::id()));
        let status = Command::new("cc")
            .args("-std=gnu11 -O2 -Wall -Wextra -Werror -DPIC -fPIC -shared -o".split(' '))
            .args([fresh.as_os_str(), CARD_SOURCE.as_ref(), "-lasound".as_ref()])
            .status()
            .context("starting cc; `cargo xtask setup` installs it")?;
        if !status.success() {
            bail!("compiling the paced card failed ({status}); it needs libasound2-dev: `cargo xtask setup`");
        }
        std::fs::rename(&fresh, &module)?;
        Ok(Self { module })
    }

    /// Writes an alsa-lib configuration whose `default` and `card` are this card, for `ALSA_CONFIG_PATH`. With `played`,
    /// what every PCM plays goes into that folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, file: &Path, played: Option<&Path>) -> std::io::Result<()> {
        let dir = played.map_or(String::new(), |dir| format!(" dir \"{}\"", dir.display()));
        let module = self.module.display();
        let pcm = |name: &str| format!("pcm.{name} {{ type carillon_card{dir} }}\n");
        let text = format!(
            "pcm_type.carillon_card {{ lib \"{module}\" }}\n{}{}",
            pcm("!default"),
            pcm("card")
        );
        std::fs::write(file, text)
    }
}

/// Installs VDS into `folder` unless it is there; its program.
///
/// # Errors
/// The registry or the build.
pub fn install_vds(folder: &Path) -> anyhow::Result<PathBuf> {
    let program = folder.join("bin/vhost-device-sound");
    if program.exists() {
        return Ok(program);
    }
    eprintln!("building vhost-device-sound {VDS_VERSION} (about 3 minutes, once)");
    let status = Command::new("nice")
        .args(["cargo", "install", "vhost-device-sound", "--locked"])
        .args([
            "--version",
            VDS_VERSION,
            "--no-default-features",
            "--features",
            "alsa-backend",
            "--root",
        ])
        .arg(folder)
        .env("CARGO_TARGET_DIR", folder.join("build"))
        .status()
        .context("starting cargo install")?;
    if !status.success() {
        bail!("cargo install vhost-device-sound failed ({status})");
    }
    Ok(program)
}

/// A running VDS.
#[derive(Debug)]
pub struct Vds {
    program: PathBuf,
    config: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    child: Child,
}

impl Vds {
    /// Starts it on `socket`, playing on the `default` of the alsa-lib configuration `config`.
    ///
    /// # Errors
    /// It does not start or does not listen within 5 s.
    pub fn start(program: &Path, config: &Path, socket: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            child: spawn(program, config, socket)?,
            program: program.to_owned(),
            config: config.to_owned(),
            socket: socket.to_owned(),
        })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts it again if it has ended; whether it had.
    ///
    /// # Errors
    /// As `start`.
    pub fn revive(&mut self) -> anyhow::Result<bool> {
        let ended = self.child.try_wait()?.is_some();
        if ended {
            self.child = spawn(&self.program, &self.config, &self.socket)?;
        }
        Ok(ended)
    }
}

fn spawn(program: &Path, config: &Path, socket: &Path) -> anyhow::Result<Child> {
    let _left_over = std::fs::remove_file(socket);
    let mut child = Command::new(program)
        .arg("--socket")
        .arg(socket)
        .args(["--backend", "alsa"])
        .env("ALSA_CONFIG_PATH", config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let end = Instant::now() + Duration::from_secs(5);
    while !socket.exists() {
        if let Some(status) = child.try_wait()? {
            bail!("vhost-device-sound ended at start ({status})");
        }
        if Instant::now() > end {
            let _gone = child.kill();
            bail!("vhost-device-sound does not listen");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

impl Drop for Vds {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
