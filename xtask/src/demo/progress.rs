//! What the demo is doing: a line that moves on a terminal, a line a step elsewhere. On standard error.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// See the module.
pub struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    step: AtomicU64,
    began: Instant,
}

impl Progress {
    /// For a number of steps.
    #[must_use]
    pub fn new(steps: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} [{elapsed}] {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self {
            bar,
            steps,
            step: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// The next step begins.
    pub fn step(&self, what: &str) {
        let step = self.step.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.bar {
            Some(bar) => {
                bar.set_position(step);
                bar.set_message(what.to_owned());
            }
            None => eprintln!(
                "demo {step}/{} [{:3.0} s] {what}",
                self.steps,
                self.began.elapsed().as_secs_f64()
            ),
        }
    }

    /// More about the step.
    pub fn detail(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => eprintln!("         [{:3.0} s] {what}", self.began.elapsed().as_secs_f64()),
        }
    }

    /// All done; the line goes away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
