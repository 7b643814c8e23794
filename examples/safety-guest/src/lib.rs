//! What a partition without an operating system needs: entry by PVH, interrupts, a virtio-sound driver on a static pool.
//!
//! | program | what it does |
//! |---|---|
//! | `chime` | plays a tone exactly and says what came of it |
//! | `contract` | tests the partition contract from inside and prints TAP |
//! | `victim` | fills its memory and its pool with canaries, and looks what became of them |
//! | `intruder` | in the service VM's place: reads and writes all it can name, and misuses the codec's DMA |
//!
//! No allocation, one static pool for all that the device sees, every wait bounded. Boots under Carillon's hypervisor, QEMU (q35)
//! and other VMMs that know the PVH note.
#![no_std]

pub mod apic;
pub mod boot;
pub mod canary;
pub mod hda;
pub mod options;
pub mod pci;
pub mod pool;
pub mod port;
pub mod queue;
pub mod sound;
pub mod space;
pub mod spread;
pub mod tone;
pub mod transport;

/// `hvm_start_info.magic`.
pub const MAGIC: u32 = 0x336e_c578;

/// An exception: said, and the end.
pub extern "C" fn fault(vector: u32, first: u64, second: u64) -> ! {
    say!("partition: failed: exception {vector} ({first:#x} {second:#x})");
    port::power_off(false)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    say!("partition: failed: {info}");
    port::power_off(false)
}

/// What every program begins with: interrupts, the clock, the loader's command line.
///
/// # Safety
/// `info` is what the PVH entry was given.
pub unsafe fn begin(info: *const u32) -> options::Options {
    boot::load_table();
    apic::start();
    // SAFETY: the loader's start info: six words and more, in the first 4 GiB.
    let (magic, command_line) = unsafe { (info.read(), info.add(6).cast::<u64>().read_unaligned()) };
    if magic != MAGIC {
        say!("partition: failed: no PVH start info ({magic:#x})");
        port::power_off(false);
    }
    options::Options::read(command_line)
}
