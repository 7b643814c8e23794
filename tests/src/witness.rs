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

/// Keeps this process's pages where they are: the kernel's gathering of pages into huge ones holds up whoever touches them.
///
/// # Errors
/// The system has no such thing.
pub fn keep_pages() -> std::io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } < 0 {
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

impl Late {
    fn length(&self) -> Duration {
        self.span.1.saturating_duration_since(self.span.0)
    }
}

/// When the witness was late, while it watched: by more than its limit, and by less down to a quarter of it.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    limit: Duration,
    /// By the time at which it was to wake up.
    late: Vec<Late>,
    longest: Duration,
}

impl Diary {
    fn new(limit: Duration, mut late: Vec<Late>) -> Self {
        late.sort_by_key(|late| late.span.0);
        let longest = late.iter().map(Late::length).max().unwrap_or_default();
        Self { limit, late, longest }
    }

    /// Latenesses from these times on, for tests of those who read diaries.
    #[cfg(test)]
    pub(crate) fn of(limit: Duration, late: &[(Instant, Duration)]) -> Self {
        let spans = late.iter().map(|(at, length)| Late {
            span: (*at, *at + *length),
        });
        Self::new(limit, spans.collect())
    }

    fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Late> + Clone {
        let first = self.late.partition_point(|late| late.span.0 + self.longest < from);
        let some = self.late[first..].iter().take_while(move |late| late.span.0 <= to);
        some.filter(move |late| from <= late.span.1)
    }

    /// Whether it was late by more than its limit at some time between these two.
    #[must_use]
    pub fn late_between(&self, from: Instant, to: Instant) -> bool {
        self.between(from, to).any(|late| late.length() > self.limit)
    }

    /// Whether it was late twice between these two times, the second time beginning within `span` of the first's begin, together by
    /// more than its limit: one after the other on any cores; what two cores lost at the same time counts once. A halt is seen shorter by
    /// up to a [`STEP`]; the limit allows for one such step, so this for another.
    #[must_use]
    pub fn late_in_a_row(&self, from: Instant, to: Instant, span: Duration) -> bool {
        let limit = self.limit.saturating_sub(STEP);
        let both = |a: &Late, b: &Late| a.length() + b.span.1.saturating_duration_since(b.span.0.max(a.span.1));
        let mut late = self.between(from, to);
        std::iter::from_fn(|| late.next().map(|first| (first, late.clone()))).any(|(first, others)| {
            let mut near = others.take_while(|other| other.span.0 <= first.span.0 + span);
            near.any(|other| both(first, other) > limit)
        })
    }

    /// Share of the windows of this length between two times in which it was on time, in a row as well, 0 to 1.
    #[must_use]
    pub fn on_time(&self, from: Instant, to: Instant, window: Duration, span: Duration) -> f64 {
        let starts = std::iter::successors(Some(from), |at| Some(*at + window)).take_while(|at| *at < to);
        let (mut all, mut good) = (0u32, 0u32);
        for at in starts {
            let end = at + window;
            all += 1;
            good += u32::from(!self.late_between(at, end) && !self.late_in_a_row(at, end, span));
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
    limit: Duration,
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

    /// As [`Witness::start`]; wakes up every [`STEP`] and keeps a diary of when it was late, with this limit.
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
                    watch(step, limit / 4, &stop, &worst)
                })
            })
            .collect();
        Self {
            limit,
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
        let limit = self.limit;
        Diary::new(limit, self.end().1)
    }

    fn end(mut self) -> (Duration, Vec<Late>) {
        self.stop.store(true, Ordering::Release);
        let diaries = self.threads.drain(..).filter_map(|thread| thread.join().ok());
        let late = diaries.flatten().collect();
        (Duration::from_nanos(self.worst_ns.load(Ordering::Acquire)), late)
    }
}

fn watch(step: Duration, least: Duration, stop: &AtomicBool, worst: &AtomicU64) -> Vec<Late> {
    let mut diary = Vec::with_capacity(DIARY);
    let mut due = Instant::now() + step;
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        worst.fetch_max(late.as_nanos() as u64, Ordering::AcqRel);
        if late > least {
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
        let diary = Diary::of(ms(1), &[(start + ms(12), ms(2)), (start + ms(70), ms(1))]);

        assert!(diary.late_between(start + ms(13), start + ms(13)));
        assert!(diary.late_between(start, start + ms(12)));
        assert!(!diary.late_between(start, start + ms(11)));
        assert!(!diary.late_between(start + ms(15), start + ms(90)));
        assert!((diary.on_time(start, start + ms(100), ms(10), ms(2)) - 0.9).abs() < 1e-9);
    }

    #[test]
    fn two_latenesses_count_together_when_they_come_one_after_the_other_and_soon() {
        let (start, us) = (Instant::now(), Duration::from_micros);
        let (limit, span) = (us(670), us(2000));
        let in_a_row = |late: &[(u64, u64)]| {
            let late: Vec<_> = late.iter().map(|(at, length)| (start + us(*at), us(*length))).collect();
            let diary = Diary::of(limit, &late);
            assert!(!diary.late_between(start, start + us(9000)));
            diary.late_in_a_row(start, start + us(9000), span)
        };

        assert!(in_a_row(&[(1000, 300), (1900, 300)]));
        assert!(
            in_a_row(&[(1000, 300), (1100, 200), (1200, 500)]),
            "not only neighbours"
        );
        assert!(!in_a_row(&[(1000, 300), (3100, 300)]), "too far apart");
        assert!(!in_a_row(&[(1000, 200), (1900, 300)]), "too short");
        assert!(
            !in_a_row(&[(1000, 500), (1010, 500)]),
            "the same halt seen on two cores"
        );
        assert!(!in_a_row(&[(1000, 200), (1500, 200), (1900, 200)]), "three of them");
        assert!(!in_a_row(&[(1000, 600)]), "one");
        assert!(!in_a_row(&[(9500, 300), (9900, 300)]), "later");
    }
}
