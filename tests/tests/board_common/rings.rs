//! A stock guest on the shortest ring, 2 x 1 ms, at 1 ms codec periods with 2 of lead, in virtual time.

use std::time::Duration;

use system_tests::board::scene::{self, Mode, Player, Scene};
use system_tests::coded;
use system_tests::nested;

use super::{HEADROOM, S16, TAIL, Told, folder, log, system};

/// In place of the scene's `play`.
const PLAY: &str =
    "play() { aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 --period-size=48 --buffer-size=96 \"$1\"; }
    sleep 1; until_plays /take";

/// Plays for so many seconds; each frame is heard in its place, and none of the guest's periods comes late.
pub fn no_period_comes_late(name: &str, seconds: usize, limit: Duration) {
    let frames = seconds * 48_000;
    let take = coded::generate(S16, 2, frames, 1, HEADROOM).unwrap();
    let players = vec![Player {
        name: "cluster".to_owned(),
        mode: Mode::Ram,
        take: [take.as_slice(), &[0; TAIL * 4]].concat(),
        does: PLAY.to_owned(),
    }];
    let text = system(&players).replace("period = 96", "period = 48");
    let rc = scene::rc(r#"until_event '"stream-released".*"cluster' 1"#);
    let scene = Scene {
        configuration: vec![
            ("system.toml".to_owned(), text.into_bytes()),
            ("rc".to_owned(), rc.into_bytes()),
        ],
        players,
        script: None,
        beside: String::new(),
    };
    let board = scene.board(name, &nested::kernel().unwrap(), folder(name)).unwrap();

    let outcome = board.start().unwrap().finish(limit).unwrap();

    let said = log(name, "audio");
    assert_eq!(outcome.status, 0, "{said}");
    let report = coded::compare(&take, &outcome.samples().unwrap(), 4);
    let xruns = Told::by(&said).xruns("cluster.sound", frames + TAIL);
    println!(
        "{} runs, {xruns} xruns, wall {:.0} s",
        report.runs.len(),
        outcome.wall.as_secs_f64()
    );
    assert!(report.is_exact(), "{report:?}\n{said}");
    assert_eq!(xruns, 0, "{said}");
}
