//! Values written as words: CPU lists, sizes, PCI addresses, port ranges.

use std::collections::BTreeSet;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::At;

/// Most CPUs a host can have here.
pub const MAX_CPUS: u32 = 1024;

/// CPUs by number.
pub type Cpus = BTreeSet<u32>;

/// Reads a CPU list as the kernel writes it: `0`, `1-3`, `0,2-3`.
///
/// # Errors
/// Why it is none.
pub fn cpus(text: &str) -> Result<Cpus, String> {
    let mut cpus = Cpus::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |word: &str| {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            let number = word.parse::<u32>().ok().filter(|&cpu| digits && cpu < MAX_CPUS);
            number.ok_or_else(|| format!("`{word}` is no CPU number; a list is written as `0,2-3`"))
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("`{part}` runs backwards"));
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// As [`cpus`] reads it.
pub fn list(cpus: &Cpus) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut cpus = cpus.iter().copied().peekable();
    while let Some(first) = cpus.next() {
        let mut last = first;
        while let Some(next) = cpus.next_if(|&next| next == last + 1) {
            last = next;
        }
        out.push(if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        });
    }
    out.join(",")
}

/// Reads a size: `64K`, `256M`, `2G`, powers of 1024.
///
/// # Errors
/// Why it is none.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write it as `256M` (K, M or G, powers of 1024)");
    let (digits, shift) = match text.chars().last() {
        Some('K') => (&text[..text.len() - 1], 10),
        Some('M') => (&text[..text.len() - 1], 20),
        Some('G') => (&text[..text.len() - 1], 30),
        _ => return Err(wrong()),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A size as people write it.
pub fn sized(bytes: u64) -> String {
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

/// A PCI address in full: domain, bus, device (below 32), function (below 8); as the kernel writes it.
pub fn pci(text: &str) -> Result<String, String> {
    let (form, bytes) = (b"hhhh:hh:hh.h", text.as_bytes());
    let fits = |(byte, form): (&u8, &u8)| byte == form || *form == b'h' && byte.is_ascii_hexdigit();
    let good = bytes.len() == form.len() && bytes.iter().zip(form).all(fits);
    let good = good && bytes[8] < b'2' && bytes[11] < b'8';
    let wrong = || format!("`{text}` is no PCI address; write it in full, as `0000:00:1f.3`");
    good.then(|| text.to_lowercase()).ok_or_else(wrong)
}

/// Reads I/O ports: `0x70` or `0x70-0x77`; the first and the last.
///
/// # Errors
/// Why they are none.
pub fn ports(text: &str) -> Result<(u16, u16), String> {
    let port = |word: &str| {
        let hex = word.strip_prefix("0x")?;
        let plain = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(hex, 16).ok().filter(|_| plain)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(format!(
            "`{text}` is no range of I/O ports; write it as `0x70` or `0x70-0x77`"
        )),
    }
}

/// A value that is written as a text.
pub(super) trait Word: Sized {
    /// What the text says; why it says nothing.
    fn read(text: &str) -> Result<Self, String>;
}

macro_rules! read_by {
    ($($value:ty: $read:ident),*) => {
        $(impl Word for $value {
            fn read(text: &str) -> Result<Self, String> {
                $read(text)
            }
        })*
    };
}

read_by!(Cpus: cpus, u64: size, String: pci, (u16, u16): ports);

fn read<T: Word, E: Error>(text: &At<String>) -> Result<At<T>, E> {
    let value = T::read(text).map_err(E::custom)?;
    Ok(At::new(value, text.span))
}

/// Reads a key's value.
pub(super) fn word<'de, D: Deserializer<'de>, T: Word>(from: D) -> Result<At<T>, D::Error> {
    read(&At::deserialize(from)?)
}

/// Reads the value of a key that may be left out.
pub(super) fn some_word<'de, D: Deserializer<'de>, T: Word>(from: D) -> Result<Option<At<T>>, D::Error> {
    word(from).map(Some)
}

/// Reads a list of values.
pub(super) fn words<'de, D: Deserializer<'de>, T: Word>(from: D) -> Result<Vec<At<T>>, D::Error> {
    Vec::deserialize(from)?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_list_is_read_and_written_as_the_kernel_does() {
        for text in ["0", "0,2-3", "1-1023"] {
            assert_eq!(list(&cpus(text).unwrap()), text);
        }
        for wrong in ["", "a", "3-1", "1024", "0-", "-1", "0,,1"] {
            assert!(cpus(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_a_unit_and_fit() {
        assert_eq!(
            (size("64K"), size("256M"), size("2G")),
            (Ok(65536), Ok(256 << 20), Ok(2 << 30))
        );
        for wrong in ["", "M", "256", "1.5G", "-1M", "99999999999G", "256MB", "ä"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (sized(3 << 20), sized(1 << 30), sized(5)),
            ("3M".into(), "1G".into(), "5 bytes".into())
        );
    }

    #[test]
    fn pci_addresses_and_ports_are_read_in_full_only() {
        assert_eq!(pci("0000:00:1F.3").unwrap(), "0000:00:1f.3");
        for wrong in [
            "00:1f.3",
            "0000:00:20.0",
            "0000:00:1f.8",
            "0000:00:1f",
            "",
            "0000:+1:1f.3",
        ] {
            assert!(pci(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (ports("0x70-0x77"), ports("0xe9")),
            (Ok((0x70, 0x77)), Ok((0xe9, 0xe9)))
        );
        for wrong in ["70", "0x77-0x70", "0x10000", "", "0x1-"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
