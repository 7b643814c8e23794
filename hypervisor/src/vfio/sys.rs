//! The VFIO calls this VMM needs (Linux include/uapi/linux/vfio.h), on descriptors it was given: nothing is opened here.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use vfio_bindings::bindings::vfio::*;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::ioctl::{ioctl, ioctl_with_mut_ref, ioctl_with_ptr, ioctl_with_ref, ioctl_with_val};
use vmm_sys_util::ioctl_io_nr;

const TYPE: u32 = VFIO_TYPE as u32;
ioctl_io_nr!(GET_API_VERSION, TYPE, VFIO_BASE);
ioctl_io_nr!(SET_IOMMU, TYPE, VFIO_BASE + 2);
ioctl_io_nr!(GROUP_GET_STATUS, TYPE, VFIO_BASE + 3);
ioctl_io_nr!(GROUP_SET_CONTAINER, TYPE, VFIO_BASE + 4);
ioctl_io_nr!(GROUP_GET_DEVICE_FD, TYPE, VFIO_BASE + 6);
ioctl_io_nr!(DEVICE_GET_INFO, TYPE, VFIO_BASE + 7);
ioctl_io_nr!(DEVICE_GET_REGION_INFO, TYPE, VFIO_BASE + 8);
ioctl_io_nr!(DEVICE_GET_IRQ_INFO, TYPE, VFIO_BASE + 9);
ioctl_io_nr!(DEVICE_SET_IRQS, TYPE, VFIO_BASE + 10);
ioctl_io_nr!(DEVICE_RESET, TYPE, VFIO_BASE + 11);
ioctl_io_nr!(IOMMU_MAP_DMA, TYPE, VFIO_BASE + 13);

/// Index of the configuration space's region.
pub const CONFIG_REGION: u32 = VFIO_PCI_CONFIG_REGION_INDEX;

/// Kinds of interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Irq {
    /// The pin.
    Intx = VFIO_PCI_INTX_IRQ_INDEX,
    /// Messages, by the MSI capability.
    Msi = VFIO_PCI_MSI_IRQ_INDEX,
}

/// What is known of a region: its size (0 if it isn't there), and where it is in the device's file.
pub type RegionInfo = vfio_region_info;

/// Can it be mapped into memory?
pub fn can_map(region: &RegionInfo) -> bool {
    region.flags & VFIO_REGION_INFO_FLAG_MMAP != 0
}

fn size_of_u32<T>() -> u32 {
    size_of::<T>() as u32
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// A call that answers in the struct it is asked with; `argsz`, its first field, is its size.
fn ask<T>(of: &impl AsRawFd, call: libc::c_ulong, mut what: T) -> io::Result<T> {
    // SAFETY: the call writes within the struct, whose size it is told.
    check(unsafe { ioctl_with_mut_ref(of, call, &mut what) })?;
    Ok(what)
}

/// Puts a group into a container and, if it is the container's first, sets the IOMMU up.
///
/// # Errors
/// The group isn't all ours ("viable"), or there is no IOMMU.
pub fn join(container: &OwnedFd, group: &OwnedFd, is_first: bool) -> io::Result<()> {
    // SAFETY: the call takes nothing.
    let version = unsafe { ioctl(container, GET_API_VERSION()) };
    if version != 0 {
        return Err(io::Error::other("the container is not /dev/vfio/vfio"));
    }
    let argsz = size_of_u32::<vfio_group_status>();
    let status = ask(group, GROUP_GET_STATUS(), vfio_group_status { argsz, flags: 0 })?;
    if status.flags & VFIO_GROUP_FLAGS_VIABLE == 0 {
        let cure = "bind every function of its IOMMU group to vfio-pci";
        return Err(io::Error::other(format!("the group is not viable: {cure}")));
    }
    let fd = container.as_raw_fd();
    // SAFETY: the call reads one int.
    check(unsafe { ioctl_with_ref(group, GROUP_SET_CONTAINER(), &fd) })?;
    if is_first {
        // SAFETY: the call takes a number.
        check(unsafe { ioctl_with_val(container, SET_IOMMU(), VFIO_TYPE1v2_IOMMU.into()) })?;
    }
    Ok(())
}

/// Lets devices of the container reach `size` bytes of this process at `host` by the address `iova`.
///
/// # Safety
/// The range must stay mapped as long as the container is open.
///
/// # Errors
/// The pages can't be locked, or overlap others.
pub unsafe fn map_dma(container: &OwnedFd, iova: u64, host: usize, size: u64) -> io::Result<()> {
    let map = vfio_iommu_type1_dma_map {
        argsz: size_of_u32::<vfio_iommu_type1_dma_map>(),
        flags: VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        vaddr: host as u64,
        iova,
        size,
    };
    // SAFETY: the call reads the struct; the caller answers for the range.
    check(unsafe { ioctl_with_ref(container, IOMMU_MAP_DMA(), &map) }).map(drop)
}

/// A function's file.
pub struct DeviceFile(File);

impl DeviceFile {
    /// The function at this address, of this group.
    ///
    /// # Errors
    /// It isn't there, or isn't a PCI function.
    pub fn new(group: &OwnedFd, address: &str) -> io::Result<Self> {
        let address = CString::new(address)?;
        // SAFETY: the call reads a C string and makes a descriptor.
        let fd = check(unsafe { ioctl_with_ptr(group, GROUP_GET_DEVICE_FD(), address.as_ptr()) })?;
        // SAFETY: just made, nobody else's.
        let device = Self(unsafe { File::from_raw_fd(fd) });
        let info = vfio_device_info {
            argsz: size_of_u32::<vfio_device_info>(),
            ..Default::default()
        };
        let info = ask(&device.0, DEVICE_GET_INFO(), info)?;
        if info.flags & VFIO_DEVICE_FLAGS_PCI == 0 || info.num_regions <= CONFIG_REGION {
            return Err(io::Error::other("it is no PCI function"));
        }
        if info.flags & VFIO_DEVICE_FLAGS_RESET != 0 {
            // SAFETY: the call takes nothing. A function that can't be reset is left to its driver's own reset.
            let _ = unsafe { ioctl(&device.0, DEVICE_RESET()) };
        }
        Ok(device)
    }

    /// The file, to read, write and map regions of.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// A region: BARs 0 to 5, ROM 6, configuration 7.
    ///
    /// # Errors
    /// There is none of this number.
    pub fn region(&self, index: u32) -> io::Result<RegionInfo> {
        let argsz = size_of_u32::<RegionInfo>();
        let info = RegionInfo {
            argsz,
            index,
            ..Default::default()
        };
        ask(&self.0, DEVICE_GET_REGION_INFO(), info)
    }

    /// How many interrupts of a kind there are.
    pub fn irq_count(&self, irq: Irq) -> u32 {
        let info = vfio_irq_info {
            argsz: size_of_u32::<vfio_irq_info>(),
            index: irq as u32,
            ..Default::default()
        };
        ask(&self.0, DEVICE_GET_IRQ_INFO(), info).map_or(0, |info| info.count)
    }

    /// This eventfd is signalled.
    ///
    /// # Errors
    /// There is no such interrupt, or another kind is on.
    pub fn enable(&self, irq: Irq, event: &EventFd) -> io::Result<()> {
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
        self.set_irqs(irq, flags, Some(event))
    }

    /// The pin is masked by the kernel when it fires; a signal of this eventfd unmasks it.
    ///
    /// # Errors
    /// The pin isn't on.
    pub fn unmask_by(&self, event: &EventFd) -> io::Result<()> {
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK;
        self.set_irqs(Irq::Intx, flags, Some(event))
    }

    /// None of the kind is on.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn disable(&self, irq: Irq) -> io::Result<()> {
        self.set_irqs(irq, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, None)
    }

    fn set_irqs(&self, irq: Irq, flags: u32, event: Option<&EventFd>) -> io::Result<()> {
        let count = u32::from(event.is_some());
        let mut words = vec![20 + 4 * count, flags, irq as u32, 0, count];
        words.extend(event.map(|event| event.as_raw_fd() as u32));
        // SAFETY: the call reads as many bytes as the first word says, which are there.
        check(unsafe { ioctl_with_ptr(&self.0, DEVICE_SET_IRQS(), words.as_ptr()) }).map(drop)
    }
}
