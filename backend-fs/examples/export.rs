//! A blob moves out of the store into a file, and the store refers to it there.
//!
//! ```console
//! $ cargo run --example export
//! ```

use std::{error::Error, fs};

use flatbao_core::{
    ExternalPath, Store,
    store::{ExportMethod, ExportMode, ExportOptions, Location, Status},
};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let outside = fs::canonicalize(place.path())?.join("outside");
    fs::create_dir(&outside)?;
    let granted = outside
        .to_str()
        .ok_or("a temporary directory with an odd name")?;

    // What lies outside the store is out of reach, unless it is granted.
    let mut backend = flatbao_fs::create_ambient(place.path().join("store"))?;
    flatbao_fs::grant_ambient(&mut backend, granted, &outside)?;
    let (store, _) = Store::open(backend, flatbao_fs::system_env())?;
    let content = vec![42; 300_000];
    let hash = store.import_bytes(&content)?.hash;

    // A copy appears under its name when all of it is proved and durable; its directories are made.
    let copy = ExternalPath::parse(&format!("{granted}/copies/a.bin"))?;
    let exported = store.export(hash, &copy)?;
    assert_eq!(exported.method, ExportMethod::Copied);
    assert_eq!(fs::read(outside.join("copies/a.bin"))?, content);
    // What is there is not replaced unless that is asked for.
    assert!(store.export(hash, &copy).is_err());

    // By reference the store gives its own file away, and reads it there from then on.
    let path = ExternalPath::parse(&format!("{granted}/moved.bin"))?;
    let options = ExportOptions::default().mode(ExportMode::Reference);
    let exported =
        store.export_with(hash, &path, options, &mut flatbao_core::progress::unwatched)?;
    println!("{} bytes came out: {:?}", exported.size, exported.method);
    assert!(matches!(
        store.status(hash),
        Status::Present(info) if info.location == Location::External
    ));
    assert_eq!(store.read(hash, u64::MAX)?, content);

    // Whoever edits the file does not deceive the store.
    fs::write(outside.join("moved.bin"), vec![43; 300_000])?;
    assert!(store.reader(hash)?.read_verified(&mut [0; 100], 0).is_err());
    Ok(())
}
