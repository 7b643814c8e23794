//! Cycles of a connection with ten of open, fill, start, drop, release on the shipped daemon, and what they leave behind.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::TXQ;
use system_tests::frontend::{Options, SoundFrontend};
use system_tests::process;
use system_tests::rig::{Car, PATIENCE, Rig, Take};

/// Runs `count` connections of ten cycles; nothing may be left of them.
pub fn cycles(count: u32) {
    let rig = Rig::start("cycles", Car::default()).unwrap();
    let processes = || ["control", "engine"].map(|role| rig.process(role, None).unwrap());
    let before = processes();
    let used = || {
        let of = |pid: u32| (process::descriptors(pid), process::threads(pid).len());
        (before.map(of), process::descriptors(rig.daemon().unwrap().pid()))
    };
    let (mut settled, mut memory) = (None, 0);
    for cycle in 0..count {
        let mut fe = SoundFrontend::connect(&rig.socket(0), Options::default()).unwrap();
        let pcm = Pcm::open(&mut fe, TXQ, 0, Take::default().params()).unwrap();
        for _ in 0..10 {
            pcm.fill(&mut fe).unwrap();
            pcm.start(&mut fe).unwrap();
            pcm.stop(&mut fe).unwrap();
            pcm.release(&mut fe).unwrap();
            let back = fe.wait_completions(TXQ, 0, pcm.slots.len(), PATIENCE).len();
            assert_eq!(back, pcm.slots.len(), "cycle {cycle}");
            pcm.prepare(&mut fe).unwrap();
        }
        drop(fe);
        if cycle == count / 4 {
            settled = Some(idle(&rig, used));
            memory = resident(&before);
        }
    }
    assert_eq!(before, processes(), "a process died");
    assert_eq!(settled, Some(idle(&rig, used)), "descriptors and threads");
    let grown = resident(&before).saturating_sub(memory);
    assert!(grown < 1 << 20, "{grown} bytes more than after a quarter of the cycles");
}

/// What is used once the last connection has been put away.
fn idle<T: PartialEq>(rig: &Rig, used: impl Fn() -> T) -> T {
    // A new connection is accepted only after the last one is forgotten.
    drop(SoundFrontend::connect(&rig.socket(0), Options::default()).unwrap());
    let (mut last, mut same) = (used(), 0);
    process::until("descriptors settle", PATIENCE, || {
        let now = used();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same > 20).then_some(())
    })
    .unwrap();
    last
}

fn resident(pids: &[u32]) -> usize {
    pids.iter().map(|pid| process::resident(*pid).unwrap()).sum()
}
