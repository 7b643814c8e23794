//! `cargo xtask demo`.
mod cabin;
mod content;
mod levels;
mod picture;
mod svg;
mod timeline;
