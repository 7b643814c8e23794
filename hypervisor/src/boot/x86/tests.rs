//! Memory maps and boot parameters, as the guest finds them.

use std::fs::File;
use std::os::unix::fs::FileExt;

use vm_memory::Bytes;

use super::*;
use crate::plan::{Fds, Locked};
use crate::vm::memory::create;

const RAM: u64 = 16 << 20;

fn region(guest_address: u64, size: u64, kind: RegionKind) -> Region {
    Region {
        guest_address,
        size,
        fd: "ram".into(),
        offset: 0,
        kind,
        shared: false,
        dma: false,
        locked: Locked::No,
    }
}

fn memory() -> Memory {
    let mut fds = Fds::default();
    fds.insert("ram", create("test", RAM, false).unwrap().0);
    let window = region(1 << 32, 2 << 20, RegionKind::Window);
    let pool = region(0xb000_0000, 4096, RegionKind::Pool);
    Memory::map(&[region(0, RAM, RegionKind::Ram), pool, window], &fds).unwrap()
}

fn file(bytes: &[u8]) -> File {
    let file = File::from(create("image", bytes.len() as u64, false).unwrap().0);
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// A bzImage of one setup sector and 4 KiB, 64-bit.
fn bzimage() -> Vec<u8> {
    let mut bytes = vec![0; 1024 + 4096];
    bytes[0x1f1] = 1;
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    bytes[0x211] = 1;
    bytes[0x214..0x218].copy_from_slice(&0x10_0000_u32.to_le_bytes());
    bytes[0x22c..0x230].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    bytes[0x236] = 1;
    bytes[1024..].fill(0x90);
    bytes
}

/// An ELF of one segment with 16 bytes at 1 MiB and a PVH note.
pub fn elf(note_type: u32) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [0x10_0000_u64, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    for (kind, flags, at, address, size) in [(1_u32, 5_u32, 176_u64, 0x10_0000_u64, 16_u64), (4, 4, 192, 0, 20)] {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        for word in [at, address, address, size, size, 4] {
            bytes.extend(word.to_le_bytes());
        }
    }
    bytes.extend([0xf4; 16]);
    for word in [4, 4, note_type] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"Xen\0");
    bytes.extend(0x10_0000_u32.to_le_bytes());
    bytes
}

fn word(memory: &Memory, at: u64) -> u64 {
    memory.ram.read_obj(GuestAddress(at)).unwrap()
}

#[test]
fn a_bzimage_gets_its_zero_page() {
    let memory = memory();
    let images = Images {
        kernel: file(&bzimage()),
        initrd: Some(file(&[7; 5000])),
        cmdline: "quiet".into(),
    };

    let entry = load(&memory, images, 0xe_0000).unwrap();

    assert_eq!(entry, Entry::Linux64(0x10_0200));
    let params: boot_params = memory.ram.read_obj(GuestAddress(ZERO_PAGE)).unwrap();
    let (rsdp, entries, image) = (params.acpi_rsdp_addr, params.e820_entries, params.hdr.ramdisk_image);
    assert_eq!((rsdp, entries), (0xe_0000, 5));
    assert_eq!(u64::from(image), (RAM - 5000) & !0xfff);
    let kinds: Vec<u32> = params.e820_table[..5].iter().map(|entry| entry.r#type).collect();
    assert_eq!(kinds, [1, 2, 1, 2, E820_SOFT_RESERVED]);
    let mut text = [0; 6];
    memory.ram.read_slice(&mut text, GuestAddress(COMMAND_LINE)).unwrap();
    assert_eq!(&text, b"quiet\0");
}

#[test]
fn an_elf_gets_its_start_info() {
    let memory = memory();
    let images = Images {
        kernel: file(&elf(18)),
        initrd: Some(file(&[7; 5000])),
        cmdline: String::new(),
    };

    let entry = load(&memory, images, 0xe_0000).unwrap();

    assert_eq!(entry, Entry::Pvh(0x10_0000));
    let at = |offset| word(&memory, PVH_INFO + offset);
    assert_eq!(at(0), 0x336e_c578 | 1 << 32);
    assert_eq!(at(8) >> 32, 1, "one module");
    assert_eq!((at(24), at(32)), (COMMAND_LINE, 0xe_0000));
    let module = at(16);
    assert_eq!(
        (word(&memory, module), word(&memory, module + 8)),
        ((RAM - 5000) & !0xfff, 5000)
    );
    let map = at(40);
    assert_eq!(at(48) & 0xffff_ffff, 5);
    assert_eq!(
        (word(&memory, map + 4 * 24), word(&memory, map + 4 * 24 + 16)),
        (1 << 32, 0xefff_ffff)
    );
}

#[test]
fn what_is_no_kernel_or_does_not_fit_is_told_with_its_cure() {
    let mut old = bzimage();
    old[0x236] = 0;
    let cases: [(Vec<u8>, Option<File>, String, &str); 5] = [
        (vec![1; 2000], None, String::new(), "neither an ELF nor a bzImage"),
        (elf(1), None, String::new(), "without a PVH note"),
        (old, None, String::new(), "no 64-bit entry"),
        (
            elf(18),
            Some(file(&vec![0; RAM as usize])),
            String::new(),
            "give more memory",
        ),
        (elf(18), None, "x".repeat(5000), "command line"),
    ];
    for (kernel, initrd, cmdline, expected) in cases {
        let error = load(
            &memory(),
            Images {
                kernel: file(&kernel),
                initrd,
                cmdline,
            },
            0,
        )
        .unwrap_err()
        .to_string();

        assert!(error.contains(expected), "{error}");
    }
}
