//! A device whose requests the service thread answers: one queue, one request after the other.

use std::sync::{Arc, Mutex};

use virtio_queue::{DescriptorChain, Queue, QueueT};

use super::{Driver, EVENT_IDX, Ring};
use crate::devices::lock;
use crate::vm::memory::Guest;
use crate::vm::poller::{Handler, HandlerId, Poller};

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
    id: Mutex<Option<HandlerId>>,
}

impl<S: Serve + 'static> Worker<S> {
    /// Known to the poller, nothing watched.
    pub fn new(serve: S, poller: &Arc<Poller>) -> Arc<Self> {
        let poller = Arc::clone(poller);
        let worker = Arc::new(Self {
            serve,
            running: Mutex::default(),
            poller,
            id: Mutex::default(),
        });
        *lock(&worker.id) = Some(worker.poller.register(worker.clone()));
        worker
    }

    /// What the worker serves with.
    pub fn serve(&self) -> &S {
        &self.serve
    }

    /// Watches the first queue.
    pub fn start(&self, driver: Driver) -> Result<(), String> {
        let Some(ring) = driver.queues.into_iter().find(|ring| ring.index == 0) else {
            return Ok(());
        };
        let mut queue = vm_queue(&ring, driver.features & EVENT_IDX != 0)?;
        queue.set_ready(true);
        let id = (*lock(&self.id)).ok_or("not registered")?;
        let mut running = lock(&self.running);
        self.poller
            .add(std::os::fd::AsRawFd::as_raw_fd(&ring.kick), id, 0)
            .map_err(|e| e.to_string())?;
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
            self.poller.remove(std::os::fd::AsRawFd::as_raw_fd(&running.ring.kick));
        }
    }
}

/// `virtio_queue`'s view of a ring.
pub fn vm_queue(ring: &Ring, event_idx: bool) -> Result<Queue, String> {
    let mut queue = Queue::new(ring.size).map_err(|e| e.to_string())?;
    queue.set_size(ring.size);
    queue
        .try_set_desc_table_address(vm_memory::GuestAddress(ring.descriptors))
        .map_err(|e| e.to_string())?;
    queue
        .try_set_avail_ring_address(vm_memory::GuestAddress(ring.available))
        .map_err(|e| e.to_string())?;
    queue
        .try_set_used_ring_address(vm_memory::GuestAddress(ring.used))
        .map_err(|e| e.to_string())?;
    queue.set_event_idx(event_idx);
    Ok(queue)
}

impl<S: Serve> Handler for Worker<S> {
    fn ready(&self, _token: u32) {
        let mut guard = lock(&self.running);
        let Some(Running { memory, queue, ring }) = guard.as_mut() else {
            return;
        };
        // Spurious when the guest was reset in between: there is nothing to take then.
        let _ = ring.kick.read();
        for _ in 0..BATCH {
            let Some(chain) = queue.pop_descriptor_chain(&*memory) else {
                // With EVENT_IDX the driver kicks again only if told where we stand.
                if queue.enable_notification(&*memory).unwrap_or(false) {
                    continue;
                }
                return;
            };
            let head = chain.head_index();
            let written = self.serve.serve(memory, chain);
            if queue.add_used(&*memory, head, written).is_err() {
                return;
            }
            if queue.needs_notification(&*memory).unwrap_or(true) {
                let _ = ring.call.write(1);
            }
        }
        let _ = ring.kick.write(1);
    }
}
