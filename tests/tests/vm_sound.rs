//! A bare-metal partition in a VM on this machine's `/dev/kvm`, its sound device made by the real daemon on this host.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use hypervisor::plan::{
    Boot, Console, Declared, Device, Fds, Locked, Plan, Region, RegionKind, Sound, Thread, Transport,
};
use hypervisor::vm::control::{Channel, Report, Request};
use hypervisor::vm::memory::create;
use hypervisor::vm::{self, Exit};
use system_tests::board::safety;
use system_tests::coded;
use system_tests::daemon::{Daemon, program};
use system_tests::process::until;

const RAM: u64 = 16 << 20;
const LIMIT: Duration = Duration::from_secs(60);
const SYSTEM: &str = r#"
version = 1
bus = "@BUS@"
# Frames are judged here, not how soon a busy machine lets control decide.
decision_limit_ms = 1000
[codecs.main]
backend = "wav"
path = "@FOLDER@/cabin.wav"
format = "S16"
period = @PERIOD@
lead = 12
[zones.cabin]
codec = "main"
channels = [0, 1]
[classes.media]
priority = 10
[guests.bell]
socket = "@FOLDER@/bell.sock"
streams.media = { class = "media", zone = "cabin" }
"#;

const MANIFEST: &str = r#"
version = 1
name = "memory"
[host]
cpus = "0"
[partitions.bell]
role = "guest"
cpus = "1"
memory = "16M"
kernel = "@KERNEL@"
cmdline = "frames=@FRAMES@"
restart = { policy = "never" }
sound.socket = "@FOLDER@/bell.sock"
sound.streams = [{ direction = "playback", formats = ["s16"], rates = [48000] }]
"#;

fn plan(transport: Transport, cmdline: &str) -> Plan {
    let ram = Region {
        guest_address: 0,
        size: RAM,
        fd: "ram".to_owned(),
        offset: 0,
        kind: RegionKind::Ram,
        shared: true,
        dma: false,
        locked: Locked::OnUse,
    };
    let snd = Device::Snd(Sound {
        name: "snd".to_owned(),
        transport,
        queue_size: 64,
        hold_ms: 2000,
        declared: Declared::default(),
    });
    Plan {
        name: "chime".to_owned(),
        vcpus: vec![Thread::default()],
        service: Thread::default(),
        memory: vec![ram],
        boot: Boot {
            kernel: "kernel".to_owned(),
            initrd: None,
            cmdline: cmdline.to_owned(),
        },
        console: Some(Console {
            output: "console".to_owned(),
            input: None,
        }),
        devices: vec![snd],
        ioports: Vec::new(),
    }
}

/// The system file for a folder, at a codec period of frames.
fn system(bus: &str, place: &str, period: u32) -> String {
    let text = SYSTEM.replace("@BUS@", bus).replace("@FOLDER@", place);
    text.replace("@PERIOD@", &period.to_string())
}

/// Daemon, VM and the parent's end of its control socket.
struct Rig {
    folder: PathBuf,
    _daemon: Daemon,
    parent: Channel,
    vm: std::thread::JoinHandle<Result<Exit, vm::Error>>,
}

impl Rig {
    fn start(name: &str, transport: Transport, period: u32, cmdline: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("carillon-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let place = folder.display().to_string();
        let daemon = Daemon::start(&folder, |bus| system(bus, &place, period)).unwrap();
        let mut fds = Fds::default();
        let open = |path: &str| File::options().read(true).write(true).open(path).unwrap();
        fds.insert("kvm", OwnedFd::from(open("/dev/kvm")));
        fds.insert("ram", create("ram", RAM, false).unwrap().0);
        fds.insert("kernel", OwnedFd::from(File::open(safety::build().unwrap()).unwrap()));
        fds.insert("console", OwnedFd::from(File::create(folder.join("console")).unwrap()));
        let (parent, other) = Channel::pair().unwrap();
        fds.insert("control", other);
        let device = "snd".to_owned();
        let socket = OwnedFd::from(UnixStream::connect(folder.join("bell.sock")).unwrap());
        parent.send(&Request::Link { device }, Some(&socket)).unwrap();
        let plan = plan(transport, cmdline);
        let vm = std::thread::spawn(move || vm::run(plan, fds, || Ok(())));
        Self {
            folder,
            _daemon: daemon,
            parent,
            vm,
        }
    }

    /// What the guest said so far.
    fn console(&self) -> String {
        std::fs::read_to_string(self.folder.join("console")).unwrap_or_default()
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        assert!(!self.vm.is_finished(), "{}", self.console());
        self.parent.send(&Request::Stats, None).unwrap();
        until("counters", LIMIT, || match self.parent.receive::<Report>().unwrap() {
            Some((Report::Stats { mut vcpus, .. }, _)) => Some(vcpus.swap_remove(0)),
            _ => None,
        })
        .unwrap()
    }

    /// Waits for the guest's end; gives what it said, and whether `frames` of its tone were heard, each once and in order.
    fn finish(self, frames: u32) -> (String, coded::Report) {
        let console = self.folder.join("console");
        let exit = self.vm.join().unwrap();
        let said = std::fs::read_to_string(console).unwrap();
        assert_eq!(exit.unwrap(), Exit::PowerOff, "{said}");
        let samples = coded::samples(&self.folder.join("cabin.wav")).unwrap();
        (said, coded::compare(&safety::tone(frames, 0), &samples, 4))
    }
}

#[test]
fn a_bare_metal_partition_plays_over_pci_and_over_mmio() {
    for (name, transport, word) in [
        ("pci", Transport::Pci, ""),
        ("mmio", Transport::Mmio, " mmio=0xfeb00000"),
    ] {
        let rig = Rig::start(name, transport, 240, &format!("frames=9600{word}"));

        let (said, report) = rig.finish(9600);

        assert!(
            said.contains("chime: done frames=9600") && said.contains("errors=0"),
            "{said}"
        );
        assert!(report.is_whole(), "{report:?}");
    }
}

/// Anonymous memory of a process in KiB: what it has beside its programs' files and the guest's RAM, which is a memfd.
fn anonymous(process: u32) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{process}/smaps")).unwrap();
    let sizes = maps
        .lines()
        .filter_map(|line| line.strip_prefix("Anonymous:")?.trim().strip_suffix(" kB"));
    sizes.map(|size| size.trim().parse::<u64>().unwrap()).sum()
}

/// `hypervisor run` with the partition's sound from the daemon; looks at its VM's process after so many frames.
fn own_memory(name: &str, frames: u32) -> u64 {
    let folder = std::env::temp_dir().join(format!("carillon-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let place = folder.display().to_string();
    let _daemon = Daemon::start(&folder, |bus| system(bus, &place, 240)).unwrap();
    let manifest = folder.join("board.toml");
    let kernel = safety::build().unwrap();
    let text = MANIFEST
        .replace("@FOLDER@", &place)
        .replace("@KERNEL@", &kernel.display().to_string());
    std::fs::write(&manifest, text.replace("@FRAMES@", &(frames + 480_000).to_string())).unwrap();
    let run_dir = folder.join("run");
    let mut command = std::process::Command::new(program("hypervisor").unwrap());
    let mut parent = command
        .arg("run")
        .arg(&manifest)
        .arg("--run-dir")
        .arg(&run_dir)
        .arg("--no-host-check")
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(run_dir.join("bell.console")).unwrap_or_default();
    until("the stream runs", LIMIT, || said().contains("plays").then_some(())).unwrap();
    let file = std::fs::read_to_string(run_dir.join("bell.pid")).unwrap();
    let process = file.split_whitespace().next().unwrap().parse().unwrap();
    std::thread::sleep(Duration::from_secs_f64(f64::from(frames) / 48_000.0));
    let size = anonymous(process);
    assert!(!said().contains("failed"), "{}", said());
    // SAFETY: a signal to a child that isn't waited for yet.
    unsafe { libc::kill(i32::try_from(parent.id()).unwrap(), libc::SIGTERM) };
    parent.wait().unwrap();
    size
}

#[test]
fn a_vms_process_has_little_memory_beside_its_guests() {
    let in_the_tenth_second = 9 * 48_000 + 24_000;
    let size = own_memory("memory", in_the_tenth_second);

    println!("{size} KiB anonymous");
    assert!((1..=1024).contains(&size), "{size} KiB");
}

/// Plays until so many interrupts have come, each for a period of 2 ms that was played.
fn leaves_its_guest_alone(name: &str, interrupts: u64) {
    let frames = 96 * (interrupts * 2 + 400);
    let rig = Rig::start(
        name,
        Transport::Pci,
        96,
        &format!("frames={frames} period=96 periods=16"),
    );
    until("the stream runs", LIMIT, || {
        rig.console().contains("plays").then_some(())
    })
    .unwrap();
    let start = rig.counters()["irq_injections"];
    let past = |from: u64, by: u64| {
        until("interrupts", LIMIT * 4, || {
            Some(rig.counters()).filter(|now| now["irq_injections"] >= from + by)
        })
        .unwrap()
    };

    let before = past(start, 50);
    let after = past(before["irq_injections"], interrupts);
    rig.parent.send(&Request::Stop, None).unwrap();
    let exit = rig.vm.join().unwrap();

    let grown: BTreeMap<&str, u64> = after
        .iter()
        // Some are states, which may be less.
        .filter_map(|(name, value)| Some((name.as_str(), value.checked_sub(before[name])?)))
        .filter(|(_, by)| *by > 0)
        .collect();
    for name in ["user-port", "user-memory", "io_exits", "mmio_exits"] {
        assert_eq!(after[name], before[name], "{name}: {grown:?}");
    }
    assert_eq!(exit.unwrap(), Exit::Stopped);
    println!("over {interrupts} interrupts: {grown:?}");
}

/// 10,000 periods; `CARILLON_PERIODS`: fewer on the emulated board, which takes minutes for what is seconds here.
#[test]
fn a_running_stream_costs_its_guest_no_exit() {
    let periods = std::env::var("CARILLON_PERIODS").map_or(10_000, |text| text.parse().unwrap());

    leaves_its_guest_alone("exits", periods);
}
