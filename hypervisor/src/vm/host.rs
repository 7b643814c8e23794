//! What devices ask of KVM: interrupts, doorbells, memory slots. A trait, so that devices can be tested without KVM.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use kvm_bindings::{KVM_IRQ_ROUTING_MSI, KvmIrqRouting, kvm_irq_routing_entry, kvm_userspace_memory_region};
use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use vmm_sys_util::eventfd::EventFd;

use crate::arch;
use crate::devices::lock;

/// A message-signalled interrupt: what is written, and where.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// Address.
    pub address: u64,
    /// Data.
    pub data: u32,
}

/// What devices ask of KVM.
pub trait Host: Send + Sync {
    /// A number for an interrupt, for good.
    ///
    /// # Errors
    /// There are no more.
    fn new_gsi(&self) -> io::Result<u32>;

    /// Tells what each of these interrupts sends.
    ///
    /// # Errors
    /// KVM refused.
    fn route(&self, changes: &[(u32, Message)]) -> io::Result<()>;

    /// From now on `event` raises the interrupt; if it was signalled already, at once.
    ///
    /// # Errors
    /// KVM refused.
    fn attach(&self, gsi: u32, event: &EventFd) -> io::Result<()>;

    /// From now on `event` only counts.
    ///
    /// # Errors
    /// KVM refused.
    fn detach(&self, gsi: u32, event: &EventFd) -> io::Result<()>;

    /// `event` raises a level-triggered pin; `resample` is signalled when the guest is done with it.
    ///
    /// # Errors
    /// KVM refused.
    fn attach_level(&self, pin: u32, event: &EventFd, resample: &EventFd) -> io::Result<()>;

    /// A guest's write to `address` signals `event` without an exit; any value, or only this 4-byte one.
    ///
    /// # Errors
    /// KVM refused.
    fn watch(&self, address: u64, value: Option<u32>, event: &EventFd) -> io::Result<()>;

    /// Takes a [`Host::watch`] for any value back.
    ///
    /// # Errors
    /// KVM refused.
    fn unwatch(&self, address: u64, event: &EventFd) -> io::Result<()>;

    /// A number for a memory slot, for good.
    fn new_slot(&self) -> u32;

    /// Shows `size` bytes of this process at `host` to the guest at `guest`; size 0 takes the slot away.
    ///
    /// # Safety
    /// The range must stay mapped, and be nobody's `&mut`, as long as the slot is there.
    ///
    /// # Errors
    /// KVM refused: the slot overlaps another one.
    unsafe fn map(&self, slot: u32, guest: u64, host: usize, size: u64) -> io::Result<()>;
}

/// [`Host`] by KVM.
pub struct KvmHost {
    vm: Arc<VmFd>,
    numbers: Mutex<Numbers>,
}

struct Numbers {
    gsi: u32,
    slot: u32,
    messages: BTreeMap<u32, Message>,
}

/// KVM has room for 4096 routes; a VM of this size needs no tenth of them.
const GSI_END: u32 = 1024;

impl KvmHost {
    /// Interrupts and slots of this VM; nobody else may route or map.
    pub fn new(vm: Arc<VmFd>) -> Self {
        let numbers = Numbers {
            gsi: arch::PINS,
            slot: 0,
            messages: BTreeMap::new(),
        };
        Self {
            vm,
            numbers: Mutex::new(numbers),
        }
    }
}

impl Host for KvmHost {
    fn new_gsi(&self) -> io::Result<u32> {
        let mut numbers = lock(&self.numbers);
        if numbers.gsi == GSI_END {
            return Err(io::Error::other("no interrupt numbers left: fewer devices or vectors"));
        }
        numbers.gsi += 1;
        Ok(numbers.gsi - 1)
    }

    fn route(&self, changes: &[(u32, Message)]) -> io::Result<()> {
        let mut numbers = lock(&self.numbers);
        let mut changed = false;
        for (gsi, message) in changes {
            changed |= numbers.messages.insert(*gsi, *message) != Some(*message);
        }
        if !changed {
            return Ok(());
        }
        let mut entries = arch::pin_routes();
        let messages = numbers.messages.iter();
        entries.extend(messages.map(|(gsi, message)| message_route(*gsi, *message)));
        let table = KvmIrqRouting::from_entries(&entries).map_err(|e| io::Error::other(format!("routes: {e:?}")))?;
        self.vm.set_gsi_routing(&table).map_err(Into::into)
    }

    fn attach(&self, gsi: u32, event: &EventFd) -> io::Result<()> {
        self.vm.register_irqfd(event, gsi).map_err(Into::into)
    }

    fn detach(&self, gsi: u32, event: &EventFd) -> io::Result<()> {
        self.vm.unregister_irqfd(event, gsi).map_err(Into::into)
    }

    fn attach_level(&self, pin: u32, event: &EventFd, resample: &EventFd) -> io::Result<()> {
        self.vm
            .register_irqfd_with_resample(event, resample, pin)
            .map_err(Into::into)
    }

    fn watch(&self, address: u64, value: Option<u32>, event: &EventFd) -> io::Result<()> {
        let at = IoEventAddress::Mmio(address);
        let done = match value {
            Some(value) => self.vm.register_ioevent(event, &at, value),
            None => self.vm.register_ioevent(event, &at, NoDatamatch),
        };
        done.map_err(Into::into)
    }

    fn unwatch(&self, address: u64, event: &EventFd) -> io::Result<()> {
        let at = IoEventAddress::Mmio(address);
        self.vm.unregister_ioevent(event, &at, NoDatamatch).map_err(Into::into)
    }

    fn new_slot(&self) -> u32 {
        let mut numbers = lock(&self.numbers);
        numbers.slot += 1;
        numbers.slot - 1
    }

    unsafe fn map(&self, slot: u32, guest: u64, host: usize, size: u64) -> io::Result<()> {
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: guest,
            memory_size: size,
            userspace_addr: host as u64,
        };
        // SAFETY: the caller answers for the range.
        unsafe { self.vm.set_user_memory_region(region) }.map_err(Into::into)
    }
}

fn message_route(gsi: u32, message: Message) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_MSI,
        ..Default::default()
    };
    entry.u.msi.address_lo = message.address as u32;
    entry.u.msi.address_hi = (message.address >> 32) as u32;
    entry.u.msi.data = message.data;
    entry
}
