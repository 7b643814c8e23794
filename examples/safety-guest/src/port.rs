//! Ports of the machine: serial line, configuration space, power.

use core::arch::asm;
use core::fmt;

/// Writes a byte.
pub fn out8(port: u16, value: u8) {
    // SAFETY: ports don't touch this program's memory.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
}

/// Reads a byte.
pub fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: as in out8.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Writes 16 bits.
pub fn out16(port: u16, value: u16) {
    // SAFETY: as in out8.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags)) }
}

/// Writes 32 bits.
pub fn out32(port: u16, value: u32) {
    // SAFETY: as in out8.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) }
}

/// Reads 32 bits.
pub fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: as in out8.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// COM1. A line that doesn't take a byte within some reads loses it: the partition waits for nobody.
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            for _ in 0..100_000 {
                if in8(0x3fd) & 0x20 != 0 {
                    break;
                }
            }
            out8(0x3f8, byte);
        }
        Ok(())
    }
}

/// Writes a line to the serial port.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use core::fmt::Write as _;
        // The serial line never fails.
        let _ = writeln!($crate::port::Serial, $($part)*);
    }};
}

/// Ends the partition: QEMU's debug-exit device, ACPI's sleep register of a hardware-reduced machine, q35's.
pub fn power_off(good: bool) -> ! {
    out32(0xf4, if good { 0x10 } else { 0x11 });
    out8(0x600, 0x34);
    out16(0x604, 0x2000);
    loop {
        // SAFETY: nothing is left to do.
        unsafe { asm!("cli", "hlt") }
    }
}
