//! In the audio service VM's place, with its codec and its windows: reads and writes all its guest-physical space, then points
//! the codec's DMA at what is not its own. What it may see is the [victim](../victim/index.html)'s pool. The last line is
//! `intruder: done` or `intruder: failed: …`.
#![no_std]
#![no_main]

use core::cell::UnsafeCell;

use safety_guest::canary::{self, DONE, POOL, read, word, write};
use safety_guest::hda::{Hda, List};
use safety_guest::space::{self, LARGE};
use safety_guest::{apic, pci, port, say};

/// The partition fills its memory.
const READY_MS: u32 = 60_000;
/// A run of the codec's DMA, and what the host's kernel takes to speak of faults again.
const RUN_MS: u32 = 200;
const BETWEEN_MS: u32 = 2500;
/// Samples of our own: a ramp, never 0.
const FRAMES: usize = 4800;
const BYTES: u32 = 4 * FRAMES as u32;
/// Where no memory of this VM is: in a VM's or the host's first GiB or two something is.
const HOST: u64 = 0x5000_0000;
const OTHER: u64 = 0x0a00_0000;

#[repr(align(4096))]
struct Tone(UnsafeCell<[u32; FRAMES]>);

// SAFETY: one processor; the device only reads.
unsafe impl Sync for Tone {}

static TONE: Tone = Tone(UnsafeCell::new([0; FRAMES]));
static LIST: List = List::new();
/// Where the codec reports its positions while it is good.
static POSITIONS: List = List::new();

/// Called by the entry.
#[unsafe(no_mangle)]
extern "C" fn partition(info: *const u32) -> ! {
    // SAFETY: called by the entry, with what it was given.
    let _options = unsafe { safety_guest::begin(info) };
    let result = run();
    match result {
        Ok(()) => say!("intruder: done"),
        Err(reason) => say!("intruder: failed: {reason}"),
    }
    port::power_off(result.is_ok())
}

fn run() -> Result<(), &'static str> {
    let codec = pci::Function::codec().ok_or("no codec")?;
    // Registers are not memory, and what is written anywhere should not move them.
    pci::Function::all().for_each(pci::Function::disable);
    let end = space::map()?;
    let window = space::window().ok_or("no window")?;
    let last = window + LARGE - 8;
    apic::wait(READY_MS, true, || canary::is(read(last), POOL))
        .map_err(|_| "the partition's pool is not in the window")?;
    let found = space::sweep(end);
    say!(
        "intruder: places={} words={} written={} foreign={} pool={}",
        found.places,
        found.words,
        found.written,
        found.foreign,
        found.pool
    );
    dma(codec, window)?;
    write(last, word(DONE, last));
    Ok(())
}

/// Lets the codec play from here, then from elsewhere, and report its positions there.
fn dma(codec: pci::Function, window: u64) -> Result<(), &'static str> {
    let hda = Hda::new(codec)?;
    for n in 0..FRAMES {
        let sample = 0x0100 + n as u32;
        // SAFETY: inside the buffer; the device doesn't run.
        unsafe { TONE.0.get().cast::<u32>().add(n).write_volatile(sample << 16 | sample) };
    }
    let own = POSITIONS.point(0, 0);
    let list = LIST.point(TONE.0.get() as u64, BYTES);
    say!("intruder: own {}", hda.run(list, BYTES, own, RUN_MS));
    for (name, place) in [("window", window), ("other", OTHER), ("host", HOST)] {
        let run = |what: &str, list: u64, positions: u64| {
            // Only the clock ends this wait.
            let _ = apic::wait(BETWEEN_MS, true, || false);
            say!("intruder: {name} {what} {}", hda.run(list, BYTES, positions, RUN_MS));
        };
        run("samples", LIST.point(place, BYTES), own);
        run("list", place, own);
        run("positions", LIST.point(TONE.0.get() as u64, BYTES), place);
    }
    Ok(())
}
