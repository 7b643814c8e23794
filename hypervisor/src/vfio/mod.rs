//! A PCI function of the machine in a VM: the codec of the audio service VM.
//!
//! ```text
//!  guest's access        goes to
//!  ────────────────      ─────────────────────────────────────────────────────────────────
//!  configuration         the function (VFIO guards it), but for BARs, ROM and MSI, which are ours
//!  memory BAR            a memory slot: no exit
//!  I/O BAR               trapped, read and written by VFIO
//!  MSI                   the device's interrupt is an eventfd which is KVM's irqfd: no exit
//!  INTx                  the same, level-triggered: KVM's resample eventfd is VFIO's unmask eventfd
//!
//!  interrupts:  pin ◄── MSI enable bit ──► message      (one of them is on)
//! ```
//! By DMA the function reaches the regions that the plan marks `dma`, nothing else: guests' windows are never among them.

mod interrupts;
mod sys;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use kvm_bindings::{
    KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_ADD, kvm_create_device, kvm_device_attr, kvm_device_type_KVM_DEV_TYPE_VFIO,
};
use kvm_ioctls::{DeviceFd, VmFd};

use self::interrupts::{Config, Interrupts};
use self::sys::{CONFIG_REGION, DeviceFile, RegionInfo};
use crate::arch;
use crate::devices::pci::Function;
use crate::devices::pci::bars::{Bars, Decoded, Kind};
use crate::devices::pci::config::{Identity, Space};
use crate::plan::Fds;
use crate::vm::error::Fault;
use crate::vm::host::Host;
use crate::vm::memory::Memory;

/// Containers and groups of a VM, by the names of their descriptors.
#[derive(Default)]
pub struct Containers {
    containers: BTreeMap<String, Arc<OwnedFd>>,
    groups: BTreeMap<String, Arc<OwnedFd>>,
    kvm: Option<Arc<DeviceFd>>,
}

/// A function's file, and what must stay open with it.
pub struct Opened {
    address: String,
    device: DeviceFile,
    _keep: (Arc<OwnedFd>, Arc<OwnedFd>, Arc<DeviceFd>),
}

impl Containers {
    /// Opens a function; the first of a container maps the guest's memory for DMA.
    ///
    /// # Errors
    /// The function can't be had, told with its cure.
    pub fn open(
        &mut self,
        fds: &mut Fds,
        [address, container, group]: [&str; 3],
        vm: &VmFd,
        memory: &Memory,
    ) -> Result<Opened, Fault> {
        let fault = |step: &str, e: io::Error| Fault::host(format!("pass-through of {address}: {step}"), e);
        let is_first = !self.containers.contains_key(container);
        if is_first {
            self.containers
                .insert(container.to_owned(), Arc::new(fds.take(container)?));
        }
        let container = Arc::clone(&self.containers[container]);
        if !self.groups.contains_key(group) {
            let fd = Arc::new(fds.take(group)?);
            sys::join(&container, &fd, is_first).map_err(|e| fault("IOMMU group", e))?;
            self.tell_kvm(vm, &fd).map_err(|e| fault("KVM", e))?;
            self.groups.insert(group.to_owned(), fd);
        }
        if is_first {
            for (at, size, host) in memory.regions_where(|region| region.dma) {
                // SAFETY: guest memory stays mapped until the process ends.
                unsafe { sys::map_dma(&container, at, host, size) }
                    .map_err(|e| fault("guest memory for DMA (is the limit of locked memory high enough?)", e))?;
            }
        }
        let group = Arc::clone(&self.groups[group]);
        let device = DeviceFile::new(&group, address).map_err(|e| fault("the function", e))?;
        let kvm = self
            .kvm
            .clone()
            .ok_or_else(|| Fault::runtime("no KVM device for VFIO"))?;
        Ok(Opened {
            address: address.to_owned(),
            device,
            _keep: (container, group, kvm),
        })
    }

    /// KVM must know the group, to know of DMA that isn't coherent.
    fn tell_kvm(&mut self, vm: &VmFd, group: &OwnedFd) -> io::Result<()> {
        let kvm = match &self.kvm {
            Some(kvm) => Arc::clone(kvm),
            None => {
                let type_ = kvm_device_type_KVM_DEV_TYPE_VFIO;
                let kvm = Arc::new(vm.create_device(&mut kvm_create_device { type_, fd: 0, flags: 0 })?);
                Arc::clone(self.kvm.insert(kvm))
            }
        };
        let fd = group.as_raw_fd();
        let attribute = kvm_device_attr {
            group: KVM_DEV_VFIO_GROUP,
            attr: u64::from(KVM_DEV_VFIO_GROUP_ADD),
            addr: std::ptr::from_ref(&fd) as u64,
            flags: 0,
        };
        kvm.set_device_attr(&attribute).map_err(Into::into)
    }
}

const COMMAND: u16 = 4;
const BARS: std::ops::Range<u16> = 0x10..0x28;
const ROM: std::ops::Range<u16> = 0x30..0x34;
const PIN: u16 = 0x3d;
const PAGE: u64 = 4096;

/// A BAR that the guest reaches without an exit.
struct Piece {
    bar: u8,
    size: u64,
    host: usize,
    slot: u32,
    placed: Option<u64>,
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping this piece made; the vCPUs that could reach it are gone.
        unsafe { libc::munmap(self.host as *mut libc::c_void, self.size as usize) };
    }
}

/// The function, on the guest's bus.
pub struct Passed {
    opened: Opened,
    host: Arc<dyn Host>,
    regions: Vec<RegionInfo>,
    /// BARs and command register are kept here; all else is the device's.
    space: Space,
    pieces: Vec<Piece>,
    interrupts: Interrupts,
}

impl Passed {
    /// A function in this slot of the guest's bus.
    ///
    /// # Errors
    /// Its regions or interrupts can't be had.
    pub fn new(opened: Opened, host: Arc<dyn Host>, slot: u8) -> Result<Self, Fault> {
        let fault = |e: io::Error| Fault::host(format!("pass-through of {}", opened.address), e);
        let regions: Vec<_> = (0..=CONFIG_REGION)
            .map(|index| opened.device.region(index))
            .collect::<Result<_, _>>()
            .map_err(fault)?;
        let config = |offset: u16, data: &mut [u8]| {
            opened
                .device
                .file()
                .read_exact_at(data, regions[CONFIG_REGION as usize].offset + u64::from(offset))
        };
        let mut space = Space::new(Identity::default());
        read_bars(&regions, &config, &mut space.bars).map_err(fault)?;
        let pin = arch::INTX_PINS[usize::from(slot) % arch::INTX_PINS.len()];
        let interrupts = Interrupts::new(&opened.device, &host, &config, pin).map_err(fault)?;
        let mut passed = Self {
            opened,
            host,
            regions,
            space,
            pieces: Vec::new(),
            interrupts,
        };
        passed.map_pieces();
        Ok(passed)
    }

    /// The interrupt controller's pin, if the function has one of its own.
    pub fn intx_pin(&self) -> Option<u32> {
        self.interrupts.pin()
    }

    /// Maps the memory BARs that can be mapped; the others are trapped.
    fn map_pieces(&mut self) {
        for (bar, region) in (0..6_u8).zip(&self.regions) {
            let size = region.size;
            if !sys::can_map(region) || !size.is_multiple_of(PAGE) || size == 0 {
                continue;
            }
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let fd = self.opened.device.file().as_raw_fd();
            let (length, at) = (size as usize, region.offset as libc::off_t);
            // SAFETY: a new mapping at an address of the kernel's choice.
            let host = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd, at) };
            if host != libc::MAP_FAILED {
                let (host, slot) = (host as usize, self.host.new_slot());
                self.pieces.push(Piece {
                    bar,
                    size,
                    host,
                    slot,
                    placed: None,
                });
            }
        }
    }

    fn region_read(&self, region: u32, offset: u64, data: &mut [u8]) {
        let at = self.regions[region as usize].offset + offset;
        // The device doesn't answer: all ones, as on a bus.
        if self.opened.device.file().read_exact_at(data, at).is_err() {
            data.fill(0xff);
        }
    }

    fn region_write(&self, region: u32, offset: u64, data: &[u8]) {
        let at = self.regions[region as usize].offset + offset;
        // As on a bus, a write that nobody takes is lost.
        let _ = self.opened.device.file().write_all_at(data, at);
    }
}

/// Kinds and sizes of the BARs.
fn read_bars(regions: &[RegionInfo], config: Config, bars: &mut Bars) -> io::Result<()> {
    for (bar, region) in (0..6_u8).zip(regions).filter(|(_, region)| region.size > 0) {
        let mut word = [0; 4];
        config(BARS.start + 4 * u16::from(bar), &mut word)?;
        let kind = match (word[0] & 1, word[0] >> 1 & 3) {
            (1, _) => Kind::Ports,
            (_, 2) => Kind::Memory64,
            _ => Kind::Memory32,
        };
        bars.add(bar, kind, region.size);
    }
    Ok(())
}

impl Function for Passed {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        if BARS.contains(&offset) {
            self.space.bars.config_read(offset.into(), data);
        } else if ROM.contains(&offset) {
            data.fill(0);
        } else {
            self.region_read(CONFIG_REGION, offset.into(), data);
            self.interrupts.read(offset, data);
            if (offset..offset + data.len() as u16).contains(&PIN) && self.interrupts.pin().is_none() {
                data[usize::from(PIN - offset)] = 0;
            }
        }
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        if BARS.contains(&offset) {
            return self.space.bars.config_write(offset.into(), data);
        }
        if ROM.contains(&offset) || self.interrupts.write(&self.opened.device, offset, data) {
            return;
        }
        self.region_write(CONFIG_REGION, offset.into(), data);
        if (COMMAND..COMMAND + 2).contains(&offset) {
            let mut bytes = [0; 2];
            self.region_read(CONFIG_REGION, COMMAND.into(), &mut bytes);
            self.space.put(COMMAND.into(), &bytes);
        }
    }

    fn space(&mut self) -> &mut Space {
        &mut self.space
    }

    fn moved(&mut self, decoded: &[Decoded]) {
        for piece in &mut self.pieces {
            let range = decoded.iter().find(|range| range.bar == piece.bar && !range.is_port);
            let now = range.map(|range| range.address);
            if now == piece.placed {
                continue;
            }
            if let Some(at) = piece.placed.take() {
                // SAFETY: the slot is taken away.
                let _ = unsafe { self.host.map(piece.slot, at, piece.host, 0) };
            }
            let Some(at) = now else { continue };
            // SAFETY: the mapping lives as long as the piece, which outlives the vCPUs.
            let placed = unsafe { self.host.map(piece.slot, at, piece.host, piece.size) };
            // Where KVM refuses (another slot is there) accesses are trapped.
            piece.placed = placed.ok().map(|()| at);
        }
    }

    fn bar_read(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        self.region_read(bar.into(), offset, data);
    }

    fn bar_write(&mut self, bar: u8, offset: u64, data: &[u8]) {
        self.region_write(bar.into(), offset, data);
    }
}
