//! Garbage collection: what lives, what goes, and when nothing goes.

use std::ops::ControlFlow;

use flatbao_core::{
    Backend, BlobFormat, Error, FileName, Hash, NotWritable, Progress, TagDamage,
    io::write_all_at,
    progress::unwatched,
    store::{GcOptions, ImportOptions, Locking, OpenOptions, Reason, Swept},
};

use super::{
    Files, StoreHarness, StoreOf, assert_fails, assert_files, assert_gone, assert_reads,
    assert_there, bytes, collect, expect_outboard, expect_owned, files, flip, fresh_uuid, no_files,
    open, open_read_only, plan, planned, plant, plant_staged, put, put_external, put_sequence, raw,
    recover, removed, seq, sequence, sorted, spared, stop_at, tag, tags_file, tags_payload, uproot,
};

/// A collection takes away every blob that nothing reaches, with all its files, and nothing else; its plan
/// says before what would go, and how many bytes that are.
pub fn what_nothing_reaches_is_collected<H: StoreHarness>() {
    let harness = H::fresh();
    let part = Hash::of(b"part");
    let partial = FileName::PartialData(part, fresh_uuid());
    plant_staged(&harness, &partial, &bytes(9, 777));
    plant(&harness, &FileName::Tags, &tags_file(&[]));
    let store = open(&harness);
    let contents: Vec<_> = [0, 5, 16384, 50_000, 70_000]
        .iter()
        .map(|size| bytes(*size, *size))
        .collect();
    let hashes: Vec<_> = contents.iter().map(|data| put(&store, data)).collect();
    let path = put_external(&harness, "file", &bytes(8, 40_000));
    let reference = store.import_reference(&path).unwrap().hash;
    store.set_tag(tag("one"), raw(hashes[1])).unwrap();
    store.set_tag(tag("three"), raw(hashes[3])).unwrap();

    let before = files(&harness);
    let plan = plan(&store);
    let dead = [hashes[0], hashes[2], hashes[4], reference, part];
    assert_eq!(planned(&plan), sorted(dead.into()));
    assert_eq!(plan.live(), 2);
    for item in plan.items() {
        let own = before.iter().filter(|(n, _)| n.hash() == Some(item.hash));
        assert_eq!(item.bytes, own.map(|(_, b)| b.len() as u64).sum::<u64>());
    }
    assert_eq!(
        plan.bytes(),
        plan.items().iter().map(|item| item.bytes).sum::<u64>()
    );
    assert_files(&harness, &before);

    let items = plan.items().to_vec();
    let swept = store.sweep(plan).unwrap();
    assert_eq!(swept.removed, items);
    assert!(swept.spared.is_empty());
    let mut expected = no_files();
    expect_owned(&mut expected, &contents[1]);
    expect_owned(&mut expected, &contents[3]);
    let tags = tags_file(&[(b"one", raw(hashes[1])), (b"three", raw(hashes[3]))]);
    expected.insert(FileName::Tags, tags);
    assert_files(&harness, &expected);
    for hash in dead {
        assert_gone(&harness, &store, hash);
    }
    assert_reads(&store, &contents[1]);
    assert_reads(&store, &contents[3]);
    assert!(removed(&collect(&store)).is_empty());
    drop(store);
    assert_reads(&open(&harness), &contents[3]);
}

/// Of many blobs those go that nothing reaches, whatever the order is in which they go.
pub fn hundreds_are_collected<H: StoreHarness>() {
    const BLOBS: usize = 600;
    let harness = H::fresh();
    drop(open(&harness));
    let backend = harness.open();
    let blob = |n: usize| Hash::of(&n.to_le_bytes());
    let all: Vec<usize> = (0..BLOBS).collect();
    for batch in all.chunks(100) {
        let stage = |n: &usize| {
            let mut staged = backend.stage_new(&FileName::Temp(fresh_uuid())).unwrap();
            write_all_at(&mut staged, &vec![7; n % 3], 0).unwrap();
            (staged, FileName::Data(blob(*n)))
        };
        backend.publish(batch.iter().map(stage).collect()).unwrap();
    }
    drop(backend);
    let store = open(&harness);
    let (dead, alive): (Vec<usize>, Vec<usize>) = all.iter().partition(|n| *n % 2 == 0);
    let hold = |n: &usize| store.temp_tag(raw(blob(*n)));
    let held: Vec<_> = alive.iter().map(hold).collect();
    let plan = plan(&store);
    let mut gone = sorted(dead.iter().map(|n| blob(*n)).collect());
    assert_eq!(planned(&plan), gone);
    let bytes: u64 = dead.iter().map(|n| *n as u64 % 3).sum();
    assert_eq!(plan.bytes(), bytes);
    // One is wanted again, and it is not an empty one.
    let again = hold(&200);
    let swept = store.sweep(plan).unwrap();
    assert_eq!(spared(&swept), [blob(200)]);
    gone.retain(|hash| *hash != blob(200));
    assert_eq!(sorted(removed(&swept)), gone);
    let total: u64 = swept.removed.iter().map(|item| item.bytes).sum();
    assert_eq!(total, bytes - 2);
    let left = sorted(alive.iter().chain([&200]).map(|n| blob(*n)).collect());
    assert!(store.blobs().map(|blob| blob.hash).eq(left.iter().copied()));
    drop((held, again, store));
    let store = open(&harness);
    assert!(store.blobs().map(|blob| blob.hash).eq(left));
}

/// A hash sequence that is tagged as such keeps what it lists; a sequence in it keeps nothing, and one that
/// is tagged raw keeps nothing either.
pub fn a_sequence_keeps_its_children_one_level_deep<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let [a, b, c, d] = [1, 2, 3, 4].map(|n| put(&store, &bytes(n, n * 9000)));
    let inner = put_sequence(&store, &[a]);
    let outer = put_sequence(&store, &[inner, b, b, Hash::of(b"missing")]);
    let plain = put_sequence(&store, &[c]);
    store.set_tag(tag("outer"), seq(outer)).unwrap();
    store.set_tag(tag("plain"), raw(plain)).unwrap();
    let swept = collect(&store);
    assert_eq!(removed(&swept), sorted(vec![a, c, d]));
    assert_there(&store, &[outer, inner, b, plain]);
    store.set_tag(tag("outer"), raw(outer)).unwrap();
    assert_eq!(removed(&collect(&store)), sorted(vec![inner, b]));
    assert_there(&store, &[outer, plain]);
    // A sequence of nothing is one, too, and so are many pieces of one.
    let empty = put(&store, b"");
    let child = put(&store, b"the last one");
    let mut long = vec![Hash::of(b"missing"); 3000];
    long.push(child);
    let long = put_sequence(&store, &long);
    store.set_tag(tag("empty"), seq(empty)).unwrap();
    store.set_tag(tag("long"), seq(long)).unwrap();
    assert!(removed(&collect(&store)).is_empty());
    assert_there(&store, &[empty, long, child]);
}

/// Whatever else names a sequence, one root that says so makes it one. PD-02.
/// BI-068.
pub fn raw_and_sequence_tag_on_one_blob_keep_the_children<H: StoreHarness>() {
    for [first, second] in [["a", "b"], ["b", "a"]] {
        let harness = H::fresh();
        let store = open(&harness);
        let child = put(&store, &bytes(1, 20_000));
        let root = put_sequence(&store, &[child]);
        let dead = put(&store, b"dead");
        store.set_tag(tag(first), raw(root)).unwrap();
        store.set_tag(tag(second), seq(root)).unwrap();
        assert_eq!(removed(&collect(&store)), [dead]);
        assert_there(&store, &[root, child]);
        // Temporary tags are roots like any other.
        store.remove_tag(&tag(second)).unwrap();
        let held = (store.temp_tag(raw(root)), store.temp_tag(seq(root)));
        assert!(removed(&collect(&store)).is_empty());
        drop(held);
        assert_eq!(removed(&collect(&store)), [child]);
        assert_there(&store, &[root]);
    }
}

/// A sequence that is a root itself keeps its children though it is also listed by another root, whichever
/// comes first. PD-02.
pub fn a_root_that_is_also_a_child_keeps_its_children<H: StoreHarness>() {
    for [first, second] in [["a", "b"], ["b", "a"]] {
        let harness = H::fresh();
        let store = open(&harness);
        let child = put(&store, &bytes(1, 20_000));
        let inner = put_sequence(&store, &[child]);
        let outer = put_sequence(&store, &[inner]);
        store.set_tag(tag(first), seq(outer)).unwrap();
        store.set_tag(tag(second), seq(inner)).unwrap();
        assert!(removed(&collect(&store)).is_empty());
        assert_there(&store, &[outer, inner, child]);
        store.remove_tag(&tag(second)).unwrap();
        assert_eq!(removed(&collect(&store)), [child]);
    }
}

/// A temporary tag keeps its blob, and of a sequence the children, as often as it is held, and not longer.
pub fn a_temporary_tag_keeps_blob_and_children<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let child = put(&store, &bytes(1, 20_000));
    let root = put_sequence(&store, &[child]);
    let blob = put(&store, b"blob");
    let held = store.temp_tag(seq(root));
    assert_eq!((held.hash(), held.value()), (root, seq(root)));
    let twice = [store.temp_tag(raw(blob)), store.temp_tag(raw(blob))];
    assert_eq!(plan(&store).live(), 3);
    assert!(removed(&collect(&store)).is_empty());
    let [one, other] = twice;
    drop(one);
    assert!(removed(&collect(&store)).is_empty());
    drop(other);
    assert_eq!(removed(&collect(&store)), [blob]);
    let as_blob = store.temp_tag(raw(root));
    drop(held);
    assert_eq!(removed(&collect(&store)), [child]);
    assert_there(&store, &[root]);
    drop(as_blob);
    assert_eq!(removed(&collect(&store)), [root]);
    assert_files(&harness, &no_files());
    // One that outlives its store keeps nothing of the next opening.
    let held = store.temp_tag(raw(blob));
    drop(store);
    let store = open(&harness);
    put(&store, b"blob");
    assert_eq!(removed(&collect(&store)), [blob]);
    drop(held);
}

/// A root that is a raw blob may be missing, and keeps what there is of it: a partial blob that is tagged
/// stays, another one goes.
/// BI-067.
pub fn a_raw_root_may_be_missing_or_partial<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 50_000);
    let mut outboard = Files::new();
    expect_outboard(&mut outboard, &data);
    let (part, loose) = (Hash::of(&data), Hash::of(b"loose"));
    let mut expected = Files::new();
    let uuid = fresh_uuid();
    expected.insert(FileName::PartialData(part, uuid), data[..20_000].to_vec());
    let bytes_of_outboard = outboard.into_values().next().unwrap();
    expected.insert(FileName::PartialOutboard(part, uuid), bytes_of_outboard);
    for (name, content) in &expected {
        plant_staged(&harness, name, content);
    }
    plant_staged(&harness, &FileName::PartialData(loose, uuid), b"loose");
    let missing = Hash::of(b"missing");
    let tags = tags_file(&[(b"missing", raw(missing)), (b"part", raw(part))]);
    plant(&harness, &FileName::Tags, &tags);
    expected.insert(FileName::Tags, tags);
    let store = open(&harness);
    let plan = plan(&store);
    assert_eq!((planned(&plan), plan.live()), (vec![loose], 2));
    assert_eq!(removed(&store.sweep(plan).unwrap()), [loose]);
    assert_files(&harness, &expected);
    store.remove_tag(&tag("part")).unwrap();
    assert_eq!(removed(&collect(&store)), [part]);
    // What comes under the missing root is kept as soon as it is there.
    put(&store, b"missing");
    assert!(removed(&collect(&store)).is_empty());
    assert_there(&store, &[missing]);
}

/// A sequence that is a root and is missing, partial, damaged or of odd length: nothing at all is deleted,
/// and the error names the tag and says what to do. PD-04.
/// BI-069, BI-070.
pub fn an_unreadable_root_sequence_stops_everything<H: StoreHarness>() {
    let children: Vec<_> = (0..700_usize).map(|n| Hash::of(&bytes(n, 5))).collect();
    let small = sequence(&children[..3]);
    let large = sequence(&children);
    let odd = bytes(1, 65);
    for (list, how) in [
        (&small, "missing"),
        (&large, "partial"),
        (&small, "damaged"),
        (&large, "damaged"),
        (&large, "cut"),
        (&odd, "odd"),
    ] {
        let harness = H::fresh();
        let root = Hash::of(list);
        let tags = tags_file(&[(b"aa", raw(children[0])), (b"the root", seq(root))]);
        plant(&harness, &FileName::Tags, &tags);
        match how {
            "partial" => {
                let name = FileName::PartialData(root, fresh_uuid());
                plant_staged(&harness, &name, &list[..16384]);
            }
            "missing" => {}
            _ => {
                put(&open(&harness), list);
            }
        }
        match how {
            "damaged" => flip(&harness, &FileName::Data(root), list.len() - 40),
            "cut" => plant(&harness, &FileName::Data(root), &list[..list.len() - 32]),
            _ => {}
        }
        let store = open(&harness);
        for n in 0..5 {
            put(&store, &bytes(n, 5));
        }
        put(&store, &bytes(9, 30_000));
        let before = files(&harness);
        for _ in 0..2 {
            let error = store.plan_gc().unwrap_err();
            assert!(error.hint().is_some());
            let Error::Root { root: said, source } = &error else {
                panic!("{how}: {error:?}");
            };
            assert!(said.contains("the root"), "{said}");
            let fits = match how {
                "missing" => matches!(**source, Error::NotFound(h) if h == root),
                "partial" => matches!(**source, Error::Incomplete(h) if h == root),
                "odd" => matches!(&**source, Error::HashSeq { hash, .. } if *hash == root),
                _ => matches!(**source, Error::Corrupt { hash, .. } if hash == root),
            };
            assert!(fits, "{how}: {source:?}");
            assert_files(&harness, &before);
        }
        // Without that root things go on.
        store.remove_tag(&tag("the root")).unwrap();
        assert!(!removed(&collect(&store)).is_empty());
        assert_there(&store, &[children[0]]);
    }
}

/// The same when it is a temporary tag that says so.
pub fn an_unreadable_temporary_sequence_stops_everything<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let odd = put(&store, &bytes(1, 33));
    put(&store, b"dead");
    let before = files(&harness);
    for bad in [odd, Hash::of(b"missing")] {
        let held = store.temp_tag(seq(bad));
        let error = store.plan_gc().unwrap_err();
        assert!(error.hint().is_some());
        assert_fails!(
            Err::<(), _>(error),
            Error::Root { root, .. } if root.contains("temporary")
        );
        drop(held);
        assert_files(&harness, &before);
    }
    assert_eq!(collect(&store).removed.len(), 2);
}

/// Whatever is imported or tagged after the plan was made, in whatever way, is spared by its sweep, and so
/// are the children of sequences; the rest of the plan goes. PD-03, PD-45.
pub fn what_is_protected_after_the_mark_is_spared<H: StoreHarness>() {
    type Protect<H> = fn(&H, &StoreOf<H>, &[Vec<u8>; 3]);
    // Of the three blobs the last is a sequence of the other two.
    let ways: [(&str, Protect<H>, &[usize]); 10] = [
        (
            "import",
            |_, store, blobs| {
                put(store, &blobs[0]);
            },
            &[0],
        ),
        (
            "import of a sequence as a blob",
            |_, store, blobs| {
                put(store, &blobs[2]);
            },
            &[2],
        ),
        (
            "import of a sequence",
            |_, store, blobs| {
                let options = ImportOptions::default().format(BlobFormat::HashSeq);
                let imported = store.import_reader_with(&blobs[2][..], options, &mut unwatched);
                drop(imported.unwrap());
            },
            &[0, 1, 2],
        ),
        (
            "import of a file",
            |harness, store, blobs| {
                let path = put_external(harness, "file", &blobs[1]);
                drop(store.import_file(&path).unwrap());
            },
            &[1],
        ),
        (
            "import by reference",
            |harness, store, blobs| {
                let path = put_external(harness, "file", &blobs[1]);
                drop(store.import_reference(&path).unwrap());
            },
            &[1],
        ),
        (
            "raw tag",
            |_, store, blobs| store.set_tag(tag("t"), raw(Hash::of(&blobs[2]))).unwrap(),
            &[2],
        ),
        (
            "tag",
            |_, store, blobs| store.set_tag(tag("t"), seq(Hash::of(&blobs[2]))).unwrap(),
            &[0, 1, 2],
        ),
        (
            "automatic tag",
            |_, store, blobs| drop(store.auto_tag(seq(Hash::of(&blobs[2]))).unwrap()),
            &[0, 1, 2],
        ),
        (
            "temporary tag",
            |_, store, blobs| drop(store.temp_tag(raw(Hash::of(&blobs[0])))),
            &[0],
        ),
        (
            "temporary tag on a sequence",
            |_, store, blobs| drop(store.temp_tag(seq(Hash::of(&blobs[2])))),
            &[0, 1, 2],
        ),
    ];
    for (way, protect, safe) in ways {
        let harness = H::fresh();
        let store = open(&harness);
        let (a, b) = (bytes(1, 20_000), bytes(2, 500));
        let list = sequence(&[Hash::of(&a), Hash::of(&b)]);
        let blobs = [a, b, list];
        let hashes = blobs.each_ref().map(|data| put(&store, data));
        let dead = put(&store, b"dead");
        let plan = plan(&store);
        assert_eq!(plan.items().len(), 4);
        protect(&harness, &store, &blobs);
        let swept = store.sweep(plan).unwrap();
        let safe: Vec<_> = safe.iter().map(|index| hashes[*index]).collect();
        assert_eq!(spared(&swept), sorted(safe.clone()), "{way}");
        assert!(
            swept
                .spared
                .iter()
                .all(|one| matches!(one.reason, Reason::Changed))
        );
        assert_there(&store, &safe);
        for hash in hashes.iter().filter(|hash| !safe.contains(hash)) {
            assert_gone(&harness, &store, *hash);
        }
        assert_gone(&harness, &store, dead);
        drop(store);
        assert_there(&open(&harness), &safe);
    }
}

/// What was protected for a moment between mark and sweep is spared by that sweep, and goes with the next
/// one. A batch under way protects from the first byte of each import.
pub fn what_was_protected_after_the_mark_is_spared_once<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let blob = put(&store, b"blob");
    let kept = put(&store, b"kept");
    let first = plan(&store);
    drop(store.temp_tag(raw(blob)));
    let mut batch = store.batch();
    batch.import_reader(&b"kept"[..]).unwrap();
    let swept = store.sweep(first).unwrap();
    assert_eq!(spared(&swept), sorted(vec![blob, kept]));
    assert_eq!(removed(&collect(&store)), [blob]);
    drop(batch);
    assert_eq!(removed(&collect(&store)), [kept]);
}

/// Several plans may be made before any is swept: each spares what was protected since it was made, and
/// what another one took is no longer its business.
pub fn plans_overlap<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let [a, b, c] = [1, 2, 3].map(|n| put(&store, &bytes(n, 100)));
    let first = plan(&store);
    put(&store, &bytes(1, 100));
    let second = plan(&store);
    put(&store, &bytes(2, 100));
    assert_eq!(planned(&second), sorted(vec![a, b, c]));
    let swept = store.sweep(first).unwrap();
    assert_eq!(
        (removed(&swept), spared(&swept)),
        (vec![c], sorted(vec![a, b]))
    );
    // The first plan is over; what was protected after it began still counts for the second.
    put(&store, &bytes(3, 100));
    let swept = store.sweep(second).unwrap();
    assert!(spared(&swept).contains(&b) && spared(&swept).contains(&c));
    assert_there(&store, &[b, c]);
    assert_eq!(
        removed(&collect(&store)).len() + removed(&swept).len(),
        3,
        "nothing protects them any more"
    );
    assert_files(&harness, &no_files());
}

/// When a sequence that was protected after the mark cannot be read, its children are not known, and the
/// sweep deletes nothing.
pub fn a_sequence_that_was_protected_after_the_mark_must_be_readable<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    put(&store, b"dead");
    put(&store, &bytes(1, 33));
    let before = files(&harness);
    for bad in [Hash::of(b"missing"), Hash::of(&bytes(1, 33))] {
        let plan = plan(&store);
        let held = store.temp_tag(seq(bad));
        assert_fails!(store.sweep(plan), Error::Root { .. });
        drop(held);
        assert_files(&harness, &before);
    }
    assert_eq!(collect(&store).removed.len(), 2);
}

/// A plan that another opening made knows nothing of this one's temporary tags: it removes nothing here, of
/// what is held as of what is not.
pub fn a_plan_of_another_opening_removes_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let [held, loose] = [1, 2].map(|n| put(&store, &bytes(n, 20_000)));
    let plan = plan(&store);
    drop(store);
    let store = open(&harness);
    let tag = store.temp_tag(raw(held));
    let before = files(&harness);
    let swept = store.sweep(plan).unwrap();
    assert_eq!(removed(&swept), []);
    assert_eq!(spared(&swept), sorted(vec![held, loose]));
    assert_files(&harness, &before);
    assert_there(&store, &[held, loose]);
    assert_eq!(removed(&collect(&store)), [loose]);
    drop(tag);
    assert_eq!(removed(&collect(&store)), [held]);
}

/// A plan that is dropped changes nothing, and neither does one that was only looked at: a dry run.
pub fn a_dropped_plan_changes_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let hash = put(&store, &bytes(1, 20_000));
    let before = files(&harness);
    assert_eq!(planned(&plan(&store)), [hash]);
    assert_files(&harness, &before);
    assert_there(&store, &[hash]);
    let beside = open_read_only(&harness);
    assert_eq!(planned(&plan(&beside)), [hash]);
    let refused = beside.sweep(plan(&beside));
    assert_fails!(refused, Error::NotWritable(NotWritable::ReadOnly));
    assert_files(&harness, &before);
    assert_eq!(removed(&collect(&store)), [hash]);
}

/// Tries every way to delete; all of them must fail, and every file must stay.
fn assert_nothing_goes<H: StoreHarness>(
    harness: &H,
    store: &StoreOf<H>,
    hash: Hash,
    is_right: impl Fn(&Error) -> bool,
) {
    let before = files(harness);
    let outcomes = [
        store.plan_gc().map(drop),
        store.delete(hash, false).map(drop),
    ];
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert!(is_right(&error), "{error:?}");
    }
    assert_files(harness, &before);
    assert_there(store, &[hash]);
}

/// Where `tags.meta` is missing nothing is deleted: not when it was missing at open, and not when it went
/// while a plan was made. PD-05.
/// BI-060.
pub fn tags_that_went_missing_stop_everything<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let hash = put(&store, &bytes(1, 20_000));
    let plan = plan(&store);
    uproot(&harness, &FileName::Tags);
    let before = files(&harness);
    assert!(store.sweep(plan).is_err());
    assert_files(&harness, &before);
    assert_nothing_goes(&harness, &store, hash, |_| true);
    drop(store);
    let (store, _) = recover(&harness);
    assert_nothing_goes(&harness, &store, hash, |error| {
        matches!(error, Error::TagsMissing) && error.hint().is_some()
    });
}

/// Where `tags.meta` is damaged nothing is deleted, with force or without.
pub fn damaged_tags_stop_everything<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let hash = put(&store, &bytes(1, 20_000));
    store.set_tag(tag("a"), raw(hash)).unwrap();
    put(&store, b"dead");
    let plan = plan(&store);
    flip(&harness, &FileName::Tags, 20);
    let before = files(&harness);
    assert_fails!(store.sweep(plan), Error::TagsChanged);
    assert_files(&harness, &before);
    assert_nothing_goes(&harness, &store, hash, |error| {
        matches!(error, Error::TagsChanged | Error::InUse { .. })
    });
    drop(store);
    let store = open(&harness);
    let damaged = |error: &Error| {
        matches!(
            error,
            Error::NotWritable(NotWritable::TagsDamaged(TagDamage::Content(_)))
        )
    };
    assert_nothing_goes(&harness, &store, hash, damaged);
    let assumed = GcOptions::default().assume_no_tags(true);
    let outcome = store.plan_gc_with(assumed, &mut unwatched);
    assert!(damaged(&outcome.unwrap_err()), "damaged is not missing");
    assert!(damaged(&store.delete(hash, true).unwrap_err()));
    assert_files(&harness, &before);
}

/// Tags that another program set while the store was open count: neither plan nor sweep goes on without
/// them. PD-28.
pub fn tags_that_another_program_changed_stop_everything<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let hash = put(&store, &bytes(1, 20_000));
    let plan = plan(&store);
    let theirs = tags_payload(&[(b"theirs", raw(hash))]);
    plant(&harness, &FileName::Tags, &theirs);
    let before = files(&harness);
    assert_fails!(store.sweep(plan), Error::TagsChanged);
    assert_files(&harness, &before);
    assert_nothing_goes(&harness, &store, hash, |error| {
        matches!(error, Error::TagsChanged)
    });
    drop(store);
    let store = open(&harness);
    assert!(removed(&collect(&store)).is_empty());
    assert_there(&store, &[hash]);
}

/// A store whose tags are missing is collected only when its user says that there are none: then an empty
/// database is written first. Saying so changes nothing where there are tags.
pub fn a_collection_without_tags_is_confirmed_first<H: StoreHarness>() {
    let harness = H::fresh();
    let hash = put(&open(&harness), &bytes(1, 20_000));
    uproot(&harness, &FileName::Tags);
    let store = open(&harness);
    let assumed = GcOptions::default().assume_no_tags(true);
    let planned_without = |store: &StoreOf<H>| store.plan_gc_with(assumed, &mut unwatched).unwrap();
    let before = files(&harness);
    assert_eq!(planned(&planned_without(&store)), [hash]);
    assert_files(&harness, &before);
    // Temporary tags count all the same, before the plan and after it.
    let held = store.temp_tag(raw(hash));
    assert!(planned_without(&store).items().is_empty());
    drop(held);
    let plan = planned_without(&store);
    put(&store, &bytes(1, 20_000));
    assert_eq!(spared(&store.sweep(plan).unwrap()), [hash]);
    assert_eq!(files(&harness)[&FileName::Tags], tags_file(&[]));
    store.set_tag(tag("a"), raw(hash)).unwrap();
    assert!(planned_without(&store).items().is_empty(), "there are tags");
    store.remove_tag(&tag("a")).unwrap();
    assert_eq!(
        removed(&store.sweep(planned_without(&store)).unwrap()),
        [hash]
    );
    assert_files(&harness, &no_files());
}

/// A blob that was found damaged stays until its user decides, though nothing reaches it: whether the
/// damage was found before the plan or after it.
pub fn damage_is_not_collected<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let [early, late] = [1, 2].map(|n| put(&store, &bytes(n, 40_000)));
    for hash in [early, late] {
        flip(&harness, &FileName::Data(hash), 39_999);
    }
    assert_fails!(store.read(early, u64::MAX), Error::Corrupt { .. });
    let plan = plan(&store);
    assert_eq!(planned(&plan), [late]);
    assert_fails!(store.read(late, u64::MAX), Error::Corrupt { .. });
    let before = files(&harness);
    let swept = store.sweep(plan).unwrap();
    assert_eq!((removed(&swept), spared(&swept)), (vec![], vec![late]));
    assert!(matches!(swept.spared[0].reason, Reason::Quarantined));
    assert_files(&harness, &before);
    store.delete(early, false).unwrap();
    assert_gone(&harness, &store, early);
    // Good bytes end the quarantine.
    put(&store, &bytes(2, 40_000));
    assert_eq!(removed(&collect(&store)), [late]);
}

/// A callback may use the store, whatever called it; and what it protects, or what is protected while it
/// runs, is as safe as if another thread had done it.
pub fn a_callback_may_use_the_store<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let [a, b, c, d] = [1, 2, 3, 4].map(|n| put(&store, &bytes(n, 20_000)));
    drop(store);
    // In this opening nothing is known to be durable, so that a tag has something to settle.
    let store = open(&harness);
    let list = put_sequence(&store, &[b]);

    // While a tag is being set its blob is held already.
    let mut plans = Vec::new();
    let mut settling = |step| {
        assert!(matches!(step, Progress::Settled { .. }));
        plans.push(plan(&store));
        ControlFlow::Continue(())
    };
    store.set_tag_with(tag("a"), raw(a), &mut settling).unwrap();
    store
        .set_tag_with(tag("list"), seq(list), &mut settling)
        .unwrap();
    assert_eq!(plans.len(), 2);
    for plan in plans {
        drop(store.sweep(plan).unwrap());
        assert_there(&store, &[a, list, b]);
    }
    assert_gone(&harness, &store, d);

    // While a plan is being made.
    put(&store, &bytes(3, 20_000));
    let mut marking = |_: Progress| {
        store.set_tag(tag("c"), raw(c)).unwrap();
        store.remove_tag(&tag("list")).unwrap_or(raw(list));
        ControlFlow::Continue(())
    };
    let none = GcOptions::default();
    let mark = store.plan_gc_with(none, &mut marking).unwrap();

    // While it is swept.
    let dead = put(&store, b"dead");
    let again = plan(&store);
    assert_eq!(planned(&again), sorted(vec![b, list, dead]));
    let mut sweeping = |_: Progress| {
        put(&store, b"dead");
        assert_there(&store, &[a, c]);
        drop(store.plan_gc().unwrap());
        ControlFlow::Continue(())
    };
    let swept = store.sweep_with(again, &mut sweeping).unwrap();
    assert_eq!(
        (removed(&swept), spared(&swept)),
        (sorted(vec![b, list]), vec![dead])
    );
    drop(store.sweep(mark).unwrap());
    assert_there(&store, &[a, c, dead]);

    // While an import goes on.
    let data = bytes(9, 600_000);
    let mut importing = |_: Progress| {
        drop(collect(&store));
        put(&store, b"nested");
        ControlFlow::Continue(())
    };
    let options = ImportOptions::default();
    let held = store.import_reader_with(&data[..], options, &mut importing);
    assert_eq!(held.unwrap().hash, Hash::of(&data));
    assert_reads(&store, &data);
}

/// A collection that is stopped, at whatever step, leaves the blobs that it did not come to, whole and in
/// the listing; the next one takes them.
pub fn a_cancelled_collection_stops_where_it_is<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let mut batch = store.batch();
    for n in 0..300 {
        batch.import_reader(&bytes(n, 40)[..]).unwrap();
    }
    drop(batch.commit().unwrap());
    let root = put_sequence(&store, &[]);
    store.set_tag(tag("a"), seq(root)).unwrap();
    let before = files(&harness);
    let none = GcOptions::default();
    let mut steps = 0;
    let mut count = |step: Progress| {
        steps += u32::from(matches!(step, Progress::Marked { .. }));
        ControlFlow::Continue(())
    };
    drop(store.plan_gc_with(none, &mut count).unwrap());
    assert!(steps >= 2);
    for nth in 0..steps {
        let mut left = nth;
        let mut watch = |_: Progress| {
            if left == 0 {
                return ControlFlow::Break(());
            }
            left -= 1;
            ControlFlow::Continue(())
        };
        assert_fails!(store.plan_gc_with(none, &mut watch), Error::Cancelled);
    }
    let stopped = store.sweep_with(plan(&store), &mut stop_at(|_| true));
    assert_fails!(stopped, Error::Cancelled);
    assert_files(&harness, &before);
    assert_eq!(store.blobs().count(), 301);

    let late = |step: Progress| matches!(step, Progress::Swept { blobs, total: 300 } if blobs > 0);
    let stopped: Result<Swept, _> = store.sweep_with(plan(&store), &mut stop_at(late));
    assert_fails!(stopped, Error::Cancelled);
    let left: Vec<_> = store.blobs().map(|blob| blob.hash).collect();
    assert!(left.len() > 1 && left.len() < 301);
    assert_there(&store, &left);
    let mut named: Vec<_> = files(&harness).keys().filter_map(FileName::hash).collect();
    named.sort();
    assert_eq!(named, left);
    assert_eq!(collect(&store).removed.len(), left.len() - 1);
    assert_there(&store, &[root]);
}

/// Where nobody holds the lock nothing is deleted by anyone; where a host holds it things go as usual.
pub fn without_a_lock_nothing_is_deleted<H: StoreHarness>() {
    let harness = H::fresh();
    let hash = put(&open(&harness), &bytes(1, 20_000));
    let with = |locking| {
        let options = OpenOptions::default().locking(locking);
        let opened =
            StoreOf::<H>::open_with(harness.open(), harness.env(), options, &mut unwatched);
        opened.unwrap().0
    };
    let (store, other) = (with(Locking::None), with(Locking::None));
    let before = files(&harness);
    assert_fails!(store.sweep(plan(&store)), Error::NotLocked);
    assert_fails!(store.delete(hash, false), Error::NotLocked);
    assert_fails!(store.delete(hash, true), Error::NotLocked);
    assert_files(&harness, &before);
    assert_there(&other, &[hash]);
    put(&store, b"writing is another matter");
    drop((store, other));
    let store = with(Locking::HostHolds);
    drop(open(&harness));
    assert_eq!(collect(&store).removed.len(), 2);
    assert_files(&harness, &no_files());
}
