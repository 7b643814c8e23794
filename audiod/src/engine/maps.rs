//! Which position each channel of a stream has, by its count of channels: as its device's channel maps say, else as usual.

use mix::{MAX_CHANNELS, matrix};

use crate::system::{SourceConfig, System};

/// See the module. One a source; asked when a stream's parameters change, without allocating.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Maps([Option<Box<[u8]>>; MAX_CHANNELS + 1]);

impl Maps {
    /// The maps of a source: those of its stream's function group and direction.
    pub fn of(system: &System, source: &SourceConfig) -> Self {
        let device = system.guests.get(source.guest).map(|guest| &guest.device);
        let stream = device.and_then(|device| device.streams.get(source.stream));
        Self(std::array::from_fn(|channels| {
            let (device, stream) = (device?, stream?);
            let map = device.channel_maps.iter().find(|map| {
                map.nid == stream.nid && map.direction == stream.direction && map.positions.len() == channels
            })?;
            Some(map.positions.clone().into())
        }))
    }

    /// Positions of a stream of `channels`; at most [`MAX_CHANNELS`] of them.
    pub fn positions(&self, channels: usize) -> &[u8] {
        let channels = channels.min(MAX_CHANNELS);
        self.0[channels].as_deref().unwrap_or(matrix::usual(channels))
    }
}
