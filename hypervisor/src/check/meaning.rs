//! What a manifest says that can't be, or that breaks a promise.

use std::collections::BTreeSet;

use policy::file::{did_you_mean, listed};

use super::links::{sound, struct_pages, window as check_window};
use super::owners::owners;
use crate::manifest::words::{list, sized};
use crate::manifest::{At, Finding, Findings, Manifest, Member, Partition, Role, SharedSet, WINDOW_PAGE};

/// Checks a manifest by itself.
pub fn meaning(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Findings::default();
    owners(manifest, &mut findings);
    service(manifest, &mut findings);
    for set in &manifest.sets {
        members(manifest, set, &mut findings);
        priorities(set, &mut findings);
        quotas(set, &mut findings);
    }
    for partition in &manifest.partitions {
        placed(manifest, partition, &mut findings);
        realtime(manifest, partition, &mut findings);
        given(partition, &mut findings);
        memory(partition, &mut findings);
        sound(manifest, partition, &mut findings);
        bus(manifest, partition, &mut findings);
    }
    for window in &manifest.windows {
        check_window(manifest, window, &mut findings);
    }
    struct_pages(manifest, &mut findings);
    findings.0
}

/// A name that nothing has.
pub(super) fn unknown<'a>(
    what: &str,
    name: &At<String>,
    known: impl Iterator<Item = &'a At<String>> + Clone,
    findings: &mut Findings,
) {
    let known = known.map(|name| name.as_str());
    findings
        .error("unknown-name", name.span, format!("there is no {what} `{name}`"))
        .cause(format!("{what}s: {}", listed(known.clone())))
        .cure(did_you_mean(name, known).unwrap_or_default());
}

pub(super) fn unknown_partition(manifest: &Manifest, name: &At<String>, findings: &mut Findings) {
    let known = manifest.partitions.iter().map(|partition| &partition.name);
    unknown("partition", name, known, findings);
}

fn service(manifest: &Manifest, findings: &mut Findings) {
    let mut services = manifest
        .partitions
        .iter()
        .filter(|partition| partition.is(Role::Service));
    let Some(service) = services.next() else {
        if let Some(window) = manifest.windows.first() {
            let message = "a window, but no service VM that would see it";
            findings.error("no-service", window.partition.span, message);
        }
        return;
    };
    let name = &service.name;
    if let Some(second) = services.next() {
        let message = format!("`{name}` and `{}` are both the service VM", second.name);
        findings
            .error("two-services", second.role.span, message)
            .also(service.role.span, "the first");
    }
    if !manifest.windows.is_empty() && service.vsock_cid.is_none() {
        let message = format!("`{name}` needs a vsock address: windows are set up over vsock");
        findings.error("no-cid", name.span, message);
    }
    if !service.passthrough.iter().any(|given| given.codec) {
        findings.warning("no-codec", name.span, format!("`{name}` has no codec"));
    }
}

/// A shared set's members.
fn members(manifest: &Manifest, set: &SharedSet, findings: &mut Findings) {
    let mut members: Vec<&Partition> = Vec::new();
    for member in &set.members {
        let name = &member.partition;
        let Some(partition) = manifest.partition(name) else {
            unknown_partition(manifest, name, findings);
            continue;
        };
        if partition.set.as_ref().is_none_or(|own| own.value != set.name.value) {
            let message = format!("`{name}` is a member of set `{}` but doesn't run in it", set.name);
            findings
                .error("not-in-set", name.span, message)
                .cure(format!("write `set = \"{}\"` in `[partitions.{name}]`", set.name));
            continue;
        }
        members.push(partition);
        if *member.priority > 0 && partition.is(Role::Guest) {
            let message = format!("guest `{name}` can't have a real-time priority");
            findings
                .error("guest-realtime", member.priority.span, message)
                .cause("guests are SCHED_OTHER")
                .cure("leave `priority` out, or make it a `safety` partition");
        }
    }
    mixed(set, &members, findings);
}

fn priorities(set: &SharedSet, findings: &mut Findings) {
    let fifo: Vec<&Member> = set.members.iter().filter(|member| *member.priority > 0).collect();
    for (index, member) in fifo.iter().enumerate() {
        let (name, priority) = (&member.partition, member.priority);
        if let Some(earlier) = fifo[..index].iter().find(|earlier| *earlier.priority == *priority) {
            let message = format!("`{}` and `{name}` have the same priority {priority}", earlier.partition);
            findings
                .error("same-priority", priority.span, message)
                .also(earlier.priority.span, "the other");
        }
    }
}

fn quotas(set: &SharedSet, findings: &mut Findings) {
    let mut quotas = set.members.iter().filter_map(|member| member.quota_percent);
    let sum: u32 = quotas.clone().map(|quota| u32::from(*quota)).sum();
    let whole = 100 * u32::try_from(set.cpus.len()).unwrap_or(1).max(1);
    if let Some(last) = quotas.next_back().filter(|_| sum > whole) {
        let message = format!("the quotas of set `{}` add up to {sum} %", set.name);
        findings
            .error("quota", last.span, message)
            .cause(format!("its CPUs have {whole} %"));
    }
}

/// A guest must not be able to keep a safety partition or a real-time vCPU waiting.
fn mixed(set: &SharedSet, members: &[&Partition], findings: &mut Findings) {
    let Some(guest) = members.iter().find(|member| member.is(Role::Guest)) else {
        return;
    };
    let place = |member: &Partition| member.set.as_ref().map_or(member.name.span, |set| set.span);
    for member in members {
        let what = match *member.role {
            Role::Safety => "safety partition",
            Role::Service if member.realtime.is_some() => "the real-time vCPU of service VM",
            _ => continue,
        };
        let (name, cpus) = (&member.name, list(&set.cpus));
        let message = format!("{what} `{name}` shares CPU {cpus} with guest `{}`", guest.name);
        findings
            .error("shared-with-guest", place(member), message)
            .cause(format!("set `{}` has a guest in it", set.name))
            .also(place(guest), "the guest");
    }
}

fn placed(manifest: &Manifest, partition: &Partition, findings: &mut Findings) {
    let name = &partition.name;
    match (&partition.cpus, &partition.set) {
        (None, None) => {
            findings.error("no-cpu", name.span, format!("`{name}` has no CPU"));
        }
        (Some(cpus), Some(set)) => {
            let message = format!("`{name}` has CPUs of its own and a set");
            let found = findings.error("own-and-shared", set.span, message);
            found.also(cpus.span, "its own");
        }
        (None, Some(set)) => match manifest.set_of(partition) {
            None => unknown("set", set, manifest.sets.iter().map(|set| &set.name), findings),
            Some(known) if !known.members.iter().any(|member| *member.partition == **name) => {
                let message = format!("`{name}` is no member of set `{set}`");
                findings
                    .error("not-a-member", set.span, message)
                    .also(known.name.span, "the set")
                    .cure(format!("write `members.{name} = {{}}` there"));
            }
            Some(_) => {}
        },
        (Some(_), None) => {}
    }
    let (vcpus, cpus) = (manifest.vcpus_of(partition), manifest.cpus_of(partition).len());
    if let Some(given) = partition.vcpus.filter(|_| cpus > 0 && vcpus as usize > cpus) {
        let message = format!("`{name}` has {vcpus} vCPUs on {cpus} CPUs");
        findings.warning("vcpus", given.span, message);
    }
}

fn realtime(manifest: &Manifest, partition: &Partition, findings: &mut Findings) {
    let Some(realtime) = &partition.realtime else {
        return;
    };
    let (name, priority, helpers) = (&partition.name, realtime.priority, realtime.helper_priority());
    if partition.is(Role::Guest) {
        let message = format!("guest `{name}` can't have real-time vCPUs");
        findings
            .error("guest-realtime", realtime.span, message)
            .cause("guests are SCHED_OTHER: one that spins must stop nobody")
            .cure("leave `realtime` out, or make it a `safety` partition");
    }
    let (mut seen, there) = (BTreeSet::new(), manifest.vcpus_of(partition));
    for vcpu in &realtime.vcpus {
        if **vcpu >= there {
            findings
                .error("no-vcpu", vcpu.span, format!("`{name}` has no vCPU {vcpu}"))
                .cause(format!("it has {there}, counted from 0"));
        }
        if !seen.insert(**vcpu) {
            findings.error("duplicate", vcpu.span, format!("vCPU {vcpu} is named twice"));
        }
    }
    if let Some(given) = realtime.helpers.filter(|_| helpers <= priority) {
        let message = format!("the helpers of `{name}` have priority {helpers}, its vCPUs {priority}");
        findings
            .error("helper-priority", given.span, message)
            .cure(format!("`helpers = {}`, or leave it out", u16::from(priority) + 1));
    }
}

/// Devices and ports that were given away.
fn given(partition: &Partition, findings: &mut Findings) {
    let name = &partition.name;
    let codecs = partition.passthrough.iter().filter(|given| given.codec);
    for codec in codecs.filter(|_| !partition.is(Role::Service)) {
        let (device, span) = (&codec.device, codec.device.span);
        let message = format!("the codec {device} goes to `{name}`, which is not the service VM");
        let found = findings.error("codec-owner", span, message);
        found.cause(format!("its role is `{}`", partition.role.word()));
    }
    if let Some(port) = partition.ioports.first().filter(|_| partition.is(Role::Guest)) {
        let message = format!("guest `{name}` reaches ports of the host");
        findings.warning("guest-ports", port.span, message);
    }
    if partition.is(Role::Safety) && partition.watchdog_ms.is_none() {
        let message = format!("safety partition `{name}` has no watchdog");
        findings.warning("no-watchdog", name.span, message);
    }
}

/// D-Bus comes over vsock: from an address of one's own to one of another.
fn bus(manifest: &Manifest, partition: &Partition, findings: &mut Findings) {
    let Some(port) = partition.dbus_port else { return };
    let service = manifest
        .service()
        .filter(|service| service.name.value != partition.name.value);
    for (end, owner) in [("its own", Some(partition)), ("the service VM's", service)] {
        if owner.is_none_or(|owner| owner.vsock_cid.is_none()) {
            let found = findings.error("no-cid", port.span, format!("`{}` has no way to D-Bus", partition.name));
            found.cause(format!("it comes over vsock: {end} `vsock_cid` is wanted"));
        }
    }
}

fn memory(partition: &Partition, findings: &mut Findings) {
    let size = partition.memory;
    if partition.huge_pages && !size.is_multiple_of(WINDOW_PAGE) {
        let message = format!("{} is no multiple of a huge page", sized(*size));
        findings
            .error("huge-pages", size.span, message)
            .cure(format!("`memory = \"{}\"`", sized(size.next_multiple_of(WINDOW_PAGE))));
    }
}
