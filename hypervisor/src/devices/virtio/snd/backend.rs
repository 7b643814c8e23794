//! One connection to a vhost-user back end: what it offers, and the rings it gets and gives back.
//!
//! Each of the three rounds (greeting, start, stop) must be over within [`PATIENCE`]: a back end that doesn't answer is one
//! that isn't there.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use super::super::{Ring, VERSION_1, host_address};
use super::wire::Wire;
use crate::vm::memory::Guest;
use vhost_sound::framing::Code;
use vhost_sound::link::message::{F_PROTOCOL_FEATURES, protocol};
use vhost_sound::wire::CONFIG_BYTES;

/// The longest time of one round.
const PATIENCE: Duration = Duration::from_millis(500);

/// A back end that told what it can do.
pub struct Backend {
    wire: Wire,
    /// What it offers, without [`VERSION_1`] and the protocol's own bit.
    pub features: u64,
    /// Its configuration space.
    pub config: [u8; CONFIG_BYTES],
}

impl Backend {
    /// Asks a freshly connected back end for features and configuration; it must offer what a driver has acknowledged
    /// already.
    pub fn new(socket: OwnedFd, acknowledged: Option<u64>) -> Result<Self, String> {
        let wire = Wire::new(socket, Instant::now() + PATIENCE).map_err(|e| e.to_string())?;
        let (features, config) = greet(&wire, acknowledged).map_err(|e| e.to_string())?;
        Ok(Self { wire, features, config })
    }

    /// Hands memory and rings over, from where each used index stands.
    pub fn start(&mut self, features: u64, memory: &Guest, queues: &[Ring]) -> Result<(), String> {
        self.wire.deadline = Instant::now() + PATIENCE;
        self.hand_over(features, memory, queues).map_err(|e| e.to_string())
    }

    fn hand_over(&self, features: u64, memory: &Guest, queues: &[Ring]) -> io::Result<()> {
        let wire = &self.wire;
        wire.order(Code::SET_FEATURES, &(features | F_PROTOCOL_FEATURES).to_ne_bytes(), &[])?;
        let (table, fds) = memory_table(memory)?;
        wire.order(Code::SET_MEM_TABLE, &table, &fds)?;
        for ring in queues {
            let index = ring.index as u32;
            let state = |value: u32| [index, value].map(u32::to_ne_bytes).concat();
            wire.order(Code::SET_VRING_NUM, &state(ring.size.into()), &[])?;
            wire.order(Code::SET_VRING_ADDR, &addresses(memory, ring)?, &[])?;
            wire.order(Code::SET_VRING_BASE, &state(used_index(memory, ring)?.into()), &[])?;
            for (code, event) in [(Code::SET_VRING_CALL, &ring.call), (Code::SET_VRING_KICK, &ring.kick)] {
                wire.order(code, &u64::from(index).to_ne_bytes(), &[event.as_raw_fd()])?;
            }
            wire.order(Code::SET_VRING_ENABLE, &state(1), &[])?;
            // A kick of the time without a back end may be lost; if there is nothing it finds out by itself.
            let _ = ring.kick.write(1);
        }
        Ok(())
    }

    /// Takes the rings back: when this returns the back end touches none.
    pub fn stop(&mut self, queues: &[Ring]) -> Result<(), String> {
        self.wire.deadline = Instant::now() + PATIENCE;
        for ring in queues {
            let state = [ring.index as u32, 0].map(u32::to_ne_bytes).concat();
            self.wire.ask(Code::GET_VRING_BASE, &state).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Why the connection is of no use any more, if so.
    pub fn is_over(&self) -> Option<String> {
        self.wire.is_over()
    }
}

impl AsRawFd for Backend {
    fn as_raw_fd(&self) -> RawFd {
        self.wire.as_raw_fd()
    }
}

fn greet(wire: &Wire, acknowledged: Option<u64>) -> io::Result<(u64, [u8; CONFIG_BYTES])> {
    wire.tell(Code::SET_OWNER, &[])?;
    let offered = wire.ask_number(Code::GET_FEATURES)?;
    let needed = acknowledged.unwrap_or(0) | VERSION_1 | F_PROTOCOL_FEATURES;
    if offered & needed != needed {
        return Err(io::Error::other(format!(
            "the back end offers features {offered:#x}, {needed:#x} are needed"
        )));
    }
    let known = wire.ask_number(Code::GET_PROTOCOL_FEATURES)?;
    let wanted = protocol::REPLY_ACK | protocol::CONFIG;
    if known & wanted != wanted {
        return Err(io::Error::other(format!(
            "the back end offers protocol features {known:#x}, {wanted:#x} are needed"
        )));
    }
    wire.tell(
        Code::SET_PROTOCOL_FEATURES,
        &(known & (wanted | protocol::MQ)).to_ne_bytes(),
    )?;
    Ok((offered & !(VERSION_1 | F_PROTOCOL_FEATURES), read_config(wire)?))
}

/// The whole configuration space, or the part all back ends have (without the number of controls).
fn read_config(wire: &Wire) -> io::Result<[u8; CONFIG_BYTES]> {
    for size in [CONFIG_BYTES, CONFIG_BYTES - 4] {
        let mut request = [0, size as u32, 0].map(u32::to_ne_bytes).concat();
        request.resize(12 + size, 0);
        let answer = wire.ask(Code::GET_CONFIG, &request)?;
        if answer.len() == request.len() {
            let mut config = [0; CONFIG_BYTES];
            config[..size].copy_from_slice(&answer[12..]);
            return Ok(config);
        }
    }
    Err(io::Error::other("the back end has no configuration space"))
}

/// The regions with their descriptors: count, padding, then address, size, address in this process, offset in the file.
fn memory_table(memory: &Guest) -> io::Result<(Vec<u8>, Vec<RawFd>)> {
    let mut bytes = [memory.num_regions() as u32, 0].map(u32::to_ne_bytes).concat();
    let mut fds = Vec::new();
    for region in memory.iter() {
        let file = region.file_offset().ok_or(io::ErrorKind::InvalidInput)?;
        for word in [
            region.start_addr().raw_value(),
            region.len(),
            region.as_ptr() as u64,
            file.start(),
        ] {
            bytes.extend(word.to_ne_bytes());
        }
        fds.push(file.file().as_raw_fd());
    }
    Ok((bytes, fds))
}

/// `vhost_vring_addr`: index, flags, descriptor table, used ring, available ring, log.
fn addresses(memory: &Guest, ring: &Ring) -> io::Result<Vec<u8>> {
    let mut bytes = [ring.index as u32, 0].map(u32::to_ne_bytes).concat();
    for address in [ring.descriptors, ring.used, ring.available] {
        let at = host_address(memory, address).ok_or(io::ErrorKind::InvalidInput)?;
        bytes.extend(at.to_ne_bytes());
    }
    bytes.extend([0; 8]);
    Ok(bytes)
}

/// The device ring's index in guest memory: how far everything was answered.
pub fn used_index(memory: &Guest, ring: &Ring) -> io::Result<u16> {
    let index: u16 = memory.read_obj(GuestAddress(ring.used + 2)).map_err(io::Error::other)?;
    Ok(u16::from_le(index))
}
