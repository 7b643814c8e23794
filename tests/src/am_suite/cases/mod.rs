//! The cases: each acts on a stage and fails with what it saw instead of what is promised.

mod classes;
mod connect;
mod ends;
mod failures;
mod levels;
mod properties;
mod registration;
mod routes;
mod together;
mod told;
mod wire;

use super::Case;

/// All of them.
pub fn all() -> impl Iterator<Item = Case> {
    let tables = [
        connect::CASES,
        routes::CASES,
        failures::CASES,
        classes::CASES,
        levels::CASES,
        properties::CASES,
        ends::CASES,
        registration::CASES,
        told::CASES,
        together::CASES,
        wire::CASES,
    ];
    tables.into_iter().flatten().copied()
}

/// A table's row: a function that is named as the case.
macro_rules! cases {
    ($($run:ident),* $(,)?) => {
        pub(super) const CASES: &[$crate::am_suite::Case] = &[
            $($crate::am_suite::Case { name: stringify!($run), run: $run }),*
        ];
    };
}
use cases;
