//! The routing interface on a real bus: who may register, names lost, requests to domains and what becomes of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::V::{B, N, Q, S, T};
use common::routing_rows::requests;
use common::{Folder, Raw, next_but_signals as next, refusal, run};
use dbus_api::names::{BUS_NAME, ROUTING_PATH};
use dbus_api::private_bus::PrivateBus;
use dbus_api::server::{Bus, BusAddress, BusState, DomainCall, Out, Request, What, start};
use policy::routing_command::{DomainRequest, RoutingCall, RoutingReply};
use tokio::sync::mpsc::{Receiver, UnboundedSender};
use zbus::Message;

struct Ours {
    bus: PrivateBus,
    state: Bus,
    asked: Receiver<Request>,
    outs: UnboundedSender<Out>,
    _folder: Folder,
}

impl Ours {
    /// With the name owned and that told.
    async fn start() -> Self {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let (mut state, mut asked, outs) = start(BusAddress::from(bus.address()));
        state.reached(BusState::Owned).await;
        assert_eq!(asked.recv().await.unwrap().what, What::NameOwned);
        Self {
            _folder: folder,
            bus,
            state,
            asked,
            outs,
        }
    }

    async fn client(&self) -> Raw {
        Raw::bus(self.bus.address()).await
    }

    async fn named(&self, name: &'static str) -> Raw {
        let client = self.client().await;
        client.connection.request_name(name).await.unwrap();
        client
    }

    /// A domain's connection, registered.
    async fn amp(&mut self) -> Raw {
        let amp = self.named("org.example.Amp").await;
        self.register(&amp, "org.example.Amp").await;
        amp
    }

    /// The next request, which must be from `client`; a call is answered.
    async fn asked(&mut self, client: &Raw) -> What {
        let Request { token, sender, what } = self.asked.recv().await.unwrap();
        assert_eq!(sender, unique(client));
        let reply = match what {
            What::Routing(RoutingCall::ConfirmRoutingReady { .. }) => RoutingReply::Nothing,
            _ => RoutingReply::Id { id: 101, error: 0 },
        };
        self.outs.send(Out::RoutingReply { token, reply }).unwrap();
        what
    }

    /// Registers a domain under `name`.
    async fn register(&mut self, client: &Raw, name: &str) {
        send(client, "registerDomain", &registration(name)).await;
        let What::Routing(RoutingCall::RegisterDomain(data)) = self.asked(client).await else {
            panic!("another call");
        };
        assert_eq!(data.bus_name, name);
    }

    fn ask(&self, peer: &str, request: DomainRequest) {
        self.outs
            .send(Out::Domain(DomainCall {
                peer: peer.to_owned(),
                path: "/amp".into(),
                interface: "org.example.amp".into(),
                request,
            }))
            .unwrap();
    }

    /// Nothing more has come: a call of a fresh client is the next.
    async fn is_quiet(&mut self) {
        let client = self.client().await;
        send(&client, "confirmRoutingReady", &[Q(1)]).await;
        let what = self.asked(&client).await;
        assert_eq!(what, What::Routing(RoutingCall::ConfirmRoutingReady { domain: 1 }));
    }
}

fn unique(client: &Raw) -> String {
    client.connection.unique_name().unwrap().to_string()
}

fn registration(name: &str) -> Vec<common::V> {
    let text = |text: &str| S(text.to_owned());
    let data = T(vec![Q(0), text("amp"), text(""), text(""), B(false), B(false), N(1)]);
    vec![data, text(name), text("/amp"), text("org.example.amp")]
}

/// Sends a call and doesn't wait for its reply; its serial.
async fn send(client: &Raw, member: &str, values: &[common::V]) -> std::num::NonZeroU32 {
    let call = Message::method_call(ROUTING_PATH, member).destination(BUS_NAME);
    let call = call.build(&common::body(values).unwrap()).unwrap();
    client.connection.send(&call).await.unwrap();
    call.primary_header().serial_num()
}

#[test]
fn a_domain_registers_under_a_name_it_owns_and_its_calls_keep_their_order() {
    run(async {
        let mut ours = Ours::start().await;
        let amp = ours.named("org.example.Amp").await;
        send(&amp, "confirmRoutingReady", &[Q(1)]).await;
        send(&amp, "registerDomain", &registration("org.example.Amp")).await;
        send(&amp, "confirmRoutingReady", &[Q(2)]).await;
        send(&amp, "registerDomain", &registration(&unique(&amp))).await;
        send(&amp, "confirmRoutingReady", &[Q(3)]).await;

        let mut order = Vec::new();
        for _ in 0..5 {
            order.push(match ours.asked(&amp).await {
                What::Routing(RoutingCall::ConfirmRoutingReady { domain }) => domain.to_string(),
                What::Routing(RoutingCall::RegisterDomain(data)) => data.bus_name,
                other => panic!("{other:?}"),
            });
        }

        assert_eq!(order, ["1", "org.example.Amp", "2", unique(&amp).as_str(), "3"]);
    });
}

#[test]
fn a_name_of_nobody_or_of_another_is_refused_with_7_in_the_callers_order() {
    run(async {
        let mut ours = Ours::start().await;
        let owner = ours.named("org.example.Amp").await;
        let thief = ours.client().await;
        let other = ours.client().await;
        ours.register(&owner, "org.example.Amp").await;
        let mut heard = zbus::MessageStream::from(&thief.connection);
        for name in ["org.example.Amp", "org.example.Nobody", BUS_NAME, &unique(&other)] {
            let serial = send(&thief, "registerDomain", &registration(name)).await;
            send(&thief, "confirmRoutingReady", &[Q(9)]).await;

            let what = ours.asked(&thief).await;
            assert_eq!(
                what,
                What::Routing(RoutingCall::ConfirmRoutingReady { domain: 9 }),
                "{name}"
            );
            let refusal = next(&mut heard).await;
            assert_eq!(refusal.header().reply_serial(), Some(serial), "first the first");
            assert_eq!(refusal.body().deserialize::<(u16, u16)>().unwrap(), (0, 7));
            next(&mut heard).await;
        }
        ours.is_quiet().await;
    });
}

#[test]
fn a_name_that_is_released_or_whose_connection_is_gone_is_told_after_the_calls_before() {
    run(async {
        let mut ours = Ours::start().await;
        for by_leaving in [false, true] {
            let amp = ours.named("org.example.Amp").await;
            let peer = unique(&amp);
            ours.register(&amp, "org.example.Amp").await;
            send(&amp, "confirmRoutingReady", &[Q(7)]).await;
            if by_leaving {
                amp.connection.clone().close().await.unwrap();
            } else {
                amp.connection.release_name("org.example.Amp").await.unwrap();
            }

            let call = ours.asked.recv().await.unwrap();
            assert_eq!(call.what, What::Routing(RoutingCall::ConfirmRoutingReady { domain: 7 }));
            let lost = ours.asked.recv().await.unwrap();
            assert_eq!((lost.token, lost.sender), (0, peer));
            let bus_name = "org.example.Amp".into();
            assert_eq!(lost.what, What::DomainLost { bus_name });
        }
        // Another may have it now.
        let heir = ours.named("org.example.Amp").await;
        ours.register(&heir, "org.example.Amp").await;
    });
}

#[test]
fn each_request_reaches_the_connection_that_registered_and_its_error_comes_back() {
    run(async {
        let mut ours = Ours::start().await;
        let amp = ours.amp().await;
        let mut heard = zbus::MessageStream::from(&amp.connection);
        for (request, member, ..) in requests().into_iter().filter(|it| it.0.handle() != 0) {
            ours.ask(&unique(&amp), request);
            let message = next_call(&mut heard).await;
            assert_eq!(message.header().member().unwrap().as_str(), member);

            let error = refusal(&message, "org.freedesktop.DBus.Error.UnknownMethod");
            amp.connection.send(&error).await.unwrap();

            assert_eq!(ours.asked(&amp).await, What::RequestFailed { handle: 1 }, "{member}");
        }
    });
}

async fn next_call(heard: &mut zbus::MessageStream) -> Message {
    loop {
        let message = next(heard).await;
        if message.message_type() == zbus::message::Type::MethodCall {
            return message;
        }
    }
}

/// Whether the next call at `heard` asks for a return; it is given one if so.
async fn is_to_return(amp: &zbus::Connection, heard: &mut zbus::MessageStream) -> bool {
    let message = next_call(heard).await;
    let flags = message.primary_header().flags();
    let wants = !flags.contains(zbus::message::Flags::NO_REPLY_EXPECTED);
    if wants {
        let taken = Message::method_return(&message.header()).build(&()).unwrap();
        amp.send(&taken).await.unwrap();
    }
    wants
}

#[test]
fn a_member_that_a_domain_took_once_needs_no_return_until_a_request_is_aborted() {
    run(async {
        let mut ours = Ours::start().await;
        let amp = ours.amp().await;
        let mut heard = zbus::MessageStream::from(&amp.connection);
        let disconnect = |handle| DomainRequest::Disconnect { handle, connection: 1 };
        let state = |handle| DomainRequest::SetSourceState {
            handle,
            source: 1,
            state: 1,
        };
        let mut returns = Vec::new();

        for request in [
            disconnect(1),
            disconnect(2),
            state(3),
            state(4),
            DomainRequest::Abort { handle: 4 },
            disconnect(5),
            disconnect(6),
        ] {
            ours.ask(&unique(&amp), request);
            returns.push(is_to_return(&amp.connection, &mut heard).await);
            // It is answered after what was sent before it.
            amp.call_at(ROUTING_PATH, Some("org.freedesktop.DBus.Peer"), "Ping", &[])
                .await
                .unwrap();
        }

        assert_eq!(returns, [true, false, true, false, true, true, false]);
    });
}

#[test]
fn a_request_to_one_that_is_gone_fails_at_once() {
    run(async {
        let mut ours = Ours::start().await;
        ours.ask(":1.4242", DomainRequest::Abort { handle: 8 });
        let failed = ours.asked.recv().await.unwrap();
        assert_eq!(
            (failed.sender.as_str(), failed.what),
            (":1.4242", What::RequestFailed { handle: 8 })
        );
        let amp = ours.named("org.example.Amp").await;
        let peer = unique(&amp);
        ours.register(&amp, "org.example.Amp").await;
        ours.ask(&peer, DomainRequest::Abort { handle: 9 });
        let mut heard = zbus::MessageStream::from(&amp.connection);
        next_call(&mut heard).await;

        amp.connection.clone().close().await.unwrap();

        let lost = ours.asked.recv().await.unwrap();
        assert!(
            matches!(lost.what, What::DomainLost { .. } | What::RequestFailed { handle: 9 }),
            "{lost:?}"
        );
        assert_eq!(lost.sender, peer);
    });
}

/// Replies that were not asked of it, a NameOwnerChanged of its own making.
#[test]
fn a_client_cannot_speak_for_the_bus_or_for_a_domain() {
    run(async {
        let mut ours = Ours::start().await;
        let amp = ours.amp().await;
        let mut heard = zbus::MessageStream::from(&amp.connection);
        ours.ask(&unique(&amp), DomainRequest::Abort { handle: 3 });
        let request = loop {
            let message = next(&mut heard).await;
            if message.message_type() == zbus::message::Type::MethodCall {
                break message;
            }
        };
        let liar = ours.client().await;
        let lie = Message::signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged")
            .destination(BUS_NAME)
            .build(&("org.example.Amp", unique(&amp).as_str(), ""))
            .unwrap();
        liar.connection.send(&lie).await.unwrap();
        let error = refusal(&request, "org.freedesktop.DBus.Error.Failed");
        // The bus may refuse to deliver it; if it does, it is nothing.
        let _ = liar.connection.send(&error).await;
        liar.call("Ping", &[]).await.unwrap();
        ours.is_quiet().await;
    });
}

#[test]
fn a_domain_of_before_a_restart_is_watched_and_lost_if_it_is_no_longer_there() {
    run(async {
        let mut ours = Ours::start().await;
        let amp = ours.named("org.example.Amp").await;
        let watch = |peer: String, name: &str| Out::Watch {
            peer,
            bus_name: name.to_owned(),
        };
        ours.outs.send(watch(unique(&amp), "org.example.Amp")).unwrap();
        ours.outs.send(watch(":1.4242".into(), "org.example.Tuner")).unwrap();

        let lost = ours.asked.recv().await.unwrap();
        assert_eq!(lost.sender, ":1.4242");
        let bus_name = "org.example.Tuner".into();
        assert_eq!(lost.what, What::DomainLost { bus_name });
        amp.connection.release_name("org.example.Amp").await.unwrap();
        let bus_name = "org.example.Amp".into();
        assert_eq!(ours.asked(&amp).await, What::DomainLost { bus_name });
    });
}

#[test]
fn names_of_one_connection_are_bounded() {
    run(async {
        let mut ours = Ours::start().await;
        let greedy = ours.client().await;
        let mut heard = zbus::MessageStream::from(&greedy.connection);
        for number in 0..70 {
            let name = format!("org.example.N{number}");
            greedy.connection.request_name(name.as_str()).await.unwrap();
            let serial = send(&greedy, "registerDomain", &registration(&name)).await;
            send(&greedy, "confirmRoutingReady", &[Q(1)]).await;
            let handed_on = matches!(ours.asked(&greedy).await, What::Routing(RoutingCall::RegisterDomain(_)));
            assert_eq!(handed_on, number < 64, "{name}");
            if handed_on {
                ours.asked(&greedy).await;
            }
            let reply = loop {
                let message = next(&mut heard).await;
                if message.header().reply_serial() == Some(serial) {
                    break message;
                }
            };
            let refused = reply.body().deserialize::<(u16, u16)>().unwrap() == (0, 7);
            assert_eq!(refused, !handed_on);
        }
    });
}

#[test]
fn a_lost_bus_is_told_once_at_once_and_the_name_after_it_is_back() {
    run(async {
        let mut ours = Ours::start().await;
        let _amp = ours.amp().await;

        ours.bus.kill();
        let lost = ours.asked.recv().await.unwrap();
        assert_eq!((lost.sender.as_str(), lost.what), ("", What::BusLost));
        assert_eq!(ours.state.state(), BusState::Absent);
        ours.bus.restart().unwrap();

        assert_eq!(ours.asked.recv().await.unwrap().what, What::NameOwned);
        let _amp = ours.amp().await;
    });
}
