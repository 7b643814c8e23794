//! Callers that mean ill, on a real bus, our real server and the daemon's own loop over the bus, while policy and engine run on the codec's own clock: every sample is that of
//! a car that nobody attacks, and the engine's thread asks nothing of the kernel, attacked or not.
//!
//! ```text
//!  attackers ══ dbus-daemon ══ server ── at most 32 requests a turn ──► policy ──► gains ──► engine, in a thread that a filter kills
//!                                                                                            at its first system call
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod engine_common;
mod processes_common;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use audiod::control::bus::Bus;
use audiod::control::desk::{Desk, REQUESTS_A_TURN};
use dbus_api::private_bus::PrivateBus;
use dbus_api::server::{OwnCall, OwnReply, What};
use engine_common::car::{Car, Decider, FILE, constant};
use engine_common::{Bench, FakeStream, PERIOD, noise};
use policy::command::Call;
use policy::{Effect, Event, Machine};
use processes_common::Folder;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use system_tests::attack::{Attack, Kind};

const PERIODS: u64 = 2000;
/// The prompt comes and goes.
const PROMPT: u64 = 1500;
/// Domains that want to be registered meanwhile.
const DOMAINS: u64 = 1000;

/// Music that plays from the first period on, and a prompt of silence that ducks it from its start on.
fn car() -> Car {
    let bytes = noise(12, PERIODS as usize * PERIOD)
        .iter()
        .flat_map(|x| (x * 0.5).to_le_bytes())
        .collect();
    let mut car = Car::new(FILE, vec![FakeStream::playing(19, 1, 7, bytes), constant(0.0, 2000)]);
    for (stream, from) in [(0, 0), (1, PROMPT)] {
        car.bench.stream(stream).script = Some(Box::new(move |period, view| view.running = period >= from));
    }
    car
}

/// From here on this thread may yield, end and say so; anything else ends the process: to wait for a lock, above all.
fn allow_nothing() {
    let allowed = [
        libc::SYS_sched_yield,
        libc::SYS_munmap,
        libc::SYS_madvise,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigprocmask,
        libc::SYS_exit,
    ];
    let mut rules: BTreeMap<i64, _> = allowed.into_iter().map(|number| (number, Vec::new())).collect();
    let wakes = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as u64;
    let wakes = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, wakes).unwrap();
    rules.insert(libc::SYS_futex, vec![SeccompRule::new(vec![wakes]).unwrap()]);
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// The engine's thread: a period whenever it is asked for one.
fn engine(bench: &mut Bench, asked: &AtomicU64, done: &AtomicU64) {
    allow_nothing();
    for period in 1..=PERIODS {
        while asked.load(Acquire) < period {
            std::thread::yield_now();
        }
        bench.run(1);
        done.store(period, Release);
    }
}

/// All periods, with `turn` before each; what was heard, left.
fn played(mut turn: impl FnMut(&mut Decider, u64)) -> Vec<f32> {
    let mut car = car();
    let (asked, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let (policy, bench) = (&mut car.policy, &mut car.bench);
    std::thread::scope(|scope| {
        scope.spawn(|| engine(bench, &asked, &done));
        for period in 0..PERIODS {
            policy.now = period * PERIOD as u64 / 48;
            for source in [(0, 0), (1, PROMPT)].iter().filter(|it| it.1 == period).map(|it| it.0) {
                policy.started(source);
            }
            turn(policy, period);
            asked.store(period + 1, Release);
            while done.load(Acquire) <= period {
                std::thread::yield_now();
            }
            if period == PROMPT {
                // Before a flood's own decisions take its place in the record.
                policy.look();
                assert_eq!(duck_of(policy), (PROMPT, PROMPT + 1));
            }
        }
    });
    car.left()
}

/// Period that had begun when the prompt's duck lay there, and with which it took effect.
fn duck_of(policy: &Decider) -> (u64, u64) {
    let decisions = policy.decisions();
    let mut ducks = decisions.iter().filter(|it| it.about == "cluster.prompt was started");
    let effect = &ducks.next().expect("the prompt's decision").effects[0];
    (effect.queued, effect.period.unwrap())
}

/// The daemon's own loop over the bus, with a policy on the codec's clock.
struct Loop<'a> {
    policy: &'a mut Decider,
    bus: &'a mut Bus,
    old_domains: BTreeSet<u16>,
}

impl Desk for Loop<'_> {
    fn machine(&self) -> &Machine {
        &self.policy.machine
    }

    fn bus(&mut self) -> &mut Bus {
        self.bus
    }

    fn step(&mut self, event: Event) {
        let effects = self.policy.step(event);
        self.tell(effects);
    }

    fn own(&mut self, call: OwnCall) -> OwnReply {
        match call {
            OwnCall::Status | OwnCall::History { .. } => OwnReply::Json("{}".to_owned()),
            OwnCall::Chime { .. } | OwnCall::Reload => OwnReply::Result {
                error: policy::command::error::NON_EXISTENT,
                text: String::new(),
            },
        }
    }

    fn called_by(&mut self, _: &str) {}

    fn old_domains(&mut self) -> &mut BTreeSet<u16> {
        &mut self.old_domains
    }
}

impl<'a> Loop<'a> {
    fn new(policy: &'a mut Decider, bus: &'a mut Bus) -> Self {
        Self {
            policy,
            bus,
            old_domains: BTreeSet::new(),
        }
    }

    fn tell(&mut self, effects: Vec<Effect>) {
        effects.into_iter().for_each(|effect| self.send(effect));
        self.bus.flush();
    }

    fn tick(&mut self) {
        let effects = self.policy.tick();
        self.tell(effects);
    }

    /// One turn, as the daemon's: how many requests were taken.
    async fn turn(&mut self) -> usize {
        wait_for(self.bus).await;
        self.take_requests()
    }
}

async fn wait_for(bus: &mut Bus) {
    // Without a request it goes on.
    let _ = tokio::time::timeout(Duration::from_millis(5), bus.wait()).await;
}

async fn until_named(bus: &mut Bus, end: Instant) {
    while !bus
        .take_some(REQUESTS_A_TURN)
        .iter()
        .any(|it| it.what == What::NameOwned)
    {
        assert!(Instant::now() < end, "the name is not owned");
        wait_for(bus).await;
    }
}

#[test]
fn whatever_the_bus_brings_the_samples_are_the_same_and_the_engine_asks_nothing_of_the_kernel() {
    let quiet = played(|policy, _| drop(policy.tick()));
    let folder = Folder::new("hostile-calls");
    let private = PrivateBus::start(folder.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let within = runtime.enter();
    let mut bus = Bus::start(Some(private.address()), None);
    drop(within);
    let end = Instant::now() + Duration::from_secs(100);
    runtime.block_on(until_named(&mut bus, end));
    // A failure doesn't wait for them: nobody would answer.
    let attack = ManuallyDrop::new(Attack::start(
        private.address(),
        &[Kind::Fuzz, Kind::Flood, Kind::Domains, Kind::Silent],
    ));
    let (mut taken, mut fullest) = (0, 0);

    let attacked = played(|policy, period| {
        let mut desk = Loop::new(policy, &mut bus);
        desk.tick();
        // The attack keeps up with the periods: a turn each, and as many as its domains need.
        let mut turns = 0;
        while turns == 0 || attack.domains.load(Relaxed) < (DOMAINS + 1) * period / PERIODS {
            assert!(Instant::now() < end, "the attack does not get on");
            let requests = runtime.block_on(desk.turn());
            (taken, fullest, turns) = (
                taken + requests,
                requests.max(fullest),
                turns + usize::from(requests > 0),
            );
        }
    });

    let (limited, domains) = (attack.limited.load(Relaxed), attack.domains.load(Relaxed));
    let calls = attack.calls.load(Relaxed);
    let ends = std::thread::spawn(move || drop(ManuallyDrop::into_inner(attack)));
    let mut after = self::car().policy;
    let mut desk = Loop::new(&mut after, &mut bus);
    while !ends.is_finished() {
        runtime.block_on(desk.turn());
    }
    ends.join().unwrap();
    println!(
        "{calls} hostile calls, {taken} requests in {PERIODS} periods, {fullest} at most a turn; {domains} domains, {limited} LimitsExceeded"
    );
    assert_eq!(attacked.iter().zip(&quiet).position(|(is, wanted)| is != wanted), None);
    assert_eq!(
        (attacked.len(), fullest <= REQUESTS_A_TURN),
        (quiet.len(), true),
        "{fullest} at most a turn"
    );
    assert!(
        domains >= DOMAINS && limited > 0,
        "{domains} domains, {limited} answers LimitsExceeded"
    );
    assert!(taken as u64 > 5 * PERIODS, "{taken} requests only");
}

/// What the comparison can see: one call about the guests' own zone among the periods.
#[test]
fn a_call_that_does_mean_the_cabin_is_heard_from_its_period_on() {
    let quiet = played(|policy, _| drop(policy.tick()));
    let meant = played(|policy, period| {
        policy.tick();
        if period == 700 {
            let call = Call::SetVolume { sink: 101, volume: 30 };
            policy.step(Event::Call { token: 1, call });
        }
    });

    let first = meant.iter().zip(&quiet).position(|(is, wanted)| is != wanted).unwrap();
    assert!((700 * PERIOD..701 * PERIOD).contains(&first), "{first}");
}
