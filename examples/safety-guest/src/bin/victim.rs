//! A partition whose pool is in a service VM's window: fills its RAM and its pool with canaries, and looks at them once the
//! [intruder](../intruder/index.html) is done. `ram=BYTES pool=ADDRESS`; the last line is `victim: done …` or `victim: failed: …`.
#![no_std]
#![no_main]

use safety_guest::canary::{self, DONE, MARK, PARTITION, POOL, own_end, read, word, write};
use safety_guest::space::LARGE;
use safety_guest::{apic, port, say};

/// The intruder looks at all there is.
const LIMIT_MS: u32 = 600_000;

/// Called by the entry.
#[unsafe(no_mangle)]
extern "C" fn partition(info: *const u32) -> ! {
    // SAFETY: called by the entry, with what it was given.
    let options = unsafe { safety_guest::begin(info) };
    let (Some(pool), Some(ram)) = (options.pool, options.ram) else {
        say!("victim: failed: no pool, or no size of RAM");
        port::power_off(false)
    };
    let own = || (own_end().next_multiple_of(8)..ram).step_by(8);
    own().for_each(|at| write(at, word(PARTITION, at)));
    (pool..pool + LARGE).step_by(8).for_each(|at| write(at, word(POOL, at)));
    say!("victim: ready");
    let last = pool + LARGE - 8;
    if apic::wait(LIMIT_MS, true, || canary::is(read(last), DONE)).is_err() {
        say!("victim: failed: nobody came");
        port::power_off(false)
    }
    let changed = own().filter(|at| read(*at) != word(PARTITION, *at)).count();
    let marked = (pool..last).step_by(8).filter(|at| canary::is(read(*at), MARK)).count();
    say!("victim: done words={} changed={changed} marked={marked}", own().count());
    port::power_off(changed == 0)
}
