//! A stock Debian guest's own tools on the daemon: every offered format bit for bit, by write and by mmap; capture; volumes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod guest_common;

use guest_common::{CODEC, ONE_STREAM, RATE, Rig, coded_pair};

const FORMATS: [&str; 4] = ["S16_LE", "S24_LE", "S32_LE", "FLOAT_LE"];
const CAPTURE: &str = r#"
version = 1
bus = "@BUS@"
# Frames are judged here, not how soon a busy machine lets control decide.
decision_limit_ms = 1000
[codecs.main]
backend = "wav"
path = "@FOLDER@/cabin.wav"
period = 240
lead = 12
capture_channels = 2
capture = "counter"
[zones.cabin]
codec = "main"
channels = [0, 1]
[classes.media]
priority = 10
[guests.ivi]
socket = "@FOLDER@/ivi.sock"
streams.media = { class = "media", zone = "cabin" }
streams.microphone = { direction = "capture", capture = true, channels = [2, 2] }
"#;

fn plays_every_format(name: &str, kernel: &str) {
    let pairs = FORMATS.map(|format| coded_pair(format, RATE * 3 / 4, 7));
    let files: Vec<(&str, Vec<u8>)> = FORMATS
        .iter()
        .zip(&pairs)
        .map(|(f, pair)| (*f, pair.0.clone()))
        .collect();
    let mut rig = Rig::start(name, kernel, &format!("{CODEC}{ONE_STREAM}"), &files);
    for (format, (_, codec)) in FORMATS.iter().zip(&pairs) {
        for access in ["", "-M"] {
            let from = rig.recorded();

            rig.run(&format!(
                "aplay -q -D hw:0,0 {access} -t raw -f {format} -c 2 -r 48000 /{format}"
            ));

            let report = rig.heard(codec, from);
            assert!(report.is_whole(), "{format} {access}: {report:?}");
        }
    }
}

#[test]
fn aplay_on_6_12_is_heard_bit_for_bit_in_every_format_offered_by_write_and_by_mmap() {
    plays_every_format("play-6.12", "6.12");
}

#[test]
fn aplay_on_6_1_is_heard_bit_for_bit_in_every_format_offered_by_write_and_by_mmap() {
    plays_every_format("play-6.1", "6.1");
}

/// The simulated card's input counts frames, so a frame lost or repeated on the way to the guest is a step that isn't one.
fn records_every_frame(name: &str, kernel: &str) {
    let mut rig = Rig::start(name, kernel, CAPTURE, &[]);

    let command = "arecord -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 -s 24000 /tmp/in && xxd -p /tmp/in";
    let text: String = rig.run(command).split_whitespace().collect();

    let byte = |at: usize| u16::from_str_radix(&text[at..at + 2], 16).unwrap();
    let frames: Vec<u16> = (0..text.len() / 8)
        .map(|n| byte(n * 8) | byte(n * 8 + 2) << 8)
        .collect();
    let steps: Vec<u16> = frames
        .windows(2)
        .map(|pair| pair[1].wrapping_sub(pair[0]))
        .filter(|step| *step != 1)
        .collect();
    assert_eq!(frames.len(), 24_000);
    assert!(steps.is_empty(), "{steps:?}");
}

#[test]
fn arecord_on_6_12_gets_every_frame_of_the_codecs_input_once() {
    records_every_frame("record-6.12", "6.12");
}

#[test]
fn arecord_on_6_1_gets_every_frame_of_the_codecs_input_once() {
    records_every_frame("record-6.1", "6.1");
}
