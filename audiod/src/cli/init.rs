//! `audiod init`: a commented first file for the guests and cards found.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::file::MAX_NAME;

use super::{print, write_new, wrong_usage};
use crate::blocks::MAX_GUESTS;
use crate::doctor::cards::{self, Card};
use crate::failure::Failure;

/// Guests of a file that nothing else was found for.
const BEGINNING: [&str; 2] = ["ivi", "cluster"];

/// A guest to write down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Name.
    pub name: String,
    /// Its vhost-user socket.
    pub socket: String,
}

/// What was seen of this machine.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Cards.
    pub cards: Vec<Card>,
    /// Guests of running QEMUs.
    pub guests: Vec<Found>,
}

impl Seen {
    /// Looks at this machine.
    pub fn look() -> Self {
        Self {
            cards: cards::list(),
            guests: qemus(Path::new("/proc")),
        }
    }
}

pub(super) fn run(guests: &[String], card: Option<&str>, output: Option<&Path>) -> Result<ExitCode, Failure> {
    let text = write_file(guests, card, &Seen::look()).unwrap_or_else(|cause| wrong_usage(&cause));
    let Some(path) = output else {
        print(&text)?;
        return Ok(ExitCode::SUCCESS);
    };
    write_new(path, &text)?;
    Ok(ExitCode::SUCCESS)
}

/// The file for these guests (`NAME` or `NAME=SOCKET`; none = those seen), with this codec (none = the first seen).
///
/// # Errors
/// A name that can't be one.
pub fn write_file(guests: &[String], card: Option<&str>, seen: &Seen) -> Result<String, String> {
    let guests = chosen(guests, seen)?;
    let mut out = String::from(
        "# Carillon: one codec, several guests. `audiod check FILE` checks this file, `audiod run FILE` runs it.\n\
         version = 1\n\
         bus = \"session\"                # session | system | a D-Bus address; take the line out for no bus\n\n",
    );
    codec(card, seen, &mut out)?;
    out += "\n[zones.cabin]                  # what listeners hear; an AudioManager sink\n\
            codec = \"main\"                 # all its channels; a part of them: channels = [0, 1]\n\
            volume = 100                   # 0 (silence), 1 (-60 dB) to 100 (0 dB)\n";
    out += CLASSES;
    for guest in &guests {
        let _ = write!(
            out,
            "\n[guests.{}]\n\
             socket = \"{}\"\n\
             streams.media = {{ class = \"media\", zone = \"cabin\" }}        # PCM device 0 in the guest\n\
             streams.prompt = {{ class = \"navigation\", zone = \"cabin\" }}  # PCM device 1\n",
            guest.name, guest.socket
        );
    }
    if let Some(first) = guests.first() {
        let _ = write!(
            out,
            "\n# For QEMU: -chardev socket,id=snd,path={} -device vhost-user-snd-pci,chardev=snd,controls=on\n",
            first.socket
        );
    }
    Ok(out + CHIMES)
}

const CLASSES: &str = "
# Roles of streams. Where the matrix has no cell, a newcomer of higher priority ducks the others.
[classes.media]
priority = 10
[classes.navigation]
priority = 50

[[matrix]]                     # while navigation plays, media is 14 dB lower
holder = \"media\"
newcomer = \"navigation\"
action = \"duck\"                # duck | pause | stop | mix
depth_db = -14.0
attack_ms = 50
release_ms = 500
";

const CHIMES: &str = "
# Chimes sound above everything, whatever guests and policy do. With a WAV file beside this one:
# [classes.warning]
# safety = true
# [chimes.seatbelt]
# path = \"seatbelt.wav\"
# class = \"warning\"
# zones = [\"cabin\"]
";

fn chosen(guests: &[String], seen: &Seen) -> Result<Vec<Found>, String> {
    let named = |name: &str| Found {
        name: name.to_owned(),
        socket: format!("{name}.sock"),
    };
    let mut chosen: Vec<Found> = Vec::new();
    for guest in guests {
        let found = match guest.split_once('=') {
            Some((name, socket)) => Found {
                name: name.to_owned(),
                socket: socket.to_owned(),
            },
            None => named(guest),
        };
        if !is_name(&found.name) {
            let rule = format!("1 to {MAX_NAME} letters, digits, `_` and `-`, and not `chime`");
            return Err(format!("`{}` can't be a guest's name: {rule}", found.name));
        }
        if found.socket.is_empty() || found.socket.contains(['"', '\\']) || found.socket.contains(char::is_control) {
            return Err(format!("`{}` can't be a socket's path", found.socket));
        }
        if chosen
            .iter()
            .any(|other| other.name == found.name || other.socket == found.socket)
        {
            return Err(format!("`{guest}` is named twice"));
        }
        chosen.push(found);
    }
    if chosen.len() > MAX_GUESTS {
        return Err(format!("{} guests: there is room for {MAX_GUESTS}", chosen.len()));
    }
    Ok(match (chosen.is_empty(), seen.guests.is_empty()) {
        (false, _) => chosen,
        (true, false) => seen.guests.clone(),
        (true, true) => BEGINNING.map(named).to_vec(),
    })
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(letter) && name != "chime"
}

fn codec(card: Option<&str>, seen: &Seen, out: &mut String) -> Result<(), String> {
    let playable = |device: Option<&str>| {
        (seen.cards.iter())
            .flat_map(|card| card.pcms.iter().map(move |pcm| (card, pcm)))
            .filter(|(_, pcm)| pcm.playback && device.is_none_or(|device| device == pcm.device))
            .find_map(|(card, pcm)| {
                let can = pcm.can.as_ref().ok()?;
                Some((card.name.clone(), cards::codec_lines(pcm, can, "main").ok()?))
            })
    };
    let (why, lines) = match card {
        Some("wav") => ("A file instead of a card: what a cabin would hear.".to_owned(), wav()),
        Some(kind @ ("null" | "cpal")) => (String::new(), plain(&format!("backend = \"{kind}\""))),
        Some(device) if device.contains(['"', '\\']) || device.contains(char::is_control) || device.is_empty() => {
            return Err(format!("`{device}` can't be a device's name"));
        }
        Some(device) => playable(Some(device)).unwrap_or_else(|| {
            let unseen = "Not seen on this machine, or in use: `audiod doctor --codec` lists what each card can do.";
            (
                unseen.to_owned(),
                plain(&format!("backend = \"alsa\"\ndevice = \"{device}\"")),
            )
        }),
        None => playable(None).unwrap_or_else(|| {
            let none = "No card found: a file instead of one, with what a cabin would hear.";
            (none.to_owned(), wav())
        }),
    };
    if !why.is_empty() {
        let _ = writeln!(out, "# {}", why.replace(char::is_control, " "));
    }
    let has_lead = lines.iter().any(|line| line.starts_with("lead"));
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    if !has_lead {
        *out +=
            "lead = 2                       # periods kept ahead; more, where this machine is late and leaves gaps\n";
    }
    Ok(())
}

fn wav() -> Vec<String> {
    plain("backend = \"wav\"                # alsa | cpal | wav | null\npath = \"cabin.wav\"")
}

fn plain(lines: &str) -> Vec<String> {
    std::iter::once("[codecs.main]")
        .chain(lines.lines())
        .map(str::to_owned)
        .collect()
}

/// Guests of running QEMUs: the socket behind each `vhost-user-snd` device. What can't be read is passed over.
fn qemus(proc: &Path) -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir(proc) else {
        return Vec::new();
    };
    let mut found: Vec<Found> = Vec::new();
    for entry in entries.flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line);
        let arguments: Vec<&str> = line.split('\0').collect();
        let folder = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        for socket in sockets(&arguments) {
            let socket = folder.join(socket);
            let known = |other: &Found| Path::new(&other.socket) == socket;
            if found.len() < MAX_GUESTS && !found.iter().any(known) {
                found.extend(guest_at(&socket, &found));
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Paths of the sockets that a QEMU's sound devices use.
fn sockets(arguments: &[&str]) -> Vec<PathBuf> {
    let option = |list: &str, key: &str| {
        let value = list
            .split(',')
            .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        value.map(str::to_owned)
    };
    let devices = arguments
        .iter()
        .filter(|argument| argument.starts_with("vhost-user-snd"));
    let ids = devices.filter_map(|device| option(device, "chardev"));
    ids.filter_map(|id| {
        let mut sockets = arguments.iter().filter(|argument| argument.starts_with("socket,"));
        let socket = sockets.find(|socket| option(socket, "id").as_deref() == Some(&id))?;
        option(socket, "path").map(PathBuf::from)
    })
    .collect()
}

/// A guest named after its socket; `None` when the path can't be written down.
fn guest_at(socket: &Path, taken: &[Found]) -> Option<Found> {
    let path = socket.to_str()?;
    if path.contains(['"', '\\']) || path.contains(char::is_control) {
        return None;
    }
    let stem = socket.file_stem()?.to_str()?;
    let stem: String = (stem.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)))
        .take(MAX_NAME - 3)
        .collect();
    let free = |name: &String| is_name(name) && !taken.iter().any(|other| &other.name == name);
    let name = std::iter::once(stem.clone())
        .chain((1..=MAX_GUESTS).map(|n| format!("{stem}-{n}")))
        .find(free)?;
    Some(Found {
        name,
        socket: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_qemu_is_found_by_its_sound_device() {
        let proc = std::env::temp_dir().join(format!("carillon-init-{}", std::process::id()));
        let process = proc.join("4711");
        std::fs::create_dir_all(&process).unwrap();
        let line = [
            "qemu-system-x86_64",
            "-chardev",
            "socket,id=mon,path=/run/mon.sock",
            "-chardev",
            "socket,id=snd0,path=/run/ivi.sock",
            "-device",
            "vhost-user-snd-pci,chardev=snd0,controls=on",
        ];
        std::fs::write(process.join("cmdline"), line.join("\0")).unwrap();

        let found = qemus(&proc);

        std::fs::remove_dir_all(&proc).unwrap();
        let expected = Found {
            name: "ivi".to_owned(),
            socket: "/run/ivi.sock".to_owned(),
        };
        assert_eq!(found, [expected]);
    }
}
