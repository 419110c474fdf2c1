//! The life of a blob: imported, tagged, read in part, and collected when nothing names it any more.
//!
//! ```console
//! $ cargo run --example store
//! ```

use std::{
    error::Error,
    io::{Read, Seek, SeekFrom},
};

use flatbao_core::{HashAndFormat, Store, Tag};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let backend = flatbao_fs::create_ambient(place.path().join("store"))?;
    let (store, recovery) = Store::open(backend, flatbao_fs::system_env())?;
    assert!(recovery.removed.is_empty(), "a new store has no leftovers");

    // A hundred groups of 16 KiB. When this returns they are on the disk for good.
    let content = vec![7; 100 * 16 * 1024];
    let imported = store.import_bytes(&content)?;
    println!("imported {} ({} bytes)", imported.hash, imported.size);
    let name = Tag::try_from("seven")?;
    store.set_tag(name.clone(), HashAndFormat::raw(imported.hash))?;
    // The import itself keeps its blob as long as this lives. From here on the tag does.
    drop(imported.tag);

    // Every byte that a reader hands out has been proved, and so has the length.
    let mut reader = store.reader(imported.hash)?;
    let size = reader.seek(SeekFrom::End(0))?;
    assert_eq!(size, content.len() as u64);
    reader.seek(SeekFrom::Start(1_000_000))?;
    let mut piece = [0; 10];
    reader.read_exact(&mut piece)?;
    assert_eq!(piece, [7; 10]);

    // A plan names what nothing reaches. Whatever is imported or tagged after it was made is safe from it.
    assert!(store.plan_gc()?.items().is_empty(), "a tag keeps it");
    store.remove_tag(&name)?;
    let plan = store.plan_gc()?;
    println!("{} bytes can go", plan.bytes());
    let swept = store.sweep(plan)?;
    assert_eq!(swept.removed[0].hash, imported.hash);
    assert!(store.reader(imported.hash).is_err());
    Ok(())
}
