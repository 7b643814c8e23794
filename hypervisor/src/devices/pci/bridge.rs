//! The host bridge in slot 0: nothing but its identity.

use super::Function;
use super::bars::Bars;
use super::config::{Identity, Space};

/// The bridge.
pub struct HostBridge(Space);

impl Default for HostBridge {
    /// Vendor and device are QEMU's generic PCI host (1b36:0008), which no driver binds to.
    fn default() -> Self {
        let identity = Identity {
            vendor: 0x1b36,
            device: 0x0008,
            revision: 0,
            class: 0x06_0000,
            subsystem: (0x1af4, 0x1100),
        };
        Self(Space::new(identity))
    }
}

impl Function for HostBridge {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.0.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.0.write(offset, data);
    }

    fn bars(&mut self) -> &mut Bars {
        &mut self.0.bars
    }

    fn command(&self) -> u16 {
        self.0.command()
    }
}
