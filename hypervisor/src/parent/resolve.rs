//! From the manifest to one VM's [`Plan`]: addresses, CPUs, names of descriptors, and where each descriptor comes from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::arch::layout;
use crate::manifest::{
    At, Console, Direction, Manifest, Partition, Realtime, Role, Sound, WINDOW_PAGE, Window, WindowMode,
};
use crate::plan::{
    self, Boot, Declared, DeclaredStream, Device, Plan, PortRange, Region, RegionKind, Thread, Transport,
};
use crate::window::Piece;

/// Queues of a sound device.
use vhost_sound::block::QUEUES;
/// Pools of drivers that know their address.
pub const POOL: u64 = 0xb000_0000;
/// Windows are above it, as they are above the RAM.
const WINDOWS: u64 = 1 << 32;
/// The sound device's name in messages.
pub const SOUND: &str = "snd0";

/// Where a descriptor comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or device node.
    Open(PathBuf, bool),
    /// Sealed memory by its name: size, huge pages.
    Memory(String, u64, bool),
    /// An eventfd by its name.
    Event(String),
    /// The log file of its console.
    Log,
    /// Standard output.
    Output,
    /// Standard input.
    Input,
}

/// A plan and the descriptors it names.
#[derive(Debug)]
pub struct Resolved {
    /// The plan.
    pub plan: Plan,
    /// Its descriptors, by name.
    pub wants: Vec<(String, Source)>,
    /// What its relay is told, if its sound goes by a window.
    pub link: Option<WindowLink>,
}

/// A partition's side of its window.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct WindowLink {
    /// What of the guest is in the window.
    pub pieces: Vec<Piece>,
    /// Eventfds of its words of the doorbell, by name, one a queue.
    pub bells: Vec<String>,
    /// Memory of the pool that copies go to, by name, in `bounce`.
    pub pool: Option<String>,
}

struct Maker<'m> {
    manifest: &'m Manifest,
    partition: &'m Partition,
    wants: Vec<(String, Source)>,
}

/// The plan of one partition of a checked manifest.
pub fn resolve(manifest: &Manifest, partition: &Partition) -> Resolved {
    let mut maker = Maker {
        manifest,
        partition,
        wants: Vec::new(),
    };
    maker.open("kvm", "/dev/kvm", true);
    let plan = Plan {
        name: partition.name.value.clone(),
        vcpus: maker.vcpus(),
        service: maker.service(),
        memory: maker.memory(),
        boot: maker.boot(),
        console: maker.console(),
        devices: maker.devices(),
        ioports: maker.ioports(),
    };
    let link = maker.link(&plan);
    Resolved {
        plan,
        wants: maker.wants,
        link,
    }
}

impl Maker<'_> {
    fn want(&mut self, name: impl Into<String>, source: Source) -> String {
        let name = name.into();
        if !self.wants.iter().any(|(known, _)| *known == name) {
            self.wants.push((name.clone(), source));
        }
        name
    }

    fn open(&mut self, name: impl Into<String>, path: impl Into<PathBuf>, write: bool) -> String {
        self.want(name, Source::Open(path.into(), write))
    }

    fn cpus(&self) -> Vec<usize> {
        let cpus = self.manifest.cpus_of(self.partition);
        cpus.into_iter().map(|cpu| cpu as usize).collect()
    }

    fn memory_of(&mut self, name: String, size: u64, huge: bool) -> String {
        self.want(name.clone(), Source::Memory(name, size, huge))
    }

    /// With as many CPUs of its own as vCPUs, each vCPU has one; else they share what there is.
    fn vcpus(&self) -> Vec<Thread> {
        let (cpus, count) = (self.cpus(), self.manifest.vcpus_of(self.partition));
        let pinned = self.partition.cpus.is_some() && cpus.len() == count as usize;
        let realtime = self.partition.realtime.as_ref();
        let is_realtime = |index| move |realtime: &&At<Realtime>| realtime.vcpus.iter().any(|vcpu| **vcpu == index);
        let vcpu = |index: u32| Thread {
            cpus: cpus
                .get(index as usize)
                .filter(|_| pinned)
                .map_or(cpus.clone(), |cpu| vec![*cpu]),
            fifo: realtime.filter(is_realtime(index)).map(|realtime| realtime.priority),
        };
        (0..count).map(vcpu).collect()
    }

    /// Above real-time vCPUs, or a vCPU that spins would keep its own devices away.
    fn service(&self) -> Thread {
        Thread {
            cpus: self.cpus(),
            fifo: self
                .partition
                .realtime
                .as_ref()
                .map(|realtime| realtime.helper_priority()),
        }
    }

    /// Its window's mode, and the bytes that are shown.
    fn window(&self) -> Option<(WindowMode, u64)> {
        let window = self.manifest.window_of(&self.partition.name)?;
        Some((*window.mode?, self.manifest.shown_by(window)))
    }

    fn memory(&mut self) -> Vec<Region> {
        let (manifest, partition, window) = (self.manifest, self.partition, self.window());
        let (name, size) = (&partition.name, *partition.memory);
        // Stock drivers put rings and buffers anywhere, as do vsock's and those of the VMM's own devices; a driver of our own
        // puts them into its pool.
        let whole = !matches!(window, Some((WindowMode::Pool, _)));
        let region = |guest_address, size, offset, fd: &str, kind| Region {
            guest_address,
            size,
            fd: fd.to_owned(),
            offset,
            kind,
            shared: kind == RegionKind::Pool || whole && kind == RegionKind::Ram,
            // Only RAM is in the IOMMU: a codec reaches no window.
            dma: kind == RegionKind::Ram && !partition.passthrough.is_empty(),
            locked: match kind {
                RegionKind::Window => plan::Locked::No,
                // A guest doesn't wait for pages it hasn't touched. A device that reaches them has them all locked anyway, and huge
                // ones are there.
                RegionKind::Ram if partition.locks_on_use() => plan::Locked::OnUse,
                _ => plan::Locked::Now,
            },
        };
        let fd = self.memory_of(format!("ram-{name}"), size, partition.huge_pages);
        let pieces = layout::ram(size).into_iter();
        let ram = pieces.map(|(at, size, offset)| region(at, size, offset, &fd, RegionKind::Ram));
        let mut regions: Vec<Region> = ram.collect();
        if let Some((WindowMode::Pool, size)) = window {
            let fd = self.memory_of(format!("pool-{name}"), size, false);
            regions.push(region(POOL, size, 0, &fd, RegionKind::Pool));
        }
        if partition.is(Role::Service) {
            for (address, fd, size, huge) in windows(manifest) {
                let fd = self.memory_of(fd, size, huge);
                regions.push(region(address, size, 0, &fd, RegionKind::Window));
            }
        }
        regions
    }

    fn boot(&mut self) -> Boot {
        let partition = self.partition;
        let initrd = partition.initrd.as_ref();
        Boot {
            kernel: self.open("kernel", &partition.kernel.value, false),
            initrd: initrd.map(|initrd| self.open("initrd", &initrd.value, false)),
            cmdline: partition.cmdline.clone(),
        }
    }

    fn console(&mut self) -> Option<plan::Console> {
        let (output, input) = match self.partition.console {
            Console::None => return None,
            Console::Log => (Source::Log, None),
            Console::Stdio => (Source::Output, Some(Source::Input)),
        };
        Some(plan::Console {
            output: self.want("console", output),
            input: input.map(|input| self.want("console-in", input)),
        })
    }

    fn devices(&mut self) -> Vec<Device> {
        let (partition, transport) = (self.partition, Transport::Pci);
        let mut devices = Vec::new();
        for given in &partition.passthrough {
            let address = given.device.value.clone();
            let container = self.open("vfio", "/dev/vfio/vfio", true);
            // The group is known to the host alone: the link's target is read when the node is opened.
            let group = self.open(
                format!("group-{address}"),
                format!("/sys/bus/pci/devices/{address}/iommu_group"),
                true,
            );
            devices.push(Device::Vfio {
                address,
                container,
                group,
            });
        }
        if let Some(sound) = &partition.sound {
            devices.push(self.sound(sound));
        }
        if let Some(cid) = partition.vsock_cid {
            let vhost = self.open("vsock", "/dev/vhost-vsock", true);
            devices.push(Device::Vsock {
                transport,
                cid: cid.value,
                vhost,
            });
        }
        for (index, disk) in partition.disks.iter().enumerate() {
            let image = self.open(format!("disk{index}"), &disk.image.value, !disk.read_only);
            devices.push(Device::Blk {
                transport,
                image,
                read_only: disk.read_only,
                serial: format!("disk{index}"),
            });
        }
        if partition.is(Role::Service) {
            devices.extend(self.doorbell());
        }
        if partition.rng {
            devices.push(Device::Rng { transport });
        }
        if partition.panic_device {
            devices.push(Device::Pvpanic);
        }
        if partition.watchdog_ms.is_some() {
            devices.push(Device::Watchdog);
        }
        devices
    }

    fn bells(&mut self, partition: &str) -> Vec<String> {
        let names = (0..QUEUES).map(|queue| format!("bell-{partition}-{queue}"));
        names.map(|name| self.want(name.clone(), Source::Event(name))).collect()
    }

    /// The nth window's words are those from 4 * n on.
    fn doorbell(&mut self) -> Option<Device> {
        let partitions = self.manifest.windows.iter().map(|window| &window.partition);
        let bells = partitions.flat_map(|partition| self.bells(partition));
        let words: Vec<plan::Word> = (0..).zip(bells).map(|(word, fd)| plan::Word { word, fd }).collect();
        (!words.is_empty()).then_some(Device::Doorbell { words })
    }

    /// What of the guest is in its window, as the service VM has it.
    fn link(&mut self, plan: &Plan) -> Option<WindowLink> {
        let (name, (mode, size)) = (&self.partition.name, self.window()?);
        let piece = |region: &Region| Piece {
            guest: region.guest_address,
            size: region.size,
            offset: region.offset,
        };
        let of_kind = |kind| {
            plan.memory
                .iter()
                .filter(|region| region.kind == kind)
                .map(piece)
                .collect()
        };
        let (pieces, pool) = match mode {
            WindowMode::Pool => (of_kind(RegionKind::Pool), None),
            WindowMode::Ram => (of_kind(RegionKind::Ram), None),
            WindowMode::Bounce => (Vec::new(), Some(self.memory_of(format!("pool-{name}"), size, false))),
        };
        let bells = self.bells(name);
        Some(WindowLink { pieces, bells, pool })
    }

    fn sound(&self, sound: &Sound) -> Device {
        let window = self.manifest.window_of(&self.partition.name);
        let streams = sound.streams.iter().map(|stream| DeclaredStream {
            input: stream.direction == Direction::Capture,
            formats: stream.format_bits(),
            rates: stream.rate_bits(),
            channels_min: stream.channels_min,
            channels_max: stream.most_channels(),
        });
        Device::Snd(plan::Sound {
            name: SOUND.into(),
            transport: Transport::Pci,
            queue_size: sound.queue_size.value,
            hold_ms: window.map_or(2000, Window::hold_ms),
            declared: Declared {
                streams: streams.collect(),
                flags_only: matches!(self.window(), Some((WindowMode::Bounce, _))),
            },
        })
    }

    fn ioports(&mut self) -> Vec<PortRange> {
        let ranges = self.partition.ioports.iter();
        let range = |range: &At<(u16, u16)>| PortRange {
            first: range.0,
            last: range.1,
            fd: self.open("port", "/dev/port", true),
        };
        ranges.map(range).collect()
    }
}

/// The windows in the service VM: address, name, size and huge pages of their memory. Each starts at a multiple of 2 MiB, and
/// there is a gap between them: Linux makes one device of adjacent ones.
pub fn windows(manifest: &Manifest) -> Vec<(u64, String, u64, bool)> {
    let ram = manifest.service().map_or(0, |service| service.memory.value);
    let end = layout::ram(ram)
        .last()
        .map_or(0, |(at, size, _)| at + size)
        .max(WINDOWS);
    let mut next = end.next_multiple_of(WINDOW_PAGE) + WINDOW_PAGE;
    let mut windows = Vec::new();
    for window in &manifest.windows {
        let name = &window.partition.value;
        let (Some(mode), Some(partition)) = (window.mode, manifest.partition(name)) else {
            continue;
        };
        let size = manifest.shown_by(window);
        let (memory, huge) = match *mode {
            WindowMode::Ram => (format!("ram-{name}"), partition.huge_pages),
            WindowMode::Pool | WindowMode::Bounce => (format!("pool-{name}"), false),
        };
        windows.push((next, memory, size, huge));
        next += size.next_multiple_of(WINDOW_PAGE) + WINDOW_PAGE;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn manifest(name: &str) -> Manifest {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples/boards")
            .join(name);
        let (manifest, report) = crate::check::manifest(&path, &std::fs::read_to_string(&path).unwrap());
        assert_eq!(report.stops(), None);
        manifest
    }

    fn plan(manifest: &Manifest, name: &str) -> Resolved {
        resolve(manifest, manifest.partition(name).unwrap())
    }

    #[test]
    fn windows_are_in_the_service_vm_only_apart_and_out_of_reach_of_the_codec() {
        let manifest = manifest("emulated.toml");
        for partition in &manifest.partitions {
            let plan = plan(&manifest, &partition.name.value).plan;
            let windows: Vec<&Region> = plan
                .memory
                .iter()
                .filter(|region| region.kind == RegionKind::Window)
                .collect();
            let expected = if partition.name.value == "audio" { 3 } else { 0 };
            assert_eq!(windows.len(), expected, "{}", partition.name.value);
            for pair in windows.windows(2) {
                assert!(pair[0].guest_address + pair[0].size < pair[1].guest_address);
            }
            for window in windows {
                assert!(!window.dma && window.guest_address >= WINDOWS);
                assert!(window.guest_address.is_multiple_of(WINDOW_PAGE) && window.size.is_multiple_of(WINDOW_PAGE));
            }
        }
    }

    #[test]
    fn the_service_vm_sees_of_a_pool_or_bounce_partition_its_pool_and_no_ram() {
        let manifest = manifest("emulated.toml");
        let wants = plan(&manifest, "audio").wants;
        let names: Vec<&str> = wants
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.contains('-') && !name.starts_with("bell-"))
            .collect();
        assert_eq!(
            names,
            [
                "ram-audio",
                "pool-chime",
                "pool-ivi",
                "ram-cluster",
                "group-0000:00:03.0"
            ]
        );
    }

    #[test]
    fn a_safety_partition_shares_its_pool_only() {
        let manifest = manifest("emulated.toml");
        let plan = plan(&manifest, "chime").plan;
        let shared: Vec<RegionKind> = plan
            .memory
            .iter()
            .filter(|region| region.shared)
            .map(|region| region.kind)
            .collect();
        assert_eq!(shared, [RegionKind::Pool]);
    }

    #[test]
    fn only_a_guest_without_a_device_of_the_machine_or_huge_pages_starts_before_its_memory_is_there() {
        use plan::Locked::{Now, OnUse};
        let mut manifest = manifest("emulated.toml");
        let locked = |manifest: &Manifest, name: &str, kind| {
            let regions = plan(manifest, name).plan.memory;
            regions
                .into_iter()
                .find(|region| region.kind == kind)
                .map(|region| region.locked)
        };
        for (name, expected) in [("audio", Now), ("chime", Now), ("ivi", OnUse), ("cluster", OnUse)] {
            assert_eq!(locked(&manifest, name, RegionKind::Ram), Some(expected), "{name}");
        }
        assert_eq!(locked(&manifest, "chime", RegionKind::Pool), Some(Now));
        let ivi = |manifest: &mut Manifest| manifest.partitions.iter().position(|one| *one.name == *"ivi").unwrap();
        let at = ivi(&mut manifest);
        manifest.partitions[at].huge_pages = true;
        assert_eq!(locked(&manifest, "ivi", RegionKind::Ram), Some(Now));
    }

    #[test]
    fn a_guest_whose_rings_are_copied_is_never_offered_event_indices() {
        let manifest = manifest("emulated.toml");
        let flags_only = |name: &str| {
            let devices = plan(&manifest, name).plan.devices;
            devices.into_iter().find_map(|device| match device {
                Device::Snd(sound) => Some(sound.declared.flags_only),
                _ => None,
            })
        };
        assert_eq!((flags_only("ivi"), flags_only("cluster")), (Some(true), Some(false)));
    }

    #[test]
    fn vcpus_with_cpus_of_their_own_are_pinned_one_to_one_and_only_declared_ones_are_real_time() {
        let manifest = manifest("head-unit.toml");
        let plan = plan(&manifest, "audio").plan;
        let fifo: Vec<Option<u8>> = plan.vcpus.iter().map(|vcpu| vcpu.fifo).collect();
        let cpus: Vec<&[usize]> = plan.vcpus.iter().map(|vcpu| vcpu.cpus.as_slice()).collect();
        assert_eq!((fifo, cpus), (vec![None, Some(60)], vec![&[1][..], &[2][..]]));
        assert_eq!(plan.service.fifo, Some(61));
        for name in ["ivi", "cluster"] {
            let plan = resolve(&manifest, manifest.partition(name).unwrap()).plan;
            assert!(plan.vcpus.iter().all(|vcpu| vcpu.fifo.is_none()) && plan.service.fifo.is_none());
        }
    }
}
