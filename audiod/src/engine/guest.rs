//! What the engine needs of a guest's rings, so that tests can play the guest.

use vhost_sound::memory::{Call, GuestMemory};
use vhost_sound::ring::{DeviceRings, StreamView};

/// One guest's device; see [`DeviceRings`], whose contract this is.
pub trait Guest {
    /// Applies wishes, sorts new messages.
    fn begin_period(&mut self);
    /// One stream.
    fn state(&self, stream: usize) -> StreamView;
    /// Takes the stream's oldest bytes.
    fn pull(&mut self, stream: usize, into: &mut [u8], latency_bytes: u32) -> usize;
    /// Gives the stream recorded bytes.
    fn push(&mut self, stream: usize, from: &[u8], latency_bytes: u32) -> usize;
    /// Publishes, calls the guest.
    fn end_period(&mut self);
    /// Whether control should be woken up for what was counted since the last call.
    fn take_news(&mut self) -> bool;
    /// Swaps the memory table; the old one comes back.
    fn set_memory(&mut self, memory: GuestMemory) -> Option<GuestMemory>;
    /// Swaps a queue's call descriptor; the old one comes back.
    fn set_call(&mut self, queue: usize, call: Option<Call>) -> Option<Call>;
}

impl Guest for DeviceRings<'_> {
    fn begin_period(&mut self) {
        DeviceRings::begin_period(self);
    }
    fn state(&self, stream: usize) -> StreamView {
        DeviceRings::state(self, stream)
    }
    fn pull(&mut self, stream: usize, into: &mut [u8], latency_bytes: u32) -> usize {
        DeviceRings::pull(self, stream, into, latency_bytes)
    }
    fn push(&mut self, stream: usize, from: &[u8], latency_bytes: u32) -> usize {
        DeviceRings::push(self, stream, from, latency_bytes)
    }
    fn end_period(&mut self) {
        DeviceRings::end_period(self);
    }
    fn take_news(&mut self) -> bool {
        DeviceRings::take_news(self)
    }
    fn set_memory(&mut self, memory: GuestMemory) -> Option<GuestMemory> {
        DeviceRings::set_memory(self, memory)
    }
    fn set_call(&mut self, queue: usize, call: Option<Call>) -> Option<Call> {
        DeviceRings::set_call(self, queue, call)
    }
}
