//! Whom the engine wakes up: its helper and control, each once a period at most and only for what they have to see.

use vhost_sound::memory::EventFd;

use super::Engine;
use super::guest::Guest;
use crate::codec::Codec;

impl<G: Guest, C: Codec> Engine<'_, G, C> {
    /// Rung (one `write`) at the end of a period in which something was sent to the [`super::EngineHandle`]. Without one its owner
    /// has to look by itself.
    pub fn set_bell(&mut self, bell: EventFd) {
        self.mailbox.bell = Some(bell);
    }

    /// Rung (one `write`) at the end of a period in which something happened that control should see now: what
    /// [`Guest::take_news`] says, and a chime that began or ended. Control may be gone: its successor looks at everything anyway.
    pub fn set_controls_bell(&mut self, bell: EventFd) {
        self.controls_bell = Some(bell);
    }

    pub(super) fn ring_control(&mut self) {
        if std::mem::take(&mut self.news)
            && let Some(bell) = &self.controls_bell
        {
            // There is nobody to tell of a bell that can't be rung.
            let _ = bell.signal();
        }
    }
}
