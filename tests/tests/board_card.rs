//! The shipped daemon on a card with a mixer of its own, the board's: what the card does with the sound is asked of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use system_tests::board::{self, Board, Codec, Contents};
use system_tests::daemon::program;
use system_tests::nested;

const LIMIT: Duration = Duration::from_secs(840);
const SYSTEM: &str = r#"version = 1
bus = "unix:path=/run/bus"
[codecs.main]
backend = "alsa"
device = "hw:0,0"
period = 480
lead = 4
[zones.cabin]
codec = "main"
[classes.media]
priority = 10
[guests.ivi]
socket = "/run/ivi.sock"
streams.media = { class = "media", zone = "cabin" }
"#;
const BUS: &str = r#"<busconfig><type>custom</type><listen>unix:path=/run/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy></busconfig>
"#;
const SCENARIO: &str = r#"card
dbus-daemon --config-file=/bus.conf --fork
audiod run /system.toml &
ask() { audioctl --bus unix:path=/run/bus --json "$@"; }
until ask status > /dev/null 2>&1; do sleep 0.1; done
amixer -c 0 scontrols
fe-play /run/ivi.sock --seconds 60 > /dev/null &
until ask status | grep -q '"running"'; do sleep 0.1; done
amixer -q -c 0 sset Master 100% mute
echo "WHY muted $(ask why ivi.media | tr -d '\n')"
amixer -q -c 0 sset Master 0 unmute
echo "WHY lowest $(ask why cabin | tr -d '\n')"
amixer -q -c 0 sset Master 100%
echo "WHY open $(ask why ivi.media | tr -d '\n')"
"#;

#[test]
fn a_card_muted_by_its_own_mixer_is_said_to_be() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("board-card");
    std::fs::create_dir_all(&folder).unwrap();
    let kernel = nested::kernel().unwrap();
    let ours = ["audiod", "audioctl", "fe-play"];
    let contents = Contents {
        modules: board::HDA.to_vec(),
        programs: ["dbus-daemon", "amixer"].map(str::to_owned).to_vec(),
        built: ours
            .map(|name| (program(name).unwrap(), format!("usr/bin/{name}")))
            .to_vec(),
        trees: vec!["/usr/share/alsa".into()],
        files: vec![
            ("etc/passwd".to_owned(), b"root:x:0:0::/:/bin/sh\n".to_vec(), 0o644),
            ("bus.conf".to_owned(), BUS.into(), 0o644),
            ("system.toml".to_owned(), SYSTEM.into(), 0o644),
        ],
        scenario: Some(SCENARIO.to_owned()),
        ..Contents::default()
    };
    let image = nested::image(&kernel, &contents, &folder).unwrap();
    let mut board = Board::new("card", image, folder).in_virtual_time(1).unwrap();
    // The board's usual codec has no mixer: it is there to be bit-transparent.
    board.codec = Codec::None;
    let devices = ["intel-hda,addr=3,id=hda", "hda-output,bus=hda.0,audiodev=card,mixer=on"];
    board.extra = vec!["-audiodev".to_owned(), "none,id=card".to_owned()];
    board.extra.extend(
        devices
            .iter()
            .flat_map(|device| ["-device".to_owned(), (*device).to_owned()]),
    );

    let outcome = board.clone().start().unwrap().finish(LIMIT).unwrap();

    let log = board.log("board").text();
    assert_eq!(outcome.status, 0, "{log}");
    let said = |moment: &str| -> (bool, Vec<(String, String)>) {
        let head = format!("WHY {moment} ");
        let line = log
            .lines()
            .find_map(|line| line.split_once(&head))
            .unwrap_or_else(|| panic!("{log}"));
        let why: Value = serde_json::from_str(line.1.trim()).unwrap();
        let text = |link: &Value, key: &str| link[key].as_str().unwrap().to_owned();
        let links = why["links"].as_array().unwrap().iter();
        let links = links.map(|link| (text(link, "link"), text(link, "text"))).collect();
        (why["heard"].as_bool().unwrap(), links)
    };
    let muted = |what: &str| {
        let text = format!("the card of codec main is muted: {what}");
        (false, vec![("card-muted".to_owned(), text)])
    };
    assert_eq!(said("muted"), muted("Master is off"));
    assert_eq!(said("lowest"), muted("Master is at its lowest"));
    assert_eq!(said("open"), (true, Vec::new()));
}
