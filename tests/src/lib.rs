//! System tests: vhost-user front end, conformance, guests, faults.
pub mod am_suite;
pub mod board;
pub mod coded;
pub mod conformance;
pub mod daemon;
pub mod frontend;
pub mod guest;
pub mod harness;
pub mod hostile;
pub mod nested;
pub mod peer;
pub mod process;
pub mod reference;
pub mod rig;
pub mod traced;
pub mod windowed;
pub mod witness;
