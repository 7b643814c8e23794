//! Tests `docs/partition-contract.md` from inside a partition, whatever VMM it runs under, and prints TAP on the serial line.
//! Clauses that don't apply are "vacuous", with the reason. The machine ends with success if no clause failed.
#![no_std]
#![no_main]

use safety_guest::options::Options;
use safety_guest::pool::Pool;
use safety_guest::sound::{PCM_INFO, Played, RELEASE, SET_PARAMS, START, STOP, Sound, Take};
use safety_guest::transport::Transport;
use safety_guest::{apic, port, say};

const BAD_MSG: u32 = 0x8001;
const NOT_SUPP: u32 = 0x8002;
const OK: u32 = 0x8000;
const VERSION_1: u64 = 1 << 32;
/// Ticks of 100 ms that a control message may take: 500 ms, and the tick it began in.
const ANSWER_TICKS: u32 = 6;
/// Of the reference stream.
const PERIODS: u32 = 100;

/// The report.
struct Tap {
    count: u32,
    failed: u32,
}

impl Tap {
    fn check(&mut self, clause: &str, good: bool, text: &str) {
        self.count += 1;
        if !good {
            self.failed += 1;
        }
        let word = if good { "ok" } else { "not ok" };
        say!("{word} {} - {clause} {text}", self.count);
    }

    fn vacuous(&mut self, clause: &str, text: &str, reason: &str) {
        self.count += 1;
        say!("ok {} - {clause} {text} # SKIP vacuous: {reason}", self.count);
    }

    fn end(self) -> ! {
        say!("1..{}", self.count);
        say!("contract: done failed={}", self.failed);
        port::power_off(self.failed == 0)
    }
}

/// Called by the entry.
#[unsafe(no_mangle)]
extern "C" fn partition(info: *const u32) -> ! {
    // SAFETY: called by the entry, with what it was given.
    let options = unsafe { safety_guest::begin(info) };
    let mut tap = Tap { count: 0, failed: 0 };
    say!("TAP version 13");
    boot(&mut tap, info);
    clock(&mut tap);
    memory(&mut tap, &options);
    match Transport::find(options.mmio) {
        Some(transport) => sound(&mut tap, transport, &options),
        None => tap.check("D1", false, "a virtio-sound device"),
    }
    health(&mut tap);
    tap.end()
}

fn boot(tap: &mut Tap, info: *const u32) {
    // SAFETY: the loader's start info; beyond its first 32 bytes only where its version says so.
    let version = unsafe { info.add(1).read() };
    tap.check("B1", version >= 1, "the start info has a version with a memory map");
    if version == 0 {
        return;
    }
    // SAFETY: as above.
    let (rsdp, map, entries) = unsafe {
        (
            info.add(8).cast::<u64>().read_unaligned(),
            info.add(10).cast::<u64>().read_unaligned(),
            info.add(12).read(),
        )
    };
    let entry = |n: u32| {
        let at = (map + 24 * u64::from(n)) as *const u64;
        // SAFETY: entries are 24 bytes: address, size, type.
        unsafe { (at.read(), at.add(1).read(), at.add(2).read() as u32) }
    };
    let ram = (0..entries.min(128))
        .map(entry)
        .any(|(start, size, kind)| kind == 1 && start <= 1 << 20 && start + size > 2 << 20);
    tap.check("B2", ram, "the memory map has the RAM that this program is in");
    let sum = (0..20).fold(u8::from(rsdp == 0), |sum, n| {
        let at = if rsdp == 0 { map } else { rsdp };
        // SAFETY: an RSDP has 20 bytes at least, a memory map's entry 24; both in the first 4 GiB.
        sum.wrapping_add(unsafe { ((at + n) as *const u8).read() })
    });
    tap.check("B3", rsdp != 0 && sum == 0, "ACPI tables, their root's checksum right");
}

fn clock(tap: &mut Tap) {
    let leaf = core::arch::x86_64::__cpuid(0x8000_0000).eax;
    let invariant = leaf >= 0x8000_0007 && core::arch::x86_64::__cpuid(0x8000_0007).edx & 1 << 8 != 0;
    tap.check("T1", invariant, "the time-stamp counter is invariant");
    // SAFETY: reads a counter.
    let now = || unsafe { core::arch::x86_64::_rdtsc() };
    let mut last = now();
    let steady = (0..100_000).all(|_| {
        let next = now();
        let good = next >= last;
        last = next;
        good
    });
    tap.check("T2", steady, "it never steps back");
    let before = apic::ticks();
    let woken = apic::wait(1000, true, || apic::ticks() != before).is_ok();
    tap.check("T3", woken, "the APIC's timer wakes a halted processor");
}

fn memory(tap: &mut Tap, options: &Options) {
    const TEXT: &str = "the pool at the address on the command line is zero and keeps what is written";
    let Some(place) = options.pool else {
        tap.vacuous("M1", TEXT, "no pool= on the command line");
        return;
    };
    let word = |n: u64| (place + 8 * n) as *mut u64;
    let words = (2 << 20) / 8;
    // SAFETY: the hypervisor's pool, used by nothing else yet.
    let zero = (0..words).all(|n| unsafe { word(n).read_volatile() } == 0);
    let kept = (0..words).step_by(512).all(|n| {
        // SAFETY: as above.
        unsafe {
            word(n).write_volatile(!n);
            let kept = word(n).read_volatile() == !n;
            word(n).write_volatile(0);
            kept
        }
    });
    tap.check("M1", zero && kept, TEXT);
}

fn sound(tap: &mut Tap, transport: Transport, options: &Options) {
    tap.check("D1", true, "a virtio-sound device");
    let offered = transport.offered();
    tap.check("D2", offered & VERSION_1 != 0, "it offers VIRTIO_F_VERSION_1");
    let foreign = (0..24).map(|bit| 1 << bit).find(|bit| offered & bit == 0).unwrap_or(0);
    tap.check(
        "D3",
        !transport.accepts(VERSION_1 | foreign),
        "it takes no feature that it did not offer",
    );
    tap.check("D4", transport.reset(), "a reset comes to an end");
    let sizes = [0, 1, 2, 3].map(|queue| transport.queue_limit(queue));
    let good = sizes.iter().all(|size| *size > 0) && sizes[2] >= 12;
    tap.check("D5", good, "four queues, room for four messages in the tx queue");
    let mut device = match Sound::new(transport, Pool::new(options.pool)) {
        Ok(device) => device,
        Err(reason) => {
            say!("# {reason}");
            return tap.check("D6", false, "the device starts");
        }
    };
    tap.check("D6", true, "the device starts");
    let before = apic::ticks();
    control(tap, &mut device);
    let slow = apic::ticks().wrapping_sub(before);
    tap.check(
        "K6",
        slow <= 8 * ANSWER_TICKS,
        "control messages are answered within 500 ms",
    );
    interrupts(tap, transport, &mut device);
    stream(tap, &mut device, options.take);
}

fn control(tap: &mut Tap, device: &mut Sound) {
    let stream = device.stream();
    tap.check("K1", stream.is_ok(), "a playback stream with S16, 2 channels, 48 kHz");
    let mut answers = |clause: &str, words: &[u32], bytes: u32, expected: &[u32], text: &str| {
        let answer = device.ask(words, bytes, 0).unwrap_or(0);
        if !expected.contains(&answer) {
            say!("# answer {answer:#x}");
        }
        tap.check(clause, expected.contains(&answer), text);
    };
    answers(
        "K2",
        &[0x7777, 0],
        8,
        &[NOT_SUPP],
        "an unknown request is not supported",
    );
    answers("K3", &[SET_PARAMS], 4, &[BAD_MSG], "a request that is too short is bad");
    answers("K4", &[START, 9999], 8, &[BAD_MSG], "a stream that isn't there is bad");
    let stream = stream.unwrap_or(0);
    answers(
        "K5",
        &[START, stream],
        8,
        &[BAD_MSG, NOT_SUPP, 0x8003],
        "START before PREPARE is refused",
    );
}

fn interrupts(tap: &mut Tap, transport: Transport, device: &mut Sound) {
    let texts = [
        "a completion interrupts",
        "a masked vector keeps its event until it is unmasked",
    ];
    if !transport.interrupts() {
        for (clause, text) in ["I1", "I2"].into_iter().zip(texts) {
            tap.vacuous(clause, text, "the device has no MSI-X");
        }
        return;
    }
    let before = apic::bells();
    let answered = device.ask(&[PCM_INFO, 0, 0, 32], 16, 0).is_ok();
    // The answer may be seen before its interrupt is.
    let told = apic::wait(1000, true, || apic::bells() != before).is_ok();
    tap.check("I1", answered && told, texts[0]);
    device.mask(true);
    let before = apic::bells();
    let answered = device.ask_polled(&[PCM_INFO, 0, 0, 32]).is_ok();
    let silent = apic::bells() == before;
    device.mask(false);
    let told = apic::wait(1000, true, || apic::bells() != before).is_ok();
    tap.check("I2", answered && silent && told, texts[1]);
}

fn stream(tap: &mut Tap, device: &mut Sound, take: Take) {
    let take = Take {
        frames: PERIODS * 480,
        period: 480,
        periods: 4,
        tail: 4,
        ..take
    };
    let before = apic::ticks();
    let played = device.play(&take);
    let ticks = apic::ticks().wrapping_sub(before);
    let Played {
        messages,
        errors,
        kicks,
        interrupts,
        latency,
        ..
    } = match played {
        Ok(played) => played,
        Err(reason) => {
            say!("# {reason}");
            Played::default()
        }
    };
    say!(
        "# messages={messages} errors={errors} kicks={kicks} interrupts={interrupts} latency={latency:?} ticks={ticks}"
    );
    tap.check(
        "S1",
        messages == PERIODS + 4 && errors == 0,
        "each message of a second comes back with OK",
    );
    // A ring of four is taken ahead, and a tick is 100 ms.
    tap.check("S2", ticks >= 9 && messages > 0, "no faster than the rate");
    tap.check(
        "S3",
        kicks == 0 && messages > 0,
        "a running stream needs no notification",
    );
    tap.check(
        "S4",
        interrupts <= messages + 2 && messages > 0,
        "at most one interrupt a message",
    );
    tap.check(
        "S5",
        latency.1 <= 192_000 && messages > 0,
        "latency_bytes is at most a second",
    );
    let again = device.play(&Take { frames: 4800, ..take });
    tap.check(
        "S6",
        again.is_ok_and(|again| again.errors == 0),
        "after RELEASE it plays again",
    );
    let stream = device.stream().unwrap_or(0);
    let idle = [STOP, RELEASE].map(|request| device.ask(&[request, stream], 8, 0));
    let alive = device.ask(&[PCM_INFO, 0, 0, 32], 16, 0) == Ok(OK);
    tap.check(
        "S7",
        idle.iter().all(Result::is_ok) && alive,
        "STOP and RELEASE of a stream at rest are answered",
    );
}

fn health(tap: &mut Tap) {
    const TEXT: &str = "the panic notifier answers";
    match port::in8(0x505) {
        0xff | 0 => tap.vacuous("H1", TEXT, "no device at port 0x505"),
        events => tap.check("H1", events & 1 != 0, TEXT),
    }
}
