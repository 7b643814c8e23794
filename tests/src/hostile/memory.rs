//! Memory tables and memory files that no front end sends, or that turn bad under play.

use std::os::fd::{AsRawFd, RawFd};

use vhost::{VhostBackend, VhostUserMemoryRegionInfo};

use super::{Case, Rig, case};
use crate::frontend::FrontendError;
use crate::frontend::proto::TXQ;

/// Sends the own memory table and one entry more.
fn and_one_more(r: &mut Rig, file: RawFd, change: impl FnOnce(&mut VhostUserMemoryRegionInfo)) {
    let mut table = r.fe.ram.table();
    let mut entry = VhostUserMemoryRegionInfo {
        guest_phys_addr: 0x100_0000_0000,
        memory_size: 1 << 20,
        userspace_addr: 0x7f00_0000_0000,
        mmap_offset: 0,
        mmap_handle: file,
    };
    change(&mut entry);
    table.push(entry);
    let _refused = r.fe.frontend().set_mem_table(&table);
}

/// Sends the own memory table with the region of samples changed.
fn changed(r: &mut Rig, change: impl FnOnce(&mut VhostUserMemoryRegionInfo)) {
    let mut table = r.fe.ram.table();
    if let Some(last) = table.last_mut() {
        change(last);
    }
    let _refused = r.fe.frontend().set_mem_table(&table);
}

/// Cuts a hole into the memory of the samples while they are played: the pages come back as zeros, by a fault each.
fn punch(r: &mut Rig) -> Result<(), FrontendError> {
    let pcm = r.running()?;
    for region in r.fe.ram.regions().iter().skip(1) {
        let from = pcm.slots[1].data - region.gpa;
        let len = region.len as u64 - from;
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: no memory of this process is involved but shared pages that stay mapped.
        unsafe { libc::fallocate(region.file.as_raw_fd(), mode, from.cast_signed(), len.cast_signed()) };
    }
    r.fe.wait_completions(TXQ, pcm.stream, 4, std::time::Duration::from_millis(400));
    Ok(())
}

/// The cases.
pub const CASES: &[Case] = &[
    case("memory region that is a pipe", |r| {
        let (reader, _writer) = std::io::pipe()?;
        and_one_more(r, reader.as_raw_fd(), |_| {});
        Ok(())
    }),
    case("memory region that is /dev/null", |r| {
        let null = std::fs::File::open("/dev/null")?;
        and_one_more(r, null.as_raw_fd(), |_| {});
        Ok(())
    }),
    case("memory region that is the socket itself", |r| {
        let socket = r.fe.raw.as_raw_fd();
        and_one_more(r, socket, |_| {});
        Ok(())
    }),
    case("memory region beyond the end of its file", |r| {
        let file = r.fe.ram.regions()[0].file.as_raw_fd();
        and_one_more(r, file, |entry| entry.mmap_offset = 1 << 40);
        Ok(())
    }),
    case("memory region longer than its file", |r| {
        changed(r, |entry| entry.memory_size *= 4);
        let pcm = r.running()?;
        r.fe.wait_completions(TXQ, pcm.stream, 2, std::time::Duration::from_millis(300));
        Ok(())
    }),
    case("memory region of 2^63 bytes", |r| {
        let file = r.fe.ram.regions()[0].file.as_raw_fd();
        and_one_more(r, file, |entry| entry.memory_size = 1 << 63);
        Ok(())
    }),
    case("memory region of 0 bytes", |r| {
        let file = r.fe.ram.regions()[0].file.as_raw_fd();
        and_one_more(r, file, |entry| entry.memory_size = 0);
        Ok(())
    }),
    case("memory region whose guest addresses wrap", |r| {
        let file = r.fe.ram.regions()[0].file.as_raw_fd();
        and_one_more(r, file, |entry| entry.guest_phys_addr = u64::MAX - 4095);
        Ok(())
    }),
    case("memory region whose user addresses wrap", |r| {
        let file = r.fe.ram.regions()[0].file.as_raw_fd();
        and_one_more(r, file, |entry| entry.userspace_addr = u64::MAX - 4095);
        Ok(())
    }),
    case("memory regions that overlap", |r| {
        let first = r.fe.ram.table()[0];
        let file = first.mmap_handle;
        and_one_more(r, file, |entry| {
            entry.guest_phys_addr = first.guest_phys_addr + 4096;
            entry.userspace_addr = first.userspace_addr + 4096;
        });
        Ok(())
    }),
    case("memory offset inside a page", |r| {
        let file = r.fe.ram.regions()[0].file.as_raw_fd();
        and_one_more(r, file, |entry| {
            entry.mmap_offset = 17;
            entry.memory_size = 4096;
        });
        Ok(())
    }),
    case("memory table with the samples read-only", |r| {
        let region = &r.fe.ram.regions()[1];
        let path = format!("/proc/self/fd/{}", region.file.as_raw_fd());
        let read_only = std::fs::File::open(path)?;
        changed(r, |entry| entry.mmap_handle = read_only.as_raw_fd());
        Ok(())
    }),
    case("hole punched into the samples under play", punch),
    case("memfd truncated to nothing under play", |r| {
        let _running = r.running()?;
        // Its control buffers go too: this front end must not ask anything any more.
        r.gone = true;
        r.fe.ram.regions()[1].file.set_len(0)?;
        r.fe.queues[TXQ].force_kick();
        std::thread::sleep(std::time::Duration::from_millis(250));
        r.fe.disconnect();
        Ok(())
    }),
    case("memory table sent 100 times under play", |r| {
        let _running = r.running()?;
        for _ in 0..100 {
            let table = r.fe.ram.table();
            if r.fe.frontend().set_mem_table(&table).is_err() {
                break;
            }
        }
        Ok(())
    }),
];
