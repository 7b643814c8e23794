//! What control should hear of soon: it waits for a bell instead of looking at the counters again and again.

use std::sync::atomic::Ordering::Acquire;

use super::DeviceRings;
use crate::block::StreamBlock;
use crate::wire::pcm_feature::EVT_SHMEM_PERIODS;

impl DeviceRings<'_> {
    /// Whether since the last call something was counted or broke that control has to tell on: an xrun, a period of a stream whose
    /// driver waits for each (virtio 1.3 §5.14.6.9), a ring. True the first time. To be asked once a period, after
    /// [`DeviceRings::end_period`]; control then calls `Session::poll`.
    pub fn take_news(&mut self) -> bool {
        let broke = self
            .queues
            .iter_mut()
            .fold(false, |any, queue| any | std::mem::take(&mut queue.broke));
        std::mem::take(&mut self.news) | broke
    }
}

/// Whether the stream's driver is to be told of each period.
pub(super) fn asked_for_periods(stream: &StreamBlock) -> bool {
    stream.features.load(Acquire) & EVT_SHMEM_PERIODS != 0
}
