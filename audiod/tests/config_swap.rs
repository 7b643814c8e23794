//! Which new file can take the old one's place while it runs, and what is said of the others.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use audiod::config::{Loaded, parse, swap::swappable};

const CAR: &str = r#"version = 1
state = "audiod.state"

[codecs.main]
backend = "null"
[codecs.rear]
backend = "null"

[zones.cabin]
codec = "main"
volume = 40
[zones.back]
codec = "rear"

[classes.media]
priority = 10
[classes.prompt]
priority = 50
[classes.warning]
safety = true

[guests.ivi]
socket = "ivi.sock"
streams.media = { class = "media", zone = "cabin" }
streams.prompt = { class = "prompt", zone = "cabin" }

[chimes.bell]
path = "bell.wav"
class = "warning"
zones = ["cabin"]

[[matrix]]
holder = "media"
newcomer = "prompt"
action = "duck"
depth_db = -14.0
"#;

fn loaded(text: &str) -> Loaded {
    parse(text, Path::new("/etc/car.toml"))
        .map_err(|report| report.to_string())
        .unwrap()
}

/// The report on the car with some text in place of another; empty when it can be taken up.
fn swap(old: &str, new: &str) -> String {
    assert!(CAR.contains(old), "{old}");
    let new = loaded(&CAR.replace(old, new));
    swappable(&loaded(CAR), &new).map_or_else(|report| report.to_string(), |()| String::new())
}

#[test]
fn the_policy_can_be_changed() {
    for (old, new) in [
        ("depth_db = -14.0", "depth_db = -20\nattack_ms = 5"),
        ("action = \"duck\"\ndepth_db = -14.0", "action = \"pause\""),
        (
            "volume = 40",
            "volume = 30\ncurve = [[0, \"mute\"], [50, 0]]\nramp_ms = 100",
        ),
        ("priority = 10", "priority = 60"),
        ("[classes.media]", "[classes.other]\n[classes.media]"),
        ("class = \"prompt\", zone", "class = \"media\", gain_db = -3, zone"),
        (
            "streams.media = { class = \"media\", zone = \"cabin\" }",
            "streams.media = { class = \"media\" }",
        ),
        ("[[matrix]]", "[restore]\nvolumes = false\n\n[[matrix]]"),
        (
            "backend = \"null\"\n[codecs.rear]",
            "backend = \"null\" # as before\nrate = 48_000\n[codecs.rear]",
        ),
    ] {
        assert_eq!(swap(old, new), "", "{new}");
    }
}

#[test]
fn whatever_needs_a_restart_is_named_with_its_line() {
    for (old, new, told) in [
        (
            "[codecs.rear]\nbackend = \"null\"",
            "[codecs.rear]\nbackend = \"null\"\nrate = 44100",
            "car.toml:8:1",
        ),
        (
            "streams.media = { class",
            "streams.media = { rates = [44100], class",
            "car.toml:24:19",
        ),
        (
            "socket = \"ivi.sock\"",
            "socket = \"ivi2.sock\"",
            "`guests.ivi.socket` can't be changed",
        ),
        ("path = \"bell.wav\"", "path = \"gong.wav\"", "car.toml:28:1"),
        (
            "codec = \"main\"",
            "codec = \"main\"\nchannels = [1, 0]",
            "`zones.cabin.channels` can't be added",
        ),
        ("state = \"audiod.state\"\n", "", "`state` can't be taken out"),
        (
            "[[matrix]]",
            "[guests.other]\nsocket = \"o.sock\"\nstreams.x = { class = \"media\" }\n[[matrix]]",
            "car.toml:32:9",
        ),
        (
            "[classes.prompt]\n",
            "[classes.prompt]\nsafety = true\n",
            "`classes.prompt.safety` can't be added",
        ),
        (
            "class = \"media\", zone = \"cabin\"",
            "class = \"media\", zone = \"back\"",
            "`guests.ivi.streams.media.zone`",
        ),
    ] {
        // A safety class is nobody's holder or rejected newcomer, but may be a newcomer: the matrix stays legal.
        let said = swap(old, new);
        assert!(said.contains(told), "{new}: {said}");
        assert!(
            said.contains("error[restart]") && said.contains("restart audiod"),
            "{said}"
        );
    }
}

#[test]
fn everything_that_needs_a_restart_is_named_at_once_and_the_rest_is_not() {
    let new = CAR
        .replace("volume = 40", "volume = 50")
        .replace("socket = \"ivi.sock\"", "socket = \"x.sock\"")
        .replace("path = \"bell.wav\"", "path = \"gong.wav\"");
    let report = swappable(&loaded(CAR), &loaded(&new)).unwrap_err();
    assert_eq!(report.errors(), 2, "{report}");
    assert!(report.to_string().contains("line 23 of the file that runs"), "{report}");
}

#[test]
fn another_order_of_streams_is_told_as_such() {
    let (media, prompt) = (
        "streams.media = { class = \"media\", zone = \"cabin\" }\n",
        "streams.prompt = { class = \"prompt\", zone = \"cabin\" }\n",
    );
    let said = swap(&format!("{media}{prompt}"), &format!("{prompt}{media}"));
    assert!(said.contains("another order"), "{said}");
}

#[test]
fn where_the_state_is_kept_is_checked() {
    for (state, told) in [
        ("/etc/car.toml", "this is the file you are reading"),
        ("ivi.sock", "the socket of guest ivi is there already"),
        ("bell.wav", "chime bell is there already"),
        ("kept/", "this is a folder"),
    ] {
        let text = CAR.replace("audiod.state", state);
        let report = parse(&text, Path::new("/etc/car.toml")).unwrap_err().to_string();
        assert!(report.contains("car.toml:2:9") && report.contains(told), "{report}");
    }
    let without = CAR.replace("state = \"audiod.state\"", "[restore]\nconnections = \"none\"");
    let loaded = loaded(&without);
    assert!(
        loaded
            .warnings
            .to_string()
            .contains("nothing is kept that could be restored")
    );
    assert!(!loaded.keep.restore.connections && loaded.keep.restore.volumes && loaded.keep.state.is_none());
}
