//! The commands that work on files, as a script meets them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use audiod::cli::{Found, Seen, write_file};
use audiod::doctor::cards::{Abilities, Card, Pcm};
use audiod::{config, system::Backend};

fn audiod(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audiod"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("carillon-cli-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    path.to_str().unwrap().to_owned()
}

#[test]
fn check_says_no_mistakes_and_what_each_stream_allows_a_stock_driver() {
    let output = audiod(&["check", &example("simple-car.toml")]);

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
    let said = text(&output.stdout);
    assert!(said.contains("simple-car.toml: no mistakes\n"), "{said}");
    assert!(
        said.contains("ivi.media       S16 2 ch 48000 Hz  48 frames, 1.00 ms  codec   320 ms\n"),
        "{said}"
    );
}

#[test]
fn check_of_a_wrong_file_ends_with_3_and_points_at_each_mistake() {
    let wrong = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/everything-at-once.toml");

    let output = audiod(&["check", wrong.to_str().unwrap()]);
    let json = audiod(&["check", "--json", wrong.to_str().unwrap()]);

    assert_eq!((output.status.code(), json.status.code()), (Some(3), Some(3)));
    assert!(
        text(&output.stdout).contains("everything-at-once.toml: 31 mistakes"),
        "{}",
        text(&output.stdout)
    );
    assert!(text(&output.stderr).contains("everything-at-once.toml:8:1"));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["errors"], 31);
    assert_eq!(json["findings"].as_array().unwrap().len(), 31);
    assert_eq!(json["findings"][1]["help"], "did you mean `bus`?");
}

#[test]
fn check_in_json_has_the_same_figures_as_the_table() {
    let output = audiod(&["check", "--json", &example("safety-stream.toml")]);

    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["errors"], &json["warnings"]), (&0.into(), &0.into()));
    let stream = &json["streams"][0];
    assert_eq!(
        (&stream["stream"], &stream["period_frames"]),
        (&"cluster.warnings".into(), &24.into())
    );
}

#[test]
fn wrong_usage_ends_with_2_and_a_file_in_the_way_with_5() {
    let folder = folder("way");
    let path = folder.join("system.toml");
    let path = path.to_str().unwrap();

    let first = audiod(&["init", "ivi", "--output", path]);
    let again = audiod(&["init", "cluster", "--output", path]);
    let kept = std::fs::read_to_string(path).unwrap();
    let nameless = audiod(&["init", "not a name"]);
    let unknown = audiod(&["chekc"]);

    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(first.status.code(), Some(0));
    assert_eq!(again.status.code(), Some(5));
    assert!(kept.contains("[guests.ivi]") && !kept.contains("cluster"));
    assert_eq!((nameless.status.code(), unknown.status.code()), (Some(2), Some(2)));
    assert!(text(&nameless.stderr).contains("`not a name` can't be a guest's name"));
}

#[test]
fn what_init_writes_passes_check_without_a_warning() {
    let folder = folder("init");
    for arguments in [
        &["init"][..],
        &["init", "ivi", "cluster"],
        &["init", "a", "b=/run/b.sock", "c"],
        &["init", "--card", "null"],
        &["init", "--card", "wav", "ivi"],
        &["init", "--card", "hw:9,9"],
        &["init", "--card", "cpal"],
    ] {
        let path = folder.join("system.toml");
        std::fs::write(&path, audiod(arguments).stdout).unwrap();

        let output = audiod(&["check", path.to_str().unwrap()]);

        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn card(device: &str, can: Result<Abilities, String>) -> Card {
    Card {
        id: "PCH".to_owned(),
        name: "HDA Intel\u{1b} PCH".to_owned(),
        pcms: vec![Pcm {
            device: device.to_owned(),
            playback: true,
            can,
            holder: None,
        }],
    }
}

#[test]
fn init_uses_the_first_card_that_can_play_and_the_guests_that_run() {
    let able = Abilities {
        formats: vec!["S16".to_owned(), "S32".to_owned()],
        rates: (44_100, 192_000),
        channels: (2, 8),
        period: (32, 8192),
        buffer: (64, 16_384),
    };
    let seen = Seen {
        cards: vec![card("hw:HDMI,3", Err("busy".to_owned())), card("hw:PCH,0", Ok(able))],
        guests: vec![Found {
            name: "ivi".to_owned(),
            socket: "/run/ivi.sock".to_owned(),
        }],
    };

    let text = write_file(&[], None, &seen).unwrap();

    let loaded = config::parse(&text, Path::new("init.toml"))
        .map_err(|report| report.to_string())
        .unwrap();
    assert_eq!(loaded.warnings.to_string(), "");
    assert!(matches!(&loaded.system.codecs[0].backend, Backend::Alsa { device } if device == "hw:PCH,0"));
    assert_eq!(loaded.system.guests[0].socket, Path::new("/run/ivi.sock"));
    // Every guest can play at once: both its streams have a route of their own accord.
    assert!(loaded.model.sources.iter().all(|source| source.auto_connect == [0]));
}

#[test]
fn the_chime_that_init_leaves_commented_out_can_be_taken_in() {
    let text = write_file(&[], Some("null"), &Seen::default()).unwrap();
    let (file, chime) = text.split_once("With a WAV file beside this one:\n").unwrap();
    let chime: Vec<&str> = chime.lines().map(|line| line.strip_prefix("# ").unwrap()).collect();

    let whole = format!("{file}\n{}\n", chime.join("\n"));

    let loaded = config::parse(&whole, Path::new("init.toml"))
        .map_err(|report| report.to_string())
        .unwrap();
    assert_eq!(loaded.warnings.to_string(), "");
    assert_eq!(loaded.system.chimes[0].name, "seatbelt");
}

#[test]
fn names_that_would_break_the_file_are_refused() {
    for guest in [
        "",
        "a b",
        "a\"b",
        "chime",
        "a=",
        "a=\"",
        "a=\n",
        "ü",
        "a-name-of-more-than-thirty-two-letters",
    ] {
        assert!(
            write_file(&[guest.to_owned()], Some("null"), &Seen::default()).is_err(),
            "{guest}"
        );
    }
    let twice = ["a".to_owned(), "a".to_owned()];
    assert!(write_file(&twice, Some("null"), &Seen::default()).is_err());
    assert!(write_file(&[], Some("hw:\"0"), &Seen::default()).is_err());
}

#[test]
fn doctor_reports_limits_as_text_and_as_json() {
    let output = audiod(&["doctor"]);
    let json = audiod(&["doctor", "--json"]);

    assert!(
        text(&output.stdout).contains("real-time scheduling"),
        "{}",
        text(&output.stdout)
    );
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["findings"].as_array().is_some_and(|findings| !findings.is_empty()));
    assert!(json["cards"].is_null());
}
