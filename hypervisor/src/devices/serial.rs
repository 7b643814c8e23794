//! COM1: a 16550 (vm-superio) between the guest and two descriptors.
//!
//! Output that the other side doesn't take is thrown away and counted: a guest never waits for a reader. Input waits in
//! the descriptor until the guest has room.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use vhost_sound::framing::set_nonblocking;
use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::lock;
use crate::vm::bus::Registers;
use crate::vm::poller::{Handler, Poller};

/// First port.
pub const PORT: u16 = 0x3f8;

/// The device.
pub struct Console {
    serial: Mutex<Serial<Line, NoEvents, Output>>,
    input: Option<File>,
    /// The input is out of the event loop: the guest has no room.
    paused: AtomicBool,
    poller: Arc<Poller>,
    me: Weak<Self>,
}

/// The interrupt: an irqfd.
struct Line(EventFd);

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        match self.0.write(1) {
            // The counter is full: the interrupt is pending.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }
}

struct Output {
    file: Option<File>,
    lost: u64,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            match file.write(bytes) {
                Ok(count) if count == bytes.len() => {}
                _ => self.lost += bytes.len() as u64,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Console {
    /// A console; without `output` what the guest writes is thrown away. Both descriptors are made non-blocking.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new(output: Option<File>, input: Option<File>, poller: &Arc<Poller>) -> io::Result<Arc<Self>> {
        for file in [&output, &input].into_iter().flatten() {
            set_nonblocking(file.as_fd())?;
        }
        let line = Line(EventFd::new(EFD_NONBLOCK)?);
        let serial = Mutex::new(Serial::new(line, Output { file: output, lost: 0 }));
        Ok(Arc::new_cyclic(|me| Self {
            serial,
            input,
            paused: AtomicBool::new(false),
            poller: Arc::clone(poller),
            me: me.clone(),
        }))
    }

    /// A descriptor of the interrupt.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn interrupt(&self) -> io::Result<EventFd> {
        lock(&self.serial).interrupt_evt().0.try_clone()
    }

    /// Bytes that nobody took.
    pub fn lost(&self) -> u64 {
        lock(&self.serial).writer().lost
    }

    /// Listens to the input.
    pub fn listen(&self) {
        let (Some(input), Some(me)) = (&self.input, self.me.upgrade()) else {
            return;
        };
        // An ordinary file can't be watched: what of it has room is there at once.
        if self.poller.add(input.as_raw_fd(), me, 0).is_err() {
            self.ready(0);
        }
    }
}

impl Registers for Console {
    fn read(&self, offset: u64, data: &mut [u8]) {
        if let ([first], Ok(offset)) = (data, u8::try_from(offset)) {
            *first = lock(&self.serial).read(offset);
            if offset == 0 && self.paused.swap(false, Ordering::Relaxed) {
                self.listen();
            }
        }
    }

    /// Several bytes are a string to one port (`rep outsb`).
    fn write(&self, offset: u64, data: &[u8]) {
        let Ok(offset) = u8::try_from(offset) else { return };
        let mut serial = lock(&self.serial);
        for byte in data {
            // The only errors are those of the output and the interrupt, which never fail for good.
            let _ = serial.write(offset, *byte);
        }
    }
}

impl Handler for Console {
    fn ready(&self, _token: u32) {
        let Some(input) = &self.input else { return };
        let mut serial = lock(&self.serial);
        let mut bytes = [0; 64];
        let wanted = serial.fifo_capacity().min(bytes.len());
        if wanted == 0 {
            self.paused.store(true, Ordering::Relaxed);
            return self.poller.remove(input.as_raw_fd());
        }
        match (&*input).read(&mut bytes[..wanted]) {
            Ok(count @ 1..) => drop(serial.enqueue_raw_bytes(&bytes[..count])),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // It has ended, in whatever way.
            _ => self.poller.remove(input.as_raw_fd()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn file(stream: UnixStream) -> File {
        File::from(std::os::fd::OwnedFd::from(stream))
    }

    fn poller() -> Arc<Poller> {
        Arc::new(Poller::new().unwrap())
    }

    #[test]
    fn a_reader_that_does_not_read_stops_nobody_and_the_loss_is_counted() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let console = Console::new(Some(file(ours)), None, &poller()).unwrap();

        for _ in 0..20_000 {
            console.write(0, &[b'x'; 100]);
        }

        assert!(console.lost() > 0);
    }

    #[test]
    fn what_a_vm_said_is_kept_when_it_is_started_again_on_the_same_file() {
        let path = std::env::temp_dir().join(format!("carillon-console-{}", std::process::id()));
        for boot in [&b"first"[..], b"2"] {
            let file = File::options().create(true).append(true).open(&path).unwrap();
            let console = Console::new(Some(file), None, &poller()).unwrap();
            boot.iter().for_each(|byte| console.write(0, &[*byte]));
        }

        let said = std::fs::read_to_string(&path).unwrap();

        std::fs::remove_file(&path).unwrap();
        assert_eq!(said, "first2");
    }

    #[test]
    fn the_guest_reads_what_was_typed() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let poller = poller();
        let console = Console::new(None, Some(file(ours)), &poller).unwrap();
        console.listen();

        theirs.write_all(b"k").unwrap();
        poller.turn().unwrap();
        let mut data = [0];
        console.read(0, &mut data);

        assert_eq!(&data, b"k");
    }

    #[test]
    fn input_for_which_the_guest_has_no_room_waits_and_is_not_lost() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let poller = poller();
        let console = Console::new(None, Some(file(ours)), &poller).unwrap();
        console.listen();
        let typed: Vec<u8> = (0..100).collect();

        theirs.write_all(&typed).unwrap();
        poller.turn().unwrap();
        poller.turn().unwrap();
        let mut seen = Vec::new();
        while seen.len() < typed.len() {
            while !lock(&console.serial).state().in_buffer.is_empty() {
                let mut data = [0];
                console.read(0, &mut data);
                seen.push(data[0]);
            }
            if seen.len() < typed.len() {
                poller.turn().unwrap();
            }
        }

        assert_eq!(seen, typed);
    }
}
