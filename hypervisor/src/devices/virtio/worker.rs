//! A device whose requests the service thread answers: one queue, one request after the other.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};

use virtio_queue::{DescriptorChain, Queue, QueueT};
use vm_memory::GuestAddress;

use super::{Driver, EVENT_IDX, Ring};
use crate::devices::lock;
use crate::vm::memory::Guest;
use crate::vm::poller::{Handler, Poller};

/// What is done with a request: gives the bytes written.
pub trait Serve: Send + Sync {
    /// Answers one chain. The chain is the guest's: every length and address is checked by the memory it is read from.
    fn serve(&self, memory: &Guest, chain: DescriptorChain<&Guest>) -> u32;
}

/// Requests answered before others get their turn; the rest goes on at once.
const BATCH: usize = 64;

struct Running {
    memory: Guest,
    queue: Queue,
    ring: Ring,
}

/// The device's back half.
pub struct Worker<S> {
    serve: S,
    running: Mutex<Option<Running>>,
    poller: Arc<Poller>,
}

impl<S: Serve + 'static> Worker<S> {
    /// Nothing watched.
    pub fn new(serve: S, poller: &Arc<Poller>) -> Arc<Self> {
        Arc::new(Self {
            serve,
            running: Mutex::default(),
            poller: Arc::clone(poller),
        })
    }

    /// What the worker serves with.
    pub fn serve(&self) -> &S {
        &self.serve
    }

    /// Watches the first queue.
    pub fn start(self: &Arc<Self>, driver: Driver) -> Result<(), String> {
        let Some(ring) = driver.queues.into_iter().find(|ring| ring.index == 0) else {
            return Ok(());
        };
        let queue = ring
            .queue(driver.features & EVENT_IDX != 0)
            .map_err(|e| e.to_string())?;
        let mut running = lock(&self.running);
        let watched = self.poller.add(ring.kick.as_raw_fd(), self.clone(), 0);
        watched.map_err(|e| e.to_string())?;
        *running = Some(Running {
            memory: driver.memory,
            queue,
            ring,
        });
        Ok(())
    }

    /// No request is answered after this.
    pub fn stop(&self) {
        if let Some(running) = lock(&self.running).take() {
            self.poller.remove(running.ring.kick.as_raw_fd());
        }
    }
}

/// `virtio_queue`'s view of a ring: its size, where its descriptor table, driver ring and device ring are.
pub fn vm_queue(size: u16, [descriptors, available, used]: [GuestAddress; 3]) -> Result<Queue, virtio_queue::Error> {
    let mut queue = Queue::new(size)?;
    queue.set_size(size);
    queue.try_set_desc_table_address(descriptors)?;
    queue.try_set_avail_ring_address(available)?;
    queue.try_set_used_ring_address(used)?;
    queue.set_ready(true);
    Ok(queue)
}

impl Ring {
    /// `virtio_queue`'s view of it.
    pub fn queue(&self, event_idx: bool) -> Result<Queue, virtio_queue::Error> {
        let areas = [self.descriptors, self.available, self.used].map(GuestAddress);
        let mut queue = vm_queue(self.size, areas)?;
        queue.set_event_idx(event_idx);
        Ok(queue)
    }
}

/// Answers what is in a queue, at most so many chains: gives the bytes written into each. `true`: there may be more.
pub fn serve(
    queue: &mut Queue,
    ring: &Ring,
    memory: &Guest,
    most: usize,
    answer: impl Fn(DescriptorChain<&Guest>) -> u32,
) -> bool {
    for _ in 0..most {
        let Some(chain) = queue.pop_descriptor_chain(memory) else {
            // With EVENT_IDX the driver kicks again only if told where we stand.
            if queue.enable_notification(memory).unwrap_or(false) {
                continue;
            }
            return false;
        };
        let head = chain.head_index();
        let written = answer(chain);
        if queue.add_used(memory, head, written).is_err() {
            return false;
        }
        if queue.needs_notification(memory).unwrap_or(true) {
            let _ = ring.call.write(1);
        }
    }
    true
}

impl<S: Serve> Handler for Worker<S> {
    fn ready(&self, _token: u32) {
        let mut guard = lock(&self.running);
        let Some(Running { memory, queue, ring }) = guard.as_mut() else {
            return;
        };
        // Spurious when the guest was reset in between: there is nothing to take then.
        let _ = ring.kick.read();
        if serve(queue, ring, memory, BATCH, |chain| self.serve.serve(memory, chain)) {
            let _ = ring.kick.write(1);
        }
    }
}
