//! The conformance suite of flatbao, for anybody's back end, and flatbao's own tests over all of its own.
//!
//! Implement [`dir_suite::DirHarness`] for a [`Dir`](flatbao_core::Dir), and expand
//! [`dir_conformance!`] once in a test file: each sentence of the trait's documentation becomes a test of its
//! own.
#![forbid(unsafe_code)]

pub mod dir_suite;
