//! PipeWire and WirePlumber as Debian has them, at their default quantum, in a stock guest.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod guest_common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use guest_common::{CODEC, ONE_STREAM, RATE, Rig, coded_pair};

/// PipeWire's default; its player itself drops a last quantum that isn't full, so there is none.
const QUANTUM: usize = 1024;
const PACKAGES: [&str; 3] = ["pipewire", "pipewire-bin", "wireplumber"];
/// The device as a node of its own: a guest without udev has nobody to find cards.
const NODE: &str = r#"
context.objects = [ {
    factory = adapter
    args = {
        factory.name = api.alsa.pcm.sink
        node.name = "card"
        media.class = "Audio/Sink"
        api.alsa.path = "hw:0,0"
    }
} ]
"#;
const START: &str = "export XDG_RUNTIME_DIR=/tmp HOME=/tmp; \
    wait_for() { n=0; until \"$@\" > /tmp/last 2>&1; do n=$((n + 1)); [ $n -lt 100 ] || { cat /tmp/last /tmp/*.log; dmesg | tail -4; exit 1; }; sleep 0.2; done; }; \
    mkdir -p /run; dbus-daemon --session --fork --nopidfile --address=unix:path=/tmp/bus; \
    export DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/bus; \
    pipewire > /tmp/pipewire.log 2>&1 & \
    wait_for pw-cli info 0; \
    wireplumber > /tmp/wireplumber.log 2>&1 & \
    wait_for sh -c 'pw-cli ls Client | grep -q WirePlumber'; \
    wait_for sh -c 'pw-cli ls Node | grep card'";

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Packages and those they need that this machine lacks, downloaded and unpacked, not installed.
fn unpacked() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/carillon/pipewire");
    if root.join("done").exists() {
        return root;
    }
    std::fs::create_dir_all(&root).unwrap();
    let plan = output(
        Command::new("apt-get")
            .args(["install", "-s", "--reinstall", "--no-install-recommends"])
            .args(PACKAGES),
    );
    let names = plan
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next());
    output(
        Command::new("apt-get")
            .args(["download", "-qq"])
            .args(names)
            .current_dir(&root),
    );
    for entry in std::fs::read_dir(&root).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            output(Command::new("dpkg-deb").arg("-x").arg(entry.path()).arg(&root));
        }
    }
    std::fs::write(root.join("done"), "").unwrap();
    root
}

/// All files of the tree, and the machine's libraries that its programs and plug-ins need.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let list = output(Command::new("find").args([".", "-not", "-type", "d"]).current_dir(root));
    // Its Bluetooth part ends WirePlumber where there is no systemd-logind.
    let left_out = ["/share/doc", "/share/man", "/bluetooth.lua.d/"];
    let wanted = |path: &&str| path.starts_with("./usr") && left_out.iter().all(|part| !path.contains(part));
    let mut files = BTreeMap::new();
    let mut libraries = root.join("usr/lib/x86_64-linux-gnu").display().to_string();
    libraries.push_str(&format!(":{}", root.join("lib/x86_64-linux-gnu").display()));
    for path in list.lines().filter(wanted) {
        let Ok(data) = std::fs::read(root.join(path)) else {
            continue;
        };
        if data.starts_with(b"\x7fELF") {
            let ldd = Command::new("ldd")
                .arg(root.join(path))
                .env("LD_LIBRARY_PATH", &libraries)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&ldd.stdout).into_owned();
            let needed = text
                .lines()
                .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
            for library in needed.filter(|library| !Path::new(library).starts_with(root)) {
                files
                    .entry(library.to_owned())
                    .or_insert_with(|| std::fs::read(library).unwrap());
            }
        }
        files.insert(path.trim_start_matches('.').to_owned(), data);
    }
    files
}

fn wav(samples: &[u8]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: RATE as u32,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    for sample in samples.chunks_exact(2) {
        writer.write_sample(i16::from_le_bytes([sample[0], sample[1]])).unwrap();
    }
    writer.finalize().unwrap();
    file.into_inner()
}

#[test]
fn pipewire_at_its_default_quantum_is_heard_bit_for_bit() {
    let root = unpacked().canonicalize().unwrap();
    let (sent, codec) = coded_pair("S16_LE", QUANTUM * 235, 9);
    let mut files = files(&root);
    files.insert("/usr/share/pipewire/pipewire.conf.d/card.conf".to_owned(), NODE.into());
    files.insert("/sound.wav".to_owned(), wav(&sent));
    files.insert(
        "/usr/share/wireplumber/bluetooth.lua.d/00-none.lua".to_owned(),
        b"-- none\n".to_vec(),
    );
    let session = "/usr/share/dbus-1/session.conf";
    files.insert(session.to_owned(), std::fs::read(session).unwrap());
    files.insert("/etc/passwd".to_owned(), b"root:x:0:0::/tmp:/bin/sh\n".to_vec());
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(path, data)| (path.as_str(), data.clone())).collect();
    let system = format!("{CODEC}{ONE_STREAM}");
    let mut rig = Rig::start_with("pipewire", "6.12", &system, &files, &["dbus-daemon"]);
    rig.run(START);
    let from = rig.recorded();

    let play = format!("timeout 60 pw-play --latency {QUANTUM} /sound.wav");
    let end = rig
        .guest
        .run(
            &format!("export XDG_RUNTIME_DIR=/tmp HOME=/tmp; {play}"),
            guest_common::LIMIT,
        )
        .unwrap();

    let logs = rig.run("cat /tmp/*.log; cat /proc/asound/card0/pcm0p/sub0/hw_params");
    let report = rig.heard(&codec, from);
    println!("{logs}");
    assert_eq!(end.status, 0, "{}\n{logs}", end.output);
    assert!(report.is_whole(), "{report:?}\n{logs}");
}
