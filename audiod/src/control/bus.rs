//! The bus as the control loop sees it: a descriptor to wait on, requests in order, and somewhere to put answers. The
//! connection itself lives in a tokio runtime on a thread of its own, so no bus, however busy, holds up a guest.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;

use dbus_api::access::Access;
use dbus_api::server::{self, BusAddress, Out, Request};
use tokio::sync::{mpsc, oneshot};
use vhost_sound::memory::EventFd;

struct Bell(EventFd);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // The only error left is a broken descriptor, and this one is ours.
        let _ = self.0.signal();
    }
}

struct Served {
    requests: mpsc::Receiver<Request>,
    outs: mpsc::UnboundedSender<Out>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// See the module.
pub struct Bus {
    bell: Arc<Bell>,
    served: Option<Served>,
}

impl Bus {
    /// Starts to serve those whom `access` lets; without an address nobody ever asks and answers go nowhere.
    ///
    /// # Errors
    /// When the runtime, its thread or the bell can't be had.
    pub fn start(address: Option<&str>, access: Option<Access>) -> io::Result<Self> {
        let bell = Arc::new(Bell(eventfd()?));
        let served = address.map(|address| serve(address, access)).transpose()?;
        Ok(Self { bell, served })
    }

    /// Readable when there may be requests.
    pub fn as_raw_fd(&self) -> RawFd {
        self.bell.0.as_fd().as_raw_fd()
    }

    /// The next request. Once this says `None` the descriptor tells when to ask again.
    pub fn take(&mut self) -> Option<Request> {
        let served = self.served.as_mut()?;
        let waker = Waker::from(Arc::clone(&self.bell));
        match served.requests.poll_recv(&mut Context::from_waker(&waker)) {
            Poll::Ready(request) => request,
            Poll::Pending => None,
        }
    }

    /// Up to `most` requests, so that guests have their turn; where there may be more, the bell rings again.
    pub fn take_some(&mut self, most: usize) -> Vec<Request> {
        let mut taken = Vec::new();
        while taken.len() < most {
            match self.take() {
                Some(request) => taken.push(request),
                None => return taken,
            }
        }
        self.ring();
        taken
    }

    /// The bell was heard.
    pub fn heard(&self) {
        let _ = self.bell.0.drain();
    }

    fn ring(&self) {
        let _ = self.bell.0.signal();
    }

    /// Hands an answer, signal or event over; never waits.
    pub fn send(&self, out: Out) {
        if let Some(served) = &self.served {
            let _ = served.outs.send(out);
        }
    }

    /// Writes what was handed over and leaves the bus.
    pub fn stop(self) {
        if let Some(served) = self.served {
            let _ = served.stop.send(());
            let _ = served.thread.join();
        }
    }
}

fn serve(address: &str, access: Option<Access>) -> io::Result<Served> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let address = BusAddress::from(address);
    let (bus, requests, outs) = runtime.block_on(async { server::start_with(address, access) });
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("bus".into()).spawn(move || {
        runtime.block_on(async {
            let _ = stopped.await;
            bus.stop().await;
        });
    })?;
    Ok(Served {
        requests,
        outs,
        stop,
        thread,
    })
}

fn eventfd() -> io::Result<EventFd> {
    // SAFETY: no preconditions.
    let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor.
    EventFd::take(unsafe { OwnedFd::from_raw_fd(raw) }).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use dbus_api::server::{OwnCall, What};

    use super::*;

    fn rung(bus: &Bus) -> bool {
        let mut poll = libc::pollfd {
            fd: bus.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    /// A guest that asks meanwhile is decided after at most as many calls as one turn takes.
    #[test]
    fn one_turn_takes_so_many_requests_and_rings_for_the_others() {
        let (sender, requests) = mpsc::channel(100);
        let (outs, _heard) = mpsc::unbounded_channel();
        let (stop, _stopped) = oneshot::channel();
        for token in 1..=70 {
            let (sender_name, what) = (":1.1".to_owned(), What::Own(OwnCall::Status));
            let request = Request {
                token,
                sender: sender_name,
                what,
            };
            assert!(sender.try_send(request).is_ok());
        }
        let thread = std::thread::spawn(|| {});
        let served = Served {
            requests,
            outs,
            stop,
            thread,
        };
        let mut bus = Bus {
            bell: Arc::new(Bell(eventfd().unwrap())),
            served: Some(served),
        };

        let mut turn = || {
            bus.heard();
            let tokens: Vec<u64> = bus.take_some(32).iter().map(|it| it.token).collect();
            (tokens, rung(&bus))
        };

        assert_eq!(turn(), ((1..=32).collect(), true));
        assert_eq!(turn(), ((33..=64).collect(), true));
        assert_eq!(turn(), ((65..=70).collect(), false));
        assert!(
            sender
                .try_send(Request {
                    token: 71,
                    sender: String::new(),
                    what: What::NameOwned
                })
                .is_ok()
        );
        assert!(rung(&bus), "the next one rings by itself");
    }
}
