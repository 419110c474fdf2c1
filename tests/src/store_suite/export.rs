//! Blobs that become files outside the store.

use flatbao_core::{
    Backend, BackendError, Error, ExternalPath, FileName, Hash, Progress, ReadAt, Store,
    progress::unwatched,
    store::{ExportMethod, ExportMode, ExportOptions, Exported, Location, Status},
};

use super::{
    GROUP, StoreHarness, StoreOf, assert_external, assert_fails, assert_files, assert_gone,
    assert_reads, bytes, collect, expect_outboard, expect_owned, external, files, flip, fresh_uuid,
    no_files, open, open_read_only, paths_file, plan, plant, plant_staged, put, put_external,
    put_sequence, raw, removed, seq, stop_at, tag, uproot,
};

/// Bytes from which on an export by reference gives the data away.
const THRESHOLD: usize = 131_072;

const MODES: [ExportMode; 3] = [ExportMode::Copy, ExportMode::Reference, ExportMode::Forget];

fn in_mode(mode: ExportMode) -> ExportOptions {
    ExportOptions::default().mode(mode)
}

fn export<B: Backend>(
    store: &Store<B>,
    hash: Hash,
    path: &ExternalPath,
    options: ExportOptions,
) -> Result<Exported, Error> {
    store.export_with(hash, path, options, &mut unwatched)
}

fn refer<B: Backend>(store: &Store<B>, hash: Hash, path: &ExternalPath) -> Result<Exported, Error> {
    export(store, hash, path, in_mode(ExportMode::Reference))
}

fn location<H: StoreHarness>(store: &StoreOf<H>, hash: Hash) -> Location {
    match store.status(hash) {
        Status::Present(blob) => blob.location,
        Status::Missing => panic!("{hash} is missing"),
    }
}

#[track_caller]
fn assert_nothing<H: StoreHarness>(harness: &H, path: &ExternalPath) {
    assert!(harness.open().external(path).is_err(), "{path} is there");
}

/// A copy of a blob of any size is a file like any other, in directories that are made; the blob stays what
/// it was. A read-only opening copies as well.
pub fn an_export_copies_a_blob<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let sizes = [0, 1, GROUP, GROUP + 1, THRESHOLD, 5_000_000];
    let contents = sizes.map(|size| bytes(size, size));
    for data in &contents {
        put(&store, data);
    }
    let before = files(&harness);
    let reading = open_read_only(&harness);
    for (store, dir) in [(&store, "made/for/this"), (&reading, "other")] {
        for data in &contents {
            let hash = Hash::of(data);
            let path = external(&harness, &format!("{dir}/{}", data.len()));
            let exported = store.export(hash, &path).unwrap();
            assert_eq!((exported.hash, exported.size), (hash, data.len() as u64));
            assert_eq!(exported.method, ExportMethod::Copied);
            assert!(!exported.referenced);
            assert_external(&harness, &path, data);
        }
    }
    assert_files(&harness, &before);
    for data in &contents {
        assert_eq!(location::<H>(&store, Hash::of(data)), Location::Owned);
        assert_reads(&store, data);
    }
}

/// An export by reference leaves the outboard and a path to the file: moved where the medium can, copied
/// where it cannot. The blob reads as before, also after the next opening, and the file survives its blob.
/// BI-085, PD-42.
pub fn an_export_by_reference_gives_the_data_away<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let mut expected = no_files();
    let mut exports = Vec::new();
    for (n, path) in [
        harness.path_on_the_medium("made/one"),
        external(&harness, "made/two"),
    ]
    .into_iter()
    .enumerate()
    {
        let data = bytes(n, 600_000 + n);
        let hash = put(&store, &data);
        let reader = store.reader(hash).unwrap();
        let exported = refer(&store, hash, &path).unwrap();
        assert_eq!((exported.hash, exported.size), (hash, data.len() as u64));
        assert!(exported.referenced);
        assert_eq!(location::<H>(&store, hash), Location::External);
        expect_outboard(&mut expected, &data);
        expected.insert(FileName::Paths(hash), paths_file(&[path.as_str()]));
        assert_files(&harness, &expected);
        assert_eq!(reader.size().unwrap(), data.len() as u64);
        exports.push((path, data));
    }
    for store in [store, open_read_only(&harness)] {
        for (path, data) in &exports {
            assert_reads(&store, data);
            assert_external(&harness, path, data);
        }
    }
    let store = open(&harness);
    for (path, data) in &exports {
        assert_reads(&store, data);
        // A file of the same content comes back as owned data, beside the path.
        put(&store, data);
        assert_eq!(location::<H>(&store, Hash::of(data)), Location::Both);
        let again = path.as_str().replace("made/", "again/");
        refer(
            &store,
            Hash::of(data),
            &ExternalPath::parse(&again).unwrap(),
        )
        .unwrap();
        assert_reads(&store, data);
    }
    assert_eq!(removed(&collect(&store)).len(), 2);
    assert_files(&harness, &no_files());
    for (path, data) in &exports {
        assert_external(&harness, path, data);
    }
}

/// Below the threshold, 128 KiB unless told, the data stay, and the path is added to them.
pub fn the_threshold_decides_what_is_given_away<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let reference = in_mode(ExportMode::Reference);
    for (n, size, options, stays) in [
        (1, 0, reference, true),
        (2, THRESHOLD - 1, reference, true),
        (3, THRESHOLD, reference, false),
        (
            4,
            THRESHOLD,
            reference.threshold(THRESHOLD as u64 + 1),
            true,
        ),
        (5, 100, reference.threshold(0), false),
    ] {
        let data = bytes(n, size);
        let hash = put(&store, &data);
        let path = harness.path_on_the_medium(&format!("file {n}"));
        let exported = export(&store, hash, &path, options).unwrap();
        assert!(exported.referenced);
        if stays {
            assert_eq!(exported.method, ExportMethod::Copied);
        }
        let expected = match stays {
            true => Location::Both,
            false => Location::External,
        };
        assert_eq!(location::<H>(&store, hash), expected, "{size} bytes");
        assert_eq!(files(&harness).contains_key(&FileName::Data(hash)), stays);
        assert!(files(&harness).contains_key(&FileName::Paths(hash)));
        assert_reads(&store, &data);
        assert_reads(&open_read_only(&harness), &data);
    }
}

/// A blob whose data are outside already is copied, and gains a path; the file that was there is not touched.
pub fn an_external_blob_gains_a_path<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 300_000);
    let old = put_external(&harness, "b", &data);
    let hash = store.import_reference(&old).unwrap().hash;
    let new = external(&harness, "a");
    let exported = refer(&store, hash, &new).unwrap();
    assert_eq!(exported.method, ExportMethod::Copied);
    let mut expected = no_files();
    expect_outboard(&mut expected, &data);
    let list = paths_file(&[new.as_str(), old.as_str()]);
    expected.insert(FileName::Paths(hash), list);
    assert_files(&harness, &expected);
    assert_external(&harness, &old, &data);
    assert_external(&harness, &new, &data);
    harness.put_external(&old, b"changed");
    assert_reads(&store, &data);
}

/// PD-35. A forgotten blob is a file outside and nothing else; of one that
/// was outside before, that file stays too.
pub fn a_forgotten_blob_is_only_outside<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let old = put_external(&harness, "old", &bytes(4, 200_000));
    drop(store.import_reference(&old).unwrap());
    for (n, size) in [(1, 0), (2, 50_000), (3, 400_000), (4, 200_000)] {
        let data = bytes(n, size);
        let hash = Hash::of(&data);
        if n < 4 {
            put(&store, &data);
        }
        let path = harness.path_on_the_medium(&format!("dir/{n}"));
        let exported = export(&store, hash, &path, in_mode(ExportMode::Forget)).unwrap();
        assert_eq!((exported.size, exported.referenced), (size as u64, false));
        assert_external(&harness, &path, &data);
        assert_gone(&harness, &store, hash);
    }
    assert_external(&harness, &old, &bytes(4, 200_000));
    assert_files(&harness, &no_files());
    drop(store);
    assert_eq!(open(&harness).blobs().count(), 0);
}

/// What something reaches is not forgotten, and not exported either: nothing is written anywhere.
pub fn what_is_in_use_is_not_forgotten<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let [tagged, child, held] = [1, 2, 3].map(|n| put(&store, &bytes(n, 200_000)));
    let list = put_sequence(&store, &[child]);
    store.set_tag(tag("the tag"), raw(tagged)).unwrap();
    store.set_tag(tag("the list"), seq(list)).unwrap();
    let temporary = store.temp_tag(raw(held));
    let mark = plan(&store);
    let touched = put(&store, &bytes(4, 200_000));
    let before = files(&harness);
    let path = external(&harness, "new/file");
    for (hash, by) in [
        (tagged, "the tag"),
        (child, "the list"),
        (list, "the list"),
        (held, "temporary"),
        (touched, "planned"),
    ] {
        assert_fails!(
            export(&store, hash, &path, in_mode(ExportMode::Forget)),
            Error::InUse { hash: h, by: said } if h == hash && said.contains(by)
        );
        assert_nothing(&harness, &path);
    }
    assert_files(&harness, &before);
    drop((temporary, mark));
    for hash in [held, touched] {
        let path = external(&harness, &hash.to_string());
        export(&store, hash, &path, in_mode(ExportMode::Forget)).unwrap();
        assert_gone(&harness, &store, hash);
    }
}

/// PD-06. What bears the name stays unless it is to be
/// replaced, and the blob stays what it was.
pub fn an_existing_target_is_replaced_only_when_asked<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    for (n, size) in [(1, 10), (2, 300_000)] {
        for mode in MODES {
            let data = bytes(n, size);
            let hash = put(&store, &data);
            let before = files(&harness);
            let path = put_external(&harness, &format!("{n} {mode:?}"), b"mine");
            let error = export(&store, hash, &path, in_mode(mode)).unwrap_err();
            assert_eq!(error.kind(), "target_exists");
            assert!(error.hint().unwrap().contains("replaced"));
            assert_fails!(
                Err::<(), _>(error),
                Error::Backend(BackendError::Taken { path: p }) if p == path
            );
            assert_external(&harness, &path, b"mine");
            assert_files(&harness, &before);
            export(&store, hash, &path, in_mode(mode).replace(true)).unwrap();
            assert_external(&harness, &path, &data);
            if mode != ExportMode::Forget {
                assert_reads(&store, &data);
            }
        }
    }
}

/// An export onto the file that the blob is already in leaves file and blob whole, whatever the mode.
pub fn an_export_onto_its_own_file_is_right<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 300_000);
    let hash = put(&store, &data);
    let path = harness.path_on_the_medium("file");
    refer(&store, hash, &path).unwrap();
    for mode in MODES {
        assert_fails!(
            export(&store, hash, &path, in_mode(mode)),
            Error::Backend(BackendError::Taken { .. })
        );
        export(&store, hash, &path, in_mode(mode).replace(true)).unwrap();
        assert_external(&harness, &path, &data);
        if mode != ExportMode::Forget {
            assert_reads(&store, &data);
            assert_reads(&open_read_only(&harness), &data);
        }
        // The store has data of its own as well, which are the same file if the medium can.
        put(&store, &data);
        export(&store, hash, &path, in_mode(mode).replace(true)).unwrap();
        assert_external(&harness, &path, &data);
    }
    assert_files(&harness, &no_files());
}

/// A damaged blob leaves no file and loses nothing, whichever file of it is damaged and however; what only
/// derives from the data may be missing.
pub fn a_damaged_blob_exports_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 400_000);
    let hash = Hash::of(&data);
    put(&open(&harness), &data);
    let whole = files(&harness);
    let spoil = |at: usize| flip(&harness, &FileName::Data(hash), at);
    let cut = |len: usize| plant(&harness, &FileName::Data(hash), &data[..len]);
    let ways: [(&str, &dyn Fn()); 8] = [
        ("first byte", &|| spoil(0)),
        ("in the middle", &|| spoil(200_001)),
        ("last byte", &|| spoil(399_999)),
        ("a byte short", &|| cut(399_999)),
        ("a group short", &|| cut(24 * GROUP)),
        ("empty", &|| cut(0)),
        ("one byte more", &|| {
            plant(&harness, &FileName::Data(hash), &[&data[..], b"x"].concat());
        }),
        ("data and outboard", &|| {
            spoil(9);
            uproot(&harness, &FileName::Outboard(hash));
        }),
    ];
    for (way, spoil) in ways {
        for mode in MODES {
            uproot(&harness, &FileName::Paths(hash));
            for (name, content) in &whole {
                plant(&harness, name, content);
            }
            spoil();
            let before = files(&harness);
            let store = open(&harness);
            let path = harness.path_on_the_medium(&format!("{way} {mode:?}"));
            match export(&store, hash, &path, in_mode(mode)) {
                // What is beyond the blob is no part of it: a copy is right, and the file is not moved.
                Ok(exported) => {
                    assert_eq!(way, "one byte more");
                    assert_eq!(exported.method, ExportMethod::Copied);
                    assert_external(&harness, &path, &data);
                    if mode != ExportMode::Forget {
                        assert_reads(&store, &data);
                    }
                }
                Err(error) => {
                    assert!(
                        matches!(error, Error::Corrupt { hash: h, .. } if h == hash),
                        "{way}, {mode:?}: {error:?}"
                    );
                    assert_nothing(&harness, &path);
                    assert_files(&harness, &before);
                }
            }
        }
    }
}

/// Data of the store's own that are damaged are not given away: the file is made of what the other homes have.
pub fn damaged_data_are_not_given_away<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 400_000);
    let home = put_external(&harness, "home", &data);
    let hash = store.import_reference(&home).unwrap().hash;
    put(&store, &data);
    flip(&harness, &FileName::Data(hash), 300_000);
    let path = harness.path_on_the_medium("file");
    let exported = refer(&store, hash, &path).unwrap();
    assert_eq!(exported.method, ExportMethod::Copied);
    assert_external(&harness, &path, &data);
    harness.put_external(&home, b"changed");
    assert_reads(&store, &data);
    // An outboard is derived: without one the data are proved all the same.
    let other = bytes(2, 400_000);
    let hash = put(&store, &other);
    flip(&harness, &FileName::Outboard(hash), 100);
    drop(store);
    let store = open(&harness);
    let path = harness.path_on_the_medium("other");
    refer(&store, hash, &path).unwrap();
    assert_external(&harness, &path, &other);
    assert_reads(&store, &other);
}

/// A blob that is not there, or only in part, is told before anything is made outside.
pub fn what_is_not_there_exports_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let (missing, part) = (Hash::of(b"missing"), Hash::of(b"part"));
    drop(open(&harness));
    let name = FileName::PartialData(part, fresh_uuid());
    plant_staged(&harness, &name, b"some of it");
    let store = open(&harness);
    let before = files(&harness);
    for mode in MODES {
        let path = external(&harness, "new/file");
        assert_fails!(
            export(&store, missing, &path, in_mode(mode)),
            Error::NotFound(h) if h == missing
        );
        assert_fails!(
            export(&store, part, &path, in_mode(mode)),
            Error::Incomplete(h) if h == part
        );
    }
    // The directory was not made: a file may have its name.
    let path = put_external(&harness, "new", b"a file");
    assert_external(&harness, &path, b"a file");
    assert_files(&harness, &before);
}

/// Where a path leads nowhere that is granted, or into the store, nothing is exported.
pub fn an_export_needs_a_grant<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 300_000);
    let hash = put(&store, &data);
    let before = files(&harness);
    let far = ExternalPath::parse("/nowhere-near/file").unwrap();
    let inside = harness.path_inside(&FileName::Data(Hash::of(b"x")));
    for mode in MODES {
        let error = export(&store, hash, &far, in_mode(mode)).unwrap_err();
        assert!(error.hint().is_some());
        assert_fails!(
            Err::<(), _>(error),
            Error::Backend(BackendError::NotGranted { .. })
        );
        if let Some(inside) = &inside {
            let error = export(&store, hash, inside, in_mode(mode)).unwrap_err();
            assert!(error.hint().is_some());
            assert_fails!(
                Err::<(), _>(error),
                Error::Backend(BackendError::InsideStore { .. })
            );
        }
    }
    assert_files(&harness, &before);
    let mut expected = no_files();
    expect_owned(&mut expected, &data);
    assert_files(&harness, &expected);
}

/// An opening that does not write changes no blob; one without the lock forgets none.
pub fn a_read_only_opening_only_copies<H: StoreHarness>() {
    let harness = H::fresh();
    let hash = put(&open(&harness), &bytes(1, 300_000));
    let store = open_read_only(&harness);
    let path = external(&harness, "file");
    for mode in [ExportMode::Reference, ExportMode::Forget] {
        assert_fails!(
            export(&store, hash, &path, in_mode(mode)),
            Error::NotWritable(_)
        );
        assert_nothing(&harness, &path);
    }
    store.export(hash, &path).unwrap();
    assert_external(&harness, &path, &bytes(1, 300_000));
    let options = flatbao_core::OpenOptions::default().locking(flatbao_core::store::Locking::None);
    let (store, _) =
        Store::open_with(harness.open(), harness.env(), options, &mut unwatched).unwrap();
    let other = external(&harness, "other");
    assert_fails!(
        export(&store, hash, &other, in_mode(ExportMode::Forget)),
        Error::NotLocked
    );
    assert_nothing(&harness, &other);
}

/// A cancelled export leaves no file and loses nothing; one that is watched tells all its bytes.
pub fn a_cancelled_export_leaves_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 3_000_000);
    let hash = put(&store, &data);
    let before = files(&harness);
    for mode in MODES {
        let path = harness.path_on_the_medium(&format!("{mode:?}"));
        let mut stop = stop_at(|step| matches!(step, Progress::Exported { .. }));
        assert_fails!(
            store.export_with(hash, &path, in_mode(mode), &mut stop),
            Error::Cancelled
        );
        assert_nothing(&harness, &path);
        assert_files(&harness, &before);
        assert_reads(&store, &data);
        let mut told = Vec::new();
        let mut watch = |step| {
            if let Progress::Exported { bytes, total } = step {
                assert_eq!(total, data.len() as u64);
                told.push(bytes);
            }
            unwatched(step)
        };
        let path = harness.path_on_the_medium(&format!("whole {mode:?}"));
        store
            .export_with(hash, &path, in_mode(mode), &mut watch)
            .unwrap();
        assert!(told.len() > 1 && told.is_sorted());
        assert_eq!(told.last(), Some(&(data.len() as u64)));
        put(&store, &data);
        uproot(&harness, &FileName::Paths(hash));
    }
}
