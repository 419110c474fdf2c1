//! A byte flips on the disk. It is found, told by its place, and mended without losing what is good.
//!
//! ```console
//! $ cargo run --example damage
//! ```

use std::{error::Error, fs, ops::ControlFlow};

use flatbao_core::{
    Store,
    progress::unwatched,
    store::{Checked, Depth, RepairOptions, Repairing, VerifyOptions},
};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let backend = flatbao_fs::create_ambient(place.path())?;
    let (store, _) = Store::open(backend, flatbao_fs::system_env())?;
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let hash = store.import_bytes(&content)?.hash;

    let path = place.path().join(format!("{hash}.data"));
    let mut bytes = fs::read(&path)?;
    bytes[100_000] ^= 1;
    fs::write(&path, bytes)?;

    // Reading never hands out a wrong byte; groups that are whole still read.
    let reader = store.reader(hash)?;
    let mut piece = [0; 16];
    assert_eq!(reader.read_verified(&mut piece, 0)?, 16);
    match reader.read_verified(&mut piece, 100_000) {
        Ok(_) => return Err("a damaged group was served".into()),
        Err(error) => println!("reading: {error}"),
    }

    // Verification names the place, and changes nothing.
    let mut each = |checked| {
        if let Checked::Finding(finding) = checked {
            println!("found:   {finding}");
            assert_eq!(finding.offset(), Some(100_000 / 16_384 * 16_384));
        }
        ControlFlow::Continue(())
    };
    let deep = VerifyOptions::default().depth(Depth::Deep);
    let verified = store.verify(&deep, &mut each, &mut unwatched)?;
    assert_eq!(verified.damage, 1);

    // Nobody else has the group, so that repair keeps the others as a partial blob.
    let mut each = |step| {
        if let Repairing::Mended(mending, _) = step {
            println!("repair:  {mending:?}");
        }
    };
    store.repair(&RepairOptions::default(), &mut each, &mut unwatched)?;
    let partial = &store.partials(hash)?[0];
    assert_eq!(partial.verified(), content.len() as u64 - 16_384);

    // The same content once more, and it is whole.
    store.import_bytes(&content)?;
    assert_eq!(store.read(hash, u64::MAX)?, content);
    Ok(())
}
