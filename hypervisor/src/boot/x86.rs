//! bzImage by the 64-bit entry, ELF by the PVH entry.

use linux_loader::bootparam::boot_params;
use linux_loader::loader::KernelLoader;
use linux_loader::loader::bzimage::BzImage;
use linux_loader::loader::elf::{Elf, PvhBootCapability};
use vm_memory::{Address, GuestAddress};

use super::{Images, magic, place_initrd, write};
use crate::arch::Entry;
use crate::arch::layout::{
    COMMAND_LINE, COMMAND_LINE_MAX, CONVENTIONAL_END, KERNEL, PVH_INFO, TABLES, TABLES_SIZE, ZERO_PAGE,
};
use crate::plan::{Region, RegionKind};
use crate::vm::error::Fault;
use crate::vm::memory::{Guest, Memory};

const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;
/// Linux gives it to the driver that asks: `dax_hmem`.
const E820_SOFT_RESERVED: u32 = 0xefff_ffff;
const E820_MAX: usize = 128;

/// One range of the memory map both protocols hand over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Range {
    at: u64,
    size: u64,
    kind: u32,
}

/// Loads everything and tells where to start; `rsdp` is where the ACPI tables are.
pub(crate) fn load(memory: &Memory, images: Images, rsdp: u64) -> Result<Entry, Fault> {
    let ram = &memory.ram;
    let command_line = images.cmdline.as_bytes();
    if command_line.len() >= COMMAND_LINE_MAX || command_line.contains(&0) {
        return Err(Fault::plan(format!(
            "the command line must be under {COMMAND_LINE_MAX} bytes and without zeros"
        )));
    }
    write(ram, COMMAND_LINE, &[command_line, &[0]].concat(), "command line")?;
    let map = memory_map(&memory.map)?;
    if magic(&images.kernel)? == *b"\x7fELF" {
        load_elf(ram, images, rsdp, &map)
    } else {
        load_bzimage(ram, images, rsdp, &map)
    }
}

fn memory_map(regions: &[Region]) -> Result<Vec<Range>, Fault> {
    let mut map = Vec::new();
    for region in regions {
        let (at, size) = (region.guest_address, region.size);
        match region.kind {
            RegionKind::Ram if at == 0 && size > KERNEL => {
                map.push(Range {
                    at: 0,
                    size: CONVENTIONAL_END,
                    kind: E820_RAM,
                });
                map.push(Range {
                    at: TABLES,
                    size: TABLES_SIZE,
                    kind: E820_RESERVED,
                });
                map.push(Range {
                    at: KERNEL,
                    size: size - KERNEL,
                    kind: E820_RAM,
                });
            }
            RegionKind::Ram => map.push(Range {
                at,
                size,
                kind: E820_RAM,
            }),
            RegionKind::Pool => map.push(Range {
                at,
                size,
                kind: E820_RESERVED,
            }),
            RegionKind::Window => map.push(Range {
                at,
                size,
                kind: E820_SOFT_RESERVED,
            }),
        }
    }
    if map.len() < 3 || map[0].at != 0 || map.len() > E820_MAX {
        return Err(Fault::plan(
            "the RAM must start at 0, be larger than 1 MiB and have at most 126 regions",
        ));
    }
    Ok(map)
}

fn load_elf(ram: &Guest, mut images: Images, rsdp: u64, map: &[Range]) -> Result<Entry, Fault> {
    let kernel = Elf::load(ram, None, &mut images.kernel, Some(GuestAddress(KERNEL)))
        .map_err(|e| Fault::plan(format!("the kernel can't be loaded: {e}; is there enough memory?")))?;
    let PvhBootCapability::PvhEntryPresent(entry) = kernel.pvh_boot_cap else {
        return Err(Fault::plan(
            "the kernel is an ELF without a PVH note (type 18): link one in, or take the bzImage",
        ));
    };
    let module = images
        .initrd
        .map(|file| place_initrd(ram, file, u64::from(u32::MAX)))
        .transpose()?;
    write(ram, PVH_INFO, &start_info(rsdp, map, module), "start info")?;
    Ok(Entry::Pvh(entry.raw_value()))
}

/// `hvm_start_info`, the module list (one entry) and the memory map, one after the other (xen.git
/// xen/include/public/arch-x86/hvm/start_info.h).
fn start_info(rsdp: u64, map: &[Range], module: Option<(u64, u64)>) -> Vec<u8> {
    const HEADER: u64 = 56;
    const MODULE: u64 = 32;
    let modules_at = if module.is_some() { PVH_INFO + HEADER } else { 0 };
    let mut bytes = Vec::new();
    for word in [0x336e_c578, 1, 0, u32::from(module.is_some())] {
        bytes.extend(u32::to_le_bytes(word));
    }
    for word in [modules_at, COMMAND_LINE, rsdp, PVH_INFO + HEADER + MODULE] {
        bytes.extend(u64::to_le_bytes(word));
    }
    bytes.extend(u32::try_from(map.len()).unwrap_or(0).to_le_bytes());
    bytes.extend([0; 4]);
    let (at, size) = module.unwrap_or_default();
    for word in [at, size, 0, 0] {
        bytes.extend(u64::to_le_bytes(word));
    }
    for range in map {
        bytes.extend(range.at.to_le_bytes());
        bytes.extend(range.size.to_le_bytes());
        bytes.extend(range.kind.to_le_bytes());
        bytes.extend([0; 4]);
    }
    bytes
}

fn load_bzimage(ram: &Guest, mut images: Images, rsdp: u64, map: &[Range]) -> Result<Entry, Fault> {
    let kernel = BzImage::load(ram, None, &mut images.kernel, Some(GuestAddress(KERNEL)))
        .map_err(|e| Fault::plan(format!("the kernel is neither an ELF nor a bzImage that fits: {e}")))?;
    let Some(header) = kernel.setup_header else {
        return Err(Fault::plan("the bzImage has no setup header"));
    };
    // XLF_KERNEL_64: without it there is no 64-bit entry at 0x200.
    if header.version < 0x20c || header.xloadflags & 1 == 0 {
        return Err(Fault::plan(
            "the bzImage has no 64-bit entry (boot protocol 2.12): take a 64-bit kernel",
        ));
    }
    let limit = u64::from(header.initrd_addr_max);
    let mut params = boot_params {
        hdr: header,
        ..Default::default()
    };
    params.hdr.type_of_loader = 0xff;
    params.hdr.cmd_line_ptr = COMMAND_LINE as u32;
    params.hdr.cmdline_size = images.cmdline.len() as u32;
    params.acpi_rsdp_addr = rsdp;
    if let Some(file) = images.initrd {
        let (at, size) = place_initrd(ram, file, limit)?;
        (params.hdr.ramdisk_image, params.ext_ramdisk_image) = (at as u32, (at >> 32) as u32);
        (params.hdr.ramdisk_size, params.ext_ramdisk_size) = (size as u32, (size >> 32) as u32);
    }
    for (entry, range) in params.e820_table.iter_mut().zip(map) {
        (entry.addr, entry.size, entry.r#type) = (range.at, range.size, range.kind);
    }
    params.e820_entries = u8::try_from(map.len()).unwrap_or(0);
    write(ram, ZERO_PAGE, vm_memory::ByteValued::as_slice(&params), "zero page")?;
    Ok(Entry::Linux64(kernel.kernel_load.raw_value() + 0x200))
}

#[cfg(test)]
mod tests;
