//! A stock guest's `amixer` and the host's `audioctl` on the same volume and mute of each stream.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod guest_common;

use std::time::Duration;

use guest_common::{CODEC, RATE, Rig, coded_pair};
use serde_json::Value;
use system_tests::coded;
use system_tests::process::until;

const TWO_STREAMS: &str = r#"
[guests.ivi]
socket = "@FOLDER@/ivi.sock"
streams.media = { class = "media", zone = "cabin" }
streams.voice = { class = "media", zone = "cabin" }
"#;

/// What `audioctl status` says of a stream, once it is what is wanted; else the last there was.
fn stream(rig: &Rig, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let _ = until("the status", Duration::from_secs(5), || {
        let status = rig.daemon.status().unwrap();
        last = status["streams"]
            .as_array()?
            .iter()
            .find(|stream| stream["name"] == name)?
            .clone();
        wanted(&last).then_some(())
    });
    last
}

/// Root mean square of S32 samples.
fn rms(samples: &[u8]) -> f64 {
    let values = samples
        .chunks_exact(4)
        .map(|b| f64::from(i32::from_le_bytes(b.try_into().unwrap())));
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value * value));
    (sum / f64::max(count, 1.0)).sqrt()
}

#[test]
fn amixer_lists_and_sets_each_streams_volume_and_mute_and_sees_what_the_host_sets() {
    let (sent, codec) = coded_pair("S16_LE", RATE, 5);
    let mut rig = Rig::start("volumes", "6.12", &format!("{CODEC}{TWO_STREAMS}"), &[("sound", sent)]);

    let list = rig.run("amixer -c 0 controls");
    for stream in ["Media", "Voice"] {
        for noun in ["Volume", "Switch"] {
            assert!(list.contains(&format!("name='{stream} Playback {noun}'")), "{list}");
        }
    }

    rig.run("amixer -q -c 0 cset name='Media Playback Volume' 480");
    rig.run("amixer -q -c 0 cset name='Voice Playback Switch' off");
    let media = stream(&rig, "ivi.media", |s| s["wanted_db"] == -12.0);
    let voice = stream(&rig, "ivi.voice", |s| s["mute"] == true);
    assert_eq!(
        (&media["wanted_db"], &media["mute"]),
        (&(-12.0).into(), &false.into()),
        "{media}"
    );
    assert_eq!(
        (&voice["wanted_db"], &voice["mute"]),
        (&0.0.into(), &true.into()),
        "{voice}"
    );

    let from = rig.recorded();
    rig.run("aplay -q -D hw:0,1 -t raw -f S16_LE -c 2 -r 48000 /sound");
    let muted = coded::samples(&rig.folder.join("cabin.wav")).unwrap()[from..].to_vec();
    assert!(muted.iter().all(|byte| *byte == 0), "a muted stream is heard");
    rig.run("aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 /sound");
    let heard = || {
        let samples = coded::samples(&rig.folder.join("cabin.wav")).ok()?;
        let first = from
            + samples[from..]
                .chunks(8)
                .position(|frame| frame.iter().any(|byte| *byte != 0))?
                * 8;
        samples.get(first..first + codec.len()).map(<[u8]>::to_vec)
    };
    let heard = until("the whole sound", Duration::from_secs(5), heard).unwrap();
    let gain = 20.0 * (rms(&heard) / rms(&codec)).log10();
    assert!((gain + 12.0).abs() < 0.1, "{gain} dB");

    rig.daemon.audioctl(&["volume", "ivi.media", "-6dB"]).unwrap();
    rig.daemon.audioctl(&["unmute", "ivi.voice"]).unwrap();
    let volume = rig.run("amixer -c 0 cget name='Media Playback Volume'");
    let switch = rig.run("amixer -c 0 cget name='Voice Playback Switch'");
    assert!(volume.contains(": values=540"), "{volume}");
    assert!(switch.contains(": values=on"), "{switch}");
}
