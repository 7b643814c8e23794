//! The bus as the control loop sees it: requests in order, and somewhere to put answers. zbus and the server are tasks of the
//! loop's own thread, which run while it waits: a request is taken, decided and answered without another thread's waking up.

use dbus_api::access::Access;
use dbus_api::server::{self, BusAddress, Out, Request};
use tokio::sync::mpsc;

struct Served {
    bus: server::Bus,
    requests: mpsc::Receiver<Request>,
    outs: mpsc::UnboundedSender<Out>,
}

/// See the module.
#[derive(Default)]
pub struct Bus {
    served: Option<Served>,
    /// Taken off by a wait.
    first: Option<Request>,
    ahead: Vec<Out>,
    then: Vec<Out>,
    last: Vec<Out>,
}

impl Bus {
    /// Starts to serve those whom `access` lets; without an address nobody ever asks and answers go nowhere.
    ///
    /// # Panics
    /// With an address outside a tokio runtime with I/O and time enabled.
    pub fn start(address: Option<&str>, access: Option<Access>) -> Self {
        let served = address.map(|address| {
            let (bus, requests, outs) = server::start_with(BusAddress::from(address), access);
            Served { bus, requests, outs }
        });
        Self {
            served,
            ..Self::default()
        }
    }

    /// Until there is a request. Cancel-safe.
    pub async fn wait(&mut self) {
        if self.first.is_some() {
            return;
        }
        if let Some(served) = &mut self.served {
            self.first = served.requests.recv().await;
        }
        if self.first.is_none() {
            // Nobody, or nobody any more.
            std::future::pending::<()>().await;
        }
    }

    /// Up to `most` requests, so that guests have their turn.
    pub fn take_some(&mut self, most: usize) -> Vec<Request> {
        let mut taken = Vec::from_iter(self.first.take());
        let Some(served) = &mut self.served else { return taken };
        while taken.len() < most {
            match served.requests.try_recv() {
                Ok(request) => taken.push(request),
                Err(_) => break,
            }
        }
        taken
    }

    /// An answer, signal, event or request to a domain, which leaves with the next [`Self::flush`]: first requests to domains and
    /// answers to them, which others wait for; then answers and signals; then what is only watched. Each of these keeps its order.
    pub fn send(&mut self, out: Out) {
        let place = match &out {
            Out::Domain(_) | Out::RoutingReply { .. } | Out::Watch { .. } | Out::RoutingReady => &mut self.ahead,
            Out::Reply { .. } | Out::OwnReply { .. } | Out::Signal(_) | Out::RoutingRundown => &mut self.then,
            Out::Event(_) => &mut self.last,
        };
        place.push(out);
    }

    /// Hands over what one decision sent; never waits.
    pub fn flush(&mut self) {
        let all = [&mut self.ahead, &mut self.then, &mut self.last];
        for out in all.into_iter().flat_map(|outs| outs.drain(..)) {
            if let Some(served) = &self.served {
                let _ = served.outs.send(out);
            }
        }
    }

    /// Writes what was handed over and leaves the bus.
    pub async fn stop(mut self) {
        self.flush();
        if let Some(served) = self.served {
            served.bus.stop().await;
        }
    }

    #[cfg(test)]
    fn of(bus: server::Bus, requests: mpsc::Receiver<Request>, outs: mpsc::UnboundedSender<Out>) -> Self {
        let served = Some(Served { bus, requests, outs });
        Self {
            served,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use dbus_api::server::{OwnCall, What};
    use policy::command::{Reply, ReplyBody, Signal};
    use policy::routing_command::RoutingReply;

    use super::*;

    /// With somebody at its other end.
    struct Bench {
        bus: Bus,
        requests: mpsc::Sender<Request>,
        outs: mpsc::UnboundedReceiver<Out>,
    }

    fn bench() -> Bench {
        let (requests, received) = mpsc::channel(100);
        let (sender, outs) = mpsc::unbounded_channel();
        let (served, _, _) = server::start_with(BusAddress::At("unix:path=/nowhere".to_owned()), None);
        let bus = Bus::of(served, received, sender);
        Bench { bus, requests, outs }
    }

    fn request(token: u64) -> Request {
        Request {
            token,
            sender: ":1.1".to_owned(),
            what: What::Own(OwnCall::Status),
        }
    }

    /// A guest that asks meanwhile is decided after at most as many calls as one turn takes.
    #[tokio::test]
    async fn one_turn_takes_so_many_requests_and_goes_on_with_the_others_at_once() {
        let mut bench = bench();
        for token in 1..=70 {
            bench.requests.send(request(token)).await.unwrap();
        }
        let mut turns: Vec<Vec<u64>> = Vec::new();

        for _ in 0..3 {
            bench.bus.wait().await;
            turns.push(bench.bus.take_some(32).iter().map(|it| it.token).collect());
        }

        let wanted: [Vec<u64>; 3] = [(1..=32).collect(), (33..=64).collect(), (65..=70).collect()];
        assert_eq!(turns, wanted);
        assert_eq!(bench.bus.take_some(32), []);
    }

    #[tokio::test]
    async fn what_others_wait_for_leaves_first_and_what_is_only_watched_last() {
        let mut bench = bench();
        let signal = |sink| Out::Signal(Signal::SinkRemoved { sink });
        let answer = Out::RoutingReply {
            token: 1,
            reply: RoutingReply::Nothing,
        };
        let reply = Out::Reply {
            token: 2,
            reply: Reply {
                error: 0,
                body: ReplyBody::Nothing,
            },
        };
        for out in [
            Out::Event("one".into()),
            signal(1),
            answer.clone(),
            reply.clone(),
            Out::RoutingReady,
            signal(2),
            Out::Event("two".into()),
        ] {
            bench.bus.send(out);
        }

        bench.bus.flush();
        bench.bus.send(Out::RoutingReady);
        bench.bus.flush();

        let left: Vec<Out> = std::iter::from_fn(|| bench.outs.try_recv().ok()).collect();
        let wanted = [
            answer,
            Out::RoutingReady,
            signal(1),
            reply,
            signal(2),
            Out::Event("one".into()),
            Out::Event("two".into()),
            Out::RoutingReady,
        ];
        assert_eq!(left, wanted, "a later decision's never overtake");
    }
}
