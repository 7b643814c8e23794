//! The command line between the launcher and the supervisor it becomes:
//! `audiod supervise TAG.INDEX.SUB=FD … card=N hold=CODEC.RATE.PERIOD.LEAD ready=FD`.
//!
//! The launcher execs, so that nothing of what read the file is left in the process that must not die.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::silence::Hold;
use super::wire::Thing;
use super::{Inheritance, LINK_FD};

/// The arguments for an inheritance; its descriptors stay open over the exec.
///
/// # Errors
/// What `fcntl` says.
pub fn arguments(inheritance: Inheritance) -> io::Result<Vec<String>> {
    let mut arguments = vec!["supervise".to_owned()];
    for (thing, fd) in inheritance.things {
        arguments.push(format!("{}={}", thing.to_text(), keep_open(fd)?));
    }
    arguments.extend(inheritance.cards.iter().map(|codec| format!("card={codec}")));
    for hold in &inheritance.holds {
        let Hold {
            codec,
            rate,
            period,
            lead,
        } = hold;
        arguments.push(format!("hold={codec}.{rate}.{period}.{lead}"));
    }
    if let Some(fd) = inheritance.ready {
        arguments.push(format!("ready={}", keep_open(fd)?));
    }
    Ok(arguments)
}

/// Reads [`arguments`] back (without the first) and takes the descriptors.
///
/// # Errors
/// `InvalidInput` when somebody else wrote them.
pub fn inherit(arguments: impl Iterator<Item = String>) -> io::Result<Inheritance> {
    let mut inheritance = Inheritance::default();
    for argument in arguments {
        let wrong = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{argument}`: not from the launcher"),
            )
        };
        let (name, value) = argument.split_once('=').ok_or_else(wrong)?;
        let numbers: Result<Vec<u32>, _> = value.split('.').map(str::parse).collect();
        match (name, numbers.map_err(|_| wrong())?.as_slice()) {
            ("card", [codec]) => inheritance.cards.push(*codec),
            ("hold", &[codec, rate, period, lead]) => inheritance.holds.push(Hold {
                codec,
                rate,
                period,
                lead,
            }),
            ("ready", [fd]) => inheritance.ready = Some(take(*fd)?),
            (thing, [fd]) => {
                let thing = Thing::from_text(thing).ok_or_else(wrong)?;
                inheritance.things.push((thing, take(*fd)?));
            }
            _ => return Err(wrong()),
        }
    }
    hold_link_number()?;
    Ok(inheritance)
}

fn keep_open(fd: OwnedFd) -> io::Result<RawFd> {
    // SAFETY: a plain call on a descriptor we own.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd.into_raw_fd())
}

fn take(number: u32) -> io::Result<OwnedFd> {
    let raw = RawFd::try_from(number).map_err(io::Error::other)?;
    // SAFETY: a plain call; it fails for a number that is not open. Standard streams are nobody's to hand over.
    if raw <= 2 || unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("descriptor {raw} was not handed over"),
        ));
    }
    // SAFETY: open, and named once on a command line written by the launcher for this process alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A child's link is put at a fixed number between fork and exec; nothing that spawning needs must be there.
fn hold_link_number() -> io::Result<()> {
    // SAFETY: plain calls. The descriptor made is meant to stay for the process's life.
    unsafe {
        if libc::fcntl(LINK_FD, libc::F_GETFD) < 0 {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            if null < 0 || (null != LINK_FD && libc::dup3(null, LINK_FD, libc::O_CLOEXEC) < 0) {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inheritance_survives_the_command_line() {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let hold = Hold {
            codec: 0,
            rate: 48_000,
            period: 48,
            lead: 2,
        };
        let given = Inheritance {
            things: vec![(Thing::Plan, null()), (Thing::Listener(3), null())],
            cards: vec![1],
            holds: vec![hold],
            ready: Some(null()),
        };
        let text = arguments(given).unwrap();
        let back = inherit(text.into_iter().skip(1)).unwrap();
        let things: Vec<_> = back.things.iter().map(|(thing, _)| *thing).collect();
        assert_eq!((things, back.cards), (vec![Thing::Plan, Thing::Listener(3)], vec![1]));
        assert_eq!(back.holds, [hold]);
        assert!(back.ready.is_some());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "x=1", "0.0.0=1", "0.0.0=99999", "0.0=4", "card=-1", "hold=1.2.3"] {
            assert!(inherit([text.to_owned()].into_iter()).is_err(), "{text}");
        }
    }
}
