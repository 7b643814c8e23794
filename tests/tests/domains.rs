//! A domain of another process against the shipped daemon on a private bus: the exchange step by step, refusals, silence, loss,
//! another's acks, restarts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "domains/amplifier.rs"]
mod amplifier;
#[allow(dead_code, reason = "the players of it are used")]
#[path = "faults/car.rs"]
mod car;

use amplifier::{Amplifier, Listener, NAME, removed, run, start, state};
use car::{Folder, Player, connect, play_until};
use dbus_api::private_bus::PrivateBus;
use policy_names::*;
use system_tests::daemon::Daemon;
use system_tests::process;

/// Names that make the steps readable.
mod policy_names {
    pub const MUTE: i64 = -3000;
    pub const DIRECT: i64 = 1;
    pub const RAMP_MS: i64 = 200;
    pub const STEREO: i64 = 2;
    pub const ON: i64 = 1;
    pub const OFF: i64 = 2;
}

fn volume(sink: u16, value: i64) -> [i64; 4] {
    [sink.into(), value, DIRECT, RAMP_MS]
}

/// What AudioManager does, but for its defects: the delay of NewMainConnection is -1 and not what was in memory, DISCONNECTED is
/// said once, stereo is chosen before mono.
#[test]
fn a_connection_goes_the_way_of_the_reference_exchange_step_by_step() {
    run(async {
        let folder = Folder::new("exchange");
        let daemon = start(folder.path());
        let mut amp = Amplifier::registered(daemon.bus()).await;
        let mut client = Listener::connect(daemon.bus()).await;
        let (source, sink) = (amp.source, amp.sink);

        let connect = amp.send_connect().await;
        let mute = amp.asked().await;
        assert_eq!(
            (mute.member.as_str(), mute.rest.as_slice()),
            ("asyncSetSinkVolume", &volume(sink, MUTE)[..])
        );
        let reply = amp.next().await;
        assert_eq!(
            reply.header().reply_serial(),
            Some(connect),
            "the first request leaves before the reply"
        );
        assert_eq!(reply.body().deserialize::<(i16, u16)>().unwrap(), (0, 1));
        let new = format!(
            "NewMainConnection(MainConnection {{ id: 1, source: {source}, sink: {sink}, delay: -1, state: Unknown }})"
        );
        let timing = "TimingInformationChanged { connection: 1, delay: -1 }";
        client
            .expect(&[&new, &state(1, "Unknown"), timing, &state(1, "Connecting")])
            .await;

        amp.ack(&mute, 0).await;
        client
            .expect(&[&format!("SinkMuteStateChanged {{ sink: {sink}, state: 1 }}")])
            .await;
        let connect = amp.asked().await;
        assert_eq!(connect.member, "asyncConnect");
        assert_eq!(connect.rest, [1, source.into(), sink.into(), STEREO]);
        amp.ack(&connect, 0).await;
        let on = amp.asked().await;
        assert_eq!(
            (on.member.as_str(), on.rest.as_slice()),
            ("asyncSetSourceState", &[source.into(), ON][..])
        );
        amp.ack(&on, 0).await;
        client.expect(&[&state(1, "Connected")]).await;
        let unmute = amp.asked().await;
        assert_eq!(
            (unmute.member.as_str(), unmute.rest.as_slice()),
            ("asyncSetSinkVolume", &volume(sink, 0)[..])
        );
        amp.ack(&unmute, 0).await;
        client
            .expect(&[&format!("SinkMuteStateChanged {{ sink: {sink}, state: 2 }}")])
            .await;

        amp.call("hookTimingInformationChanged", &(1_i16, 120_i16)).await;
        client
            .expect(&["TimingInformationChanged { connection: 1, delay: 120 }"])
            .await;
        let disconnect = policy::command::Call::Disconnect { connection: 1 };
        client.client.call_ok(&disconnect).await.unwrap();
        let off = amp.asked().await;
        assert_eq!(
            (off.member.as_str(), off.rest.as_slice()),
            ("asyncSetSourceState", &[source.into(), OFF][..])
        );
        amp.ack(&off, 0).await;
        let disconnect = amp.asked().await;
        assert_eq!(
            (disconnect.member.as_str(), disconnect.rest.as_slice()),
            ("asyncDisconnect", &[1][..])
        );
        amp.ack(&disconnect, 0).await;
        client
            .expect(&[&state(1, "Disconnecting"), &state(1, "Disconnected"), &removed(1)])
            .await;
        assert!(daemon.terminate().unwrap().success());
        amp.signal("setRoutingRundown").await;
    });
}

#[test]
fn a_refused_connect_is_rolled_back_and_the_sink_is_as_it_was() {
    run(async {
        let folder = Folder::new("refused");
        let daemon = start(folder.path());
        let mut amp = Amplifier::registered(daemon.bus()).await;
        let mut client = Listener::connect(daemon.bus()).await;
        let sink = amp.sink;
        amp.send_connect().await;
        let mute = amp.asked().await;
        amp.ack(&mute, 0).await;
        let connect = amp.asked().await;
        assert_eq!(connect.member, "asyncConnect");

        amp.ack(&connect, 7).await;

        let unmute = amp.asked().await;
        assert_eq!(
            (unmute.member.as_str(), unmute.rest.as_slice()),
            ("asyncSetSinkVolume", &volume(sink, 0)[..])
        );
        amp.ack(&unmute, 0).await;
        let mut told = Vec::new();
        while told.last() != Some(&format!("SinkMuteStateChanged {{ sink: {sink}, state: 2 }}")) {
            told.push(client.next().await);
        }
        let told: Vec<&String> = told
            .iter()
            .filter(|it| it.contains("Connection") && !it.starts_with("New"))
            .collect();
        let names = ["Unknown", "Connecting", "Disconnecting", "Disconnected"].map(|name| state(1, name));
        let wanted: Vec<&String> = names.iter().collect();
        assert_eq!(told[..wanted.len()], wanted[..]);
        assert_eq!(told[wanted.len()..], [&removed(1)]);
    });
}

/// The amplifier says nothing. A prompt ducks the music before anybody notices; then the request is aborted, once, and the
/// connection is gone.
#[test]
fn a_domain_that_never_acks_holds_nobody_up_and_its_request_is_aborted() {
    run(async {
        let folder = Folder::new("silent");
        let daemon = start(folder.path());
        let mut amp = Amplifier::registered(daemon.bus()).await;
        let mut client = Listener::connect(daemon.bus()).await;
        let mut fe = connect(&folder, "ivi");
        let (mut media, mut prompt) = (Player::new(&mut fe, 0, 1, 20.0), Player::new(&mut fe, 1, 2, 20.0));
        media.start(&mut fe);
        play_until(&mut fe, &mut [&mut media], "music", |players| players[0].returned > 20);
        amp.send_connect().await;
        let mute = amp.asked().await;
        assert_eq!(mute.member, "asyncSetSinkVolume");
        let (error, id): (i16, u16) = amp.next().await.body().deserialize().unwrap();
        assert_eq!(error, 0);

        prompt.start(&mut fe);
        let duck = client.event("duck-begin").await;
        assert_eq!(
            (&duck["source"], &duck["by"]),
            (&"ivi.media".into(), &"ivi.prompt".into())
        );
        amp.nothing_asked().await;
        play_until(&mut fe, &mut [&mut media, &mut prompt], "both", |players| {
            players[1].returned > 20
        });

        assert_eq!(amp.expect("asyncAbort", &[]).await, mute.handle);
        let mut told = String::new();
        while told != removed(id) {
            told = client.next().await;
        }
        drop(daemon);
    });
}

#[test]
fn one_that_leaves_the_bus_is_deregistered_with_signals_and_has_its_ids_again_when_it_comes_back() {
    run(async {
        let folder = Folder::new("lost");
        let daemon = start(folder.path());
        let mut amp = Amplifier::registered(daemon.bus()).await;
        let ids = (amp.domain, amp.source, amp.sink);
        let mut client = Listener::connect(daemon.bus()).await;
        amp.send_connect().await;
        while amp.serve_until("asyncSetSinkVolume").await.rest[1] == MUTE {}
        while client.next().await != format!("SinkMuteStateChanged {{ sink: {}, state: 2 }}", ids.2) {}

        amp.connection.clone().close().await.unwrap();

        let mut told = Vec::new();
        for _ in 0..5 {
            told.push(client.next().await);
        }
        for wanted in [
            state(1, "Disconnecting"),
            state(1, "Disconnected"),
            removed(1),
            format!("SourceRemoved {{ source: {} }}", ids.1),
            format!("SinkRemoved {{ sink: {} }}", ids.2),
        ] {
            assert_eq!(
                told.iter().filter(|it| **it == wanted).count(),
                1,
                "{wanted} of {told:?}"
            );
        }
        let again = Amplifier::registered(daemon.bus()).await;
        assert_eq!((again.domain, again.source, again.sink), ids);
    });
}

#[test]
fn acks_of_another_connection_are_refused_and_counted() {
    run(async {
        let folder = Folder::new("foreign");
        let daemon = start(folder.path());
        let mut amp = Amplifier::registered(daemon.bus()).await;
        let stranger = Amplifier::connect(daemon.bus()).await;
        let listener = Listener::connect(daemon.bus()).await;
        amp.send_connect().await;
        let mute = amp.asked().await;

        stranger.ack(&mute, 0).await;
        let taken = stranger.call("deregisterSink", &(amp.sink as i16)).await;
        assert_eq!(taken.body().deserialize::<u16>().unwrap(), 7);
        let status = listener.client.status().await.unwrap();
        assert_eq!(status.dropped_acks, 1);
        assert_eq!((status.domains.len(), status.domains[0].bus_name.as_str()), (1, NAME));

        amp.ack(&mute, 0).await;
        assert_eq!(amp.asked().await.member, "asyncConnect");
        assert_eq!(listener.client.status().await.unwrap().dropped_acks, 1);
    });
}

#[test]
fn domains_are_called_again_after_a_bus_restart_and_register_anew_with_their_ids() {
    run(async {
        let folder = Folder::new("bus");
        let own = folder.path().join("own");
        std::fs::create_dir(&own).unwrap();
        let mut bus = PrivateBus::start(&own).unwrap();
        let daemon = Daemon::start(folder.path(), |_| amplifier::system(bus.address())).unwrap();
        let mut amp = Amplifier::connect(bus.address()).await;
        amp.connection.request_name(NAME).await.unwrap();
        amp.ready().await;
        amp.register().await;
        let ids = (amp.domain, amp.source, amp.sink);

        bus.kill();
        bus.restart().unwrap();
        let mut amp = Amplifier::connect(bus.address()).await;
        amp.connection.request_name(NAME).await.unwrap();
        amp.signal("setRoutingReady").await;
        amp.register().await;

        assert_eq!((amp.domain, amp.source, amp.sink), ids);
        let status = Listener::connect(bus.address()).await.client.status().await.unwrap();
        assert_eq!(status.domains.len(), 1);
        drop(daemon);
    });
}

/// Control's successor knows the domain and its connection; one that takes setRoutingReady for a new daemon may register anew.
#[test]
fn a_killed_control_keeps_domains_and_their_connections() {
    run(async {
        let folder = Folder::new("control");
        let daemon = start(folder.path());
        let mut amp = Amplifier::registered(daemon.bus()).await;
        let ids = (amp.domain, amp.source, amp.sink);
        amp.send_connect().await;
        while amp.serve_until("asyncSetSinkVolume").await.rest[1] == MUTE {}

        process::signal(daemon.process_of("control").unwrap(), libc::SIGKILL).unwrap();
        amp.signal("setRoutingReady").await;

        let client = Listener::connect(daemon.bus()).await.client;
        let kept = client
            .call(&policy::command::Call::GetListMainConnections)
            .await
            .unwrap();
        let policy::ReplyBody::Connections(kept) = kept.body else {
            panic!("another answer");
        };
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].state, policy::command::ConnectionState::Connected);
        amp.register().await;
        assert_eq!((amp.domain, amp.source, amp.sink), ids);
        assert_eq!(client.status().await.unwrap().domains.len(), 1);
    });
}
