//! The shipped example, from its file to what is heard.

use super::fixture::Bench;
use crate::effect::{Cause, CauseKind};
use crate::file::{Document, read};
use crate::{Event, Model};

const FILE: &str = include_str!("../../../../examples/simple-car.toml");

fn simple_car() -> Model {
    read(&Document::parse(FILE))
}

fn index(model: &Model, name: &str) -> usize {
    model.sources.iter().position(|it| it.name == name).expect(name)
}

#[test]
fn the_simple_car_ducks_its_music_for_the_prompt_and_both_for_the_chime() {
    let model = simple_car();
    let [media, prompt, chime] = ["ivi.media", "cluster.prompt", "chime.seatbelt"].map(|name| index(&model, name));
    let mut bench = Bench::new(model);
    bench.start(media);
    assert_eq!(bench.gain(media, 0), (0, 0));

    bench.start(prompt);
    assert_eq!((bench.gain(media, 0), bench.gain(prompt, 0)), ((-140, 50), (0, 0)));
    let Cause { kind, line, .. } = bench.cause(media, 0);
    let written = line
        .and_then(|line| FILE.lines().nth(line as usize - 1))
        .map(|it| it.split(" #").next().unwrap().trim());
    assert_eq!((kind, written), (CauseKind::Ducked { by: prompt }, Some("[[matrix]]")));

    bench.step(Event::Sounding {
        source: chime,
        on: true,
    });
    assert_eq!(
        (bench.gain(media, 0).0, bench.gain(prompt, 0).0, bench.gain(chime, 0).0),
        (-200, -200, 0)
    );
    bench.step(Event::Sounding {
        source: chime,
        on: false,
    });
    bench.release(prompt);
    assert_eq!(bench.gain(media, 0), (0, 500));
}
