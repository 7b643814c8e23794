//! The routing interface on the wire, over a connection without a bus: members, types, errors, requests to domains.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::V::{self, A, B, L, N, Q, S, T, X, Y};
use common::routing_rows::{members, requests, with_empty_lists};
use common::{Raw, body, error_name, next, peers, refusal, run, signature_bytes, widened};
use dbus_api::names::{COMMAND_INTERFACE, COMMAND_PATH, ROUTING_INTERFACE, ROUTING_PATH};
use dbus_api::server::{Bus, DomainCall, Out, Request, What, start_on};
use policy::routing_command::{DomainRequest, RoutingCall, RoutingReply};
use tokio::sync::mpsc::{Receiver, UnboundedSender};
use zbus::Message;

type Ours = (Bus, Receiver<Request>, UnboundedSender<Out>);

async fn served() -> (Ours, Raw) {
    let (server, client) = peers().await;
    (start_on(server), client)
}

/// Makes the call at the routing path and answers it; returns what was asked and the reply.
async fn exchange(
    (_, requests, outs): &mut Ours,
    client: &Raw,
    interface: Option<&str>,
    (member, values): (&str, &[V]),
    reply: RoutingReply,
) -> (What, Message) {
    let answering = async {
        let Request { token, what, .. } = requests.recv().await.unwrap();
        outs.send(Out::RoutingReply { token, reply }).unwrap();
        what
    };
    let call = client.call_at(ROUTING_PATH, interface, member, values);
    let (what, reply) = tokio::join!(answering, call);
    (what, reply.unwrap())
}

#[test]
fn each_member_takes_its_types_in_both_widths_and_answers_with_the_codes_of_its_kind() {
    run(async {
        let (mut ours, client) = served().await;
        let rows = members();
        assert_eq!(rows.len(), 44 + 8);
        let distinct: BTreeSet<&str> = rows.iter().map(|row| row.0).collect();
        assert_eq!(distinct.len(), rows.len());
        for (member, values, call, reply, signature) in rows {
            for values in [values.clone(), widened(&values)] {
                let interface = Some(ROUTING_INTERFACE);
                let (what, answer) = exchange(&mut ours, &client, interface, (member, &values), reply.clone()).await;

                assert_eq!(what, What::Routing(call.clone()), "{member}");
                assert_eq!(answer.body().signature().to_string_no_parens(), signature, "{member}");
                match reply.clone() {
                    RoutingReply::Early { id, connections, error } => {
                        let found: (u16, u16, Vec<u16>) = answer.body().deserialize().unwrap();
                        assert_eq!(found, (u16::try_from(error).unwrap(), id, connections));
                    }
                    RoutingReply::Id { id, error } => {
                        let found: (u16, u16) = answer.body().deserialize().unwrap();
                        assert_eq!(found, (id, u16::try_from(error).unwrap()));
                    }
                    RoutingReply::Error(error) => {
                        assert_eq!(
                            answer.body().deserialize::<u16>().unwrap(),
                            u16::try_from(error).unwrap()
                        );
                    }
                    RoutingReply::Ready(ready) => assert_eq!(answer.body().deserialize::<bool>().unwrap(), ready),
                    RoutingReply::Nothing => assert!(answer.body().is_empty()),
                }
            }
        }
    });
}

/// AudioManager reads one entry of zeros out of each empty list.
#[test]
fn an_empty_list_has_no_entries() {
    run(async {
        let (mut ours, client) = served().await;
        for (member, values, call) in with_empty_lists() {
            let reply = members().into_iter().find(|row| row.0 == member).unwrap().3;
            let (what, _) = exchange(&mut ours, &client, None, (member, &values), reply).await;
            assert_eq!(what, What::Routing(call));
        }
    });
}

/// `a(q)` as the XML writes it, and `aq`, `ai` as the registrations have it.
#[test]
fn updates_take_plain_lists_too() {
    run(async {
        let (mut ours, client) = served().await;
        let row = members().into_iter().find(|row| row.0 == "updateGateway").unwrap();
        let list = |kind: &str, entries| L(kind.to_owned(), entries);
        let plain = vec![
            Q(7),
            list("q", vec![Q(1)]),
            list("n", vec![N(2), N(3)]),
            list("b", vec![B(true), B(false)]),
        ];
        let (what, _) = exchange(&mut ours, &client, None, ("updateGateway", &plain), row.3).await;
        assert_eq!(what, What::Routing(row.2));
    });
}

#[test]
fn any_interface_or_none_and_both_spellings_are_taken_but_not_anothers_interface() {
    run(async {
        let (mut ours, client) = served().await;
        for (member, code) in [
            ("hookSinkAvailablityStatusChange", "hookSinkAvailablityStatusChange"),
            ("hookSinkAvailabilityStatusChange", "hookSinkAvailablityStatusChange"),
            (
                "hookSourceAvailabilityStatusChange",
                "hookSourceAvailablityStatusChange",
            ),
        ] {
            let (_, values, call, reply, _) = members().into_iter().find(|row| row.0 == code).unwrap();
            for interface in [None, Some("any.thing"), Some(ROUTING_INTERFACE)] {
                let (what, _) = exchange(&mut ours, &client, interface, (member, &values), reply.clone()).await;
                assert_eq!(what, What::Routing(call.clone()));
            }
        }
        let refused = [
            (ROUTING_PATH, Some(COMMAND_INTERFACE), "peekSink"),
            (ROUTING_PATH, Some("org.freedesktop.DBus.Peer"), "peekSink"),
            (COMMAND_PATH, None, "peekSink"),
            (ROUTING_PATH, None, "Connect"),
        ];
        for (path, interface, member) in refused {
            let result = client.call_at(path, interface, member, &[S("x".into())]).await;
            assert_eq!(
                error_name(result),
                "org.freedesktop.DBus.Error.UnknownMethod",
                "{path} {interface:?}"
            );
        }
    });
}

#[test]
fn a_wrong_type_gets_one_error_and_the_next_correct_call_works() {
    run(async {
        let (mut ours, client) = served().await;
        for (member, values, call, reply, _) in members() {
            let mut wrongs = vec![vec![Y(1)], vec![A(vec![1])], vec![T(vec![Q(1)])]];
            wrongs.push(values.iter().cloned().chain([Q(1)]).collect());
            if let Some((_, most)) = values.split_last() {
                wrongs.push(vec![]);
                wrongs.push(most.iter().cloned().chain([X(1)]).collect());
                wrongs.push(most.iter().cloned().chain([T(vec![N(1), S("x".into())])]).collect());
            }
            for wrong in wrongs {
                let result = client.call_at(ROUTING_PATH, None, member, &wrong).await;
                assert_eq!(
                    error_name(result),
                    "org.freedesktop.DBus.Error.InvalidArgs",
                    "{member} {wrong:?}"
                );
            }
            let (what, _) = exchange(&mut ours, &client, None, (member, &values), reply).await;
            assert_eq!(what, What::Routing(call));
        }
    });
}

#[test]
fn values_out_of_range_and_names_that_are_none_are_errors() {
    run(async {
        let (_ours, client) = served().await;
        let domain = |name: &str, path: &str, interface: &str| {
            let text = |text: &str| S(text.to_owned());
            let data = T(vec![Q(0), text("amp"), text(""), text(""), B(false), B(false), N(1)]);
            vec![data, text(name), text(path), text(interface)]
        };
        let wrongs = [
            ("registerDomain", domain("not a name", "/amp", "a.b")),
            ("registerDomain", domain("", "/amp", "a.b")),
            ("registerDomain", domain("a.b", "amp", "a.b")),
            ("registerDomain", domain("a.b", "/amp", "ab")),
            ("registerDomain", domain("a.b", "/amp", "")),
            ("ackConnect", vec![V::U(65_536), Q(1), Q(0)]),
            ("deregisterSink", vec![N(-1)]),
            ("hookDomainStateChange", vec![Q(1), V::I(40_000)]),
            ("peekSink", vec![S("x".repeat(256))]),
        ];
        for (member, values) in wrongs {
            let result = client.call_at(ROUTING_PATH, None, member, &values).await;
            assert_eq!(
                error_name(result),
                "org.freedesktop.DBus.Error.InvalidArgs",
                "{member} {values:?}"
            );
        }
    });
}

/// Those that never reply in AudioManager, among them: an empty reply where one is expected, none where it isn't.
#[test]
fn a_hook_without_reply_expected_is_taken_and_answered_with_nothing() {
    run(async {
        let ((_bus, mut asked, outs), client) = served().await;
        let mut heard = zbus::MessageStream::from(&client.connection);
        let call = Message::method_call(ROUTING_PATH, "hookDomainStateChange")
            .with_flags(zbus::message::Flags::NO_REPLY_EXPECTED)
            .build(&(7_u16, 2_i16))
            .unwrap();
        client.connection.send(&call).await.unwrap();
        let token = asked.recv().await.unwrap().token;
        let reply = RoutingReply::Nothing;
        outs.send(Out::RoutingReply { token, reply }).unwrap();

        outs.send(Out::RoutingReady).unwrap();

        assert_eq!(
            next(&mut heard).await.header().member().unwrap().as_str(),
            "setRoutingReady"
        );
    });
}

#[test]
fn both_signals_have_their_names_and_no_arguments() {
    run(async {
        let ((_bus, _requests, outs), client) = served().await;
        let mut heard = zbus::MessageStream::from(&client.connection);
        for (out, member) in [
            (Out::RoutingReady, "setRoutingReady"),
            (Out::RoutingRundown, "setRoutingRundown"),
        ] {
            outs.send(out).unwrap();
            let signal = next(&mut heard).await;
            let header = signal.header();
            assert_eq!(header.member().unwrap().as_str(), member);
            assert_eq!(header.path().unwrap().as_str(), ROUTING_PATH);
            assert_eq!(header.interface().unwrap().as_str(), ROUTING_INTERFACE);
            assert!(signal.body().is_empty());
        }
    });
}

fn call(request: DomainRequest) -> DomainCall {
    DomainCall {
        peer: String::new(),
        path: "/the/domain".into(),
        interface: "org.example.domain".into(),
        request,
    }
}

#[test]
fn each_request_is_a_call_on_the_domains_object_with_its_types() {
    run(async {
        let ((_bus, _requests, outs), client) = served().await;
        let mut heard = zbus::MessageStream::from(&client.connection);
        for (request, member, signature, values) in requests() {
            outs.send(Out::Domain(call(request))).unwrap();

            let message = next(&mut heard).await;
            let header = message.header();
            assert_eq!(header.member().unwrap().as_str(), member);
            assert_eq!(header.path().unwrap().as_str(), "/the/domain");
            assert_eq!(header.interface().unwrap().as_str(), "org.example.domain");
            assert_eq!(signature_bytes(&message), signature, "{member}");
            let expected = Message::method_call("/", "X").build(&body(&values).unwrap()).unwrap();
            assert_eq!(
                message.body().data().bytes(),
                expected.body().data().bytes(),
                "{member}"
            );
            // A reply or none: it is all the same to us.
            if signature.len() % 2 == 0 {
                let reply = Message::method_return(&header).build(&0_i32).unwrap();
                client.connection.send(&reply).await.unwrap();
            }
        }
    });
}

#[test]
fn an_error_of_a_domain_comes_back_once_with_the_handle_and_a_return_is_nothing() {
    run(async {
        let ((_bus, mut asked, outs), client) = served().await;
        let mut heard = zbus::MessageStream::from(&client.connection);
        for handle in [5, 6] {
            outs.send(Out::Domain(call(DomainRequest::Abort { handle }))).unwrap();
        }
        let (first, second) = (next(&mut heard).await, next(&mut heard).await);
        let fine = Message::method_return(&first.header()).build(&0_i32).unwrap();
        let unknown = || refusal(&second, "org.freedesktop.DBus.Error.UnknownMethod");

        client.connection.send(&fine).await.unwrap();
        client.connection.send(&unknown()).await.unwrap();
        client.connection.send(&unknown()).await.unwrap();

        assert_eq!(asked.recv().await.unwrap().what, What::RequestFailed { handle: 6 });
        client
            .call_at(ROUTING_PATH, Some("org.freedesktop.DBus.Peer"), "Ping", &[])
            .await
            .unwrap();
        assert!(asked.try_recv().is_err(), "once");
    });
}

/// A bus bounds how many replies a connection waits for.
#[test]
fn one_that_never_returns_is_asked_for_no_more_returns_and_still_gets_its_requests() {
    run(async {
        let ((_bus, _asked, outs), client) = served().await;
        let mut heard = zbus::MessageStream::from(&client.connection);
        let mut wanted = 0;
        for handle in 1..=200 {
            outs.send(Out::Domain(call(DomainRequest::Abort { handle }))).unwrap();
            let message = next(&mut heard).await;
            assert_eq!(message.body().deserialize::<u16>().unwrap(), handle);
            let flags = message.primary_header().flags();
            wanted += usize::from(!flags.contains(zbus::message::Flags::NO_REPLY_EXPECTED));
        }
        assert_eq!(wanted, 16);
    });
}

#[test]
fn an_answer_of_another_kind_is_an_error_and_not_a_wrong_message() {
    run(async {
        let ((_bus, mut asked, outs), client) = served().await;
        let name = [S("x".into())];
        let answering = async {
            let token = asked.recv().await.unwrap().token;
            let reply = RoutingReply::Nothing;
            outs.send(Out::RoutingReply { token, reply }).unwrap();
        };
        let (reply, ()) = tokio::join!(client.call_at(ROUTING_PATH, None, "peekSink", &name), answering);
        assert_eq!(error_name(reply), "org.freedesktop.DBus.Error.Failed");
    });
}

/// Reads the members out of the XML and calls each with its documented arguments.
#[test]
fn introspection_lists_every_member_and_each_listed_one_can_be_called() {
    run(async {
        let ((_bus, mut asked, outs), client) = served().await;
        tokio::spawn(async move {
            while let Some(Request { token, what, .. }) = asked.recv().await {
                let What::Routing(call) = what else { continue };
                let reply = members().into_iter().find(|row| kind(&row.2) == kind(&call)).unwrap().3;
                outs.send(Out::RoutingReply { token, reply }).unwrap();
            }
        });
        let introspectable = Some("org.freedesktop.DBus.Introspectable");
        let reply = client
            .call_at(ROUTING_PATH, introspectable, "Introspect", &[])
            .await
            .unwrap();
        let xml: String = reply.body().deserialize().unwrap();
        let listed = common::listed_methods(&xml, ROUTING_INTERFACE);
        let names: BTreeSet<&str> = listed.iter().map(|method| method.0.as_str()).collect();
        assert_eq!(names, members().iter().map(|row| row.0).collect());
        assert_eq!(listed.len(), 52);

        for (member, takes, gives) in &listed {
            let values: Vec<V> = takes.iter().map(|(name, kind)| value_of(name, kind)).collect();
            let reply = client
                .call_at(ROUTING_PATH, Some(ROUTING_INTERFACE), member, &values)
                .await;
            let reply = reply.unwrap_or_else(|error| panic!("{member} {values:?}: {error}"));
            assert_eq!(
                reply.body().signature().to_string_no_parens(),
                gives.concat(),
                "{member}"
            );
        }
        assert_eq!(xml.matches("<signal ").count(), 2);
    });
}

/// Two calls of one kind have answers of one kind.
fn kind(call: &RoutingCall) -> std::mem::Discriminant<RoutingCall> {
    std::mem::discriminant(call)
}

fn value_of(name: &str, kind: &str) -> V {
    match name {
        "returnBusname" => S("org.example.Domain".into()),
        "returnPath" => S("/domain".into()),
        "returnInterface" => S("org.example.domain".into()),
        _ => {
            let (value, rest) = parsed(kind);
            assert_eq!(rest, "", "{kind}");
            value
        }
    }
}

/// A value of the first type of a signature, and the types after it.
fn parsed(kind: &str) -> (V, &str) {
    let (first, mut rest) = kind.split_at(1);
    let value = match first {
        "q" => Q(1),
        "n" => N(1),
        "i" => V::I(1),
        "b" => B(true),
        "s" => S("x".into()),
        "a" => {
            let (entry, after) = parsed(rest);
            let entries = &rest[..rest.len() - after.len()];
            rest = after;
            L(entries.to_owned(), vec![entry])
        }
        "(" => {
            let mut fields = Vec::new();
            while !rest.starts_with(')') {
                let (field, after) = parsed(rest);
                fields.push(field);
                rest = after;
            }
            rest = &rest[1..];
            T(fields)
        }
        other => panic!("the XML has the type {other}"),
    };
    (value, rest)
}
