//! Callers that mean ill in virtual time, beside a run of the same without them: a guest's take on the shortest ring is exact, nothing is
//! late, and the engine asks no more of the kernel.

use std::path::Path;
use std::time::Duration;

use system_tests::virtual_bus::{self, Run};

/// Memory of the control process may move by this, bytes: queues fill and empty.
const UNEVEN: usize = 6 << 20;

/// Calls a period: the window's edges, and ends of the front end's that a notification finds still awake.
const UNCHANGED: f64 = 0.05;

/// How much later a start is answered and decided, ms: each after 32 calls at most of a fifth of a millisecond, and the others on the
/// processor have their turns too. What the daemon queues at most, 2048 calls, would be eight times that.
const LATER_MS: f64 = 50.0;

/// Takes of so many seconds; the attackers have registered so many domains when theirs begins.
pub fn an_attack_changes_nothing(name: &str, seconds: f64, domains: u64, limit: Duration) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);

    let [quiet, attacked] = virtual_bus::run(&folder, seconds, domains, limit).unwrap();

    assert!([&quiet, &attacked].iter().all(|run| Run::is_exact(run)));
    let (without, with) = (quiet.said.calls_a_period, attacked.said.calls_a_period);
    assert!(
        (without - with).abs() < UNCHANGED,
        "{without} calls a period, {with} under attack"
    );
    // The take lasts as long; what is more is the wait between START and its decision.
    let later = attacked.said.taken.stats.wall_ms - quiet.said.taken.stats.wall_ms;
    assert!(later < LATER_MS, "decided {later} ms later");
    let (before, after) = attacked.said.attacked.unwrap();
    assert!(before.domains >= domains && after.limited > 0, "{after:?}");
    assert!(
        after.calls > before.calls + (500.0 * seconds) as u64,
        "{before:?}, {after:?}"
    );
    assert!(attacked.said.grown < UNEVEN);
}
