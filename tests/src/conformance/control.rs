//! Rows 12-17: control elements.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Outcome, Target, Verdict, fail, judge, vacuous};
use crate::frontend::proto::{F_CTLS, S_OK, code, word, words};
use crate::frontend::{FrontendError, SoundFrontend};

const SIZE: u32 = 96;
const READ: u32 = 1;
const WRITE: u32 = 2;
const TLV_READ: u32 = 16;
const ENUMERATED: u32 = 3;
const LIMITS: [u32; 6] = [128, 128, 64, 128, 512, 1];

#[derive(Debug)]
struct Element {
    id: u32,
    role: u32,
    kind: u32,
    access: u32,
    count: u32,
    index: u32,
    name: Vec<u8>,
    items: u32,
}

/// The elements, or why there are none to judge.
fn elements(fe: &mut SoundFrontend) -> Result<Result<Vec<Element>, Verdict>, FrontendError> {
    if fe.negotiated.acked & F_CTLS == 0 {
        return Ok(Err(Verdict::Vacuous("VIRTIO_SND_F_CTLS is not offered".into())));
    }
    let total = fe.config[3];
    let mut all = Vec::new();
    while (all.len() as u32) < total {
        let start = all.len() as u32;
        let count = (total - start).min(64);
        let reply = fe.info(code::CTL_INFO, start, count, SIZE)?;
        if reply.status() != S_OK {
            return Err(FrontendError::Refused {
                what: "CTL_INFO".into(),
                status: reply.status(),
            });
        }
        all.extend(
            reply.bytes[4..]
                .chunks(SIZE as usize)
                .enumerate()
                .map(|(i, b)| Element {
                    id: start + i as u32,
                    role: word(b, 4),
                    kind: word(b, 8),
                    access: word(b, 12),
                    count: word(b, 16),
                    index: word(b, 20),
                    name: b[24..68].to_vec(),
                    items: word(b, 72),
                }),
        );
    }
    Ok(if all.is_empty() {
        Err(Verdict::Vacuous("no control elements".into()))
    } else {
        Ok(all)
    })
}

fn each(target: &Target, check: impl Fn(&Element) -> Option<String>) -> Outcome {
    let mut fe = target.connect()?;
    match elements(&mut fe)? {
        Err(verdict) => Ok(verdict),
        Ok(all) => judge(
            all.iter()
                .filter_map(|e| Some(format!("element {}: {}", e.id, check(e)?)))
                .collect(),
        ),
    }
}

/// Row 12: role, type and access are defined values.
pub fn defined(target: &Target) -> Outcome {
    each(target, |e| {
        (e.role > 3 || e.kind > 5 || e.access & !0x7f != 0)
            .then(|| format!("role {} type {} access {:#x}", e.role, e.kind, e.access))
    })
}

/// Row 13: 1 to 128 values (boolean, integer, enumerated), 64 (integer64), 512 (bytes), 1 (IEC958).
pub fn count(target: &Target) -> Outcome {
    each(target, |e| {
        let limit = LIMITS.get(e.kind as usize).copied().unwrap_or(128);
        (e.count == 0 || e.count > limit).then(|| format!("{} values of type {}", e.count, e.kind))
    })
}

fn bad_name(name: &[u8]) -> bool {
    let end = name.iter().position(|b| *b == 0);
    end.is_none_or(|end| end == 0 || !name[..end].iter().all(|b| (0x20..0x7f).contains(b)))
}

/// Row 14: names of elements and of enumerated items are printable ASCII with a terminating 0.
pub fn names(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let all = match elements(&mut fe)? {
        Err(verdict) => return Ok(verdict),
        Ok(all) => all,
    };
    let mut complaints = Vec::new();
    for e in &all {
        if bad_name(&e.name) {
            complaints.push(format!("element {}: name {:?}", e.id, String::from_utf8_lossy(&e.name)));
        }
        if e.kind == ENUMERATED {
            let reply = fe.control(
                &words(&[code::CTL_ENUM_ITEMS, e.id]),
                4 + 64 * e.items.min(128) as usize,
            )?;
            let bad = reply.bytes[4..].chunks(64).filter(|item| bad_name(item)).count();
            if reply.status() != S_OK || bad > 0 {
                complaints.push(format!(
                    "element {}: status {:#x}, {bad} bad items",
                    e.id,
                    reply.status()
                ));
            }
        }
    }
    judge(complaints)
}

/// Row 15: no two elements share name and index.
pub fn unique(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    match elements(&mut fe)? {
        Err(verdict) => Ok(verdict),
        Ok(all) => {
            let mut seen = BTreeSet::new();
            let double = all.iter().filter(|e| !seen.insert((e.name.clone(), e.index)));
            judge(
                double
                    .map(|e| format!("element {} repeats a name and index", e.id))
                    .collect(),
            )
        }
    }
}

/// Row 16: a TLV_READ with room for 4 bytes of the TLV succeeds and writes no more than those.
pub fn short_tlv(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let all = match elements(&mut fe)? {
        Err(verdict) => return Ok(verdict),
        Ok(all) => all,
    };
    let readable: Vec<_> = all.iter().filter(|e| e.access & TLV_READ != 0).collect();
    if readable.is_empty() {
        return vacuous("no element offers TLV_READ");
    }
    let mut complaints = Vec::new();
    for e in readable {
        let whole = fe.control(&words(&[code::CTL_TLV_READ, e.id]), 4 + 4096)?;
        let short = fe.control(&words(&[code::CTL_TLV_READ, e.id]), 4 + 4)?;
        if short.status() != S_OK || short.used != 8 || whole.bytes[4..8] != short.bytes[4..8] {
            complaints.push(format!(
                "element {}: status {:#x}, used {}",
                e.id,
                short.status(),
                short.used
            ));
        }
    }
    judge(complaints)
}

/// Row 17: every CTL_NOTIFY has a nonzero mask of VALUE, INFO, TLV bits and a known element. Provoked by writing each
/// writable element (changed and restored) and by the `--provoke` command; vacuous if no notification came.
pub fn event_mask(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let all = match elements(&mut fe)? {
        Err(verdict) => return Ok(verdict),
        Ok(all) => all,
    };
    for e in all.iter().filter(|e| e.access & (READ | WRITE) == READ | WRITE) {
        toggle(&mut fe, e)?;
    }
    if let Some(command) = &target.provoke {
        let status = std::process::Command::new("sh").arg("-c").arg(command).status()?;
        if !status.success() {
            return fail(format!("the --provoke command ended with {status}"));
        }
    }
    let end = Instant::now() + Duration::from_millis(300);
    let mut notes = Vec::new();
    while Instant::now() < end {
        notes.extend(fe.events().into_iter().filter(|(c, _)| *c == code::EVT_CTL_NOTIFY));
        fe.pause(crate::frontend::proto::EVENTQ, end);
    }
    if notes.is_empty() {
        return vacuous("no CTL_NOTIFY was sent (see --provoke)");
    }
    let wrong = notes
        .iter()
        .filter(|(_, data)| data >> 16 == 0 || data >> 16 & !7 != 0 || data & 0xffff >= fe.config[3]);
    judge(
        wrong
            .map(|(_, data)| format!("element {} mask {:#x}", data & 0xffff, data >> 16))
            .collect(),
    )
}

fn toggle(fe: &mut SoundFrontend, e: &Element) -> Result<(), FrontendError> {
    let old = fe.control(&words(&[code::CTL_READ, e.id]), 4 + 512)?;
    if old.status() != S_OK {
        return Ok(());
    }
    let value = old.bytes[4..].to_vec();
    let mut changed = value.clone();
    changed[0] = if changed[0] == 0 { 1 } else { changed[0] - 1 };
    for value in [changed, value] {
        let mut request = words(&[code::CTL_WRITE, e.id]);
        request.extend(value);
        let _refused = fe.control(&request, 4)?;
    }
    Ok(())
}
