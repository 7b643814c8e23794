//! The file: what is read from a right one, and what is said about a wrong one.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use audiod::config;
use audiod::doctor::cards::{Abilities, Pcm, codec_lines};
use audiod::system::{Backend, CaptureSource, CodecFormat};
use policy::model::{Duck, Holder, Newcomer};
use vhost_sound::config::Direction;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

#[test]
fn the_simple_car_is_read_as_it_says() {
    let loaded = config::load(&example("simple-car.toml"))
        .map_err(|report| report.to_string())
        .unwrap();

    let system = &loaded.system;
    assert_eq!(loaded.warnings.to_string(), "");
    assert_eq!(system.bus.as_deref(), Some("session"));
    assert!(
        matches!(&system.codecs[0].backend, Backend::Wav { path } if path.is_absolute() && path.ends_with("cabin.wav"))
    );
    assert_eq!(
        (system.codecs[0].rate, system.codecs[0].period, system.codecs[0].lead),
        (48_000, 48, 2)
    );
    assert_eq!(
        (
            system.zones[0].channels.as_slice(),
            system.zones[0].positions.as_slice()
        ),
        (&[0, 1][..], &[3, 4][..])
    );
    let names: Vec<&str> = loaded.model.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["ivi.media", "cluster.prompt", "chime.seatbelt"]);
    assert_eq!(system.sources[1].name, "cluster.prompt");
    assert_eq!((system.sources[1].guest, system.sources[1].stream), (1, 0));
    assert_eq!(system.chimes[0].zones, [0]);
    let cell = loaded.model.cell(0, 1);
    assert_eq!((cell.duck.depth, cell.line), (-140, Some(21)));
    let cell = loaded.model.cell(1, 2);
    assert_eq!((cell.duck.depth, cell.duck.attack_ms, cell.line), (-200, 50, Some(29)));
}

#[test]
fn the_simple_car_is_thirty_lines() {
    let text = std::fs::read_to_string(example("simple-car.toml")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    assert!(lines.count() <= 30);
}

#[test]
fn every_example_passes_without_a_warning() {
    let entries = std::fs::read_dir(example("")).unwrap();
    let files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let loaded = config::load(&file).map_err(|report| report.to_string()).unwrap();
        assert_eq!(loaded.warnings.to_string(), "");
    }
}

#[test]
fn the_policys_sources_and_sinks_are_the_systems_in_its_order() {
    for file in [
        "simple-car.toml",
        "rear-seat.toml",
        "hands-free.toml",
        "safety-stream.toml",
        "two-codecs.toml",
    ] {
        let loaded = config::load(&example(file)).unwrap();

        let system = &loaded.system;
        let sources = system.sources.iter().map(|source| source.name.clone());
        let chimes = system.chimes.iter().map(|chime| format!("chime.{}", chime.name));
        let expected: Vec<String> = sources.chain(chimes).collect();
        let found: Vec<String> = loaded.model.sources.iter().map(|source| source.name.clone()).collect();
        assert_eq!(found, expected, "{file}");
        let zones: Vec<&String> = system.zones.iter().map(|zone| &zone.name).collect();
        let sinks: Vec<&String> = loaded.model.sinks.iter().map(|sink| &sink.name).collect();
        assert_eq!(sinks, zones, "{file}");
        for source in &system.sources {
            let stream = &system.guests[source.guest].device.streams[source.stream];
            assert_eq!(
                source.name,
                format!("{}.{}", system.guests[source.guest].name, stream.name)
            );
            assert_eq!(source.safety, stream.safety);
        }
    }
}

#[test]
fn a_safety_stream_is_out_of_the_policys_reach_and_others_are_ducked_for_it() {
    let loaded = config::load(&example("safety-stream.toml")).unwrap();

    let source = &loaded.model.sources[0];
    assert_eq!(
        (source.auto_connect.as_slice(), source.safety_sinks.as_slice()),
        (&[][..], &[0][..])
    );
    assert!(loaded.system.sources[0].safety);
    assert_eq!(loaded.system.sources[0].safety_zones, [0]);
    let (media, warning) = (0, 1);
    let cell = loaded.model.cell(media, warning);
    assert_eq!(
        (cell.holder, cell.duck.depth, cell.duck.attack_ms),
        (Holder::Duck, -300, 20)
    );
    assert!(loaded.model.cells.keys().all(|&(holder, _)| holder != warning));
}

#[test]
fn capture_is_heard_only_where_the_file_allows_it() {
    let loaded = config::load(&example("hands-free.toml")).unwrap();

    let recording: Vec<(&str, bool)> = loaded
        .system
        .sources
        .iter()
        .map(|source| (source.name.as_str(), source.capture_allowed))
        .collect();
    assert_eq!(
        recording,
        [
            ("phone.voice", false),
            ("phone.microphone", true),
            ("ivi.media", false),
            ("ivi.assistant", false)
        ]
    );
    assert_eq!(loaded.system.codecs[0].capture, CaptureSource::Loopback);
    let stream = &loaded.system.guests[0].device.streams[1];
    assert_eq!(
        (stream.direction, stream.channels_min, stream.channels_max),
        (Direction::Capture, 1, 2)
    );
    assert!(!loaded.model.sources[1].visible);
}

const BASE: &str = r#"
version = 1
[codecs.main]
backend = "null"
rate = 96000
[zones.cabin]
codec = "main"
[classes.media]
priority = 10
[classes.prompt]
priority = 20
[classes.call]
priority = 30
[classes.warning]
safety = true
[guests.ivi]
socket = "ivi.sock"
streams.a = { class = "media", zone = "cabin" }
streams.b = { class = "prompt", zone = "cabin" }
streams.c = { class = "call", zone = "cabin" }
streams.d = { class = "warning", zone = "cabin" }
"#;

fn parse(text: &str) -> config::Loaded {
    config::parse(text, Path::new("test.toml"))
        .map_err(|report| report.to_string())
        .unwrap()
}

fn errors(text: &str) -> String {
    config::parse(text, Path::new("test.toml")).unwrap_err().to_string()
}

#[test]
fn what_the_file_does_not_say_has_the_documented_defaults() {
    let loaded = parse(BASE);

    let system = &loaded.system;
    assert_eq!(
        (system.bus.as_deref(), system.user.as_deref(), system.decision_limit_ms),
        (None, None, 50)
    );
    let codec = &system.codecs[0];
    assert_eq!(
        (codec.channels, codec.period, codec.lead, codec.format),
        (2, 96, 2, CodecFormat::S16)
    );
    let device = &system.guests[0].device;
    assert_eq!((device.queue_size, device.codec_period), (1024, (96, 96_000)));
    let stream = &device.streams[1];
    // S16, S24, S32, FLOAT; 8 to 48 kHz; the zone's channels; PCM device 1.
    assert_eq!(
        (stream.formats, stream.rates),
        (1 << 5 | 1 << 15 | 1 << 17 | 1 << 19, 0b1111_1110)
    );
    assert_eq!(
        (stream.channels_min, stream.channels_max, stream.nid, stream.controls),
        (1, 2, 1, true)
    );
    let map = device
        .channel_maps
        .iter()
        .find(|map| map.nid == 1 && map.positions.len() == 2);
    assert_eq!(map.unwrap().positions, [3, 4]);
    let sink = &loaded.model.sinks[0];
    assert_eq!((sink.main_volume, sink.muted), (100, false));
    assert_eq!(sink.curve, [(0, policy::MUTE), (1, -600), (100, 0)]);
    assert_eq!(loaded.model.default_duck, Duck::default());
    // A safety class is above all others, so that others are ducked for it also where no cell says so.
    assert_eq!(loaded.model.cell(2, 3).holder, Holder::Duck);
}

#[test]
fn a_cell_by_name_goes_before_one_with_a_star_and_a_star_leaves_safety_holders_and_the_own_class_alone() {
    let rules = r#"
[[matrix]]
holder = "*"
newcomer = "*"
action = "mix"
[[matrix]]
holder = "*"
newcomer = "call"
action = "pause"
[[matrix]]
holder = "media"
newcomer = ["prompt", "call"]
action = "duck"
depth_db = -9.5
"#;
    let loaded = parse(&format!("{BASE}{rules}"));

    let [media, prompt, call, warning] = [0, 1, 2, 3];
    let actions = |holder, newcomer| loaded.model.cells.get(&(holder, newcomer)).map(|cell| cell.holder);
    assert_eq!(actions(media, call), Some(Holder::Duck));
    assert_eq!(loaded.model.cell(media, call).duck.depth, -95);
    assert_eq!(actions(prompt, call), Some(Holder::Pause));
    assert_eq!(actions(call, prompt), Some(Holder::Mix));
    assert_eq!(actions(media, warning), Some(Holder::Mix));
    assert_eq!(actions(call, call), None);
    assert!((0..4).all(|newcomer| actions(warning, newcomer).is_none()));
}

#[test]
fn a_star_as_newcomer_does_not_delay_a_safety_source() {
    let rules = "[[matrix]]\nholder = \"media\"\nnewcomer = \"*\"\nnewcomer_action = \"delay\"\n";
    let loaded = parse(&format!("{BASE}{rules}"));

    assert_eq!(loaded.model.cell(0, 1).newcomer, Newcomer::Delay);
    assert_eq!(loaded.model.cell(0, 3).newcomer, Newcomer::Play);
}

#[test]
fn every_linear_format_and_every_rate_of_the_specification_can_be_offered() {
    let formats = config::words::FORMATS.map(|(name, _)| format!("\"{name}\"")).join(", ");
    let rates = config::words::RATES.map(|rate| rate.to_string()).join(", ");
    let text = BASE.replace(
        "streams.a = {",
        &format!("streams.a = {{ formats = [{formats}], rates = [{rates}], channels = [1, 8],"),
    );

    let loaded = parse(&text);

    let stream = &loaded.system.guests[0].device.streams[0];
    assert_eq!((stream.formats, stream.rates), ((1 << 21) - (1 << 3), (1 << 14) - 1));
    assert_eq!((stream.channels_min, stream.channels_max), (1, 8));
    for (name, number) in config::words::FORMATS {
        assert_eq!(
            mix::Format::from_virtio(number).map(mix::Format::bytes).unwrap_or(0),
            config::words::sample_bytes(number) as usize
        );
        assert!(config::words::sample_bytes(number) > 0, "{name}");
    }
    for (number, rate) in (0..).zip(config::words::RATES) {
        assert_eq!(audiod::engine::hertz(number), Some(rate));
    }
}

#[test]
fn a_path_that_is_too_long_for_a_socket_is_refused() {
    let long = "x".repeat(120);
    let found = errors(&BASE.replace("ivi.sock", &long));
    assert!(found.contains("a socket's path has at most 107 bytes") && found.contains("help: choose a shorter folder"));
}

#[test]
fn files_that_can_not_be_read_are_one_error_with_the_cause() {
    let folder = std::env::temp_dir().join(format!("carillon-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let said = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        config::load(&path).unwrap_err().to_string()
    };

    let not_text = said("bytes.toml", b"version = 1\n# \xff\xfe");
    let too_long = said("long.toml", &vec![b'\n'; (1 << 20) + 1]);
    let missing = config::load(&folder.join("missing.toml")).unwrap_err().to_string();
    let chime = "[chimes.gong]\npath = \"gong.wav\"\nclass = \"warning\"\nzones = \"cabin\"\n";
    let no_chime = said("chime.toml", format!("{BASE}{chime}").as_bytes());
    std::fs::write(folder.join("gong.wav"), b"RIFFnothing").unwrap();
    let bad_chime = said("chime.toml", format!("{BASE}{chime}").as_bytes());

    std::fs::remove_dir_all(&folder).unwrap();
    assert!(not_text.contains("it is not UTF-8 in line 2"), "{not_text}");
    assert!(
        too_long.contains("it has 1048577 bytes; 1048576 is the limit"),
        "{too_long}"
    );
    assert!(
        missing.contains("missing.toml: it can't be read: No such file"),
        "{missing}"
    );
    assert!(
        no_chime.contains("chime.toml:23:8") && no_chime.contains("No such file"),
        "{no_chime}"
    );
    assert!(bad_chime.contains("`gong.wav` can't be a chime"), "{bad_chime}");
}

#[test]
fn the_lines_that_doctor_gives_for_a_card_are_read() {
    let can = Abilities {
        formats: vec!["S32".to_owned()],
        rates: (44_100, 192_000),
        channels: (2, 8),
        period: (32, 8192),
        buffer: (64, 16_384),
    };
    let pcm = Pcm {
        device: "hw:PCH,0".to_owned(),
        playback: true,
        can: Ok(can.clone()),
        holder: None,
    };

    let lines = codec_lines(&pcm, &can, "main").unwrap().join("\n");

    let loaded = parse(&BASE.replace("[codecs.main]\nbackend = \"null\"\nrate = 96000", &lines));
    let codec = &loaded.system.codecs[0];
    assert_eq!(
        (codec.rate, codec.format, codec.period, codec.lead),
        (48_000, CodecFormat::S32, 48, 2)
    );
    assert!(matches!(&codec.backend, Backend::Alsa { device } if device == "hw:PCH,0"));
}
