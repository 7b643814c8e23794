//! Why a process of ours could not go on, with the exit code that says so.

use std::process::ExitCode;

/// See the module; the codes are those of `audiod --help`.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something failed while running.
    #[error("{what}: {source}")]
    Running {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The file has mistakes; they are the text.
    #[error("{0}")]
    Config(String),
    /// Not permitted.
    #[error("{0}")]
    NotPermitted(String),
    /// A device, socket or file is in the way.
    #[error("{0}")]
    InTheWay(String),
}

impl Failure {
    /// For `map_err`: names what was being done.
    pub fn when(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| match source.kind() {
            std::io::ErrorKind::PermissionDenied => Self::NotPermitted(format!("{what}: {source}")),
            _ => Self::Running { what, source },
        }
    }

    /// The documented exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Running { .. } => 1,
            Self::Config(_) => 3,
            Self::NotPermitted(_) => 4,
            Self::InTheWay(_) => 5,
        })
    }
}
