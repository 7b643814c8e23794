//! The guest's control port: lines out, lines in, each with the time the host read it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A command that runs in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job(u32);

/// A command that ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Exit status.
    pub status: i32,
    /// Standard output and error.
    pub output: String,
    /// When the host learned of it.
    pub at: Instant,
    /// The guest's own clock then, seconds since its boot.
    pub uptime: f64,
}

/// Why no line came.
pub enum Silence {
    /// In the time given.
    Late,
    /// The guest is gone.
    Closed,
}

/// The host's end.
pub struct Control {
    port: UnixStream,
    lines: Receiver<(Instant, String)>,
    next: u32,
    ready: bool,
    outputs: BTreeMap<u32, String>,
    finished: BTreeMap<u32, Finished>,
}

impl Control {
    /// Starts reading; the reader thread ends with the connection.
    pub fn new(port: UnixStream) -> std::io::Result<Self> {
        let reader = BufReader::new(port.try_clone()?);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            port,
            lines,
            next: 1,
            ready: false,
            outputs: BTreeMap::new(),
            finished: BTreeMap::new(),
        })
    }

    /// Starts a shell command (one line) in the guest's background.
    pub fn spawn(&mut self, command: &str) -> std::io::Result<Job> {
        let job = Job(self.next);
        self.next += 1;
        writeln!(self.port, "run {} {command}", job.0)?;
        Ok(job)
    }

    /// Asks the guest to power off.
    pub fn off(&mut self) -> std::io::Result<()> {
        writeln!(self.port, "off")
    }

    /// Waits for the guest's first line.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), Silence> {
        self.until(limit, |control| control.ready.then_some(()))
    }

    /// Waits for the end of a command.
    pub fn wait(&mut self, job: Job, limit: Duration) -> Result<Finished, Silence> {
        self.until(limit, |control| control.finished.remove(&job.0))
    }

    fn until<T>(&mut self, limit: Duration, done: impl Fn(&mut Self) -> Option<T>) -> Result<T, Silence> {
        let end = Instant::now() + limit;
        loop {
            if let Some(value) = done(self) {
                return Ok(value);
            }
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((at, line)) => self.take(at, line.trim_end()),
                Err(RecvTimeoutError::Timeout) => return Err(Silence::Late),
                Err(RecvTimeoutError::Disconnected) => return Err(Silence::Closed),
            }
        }
    }

    fn take(&mut self, at: Instant, line: &str) {
        let mut words = line.splitn(3, ' ');
        let (verb, id, rest) = (
            words.next(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let id: u32 = id.parse().unwrap_or(0);
        match verb {
            Some("ready") => self.ready = true,
            Some("out") => {
                let output = self.outputs.entry(id).or_default();
                output.push_str(rest);
                output.push('\n');
            }
            Some("done") => {
                let (status, uptime) = rest.split_once(' ').unwrap_or((rest, ""));
                let output = self.outputs.remove(&id).unwrap_or_default();
                let status = status.parse().unwrap_or(-1);
                self.finished.insert(
                    id,
                    Finished {
                        status,
                        output,
                        at,
                        uptime: uptime.parse().unwrap_or(0.0),
                    },
                );
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_commands_that_end_out_of_order_keep_their_own_output() {
        let (host, mut guest) = UnixStream::pair().unwrap();
        let mut control = Control::new(host).unwrap();
        let (first, second) = (control.spawn("a").unwrap(), control.spawn("b").unwrap());

        guest
            .write_all(b"ready 1.0\r\nout 2 two\r\nout 1 one\r\ndone 2 0 2.5\r\ndone 1 3 3.5\r\n")
            .unwrap();

        let limit = Duration::from_secs(5);
        let ends = [
            control.wait(first, limit).ok().unwrap(),
            control.wait(second, limit).ok().unwrap(),
        ];
        assert_eq!(
            [
                (ends[0].status, ends[0].output.as_str()),
                (ends[1].status, ends[1].output.as_str())
            ],
            [(3, "one\n"), (0, "two\n")]
        );
        assert!(control.wait_ready(limit).is_ok());
    }
}
