//! `audiod child card N`: the DMA of a simulated card, as a process that nobody else's trouble reaches.

use std::sync::atomic::{AtomicBool, Ordering::Release};

use crate::codec::{sim::SimBlock, wav};
use crate::failure::Failure;
use crate::given::Given;
use crate::supervisor::wire::{Record, Thing};
use crate::system::Backend;

static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn on_term(_signal: libc::c_int) {
    STOP.store(true, Release);
}

/// The whole life of the process.
///
/// # Errors
/// When the card was not handed over or its file can't be written.
pub fn run(codec: u32) -> Result<(), Failure> {
    // SAFETY: the handler only stores to an atomic.
    unsafe { libc::signal(libc::SIGTERM, on_term as *const () as libc::sighandler_t) };
    let mut given = Given::receive().map_err(Failure::when("card: taking over"))?;
    let plan = given.plan().map_err(Failure::when("card: the plan"))?;
    let block: &SimBlock = given
        .block(Thing::Card(codec))
        .map_err(Failure::when("card: its block"))?;
    let config = plan.system.codecs.get(codec as usize);
    let path = config.and_then(|config| match &config.backend {
        Backend::Wav { path } => Some(path.as_path()),
        _ => None,
    });
    given
        .link
        .send(Record::Up, None)
        .map_err(Failure::when("card: reporting"))?;
    let what = path.map_or_else(|| "card".to_owned(), |path| format!("card: {}", path.display()));
    wav::run_card(block, path, &STOP).map_err(Failure::when(what))
}
