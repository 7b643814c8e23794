//! A domain as another process would be: registered over a connection of its own, acknowledging what it is asked, or not.

use std::collections::VecDeque;
use std::fmt;

use super::bus::Link;
use super::value::{Value, listed};

/// The object domains are asked at.
pub const PATH: &str = "/org/carillon/suite/domain";
/// Its interface.
pub const INTERFACE: &str = "org.carillon.suite.domain";

/// `am_SourceState_e` of a source that is off.
pub const OFF: i32 = 2;

/// How a domain answers what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Everything at once, with E_OK.
    All,
    /// Nothing: the case does.
    ByHand,
    /// This request with this error, all others with E_OK.
    Refuses(&'static str, u16),
    /// This request never, all others with E_OK.
    Silent(&'static str),
    /// This request with a D-Bus error, as an object without that method would; all others with E_OK.
    Unknown(&'static str),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub member: String,
    /// First argument.
    pub handle: u16,
    /// The others.
    pub args: Vec<Value>,
    /// It was answered already.
    pub done: bool,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.member, listed(&self.args))
    }
}

/// One domain.
pub struct Domain {
    /// Its connection.
    pub link: Link,
    /// domainID, 0 before it is registered.
    pub id: u16,
    /// The name it owns.
    pub bus_name: String,
    /// How it acknowledges.
    pub acks: Acks,
    /// All it was asked, in order.
    pub asked: Vec<Request>,
    /// How many of them a case has looked at.
    pub looked_at: usize,
    /// Signals of the routing interface it heard.
    pub heard: Vec<String>,
    /// Members of everything that came, in order; answers as `reply SERIAL`.
    pub order: VecDeque<String>,
}

/// A source or sink to be registered.
#[derive(Clone, Debug)]
pub struct Element {
    /// Static ID, or 0.
    pub id: u16,
    /// Name of its class.
    pub class: &'static str,
    /// `am_SourceState_e`.
    pub state: i32,
    /// 0.1 dB.
    pub volume: i16,
    /// Shown to clients.
    pub visible: bool,
    /// `(availability, reason)`.
    pub available: (i32, i32),
    /// A sink's: 1 muted, 2 not.
    pub mute: i16,
    /// A sink's.
    pub main_volume: i16,
    /// Connection formats: 1 mono, 2 stereo.
    pub formats: Vec<i32>,
    /// Sound properties.
    pub sound: Vec<(i32, i16)>,
    /// Main sound properties.
    pub main_sound: Vec<(i32, i16)>,
    /// Main notification configurations: type, status, parameter.
    pub main_notifications: Vec<(i32, i32, i16)>,
    /// Notification configurations.
    pub notifications: Vec<(i32, i32, i16)>,
}

impl Default for Element {
    /// Of class media, off, at 0 dB, visible, available, not muted, at mainVolume 100, mono and stereo.
    fn default() -> Self {
        Self {
            id: 0,
            class: "media",
            state: OFF,
            volume: 0,
            visible: true,
            available: (1, 0),
            mute: 2,
            main_volume: 100,
            formats: vec![1, 2],
            sound: Vec::new(),
            main_sound: Vec::new(),
            main_notifications: Vec::new(),
            notifications: Vec::new(),
        }
    }
}

impl Element {
    /// The usual of a class.
    #[must_use]
    pub fn of(class: &'static str) -> Self {
        Self {
            class,
            ..Self::default()
        }
    }

    /// The usual with these formats.
    #[must_use]
    pub fn formats(formats: &[i32]) -> Self {
        Self {
            formats: formats.to_vec(),
            ..Self::default()
        }
    }
}

/// `(qsqinb(ii)nna(in)aia(in)a(iin)a(iin))`.
#[derive(serde::Serialize, zbus::Type)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct SinkData {
    pub id: u16,
    pub name: String,
    pub domain: u16,
    pub class: i32,
    pub volume: i16,
    pub visible: bool,
    pub available: (i32, i32),
    pub mute: i16,
    pub main_volume: i16,
    pub sound: Vec<(i32, i16)>,
    pub formats: Vec<i32>,
    pub main_sound: Vec<(i32, i16)>,
    pub main_notifications: Vec<(i32, i32, i16)>,
    pub notifications: Vec<(i32, i32, i16)>,
}

/// `(qqsqinb(ii)qa(in)aia(in)a(iin)a(iin))`.
#[derive(serde::Serialize, zbus::Type)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct SourceData {
    pub id: u16,
    pub domain: u16,
    pub name: String,
    pub class: u16,
    pub state: i32,
    pub volume: i16,
    pub visible: bool,
    pub available: (i32, i32),
    pub interrupt: u16,
    pub sound: Vec<(i32, i16)>,
    pub formats: Vec<i32>,
    pub main_sound: Vec<(i32, i16)>,
    pub main_notifications: Vec<(i32, i32, i16)>,
    pub notifications: Vec<(i32, i32, i16)>,
}

/// `(qsqqqqqaiaiab)`.
#[derive(Clone, serde::Serialize, zbus::Type)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct GatewayData {
    pub id: u16,
    pub name: String,
    pub sink: u16,
    pub source: u16,
    pub domain_sink: u16,
    pub domain_source: u16,
    pub control_domain: u16,
    pub source_formats: Vec<i32>,
    pub sink_formats: Vec<i32>,
    /// Row-major: rows are the sink's formats, columns the source's.
    pub matrix: Vec<bool>,
}
