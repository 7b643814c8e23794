//! `examples/dbus/org.genivi.audiomanager.conf` on a bus that denies by default, as the system bus does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::os::unix::fs::MetadataExt;

use common::V::{Q, S};
use common::fake::Fake;
use common::{Folder, Raw, error_name, run};
use dbus_api::names::{COMMAND_PATH, OWN_INTERFACE, OWN_PATH};
use dbus_api::private_bus::PrivateBus;
use dbus_api::server::{Bus, BusAddress, BusState, start};

/// What Debian's system.conf says, in short.
const SYSTEM: &str = r#"<policy context="default">
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>"#;

/// The user this test runs as.
fn user() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// A bus with the example's policy, in which this user stands for `who`, and nobody for the other users and groups.
fn bus(folder: &Folder, who: &str) -> PrivateBus {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/dbus/org.genivi.audiomanager.conf"
    );
    let mut text = std::fs::read_to_string(file).unwrap();
    for role in [
        r#"user="audiod""#,
        r#"group="audio""#,
        r#"user="root""#,
        r#"user="tuner""#,
        r#"user="amplifier""#,
    ] {
        assert!(text.contains(role), "{role}");
        let stand_in = if who.split('+').any(|who| role.contains(who)) {
            user()
        } else {
            65_533
        };
        text = text.replace(role, &format!("user=\"{stand_in}\""));
    }
    let path = folder.path().join("policy.conf");
    std::fs::write(&path, text).unwrap();
    PrivateBus::start_with(
        folder.path(),
        &format!("{SYSTEM}\n<include>{}</include>", path.display()),
    )
    .unwrap()
}

async fn daemon(bus: &PrivateBus) -> Bus {
    let (ours, requests, outs) = start(BusAddress::from(bus.address()));
    tokio::spawn(Fake::default().serve(requests, outs));
    ours
}

#[test]
fn anybody_may_look_and_nobody_but_the_group_may_act() {
    run(async {
        let folder = Folder::new();
        let bus = bus(&folder, "audiod");
        daemon(&bus).await.reached(BusState::Owned).await;
        let raw = Raw::bus(bus.address()).await;
        let denied = "org.freedesktop.DBus.Error.AccessDenied";

        let introspectable = Some("org.freedesktop.DBus.Introspectable");
        assert!(
            raw.call_at(COMMAND_PATH, introspectable, "Introspect", &[])
                .await
                .is_ok()
        );
        assert!(raw.call_at(OWN_PATH, Some(OWN_INTERFACE), "Status", &[]).await.is_ok());
        for look in ["GetListMainSources", "GetListMainSinks", "GetListMainConnections"] {
            assert_eq!(error_name(raw.call(look, &[]).await), "no error", "{look}");
        }
        assert_eq!(error_name(raw.call("Connect", &[Q(101), Q(101)]).await), denied);
        let chime = raw
            .call_at(OWN_PATH, Some(OWN_INTERFACE), "Chime", &[S("belt".into())])
            .await;
        assert_eq!(error_name(chime), denied);
        // Dispatch is by member: no interface, or another's, is no way around.
        let bare = raw.call_at(COMMAND_PATH, None, "Connect", &[Q(101), Q(101)]).await;
        assert_eq!(error_name(bare), denied);
        for posing in [
            "org.freedesktop.DBus.Peer",
            "org.freedesktop.DBus.Properties",
            OWN_INTERFACE,
        ] {
            let connect = raw
                .call_at(COMMAND_PATH, Some(posing), "Connect", &[Q(101), Q(101)])
                .await;
            assert_ne!(error_name(connect), "no error", "{posing}");
            let mute = raw
                .call_at(OWN_PATH, Some(posing), "SetSourceMute", &[Q(101), Q(1)])
                .await;
            assert_ne!(error_name(mute), "no error", "{posing}");
        }
    });
}

#[test]
fn the_group_may_act() {
    run(async {
        let folder = Folder::new();
        let bus = bus(&folder, "audiod+group");
        daemon(&bus).await.reached(BusState::Owned).await;

        let reply = Raw::bus(bus.address())
            .await
            .call("Connect", &[Q(101), Q(101)])
            .await
            .unwrap();

        assert_eq!(reply.body().deserialize::<(i16, u16)>().unwrap(), (0, 1));
    });
}

#[test]
fn a_user_that_may_not_own_the_name_keeps_trying_and_says_so_in_its_state() {
    run(async {
        let folder = Folder::new();
        let bus = bus(&folder, "group");
        daemon(&bus).await.reached(BusState::NameTaken).await;
    });
}
