//! The whole system on the board: guests under the hypervisor, each with its memory as a window of the service VM, whose audiod plays
//! them into the codec that was passed to it.
//!
//! ```text
//!  CPU 0: host, service VM (audiod ─ VFIO ─ HDA ─► codec.wav), safety partition     CPU 1: stock guests (aplay)
//!  Scene ──► manifest, system.toml, images ──► System ──► Board
//! ```

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::service::{self, Programs};
use super::{Board, System, machine};
use crate::daemon::program;
use crate::guest::{GuestError, Kernel, at};
use crate::nested::Linux;

/// What the service VM sees of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All its memory.
    Ram,
    /// Copies in a pool.
    Bounce,
    /// The pool of a driver of our own.
    Pool,
}

/// A partition that plays.
#[derive(Clone, Debug)]
pub struct Player {
    /// Its name.
    pub name: String,
    /// Its window.
    pub mode: Mode,
    /// A stock guest's `/take`: S16, 2 channels, 48 kHz.
    pub take: Vec<u8>,
    /// What a stock guest does, with `play FILE` to play once, `until_plays FILE` to try for as long as the service VM may take to
    /// come up, and `until_clock SECONDS` to wait until so long after the board was switched on; the command line of one without a system.
    pub does: String,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Who plays.
    pub players: Vec<Player>,
    /// The service VM's `/etc/carillon`: system.toml, whatever it names, and rc, with whose end the VM powers off.
    pub configuration: Vec<(String, Vec<u8>)>,
    /// The board's script, of [`System`]; the service VM is then started again whenever it ends. Without one the board waits for
    /// the hypervisor, which ends with its VMs.
    pub script: Option<String>,
    /// Shell that runs on the board meanwhile, where there is no script; what it says comes on the board's console at the end.
    pub beside: String,
}

/// The service VM's hook. It says nothing while anybody plays: a line on a serial console is thousands of exits.
const RC: &str = "\
: > /tmp/events
audioctl monitor --bus system >> /tmp/events 2>&1 &
until_event() {
    tries=0
    until [ \"$(grep -c \"$1\" /tmp/events)\" -ge \"$2\" ]; do
        sleep 0.1
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || { cat /tmp/events; exit 1; }
    done
}
@ACT@
sleep 0.3
cat /tmp/events
audioctl status --bus system --json
";

/// A service VM's `rc`: what it does while they play, with `until_event PATTERN COUNT` to wait for so many lines of
/// `audioctl monitor`; then it tells all of them, and the state.
#[must_use]
pub fn rc(act: &str) -> String {
    RC.replace("@ACT@", act)
}

/// Keys of the nth player's `[guests.NAME]`: by which way it comes.
#[must_use]
pub fn keys(nth: usize, mode: Mode) -> String {
    let size = if mode == Mode::Ram { 128 } else { 2 };
    let (port, word) = (5000 + nth, 4 * nth);
    format!(
        "link = \"window\"\nwindow = {{ memory = \"/dev/dax{nth}.0\", size_mib = {size}, port = {port}, \
         doorbell = \"/run/carillon/doorbell\", first_word = {word} }}\n"
    )
}

const MANIFEST: &str = r#"
version = 1
name = "scene"
[host]
cpus = "0"
[partitions.audio]
role = "service"
set = "audio"
vcpus = 1
realtime = { vcpus = [0], priority = 50 }
memory = "256M"
kernel = "images/vmlinuz"
initrd = "images/audio.cpio"
cmdline = "console=ttyS0 quiet panic=-1 transparent_hugepage=madvise"
vsock_cid = 3
passthrough = [{ device = "0000:00:03.0", codec = true }]
"#;
const ONCE: &str = "restart = { policy = \"never\" }\n";
const ALWAYS: &str = "restart = { policy = \"always\", delay_ms = 0, limit = 60 }\n";
const STOCK: &str = r#"
role = "guest"
set = "guests"
vcpus = 1
memory = "128M"
kernel = "images/vmlinuz"
cmdline = "console=ttyS0 quiet panic=-1"
rng = true
restart = { policy = "never" }
sound.streams = [{ direction = "playback", formats = ["s16"], rates = [48000] }]
"#;
const BARE: &str = r#"
role = "safety"
set = "audio"
vcpus = 1
realtime = { vcpus = [0], priority = 60 }
memory = "16M"
kernel = "images/chime"
restart = { policy = "never" }
sound.streams = [{ direction = "playback", formats = ["s16"], rates = [48000] }]
"#;
const WAIT: &str = "wait \"$hypervisor\"\nstatus=$?\nwait \"$beside\"\ncat /run/beside\n(exit \"$status\")";
/// Where the hypervisor puts a pool.
const POOL: u64 = 0xb000_0000;
/// In front of what a stock guest does. The periods of its ring are 10 ms long.
const PLAY: &str = "\
card || exit 1
play() { aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 --period-size=480 --buffer-size=3840 \"$1\"; }
until_plays() {
    tries=0
    until play \"$1\" 2> /tmp/error; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { cat /tmp/error; return 1; }
        sleep 0.1
    done
    echo \"guest: played after $tries\"
}
until_clock() {
    until [ $(($(date +%s) - @ON@)) -ge $1 ]; do
        sleep 0.05
    done
}
";
impl Scene {
    /// The board that runs it, in virtual time, in `folder`.
    ///
    /// # Errors
    /// Something is not built or can't be built.
    pub fn board(&self, name: &str, kernel: &Kernel, folder: PathBuf) -> anyhow::Result<Board> {
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        let board = self.whole(kernel, &folder)?.board(name, kernel, folder)?;
        Ok(board.in_virtual_time(1)?)
    }

    fn whole(&self, kernel: &Kernel, folder: &Path) -> anyhow::Result<System> {
        let programs = Programs::beside()?;
        let audio = service::build(kernel, &programs, &self.configuration, &folder.join("audio.cpio"))?;
        let mut images = vec![
            (kernel.image.clone(), "vmlinuz".to_owned()),
            (audio.initrd, "audio.cpio".to_owned()),
        ];
        for player in &self.players {
            images.push(player.image(kernel, folder)?);
        }
        let names = self.players.iter().map(|player| player.name.clone());
        Ok(System {
            manifest: self.manifest(),
            images,
            hypervisor: program("hypervisor")?,
            consoles: [String::from("audio")].into_iter().chain(names).collect(),
            script: self.script.clone().unwrap_or_else(|| {
                let beside = &self.beside;
                format!("(\n{beside}\n:\n) > /run/beside 2>&1 &\nbeside=$!\n{WAIT}")
            }),
            codec: true,
            options: String::new(),
        })
    }

    fn manifest(&self) -> String {
        let mut text = MANIFEST.to_owned();
        text += if self.script.is_some() { ALWAYS } else { ONCE };
        let (stock, bare): (Vec<_>, Vec<_>) = self.players.iter().partition(|player| player.mode != Mode::Pool);
        text += "[sets.audio]\ncpus = \"0\"\nmembers.audio = { priority = 50 }\n";
        for player in bare {
            let _ = writeln!(text, "members.{} = {{ priority = 60 }}", player.name);
        }
        if !stock.is_empty() {
            text += "[sets.guests]\ncpus = \"1\"\n";
            for player in stock {
                let _ = writeln!(text, "members.{} = {{}}", player.name);
            }
        }
        for player in &self.players {
            let (body, mode) = match player.mode {
                Mode::Ram => (STOCK, "ram"),
                Mode::Bounce => (STOCK, "bounce"),
                Mode::Pool => (BARE, "pool"),
            };
            let name = &player.name;
            let own = match player.mode {
                Mode::Pool => format!("cmdline = \"pool={POOL:#x} {}\"", player.does),
                _ => format!("initrd = \"images/{name}.cpio\""),
            };
            let _ = writeln!(
                text,
                "[partitions.{name}]{body}{own}\n[windows.{name}]\nmode = \"{mode}\""
            );
        }
        text
    }
}

impl Player {
    /// A stock guest's initramfs; it is the same under any VMM.
    ///
    /// # Errors
    /// As [`Linux::initramfs`].
    pub fn initramfs(&self, kernel: &Kernel) -> Result<Vec<u8>, GuestError> {
        let guest = Linux {
            modules: vec!["virtio_pci", "virtio-rng", "virtio_snd"],
            programs: vec!["aplay"],
            built: Vec::new(),
            files: vec![("take".to_owned(), self.take.clone())],
            scenario: format!("{}{}", PLAY.replace("@ON@", &machine::ON.to_string()), self.does),
        };
        guest.initramfs(kernel)
    }

    fn image(&self, kernel: &Kernel, folder: &Path) -> Result<(PathBuf, String), GuestError> {
        if self.mode == Mode::Pool {
            return Ok((super::safety::build()?, "chime".to_owned()));
        }
        let name = format!("{}.cpio", self.name);
        let path = folder.join(&name);
        std::fs::write(&path, self.initramfs(kernel)?).map_err(at(&path))?;
        Ok((path, name))
    }
}
