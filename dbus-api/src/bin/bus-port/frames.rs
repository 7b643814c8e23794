//! What a guest says to the bus, looked at for one thing: how long its messages are. The bus keeps a message until it is whole,
//! so a guest that announces a large one and never ends it would fill the service VM's memory.

/// Longest message of a guest, bytes; the longest call of AudioManager's interfaces has a few thousand.
pub const LONGEST: u64 = 64 << 10;
/// Bytes of a message that say how long it is.
const HEAD: usize = 16;

/// Where one message ends and the next begins.
#[derive(Debug, Default)]
pub struct Frames {
    head: Vec<u8>,
    /// Of the message whose head is known.
    left: u64,
}

impl Frames {
    /// Goes over the next bytes.
    ///
    /// # Errors
    /// They are no message, or one that is too long.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            let wanted = (HEAD - self.head.len()).min(bytes.len());
            self.head.extend(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            if self.head.len() == HEAD {
                self.left = rest(&self.head)?;
                self.head.clear();
            }
        }
        Ok(())
    }
}

/// Bytes of a message after its head.
fn rest(head: &[u8]) -> Result<u64, &'static str> {
    let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
    let number = match head[0] {
        b'l' => u32::from_le_bytes,
        b'B' => u32::from_be_bytes,
        _ => return Err("no message"),
    };
    let (body, fields) = (u64::from(number(word(4))), u64::from(number(word(12))));
    let rest = fields.next_multiple_of(8) + body;
    let whole = HEAD as u64 + rest;
    (whole <= LONGEST).then_some(rest).ok_or("a message that is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(order: u8, fields: u32, body: u32) -> Vec<u8> {
        let bytes = |number: u32| {
            if order == b'l' {
                number.to_le_bytes()
            } else {
                number.to_be_bytes()
            }
        };
        let head = [[order, 1, 0, 1], bytes(body), bytes(7), bytes(fields)].concat();
        // Filled with what would be refused as a head.
        let rest = u64::from(fields).next_multiple_of(8) + u64::from(body);
        [head, vec![0xff; rest.min(LONGEST) as usize]].concat()
    }

    #[test]
    fn messages_of_both_orders_pass_in_any_pieces() {
        let said = [message(b'l', 13, 5), message(b'B', 8, 0), message(b'l', 0, 65_520)].concat();
        for piece in [1, 7, 16, said.len()] {
            let mut frames = Frames::default();
            assert!(said.chunks(piece).all(|piece| frames.take(piece).is_ok()), "{piece}");
        }
    }

    #[test]
    fn what_is_no_message_or_longer_than_any_call_is_refused_by_its_head() {
        let (garbage, long, longest) = ([0xff; HEAD], message(b'l', 8, 65_520), message(b'B', u32::MAX - 7, 0));
        for said in [&garbage[..], &long[..HEAD], &longest[..HEAD]] {
            assert!(Frames::default().take(said).is_err());
        }
    }
}
