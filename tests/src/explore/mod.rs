//! A search for a state that breaks a promise: every story up to a length, crashed at every moment, in every way.
//!
//! A *story* is a list of [steps](Step): imports, parts received, tags set and removed, collections, exports, repairs,
//! ends of the process, damage. It happens in a store over the simulated disk, by the production protocol. Before
//! every operation of a step that changes or syncs something, the process dies or the power fails, and every
//! [image](flatbao_mem::SimDisk::images) of the disk is opened, at every moment of which there is a crash again. Beside
//! the store goes a plain account of what it has [promised](Promise), and whatever is found after a crash is held
//! against it, each kind of promise by a [name of its own](Check).
//!
//! A state that was seen before, with the same promises, is not looked at again. Two states that differ in random names
//! only, or in the bytes of files that are removed without being read, are the same one.
//!
//! ```
//! use flatbao_tests::explore::{Explorer, Layout, Production, Story, replay};
//!
//! let search = Explorer::production();
//! search.all(Layout::One, &[], 1, &|| false)?;
//! assert!(search.totals().states > 100);
//!
//! // One state again: the second moment of an import of the large blob, by the third image in any order.
//! let story: Story = "one: import-l @2a3".parse()?;
//! replay(&Production, &story)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod contents;
mod promise;
mod run;
mod search;
mod seen;
mod step;
mod story;
mod world;

pub use check::{Check, Violation};
pub use contents::{Blob, Blobs, Value};
pub use promise::{Others, Promise, Tags};
pub use search::{Explorer, Totals};
pub use step::{End, Name, NoStep, Part, Step, Way};
pub use story::{Act, Crash, Failure, Left, Story, replay};
pub use world::{Layout, Production, Subject};
