//! Sleep control and reset registers of hardware-reduced ACPI, and the keyboard controller's reset line.

use std::sync::Arc;

use crate::acpi::{RESET_PORT, RESET_VALUE, SLEEP_PORT, SLEEP_TYPE_OFF};
use crate::vm::Exit;
use crate::vm::bus::Registers;
use crate::vm::ending::Ending;

/// SLP_EN of the sleep control register.
const SLEEP_ENABLE: u8 = 1 << 5;

/// Ports 0x600 to 0x604.
pub struct Power(pub Arc<Ending>);

impl Registers for Power {
    /// Status: nothing to tell.
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let [value, ..] = *data else { return };
        match u16::try_from(offset).map(|offset| SLEEP_PORT + offset) {
            Ok(SLEEP_PORT) if value & SLEEP_ENABLE != 0 && value >> 2 & 7 == SLEEP_TYPE_OFF => {
                self.0.set(Ok(Exit::PowerOff));
            }
            Ok(RESET_PORT) if value == RESET_VALUE => self.0.set(Ok(Exit::Reset)),
            _ => {}
        }
    }
}

/// Port 0x64: only the command that pulls the reset line.
pub struct KeyboardReset(pub Arc<Ending>);

impl Registers for KeyboardReset {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&self, _offset: u64, data: &[u8]) {
        if data == [0xfe] {
            self.0.set(Ok(Exit::Reset));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(offset: u64, data: &[u8]) -> Option<Exit> {
        let ending = Arc::new(Ending::new().unwrap());
        Power(Arc::clone(&ending)).write(offset, data);
        ending.outcome().map(Result::unwrap)
    }

    #[test]
    fn only_the_right_value_at_the_right_port_ends_the_vm() {
        assert_eq!(outcome(0, &[0x34]), Some(Exit::PowerOff));
        assert_eq!(outcome(4, &[1]), Some(Exit::Reset));
        assert_eq!(outcome(0, &[0x30]), None);
        assert_eq!(outcome(0, &[0x14]), None);
        assert_eq!(outcome(1, &[0x34]), None);
        assert_eq!(outcome(4, &[2]), None);
        assert_eq!(outcome(0, &[]), None);
    }
}
