//! Cycles of Connect and Disconnect over domains of other processes, and what they leave in the control process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use system_tests::am_suite::elements::Pair;
use system_tests::am_suite::stage::Stage;
use system_tests::am_suite::tamper::Tamper;
use system_tests::am_suite::words::state::CONNECTED;
use system_tests::process;
use system_tests::rig::Folder;

/// Domains that take turns: a handle rests for twice the time that a domain has to acknowledge.
const DOMAINS: usize = 8;

fn cycle(stage: &mut Stage, pair: Pair) {
    let (code, id) = stage.try_connect(pair.source, pair.sink).unwrap();
    assert_eq!(code, 0, "{}", stage.story());
    stage.wait_for_state(id, CONNECTED).unwrap();
    assert_eq!(stage.command("Disconnect", &id).unwrap(), 0);
    stage
        .until("its removal", |it| it.trace.state_of(id).is_none())
        .unwrap();
    stage.heard.clear();
    stage.trace = Default::default();
    for domain in &mut stage.domains {
        domain.asked.clear();
        domain.order.clear();
        domain.looked_at = 0;
    }
}

/// Memory of the control process after the first 1,000 cycles and after all.
pub fn cycles(count: usize) {
    let folder = Folder::new("endurance").unwrap();
    let mut stage = Stage::start(folder.path(), None, Duration::from_secs(20), Tamper::default()).unwrap();
    let pairs: Vec<Pair> = (0..DOMAINS)
        .map(|index| {
            let domain = stage.domain(&format!("amplifier{index}")).unwrap();
            let sink = stage.sink(domain, &format!("speakers{index}")).unwrap();
            let source = stage.source(domain, &format!("tuner{index}"), "media").unwrap();
            Pair { domain, source, sink }
        })
        .collect();
    let control = stage.subject.pid().unwrap();
    let control = process::descendants(control)
        .into_iter()
        .find(|pid| process::arguments(*pid).starts_with("audiod-control"));
    let control = control.expect("a process audiod-control");
    for index in 0..1000 {
        cycle(&mut stage, pairs[index % DOMAINS]);
    }
    let before = process::resident(control).unwrap();

    for index in 1000..count {
        cycle(&mut stage, pairs[index % DOMAINS]);
    }

    let grown = process::resident(control).unwrap().saturating_sub(before);
    println!("{grown} bytes more after {count} cycles than after 1000, {before}");
    // AudioManager leaks 3 kB a cycle; an allocator's own unevenness is far below this.
    let most = (256 << 10) + 10 * count;
    assert!(grown < most, "{grown} bytes in {count} cycles");
    let list = stage.call("GetListMainConnections", &()).unwrap();
    assert!(list[1].items().is_empty());
}
