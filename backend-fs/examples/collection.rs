//! Several blobs under one name: a collection, which a tag keeps alive as a whole.
//!
//! ```console
//! $ cargo run --example collection
//! ```

use std::error::Error;

use flatbao_core::{Collection, HashAndFormat, Store, Tag, store::ImportOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let backend = flatbao_fs::create_ambient(place.path())?;
    let (store, _) = Store::open(backend, flatbao_fs::system_env())?;

    // A batch becomes durable with few directory syncs, however many files there are.
    let mut batch = store.batch();
    let mut entries = Vec::new();
    for (name, text) in [
        ("a/one.txt", "one"),
        ("a/two.txt", "two"),
        ("b.txt", "three"),
    ] {
        let (hash, _) = batch.import_bytes(text.as_bytes(), ImportOptions::default())?;
        entries.push((name.to_owned(), hash));
    }
    let root = batch.import_collection(&Collection::new(entries)?)?;
    let imported = batch.commit()?;
    store.set_tag(Tag::try_from("texts")?, HashAndFormat::hash_seq(root))?;
    drop(imported);

    assert!(
        store.plan_gc()?.items().is_empty(),
        "one tag keeps all of them"
    );
    for (name, hash) in store.collection(root)?.entries() {
        let text = String::from_utf8(store.read(*hash, 1000)?)?;
        println!("{name}: {text}");
    }
    Ok(())
}
