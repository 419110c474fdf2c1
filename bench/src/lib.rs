//! What the driver and the micro benchmarks share: bytes to store, and the one door to what is new in flatbao.

#![forbid(unsafe_code)]

pub mod content;
pub mod ours;
