//! The witness: threads of the engine's priority, one a core, that do nothing but wake up every quarter of a millisecond and
//! note how late they were. What a real-time thread owes can only be held against it while the witness was on time.
//!
//! ```text
//!  held(limit, attempt) ─► attempt fails ─┬─ witness was late by more than limit: again, at most 3 times ─► "machine too busy"
//!                                         └─ witness was on time: the failure is ours
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// SCHED_FIFO priority of the engine's thread and of the witness.
pub const PRIORITY: i32 = 60;
const PERIOD: Duration = Duration::from_micros(250);
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
    threads: Vec<JoinHandle<()>>,
}

impl Witness {
    /// Starts one thread a core, of the engine's priority or of an ordinary thread's.
    #[must_use]
    pub fn start(priority: Priority) -> Self {
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
                    watch(&stop, &worst);
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
    pub fn finish(mut self) -> Duration {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
        Duration::from_nanos(self.worst_ns.load(Ordering::Acquire))
    }
}

fn watch(stop: &AtomicBool, worst: &AtomicU64) {
    let mut due = Instant::now() + PERIOD;
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let late = Instant::now().saturating_duration_since(due);
        worst.fetch_max(late.as_nanos() as u64, Ordering::AcqRel);
        due = Instant::now() + PERIOD;
    }
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
}
