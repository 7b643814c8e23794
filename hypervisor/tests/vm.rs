//! A VM on this machine's `/dev/kvm`: bare-metal guests of a few instructions, started, ended and asked in every way.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "vm/guests.rs"]
mod guests;
#[path = "vm/rig.rs"]
mod rig;

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use hypervisor::plan::{Device, Locked, Transport, Word};
use hypervisor::vm::control::{Report, Request};
use hypervisor::vm::{Exit, Fault};
use rig::{RAM, Rig, plan};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

#[test]
fn a_guest_speaks_on_its_console_and_powers_off() {
    let outcome = Rig::new(&guests::hello()).run(plan());

    assert_eq!(outcome.exit.unwrap(), Exit::PowerOff);
    assert_eq!(outcome.console, b"hello\n");
}

#[test]
fn a_guest_without_any_device_gets_its_serial_ports_interrupt() {
    let outcome = Rig::new(&guests::serial()).run(plan());

    assert_eq!(outcome.exit.unwrap(), Exit::PowerOff);
    assert_eq!(outcome.console, b"y");
}

#[test]
fn a_guest_resets_panics_or_lets_its_watchdog_run_out_and_each_is_told_apart() {
    let mut watched = plan();
    watched.devices = vec![Device::Pvpanic, Device::Watchdog];
    let cases = [
        (guests::reset(), Exit::Reset),
        (guests::panic(), Exit::Panicked),
        (guests::watchdog(), Exit::Watchdog),
    ];
    for (guest, expected) in cases {
        let outcome = Rig::new(&guest).run(watched.clone());

        assert_eq!(outcome.exit.unwrap(), expected);
    }
}

#[test]
fn a_spinning_guest_answers_for_its_counters_and_is_stopped() {
    let mut rig = Rig::new(&guests::spin());
    let parent = rig.parent();
    let vm = std::thread::spawn(move || rig.run(plan()));
    let next = || loop {
        if let Some((report, _)) = parent.receive::<Report>().unwrap() {
            return report;
        }
        std::thread::yield_now();
    };
    assert!(matches!(next(), Report::Running { .. }));

    let exits = loop {
        parent.send(&Request::Stats, None).unwrap();
        let Report::Stats { vcpus, .. } = next() else {
            panic!("no counters")
        };
        if vcpus[0]["user-port"] > 0 {
            break vcpus[0].clone();
        }
    };
    parent.send(&Request::Stop, None).unwrap();
    let outcome = vm.join().unwrap();

    assert_eq!(outcome.exit.unwrap(), Exit::Stopped);
    assert_eq!((exits["user-port"], exits["user-memory"]), (1, 0));
    assert!(
        exits.contains_key("io_exits") && exits.contains_key("halt_exits"),
        "{exits:?}"
    );
}

/// Bytes of a memfd that are there.
fn present(memory: &OwnedFd) -> u64 {
    let file = std::fs::File::from(memory.try_clone().unwrap());
    std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512
}

#[test]
fn a_guest_starts_before_memory_that_comes_with_its_use_is_there_and_soon_has_it_all() {
    for (locked, at_once) in [(Locked::OnUse, false), (Locked::Now, true)] {
        let mut rig = Rig::new(&guests::spin());
        let memory = rig.fds.duplicate("ram").unwrap();
        let (parent, mut plan) = (rig.parent(), plan());
        plan.memory[0].locked = locked;
        let before = memory.try_clone().unwrap();
        let lock = move || {
            let all_there = present(&before) == RAM;
            (all_there == at_once)
                .then_some(())
                .ok_or_else(|| format!("{} bytes", present(&before)))
        };

        let vm = std::thread::spawn(move || rig.run_with(plan, lock));
        while present(&memory) < RAM && !vm.is_finished() {
            std::thread::yield_now();
        }
        parent.send(&Request::Stop, None).unwrap();

        assert_eq!(vm.join().unwrap().exit.unwrap(), Exit::Stopped, "{locked:?}");
        assert_eq!(present(&memory), RAM, "{locked:?}");
    }
}

#[test]
fn a_guest_that_can_not_go_on_is_told_with_its_place() {
    let error = Rig::new(&guests::fault()).run(plan()).exit.unwrap_err();

    let text = error.to_string();
    // AMD's KVM resets a vCPU that shuts down before it tells: the place is then the reset vector.
    let places = ["0x10", "0xfff0: "].map(|place| format!("test: the guest can't go on at {place}"));
    assert!(places.iter().any(|place| text.contains(place)), "{text}");
    assert!(matches!(error.fault, Fault::Runtime(_)), "{error:?}");
}

#[test]
fn devices_are_on_the_bus_in_the_order_of_the_plan() {
    let mut plan = plan();
    plan.devices = vec![
        Device::Rng {
            transport: Transport::Pci,
        },
        Device::Rng {
            transport: Transport::Mmio,
        },
    ];

    let console = Rig::new(&guests::pci()).run(plan).console;

    let words: Vec<u32> = console
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    assert_eq!(words, [0x0008_1b36, 0x1044_1af4, u32::MAX, u32::MAX]);
}

#[test]
fn all_vms_read_the_hosts_time_stamp_counter() {
    // SAFETY: every x86-64 has it.
    let host = || unsafe { std::arch::x86_64::_rdtsc() };

    let before = host();
    let console = Rig::new(&guests::tsc()).run(plan()).console;
    let after = host();

    let guest = u64::from_le_bytes(console.try_into().unwrap());
    assert!((before..after).contains(&guest), "{before} {guest} {after}");
}

#[test]
fn a_sandbox_that_does_not_close_runs_no_guest() {
    let mut rig = Rig::new(&guests::hello());
    rig.lock = Some("no filter".to_owned());

    let outcome = rig.run(plan());

    assert_eq!(outcome.exit.unwrap_err().to_string(), "test: sandbox: no filter");
    assert_eq!(outcome.console, b"");
}

#[test]
fn what_the_plan_names_and_nobody_gave_is_told_by_name() {
    let mut plan = plan();
    plan.boot.initrd = Some("initrd".to_owned());

    let error = Rig::new(&guests::hello()).run(plan).exit.unwrap_err();

    assert!(matches!(error.fault, Fault::Plan(_)), "{error:?}");
    assert_eq!(error.to_string(), "test: the descriptor \"initrd\" was not given");
}

#[test]
fn each_word_of_the_doorbell_signals_its_own_eventfd_and_no_other() {
    let mut rig = Rig::new(&guests::bell());
    let bells: Vec<EventFd> = (0..3).map(|_| EventFd::new(EFD_NONBLOCK).unwrap()).collect();
    for (index, bell) in bells.iter().enumerate() {
        // SAFETY: a duplicate that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(bell.try_clone().unwrap().into_raw_fd()) };
        rig.fds.insert(format!("bell{index}"), fd);
    }
    let word = |(index, word): (usize, u16)| Word {
        word,
        fd: format!("bell{index}"),
    };
    let mut plan = plan();
    plan.devices = vec![Device::Doorbell {
        words: [(0, 4), (1, 5), (2, 6)].map(word).to_vec(),
    }];

    let outcome = rig.run(plan);

    assert_eq!(outcome.exit.unwrap(), Exit::PowerOff);
    let counts: Vec<u64> = bells.iter().map(|bell| bell.read().unwrap_or(0)).collect();
    assert_eq!(counts, [0, 2, 1]);
}
