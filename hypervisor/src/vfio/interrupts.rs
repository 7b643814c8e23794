//! Interrupts of a passed-through function: which kind is on, and the capabilities the guest turns them on with.

use std::io;
use std::sync::Arc;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::sys::{DeviceFile, Irq};
use crate::devices::pci::msix::{ENTRY, Msix};
use crate::vm::host::Host;

const CAPABILITIES: u16 = 0x34;
const CAP_MSI: u8 = 5;
const CAP_MSIX: u8 = 0x11;
const MSI_ENABLE: u16 = 1;
const MSI_64: u16 = 1 << 7;
/// The most capabilities a list of 256 bytes can hold: a list that goes in a circle ends here.
const CAPABILITY_MAX: usize = 48;
/// A real table may have 2048 vectors; a codec has a handful.
const VECTORS_MAX: u16 = 64;

/// What the guest sees of the MSI capability: one message, no mask bits.
struct Msi {
    at: u16,
    bytes: Vec<u8>,
    vectors: Msix,
}

/// The MSI-X capability and its table.
struct Table {
    at: u16,
    bar: u8,
    offset: u64,
    pending_bar: u8,
    pending: u64,
    vectors: Msix,
    count: u16,
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
    table: Option<Table>,
    on: Option<Irq>,
}

type Config<'a> = &'a dyn Fn(u16, &mut [u8]) -> io::Result<()>;

impl Interrupts {
    /// Looks for what the function has, and turns its pin on.
    ///
    /// # Errors
    /// Its configuration can't be read, or there are no interrupt numbers left.
    pub fn new(device: &DeviceFile, host: &Arc<dyn Host>, config: Config, pin: u32) -> io::Result<Self> {
        let mut interrupts = Self {
            pin: None,
            msi: None,
            table: None,
            on: None,
        };
        for (id, at) in capabilities(config)? {
            match id {
                CAP_MSI if device.irq_count(Irq::Msi) > 0 => interrupts.msi = Some(Msi::new(host, config, at)?),
                CAP_MSIX if device.irq_count(Irq::Msix) > 0 => {
                    interrupts.table = Some(Table::new(host, config, at, device.irq_count(Irq::Msix))?);
                }
                _ => {}
            }
        }
        if device.irq_count(Irq::Intx) > 0 {
            let (event, unmask) = (EventFd::new(EFD_NONBLOCK)?, EventFd::new(EFD_NONBLOCK)?);
            host.attach_level(pin, &event, &unmask)?;
            interrupts.pin = Some(Pin {
                number: pin,
                event,
                unmask,
            });
            interrupts.turn_on(device, Some(Irq::Intx));
        }
        Ok(interrupts)
    }

    /// The interrupt controller's pin.
    pub fn pin(&self) -> Option<u32> {
        self.pin.as_ref().map(|pin| pin.number)
    }

    /// A read of the capabilities; `false` if it is none of ours.
    pub fn read(&self, offset: u16, data: &mut [u8]) -> bool {
        if let Some(msi) = self.msi.as_ref().filter(|msi| msi.holds(offset, data.len())) {
            let at = usize::from(offset - msi.at);
            data.copy_from_slice(&msi.bytes[at..at + data.len()]);
            return true;
        }
        let Some(table) = self
            .table
            .as_ref()
            .filter(|table| (table.at + 2..table.at + 4).contains(&offset))
        else {
            return false;
        };
        let control = table.vectors.control().to_le_bytes();
        for (byte, value) in data.iter_mut().zip(&control[usize::from(offset - table.at - 2)..]) {
            *byte = *value;
        }
        true
    }

    /// A write; `false` if it is none of ours.
    pub fn write(&mut self, device: &DeviceFile, offset: u16, data: &[u8]) -> bool {
        if let Some(msi) = self.msi.as_mut().filter(|msi| msi.holds(offset, data.len())) {
            msi.write(offset, data);
        } else if let Some(table) = self.table.as_mut().filter(|table| table.holds(offset)) {
            table.write_control(offset, data);
        } else {
            return false;
        }
        self.sync(device);
        true
    }

    /// The pages of a BAR that must be trapped: first byte and end.
    pub fn table_pages(&self, bar: u8) -> Option<(u64, u64)> {
        let table = self.table.as_ref()?;
        let mut range: Option<(u64, u64)> = None;
        for (of, at, size) in [
            (table.bar, table.offset, ENTRY * u64::from(table.count)),
            (
                table.pending_bar,
                table.pending,
                u64::from(table.count.div_ceil(64)) * 8,
            ),
        ] {
            if of == bar {
                let (first, end) = (at & !0xfff, (at + size).next_multiple_of(4096));
                range = Some(range.map_or((first, end), |(a, b)| (a.min(first), b.max(end))));
            }
        }
        range
    }

    /// A read in a BAR; `false` if it isn't the table's.
    pub fn table_read(&self, bar: u8, offset: u64, data: &mut [u8]) -> bool {
        let Some(table) = &self.table else { return false };
        if table.has_entry(bar, offset) {
            table.vectors.table_read(offset - table.offset, data);
            return true;
        }
        false
    }

    /// A write in a BAR; `false` if it isn't the table's.
    pub fn table_write(&mut self, bar: u8, offset: u64, data: &[u8]) -> bool {
        let Some(table) = self.table.as_mut() else { return false };
        if table.has_entry(bar, offset) {
            table.vectors.table_write(offset - table.offset, data);
            return true;
        }
        false
    }

    /// Turns on what the capabilities now ask for.
    fn sync(&mut self, device: &DeviceFile) {
        let wanted = if self.table.as_ref().is_some_and(|table| table.vectors.is_enabled()) {
            Some(Irq::Msix)
        } else if self.msi.as_ref().is_some_and(Msi::is_enabled) {
            Some(Irq::Msi)
        } else {
            self.pin.is_some().then_some(Irq::Intx)
        };
        if wanted != self.on {
            self.turn_on(device, wanted);
        }
    }

    /// One kind is on at a time. What the kernel refuses is an interrupt this guest doesn't get.
    fn turn_on(&mut self, device: &DeviceFile, wanted: Option<Irq>) {
        if let Some(irq) = self.on.take() {
            let _ = device.disable(irq);
        }
        let result = match wanted {
            Some(Irq::Intx) => self.pin.as_ref().map(|pin| {
                device
                    .enable(Irq::Intx, &[&pin.event])
                    .and_then(|()| device.unmask_by(&pin.unmask))
            }),
            Some(Irq::Msi) => self
                .msi
                .as_ref()
                .map(|msi| device.enable(Irq::Msi, &events(&msi.vectors, 1))),
            Some(Irq::Msix) => self
                .table
                .as_ref()
                .map(|table| device.enable(Irq::Msix, &events(&table.vectors, table.count))),
            None => None,
        };
        if matches!(result, Some(Ok(()))) {
            self.on = wanted;
        }
    }
}

fn events(vectors: &Msix, count: u16) -> Vec<&EventFd> {
    (0..count.into()).filter_map(|source| vectors.event(source)).collect()
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
        let mut control = [0; 2];
        config(at + 2, &mut control)?;
        let is_64 = u16::from_le_bytes(control) & MSI_64 != 0;
        let mut bytes = vec![0; if is_64 { 14 } else { 10 }];
        config(at, &mut bytes)?;
        bytes[2..4].copy_from_slice(&(if is_64 { MSI_64 } else { 0 }).to_le_bytes());
        bytes[4..].fill(0);
        let mut vectors = Msix::new(Arc::clone(host), 1, 1)?;
        vectors.set_vector(0, 0);
        Ok(Self { at, bytes, vectors })
    }

    fn holds(&self, offset: u16, length: usize) -> bool {
        offset >= self.at && usize::from(offset - self.at) + length <= self.bytes.len()
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn is_enabled(&self) -> bool {
        self.half(2) & MSI_ENABLE != 0
    }

    /// Id, link and what can't be changed stay.
    fn write(&mut self, offset: u16, data: &[u8]) {
        for (at, byte) in (usize::from(offset - self.at)..).zip(data) {
            match at {
                0 | 1 | 3 => {}
                2 => self.bytes[2] = self.bytes[2] & !1 | byte & 1,
                _ => self.bytes[at] = *byte,
            }
        }
        let is_64 = self.half(2) & MSI_64 != 0;
        let mut entry = [0; ENTRY as usize];
        entry[..4].copy_from_slice(&self.bytes[4..8]);
        let data_at = if is_64 {
            entry[4..8].copy_from_slice(&self.bytes[8..12]);
            12
        } else {
            8
        };
        entry[8..10].copy_from_slice(&self.bytes[data_at..data_at + 2]);
        for at in [0, 8] {
            self.vectors.table_write(at as u64, &entry[at..at + 8]);
        }
        self.vectors.set_control(if self.is_enabled() { 1 << 15 } else { 0 });
    }
}

impl Table {
    fn new(host: &Arc<dyn Host>, config: Config, at: u16, count: u32) -> io::Result<Self> {
        let mut bytes = [0; 12];
        config(at, &mut bytes)?;
        let place = |at: usize| {
            let word = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            ((word & 7) as u8, u64::from(word & !7))
        };
        let ((bar, offset), (pending_bar, pending)) = (place(4), place(8));
        let count = u16::try_from(count).unwrap_or(u16::MAX).min(VECTORS_MAX);
        let mut vectors = Msix::new(Arc::clone(host), count, count.into())?;
        for vector in 0..count {
            vectors.set_vector(vector.into(), vector);
        }
        Ok(Self {
            at,
            bar,
            offset,
            pending_bar,
            pending,
            vectors,
            count,
        })
    }

    fn holds(&self, offset: u16) -> bool {
        (self.at..self.at + 12).contains(&offset)
    }

    fn has_entry(&self, bar: u8, offset: u64) -> bool {
        let end = self.offset + ENTRY * u64::from(self.count);
        bar == self.bar && (self.offset..end).contains(&offset)
    }

    /// Only the two bits of message control can be written.
    fn write_control(&mut self, offset: u16, data: &[u8]) {
        let mut control = self.vectors.control().to_le_bytes();
        for (at, byte) in (offset..).zip(data) {
            if let Some(index) = at.checked_sub(self.at + 2).filter(|index| *index < 2) {
                control[usize::from(index)] = *byte;
            }
        }
        self.vectors.set_control(u16::from_le_bytes(control));
    }
}
