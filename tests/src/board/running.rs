//! A started board.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use super::{Board, Codec, Log};
use crate::guest::{Control, Finished, GuestError, Job, Process, at};

/// How long QEMU may take from its guest's power-off to its own end.
const QUIT_LIMIT: Duration = Duration::from_secs(20);
const TAIL: usize = 30;
/// The board's last line begins so.
pub(super) const END: &str = "board: end ";

/// See the module. Dropped, QEMU is killed; in a panic the ends of all logs are printed.
pub struct Running {
    board: Board,
    process: Process,
    control: Control,
    began: Instant,
    done: bool,
}

/// What a board's run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario's exit status.
    pub status: i32,
    /// The board's own clock at the end, seconds since its kernel's start.
    pub uptime: f64,
    /// What it took here.
    pub wall: Duration,
    /// What the codec played.
    pub wav: PathBuf,
}

impl Running {
    pub(super) fn new(board: Board, child: Child, control: &UnixListener, began: Instant) -> Result<Self, GuestError> {
        let mut process = Process {
            name: board.name.clone(),
            log: board.directory.join("qemu.log"),
            child,
        };
        let stream = process.accept(control)?;
        let path = board.directory.join("control");
        let control = Control::new(stream).map_err(at(&path))?;
        Ok(Self {
            board,
            process,
            control,
            began,
            done: false,
        })
    }

    /// Output of a console so far; `board` is the board's own.
    #[must_use]
    pub fn log(&self, console: &str) -> Log {
        self.board.log(console)
    }

    /// Waits for a line on a console.
    ///
    /// # Errors
    /// It did not come in time, or the board ended without it.
    pub fn wait_line(&mut self, console: &str, needle: &str, limit: Duration) -> Result<String, GuestError> {
        let log = self.board.log(console);
        let process = &mut self.process;
        let found = log.wait(needle, limit, || process.has_ended());
        found.ok_or_else(|| {
            if self.process.has_ended() {
                return self.process.ended();
            }
            self.process.late(&format!("`{needle}` on console {console}"), limit)
        })
    }

    /// Waits until the board takes commands (it has no scenario).
    ///
    /// # Errors
    /// It did not in time, or QEMU ended.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), GuestError> {
        let end = self.control.wait_ready(limit);
        end.map_err(|silence| self.process.silence(silence, "boot", limit))
    }

    /// Starts a shell command (one line) in the background.
    ///
    /// # Errors
    /// QEMU ended.
    pub fn spawn(&mut self, command: &str) -> Result<Job, GuestError> {
        self.control.spawn(command).map_err(|_| self.process.ended())
    }

    /// Waits for the end of a command.
    ///
    /// # Errors
    /// It did not end in time, or QEMU ended.
    pub fn wait(&mut self, job: Job, limit: Duration) -> Result<Finished, GuestError> {
        let end = self.control.wait(job, limit);
        end.map_err(|silence| self.process.silence(silence, "the end of a command", limit))
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// As [`Self::wait`]; a command that fails is no error here.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<Finished, GuestError> {
        let job = self.spawn(command)?;
        self.wait(job, limit)
    }

    /// QEMU's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Powers off a board without a scenario; the WAV file is then whole.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn power_off(mut self, limit: Duration) -> Result<Outcome, GuestError> {
        self.control.off().map_err(|_| self.process.ended())?;
        self.finish(limit)
    }

    /// Waits for the end of the scenario and of QEMU.
    ///
    /// # Errors
    /// It did not end in time, or ended without saying its status (a kernel panic, a QEMU error).
    pub fn finish(mut self, limit: Duration) -> Result<Outcome, GuestError> {
        let line = self.wait_line("board", END, limit)?;
        let wall = self.began.elapsed();
        let end = Instant::now() + QUIT_LIMIT;
        while !self.process.has_ended() {
            if Instant::now() > end {
                return Err(self.process.late("QEMU's end", QUIT_LIMIT));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let (status, uptime) = status_of(&line).ok_or_else(|| self.process.ended())?;
        self.done = true;
        Ok(Outcome {
            status,
            uptime,
            wall,
            wav: self.board.wav(),
        })
    }
}

/// `board: end STATUS UPTIME`
pub(super) fn status_of(line: &str) -> Option<(i32, f64)> {
    let mut words = line.split(END).nth(1)?.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

impl Outcome {
    /// The samples played: S16, 2 channels, interleaved.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn samples(&self) -> std::io::Result<Vec<u8>> {
        crate::coded::samples(&self.wav)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.done {
            return;
        }
        let consoles = self.board.consoles.iter().map(String::as_str);
        for console in consoles.chain(["board", "qemu"]) {
            eprintln!("-- {console}:\n{}", self.board.log(console).tail(TAIL));
        }
        if self.board.codec != Codec::None {
            eprintln!("-- codec: {}", self.board.wav().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_and_the_boards_clock_are_in_its_last_line() {
        assert_eq!(status_of("[x] board: end 3 12.50"), Some((3, 12.5)));
        assert_eq!(status_of("board: end"), None);
    }
}
