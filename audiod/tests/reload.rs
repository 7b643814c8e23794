//! The real daemon with a file that changes under it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod processes_common;

use std::fs;
use std::path::PathBuf;

use dbus_api::client::Error;
use policy::command::Call;
use processes_common::{Daemon, Folder, OnBus, alive, car, find_chime, frames, signal, status_field, until};

/// The car on a bus.
struct Car {
    folder: Folder,
    on_bus: OnBus,
    file: PathBuf,
    text: String,
}

impl Car {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let on_bus = OnBus::new(&folder);
        let file = car(&folder, Some(on_bus.bus.address()));
        let text = fs::read_to_string(&file).unwrap();
        Self {
            folder,
            on_bus,
            file,
            text,
        }
    }

    /// Writes the file with `new` in place of `old`.
    fn write(&self, old: &str, new: &str) {
        assert!(self.text.contains(old));
        fs::write(&self.file, self.text.replace(old, new)).unwrap();
    }

    fn reload(&self) -> Result<String, String> {
        self.on_bus.with(async |client| match client.reload().await {
            Ok(text) => Ok(Ok(text)),
            Err(Error::Refused { why, .. }) => Ok(Err(why)),
            Err(error) => Err(error),
        })
    }

    fn volume_db(&self) -> Option<f32> {
        let status = self.on_bus.with(async |client| client.status().await);
        status.zones[0].volume_db
    }
}

const CABIN: &str = "[zones.cabin]\n";
const QUIET: &str = "[zones.cabin]\ncurve = [[0, -40], [100, -20]]\n";

#[test]
fn a_new_curve_is_taken_up_and_survives_control() {
    let car = Car::new("reload");
    let daemon = Daemon::start(&car.file);
    assert_eq!(car.volume_db(), Some(0.0));

    car.write(CABIN, QUIET);
    assert_eq!(car.reload(), Ok(String::new()));
    assert_eq!(car.volume_db(), Some(-20.0));

    // A later file that nobody reloaded is not taken up by accident.
    car.write(CABIN, CABIN);
    let old = daemon.child("control").unwrap();
    signal(old, libc::SIGKILL);
    daemon.successor("control", old);
    assert_eq!(car.volume_db(), Some(-20.0));
    assert_eq!(car.reload(), Ok(String::new()));
    assert_eq!(car.volume_db(), Some(0.0));
    assert_eq!(daemon.end().code(), Some(0));
}

#[test]
fn a_refused_file_changes_nothing_and_is_told_whole() {
    let car = Car::new("refused");
    let _daemon = Daemon::start(&car.file);
    let status = || car.on_bus.with(async |client| client.status().await);
    let before = (status().zones, status().streams);

    car.write(CABIN, "[zones.cabin]\nvolumme = 4\n");
    let said = car.reload().unwrap_err();
    assert!(
        said.contains("did you mean `volume`?") && said.contains("car.toml:"),
        "{said}"
    );

    car.write("lead = 8", "lead = 9\nrate = 44100");
    let said = car.reload().unwrap_err();
    assert!(said.contains("`codecs.main.lead` can't be changed") && said.contains("`codecs.main.rate` can't be added"));

    fs::write(&car.file, b"version = 1\n\xff").unwrap();
    assert!(car.reload().unwrap_err().contains("it is not UTF-8 in line 2"));
    fs::remove_file(&car.file).unwrap();
    assert!(car.reload().unwrap_err().contains("it can't be read"));
    fs::create_dir(&car.file).unwrap();
    assert!(car.reload().unwrap_err().contains("no regular file"));

    assert_eq!((status().zones, status().streams), before);
}

#[test]
fn sighup_reloads_and_ends_nobody() {
    let car = Car::new("hangup");
    let daemon = Daemon::start(&car.file);
    let control = daemon.child("control").unwrap();
    car.write(CABIN, QUIET);

    signal(daemon.process.id(), libc::SIGHUP);
    until("the reload", || daemon.said().contains("reloaded").then_some(()));
    assert_eq!(car.volume_db(), Some(-20.0));
    car.write(CABIN, "[zones.cabin]\nvolumme = 4\n");
    signal(daemon.process.id(), libc::SIGHUP);
    until("the refusal", || {
        daemon
            .said()
            .contains("not reloaded, nothing has changed")
            .then_some(())
    });

    assert!(alive(control) && daemon.child("control") == Some(control));
    assert_eq!(daemon.end().code(), Some(0));
}

#[test]
fn volumes_and_connections_stay_the_users() {
    let car = Car::new("users");
    let _daemon = Daemon::start(&car.file);
    let call = |call: Call| car.on_bus.with(async |client| client.call_ok(&call).await);
    call(Call::SetVolume { sink: 101, volume: 60 });
    call(Call::Connect { source: 101, sink: 101 });

    car.write(CABIN, "[zones.cabin]\nvolume = 10\nramp_ms = 5\n");
    assert_eq!(car.reload(), Ok(String::new()));

    let status = car.on_bus.with(async |client| client.status().await);
    assert_eq!((status.zones[0].volume, status.streams[0].routes.len()), (60, 1));
}

fn memory(pid: u32) -> u64 {
    status_field(pid, "VmRSS:").trim_end_matches(" kB").parse().unwrap()
}

/// Two files that differ in all that a reload changes, taken up in turn while the chime sounds.
fn many_reloads(name: &str, reloads: usize) {
    let car = Car::new(name);
    let daemon = Daemon::start(&car.file);
    let control = daemon.child("control").unwrap();
    car.on_bus.with(async |client| client.chime("bell").await);
    let mut early = 0;
    for round in 0..reloads {
        match round % 2 {
            0 => car.write(
                CABIN,
                "[classes.other]\n[zones.cabin]\ncurve = [[0, -40], [100, -20]]\n",
            ),
            _ => car.write(CABIN, CABIN),
        }
        let said = car.reload().unwrap();
        assert!(
            said.is_empty() || said.contains("no stream and no chime is of class `other`"),
            "{said}"
        );
        if round == reloads / 4 {
            early = memory(control);
        }
    }
    let late = memory(control);
    let cabin = car.folder.path().join("cabin.wav");
    car.on_bus.with(async |client| match client.status().await {
        Ok(status) if status.chimes[0].played == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let played = || hound::WavReader::open(&cabin).map_or(0, |file| file.duration());
    let ended = played();
    until("the card's file", || (played() >= ended + 9600).then_some(()));

    assert_eq!(daemon.child("control"), Some(control));
    assert_eq!(daemon.end().code(), Some(0));
    find_chime(&frames(&cabin), 0);
    assert!(late <= early + 256, "{early} kB early, {late} kB late");
}

#[test]
fn a_hundred_reloads_change_no_sample_of_a_chime_and_leave_no_memory() {
    many_reloads("hundred", 100);
}
