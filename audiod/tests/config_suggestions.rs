//! "Did you mean": each key, word and name, misspelt, is the one that is suggested.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use audiod::config;

/// Every key and many words of the language, in a file without mistakes.
const WHOLE: &str = r#"
version = 1
bus = "session"
decision_limit_ms = 50
user = "audiod"

[defaults]
depth_db = -12.0
attack_ms = 20
release_ms = 300

[codecs.main]
backend = "wav"
path = "cabin.wav"
rate = 48000
channels = 2
capture_channels = 1
capture = "counter"
format = "FLOAT"
period = 48
lead = 2

[zones.cabin]
codec = "main"
channels = [0, 1]
positions = ["FLW", "FRW"]
volume = 70
curve = [[0, "mute"], [100, 0]]
muted = false
visible = true
ramp_ms = 20

[classes.media]
priority = 10
max_period_ms = 20
[classes.navigation]
priority = 20
[classes.warning]
safety = true

[[matrix]]
holder = "media"
newcomer = "navigation"
action = "pause"
newcomer_action = "delay"
attack_ms = 5
release_ms = 500
[[matrix]]
holder = "media"
newcomer = "warning"
action = "duck"
depth_db = -30

[guests.ivi]
socket = "ivi.sock"
queue_size = 256
[guests.ivi.streams.media]
class = "media"
zone = "cabin"
formats = ["S18_3", "FLOAT64"]
rates = [44100, 48000]
controls = true
unrouted = "discard"
gain_db = -3
channel_maps = [["FLH", "FRH"]]
[guests.ivi.streams.prompt]
class = "navigation"
zone = "cabin"
[guests.ivi.streams.microphone]
direction = "capture"
capture = true
[guests.ivi.jacks.phones]
kind = "headphone"
connected = true
defconf = 0
caps = 0

[chimes.seatbelt]
path = "seatbelt.wav"
class = "warning"
zones = ["cabin"]
repeat = 2
"#;

fn said(text: &str) -> String {
    match config::parse(text, Path::new("whole.toml")) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(report) => report.to_string(),
    }
}

/// Ways of mistyping a word: a letter left out, doubled, two exchanged, another case.
fn slips(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let middle = letters.len() / 2;
    let mut out = Vec::new();
    let mut with = |change: &dyn Fn(&mut Vec<char>)| {
        let mut slipped = letters.clone();
        change(&mut slipped);
        if slipped != letters {
            out.push(slipped.into_iter().collect());
        }
    };
    if letters.len() > 3 {
        with(&|letters| {
            letters.remove(middle);
        });
        with(&|letters| letters.swap(middle - 1, middle));
    }
    with(&|letters| letters.insert(middle, letters[middle]));
    with(&|letters| {
        letters[0] = if letters[0].is_lowercase() {
            letters[0].to_ascii_uppercase()
        } else {
            letters[0].to_ascii_lowercase()
        }
    });
    out
}

/// Places in the file of words that can be misspelt: keys, and strings that are a word or a name.
fn places() -> Vec<(usize, &'static str)> {
    let free = ["cabin.wav", "audiod", "ivi.sock", "seatbelt.wav"];
    let mut places = Vec::new();
    for line in WHOLE.lines() {
        let start = line.as_ptr().addr() - WHOLE.as_ptr().addr();
        if let Some((key, value)) = line.split_once(" = ") {
            places.push((start, key));
            for (index, part) in value.split('"').enumerate() {
                if index % 2 == 1 && !free.contains(&part) && part != "mute" {
                    places.push((part.as_ptr().addr() - WHOLE.as_ptr().addr(), part));
                }
            }
        }
    }
    places
}

#[test]
fn every_misspelt_key_word_and_name_gets_the_right_one_suggested() {
    assert_eq!(said(WHOLE), "");
    let mut tried = 0;
    for (at, word) in places() {
        for slip in slips(word) {
            let text = format!("{}{slip}{}", &WHOLE[..at], &WHOLE[at + word.len()..]);

            let said = said(&text);

            assert!(
                said.contains(&format!("did you mean `{word}`?")),
                "`{slip}` for `{word}`:\n{said}"
            );
            tried += 1;
        }
    }
    assert!(tried > 250, "{tried}");
}

#[test]
fn a_word_like_none_gets_no_suggestion() {
    for wrong in ["xyzzy", "q", "wwwwwwwwww"] {
        let said = said(&WHOLE.replace("codec = \"main\"", &format!("codec = \"{wrong}\"")));
        assert!(
            said.contains(&format!("there is no codec `{wrong}`")) && !said.contains("did you mean"),
            "{said}"
        );
    }
}
