//! Runs a VM in this process: memory, kernel, console and control socket as the parent would give them.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;

use hypervisor::plan::{Boot, Console, Fds, Locked, Plan, Region, RegionKind, Thread};
use hypervisor::vm::control::Channel;
use hypervisor::vm::memory::create;
use hypervisor::vm::{self, Error, Exit};

/// RAM of a test guest.
pub const RAM: u64 = 16 << 20;

/// One vCPU, 16 MiB, a console.
pub fn plan() -> Plan {
    let ram = Region {
        guest_address: 0,
        size: RAM,
        fd: "ram".to_owned(),
        offset: 0,
        kind: RegionKind::Ram,
        shared: true,
        dma: false,
        locked: Locked::OnUse,
    };
    Plan {
        name: "test".to_owned(),
        vcpus: vec![Thread::default()],
        service: Thread::default(),
        memory: vec![ram],
        boot: Boot {
            kernel: "kernel".to_owned(),
            initrd: None,
            cmdline: String::new(),
        },
        console: Some(Console {
            output: "console".to_owned(),
            input: None,
        }),
        devices: Vec::new(),
        ioports: Vec::new(),
    }
}

/// What a VM is given.
pub struct Rig {
    pub fds: Fds,
    console: File,
    /// Why the sandbox fails, if it is to.
    pub lock: Option<String>,
}

/// What became of it.
pub struct Outcome {
    pub exit: Result<Exit, Error>,
    pub console: Vec<u8>,
}

impl Rig {
    /// Everything for a guest with this kernel.
    pub fn new(kernel: &[u8]) -> Self {
        let mut fds = Fds::default();
        let kvm = File::options().read(true).write(true).open("/dev/kvm").unwrap();
        fds.insert("kvm", OwnedFd::from(kvm));
        fds.insert("ram", create("ram", RAM, false).unwrap().0);
        fds.insert("kernel", OwnedFd::from(file(kernel)));
        let console = file(&[]);
        fds.insert("console", OwnedFd::from(console.try_clone().unwrap()));
        Self {
            fds,
            console,
            lock: None,
        }
    }

    /// A control socket; gives the parent's end.
    pub fn parent(&mut self) -> Channel {
        let (parent, other) = Channel::pair().unwrap();
        self.fds.insert("control", other);
        parent
    }

    /// Runs it to its end.
    pub fn run(mut self, plan: Plan) -> Outcome {
        let lock = self.lock.take();
        self.run_with(plan, || lock.map_or(Ok(()), Err))
    }

    /// Runs it to its end with this sandbox.
    pub fn run_with(mut self, plan: Plan, lock: impl FnOnce() -> Result<(), String>) -> Outcome {
        let exit = vm::run(plan, self.fds, lock);
        let mut console = Vec::new();
        self.console.rewind().unwrap();
        self.console.read_to_end(&mut console).unwrap();
        Outcome { exit, console }
    }
}

/// An unnamed file with this content.
pub fn file(bytes: &[u8]) -> File {
    // SAFETY: the name is a C string; the descriptor is nobody else's.
    let mut file: File = unsafe {
        let fd = libc::memfd_create(c"file".as_ptr(), libc::MFD_CLOEXEC);
        std::os::fd::FromRawFd::from_raw_fd(fd)
    };
    file.write_all(bytes).unwrap();
    file
}
