//! What threads can do to each other in a store, interleaving by interleaving.
//!
//! The core is compiled with the locks of `shuttle`: of all threads one runs, and a scheduler says which. So a test
//! runs a whole store over a simulated disk again and again, under every schedule that there is, or under random ones.
//! Whoever waits for ever is found as well: then no thread can run.

#![forbid(unsafe_code)]

pub mod actors;
pub mod explore;
pub mod facts;
pub mod pair;
pub mod points;
mod reduce;
mod touch;
pub mod world;
