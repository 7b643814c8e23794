//! Words that say whose memory they lie in, for the test that a window shows nothing else.
//!
//! Who looks for them knows their complements only, so that what it finds is never its own.

/// Of the partition's own RAM.
pub const PARTITION: u32 = 0x3c1e_9a75;
/// Of the host's memory; `tests/tests/board_isolation.rs` puts them there.
pub const HOST: u32 = 0x7126_d30b;
/// Of the partition's pool, which is in the window.
pub const POOL: u32 = 0x58e3_0fc6;
/// What the intruder writes over all it reaches.
pub const MARK: u32 = 0x0b94_67ad;
/// What it writes into a window's last word at its end.
pub const DONE: u32 = 0x6a07_b8d1;

/// The word of this kind for an address.
pub fn word(kind: u32, address: u64) -> u64 {
    u64::from(!kind) << 32 | address & 0xffff_ffff
}

/// Whether a word is of this kind.
pub fn is(word: u64, kind: u32) -> bool {
    !((word >> 32) as u32) == kind
}

/// Reads a word of guest-physical memory.
pub fn read(address: u64) -> u64 {
    // SAFETY: mapped, and any bits are a word; what answers is what the test is about.
    unsafe { (address as *const u64).read_volatile() }
}

/// Writes one. The caller keeps this program's own image out.
pub fn write(address: u64, value: u64) {
    // SAFETY: mapped, and not this program's.
    unsafe { (address as *mut u64).write_volatile(value) }
}

unsafe extern "C" {
    static image_end: u8;
}

/// Where this program's image ends.
pub fn own_end() -> u64 {
    (&raw const image_end) as u64
}
