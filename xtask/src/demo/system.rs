//! The demo's system file: `examples/simple-car.toml` with the paths of this run, and the fault that is to be planted.

use std::path::Path;

use anyhow::Context;
use system_tests::board::scene::{self, Mode};
use toml::{Table, Value};

use super::cabin::Duck;
use super::{Fault, Lengths, Options, content};

const EXAMPLE: &str = include_str!("../../../examples/simple-car.toml");
/// Frames a period and periods kept in the card, 60 ms: where real-time scheduling is refused, an engine beside two busy guests
/// is late now and then, and the scene is about routing.
const CARD: [(&str, i64); 2] = [("period", 240), ("lead", 12)];
/// In virtual time nobody is late: the shortest lead, 4 ms.
const BOARD_CARD: [(&str, i64); 2] = [("period", 96), ("lead", 2)];
/// Written out where the example leaves it to the default, so that the checks know it.
const RAMPS: [(&str, i64); 2] = [("attack_ms", 50), ("release_ms", 500)];

/// See the module.
pub struct System {
    file: Table,
    /// What the prompt does to the music.
    pub prompt_duck: Duck,
    /// What the chime does to the music.
    pub chime_duck: Duck,
}

impl System {
    /// Sockets, recording and a silent chime (if need be) go to `folder`.
    ///
    /// # Errors
    /// The example lacks something that the scene needs.
    pub fn from_example(folder: &Path, chime: &Path, lengths: &Lengths, options: &Options) -> anyhow::Result<Self> {
        let mut file: Table = EXAMPLE.parse().context("examples/simple-car.toml")?;
        let path = |path: &Path| Value::String(path.display().to_string());
        let codec = table(&mut file, &["codecs", "main"])?;
        codec.extend(CARD.map(|(key, value)| (key.to_owned(), value.into())));
        match &options.codec {
            None => codec.insert("path".to_owned(), path(&folder.join("cabin.wav"))),
            Some(device) => {
                codec.insert("backend".to_owned(), "alsa".into());
                codec.insert("device".to_owned(), device.as_str().into());
                codec.remove("path")
            }
        };
        for guest in ["ivi", "cluster"] {
            let socket = folder.join(format!("{guest}.sock"));
            table(&mut file, &["guests", guest])?.insert("socket".to_owned(), path(&socket));
        }
        let sound = table(&mut file, &["chimes", "seatbelt"])?;
        sound.insert("path".to_owned(), path(&chime.canonicalize()?));
        sound.insert("repeat".to_owned(), i64::from(lengths.chime_repeat).into());
        let prompt_duck = duck(cell(&mut file, "navigation")?)?;
        let chime_duck = duck(cell(&mut file, "warning")?)?;
        let mut system = Self {
            file,
            prompt_duck,
            chime_duck,
        };
        if let Some(fault) = options.r#break {
            system.plant(fault, folder)?;
        }
        Ok(system)
    }

    /// The expectations stay those of the file without the fault.
    fn plant(&mut self, fault: Fault, folder: &Path) -> anyhow::Result<()> {
        match fault {
            Fault::Duck => {
                let cell = cell(&mut self.file, "navigation")?;
                cell.retain(|key, _| ["holder", "newcomer"].contains(&key));
                cell.insert("action".to_owned(), "mix".into());
            }
            Fault::Chime => {
                let silent = folder.join("silence.wav");
                std::fs::write(&silent, content::wav(&vec![0.0; content::RATE as usize / 2])?)?;
                let chime = table(&mut self.file, &["chimes", "seatbelt"])?;
                chime.insert("path".to_owned(), silent.display().to_string().into());
            }
            Fault::Route => {
                table(&mut self.file, &["guests", "cluster", "streams", "prompt"])?.remove("zone");
            }
        }
        Ok(())
    }

    /// The same in the board's service VM, as its configuration: the codec that was passed to it, guests by their windows.
    ///
    /// # Errors
    /// The chime can't be read.
    pub fn on_the_board(mut self, guests: &[(&str, Mode)]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let codec = table(&mut self.file, &["codecs", "main"])?;
        codec.remove("path");
        codec.extend([("backend", "alsa"), ("device", "hw:0,0")].map(|(key, value)| (key.to_owned(), value.into())));
        codec.extend(BOARD_CARD.map(|(key, value)| (key.to_owned(), value.into())));
        for (nth, (name, mode)) in guests.iter().enumerate() {
            let guest = table(&mut self.file, &["guests", name])?;
            guest.remove("socket");
            guest.extend(scene::keys(nth, *mode).parse::<Table>()?);
        }
        let sound = table(&mut self.file, &["chimes", "seatbelt"])?;
        let path = sound.insert("path".to_owned(), "seatbelt.wav".into());
        let path = path.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let chime = std::fs::read(&path).with_context(|| format!("reading {path}"))?;
        self.file.insert("user".to_owned(), "audiod".into());
        let text = self.text("unix:path=/run/bus");
        Ok(vec![
            ("system.toml".to_owned(), text.into_bytes()),
            ("seatbelt.wav".to_owned(), chime),
        ])
    }

    /// The file's text for a bus.
    #[must_use]
    pub fn text(&self, bus: &str) -> String {
        let mut file = self.file.clone();
        file.insert("bus".to_owned(), bus.into());
        format!("# Written by `cargo xtask demo` from examples/simple-car.toml.\n{file}")
    }
}

fn table<'a>(file: &'a mut Table, path: &[&str]) -> anyhow::Result<&'a mut Table> {
    let step = |table: &'a mut Table, key: &&str| table.get_mut(*key).and_then(Value::as_table_mut);
    let found = path.iter().try_fold(file, step);
    found.with_context(|| format!("examples/simple-car.toml has no [{}]", path.join(".")))
}

/// The matrix cell that a newcomer of this class meets.
fn cell<'a>(file: &'a mut Table, newcomer: &str) -> anyhow::Result<&'a mut Table> {
    let cells = file.get_mut("matrix").and_then(Value::as_array_mut);
    let mut cells = cells.into_iter().flatten().filter_map(Value::as_table_mut);
    let found = cells.find(|cell| cell.get("newcomer").and_then(Value::as_str) == Some(newcomer));
    found.with_context(|| format!("examples/simple-car.toml: no [[matrix]] with newcomer {newcomer}"))
}

fn duck(cell: &mut Table) -> anyhow::Result<Duck> {
    for (key, default) in RAMPS {
        cell.entry(key).or_insert(default.into());
    }
    let number = |key: &str| {
        let value = cell.get(key);
        let number = value.and_then(|value| value.as_float().or(value.as_integer().map(|whole| whole as f64)));
        number.with_context(|| format!("examples/simple-car.toml: a [[matrix]] cell without {key}"))
    };
    Ok(Duck {
        depth_db: number("depth_db")?,
        attack: number("attack_ms")? / 1000.0,
        release: number("release_ms")? / 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(fault: Option<Fault>) -> System {
        let folder = std::env::temp_dir();
        let chime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/chimes/seatbelt.wav");
        let options = Options {
            r#break: fault,
            no_vm_board: true,
            codec: None,
            keep: false,
            json: false,
        };
        System::from_example(&folder, &chime, &super::super::HOST, &options).unwrap()
    }

    #[test]
    fn the_checks_expect_what_the_example_says_whatever_fault_is_planted() {
        for fault in [None, Some(Fault::Duck), Some(Fault::Chime), Some(Fault::Route)] {
            let system = system(fault);

            let prompt = Duck {
                depth_db: -14.0,
                attack: 0.05,
                release: 0.5,
            };
            assert_eq!(
                (system.prompt_duck, system.chime_duck.depth_db),
                (prompt, -20.0),
                "{fault:?}"
            );
        }
    }

    #[test]
    fn each_fault_changes_the_file_and_the_bus_is_the_one_given() {
        let right = system(None).text("unix:path=/b");
        let parsed: Table = right.parse().unwrap();

        assert_eq!(parsed["bus"].as_str(), Some("unix:path=/b"));
        for fault in [Fault::Duck, Fault::Chime, Fault::Route] {
            assert_ne!(system(Some(fault)).text("unix:path=/b"), right, "{fault:?}");
        }
    }

    #[test]
    fn the_board_gets_the_same_policy_with_windows_in_place_of_sockets() {
        let host: Table = system(None).text("unix:path=/run/bus").parse().unwrap();

        let configuration = system(None)
            .on_the_board(&[("ivi", Mode::Ram), ("cluster", Mode::Bounce)])
            .unwrap();

        let file = |name: &str| &configuration.iter().find(|(place, _)| place == name).unwrap().1;
        let board: Table = String::from_utf8_lossy(file("system.toml")).parse().unwrap();
        assert_eq!(
            (&board["matrix"], &board["classes"]),
            (&host["matrix"], &host["classes"])
        );
        for guest in ["ivi", "cluster"] {
            let guest = board["guests"][guest].as_table().unwrap();
            assert_eq!((guest["link"].as_str(), guest.get("socket")), (Some("window"), None));
        }
        assert!(file("seatbelt.wav").starts_with(b"RIFF"));
    }
}
