//! What is done to a machine in a scenario or a proof.

use super::cast::{Ask, Cast};
use crate::{Db10, Model};

/// Something done to the machine. Indices are the model's, or the cast's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the table of `scenario`")]
pub enum Action {
    Available {
        guest: String,
    },
    Gone {
        guest: String,
    },
    Start {
        source: usize,
    },
    Stop {
        source: usize,
    },
    Release {
        source: usize,
    },
    Control {
        source: usize,
        gain: Db10,
        mute: bool,
    },
    Sound {
        source: usize,
        on: bool,
    },
    Connect {
        source: usize,
        sink: usize,
    },
    Disconnect {
        source: usize,
        sink: usize,
    },
    Volume {
        sink: usize,
        volume: i16,
    },
    Gain {
        source: usize,
        gain: Db10,
    },
    MuteSink {
        sink: usize,
        mute: bool,
    },
    MuteSource {
        source: usize,
        mute: bool,
    },
    Register {
        domain: usize,
    },
    Lose {
        domain: usize,
    },
    Interrupt {
        source: usize,
        on: bool,
    },
    Ack {
        domain: usize,
        ask: Option<Ask>,
        error: u16,
    },
}

impl Action {
    /// As its line in a scenario has it, without braces and time.
    pub fn toml(&self, model: &Model, cast: &Cast) -> String {
        let source = |index: &usize| cast.source_name(model, *index);
        let sink = |index: &usize| cast.sink_name(model, *index);
        let domain = |place: &usize| cast.domain_name(*place);
        let gain = |gain: &Db10| match *gain {
            crate::MUTE => "\"mute\"".to_owned(),
            gain => format!("{:.1}", f64::from(gain) / 10.0),
        };
        let on = |mute: &bool| if *mute { "mute" } else { "unmute" };
        match self {
            Self::Available { guest } => format!("available = \"{guest}\""),
            Self::Gone { guest } => format!("gone = \"{guest}\""),
            Self::Start { source: it } => format!("start = \"{}\"", source(it)),
            Self::Stop { source: it } => format!("stop = \"{}\"", source(it)),
            Self::Release { source: it } => format!("release = \"{}\"", source(it)),
            Self::Control {
                source: it,
                gain: db,
                mute,
            } => {
                format!("control = \"{}\", db = {}, muted = {mute}", source(it), gain(db))
            }
            Self::Sound { source: it, on: true } => format!("sound = \"{}\"", source(it)),
            Self::Sound { source: it, on: false } => format!("silence = \"{}\"", source(it)),
            Self::Connect { source: it, sink: at } => format!("connect = \"{}\", to = \"{}\"", source(it), sink(at)),
            Self::Disconnect { source: it, sink: at } => {
                format!("disconnect = \"{}\", from = \"{}\"", source(it), sink(at))
            }
            Self::Volume { sink: at, volume } => format!("volume = \"{}\", value = {volume}", sink(at)),
            Self::Gain { source: it, gain: db } => format!("gain = \"{}\", db = {}", source(it), gain(db)),
            Self::MuteSink { sink: at, mute } => format!("{} = \"{}\"", on(mute), sink(at)),
            Self::MuteSource { source: it, mute } => format!("{} = \"{}\"", on(mute), source(it)),
            Self::Register { domain: it } => format!("register = \"{}\"", domain(it)),
            Self::Lose { domain: it } => format!("lose = \"{}\"", domain(it)),
            Self::Interrupt { source: it, on: true } => format!("interrupt = \"{}\"", source(it)),
            Self::Interrupt { source: it, on: false } => format!("interrupt_over = \"{}\"", source(it)),
            Self::Ack { domain: it, ask, error } => {
                let ask = ask.map(|ask| format!(", {}", ask.toml(model, cast)));
                let error = if *error == 0 {
                    String::new()
                } else {
                    format!(", error = {error}")
                };
                format!("ack = \"{}\"{}{error}", domain(it), ask.unwrap_or_default())
            }
        }
    }

    /// Whether it is a client's call, which is answered.
    pub fn is_call(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Disconnect { .. }
                | Self::Volume { .. }
                | Self::Gain { .. }
                | Self::MuteSink { .. }
                | Self::MuteSource { .. }
        )
    }
}
