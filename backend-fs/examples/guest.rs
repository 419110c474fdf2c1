//! A store inside a WASI program of one's own. The same program runs natively:
//!
//! ```text
//! cargo run --example guest
//! ```
//!
//! and in a sandbox, where it sees one directory and nothing else. The runner grants an empty one at `/tmp`; a host
//! of one's own is the example `sandbox` of `flatbao-host`:
//!
//! ```text
//! cargo build --package flatbao-host --bin flatbao-wasm-runner
//! CARGO_TARGET_WASM32_WASIP1_RUNNER=target/debug/flatbao-wasm-runner \
//!     cargo run --target wasm32-wasip1 --example guest
//! ```

use std::error::Error;

use flatbao_core::{
    BackendError, HashAndFormat, OpenOptions, Store, Tag, progress::unwatched, store::Locking,
};
use flatbao_fs::FsBackend;
use tempfile::TempDir;

fn main() -> Result<(), Box<dyn Error>> {
    let place = match cfg!(target_os = "wasi") {
        true => TempDir::new_in("/tmp")?,
        false => TempDir::new()?,
    };
    let backend = || flatbao_fs::open_ambient(place.path());

    // WASI has no locks. A store does not act as if there were: it wants to be told who keeps others out.
    let opened = Store::open(backend()?, flatbao_fs::system_env());
    let store: Store<FsBackend> = match opened {
        Ok((store, _)) => store,
        Err(flatbao_core::Error::Backend(BackendError::NoLocks { .. })) => {
            println!("there are no locks here: the host holds the store's");
            let options = OpenOptions::default().locking(Locking::HostHolds);
            let env = flatbao_fs::system_env();
            Store::open_with(backend()?, env, options, &mut unwatched)?.0
        }
        Err(error) => return Err(error.into()),
    };

    // From here on nothing differs.
    let blob = store.import_reader(&vec![7; 1_000_000][..])?;
    store.set_tag(Tag::try_from("sevens")?, HashAndFormat::raw(blob.hash))?;
    let mut bytes = [0; 100];
    store
        .reader(blob.hash)?
        .read_verified(&mut bytes, 999_900)?;
    assert_eq!(bytes, [7; 100]);
    println!("{} is in the store, proved, and kept", blob.hash);
    Ok(())
}
