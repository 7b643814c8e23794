//! Bare-metal guests of a few instructions, in assembly, as PVH ELFs: they start in 32-bit protected mode at 1 MiB.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::arch::global_asm;

global_asm!(
    ".pushsection .rodata.guests, \"a\"",
    ".code32",
    // Says "hello" on COM1 and powers off.
    ".global guest_hello, guest_hello_end",
    "guest_hello:",
    "mov $0x180000, %esp",
    "call 2f",
    ".ascii \"hello\\n\"",
    "2: pop %esi",
    "mov $6, %ecx",
    "mov $0x3f8, %dx",
    "rep outsb",
    "mov $0x600, %dx",
    "mov $0x34, %al",
    "out %al, %dx",
    "3: hlt",
    "jmp 3b",
    "guest_hello_end:",
    // Writes 1 to the reset register.
    ".global guest_reset, guest_reset_end",
    "guest_reset:",
    "mov $0x604, %dx",
    "mov $1, %al",
    "out %al, %dx",
    "2: hlt",
    "jmp 2b",
    "guest_reset_end:",
    // Tells of a panic.
    ".global guest_panic, guest_panic_end",
    "guest_panic:",
    "mov $0x505, %dx",
    "mov $1, %al",
    "out %al, %dx",
    "2: hlt",
    "jmp 2b",
    "guest_panic_end:",
    // Arms the watchdog with 20 ms and sleeps.
    ".global guest_watchdog, guest_watchdog_end",
    "guest_watchdog:",
    "mov $0x510, %dx",
    "mov $20, %eax",
    "out %eax, %dx",
    "2: hlt",
    "jmp 2b",
    "guest_watchdog_end:",
    // Says "up" and spins for ever.
    ".global guest_spin, guest_spin_end",
    "guest_spin:",
    "mov $0x3f8, %dx",
    "mov $'u', %al",
    "out %al, %dx",
    "2: jmp 2b",
    "guest_spin_end:",
    // No interrupt table and a fault: a triple fault.
    ".global guest_fault, guest_fault_end",
    "guest_fault:",
    "mov $0x180000, %esp",
    "push $0",
    "push $0",
    "lidt (%esp)",
    "ud2",
    "guest_fault_end:",
    // The first words of configuration space of slots 0 to 3 on COM1, then power off.
    ".global guest_pci, guest_pci_end",
    "guest_pci:",
    "mov $0x80000000, %ebx",
    "2: mov %ebx, %eax",
    "mov $0xcf8, %dx",
    "out %eax, %dx",
    "mov $0xcfc, %dx",
    "in %dx, %eax",
    "mov $0x3f8, %dx",
    "mov $4, %ecx",
    "3: out %al, %dx",
    "shr $8, %eax",
    "loop 3b",
    "add $0x800, %ebx",
    "cmp $0x80002000, %ebx",
    "jne 2b",
    "mov $0x600, %dx",
    "mov $0x34, %al",
    "out %al, %dx",
    "4: hlt",
    "jmp 4b",
    "guest_pci_end:",
    // The time-stamp counter on COM1, then power off.
    ".global guest_tsc, guest_tsc_end",
    "guest_tsc:",
    "rdtsc",
    "mov %edx, %ebx",
    "mov $0x3f8, %dx",
    "mov $4, %ecx",
    "2: out %al, %dx",
    "shr $8, %eax",
    "loop 2b",
    "mov %ebx, %eax",
    "mov $4, %ecx",
    "3: out %al, %dx",
    "shr $8, %eax",
    "loop 3b",
    "mov $0x600, %dx",
    "mov $0x34, %al",
    "out %al, %dx",
    "4: hlt",
    "jmp 4b",
    "guest_tsc_end:",
    // Enables the memory of slot 1 and writes words 5 and 6 of its BAR 0, then power off.
    ".global guest_bell, guest_bell_end",
    "guest_bell:",
    "mov $0xcf8, %dx",
    "mov $0x80000804, %eax",
    "out %eax, %dx",
    "mov $0xcfc, %dx",
    "mov $2, %eax",
    "out %eax, %dx",
    "mov $0xcf8, %dx",
    "mov $0x80000810, %eax",
    "out %eax, %dx",
    "mov $0xcfc, %dx",
    "in %dx, %eax",
    "and $0xfffffff0, %eax",
    "movl $1, 20(%eax)",
    "movl $1, 24(%eax)",
    "movl $1, 20(%eax)",
    "mov $0x600, %dx",
    "mov $0x34, %al",
    "out %al, %dx",
    "2: hlt",
    "jmp 2b",
    "guest_bell_end:",
    // Enables COM1's interrupt for room to send: "y" once pin 4 has raised vector 0x40 in the local APIC, "n" if it never does.
    ".global guest_serial, guest_serial_end",
    "guest_serial:",
    "movl $0x1ff, 0xfee000f0",
    "movl $0x19, 0xfec00000",
    "movl $0, 0xfec00010",
    "movl $0x18, 0xfec00000",
    "movl $0x40, 0xfec00010",
    "mov $0x3f9, %dx",
    "mov $2, %al",
    "out %al, %dx",
    "mov $1000000, %ecx",
    "mov $'y', %bl",
    "2: mov 0xfee00220, %eax",
    "test $1, %al",
    "jnz 3f",
    "loop 2b",
    "mov $'n', %bl",
    "3: mov %bl, %al",
    "mov $0x3f8, %dx",
    "out %al, %dx",
    "mov $0x600, %dx",
    "mov $0x34, %al",
    "out %al, %dx",
    "4: hlt",
    "jmp 4b",
    "guest_serial_end:",
    ".code64",
    ".popsection",
    options(att_syntax)
);

macro_rules! guests {
    ($($name:ident $from:ident $to:ident;)*) => {
        unsafe extern "C" {
            $(static $from: u8; static $to: u8;)*
        }
        $(
            /// The guest's ELF.
            pub fn $name() -> Vec<u8> {
                let (from, to) = (&raw const $from, &raw const $to);
                // SAFETY: both are labels in one section of constants, the second after the first.
                elf(unsafe { std::slice::from_raw_parts(from, to.offset_from_unsigned(from)) })
            }
        )*
    };
}

guests! {
    hello guest_hello guest_hello_end;
    reset guest_reset guest_reset_end;
    panic guest_panic guest_panic_end;
    watchdog guest_watchdog guest_watchdog_end;
    spin guest_spin guest_spin_end;
    fault guest_fault guest_fault_end;
    pci guest_pci guest_pci_end;
    tsc guest_tsc guest_tsc_end;
    bell guest_bell guest_bell_end;
    serial guest_serial guest_serial_end;
}

/// One segment at 1 MiB, with a stack behind it, and a PVH note.
fn elf(code: &[u8]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 2 * 56;
    let code_size = code.len() as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [0x10_0000_u64, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    let segments = [
        (1_u32, HEADERS, 0x10_0000_u64, code_size),
        (4, HEADERS + code_size, 0, 20),
    ];
    for (kind, at, address, size) in segments {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(5_u32.to_le_bytes());
        for word in [at, address, address, size, size, 4] {
            bytes.extend(word.to_le_bytes());
        }
    }
    bytes.extend(code);
    for word in [4, 4, 18] {
        bytes.extend(u32::to_le_bytes(word));
    }
    bytes.extend(b"Xen\0");
    bytes.extend(0x10_0000_u32.to_le_bytes());
    bytes
}
