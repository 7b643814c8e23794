//! A safety partition without an operating system: it finds a virtio-sound device, plays a tone exactly and says on the serial
//! line what came of it. Boots by PVH under Carillon's hypervisor, QEMU (q35) and other VMMs that know the note.
//!
//! No allocation, one static pool for all that the device sees, every wait bounded. The command line, all optional:
//! `frames=48000 period=480 periods=4 tail=4 headroom=0 delay=0 pool=ADDRESS mmio=ADDRESS`. The last line is `chime: done …` or
//! `chime: failed: …`; `told` (bytes) and `back` (TSC ticks from a message's offer to its return) are middle, mean and most.
#![no_std]
#![no_main]

use safety_guest::options::Options;
use safety_guest::pool::Pool;
use safety_guest::sound::{Played, Sound};
use safety_guest::transport::Transport;
use safety_guest::{apic, pci, port, say};

/// Called by the entry.
#[unsafe(no_mangle)]
extern "C" fn partition(info: *const u32) -> ! {
    // SAFETY: called by the entry, with what it was given.
    let options = unsafe { safety_guest::begin(info) };
    match run(&options) {
        Ok(played) => {
            let Played {
                messages,
                errors,
                kicks,
                interrupts,
                latency: (least, most),
                told,
                back,
            } = played;
            say!(
                "chime: done frames={} messages={messages} errors={errors} kicks={kicks} interrupts={interrupts} latency={least}..{most} told={told} back={back}",
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
    // Only the clock ends this wait.
    let _ = apic::wait(options.delay, true, || false);
    say!("chime: plays {} frames", options.take.frames);
    sound.play(&options.take)
}
