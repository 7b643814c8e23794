//! Just enough of an Intel HDA controller (rev. 1.0a, 3.3) to let its output DMA read from anywhere.

use core::cell::UnsafeCell;

use crate::apic;
use crate::pci::Function;

const CAPABILITIES: u64 = 0x00;
const CONTROL: u64 = 0x08;
const COMMAND: u64 = 0x60;
const COMMAND_STATUS: u64 = 0x68;
const POSITIONS: u64 = 0x70;
const STREAMS: u64 = 0x80;
const STREAM_BYTES: u64 = 0x20;
/// Of a stream: control, length of its ring, last entry, format, list.
const RUN: u32 = 2;
const RING_BYTES: u64 = 0x08;
const LAST: u64 = 0x0c;
const FORMAT: u64 = 0x12;
const LIST: u64 = 0x18;
/// 48 kHz, 16 bits, 2 channels.
const S16_STEREO: u32 = 0x11;
const TAG: u32 = 1;
/// Nodes of the codec: converter and pin.
const CONVERTER: u32 = 2;
const PIN: u32 = 3;
const ENTRIES: usize = 2;

/// A buffer descriptor list of this program's.
#[repr(align(4096))]
pub struct List(UnsafeCell<[u64; 2 * ENTRIES]>);

// SAFETY: one processor; read by the device only while it runs.
unsafe impl Sync for List {}

impl List {
    /// Of nothing.
    #[allow(clippy::new_without_default, reason = "only for statics")]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 2 * ENTRIES]))
    }

    /// Lets all entries be these `bytes` at `address`; gives the list's own address.
    pub fn point(&self, address: u64, bytes: u32) -> u64 {
        for n in 0..ENTRIES {
            let at = self.0.get().cast::<u64>();
            // SAFETY: inside the list; the device doesn't run.
            unsafe {
                at.add(2 * n).write_volatile(address);
                at.add(2 * n + 1).write_volatile(u64::from(bytes));
            }
        }
        self.0.get() as u64
    }
}

/// The controller.
pub struct Hda {
    base: u64,
    stream: u64,
}

impl Hda {
    /// Out of reset, its codec on stream 1.
    pub fn new(function: Function) -> Result<Self, &'static str> {
        let base = function.enable(0);
        let mut hda = Self { base, stream: 0 };
        hda.write(CONTROL, 1);
        apic::wait(1000, false, || hda.read(CONTROL) & 1 == 1).map_err(|_| "the codec stays in reset")?;
        let inputs = u64::from(hda.read(CAPABILITIES) >> 8 & 15);
        hda.stream = STREAMS + STREAM_BYTES * inputs;
        // Codecs have 521 µs to announce themselves; only the clock ends this wait.
        let _ = apic::wait(apic::TICK_MS, true, || false);
        hda.verb(CONVERTER, 0x2_0000 | S16_STEREO)?;
        hda.verb(CONVERTER, 0x7_0600 | TAG << 4)?;
        hda.verb(PIN, 0x7_0740)?;
        Ok(hda)
    }

    fn verb(&self, node: u32, verb: u32) -> Result<(), &'static str> {
        self.write(COMMAND, node << 20 | verb);
        self.write(COMMAND_STATUS, 1);
        apic::wait(1000, false, || self.read(COMMAND_STATUS) & 1 == 0).map_err(|_| "a verb stays")
    }

    /// Lets the output run for so long by the list at `list`, whose entries have `bytes` each, and report positions to `positions`;
    /// how far it says it came.
    pub fn run(&self, list: u64, bytes: u32, positions: u64, ms: u32) -> u32 {
        let at = self.stream;
        self.write(POSITIONS, positions as u32 & !1 | 1);
        self.write(POSITIONS + 4, (positions >> 32) as u32);
        self.write(at + RING_BYTES, bytes * ENTRIES as u32);
        self.write(at + LAST, ENTRIES as u32 - 1);
        self.write16(at + FORMAT, S16_STEREO as u16);
        self.write(at + LIST, list as u32);
        self.write(at + LIST + 4, (list >> 32) as u32);
        self.write(at, TAG << 20 | RUN);
        // Only the clock ends this wait.
        let _ = apic::wait(ms, true, || false);
        let position = self.read(at + 4);
        self.write(at, 0);
        position
    }

    fn read(&self, offset: u64) -> u32 {
        // SAFETY: the controller's registers, below 4 GiB, which is mapped as it is.
        unsafe { ((self.base + offset) as *const u32).read_volatile() }
    }

    fn write(&self, offset: u64, value: u32) {
        // SAFETY: as in read.
        unsafe { ((self.base + offset) as *mut u32).write_volatile(value) }
    }

    fn write16(&self, offset: u64, value: u16) {
        // SAFETY: as in read.
        unsafe { ((self.base + offset) as *mut u16).write_volatile(value) }
    }
}
