//! Identity and first state of an x86 vCPU: CPUID, MSRs, local APIC, TSC.

use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, Msrs, kvm_cpuid_entry2, kvm_device_attr,
    kvm_msr_entry,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd};
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

use crate::vm::error::{Fault, host};

ioctl_iow_nr!(KVM_SET_DEVICE_ATTR, kvm_bindings::KVMIO, 0xe1, kvm_device_attr);

/// What all vCPUs of a VM have in common.
pub struct Template {
    cpuid: CpuId,
    count: u32,
    has_deadline: bool,
}

impl Template {
    /// Asks KVM what it can show to a guest.
    ///
    /// # Errors
    /// KVM doesn't tell.
    pub fn new(kvm: &Kvm, count: usize) -> Result<Self, Fault> {
        let cpuid = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(host("CPUID of KVM"))?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Self {
            cpuid,
            count,
            has_deadline: kvm.check_extension(Cap::TscDeadlineTimer),
        })
    }

    /// Gives the vCPU its identity.
    ///
    /// # Errors
    /// KVM refused a step.
    pub fn set_up(&self, vcpu: &VcpuFd, id: u8) -> Result<(), Fault> {
        let mut cpuid = self.cpuid.clone();
        for entry in cpuid.as_mut_slice() {
            patch(entry, id, self.count, self.has_deadline);
        }
        vcpu.set_cpuid2(&cpuid).map_err(host("CPUID of a vCPU"))?;
        // What the guest may cache: write-back unless its page tables say otherwise. An MSR KVM hasn't is no loss.
        let caching = kvm_msr_entry {
            index: 0x2ff,
            data: 1 << 11 | 6,
            ..Default::default()
        };
        if let Ok(msrs) = Msrs::from_entries(&[caching]) {
            let _ = vcpu.set_msrs(&msrs);
        }
        local_interrupts(vcpu)?;
        unshift_tsc(vcpu);
        Ok(())
    }
}

/// The topology is flat: each vCPU a core of one package.
fn patch(entry: &mut kvm_cpuid_entry2, id: u8, count: u32, has_deadline: bool) {
    let id32 = u32::from(id);
    let bits = 32 - count.saturating_sub(1).leading_zeros();
    match entry.function {
        1 => {
            entry.ebx = entry.ebx & 0xffff | id32 << 24 | count.min(255) << 16;
            // Hypervisor present; the deadline timer KVM has but doesn't list.
            entry.ecx |= 1 << 31 | u32::from(has_deadline) << 24;
            entry.edx = entry.edx & !(1 << 28) | u32::from(count > 1) << 28;
        }
        4 => entry.eax = entry.eax & !(0x3f << 26 | 0xfff << 14) | count.saturating_sub(1).min(0x3f) << 26,
        0xb | 0x1f => {
            let (shift, threads, kind) = match entry.index {
                0 => (0, 1, 1),
                1 => (bits, count, 2),
                _ => (0, 0, 0),
            };
            (entry.eax, entry.ebx, entry.edx) = (shift, threads, id32);
            entry.ecx = entry.index & 0xff | kind << 8;
        }
        0x8000_0008 => entry.ecx = bits << 12 | count.saturating_sub(1) & 0xff,
        0x8000_001e => (entry.eax, entry.ebx, entry.ecx) = (id32, id32, 0),
        _ => {}
    }
}

/// LINT0 takes the PIC's interrupts, LINT1 is the NMI, as firmware leaves them.
fn local_interrupts(vcpu: &VcpuFd) -> Result<(), Fault> {
    let mut lapic = vcpu.get_lapic().map_err(host("local APIC"))?;
    for (offset, mode) in [(0x350, 0x700_u32), (0x360, 0x400)] {
        let register = &mut lapic.regs[offset..offset + 4];
        let value = register
            .iter()
            .rev()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte as u8));
        let value = value & !0x700 | mode;
        for (byte, new) in register.iter_mut().zip(value.to_le_bytes()) {
            *byte = new as _;
        }
    }
    vcpu.set_lapic(&lapic).map_err(host("local APIC"))
}

/// The guest reads the host's TSC: one clock for every latency figure. A KVM older than 5.16 has no such attribute (nor
/// has one without a TSC of its own): the guest's clock then starts at 0, and only differences between VMs are lost.
fn unshift_tsc(vcpu: &VcpuFd) {
    let offset = 0_u64;
    let attribute = kvm_device_attr {
        group: KVM_VCPU_TSC_CTRL,
        attr: u64::from(KVM_VCPU_TSC_OFFSET),
        addr: std::ptr::from_ref(&offset) as u64,
        flags: 0,
    };
    // SAFETY: the call reads the attribute and the number it points to, which live until it returns.
    let _ = unsafe { ioctl_with_ref(vcpu, KVM_SET_DEVICE_ATTR(), &attribute) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(function: u32, index: u32, id: u8, count: u32) -> kvm_cpuid_entry2 {
        let mut entry = kvm_cpuid_entry2 {
            function,
            index,
            ebx: 0xaa55_1234,
            ..Default::default()
        };
        patch(&mut entry, id, count, true);
        entry
    }

    #[test]
    fn each_vcpu_has_its_apic_id_in_every_leaf_that_tells_it() {
        assert_eq!(patched(1, 0, 3, 4).ebx, 3 << 24 | 4 << 16 | 0x1234);
        assert_eq!(patched(0xb, 0, 3, 4).edx, 3);
        assert_eq!(patched(0x8000_001e, 0, 3, 4).eax, 3);
    }

    #[test]
    fn the_topology_is_one_package_of_single_threaded_cores() {
        let (threads, cores, end) = (patched(0xb, 0, 1, 3), patched(0xb, 1, 1, 3), patched(0xb, 2, 1, 3));

        assert_eq!((threads.eax, threads.ebx, threads.ecx), (0, 1, 0x100));
        assert_eq!((cores.eax, cores.ebx, cores.ecx), (2, 3, 0x201));
        assert_eq!((end.ebx, end.ecx), (0, 2));
    }

    #[test]
    fn a_single_vcpu_claims_no_siblings() {
        assert_eq!(patched(1, 0, 0, 1).edx & 1 << 28, 0);
        assert_eq!(patched(0xb, 1, 0, 1).eax, 0);
    }
}
