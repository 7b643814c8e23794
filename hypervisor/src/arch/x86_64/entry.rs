//! Registers of the first vCPU, for each way in.

use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use kvm_ioctls::VcpuFd;

use super::layout::{GDT, PAGE_TABLES, PVH_INFO, ZERO_PAGE};
use crate::boot;
use crate::vm::error::{Fault, host};
use crate::vm::memory::Guest;

/// Where the guest starts, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// 32-bit, paging off, EBX = start info (xen.git docs/misc/pvh.pandoc).
    Pvh(u64),
    /// 64-bit, identity-mapped first GiB, RSI = zero page (Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol").
    Linux64(u64),
}

const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME_LMA: u64 = 0x500;
const STACK: u64 = 0x8ff0;

/// Sets the registers of the first vCPU and writes what they point to.
///
/// # Errors
/// KVM refused, or the RAM is too small.
pub fn enter(vcpu: &VcpuFd, entry: Entry, ram: &Guest) -> Result<(), Fault> {
    let mut sregs = vcpu.get_sregs().map_err(host("registers"))?;
    let mut regs = kvm_regs {
        rflags: 2,
        ..Default::default()
    };
    match entry {
        Entry::Pvh(at) => {
            protected_mode(&mut sregs);
            (regs.rip, regs.rbx) = (at, PVH_INFO);
        }
        Entry::Linux64(at) => {
            write_long_mode_tables(ram)?;
            long_mode(&mut sregs);
            (regs.rip, regs.rsi, regs.rsp, regs.rbp) = (at, ZERO_PAGE, STACK, STACK);
        }
    }
    vcpu.set_sregs(&sregs).map_err(host("registers"))?;
    vcpu.set_regs(&regs).map_err(host("registers"))
}

fn flat(selector: u16, type_: u8, long: bool) -> kvm_segment {
    let (l, db) = (u8::from(long), u8::from(!long));
    kvm_segment {
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        s: 1,
        g: 1,
        l,
        db,
        ..Default::default()
    }
}

fn set_segments(sregs: &mut kvm_sregs, long: bool) {
    let data = flat(16, 3, false);
    sregs.cs = flat(8, 0xb, long);
    (sregs.ds, sregs.es, sregs.ss, sregs.fs, sregs.gs) = (data, data, data, data, data);
    sregs.tr = kvm_segment {
        limit: 0x67,
        selector: 24,
        type_: 0xb,
        present: 1,
        ..Default::default()
    };
}

fn protected_mode(sregs: &mut kvm_sregs) {
    set_segments(sregs, false);
    (sregs.cr0, sregs.cr4, sregs.efer) = (CR0_PE | CR0_ET, 0, 0);
}

fn long_mode(sregs: &mut kvm_sregs) {
    set_segments(sregs, true);
    (sregs.gdt.base, sregs.gdt.limit) = (GDT, 31);
    (sregs.cr0, sregs.cr3) = (CR0_PE | CR0_ET | CR0_PG, PAGE_TABLES);
    (sregs.cr4, sregs.efer) = (CR4_PAE, EFER_LME_LMA);
}

/// A flat GDT, and tables that map the first GiB in pages of 2 MiB onto itself.
fn write_long_mode_tables(ram: &Guest) -> Result<(), Fault> {
    let put = |at: u64, words: &[u64], what: &str| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        boot::write(ram, at, &bytes, what)
    };
    let gdt = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x008f_8b00_0000_ffff];
    put(GDT, &gdt, "GDT")?;
    let (second, directory) = (PAGE_TABLES + 0x1000, PAGE_TABLES + 0x2000);
    let pages: Vec<u64> = (0..512).map(|page| page << 21 | 0x83).collect();
    put(PAGE_TABLES, &[second | 3], "page tables")?;
    put(second, &[directory | 3], "page tables")?;
    put(directory, &pages, "page tables")
}
