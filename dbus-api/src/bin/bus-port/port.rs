//! A guest's port: lets its connections in, and nobody else's, and carries them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::address::Address;
use super::pair::{Over, Pair};

/// Most connections of a guest at a time.
pub const MOST: usize = 16;
/// Attempts that are looked at before those that are connected have their turn.
const TURN: usize = 64;
/// Between two lines of the log: a guest must not be able to fill it.
const QUIET: Duration = Duration::from_secs(10);

/// Where connections go on.
#[derive(Clone, Debug)]
pub enum Target {
    /// As they are.
    Address(Address),
    /// To the bus at this path, signed in.
    Bus(PathBuf),
}

/// See the module.
pub struct Port {
    address: Address,
    listener: OwnedFd,
    from: u32,
    target: Target,
    pairs: Vec<Pair>,
    strangers: Told,
    failures: Told,
}

/// Connections that came to nothing: how many since the last line of the log, and when that was.
#[derive(Default)]
struct Told {
    count: usize,
    last: Option<Instant>,
}

impl Port {
    /// Listens at `address` for `from` alone.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(address: &Address, from: u32, target: Target) -> io::Result<Self> {
        Ok(Self {
            address: address.clone(),
            listener: address.listen()?,
            from,
            target,
            pairs: Vec::new(),
            strangers: Told::default(),
            failures: Told::default(),
        })
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// The system has no more of something.
    pub fn serve(&mut self) -> io::Result<()> {
        loop {
            self.turn()?;
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        let ready = self.wait()?;
        let (now, target) = (Instant::now(), self.target.clone());
        let mut over = Vec::new();
        let mut ready = ready.into_iter();
        let news = ready.next().unwrap_or(false);
        self.pairs.retain_mut(|pair| {
            let there = ready.next().unwrap_or(false);
            let done = if there { pair.go_on(&target) } else { Ok(()) };
            let late = pair.until().is_some_and(|until| until <= now);
            match done {
                Err(Over(cause)) => over.extend(cause),
                Ok(()) if late => over.push("it was not through in time".to_owned()),
                Ok(()) => return true,
            }
            false
        });
        for cause in over {
            self.failures.tell(&self.address, &cause);
        }
        if news {
            self.admit()?;
        }
        Ok(())
    }

    /// Whether there is something at the listener, and at each pair.
    fn wait(&self) -> io::Result<Vec<bool>> {
        let mut entries = vec![PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        // Which pair an entry is of.
        let mut owners = vec![0];
        for (at, pair) in self.pairs.iter().enumerate() {
            for (fd, flags) in pair.waits().into_iter().flatten() {
                entries.push(PollFd::new(fd, flags));
                owners.push(at + 1);
            }
        }
        let next = self.pairs.iter().filter_map(Pair::until).min();
        let timeout = next.map_or(PollTimeout::NONE, |next| {
            let ms = next.saturating_duration_since(Instant::now()).as_millis() + 1;
            PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut entries, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = vec![false; self.pairs.len() + 1];
        for (entry, owner) in entries.iter().zip(owners) {
            ready[owner] |= entry.any() != Some(false);
        }
        Ok(ready)
    }

    fn admit(&mut self) -> io::Result<()> {
        for _ in 0..TURN {
            let Some((guest, peer)) = self.address.accept(self.listener.as_fd())? else {
                break;
            };
            if peer != self.from {
                self.strangers
                    .tell(&self.address, &format!("{peer} is not {}", self.from));
            } else if self.pairs.len() == MOST {
                self.failures.tell(&self.address, &format!("it has {MOST} connections"));
            } else {
                match Pair::new(guest, &self.target) {
                    Ok(pair) => self.pairs.push(pair),
                    Err(error) => self.failures.tell(&self.address, &format!("not carried on: {error}")),
                }
            }
        }
        Ok(())
    }
}

impl Told {
    fn tell(&mut self, port: &Address, cause: &str) {
        self.count += 1;
        if self.last.is_some_and(|last| last.elapsed() < QUIET) {
            return;
        }
        self.last = Some(Instant::now());
        let count = std::mem::take(&mut self.count);
        eprintln!("bus-port: {port}: {count} turned away, the last: {cause}");
    }
}
