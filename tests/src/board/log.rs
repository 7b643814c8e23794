//! A console's output, in a file that grows.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// It need not exist yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All so far, without carriage returns.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// The first whole line that contains `needle`.
    #[must_use]
    pub fn line(&self, needle: &str) -> Option<String> {
        let text = self.text();
        let (whole, _) = text.rsplit_once('\n')?;
        whole.lines().find(|line| line.contains(needle)).map(str::to_owned)
    }

    /// The last `count` lines, for messages.
    #[must_use]
    pub fn tail(&self, count: usize) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Waits for a line; `None` when `limit` is over, or soon after `gone` says that no more will come.
    pub fn wait(&self, needle: &str, limit: Duration, mut gone: impl FnMut() -> bool) -> Option<String> {
        let end = Instant::now() + limit;
        loop {
            // Asked first: what was written before the end is looked at after it.
            let last = gone() || Instant::now() > end;
            if let Some(line) = self.line(needle) {
                return Some(line);
            }
            if last {
                return None;
            }
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str, text: &str) -> Log {
        let path = std::env::temp_dir().join(format!("carillon-log-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Log::new(path)
    }

    #[test]
    fn a_line_is_found_when_it_is_whole() {
        let log = log("whole", "one\r\nready 1");

        assert_eq!((log.line("ready"), log.line("one")), (None, Some("one".to_owned())));
        std::fs::write(log.path(), "one\r\nready 1.5\r\n").unwrap();
        assert_eq!(log.wait("ready", Duration::ZERO, || true), Some("ready 1.5".to_owned()));
        std::fs::remove_file(log.path()).unwrap();
    }

    #[test]
    fn waiting_ends_when_no_more_will_come() {
        let log = log("gone", "one\n");

        assert_eq!(log.wait("two", Duration::from_secs(60), || true), None);
        std::fs::remove_file(log.path()).unwrap();
    }
}
