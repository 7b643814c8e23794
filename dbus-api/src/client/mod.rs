//! A client of the daemon: typed calls, signals, names. Used by `audioctl` and the tests.

mod names;
mod signals;
mod wire;

use std::time::Duration;

use policy::command::{Call, Reply};
use zbus::connection::{Builder, Connection};
use zbus::fdo;

pub use names::{Names, nearest};
pub use signals::{Heard, Signals};

use crate::history::Page;
use crate::names::{BUS_NAME, OWN_INTERFACE, OWN_PATH};
use crate::server::BusAddress;
use crate::status::Status;

/// A call not answered by then has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No bus at the address.
    #[error("no bus at {address}: {cause}; is it running, and is --bus (CARILLON_BUS) right?")]
    NoBus {
        /// As given.
        address: String,
        /// What the system says.
        cause: String,
    },
    /// A bus, but nobody has the name.
    #[error("no audio daemon on the bus (nobody owns {BUS_NAME}); is audiod running, with the same bus?")]
    NoDaemon,
    /// The daemon has the name and doesn't answer, or went away before it did.
    #[error("the audio daemon did not answer: {0}")]
    NoAnswer(String),
    /// The bus's policy forbids it.
    #[error("not permitted: {0}")]
    NotPermitted(String),
    /// The daemon refused.
    #[error("refused: {} ({code}): {why}", error_name(*code))]
    Refused {
        /// `am_Error_e`.
        code: i16,
        /// Why, for people.
        why: String,
    },
    /// No such source, sink or connection.
    #[error("{0}")]
    NoSuch(String),
    /// The daemon has too many calls to answer.
    #[error("the daemon is overloaded: {0}")]
    Overloaded(String),
    /// An answer that can't be.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
}

impl From<zbus::Error> for Error {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::FDO(error) => match *error {
                fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) => Self::NoDaemon,
                fdo::Error::NoReply(text) | fdo::Error::Disconnected(text) => Self::NoAnswer(text),
                fdo::Error::AccessDenied(text) | fdo::Error::AuthFailed(text) => Self::NotPermitted(text),
                fdo::Error::LimitsExceeded(text) => Self::Overloaded(text),
                error => Self::Unexpected(error.to_string()),
            },
            zbus::Error::InputOutput(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Self::NoAnswer(format!("nothing came within {PATIENCE:?}"))
            }
            zbus::Error::InputOutput(error) => Self::NoAnswer(format!("the connection to the bus broke: {error}")),
            error => Self::Unexpected(error.to_string()),
        }
    }
}

/// Name of an `am_Error_e`.
pub fn error_name(code: i16) -> &'static str {
    const NAMES: [&str; 12] = [
        "E_OK",
        "E_UNKNOWN",
        "E_OUT_OF_RANGE",
        "E_NOT_USED",
        "E_DATABASE_ERROR",
        "E_ALREADY_EXISTS",
        "E_NO_CHANGE",
        "E_NOT_POSSIBLE",
        "E_NON_EXISTENT",
        "E_ABORTED",
        "E_WRONG_FORMAT",
        "E_COMMUNICATION",
    ];
    usize::try_from(code)
        .ok()
        .and_then(|code| NAMES.get(code))
        .unwrap_or(&"E_?")
}

/// A connection to the daemon.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
    /// Without a bus: the daemon is the peer.
    peer: bool,
}

impl Client {
    /// Connects to the bus (the daemon need not be there yet).
    ///
    /// # Errors
    /// [`Error::NoBus`], [`Error::NotPermitted`].
    pub async fn connect(address: &BusAddress) -> Result<Self, Error> {
        let builder = match address {
            BusAddress::Session => Builder::session(),
            BusAddress::System => Builder::system(),
            BusAddress::At(address) => Builder::address(address.as_str()),
        };
        match builder.method_timeout(PATIENCE).build().await {
            Ok(connection) => Ok(Self {
                connection,
                peer: false,
            }),
            Err(error) => Err(match Error::from(error.clone()) {
                Error::NotPermitted(text) => Error::NotPermitted(text),
                _ => Error::NoBus {
                    address: address.to_string(),
                    cause: error.to_string(),
                },
            }),
        }
    }

    /// Talks to a daemon at the other end of `connection`, without a bus.
    pub fn peer(connection: Connection) -> Self {
        Self { connection, peer: true }
    }

    /// The connection beneath.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn destination(&self) -> Option<&'static str> {
        (!self.peer).then_some(BUS_NAME)
    }

    /// Makes a call; the return code is in the reply.
    ///
    /// # Errors
    /// It was not answered; a refusal is a reply, not an error.
    pub async fn call(&self, call: &Call) -> Result<Reply, Error> {
        wire::call(self, call).await
    }

    /// Makes a call that must succeed.
    ///
    /// # Errors
    /// As [`Self::call`], and [`Error::Refused`].
    pub async fn call_ok(&self, call: &Call) -> Result<Reply, Error> {
        let reply = self.call(call).await?;
        match reply.error {
            policy::command::error::OK => Ok(reply),
            code => Err(Error::Refused {
                code,
                why: why(call, code).to_owned(),
            }),
        }
    }

    /// `Status` as it came.
    ///
    /// # Errors
    /// It was not answered.
    pub async fn status_json(&self) -> Result<String, Error> {
        let message = self
            .connection
            .call_method(self.destination(), OWN_PATH, Some(OWN_INTERFACE), "Status", &())
            .await?;
        Ok(message.body().deserialize()?)
    }

    /// `Status`.
    ///
    /// # Errors
    /// It was not answered, or not with a status.
    pub async fn status(&self) -> Result<Status, Error> {
        serde_json::from_str(&self.status_json().await?).map_err(|error| Error::Unexpected(error.to_string()))
    }

    /// Up to `most` decisions from number `from` on.
    ///
    /// # Errors
    /// It was not answered, or not with decisions.
    pub async fn history(&self, from: u32, most: u16) -> Result<Page, Error> {
        let message = self
            .connection
            .call_method(
                self.destination(),
                OWN_PATH,
                Some(OWN_INTERFACE),
                "History",
                &(from, most),
            )
            .await?;
        let text: String = message.body().deserialize()?;
        serde_json::from_str(&text).map_err(|error| Error::Unexpected(format!("History: {error}")))
    }

    /// Wants the daemon's events, as long as this connection lives.
    pub(super) async fn listen(&self) -> Result<(), Error> {
        self.connection
            .call_method(self.destination(), OWN_PATH, Some(OWN_INTERFACE), "Listen", &())
            .await?;
        Ok(())
    }

    /// Sounds a chime of the bank.
    ///
    /// # Errors
    /// As [`Self::call_ok`].
    pub async fn chime(&self, name: &str) -> Result<(), Error> {
        let message = self
            .connection
            .call_method(self.destination(), OWN_PATH, Some(OWN_INTERFACE), "Chime", &name)
            .await?;
        match message.body().deserialize::<(i16, String)>()? {
            (policy::command::error::OK, _) => Ok(()),
            (code, why) => Err(Error::Refused { code, why }),
        }
    }

    /// Has the daemon read its file again and take up the policy; what it says about the file (warnings).
    ///
    /// # Errors
    /// As [`Self::call_ok`]; [`Error::Refused`] has the whole report, and nothing has changed.
    pub async fn reload(&self) -> Result<String, Error> {
        let message = self
            .connection
            .call_method(self.destination(), OWN_PATH, Some(OWN_INTERFACE), "Reload", &())
            .await?;
        match message.body().deserialize::<(i16, String)>()? {
            (policy::command::error::OK, text) => Ok(text),
            (code, why) => Err(Error::Refused { code, why }),
        }
    }

    /// Every signal and event from now on.
    ///
    /// # Errors
    /// The bus doesn't take the match rules.
    pub async fn signals(&self) -> Result<Signals, Error> {
        Signals::new(self).await
    }
}

/// What a return code of a call means, as AudioManager's generic controller uses them.
fn why(call: &Call, code: i16) -> &'static str {
    use policy::command::error as e;
    match (call, code) {
        (Call::Connect { .. }, e::NOT_POSSIBLE) => {
            "the policy has no route for this pair, or a louder source rejects it"
        }
        (Call::Connect { .. }, e::NON_EXISTENT) => "there is no such source or sink",
        (Call::Connect { .. }, e::DATABASE_ERROR) => "one end is not available now",
        (Call::Disconnect { .. }, _) => "there is no such connection",
        (Call::SetVolume { .. } | Call::VolumeStep { .. }, e::OUT_OF_RANGE) => {
            "no such sink, or the volume is out of its range"
        }
        (_, e::NO_CHANGE) => "it is so already",
        (_, e::OUT_OF_RANGE) => "an ID or value is out of range",
        (_, e::NON_EXISTENT) => "there is no such thing",
        (_, e::NOT_POSSIBLE) => "the policy does not allow it",
        (_, e::NOT_USED) => "not supported",
        _ => "see the daemon's log",
    }
}
