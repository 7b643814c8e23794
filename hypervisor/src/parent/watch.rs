//! The parent's loop.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Uid;

use super::bus;
use super::folder::Folder;
use super::life::{End, Life, Next};
use super::memory::Made;
use super::orders::{Order, Outcome};
use super::quota;
use super::resolve::resolve;
use super::socket::{admit, connect, listen, wait};
use super::start::{StartError, start};
use super::vm::{GRACE, Up, Vm, Way};
use crate::manifest::{Manifest, Role};
use crate::vm::control::{Channel, Report, Request};

/// Most order givers at a time.
const CLIENTS: usize = 8;

/// Why the parent can't work.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run folder of this path can't be used.
    #[error("run folder {0}: {1}")]
    Folder(String, #[source] io::Error),
    /// Another parent watches, by this socket.
    #[error("{0}: this system is being watched by another `hypervisor run`")]
    Watched(String),
    /// A VM could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A system call failed.
    #[error("{0}")]
    System(#[from] io::Error),
    /// No such partition.
    #[error("there is no partition `{0}`")]
    Unknown(String),
}

/// Watches the VMs of one manifest. Dropping it leaves them running.
pub struct Parent {
    manifest: Manifest,
    folder: Folder,
    made: Made,
    listener: OwnedFd,
    signals: SignalFd,
    clients: Vec<Channel>,
    vms: Vec<Vm>,
    stopping: bool,
    log: fn(&str),
}

impl Parent {
    /// Takes over what runs already in this folder; starts nothing. `log` is told what happens.
    ///
    /// # Errors
    /// The folder can't be used, or another parent watches it.
    pub fn new(manifest: Manifest, path: &Path, folder: Folder, log: fn(&str)) -> Result<Self, RunError> {
        let failed = |error| RunError::Folder(folder.path().display().to_string(), error);
        folder.make().map_err(failed)?;
        let listener = listen(&folder.parent()).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => RunError::Watched(folder.parent().display().to_string()),
            _ => failed(error),
        })?;
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        fs::write(folder.file("manifest"), place.as_os_str().as_encoded_bytes()).map_err(failed)?;
        let vms = manifest.partitions.iter().map(Vm::new).collect();
        let signals = signals()?;
        let mut parent = Self {
            manifest,
            folder,
            made: Made::default(),
            listener,
            signals,
            clients: Vec::new(),
            vms,
            stopping: false,
            log,
        };
        for index in 0..parent.vms.len() {
            parent.adopt(index)?;
        }
        Ok(parent)
    }

    /// Takes a running VM over, and the memory it keeps.
    fn adopt(&mut self, index: usize) -> Result<(), RunError> {
        let name = self.vms[index].name.clone();
        let Some(process) = self.folder.process(&name) else {
            return Ok(());
        };
        let Ok(fd) = connect(&self.folder.door(&name)) else {
            process.kill();
            return Ok(());
        };
        let mut up = Up::new(fd, process, None);
        up.ask(&Request::Hello)?;
        let mut missing: Option<Vec<String>> = None;
        let deadline = Instant::now() + GRACE;
        while missing.as_ref().is_none_or(|missing| !missing.is_empty()) {
            match up.answer() {
                Ok(Some((Report::Kept { name }, Some(file)))) => {
                    missing
                        .iter_mut()
                        .for_each(|missing| missing.retain(|known| *known != name));
                    self.made.adopt(&name, file);
                }
                Ok(Some((report, _))) => {
                    if let Report::Here { keeps, .. } = &report {
                        let lacking: Vec<String> = keeps.iter().filter(|name| !self.made.has(name)).cloned().collect();
                        for name in &lacking {
                            up.ask(&Request::HandBack { name: name.clone() })?;
                        }
                        missing = Some(lacking);
                    }
                    up.note(report);
                }
                Ok(None) if Instant::now() < deadline => drop(wait(&[up.channel.as_fd()], Some(100))?),
                // It hangs, or is no VMM any more: it is started anew.
                _ => {
                    process.kill();
                    return Ok(());
                }
            }
        }
        (self.log)(&format!("{name}: found running, process {}", process.pid));
        self.vms[index].up = Some(up);
        Ok(())
    }

    /// Starts whatever is down. The service VM goes first: guests wait for it, not it for them.
    ///
    /// # Errors
    /// The first VM that can't be started; the others are up.
    pub fn start_all(&mut self) -> Result<(), RunError> {
        let mut order: Vec<usize> = (0..self.vms.len()).collect();
        order.sort_by_key(|index| match self.manifest.partitions[*index].role.value {
            Role::Service => 0,
            Role::Safety => 1,
            Role::Guest => 2,
        });
        let mut done = Ok(());
        for partition in &self.manifest.partitions {
            if let Err(error) = bus::start(&self.manifest, partition) {
                (self.log)(&format!("{}: no way to D-Bus: bus-port: {error}", partition.name));
            }
        }
        for index in order {
            if self.vms[index].up.is_none() {
                let started = self.start(index);
                done = done.and(started);
            }
        }
        done
    }

    fn start(&mut self, index: usize) -> Result<(), RunError> {
        let partition = &self.manifest.partitions[index];
        let name = &partition.name.value;
        self.vms[index].due = None;
        let user = self.manifest.host.user_prefix.as_ref();
        let user = user.map(|prefix| format!("{}-{name}", prefix.value));
        self.made.clear(name)?;
        let resolved = resolve(&self.manifest, partition);
        let (mut child, process) = start(&self.folder, &resolved, &mut self.made, user)?;
        if let Err(error) = quota::apply(&self.manifest, partition, process.pid) {
            let need = "cgroup v2 and root are needed";
            (self.log)(&format!("{name}: its quota is not held: {error} ({need})"));
        }
        let Ok(fd) = connect(&self.folder.door(name)) else {
            let _ = child.kill().and_then(|()| child.wait());
            let log = self.folder.file(&format!("{name}.log"));
            let words = format!("ended at once (see {})", log.display());
            self.ended(index, End::Failed, words, Instant::now());
            return Ok(());
        };
        let up = Up::new(fd, process, Some(child));
        up.ask(&Request::Hello)?;
        (self.log)(&format!("{name}: started, process {}", process.pid));
        self.vms[index].up = Some(up);
        Ok(())
    }

    /// Watches until everything is down for good. `true`: everybody ended well.
    ///
    /// # Errors
    /// The parent itself can't go on; VMs run on.
    pub fn watch(&mut self) -> Result<bool, RunError> {
        while self.busy() {
            self.turn()?;
        }
        Ok(!self.vms.iter().any(|vm| vm.given_up))
    }

    fn busy(&self) -> bool {
        self.vms.iter().any(|vm| vm.up.is_some() || vm.due.is_some())
    }

    /// Waits for the next event, then does everything that is to be done.
    fn turn(&mut self) -> Result<(), RunError> {
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.listener.as_fd(), self.signals.as_fd()];
        fds.extend(self.clients.iter().map(AsFd::as_fd));
        let open = self.vms.iter().filter_map(|vm| vm.up.as_ref()).filter(|up| !up.closed);
        fds.extend(open.map(|up| up.channel.as_fd()));
        let ready = wait(&fds, self.timeout())?;
        if ready[1] && self.signals.read_signal().map_err(io::Error::from)?.is_some() {
            self.stop_all();
        }
        self.hear_clients();
        if ready[0] && self.clients.len() < CLIENTS {
            let client = admit(self.listener.as_fd(), Uid::effective().as_raw())?;
            self.clients.extend(client);
        }
        self.settle();
        Ok(())
    }

    fn timeout(&self) -> Option<u64> {
        let now = Instant::now();
        let closed = self.vms.iter().filter_map(|vm| vm.up.as_ref()).any(|up| up.closed);
        let times = |vm: &Vm| [vm.due, vm.up.as_ref().and_then(Up::next)];
        let next = self.vms.iter().flat_map(times).flatten().min();
        let ms = |at: Instant| u64::try_from(at.saturating_duration_since(now).as_millis()).unwrap_or(0) + 1;
        // A process whose door closed is gone in a moment.
        [next.map(ms), closed.then_some(2)].into_iter().flatten().min()
    }

    fn stop_all(&mut self) {
        self.stopping = true;
        self.vms.iter_mut().for_each(Vm::stop);
    }

    fn hear_clients(&mut self) {
        for client in std::mem::take(&mut self.clients) {
            if self.obey(&client).is_ok() {
                self.clients.push(client);
            }
        }
    }

    /// Everything that a client orders; an error of one that is gone.
    fn obey(&mut self, client: &Channel) -> io::Result<()> {
        while let Some((order, _)) = client.receive::<Order>()? {
            client.send(&self.order(&order), None)?;
        }
        Ok(())
    }

    fn order(&mut self, order: &Order) -> Outcome {
        let done = match order {
            Order::Status => return Outcome::States(self.vms.iter().map(Vm::state).collect()),
            Order::Stop(None) => {
                self.stop_all();
                Ok(())
            }
            Order::Stop(Some(name)) => self.index(name).map(|index| self.vms[index].stop()),
            Order::Restart(name) => self.restart(name),
        };
        done.map_or_else(|error| Outcome::Refused(error.to_string()), |()| Outcome::Done)
    }

    fn index(&self, name: &str) -> Result<usize, RunError> {
        let index = self.vms.iter().position(|vm| vm.name == name);
        index.ok_or_else(|| RunError::Unknown(name.to_owned()))
    }

    /// Ends a partition and starts it anew; starts one that is down.
    ///
    /// # Errors
    /// No such partition; one that was down can't be started.
    pub fn restart(&mut self, name: &str) -> Result<(), RunError> {
        let index = self.index(name)?;
        let vm = &mut self.vms[index];
        vm.given_up = false;
        vm.life = Life::new(self.manifest.partitions[index].restart);
        match &mut vm.up {
            Some(up) => up.stop(true),
            None => self.start(index)?,
        }
        Ok(())
    }

    /// Goes on until the partition is up anew and its guest runs; then others may watch.
    ///
    /// # Errors
    /// It ended, or the parent can't go on.
    pub fn until_running(&mut self, name: &str) -> Result<(), RunError> {
        loop {
            let vm = &self.vms[self.index(name)?];
            let stopping = vm.up.as_ref().is_some_and(|up| up.again);
            if !stopping && vm.state().state == "running" {
                return Ok(());
            }
            if vm.up.is_none() && vm.due.is_none() {
                let why = vm.last.clone().unwrap_or_default();
                return Err(io::Error::other(format!("{name}: {why}")).into());
            }
            self.turn()?;
        }
    }

    /// Hears the VMs, buries the dead, starts what is due, connects what is wanting.
    fn settle(&mut self) {
        let now = Instant::now();
        for index in 0..self.vms.len() {
            let partition = &self.manifest.partitions[index];
            let way = Way::of(&self.manifest, partition);
            if let Some(up) = &mut self.vms[index].up {
                if !up.closed {
                    up.hear();
                }
                for words in up.told() {
                    (self.log)(&format!("{}: {words}", partition.name.value));
                }
                up.links(way.as_ref(), now);
                if up.gone(now) {
                    up.hear();
                    self.bury(index, now);
                }
            }
            let due = self.vms[index].due.is_some_and(|due| due <= now) && !self.stopping;
            if let Some(Err(error)) = due.then(|| self.start(index)) {
                self.ended(index, End::Failed, error.to_string(), now);
            }
        }
    }

    fn bury(&mut self, index: usize, now: Instant) {
        let Some(mut up) = self.vms[index].up.take() else {
            return;
        };
        let (end, words) = up.end();
        let _ = fs::remove_file(self.folder.door(&self.vms[index].name));
        if up.again && !self.stopping {
            self.vms[index].due = Some(now);
            self.vms[index].last = Some(words);
            return;
        }
        self.ended(index, end, words, now);
    }

    fn ended(&mut self, index: usize, end: End, words: String, now: Instant) {
        let stopping = self.stopping;
        let vm = &mut self.vms[index];
        let next = if stopping { Next::Down } else { vm.life.ended(end, now) };
        let what = match next {
            Next::At(at) => {
                vm.due = Some(at);
                "is started again"
            }
            Next::Down => "stays down",
            Next::GivenUp => {
                vm.given_up = true;
                "is left down: too many restarts within a minute"
            }
        };
        (self.log)(&format!("{}: {words}; {what}", vm.name));
        vm.last = Some(words);
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // The next parent would find a socket nobody listens to, and take it away itself.
        let _ = fs::remove_file(self.folder.parent());
    }
}

/// SIGINT and SIGTERM as a descriptor.
fn signals() -> io::Result<SignalFd> {
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    set.thread_block()?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    Ok(SignalFd::with_flags(&set, flags)?)
}
