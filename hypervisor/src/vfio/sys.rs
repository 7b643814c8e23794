//! The VFIO calls this VMM needs (Linux include/uapi/linux/vfio.h), on descriptors it was given: nothing is opened here.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::ioctl::{ioctl, ioctl_with_mut_ref, ioctl_with_ptr, ioctl_with_ref, ioctl_with_val};
use vmm_sys_util::ioctl_io_nr;

const TYPE: u32 = 0x3b;
ioctl_io_nr!(GET_API_VERSION, TYPE, 100);
ioctl_io_nr!(SET_IOMMU, TYPE, 102);
ioctl_io_nr!(GROUP_GET_STATUS, TYPE, 103);
ioctl_io_nr!(GROUP_SET_CONTAINER, TYPE, 104);
ioctl_io_nr!(GROUP_GET_DEVICE_FD, TYPE, 106);
ioctl_io_nr!(DEVICE_GET_INFO, TYPE, 107);
ioctl_io_nr!(DEVICE_GET_REGION_INFO, TYPE, 108);
ioctl_io_nr!(DEVICE_GET_IRQ_INFO, TYPE, 109);
ioctl_io_nr!(DEVICE_SET_IRQS, TYPE, 110);
ioctl_io_nr!(DEVICE_RESET, TYPE, 111);
ioctl_io_nr!(IOMMU_MAP_DMA, TYPE, 113);

/// VFIO_TYPE1v2_IOMMU.
const TYPE1_V2: libc::c_ulong = 3;
/// Index of the configuration space's region.
pub const CONFIG_REGION: u32 = 7;

/// Kinds of interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Irq {
    /// The pin.
    Intx = 0,
    /// Messages, by the MSI capability.
    Msi = 1,
}

#[repr(C)]
struct GroupStatus {
    argsz: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct DeviceInfo {
    argsz: u32,
    flags: u32,
    regions: u32,
    irqs: u32,
    cap_offset: u32,
    pad: u32,
}

/// What is known of a region.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RegionInfo {
    argsz: u32,
    flags: u32,
    index: u32,
    cap_offset: u32,
    /// Bytes; 0 if the region isn't there.
    pub size: u64,
    /// Where in the device's file.
    pub offset: u64,
}

impl RegionInfo {
    /// Can it be mapped into memory?
    #[must_use]
    pub fn can_map(&self) -> bool {
        self.flags & 4 != 0
    }
}

#[repr(C)]
#[derive(Default)]
struct IrqInfo {
    argsz: u32,
    flags: u32,
    index: u32,
    count: u32,
}

#[repr(C)]
struct DmaMap {
    argsz: u32,
    flags: u32,
    vaddr: u64,
    iova: u64,
    size: u64,
}

const IRQ_NONE: u32 = 1;
const IRQ_EVENTFD: u32 = 1 << 2;
const IRQ_UNMASK: u32 = 1 << 4;
const IRQ_TRIGGER: u32 = 1 << 5;

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
    let mut status = GroupStatus {
        argsz: size_of_u32::<GroupStatus>(),
        flags: 0,
    };
    // SAFETY: the call writes within the struct.
    check(unsafe { ioctl_with_mut_ref(group, GROUP_GET_STATUS(), &mut status) })?;
    if status.flags & 1 == 0 {
        let cure = "bind every function of its IOMMU group to vfio-pci";
        return Err(io::Error::other(format!("the group is not viable: {cure}")));
    }
    let fd = container.as_raw_fd();
    // SAFETY: the call reads one int.
    check(unsafe { ioctl_with_ref(group, GROUP_SET_CONTAINER(), &fd) })?;
    if is_first {
        // SAFETY: the call takes a number.
        check(unsafe { ioctl_with_val(container, SET_IOMMU(), TYPE1_V2) })?;
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
    let map = DmaMap {
        argsz: size_of_u32::<DmaMap>(),
        flags: 3,
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
        let mut info = DeviceInfo {
            argsz: size_of_u32::<DeviceInfo>(),
            ..Default::default()
        };
        // SAFETY: the call writes within the struct.
        check(unsafe { ioctl_with_mut_ref(&device.0, DEVICE_GET_INFO(), &mut info) })?;
        if info.flags & 2 == 0 || info.regions <= CONFIG_REGION {
            return Err(io::Error::other("it is no PCI function"));
        }
        if info.flags & 1 != 0 {
            // SAFETY: the call takes nothing. A function that can't be reset is left to its driver's own reset.
            let _ = unsafe { ioctl(&device.0, DEVICE_RESET()) };
        }
        Ok(device)
    }

    /// The file, to read, write and map regions of.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0
    }

    /// A region: BARs 0 to 5, ROM 6, configuration 7.
    ///
    /// # Errors
    /// There is none of this number.
    pub fn region(&self, index: u32) -> io::Result<RegionInfo> {
        let mut info = RegionInfo {
            argsz: size_of_u32::<RegionInfo>(),
            index,
            ..Default::default()
        };
        // SAFETY: the call writes within the struct.
        check(unsafe { ioctl_with_mut_ref(&self.0, DEVICE_GET_REGION_INFO(), &mut info) })?;
        Ok(info)
    }

    /// How many interrupts of a kind there are.
    #[must_use]
    pub fn irq_count(&self, irq: Irq) -> u32 {
        let mut info = IrqInfo {
            argsz: size_of_u32::<IrqInfo>(),
            index: irq as u32,
            ..Default::default()
        };
        // SAFETY: the call writes within the struct.
        let result = unsafe { ioctl_with_mut_ref(&self.0, DEVICE_GET_IRQ_INFO(), &mut info) };
        if result < 0 { 0 } else { info.count }
    }

    /// This eventfd is signalled.
    ///
    /// # Errors
    /// There is no such interrupt, or another kind is on.
    pub fn enable(&self, irq: Irq, event: &EventFd) -> io::Result<()> {
        self.set_irqs(irq, IRQ_EVENTFD | IRQ_TRIGGER, Some(event))
    }

    /// The pin is masked by the kernel when it fires; a signal of this eventfd unmasks it.
    ///
    /// # Errors
    /// The pin isn't on.
    pub fn unmask_by(&self, event: &EventFd) -> io::Result<()> {
        self.set_irqs(Irq::Intx, IRQ_EVENTFD | IRQ_UNMASK, Some(event))
    }

    /// None of the kind is on.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn disable(&self, irq: Irq) -> io::Result<()> {
        self.set_irqs(irq, IRQ_NONE | IRQ_TRIGGER, None)
    }

    fn set_irqs(&self, irq: Irq, flags: u32, event: Option<&EventFd>) -> io::Result<()> {
        let count = u32::from(event.is_some());
        let mut words = vec![20 + 4 * count, flags, irq as u32, 0, count];
        words.extend(event.map(|event| event.as_raw_fd() as u32));
        // SAFETY: the call reads as many bytes as the first word says, which are there.
        check(unsafe { ioctl_with_ptr(&self.0, DEVICE_SET_IRQS(), words.as_ptr()) }).map(drop)
    }
}
