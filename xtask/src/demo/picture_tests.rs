//! The picture's structure: its parts are there, each once, on one time axis; figures stand where the axis says.

use super::*;
use crate::demo::cabin::{Check, Duck, Found, Levels, Sent};

fn analysis() -> Analysis {
    let time: Vec<f64> = (0..1000).map(|n| f64::from(n) / 100.0).collect();
    let flat = |inside: Range<f64>, db: f64| {
        time.iter()
            .map(|t| if inside.contains(t) { db } else { -120.0 })
            .collect()
    };
    Analysis {
        levels: Levels {
            music: flat(1.0..8.0, -15.0),
            prompt: flat(3.0..5.0, -13.0),
            chime: flat(6.0..7.0, -14.0),
            time: time.clone(),
        },
        found: Found {
            music: Some(1.0..8.0),
            prompt: Some(3.0..5.0),
            chime: Some(6.0..7.0),
        },
        checks: vec![Check {
            name: "music is there",
            measured: String::new(),
            bound: String::new(),
            verdict: Verdict::Pass,
        }],
    }
}

fn drawn(analysis: &Analysis) -> String {
    let sent = Sent {
        level_db: -15.0,
        seconds: 7.0,
        click_db: -90.0,
    };
    let duck = Duck {
        depth_db: -14.0,
        attack: 0.05,
        release: 0.5,
    };
    let event = |time, text: &str| Event {
        time,
        from: "audiod",
        text: text.to_owned(),
    };
    let timeline = Timeline {
        events: vec![event(0.1, "before the picture"), event(3.0, "ivi.media ducked <here>")],
        spans: vec![Span {
            lane: "ivi.media \u{2192} cabin".to_owned(),
            text: "connected".to_owned(),
            start: 1.0,
            end: Some(8.0),
        }],
    };
    draw(&Picture {
        title: "What the cabin heard",
        samples: &vec![0.25; 48_000 * 10],
        analysis,
        expected: &Expected {
            music: sent,
            prompt: sent,
            chime: sent,
            prompt_duck: duck,
            chime_duck: Duck {
                depth_db: -20.0,
                ..duck
            },
        },
        timeline: &timeline,
    })
}

#[test]
fn all_parts_are_there_once_and_all_elements_are_closed() {
    let svg = drawn(&analysis());

    for id in ["time", "events", "waveform", "levels", "routing", "legend"] {
        assert_eq!(svg.matches(&format!("<g id=\"{id}\">")).count(), 1, "{id}");
    }
    assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    for text in [
        "time in the recording, s",
        "dBFS, windows of 100 ms",
        "full scale = 1",
        "all 1 checks",
        "What the cabin heard",
    ] {
        assert!(svg.contains(text), "{text}");
    }
}

#[test]
fn an_event_is_drawn_where_the_axis_has_its_second_and_those_outside_are_left_out() {
    let svg = drawn(&analysis());

    // The tick of second 3 and the event's own line have the same x.
    let axis = Axis { range: 0.2..9.0 };
    let x = format!("M{:.1} ", axis.x(3.0));
    assert_eq!(svg.matches(&x).count(), 3, "grid, event, first point of the prompt");
    assert!(svg.contains("ivi.media ducked &lt;here&gt;") && !svg.contains("before the picture"));
}

#[test]
fn a_component_that_was_not_found_is_named_as_such_and_the_failed_check_with_it() {
    let mut analysis = analysis();
    analysis.found.chime = None;
    analysis.checks[0].verdict = Verdict::Fail;

    let svg = drawn(&analysis);

    assert!(svg.contains("chime (not found)"));
    assert!(svg.contains("0 of 1 checks of the samples passed; not: music is there"));
}
