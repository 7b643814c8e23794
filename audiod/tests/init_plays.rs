//! What `audiod init` writes plays at once: the real binary, and a guest's front end on the socket it named.

mod processes_common;

use std::process::Command;

use processes_common::{Daemon, Folder};
use system_tests::coded;
use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{Params, TXQ};
use system_tests::frontend::{Options, SoundFrontend};

/// S16, stereo, 48 kHz, four periods of 10 ms.
const PARAMS: Params = Params {
    buffer_bytes: 4 * 1920,
    period_bytes: 1920,
    features: 0,
    channels: 2,
    format: 5,
    rate: 7,
};

#[test]
fn what_init_writes_plays_at_once() {
    let folder = Folder::new("init-plays");
    let file = folder.path().join("system.toml");
    let written = Command::new(env!("CARGO_BIN_EXE_audiod"))
        .args(["init", "ivi", "cluster", "--card", "wav", "--output"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(written.success());

    let daemon = Daemon::start(&file);
    for (guest, stream) in [("ivi.sock", 0), ("cluster.sock", 1)] {
        let sent = coded::generate(PARAMS.format, PARAMS.channels, 48_000, u64::from(stream), 1).unwrap();
        let mut front_end = SoundFrontend::connect(&folder.path().join(guest), Options::default()).unwrap();
        let pcm = Pcm::open(&mut front_end, TXQ, stream, PARAMS).unwrap();
        let stats = pcm.play(&mut front_end, &sent).unwrap();
        drop(front_end);

        assert_eq!((stats.errors, stats.lost), (0, 0), "{guest}");
        let played = coded::samples(&folder.path().join("cabin.wav")).unwrap();
        let report = coded::compare(&sent, &played, PARAMS.frame_bytes() as usize);
        // A busy machine is late now and then, and that is not what is tested here.
        assert!(report.exact >= 4_800, "{guest}: {report:?}");
    }
    assert_eq!(daemon.end().code(), Some(0));
}
