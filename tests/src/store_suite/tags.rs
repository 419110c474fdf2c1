//! Tags, and the database that they are in.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use flatbao_core::{
    BackendError, Clock, Env, Error, FileName, Hash, HashAndFormat, NotWritable, Tag, TagDamage,
    TagError, limits::MAX_TAG_NAME, store::TagsFound,
};

use super::{
    StoreHarness, StoreOf, assert_fails, assert_files, assert_reads, assert_there, bytes, files,
    no_files, open, plant, plant_staged, put, put_sequence, raw, recover, recover_in, seq, tag,
    tags_file, tags_payload, uproot,
};

fn listed<H: StoreHarness>(store: &StoreOf<H>) -> Vec<(Vec<u8>, HashAndFormat)> {
    let tags = store.tags().unwrap();
    tags.iter()
        .map(|(tag, value)| (tag.as_bytes().to_vec(), *value))
        .collect()
}

/// A writable opening of an empty place writes an empty database before anything else, so that a missing
/// one is damage; taking the last tag away leaves an empty one.
pub fn the_first_opening_writes_an_empty_database<H: StoreHarness>() {
    let harness = H::fresh();
    let (store, recovery) = recover(&harness);
    assert_eq!(recovery.tags, TagsFound::Protected);
    assert_files(&harness, &no_files());
    assert!(listed::<H>(&store).is_empty());
    store.set_tag(tag("a"), raw(Hash::EMPTY)).unwrap();
    store.remove_tag(&tag("a")).unwrap();
    assert_files(&harness, &no_files());
}

/// Tags of any bytes are set, set anew, removed and listed in the order of their bytes; each change is on
/// disk when the call returns, in the bytes of FORMAT.md with a trailer, and the next opening sees it.
pub fn tags_are_set_replaced_and_removed<H: StoreHarness>() {
    let harness = H::fresh();
    let mut store = open(&harness);
    let (one, two) = (put(&store, b"one"), put_sequence(&store, &[Hash::EMPTY]));
    let names: [&[u8]; 5] = [b"", b"\0\xff", b"a", "grün".as_bytes(), b"\xfe"];
    let mut expected: Vec<(&[u8], HashAndFormat)> = Vec::new();
    for name in [names[2], names[4], names[0], names[3], names[1]] {
        store.set_tag(Tag::new(name).unwrap(), raw(one)).unwrap();
        expected.push((name, raw(one)));
        expected.sort();
        assert_eq!(files(&harness)[&FileName::Tags], tags_file(&expected));
    }
    assert_eq!(expected.iter().map(|tag| tag.0).collect::<Vec<_>>(), names);
    for (index, value) in [(1, seq(two)), (3, raw(two)), (3, seq(one))] {
        // `one` is no sequence, and is refused.
        let outcome = store.set_tag(Tag::new(names[index]).unwrap(), value);
        if value == seq(one) {
            assert_fails!(outcome, Error::HashSeq { hash, .. } if hash == one);
        } else {
            outcome.unwrap();
            expected[index].1 = value;
        }
        assert_eq!(files(&harness)[&FileName::Tags], tags_file(&expected));
    }
    let removed = store.remove_tag(&Tag::new(names[1]).unwrap()).unwrap();
    assert_eq!(removed, seq(two));
    expected.remove(1);
    for _ in 0..2 {
        let right: Vec<_> = expected
            .iter()
            .map(|(name, value)| (name.to_vec(), *value))
            .collect();
        assert_eq!(listed::<H>(&store), right);
        assert_eq!(store.tag(&tag("a")).unwrap(), raw(one));
        assert_eq!(store.tag(&tag("grün")).unwrap(), raw(two));
        assert_eq!(store.tags_of(two).unwrap(), [tag("grün")]);
        assert_eq!(store.tags_of(one).unwrap().len(), 3);
        assert!(store.tags_of(Hash::EMPTY).unwrap().is_empty());
        assert_fails!(store.tag(&tag("b")), Error::NoTag(t) if t == tag("b"));
        assert_fails!(store.remove_tag(&tag("b")), Error::NoTag(t) if t == tag("b"));
        assert_eq!(files(&harness)[&FileName::Tags], tags_file(&expected));
        drop(store);
        store = open(&harness);
    }
    assert_files(&harness, &{
        let mut all = no_files();
        super::expect_owned(&mut all, b"one");
        super::expect_owned(&mut all, Hash::EMPTY.as_bytes());
        all.insert(FileName::Tags, tags_file(&expected));
        all
    });
}

/// A tag may come before its blob, raw or as a sequence, and on a partial blob.
pub fn a_tag_needs_no_blob<H: StoreHarness>() {
    let harness = H::fresh();
    let part = Hash::of(b"part");
    plant_staged(
        &harness,
        &FileName::PartialData(part, super::fresh_uuid()),
        b"pa",
    );
    plant(&harness, &FileName::Tags, &tags_file(&[]));
    let store = open(&harness);
    let missing = Hash::of(b"missing");
    for (name, value) in [
        ("a", raw(missing)),
        ("b", seq(missing)),
        ("c", raw(part)),
        ("d", seq(part)),
    ] {
        store.set_tag(tag(name), value).unwrap();
        assert_eq!(store.tag(&tag(name)).unwrap(), value);
    }
    drop(store);
    assert_eq!(open(&harness).tags().unwrap().len(), 4);
}

/// A tag that cannot be set leaves the database as it was, in memory and on disk.
pub fn a_tag_that_cannot_be_set_changes_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let odd = put(&store, &[7; 33]);
    store.set_tag(tag("a"), raw(odd)).unwrap();
    let before = files(&harness);
    for name in ["a", "b"] {
        assert_fails!(
            store.set_tag(tag(name), seq(odd)),
            Error::HashSeq { hash, .. } if hash == odd
        );
    }
    assert_fails!(store.auto_tag(seq(odd)), Error::HashSeq { .. });
    assert_files(&harness, &before);
    assert_eq!(listed::<H>(&store), [(b"a".to_vec(), raw(odd))]);
    assert_fails!(Tag::new(vec![b'x'; MAX_TAG_NAME + 1]), TagError::TooLong(_));
    let long = Tag::new(vec![b'x'; MAX_TAG_NAME]).unwrap();
    store.set_tag(long.clone(), raw(odd)).unwrap();
    drop(store);
    assert_eq!(open(&harness).tag(&long).unwrap(), raw(odd));
}

/// An automatic tag is named after the time, and never takes a name that is taken: not when the clock
/// stands still, not when it goes back, not when somebody set such a name by hand.
pub fn automatic_tags_are_unique_whatever_the_clock_says<H: StoreHarness>() {
    struct Told(Arc<AtomicI64>);
    impl Clock for Told {
        fn now_millis(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
    }
    let harness = H::fresh();
    let now = Arc::new(AtomicI64::new(1_795_403_512_254));
    let env = Env {
        clock: Arc::new(Told(Arc::clone(&now))),
        entropy: harness.env().entropy,
    };
    let (store, _) = recover_in(&harness, env);
    let values: Vec<_> = (0..6_u8).map(|n| raw(put(&store, &[n]))).collect();
    let base = "auto-2026-11-23T03:11:52.254Z";
    store.set_tag(tag(&format!("{base}-2")), values[5]).unwrap();
    let mut names = Vec::new();
    for (at, value) in [
        (1_795_403_512_254, 0),
        (1_795_403_512_254, 1),
        (1_795_403_512_254, 2),
        (1_795_403_512_253, 3),
        (-1, 4),
        (1_795_403_512_254, 0),
        (i64::MAX, 0),
        (i64::MIN, 1),
        (i64::MIN, 2),
    ] {
        now.store(at, Ordering::SeqCst);
        let name = store.auto_tag(values[value]).unwrap();
        assert_eq!(store.tag(&name).unwrap(), values[value]);
        names.push(name.to_string());
    }
    assert_eq!(
        names[..6],
        [
            base.to_owned(),
            format!("{base}-1"),
            format!("{base}-3"),
            "auto-2026-11-23T03:11:52.253Z".to_owned(),
            "auto-1969-12-31T23:59:59.999Z".to_owned(),
            format!("{base}-4"),
        ]
    );
    assert_eq!(store.tags().unwrap().len(), 10);
    drop(store);
    assert_eq!(open(&harness).tags().unwrap().len(), 10);
}

/// A database that the peer wrote, without trailer, is read, told as unprotected, and protected by the next
/// change.
pub fn a_database_without_checksum_gets_one<H: StoreHarness>() {
    let harness = H::fresh();
    let hash = put(&open(&harness), b"one");
    plant(
        &harness,
        &FileName::Tags,
        &tags_payload(&[(b"a", raw(hash))]),
    );
    let (store, recovery) = recover(&harness);
    assert_eq!(recovery.tags, TagsFound::Unprotected);
    assert_eq!(listed::<H>(&store), [(b"a".to_vec(), raw(hash))]);
    let before = files(&harness)[&FileName::Tags].clone();
    assert_eq!(before.len(), 1 + 1 + 1 + 32 + 1, "reading writes nothing");
    store.set_tag(tag("b"), raw(hash)).unwrap();
    let both = tags_file(&[(b"a", raw(hash)), (b"b", raw(hash))]);
    assert_eq!(files(&harness)[&FileName::Tags], both);
    drop(store);
    assert_eq!(recover(&harness).1.tags, TagsFound::Protected);
}

/// Tags that another program wrote while the store was open are not written over.
pub fn a_database_that_another_program_changed_is_not_overwritten<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let hash = put(&store, b"one");
    store.set_tag(tag("a"), raw(hash)).unwrap();
    for theirs in [tags_payload(&[(b"theirs", raw(hash))]), tags_file(&[])] {
        plant(&harness, &FileName::Tags, &theirs);
        assert_fails!(store.set_tag(tag("b"), raw(hash)), Error::TagsChanged);
        assert_fails!(store.auto_tag(raw(hash)), Error::TagsChanged);
        assert_fails!(store.remove_tag(&tag("a")), Error::TagsChanged);
        assert_eq!(files(&harness)[&FileName::Tags], theirs);
    }
    uproot(&harness, &FileName::Tags);
    assert_fails!(
        store.set_tag(tag("b"), raw(hash)),
        Error::Backend(BackendError::Missing {
            name: FileName::Tags
        }) | Error::TagsMissing
    );
    assert!(!files(&harness).contains_key(&FileName::Tags));
    assert_there(&store, &[hash]);
}

/// Where there are data and no database, tags are not known to be none: nothing shows them as none or
/// writes new ones until that is confirmed. Reading and importing work.
pub fn a_missing_database_is_not_an_empty_one<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 20_000);
    put(&open(&harness), &data);
    uproot(&harness, &FileName::Tags);
    // The new database of a writer that died may be the only one there is.
    let left = FileName::TagsTemp(super::fresh_uuid());
    plant_staged(&harness, &left, &tags_file(&[]));
    let before = files(&harness);
    let (store, recovery) = recover(&harness);
    assert_eq!(recovery.tags, TagsFound::Missing);
    assert!(recovery.removed.is_empty());
    assert_fails!(store.tags(), Error::TagsMissing);
    assert_fails!(store.tag(&tag("a")), Error::TagsMissing);
    assert_fails!(store.tags_of(Hash::of(&data)), Error::TagsMissing);
    assert_fails!(
        store.set_tag(tag("a"), raw(Hash::of(&data))),
        Error::TagsMissing
    );
    assert_fails!(store.auto_tag(raw(Hash::of(&data))), Error::TagsMissing);
    assert_fails!(store.remove_tag(&tag("a")), Error::TagsMissing);
    assert_files(&harness, &before);
    assert_reads(&store, &data);
    let more = put(&store, b"more");
    drop(store);
    // The import did not make it look as if there had never been a tag.
    let (store, recovery) = recover(&harness);
    assert_eq!(recovery.tags, TagsFound::Missing);
    // Restored meanwhile: then there are tags to lose.
    let restored = tags_file(&[(b"restored", raw(more))]);
    plant(&harness, &FileName::Tags, &restored);
    assert_fails!(store.confirm_no_tags(), Error::TagsChanged);
    assert_eq!(files(&harness)[&FileName::Tags], restored);
    uproot(&harness, &FileName::Tags);
    store.confirm_no_tags().unwrap();
    store.confirm_no_tags().unwrap();
    assert_eq!(files(&harness)[&FileName::Tags], tags_file(&[]));
    store.set_tag(tag("a"), raw(more)).unwrap();
    store.confirm_no_tags().unwrap();
    assert_eq!(listed::<H>(&store), [(b"a".to_vec(), raw(more))]);
}

/// Whatever is wrong with the database, the store opens, says so, is read as before, and is not written.
/// BI-061, BI-062, BI-063, PD-12.
pub fn a_damaged_database_makes_the_store_read_only<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 20_000);
    let hash = put(&store, &data);
    store.set_tag(tag("a"), raw(hash)).unwrap();
    drop(store);
    let good = files(&harness).remove(&FileName::Tags).unwrap();
    let mut damaged = vec![
        Vec::new(),
        vec![0; 4096],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(),
        good[..good.len() - 1].to_vec(),
        tags_payload(&[(b"b", raw(hash)), (b"a", raw(hash))]),
    ];
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        damaged.push(flipped);
    }
    plant_staged(&harness, &FileName::TagsTemp(super::fresh_uuid()), &good);
    for bytes in damaged {
        plant(&harness, &FileName::Tags, &bytes);
        let before = files(&harness);
        let (store, recovery) = recover(&harness);
        assert!(
            matches!(recovery.tags, TagsFound::Damaged(TagDamage::Content(_))),
            "{:?}",
            recovery.tags
        );
        let refused = |error: Error| {
            assert!(error.hint().is_some());
            assert_fails!(
                Err::<(), _>(error),
                Error::NotWritable(NotWritable::TagsDamaged(_))
            );
        };
        refused(store.tags().unwrap_err());
        refused(store.set_tag(tag("b"), raw(hash)).unwrap_err());
        refused(store.auto_tag(raw(hash)).unwrap_err());
        refused(store.remove_tag(&tag("a")).unwrap_err());
        refused(store.confirm_no_tags().unwrap_err());
        refused(store.import_bytes(b"more").unwrap_err());
        assert_reads(&store, &data);
        drop(store);
        assert_files(&harness, &before);
    }
    plant(&harness, &FileName::Tags, &good);
    assert_eq!(listed::<H>(&open(&harness)), [(b"a".to_vec(), raw(hash))]);
}
