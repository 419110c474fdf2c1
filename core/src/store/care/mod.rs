//! Care: finding out what is wrong with a store, and mending it.
//!
//! *Verify* looks and changes nothing. *Repair* does what can be done without losing a good byte. Both see a
//! blob through the same [`examine`], which reads the disk and trusts no cache.

mod exam;
mod examine;
mod finding;
mod home;
mod loose;
mod mend;
mod mending;
mod position;
mod repair;
mod tags;
mod verify;

pub use examine::Depth;
pub use finding::{Finding, Remedy, Severity};
pub use mending::{Mending, Outcome};
pub use position::{ParsePositionError, Position};
pub use repair::{RepairOptions, Repaired, Repairing};
pub use tags::{Salvaged, SalvagedFrom};
pub use verify::{Checked, Verified, VerifyOptions};
