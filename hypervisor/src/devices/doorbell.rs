//! The doorbell: a PCI function of the service VM by which audiod calls guests in other VMs.
//!
//! ```text
//!  service VM: 4-byte write to BAR 0 + 4 * word ──ioeventfd, in the kernel──► eventfd ──► the guest's interrupt
//! ```
//! Nothing can be read from it, and a word that leads nowhere does nothing: a service VM that writes everywhere calls every
//! guest that has a window, which each guest's driver takes for a spurious interrupt.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use vmm_sys_util::eventfd::EventFd;

use super::pci::Function;
use super::pci::bars::{Decoded, Kind};
use super::pci::config::{Identity, Space};
use crate::vm::host::Host;

/// Bytes of BAR 0.
const SIZE: u64 = 4096;

/// Virtio's vendor, a device of its experimental range; class: another system peripheral.
const IDENTITY: Identity = Identity {
    vendor: 0x1af4,
    device: 0x10fd,
    revision: 1,
    class: 0x08_8000,
    subsystem: (0x1af4, 0x10fd),
};

/// See the module.
pub struct Doorbell {
    space: Space,
    words: Vec<(u64, EventFd)>,
    host: Arc<dyn Host>,
    at: Option<u64>,
}

impl Doorbell {
    /// A doorbell with these words.
    ///
    /// # Errors
    /// A word beyond the BAR, or given twice.
    pub fn new(words: Vec<(u16, OwnedFd)>, host: Arc<dyn Host>) -> Result<Self, String> {
        let mut space = Space::new(IDENTITY);
        space.bars.add(0, Kind::Memory32, SIZE);
        let mut known: Vec<(u64, EventFd)> = Vec::new();
        for (word, fd) in words {
            let offset = 4 * u64::from(word);
            if offset >= SIZE || known.iter().any(|(other, _)| *other == offset) {
                return Err(format!(
                    "word {word} of the doorbell is beyond its page, or there already"
                ));
            }
            // SAFETY: the descriptor is ours and given away here; what isn't an eventfd is refused by KVM.
            known.push((offset, unsafe { EventFd::from_raw_fd(fd.into_raw_fd()) }));
        }
        Ok(Self {
            space,
            words: known,
            host,
            at: None,
        })
    }
}

impl Function for Doorbell {
    fn space(&mut self) -> &mut Space {
        &mut self.space
    }

    fn moved(&mut self, decoded: &[Decoded]) {
        let to = decoded.iter().find(|range| range.bar == 0).map(|range| range.address);
        for (offset, event) in &self.words {
            // Where KVM has no room the write comes to `bar_write`: slower, and as good.
            if let Some(from) = self.at {
                let _ = self.host.unwatch(from + offset, event);
            }
            if let Some(to) = to {
                let _ = self.host.watch(to + offset, None, event);
            }
        }
        self.at = to;
    }

    fn bar_write(&mut self, _bar: u8, offset: u64, data: &[u8]) {
        let word = self.words.iter().find(|(word, _)| *word == offset && data.len() == 4);
        if let Some((_, event)) = word {
            // A full counter is a call that is on its way.
            let _ = event.write(1);
        }
    }
}
