//! Synthetic recordings: the right scene passes, each fault fails exactly its checks.

use super::*;
use crate::demo::content::{RATE, music, prompt, read};

const LEAD_IN: f64 = 1.0;
const PROMPT_AT: f64 = 4.0;
const CHIME_AT: f64 = 9.5;
const REPEAT: usize = 3;

fn chime() -> Vec<f32> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/chimes/seatbelt.wav");
    read(std::path::Path::new(path)).unwrap().repeat(REPEAT)
}

fn expected() -> Expected {
    Expected {
        music: sent(&music(crate::demo::HOST.music), &content::MUSIC, Depth::Music),
        prompt: sent(&prompt(crate::demo::HOST.prompt), &content::PROMPT, Depth::Prompt),
        chime: sent(&chime(), &content::CHIME, Depth::Chime),
        prompt_duck: Duck {
            depth_db: -14.0,
            attack: 0.05,
            release: 0.5,
        },
        chime_duck: Duck {
            depth_db: -20.0,
            attack: 0.02,
            release: 0.3,
        },
    }
}

/// How a scene is made.
#[derive(Clone)]
struct Scene {
    music: Vec<f32>,
    prompt: Vec<f32>,
    chime: Vec<f32>,
    prompt_depth: f64,
    chime_depth: f64,
    restored_db: f64,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            music: music(crate::demo::HOST.music),
            prompt: prompt(crate::demo::HOST.prompt),
            chime: chime(),
            prompt_depth: -14.0,
            chime_depth: -20.0,
            restored_db: 0.0,
        }
    }
}

/// dB at a time for one duck: down from `start`, up from `end`, linear in dB.
fn duck(time: f64, span: &Range<f64>, depth: f64, attack: f64, release: f64, rest: f64) -> f64 {
    if time < span.end {
        depth * ((time - span.start) / attack).clamp(0.0, 1.0)
    } else {
        depth + (rest - depth) * ((time - span.end) / release).clamp(0.0, 1.0)
    }
}

fn seconds(samples: &[f32]) -> f64 {
    samples.len() as f64 / f64::from(RATE)
}

impl Scene {
    fn play(&self) -> Vec<f32> {
        let frames = ((LEAD_IN + seconds(&self.music) + 1.0) * f64::from(RATE)) as usize;
        let at = |samples: &[f32], start: f64, frame: usize| {
            let first = (start * f64::from(RATE)) as usize;
            frame
                .checked_sub(first)
                .and_then(|n| samples.get(n))
                .copied()
                .unwrap_or(0.0)
        };
        let prompt = PROMPT_AT..PROMPT_AT + seconds(&self.prompt);
        let chime = CHIME_AT..CHIME_AT + seconds(&self.chime);
        let sample = |frame: usize| {
            let time = frame as f64 / f64::from(RATE);
            let gain = duck(time, &prompt, self.prompt_depth, 0.05, 0.5, self.restored_db)
                + duck(time, &chime, self.chime_depth, 0.02, 0.3, 0.0);
            let music = at(&self.music, LEAD_IN, frame) * 10.0_f64.powf(gain / 20.0) as f32;
            let sum = music + at(&self.prompt, PROMPT_AT, frame) + at(&self.chime, CHIME_AT, frame);
            (sum * 32_768.0).round() / 32_768.0
        };
        (0..frames).map(sample).collect()
    }
}

/// Names of the checks that failed, and of those that could not be made.
fn findings(samples: &[f32]) -> (Vec<&'static str>, Vec<&'static str>) {
    let analysis = analyse(samples, &expected());
    for check in &analysis.checks {
        println!(
            "{:30} {:28} {:50} {:?}",
            check.name, check.measured, check.bound, check.verdict
        );
    }
    let names = |wanted: fn(&Verdict) -> bool| {
        let found = analysis.checks.iter().filter(|check| wanted(&check.verdict));
        found.map(|check| check.name).collect::<Vec<_>>()
    };
    let failed = names(|verdict| *verdict == Verdict::Fail);
    let open = names(|verdict| matches!(verdict, Verdict::NotJudged(_)));
    assert_eq!(analysis.passed(), failed.is_empty() && open.is_empty());
    (failed, open)
}

#[test]
fn the_right_scene_passes_every_check() {
    assert_eq!(findings(&Scene::default().play()), (vec![], vec![]));
}

#[test]
fn music_that_is_not_ducked_fails_only_that() {
    let scene = Scene {
        prompt_depth: 0.0,
        ..Scene::default()
    };

    assert_eq!(findings(&scene.play()), (vec!["ducked by the prompt"], vec![]));
}

#[test]
fn music_that_is_ducked_one_decibel_too_deep_fails_only_that() {
    let scene = Scene {
        prompt_depth: -15.0,
        ..Scene::default()
    };

    assert_eq!(findings(&scene.play()), (vec!["ducked by the prompt"], vec![]));
}

#[test]
fn music_that_the_chime_does_not_duck_fails_only_that() {
    let scene = Scene {
        chime_depth: 0.0,
        ..Scene::default()
    };

    assert_eq!(findings(&scene.play()), (vec!["ducked by the chime"], vec![]));
}

#[test]
fn music_that_stays_low_is_not_restored() {
    let scene = Scene {
        restored_db: -1.0,
        chime_depth: -19.0,
        ..Scene::default()
    };

    let restored = vec!["restored after the prompt", "restored after the chime"];
    assert_eq!(findings(&scene.play()), (restored, vec![]));
}

#[test]
fn no_prompt_fails_its_check_and_what_it_would_duck_is_not_judged() {
    let scene = Scene {
        prompt: vec![],
        prompt_depth: 0.0,
        ..Scene::default()
    };

    let open = vec!["ducked by the prompt", "restored after the prompt"];
    assert_eq!(findings(&scene.play()), (vec!["prompt is there"], open));
}

#[test]
fn no_chime_fails_its_check_and_what_it_would_duck_is_not_judged() {
    let scene = Scene {
        chime: vec![],
        chime_depth: 0.0,
        ..Scene::default()
    };

    let open = vec!["ducked by the chime", "restored after the chime"];
    assert_eq!(findings(&scene.play()), (vec!["chime is there"], open));
}

#[test]
fn a_silent_chime_that_ducks_fails_no_more_than_the_chime() {
    let scene = Scene {
        chime: vec![0.0; chime().len()],
        ..Scene::default()
    };

    assert_eq!(findings(&scene.play()).0, vec!["chime is there"]);
}

#[test]
fn a_chime_of_one_strike_too_few_is_not_the_chime() {
    let scene = Scene {
        chime: chime()[..chime().len() * 2 / 3].to_vec(),
        ..Scene::default()
    };

    assert_eq!(findings(&scene.play()), (vec!["chime is there"], vec![]));
}

#[test]
fn no_music_fails_its_check_and_nothing_else_about_it_is_judged() {
    let scene = Scene {
        music: vec![0.0; music(crate::demo::HOST.music).len()],
        ..Scene::default()
    };

    let (failed, open) = findings(&scene.play());

    assert_eq!((failed, open.len()), (vec!["music is there"], 7));
}

#[test]
fn half_a_millisecond_of_silence_in_the_music_is_a_gap() {
    let mut samples = Scene::default().play();
    samples[2 * RATE as usize..2 * RATE as usize + 24].fill(0.0);

    assert_eq!(findings(&samples), (vec!["no clicks or gaps"], vec![]));
}

#[test]
fn a_frame_left_out_breaks_the_music() {
    let mut samples = Scene::default().play();
    samples.remove(3 * RATE as usize);

    let (failed, _) = findings(&samples);

    assert!(failed.contains(&"music is unbroken"), "{failed:?}");
}

#[test]
fn one_channel_that_is_silent_is_heard_in_every_level() {
    let samples: Vec<f32> = Scene::default().play().iter().map(|sample| sample / 2.0).collect();

    assert_eq!(
        findings(&samples),
        (vec!["music is there", "prompt is there", "chime is there"], vec![])
    );
}
