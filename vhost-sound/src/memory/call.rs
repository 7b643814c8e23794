//! How a guest is called: an eventfd (vhost-user), or one word of a doorbell page (the service VM's way).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::eventfd::{EventFd, EventFdError};
use super::sigbus::Guard;

const PAGE: u64 = 4096;

/// A call.
#[derive(Debug)]
pub enum Call {
    /// An eventfd of a front end on this machine.
    Event(EventFd),
    /// A word that another VM's interrupt hangs on.
    Word(Doorbell),
}

impl Call {
    /// Takes a descriptor that was kept: an eventfd, or a doorbell file that stands at its word ([`Doorbell::file`]).
    ///
    /// # Errors
    /// [`EventFdError`] when it is neither.
    pub fn take(fd: OwnedFd) -> Result<Self, EventFdError> {
        let again = fd.try_clone();
        match (EventFd::take(fd), again) {
            (Ok(event), _) => Ok(Self::Event(event)),
            (Err(error), Ok(fd)) => Doorbell::map(fd).map(Self::Word).map_err(|_| error),
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Calls. Never blocks.
    ///
    /// # Errors
    /// As [`EventFd::signal`]; a word can always be written.
    pub fn signal(&self) -> io::Result<()> {
        match self {
            Self::Event(event) => event.signal(),
            Self::Word(bell) => {
                bell.ring();
                Ok(())
            }
        }
    }
}

impl From<EventFd> for Call {
    fn from(event: EventFd) -> Self {
        Self::Event(event)
    }
}

/// One word of a doorbell: memory of a PCI function (`/sys/bus/pci/devices/*/resource0`), where a write is an exit that the
/// hypervisor's kernel turns into a guest's interrupt at once; or plain memory, in tests.
pub struct Doorbell {
    file: OwnedFd,
    page: NonNull<u8>,
    word: usize,
    rung: AtomicU32,
    guard: Guard,
}

// SAFETY: the mapping belongs to this value alone; its one word is written atomically.
unsafe impl Send for Doorbell {}
// SAFETY: as above.
unsafe impl Sync for Doorbell {}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorbell")
            .field("word", &self.word)
            .finish_non_exhaustive()
    }
}

impl Doorbell {
    /// A new open file of a doorbell that stands at this word (its number): that is how one is kept and handed on, a
    /// descriptor like any other.
    ///
    /// # Errors
    /// What `open` or `lseek` say.
    pub fn file(doorbell: BorrowedFd<'_>, word: u32) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", doorbell.as_raw_fd());
        let file = OwnedFd::from(std::fs::OpenOptions::new().read(true).write(true).open(path)?);
        // SAFETY: a plain call on our own descriptor.
        if unsafe { libc::lseek(file.as_raw_fd(), libc::off_t::from(word) * 4, libc::SEEK_SET) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(file)
    }

    /// Maps the page of the word that a file stands at.
    ///
    /// # Errors
    /// No file, its end, or what `mmap` says.
    pub fn map(file: OwnedFd) -> io::Result<Self> {
        let file = std::fs::File::from(file);
        let end = file.metadata()?.len();
        let file = OwnedFd::from(file);
        // Others have this open file too: its position is only looked at.
        // SAFETY: a plain call on our own descriptor.
        let at = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_CUR) };
        let place = u64::try_from(at)
            .ok()
            .filter(|place| place.is_multiple_of(4) && *place < end);
        let place = place.ok_or(io::ErrorKind::InvalidInput)?;
        let page = place / PAGE * PAGE;
        // SAFETY: a new shared mapping at an address of the kernel's choice.
        let mapped = unsafe {
            let offset = libc::off_t::try_from(page).map_err(|_| io::ErrorKind::InvalidInput)?;
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(
                std::ptr::null_mut(),
                PAGE as usize,
                prot,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset,
            )
        };
        let Some(page) = NonNull::new(mapped.cast::<u8>()).filter(|_| mapped != libc::MAP_FAILED) else {
            return Err(io::Error::last_os_error());
        };
        let Some(guard) = Guard::new(page.as_ptr() as usize, PAGE as usize) else {
            // SAFETY: exactly the mapping made above.
            unsafe { libc::munmap(mapped, PAGE as usize) };
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let word = (place % PAGE) as usize;
        let bell = Self {
            file,
            page,
            word,
            rung: AtomicU32::new(0),
            guard,
        };
        // Goes on where a predecessor stopped: in memory only another value is seen. A device answers 0 to this one read.
        bell.rung.store(bell.cell().load(Ordering::Acquire), Ordering::Relaxed);
        Ok(bell)
    }

    fn cell(&self) -> &AtomicU32 {
        // SAFETY: within the page mapped in `map` and aligned; only ever accessed atomically here.
        unsafe { AtomicU32::from_ptr(self.page.as_ptr().add(self.word).cast()) }
    }

    /// Writes the word: how often it was rung, so that memory shows it too.
    fn ring(&self) {
        let times = self.rung.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.cell().store(times, Ordering::Release);
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        self.guard.release();
        // SAFETY: exactly the mapping made in `map`; nothing refers to it any more.
        unsafe { libc::munmap(self.page.as_ptr().cast(), PAGE as usize) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::FromRawFd;
    use std::os::unix::fs::FileExt;

    fn page() -> OwnedFd {
        // SAFETY: a valid C string; the result is checked.
        let raw = unsafe { libc::memfd_create(c"doorbell".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(raw >= 0);
        // SAFETY: a fresh descriptor.
        let file = unsafe { std::fs::File::from_raw_fd(raw) };
        file.set_len(PAGE).unwrap();
        file.into()
    }

    fn word(page: &OwnedFd, index: u64) -> u32 {
        let mut bytes = [0; 4];
        let file = std::fs::File::from(page.try_clone().unwrap());
        file.read_exact_at(&mut bytes, 4 * index).unwrap();
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn a_call_writes_its_own_word_and_no_other() {
        let page = page();
        let calls = [3, 7].map(|index| Call::take(Doorbell::file(page.as_fd(), index).unwrap()).unwrap());
        calls[0].signal().unwrap();
        calls[1].signal().unwrap();
        calls[1].signal().unwrap();
        let words: Vec<u32> = (0..9).map(|index| word(&page, index)).collect();
        assert_eq!(words, [0, 0, 0, 1, 0, 0, 0, 2, 0]);
    }

    #[test]
    fn a_kept_descriptor_finds_its_word_again() {
        let page = page();
        let kept = Doorbell::file(page.as_fd(), 5).unwrap();
        let again = kept.try_clone().unwrap();
        Call::take(kept).unwrap().signal().unwrap();
        Call::take(again).unwrap().signal().unwrap();
        assert_eq!((word(&page, 5), word(&page, 0)), (2, 0));
    }

    #[test]
    fn words_beyond_the_doorbell_pipes_and_folders_are_no_calls() {
        let beyond = Doorbell::file(page().as_fd(), 1024).unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        let folder = std::fs::File::open("/").unwrap();
        for fd in [beyond, writer.into(), folder.into()] {
            assert!(Call::take(fd).is_err());
        }
    }

    #[test]
    fn a_doorbell_that_vanishes_is_rung_in_vain_and_nobody_dies() {
        let page = page();
        let call = Call::take(Doorbell::file(page.as_fd(), 1).unwrap()).unwrap();
        std::fs::File::from(page).set_len(0).unwrap();
        call.signal().unwrap();
    }
}
