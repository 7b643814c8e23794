//! Rings and descriptor chains that no driver makes.

use super::{Case, case};
use crate::frontend::proto::{CONTROLQ, TXQ, code, words};
use crate::frontend::vring::{INDIRECT, NEXT, Seg, WRITE};

const WILD: u64 = 0x7fff_0000_0000;

/// The cases.
pub const CASES: &[Case] = &[
    case("descriptor loop", |r| {
        let at = r.buffer(&words(&[code::PREPARE, 0]))?;
        let queue = &mut r.fe.queues[CONTROLQ];
        queue.write_desc(5, at, 8, NEXT, 6);
        queue.write_desc(6, at, 8, NEXT, 5);
        queue.push_avail(5);
        r.kick(CONTROLQ);
        Ok(())
    }),
    case("descriptor loop on a running tx ring", |r| {
        let pcm = r.running()?;
        let queue = &mut r.fe.queues[TXQ];
        queue.write_desc(20, pcm.slots[0].head, 4, NEXT, 21);
        queue.write_desc(21, pcm.slots[0].data, 64, NEXT, 21);
        queue.push_avail(20);
        r.kick(TXQ);
        Ok(())
    }),
    case("head index 60000", |r| {
        r.fe.queues[CONTROLQ].push_avail(60_000);
        r.kick(CONTROLQ);
        Ok(())
    }),
    case("head index 60000 on tx", |r| {
        let _running = r.running()?;
        r.fe.queues[TXQ].push_avail(60_000);
        r.kick(TXQ);
        Ok(())
    }),
    case("avail index jump", |r| {
        r.fe.queues[CONTROLQ].jump_avail(1000);
        r.kick(CONTROLQ);
        Ok(())
    }),
    case("avail index jump on tx", |r| {
        let _running = r.running()?;
        r.fe.queues[TXQ].jump_avail(30_000);
        r.kick(TXQ);
        Ok(())
    }),
    case("avail index goes back", |r| {
        let _running = r.running()?;
        r.fe.queues[TXQ].jump_avail(0xfff0);
        r.kick(TXQ);
        Ok(())
    }),
    case("the same head twice", |r| {
        let at = r.buffer(&words(&[code::PCM_INFO, 0, 1, 32]))?;
        let queue = &mut r.fe.queues[CONTROLQ];
        queue.write_desc(7, at, 16, NEXT, 8);
        queue.write_desc(8, at + 32, 36, WRITE, 0);
        queue.push_avail(7);
        queue.push_avail(7);
        r.kick(CONTROLQ);
        Ok(())
    }),
    case("next beyond the table", |r| {
        let at = r.buffer(&words(&[code::PREPARE, 0]))?;
        let queue = &mut r.fe.queues[CONTROLQ];
        queue.write_desc(9, at, 8, NEXT, 50_000);
        queue.push_avail(9);
        r.kick(CONTROLQ);
        Ok(())
    }),
    case("request outside of memory", |r| {
        r.chain(CONTROLQ, &[Seg::ro(WILD, 8), Seg::wo(WILD, 4)]);
        Ok(())
    }),
    case("address that wraps", |r| {
        r.chain(CONTROLQ, &[Seg::ro(u64::MAX - 2, 8), Seg::wo(u64::MAX - 2, 4)]);
        Ok(())
    }),
    case("reply outside of memory", |r| {
        let at = r.buffer(&words(&[code::PCM_INFO, 0, 1, 32]))?;
        r.chain(CONTROLQ, &[Seg::ro(at, 16), Seg::wo(WILD, 36)]);
        Ok(())
    }),
    case("buffer across the end of a region", |r| {
        let end =
            r.fe.ram
                .regions()
                .last()
                .map_or(0, |region| region.gpa + region.len as u64);
        r.chain(CONTROLQ, &[Seg::ro(end - 4, 8), Seg::wo(end - 2, 4)]);
        Ok(())
    }),
    case("4 GiB request", |r| {
        let at = r.buffer(&words(&[code::PREPARE, 0]))?;
        r.chain(CONTROLQ, &[Seg::ro(at, u32::MAX), Seg::wo(at + 32, 4)]);
        Ok(())
    }),
    case("zero-length descriptors", |r| {
        let at = r.buffer(&words(&[code::PREPARE, 0]))?;
        r.chain(CONTROLQ, &[Seg::ro(at, 0), Seg::ro(at, 0), Seg::wo(at, 0)]);
        Ok(())
    }),
    case("request of 60 one-byte descriptors", |r| {
        let at = r.buffer(&words(&[code::PREPARE, 0]))?;
        let mut segs: Vec<_> = (0..60).map(|i| Seg::ro(at + i % 8, 1)).collect();
        segs.push(Seg::wo(at + 32, 4));
        r.chain(CONTROLQ, &segs);
        Ok(())
    }),
    case("indirect table outside of memory", |r| {
        raw_indirect(r, WILD, 32, INDIRECT);
        Ok(())
    }),
    case("indirect table of 17 bytes", |r| {
        let at = r.buffer(&[0; 64])?;
        raw_indirect(r, at, 17, INDIRECT);
        Ok(())
    }),
    case("empty indirect table", |r| {
        let at = r.buffer(&[0; 64])?;
        raw_indirect(r, at, 0, INDIRECT);
        Ok(())
    }),
    case("indirect table of 4 GiB", |r| {
        let at = r.buffer(&[0; 64])?;
        raw_indirect(r, at, 0xffff_fff0, INDIRECT);
        Ok(())
    }),
    case("nested indirect table", |r| {
        let inner = r.buffer(&[0; 64])?;
        let mut entry = inner.to_le_bytes().to_vec();
        entry.extend(32u32.to_le_bytes());
        entry.extend(INDIRECT.to_le_bytes());
        entry.extend([0, 0]);
        let outer = r.buffer(&entry)?;
        raw_indirect(r, outer, 16, INDIRECT);
        Ok(())
    }),
    case("indirect and next at once", |r| {
        let at = r.buffer(&[0; 64])?;
        raw_indirect(r, at, 32, INDIRECT | NEXT);
        Ok(())
    }),
    case("indirect table that loops", |r| {
        let data = r.buffer(&words(&[code::PREPARE, 0]))?;
        let mut entry = data.to_le_bytes().to_vec();
        entry.extend(8u32.to_le_bytes());
        entry.extend(NEXT.to_le_bytes());
        entry.extend([0, 0]);
        let table = r.buffer(&entry)?;
        raw_indirect(r, table, 16, INDIRECT);
        Ok(())
    }),
    case("event buffers of 4 bytes, and read-only", |r| {
        let at = r.buffer(&[0; 64])?;
        r.fe.queues[1].submit(&[Seg::wo(at, 4)]);
        r.fe.queues[1].submit(&[Seg::ro(at, 8)]);
        r.fe.queues[1].force_kick();
        let _starved = r.prepared()?.start(&mut r.fe)?;
        Ok(())
    }),
];

fn raw_indirect(r: &mut super::Rig, gpa: u64, len: u32, flags: u16) {
    let queue = &mut r.fe.queues[CONTROLQ];
    queue.write_desc(11, gpa, len, flags, 12);
    queue.push_avail(11);
    r.kick(CONTROLQ);
}
