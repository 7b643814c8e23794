//! A safety partition without an operating system: it finds a virtio-sound device, plays a tone exactly and says on the serial
//! line what came of it. Boots by PVH under Carillon's hypervisor, QEMU (q35) and other VMMs that know the note.
//!
//! No allocation, one static pool for all that the device sees, every wait bounded. The command line, all optional:
//! `frames=48000 period=480 periods=4 tail=4 headroom=0 pool=ADDRESS mmio=ADDRESS`. The last line is `chime: done …` or
//! `chime: failed: …`.
#![no_std]
#![no_main]

mod apic;
mod boot;
mod options;
mod pci;
mod pool;
mod port;
mod queue;
mod sound;
mod tone;
mod transport;

use options::Options;
use pool::Pool;
use sound::{Played, Sound};
use transport::Transport;

/// `hvm_start_info.magic`.
const MAGIC: u32 = 0x336e_c578;

extern "C" fn main(info: *const u32) -> ! {
    boot::load_table();
    apic::start();
    // SAFETY: the loader's start info: six words and more, in the first 4 GiB.
    let (magic, command_line) = unsafe { (info.read(), info.add(6).cast::<u64>().read_unaligned()) };
    if magic != MAGIC {
        say!("chime: failed: no PVH start info ({magic:#x})");
        port::power_off(false);
    }
    let options = Options::read(command_line);
    match run(&options) {
        Ok(played) => {
            let Played {
                messages,
                errors,
                kicks,
                interrupts,
                latency: (least, most),
            } = played;
            say!(
                "chime: done frames={} messages={messages} errors={errors} kicks={kicks} interrupts={interrupts} latency={least}..{most}",
                options.take.frames
            );
            port::power_off(errors == 0)
        }
        Err(reason) => {
            say!("chime: failed: {reason}");
            port::power_off(false)
        }
    }
}

fn run(options: &Options) -> Result<Played, &'static str> {
    let transport = Transport::find(options.mmio).ok_or("no virtio-sound device")?;
    match transport {
        Transport::Pci(_) => say!(
            "chime: sound on PCI slot {}",
            pci::Function::sound().map_or(0, |it| it.slot())
        ),
        Transport::Mmio(base) => say!("chime: sound at {base:#x}"),
    }
    let mut sound = Sound::new(transport, Pool::new(options.pool))?;
    say!("chime: plays {} frames", options.take.frames);
    sound.play(&options.take)
}

/// An exception: said, and the end.
pub extern "C" fn fault(vector: u32, first: u64, second: u64) -> ! {
    say!("chime: failed: exception {vector} ({first:#x} {second:#x})");
    port::power_off(false)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    say!("chime: failed: {info}");
    port::power_off(false)
}
