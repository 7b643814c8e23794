//! The routing model, with AudioManager's semantics: domains that own sources and sinks, gateways between domains, converters and
//! crossfaders inside one, connection formats, and the search for routes.
//!
//! ```text
//!   domain A                     domain B
//!   source ──hop──► sink ─gateway─► source ──hop──► sink
//!                   rows             columns of the conversion matrix
//! ```
//!
//! Everything here is pure data and functions of it; what happens over time is in [`crate::machine`].

pub mod conversion;
pub mod handles;
pub mod known;
pub mod registry;
pub mod rules;
pub mod search;

#[cfg(test)]
mod tests;

/// The domain of guests' streams and zones: its name and its (static) domainID. What is in it needs no round trip.
pub const BUILT_IN_NAME: &str = "audiod";
/// See [`BUILT_IN_NAME`].
pub const BUILT_IN: u16 = 100;

pub use conversion::Conversion;
pub use known::Known;
pub use registry::{Crossfader, Domain, Gateway, Registry, Sink, Source};
pub use rules::Rules;
pub use search::{Hop, Route};
