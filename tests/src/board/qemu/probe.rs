//! A program without a system that injects one interrupt into a nested guest and counts how often it arrives.
//!
//! ```text
//!  host: VMRUN with EVENTINJ = vector 40h ──► guest's handler: count += 1, spin past a timer, VMMCALL ──► host: exit(count)
//!                                                   ▲ delivered again when QEMU comes back from its main loop (the fault)
//! ```
//! 32-bit code without paging (the PVH entry's state), at a fixed address. Layouts: AMD64 Architecture Programmer's Manual,
//! volume 2, appendix B (VMCB); Xen's `docs/misc/pvh.pandoc` (entry).

use std::arch::global_asm;

/// Exit status of QEMU's debug-exit device for one delivery: `count * 2 + 1`.
pub const ONCE: i32 = 3;
/// For two.
pub const TWICE: i32 = 5;

const BASE: u32 = 0x10_0000;

global_asm!(
    r#"
    .pushsection .rodata.carillon_svm_probe, "a"
    .code32
    .globl carillon_svm_probe, carillon_svm_probe_end
    .set base, 0x100000
    .set count, 0x110000
    .set gate, 0x110008
    .set gdt, 0x110100
    .set save, 0x120000
    .set vmcb, 0x121000
carillon_svm_probe:
    cld
    movl $0x118000, %esp
    movl $vmcb, %edi            # all zero: count, gate, gdt, VMCB
    xorl %eax, %eax
    movl $0x400, %ecx
    rep stosl
    movl $count, %edi
    movl $0x100, %ecx
    rep stosl
    movl $0x0000ffff, gdt + 8   # 8: flat code
    movl $0x00cf9b00, gdt + 12
    movl $0x0000ffff, gdt + 16  # 16: flat data
    movl $0x00cf9300, gdt + 20
    movl $(carillon_svm_handler - carillon_svm_probe + base), %eax
    movw %ax, gate              # a 32-bit interrupt gate
    movw $8, gate + 2
    movw $0x8e00, gate + 4
    shrl $16, %eax
    movw %ax, gate + 6
    movb $0x34, %al             # a timer every millisecond
    outb %al, $0x43
    movb $0xa9, %al
    outb %al, $0x40
    movb $0x04, %al
    outb %al, $0x40
    movl $0xc0000080, %ecx      # EFER.SVME
    rdmsr
    orl $0x1000, %eax
    wrmsr
    movl $0xc0010117, %ecx      # VM_HSAVE_PA
    movl $save, %eax
    xorl %edx, %edx
    wrmsr
    movl $3, vmcb + 0x10        # intercept VMRUN, VMMCALL
    movl $1, vmcb + 0x58        # ASID
    movl $0x80000040, vmcb + 0xa8   # EVENTINJ: interrupt 40h
    movl $0x0c930010, vmcb + 0x400  # ES
    movl $-1, vmcb + 0x404
    movl $0x0c9b0008, vmcb + 0x410  # CS
    movl $-1, vmcb + 0x414
    movl $0x0c930010, vmcb + 0x420  # SS
    movl $-1, vmcb + 0x424
    movl $0x0c930010, vmcb + 0x430  # DS
    movl $-1, vmcb + 0x434
    movl $23, vmcb + 0x464          # GDTR
    movl $gdt, vmcb + 0x468
    movl $0x207, vmcb + 0x484       # IDTR: only entry 40h is there
    movl $(gate - 0x200), vmcb + 0x488
    movl $0x1000, vmcb + 0x4d0      # EFER.SVME
    movl $0x11, vmcb + 0x558        # CR0: protected mode
    movl $0x400, vmcb + 0x560       # DR7
    movl $0xffff0ff0, vmcb + 0x568  # DR6
    movl $2, vmcb + 0x570           # RFLAGS: interrupts off
    movl $(carillon_svm_guest - carillon_svm_probe + base), vmcb + 0x578
    movl $0x11c000, vmcb + 0x5d8    # RSP
    movl $vmcb, %eax
    vmrun %eax
    movl $0x3f, %eax
    cmpl $0x81, vmcb + 0x70         # EXITCODE: VMMCALL
    jne carillon_svm_exit
    movl count, %eax
carillon_svm_exit:
    movw $0xf4, %dx
    outl %eax, %dx
    hlt
carillon_svm_guest:
    movl $0x20, count               # the interrupt comes before this
    vmmcall
carillon_svm_handler:
    incl count
    movl $20000000, %ecx
carillon_svm_spin:
    decl %ecx
    jnz carillon_svm_spin
    vmmcall
carillon_svm_probe_end:
    .code64
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    #[link_name = "carillon_svm_probe"]
    static START: u8;
    #[link_name = "carillon_svm_probe_end"]
    static END: u8;
}

fn code() -> &'static [u8] {
    let (start, end) = (&raw const START, &raw const END);
    // SAFETY: the assembly above puts both symbols into one read-only section, the end behind the start.
    unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// The program as an ELF file that a PVH loader takes: one note (the entry), one loaded segment.
#[must_use]
pub fn elf() -> Vec<u8> {
    const HEADERS: u64 = 64 + 2 * 56;
    const NOTE: u64 = 24;
    let code = code();
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |file: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    let word = |file: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    let long = |file: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    half(&mut file, &[2, 62]); // an executable for x86-64
    word(&mut file, &[1]);
    long(&mut file, &[u64::from(BASE), 64, 0]);
    word(&mut file, &[0]);
    half(&mut file, &[64, 56, 2, 64, 0, 0]);
    word(&mut file, &[4, 4]); // PT_NOTE
    long(&mut file, &[HEADERS, 0, 0, NOTE, NOTE, 4]);
    word(&mut file, &[1, 7]); // PT_LOAD
    let (place, size) = (u64::from(BASE), code.len() as u64);
    long(&mut file, &[HEADERS + NOTE, place, place, size, size, 1]);
    word(&mut file, &[4, 8, 18]); // XEN_ELFNOTE_PHYS32_ENTRY
    file.extend(b"Xen\0");
    long(&mut file, &[u64::from(BASE)]);
    file.extend(code);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaded_segment_is_the_code() {
        let file = elf();

        assert!(file.ends_with(code()) && code().len() > 300);
        assert_eq!(file.len(), 64 + 112 + 24 + code().len());
    }
}
