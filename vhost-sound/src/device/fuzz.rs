//! Control requests as bytes, without rings or an engine: what a fuzzer drives.

use std::sync::Arc;

use super::controls::elements;
use super::request::{Judge, Verdict};
use crate::block::DeviceBlock;
use crate::config::{DeviceConfig, Direction, JackConfig, StreamConfig};
use crate::shared::Shared;
use crate::wire::{Status, word};

/// A device with a playback and a capture stream, controls and a jack.
pub fn config() -> DeviceConfig {
    let stream = |name: &str, direction| StreamConfig {
        name: name.into(),
        direction,
        formats: 1 << 5 | 1 << 17 | 1 << 19,
        rates: 1 << 6 | 1 << 7,
        channels_min: 1,
        channels_max: 2,
        safety: false,
        controls: true,
        nid: 0,
    };
    DeviceConfig {
        guest: "fuzzed".into(),
        streams: vec![stream("media", Direction::Playback), stream("mic", Direction::Capture)],
        jacks: vec![JackConfig {
            nid: 1,
            defconf: 0,
            caps: 4,
            connected: true,
        }],
        channel_maps: vec![],
        queue_size: 64,
        codec_period: (48, 48_000),
    }
}

/// Requests, each `length, room for the answer in words less one, bytes`, to one device whose engine does at once what it is
/// told. Gives how many were answered with OK.
///
/// # Panics
/// When an answer does not fit, or has no status of the specification: the fuzzer's finding.
#[allow(clippy::expect_used)]
pub fn fuzz_control(mut bytes: &[u8]) -> usize {
    let config = config();
    let block = Arc::new(Shared::<DeviceBlock>::private().expect("memory"));
    block.configure(&config);
    let elements = elements(&config);
    let mut fine = 0;
    while let [len, room, rest @ ..] = bytes {
        let (request, later) = rest.split_at(rest.len().min(usize::from(*len)));
        bytes = later;
        let room = 4 + 4 * usize::from(*room);
        let judge = Judge {
            config: &config,
            block: &block,
            elements: &elements,
            controls: true,
            avail: 0,
        };
        let status = match judge.judge(request, room) {
            Verdict::Answer(answer) => {
                assert!(
                    answer.len() <= room,
                    "an answer of {} bytes in a room of {room}",
                    answer.len()
                );
                word(&answer, 0).expect("a status")
            }
            Verdict::Decided(decided) => {
                decided.carry_out(&block);
                Status::Ok as u32
            }
            Verdict::Written { .. } => Status::Ok as u32,
            Verdict::Refused(status, why) => {
                assert!(!why.is_empty());
                status as u32
            }
        };
        assert!((0x8000..=0x8003).contains(&status), "status {status:#x}");
        fine += usize::from(status == Status::Ok as u32);
    }
    fine
}
