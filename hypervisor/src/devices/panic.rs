//! The panic notifier (QEMU docs/specs/pvpanic.rst, port form): the guest writes that it panicked, the parent learns it.
//!
//! ```text
//! running ── bit 0 (panicked) ──► told; the VM ends as panicked at once if the guest has no crash kernel (bit 1 clear)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::vm::Exit;
use crate::vm::bus::Registers;
use crate::vm::ending::Ending;

/// The port.
pub const PORT: u16 = 0x505;

/// What the device understands: panicked, and crash kernel loaded.
const SUPPORTED: u8 = 3;

/// The port's device.
pub struct PanicNotifier {
    ending: Arc<Ending>,
    told: AtomicBool,
}

impl PanicNotifier {
    /// Ends the VM by `ending`.
    pub fn new(ending: Arc<Ending>) -> Self {
        Self {
            ending,
            told: AtomicBool::new(false),
        }
    }

    /// Did the guest say that it panicked?
    pub fn told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }
}

impl Registers for PanicNotifier {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        if let Some(first) = data.first_mut() {
            *first = SUPPORTED;
        }
    }

    fn write(&self, _offset: u64, data: &[u8]) {
        let [value, ..] = *data else { return };
        if value & SUPPORTED != 0 {
            self.told.store(true, Ordering::Relaxed);
        }
        if value & SUPPORTED == 1 {
            self.ending.set(Ok(Exit::Panicked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_the_vm_and_one_with_a_crash_kernel_is_only_told() {
        let ending = Arc::new(Ending::new().unwrap());
        let device = PanicNotifier::new(Arc::clone(&ending));

        device.write(0, &[2]);
        assert!(device.told() && !ending.is_set());

        device.write(0, &[1]);
        assert_eq!(ending.outcome().unwrap().unwrap(), Exit::Panicked);
    }
}
