//! Rules set off by an event, rules set off by what these do, and so on: bounded.

use std::collections::VecDeque;

use super::view::{Request, View};
use super::{Decided, Program};

/// Most rules that may do something because of one event.
pub const MAX_STEPS: usize = 64;

/// What rules act on.
pub trait World {
    /// What it is like now.
    fn view(&self) -> &dyn View;

    /// Does one thing; gives what happened because of it.
    fn carry_out(&mut self, decided: &Decided) -> Vec<Request>;
}

/// Rules set each other off without end. What they did is to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// Indices of the last rules that did something, newest last, at most 8.
    pub rules: Vec<usize>,
}

/// Lets a program act on what happened, until nothing more comes of it. Gives how many rules did something.
///
/// # Errors
/// More than [`MAX_STEPS`] rules did something. The world is as they left it: whoever calls keeps the one from before.
pub fn drive(program: &Program, world: &mut impl World, first: Vec<Request>) -> Result<usize, Overrun> {
    let mut queue = VecDeque::from(first);
    let mut steps = 0;
    let mut trail: VecDeque<usize> = VecDeque::new();
    while let Some(request) = queue.pop_front() {
        let mut from = 0;
        while let Some(rule) = program.next(from, world.view(), &request) {
            from = rule + 1;
            steps += 1;
            trail.push_back(rule);
            if trail.len() > 8 {
                trail.pop_front();
            }
            if steps > MAX_STEPS {
                return Err(Overrun { rules: trail.into() });
            }
            let (count, last) = program
                .rules()
                .get(rule)
                .map_or((0, true), |it| (it.then.len(), it.last));
            for step in 0..count {
                if let Some(decided) = program.decide(rule, step, world.view(), &request) {
                    queue.extend(world.carry_out(&decided));
                }
            }
            if last {
                break;
            }
        }
    }
    Ok(steps)
}
