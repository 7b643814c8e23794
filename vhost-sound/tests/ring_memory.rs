//! Memory tables from outside: what is refused, what is said about the rest, what happens when a file shrinks.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use vhost_sound::memory::{GuestMemory, MemoryError, MemoryWarning, RegionSpec};
use vhost_sound::testing::{FRONT_END, FakeGuest, GPA};

fn spec(gpa: u64, len: u64, file_offset: u64) -> RegionSpec {
    RegionSpec {
        gpa,
        len,
        front_end_addr: gpa + FRONT_END,
        file_offset,
    }
}

fn refusal(specs: &[RegionSpec], files: &[BorrowedFd<'_>]) -> MemoryError {
    match GuestMemory::map(1, specs, files) {
        Ok(_) => panic!("accepted {specs:?}"),
        Err(error) => error,
    }
}

#[test]
fn descriptors_that_are_no_memory_files_are_refused_by_kind() {
    let (pipe, _writer) = std::io::pipe().unwrap();
    let pipe = OwnedFd::from(pipe);
    let directory = File::open("/").unwrap();
    let device = File::open("/dev/zero").unwrap();
    for fd in [pipe.as_fd(), directory.as_fd(), device.as_fd()] {
        assert!(matches!(
            refusal(&[spec(0, 4096, 0)], &[fd]),
            MemoryError::NotAFile { region: 0, .. }
        ));
    }
    let proc = File::open("/proc/self/maps").unwrap();
    assert!(matches!(
        refusal(&[spec(0, 4096, 0)], &[proc.as_fd()]),
        MemoryError::FileSystem { .. }
    ));
}

#[test]
fn impossible_tables_are_refused_by_reason() {
    let guest = FakeGuest::new(1 << 20);
    let file = guest.file().as_fd();
    assert!(matches!(
        refusal(&[spec(0, 2 << 20, 0)], &[file]),
        MemoryError::TooShort { .. }
    ));
    assert!(matches!(
        refusal(&[spec(0, 4096, 1 << 20)], &[file]),
        MemoryError::TooShort { .. }
    ));
    assert!(matches!(refusal(&[spec(0, 0, 0)], &[file]), MemoryError::Length { .. }));
    assert!(matches!(
        refusal(&[spec(u64::MAX - FRONT_END, u64::MAX, 0)], &[file]),
        MemoryError::Length { .. }
    ));
    assert!(matches!(
        refusal(&[spec(0, 4096, u64::MAX)], &[file]),
        MemoryError::Length { .. }
    ));
    assert!(matches!(
        refusal(&[spec(0, 8192, 0), spec(4096, 4096, 0)], &[file, file]),
        MemoryError::Overlap { first: 0, second: 1 }
    ));
    assert!(matches!(refusal(&[spec(0, 4096, 0)], &[]), MemoryError::Count { .. }));
}

#[test]
fn a_file_that_may_shrink_is_named_and_a_sealed_one_is_not() {
    let guest = FakeGuest::new(1 << 20);
    let memory = GuestMemory::map(1, &[guest.spec()], &[guest.file()]).unwrap();
    assert_eq!(memory.warnings(), [MemoryWarning::NotSealed { region: 0 }]);

    // SAFETY: a plain call on a descriptor the test owns.
    let sealed = unsafe {
        libc::fcntl(
            std::os::fd::AsRawFd::as_raw_fd(guest.file()),
            libc::F_ADD_SEALS,
            libc::F_SEAL_SHRINK,
        )
    };
    assert_eq!(sealed, 0);
    let memory = GuestMemory::map(1, &[guest.spec()], &[guest.file()]).unwrap();
    assert_eq!(memory.warnings(), []);
}

#[test]
fn addresses_translate_within_their_region_and_nowhere_else() {
    let guest = FakeGuest::new(1 << 20);
    let file = guest.file().as_fd();
    guest.write(GPA + 0x1800, b"here");
    let specs = [spec(0x1_0000, 0x1000, 0x1000), spec(0x1_1000, 0x1000, 0x9000)];
    let memory = GuestMemory::map(1, &specs, &[file, file]).unwrap();
    let mut found = [0u8; 4];
    memory.physical(0x1_0800, 4).unwrap().copy_to(&mut found);
    assert_eq!(&found, b"here");
    memory.front_end(0x1_0800 + FRONT_END, 4).unwrap().copy_to(&mut found);
    assert_eq!(&found, b"here");
    assert_eq!(
        memory.physical(0x1_0ffe, 4).unwrap().len(),
        2,
        "a run ends with its region"
    );
    assert!(memory.contains(0x1_0ffe, 4), "adjacent regions are one memory");
    assert!(
        memory.front_end(0x1_0ffe + FRONT_END, 4).is_none(),
        "a vring area is in one region"
    );
    assert!(!memory.contains(0x1_1ffe, 4));
    assert!(memory.physical(0xffff, 1).is_none());
    assert!(memory.physical(0x1_2000, 1).is_none());
    assert!(!memory.contains(u64::MAX, 2));
}

#[test]
fn a_file_truncated_under_use_reads_as_zero_and_says_so_and_leaves_the_others() {
    let (guest, other) = (FakeGuest::new(1 << 20), FakeGuest::new(1 << 20));
    guest.write(GPA, &[7; 8]);
    other.write(GPA, &[9; 8]);
    let specs = [guest.spec(), spec(0, 1 << 20, 0)];
    let memory = GuestMemory::map(1, &specs[..1], &[guest.file()]).unwrap();
    let second = GuestMemory::map(1, &specs[1..], &[other.file()]).unwrap();
    assert!(!memory.gone());

    guest.truncate();

    let mut bytes = [1u8; 8];
    memory.physical(GPA + 0x8_0000, 8).unwrap().copy_to(&mut bytes);
    assert_eq!(bytes, [0; 8]);
    memory.physical(GPA, 8).unwrap().copy_from(&[3u8; 8]);
    assert!(memory.gone());
    second.physical(0, 8).unwrap().copy_to(&mut bytes);
    assert_eq!((bytes, second.gone()), ([9; 8], false));
}

#[test]
fn a_sigbus_elsewhere_still_ends_the_process() {
    const CHILD: &str = "RING_MEMORY_SIGBUS_CHILD";
    if std::env::var_os(CHILD).is_none() {
        let name = "a_sigbus_elsewhere_still_ends_the_process";
        let me = std::env::current_exe().unwrap();
        let status = std::process::Command::new(me)
            .args(["--exact", name])
            .env(CHILD, "1")
            .output()
            .unwrap()
            .status;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(libc::SIGBUS), "{status:?}");
        return;
    }
    let guest = FakeGuest::new(1 << 20);
    // SAFETY: a mapping of our own that the handler knows nothing of; the read is meant to fault.
    unsafe {
        let fd = std::os::fd::AsRawFd::as_raw_fd(guest.file());
        let at = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        assert_ne!(at, libc::MAP_FAILED);
        guest.truncate();
        std::ptr::read_volatile(at.cast::<u8>());
    }
    unreachable!("the read must fault");
}
