//! What can go wrong with one VM, and whose it is to cure.

use std::fmt;
use std::io;

/// Why a VM couldn't start or go on.
#[derive(Debug, thiserror::Error)]
#[error("{partition}: {fault}")]
pub struct Error {
    /// Name of the partition.
    pub partition: String,
    /// What happened.
    pub fault: Fault,
}

/// A cause with its cure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// The plan can't be carried out as it is written.
    #[error("{0}")]
    Plan(String),
    /// The host can't do it.
    #[error("{0}")]
    Host(String),
    /// The host may, but not for this user or within these limits.
    #[error("{0}")]
    NotPermitted(String),
    /// The VM was running.
    #[error("{0}")]
    Runtime(String),
}

impl Fault {
    /// A fault of the plan.
    pub(crate) fn plan(text: impl fmt::Display) -> Self {
        Self::Plan(text.to_string())
    }

    /// A step the host refused: by its error number not permitted, or not there.
    pub(crate) fn host(step: impl fmt::Display, error: impl Into<io::Error>) -> Self {
        let error: io::Error = error.into();
        let text = format!("{step}: {error}");
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted(text),
            _ => Self::Host(text),
        }
    }

    pub(crate) fn runtime(text: impl fmt::Display) -> Self {
        Self::Runtime(text.to_string())
    }
}

/// Makes a [`Fault::Host`] (or not permitted) of an error, for `map_err`.
pub(crate) fn host<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> Fault {
    move |error| Fault::host(step, error)
}

/// Ends a function with a fault of the plan.
macro_rules! refuse {
    ($($text:tt)*) => {
        return Err($crate::vm::error::Fault::Plan(format!($($text)*)))
    };
}
pub(crate) use refuse;
