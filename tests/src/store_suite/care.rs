//! Verification, repair, and the restoration of tags.

// One range is a list of one.
#![allow(clippy::single_range_in_vec_init)]

use std::ops::ControlFlow;

use flatbao_core::{
    Backend, Error, FileName, Hash, NotWritable, Store, TagMap,
    progress::unwatched,
    store::{
        Checked, Depth, Finding, Mending, Outcome, RepairOptions, Repairing, SalvagedFrom, State,
        Status, VerifyOptions,
    },
};

use super::{
    GROUP, StoreHarness, assert_external, assert_fails, assert_files, assert_reads, assert_there,
    bytes, collect, expect_outboard, expect_owned, files, flip, no_files, open, open_read_only,
    oracle, paths_file, plant, plant_staged, put, put_external, put_sequence, raw, removed, seq,
    tag, tags_file, tags_payload, uproot,
};

fn verify<B: Backend>(store: &Store<B>, depth: Depth) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut each = |checked| {
        if let Checked::Finding(finding) = checked {
            found.push(finding);
        }
        ControlFlow::Continue(())
    };
    let options = VerifyOptions::default().depth(depth);
    store.verify(&options, &mut each, &mut unwatched).unwrap();
    found
}

fn repair<B: Backend>(store: &Store<B>, dry_run: bool) -> (Vec<Mending>, Vec<Finding>) {
    let (mut mended, mut left) = (Vec::new(), Vec::new());
    let mut each = |step| match (step, dry_run) {
        (Repairing::Mended(mending, Outcome::Planned), true)
        | (Repairing::Mended(mending, Outcome::Done), false) => mended.push(mending),
        (Repairing::Left(finding), _) => left.push(finding),
        (other, _) => panic!("{other:?}"),
    };
    let options = RepairOptions::default().dry_run(dry_run);
    store.repair(&options, &mut each, &mut unwatched).unwrap();
    (mended, left)
}

/// A whole store is found whole, and repair has nothing to do.
pub fn a_whole_store_is_found_whole<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    for size in [0, 1, GROUP, GROUP + 1, 100_000] {
        put(&store, &bytes(size, size));
    }
    let path = put_external(&harness, "file", &bytes(7, 50_000));
    drop(store.import_reference(&path).unwrap());
    let child = put(&store, b"child");
    let list = put_sequence(&store, &[child]);
    store.set_tag(tag("list"), seq(list)).unwrap();
    let before = files(&harness);
    for depth in [Depth::Quick, Depth::Deep] {
        assert_eq!(verify(&store, depth), []);
        assert_eq!(verify(&open_read_only(&harness), depth), []);
    }
    assert_eq!(repair(&store, false), (vec![], vec![]));
    assert_files(&harness, &before);
}

/// A verification says which groups are wrong and changes nothing; nor does a repair that only tells.
pub fn looking_changes_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let hash = put(&open(&harness), &data);
    flip(&harness, &FileName::Data(hash), 2 * GROUP);
    flip(&harness, &FileName::Outboard(hash), 0);
    let before = files(&harness);
    let outboard = Finding::CorruptOutboard {
        hash,
        groups: vec![],
    };
    let damage = Finding::CorruptData {
        hash,
        groups: vec![2..3],
        elsewhere: false,
    };
    let demotion = Mending::Demote {
        hash,
        missing: vec![2..3],
        of: 7,
    };
    for read_only in [true, false] {
        let store = match read_only {
            true => open_read_only(&harness),
            false => open(&harness),
        };
        let quick = verify(&store, Depth::Quick);
        assert_eq!(quick, std::slice::from_ref(&outboard));
        let deep = verify(&store, Depth::Deep);
        assert_eq!(deep, [outboard.clone(), damage.clone()]);
        assert_eq!(repair(&store, true), (vec![demotion.clone()], vec![]));
        assert_files(&harness, &before);
        if read_only {
            let options = RepairOptions::default();
            let outcome = store.repair(&options, &mut |_| {}, &mut unwatched);
            assert_fails!(outcome, Error::NotWritable(NotWritable::ReadOnly));
        }
    }
}

/// A blob with wrong bytes becomes a partial one that has every other group; it is nothing that a tag does not
/// keep, and an import completes it.
pub fn damaged_data_keep_their_good_groups<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let store = open(&harness);
    let hash = put(&store, &data);
    store.set_tag(tag("it"), raw(hash)).unwrap();
    drop(store);
    flip(&harness, &FileName::Data(hash), 2 * GROUP);
    let damaged = files(&harness).remove(&FileName::Data(hash)).unwrap();
    let store = open(&harness);
    assert_eq!(repair(&store, false).0.len(), 1);
    assert_eq!(repair(&store, false), (vec![], vec![]));
    drop(store);
    for store in [open_read_only(&harness), open(&harness)] {
        assert_eq!(store.partials(hash).unwrap()[0].groups, [0..2, 3..7]);
        assert_fails!(store.reader(hash), Error::Incomplete(h) if h == hash);
        let Status::Present(info) = store.status(hash) else {
            panic!("a demoted blob is gone");
        };
        assert_eq!((info.state, info.damaged), (State::Partial, false));
    }
    let found = files(&harness);
    assert!(
        found.values().any(|file| *file == damaged),
        "bytes are gone"
    );
    let store = open(&harness);
    assert!(removed(&collect(&store)).is_empty());
    put(&store, &data);
    assert_reads(&store, &data);
    assert_eq!(verify(&store, Depth::Deep), []);
}

/// What one home has wrong another one has right: the owned data are whole afterwards, and paths that lead to
/// other bytes go. The files at their ends stay as they are.
pub fn two_homes_are_put_together<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let path = put_external(&harness, "file", &data);
    let store = open(&harness);
    let hash = put(&store, &data);
    drop(store.import_reference(&path).unwrap());
    drop(store);
    flip(&harness, &FileName::Data(hash), 2 * GROUP);
    let mut other = data.clone();
    other[5 * GROUP] ^= 1;
    harness.put_external(&path, &other);
    let store = open(&harness);
    let (mended, left) = repair(&store, false);
    let kinds: Vec<_> = mended.iter().map(Mending::kind).collect();
    assert_eq!((kinds, left), (vec!["rewrite_data", "drop_paths"], vec![]));
    assert_reads(&store, &data);
    assert_external(&harness, &path, &other);
    let mut expected = no_files();
    expect_owned(&mut expected, &data);
    assert_files(&harness, &expected);
    assert_eq!(verify(&store, Depth::Deep), []);
}

/// Outboards that are missing, damaged or of another blob are made again, byte for byte.
pub fn outboards_are_made_again<H: StoreHarness>() {
    let harness = H::fresh();
    let contents = [20_000, 50_000, 100_000].map(|size| bytes(size, size));
    let path = put_external(&harness, "file", &contents[2]);
    let store = open(&harness);
    let hashes = [put(&store, &contents[0]), put(&store, &contents[1])];
    drop(store.import_reference(&path).unwrap());
    drop(store);
    let whole = files(&harness);
    uproot(&harness, &FileName::Outboard(hashes[0]));
    plant(
        &harness,
        &FileName::Outboard(hashes[1]),
        &oracle(&contents[2]).1,
    );
    flip(&harness, &FileName::Outboard(Hash::of(&contents[2])), 40);
    let store = open(&harness);
    let (mended, left) = repair(&store, false);
    assert_eq!((mended.len(), left), (3, vec![]));
    assert_files(&harness, &whole);
}

/// A path goes only where the blob is whole without it.
pub fn the_last_path_stays<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 50_000);
    let [one, two] = ["a", "b"].map(|name| put_external(&harness, name, &data));
    let store = open(&harness);
    drop(store.import_reference(&one).unwrap());
    drop(store.import_reference(&two).unwrap());
    drop(store);
    harness.put_external(&one, b"other");
    harness.put_external(&two, b"other");
    let hash = Hash::of(&data);
    let before = files(&harness);
    let store = open(&harness);
    let (mended, left) = repair(&store, false);
    assert_eq!((mended.len(), left.len()), (0, 2));
    assert_files(&harness, &before);
    harness.put_external(&two, &data);
    let (mended, left) = repair(&store, false);
    let dropped = Mending::DropPaths {
        hash,
        paths: vec![one.to_string()],
    };
    assert_eq!((mended, left), (vec![dropped], vec![]));
    let mut expected = no_files();
    expect_outboard(&mut expected, &data);
    expected.insert(FileName::Paths(hash), paths_file(&[two.as_str()]));
    assert_files(&harness, &expected);
    assert_external(&harness, &one, b"other");
}

/// Partial data that lost their outboard to an interrupted step get it back.
pub fn an_interrupted_demotion_is_finished<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let (hash, outboard) = oracle(&data);
    drop(open(&harness));
    plant(&harness, &FileName::Outboard(hash), &outboard);
    let uuids = [super::fresh_uuid(), super::fresh_uuid()];
    for uuid in uuids {
        plant_staged(
            &harness,
            &FileName::PartialData(hash, uuid),
            &data[..3 * GROUP],
        );
    }
    let store = open(&harness);
    let (mended, left) = repair(&store, false);
    let kinds: Vec<_> = mended.iter().map(Mending::kind).collect();
    assert_eq!((kinds, left), (vec!["pair", "pair"], vec![]));
    assert!(!files(&harness).contains_key(&FileName::Outboard(hash)));
    for store in [store, open_read_only(&harness)] {
        let partials = store.partials(hash).unwrap();
        assert_eq!(partials.len(), 2);
        for partial in partials {
            assert_eq!(
                (partial.claimed_size, partial.groups),
                (100_000, vec![0..3])
            );
        }
    }
}

/// Tags whose blobs are not there, in whole or in part, are told, and so is what a sequence lists.
pub fn what_tags_name_is_looked_for<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let missing = Hash::of(b"missing");
    let list = put_sequence(&store, &[missing]);
    store.set_tag(tag("a"), raw(missing)).unwrap();
    store.set_tag(tag("b"), seq(list)).unwrap();
    let odd = put(&store, b"no sequence");
    drop(store);
    let tags = [
        (&b"a"[..], raw(missing)),
        (b"b", seq(list)),
        (b"c", seq(odd)),
    ];
    plant(&harness, &FileName::Tags, &tags_payload(&tags));
    for store in [open_read_only(&harness), open(&harness)] {
        let found = verify(&store, Depth::Quick);
        let kinds: Vec<_> = found.iter().map(Finding::kind).collect();
        let expected = [
            "unprotected_tags",
            "dangling_tag",
            "missing_child",
            "bad_sequence",
        ];
        assert_eq!(kinds, expected);
    }
    let store = open(&harness);
    assert_eq!(repair(&store, false), (vec![Mending::ProtectTags], vec![]));
    assert!(files(&harness)[&FileName::Tags] == tags_file(&tags));
}

/// A damaged tag database is kept beside the new one, and what can be found in it keeps its blobs.
pub fn damaged_tags_are_salvaged<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let (one, child) = (put(&store, b"one"), put(&store, b"child"));
    let list = put_sequence(&store, &[child]);
    store.set_tag(tag("list"), seq(list)).unwrap();
    store.set_tag(tag("one"), raw(one)).unwrap();
    let dead = put(&store, b"dead");
    drop(store);
    let good = files(&harness).remove(&FileName::Tags).unwrap();
    for at in [0, 1, 6 + 32, good.len() - 1] {
        flip(&harness, &FileName::Tags, at);
        let damaged = files(&harness).remove(&FileName::Tags).unwrap();
        let store = open(&harness);
        assert_fails!(store.plan_gc(), Error::NotWritable(_));
        let salvaged = store.salvage_tags().unwrap();
        assert_eq!(salvaged.from, SalvagedFrom::Damaged);
        let kept = store.restore_tags(salvaged.tags).unwrap().unwrap();
        assert!(files(&harness)[&kept] == damaged);
        assert_fails!(store.restore_tags(TagMap::new()), Error::TagsNotDamaged);
        drop(store);
        let store = open(&harness);
        if at == 0 {
            assert_eq!(removed(&collect(&store)), [dead]);
        } else {
            assert!(removed(&collect(&store)).is_empty());
        }
        assert_there(&store, &[one, child, list]);
        drop(store);
        plant(&harness, &FileName::Tags, &good);
    }
}

/// Where the tag database is missing, nothing is salvaged, and tags from a copy are taken.
pub fn missing_tags_are_restored<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let one = put(&store, b"one");
    drop(store);
    uproot(&harness, &FileName::Tags);
    let store = open(&harness);
    assert_eq!(verify(&store, Depth::Quick), [Finding::MissingTags]);
    assert_fails!(store.salvage_tags(), Error::TagsMissing);
    let tags: TagMap = [(tag("one"), raw(one))].into();
    assert_eq!(store.restore_tags(tags.clone()).unwrap(), None);
    assert_eq!(*store.tags().unwrap(), tags);
    drop(store);
    let store = open(&harness);
    assert_eq!(*store.tags().unwrap(), tags);
    assert!(removed(&collect(&store)).is_empty());
}
