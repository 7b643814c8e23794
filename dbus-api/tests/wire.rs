//! The command interface on the wire, over a connection without a bus: signatures, tolerance, errors, order, limits.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::V::{self, I, N, Q, S, T, U};
use common::rows::{methods, signals};
use common::{Raw, error_name, next, peers, run, signature_bytes, widened};
use dbus_api::client::{Client, Heard};
use dbus_api::names::{COMMAND_INTERFACE, COMMAND_PATH, OWN_INTERFACE, OWN_PATH, ROOT_PATH};
use dbus_api::server::{Bus, Out, OwnCall, Request, SENDER_LIMIT, What, start_on};
use policy::command::{Call, Reply, ReplyBody, Signal};
use proptest::prelude::*;
use tokio::sync::mpsc::{Receiver, UnboundedSender};
use zbus::Message;

type Ours = (Bus, Receiver<Request>, UnboundedSender<Out>);

async fn served() -> (Ours, Raw) {
    let (server, client) = peers().await;
    (start_on(server), client)
}

/// Makes the call and answers it; returns what was asked and the reply.
async fn exchange(
    (_, requests, outs): &mut Ours,
    client: &Raw,
    (member, values): (&str, &[V]),
    body: ReplyBody,
) -> (What, Message) {
    let answering = async {
        let request = requests.recv().await.unwrap();
        let reply = Reply { error: 8, body };
        let token = request.token;
        outs.send(Out::Reply { token, reply }).unwrap();
        request.what
    };
    let (what, reply) = tokio::join!(answering, client.call(member, values));
    (what, reply.unwrap())
}

#[test]
fn each_method_takes_its_documented_types_and_answers_with_the_return_code_first() {
    run(async {
        let (mut ours, client) = served().await;
        for (member, values, call, body, signature) in methods() {
            let (what, reply) = exchange(&mut ours, &client, (member, &values), body).await;

            assert_eq!(what, What::Command(call));
            assert_eq!(reply.body().signature().to_string_no_parens(), signature, "{member}");
        }
    });
}

#[test]
fn each_method_takes_32_bit_integers_for_16_bit_ones() {
    run(async {
        let (mut ours, client) = served().await;
        for (member, values, call, body, _) in methods() {
            let (what, _) = exchange(&mut ours, &client, (member, &widened(&values)), body).await;

            assert_eq!(what, What::Command(call));
        }
    });
}

#[test]
fn the_spellings_of_the_published_xml_are_taken_too() {
    run(async {
        let (mut ours, client) = served().await;
        let spellings = [
            (
                "getListSinkMainNotificationConfigurations",
                "GetListSinkMainNotificationConfigurations",
            ),
            (
                "getListSourceMainNotificationConfigurations",
                "GetListSourceMainNotificationConfigurations",
            ),
            (
                "setSinkMainNotificationConfiguration",
                "setMainSinkNotificationConfiguration",
            ),
            (
                "setSourceMainNotificationConfiguration",
                "setMainSourceNotificationConfiguration",
            ),
        ];
        for (code, xml) in spellings {
            let (_, values, call, body, _) = methods().into_iter().find(|row| row.0 == code).unwrap();

            let (what, _) = exchange(&mut ours, &client, (xml, &values), body).await;

            assert_eq!(what, What::Command(call));
        }
    });
}

/// AudioManager answers every later call InvalidArgs after one wrong one, and dies of the next call without arguments.
#[test]
fn a_wrong_type_gets_one_error_and_the_next_correct_call_works() {
    run(async {
        let (mut ours, client) = served().await;
        for (member, values, call, body, _) in methods() {
            let mut longer = values.clone();
            longer.push(Q(1));
            let mut textual = values.clone();
            textual.pop();
            textual.push(S("x".into()));
            let mut wide = values.clone();
            wide.pop();
            wide.push(V::X(1));
            let mut flat: Vec<V> = values.iter().map(|value| T(vec![value.clone()])).collect();
            flat.push(T(vec![Q(1)]));
            let mut wrongs = vec![longer, textual, wide, flat, vec![V::Y(1)], vec![V::A(vec![1])]];
            if !values.is_empty() {
                wrongs.push(values[..values.len() - 1].to_vec());
                wrongs.push(vec![]);
            }
            for wrong in wrongs {
                let result = client.call(member, &wrong).await;
                assert_eq!(
                    error_name(result),
                    "org.freedesktop.DBus.Error.InvalidArgs",
                    "{member} {wrong:?}"
                );

                let list = ReplyBody::Sinks(vec![]);
                let (what, _) = exchange(&mut ours, &client, ("GetListMainSinks", &[]), list).await;
                assert_eq!(what, What::Command(Call::GetListMainSinks));
            }
            let (what, _) = exchange(&mut ours, &client, (member, &values), body).await;
            assert_eq!(what, What::Command(call));
        }
    });
}

/// Without a bus between, nobody checks bodies before us.
#[test]
fn a_body_that_is_longer_or_shorter_than_its_signature_is_an_error() {
    run(async {
        let (_ours, client) = served().await;
        for bytes in [&[1, 0, 2, 0, 9, 9][..], &[1, 0, 2][..], &[1, 0][..], &[][..]] {
            let call = Message::method_call(COMMAND_PATH, "SetVolume");
            // SAFETY: an invalid body is what is tested; it holds no descriptors.
            let call = unsafe { call.build_raw_body(bytes, "qn", vec![]) }.unwrap();
            let mut replies = zbus::MessageStream::from(&client.connection);

            client.connection.send(&call).await.unwrap();

            let name = next(&mut replies).await.header().error_name().unwrap().to_string();
            assert_eq!(name, "org.freedesktop.DBus.Error.InvalidArgs", "{bytes:?}");
        }
    });
}

#[test]
fn a_value_out_of_range_is_an_error_and_not_another_value() {
    run(async {
        let (_ours, client) = served().await;
        let wrongs: [(&str, &[V]); 5] = [
            ("SetVolume", &[U(65536), N(0)]),
            ("SetVolume", &[Q(1), I(32768)]),
            ("SetVolume", &[I(-1), N(0)]),
            ("SetVolume", &[Q(1), Q(40000)]),
            ("SetSystemProperty", &[T(vec![U(65536), N(0)])]),
        ];
        for (member, values) in wrongs {
            let result = client.call(member, values).await;
            assert_eq!(
                error_name(result),
                "org.freedesktop.DBus.Error.InvalidArgs",
                "{member} {values:?}"
            );
        }
    });
}

#[test]
fn dispatch_is_by_member_whatever_the_interface() {
    run(async {
        let ((_bus, mut requests, outs), client) = served().await;
        for interface in [
            None,
            Some("org.genivi.audiomanager.CommandInterface"),
            Some("any.thing"),
        ] {
            let answering = async {
                let token = requests.recv().await.unwrap().token;
                let body = ReplyBody::Volume(5);
                outs.send(Out::Reply {
                    token,
                    reply: Reply { error: 0, body },
                })
                .unwrap();
            };
            let (reply, ()) = tokio::join!(client.call_at(COMMAND_PATH, interface, "getVolume", &[Q(1)]), answering);
            assert_eq!(reply.unwrap().body().deserialize::<(i16, i16)>().unwrap(), (0, 5));
        }
    });
}

#[test]
fn unknown_members_objects_and_properties_have_their_own_errors_and_peer_and_properties_answer() {
    run(async {
        let (_ours, client) = served().await;
        let name = |result| error_name(result).replace("org.freedesktop.DBus.Error.", "");

        assert_eq!(name(client.call("Fly", &[]).await), "UnknownMethod");
        assert_eq!(
            name(client.call("Status", &[]).await),
            "UnknownMethod",
            "Status is of the other object"
        );
        assert_eq!(
            name(client.call_at(ROOT_PATH, None, "Connect", &[Q(1), Q(1)]).await),
            "UnknownMethod"
        );
        assert_eq!(
            name(client.call_at("/elsewhere", None, "Connect", &[Q(1), Q(1)]).await),
            "UnknownObject"
        );
        let peer = Some("org.freedesktop.DBus.Peer");
        assert_eq!(
            name(client.call_at(COMMAND_PATH, peer, "getVolume", &[Q(1)]).await),
            "UnknownMethod"
        );
        let own = Some(OWN_INTERFACE);
        assert_eq!(
            name(client.call_at(COMMAND_PATH, own, "getVolume", &[Q(1)]).await),
            "UnknownMethod"
        );
        let properties = Some("org.freedesktop.DBus.Properties");
        let get = client
            .call_at(OWN_PATH, properties, "Get", &[S("a".into()), S("b".into())])
            .await;
        assert_eq!(name(get), "UnknownProperty");
        let all = client
            .call_at(COMMAND_PATH, properties, "GetAll", &[S(COMMAND_INTERFACE.into())])
            .await
            .unwrap();
        assert_eq!(all.body().signature().to_string(), "a{sv}");
        let ping = client
            .call_at("/any", Some("org.freedesktop.DBus.Peer"), "Ping", &[])
            .await
            .unwrap();
        assert!(ping.body().is_empty());
    });
}

#[test]
fn pipelined_calls_are_handed_on_and_answered_in_their_order() {
    run(async {
        let ((_bus, mut requests, outs), client) = served().await;
        let calls: Vec<Message> = (0..200_u16).map(|n| call_message("SetVolume", &[Q(n), N(0)])).collect();
        let mut replies = zbus::MessageStream::from(&client.connection);

        client.connection.send_all(&calls).await.unwrap();
        for n in 0..200_u16 {
            let request = requests.recv().await.unwrap();
            assert_eq!(request.what, What::Command(Call::SetVolume { sink: n, volume: 0 }));
            let body = ReplyBody::Nothing;
            let token = request.token;
            outs.send(Out::Reply {
                token,
                reply: Reply { error: 0, body },
            })
            .unwrap();
        }

        for call in &calls {
            let reply = next(&mut replies).await;
            assert_eq!(reply.header().reply_serial(), Some(call.primary_header().serial_num()));
        }
    });
}

#[test]
fn replies_and_signals_leave_in_the_order_they_were_handed_over() {
    run(async {
        let ((_bus, mut requests, outs), client) = served().await;
        let mut heard = zbus::MessageStream::from(&client.connection);
        let calls: Vec<Message> = (0..50_u16).map(|n| call_message("Disconnect", &[Q(n)])).collect();
        client.connection.send_all(&calls).await.unwrap();

        for n in 0..50_u16 {
            let token = requests.recv().await.unwrap().token;
            let reply = Reply {
                error: 0,
                body: ReplyBody::Nothing,
            };
            outs.send(Out::Signal(Signal::RemovedMainConnection { connection: n }))
                .unwrap();
            outs.send(Out::Reply { token, reply }).unwrap();
            outs.send(Out::Event(format!("{n}"))).unwrap();
        }

        for n in 0..50_u16 {
            let signal = next(&mut heard).await;
            assert_eq!(signal.header().member().unwrap().as_str(), "RemovedMainConnection");
            assert_eq!(signal.body().deserialize::<u16>().unwrap(), n);
            let serial = calls[usize::from(n)].primary_header().serial_num();
            assert_eq!(next(&mut heard).await.header().reply_serial(), Some(serial));
            assert_eq!(
                next(&mut heard).await.body().deserialize::<String>().unwrap(),
                n.to_string()
            );
        }
    });
}

#[test]
fn what_is_over_the_limit_is_refused_at_once_and_the_rest_is_served() {
    run(async {
        let ((_bus, mut requests, outs), client) = served().await;
        let over = 100;
        let calls: Vec<Message> = (0..SENDER_LIMIT + over)
            .map(|_| call_message("GetListMainSinks", &[]))
            .collect();
        let mut replies = zbus::MessageStream::from(&client.connection);

        client.connection.send_all(&calls).await.unwrap();
        for _ in 0..over {
            let reply = next(&mut replies).await;
            let name = reply.header().error_name().unwrap().to_string();
            assert_eq!(name, "org.freedesktop.DBus.Error.LimitsExceeded");
        }
        for _ in 0..SENDER_LIMIT {
            let token = requests.recv().await.unwrap().token;
            let body = ReplyBody::Sinks(vec![]);
            outs.send(Out::Reply {
                token,
                reply: Reply { error: 0, body },
            })
            .unwrap();
            assert!(next(&mut replies).await.header().error_name().is_none());
        }
    });
}

#[test]
fn a_call_that_wants_no_reply_is_carried_out_and_gets_none_not_even_an_error() {
    run(async {
        let ((_bus, mut requests, outs), client) = served().await;
        let mut heard = zbus::MessageStream::from(&client.connection);
        let flags = zbus::message::Flags::NO_REPLY_EXPECTED;
        let quiet = |values: &[V]| {
            let call = Message::method_call(COMMAND_PATH, "Disconnect").with_flags(flags);
            call.build(&common::body(values).unwrap()).unwrap()
        };

        client.connection.send(&quiet(&[S("x".into())])).await.unwrap();
        client.connection.send(&quiet(&[Q(3)])).await.unwrap();
        let request = requests.recv().await.unwrap();
        assert_eq!(request.what, What::Command(Call::Disconnect { connection: 3 }));
        let body = ReplyBody::Nothing;
        let token = request.token;
        outs.send(Out::Reply {
            token,
            reply: Reply { error: 0, body },
        })
        .unwrap();
        outs.send(Out::Event("{}".into())).unwrap();

        assert_eq!(next(&mut heard).await.header().member().unwrap().as_str(), "Event");
    });
}

#[test]
fn an_answer_that_does_not_fit_its_call_is_an_error_and_not_a_wrong_message() {
    run(async {
        let ((_bus, mut requests, outs), client) = served().await;
        let answering = async {
            let token = requests.recv().await.unwrap().token;
            let body = ReplyBody::Nothing;
            let reply = Reply { error: 0, body };
            outs.send(Out::Reply {
                token: token + 1000,
                reply: reply.clone(),
            })
            .unwrap();
            outs.send(Out::Reply { token, reply }).unwrap();
        };
        let (reply, ()) = tokio::join!(client.call("getVolume", &[Q(1)]), answering);
        assert_eq!(error_name(reply), "org.freedesktop.DBus.Error.Failed");
    });
}

#[test]
fn all_23_signals_have_their_documented_names_and_signatures_and_the_client_reads_them_back() {
    run(async {
        let ((_bus, _requests, outs), raw) = served().await;
        let mut messages = zbus::MessageStream::from(&raw.connection);
        let mut heard = Client::peer(raw.connection.clone()).signals().await.unwrap();
        assert_eq!(signals().len(), 23);
        for (signal, member, signature) in signals() {
            outs.send(Out::Signal(signal.clone())).unwrap();

            let message = next(&mut messages).await;
            let header = message.header();
            assert_eq!(header.member().unwrap().as_str(), member);
            assert_eq!(header.path().unwrap().as_str(), COMMAND_PATH);
            assert_eq!(header.interface().unwrap().as_str(), COMMAND_INTERFACE);
            assert_eq!(signature_bytes(&message), signature, "{member}");
            assert_eq!(heard.next().await.unwrap(), Heard::Signal(signal));
        }
    });
}

#[test]
fn the_client_makes_every_call_and_reads_every_reply() {
    run(async {
        let ((_bus, mut requests, outs), raw) = served().await;
        let client = Client::peer(raw.connection.clone());
        let own = [
            (Call::SetSourceGain { source: 1, gain: -60 }, ReplyBody::Nothing),
            (Call::SetSourceMute { source: 1, state: 1 }, ReplyBody::Nothing),
        ];
        let all = methods().into_iter().map(|row| (row.2, row.3)).chain(own);
        for (call, body) in all {
            let reply = Reply { error: 7, body };
            let answering = async {
                let request = requests.recv().await.unwrap();
                let (token, reply) = (request.token, reply.clone());
                outs.send(Out::Reply { token, reply }).unwrap();
                request.what
            };
            let (answer, what) = tokio::join!(client.call(&call), answering);
            assert_eq!(what, What::Command(call));
            assert_eq!(answer.unwrap(), reply);
        }
    });
}

#[test]
fn own_calls_are_on_their_own_object_and_a_name_that_is_too_long_is_refused() {
    run(async {
        let ((_bus, mut requests, outs), client) = served().await;
        let answering = async {
            let request = requests.recv().await.unwrap();
            assert_eq!(request.what, What::Own(OwnCall::Chime { name: "belt".into() }));
            let reply = dbus_api::server::OwnReply::Result {
                error: 8,
                text: "there is none\0".into(),
            };
            let token = request.token;
            outs.send(Out::OwnReply { token, reply }).unwrap();
        };
        let name = [S("belt".into())];
        let call = client.call_at(OWN_PATH, Some(OWN_INTERFACE), "Chime", &name);
        let (reply, ()) = tokio::join!(call, answering);
        let reply = reply.unwrap();
        assert_eq!(
            reply.body().deserialize::<(i16, String)>().unwrap(),
            (8, "there is none\u{fffd}".into())
        );

        let long = client.call_at(OWN_PATH, None, "Chime", &[S("x".repeat(256))]).await;
        assert_eq!(error_name(long), "org.freedesktop.DBus.Error.InvalidArgs");
    });
}

fn call_message(member: &'static str, values: &[V]) -> Message {
    let call = Message::method_call(COMMAND_PATH, member).interface(COMMAND_INTERFACE);
    match common::body(values) {
        Some(body) => call.build(&body).unwrap(),
        None => call.build(&()).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Bodies of any bytes under any signature: answered or handed on, and the next call works.
    #[test]
    fn any_body_under_any_signature_is_answered(
        row in 0..22_usize,
        signature in prop_oneof![
            "[nqiuysobtvg]{0,4}", Just("qn".to_owned()), Just("q(nn)".to_owned()), Just("(nn)".to_owned()),
            Just("q".to_owned()), Just("q(nnn)".to_owned()), Just("aaaq".to_owned()), Just("a{sv}".to_owned()),
        ],
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        run(async {
            let ((_bus, mut requests, _outs), client) = served().await;
            let member = methods()[row].0;
            let call = Message::method_call(COMMAND_PATH, member).interface(COMMAND_INTERFACE);
            // SAFETY: an invalid body is what is tested; it holds no descriptors.
            let call = unsafe { call.build_raw_body(&bytes, signature.as_str(), vec![]) };
            let Ok(call) = call else { return };
            client.connection.send(&call).await.unwrap();

            let result = client.call("SetVolume", &[V::A(vec![])]).await;

            assert_eq!(error_name(result), "org.freedesktop.DBus.Error.InvalidArgs");
            // What was handed on is a whole call.
            let _ = requests.try_recv();
        });
    }
}
