//! One running VM.
//!
//! ```text
//!  run: mapped ──► built ──► threads placed ──► locked in ──► running ──► ending set ──► threads joined ──► Exit
//!         │ fault    │ fault      │ fault          │ fault        (vCPUs, devices, parent: the first word counts)
//!         └──────────┴────────────┴────────────────┴──► Error, no guest instruction was run
//! ```
//! Threads: one a vCPU, and the service thread (the caller of [`run`]) for consoles, images, links and the parent.

pub(crate) mod bus;
pub mod control;
mod devices;
pub(crate) mod ending;
pub mod error;
pub(crate) mod host;
pub mod memory;
pub(crate) mod poller;
mod stats;
mod threads;
mod vcpu;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use kvm_ioctls::{Kvm, VmFd};

use self::bus::Bus;
use self::control::{Channel, Report, Reporter, Request};
use self::devices::Devices;
use self::ending::Ending;
use self::host::{Host, KvmHost};
use self::memory::Memory;
use self::poller::{Handler, Poller};
use self::threads::Threads;
pub(crate) use self::threads::spawn;
use self::vcpu::{Gauge, Vcpu};
use crate::arch;
use crate::boot::Images;
use crate::plan::{Fds, Plan, Thread};

use self::error::refuse;
pub use self::error::{Error, Fault};

/// How a VM ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// The guest powered off.
    PowerOff,
    /// The guest asked for a reset: to be started again.
    Reset,
    /// The guest told of a panic by the panic notifier.
    Panicked,
    /// The guest let its watchdog run out.
    Watchdog,
    /// The parent asked.
    Stopped,
}

impl Exit {
    /// The exit status of the VMM process: 0 power-off or stopped, 10 reset, 11 panicked, 12 watchdog.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::PowerOff | Self::Stopped => 0,
            Self::Reset => 10,
            Self::Panicked => 11,
            Self::Watchdog => 12,
        }
    }
}

/// Runs a VM to its end, in the calling process.
///
/// `lock` is called once, when everything is set up and all threads exist but no guest instruction has run: the place
/// for a seccomp filter on all threads (`apply_filter_all_threads`). From then on the process needs no more than: read,
/// write, readv, writev, pread64, pwrite64, lseek, ioctl, epoll_wait, epoll_pwait, epoll_ctl, sendmsg, recvmsg, recvfrom,
/// sendto, getsockopt, setsockopt, poll, futex, tgkill, getpid, gettid, getrandom, timerfd_settime, timerfd_gettime, mmap,
/// munmap, mremap, mprotect, madvise, brk, close, fcntl, eventfd2, rt_sigreturn, rt_sigprocmask, sigaltstack, sched_yield,
/// clock_gettime, clock_nanosleep, restart_syscall, exit, exit_group; sched_setscheduler to SCHED_OTHER or SCHED_IDLE.
///
/// The parent is served by the `control` descriptor (see [`control`]).
///
/// # Errors
/// The host or the plan doesn't allow this VM, or the guest can't go on: told with cause and cure.
pub fn run(plan: Plan, fds: Fds, lock: impl FnOnce() -> Result<(), String>) -> Result<Exit, Error> {
    let started = Instant::now();
    let partition = plan.name.clone();
    Vm::build(&plan, fds)
        .and_then(|vm| vm.run(&plan, lock, started))
        .map_err(|fault| Error { partition, fault })
}

/// Everything of a VM before its threads run.
struct Vm {
    vcpus: Vec<Vcpu>,
    gauges: Vec<Arc<Gauge>>,
    ending: Arc<Ending>,
    poller: Arc<Poller>,
    control: Option<Arc<Channel>>,
    devices: Devices,
    /// Guest memory must outlive the threads.
    memory: Memory,
    /// When the last descriptor of the VM is closed KVM forgets its irqfds: a VM whose devices keep none would get no interrupts.
    _kvm: Arc<VmFd>,
}

impl Vm {
    fn build(plan: &Plan, mut fds: Fds) -> Result<Self, Fault> {
        check(plan)?;
        let kvm = open_kvm(&mut fds)?;
        let vm = Arc::new(kvm.create_vm().map_err(error::host("KVM_CREATE_VM"))?);
        arch::create_controllers(&vm)?;
        let memory = Memory::map(&plan.memory, &fds)?;
        let host: Arc<dyn Host> = Arc::new(KvmHost::new(Arc::clone(&vm)));
        insert_memory(host.as_ref(), &memory)?;
        let ending = Arc::new(Ending::new().map_err(error::host("eventfd"))?);
        let poller = Arc::new(Poller::new().map_err(error::host("epoll"))?);
        // Without one nothing can be asked of the VM.
        let control = fds.take("control").ok().map(|fd| Arc::new(Channel::from(fd)));
        let reporter = Reporter::new(control.clone());
        let context = devices::Context {
            vm: &vm,
            host,
            memory: &memory,
            ending: &ending,
            poller: &poller,
            reporter,
        };
        let (bus, devices) = Devices::build(plan, &mut fds, &context)?;
        let mut open = |name: &String| fds.take(name).map(File::from);
        let images = Images {
            kernel: open(&plan.boot.kernel)?,
            initrd: plan.boot.initrd.as_ref().map(open).transpose()?,
            cmdline: plan.boot.cmdline.clone(),
        };
        let entry = arch::load(&memory, images, &devices.machine)?;
        let vcpus = make_vcpus(&kvm, &vm, plan.vcpus.len(), &Arc::new(bus), &ending)?;
        if let Some(first) = vcpus.first() {
            arch::enter(&first.fd, entry, &memory.ram)?;
        }
        let gauges = vcpus.iter().map(|vcpu| Arc::clone(&vcpu.gauge)).collect();
        Ok(Self {
            vcpus,
            gauges,
            ending,
            poller,
            control,
            devices,
            memory,
            _kvm: vm,
        })
    }

    fn run(self, plan: &Plan, lock: impl FnOnce() -> Result<(), String>, started: Instant) -> Result<Exit, Fault> {
        let (ending, poller, devices) = (self.ending, self.poller, self.devices);
        let mut threads = Threads::spawn(self.vcpus, plan)?;
        if let Some(later) = self.memory.later.clone() {
            let (ending, name) = (Arc::clone(&ending), plan.name.clone());
            let populate = move || {
                vcpu::release(libc::SCHED_IDLE);
                if let Err(e) = memory::populate(&later, || ending.is_set()) {
                    eprintln!("{name}: its memory comes with its first use only: {e}");
                }
            };
            let cpus = plan.service.cpus.clone();
            threads.add(&Thread { cpus, fifo: None }, format!("{}:memory", plan.name), populate)?;
        }
        vcpu::place(&plan.service, &format!("{}:service", plan.name))?;
        let watched = poller.add(ending.as_raw_fd(), Arc::new(Woken), 0);
        watched.map_err(error::host("epoll"))?;
        devices.start(&poller)?;
        if let Some(channel) = &self.control {
            let requests = Requests {
                channel: Arc::clone(channel),
                ending: Arc::clone(&ending),
                gauges: self.gauges,
                devices,
                poller: Arc::clone(&poller),
            };
            let watched = poller.add(channel.as_fd().as_raw_fd(), Arc::new(requests), 0);
            watched.map_err(error::host("control socket"))?;
        }
        lock().map_err(|cause| Fault::Host(format!("sandbox: {cause}")))?;
        threads.start();
        let setup_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Reporter::new(self.control).tell(&Report::Running { setup_us });
        while !ending.is_set() {
            if let Err(e) = poller.turn() {
                ending.set(Err(Fault::runtime(format!("event loop: {e}"))));
            }
        }
        threads.join();
        vcpu::release(libc::SCHED_OTHER);
        ending.outcome().unwrap_or(Ok(Exit::Stopped))
    }
}

/// Ends the loop's wait: the loop looks at the ending itself.
struct Woken;

impl Handler for Woken {
    fn ready(&self, _token: u32) {}
}

/// Requests of the parent.
struct Requests {
    channel: Arc<Channel>,
    ending: Arc<Ending>,
    gauges: Vec<Arc<Gauge>>,
    devices: Devices,
    poller: Arc<Poller>,
}

impl Requests {
    fn answer(&self, request: Request, fd: Option<OwnedFd>) {
        let reporter = Reporter::new(Some(Arc::clone(&self.channel)));
        match (request, fd) {
            (Request::Stop, _) => self.ending.set(Ok(Exit::Stopped)),
            (Request::Stats, _) => reporter.tell(&Report::Stats {
                vcpus: self.gauges.iter().map(|gauge| gauge.read()).collect(),
                devices: self.devices.counters(),
            }),
            (Request::Link { device }, Some(socket)) => self.devices.connect(&device, socket, &reporter),
            // The door's own, or a link without its descriptor.
            _ => {}
        }
    }
}

impl Handler for Requests {
    fn ready(&self, _token: u32) {
        match self.channel.receive::<Request>() {
            Ok(Some((request, fd))) => self.answer(request, fd),
            Ok(None) => {}
            // What is no request is none of the guest's business: the parent is trusted, and will be told nothing.
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {}
            // The parent is gone: the VM runs on.
            Err(_) => self.poller.remove(self.channel.as_fd().as_raw_fd()),
        }
    }
}

fn check(plan: &Plan) -> Result<(), Fault> {
    if plan.vcpus.is_empty() || plan.vcpus.len() > Plan::MAX_VCPUS {
        refuse!("{} vCPUs: give 1 to {}", plan.vcpus.len(), Plan::MAX_VCPUS);
    }
    if plan.devices.len() > Plan::MAX_DEVICES {
        refuse!("{} devices: at most {}", plan.devices.len(), Plan::MAX_DEVICES);
    }
    Ok(())
}

/// The version every Linux since 2.6.22 has.
const KVM_API: i32 = 12;

fn open_kvm(fds: &mut Fds) -> Result<Kvm, Fault> {
    use std::os::fd::FromRawFd;
    let fd = fds.take("kvm")?;
    // SAFETY: the descriptor is ours and is given away.
    let kvm = unsafe { Kvm::from_raw_fd(fd.into_raw_fd()) };
    match kvm.get_api_version() {
        KVM_API => Ok(kvm),
        _ => Err(Fault::Host(
            "the descriptor \"kvm\" is not /dev/kvm, or KVM isn't usable".to_owned(),
        )),
    }
}

fn insert_memory(host: &dyn Host, memory: &Memory) -> Result<(), Fault> {
    for (at, size, address) in memory.regions_where(|_| true) {
        // SAFETY: the mapping is owned by `memory`, which outlives the vCPUs.
        unsafe { host.map(host.new_slot(), at, address, size) }.map_err(error::host("guest memory"))?;
    }
    Ok(())
}

fn make_vcpus(kvm: &Kvm, vm: &VmFd, count: usize, bus: &Arc<Bus>, ending: &Arc<Ending>) -> Result<Vec<Vcpu>, Fault> {
    let template = arch::Template::new(kvm, count)?;
    (0..count)
        .map(|index| {
            let fd = vm.create_vcpu(index as u64).map_err(error::host("KVM_CREATE_VCPU"))?;
            template.set_up(&fd, u8::try_from(index).map_err(Fault::plan)?)?;
            let gauge = Arc::new(Gauge::new(&fd));
            Ok(Vcpu {
                fd,
                bus: Arc::clone(bus),
                ending: Arc::clone(ending),
                gauge,
            })
        })
        .collect()
}
