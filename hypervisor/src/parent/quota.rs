//! A partition's part of its shared set's time, by a control group (cgroup v2 `cpu.max`). It holds SCHED_OTHER threads;
//! real-time ones are ordered by priority alone.

use std::fs;
use std::io;
use std::path::Path;

use crate::manifest::{Manifest, Partition};

/// The time in which the quota is counted: short, so that a guest's sound is not held up for long.
const PERIOD_US: u32 = 10_000;

/// Its quota in percent of one CPU.
fn quota(manifest: &Manifest, partition: &Partition) -> Option<u8> {
    let set = manifest.set_of(partition)?;
    let member = set
        .members
        .iter()
        .find(|member| member.partition.value == partition.name.value)?;
    member.quota_percent.map(|quota| quota.value)
}

/// Puts a process under its partition's quota, if it has one.
///
/// # Errors
/// What the system says: no cgroup v2, or not root.
pub fn apply(manifest: &Manifest, partition: &Partition, pid: i32) -> io::Result<()> {
    let Some(percent) = quota(manifest, partition) else {
        return Ok(());
    };
    let root = Path::new("/sys/fs/cgroup");
    let system = root.join(format!("hypervisor-{}", manifest.name.value));
    let group = system.join(&partition.name.value);
    fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
    fs::create_dir_all(&group)?;
    fs::write(system.join("cgroup.subtree_control"), "+cpu")?;
    fs::write(
        group.join("cpu.max"),
        format!("{} {PERIOD_US}", u32::from(percent) * PERIOD_US / 100),
    )?;
    fs::write(group.join("cgroup.procs"), pid.to_string())
}
