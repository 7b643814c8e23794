//! A card of the kernel's, played by a ring of bytes whose pointer the test moves.
#![allow(clippy::unwrap_used, clippy::disallowed_types)]

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use mix::Format;

use super::*;

const PERIOD: u64 = 48;
const RING: u64 = 40 * PERIOD;
const TAIL: u64 = 480;
const SHAPE: Shape = Shape {
    rate: 48_000,
    channels: 2,
    capture_channels: 0,
    format: Format::S16,
};

struct Card {
    data: Vec<AtomicU8>,
    pointers: Mutex<Pointers>,
    prepared: AtomicU64,
    /// Everything the hardware has fetched.
    played: Mutex<Vec<u32>>,
}

/// One process's view of it.
#[derive(Clone)]
struct View(Arc<Card>);

impl View {
    fn new() -> Self {
        let pointers = Pointers {
            state: state::PREPARED,
            hw: 0,
            appl: 0,
        };
        let data = (0..RING * 4).map(|_| AtomicU8::new(0xEE)).collect();
        Self(Arc::new(Card {
            data,
            pointers: Mutex::new(pointers),
            prepared: AtomicU64::new(0),
            played: Mutex::default(),
        }))
    }

    /// The hardware fetches `frames`.
    fn run(&self, frames: u64) {
        for _ in 0..frames {
            let mut pointers = self.0.pointers.lock().unwrap();
            if pointers.state != state::RUNNING {
                return;
            }
            let mut word = [0; 4];
            for (byte, cell) in word.iter_mut().zip(cells(self, pointers.hw)) {
                *byte = cell.load(Relaxed);
            }
            self.0.played.lock().unwrap().push(u32::from_le_bytes(word));
            pointers.hw += 1;
        }
    }

    fn break_off(&self, with: i32) {
        self.0.pointers.lock().unwrap().state = with;
    }

    fn played(&self) -> Vec<u32> {
        self.0.played.lock().unwrap().clone()
    }
}

impl Kernel for View {
    fn frames(&self) -> u64 {
        RING
    }
    fn frame_bytes(&self) -> usize {
        4
    }
    fn data(&self) -> &[AtomicU8] {
        &self.0.data
    }
    fn sync(&mut self, appl: Option<u64>) -> io::Result<Pointers> {
        let mut pointers = self.0.pointers.lock().unwrap();
        if pointers.state == state::DISCONNECTED {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        pointers.appl = appl.unwrap_or(pointers.appl);
        Ok(*pointers)
    }
    fn prepare(&mut self) -> io::Result<()> {
        self.0.prepared.fetch_add(1, Relaxed);
        *self.0.pointers.lock().unwrap() = Pointers {
            state: state::PREPARED,
            hw: 0,
            appl: 0,
        };
        Ok(())
    }
    fn start(&mut self) -> io::Result<()> {
        let mut pointers = self.0.pointers.lock().unwrap();
        assert!(pointers.appl > pointers.hw, "a driver starts nothing without a frame");
        pointers.state = state::RUNNING;
        Ok(())
    }
}

fn started() -> (View, Hw<View>) {
    let mut view = View::new();
    begin(&mut view, PERIOD).unwrap();
    let hw = Hw::new(view.clone(), None, SHAPE, PERIOD).unwrap();
    (view, hw)
}

fn frames(from: u32, count: u64) -> Vec<u8> {
    (from..from + count as u32).flat_map(u32::to_le_bytes).collect()
}

/// Plays `periods` with a lead of two, coded from 1 on; returns the first frame's place.
fn play(view: &View, hw: &mut Hw<View>, periods: u32) -> u64 {
    let first = hw.position().max(hw.written());
    for n in 0..periods {
        let at = first + u64::from(n) * PERIOD;
        while hw.position() + 2 * PERIOD < at + PERIOD {
            view.run(1);
        }
        assert_eq!(hw.write(at, &frames(1 + n * PERIOD as u32, PERIOD)), at);
    }
    first
}

#[test]
fn frames_are_played_as_written_over_many_laps_of_the_ring() {
    let (view, mut hw) = started();
    let first = play(&view, &mut hw, 200);
    view.run(4 * PERIOD);

    let played = view.played();
    let (before, after) = played.split_at(first as usize);
    assert!(before.iter().all(|&frame| frame == 0), "a silent beginning");
    let coded = 200 * PERIOD as usize;
    assert!(after[..coded].iter().zip(1..).all(|(&frame, wanted)| frame == wanted));
}

#[test]
fn a_dead_engine_is_followed_by_silence_for_the_tail_and_the_played_frames_stay_readable() {
    let (view, mut hw) = started();
    play(&view, &mut hw, 100);
    let appl = view.0.pointers.lock().unwrap().appl;
    drop(hw);
    let left = appl - view.0.pointers.lock().unwrap().hw;
    view.run(left + TAIL);

    let played = view.played();
    assert!(played[appl as usize..].iter().all(|&frame| frame == 0), "never a loop");
    // The ring less lead, tail and a period is history.
    let kept = (RING - TAIL - 4 * PERIOD) as usize;
    let hw_now = view.0.pointers.lock().unwrap().hw;
    let history: Vec<u32> = (hw_now - left - TAIL - kept as u64 / 2..hw_now - left - TAIL)
        .map(|at| {
            let mut word = [0; 4];
            word.iter_mut()
                .zip(cells(&view, at))
                .for_each(|(byte, cell)| *byte = cell.load(Relaxed));
            u32::from_le_bytes(word)
        })
        .collect();
    assert!(history.windows(2).all(|pair| pair[1] == pair[0] + 1 && pair[0] > 0));
}

#[test]
fn the_supervisor_keeps_a_dead_engines_card_silent_and_its_successor_goes_on() {
    let (view, mut hw) = started();
    play(&view, &mut hw, 100);
    let appl = view.0.pointers.lock().unwrap().appl;
    drop(hw);

    let mut tail = Tail::new(view.clone(), SHAPE.rate, PERIOD, 2 * PERIOD);
    for _ in 0..80 {
        view.run(TAIL / 4);
        tail.zero_ahead().unwrap();
    }
    let mut successor = Hw::new(view.clone(), None, SHAPE, PERIOD).unwrap();
    let first = play(&view, &mut successor, 50);
    view.run(2 * PERIOD);

    let played = view.played();
    assert!(played[appl as usize..first as usize].iter().all(|&frame| frame == 0));
    assert!(
        played[first as usize..]
            .iter()
            .take(50 * PERIOD as usize)
            .zip(1..)
            .all(|(&frame, n)| frame == n)
    );
}

#[test]
fn zeroing_late_by_a_few_ms_wipes_nothing_of_an_engine_that_is_back() {
    let (view, mut hw) = started();
    play(&view, &mut hw, 100);
    let mut tail = Tail::new(view.clone(), SHAPE.rate, PERIOD, 2 * PERIOD);
    // The engine is away for 4 ms; the supervisor decides to zero, and is itself held up until the engine has been at work.
    view.run(4 * PERIOD);
    tail.zero_ahead().unwrap();
    let first = hw.position() + PERIOD;
    hw.write(first, &frames(1, PERIOD));
    tail.zero_ahead().unwrap();
    view.run(3 * PERIOD);

    let played = view.played();
    assert!(
        played[first as usize..]
            .iter()
            .take(PERIOD as usize)
            .zip(1..)
            .all(|(&frame, n)| frame == n)
    );
}

#[test]
fn without_the_supervisor_the_ring_would_loop() {
    // The mutant of the test above: nobody zeroes ahead.
    let (view, mut hw) = started();
    play(&view, &mut hw, 100);
    let appl = view.0.pointers.lock().unwrap().appl;
    drop(hw);
    view.run(RING);
    assert!(view.played()[appl as usize..].iter().any(|&frame| frame != 0));
}

#[test]
fn late_frames_are_played_from_the_position_on_and_none_into_the_past() {
    let (view, mut hw) = started();
    view.run(10 * PERIOD);
    let position = hw.position();
    let placed = hw.write(position - 10, &frames(7, PERIOD));
    view.run(PERIOD);

    assert_eq!(placed, position);
    let played = view.played();
    assert_eq!(played[position as usize - 1], 0);
    assert_eq!(played[position as usize], 7);
}

#[test]
fn a_suspended_card_is_started_again_and_its_frames_count_on() {
    for broken in [state::XRUN, state::SUSPENDED, state::SETUP] {
        let (view, mut hw) = started();
        play(&view, &mut hw, 30);
        let before = hw.position();

        view.break_off(broken);
        assert_eq!(hw.position(), before, "it stands");
        hw.recover();
        view.run(5);

        assert_eq!(hw.position(), before + 5);
        assert_eq!(view.0.prepared.load(Relaxed), 1);
        let count = view.played().len();
        play(&view, &mut hw, 30);
        view.run(2 * PERIOD);
        let after: Vec<u32> = view.played()[count..]
            .iter()
            .copied()
            .filter(|&frame| frame != 0)
            .collect();
        assert!(
            after.iter().zip(1..).all(|(&frame, n)| frame == n),
            "nothing of the old ring sounds"
        );
    }
}

#[test]
fn an_unplugged_card_stands_and_is_left_alone() {
    let (view, mut hw) = started();
    play(&view, &mut hw, 3);
    let position = hw.position();
    view.break_off(state::DISCONNECTED);

    hw.recover();

    assert_eq!(hw.position(), position);
    assert_eq!(hw.write(position + 100, &frames(1, PERIOD)), position + 100);
}

#[test]
fn what_was_played_can_be_read_back_by_another_process() {
    let (view, mut hw) = started();
    let first = play(&view, &mut hw, 20);
    let mut tail = Tail::new(view.clone(), SHAPE.rate, PERIOD, 2 * PERIOD);
    let mut bytes = vec![9; 10 * PERIOD as usize * 4];

    let next = tail.played(first, &mut bytes).unwrap();

    assert_eq!(next, first + 10 * PERIOD);
    assert_eq!(bytes, frames(1, 10 * PERIOD));
}

#[test]
fn a_card_of_another_frame_size_is_refused() {
    let shape = Shape { channels: 4, ..SHAPE };
    assert!(Hw::new(View::new(), None, shape, PERIOD).is_err());
}
