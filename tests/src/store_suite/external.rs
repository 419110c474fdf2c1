//! Blobs whose data are files outside the store.

use std::{io, ops::ControlFlow};

use flatbao_core::{
    Backend as _, BackendError, Damage, Error, ExternalPath, FileName, Hash, Progress,
    progress::unwatched,
    store::{ImportOptions, Location, Novelty, State, Status},
};

use super::{
    GROUP, StoreHarness, StoreOf, assert_external, assert_fails, assert_files, assert_gone,
    assert_reads, bytes, collect, expect_outboard, expect_owned, external, files, flip, no_files,
    open, open_read_only, paths_file, plant, put, put_external, tag,
};

fn refer<H: StoreHarness>(store: &StoreOf<H>, path: &ExternalPath) -> Hash {
    store.import_reference(path).unwrap().hash
}

fn location<H: StoreHarness>(store: &StoreOf<H>, hash: Hash) -> Location {
    match store.status(hash) {
        Status::Present(blob) => blob.location,
        Status::Missing => panic!("{hash} is missing"),
    }
}

/// A file of any size becomes a blob without a copy: the store has its outboard and its path, and reads it
/// like any other blob, also after the next opening.
pub fn an_external_file_is_imported_by_reference<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let mut expected = no_files();
    let mut contents = Vec::new();
    for size in [0, 1, 5000, GROUP, GROUP + 1, 100_000, 600_000] {
        let data = bytes(size, size);
        let path = put_external(&harness, &format!("dir/{size}"), &data);
        let imported = store.import_reference(&path).unwrap();
        let hash = Hash::of(&data);
        assert_eq!((imported.hash, imported.size), (hash, size as u64));
        assert_eq!(imported.novelty, Novelty::New);
        assert_eq!(location::<H>(&store, hash), Location::External);
        assert_eq!(store.claimed_size(hash).unwrap(), size as u64);
        expect_outboard(&mut expected, &data);
        expected.insert(FileName::Paths(hash), paths_file(&[path.as_str()]));
        assert_files(&harness, &expected);
        contents.push((path, data));
    }
    for store in [store, open_read_only(&harness)] {
        for (path, data) in &contents {
            assert_reads(&store, data);
            assert_external(&harness, path, data);
        }
    }
    let store = open(&harness);
    for (_, data) in &contents {
        assert_reads(&store, data);
    }
    assert_files(&harness, &expected);
}

/// The same for files of more than one page of 256 groups, and on both sides of what is read at once.
pub fn references_beyond_a_page_have_the_files_of_the_format<H: StoreHarness>() {
    const PIECE: usize = 64 * GROUP;
    const PAGE: usize = 256 * GROUP;
    for size in [
        PIECE - 1,
        PIECE,
        PIECE + 1,
        PAGE - GROUP + 1,
        PAGE,
        PAGE + 1,
        PAGE + PIECE + 3 * GROUP,
    ] {
        let harness = H::fresh();
        let store = open(&harness);
        let data = bytes(size, size);
        let path = put_external(&harness, "file", &data);
        let hash = refer::<H>(&store, &path);
        let mut expected = no_files();
        expect_outboard(&mut expected, &data);
        expected.insert(FileName::Paths(hash), paths_file(&[path.as_str()]));
        assert_files(&harness, &expected);
        assert_reads(&store, &data);
    }
}

/// The same content at another place adds that place; the same place adds nothing. Paths are in the order
/// of their components, as the peer sorts them.
pub fn a_second_reference_adds_a_path<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 20_000);
    let hash = Hash::of(&data);
    let paths = ["b-x", "b/x", "a"].map(|name| put_external(&harness, name, &data));
    let expected = |mut names: Vec<&ExternalPath>| {
        names.sort_by(|a, b| a.as_str().split('/').cmp(b.as_str().split('/')));
        let names: Vec<_> = names.into_iter().map(ExternalPath::as_str).collect();
        let mut expected = no_files();
        expect_outboard(&mut expected, &data);
        expected.insert(FileName::Paths(hash), paths_file(&names));
        expected
    };
    let store = open(&harness);
    refer::<H>(&store, &paths[0]);
    refer::<H>(&store, &paths[0]);
    assert_files(&harness, &expected(vec![&paths[0]]));
    let mut batch = store.batch();
    for path in [&paths[1], &paths[0], &paths[1]] {
        let options = ImportOptions::default();
        batch
            .import_reference_with(path, options, &mut unwatched)
            .unwrap();
    }
    drop(batch.commit().unwrap());
    assert_files(&harness, &expected(vec![&paths[0], &paths[1]]));
    drop(store);
    let store = open(&harness);
    refer::<H>(&store, &paths[2]);
    assert_files(&harness, &expected(paths.iter().collect()));
    assert_reads(&store, &data);
}

/// A file that grew, shrank or got other bytes is told by every read that touches the change, by readers
/// from before as by new ones; what did not change is read on.
pub fn a_changed_external_file_is_told<H: StoreHarness>() {
    for size in [5000, 100_000] {
        let data = bytes(size, size);
        let mut grown = data.clone();
        grown.extend(b"more");
        let shrunk = data[..size - 1].to_vec();
        let mut other = data.clone();
        other[size - 1] ^= 1;
        for (changed, what) in [(grown, "grown"), (shrunk, "shrunk"), (other, "other")] {
            let harness = H::fresh();
            let store = open(&harness);
            let path = put_external(&harness, "file", &data);
            let hash = refer::<H>(&store, &path);
            let early = store.reader(hash).unwrap();
            harness.put_external(&path, &changed);
            // A blob of one group was read whole when it was opened.
            let mut tail = [0; 10];
            let end = early.read_verified(&mut tail, size as u64 - 10);
            if size > GROUP && what != "grown" {
                assert_fails!(end, Error::Corrupt { .. });
            } else {
                assert_eq!((end.unwrap(), &tail[..]), (10, &data[size - 10..]));
            }
            drop((early, store));
            for store in [open_read_only(&harness), open(&harness)] {
                if size > GROUP {
                    let reader = store.reader(hash).unwrap();
                    let mut head = vec![0; 5 * GROUP];
                    let read = reader.read_verified(&mut head, 0).unwrap();
                    assert!(head[..read] == data[..read] && read > 0);
                }
                let whole = store.read(hash, u64::MAX);
                match what {
                    // The blob is in there, byte for byte, and is proved to be.
                    "grown" if size > GROUP => assert!(whole.unwrap() == data),
                    _ => {
                        let home = path.to_string();
                        assert_fails!(
                            whole,
                            Error::Corrupt { hash: h, damage: Damage::Group { home: at, .. } | Damage::Content { home: at } }
                                if h == hash && at == home
                        );
                        assert!(store.blobs().all(|blob| blob.damaged));
                    }
                }
            }
            assert_external(&harness, &path, &changed);
        }
    }
}

/// A file that is not there (any more) is told as such, and its blob is not forgotten.
pub fn a_missing_external_file_is_told<H: StoreHarness>() {
    let harness = H::fresh();
    for size in [1000, 50_000] {
        let data = bytes(size, size);
        let path = put_external(&harness, &format!("file-{size}"), &data);
        let hash = refer::<H>(&open(&harness), &path);
        let gone = external(&harness, "never/was");
        plant(
            &harness,
            &FileName::Paths(hash),
            &paths_file(&[gone.as_str()]),
        );
        for store in [open_read_only(&harness), open(&harness)] {
            assert_fails!(
                store.read(hash, u64::MAX),
                Error::Unreadable { hash: h, source: BackendError::Io { source, .. } }
                    if h == hash && source.kind() == io::ErrorKind::NotFound
            );
            assert_eq!(location::<H>(&store, hash), Location::External);
        }
        // It is found again as soon as somebody says where.
        let store = open(&harness);
        refer::<H>(&store, &path);
        assert_reads(&store, &data);
    }
}

/// When the first path leads nowhere, to other bytes or to a shorter file, the next one is read.
/// BI-053, BI-059, PD-19.
pub fn the_next_path_is_tried<H: StoreHarness>() {
    for size in [5000, 100_000] {
        let harness = H::fresh();
        let data = bytes(size, size);
        let good = put_external(&harness, "z-good", &data);
        let hash = refer::<H>(&open(&harness), &good);
        let gone = external(&harness, "a-gone");
        let short = put_external(&harness, "b-short", &data[..size / 2]);
        let wrong = put_external(&harness, "c-wrong", &bytes(99, size));
        for bad in [
            vec![&gone],
            vec![&short],
            vec![&wrong],
            vec![&gone, &short, &wrong],
        ] {
            let mut all: Vec<_> = bad.into_iter().map(ExternalPath::as_str).collect();
            all.push(good.as_str());
            plant(&harness, &FileName::Paths(hash), &paths_file(&all));
            assert_reads(&open_read_only(&harness), &data);
            assert_reads(&open(&harness), &data);
            assert_eq!(files(&harness)[&FileName::Paths(hash)], paths_file(&all));
        }
    }
}

/// Damage in one home is made good from the next, group by group: the store's own data first, then each
/// path.
pub fn two_homes_make_one_blob<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let path = put_external(&harness, "file", &data);
    let store = open(&harness);
    let hash = put(&store, &data);
    refer::<H>(&store, &path);
    drop(store);
    let mut damaged = data.clone();
    damaged[GROUP + 5] ^= 1;
    damaged[5 * GROUP] ^= 1;
    plant(&harness, &FileName::Data(hash), &damaged);
    let mut changed = data.clone();
    changed[3 * GROUP + 7] ^= 1;
    harness.put_external(&path, &changed);
    for store in [open_read_only(&harness), open(&harness)] {
        assert_reads(&store, &data);
    }
    // Where both are wrong there is no right byte left.
    changed[5 * GROUP] ^= 1;
    harness.put_external(&path, &changed);
    let store = open(&harness);
    assert_fails!(
        store.read(hash, u64::MAX),
        Error::Corrupt { damage: Damage::Group { offset, .. }, .. } if offset == 5 * GROUP as u64
    );
    assert_external(&harness, &path, &changed);
    assert!(files(&harness)[&FileName::Data(hash)] == damaged);
}

/// A blob may be owned and external: whichever came first, either home alone is enough; an import of the
/// content heals the owned one.
pub fn a_blob_has_both_homes<H: StoreHarness>() {
    for copy_first in [true, false] {
        for size in [5000, 100_000] {
            let harness = H::fresh();
            let data = bytes(size, size);
            let path = put_external(&harness, "file", &data);
            let store = open(&harness);
            let hash = Hash::of(&data);
            let copy = || put(&store, &data);
            let reference = || refer::<H>(&store, &path);
            if copy_first {
                copy();
                reference();
            } else {
                reference();
                copy();
            }
            assert_eq!(location::<H>(&store, hash), Location::Both);
            let mut expected = no_files();
            expect_owned(&mut expected, &data);
            expected.insert(FileName::Paths(hash), paths_file(&[path.as_str()]));
            assert_files(&harness, &expected);
            drop(store);

            harness.put_external(&path, b"other");
            assert_reads(&open(&harness), &data);
            harness.put_external(&path, &data);
            flip(&harness, &FileName::Data(hash), 100);
            let store = open(&harness);
            assert_reads(&store, &data);
            assert_eq!(
                store.import_bytes(&data).unwrap().novelty,
                Novelty::Replaced
            );
            assert_files(&harness, &expected);
        }
    }
}

/// Without a grant a path is told, not followed, and the store opens all the same.
pub fn a_path_without_a_grant_is_told<H: StoreHarness>() {
    let harness = H::fresh();
    let outside = ExternalPath::parse("/not-granted/to/anyone").unwrap();
    let store = open(&harness);
    for outcome in [
        store.import_file(&outside),
        store.import_reference(&outside),
    ] {
        assert_fails!(
            outcome,
            Error::Backend(BackendError::NotGranted { path }) if path == outside
        );
    }
    assert_files(&harness, &no_files());
    drop(store);
    let hash = Hash::of(b"somewhere");
    plant(
        &harness,
        &FileName::Paths(hash),
        &paths_file(&[outside.as_str()]),
    );
    let store = open(&harness);
    let error = store.reader(hash).unwrap_err();
    assert!(error.hint().is_some());
    assert_fails!(
        Err::<(), _>(error),
        Error::Unreadable { hash: h, source: BackendError::NotGranted { path } }
            if h == hash && path == outside
    );
    assert!(matches!(store.status(hash), Status::Present(blob) if blob.state == State::Complete));
}

/// Paths that are relative, lead to devices or have odd components are never opened; the error says which.
/// What is no text is a matter of their bytes, see below.
/// BI-050.
pub fn a_path_that_is_never_opened_is_told<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 1000);
    let good = put_external(&harness, "file", &data);
    for odd in ["relative/file", "/proc/self/mem", "/a/../b", "/a//b", ""] {
        let hash = Hash::of(&data);
        plant(&harness, &FileName::Paths(hash), &paths_file(&[odd]));
        let store = open(&harness);
        assert_fails!(
            store.reader(hash),
            Error::Path { path, .. } if path == odd
        );
        drop(store);
        let mut both = [odd, good.as_str()];
        both.sort_by(|a, b| a.split('/').cmp(b.split('/')));
        plant(&harness, &FileName::Paths(hash), &paths_file(&both));
        assert_reads(&open(&harness), &data);
    }
}

/// A damaged list of paths costs its own blob that home, and nothing else; a new reference replaces it.
/// BI-044, BI-046, PD-11.
pub fn a_damaged_list_of_paths_hurts_its_blob_only<H: StoreHarness>() {
    let data = bytes(1, 50_000);
    let hash = Hash::of(&data);
    let name = FileName::Paths(hash);
    let harness = H::fresh();
    let path = put_external(&harness, "file", &data);
    let store = open(&harness);
    let other = put(&store, b"other");
    refer::<H>(&store, &path);
    drop(store);
    let good = files(&harness).remove(&name).unwrap();
    let mut damaged = vec![
        Vec::new(),
        vec![0; 4096],
        b"\x01\x04/\xff\xfea".to_vec(),
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(),
        good[..good.len() - 1].to_vec(),
    ];
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        damaged.push(flipped);
    }
    for bytes in &damaged {
        plant(&harness, &name, bytes);
        let store = open_read_only(&harness);
        assert_fails!(store.reader(hash), Error::Paths { file, .. } if file == name);
        super::assert_there(&store, &[other]);
    }
    let store = open(&harness);
    assert_fails!(store.reader(hash), Error::Paths { .. });
    refer::<H>(&store, &path);
    assert_reads(&store, &data);
    assert!(files(&harness)[&name] == good);
}

/// A file that changes while it is hashed is not imported by reference, and nothing stays behind.
pub fn a_file_that_changes_while_it_is_read_is_refused<H: StoreHarness>() {
    // More than is read at once, and then some.
    let data = bytes(1, 5_000_000);
    for changed in [bytes(2, 5_000_000), bytes(3, 5), bytes(4, 5_100_000)] {
        let harness = H::fresh();
        let store = open(&harness);
        let path = put_external(&harness, "file", &data);
        let mut is_first = true;
        let mut watch = |step| {
            if matches!(step, Progress::Imported { .. }) && std::mem::take(&mut is_first) {
                harness.put_external(&path, &changed);
            }
            ControlFlow::Continue(())
        };
        let mut batch = store.batch();
        let outcome = batch.import_reference_with(&path, ImportOptions::default(), &mut watch);
        assert_fails!(outcome, Error::SourceChanged { path: p } if p == path.to_string());
        drop(batch);
        assert!(!is_first);
        assert_files(&harness, &no_files());
        assert_eq!(store.blobs().count(), 0);
    }
}

/// Nothing that is done to a blob touches its external files: reading, tagging, collecting, deleting.
pub fn an_external_file_is_never_touched<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let (one, two) = (bytes(1, 50_000), bytes(2, 50_000));
    let paths =
        [("one", &one), ("two", &two)].map(|(name, data)| put_external(&harness, name, data));
    let stamp = |path| {
        let backend = harness.open();
        let object = backend.external(path).unwrap();
        backend.stamp(&object).unwrap()
    };
    let before = paths.each_ref().map(&stamp);
    let hashes = paths.each_ref().map(|path| refer::<H>(&store, path));
    store.set_tag(tag("one"), super::raw(hashes[0])).unwrap();
    assert_eq!(super::removed(&collect(&store)), [hashes[1]]);
    assert_gone(&harness, &store, hashes[1]);
    assert_reads(&store, &one);
    store.delete(hashes[0], true).unwrap();
    assert_gone(&harness, &store, hashes[0]);
    assert_external(&harness, &paths[0], &one);
    assert_external(&harness, &paths[1], &two);
    assert_eq!(paths.each_ref().map(&stamp), before);
}
