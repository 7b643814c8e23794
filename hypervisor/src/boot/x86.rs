//! bzImage by the 64-bit entry, ELF by the PVH entry.

use linux_loader::bootparam::boot_params;
use linux_loader::loader::KernelLoader;
use linux_loader::loader::bzimage::BzImage;
use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};
use linux_loader::loader::elf::{Elf, PvhBootCapability};
use vm_memory::{Address, ByteValued, GuestAddress};

use super::{Images, magic, place_initrd, write};
use crate::arch::Entry;
use crate::arch::layout::{
    COMMAND_LINE, COMMAND_LINE_MAX, CONVENTIONAL_END, KERNEL, PVH_INFO, TABLES, TABLES_SIZE, ZERO_PAGE,
};
use crate::plan::{Region, RegionKind};
use crate::vm::error::{Fault, refuse};
use crate::vm::memory::{Guest, Memory};

const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;
/// Linux gives it to the driver that asks: `dax_hmem`.
const E820_SOFT_RESERVED: u32 = 0xefff_ffff;
const E820_MAX: usize = 128;
const START_MAGIC: u32 = 0x336e_c578;

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
        refuse!("the command line must be under {COMMAND_LINE_MAX} bytes and without zeros");
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
    let mut add = |at, size, kind| map.push(Range { at, size, kind });
    for region in regions {
        let (at, size) = (region.guest_address, region.size);
        match region.kind {
            RegionKind::Ram if at == 0 && size > KERNEL => {
                add(0, CONVENTIONAL_END, E820_RAM);
                add(TABLES, TABLES_SIZE, E820_RESERVED);
                add(KERNEL, size - KERNEL, E820_RAM);
            }
            RegionKind::Ram => add(at, size, E820_RAM),
            RegionKind::Pool => add(at, size, E820_RESERVED),
            RegionKind::Window => add(at, size, E820_SOFT_RESERVED),
        }
    }
    if map.len() < 3 || map[0].at != 0 || map.len() > E820_MAX {
        refuse!("the RAM must start at 0, be larger than 1 MiB and have at most 126 regions");
    }
    Ok(map)
}

fn load_elf(ram: &Guest, mut images: Images, rsdp: u64, map: &[Range]) -> Result<Entry, Fault> {
    let kernel = Elf::load(ram, None, &mut images.kernel, Some(GuestAddress(KERNEL)))
        .map_err(|e| Fault::plan(format!("the kernel can't be loaded: {e}; is there enough memory?")))?;
    let PvhBootCapability::PvhEntryPresent(entry) = kernel.pvh_boot_cap else {
        refuse!("the kernel is an ELF without a PVH note (type 18): link one in, or take the bzImage");
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
    let modules_at = PVH_INFO + size_of::<hvm_start_info>() as u64;
    let info = hvm_start_info {
        magic: START_MAGIC,
        version: 1,
        nr_modules: module.is_some().into(),
        modlist_paddr: if module.is_some() { modules_at } else { 0 },
        cmdline_paddr: COMMAND_LINE,
        rsdp_paddr: rsdp,
        memmap_paddr: modules_at + size_of::<hvm_modlist_entry>() as u64,
        memmap_entries: u32::try_from(map.len()).unwrap_or(0),
        ..Default::default()
    };
    let (paddr, size) = module.unwrap_or_default();
    let module = hvm_modlist_entry {
        paddr,
        size,
        ..Default::default()
    };
    let mut bytes = [info.as_slice(), module.as_slice()].concat();
    for Range { at, size, kind } in map {
        let entry = hvm_memmap_table_entry {
            addr: *at,
            size: *size,
            type_: *kind,
            reserved: 0,
        };
        bytes.extend(entry.as_slice());
    }
    bytes
}

fn load_bzimage(ram: &Guest, mut images: Images, rsdp: u64, map: &[Range]) -> Result<Entry, Fault> {
    let kernel = BzImage::load(ram, None, &mut images.kernel, Some(GuestAddress(KERNEL)))
        .map_err(|e| Fault::plan(format!("the kernel is neither an ELF nor a bzImage that fits: {e}")))?;
    let Some(header) = kernel.setup_header else {
        refuse!("the bzImage has no setup header");
    };
    // XLF_KERNEL_64: without it there is no 64-bit entry at 0x200.
    if header.version < 0x20c || header.xloadflags & 1 == 0 {
        refuse!("the bzImage has no 64-bit entry (boot protocol 2.12): take a 64-bit kernel");
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
    write(ram, ZERO_PAGE, params.as_slice(), "zero page")?;
    Ok(Entry::Linux64(kernel.kernel_load.raw_value() + 0x200))
}

#[cfg(test)]
mod tests;
