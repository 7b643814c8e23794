//! What a hostile case works with.

use crate::frontend::memory::DATA;
use crate::frontend::pcm::Pcm;
use crate::frontend::proto::{Params, PcmInfo, RXQ, TXQ};
use crate::frontend::vring::Seg;
use crate::frontend::{FrontendError, SoundFrontend};

/// A connection, with what the device offers.
pub struct Rig {
    /// The connection.
    pub fe: SoundFrontend,
    /// The case has taken away memory that asking anything would touch.
    pub gone: bool,
    output: Option<(u32, PcmInfo)>,
    input: Option<(u32, PcmInfo)>,
}

impl Rig {
    /// Asks the device what it has.
    ///
    /// # Errors
    /// No answer.
    pub fn new(mut fe: SoundFrontend) -> Result<Self, FrontendError> {
        let infos = fe.pcm_info()?;
        let find = |d| {
            infos
                .iter()
                .enumerate()
                .find(|(_, i)| i.direction == d)
                .map(|(n, i)| (n as u32, i.clone()))
        };
        Ok(Self {
            output: find(0),
            input: find(1),
            gone: false,
            fe,
        })
    }

    fn need(what: &Option<(u32, PcmInfo)>, name: &str) -> Result<(u32, PcmInfo), FrontendError> {
        what.clone().ok_or_else(|| FrontendError::Refused {
            what: format!("the device has no {name} stream"),
            status: 0,
        })
    }

    /// The first output stream.
    ///
    /// # Errors
    /// Refused if there is none (the case is then vacuous).
    pub fn output(&self) -> Result<(u32, PcmInfo), FrontendError> {
        Self::need(&self.output, "output")
    }

    /// The first input stream.
    ///
    /// # Errors
    /// As `output`.
    pub fn input(&self) -> Result<(u32, PcmInfo), FrontendError> {
        Self::need(&self.input, "input")
    }

    /// A control request; that it gets no answer is no error here.
    pub fn ask(&mut self, request: &[u8]) {
        self.ask_with(request, 4);
    }

    /// As `ask`, with a response buffer of so many bytes.
    pub fn ask_with(&mut self, request: &[u8], response: usize) {
        let _judged_later = self.fe.control(request, response);
    }

    /// SET_PARAMS of the output stream, changed.
    ///
    /// # Errors
    /// No output stream.
    pub fn params(&mut self, change: impl FnOnce(&mut Params)) -> Result<(), FrontendError> {
        let (stream, info) = self.output()?;
        let mut params = info.params(5, 2400, 4);
        change(&mut params);
        self.ask(&params.request(stream));
        Ok(())
    }

    /// The output stream, prepared, four messages of 50 ms.
    ///
    /// # Errors
    /// No output stream, or it is refused.
    pub fn prepared(&mut self) -> Result<Pcm, FrontendError> {
        let (stream, info) = self.output()?;
        Pcm::open(&mut self.fe, TXQ, stream, info.params(5, 2400, 4))
    }

    /// The output stream, running with a full ring.
    ///
    /// # Errors
    /// As `prepared`.
    pub fn running(&mut self) -> Result<Pcm, FrontendError> {
        let pcm = self.prepared()?;
        pcm.fill(&mut self.fe)?;
        pcm.start(&mut self.fe)?;
        Ok(pcm)
    }

    /// The input stream, running with an empty ring.
    ///
    /// # Errors
    /// As `prepared`.
    pub fn recording(&mut self) -> Result<Pcm, FrontendError> {
        let (stream, info) = self.input()?;
        let pcm = Pcm::open(&mut self.fe, RXQ, stream, info.params(5, 2400, 4))?;
        pcm.start(&mut self.fe)?;
        Ok(pcm)
    }

    /// Guest address of these bytes.
    ///
    /// # Errors
    /// Out of guest memory.
    pub fn buffer(&mut self, bytes: &[u8]) -> Result<u64, FrontendError> {
        let gpa = self
            .fe
            .ram
            .alloc(DATA, bytes.len().max(64))
            .ok_or(FrontendError::OutOfMemory)?;
        self.fe.ram.write(gpa, bytes);
        Ok(gpa)
    }

    /// Makes a chain available, kicks, and gives the device a moment to see it.
    pub fn chain(&mut self, queue: usize, segs: &[Seg]) {
        let _head = self.fe.queues[queue].submit(segs);
        self.kick(queue);
    }

    /// Kicks and waits until something is used, for at most 150 ms.
    pub fn kick(&mut self, queue: usize) {
        let end = std::time::Instant::now() + std::time::Duration::from_millis(150);
        let before = self.fe.queues[queue].used_index();
        self.fe.queues[queue].force_kick();
        while self.fe.queues[queue].used_index() == before && std::time::Instant::now() < end {
            self.fe.pause(queue, end);
        }
    }

    /// Whether the device has said that it gave up: an error eventfd rung, or the connection closed.
    pub fn gave_up(&mut self) -> bool {
        self.fe.queues.iter().any(|q| q.err.read().is_ok()) || self.fe.is_closed()
    }
}
