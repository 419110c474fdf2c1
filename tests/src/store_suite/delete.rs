//! Explicit deletion.

use flatbao_core::{Error, FileName, Hash, store::ImportOptions};

use super::{
    StoreHarness, assert_external, assert_fails, assert_files, assert_gone, assert_reads,
    assert_there, bytes, expect_owned, files, fresh_uuid, no_files, open, plan, plant,
    plant_staged, put, put_external, put_sequence, raw, removed, seq, sorted, spared, tag,
    tags_file,
};

/// A blob that nothing reaches is deleted at once, with all its files, and only those; what is not there
/// cannot be.
pub fn an_unreached_blob_is_deleted<H: StoreHarness>() {
    let harness = H::fresh();
    let part = Hash::of(b"part");
    plant_staged(
        &harness,
        &FileName::PartialData(part, fresh_uuid()),
        b"some of it",
    );
    plant(&harness, &FileName::Tags, &tags_file(&[]));
    let store = open(&harness);
    let (data, kept) = (bytes(1, 50_000), bytes(2, 50_000));
    let hash = put(&store, &data);
    put(&store, &kept);
    let path = put_external(&harness, "file", &data);
    drop(store.import_reference(&path).unwrap());
    let item = store.delete(hash, false).unwrap();
    assert_eq!(item.hash, hash);
    assert!(item.bytes > 50_000);
    assert_gone(&harness, &store, hash);
    assert_external(&harness, &path, &data);
    assert_eq!(store.delete(part, false).unwrap().bytes, 10);
    let mut expected = no_files();
    expect_owned(&mut expected, &kept);
    assert_files(&harness, &expected);
    for force in [false, true] {
        assert_fails!(store.delete(hash, force), Error::NotFound(h) if h == hash);
    }
    assert_reads(&store, &kept);
    put(&store, &data);
    assert_reads(&store, &data);
    store.delete(hash, true).unwrap();
    drop(store);
    assert_files(&harness, &expected);
    assert_gone(&harness, &open(&harness), hash);
}

/// A blob that a tag, a temporary tag or a sequence of either reaches is not deleted, and neither is one
/// that a batch under way has: the error says what needs it.
pub fn what_is_in_use_is_not_deleted<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let [tagged, child, held, held_child, batched, other] =
        [1, 2, 3, 4, 5, 6].map(|n| put(&store, &bytes(n, n * 8000)));
    let list = put_sequence(&store, &[child]);
    let held_list = put_sequence(&store, &[held_child]);
    store.set_tag(tag("the tag"), raw(tagged)).unwrap();
    store.set_tag(tag("the list"), seq(list)).unwrap();
    let temporary = (store.temp_tag(raw(held)), store.temp_tag(seq(held_list)));
    let mut batch = store.batch();
    batch
        .import_bytes(&bytes(5, 5 * 8000), ImportOptions::default())
        .unwrap();
    let before = files(&harness);
    for (hash, by) in [
        (tagged, "the tag"),
        (child, "the list"),
        (list, "the list"),
        (held, "temporary"),
        (held_child, "temporary"),
        (held_list, "temporary"),
        (batched, "temporary"),
    ] {
        let error = store.delete(hash, false).unwrap_err();
        assert!(error.hint().is_some());
        assert_fails!(
            Err::<(), _>(error),
            Error::InUse { hash: h, by: said } if h == hash && said.contains(by)
        );
    }
    assert_files(&harness, &before);
    store.delete(other, false).unwrap();
    drop((temporary, batch));
    for hash in [held, held_child, held_list, batched] {
        store.delete(hash, false).unwrap();
    }
    // A root that cannot be read might reach anything.
    store
        .set_tag(tag("odd"), seq(Hash::of(b"missing")))
        .unwrap();
    let dead = put(&store, b"dead");
    assert_fails!(
        store.delete(dead, false),
        Error::Root { root, .. } if root.contains("odd")
    );
    store.remove_tag(&tag("odd")).unwrap();
    store.delete(dead, false).unwrap();
    assert_there(&store, &[tagged, child, list]);
}

/// Force deletes what only tags reach, and leaves the tags; what a temporary tag holds it leaves, and what
/// was imported since a plan that is not swept yet.
pub fn force_overrides_tags_only<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let [tagged, child, held, held_child] = [1, 2, 3, 4].map(|n| put(&store, &bytes(n, 100)));
    let list = put_sequence(&store, &[child]);
    let held_list = put_sequence(&store, &[held_child]);
    store.set_tag(tag("tag"), raw(tagged)).unwrap();
    store.set_tag(tag("list"), seq(list)).unwrap();
    let temporary = (store.temp_tag(raw(held)), store.temp_tag(seq(held_list)));
    for hash in [held, held_child, held_list] {
        assert_fails!(store.delete(hash, true), Error::InUse { .. });
    }
    for hash in [child, tagged, list] {
        assert_fails!(
            store.delete(hash, false),
            Error::InUse { .. } | Error::Root { .. }
        );
        store.delete(hash, true).unwrap();
        assert_gone(&harness, &store, hash);
    }
    assert_eq!(store.tags().unwrap().len(), 2);
    drop(temporary);
    store.remove_tag(&tag("list")).unwrap();
    // A plan and a deletion do not get into each other's way.
    let mark = plan(&store);
    store.delete(held, false).unwrap();
    put(&store, &bytes(4, 100));
    assert_fails!(store.delete(held_child, true), Error::InUse { .. });
    let swept = store.sweep(mark).unwrap();
    assert_eq!(removed(&swept), [held_list]);
    assert_eq!(spared(&swept), sorted(vec![held, held_child]));
    store.delete(held_child, true).unwrap();
    assert_files(&harness, &{
        let mut expected = no_files();
        expected.insert(FileName::Tags, tags_file(&[(b"tag", raw(tagged))]));
        expected
    });
}
