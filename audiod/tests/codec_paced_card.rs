//! The paced card that peers are compared on, through alsa-lib: everything that is played is what was written, in order.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use audiod::blocks::EngineBlock;
use audiod::codec;
use audiod::engine::Engine;
use audiod::system::{Backend, CodecFormat};
use engine_common::{FakeStream, PERIOD, codec_config, heard, system};
use system_tests::peer::Card;
use vhost_sound::shared::Shared;

#[test]
fn a_paced_plugin_card_plays_every_frame_that_was_in_time_once_and_in_order() {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/carillon/peers");
    let folder = std::env::temp_dir().join(format!("carillon-paced-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let settings = folder.join("asound.conf");
    Card::build(&peers)
        .unwrap()
        .configure(&settings, Some(&folder))
        .unwrap();
    // SAFETY: the only test of this process, before any other thread.
    unsafe { std::env::set_var("ALSA_CONFIG_PATH", &settings) };
    let mut config = codec_config(Backend::Alsa { device: "card".into() });
    config.format = CodecFormat::S16;
    let codec = codec::open(&config, None).unwrap();
    let block = Shared::<EngineBlock>::private().unwrap();
    block.gains.publish(&[heard(1.0)]);
    let words: Vec<u8> = (1..1000 * PERIOD as u32).flat_map(u32::to_le_bytes).collect();
    let guests = vec![(0, FakeStream::playing(5, 2, 7, words))];
    let (mut engine, _handle) = Engine::new(&system(1, false), 0, &block, guests, codec, None);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| engine.run(&stop));
        while block.periods.load(Acquire) < 500 {
            std::thread::yield_now();
        }
        stop.store(true, Release);
    });
    drop(engine);

    let sounding = played(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(sounding.is_sorted_by(|a, b| a < b), "a frame twice, or out of order");
    let (pulled, underruns) = (block.sources[0].frames.load(Relaxed), block.underruns.load(Relaxed));
    println!(
        "{pulled} frames pulled, {} played, {underruns} underruns",
        sounding.len()
    );
    if underruns == 0 {
        // The last lead is still in the card when it is closed.
        assert!(sounding.len() as u64 + 3 * PERIOD as u64 >= pulled);
        assert!(sounding.iter().zip(1..).all(|(frame, wanted)| *frame == wanted));
    }
    assert!(!sounding.is_empty());
}

/// All frames that are not silence, of the one file that the card wrote.
fn played(folder: &Path) -> Vec<u32> {
    let files = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let file = files
        .into_iter()
        .find(|path| path.extension().is_some_and(|ext| ext == "raw"))
        .unwrap();
    let bytes = std::fs::read(file).unwrap();
    let (frames, _) = bytes.as_chunks::<4>();
    frames
        .iter()
        .map(|frame| u32::from_le_bytes(*frame))
        .filter(|&frame| frame != 0)
        .collect()
}
