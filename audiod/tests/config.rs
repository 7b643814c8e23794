//! The file: what is read from a right one, and what is said about a wrong one.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use audiod::config;
use audiod::system::Backend;

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
    assert_eq!((cell.duck.depth, cell.line), (-140, Some(20)));
    let cell = loaded.model.cell(1, 2);
    assert_eq!((cell.duck.depth, cell.duck.attack_ms, cell.line), (-200, 50, Some(28)));
}
