//! Whether the engine's hearts beat: one a codec, raised once a period whatever the codec does.
//!
//! ```text
//!   beating ──no beat at a look──► still ──STILL_LOOKS looks in a row──► stopped: the engine is killed and replaced
//! ```
//! A look that comes late (this process or the whole machine stood still) proves nothing and starts the count again.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};

use vhost_sound::shared::Shared;

use crate::blocks::EngineBlock;

/// Time between two looks: longer than the longest period (1024 frames at 8 kHz).
pub const LOOK: Duration = Duration::from_millis(300);
/// Looks without a beat after which an engine counts as hung.
const STILL_LOOKS: u32 = 2;
/// What that makes.
pub const HANG: Duration = LOOK.saturating_mul(STILL_LOOKS);
/// The same for one that has not come up yet: it maps guest memory and opens codecs.
const STARTING_LOOKS: u32 = 20;

struct Heart {
    block: Shared<EngineBlock>,
    seen: u64,
    still: u32,
}

/// All codecs' hearts.
pub struct Hearts {
    hearts: Vec<Heart>,
    looked: Instant,
}

impl Hearts {
    /// Follows these engine blocks.
    ///
    /// # Errors
    /// When one is no engine block.
    pub fn new(blocks: impl Iterator<Item = io::Result<OwnedFd>>) -> io::Result<Self> {
        let hearts = blocks.map(|fd| {
            Ok(Heart {
                block: Shared::map(fd?)?,
                seen: 0,
                still: 0,
            })
        });
        Ok(Self {
            hearts: hearts.collect::<io::Result<_>>()?,
            looked: Instant::now(),
        })
    }

    /// A codec's count of beats.
    pub fn beat(&self, codec: u32) -> u64 {
        let heart = self.hearts.get(codec as usize);
        heart.map_or(0, |heart| heart.block.heartbeat.load(Acquire))
    }

    /// Until the next look is due.
    pub fn due_in(&self) -> Duration {
        LOOK.saturating_sub(self.looked.elapsed())
    }

    /// A new engine: the count starts again.
    pub fn reset(&mut self) {
        self.hearts.iter_mut().for_each(|heart| heart.still = 0);
    }

    /// Whether every heart beat at its last look.
    pub fn all_beat(&self) -> bool {
        self.hearts.iter().all(|heart| heart.still == 0)
    }

    /// Looks, if it is time. `true`: the engine (`up` or still starting) hangs.
    pub fn hang(&mut self, up: bool) -> bool {
        let since = self.looked.elapsed();
        if since < LOOK {
            return false;
        }
        self.looked = Instant::now();
        if since > 2 * LOOK {
            self.reset();
        }
        let most = if up { STILL_LOOKS } else { STARTING_LOOKS };
        let mut hangs = false;
        for heart in &mut self.hearts {
            let beat = heart.block.heartbeat.load(Acquire);
            heart.still = if beat == heart.seen { heart.still + 1 } else { 0 };
            heart.seen = beat;
            hangs |= heart.still >= most;
        }
        hangs
    }
}
