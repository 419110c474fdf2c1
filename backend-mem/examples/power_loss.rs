//! Power is lost before every single call of a program in turn. What it was promised by then is always there.
//!
//! ```console
//! $ cargo run --example power_loss
//! ```

use std::error::Error;

use flatbao_core::{FlatDir, HashAndFormat, Store, Tag};
use flatbao_mem::{Fault, SimDisk, seeded_env};

const CONTENT: &[u8] = b"tagged, so it stays";

fn main() -> Result<(), Box<dyn Error>> {
    let mut acknowledged = 0;
    for dies_at in 0.. {
        let disk = SimDisk::new();
        disk.inject(Fault::death_at(dies_at));
        let done = program(&disk);
        let survivor = disk.crash();
        let (store, _) = Store::open(FlatDir::new(survivor.file_system("store")), seeded_env(2))?;
        let is_tagged = store.tags()?.contains_key(&Tag::try_from("kept")?);
        if is_tagged {
            let hash = flatbao_core::Hash::of(CONTENT);
            assert_eq!(
                store.read(hash, 1000)?,
                CONTENT,
                "a tag never names what is not there"
            );
        }
        if done.is_ok() {
            assert!(is_tagged, "what was acknowledged is there");
            acknowledged = dies_at;
            break;
        }
    }
    println!("died at each of {acknowledged} calls, lost nothing");
    Ok(())
}

/// What an application does.
fn program(disk: &SimDisk) -> Result<(), Box<dyn Error>> {
    let (store, _) = Store::open(FlatDir::new(disk.file_system("store")), seeded_env(1))?;
    let kept = store.import_bytes(CONTENT)?;
    store.set_tag(Tag::try_from("kept")?, HashAndFormat::raw(kept.hash))?;
    Ok(())
}
