//! Clients of libdbus, the reference implementation, as AudioManager's own were: `dbus-send` calls, `dbus-monitor` hears.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use common::fake::Fake;
use common::{Folder, run};
use dbus_api::names::{BUS_NAME, COMMAND_INTERFACE, COMMAND_PATH};
use dbus_api::private_bus::PrivateBus;
use dbus_api::server::{Bus, BusAddress, BusState, start};

async fn daemon(bus: &PrivateBus) -> Bus {
    let (mut ours, requests, outs) = start(BusAddress::from(bus.address()));
    tokio::spawn(Fake::default().serve(requests, outs));
    ours.reached(BusState::Owned).await;
    ours
}

/// `dbus-send`, off the runtime's thread: what it prints, without the line that names the reply.
async fn send(bus: &PrivateBus, member: &str, contents: &[&str]) -> String {
    let mut command = Command::new("dbus-send");
    command
        .arg(format!("--bus={}", bus.address()))
        .args(["--print-reply", &format!("--dest={BUS_NAME}"), COMMAND_PATH])
        .arg(format!("{COMMAND_INTERFACE}.{member}"))
        .args(contents);
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let ran = ran.expect("dbus-send; `cargo xtask setup` installs the Debian package dbus-daemon, which brings it");
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success(),
        "{member}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let words: Vec<&str> = text.lines().skip(1).flat_map(str::split_whitespace).collect();
    words.join(" ")
}

/// A running `dbus-monitor`; ends when dropped.
struct Monitor(Child);

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn dbus_send_calls_and_dbus_monitor_hears() {
    run(async {
        let folder = Folder::new();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let _ours = daemon(&bus).await;
        let rule = format!("type='signal',interface='{COMMAND_INTERFACE}'");
        let monitor = Command::new("dbus-monitor")
            .args(["--address", bus.address(), &rule])
            .stdout(Stdio::piped())
            .spawn();
        let mut monitor = Monitor(monitor.expect("dbus-monitor, of the same package"));
        let lines = BufReader::new(monitor.0.stdout.take().unwrap());
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let reader = tokio::task::spawn_blocking(move || {
            for line in lines.lines().map_while(Result::ok) {
                let _ = heard.send(line.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        });
        // What the bus says to one that becomes a monitor.
        while !hears.recv().await.unwrap().contains("NameLost") {}

        assert_eq!(
            send(&bus, "Connect", &["uint16:101", "uint16:101"]).await,
            "int16 0 uint16 1"
        );
        assert_eq!(send(&bus, "SetVolume", &["uint32:101", "int32:40"]).await, "int16 0");
        assert_eq!(send(&bus, "getVolume", &["uint16:101"]).await, "int16 0 int16 40");
        let list = send(&bus, "GetListMainConnections", &[]).await;
        let row = "int16 0 array [ struct { uint16 1 uint16 101 uint16 101 int16 -1 int16 2 } ]";
        assert_eq!(list, row);

        let mut told = Vec::new();
        while told.last().is_none_or(|line: &String| !line.contains("VolumeChanged")) {
            told.push(hears.recv().await.unwrap());
        }
        let members = told
            .iter()
            .filter_map(|line| line.rsplit_once("member=").map(|it| it.1));
        let members: Vec<&str> = members.collect();
        assert_eq!(members[0], "NewMainConnection");
        assert!(members.contains(&"MainConnectionStateChanged"), "{members:?}");
        let volume = [hears.recv().await.unwrap(), hears.recv().await.unwrap()];
        assert_eq!(volume, ["uint16 101", "int16 40"]);
        drop(monitor);
        reader.await.unwrap();
    });
}
