//! Makes the devices of a plan and puts them on the buses.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use kvm_ioctls::VmFd;

use super::bus::{Bus, Registers};
use super::control::{Report, Reporter};
use super::ending::Ending;
use super::error::{Fault, host, refuse};
use super::host::Host;
use super::memory::{Guest, Memory};
use super::poller::Poller;
use crate::acpi::Machine;
use crate::arch::{self, layout};
use crate::devices::doorbell::Doorbell;
use crate::devices::panic::{self, PanicNotifier};
use crate::devices::pci::config::Space;
use crate::devices::pci::{BarWindow, Ecam, Function, HOST_BRIDGE, Root};
use crate::devices::ports::HostPorts;
use crate::devices::serial::Console;
use crate::devices::virtio::VirtioDevice;
use crate::devices::virtio::blk::Blk;
use crate::devices::virtio::mmio::MmioVirtio;
use crate::devices::virtio::pci::PciVirtio;
use crate::devices::virtio::rng::Rng;
use crate::devices::virtio::snd::{Link, Snd};
use crate::devices::virtio::vsock::Vsock;
use crate::devices::watchdog::{self, Watchdog};
use crate::plan::{Device, Fds, Plan, Transport, Word};
use crate::vfio;

/// What devices are made with.
pub struct Context<'a> {
    pub vm: &'a Arc<VmFd>,
    pub host: Arc<dyn Host>,
    pub memory: &'a Memory,
    pub ending: &'a Arc<Ending>,
    pub poller: &'a Arc<Poller>,
    pub reporter: Reporter,
}

/// The devices that something outside the guest talks to.
pub struct Devices {
    /// What the tables tell of them.
    pub machine: Machine,
    console: Arc<Console>,
    links: Vec<Arc<Link>>,
    watchdog: Option<Arc<Watchdog>>,
    panic: Option<Arc<PanicNotifier>>,
}

impl Devices {
    /// Makes them all.
    ///
    /// # Errors
    /// A descriptor is missing or of the wrong kind, or there is no room for a device.
    pub fn build(plan: &Plan, fds: &mut Fds, context: &Context) -> Result<(Bus, Self), Fault> {
        let mut builder = Builder::new(plan, fds, context)?;
        for range in &plan.ioports {
            let file = File::from(fds.take(&range.fd)?);
            let ports = HostPorts {
                file,
                first: range.first,
                last: range.last,
            };
            builder
                .bus
                .ports
                .insert(range.first.into(), range.last.into(), Arc::new(ports));
        }
        let mut vfio = vfio::Containers::default();
        for device in &plan.devices {
            builder.add(device, fds, &mut vfio)?;
        }
        builder.finish()
    }

    /// Watches what is to be watched.
    pub fn start(&self, poller: &Arc<Poller>) -> Result<(), Fault> {
        self.console.listen();
        if let Some(watchdog) = &self.watchdog {
            let watched = poller.add(watchdog.as_raw_fd(), watchdog.clone(), 0);
            watched.map_err(host("watchdog"))?;
        }
        Ok(())
    }

    /// Gives a sound device a new back end.
    pub fn connect(&self, device: &str, socket: OwnedFd, reporter: &Reporter) {
        match self.links.iter().find(|link| link.name() == device) {
            Some(link) => link.connect(socket),
            None => reporter.tell(&Report::LinkLost {
                device: device.to_owned(),
                cause: "this VM has no sound device of this name".to_owned(),
            }),
        }
    }

    /// Counters by "device.counter".
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::from([("console.lost".to_owned(), self.console.lost())]);
        for link in &self.links {
            let named = |(counter, value)| (format!("{}.{counter}", link.name()), value);
            all.extend(link.counters().map(named));
        }
        if let Some(panic) = &self.panic {
            all.insert("pvpanic.told".to_owned(), panic.told().into());
        }
        all
    }
}

struct Builder<'a> {
    context: &'a Context<'a>,
    bus: Bus,
    functions: Vec<Box<dyn Function>>,
    devices: Devices,
}

impl<'a> Builder<'a> {
    fn new(plan: &Plan, fds: &mut Fds, context: &'a Context<'a>) -> Result<Self, Fault> {
        let mut bus = Bus::default();
        arch::insert_power(&mut bus, context.ending);
        let console = plan.console.as_ref();
        let mut open = |name: &String| fds.take(name).map(File::from);
        let output = console.map(|console| open(&console.output)).transpose()?;
        let input = console.and_then(|console| console.input.as_ref());
        let input = input.map(open).transpose()?;
        let console = Console::new(output, input, context.poller).map_err(host("console"))?;
        let line = console.interrupt().map_err(host("console"))?;
        context.host.attach(arch::SERIAL_PIN, &line).map_err(host("console"))?;
        arch::insert_console(&mut bus, console.clone());
        let vcpus = u8::try_from(plan.vcpus.len()).map_err(Fault::plan)?;
        let machine = Machine {
            vcpus,
            ..Machine::default()
        };
        let devices = Devices {
            machine,
            console,
            links: Vec::new(),
            watchdog: None,
            panic: None,
        };
        Ok(Self {
            context,
            bus,
            functions: vec![Box::new(Space::new(HOST_BRIDGE))],
            devices,
        })
    }

    fn add(&mut self, device: &Device, fds: &mut Fds, vfio: &mut vfio::Containers) -> Result<(), Fault> {
        let (poller, ending) = (self.context.poller, self.context.ending);
        let own = self.context.memory.own.clone();
        match device {
            Device::Snd(sound) => {
                let (name, size) = (&sound.name, sound.queue_size);
                if !size.is_power_of_two() || size > crate::devices::virtio::QUEUE_SIZE_MAX {
                    refuse!("{name}: queue_size must be a power of two, at most 1024");
                }
                let snd = Snd::new(sound.clone(), self.context.reporter.clone(), poller).map_err(host("timer"))?;
                self.devices.links.push(snd.link());
                let shared = self.context.memory.shared.clone();
                let shared =
                    shared.ok_or_else(|| Fault::plan("a sound device needs a memory region with \"shared\""))?;
                self.add_virtio(Box::new(snd), shared, sound.transport)
            }
            Device::Rng { transport } => self.add_virtio(Box::new(Rng::new(poller)), own, *transport),
            Device::Blk {
                transport,
                image,
                read_only,
                serial,
            } => {
                let file = File::from(fds.take(image)?);
                let blk = Blk::new(file, *read_only, serial, poller).map_err(host("block image"))?;
                self.add_virtio(Box::new(blk), own, *transport)
            }
            Device::Vsock { transport, cid, vhost } => {
                let vsock = Vsock::new(fds.take(vhost)?, *cid, &own)?;
                self.add_virtio(Box::new(vsock), own, *transport)
            }
            Device::Vfio {
                address,
                container,
                group,
            } => {
                let names = [address.as_str(), container, group];
                let opened = vfio.open(fds, names, self.context.vm, self.context.memory)?;
                let slot = u8::try_from(self.functions.len()).map_err(Fault::plan)?;
                let function = vfio::Passed::new(opened, Arc::clone(&self.context.host), slot)?;
                if let Some(pin) = function.intx_pin() {
                    self.devices.machine.intx.push((slot, pin));
                }
                self.functions.push(Box::new(function));
                Ok(())
            }
            Device::Doorbell { words } => {
                let event = |word: &Word| Ok((word.word, fds.take(&word.fd)?));
                let words = words.iter().map(event).collect::<Result<_, Fault>>()?;
                let doorbell = Doorbell::new(words, Arc::clone(&self.context.host)).map_err(Fault::plan)?;
                self.functions.push(Box::new(doorbell));
                Ok(())
            }
            Device::Pvpanic => {
                let device = Arc::new(PanicNotifier::new(Arc::clone(ending)));
                self.port(panic::PORT, device.clone());
                (self.devices.panic, self.devices.machine.has_pvpanic) = (Some(device), true);
                Ok(())
            }
            Device::Watchdog => {
                let device = Arc::new(Watchdog::new(Arc::clone(ending)).map_err(host("watchdog"))?);
                self.port(watchdog::PORT, device.clone());
                self.devices.watchdog = Some(device);
                Ok(())
            }
        }
    }

    fn port(&mut self, port: u16, device: Arc<dyn Registers>) {
        self.bus.ports.insert(port.into(), port.into(), device);
    }

    fn add_virtio(&mut self, device: Box<dyn VirtioDevice>, memory: Guest, transport: Transport) -> Result<(), Fault> {
        let kvm = &self.context.host;
        match transport {
            Transport::Pci => {
                let function = PciVirtio::new(device, memory, Arc::clone(kvm)).map_err(host("virtio over PCI"))?;
                self.functions.push(Box::new(function));
            }
            Transport::Mmio => {
                let index = self.devices.machine.mmio.len();
                let pin = *arch::MMIO_PINS.get(index).ok_or_else(|| {
                    Fault::plan(format!(
                        "more than {} virtio-mmio devices: use PCI",
                        arch::MMIO_PINS.len()
                    ))
                })?;
                let at = layout::VIRTIO_MMIO + layout::VIRTIO_MMIO_STEP * index as u64;
                let device = MmioVirtio::new(device, memory, kvm, at, pin).map_err(host("virtio over MMIO"))?;
                self.bus
                    .memory
                    .insert(at, at + layout::VIRTIO_MMIO_STEP - 1, Arc::new(device));
                let at = u32::try_from(at).map_err(Fault::plan)?;
                self.devices.machine.mmio.push((at, pin));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Bus, Devices), Fault> {
        let root = Arc::new(Root::new(self.functions)?);
        arch::insert_pci_ports(&mut self.bus, &root);
        let window = BarWindow {
            root: Arc::clone(&root),
            is_port: false,
            first: layout::PCI_MEMORY,
        };
        self.bus
            .memory
            .insert(layout::PCI_MEMORY, layout::PCI_MEMORY_END - 1, Arc::new(window));
        self.bus
            .memory
            .insert(layout::ECAM, layout::ECAM + layout::ECAM_SIZE - 1, Arc::new(Ecam(root)));
        Ok((self.bus, self.devices))
    }
}
