//! From the PVH entry (32-bit, no paging, EBX = start info) to the program's `partition` in long mode: 4 GiB mapped as they are in
//! pages of 2 MiB, one stack, an interrupt table with the two interrupts we use; anything else ends the partition.

use core::arch::{asm, global_asm};

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18                  # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .section .text.boot, "ax"
    .code32
    .globl pvh_entry
pvh_entry:
    cld
    movl $stack_top, %esp
    movl %ebx, %edi
    movl $(level3 + 3), level4
    xorl %ecx, %ecx
1:  movl %ecx, %eax
    shll $12, %eax
    addl $(level2 + 3), %eax
    movl %eax, level3(, %ecx, 8)
    incl %ecx
    cmpl $4, %ecx
    jne 1b
    xorl %ecx, %ecx
2:  movl %ecx, %eax
    shll $21, %eax
    orl $0x83, %eax
    movl %eax, level2(, %ecx, 8)
    incl %ecx
    cmpl $2048, %ecx
    jne 2b
    movl $level4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax                 # PAE
    movl %eax, %cr4
    movl $0xc0000080, %ecx          # EFER.LME
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000001, %eax           # PG, PE
    movl %eax, %cr0
    lgdt gdt_register
    ljmp $8, $long_entry

    .code64
long_entry:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movq $stack_top, %rsp
    xorl %ebp, %ebp
    movl %edi, %edi
    call partition
3:  cli
    hlt
    jmp 3b

    .macro enter handler
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    cld
    call \handler
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    iretq
    .endm

    .globl tick_entry, bell_entry, spurious_entry, fault_entries
    .balign 16
tick_entry:
    enter {tick}
    .balign 16
bell_entry:
    enter {bell}
    .balign 16
spurious_entry:
    iretq
    .balign 16
fault_entries:                      # 16 bytes each
    .set vector, 0
    .rept 32
    .balign 16
    movl $vector, %edi
    movq (%rsp), %rsi
    movq 8(%rsp), %rdx
    jmp fault_common
    .set vector, vector + 1
    .endr
fault_common:
    andq $-16, %rsp
    call {fault}

    .section .rodata
    .balign 8
gdt:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_register:
    .word 23
    .long gdt

    .section .bss
    .balign 4096
level4: .skip 4096
level3: .skip 4096
level2: .skip 4 * 4096
    .skip 65536
stack_top:
    .text
    "#,
    tick = sym crate::apic::tick,
    bell = sym crate::apic::bell,
    fault = sym crate::fault,
    options(att_syntax)
);

unsafe extern "C" {
    fn tick_entry();
    fn bell_entry();
    fn spurious_entry();
    fn fault_entries();
}

/// Vector of the clock.
pub const TICK: u8 = 0x40;
/// Vector of the sound device.
pub const BELL: u8 = 0x41;
/// Vector of interrupts that went away.
pub const SPURIOUS: u8 = 0xff;

static mut TABLE: [[u64; 2]; 256] = [[0; 2]; 256];

/// Loads the interrupt table. Called once, before interrupts are enabled.
pub fn load_table() {
    let gate = |entry: u64| {
        let low = (entry & 0xffff) | (8 << 16) | (0x8e00 << 32) | ((entry >> 16 & 0xffff) << 48);
        [low, entry >> 32]
    };
    let table = &raw mut TABLE;
    let set = |vector: usize, entry: u64| {
        // SAFETY: one processor, interrupts off, vector below 256.
        unsafe { (*table)[vector] = gate(entry) }
    };
    for vector in 0..32 {
        set(vector, fault_entries as *const () as u64 + 16 * vector as u64);
    }
    set(usize::from(TICK), tick_entry as *const () as u64);
    set(usize::from(BELL), bell_entry as *const () as u64);
    set(usize::from(SPURIOUS), spurious_entry as *const () as u64);
    #[repr(C, packed)]
    struct Register(u16, u64);
    let register = Register(4095, table as u64);
    // SAFETY: the register describes TABLE, which lives for ever.
    unsafe { asm!("lidt [{}]", in(reg) &raw const register) }
}
