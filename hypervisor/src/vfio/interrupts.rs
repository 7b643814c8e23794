//! Interrupts of a passed-through function: its pin, or the one message of its MSI capability.
//!
//! MSI-X is hidden (its capability reads as the null capability, which has no registers): codecs have MSI or a pin.

use std::io;
use std::sync::Arc;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::sys::{DeviceFile, Irq};
use crate::devices::pci::msix::{ENTRY, Msix};
use crate::vm::host::Host;

const CAPABILITIES: u16 = 0x34;
const CAP_MSI: u8 = 5;
const CAP_MSIX: u8 = 0x11;
const MSIX_SIZE: u16 = 12;
const MSI_ENABLE: u8 = 1;
const MSI_64: u8 = 1 << 7;
/// The most capabilities a list of 256 bytes can hold: a list that goes in a circle ends here.
const CAPABILITY_MAX: usize = 48;

/// What the guest sees of the MSI capability: one message, no mask bits.
struct Msi {
    at: u16,
    bytes: Vec<u8>,
    vector: Msix,
}

struct Pin {
    number: u32,
    event: EventFd,
    unmask: EventFd,
}

/// All of a function's.
pub struct Interrupts {
    pin: Option<Pin>,
    msi: Option<Msi>,
    hidden: Option<u16>,
    on: Option<Irq>,
}

pub type Config<'a> = &'a dyn Fn(u16, &mut [u8]) -> io::Result<()>;

impl Interrupts {
    /// Looks for what the function has, and turns its pin on.
    ///
    /// # Errors
    /// Its configuration can't be read, or there are no interrupt numbers left.
    pub fn new(device: &DeviceFile, host: &Arc<dyn Host>, config: Config, pin: u32) -> io::Result<Self> {
        let (mut msi, mut hidden) = (None, None);
        for (id, at) in capabilities(config)? {
            match id {
                CAP_MSI if device.irq_count(Irq::Msi) > 0 => msi = Some(Msi::new(host, config, at)?),
                CAP_MSIX => hidden = Some(at),
                _ => {}
            }
        }
        let mut interrupts = Self {
            pin: None,
            msi,
            hidden,
            on: None,
        };
        if device.irq_count(Irq::Intx) > 0 {
            let (event, unmask) = (EventFd::new(EFD_NONBLOCK)?, EventFd::new(EFD_NONBLOCK)?);
            host.attach_level(pin, &event, &unmask)?;
            interrupts.pin = Some(Pin {
                number: pin,
                event,
                unmask,
            });
            interrupts.turn_on(device, Irq::Intx);
        }
        Ok(interrupts)
    }

    /// The interrupt controller's pin.
    pub fn pin(&self) -> Option<u32> {
        self.pin.as_ref().map(|pin| pin.number)
    }

    /// What of a read is ours; `data` holds what the function itself says.
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            if let Some(ours) = self
                .msi
                .as_ref()
                .and_then(|msi| msi.bytes.get(usize::from(at.wrapping_sub(msi.at))))
            {
                *byte = *ours;
            } else if self.hidden == Some(at) {
                *byte = 0;
            }
        }
    }

    /// A write; `false` if it is none of ours.
    pub fn write(&mut self, device: &DeviceFile, offset: u16, data: &[u8]) -> bool {
        let end = offset + data.len() as u16;
        if self.hidden.is_some_and(|at| offset < at + MSIX_SIZE && end > at) {
            return true;
        }
        let Some(msi) = self.msi.as_mut().filter(|msi| offset < msi.end() && end > msi.at) else {
            return false;
        };
        msi.write(offset, data);
        let wanted = if msi.is_enabled() { Irq::Msi } else { Irq::Intx };
        if self.on != Some(wanted) {
            self.turn_on(device, wanted);
        }
        true
    }

    /// One kind is on at a time. What the kernel refuses is an interrupt this guest doesn't get.
    fn turn_on(&mut self, device: &DeviceFile, wanted: Irq) {
        if let Some(irq) = self.on.take() {
            let _ = device.disable(irq);
        }
        let event = match wanted {
            Irq::Intx => self.pin.as_ref().map(|pin| &pin.event),
            Irq::Msi => self.msi.as_ref().and_then(|msi| msi.vector.event(0)),
        };
        let unmask = self.pin.as_ref().filter(|_| wanted == Irq::Intx).map(|pin| &pin.unmask);
        let result = event.map(|event| {
            device
                .enable(wanted, event)
                .and_then(|()| unmask.map_or(Ok(()), |unmask| device.unmask_by(unmask)))
        });
        self.on = matches!(result, Some(Ok(()))).then_some(wanted);
    }
}

/// Id and place of each capability.
fn capabilities(config: Config) -> io::Result<Vec<(u8, u16)>> {
    let mut byte = [0];
    config(CAPABILITIES, &mut byte)?;
    let mut found = Vec::new();
    while byte[0] >= 0x40 && found.len() < CAPABILITY_MAX {
        let at = u16::from(byte[0] & !3);
        let mut head = [0; 2];
        config(at, &mut head)?;
        found.push((head[0], at));
        byte[0] = head[1];
    }
    Ok(found)
}

impl Msi {
    fn new(host: &Arc<dyn Host>, config: Config, at: u16) -> io::Result<Self> {
        let mut head = [0; 4];
        config(at, &mut head)?;
        let is_64 = head[2] & MSI_64 != 0;
        let mut bytes = vec![0; if is_64 { 14 } else { 10 }];
        bytes[..3].copy_from_slice(&[head[0], head[1], if is_64 { MSI_64 } else { 0 }]);
        let mut vector = Msix::new(Arc::clone(host), 1, 1)?;
        vector.set_vector(0, 0);
        Ok(Self { at, bytes, vector })
    }

    fn end(&self) -> u16 {
        self.at + self.bytes.len() as u16
    }

    fn is_enabled(&self) -> bool {
        self.bytes[2] & MSI_ENABLE != 0
    }

    /// Id, link and what can't be changed stay.
    fn write(&mut self, offset: u16, data: &[u8]) {
        for (at, byte) in (offset..).zip(data) {
            let place = usize::from(at.wrapping_sub(self.at));
            match self.bytes.get_mut(place) {
                Some(control) if place == 2 => *control = *control & !MSI_ENABLE | byte & MSI_ENABLE,
                Some(ours) if place >= 4 => *ours = *byte,
                _ => {}
            }
        }
        let is_64 = self.bytes[2] & MSI_64 != 0;
        let mut entry = [0; ENTRY as usize];
        entry[..4].copy_from_slice(&self.bytes[4..8]);
        if is_64 {
            entry[4..8].copy_from_slice(&self.bytes[8..12]);
        }
        let data_at = if is_64 { 12 } else { 8 };
        entry[8..10].copy_from_slice(&self.bytes[data_at..data_at + 2]);
        for at in [0, 8] {
            self.vector.table_write(at as u64, &entry[at..at + 8]);
        }
        self.vector.set_control(u16::from(self.is_enabled()) << 15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::virtio::testing::FakeHost;
    use crate::vm::host::Message;

    /// A function with MSI-X at 0x40 and a 64-bit MSI at 0x50 that claims four messages.
    fn config(offset: u16, data: &mut [u8]) -> io::Result<()> {
        let mut space = [0; 256];
        space[0x34] = 0x40;
        space[0x40..0x44].copy_from_slice(&[CAP_MSIX, 0x50, 7, 0]);
        space[0x50..0x54].copy_from_slice(&[CAP_MSI, 0, 0x84, 0]);
        data.copy_from_slice(&space[usize::from(offset)..usize::from(offset) + data.len()]);
        Ok(())
    }

    #[test]
    fn capabilities_are_found_and_a_circle_ends() {
        let circle = |_: u16, data: &mut [u8]| {
            data.fill(0x40);
            Ok(())
        };

        assert_eq!(capabilities(&config).unwrap(), [(CAP_MSIX, 0x40), (CAP_MSI, 0x50)]);
        assert_eq!(capabilities(&circle).unwrap().len(), CAPABILITY_MAX);
    }

    #[test]
    fn a_message_is_sent_as_the_guest_wrote_it_once_enabled() {
        let host = Arc::new(FakeHost::default());
        let mut msi = Msi::new(&(host.clone() as Arc<dyn Host>), &config, 0x50).unwrap();
        assert_eq!(msi.bytes[2], MSI_64, "one message");

        msi.write(0x54, &0xfee0_1000_u32.to_le_bytes());
        msi.write(0x5c, &0x4031_u16.to_le_bytes());
        msi.vector.event(0).unwrap().write(1).unwrap();
        assert_eq!(host.raised(), []);

        msi.write(0x50, &[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(msi.bytes[..4], [CAP_MSI, 0, MSI_64 | MSI_ENABLE, 0]);
        assert_eq!(
            host.raised(),
            [Message {
                address: 0xfee0_1000,
                data: 0x4031
            }]
        );
    }
}
