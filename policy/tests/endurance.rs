//! Nothing grows with the number of connections over domains. (AudioManager 8 leaks about 3 kB a connect and disconnect.)
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use policy::command::{Call, ReplyBody};
use policy::routing_command::{
    AckResult, DomainData, DomainRequest, Lists, RoutingCall, RoutingReply, SinkData, SourceData,
};
use policy::{Effect, Event, Machine};

/// Cycles of connect and disconnect; the first tenth warms up.
const CYCLES: usize = 20_000;
const PEER: &str = ":1.1";

/// Bytes that are allocated now.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: passes everything on to the system's allocator; counting touches an atomic only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most that is allocated at the end of any of these cycles: who rests how long differs from one to the next.
fn most(cycles: usize, mut cycle: impl FnMut()) -> usize {
    let after = |_| {
        cycle();
        LIVE.load(Relaxed)
    };
    (0..cycles).map(after).max().unwrap_or_default()
}

struct Car {
    machine: Machine,
    now: u64,
}

impl Car {
    /// One event and the acks of all that is asked because of it; what was answered first.
    fn event(&mut self, event: Event) -> Vec<Effect> {
        self.now += 40;
        let effects = self.machine.step(event, self.now);
        let mut open: Vec<DomainRequest> = requests(&effects);
        while let Some(request) = open.pop() {
            let (handle, result) = (request.handle(), ack(&request));
            let call = RoutingCall::Ack {
                handle,
                result,
                error: 0,
            };
            let peer = PEER.to_owned();
            let next = self.machine.step(Event::Routing { token: 1, peer, call }, self.now);
            open.extend(requests(&next));
        }
        effects
    }

    fn registered(&mut self, call: RoutingCall) -> u16 {
        let peer = PEER.to_owned();
        let effects = self.event(Event::Routing { token: 2, peer, call });
        let id = effects.iter().find_map(|effect| match effect {
            Effect::RoutingReply {
                reply: RoutingReply::Id { id, error: 0 },
                ..
            } => Some(*id),
            _ => None,
        });
        id.expect("an ID")
    }

    fn cycle(&mut self, source: u16, sink: u16) {
        let call = Call::Connect { source, sink };
        let effects = self.event(Event::Call { token: 3, call });
        let connection = effects.iter().find_map(|effect| match effect {
            Effect::Reply { reply, .. } => match reply.body {
                ReplyBody::Connection(id) if reply.error == 0 => Some(id),
                _ => None,
            },
            _ => None,
        });
        let call = Call::Disconnect {
            connection: connection.expect("a connection"),
        };
        self.event(Event::Call { token: 4, call });
    }
}

fn requests(effects: &[Effect]) -> Vec<DomainRequest> {
    let of = |effect: &Effect| match effect {
        Effect::Domain { request, .. } => Some(request.clone()),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

fn ack(request: &DomainRequest) -> AckResult {
    match *request {
        DomainRequest::Connect { connection, .. } => AckResult::Connect { connection },
        DomainRequest::Disconnect { connection, .. } => AckResult::Disconnect { connection },
        DomainRequest::SetSourceState { .. } => AckResult::SourceState,
        DomainRequest::SetSinkVolume { volume, .. } => AckResult::SinkVolume { volume },
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn connections_over_domains_leave_nothing_behind() {
    let text = "version = 1\n[classes.media]\n";
    let model = policy::file::read(&policy::file::Document::parse(text));
    let mut car = Car {
        machine: Machine::new(model),
        now: 1000,
    };
    let name = "amplifier".to_owned();
    let domain = car.registered(RoutingCall::RegisterDomain(DomainData {
        name: name.clone(),
        bus_name: "a.b".to_owned(),
        path: "/a".to_owned(),
        interface: "a.b".to_owned(),
        ..DomainData::default()
    }));
    let lists = Lists {
        formats: vec![2],
        ..Lists::default()
    };
    let sink = car.registered(RoutingCall::RegisterSink(SinkData {
        domain,
        name: name.clone(),
        visible: true,
        mute: 2,
        main_volume: 50,
        lists: lists.clone(),
        ..SinkData::default()
    }));
    let source = car.registered(RoutingCall::RegisterSource(SourceData {
        domain,
        name,
        visible: true,
        state: 2,
        lists,
        ..SourceData::default()
    }));
    (0..CYCLES / 10).for_each(|_| car.cycle(source, sink));
    let before = most(CYCLES / 10, || car.cycle(source, sink));
    let snapshot = car.machine.snapshot().len();

    (0..CYCLES).for_each(|_| car.cycle(source, sink));

    let after = most(CYCLES / 10, || car.cycle(source, sink));
    assert!(after <= before, "{} bytes more after {CYCLES} cycles", after - before);
    assert!(
        car.machine.snapshot().len() < snapshot + 1024,
        "the state that is kept grows"
    );
}
