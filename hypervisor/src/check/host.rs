//! What the host can't do for a manifest, and what would spoil its timing.

use std::io;

use crate::manifest::words::{Cpus, cpus, list, sized};
use crate::manifest::{At, Finding, Findings, Manifest, Of, Partition, Passthrough, Realtime, Role, Span};

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
    let findings = Findings::default();
    let mut probe = Probe {
        manifest,
        host,
        findings,
    };
    probe.kvm();
    probe.files();
    probe.cpus();
    probe.memory();
    probe.huge_pages();
    probe.priorities();
    probe.vsock();
    for given in manifest.partitions.iter().flat_map(|partition| &partition.passthrough) {
        probe.device(given);
    }
    probe.timing();
    probe.findings.0
}

struct Probe<'a> {
    manifest: &'a Manifest,
    host: &'a dyn Host,
    findings: Findings,
}

impl Probe<'_> {
    fn error(&mut self, of: Of, code: &'static str, span: Span, message: impl Into<String>) -> &mut Finding {
        self.findings.error(code, span, message).of(of)
    }

    fn warn(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Finding {
        self.findings.warning(code, span, message).of(Of::Host)
    }

    /// A file or node that must be there and usable: what is wrong is added to.
    fn unusable(
        &mut self,
        path: &str,
        write: bool,
        code: &'static str,
        span: Span,
        what: &str,
    ) -> Option<&mut Finding> {
        let error = self.host.usable(path, write).err()?;
        Some(self.error(Of::error(&error), code, span, format!("{what}{path}: {error}")))
    }

    /// A small text without the end of its line; none if it can't be read.
    fn text(&self, path: &str) -> Option<String> {
        Some(self.host.text(path).ok()?.trim().to_owned())
    }

    fn cpu_list(&self, path: &str) -> Option<Cpus> {
        cpus(&self.text(path)?).ok()
    }

    fn kvm(&mut self) {
        let span = self.manifest.name.span;
        if let Some(found) = self.unusable("/dev/kvm", true, "no-kvm", span, "no VM can run: ")
            && found.of == Of::Permission
        {
            found.cure("add this user to group kvm, or run as root");
        }
    }

    fn files(&mut self) {
        for partition in &self.manifest.partitions {
            let images = partition.initrd.iter().chain([&partition.kernel]);
            let disks = partition.disks.iter().map(|disk| (&disk.image, !disk.read_only));
            for (file, write) in images.map(|file| (file, false)).chain(disks) {
                let path = file.display().to_string();
                self.unusable(&path, write, "file", file.span, "");
            }
        }
    }

    fn cpus(&mut self) {
        let Some(online) = self.cpu_list("/sys/devices/system/cpu/online") else {
            return;
        };
        let manifest = self.manifest;
        let own = manifest
            .partitions
            .iter()
            .filter_map(|partition| partition.cpus.as_ref());
        let sets = manifest.sets.iter().map(|set| &set.cpus);
        for given in own.chain(sets).chain([&manifest.host.cpus]) {
            let absent: Cpus = given.difference(&online).copied().collect();
            if !absent.is_empty() {
                let message = format!("this host has no CPU {}", list(&absent));
                self.error(Of::Host, "no-such-cpu", given.span, message)
                    .cause(format!("online: {}", list(&online)));
            }
        }
    }

    fn meminfo(&self, key: &str) -> Option<u64> {
        let text = self.text("/proc/meminfo")?;
        let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim_start().to_owned());
        text.lines().find_map(value)?.split(' ').next()?.parse().ok()
    }

    /// Bytes that partitions want of huge pages, or of ordinary ones.
    fn wanted(&self, huge: bool) -> u64 {
        let partitions = self.manifest.partitions.iter();
        let of_kind = partitions.filter(|partition| partition.huge_pages == huge);
        of_kind.map(|partition| *partition.memory).fold(0, u64::saturating_add)
    }

    fn memory(&mut self) {
        let limit = self.host.memlock();
        for partition in &self.manifest.partitions {
            // Each VM is a process: the limit is one of each. Its pool and page tables come on top.
            if *partition.memory > limit {
                let message = format!("the memory of `{}` can't be locked", partition.name);
                self.error(Of::Permission, "memlock", partition.memory.span, message)
                    .cause(format!("RLIMIT_MEMLOCK is {} KiB", limit >> 10));
            }
        }
        let (plain, free) = (self.wanted(false), self.meminfo("MemAvailable"));
        if let Some(free) = free.filter(|free| plain > free.saturating_mul(1024)) {
            let (plain, free) = (sized(plain), free >> 10);
            let message = format!("the partitions want {plain}, the host has {free} MiB left");
            self.error(Of::Host, "memory", self.manifest.name.span, message);
        }
    }

    fn huge_pages(&mut self) {
        let wanted = self.wanted(true) >> 21;
        let free = self.meminfo("HugePages_Free").unwrap_or(0);
        let mut partitions = self.manifest.partitions.iter();
        let first = partitions.find(|partition| partition.huge_pages);
        if let Some(first) = first.filter(|_| wanted > free) {
            let message = "the host's pool of huge pages is too small";
            self.error(Of::Host, "huge-pages", first.memory.span, message)
                .cause(format!("{free} huge pages are free, {wanted} are wanted"))
                .cure(format!(
                    "write {wanted} to /proc/sys/vm/nr_hugepages early, or boot with hugepages="
                ));
        }
    }

    fn priorities(&mut self) {
        let limit = self.host.rtprio();
        for partition in &self.manifest.partitions {
            let beyond = |realtime: &&At<Realtime>| u64::from(realtime.helper_priority()) > limit;
            if let Some(realtime) = partition.realtime.as_ref().filter(beyond) {
                let message = format!("`{}` wants SCHED_FIFO {}", partition.name, realtime.helper_priority());
                self.error(Of::Permission, "rtprio", realtime.span, message)
                    .cause(format!("RLIMIT_RTPRIO is {limit}"));
            }
        }
    }

    fn vsock(&mut self) {
        let mut partitions = self.manifest.partitions.iter();
        if let Some(cid) = partitions.find_map(|partition| partition.vsock_cid) {
            self.unusable("/dev/vhost-vsock", true, "no-vsock", cid.span, "no vsock: ");
        }
    }

    /// A passed-through function: there, alone in its IOMMU group, with vfio-pci, usable.
    fn device(&mut self, given: &Passthrough) {
        let (address, span) = (given.device.as_str(), given.device.span);
        let folder = format!("/sys/bus/pci/devices/{address}");
        if self.text(&format!("{folder}/class")).is_none() {
            let message = format!("this host has no device {address}");
            self.error(Of::Host, "no-device", span, message);
            return;
        }
        let Ok(group) = self.host.target(&format!("{folder}/iommu_group")) else {
            self.error(Of::Host, "no-iommu", span, format!("no IOMMU holds {address} in"));
            return;
        };
        self.group(address, &group, span);
        let driver = self.host.target(&format!("{folder}/driver")).ok();
        if driver.as_deref() != Some("vfio-pci") {
            let cause = driver.map_or("it has no driver".to_owned(), |driver| {
                format!("its driver is {driver}")
            });
            let take = format!("echo vfio-pci > {folder}/driver_override");
            self.error(Of::Host, "no-vfio", span, format!("{address} is not with vfio-pci"))
                .cause(cause)
                .cure(format!(
                    "{take}, unbind it, echo {address} > /sys/bus/pci/drivers_probe"
                ));
        }
        self.unusable(&format!("/dev/vfio/{group}"), true, "no-vfio", span, "");
    }

    /// Devices of one group can reach each other behind the IOMMU's back; bridges forward only.
    fn group(&mut self, address: &str, group: &str, span: Span) {
        let names = self.host.names(&format!("/sys/kernel/iommu_groups/{group}/devices"));
        let bridge = |name: &String| {
            let class = self.text(&format!("/sys/bus/pci/devices/{name}/class"));
            class.is_some_and(|class| class.starts_with("0x0604"))
        };
        let mut others = names.unwrap_or_default();
        others.retain(|name| name != address && !bridge(name));
        if !others.is_empty() {
            let message = format!("{address} shares IOMMU group {group} with {}", others.join(", "));
            self.error(Of::Host, "iommu-group", span, message);
        }
    }

    /// CPUs that must not be disturbed: of safety partitions and real-time vCPUs.
    fn quiet_cpus(&self) -> Option<At<Cpus>> {
        let quiet = |partition: &&Partition| partition.is(Role::Safety) || partition.realtime.is_some();
        let partitions = self.manifest.partitions.iter().filter(quiet);
        let first = partitions.clone().next()?;
        let span = first.cpus.as_ref().map_or(first.name.span, |cpus| cpus.span);
        let cpus = partitions.flat_map(|partition| self.manifest.cpus_of(partition));
        Some(At::new(cpus.collect(), span))
    }

    fn timing(&mut self) {
        let Some(quiet) = self.quiet_cpus() else { return };
        let (cpus, span) = (list(&quiet), quiet.span);
        let runtime = self.text("/proc/sys/kernel/sched_rt_runtime_us").unwrap_or_default();
        if !["", "-1"].contains(&runtime.as_str()) {
            let stopped = "real-time threads are stopped for the rest of a second";
            self.warn("rt-throttling", span, "real-time throttling is on")
                .cause(format!("sched_rt_runtime_us is {runtime}: {stopped}"));
        }
        let fair = |cpu: &u32| self.text(&format!("/sys/kernel/debug/sched/fair_server/cpu{cpu}/runtime"));
        if quiet.iter().filter_map(fair).any(|runtime| runtime != "0") {
            self.warn("fair-server", span, "the fair server is on");
        }
        let isolated = self.cpu_list("/sys/devices/system/cpu/isolated").unwrap_or_default();
        let open: Cpus = quiet.difference(&isolated).copied().collect();
        if !open.is_empty() {
            self.warn("not-isolated", span, format!("CPU {} is not isolated", list(&open)))
                .cure(format!("boot with isolcpus={cpus} nohz_full={cpus} rcu_nocbs={cpus}"));
        }
        let flagged = self.text("/sys/kernel/realtime").is_some_and(|flag| flag == "1");
        let named = self
            .text("/proc/version")
            .is_some_and(|version| version.contains("PREEMPT_RT"));
        if !flagged && !named {
            self.warn("not-rt", span, "the kernel is not PREEMPT_RT");
        }
        self.scaling(&quiet);
        self.interrupts(&quiet);
    }

    fn scaling(&mut self, quiet: &At<Cpus>) {
        let governor = |cpu: &u32| {
            let word = self.text(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"));
            word.filter(|word| word != "performance").map(|word| (*cpu, word))
        };
        if let Some((cpu, word)) = quiet.iter().find_map(governor) {
            self.warn("frequency", quiet.span, format!("CPU {cpu} changes its frequency"))
                .cause(format!("its governor is {word}"));
        }
    }

    /// The codec's interrupts belong on the service VM's CPUs or the host's.
    fn interrupts(&mut self, quiet: &At<Cpus>) {
        let Some(service) = self.manifest.service() else { return };
        let mut good = self.manifest.cpus_of(service);
        good.extend(self.manifest.host.cpus.iter());
        let default = self.text("/proc/irq/default_smp_affinity").unwrap_or_default();
        let mask = u128::from_str_radix(&default.replace(',', ""), 16).unwrap_or(0);
        let anywhere = quiet.difference(&good).any(|cpu| *cpu < 128 && mask >> cpu & 1 == 1);
        for given in service.passthrough.iter().filter(|given| given.codec) {
            let folder = format!("/sys/bus/pci/devices/{}/msi_irqs", given.device);
            let irqs = self.host.names(&folder).unwrap_or_default();
            let strays = irqs.iter().any(|irq| {
                let affinity = self.cpu_list(&format!("/proc/irq/{irq}/smp_affinity_list"));
                !affinity.unwrap_or_default().is_subset(&good)
            });
            if strays || irqs.is_empty() && anywhere {
                let message = format!("the codec's interrupts may come on CPUs other than {}", list(&good));
                self.warn("codec-irq", given.device.span, message);
            }
        }
    }
}
