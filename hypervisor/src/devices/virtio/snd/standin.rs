//! Answers a driver while no back end is there, so that nothing of it waits for ever.
//!
//! Requests for information are answered from the declared configuration, all others and all buffers with IO_ERR
//! (5.14.6.6): a player that begins gets an error at once and may try again, one that plays goes on, slower than it would and
//! unheard; a driver that is just starting comes up with the declared streams.

use std::io::{Read, Write};

use vhost_sound::wire::code::{CHMAP_INFO, JACK_INFO, PCM_INFO};
use vhost_sound::wire::{CHMAP_INFO_BYTES, JACK_INFO_BYTES, PCM_INFO_BYTES, Status, word};
use virtio_queue::{DescriptorChain, Queue, QueueT, Reader, Writer};

use super::super::{Driver, EVENT_IDX, Ring, worker};
use super::backend::used_index;
use crate::plan::{Declared, DeclaredStream};
use crate::vm::memory::Guest;
use vhost_sound::block::QUEUES;

const BAD_MESSAGE: u32 = Status::BadMsg as u32;
const IO_ERROR: u32 = Status::IoErr as u32;
const CONTROL_QUEUE: usize = 0;
const EVENT_QUEUE: usize = 1;
/// The most bytes of one answer.
const ANSWER_MAX: usize = 4096;

/// Turns for which requests are left to the back end that may be back: Linux waits 1 s for an answer, and a refused STOP or
/// RELEASE is one that the back end never hears of.
const PATIENCE: u32 = 20;

/// The stand-in, with its view of the rings.
pub struct StandIn {
    declared: Declared,
    queues: [Option<Queue>; QUEUES],
    patience: u32,
}

impl StandIn {
    /// Takes the rings over where the device ring stands.
    pub fn new(declared: &Declared, driver: &Driver) -> Self {
        let mut queues = [const { None }; QUEUES];
        let rings = driver.queues.iter();
        for ring in rings.filter(|ring| ring.index != EVENT_QUEUE && ring.index < QUEUES) {
            let queue = ring.queue(driver.features & EVENT_IDX != 0);
            if let (Ok(mut queue), Ok(used)) = (queue, used_index(&driver.memory, ring)) {
                queue.set_next_avail(used);
                queue.set_next_used(used);
                queues[ring.index] = Some(queue);
            }
        }
        Self {
            declared: declared.clone(),
            queues,
            patience: PATIENCE,
        }
    }

    /// Answers all requests, if it is time, and returns a buffer of each queue.
    pub fn turn(&mut self, memory: &Guest, rings: &[Ring]) {
        self.patience = self.patience.saturating_sub(1);
        for ring in rings {
            let most = match ring.index {
                CONTROL_QUEUE if self.patience > 0 => 0,
                CONTROL_QUEUE => ring.size.into(),
                _ => 1,
            };
            let answer = |chain: DescriptorChain<&Guest>| match ring.index {
                CONTROL_QUEUE => answer_control(&self.declared, memory, chain),
                _ => return_buffer(memory, chain),
            };
            if let Some(Some(queue)) = self.queues.get_mut(ring.index) {
                worker::serve(queue, ring, memory, most, answer);
                // Whatever the driver had asked of the one that went away, and may not have got.
                let _ = ring.call.write(1);
            }
        }
    }
}

fn answer_control(declared: &Declared, memory: &Guest, chain: DescriptorChain<&Guest>) -> u32 {
    let (Ok(mut reader), Ok(mut writer)) = (Reader::new(memory, chain.clone()), Writer::new(memory, chain)) else {
        return 0;
    };
    let mut request = [0; 16];
    let filled = reader.read(&mut request).unwrap_or(0);
    let bytes = answer(declared, &request[..filled]).unwrap_or_else(|status| status.to_le_bytes().to_vec());
    writer.write(&bytes).unwrap_or(0) as u32
}

/// Status and information, or the status of the error.
fn answer(declared: &Declared, request: &[u8]) -> Result<Vec<u8>, u32> {
    let word = |at| word(request, at);
    let code = word(0).ok_or(BAD_MESSAGE)?;
    let (count_there, size_there) = match code {
        JACK_INFO => (0, JACK_INFO_BYTES),
        PCM_INFO => (declared.streams.len(), PCM_INFO_BYTES),
        CHMAP_INFO => (0, CHMAP_INFO_BYTES),
        _ => return Err(IO_ERROR),
    };
    let (Some(first), Some(count), Some(size)) = (word(4), word(8), word(12)) else {
        return Err(BAD_MESSAGE);
    };
    let (first, count, size) = (first as usize, count as usize, size as usize);
    let fits = first.checked_add(count).is_some_and(|end| end <= count_there);
    if !fits || size < size_there || count.saturating_mul(size) > ANSWER_MAX {
        return Err(BAD_MESSAGE);
    }
    let mut bytes = (Status::Ok as u32).to_le_bytes().to_vec();
    for index in first..first + count {
        let mut info = vec![0; size];
        if code == PCM_INFO {
            info[..PCM_INFO_BYTES].copy_from_slice(&pcm_info(&declared.streams[index]));
        }
        bytes.extend(info);
    }
    Ok(bytes)
}

/// `virtio_snd_pcm_info`: function node, features, formats, rates, direction, channels.
fn pcm_info(stream: &DeclaredStream) -> [u8; PCM_INFO_BYTES] {
    let mut info = [0; PCM_INFO_BYTES];
    info[8..16].copy_from_slice(&stream.formats.to_le_bytes());
    info[16..24].copy_from_slice(&stream.rates.to_le_bytes());
    (info[24], info[25], info[26]) = (u8::from(stream.input), stream.channels_min, stream.channels_max);
    info
}

/// `virtio_snd_pcm_status` at the end of the writable part: IO_ERR, no latency.
fn return_buffer(memory: &Guest, chain: DescriptorChain<&Guest>) -> u32 {
    let status = u64::from(IO_ERROR).to_le_bytes();
    let Ok(mut writer) = Writer::new(memory, chain) else {
        return 0;
    };
    let room = writer.available_bytes().checked_sub(status.len());
    match room.map(|room| writer.split_at(room)) {
        Some(Ok(mut end)) => end.write(&status).unwrap_or(0) as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn declared() -> Declared {
        let stream = DeclaredStream {
            input: false,
            formats: 0x20,
            rates: 0x80,
            channels_min: 1,
            channels_max: 2,
        };
        Declared {
            streams: vec![stream],
            flags_only: false,
        }
    }

    #[test]
    fn information_is_answered_as_declared() {
        let bytes = answer(&declared(), &request(&[PCM_INFO, 0, 1, 32])).unwrap();

        assert_eq!(bytes[..4], (Status::Ok as u32).to_le_bytes());
        assert_eq!(bytes[4 + 8..4 + 16], 0x20_u64.to_le_bytes());
        assert_eq!(bytes[4 + 24..4 + 27], [0, 1, 2]);
        assert_eq!(bytes.len(), 36);
    }

    #[test]
    fn everything_else_is_an_error_and_nothing_is_answered_beyond_what_is_declared() {
        let set_params = request(&[0x101, 0, 0, 0]);
        let cases: [(&[u8], u32); 6] = [
            (&set_params, IO_ERROR),
            (&[1, 0], BAD_MESSAGE),
            (&request(&[PCM_INFO, 1, 1, 32]), BAD_MESSAGE),
            (&request(&[PCM_INFO, u32::MAX, 2, 32]), BAD_MESSAGE),
            (&request(&[PCM_INFO, 0, 1, 31]), BAD_MESSAGE),
            (&request(&[PCM_INFO, 0, 1, u32::MAX]), BAD_MESSAGE),
        ];
        for (request, status) in cases {
            assert_eq!(answer(&declared(), request), Err(status), "{request:?}");
        }
    }
}
