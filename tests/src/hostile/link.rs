//! Descriptors and protocol messages that no front end sends.

use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};

use vhost::vhost_user::VhostUserFrontend;
use vhost::{VhostBackend, VringConfigData};
use vmm_sys_util::eventfd::EventFd;

use super::{Case, Rig, case};
use crate::frontend::FrontendError;
use crate::frontend::proto::TXQ;

/// A pipe's writing end that is already full, and its reading end.
fn full_pipe() -> Result<(EventFd, std::io::PipeReader), FrontendError> {
    let (reader, writer) = std::io::pipe()?;
    // SAFETY: plain fcntl on a descriptor we own; then back to blocking, as a hostile front end would leave it.
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    let mut writer = writer;
    while writer.write(&[0; 4096]).is_ok() {}
    // SAFETY: as above.
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, 0) };
    // SAFETY: the descriptor's ownership moves to the EventFd, which only closes it and passes its number on.
    Ok((unsafe { EventFd::from_raw_fd(writer.into_raw_fd()) }, reader))
}

/// Sends raw bytes and leaves it to the device what it makes of them.
fn bytes(r: &mut Rig, bytes: &[u32]) -> Result<(), FrontendError> {
    let bytes = crate::frontend::proto::words(bytes);
    let _closed = r.fe.raw.write_all(&bytes);
    Ok(())
}

/// Header of a vhost-user message: request, version 1, size.
const VERSION: u32 = 1;

fn addresses(r: &Rig) -> VringConfigData {
    let queue = &r.fe.queues[TXQ];
    VringConfigData {
        queue_max_size: queue.size,
        queue_size: queue.size,
        flags: 0,
        desc_table_addr: r.fe.ram.user(queue.desc),
        used_ring_addr: r.fe.ram.user(queue.used),
        avail_ring_addr: r.fe.ram.user(queue.avail),
        log_addr: None,
    }
}

/// The cases.
pub const CASES: &[Case] = &[
    case("full pipe as call fd", |r| {
        let (writer, _reader) = full_pipe()?;
        let _refused = r.fe.frontend().set_vring_call(TXQ, &writer);
        let pcm = r.running()?;
        r.fe.wait_completions(TXQ, pcm.stream, 2, std::time::Duration::from_millis(300));
        Ok(())
    }),
    case("full pipe as kick fd", |r| {
        let (writer, _reader) = full_pipe()?;
        let _refused = r.fe.frontend().set_vring_kick(TXQ, &writer);
        Ok(())
    }),
    case("full, blocking call eventfd", |r| {
        let call = EventFd::new(0)?;
        call.write(u64::MAX - 1)?;
        let _refused = r.fe.frontend().set_vring_call(TXQ, &call);
        let pcm = r.running()?;
        r.fe.wait_completions(TXQ, pcm.stream, 2, std::time::Duration::from_millis(300));
        Ok(())
    }),
    case("full call eventfd on the control queue", |r| {
        let call = EventFd::new(0)?;
        call.write(u64::MAX - 1)?;
        let _refused = r.fe.frontend().set_vring_call(0, &call);
        let _answer = r.fe.pcm_info();
        Ok(())
    }),
    case("memfd truncated under play", |r| {
        let pcm = r.running()?;
        for region in r.fe.ram.regions().iter().skip(1) {
            // Only the half beyond what this front end touches again itself.
            region.file.set_len(pcm.slots[2].data - region.gpa)?;
        }
        r.fe.queues[TXQ].force_kick();
        std::thread::sleep(std::time::Duration::from_millis(250));
        Ok(())
    }),
    case("memory table changed under play", |r| {
        let _running = r.running()?;
        let table = r.fe.ram.table();
        let _refused = r.fe.frontend().set_mem_table(&table);
        Ok(())
    }),
    case("memory table without the rings", |r| {
        let _running = r.running()?;
        let table = r.fe.ram.table();
        let _refused = r.fe.frontend().set_mem_table(&table[1..]);
        Ok(())
    }),
    case("memory table of one region twice", |r| {
        let first = r.fe.ram.table()[0];
        let _refused = r.fe.frontend().set_mem_table(&[first, first]);
        Ok(())
    }),
    case("queue size 0", |r| {
        let _refused = r.fe.frontend().set_vring_num(TXQ, 0);
        Ok(())
    }),
    case("queue size 3", |r| {
        let _refused = r.fe.frontend().set_vring_num(TXQ, 3);
        Ok(())
    }),
    case("queue size 65535 (CVE-2026-50626)", |r| {
        let _refused = r.fe.frontend().set_vring_num(TXQ, 65_535);
        Ok(())
    }),
    case("rings outside of memory", |r| {
        let mut config = addresses(r);
        config.avail_ring_addr = 0x1000;
        let _refused = r.fe.frontend().set_vring_addr(TXQ, &config);
        Ok(())
    }),
    case("rings misaligned", |r| {
        let mut config = addresses(r);
        config.desc_table_addr += 1;
        config.used_ring_addr += 3;
        let _refused = r.fe.frontend().set_vring_addr(TXQ, &config);
        Ok(())
    }),
    case("rings at the last byte of memory", |r| {
        let mut config = addresses(r);
        let region = &r.fe.ram.regions()[0];
        config.desc_table_addr = region.user_address() + region.len as u64 - 16;
        let _refused = r.fe.frontend().set_vring_addr(TXQ, &config);
        r.fe.queues[TXQ].force_kick();
        Ok(())
    }),
    case("GET_VRING_BASE under play", |r| {
        let _running = r.running()?;
        let _base = r.fe.frontend().get_vring_base(TXQ);
        Ok(())
    }),
    case("ring disabled and enabled under play", |r| {
        let _running = r.running()?;
        for on in [false, true, false, true] {
            let _refused = r.fe.frontend().set_vring_enable(TXQ, on);
        }
        Ok(())
    }),
    case("10000 kicks", |r| {
        let _running = r.running()?;
        for _ in 0..10_000 {
            r.fe.queues[TXQ].force_kick();
        }
        Ok(())
    }),
    case("unknown protocol message", |r| bytes(r, &[200, VERSION, 0])),
    case("protocol message number 0", |r| bytes(r, &[0, VERSION, 0])),
    case("protocol message of 4 GiB", |r| bytes(r, &[2, VERSION, u32::MAX])),
    case("protocol message of version 3", |r| bytes(r, &[1, 3, 0])),
    case("half a protocol header, then the end", |r| {
        bytes(r, &[1])?;
        r.fe.disconnect();
        Ok(())
    }),
    case("header without its body, then the end", |r| {
        bytes(r, &[2, VERSION, 8])?;
        r.fe.disconnect();
        Ok(())
    }),
    case("memory table without descriptors", |r| {
        bytes(r, &[5, VERSION, 40, 1, 0, 0, 0, 0x1000, 0, 0, 0, 0, 0])
    }),
    case("call fd without a descriptor", |r| bytes(r, &[13, VERSION, 8, 2, 0])),
    case("queue index 200", |r| bytes(r, &[8, VERSION, 8, 200, 64])),
    case("GET_CONFIG beyond the end", |r| {
        let flags = vhost::vhost_user::message::VhostUserConfigFlags::empty();
        let _refused = r.fe.frontend().get_config(200, 50, flags, &[0; 50]);
        Ok(())
    }),
    case("connection closed under play", |r| {
        let _running = r.running()?;
        r.fe.disconnect();
        Ok(())
    }),
];
