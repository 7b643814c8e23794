//! The whole guest-physical space, as far as the processor can name it: what is memory in it is read and written to its last word.

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::cell::UnsafeCell;

use crate::canary::{self, HOST, MARK, PARTITION, POOL, read, write};

const GIB: u64 = 1 << 30;
/// This is mapped by [`crate::boot`].
const BELOW: u64 = 4 * GIB;
/// What lies above memory: looked at a GiB apart from here on.
const HIGH: u64 = 16 * GIB;
/// Step below 4 GiB; memory comes in multiples of 2 MiB above.
const SMALL: u64 = 256 << 10;
/// Alignment and smallest size of a window.
pub const LARGE: u64 = 2 << 20;
/// Interrupt controllers, ours to keep.
const CONTROLLERS: core::ops::Range<u64> = 0xfec0_0000..0xff00_0000;
const LOW: u64 = 1 << 20;

#[repr(align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: written once, by `map`, before anybody reads through it.
unsafe impl Sync for Table {}

static UPPER: Table = Table(UnsafeCell::new([0; 512]));

/// What was found.
#[derive(Default)]
pub struct Survey {
    /// Places looked at.
    pub places: u64,
    /// Words of memory.
    pub words: u64,
    /// Words written.
    pub written: u64,
    /// Canaries of the partition's RAM and of the host.
    pub foreign: u64,
    /// Canaries of the pool.
    pub pool: u64,
}

/// Maps what is above 4 GiB as it is, up to 1 TiB; gives the end.
pub fn map() -> Result<u64, &'static str> {
    if __cpuid(0x8000_0001).edx & 1 << 26 == 0 {
        return Err("the processor has no pages of 1 GiB");
    }
    let width = __cpuid(0x8000_0008).eax & 0xff;
    let end = (1_u64 << width).min(1024 * GIB);
    let level4: *mut u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) level4) };
    // SAFETY: the tables of `boot`, mapped as they are; entries from 4 GiB on are unused.
    unsafe {
        let level3 = (level4.read() & !0xfff) as *mut u64;
        for n in BELOW / GIB..(end / GIB).min(512) {
            level3.add(n as usize).write((n * GIB) | 0x83);
        }
        for n in 512..end / GIB {
            (*UPPER.0.get())[n as usize - 512] = (n * GIB) | 0x83;
        }
        level4.add(1).write(UPPER.0.get() as u64 | 3);
        asm!("mov cr3, {}", in(reg) level4);
    }
    Ok(end)
}

/// The first window: memory above 4 GiB.
pub fn window() -> Option<u64> {
    (BELOW..HIGH).step_by(LARGE as usize).find(|at| is_memory(*at))
}

/// Reads and writes everything below `end`.
pub fn sweep(end: u64) -> Survey {
    let mut survey = Survey::default();
    for (from, to, step) in [(0, BELOW, SMALL), (BELOW, HIGH, LARGE), (HIGH, end, GIB)] {
        for at in (from..to).step_by(step as usize).filter(|at| !CONTROLLERS.contains(at)) {
            survey.places += 1;
            if is_memory(at) {
                survey.memory(at, step);
            }
        }
    }
    survey
}

impl Survey {
    fn memory(&mut self, from: u64, bytes: u64) {
        for at in (from..from + bytes).step_by(8) {
            let word = read(at);
            self.words += 1;
            self.foreign += u64::from(canary::is(word, PARTITION) || canary::is(word, HOST));
            if !is_own(at) {
                self.pool += u64::from(canary::is(word, POOL));
                write(at, canary::word(MARK, at));
                self.written += 1;
            }
        }
    }
}

/// This program, its stack, and what the loader left below it.
fn is_own(address: u64) -> bool {
    address < LOW || (LOW..canary::own_end()).contains(&address)
}

/// Keeps what is written. Where nothing answers, reads are ones.
fn is_memory(address: u64) -> bool {
    if is_own(address) {
        return address >= LOW || read(address) != u64::MAX;
    }
    let word = read(address);
    write(address, !word);
    let kept = read(address) == !word;
    if kept {
        write(address, word);
    }
    kept
}
