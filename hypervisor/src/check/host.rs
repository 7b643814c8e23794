//! What the host can't do for a manifest, and what would spoil its timing.

use std::collections::BTreeSet;
use std::io;

use crate::manifest::words::{Cpus, Pci, cpus, list, sized};
use crate::manifest::{At, Finding, Manifest, Of, Partition, Passthrough, Role, Span};

/// What is looked at: small texts of `/proc` and `/sys`, device nodes, this process's limits. Tests plant each fault.
pub trait Host {
    /// A small text file.
    ///
    /// # Errors
    /// What `open` or `read` says.
    fn text(&self, path: &str) -> io::Result<String>;
    /// The names in a folder.
    ///
    /// # Errors
    /// What `opendir` says.
    fn names(&self, path: &str) -> io::Result<Vec<String>>;
    /// The last part of where a symbolic link leads.
    ///
    /// # Errors
    /// What `readlink` says.
    fn target(&self, path: &str) -> io::Result<String>;
    /// Whether a file can be opened for reading, and for writing too.
    ///
    /// # Errors
    /// What `access` says.
    fn usable(&self, path: &str, write: bool) -> io::Result<()>;
    /// Most bytes that may be locked; `u64::MAX`: any.
    fn memlock(&self) -> u64;
    /// Highest SCHED_FIFO priority allowed; 99 as root.
    fn rtprio(&self) -> u64;
}

/// Everything this host can't do for the manifest.
pub fn look(manifest: &Manifest, host: &dyn Host) -> Vec<Finding> {
    let mut probe = Probe {
        manifest,
        host,
        findings: Vec::new(),
    };
    probe.kvm();
    probe.files();
    probe.cpus();
    probe.memory();
    probe.priorities();
    probe.vsock();
    for partition in &manifest.partitions {
        for given in &partition.passthrough {
            probe.device(given);
        }
    }
    probe.timing();
    probe.findings
}

struct Probe<'a> {
    manifest: &'a Manifest,
    host: &'a dyn Host,
    findings: Vec<Finding>,
}

/// Not permitted, or not there.
fn whose(error: &io::Error) -> Of {
    if error.kind() == io::ErrorKind::PermissionDenied {
        Of::Permission
    } else {
        Of::Host
    }
}

impl Probe<'_> {
    fn error(&mut self, of: Of, code: &'static str, span: Span, what: (String, &str, &str)) {
        let (message, cause, cure) = what;
        self.findings
            .push(Finding::error(code, span, message).of(of).cause(cause).cure(cure));
    }

    fn warn(&mut self, code: &'static str, span: Span, what: (String, &str, &str)) {
        let (message, cause, cure) = what;
        self.findings.push(
            Finding::warning(code, span, message)
                .of(Of::Host)
                .cause(cause)
                .cure(cure),
        );
    }

    fn kvm(&mut self) {
        let Err(error) = self.host.usable("/dev/kvm", true) else {
            return;
        };
        let cure = match whose(&error) {
            Of::Permission => "add this user to group kvm, or run as root",
            _ => {
                "enable virtualization in the firmware, load kvm_amd or kvm_intel; without KVM: `cargo xtask board` emulates a machine that has it"
            }
        };
        let what = (format!("no VM can run: /dev/kvm: {error}"), "VMs run by KVM", cure);
        self.error(whose(&error), "no-kvm", self.manifest.name.span, what);
    }

    fn files(&mut self) {
        for partition in &self.manifest.partitions {
            let kernel = [(&partition.kernel, false)].into_iter();
            let initrd = partition.initrd.iter().map(|file| (file, false));
            let disks = partition.disks.iter().map(|disk| (&disk.image, !disk.read_only));
            for (file, write) in kernel.chain(initrd).chain(disks) {
                let path = file.value.display().to_string();
                if let Err(error) = self.host.usable(&path, write) {
                    let what = (
                        format!("{path}: {error}"),
                        "can't be opened",
                        "paths start at the manifest's folder",
                    );
                    self.error(whose(&error), "file", file.span, what);
                }
            }
        }
    }

    fn cpus(&mut self) {
        let Some(online) = self.cpu_list("/sys/devices/system/cpu/online") else {
            return;
        };
        let manifest = self.manifest;
        let partitions = manifest
            .partitions
            .iter()
            .filter_map(|partition| partition.cpus.as_ref());
        for given in partitions
            .chain(manifest.sets.iter().map(|set| &set.cpus))
            .chain([&manifest.host_cpus])
        {
            let absent: Cpus = given.value.difference(&online).copied().collect();
            if !absent.is_empty() {
                let message = format!("this host has no CPU {}", list(&absent));
                let cause = format!("online: {}", list(&online));
                self.error(
                    Of::Host,
                    "no-such-cpu",
                    given.span,
                    (message, &cause, "name CPUs that are online"),
                );
            }
        }
    }

    fn cpu_list(&self, path: &str) -> Option<Cpus> {
        cpus(self.host.text(path).ok()?.trim()).ok()
    }

    fn meminfo(&self, key: &str) -> Option<u64> {
        let text = self.host.text("/proc/meminfo").ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    }

    fn memory(&mut self) {
        let (mut plain, mut huge, limit) = (0u64, 0u64, self.host.memlock());
        for partition in &self.manifest.partitions {
            let size = partition.memory;
            *if partition.huge_pages { &mut huge } else { &mut plain } += size.value;
            // Each VM is a process: the limit is one of each. Its pool and page tables come on top.
            if size.value > limit {
                let message = format!("the memory of `{}` can't be locked", partition.name.value);
                let cause = format!("RLIMIT_MEMLOCK is {} KiB", limit >> 10);
                let cure = "LimitMEMLOCK=infinity in the unit, `memlock unlimited` in limits.d, or run as root";
                self.error(Of::Permission, "memlock", size.span, (message, &cause, cure));
            }
        }
        if let Some(free) = self
            .meminfo("MemAvailable")
            .filter(|free| plain > free.saturating_mul(1024))
        {
            let message = format!(
                "the partitions want {}, the host has {} MiB left",
                sized(plain),
                free >> 10
            );
            let what = (
                message,
                "memory is given out whole at start",
                "give them less, or reserve less elsewhere",
            );
            self.error(Of::Host, "memory", self.manifest.name.span, what);
        }
        let pages = self.meminfo("HugePages_Free").unwrap_or(0);
        if huge > pages.saturating_mul(2 << 20) {
            let first = self.manifest.partitions.iter().find(|partition| partition.huge_pages);
            let span = first.map_or(Span::default(), |partition| partition.memory.span);
            let cause = format!("{pages} huge pages are free, {} are wanted", huge >> 21);
            let cure = format!(
                "write {} to /proc/sys/vm/nr_hugepages early, or boot with hugepages=",
                huge >> 21
            );
            self.error(
                Of::Host,
                "huge-pages",
                span,
                ("the host's pool of huge pages is too small".into(), &cause, &cure),
            );
        }
    }

    fn priorities(&mut self) {
        let limit = self.host.rtprio();
        for partition in &self.manifest.partitions {
            let Some(realtime) = partition
                .realtime
                .as_ref()
                .filter(|realtime| u64::from(realtime.helpers.value) > limit)
            else {
                continue;
            };
            let message = format!("`{}` wants SCHED_FIFO {}", partition.name.value, realtime.helpers.value);
            let cause = format!("RLIMIT_RTPRIO is {limit}");
            let cure = "LimitRTPRIO=99 in the unit, `rtprio 99` in limits.d, or run as root";
            self.error(Of::Permission, "rtprio", realtime.span, (message, &cause, cure));
        }
    }

    fn vsock(&mut self) {
        let Some(cid) = self
            .manifest
            .partitions
            .iter()
            .find_map(|partition| partition.vsock_cid)
        else {
            return;
        };
        if let Err(error) = self.host.usable("/dev/vhost-vsock", true) {
            let what = (
                format!("no vsock: /dev/vhost-vsock: {error}"),
                "needed for this",
                "modprobe vhost_vsock; the VMM's user needs the node",
            );
            self.error(whose(&error), "no-vsock", cid.span, what);
        }
    }

    /// A passed-through function: there, alone in its IOMMU group, with vfio-pci, usable.
    fn device(&mut self, given: &Passthrough) {
        let (address, span) = (given.device.value, given.device.span);
        let folder = format!("/sys/bus/pci/devices/{address}");
        if self.host.text(&format!("{folder}/class")).is_err() {
            let what = (
                format!("this host has no device {address}"),
                "not on its PCI bus",
                "`lspci -D` lists them",
            );
            return self.error(Of::Host, "no-device", span, what);
        }
        let Ok(group) = self.host.target(&format!("{folder}/iommu_group")) else {
            let cure = "enable the IOMMU in the firmware; boot with intel_iommu=on or amd_iommu=on";
            let what = (
                format!("no IOMMU holds {address} in"),
                "it could write anywhere in memory",
                cure,
            );
            return self.error(Of::Host, "no-iommu", span, what);
        };
        self.group(address, &group, span);
        match self.host.target(&format!("{folder}/driver")) {
            Ok(driver) if driver == "vfio-pci" => {}
            other => {
                let cause = other.map_or_else(
                    |_| "it has no driver".into(),
                    |driver| format!("its driver is {driver}"),
                );
                let cure = format!(
                    "echo vfio-pci > {folder}/driver_override, unbind it, echo {address} > /sys/bus/pci/drivers_probe"
                );
                self.error(
                    Of::Host,
                    "no-vfio",
                    span,
                    (format!("{address} is not with vfio-pci"), &cause, &cure),
                );
            }
        }
        if let Err(error) = self.host.usable(&format!("/dev/vfio/{group}"), true) {
            let what = (
                format!("/dev/vfio/{group}: {error}"),
                "the group's node",
                "modprobe vfio-pci; give the node to the VMM's user",
            );
            self.error(whose(&error), "no-vfio", span, what);
        }
    }

    /// Devices of one group can reach each other behind the IOMMU's back; bridges forward only.
    fn group(&mut self, address: Pci, group: &str, span: Span) {
        let names = self
            .host
            .names(&format!("/sys/kernel/iommu_groups/{group}/devices"))
            .unwrap_or_default();
        let bridge = |name: &String| {
            let class = self.host.text(&format!("/sys/bus/pci/devices/{name}/class"));
            class.is_ok_and(|class| class.trim().starts_with("0x0604"))
        };
        let own = address.to_string();
        let others: Vec<String> = names.into_iter().filter(|name| *name != own && !bridge(name)).collect();
        if !others.is_empty() {
            let message = format!("{address} shares IOMMU group {group} with {}", others.join(", "));
            let what = (
                message,
                "they reach each other behind the IOMMU",
                "use a slot with a group of its own (ACS)",
            );
            self.error(Of::Host, "iommu-group", span, what);
        }
    }

    /// CPUs that must not be disturbed: of safety partitions and real-time vCPUs.
    fn quiet_cpus(&self) -> Option<At<Cpus>> {
        let quiet = |partition: &&Partition| partition.role.value == Role::Safety || partition.realtime.is_some();
        let partitions: Vec<&Partition> = self.manifest.partitions.iter().filter(quiet).collect();
        let span = partitions
            .first()?
            .cpus
            .as_ref()
            .map_or(partitions[0].name.span, |cpus| cpus.span);
        Some(At::new(
            partitions
                .iter()
                .flat_map(|partition| self.manifest.cpus_of(partition))
                .collect(),
            span,
        ))
    }

    fn timing(&mut self) {
        let Some(quiet) = self.quiet_cpus() else { return };
        let span = quiet.span;
        let runtime = self
            .host
            .text("/proc/sys/kernel/sched_rt_runtime_us")
            .unwrap_or_default();
        if !["", "-1"].contains(&runtime.trim()) {
            let cause = format!(
                "sched_rt_runtime_us is {}: real-time threads are stopped for the rest of a second",
                runtime.trim()
            );
            let what = (
                "real-time throttling is on".into(),
                cause.as_str(),
                "echo -1 > /proc/sys/kernel/sched_rt_runtime_us",
            );
            self.warn("rt-throttling", span, what);
        }
        let fair = |cpu: &u32| {
            self.host
                .text(&format!("/sys/kernel/debug/sched/fair_server/cpu{cpu}/runtime"))
        };
        if quiet
            .value
            .iter()
            .filter_map(|cpu| fair(cpu).ok())
            .any(|runtime| runtime.trim() != "0")
        {
            let cure = "echo 0 > /sys/kernel/debug/sched/fair_server/cpuN/runtime";
            self.warn(
                "fair-server",
                span,
                (
                    "the fair server is on".into(),
                    "SCHED_OTHER threads may take 50 ms of a second",
                    cure,
                ),
            );
        }
        let isolated = self.cpu_list("/sys/devices/system/cpu/isolated").unwrap_or_default();
        let open: Cpus = quiet.value.difference(&isolated).copied().collect();
        if !open.is_empty() {
            let cure = format!("boot with isolcpus={0} nohz_full={0} rcu_nocbs={0}", list(&quiet.value));
            self.warn(
                "not-isolated",
                span,
                (
                    format!("CPU {} is not isolated", list(&open)),
                    "any thread may run there",
                    &cure,
                ),
            );
        }
        let version = self.host.text("/proc/version").unwrap_or_default();
        let flagged = self
            .host
            .text("/sys/kernel/realtime")
            .is_ok_and(|flag| flag.trim() == "1");
        if !flagged && !version.contains("PREEMPT_RT") {
            let what = (
                "the kernel is not PREEMPT_RT".into(),
                "it may hold a real-time thread up for milliseconds",
                "install the rt flavour, as linux-image-rt-amd64",
            );
            self.warn("not-rt", span, what);
        }
        self.scaling(&quiet);
        self.interrupts(&quiet);
    }

    fn scaling(&mut self, quiet: &At<Cpus>) {
        let governor = |cpu: &u32| {
            self.host
                .text(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"))
                .ok()
        };
        let scaled = quiet
            .value
            .iter()
            .find_map(|cpu| Some((cpu, governor(cpu).filter(|word| word.trim() != "performance")?)));
        if let Some((cpu, word)) = scaled {
            let cause = format!("its governor is {}", word.trim());
            self.warn(
                "frequency",
                quiet.span,
                (
                    format!("CPU {cpu} changes its frequency"),
                    &cause,
                    "cpupower frequency-set -g performance",
                ),
            );
        }
    }

    /// The codec's interrupts belong on the service VM's CPUs or the host's.
    fn interrupts(&mut self, quiet: &At<Cpus>) {
        let Some(service) = self.manifest.service() else { return };
        let mut good: BTreeSet<u32> = self.manifest.cpus_of(service);
        good.extend(&self.manifest.host_cpus.value);
        let others: Cpus = quiet.value.difference(&good).copied().collect();
        for given in service.passthrough.iter().filter(|given| given.codec) {
            let folder = format!("/sys/bus/pci/devices/{}/msi_irqs", given.device.value);
            let irqs = self.host.names(&folder).unwrap_or_default();
            let strays = irqs.iter().any(|irq| {
                let on = self
                    .cpu_list(&format!("/proc/irq/{irq}/smp_affinity_list"))
                    .unwrap_or_default();
                !on.is_subset(&good)
            });
            let default = self.host.text("/proc/irq/default_smp_affinity").unwrap_or_default();
            let mask = u128::from_str_radix(&default.trim().replace(',', ""), 16).unwrap_or(0);
            let anywhere = irqs.is_empty() && others.iter().any(|cpu| *cpu < 128 && mask >> cpu & 1 == 1);
            if strays || anywhere {
                let message = format!("the codec's interrupts may come on CPUs other than {}", list(&good));
                let what = (
                    message,
                    "they disturb another partition",
                    "write the list to /proc/irq/N/smp_affinity_list, stop irqbalance",
                );
                self.warn("codec-irq", given.device.span, what);
            }
        }
    }
}
