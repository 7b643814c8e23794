//! An alsa-lib plugin as codec: frames in order, none twice, at a card's pace although the plugin would take them at any.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

use audiod::blocks::EngineBlock;
use audiod::codec;
use audiod::engine::Engine;
use audiod::system::{Backend, CodecFormat};
use engine_common::{FakeStream, PERIOD, codec_config, heard, system};
use vhost_sound::shared::Shared;

#[test]
fn a_plugin_gets_every_frame_in_order_at_the_pace_of_time() {
    let folder = std::env::temp_dir().join(format!("carillon-plugin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (played, settings) = (folder.join("played.raw"), folder.join("asound.conf"));
    let text = format!(
        "pcm.nothing {{ type null }}\npcm.carillon {{ type file slave.pcm nothing file \"{}\" format raw }}\n",
        played.display()
    );
    std::fs::write(&settings, text).unwrap();
    // SAFETY: the only test of this process, before any other thread.
    unsafe { std::env::set_var("ALSA_CONFIG_PATH", &settings) };
    let mut config = codec_config(Backend::Alsa {
        device: "carillon".into(),
    });
    config.format = CodecFormat::S16;
    let codec = codec::open(&config, None).unwrap();
    let block = Shared::<EngineBlock>::private().unwrap();
    block.gains.publish(&[heard(1.0)]);
    let words: Vec<u8> = (1..500 * PERIOD as u32).flat_map(u32::to_le_bytes).collect();
    let guests = vec![(0, FakeStream::playing(5, 2, 7, words))];
    let (mut engine, _handle) = Engine::new(&system(1, false), 0, &block, guests, codec, None);
    let stop = AtomicBool::new(false);

    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| engine.run(&stop));
        while block.periods.load(Acquire) < 200 {
            std::thread::yield_now();
        }
        stop.store(true, Release);
    });
    let took = began.elapsed().as_secs_f64();
    drop(engine);

    let bytes = std::fs::read(&played).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let (frames, _) = bytes.as_chunks::<4>();
    let sounding: Vec<u32> = frames
        .iter()
        .map(|f| u32::from_le_bytes(*f))
        .filter(|&f| f != 0)
        .collect();
    assert!(sounding.len() >= 100 * PERIOD, "{} frames", sounding.len());
    assert!(sounding.is_sorted_by(|a, b| a < b));
    let lost = block.underrun_frames.load(Relaxed);
    assert!(sounding.len() as u64 + lost >= block.sources[0].frames.load(Relaxed) - 2 * PERIOD as u64);
    assert!(took > 0.18, "200 periods of 1 ms took {took} s");
}
