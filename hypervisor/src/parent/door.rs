//! The door of a VMM process: a listening socket by which parents come and go while the VM runs on.
//!
//! ```text
//!  parent ──connects──► door thread ◄──socketpair──► vm::run
//!      Hello, HandBack, Relay ─┘ answered here       everything else: passed on
//!  parent ◄── Here, Kept, Ended; reports of the VM go to everybody connected
//! ```
//! A parent that comes after another's death learns from `Here` what is running and which links are wanting, and gets the
//! memory that other partitions share handed back. Only the parent's user and root are let in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::socket::{admit, wait};
use crate::devices::lock as locked;
use crate::vm::control::{Channel, Report, Request};

/// Most connections at a time; further ones wait.
const MOST: usize = 4;

/// What the door knows.
pub struct Facts {
    /// Sound devices that have no back end now.
    pub wanting: BTreeSet<String>,
    /// Shared memory to hand back.
    pub keeps: BTreeMap<String, OwnedFd>,
    /// Whose calls are taken besides root's.
    pub owner: u32,
    /// Where links to be relayed go: device's side, audiod's side.
    pub relay: Option<Sender<(OwnedFd, OwnedFd)>>,
}

struct Door {
    listener: OwnedFd,
    inner: Channel,
    clients: Clients,
    facts: Facts,
    since: Instant,
    setup_us: Option<u64>,
    /// One side of a link whose other one is still to come: audiod's, and the device's.
    half: (Option<OwnedFd>, Option<OwnedFd>),
}

type Clients = Arc<Mutex<Vec<Arc<Channel>>>>;

/// A door that is open.
pub struct Open(Clients);

impl Open {
    /// Tells everybody that the VM has ended. One that ends at once lets its parent come in first.
    pub fn end(&self, code: u8, cause: Option<String>) {
        let ended = Report::Ended { code, cause };
        let deadline = Instant::now() + Duration::from_millis(200);
        while locked(&self.0).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        for client in locked(&self.0).iter() {
            // One that doesn't listen will see the end of the connection.
            let _ = client.send(&ended, None);
        }
    }
}

/// Opens the door: a thread of its own, to be called before the filter is put on. Gives the VM's end of the socket too.
///
/// # Errors
/// No socketpair or no thread.
pub fn open(listener: OwnedFd, facts: Facts) -> io::Result<(Open, OwnedFd)> {
    let (inner, vms) = Channel::pair()?;
    let clients = Arc::new(Mutex::new(Vec::new()));
    let mut door = Door {
        listener,
        inner,
        clients: clients.clone(),
        facts,
        since: Instant::now(),
        setup_us: None,
        half: (None, None),
    };
    let thread = std::thread::Builder::new().name("door".into()).stack_size(128 << 10);
    thread.spawn(move || {
        // An end of serving is an end of being asked: the VM runs on.
        while door.serve().is_ok() {}
    })?;
    Ok((Open(clients), vms))
}

impl Door {
    /// Waits for whatever comes next and serves it.
    fn serve(&mut self) -> io::Result<()> {
        let clients = locked(&self.clients).clone();
        let mut fds = vec![self.inner.as_fd()];
        fds.extend(clients.iter().map(|client| client.as_fd()));
        if clients.len() < MOST {
            fds.push(self.listener.as_fd());
        }
        let ready = wait(&fds, None)?;
        if ready[0] {
            self.hear_vm()?;
        }
        for (client, _) in clients.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            // One that is gone or talks nonsense is let go.
            if self.hear_client(client).is_err() {
                locked(&self.clients).retain(|known| !Arc::ptr_eq(known, client));
            }
        }
        if clients.len() < MOST && ready.last() == Some(&true) {
            let client = admit(self.listener.as_fd(), self.facts.owner)?;
            locked(&self.clients).extend(client.map(Arc::new));
        }
        Ok(())
    }

    fn hear_vm(&mut self) -> io::Result<()> {
        while let Some((report, _)) = self.inner.receive::<Report>()? {
            match &report {
                Report::Running { setup_us } => self.setup_us = Some(*setup_us),
                Report::LinkUp { device } => drop(self.facts.wanting.remove(device)),
                Report::LinkLost { device, .. } => drop(self.facts.wanting.insert(device.clone())),
                _ => {}
            }
            locked(&self.clients).retain(|client| match client.send(&report, None) {
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
                Ok(()) => true,
            });
        }
        Ok(())
    }

    /// Everything a client has said.
    fn hear_client(&mut self, client: &Channel) -> io::Result<()> {
        while let Some((call, gift)) = client.receive::<Request>()? {
            self.answer(client, call, gift);
        }
        Ok(())
    }

    fn answer(&mut self, client: &Channel, request: Request, gift: Option<OwnedFd>) {
        let (report, kept) = match request {
            Request::Hello => {
                let here = Report::Here {
                    pid: std::process::id(),
                    age_ms: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
                    setup_us: self.setup_us,
                    wanting: self.facts.wanting.clone(),
                    keeps: self.facts.keeps.keys().cloned().collect(),
                };
                (here, None)
            }
            Request::Relay { back } => return self.relay(back, gift),
            Request::HandBack { name } => match self.facts.keeps.get(&name) {
                Some(kept) => (Report::Kept { name }, Some(kept)),
                None => return,
            },
            others => {
                // Where the VM is not reading any more it is about to end.
                let _ = self.inner.send(&others, gift.as_ref());
                return;
            }
        };
        // One that doesn't listen asks again.
        let _ = client.send(&report, kept);
    }

    fn relay(&mut self, back: bool, side: Option<OwnedFd>) {
        *(if back { &mut self.half.0 } else { &mut self.half.1 }) = side;
        let Some(relay) = &self.facts.relay else { return };
        if let (Some(_), Some(_)) = &self.half
            && let (Some(back), Some(front)) = std::mem::take(&mut self.half)
        {
            // The relay lives as long as the process.
            let _ = relay.send((front, back));
        }
    }
}
