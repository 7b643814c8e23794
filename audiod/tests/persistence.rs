//! What the real daemon remembers over its own end, and what it does with a file that is no longer one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod processes_common;

use std::fs;
use std::path::PathBuf;

use policy::command::Call;
use processes_common::{Daemon, Folder, OnBus, car, signal, until};

/// The car with a state beside its file.
fn keeping(folder: &Folder, on_bus: &OnBus) -> PathBuf {
    let file = car(folder, Some(on_bus.bus.address()));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("version = 1\n", "version = 1\nstate = \"audiod.state\"\n"),
    )
    .unwrap();
    file
}

fn state(folder: &Folder) -> String {
    fs::read_to_string(folder.path().join("audiod.state")).unwrap_or_default()
}

/// Volume 37, muted, and a connection from the guest's stream to the zone.
fn use_it(on_bus: &OnBus) {
    let call = |call: Call| on_bus.with(async |client| client.call_ok(&call).await);
    call(Call::SetVolume { sink: 101, volume: 37 });
    call(Call::SetSinkMuteState { sink: 101, state: 1 });
    call(Call::SetSourceGain { source: 101, gain: -60 });
    call(Call::Connect { source: 101, sink: 101 });
}

/// The zone's volume and mute, the stream's wanted gain and how many routes it has.
fn found(on_bus: &OnBus) -> (i16, bool, Option<f32>, usize) {
    let status = on_bus.with(async |client| client.status().await);
    let (zone, stream) = (&status.zones[0], &status.streams[0]);
    (zone.volume, zone.mute, stream.wanted_db, stream.routes.len())
}

fn assert_as_used(on_bus: &OnBus) {
    assert_eq!(found(on_bus), (37, true, Some(-6.0), 1));
}

#[test]
fn a_daemon_that_was_told_to_end_has_written_its_last_change() {
    let folder = Folder::new("flushed");
    let on_bus = OnBus::new(&folder);
    let file = keeping(&folder, &on_bus);
    let first = Daemon::start(&file);
    use_it(&on_bus);
    assert_eq!(first.end().code(), Some(0));
    assert!(state(&folder).starts_with("carillon-state 1 "));

    let second = Daemon::start(&file);
    assert_as_used(&on_bus);

    assert_eq!(second.end().code(), Some(0));
}

#[test]
fn a_daemon_that_was_killed_has_what_was_written_before() {
    let folder = Folder::new("killed-state");
    let on_bus = OnBus::new(&folder);
    let file = keeping(&folder, &on_bus);
    let first = Daemon::start(&file);
    use_it(&on_bus);
    until("the state on the disk", || {
        state(&folder).contains("\"connections\":{\"1\"").then_some(())
    });
    signal(first.process.id(), libc::SIGKILL);
    drop(first);

    let _second = Daemon::start(&file);
    assert_as_used(&on_bus);
}

#[test]
fn a_killed_control_goes_on_from_the_saved_block_and_not_from_the_disk() {
    let folder = Folder::new("newer");
    let on_bus = OnBus::new(&folder);
    let daemon = Daemon::start(&keeping(&folder, &on_bus));
    until("a first state", || (!state(&folder).is_empty()).then_some(()));
    let old = daemon.child("control").unwrap();
    on_bus.with(async |client| client.status().await);
    signal(old, libc::SIGSTOP);
    // Whatever stands on the disk by now.
    fs::write(folder.path().join("audiod.state"), "rubbish").unwrap();
    signal(old, libc::SIGCONT);
    use_it(&on_bus);

    signal(old, libc::SIGKILL);
    daemon.successor("control", old);
    assert_as_used(&on_bus);
    assert!(!folder.path().join("audiod.state.damaged-1").exists());
    assert_eq!(daemon.end().code(), Some(0));
    assert!(state(&folder).contains("\"volume\":37"), "written by the successor too");
}

#[test]
fn a_damaged_state_is_told_set_aside_and_no_reason_not_to_start() {
    let folder = Folder::new("damaged");
    let on_bus = OnBus::new(&folder);
    let file = keeping(&folder, &on_bus);
    fs::write(folder.path().join("audiod.state"), "carillon-state 1 5 00000000\nhello").unwrap();

    let daemon = Daemon::start(&file);
    let status = on_bus.with(async |client| client.status().await);

    assert_eq!(status.zones[0].volume, 100);
    let said = daemon.said();
    assert!(
        said.contains("its checksum is wrong; set aside as audiod.state.damaged-1"),
        "{said}"
    );
    let aside = fs::read_to_string(folder.path().join("audiod.state.damaged-1")).unwrap();
    assert!(aside.ends_with("hello"));
    assert_eq!(daemon.end().code(), Some(0));
    assert!(state(&folder).starts_with("carillon-state 1 "));
}

#[test]
fn a_folder_that_is_not_there_is_told_and_sound_goes_on() {
    let folder = Folder::new("nowhere");
    let on_bus = OnBus::new(&folder);
    let file = keeping(&folder, &on_bus);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"audiod.state\"", "\"missing/audiod.state\"")).unwrap();

    let daemon = Daemon::start(&file);
    use_it(&on_bus);

    assert!(
        daemon
            .said()
            .contains("volumes and connections will not outlive this daemon")
    );
    assert_eq!(daemon.end().code(), Some(0));
}

/// What comes back is what the file says; and a daemon that forgot any of it would be noticed.
#[test]
fn only_what_is_to_be_restored_comes_back() {
    let nothing = (100, false, Some(0.0), 0);
    for (name, from, to, back) in [
        ("kept-nothing", "state = \"audiod.state\"\n", "", nothing),
        (
            "kept-volumes",
            "[codecs",
            "[restore]\nconnections = \"none\"\n[codecs",
            (37, true, Some(-6.0), 0),
        ),
        (
            "kept-connections",
            "[codecs",
            "[restore]\nvolumes = false\n[codecs",
            (100, false, Some(0.0), 1),
        ),
    ] {
        let folder = Folder::new(name);
        let on_bus = OnBus::new(&folder);
        let file = keeping(&folder, &on_bus);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let first = Daemon::start(&file);
        use_it(&on_bus);
        assert_eq!(first.end().code(), Some(0));

        let _second = Daemon::start(&file);

        assert_eq!(found(&on_bus), back, "{name}");
    }
}
