//! The Carillon audio daemon.
fn main() {}
