//! `audioctl` against a small server: its output to the letter, its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use common::fake::Fake;
use common::{Folder, run};
use dbus_api::names::{BUS_NAME, COMMAND_INTERFACE};
use dbus_api::private_bus::PrivateBus;
use dbus_api::server::{Bus, BusAddress, BusState, start};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

struct Server {
    bus: PrivateBus,
    _daemon: Bus,
    _folder: Folder,
}

impl Server {
    async fn start() -> Self {
        Self::start_with("").await
    }

    async fn start_with(policy: &str) -> Self {
        let folder = Folder::new();
        let bus = PrivateBus::start_with(folder.path(), policy).unwrap();
        let (mut daemon, requests, outs) = start(BusAddress::from(bus.address()));
        tokio::spawn(Fake::default().serve(requests, outs));
        daemon.reached(BusState::Owned).await;
        Self {
            bus,
            _daemon: daemon,
            _folder: folder,
        }
    }

    async fn run(&self, arguments: &str) -> Ran {
        audioctl(self.bus.address(), arguments).await
    }

    /// Standard output of a command that succeeds.
    async fn ok(&self, arguments: &str) -> String {
        let ran = self.run(arguments).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments}");
        ran.out
    }

    async fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("--json {arguments}")).await).unwrap()
    }
}

#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn command(bus: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audioctl"));
    command
        .args(arguments.split_whitespace())
        .env("CARILLON_BUS", bus)
        .stdin(Stdio::null());
    command
}

async fn audioctl(bus: &str, arguments: &str) -> Ran {
    let mut command = command(bus, arguments);
    let ran: Output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    Ran {
        code: ran.status.code().unwrap(),
        out: String::from_utf8(ran.stdout).unwrap(),
        err: String::from_utf8(ran.stderr).unwrap(),
    }
}

/// What a running command prints, line by line.
fn json_lines(child: &mut Child) -> UnboundedReceiver<Value> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (read, line) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = read.send(serde_json::from_str::<Value>(&line).unwrap());
        }
    });
    line
}

#[test]
fn status_is_one_aligned_line_a_stream_with_zones_and_codecs_below() {
    run(async {
        let server = Server::start().await;
        server.ok("connect ivi.media cabin").await;
        server.ok("connect cluster.prompt cabin").await;
        server.ok("volume ivi.media -6dB").await;
        server.ok("mute cluster.prompt").await;

        let text = server.ok("status").await;

        let wanted = "\
STREAM          GUEST    ROLE    STATE    ROUTE         ZONE   VOLUME        EFFECTIVE  LEVEL dBFS      CAUSE
ivi.media       ivi      media   running  #1 connected  cabin  -6.0 dB       -6.0 dB    -12.3 -> -18.3  ducked by cluster.prompt
cluster.prompt  cluster  prompt  running  #2 connected  cabin  0.0 dB muted  0.0 dB     -12.3 -> -12.3

ZONE   CODEC  VOLUME         PEAK dBFS  LIMITER
cabin  main   50 (0.0 dB)    -          0.0 dB
rear   main   30 (-10.0 dB)  -          0.0 dB

CODEC  BACKEND  FORMAT        PERIOD         PLAYED   UNDERRUNS  STATE
main   null     48000 Hz x 2  48 (1.000 ms)  1.000 s  0          real time

guest cluster: 2 violations of the protocol
";
        assert_eq!(text, wanted);
    });
}

#[test]
fn status_without_routes_has_dashes_and_json_is_one_line_of_the_daemons_own() {
    run(async {
        let server = Server::start().await;

        let text = server.ok("status").await;
        let json = server.json("status").await;
        let looks = server.ok("--json status --watch --interval 50 --count 3").await;

        assert!(
            text.contains("ivi.media       ivi      media   discarding  -      -     0.0 dB  -          -12.3 -> -"),
            "{text}"
        );
        assert_eq!(json["streams"][0]["state"], "discarding");
        assert_eq!(looks.lines().count(), 3);
    });
}

#[test]
fn list_shows_ids_and_connections() {
    run(async {
        let server = Server::start().await;
        server.ok("connect ivi.media rear").await;
        server.ok("mute rear").await;

        let text = server.ok("list").await;
        let json = server.json("list").await;

        let wanted = "\
ID   SOURCE          CLASS  STATE
101  ivi.media       1      available
102  cluster.prompt  2      available
103  chime.belt      3      available

ID   SINK   VOLUME    STATE
101  cabin  50        available
102  rear   30 muted  available

ID  SOURCE     SINK  STATE
1   ivi.media  rear  connected
";
        assert_eq!(text, wanted);
        let connection = json!({"id": 1, "source": "ivi.media", "sink": "rear", "state": "connected", "delay_ms": -1});
        assert_eq!(json["connections"][0], connection);
    });
}

#[test]
fn connect_and_disconnect_take_names_ids_and_pairs() {
    run(async {
        let server = Server::start().await;
        assert_eq!(
            server.ok("connect ivi.media cabin").await,
            "connection 1: ivi.media -> cabin\n"
        );
        assert_eq!(
            server.ok("connect 102 102").await,
            "connection 2: cluster.prompt -> rear\n"
        );
        assert_eq!(server.json("connect ivi.media rear").await["connection"], 3);

        assert_eq!(
            server.ok("disconnect 2").await,
            "connection 2 ends: cluster.prompt -> rear\n"
        );
        let several = server.run("disconnect ivi.media").await;
        assert_eq!(several.code, 1);
        assert!(
            several.err.contains("several connections, name the sink too"),
            "{several:?}"
        );
        assert_eq!(
            server.ok("disconnect ivi.media rear").await,
            "connection 3 ends: ivi.media -> rear\n"
        );
        assert_eq!(
            server.ok("disconnect ivi.media").await,
            "connection 1 ends: ivi.media -> cabin\n"
        );
    });
}

#[test]
fn volumes_are_shown_set_and_stepped_and_sources_take_decibels() {
    run(async {
        let server = Server::start().await;
        assert_eq!(server.ok("volume cabin").await, "cabin: volume 50\n");
        assert_eq!(server.ok("volume cabin 40").await, "cabin: volume 40\n");
        assert_eq!(server.ok("volume cabin +5").await, "cabin: volume 45\n");
        assert_eq!(server.ok("volume cabin -10").await, "cabin: volume 35\n");
        assert_eq!(server.ok("volume cabin =-10").await, "cabin: volume 0\n");
        assert_eq!(
            server.json("volume cabin +1").await,
            json!({"sink": "cabin", "volume": 1})
        );
        assert_eq!(
            server.json("volume ivi.media -6.3dB").await,
            json!({"source": "ivi.media", "gain_db": -6.3})
        );
        assert_eq!(server.ok("volume ivi.media").await, "ivi.media: wanted gain -6.3 dB\n");
        assert_eq!(server.ok("mute cabin").await, "cabin: muted\n");
        assert_eq!(
            server.json("unmute ivi.media").await,
            json!({"source": "ivi.media", "mute": false})
        );

        for usage in [
            "volume cabin -6dB",
            "volume ivi.media 5",
            "volume cabin loud",
            "volume cabin 6dB",
            "volume",
            "fly",
        ] {
            assert_eq!(server.run(usage).await.code, 2, "{usage}");
        }
    });
}

#[test]
fn a_refusal_is_exit_1_with_the_codes_name_and_why() {
    run(async {
        let server = Server::start().await;

        let refused = server.run("connect chime.belt cabin").await;
        let as_json = server.run("--json connect chime.belt cabin").await;
        let typo = server.run("connect ivi.medai cabin").await;
        let chime = server.run("chime bolt").await;

        assert_eq!(refused.code, 1);
        let wanted = "audioctl: refused: E_NOT_POSSIBLE (7): the policy has no route for this pair, or a louder source rejects it\n";
        assert_eq!(refused.err, wanted);
        let as_json: Value = serde_json::from_str(&as_json.err).unwrap();
        assert_eq!(
            (as_json["name"].as_str(), as_json["exit"].as_i64()),
            (Some("E_NOT_POSSIBLE"), Some(1))
        );
        assert_eq!(typo.code, 1);
        assert_eq!(
            typo.err,
            "audioctl: there is no source ivi.medai; did you mean ivi.media?\n"
        );
        assert_eq!(chime.code, 1);
        assert_eq!(
            chime.err,
            "audioctl: refused: E_NON_EXISTENT (8): there is no chime bolt; did you mean belt?\n"
        );
    });
}

#[test]
fn chime_returns_when_accepted_or_with_wait_when_played() {
    run(async {
        let server = Server::start().await;
        assert_eq!(server.ok("chime belt").await, "chime belt sounds\n");
        let text = server.ok("status").await;
        assert!(
            text.ends_with("\nchime belt sounds\nguest cluster: 2 violations of the protocol\n"),
            "{text}"
        );

        assert_eq!(server.ok("chime belt --wait").await, "chime belt was played\n");

        let chime = &server.json("status").await["chimes"][0];
        assert_eq!((&chime["requested"], &chime["played"]), (&json!(2), &json!(2)));
    });
}

#[test]
fn monitor_prints_each_signal_as_a_json_line_with_names() {
    run(async {
        let server = Server::start().await;
        let mut child = command(server.bus.address(), "monitor --count 4")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = json_lines(&mut child);
        assert_eq!(
            line.recv().await.unwrap(),
            json!({"monitor": "listening", "daemon": true})
        );

        server.ok("connect ivi.media cabin").await;
        server.ok("volume cabin 7").await;
        server.ok("disconnect ivi.media").await;

        let new = json!({"id": 1, "source": "ivi.media", "sink": "cabin", "delay_ms": -1, "state": "connected"});
        assert_eq!(
            line.recv().await.unwrap(),
            json!({"signal": "NewMainConnection", "connection": new})
        );
        assert_eq!(
            line.recv().await.unwrap(),
            json!({"signal": "MainConnectionStateChanged", "connection": 1, "state": "connected"})
        );
        assert_eq!(
            line.recv().await.unwrap(),
            json!({"signal": "VolumeChanged", "sink": "cabin", "volume": 7})
        );
        assert_eq!(
            line.recv().await.unwrap(),
            json!({"signal": "RemovedMainConnection", "connection": 1})
        );
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn watch_goes_on_while_the_bus_is_away_and_shows_the_daemon_again() {
    run(async {
        let mut server = Server::start().await;
        let watch = "--json status --watch --interval 50";
        let mut child = command(server.bus.address(), watch)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = json_lines(&mut child);
        assert_eq!(line.recv().await.unwrap()["version"], "0.1.0");

        server.bus.kill();
        while line.recv().await.unwrap()["exit"] != 5 {}
        server.bus.restart().unwrap();
        while line.recv().await.unwrap()["version"] != "0.1.0" {}

        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn no_bus_no_daemon_and_not_permitted_have_their_own_codes() {
    run(async {
        let nowhere = audioctl("unix:path=/nonexistent/bus", "status").await;
        assert_eq!(nowhere.code, 5);
        assert!(
            nowhere.err.contains("no bus at unix:path=/nonexistent/bus"),
            "{nowhere:?}"
        );

        let folder = Folder::new();
        let empty = PrivateBus::start(folder.path()).unwrap();
        let nobody = audioctl(empty.address(), "status").await;
        assert_eq!(nobody.code, 5);
        assert!(nobody.err.contains("is audiod running"), "{nobody:?}");

        let deny = format!(
            "<deny send_destination=\"{BUS_NAME}\" send_interface=\"{COMMAND_INTERFACE}\" send_member=\"Connect\"/>"
        );
        let server = Server::start_with(&format!("<policy context=\"mandatory\">{deny}</policy>")).await;
        let denied = server.run("connect ivi.media cabin").await;
        assert_eq!(denied.code, 4, "{denied:?}");
    });
}

#[test]
fn the_option_goes_before_the_environment_and_help_tells_the_exit_codes() {
    run(async {
        let server = Server::start().await;
        let other = audioctl(
            "unix:path=/nonexistent/bus",
            &format!("--bus {} volume cabin", server.bus.address()),
        )
        .await;
        assert_eq!(other.code, 0, "{other:?}");

        let help = audioctl("session", "--help").await;
        assert_eq!(help.code, 0);
        for told in ["Exit codes: 0 ok, 1 refused", "CARILLON_BUS", "NO_COLOR"] {
            assert!(help.out.contains(told), "{told} in {}", help.out);
        }
    });
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    run(async {
        let server = Server::start().await;
        let mut child = command(server.bus.address(), "--json status --watch --interval 50 --count 100")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ran = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap())
            .await
            .unwrap();
        assert_eq!((ran.status.code(), ran.stderr.len()), (Some(0), 0));
    });
}

#[test]
fn a_refused_reload_prints_the_report_line_by_line_and_ends_with_3() {
    run(async {
        let server = Server::start().await;

        let ran = server.run("reload").await;
        let json = server.run("--json reload").await;

        assert_eq!((ran.code, ran.out.as_str()), (3, ""));
        assert_eq!(ran.err, "error[restart]: no\n --> a car.toml:3:1\n");
        let json: Value = serde_json::from_str(&json.err).unwrap();
        assert_eq!((&json["exit"], &json["code"]), (&json!(3), &json!(7)));
    });
}

#[test]
fn history_fetches_page_after_page_the_last_that_were_asked_for() {
    run(async {
        let server = Server::start().await;

        let text = server.ok("history").await;
        let json = server.json("history --last 10000").await;

        let expected: String = (285..305)
            .map(|n| format!("#{n} at 0.000 s: SetVolume cabin to {n}\n"))
            .collect();
        assert_eq!(text, expected);
        let numbers = json["decisions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["number"].as_u64().unwrap());
        assert!(numbers.eq(5..305));
        assert_eq!(server.run("history --last 0").await.code, 2);
    });
}
