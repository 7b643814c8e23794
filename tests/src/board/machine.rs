//! The board as a QEMU command line.

use std::fs::File;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::running::{END, Running, status_of};
use super::{Image, Log, qemu};
use crate::guest::{GuestError, at, listen};

/// Firmware of Debian's packages; a QEMU built here has none of its own.
pub(super) const FIRMWARE: [&str; 2] = ["/usr/share/qemu", "/usr/share/seabios"];

/// The date at which a board in virtual time is switched on.
const SWITCHED_ON: &str = "2026-01-01";
/// The same in seconds since 1970.
pub(super) const ON: u64 = 1_767_225_600;

/// The board's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// As fast as this machine goes.
    Free,
    /// One instruction is one nanosecond; processors take turns.
    Virtual {
        /// Of what is random in the board.
        seed: u32,
    },
}

/// The codec at [`super::CODEC`]; all play into the board's WAV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Intel HDA with MSI, bit-transparent.
    Hda,
    /// AC'97 with INTx.
    Ac97,
    /// None.
    None,
}

/// A board to be started.
#[derive(Clone, Debug)]
pub struct Board {
    /// For messages.
    pub name: String,
    /// What it boots.
    pub image: Image,
    /// Directory for its logs and WAV file; made if need be. Console NAME is `NAME.log` in it, the board's own `board.log`.
    pub directory: PathBuf,
    /// The QEMU to use; virtual time needs one without the nested fault.
    pub qemu: PathBuf,
    /// Clock.
    pub clock: Clock,
    /// Processors.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory: u32,
    /// Codec.
    pub codec: Codec,
    /// An IOMMU (Intel's; the emulated AMD one loses IOAPIC interrupts).
    pub iommu: bool,
    /// Consoles beside the board's own; in the board `/dev/virtio-ports/NAME`.
    pub consoles: Vec<String>,
    /// Its own console is this terminal, not a file ([`Board::attend`]).
    pub terminal: bool,
    /// Added to the kernel command line.
    pub append: String,
    /// Added to QEMU's command line.
    pub extra: Vec<String>,
}

impl Board {
    /// Two processors, 2 GiB, HDA, IOMMU, free-running, the installed QEMU.
    #[must_use]
    pub fn new(name: &str, image: Image, directory: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            image,
            directory,
            qemu: "qemu-system-x86_64".into(),
            clock: Clock::Free,
            cpus: 2,
            memory: 2048,
            codec: Codec::Hda,
            iommu: true,
            consoles: Vec::new(),
            terminal: false,
            append: String::new(),
            extra: Vec::new(),
        }
    }

    /// The same in virtual time: what it does depends neither on how busy this machine is nor on the installed QEMU's nested fault.
    ///
    /// # Errors
    /// As [`qemu::for_virtual_time`].
    pub fn in_virtual_time(mut self, seed: u32) -> Result<Self, GuestError> {
        self.qemu = qemu::for_virtual_time(&mut |_, _, _| {})?;
        self.clock = Clock::Virtual { seed };
        Ok(self)
    }

    /// What the codec played: S16, 2 channels, 48 kHz.
    #[must_use]
    pub fn wav(&self) -> PathBuf {
        self.directory.join("codec.wav")
    }

    /// The output of a console, or of the board itself (`board`).
    #[must_use]
    pub fn log(&self, console: &str) -> Log {
        Log::new(self.directory.join(format!("{console}.log")))
    }

    /// The QEMU command line.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut list: Vec<String> = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
            .map(String::from)
            .to_vec();
        let mut add = |option: &str, value: String| list.extend([option.to_owned(), value]);
        for place in FIRMWARE {
            add("-L", place.to_owned());
        }
        // The kernel's check of the timer panics where this machine stalls for some ticks.
        let mut append = format!(
            "console=ttyS0 quiet panic=-1 no_timer_check ports={}",
            self.consoles.len() + 1
        );
        match self.clock {
            Clock::Free => add("-accel", "tcg,thread=multi".to_owned()),
            Clock::Virtual { seed } => {
                add("-accel", "tcg".to_owned());
                add("-icount", "shift=0,sleep=off".to_owned());
                add("-seed", seed.to_string());
                add("-rtc", format!("base={SWITCHED_ON},clock=vm"));
                append.push_str(" tsc=reliable random.trust_cpu=on");
            }
        }
        add("-cpu", "max".to_owned());
        add("-machine", "q35".to_owned());
        add("-smp", self.cpus.to_string());
        add("-m", format!("{}M", self.memory));
        if self.iommu {
            add("-device", "intel-iommu,intremap=on,caching-mode=on".to_owned());
            append.push_str(" intel_iommu=on");
        }
        add("-kernel", self.image.kernel.display().to_string());
        add("-initrd", self.image.initrd.display().to_string());
        add("-append", format!("{append} {}", self.append).trim_end().to_owned());
        let log = self.log("board").path().display().to_string();
        if self.terminal {
            add("-chardev", format!("stdio,id=terminal,mux=on,signal=off,logfile={log}"));
            add("-serial", "chardev:terminal".to_owned());
            add("-mon", "chardev=terminal".to_owned());
        } else {
            add("-serial", format!("file:{log}"));
        }
        self.add_consoles(&mut add);
        self.add_codec(&mut add);
        list.extend(self.extra.iter().cloned());
        list
    }

    fn add_consoles(&self, add: &mut impl FnMut(&str, String)) {
        add(
            "-device",
            format!("virtio-serial-pci,max_ports={}", self.consoles.len() + 2),
        );
        let control = self.directory.join("control");
        add("-chardev", format!("socket,id=control,path={}", control.display()));
        add("-device", "virtserialport,chardev=control,name=control".to_owned());
        for (n, console) in self.consoles.iter().enumerate() {
            add(
                "-chardev",
                format!("file,id=c{n},path={}", self.log(console).path().display()),
            );
            add("-device", format!("virtserialport,chardev=c{n},name={console}"));
        }
    }

    fn add_codec(&self, add: &mut impl FnMut(&str, String)) {
        if self.codec == Codec::None {
            return;
        }
        let file = format!(
            "wav,id=codec,out.frequency=48000,out.fixed-settings=on,path={}",
            self.wav().display()
        );
        add("-audiodev", file);
        match self.codec {
            Codec::Hda => {
                add("-device", "intel-hda,addr=3,id=hda".to_owned());
                add("-device", "hda-output,bus=hda.0,audiodev=codec,mixer=off".to_owned());
            }
            Codec::Ac97 => add("-device", "AC97,addr=3,audiodev=codec".to_owned()),
            Codec::None => {}
        }
    }

    /// Starts QEMU; the board is then booting.
    ///
    /// # Errors
    /// QEMU can't be started or ends at once (see `qemu.log`).
    pub fn start(self) -> Result<Running, GuestError> {
        let control = self.prepare()?;
        let log = self.directory.join("qemu.log");
        let output = File::create(&log).map_err(at(&log))?;
        let errors = output.try_clone().map_err(at(&log))?;
        let began = Instant::now();
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(|error| self.not_started(&error))?;
        Running::new(self, child, &control, began)
    }

    /// Runs the board on this terminal to its end; returns its exit status, if it said one.
    ///
    /// # Errors
    /// QEMU can't be started, or failed.
    pub fn attend(self) -> Result<Option<i32>, GuestError> {
        let _control = self.prepare()?;
        let status = self.command().status().map_err(|error| self.not_started(&error))?;
        if !status.success() {
            return Err(GuestError::Program {
                program: self.qemu.display().to_string(),
                message: status.to_string(),
            });
        }
        let end = self.log("board").line(END);
        Ok(end.and_then(|line| status_of(&line)).map(|(status, _)| status))
    }

    /// Empty logs, and a listener for the control port.
    fn prepare(&self) -> Result<UnixListener, GuestError> {
        std::fs::create_dir_all(&self.directory).map_err(at(&self.directory))?;
        for console in self.consoles.iter().map(String::as_str).chain(["board"]) {
            let log = self.log(console);
            // An older run's lines must not answer for this one's.
            std::fs::write(log.path(), b"").map_err(at(log.path()))?;
        }
        listen(&self.directory.join("control"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.qemu);
        command.args(self.arguments());
        command
    }

    fn not_started(&self, error: &std::io::Error) -> GuestError {
        GuestError::Program {
            program: self.qemu.display().to_string(),
            message: error.to_string(),
        }
    }
}
