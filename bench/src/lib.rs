//! What the driver and the micro benchmarks share: bytes to store.

#![forbid(unsafe_code)]

pub mod content;
