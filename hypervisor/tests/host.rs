//! Faults of a host, each planted: `check` finds it, says whose affair it is, and finds nothing on a good host.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use hypervisor::check::{self, Host};
use hypervisor::manifest::{Finding, Manifest, Of, Severity};

/// A host of texts; a path that isn't there is not there, one with `None` is not permitted.
#[derive(Clone)]
struct Planted {
    texts: BTreeMap<String, Option<String>>,
    memlock: u64,
    rtprio: u64,
}

impl Planted {
    /// A host on which the good manifest has no findings.
    fn good() -> Self {
        let texts = [
            ("/dev/kvm", ""),
            ("/dev/vhost-vsock", ""),
            ("/dev/vfio/7", ""),
            ("vmlinuz", ""),
            ("chime", ""),
            (
                "/proc/meminfo",
                "MemTotal: 9 kB\nMemAvailable:    4000000 kB\nHugePages_Free:  64\n",
            ),
            ("/proc/sys/kernel/sched_rt_runtime_us", "-1\n"),
            ("/proc/version", "Linux version 6.12 SMP PREEMPT_RT\n"),
            ("/proc/irq/24/smp_affinity_list", "0-1\n"),
            ("/proc/irq/default_smp_affinity", "f\n"),
            ("/sys/devices/system/cpu/online", "0-3\n"),
            ("/sys/devices/system/cpu/isolated", "1,3\n"),
            ("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
            ("/sys/kernel/debug/sched/fair_server/cpu1/runtime", "0\n"),
            ("/sys/bus/pci/devices/0000:00:03.0/class", "0x040300\n"),
            ("/sys/bus/pci/devices/0000:00:03.0/iommu_group", "7"),
            ("/sys/bus/pci/devices/0000:00:03.0/driver", "vfio-pci"),
            ("/sys/bus/pci/devices/0000:00:03.0/msi_irqs/24", ""),
            ("/sys/bus/pci/devices/0000:00:01.0/class", "0x060400\n"),
            ("/sys/kernel/iommu_groups/7/devices/0000:00:01.0", ""),
            ("/sys/kernel/iommu_groups/7/devices/0000:00:03.0", ""),
        ];
        let texts = texts
            .map(|(path, text)| (path.to_owned(), Some(text.to_owned())))
            .into();
        Self {
            texts,
            memlock: u64::MAX,
            rtprio: 99,
        }
    }

    fn with(mut self, path: &str, text: &str) -> Self {
        self.texts.insert(path.into(), Some(text.into()));
        self
    }

    fn without(mut self, path: &str) -> Self {
        assert!(self.texts.remove(path).is_some(), "{path}");
        self
    }

    fn closed(mut self, path: &str) -> Self {
        self.texts.insert(path.into(), None);
        self
    }
}

impl Host for Planted {
    fn text(&self, path: &str) -> io::Result<String> {
        match self.texts.get(path) {
            Some(Some(text)) => Ok(text.clone()),
            Some(None) => Err(io::ErrorKind::PermissionDenied.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let inside = |name: &String| Some(name.strip_prefix(path)?.strip_prefix('/')?.to_owned());
        Ok(self.texts.keys().filter_map(inside).collect())
    }

    fn target(&self, path: &str) -> io::Result<String> {
        self.text(path)
    }

    fn usable(&self, path: &str, _write: bool) -> io::Result<()> {
        self.text(path).map(drop)
    }

    fn memlock(&self) -> u64 {
        self.memlock
    }

    fn rtprio(&self) -> u64 {
        self.rtprio
    }
}

fn good_manifest() -> Manifest {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifest/good.toml");
    let text = fs::read_to_string(path).unwrap();
    let (manifest, report) = check::manifest(Path::new("good.toml"), &text);
    assert_eq!(report.to_string(), "");
    manifest
}

fn found(host: &Planted) -> Vec<Finding> {
    check::host::look(&good_manifest(), host)
}

/// Exactly these codes are found.
fn assert_found(host: &Planted, codes: &[&str], severity: Severity, of: Of) {
    let found = found(host);
    let got: Vec<&str> = found.iter().map(|found| found.code).collect();
    assert_eq!(got, codes);
    for finding in found {
        assert_eq!((finding.severity, finding.of), (severity, of), "{}", finding.message);
        assert!(
            finding.help.is_some() && !finding.label.is_empty(),
            "{}",
            finding.message
        );
    }
}

#[test]
fn a_good_host_has_no_findings() {
    assert_eq!(found(&Planted::good()), []);
}

#[test]
fn what_the_host_lacks_is_an_error_of_the_host() {
    let good = Planted::good;
    let cases = [
        (good().without("/dev/kvm"), "no-kvm"),
        (good().without("/dev/vhost-vsock"), "no-vsock"),
        (good().without("chime"), "file"),
        (good().with("/sys/devices/system/cpu/online", "0-2"), "no-such-cpu"),
        (good().with("/proc/meminfo", "MemAvailable: 300000 kB"), "memory"),
        (good().without("/sys/bus/pci/devices/0000:00:03.0/class"), "no-device"),
        (
            good().without("/sys/bus/pci/devices/0000:00:03.0/iommu_group"),
            "no-iommu",
        ),
        (
            good().with("/sys/bus/pci/devices/0000:00:03.0/driver", "snd_hda_intel"),
            "no-vfio",
        ),
        (good().without("/sys/bus/pci/devices/0000:00:03.0/driver"), "no-vfio"),
        (good().without("/dev/vfio/7"), "no-vfio"),
    ];
    for (host, code) in cases {
        assert_found(&host, &[code], Severity::Error, Of::Host);
    }
}

#[test]
fn the_codecs_group_holds_nothing_but_the_codec_and_bridges() {
    let other = Planted::good()
        .with("/sys/kernel/iommu_groups/7/devices/0000:00:03.1", "")
        .with("/sys/bus/pci/devices/0000:00:03.1/class", "0x020000");
    assert_found(&other, &["iommu-group"], Severity::Error, Of::Host);
    assert!(found(&other)[0].message.contains("0000:00:03.1"));
}

#[test]
fn what_this_user_may_not_is_an_error_of_permission() {
    let good = Planted::good;
    let cases = [
        (good().closed("/dev/kvm"), "no-kvm"),
        (good().closed("/dev/vhost-vsock"), "no-vsock"),
        (good().closed("/dev/vfio/7"), "no-vfio"),
        (good().closed("chime"), "file"),
        (Planted { rtprio: 50, ..good() }, "rtprio"),
    ];
    for (host, code) in cases {
        assert_found(&host, &[code], Severity::Error, Of::Permission);
    }
    let locked = Planted {
        memlock: 64 << 20,
        ..good()
    };
    assert_found(&locked, &["memlock"; 3], Severity::Error, Of::Permission);
}

#[test]
fn what_spoils_timing_is_a_warning() {
    let good = Planted::good;
    let cases = [
        (
            good().with("/proc/sys/kernel/sched_rt_runtime_us", "950000"),
            "rt-throttling",
        ),
        (
            good().with("/sys/kernel/debug/sched/fair_server/cpu1/runtime", "50000000"),
            "fair-server",
        ),
        (good().with("/sys/devices/system/cpu/isolated", "1"), "not-isolated"),
        (
            good().with("/proc/version", "Linux version 6.12 SMP PREEMPT_DYNAMIC"),
            "not-rt",
        ),
        (
            good().with("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "schedutil"),
            "frequency",
        ),
        (good().with("/proc/irq/24/smp_affinity_list", "0-3"), "codec-irq"),
        (
            good().without("/sys/bus/pci/devices/0000:00:03.0/msi_irqs/24"),
            "codec-irq",
        ),
    ];
    for (host, code) in cases {
        assert_found(&host, &[code], Severity::Warning, Of::Host);
    }
}

#[test]
fn all_faults_are_found_at_once() {
    let host = Planted::good()
        .without("/dev/kvm")
        .without("chime")
        .closed("/dev/vfio/7");
    let codes: Vec<&str> = found(&host).iter().map(|found| found.code).collect();
    assert_eq!(codes, ["no-kvm", "file", "no-vfio"]);
}
