//! System tests: vhost-user front end, conformance, guests, faults.
pub mod conformance;
pub mod frontend;
pub mod hostile;
