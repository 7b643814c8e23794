//! What one VMM process is given: a complete, resolved description of one VM.
//!
//! The parent makes a [`Plan`] from the manifest and hands it over with the descriptors it names ([`Fds`]). A plan holds
//! facts only (addresses, CPUs, sizes, names of descriptors), and all of them: the same program writes and reads it, so nothing
//! has a default. Whatever had to be decided was decided before. Nothing in it is a path: a VMM process opens nothing.
//!
//! ```text
//!  manifest ──check──► Plan (JSON) + Fds ──► vm::run(plan, fds, lock) ──► Exit
//! ```

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::vm::error::{Fault, host};

/// One VM.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Plan {
    /// Name of the partition; threads and messages carry it.
    pub name: String,
    /// vCPUs in the order of their APIC ids; at least one, at most [`Plan::MAX_VCPUS`].
    pub vcpus: Vec<Thread>,
    /// The thread that serves consoles, block images and the control socket.
    pub service: Thread,
    /// Guest-physical memory. The kernel is loaded into regions of kind [`RegionKind::Ram`].
    pub memory: Vec<Region>,
    /// What is started.
    pub boot: Boot,
    /// The serial port COM1; without it, its output is thrown away.
    pub console: Option<Console>,
    /// Devices, in the order of their PCI slots (the first is 00:01.0) or virtio-mmio addresses.
    pub devices: Vec<Device>,
    /// Ports of the machine that the VM may use.
    pub ioports: Vec<PortRange>,
}

impl Plan {
    /// The most vCPUs of a VM.
    pub const MAX_VCPUS: usize = 64;
    /// The most devices of a VM: the slots of PCI bus 0 but the host bridge's.
    pub const MAX_DEVICES: usize = 31;
}

/// Where a thread runs, and how.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Thread {
    /// Host CPUs the thread may run on; empty leaves the affinity as it is.
    pub cpus: Vec<usize>,
    /// SCHED_FIFO priority 1 to 99; none is SCHED_OTHER.
    pub fifo: Option<u8>,
}

/// A piece of guest-physical memory, backed by a sealed memfd or a mapping of someone else's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Region {
    /// Guest-physical address in bytes, a multiple of 4096 (2 MiB for a window).
    pub guest_address: u64,
    /// Bytes, a multiple of 4096 (2 MiB for a window).
    pub size: u64,
    /// The memfd: it must carry F_SEAL_SHRINK, or it is refused.
    pub fd: String,
    /// Where in the memfd, in bytes.
    pub offset: u64,
    /// How the guest is told of it.
    pub kind: RegionKind,
    /// vhost-user back ends get it in their memory table.
    pub shared: bool,
    /// A passed-through device may read and write it by DMA.
    pub dma: bool,
    /// When its pages are there.
    pub locked: Locked,
}

/// How a guest is told of a region.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegionKind {
    /// RAM in the memory map.
    Ram,
    /// Reserved in the memory map: the DMA pool of a driver that knows its address.
    Pool,
    /// Soft reserved (e820 type 0xefff_ffff): Linux makes `/dev/daxN.0` of it.
    Window,
}

/// When pages are made present and locked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Locked {
    /// All of them before the guest starts.
    Now,
    /// Each with its first use, or soon after the start; it stays from then on.
    OnUse,
    /// Never.
    No,
}

/// Kernel, initial RAM disk and command line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Boot {
    /// A bzImage or an ELF with a PVH note.
    pub kernel: String,
    /// The initial RAM disk.
    pub initrd: Option<String>,
    /// Kernel command line.
    pub cmdline: String,
}

/// Descriptors of COM1: a terminal, pipe, socket or file. A reader that doesn't keep up loses output; the guest never waits.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Console {
    /// Takes what the guest writes.
    pub output: String,
    /// Gives what the guest reads.
    pub input: Option<String>,
}

/// A device.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Device {
    /// virtio-sound, made by a vhost-user back end.
    Snd(Sound),
    /// Entropy of the host's `getrandom`.
    Rng {
        /// How the driver reaches it.
        transport: Transport,
    },
    /// A block image.
    Blk {
        /// How the driver reaches it.
        transport: Transport,
        /// The image; its length is rounded down to 512 bytes.
        image: String,
        /// It is open for reading alone.
        read_only: bool,
        /// Serial number told to the guest, at most 20 bytes.
        serial: String,
    },
    /// vsock by the host kernel.
    Vsock {
        /// How the driver reaches it.
        transport: Transport,
        /// The guest's CID, 3 or more.
        cid: u32,
        /// `/dev/vhost-vsock`, opened.
        vhost: String,
    },
    /// A PCI function of the machine.
    Vfio {
        /// Its address, as "0000:00:03.0".
        address: String,
        /// `/dev/vfio/vfio`, opened; functions of one VM may name the same.
        container: String,
        /// `/dev/vfio/GROUP`, opened.
        group: String,
    },
    /// The service VM's doorbell: a PCI function whose memory BAR 0 has one word for each guest's queue. A write of 4 bytes
    /// signals the word's eventfd, without an exit to this process.
    Doorbell {
        /// The words that lead somewhere.
        words: Vec<Word>,
    },
    /// The panic notifier (port 0x505, ACPI QEMU0001).
    Pvpanic,
    /// The watchdog of bare-metal partitions (port 0x510): the guest writes milliseconds until the VM is given up.
    Watchdog,
}

/// A sound device. Its back ends come by [`Request::Link`].
///
/// [`Request::Link`]: crate::vm::control::Request::Link
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Sound {
    /// Name in messages to and from the parent.
    pub name: String,
    /// How the driver reaches it.
    pub transport: Transport,
    /// Largest queue size offered, a power of two, at most 1024.
    pub queue_size: u16,
    /// How long the guest is held at DRIVER_OK for the back end, in milliseconds.
    pub hold_ms: u64,
    /// What the stand-in answers while the back end is away.
    pub declared: Declared,
}

/// A word of a doorbell.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Word {
    /// Its number; it lies at four times as many bytes.
    pub word: u16,
    /// The eventfd.
    pub fd: String,
}

/// How a virtio driver reaches its device.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A PCI function with MSI-X: no exit for an interrupt.
    Pci,
    /// Memory-mapped registers (ACPI LNRO0005): two exits an interrupt.
    Mmio,
}

/// The numbers a sound device has in its configuration space and what it says in PCM_INFO, for the time without a back end.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Declared {
    /// PCM streams.
    pub streams: Vec<DeclaredStream>,
    /// The way to the back end knows no VIRTIO_RING_F_EVENT_IDX: it is not offered before one is there either.
    pub flags_only: bool,
}

/// `virtio_snd_pcm_info` of one stream (virtio 1.3, 5.14.6.6.2).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DeclaredStream {
    /// `true`: capture.
    pub input: bool,
    /// Bits of VIRTIO_SND_PCM_FMT_*.
    pub formats: u64,
    /// Bits of VIRTIO_SND_PCM_RATE_*.
    pub rates: u64,
    /// Fewest channels.
    pub channels_min: u8,
    /// Most channels.
    pub channels_max: u8,
}

/// Ports of the machine given to the VM: each access goes to `/dev/port`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
    /// `/dev/port`, opened for reading and writing.
    pub fd: String,
}

/// The descriptors that came with a plan, by name.
///
/// Two names are always looked for: `kvm` (`/dev/kvm`, opened read-write) and `control` (a SOCK_SEQPACKET socket to the
/// parent; without it nothing can be asked of the VM but signals).
#[derive(Debug, Default)]
pub struct Fds(BTreeMap<String, OwnedFd>);

impl Fds {
    /// Adds one; a second of the same name takes the first's place and closes it.
    pub fn insert(&mut self, name: impl Into<String>, fd: impl Into<OwnedFd>) {
        self.0.insert(name.into(), fd.into());
    }

    /// Takes one out.
    ///
    /// # Errors
    /// It was not given.
    pub fn take(&mut self, name: &str) -> Result<OwnedFd, Fault> {
        self.0.remove(name).ok_or_else(|| missing(name))
    }

    /// A second descriptor of the same open file; for what several parts of a plan may name.
    ///
    /// # Errors
    /// It was not given, or there are no descriptors left.
    pub fn duplicate(&self, name: &str) -> Result<OwnedFd, Fault> {
        let known = self.0.get(name).ok_or_else(|| missing(name))?;
        known.try_clone().map_err(host("duplicate a descriptor"))
    }
}

fn missing(name: &str) -> Fault {
    Fault::plan(format!("the descriptor {name:?} was not given"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_comes_back_from_json_as_it_was_and_one_that_lacks_something_is_none() {
        let ram = Region {
            guest_address: 0,
            size: 16 << 20,
            fd: "ram".to_owned(),
            offset: 0,
            kind: RegionKind::Ram,
            shared: true,
            dma: false,
            locked: Locked::OnUse,
        };
        let sound = Sound {
            name: "snd0".to_owned(),
            transport: Transport::Pci,
            queue_size: 64,
            hold_ms: 2000,
            declared: Declared::default(),
        };
        let plan = Plan {
            name: "ivi".to_owned(),
            vcpus: vec![Thread::default()],
            service: Thread::default(),
            memory: vec![ram],
            boot: Boot {
                kernel: "kernel".to_owned(),
                initrd: None,
                cmdline: String::new(),
            },
            console: None,
            devices: vec![Device::Snd(sound), Device::Pvpanic],
            ioports: Vec::new(),
        };

        let text = serde_json::to_string(&plan).unwrap();

        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        let error = serde_json::from_str::<Plan>(&text.replace("hold_ms", "hold")).unwrap_err();
        assert!(error.to_string().contains("hold_ms"), "{error}");
    }
}
