//! One QEMU per guest, with a log of the kernel's console, a control port and QMP. Dropping a guest kills its QEMU.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::control::{Control, Finished, Job, Silence};
use super::{GuestError, GuestImage, at};

const PROGRAM: &str = "qemu-system-x86_64";
const START_LIMIT: Duration = Duration::from_secs(20);
/// From the close of a connection to the process' end.
const END_LIMIT: Duration = Duration::from_secs(2);

/// How guest code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// Hardware.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accelerator {
    /// KVM where it stands on the processor's own virtualization and QEMU starts a machine with it, else TCG: `/dev/kvm`
    /// may be there and still not work, or be one without that (PVM), which emulates too few instructions for a stock
    /// kernel's first steps.
    pub fn probe() -> Self {
        static FOUND: OnceLock<Accelerator> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            if virtualizes(&flags) && kvm_starts() {
                Self::Kvm
            } else {
                Self::Tcg
            }
        })
    }

    fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

/// Whether the processor, told by `/proc/cpuinfo`, has VT-x or AMD-V.
fn virtualizes(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags"))
        .flat_map(str::split_ascii_whitespace)
        .any(|flag| flag == "vmx" || flag == "svm")
}

fn kvm_starts() -> bool {
    let mut command = Command::new(PROGRAM);
    command.args([
        "-nodefaults",
        "-display",
        "none",
        "-machine",
        "q35",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-S",
        "-monitor",
        "stdio",
    ]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    if let Some(mut monitor) = child.stdin.take() {
        // A QEMU that has already failed closes the pipe: its status says so.
        let _ = monitor.write_all(b"quit\n");
    }
    child.wait().is_ok_and(|status| status.success())
}

/// The guest's sound device.
#[derive(Clone, Debug)]
pub enum Sound {
    /// A vhost-user back end.
    VhostUser {
        /// Its listening socket.
        socket: PathBuf,
        /// It offers `VIRTIO_SND_F_CTLS` (QEMU then needs `controls=on`).
        controls: bool,
    },
    /// QEMU's own device, played into a WAV file.
    Builtin {
        /// The file.
        wav: PathBuf,
    },
    /// An HDA codec, bit-transparent, played into a WAV file.
    Hda {
        /// The file.
        wav: PathBuf,
    },
    /// None.
    None,
}

/// A guest to be started.
#[derive(Clone, Debug)]
pub struct Vm {
    /// Name, for messages and file names.
    pub name: String,
    /// What it boots.
    pub image: GuestImage,
    /// Memory, MiB.
    pub memory: u32,
    /// Sound device.
    pub sound: Sound,
    /// Added to the kernel command line (module parameters, for example).
    pub append: String,
    /// Directory for its log and sockets; must exist.
    pub directory: PathBuf,
}

impl Vm {
    /// The QEMU command line.
    #[must_use]
    pub fn arguments(&self, accelerator: Accelerator) -> Vec<String> {
        let mut list: Vec<String> = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
            .map(String::from)
            .to_vec();
        list.extend(accelerator.arguments().map(String::from));
        let mut add = |option: &str, value: String| list.extend([option.to_owned(), value]);
        add("-machine", "q35,memory-backend=m".to_owned());
        add("-m", format!("{}M", self.memory));
        add(
            "-object",
            format!("memory-backend-memfd,id=m,size={}M,share=on", self.memory),
        );
        add("-kernel", self.image.kernel.display().to_string());
        add("-initrd", self.image.initrd.display().to_string());
        add(
            "-append",
            format!("console=ttyS0 quiet panic=-1 {}", self.append)
                .trim_end()
                .to_owned(),
        );
        add("-serial", format!("file:{}", self.file("console.log").display()));
        add(
            "-chardev",
            format!("socket,id=control,path={}", self.file("control").display()),
        );
        // Not a second UART: its edge interrupts get lost now and then, and the port is deaf from then on.
        add("-device", "virtio-serial-pci".to_owned());
        add("-device", "virtserialport,chardev=control,name=control".to_owned());
        add("-chardev", format!("socket,id=qmp,path={}", self.file("qmp").display()));
        add("-mon", "chardev=qmp,mode=control".to_owned());
        match &self.sound {
            Sound::VhostUser { socket, controls } => {
                add("-chardev", format!("socket,id=sound,path={}", socket.display()));
                let controls = if *controls { ",controls=on" } else { "" };
                add("-device", format!("vhost-user-snd-pci,chardev=sound{controls}"));
            }
            Sound::Builtin { wav } => {
                add(
                    "-audiodev",
                    format!("wav,id=sound,out.frequency=48000,path={}", wav.display()),
                );
                add("-device", "virtio-sound-pci,audiodev=sound".to_owned());
            }
            Sound::Hda { wav } => {
                let file = format!(
                    "wav,id=sound,out.frequency=48000,out.fixed-settings=on,path={}",
                    wav.display()
                );
                add("-audiodev", file);
                add("-device", "intel-hda,id=hda".to_owned());
                add("-device", "hda-output,bus=hda.0,audiodev=sound,mixer=off".to_owned());
            }
            Sound::None => {}
        }
        list
    }

    /// Starts QEMU; returns when its control port and QMP are connected (the guest is then still booting).
    ///
    /// # Errors
    /// QEMU can't be started or ends at once (see its log).
    pub fn start(&self) -> Result<Guest, GuestError> {
        let control = listen(&self.file("control"))?;
        let qmp = listen(&self.file("qmp"))?;
        let log = self.file("qemu.log");
        let output = File::create(&log).map_err(at(&log))?;
        let errors = output.try_clone().map_err(at(&log))?;
        let mut command = Command::new(PROGRAM);
        command
            .args(self.arguments(Accelerator::probe()))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = command.spawn().map_err(|error| GuestError::Program {
            program: PROGRAM.into(),
            message: error.to_string(),
        })?;
        let mut process = Process {
            name: self.name.clone(),
            log,
            child,
        };
        let control = process.accept(&control)?;
        let qmp = process.accept(&qmp)?;
        let path = self.file("control");
        let control = Control::new(control).map_err(at(&path))?;
        let mut guest = Guest {
            process,
            control,
            qmp: BufReader::new(qmp),
        };
        guest.qmp_line()?;
        guest.qmp("qmp_capabilities")?;
        Ok(guest)
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.directory.join(format!("{}.{suffix}", self.name))
    }
}

/// Listens where QEMU will connect; a socket left by an earlier run is replaced.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, GuestError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(path)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(at(path))?;
    listener.set_nonblocking(true).map_err(at(path))?;
    Ok(listener)
}

/// A QEMU process. Dropped, it is killed.
pub(crate) struct Process {
    pub name: String,
    pub log: PathBuf,
    pub child: Child,
}

impl Process {
    /// QEMU connects within its start, or ends.
    pub fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream, GuestError> {
        let end = Instant::now() + START_LIMIT;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(at(&self.log))?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(at(&self.log)(error)),
            }
            if self.child.try_wait().map_err(at(&self.log))?.is_some() {
                return Err(self.ended());
            }
            if Instant::now() > end {
                return Err(self.late("QEMU's connection", START_LIMIT));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// That it has ended, and how: its connections close a little before it is gone.
    pub fn ended(&mut self) -> GuestError {
        let end = Instant::now() + END_LIMIT;
        let how = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status.to_string(),
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
                Ok(None) => break "it runs on without its connections".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        GuestError::Ended {
            name: self.name.clone(),
            how,
            log: self.log.clone(),
        }
    }

    pub fn late(&self, what: &str, limit: Duration) -> GuestError {
        GuestError::Late {
            name: self.name.clone(),
            what: what.to_owned(),
            seconds: limit.as_secs(),
        }
    }

    pub fn silence(&mut self, silence: Silence, what: &str, limit: Duration) -> GuestError {
        match silence {
            Silence::Late => self.late(what, limit),
            Silence::Closed => self.ended(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if QEMU is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A started guest.
pub struct Guest {
    process: Process,
    control: Control,
    qmp: BufReader<UnixStream>,
}

impl Guest {
    /// Waits until the guest has booted and takes commands.
    ///
    /// # Errors
    /// It did not in time, or QEMU ended.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), GuestError> {
        self.control
            .wait_ready(limit)
            .map_err(|silence| self.process.silence(silence, "boot", limit))
    }

    /// Starts a shell command (one line) in the guest's background.
    ///
    /// # Errors
    /// QEMU ended.
    pub fn spawn(&mut self, command: &str) -> Result<Job, GuestError> {
        self.control.spawn(command).map_err(|_| self.process.ended())
    }

    /// Waits for the end of a command.
    ///
    /// # Errors
    /// It did not end in time, or QEMU ended.
    pub fn wait(&mut self, job: Job, limit: Duration) -> Result<Finished, GuestError> {
        self.control
            .wait(job, limit)
            .map_err(|silence| self.process.silence(silence, "the end of a command", limit))
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// As [`Self::wait`]; a command that fails is no error here.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<Finished, GuestError> {
        let job = self.spawn(command)?;
        self.wait(job, limit)
    }

    /// Executes a QMP command without arguments (`stop`, `cont`, `quit`) and returns its answer.
    ///
    /// # Errors
    /// QEMU ended or refused it.
    pub fn qmp(&mut self, command: &str) -> Result<serde_json::Value, GuestError> {
        let request = serde_json::json!({ "execute": command });
        writeln!(self.qmp.get_mut(), "{request}").map_err(|_| self.process.ended())?;
        loop {
            let answer = self.qmp_line()?;
            if let Some(error) = answer.get("error") {
                return Err(GuestError::Program {
                    program: format!("QMP {command}"),
                    message: error.to_string(),
                });
            }
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
        }
    }

    /// QEMU's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    fn qmp_line(&mut self) -> Result<serde_json::Value, GuestError> {
        let mut line = String::new();
        match self.qmp.read_line(&mut line) {
            Ok(size) if size > 0 => serde_json::from_str(&line).map_err(|_| self.process.ended()),
            _ => Err(self.process.ended()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::virtualizes;

    #[test]
    fn a_kvm_without_the_processors_own_virtualization_runs_no_stock_guest() {
        assert!(virtualizes("processor\t: 0\nflags\t\t: fpu vmx sse2\n"));
        assert!(virtualizes("flags : fpu svm\n"));
        assert!(!virtualizes("flags : fpu sse2 hypervisor\nvmx flags : none\n"));
        assert!(!virtualizes(""));
    }
}
