//! Where the importers' test files are, and what is made of them.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part")]

pub mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use audiod::import::ledger::Fate;
use audiod::import::{Beside, Failed, Format, Imported, import};
use policy::report::Report;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/import")
}

/// The example's second file.
pub const FADES: &str = "car_audio_fade_configuration.xml";

/// The fades that the example's zones apply.
pub fn fades() -> Beside {
    Beside {
        text: std::fs::read_to_string(examples().join(FADES)).unwrap(),
        path: PathBuf::from(FADES),
    }
}

/// The example's zones.
pub fn zones() -> String {
    std::fs::read_to_string(examples().join("car_audio_configuration.xml")).unwrap()
}

/// The example with its fades.
pub fn with_fades() -> Imported {
    let format = Format::Aaos(Some(fades()));
    import(&format, &zones(), Path::new("car_audio_configuration.xml")).unwrap()
}

/// Whole files, all of them to be imported.
pub fn inputs() -> Vec<PathBuf> {
    let mut inputs = files(&examples(), "xml");
    inputs.extend(files(&folder(), "xml"));
    // A second file of another.
    inputs.retain(|path| !path.ends_with(FADES));
    assert!(inputs.len() >= 5);
    inputs
}

/// Files of an extension in a folder, by name.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == extension));
    files.sort();
    files
}

/// `car-…` and `aaos-…` are Android's.
pub fn format(path: &Path) -> Format {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name.starts_with("car") || name.starts_with("aaos") {
        true => Format::Aaos(None),
        false => Format::AudioManager(Vec::new()),
    }
}

pub fn imported(path: &Path) -> Imported {
    let text = std::fs::read_to_string(path).unwrap();
    import(&format(path), &text, path.file_name().unwrap().as_ref()).unwrap()
}

/// What is said about a broken file. `fades-…` are the example's second file, `aaos-fades-of-…` first files beside that one.
pub fn refusal(path: &Path) -> Report {
    let text = std::fs::read_to_string(path).unwrap();
    let name = PathBuf::from(path.file_name().unwrap());
    let is = |start: &str| name.to_str().unwrap().starts_with(start);
    let result = if is("fades-") {
        let beside = Beside { text, path: name };
        import(
            &Format::Aaos(Some(beside)),
            &zones(),
            Path::new("car_audio_configuration.xml"),
        )
    } else if is("aaos-fades-of-") {
        import(&Format::Aaos(Some(fades())), &text, &name)
    } else {
        import(&format(path), &text, &name)
    };
    match result {
        Err(Failed::Input(reports)) if reports.len() == 1 => reports[0].clone(),
        other => panic!("{}: {other:?}", path.display()),
    }
}

pub fn audiod(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audiod"))
        .args(arguments)
        .output()
        .unwrap()
}

/// A folder of its own that goes away.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("carillon-import-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The amplifier of `generic.xml` as a process of its own.
pub fn with_the_amplifier() -> Imported {
    let text = std::fs::read_to_string(examples().join("generic.xml")).unwrap();
    let format = Format::AudioManager(vec!["Amplifier".to_owned()]);
    import(&format, &text, Path::new("generic.xml")).unwrap()
}

/// `generic.xml` with other lines, its amplifier a process of its own.
pub fn with(lines: &[(&str, &str)]) -> Imported {
    let mut text = std::fs::read_to_string(examples().join("generic.xml")).unwrap();
    for (line, other) in lines {
        assert!(text.contains(line), "{line}");
        text = text.replacen(line, other, 1);
    }
    let format = Format::AudioManager(vec!["Amplifier".to_owned()]);
    import(&format, &text, Path::new("generic.xml")).unwrap()
}

/// What became of the items at a path, whichever of several of one name they are.
pub fn fates(made: &Imported, path: &str) -> Vec<Fate> {
    let plain = |path: &str| -> String {
        let parts = path.split('/').map(|part| part.split('[').next().unwrap_or(part));
        parts.collect::<Vec<_>>().join("/")
    };
    let items = made.listing.items.iter().filter(|it| plain(&it.path) == path);
    items.map(|it| it.fate.clone()).collect()
}
