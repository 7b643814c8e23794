//! The file: one line, `carillon-state VERSION LENGTH CHECKSUM`, then LENGTH bytes with that CRC-32 (eight hexadecimal digits).
//! A header that is not exactly as this program would write it for these bytes is damage.

/// Largest body, bytes.
pub const MAX_BYTES: usize = 1 << 20;

const MAGIC: &str = "carillon-state";
const VERSION: u32 = 1;
/// No header is longer.
const MAX_HEADER: usize = 64;

/// Why a file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// No header of ours.
    #[error("it does not begin as a state file does")]
    NotOurs,
    /// Written by another version of this program.
    #[error("it has version {found}, this program reads version {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Cut short, or more than was written.
    #[error("it has {found} bytes where its header says {said}")]
    Length {
        /// As its header says.
        said: usize,
        /// There are.
        found: usize,
    },
    /// Not what was written.
    #[error("its checksum is wrong")]
    Checksum,
}

/// The whole file for a body.
pub fn seal(body: &[u8]) -> Vec<u8> {
    let mut bytes = header(body).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn header(body: &[u8]) -> String {
    format!("{MAGIC} {VERSION} {} {:08x}\n", body.len(), crc32fast::hash(body))
}

/// The body of a whole file.
///
/// # Errors
/// Why it can't be used.
pub fn open(bytes: &[u8]) -> Result<&[u8], Damage> {
    let end = bytes.iter().take(MAX_HEADER).position(|&byte| byte == b'\n');
    let (line, rest) = bytes.split_at(end.ok_or(Damage::NotOurs)?);
    let body = rest.get(1..).unwrap_or_default();
    let line = str::from_utf8(line).map_err(|_| Damage::NotOurs)?;
    let mut words = line.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(Damage::NotOurs);
    }
    let mut number = || {
        words
            .next()
            .and_then(|word| word.parse::<u32>().ok())
            .ok_or(Damage::NotOurs)
    };
    let version = number()?;
    if version != VERSION {
        return Err(Damage::Version { found: version });
    }
    let said = number()? as usize;
    if said != body.len() {
        return Err(Damage::Length {
            said,
            found: body.len(),
        });
    }
    if header(body).trim_end() == line {
        Ok(body)
    } else {
        Err(Damage::Checksum)
    }
}
