//! The AudioManager D-Bus interfaces and ours, the client library and audioctl.
