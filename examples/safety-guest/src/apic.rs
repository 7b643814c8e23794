//! The local APIC: a clock of 100 ms that bounds every wait, and the sound device's interrupt.
//!
//! Waiting is halting: a partition that spins would take its neighbours' processor.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::boot::{BELL, SPURIOUS, TICK};
use crate::port::out8;

/// Length of a tick. KVM's and QEMU's APIC timers count nanoseconds.
pub const TICK_MS: u32 = 100;

const BASE: u32 = 0x1b;
const MEMORY: u64 = 0xfee0_0000;
const ID: u32 = 0x20;
const EOI: u32 = 0xb0;
const SPURIOUS_VECTOR: u32 = 0xf0;
const TIMER: u32 = 0x320;
const TIMER_COUNT: u32 = 0x380;
const TIMER_DIVIDE: u32 = 0x3e0;
const PERIODIC: u32 = 1 << 17;

static EXTENDED: AtomicBool = AtomicBool::new(false);
static TICKS: AtomicU32 = AtomicU32::new(0);
static BELLS: AtomicU32 = AtomicU32::new(0);

/// What was waited for did not come in time.
#[derive(Clone, Copy, Debug)]
pub struct Late;

/// Starts the clock; interrupts are on from here.
pub fn start() {
    out8(0x21, 0xff); // the old interrupt controllers: all masked
    out8(0xa1, 0xff);
    let extended = core::arch::x86_64::__cpuid(1).ecx & 1 << 21 != 0;
    EXTENDED.store(extended, Relaxed);
    write_msr(BASE, MEMORY | 0x800 | if extended { 0x400 } else { 0 });
    write(SPURIOUS_VECTOR, 0x100 | u32::from(SPURIOUS));
    write(TIMER_DIVIDE, 0b1011);
    write(TIMER, PERIODIC | u32::from(TICK));
    write(TIMER_COUNT, TICK_MS * 1_000_000);
    interrupts(true);
}

/// Address and data of a message that raises the sound device's vector here.
pub fn bell_message() -> (u64, u32) {
    let id = if EXTENDED.load(Relaxed) {
        read(ID)
    } else {
        read(ID) >> 24
    };
    (MEMORY | u64::from(id) << 12, u32::from(BELL))
}

/// Ticks so far.
pub fn ticks() -> u32 {
    TICKS.load(Relaxed)
}

/// Interrupts of the sound device so far.
pub fn bells() -> u32 {
    BELLS.load(Relaxed)
}

/// Waits until `done`, halted between interrupts if the device sends any (`halting`), at most about `limit_ms`.
pub fn wait(limit_ms: u32, halting: bool, mut done: impl FnMut() -> bool) -> Result<(), Late> {
    let end = TICKS.load(Relaxed).wrapping_add(limit_ms / TICK_MS + 1);
    loop {
        // An interrupt between the look and the halt would be slept over; `sti` takes effect after `hlt` has begun.
        interrupts(false);
        let (done, late) = (done(), TICKS.load(Relaxed).wrapping_sub(end) as i32 >= 0);
        if halting && !done && !late {
            // SAFETY: handlers touch atomics and the APIC only.
            unsafe { asm!("sti", "hlt") }
            continue;
        }
        interrupts(true);
        if done {
            return Ok(());
        }
        if late {
            return Err(Late);
        }
        core::hint::spin_loop();
    }
}

fn interrupts(on: bool) {
    // SAFETY: handlers touch atomics and the APIC only.
    unsafe {
        match on {
            true => asm!("sti"),
            false => asm!("cli"),
        }
    }
}

pub extern "C" fn tick() {
    TICKS.fetch_add(1, Relaxed);
    write(EOI, 0);
}

pub extern "C" fn bell() {
    BELLS.fetch_add(1, Relaxed);
    write(EOI, 0);
}

fn write(register: u32, value: u32) {
    if EXTENDED.load(Relaxed) {
        write_msr(0x800 + (register >> 4), u64::from(value));
        return;
    }
    // SAFETY: the APIC's page, which is mapped as it is.
    unsafe { ((MEMORY + u64::from(register)) as *mut u32).write_volatile(value) }
}

fn read(register: u32) -> u32 {
    if EXTENDED.load(Relaxed) {
        let (low, _high): (u32, u32);
        // SAFETY: an APIC register in x2APIC mode.
        unsafe { asm!("rdmsr", in("ecx") 0x800 + (register >> 4), out("eax") low, out("edx") _high) }
        return low;
    }
    // SAFETY: as in write.
    unsafe { ((MEMORY + u64::from(register)) as *const u32).read_volatile() }
}

fn write_msr(register: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: only APIC registers are written.
    unsafe { asm!("wrmsr", in("ecx") register, in("eax") low, in("edx") high) }
}
