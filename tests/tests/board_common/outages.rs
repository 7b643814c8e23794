//! Outages while two stock guests play again and again: audiod is killed inside the service VM, then the service VM is.
//!
//! ```text
//!  rc (service VM):     both have played since the last one, and play ──► killall -9 audiod ── so many times ──► "rc: all"
//!  script (the board):  "rc: all", the service VM's VMM is killed ── so many times; the last one is left alone
//!  guest:               takes, one after the other; one that fails is tried again; so many in a row without a failure: power-off
//! ```
//! Each guest has a channel of the codec to itself, so that what was heard of it is compared bit for bit. A take that runs while
//! audiod is killed may go on: of it are heard a beginning and, to its last frame, an end. The service VM takes the streams with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::board::Clock;
use system_tests::board::scene::{self, Mode, Player, Scene};
use system_tests::coded::{self, Run};
use system_tests::nested;

const S16: u8 = 5;
const NAMES: [(&str, Mode); 2] = [("cluster", Mode::Ram), ("ivi", Mode::Bounce)];
/// Frames of a take, mono; it is long enough to be hit in its middle, and not to be over before audiod is back.
const TAKE: usize = 48_000;
/// Silent frames after it: what aplay's STOP cuts off.
const TAIL: usize = 4800;
/// The longest time a vCPU may stand still, in hundredths of a second: DESIGN's 2 s are the bound, this is what is wanted.
const HELD: u32 = 50;

const SYSTEM: &str = r#"
version = 1
bus = "unix:path=/run/bus"
user = "audiod"
[codecs.main]
backend = "alsa"
device = "hw:0,0"
period = 96
lead = 2
[zones.cluster]
codec = "main"
channels = [0]
[zones.ivi]
codec = "main"
channels = [1]
[classes.media]
priority = 10
"#;

/// A tried-again take waits until the codec runs evenly: its first tenths of a second it fills its FIFO.
const GUEST: &str = r#"
play() { aplay -q -D hw:0,0 -t raw -f S16_LE -c 1 -r 48000 --period-size=480 --buffer-size=3840 /take 2> /dev/null; }
now() { read -r up _ < /proc/uptime; echo $((${up%.*} * 100 + 1${up#*.} - 100)); }
watch() {
    most=0
    last=$(now)
    while sleep 0.1; do
        this=$(now)
        [ $((this - last)) -gt $most ] && most=$((this - last)) && echo $most > /most
        last=$this
    done
}
sleep 1
watch &
takes=0 failed=0 row=0
while [ $row -lt 5 ]; do
    if play; then
        takes=$((takes + 1)) row=$((row + 1))
    else
        failed=$((failed + 1)) row=0
        sleep 0.4
    fi
done
echo "guest: takes $takes failed $failed held $(cat /most)"
"#;

/// The service VM's hook.
const RC: &str = r#"
: > /tmp/events
audioctl monitor --bus system >> /tmp/events 2>&1 &
started() { [ "$(grep -c "\"stream-started\".*\"$1" /tmp/events)" -ge 2 ]; }
both_play() {
    : > /tmp/events
    until started cluster && started ivi; do sleep 0.05; done
}
kills=@KILLS@
while [ $kills -gt 0 ]; do
    both_play
    sleep 0.2
    killall -9 audiod
    kills=$((kills - 1))
done
both_play
echo "rc: all"
sleep 3600
"#;

/// The board's script: `said` lines of `rc: all` are waited for, each but the last is an outage.
const SCRIPT: &str = r#"
said() { grep -c "$2" "$run/$1.console"; }
outage=1
while [ $outage -le @OUTAGES@ ]; do
    until [ "$(said audio 'rc: all')" -ge $outage ]; do sleep 0.02; done
    read -r pid _ < "$run/audio.pid"
    kill -9 "$pid"
    echo "board: outage $outage"
    outage=$((outage + 1))
done
until_line cluster 'guest: end' && until_line ivi 'guest: end' && cat "$run/audio.console" && stop
"#;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("outages-{name}"))
}

fn take(seed: u64) -> Vec<u8> {
    coded::generate(S16, 1, TAKE, seed, 2).unwrap()
}

fn scene(outages: u32, kills: u32) -> Scene {
    let players = (1..).zip(NAMES).map(|(seed, (name, mode))| Player {
        name: name.to_owned(),
        mode,
        take: [take(seed), vec![0; TAIL * 2]].concat(),
        does: GUEST.to_owned(),
    });
    let guest = |(nth, (name, mode)): (usize, (&str, Mode))| {
        let keys = scene::keys(nth, mode);
        format!("[guests.{name}]\n{keys}streams.sound = {{ class = \"media\", zone = \"{name}\" }}\n")
    };
    let system = SYSTEM.to_owned() + &NAMES.into_iter().enumerate().map(guest).collect::<String>();
    Scene {
        players: players.collect(),
        configuration: vec![
            ("system.toml".to_owned(), system.into_bytes()),
            ("rc".to_owned(), RC.replace("@KILLS@", &kills.to_string()).into_bytes()),
        ],
        script: Some(SCRIPT.replace("@OUTAGES@", &outages.to_string())),
        beside: String::new(),
    }
}

/// A channel of what was heard, S16.
fn channel(heard: &[u8], nth: usize) -> Vec<u8> {
    heard
        .chunks_exact(4)
        .flat_map(|frame| frame[2 * nth..2 * nth + 2].to_vec())
        .collect()
}

/// The number after a word of the guest's last line.
fn figure(line: &str, word: &str) -> u32 {
    let mut words = line.split_whitespace().skip_while(|other| *other != word);
    words
        .nth(1)
        .and_then(|figure| figure.parse().ok())
        .unwrap_or_else(|| panic!("no {word} in {line}"))
}

/// So many ends of the service VM, before each and after the last so many of audiod: guests go on, each of their takes is in
/// the codec's file bit for bit, and of those that audiod's end hit some go on to their end.
pub fn are_survived(name: &str, seed: u32, outages: u32, kills: u32, limit: Duration) {
    let mut board = scene(outages, kills)
        .board(name, &nested::kernel().unwrap(), folder(name))
        .unwrap();
    board.clock = Clock::Virtual { seed };
    let (own, audio) = (board.log("board"), board.log("audio"));
    let guests = NAMES.map(|(name, _)| board.log(name));

    let outcome = board.start().unwrap().finish(limit).unwrap();

    assert_eq!(outcome.status, 0, "{}\n{}", own.tail(60), audio.tail(60));
    assert_eq!(own.text().matches("board: outage").count(), outages as usize);
    let ended = own.text().matches("service: audiod ended").count();
    assert_eq!(ended, (kills * (outages + 1)) as usize, "{}", own.text());
    let heard = outcome.samples().unwrap();
    let mut went_on = 0;
    for (nth, log) in guests.iter().enumerate() {
        let line = log.line("guest: takes").unwrap();
        let said = log.text();
        assert_eq!(said.matches("guest: up").count(), 1, "it never started anew: {said}");
        let report = coded::compare(&take(nth as u64 + 1), &channel(&heard, nth), 2);
        let takes = figure(&line, "takes") as usize;
        let is_whole = |run: &&Run| run.sent == 0 && run.frames == TAKE;
        let whole = report.runs.iter().filter(is_whole).count();
        let is_end = |run: &&Run| run.sent > 0 && run.sent + run.frames == TAKE;
        let ends = report.runs.iter().filter(is_end).count();
        println!(
            "{line}; {whole} whole takes and {ends} that went on of {} runs, {} foreign frames",
            report.runs.len(),
            report.foreign
        );
        // One that an outage hits may come to its end meanwhile, unheard.
        let heard = whole + ends;
        assert!(
            (heard..=heard + ended + outages as usize).contains(&takes),
            "{line}: {:?}",
            report.runs
        );
        went_on += ends;
        assert!(figure(&line, "held") < HELD, "{line}");
    }
    assert!(went_on > 0, "no take went on over an end of audiod");
    println!(
        "board {:.1} s, wall {:.0} s",
        outcome.uptime,
        outcome.wall.as_secs_f64()
    );
}
