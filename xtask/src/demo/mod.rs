//! `cargo xtask demo`.
mod cabin;
mod content;
mod levels;
