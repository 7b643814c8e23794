//! The witness: threads of the engine's priority, one a core, that do nothing but wake up every quarter of a millisecond and
//! note how late they were. What a real-time thread owes can only be held against it while the witness was on time.
//!
//! ```text
//!  held(limit, attempt) ─► attempt fails ─┬─ witness was late by more than limit: again, at most 3 times ─► "machine too busy"
//!                                         └─ witness was on time: the failure is ours
//! ```
//! Where what went wrong has a time, the witness's [`Diary`] tells whether it was late just then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// SCHED_FIFO priority of the engine's thread and of the witness.
pub const PRIORITY: i32 = 60;
const PERIOD: Duration = Duration::from_micros(250);
/// Between two looks of a witness with a diary: it sees a halt of the machine shorter by at most this.
pub const STEP: Duration = Duration::from_micros(125);
/// Entries a diary has room for before it has to grow.
const DIARY: usize = 1 << 16;
const ATTEMPTS: u32 = 3;

/// Gives this thread a real-time priority.
///
/// # Errors
/// The system does not grant it; the thread stays as it is.
pub fn real_time(priority: i32) -> std::io::Result<()> {
    // SAFETY: an all-zero sched_param is valid.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority;
    // SAFETY: a valid parameter block; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

fn pin(core: usize) {
    // SAFETY: an all-zero set is valid; the core is below the set's size; 0 is the calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// A time at which a witness woke up late.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    /// When it was to wake up, and when it did.
    pub span: (Instant, Instant),
}

/// When the witness was late by more than its limit, while it watched.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    late: Vec<Late>,
}

impl Diary {
    /// One lateness, for tests of those who read diaries.
    #[cfg(test)]
    pub(crate) fn of(at: Instant, length: Duration) -> Self {
        Self {
            late: vec![Late {
                span: (at, at + length),
            }],
        }
    }

    /// Whether it was late at some time between these two.
    #[must_use]
    pub fn late_between(&self, from: Instant, to: Instant) -> bool {
        self.late.iter().any(|late| late.span.0 <= to && from <= late.span.1)
    }

    /// Share of the windows of this length between two times in which it was on time, 0 to 1.
    #[must_use]
    pub fn on_time(&self, from: Instant, to: Instant, window: Duration) -> f64 {
        let starts = std::iter::successors(Some(from), |at| Some(*at + window)).take_while(|at| *at < to);
        let (mut all, mut good) = (0u32, 0u32);
        for at in starts {
            all += 1;
            good += u32::from(!self.late_between(at, at + window));
        }
        f64::from(good) / f64::from(all.max(1))
    }
}

/// Whose lateness a witness stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The engine's thread.
    Engine,
    /// A virtual CPU's thread: `SCHED_OTHER`.
    Guest,
}

/// Running witness threads.
pub struct Witness {
    stop: Arc<AtomicBool>,
    worst_ns: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<Late>>>,
}

impl Witness {
    /// Starts one thread a core, of the engine's priority or of an ordinary thread's.
    #[must_use]
    pub fn start(priority: Priority) -> Self {
        Self::watching(priority, PERIOD, Duration::MAX)
    }

    /// As [`Witness::start`]; wakes up every [`STEP`] and keeps a diary of when it was late by more than `limit`.
    #[must_use]
    pub fn with_diary(priority: Priority, limit: Duration) -> Self {
        Self::watching(priority, STEP, limit)
    }

    fn watching(priority: Priority, step: Duration, limit: Duration) -> Self {
        let (stop, worst_ns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores)
            .map(|core| {
                let (stop, worst) = (stop.clone(), worst_ns.clone());
                std::thread::spawn(move || {
                    pin(core);
                    if priority == Priority::Engine {
                        let _as_good_as_the_engine_gets = real_time(PRIORITY);
                    }
                    watch(step, limit, &stop, &worst)
                })
            })
            .collect();
        Self {
            stop,
            worst_ns,
            threads,
        }
    }

    /// Ends it; the most that any of its threads was late.
    #[must_use]
    pub fn finish(self) -> Duration {
        self.end().0
    }

    /// Ends it; its diary.
    #[must_use]
    pub fn diary(self) -> Diary {
        Diary { late: self.end().1 }
    }

    fn end(mut self) -> (Duration, Vec<Late>) {
        self.stop.store(true, Ordering::Release);
        let diaries = self.threads.drain(..).filter_map(|thread| thread.join().ok());
        let late = diaries.flatten().collect();
        (Duration::from_nanos(self.worst_ns.load(Ordering::Acquire)), late)
    }
}

fn watch(step: Duration, limit: Duration, stop: &AtomicBool, worst: &AtomicU64) -> Vec<Late> {
    let mut diary = Vec::with_capacity(DIARY);
    let mut due = Instant::now() + step;
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        worst.fetch_max(late.as_nanos() as u64, Ordering::AcqRel);
        if late > limit {
            diary.push(Late { span: (due, now) });
        }
        due = Instant::now() + step;
    }
    diary
}

/// Runs an attempt under the witness. A failure counts unless the witness was late by more than `limit` meanwhile; then the
/// attempt is repeated.
///
/// # Errors
/// The failure, or that the machine was too busy three times.
pub fn held<T, E: std::fmt::Display>(limit: Duration, attempt: impl FnMut() -> Result<T, E>) -> Result<T, String> {
    held_by(Priority::Engine, limit, attempt)
}

/// As [`held`], with a witness of this priority.
///
/// # Errors
/// As there.
pub fn held_by<T, E: std::fmt::Display>(
    priority: Priority,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, String> {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let witness = Witness::start(priority);
        let outcome = attempt();
        let late = witness.finish();
        match outcome {
            Ok(value) => return Ok(value),
            Err(error) if late <= limit => {
                return Err(format!(
                    "{error:#} (witness late by at most {late:?}, allowed {limit:?})"
                ));
            }
            Err(error) => last = format!("machine too busy {ATTEMPTS} times: witness late by {late:?}; {error:#}"),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_while_the_witness_is_on_time() {
        let mut attempts = 0;

        let outcome = held(Duration::from_secs(60), || {
            attempts += 1;
            Err::<(), _>("broken")
        });

        assert!(outcome.unwrap_err().starts_with("broken"));
        assert_eq!(attempts, 1);
    }

    #[test]
    fn a_failure_on_a_machine_that_is_too_busy_is_tried_three_times_and_still_fails() {
        let mut attempts = 0;

        let outcome = held(Duration::ZERO, || {
            attempts += 1;
            std::thread::sleep(Duration::from_millis(5));
            Err::<(), _>("broken")
        });

        assert!(outcome.unwrap_err().starts_with("machine too busy 3 times"));
        assert_eq!(attempts, 3);
    }

    #[test]
    fn a_diary_tells_when_the_witness_was_late_and_when_it_was_not() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let diary = Diary::of(start + ms(12), ms(2));

        assert!(diary.late_between(start + ms(13), start + ms(13)));
        assert!(diary.late_between(start, start + ms(12)));
        assert!(!diary.late_between(start, start + ms(11)));
        assert!(!diary.late_between(start + ms(15), start + ms(90)));
        assert!((diary.on_time(start, start + ms(100), ms(10)) - 0.9).abs() < 1e-9);
    }
}
