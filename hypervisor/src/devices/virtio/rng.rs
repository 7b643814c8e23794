//! virtio-rng (5.4): bytes of the host's `getrandom`.

use std::io::Write;
use std::sync::Arc;

use virtio_queue::{DescriptorChain, Writer};

use super::worker::{Serve, Worker};
use super::{Driver, EVENT_IDX, INDIRECT_DESC, Kind, VirtioDevice};
use crate::vm::memory::Guest;
use crate::vm::poller::Poller;

/// The device.
pub struct Rng(Arc<Worker<Entropy>>);

struct Entropy;

/// The most bytes of one request: what a guest may have the host's generator work for.
const MOST: usize = 4096;

impl Rng {
    /// Served by this poller's thread.
    pub fn new(poller: &Arc<Poller>) -> Self {
        Self(Worker::new(Entropy, poller))
    }
}

impl Serve for Entropy {
    fn serve(&self, memory: &Guest, chain: DescriptorChain<&Guest>) -> u32 {
        let Ok(mut writer) = Writer::new(memory, chain) else {
            return 0;
        };
        let mut bytes = vec![0; writer.available_bytes().min(MOST)];
        // SAFETY: the buffer has as many bytes as are asked for.
        let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        bytes.truncate(usize::try_from(got).unwrap_or(0));
        writer.write(&bytes).unwrap_or(0) as u32
    }
}

impl VirtioDevice for Rng {
    fn kind(&self) -> Kind {
        Kind(4, 0xff_0000, vec![64])
    }

    fn features(&self) -> u64 {
        INDIRECT_DESC | EVENT_IDX
    }

    fn read_config(&self, _offset: u64, _data: &mut [u8]) {}

    fn activate(&mut self, driver: Driver) -> Result<(), String> {
        self.0.start(driver)
    }

    fn reset(&mut self) {
        self.0.stop();
    }
}
