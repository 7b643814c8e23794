//! Callers that mean ill against the shipped daemon while a guest plays: not a sample changes, the engine asks no more of the kernel,
//! nothing grows, and others are served.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use std::sync::atomic::Ordering::Relaxed;
use system_tests::attack::{Attack, Kind};
use system_tests::coded::compare;
use system_tests::process::{self, SystemCalls};
use system_tests::rig::{Car, Player, Rig, Take};
use system_tests::traced;
use system_tests::witness::held;

const ALL: [Kind; 4] = [Kind::Fuzz, Kind::Flood, Kind::Domains, Kind::Silent];

/// Memory of the control process may move by this, bytes: queues fill and empty.
const UNEVEN: usize = 6 << 20;

/// Attackers of a daemon that is on its bus: it is ready before that.
fn attack(rig: &Rig) -> Attack {
    let daemon = rig.daemon().unwrap();
    let up = || daemon.status().ok();
    process::until("the daemon is on its bus", Duration::from_secs(20), up).unwrap();
    Attack::start(daemon.bus(), &ALL)
}

fn attacked(seconds: f64) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let rig = Rig::start("hostile-bus", Car::calm()).map_err(|e| told(&e))?;
    let daemon = rig.daemon().map_err(|e| told(&e))?;
    let control = rig.process("control", None).map_err(|e| told(&e))?;
    let attack = attack(&rig);
    // What grows to its bound has.
    while attack.calls.load(Relaxed) < 2000 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = process::resident(control).unwrap();
    // As many as the daemon is to bear, however slowly this machine lets them come; the others go on meanwhile.
    process::until("a thousand hostile domains", Duration::from_secs(60), || {
        (attack.domains.load(Relaxed) >= 1000).then_some(())
    })
    .map_err(|e| told(&e))?;
    let played = rig.settled(0).map_err(|e| told(&e))?.len();
    let take = Take {
        seconds,
        ..Take::default()
    };
    let (sent, stats) = Player::start(&rig.socket(0), take)
        .and_then(Player::finish)
        .map_err(|e| told(&e))?;
    let after = rig.settled(0).map_err(|e| told(&e))?;
    let grown = process::resident(control).unwrap().saturating_sub(before);
    let (calls, limited) = (attack.calls.load(Relaxed), attack.limited.load(Relaxed));
    let domains = attack.domains.load(Relaxed);
    println!(
        "{calls} hostile calls, {domains} domains, {limited} answered LimitsExceeded, {grown} bytes more than {before}"
    );
    drop(attack);
    let report = compare(&sent, &after[played..], 4);
    if !report.is_exact() || stats.lost + stats.errors > 0 {
        return Err(format!("{} runs, {} exact; {stats:?}", report.runs.len(), report.exact));
    }
    assert_eq!(
        rig.process("control", None).unwrap(),
        control,
        "the control process was restarted"
    );
    assert!(limited > 0, "no queue was full");
    assert!(grown < UNEVEN, "{grown} bytes more");
    // Those that left are gone, and who asks now is answered.
    let none = process::until("the hostile domains are gone", Duration::from_secs(20), || {
        let status = daemon.status().ok()?;
        (status["domains"].as_array()?.is_empty()).then_some(())
    });
    none.map_err(|e| told(&e))
}

#[test]
fn a_guests_samples_are_exact_while_the_bus_is_attacked_and_nothing_grows() {
    held(Car::calm().tolerance(), || attacked(4.0)).unwrap();
}

/// System calls of the codec's thread in a window, a period.
fn calls_a_period(rig: &Rig, window: Duration) -> f64 {
    let engine = rig.process("engine", None).unwrap();
    let thread = process::threads(engine)
        .into_iter()
        .find(|thread| process::thread_name(engine, *thread).starts_with("codec"))
        .expect("a thread named codec-N");
    let began = Instant::now();
    let count = match SystemCalls::count_threads(&[thread]) {
        Ok(calls) => {
            std::thread::sleep(window);
            calls.read().unwrap()
        }
        Err(_) => traced::system_calls(thread, window).expect("neither the kernel nor a tracer counts here"),
    };
    count as f64 / (began.elapsed().as_secs_f64() * 200.0)
}

#[test]
fn the_engine_asks_no_more_of_the_kernel_while_the_bus_is_attacked() {
    let rig = Rig::start("hostile-calls", Car::calm()).unwrap();
    let take = Take {
        seconds: 6.0,
        ..Take::default()
    };
    let player = Player::start(&rig.socket(0), take).unwrap();
    let window = Duration::from_millis(1000);
    let quiet = calls_a_period(&rig, window);

    let attack = attack(&rig);
    let attacked = calls_a_period(&rig, window);
    drop(attack);

    player.finish().unwrap();
    println!("{quiet:.3} system calls a period, {attacked:.3} under attack");
    assert!(
        attacked < quiet * 1.05 + 0.02,
        "{quiet} calls a period, {attacked} under attack"
    );
}
