//! The real-time mixing core: no_std, no alloc, no unsafe.
#![no_std]
#![forbid(unsafe_code)]
