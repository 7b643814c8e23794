//! virtio-rng (5.4): bytes of the host's `getrandom`.

use std::sync::Arc;

use virtio_queue::DescriptorChain;
use vm_memory::{Bytes, GuestAddress};

use super::worker::{Serve, Worker};
use super::{Driver, EVENT_IDX, INDIRECT_DESC, VirtioDevice};
use crate::vm::memory::Guest;
use crate::vm::poller::Poller;

/// The device.
pub struct Rng(Arc<Worker<Entropy>>);

struct Entropy;

/// The most bytes of one request: what a guest may have the host's generator work for.
const MOST: usize = 4096;

impl Rng {
    /// Served by this poller's thread.
    #[must_use]
    pub fn new(poller: &Arc<Poller>) -> Self {
        Self(Worker::new(Entropy, poller))
    }
}

impl Serve for Entropy {
    fn serve(&self, memory: &Guest, chain: DescriptorChain<&Guest>) -> u32 {
        let mut written = 0;
        for descriptor in chain.writable() {
            let wanted = (descriptor.len() as usize).min(MOST - written);
            let mut bytes = vec![0; wanted];
            // SAFETY: the buffer has `wanted` bytes.
            let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), wanted, 0) };
            let got = usize::try_from(got).unwrap_or(0);
            let at: GuestAddress = descriptor.addr();
            if memory.write_slice(&bytes[..got], at).is_err() {
                break;
            }
            written += got;
            if written == MOST || got < wanted {
                break;
            }
        }
        written as u32
    }
}

impl VirtioDevice for Rng {
    fn id(&self) -> u16 {
        4
    }

    fn features(&self) -> u64 {
        INDIRECT_DESC | EVENT_IDX
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![64]
    }

    fn read_config(&self, _offset: u64, _data: &mut [u8]) {}

    fn activate(&mut self, driver: Driver) -> Result<(), String> {
        self.0.start(driver)
    }

    fn reset(&mut self) {
        self.0.stop();
    }
}
