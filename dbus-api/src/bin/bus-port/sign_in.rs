//! The first lines of a D-Bus connection, answered here: whoever the guest says it is, it is the user of this process.
//!
//! ```text
//!  First ──NUL──► Named ──AUTH EXTERNAL──► Asked ──DATA──► Accepted ──BEGIN──► messages
//!                  │  ▲                                        ▲
//!                  │  └── CANCEL, ERROR, other mechanisms      │
//!                  └──AUTH EXTERNAL who─────────────────────────┘
//! ```
//! The bus is connected to when the guest is accepted. Descriptors can't come by vsock: NEGOTIATE_UNIX_FD is refused.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Uid;

/// Longest line, bytes.
const MOST: usize = 512;
/// Most lines; a client needs four.
const LINES: usize = 16;
/// How long the bus may take.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    First,
    Named,
    Asked,
    Accepted,
}

/// A guest's connection before its first message.
#[derive(Debug, Default)]
pub struct SignIn {
    state: State,
    line: Vec<u8>,
    lines: usize,
    bus: Option<UnixStream>,
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What no client says.
    #[error("no D-Bus client: {0}")]
    Nonsense(&'static str),
    /// The bus would not have us.
    #[error("the bus: {0}")]
    Bus(#[from] io::Error),
}

impl SignIn {
    /// Takes what the guest said, appends the answers; once it is through, the bus and what came after BEGIN.
    ///
    /// # Errors
    /// It is no client, or `connect` (the bus and its GUID) fails.
    pub fn take(
        &mut self,
        bytes: &[u8],
        answers: &mut Vec<u8>,
        connect: impl Fn() -> io::Result<(UnixStream, String)>,
    ) -> Result<Option<(UnixStream, Vec<u8>)>, Refused> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.state == State::First {
                if *byte != 0 {
                    return Err(Refused::Nonsense("no NUL at the start"));
                }
                self.state = State::Named;
                continue;
            }
            if self.line.len() == MOST {
                return Err(Refused::Nonsense("a line without an end"));
            }
            self.line.push(*byte);
            if !self.line.ends_with(b"\r\n") {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            self.lines += 1;
            if self.lines > LINES {
                return Err(Refused::Nonsense("it never begins"));
            }
            if line == b"BEGIN\r\n" {
                let bus = self.bus.take().filter(|_| self.state == State::Accepted);
                let bus = bus.ok_or(Refused::Nonsense("BEGIN before OK"))?;
                return Ok(Some((bus, bytes[at + 1..].to_vec())));
            }
            self.answer(&line[..line.len() - 2], answers, &connect)?;
        }
        Ok(None)
    }

    fn answer(
        &mut self,
        line: &[u8],
        answers: &mut Vec<u8>,
        connect: impl Fn() -> io::Result<(UnixStream, String)>,
    ) -> Result<(), Refused> {
        let mut words = line.split(|byte| *byte == b' ');
        let (command, mechanism, said) = (words.next(), words.next(), words.next());
        match (&self.state, command, mechanism) {
            (State::Named, Some(b"AUTH"), Some(b"EXTERNAL")) if said.is_none() => {
                self.state = State::Asked;
                answers.extend(b"DATA\r\n");
            }
            (State::Named, Some(b"AUTH"), Some(b"EXTERNAL")) | (State::Asked, Some(b"DATA"), _) => {
                let (bus, guid) = connect()?;
                (self.bus, self.state) = (Some(bus), State::Accepted);
                answers.extend(format!("OK {guid}\r\n").bytes());
            }
            (_, Some(b"AUTH" | b"CANCEL" | b"ERROR"), _) => {
                (self.bus, self.state) = (None, State::Named);
                answers.extend(b"REJECTED EXTERNAL\r\n");
            }
            _ => answers.extend(b"ERROR\r\n"),
        }
        Ok(())
    }
}

/// Connects to the bus and signs in as this process's user; the bus's GUID comes with it.
///
/// # Errors
/// It isn't there, doesn't answer in time, or refuses this user.
pub fn connect(path: &Path) -> io::Result<(UnixStream, String)> {
    let mut bus = UnixStream::connect(path)?;
    bus.set_read_timeout(Some(PATIENCE))?;
    bus.set_write_timeout(Some(PATIENCE))?;
    let user = Uid::effective().to_string();
    let hex: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
    bus.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
    let (mut line, mut byte) = (Vec::new(), [0]);
    // A byte at a time, since what follows is the guest's; it is one short line.
    while !line.ends_with(b"\r\n") && line.len() < MOST {
        bus.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line);
    let guid = line.strip_prefix("OK ").map(|guid| guid.trim_end().to_owned());
    let guid = guid.ok_or_else(|| io::Error::other(format!("it said {}", line.trim_end())))?;
    bus.write_all(b"BEGIN\r\n")?;
    bus.set_nonblocking(true)?;
    Ok((bus, guid))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn bus() -> io::Result<(UnixStream, String)> {
        Ok((UnixStream::pair()?.0, "0123".to_owned()))
    }

    /// What is answered, and what is left for the bus if it came so far.
    fn talk(pieces: &[&[u8]]) -> Result<(String, Option<Vec<u8>>), Refused> {
        let (mut sign_in, mut answers) = (SignIn::default(), Vec::new());
        for (at, piece) in pieces.iter().enumerate() {
            if let Some((_, rest)) = sign_in.take(piece, &mut answers, bus)? {
                let rest = [&[rest.as_slice()], &pieces[at + 1..]].concat().concat();
                return Ok((String::from_utf8(answers).unwrap(), Some(rest)));
            }
        }
        Ok((String::from_utf8(answers).unwrap(), None))
    }

    #[test]
    fn a_client_is_accepted_as_whoever_it_says_it_is_and_its_first_message_is_left_whole() {
        // libdbus and zbus, line by line; sd-bus, all at once.
        let libdbus: [&[u8]; 4] = [
            b"\0AUTH EXTERNAL 30\r\n",
            b"NEGOTIATE_UNIX_FD\r\n",
            b"BEGIN\r\nl\x01",
            b"\0",
        ];
        let sd_bus: [&[u8]; 1] = [b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\nl\x01\0"];

        assert_eq!(
            talk(&libdbus).unwrap(),
            ("OK 0123\r\nERROR\r\n".to_owned(), Some(b"l\x01\0".to_vec()))
        );
        assert_eq!(
            talk(&sd_bus).unwrap(),
            ("DATA\r\nOK 0123\r\nERROR\r\n".to_owned(), Some(b"l\x01\0".to_vec()))
        );
    }

    #[test]
    fn other_mechanisms_are_rejected_and_another_try_is_heard() {
        let said = b"\0AUTH\r\nAUTH ANONYMOUS 00\r\nAUTH EXTERNAL\r\nCANCEL\r\nDATA\r\nAUTH EXTERNAL 31\r\n";

        let (answers, through) = talk(&[said]).unwrap();

        assert_eq!(
            answers,
            "REJECTED EXTERNAL\r\nREJECTED EXTERNAL\r\nDATA\r\nREJECTED EXTERNAL\r\nERROR\r\nOK 0123\r\n"
        );
        assert_eq!(through, None);
    }

    #[test]
    fn what_no_client_says_ends_the_connection() {
        let endless = [b"\0".as_slice(), &[b'a'; MOST + 1]].concat();
        let chatter = [b"\0".as_slice(), &b"AUTH\r\n".repeat(LINES + 1)].concat();
        for said in [
            b"l\x01".as_slice(),
            b"\0BEGIN\r\n",
            b"\0AUTH EXTERNAL\r\nBEGIN\r\n",
            &endless,
            &chatter,
        ] {
            assert!(matches!(talk(&[said]), Err(Refused::Nonsense(_))), "{said:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_answered_alike_or_refused(
            words in prop::collection::vec(prop::sample::select(vec![
                "\0", "AUTH", " ", "EXTERNAL", "30", "\r\n", "DATA", "BEGIN", "CANCEL", "\r", "\n", "é",
            ]), 0..40),
            cut in 0_usize..80,
        ) {
            let said = words.concat().into_bytes();
            let cut = cut.min(said.len());
            let whole = talk(&[&said]);
            let pieces = talk(&[&said[..cut], &said[cut..]]);
            prop_assert_eq!(format!("{:?}", whole), format!("{:?}", pieces));
        }
    }
}
