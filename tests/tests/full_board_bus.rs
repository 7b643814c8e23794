//! D-Bus of guests over vsock, on the board: two stock guests with the same image, each by its own port, each as its own user.
//!
//! ```text
//!  ivi (CID 4): busctl ─► bus-port ─vsock─► host, 6001 for CID 4 ─vsock─► service VM, 6001 for the host: user ivi ─► dbus-daemon
//!  cluster (CID 5):                         host, 6002 for CID 5                      6002               user cluster    └► audiod
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use system_tests::board::scene::{self, Mode};
use system_tests::board::service::{self, Programs};
use system_tests::board::{Log, System};
use system_tests::daemon::program;
use system_tests::nested::{self, Linux};

const LIMIT: Duration = Duration::from_secs(900);
/// Anybody may look, one guest may act, no guest may administer.
const SYSTEM: &str = r#"
version = 1
bus = "unix:path=/run/bus"
user = "audiod"
[access]
observe = "*"
control = "user:ivi"
admin = "user:root"
[codecs.main]
backend = "null"
period = 480
[zones.cabin]
codec = "main"
[classes.media]
priority = 10
"#;
const PORTS: &str = "6001 ivi\n6002 cluster\n";
const MANIFEST: &str = r#"
version = 1
name = "bus"
[host]
cpus = "0"
[partitions.audio]
role = "service"
cpus = "0"
memory = "256M"
kernel = "images/vmlinuz"
initrd = "images/audio.cpio"
cmdline = "console=ttyS0 quiet panic=-1 nocard"
vsock_cid = 3
restart = { policy = "never" }
[sets.guests]
cpus = "1"
members.ivi = {}
members.cluster = {}
"#;
const GUEST: &str = r#"
role = "guest"
set = "guests"
vcpus = 1
memory = "128M"
kernel = "images/vmlinuz"
initrd = "images/guest.cpio"
rng = true
restart = { policy = "never" }
sound.streams = [{ direction = "playback", formats = ["s16"], rates = [48000] }]
"#;
/// What both do. `by` carries a socket of its own to a vsock address; `ask` calls a method of audiod's by it.
const DOES: &str = r#"
by() {
    bus-port --listen "unix:/tmp/$1" --from 0 --to "vsock:$2" 2> "/tmp/$1.err" &
    until [ -e "/tmp/$1" ]; do sleep 0.02; done
}
call() { busctl "--address=unix:path=/tmp/$1" --timeout=20 call "$2" "$3" "$4" "$5" $6; }
ask() { call own org.genivi.audiomanager /org/genivi/audiomanager/commandinterface org.genivi.audiomanager.commandinterface "$@"; }
said() {
    what=$1
    shift
    if "$@" > /tmp/out 2>&1; then echo "guest: $what: yes: $(cat /tmp/out)"; else echo "guest: $what: no: $(cat /tmp/out)"; fi
}
port=$(sed 's/.*dbus=\([0-9]*\).*/\1/' /proc/cmdline)
other=$((12003 - port))
by own "2:$port"
tries=0
until ask GetListMainConnections > /tmp/out 2>&1 || [ $tries -ge 300 ]; do
    tries=$((tries + 1))
    sleep 0.2
done
said observe ask GetListMainConnections
said control ask SetVolume "qn 1 30"
said admin ask SetSystemProperty "(nn) 1 1"
for place in "2:$other" "3:$port" "3:$other" 2:5000 2:5001 3:5000 3:5001; do
    name=$(echo "$place" | tr : -)
    by "$name" "$place"
    said "$place" call "$name" org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId
    echo "guest: $place: $(cat "/tmp/$name.err")"
done
"#;

fn manifest() -> String {
    let guest = |(name, cid, port): (&str, u32, u32)| {
        format!(
            "[partitions.{name}]{GUEST}vsock_cid = {cid}\ndbus_port = {port}\n\
             cmdline = \"console=ttyS0 quiet panic=-1 dbus={port}\"\n[windows.{name}]\nmode = \"bounce\"\n"
        )
    };
    let guests = [("ivi", 4, 6001), ("cluster", 5, 6002)].map(guest);
    MANIFEST.to_owned() + &guests.concat()
}

/// The service VM with audiod's control ports open, and the guests' image.
fn system(folder: &Path) -> System {
    let kernel = nested::kernel().unwrap();
    let programs = Programs::beside().unwrap();
    let guests = ["ivi", "cluster"].into_iter().enumerate().map(|(nth, name)| {
        let keys = scene::keys(nth, Mode::Bounce);
        format!("[guests.{name}]\n{keys}streams.sound = {{ class = \"media\", zone = \"cabin\" }}\n")
    });
    let text = SYSTEM.to_owned() + &guests.collect::<String>();
    let configuration = [
        ("system.toml".to_owned(), text.into_bytes()),
        ("bus-ports".to_owned(), PORTS.into()),
    ];
    let audio = service::build(&kernel, &programs, &configuration, &folder.join("audio.cpio")).unwrap();
    let guest = Linux {
        modules: vec!["virtio_pci", "virtio-rng", "vmw_vsock_virtio_transport"],
        programs: vec!["busctl"],
        built: vec![(programs.bus_port, "usr/bin/bus-port".to_owned())],
        scenario: DOES.to_owned(),
        ..Linux::default()
    };
    let path = folder.join("guest.cpio");
    std::fs::write(&path, guest.initramfs(&kernel).unwrap()).unwrap();
    System {
        manifest: manifest(),
        images: vec![
            (kernel.image, "vmlinuz".to_owned()),
            (audio.initrd, "audio.cpio".to_owned()),
            (path, "guest.cpio".to_owned()),
        ],
        hypervisor: program("hypervisor").unwrap(),
        consoles: ["audio", "ivi", "cluster"].map(str::to_owned).to_vec(),
        script: "until_line ivi 'guest: end' && until_line cluster 'guest: end' && stop".to_owned(),
        codec: false,
        options: String::new(),
    }
}

/// What a guest said of something.
fn of(log: &Log, what: &str) -> String {
    let text = log.text();
    let start = format!("guest: {what}: ");
    let mut lines = text.lines().filter_map(|line| line.split_once(&start));
    let (_, line) = lines.next().unwrap_or_else(|| panic!("no {what}: {text}"));
    line.to_owned()
}

/// What its own `bus-port` said of a place.
fn way(log: &Log, place: &str) -> String {
    let text = log.text();
    let start = format!("guest: {place}: bus-port: ");
    let mut lines = text.lines().filter_map(|line| line.split_once(&start));
    lines.next().map(|(_, line)| line.to_owned()).unwrap_or_default()
}

#[test]
fn guests_use_the_bus_by_their_own_ports_as_their_own_users_and_reach_no_others() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("board-bus");
    std::fs::create_dir_all(&folder).unwrap();
    let board = system(&folder)
        .board("bus", &nested::kernel().unwrap(), folder)
        .unwrap();
    let board = board.in_virtual_time(1).unwrap();
    let [audio, ivi, cluster, host] = ["audio", "ivi", "cluster", "hypervisor"].map(|name| board.log(name));

    let outcome = board.start().unwrap().finish(LIMIT).unwrap();

    println!(
        "board {:.1} s, wall {:.0} s",
        outcome.uptime,
        outcome.wall.as_secs_f64()
    );
    let all = [&audio, &ivi, &cluster, &host].map(|log| log.tail(60)).join("\n--\n");
    assert_eq!(outcome.status, 0, "{all}");
    for (guest, may_act, other) in [(&ivi, true, 6002), (&cluster, false, 6001)] {
        // The same image, both root at home: what each may do is its port's.
        assert!(of(guest, "observe").starts_with("yes: "), "{all}");
        let control = of(guest, "control");
        assert_eq!(control.starts_with("yes"), may_act, "{control}");
        assert!(may_act || control.contains("no: Call failed: "), "{control}");
        assert!(of(guest, "admin").contains("no: Call failed: "), "{all}");
        // The other's port of the host lets it in for as long as it takes to look at its address.
        assert!(of(guest, &format!("2:{other}")).starts_with("no"), "{all}");
        // Nobody listens at audiod's ports of the host; the service VM itself is out of reach.
        for place in ["2:5000", "2:5001", "3:5000", "3:5001", "3:6001", "3:6002"] {
            assert!(way(guest, place).contains("not carried on"), "{place}: {all}");
        }
    }
    for refused in [
        "vsock:6001: 1 turned away, the last: 5 is not 4",
        "vsock:6002: 1 turned away, the last: 4 is not 5",
    ] {
        assert!(host.text().contains(refused), "{refused}: {all}");
    }
}
