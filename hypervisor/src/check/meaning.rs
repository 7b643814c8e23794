//! What a manifest says that can't be, or that breaks a promise.

use std::collections::BTreeSet;

use super::links::{sound, struct_pages, window as check_window};
use super::owners::owners;
use crate::manifest::read::{did_you_mean, listed};
use crate::manifest::shape::WINDOW_PAGE;
use crate::manifest::words::{list, sized};
use crate::manifest::{At, Finding, Manifest, Partition, Realtime, Role, SharedSet};

/// Checks a manifest by itself.
pub fn meaning(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = owners(manifest);
    service(manifest, &mut findings);
    for set in &manifest.sets {
        shared(manifest, set, &mut findings);
    }
    for partition in &manifest.partitions {
        placed(manifest, partition, &mut findings);
        realtime(manifest, partition, &mut findings);
        given(partition, &mut findings);
        memory(partition, &mut findings);
        sound(manifest, partition, &mut findings);
    }
    for window in &manifest.windows {
        check_window(manifest, window, &mut findings);
    }
    struct_pages(manifest, &mut findings);
    findings
}

pub(super) fn unknown(what: &str, name: &At<String>, known: &[&str]) -> Finding {
    let known = || known.iter().copied();
    Finding::error(
        "unknown-name",
        name.span,
        format!("there is no {what} `{}`", name.value),
    )
    .cause(format!("{what}s: {}", listed(known())))
    .cure(did_you_mean(&name.value, known()))
}

pub(super) fn names(manifest: &Manifest) -> Vec<&str> {
    manifest
        .partitions
        .iter()
        .map(|partition| partition.name.value.as_str())
        .collect()
}

fn service(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut services = manifest
        .partitions
        .iter()
        .filter(|partition| partition.role.value == Role::Service);
    if let (Some(first), Some(second)) = (services.next(), services.next()) {
        let message = format!(
            "`{}` and `{}` are both the service VM",
            first.name.value, second.name.value
        );
        findings.push(
            Finding::error("two-services", second.role.span, message)
                .cause("the second")
                .also(first.role.span, "the first")
                .cure("one VM owns the codec; the others are `guest` or `safety`"),
        );
    }
    let Some(service) = manifest.service() else {
        if let Some(window) = manifest.windows.first() {
            let found = Finding::error(
                "no-service",
                window.partition.span,
                "a window, but no service VM that would see it",
            );
            findings.push(
                found
                    .cause("into which VM?")
                    .cure("give one partition `role = \"service\"`"),
            );
        }
        return;
    };
    if !manifest.windows.is_empty() && service.vsock_cid.is_none() {
        let message = format!(
            "`{}` needs a vsock address: windows are set up over vsock",
            service.name.value
        );
        let found = Finding::error("no-cid", service.name.span, message).cause("has no `vsock_cid`");
        findings.push(found.cure("write `vsock_cid = 3`"));
    }
    if !service.passthrough.iter().any(|given| given.codec) {
        let found = Finding::warning(
            "no-codec",
            service.name.span,
            format!("`{}` has no codec", service.name.value),
        );
        let found = found.cause("no `passthrough` entry says `codec = true`");
        findings.push(found.cure("pass one: `passthrough = [{ device = \"0000:00:1f.3\", codec = true }]`"));
    }
}

/// A shared set: its members, their quotas and priorities.
fn shared(manifest: &Manifest, set: &SharedSet, findings: &mut Vec<Finding>) {
    let known = names(manifest);
    let mut members: Vec<&Partition> = Vec::new();
    for member in &set.members {
        match manifest.partition(&member.partition.value) {
            None => findings.push(unknown("partition", &member.partition, &known)),
            Some(partition) if partition.set.as_ref().is_none_or(|name| name.value != set.name.value) => {
                let message = format!(
                    "`{}` is a member of set `{}` but doesn't run in it",
                    partition.name.value, set.name.value
                );
                let found = Finding::error("not-in-set", member.partition.span, message).cause("a member here");
                findings.push(found.cure(format!(
                    "write `set = \"{}\"` in `[partitions.{}]`",
                    set.name.value, partition.name.value
                )));
            }
            Some(partition) => members.push(partition),
        }
    }
    mixed(set, &members, findings);
    let sum: u32 = set
        .members
        .iter()
        .filter_map(|member| member.quota_percent)
        .map(|quota| u32::from(quota.value))
        .sum();
    let whole = 100 * u32::try_from(set.cpus.value.len()).unwrap_or(1).max(1);
    if let Some(last) = set
        .members
        .iter()
        .rev()
        .find_map(|member| member.quota_percent)
        .filter(|_| sum > whole)
    {
        let message = format!("the quotas of set `{}` add up to {sum} %", set.name.value);
        let found = Finding::error("quota", last.span, message).cause(format!("its CPUs have {whole} %"));
        findings.push(found.cure("lower one of them"));
    }
    for (index, member) in set
        .members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.priority.value > 0)
    {
        let guest = members
            .iter()
            .any(|known| known.name.value == member.partition.value && known.role.value == Role::Guest);
        if guest {
            let message = format!("guest `{}` can't have a real-time priority", member.partition.value);
            let found = Finding::error("guest-realtime", member.priority.span, message).cause("guests are SCHED_OTHER");
            findings.push(found.cure("leave `priority` out, or make it a `safety` partition"));
        }
        let same = set.members[..index]
            .iter()
            .find(|earlier| earlier.priority.value == member.priority.value);
        if let Some(earlier) = same {
            let (a, b) = (&earlier.partition.value, &member.partition.value);
            let message = format!("`{a}` and `{b}` have the same priority {}", member.priority.value);
            let found = Finding::error("same-priority", member.priority.span, message).cause("which runs first?");
            findings.push(found.also(earlier.priority.span, "the other").cure("give each its own"));
        }
    }
}

/// A guest must not be able to keep a safety partition or a real-time vCPU waiting.
fn mixed(set: &SharedSet, members: &[&Partition], findings: &mut Vec<Finding>) {
    let Some(guest) = members.iter().find(|member| member.role.value == Role::Guest) else {
        return;
    };
    for member in members {
        let what = match member.role.value {
            Role::Safety => "safety partition".to_owned(),
            Role::Service if member.realtime.is_some() => "the real-time vCPU of service VM".to_owned(),
            _ => continue,
        };
        let span = member.set.as_ref().map_or(member.name.span, |set| set.span);
        let message = format!(
            "{what} `{}` shares CPU {} with guest `{}`",
            member.name.value,
            list(&set.cpus.value),
            guest.name.value
        );
        findings.push(
            Finding::error("shared-with-guest", span, message)
                .cause(format!("set `{}` has a guest in it", set.name.value))
                .also(guest.set.as_ref().map_or(guest.name.span, |set| set.span), "the guest")
                .cure("give it a CPU of its own, or a set without guests"),
        );
    }
}

fn placed(manifest: &Manifest, partition: &Partition, findings: &mut Vec<Finding>) {
    let name = &partition.name;
    match (&partition.cpus, &partition.set) {
        (None, None) => findings.push(
            Finding::error("no-cpu", name.span, format!("`{}` has no CPU", name.value))
                .cause("neither `cpus` nor `set`")
                .cure("write `cpus = \"1\"`, or `set = \"NAME\"` to share some"),
        ),
        (Some(cpus), Some(set)) => findings.push(
            Finding::error(
                "own-and-shared",
                set.span,
                format!("`{}` has CPUs of its own and a set", name.value),
            )
            .cause("one of them is one too many")
            .also(cpus.span, "its own")
            .cure("leave one of them out"),
        ),
        (None, Some(set)) => match manifest.sets.iter().find(|known| known.name.value == set.value) {
            None => {
                let known: Vec<&str> = manifest.sets.iter().map(|set| set.name.value.as_str()).collect();
                findings.push(unknown("set", set, &known));
            }
            Some(known) if !known.members.iter().any(|member| member.partition.value == name.value) => findings.push(
                Finding::error(
                    "not-a-member",
                    set.span,
                    format!("`{}` is no member of set `{}`", name.value, set.value),
                )
                .cause("runs in a set that doesn't name it")
                .also(known.name.span, "the set")
                .cure(format!("write `members.{} = {{}}` there", name.value)),
            ),
            Some(_) => {}
        },
        (Some(_), None) => {}
    }
    let (vcpus, cpus) = (manifest.vcpus_of(partition), manifest.cpus_of(partition).len());
    if let Some(given) = partition.vcpus.filter(|_| cpus > 0 && vcpus as usize > cpus) {
        let message = format!("`{}` has {vcpus} vCPUs on {cpus} CPUs", name.value);
        let found = Finding::warning("vcpus", given.span, message).cause("vCPUs that wait for each other");
        findings.push(found.cure("give it as many CPUs"));
    }
}

fn realtime(manifest: &Manifest, partition: &Partition, findings: &mut Vec<Finding>) {
    let Some(Realtime {
        span,
        vcpus,
        priority,
        helpers,
    }) = &partition.realtime
    else {
        return;
    };
    let name = &partition.name.value;
    if partition.role.value == Role::Guest {
        let found = Finding::error(
            "guest-realtime",
            *span,
            format!("guest `{name}` can't have real-time vCPUs"),
        );
        let found = found.cause("guests are SCHED_OTHER: one that spins must stop nobody");
        findings.push(found.cure("leave `realtime` out, or make it a `safety` partition"));
    }
    let mut seen = BTreeSet::new();
    for vcpu in vcpus {
        if vcpu.value >= manifest.vcpus_of(partition) {
            let message = format!("`{name}` has no vCPU {}", vcpu.value);
            let found = Finding::error("no-vcpu", vcpu.span, message);
            findings.push(found.cause(format!("it has {}, counted from 0", manifest.vcpus_of(partition))));
        }
        if !seen.insert(vcpu.value) {
            findings.push(
                Finding::error("duplicate", vcpu.span, format!("vCPU {} is named twice", vcpu.value))
                    .cure("write it once"),
            );
        }
    }
    if helpers.value <= *priority {
        let message = format!(
            "the helpers of `{name}` have priority {}, its vCPUs {priority}",
            helpers.value
        );
        let found = Finding::error("helper-priority", helpers.span, message);
        let found = found.cause("a vCPU that spins would keep its own interrupts away");
        findings.push(found.cure(format!("`helpers = {}`, or leave it out", u16::from(*priority) + 1)));
    }
}

/// Devices and ports that were given away.
fn given(partition: &Partition, findings: &mut Vec<Finding>) {
    let name = &partition.name.value;
    for codec in partition
        .passthrough
        .iter()
        .filter(|given| given.codec && partition.role.value != Role::Service)
    {
        let message = format!(
            "the codec {} goes to `{name}`, which is not the service VM",
            codec.device.value
        );
        let found = Finding::error("codec-owner", codec.device.span, message)
            .cause(format!("its role is `{}`", partition.role.value.word()));
        findings.push(found.cure("pass it to the partition with `role = \"service\"`"));
    }
    if let Some(port) = partition
        .ioports
        .first()
        .filter(|_| partition.role.value == Role::Guest)
    {
        let found = Finding::warning(
            "guest-ports",
            port.span,
            format!("guest `{name}` reaches ports of the host"),
        );
        findings.push(
            found
                .cause("what it does there is not checked")
                .cure("give them to the service VM or none"),
        );
    }
    if partition.role.value == Role::Safety && partition.watchdog_ms.is_none() {
        let found = Finding::warning(
            "no-watchdog",
            partition.name.span,
            format!("safety partition `{name}` has no watchdog"),
        );
        findings.push(
            found
                .cause("nobody would notice that it hangs")
                .cure("write `watchdog_ms = 500`"),
        );
    }
}

fn memory(partition: &Partition, findings: &mut Vec<Finding>) {
    let size = partition.memory;
    if partition.huge_pages && !size.value.is_multiple_of(WINDOW_PAGE) {
        let message = format!("{} is no multiple of a huge page", sized(size.value));
        let found = Finding::error("huge-pages", size.span, message).cause("huge pages have 2 MiB");
        findings.push(found.cure(format!(
            "`memory = \"{}\"`",
            sized(size.value.next_multiple_of(WINDOW_PAGE))
        )));
    }
}
