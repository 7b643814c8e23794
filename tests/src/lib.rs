//! System tests: vhost-user front end, conformance, guests, faults.
