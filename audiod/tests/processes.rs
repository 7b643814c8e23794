//! The three processes of the real binary: how they come up, what their ends cost, and that sound goes on.

mod processes_common;

use std::fs;

use processes_common::{
    CHIME_FRAMES, Daemon, Folder, OnBus, alive, car, children, find_chime, frames, run_to_end, signal, status_field,
    until,
};

/// The sound of a second that is far enough in: the file goes on growing.
fn wait_for_frames(folder: &Folder, more: usize) -> usize {
    let cabin = folder.path().join("cabin.wav");
    let played = || hound::WavReader::open(&cabin).map_or(0, |file| file.duration() as usize);
    let target = played() + more;
    until("sound", || Some(played()).filter(|now| *now >= target))
}

#[test]
fn it_comes_up_says_where_it_listens_and_ends_with_a_whole_file() {
    let folder = Folder::new("up");
    let daemon = Daemon::start(&car(&folder, None));
    wait_for_frames(&folder, 4800);
    let all = children(daemon.process.id());

    let said = daemon.said();
    let status = daemon.end();

    assert!(said.contains("guest ivi: listening on"), "{said}");
    assert!(said.contains("ivi.sock"), "{said}");
    assert_eq!(status.code(), Some(0));
    assert_eq!(all.len(), 3, "card, engine, control");
    assert!(!all.into_iter().any(alive));
    assert!(frames(&folder.path().join("cabin.wav")).len() >= 4800);
}

#[test]
fn engine_and_control_have_given_up_what_they_do_not_need() {
    let folder = Folder::new("given-up");
    let daemon = Daemon::start(&car(&folder, None));

    for role in ["engine", "control"] {
        let pid = daemon.child(role).unwrap();
        assert_eq!(status_field(pid, "NoNewPrivs:"), "1", "{role}");
        assert_eq!(status_field(pid, "Seccomp:"), "2", "{role}");
    }
    assert_eq!(status_field(daemon.process.id(), "NoNewPrivs:"), "1");
}

#[test]
fn all_of_it_runs_as_the_user_of_the_file_and_cannot_become_another() {
    let folder = Folder::new("user");
    let file = car(&folder, None);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("version = 1\n", "version = 1\nuser = \"nobody\"\n")).unwrap();
    let nobody = audiod::sandbox::look_up("nobody").unwrap();
    // SAFETY: always succeeds.
    let me = unsafe { libc::geteuid() };
    // Who is not root stays who they are.
    let expected = if me == 0 { nobody.0 } else { me };
    std::os::unix::fs::chown(folder.path(), Some(expected), None).unwrap();

    let daemon = Daemon::start(&file);
    wait_for_frames(&folder, 4800);

    let family = children(daemon.process.id()).into_iter().chain([daemon.process.id()]);
    for pid in family {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        assert_eq!(
            line("Uid:"),
            format!("Uid:\t{expected}\t{expected}\t{expected}\t{expected}")
        );
        assert_eq!(line("NoNewPrivs:"), "NoNewPrivs:\t1");
        assert_eq!(line("CapEff:"), "CapEff:\t0000000000000000");
    }
    assert_eq!(daemon.end().code(), Some(0));
}

#[test]
fn mistakes_in_the_file_are_all_told_with_exit_3() {
    let folder = Folder::new("mistakes");
    let file = folder.write(
        "car.toml",
        "version = 1\n[codecs.main]\nbackend = \"wave\"\n[zones.cabin]\ncodec = \"man\"\n",
    );

    let (code, said) = run_to_end(&file);

    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("car.toml:3") && said.contains("car.toml:5"), "{said}");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_runs() {
    let folder = Folder::new("unwritable");
    let file = car(&folder, None);
    fs::create_dir(folder.path().join("cabin.wav")).unwrap();

    let (code, said) = run_to_end(&file);

    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("cabin.wav"), "{said}");
}

#[test]
fn a_second_daemon_on_the_same_sockets_is_refused_and_the_first_stays() {
    let folder = Folder::new("second");
    let file = car(&folder, None);
    let first = Daemon::start(&file);

    let (code, said) = run_to_end(&file);

    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("ivi.sock"), "{said}");
    wait_for_frames(&folder, 480);
    assert_eq!(first.end().code(), Some(0));
}

#[test]
fn a_killed_engine_is_replaced_and_chimes_sound_again() {
    let folder = Folder::new("engine");
    let on_bus = OnBus::new(&folder);
    let daemon = Daemon::start(&car(&folder, Some(on_bus.bus.address())));
    let old = daemon.child("engine").unwrap();

    signal(old, libc::SIGKILL);
    daemon.successor("engine", old);
    on_bus.with(async |client| client.chime("bell").await);
    on_bus.with(async |client| match client.status().await {
        Ok(status) if status.chimes[0].played == 1 => Ok(()),
        Ok(_) => Err("not yet".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    wait_for_frames(&folder, 4800);

    assert_eq!(daemon.end().code(), Some(0));
    find_chime(&frames(&folder.path().join("cabin.wav")), 0);
}

#[test]
fn an_engine_that_hangs_is_replaced() {
    let folder = Folder::new("hang");
    let daemon = Daemon::start(&car(&folder, None));
    let old = daemon.child("engine").unwrap();

    signal(old, libc::SIGSTOP);
    daemon.successor("engine", old);

    until("the message", || {
        daemon.said().contains("the engine hangs").then_some(())
    });
    assert!(!alive(old));
}

#[test]
fn a_stopped_control_changes_no_sample_of_a_sounding_chime() {
    let folder = Folder::new("stopped");
    let on_bus = OnBus::new(&folder);
    let daemon = Daemon::start(&car(&folder, Some(on_bus.bus.address())));
    let control = daemon.child("control").unwrap();

    on_bus.with(async |client| client.chime("bell").await);
    signal(control, libc::SIGSTOP);
    wait_for_frames(&folder, CHIME_FRAMES + 9600);
    signal(control, libc::SIGCONT);

    assert_eq!(daemon.end().code(), Some(0));
    let played = frames(&folder.path().join("cabin.wav"));
    let start = find_chime(&played, 0);
    assert!(played[start + CHIME_FRAMES..].iter().all(|frame| *frame == [0, 0]));
}

#[test]
fn a_killed_control_is_replaced_and_serves_the_bus_again_with_the_same_ids() {
    let folder = Folder::new("control");
    let on_bus = OnBus::new(&folder);
    let daemon = Daemon::start(&car(&folder, Some(on_bus.bus.address())));
    let before = on_bus.with(async |client| client.status().await);
    let old = daemon.child("control").unwrap();

    signal(old, libc::SIGKILL);
    daemon.successor("control", old);
    let after = on_bus.with(async |client| client.status().await);

    let ids = |status: &dbus_api::status::Status| (status.streams[0].id, status.zones[0].id, status.chimes[0].id);
    assert_eq!(ids(&before), ids(&after));
    assert_eq!(
        before.codecs[0].underruns, after.codecs[0].underruns,
        "the engine did not notice"
    );
}

#[test]
fn a_killed_supervisor_takes_its_children_along_and_the_next_daemon_starts_at_once() {
    let folder = Folder::new("supervisor");
    let file = car(&folder, None);
    let daemon = Daemon::start(&file);
    let orphans = children(daemon.process.id());

    signal(daemon.process.id(), libc::SIGKILL);
    let next = Daemon::start(&file);

    until("the orphans' end", || {
        (!orphans.iter().any(|pid| alive(*pid))).then_some(())
    });
    wait_for_frames(&folder, 480);
    assert_eq!(next.end().code(), Some(0));
}

#[test]
fn an_unknown_chime_is_refused_in_words() {
    let folder = Folder::new("unknown");
    let on_bus = OnBus::new(&folder);
    let _daemon = Daemon::start(&car(&folder, Some(on_bus.bus.address())));
    on_bus.with(async |client| client.status().await);

    let refusal = on_bus.with(async |client| match client.chime("bel").await {
        Ok(()) => Err("accepted".to_owned()),
        Err(error) => Ok::<_, String>(error.to_string()),
    });

    assert!(refusal.contains("bell"), "{refusal}");
}

#[test]
fn a_bus_that_dies_and_comes_back_is_served_again_and_the_engine_does_not_notice() {
    let folder = Folder::new("bus");
    let mut on_bus = OnBus::new(&folder);
    let daemon = Daemon::start(&car(&folder, Some(on_bus.bus.address())));
    on_bus.with(async |client| client.chime("bell").await);
    let control = daemon.child("control").unwrap();

    on_bus.bus.kill();
    wait_for_frames(&folder, CHIME_FRAMES);
    on_bus.bus.restart().unwrap();
    let status = on_bus.with(async |client| client.status().await);

    assert_eq!(daemon.child("control"), Some(control));
    assert_eq!((status.chimes[0].requested, status.chimes[0].played), (1, 1));
    assert!(
        status.recent.iter().any(|line| line.contains("chime 0 ended")),
        "{:?}",
        status.recent
    );
    assert_eq!(daemon.end().code(), Some(0));
    find_chime(&frames(&folder.path().join("cabin.wav")), 0);
}

#[test]
fn a_codec_that_cannot_be_opened_ends_the_daemon_with_its_reason() {
    let folder = Folder::new("codec");
    let file = car(&folder, None);
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace(
        "backend = \"wav\"\npath = \"cabin.wav\"",
        "backend = \"alsa\"\ndevice = \"plug:nosuch\"",
    );
    fs::write(&file, text).unwrap();

    let (code, said) = run_to_end(&file);

    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("nosuch"), "{said}");
}
