//! The bench's figures, as a table and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::side::Case;

/// Sums over all rounds of one side.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Seconds measured.
    pub seconds: f64,
    /// CPU time of all processes of the device, ms.
    pub device_cpu_ms: f64,
    /// CPU time of the front ends, ms.
    pub front_end_cpu_ms: f64,
    /// System calls of the device; `None` until they are counted.
    pub device_calls: Option<u64>,
    /// System calls of the front ends.
    pub front_end_calls: Option<u64>,
    /// Messages that came back to the front ends in their whole time.
    pub completions: u64,
    /// Processes of the device.
    pub processes: usize,
    /// Their threads.
    pub threads: usize,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            seconds: 0.0,
            device_cpu_ms: 0.0,
            front_end_cpu_ms: 0.0,
            device_calls: Some(0),
            front_end_calls: Some(0),
            completions: 0,
            processes: 0,
            threads: 0,
        }
    }
}

impl Figures {
    /// CPU time of device, and of device and front ends, ms a second of audio.
    fn cpu(&self) -> (f64, f64) {
        let seconds = self.seconds.max(f64::MIN_POSITIVE);
        (
            self.device_cpu_ms / seconds,
            (self.device_cpu_ms + self.front_end_cpu_ms) / seconds,
        )
    }

    /// System calls of device, and of device and front ends, a period (of all streams together).
    fn calls(&self, period_ms: u32) -> Option<(f64, f64)> {
        let periods = (self.seconds * 1e3 / f64::from(period_ms)).max(1.0);
        let (device, front) = self.device_calls.zip(self.front_end_calls)?;
        Some((device as f64 / periods, (device + front) as f64 / periods))
    }
}

/// One case, both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Guest period = codec period, and number of streams.
    #[serde(flatten)]
    pub case: Case,
    /// Seconds of each round.
    pub round_seconds: u64,
    /// Rounds.
    pub rounds: u32,
    /// audiod.
    pub ours: Figures,
    /// vhost-device-sound.
    pub peer: Figures,
}

impl Comparison {
    /// Nothing measured yet.
    pub fn new(case: Case, round_seconds: u64, rounds: u32) -> Self {
        Self {
            case,
            round_seconds,
            rounds,
            ours: Figures::default(),
            peer: Figures::default(),
        }
    }

    /// Ahead in CPU time and system calls, of the device alone and with its front ends.
    pub fn ahead(&self) -> bool {
        let (ours, peer) = (self.ours.cpu(), self.peer.cpu());
        let cpu = ours.0 < peer.0 && ours.1 < peer.1;
        let calls = match (
            self.ours.calls(self.case.period_ms),
            self.peer.calls(self.case.period_ms),
        ) {
            (Some(ours), Some(peer)) => ours.0 < peer.0 && ours.1 < peer.1,
            _ => false,
        };
        cpu && calls
    }
}

fn ratio(ours: f64, peer: f64) -> String {
    if ours > 0.0 {
        format!("{:.2}", peer / ours)
    } else {
        "-".to_owned()
    }
}

/// The table.
pub fn render(compared: &[Comparison]) -> String {
    let mut out = String::new();
    let _never_fails = writeln!(
        out,
        "CPU: ms a second of audio. Calls: system calls a period, all streams together. \"+fe\": front ends included.\n\
         Ratio: vhost-device-sound's figure / audiod's (above 1: audiod ahead).\n\n\
         period streams |  CPU ours  peer ratio | CPU+fe ours  peer ratio | calls ours  peer ratio | calls+fe ours  peer ratio"
    );
    for case in compared {
        let (ours, peer) = (case.ours.cpu(), case.peer.cpu());
        let _never_fails = write!(
            out,
            "{:>3} ms {:>7} | {:>9.1} {:>5.1} {:>5} | {:>11.1} {:>5.1} {:>5} |",
            case.case.period_ms,
            case.case.streams,
            ours.0,
            peer.0,
            ratio(ours.0, peer.0),
            ours.1,
            peer.1,
            ratio(ours.1, peer.1)
        );
        let calls = |side: &Figures| side.calls(case.case.period_ms);
        let _never_fails = match (calls(&case.ours), calls(&case.peer)) {
            (Some(ours), Some(peer)) => writeln!(
                out,
                " {:>10.1} {:>5.1} {:>5} | {:>13.1} {:>5.1} {:>5}",
                ours.0,
                peer.0,
                ratio(ours.0, peer.0),
                ours.1,
                peer.1,
                ratio(ours.1, peer.1)
            ),
            _ => writeln!(out, " not counted"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(cpu: f64, calls: Option<u64>) -> Figures {
        Figures {
            seconds: 10.0,
            device_cpu_ms: cpu,
            front_end_cpu_ms: 50.0,
            device_calls: calls,
            front_end_calls: Some(1000),
            ..Figures::default()
        }
    }

    fn comparison(ours: Figures, peer: Figures) -> Comparison {
        let case = Case {
            period_ms: 10,
            streams: 1,
        };
        Comparison {
            ours,
            peer,
            ..Comparison::new(case, 5, 2)
        }
    }

    #[test]
    fn ahead_means_less_of_both_and_counted() {
        assert!(comparison(figures(50.0, Some(500)), figures(100.0, Some(4000))).ahead());
        assert!(!comparison(figures(150.0, Some(500)), figures(100.0, Some(4000))).ahead());
        assert!(!comparison(figures(50.0, Some(5000)), figures(100.0, Some(4000))).ahead());
        assert!(!comparison(figures(50.0, None), figures(100.0, Some(4000))).ahead());
    }

    #[test]
    fn figures_are_a_second_of_audio_and_a_period() {
        let figures = figures(100.0, Some(4000));

        assert_eq!(figures.cpu(), (10.0, 15.0));
        assert_eq!(figures.calls(10), Some((4.0, 5.0)));
    }
}
