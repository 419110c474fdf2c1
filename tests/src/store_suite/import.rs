//! Import: what it writes, what it never writes twice, and what it leaves behind when it fails.

use std::{
    io::{self, Read},
    ops::ControlFlow,
    sync::Arc,
};

use flatbao_core::{
    BackendError, Collection, Entropy, Env, Error, FileName, Hash, HashSeq, Progress,
    progress::unwatched,
    store::{ImportOptions, Novelty},
};

use super::{
    Broken, Files, GROUP, StoreHarness, StoreOf, assert_fails, assert_files, assert_gone,
    assert_reads, bytes, collect, expect_owned, external, files, flip, no_files, open, oracle,
    plan, plant, put, put_external, raw, recover_in, removed, seq, sequence, stop_at, tag, uproot,
};

/// Both sides of every boundary up to a few groups.
const SIZES: [usize; 13] = [
    0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32767, 32768, 32769, 65537, 100_000,
];

/// Both sides of a page of 256 groups, and a third page that is not full.
const PAGE_SIZES: [usize; 4] = [4_194_303, 4_194_304, 4_194_305, 9_437_211];

/// Bytes of every size come back, under their BLAKE3 hash, and lie in the store as FORMAT.md says: the data,
/// the outboard that bao-tree makes of them when there are more than 16 KiB, and nothing else.
pub fn imports_have_the_files_of_the_format<H: StoreHarness>() {
    import_all::<H>(&SIZES);
}

/// The same for blobs of more than one page of 256 groups.
pub fn imports_beyond_a_page_have_the_files_of_the_format<H: StoreHarness>() {
    for size in PAGE_SIZES {
        import_all::<H>(&[size]);
    }
}

fn import_all<H: StoreHarness>(sizes: &[usize]) {
    let harness = H::fresh();
    let store = open(&harness);
    let mut expected = no_files();
    for (n, size) in sizes.iter().enumerate() {
        let data = bytes(n, *size);
        let imported = store.import_reader(&data[..]).unwrap();
        let (hash, _) = oracle(&data);
        assert_eq!(imported.hash, hash);
        assert_eq!(imported.size, *size as u64);
        assert_eq!(imported.novelty, Novelty::New);
        assert_eq!(imported.tag.value(), raw(hash));
        assert_eq!(store.claimed_size(hash).unwrap(), *size as u64);
        assert_reads(&store, &data);
        expect_owned(&mut expected, &data);
    }
    assert_files(&harness, &expected);
    drop(store);
    assert_files(&harness, &expected);
}

/// A source that gives a few bytes at a time and interrupts now and then is imported like any other.
/// BI-083, PD-01.
pub fn short_and_interrupted_reads_are_one_import<H: StoreHarness>() {
    struct Trickle<'a> {
        rest: &'a [u8],
        calls: usize,
    }
    impl Read for Trickle<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = buf.len().min(self.calls % 4999 + 1);
            self.rest.read(&mut buf[..len])
        }
    }
    let harness = H::fresh();
    let store = open(&harness);
    let mut expected = no_files();
    for size in [1, 16385, 700_001] {
        let data = bytes(size, size);
        let rest = &data[..];
        let imported = store.import_reader(Trickle { rest, calls: 0 }).unwrap();
        assert_eq!(
            (imported.hash, imported.size),
            (Hash::of(&data), size as u64)
        );
        assert_reads(&store, &data);
        expect_owned(&mut expected, &data);
    }
    assert_files(&harness, &expected);
}

/// A copy of an external file is a blob like any other, and needs the file no longer.
pub fn a_file_is_imported_by_copy<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let mut expected = no_files();
    for size in [0, 1, GROUP, GROUP + 1, 100_000, 600_000] {
        let data = bytes(size, size);
        let path = put_external(&harness, "some/file", &data);
        let imported = store.import_file(&path).unwrap();
        assert_eq!(imported.hash, Hash::of(&data));
        assert_eq!(
            (imported.size, imported.novelty),
            (size as u64, Novelty::New)
        );
        harness.put_external(&path, b"something else");
        assert_reads(&store, &data);
        expect_owned(&mut expected, &data);
    }
    assert_files(&harness, &expected);
}

/// Another number of bytes than was claimed is an error that tells both, and nothing stays behind; the
/// right number is none.
/// BI-074.
pub fn a_wrong_claim_leaves_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let import = |data: &[u8], claimed: u64| {
        let options = ImportOptions::default().size(claimed);
        store.import_reader_with(data, options, &mut unwatched)
    };
    for size in [0, 1, GROUP, GROUP + 1, 300_000] {
        let data = bytes(size, size);
        let (size, wrong) = (size as u64, [0, 1, 16384, 16385, 299_999, 300_001, 1 << 40]);
        for claim in wrong.into_iter().filter(|claim| *claim != size) {
            assert_fails!(
                import(&data, claim),
                Error::WrongSize { claimed, found }
                    if claimed == claim && (found == size || found > claim)
            );
            assert_files(&harness, &no_files());
        }
    }
    // A claim keeps an endless source from filling the disk.
    let endless = io::repeat(7);
    let options = ImportOptions::default().size(100_000);
    assert_fails!(
        store.import_reader_with(endless, options, &mut unwatched),
        Error::WrongSize { claimed: 100_000, found } if found < 10_000_000
    );
    assert_files(&harness, &no_files());
    // Files make claims, too.
    let path = put_external(&harness, "file", &bytes(1, 20_000));
    let options = ImportOptions::default().size(19_999);
    let mut batch = store.batch();
    assert_fails!(
        batch.import_file_with(&path, options, &mut unwatched),
        Error::WrongSize { .. }
    );
    assert_fails!(
        batch.import_reference_with(&path, options, &mut unwatched),
        Error::WrongSize { .. }
    );
    assert_eq!(batch.commit().unwrap().len(), 0);
    assert_files(&harness, &no_files());
    let data = bytes(1, 20_000);
    assert_eq!(import(&data, 20_000).unwrap().hash, Hash::of(&data));
    assert_reads(&store, &data);
}

/// A source with more bytes than allowed is refused after those, however many there are, and nothing stays
/// behind. As many as allowed are fine.
/// BI-073.
pub fn a_cap_ends_an_endless_source<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let mut taken = 0_u64;
    for cap in [0, 1, 16384, 1_000_000] {
        let options = ImportOptions::default().cap(cap);
        let mut watch = |step| {
            if let Progress::Imported { bytes, .. } = step {
                taken = taken.max(bytes);
            }
            ControlFlow::Continue(())
        };
        let endless = store.import_reader_with(io::repeat(7), options, &mut watch);
        assert_fails!(endless, Error::TooLarge { cap: c } if c == cap);
        assert_files(&harness, &no_files());
    }
    assert!(taken < 3_000_000, "{taken} bytes were read");
    for cap in [0, 1, 16384, 20_000] {
        let data = bytes(cap, cap);
        let options = ImportOptions::default().cap(cap as u64);
        let imported = store.import_reader_with(&data[..], options, &mut unwatched);
        assert_eq!(imported.unwrap().hash, Hash::of(&data));
        assert_reads(&store, &data);
    }
}

/// A source that fails is passed on as the error that it is, and nothing stays behind. PD-22.
/// BI-073.
pub fn a_failing_source_leaves_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    for good in [0, 1, 16384, 16385, 5_000_000] {
        let source = io::repeat(7).take(good).chain(Broken);
        assert_fails!(
            store.import_reader(source),
            Error::Source(e) if e.kind() == io::ErrorKind::ConnectionReset
        );
        assert_files(&harness, &no_files());
    }
    assert_eq!(store.blobs().count(), 0);
    let data = bytes(1, 40_000);
    put(&store, &data);
    assert_reads(&store, &data);
}

/// A file that is not there is imported neither by copy nor by reference.
pub fn a_missing_file_is_no_import<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let path = external(&harness, "nothing/here");
    for outcome in [store.import_file(&path), store.import_reference(&path)] {
        assert_fails!(
            outcome,
            Error::Backend(BackendError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound
        );
    }
    assert_files(&harness, &no_files());
}

/// An import that is stopped at any step is gone, and what was there before it is not.
pub fn a_cancelled_import_leaves_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let kept = bytes(1, 40_000);
    put(&store, &kept);
    let mut expected = no_files();
    expect_owned(&mut expected, &kept);
    let data = bytes(2, 1_000_000);
    let path = put_external(&harness, "file", &data);
    let none = ImportOptions::default();
    for limit in [0, 1, 300_000, 900_000] {
        let mut batch = store.batch();
        let late = |step: Progress| match step {
            Progress::Imported { bytes, .. } => bytes > limit,
            _ => false,
        };
        let stopped = batch.import_reader_with(&data[..], none, &mut stop_at(late));
        assert_fails!(stopped, Error::Cancelled);
        let stopped = batch.import_file_with(&path, none, &mut stop_at(late));
        assert_fails!(stopped, Error::Cancelled);
        let stopped = batch.import_reference_with(&path, none, &mut stop_at(late));
        assert_fails!(stopped, Error::Cancelled);
        assert_files(&harness, &expected);
        assert_eq!(batch.commit().unwrap().len(), 0);
        assert_files(&harness, &expected);
    }
    assert_fails!(
        store.import_reader_with(&data[..], none, &mut stop_at(|_| true)),
        Error::Cancelled
    );
    assert_files(&harness, &expected);
    assert_reads(&store, &kept);
    // The steps tell how far it is.
    let mut steps = Vec::new();
    let mut watch = |step| {
        steps.push(step);
        ControlFlow::Continue(())
    };
    let options = none.size(1_000_000);
    store
        .import_reader_with(&data[..], options, &mut watch)
        .unwrap();
    let last = Progress::Imported {
        bytes: 1_000_000,
        total: Some(1_000_000),
    };
    assert_eq!(steps.last(), Some(&last));
}

/// What an import proved in this opening is not written again, whoever imports it; unless its file went
/// behind the store's back.
pub fn what_was_proved_is_not_written_again<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let data = bytes(1, 100_000);
    put(&store, &data);
    // What nobody told the store of shows whether it wrote.
    let name = FileName::Data(Hash::of(&data));
    flip(&harness, &name, 50_000);
    let before = files(&harness);
    let path = put_external(&harness, "file", &data);
    assert_eq!(store.import_bytes(&data).unwrap().novelty, Novelty::Known);
    assert_eq!(store.import_file(&path).unwrap().novelty, Novelty::Known);
    assert_files(&harness, &before);
    uproot(&harness, &name);
    assert_ne!(store.import_bytes(&data).unwrap().novelty, Novelty::Known);
    assert_reads(&store, &data);
}

/// An entry that was there at open and was not proved since is replaced by the bytes just proved, and
/// counts as proved from then on. So damage that nobody saw yet is mended.
pub fn what_was_not_proved_is_replaced<H: StoreHarness>() {
    let harness = H::fresh();
    let mut expected = no_files();
    for (n, size) in [1, GROUP, 100_000].into_iter().enumerate() {
        let data = bytes(n, size);
        let hash = put(&open(&harness), &data);
        expect_owned(&mut expected, &data);
        plant(&harness, &FileName::Data(hash), b"damage");
        if size > GROUP {
            flip(&harness, &FileName::Outboard(hash), 3);
        }
        let store = open(&harness);
        let novelty = |store: &StoreOf<H>| store.import_bytes(&data).unwrap().novelty;
        assert_eq!(novelty(&store), Novelty::Replaced);
        assert_files(&harness, &expected);
        assert_reads(&store, &data);
        assert_eq!(novelty(&store), Novelty::Known);
        drop(store);
        assert_eq!(novelty(&open(&harness)), Novelty::Replaced);
    }
    assert_files(&harness, &expected);
}

/// Damage that a read has met is mended by importing the content again, in the same opening.
pub fn damage_that_was_read_is_mended_by_an_import<H: StoreHarness>() {
    for size in [1, GROUP, 100_000] {
        let harness = H::fresh();
        let store = open(&harness);
        let data = bytes(size, size);
        let hash = put(&store, &data);
        flip(&harness, &FileName::Data(hash), size / 2);
        assert_fails!(
            store.read(hash, u64::MAX),
            Error::Corrupt { hash: h, .. } if h == hash
        );
        assert!(store.blobs().all(|blob| blob.damaged));
        let again = store.import_bytes(&data).unwrap();
        assert_eq!(again.novelty, Novelty::Replaced);
        assert_reads(&store, &data);
        assert!(store.blobs().all(|blob| !blob.damaged));
        let mut expected = no_files();
        expect_owned(&mut expected, &data);
        assert_files(&harness, &expected);
    }
}

/// The results of a batch are in the order of the imports, each of them with its own; content that comes
/// twice is written once; nothing is there before the commit, and all of it after.
pub fn a_batch_lands_in_order<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let (small, large, seen) = (bytes(1, 10), bytes(2, 100_000), bytes(3, 20_000));
    put(&store, &seen);
    let path = put_external(&harness, "file", &large);
    let list = sequence(&[Hash::of(&small), Hash::of(&large)]);
    let mut expected = no_files();
    expect_owned(&mut expected, &seen);

    let mut batch = store.batch();
    let none = ImportOptions::default();
    let as_sequence = none.format(flatbao_core::BlobFormat::HashSeq);
    let added = [
        batch.import_reader(&small[..]).unwrap(),
        batch.import_bytes(&list, as_sequence).unwrap(),
        batch.import_file_with(&path, none, &mut unwatched).unwrap(),
        batch.import_bytes(&small, none).unwrap(),
        batch.import_bytes(&seen, none).unwrap(),
        batch
            .import_reference_with(&path, none, &mut unwatched)
            .unwrap(),
        batch.import_bytes(b"", none).unwrap(),
    ];
    let contents = [&small, &list, &large, &small, &seen, &large, &Vec::new()];
    for ((hash, size), content) in added.iter().zip(contents) {
        assert_eq!((*hash, *size), (Hash::of(content), content.len() as u64));
    }
    let published = |files: &Files| {
        let mut files = files.clone();
        files.retain(|name, _| !name.is_ephemeral());
        files
    };
    assert_eq!(
        published(&files(&harness)).keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    assert_fails!(store.reader(Hash::of(&small)), Error::NotFound(_));

    let landed = batch.commit().unwrap();
    let found: Vec<_> = landed.iter().map(|one| (one.hash, one.size)).collect();
    assert_eq!(found, added);
    let novelties: Vec<_> = landed.iter().map(|one| one.novelty).collect();
    let (new, known) = (Novelty::New, Novelty::Known);
    assert_eq!(novelties, [new, new, new, known, known, new, new]);
    let values: Vec<_> = landed.iter().map(|one| one.tag.value()).collect();
    assert_eq!(values[1], seq(Hash::of(&list)));
    assert_eq!(values[0], raw(Hash::of(&small)));
    for content in [&small[..], &list, &large, b""] {
        expect_owned(&mut expected, content);
        assert_reads(&store, content);
    }
    expected.insert(
        FileName::Paths(Hash::of(&large)),
        super::paths_file(&[path.as_str()]),
    );
    assert_files(&harness, &expected);
}

/// A batch that is dropped before its commit leaves no file and no blob.
pub fn a_dropped_batch_leaves_nothing<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let path = put_external(&harness, "file", &bytes(9, 50_000));
    let mut batch = store.batch();
    for n in 0..20 {
        batch.import_reader(&bytes(n, n * 2000)[..]).unwrap();
    }
    let none = ImportOptions::default();
    batch
        .import_reference_with(&path, none, &mut unwatched)
        .unwrap();
    drop(batch);
    assert_files(&harness, &no_files());
    assert_eq!(store.blobs().count(), 0);
    assert!(plan(&store).items().is_empty());
    assert_eq!(plan(&store).live(), 0, "nothing is held any more");
}

/// An import that fails takes nothing with it that the batch had before, nor what comes after.
pub fn a_failed_import_does_not_spoil_its_batch<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let (one, two) = (bytes(1, 20_000), bytes(2, 5));
    let mut batch = store.batch();
    batch.import_reader(&one[..]).unwrap();
    let failing = io::repeat(7).take(30_000).chain(Broken);
    assert_fails!(batch.import_reader(failing), Error::Source(_));
    batch.import_reader(&two[..]).unwrap();
    assert_eq!(batch.commit().unwrap().len(), 2);
    let mut expected = no_files();
    expect_owned(&mut expected, &one);
    expect_owned(&mut expected, &two);
    assert_files(&harness, &expected);
}

/// A batch may have more imports than are published at once, the same content among them at any distance.
pub fn a_batch_of_any_size_lands<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let content = |n: usize| bytes(n % 150, n % 150 + 1);
    let mut batch = store.batch();
    for n in 0..300 {
        batch.import_reader(&content(n)[..]).unwrap();
    }
    let landed = batch.commit().unwrap();
    assert_eq!(landed.len(), 300);
    let mut expected = no_files();
    for (n, one) in landed.iter().enumerate() {
        assert_eq!(one.hash, Hash::of(&content(n)));
        let novelty = if n < 150 {
            Novelty::New
        } else {
            Novelty::Known
        };
        assert_eq!(one.novelty, novelty, "import {n}");
        expect_owned(&mut expected, &content(n));
    }
    assert_files(&harness, &expected);
    assert!(plan(&store).items().is_empty(), "all of them are held");
}

/// What is pending in a batch lives through a collection, above all what was in the store already.
pub fn a_pending_import_survives_collection<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let (known, dead, fresh) = (bytes(1, 20_000), bytes(2, 20_000), bytes(3, 20_000));
    put(&store, &known);
    put(&store, &dead);
    let mut batch = store.batch();
    batch.import_reader(&known[..]).unwrap();
    batch.import_reader(&fresh[..]).unwrap();
    assert_eq!(removed(&collect(&store)), [Hash::of(&dead)]);
    let landed = batch.commit().unwrap();
    assert_eq!(landed[0].novelty, Novelty::Known);
    assert_reads(&store, &known);
    assert_reads(&store, &fresh);
    assert_gone(&harness, &store, Hash::of(&dead));
}

/// An import returns a temporary tag; as long as it is there the blob is, and, of a sequence, what it
/// lists.
pub fn an_import_is_held_until_its_tag_is_dropped<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let child = put(&store, b"child");
    let list = sequence(&[child]);
    let options = ImportOptions::default().format(flatbao_core::BlobFormat::HashSeq);
    let held = store
        .import_reader_with(&list[..], options, &mut unwatched)
        .unwrap();
    assert_eq!(held.tag.value(), seq(held.hash));
    assert!(removed(&collect(&store)).is_empty());
    assert_reads(&store, b"child");
    assert_reads(&store, &list);
    let hash = held.hash;
    drop(held);
    assert_eq!(collect(&store).removed.len(), 2);
    assert_gone(&harness, &store, child);
    assert_gone(&harness, &store, hash);
}

/// Randomness that repeats itself, or fails, never lets one import write over another: it is an error, and
/// what is staged stays whole.
/// BI-042.
pub fn poor_randomness_is_an_error_and_no_loss<H: StoreHarness>() {
    struct Stuck;
    impl Entropy for Stuck {
        fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
            bytes.fill(0x11);
            Ok(())
        }
    }
    struct Failing;
    impl Entropy for Failing {
        fn fill(&self, _: &mut [u8]) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
    let harness = H::fresh();
    drop(open(&harness));
    let clock = harness.env().clock;
    let with = |entropy: Arc<dyn Entropy + Send + Sync>| {
        let clock = Arc::clone(&clock);
        let env = Env { clock, entropy };
        recover_in(&harness, env).0
    };
    let store = with(Arc::new(Stuck));
    let (one, two) = (bytes(1, 1000), bytes(2, 1000));
    let mut batch = store.batch();
    batch.import_reader(&one[..]).unwrap();
    assert_fails!(batch.import_reader(&two[..]), Error::NoFreeName);
    assert_eq!(batch.commit().unwrap().len(), 1);
    assert_reads(&store, &one);
    let mut expected = no_files();
    expect_owned(&mut expected, &one);
    assert_files(&harness, &expected);
    // The name is free again.
    put(&store, &two);
    expect_owned(&mut expected, &two);
    assert_files(&harness, &expected);
    drop(store);
    let store = with(Arc::new(Failing));
    assert_fails!(store.import_bytes(b"three"), Error::Entropy(_));
    assert_fails!(
        store.set_tag(tag("a"), raw(Hash::of(&one))),
        Error::Entropy(_)
    );
    assert_files(&harness, &expected);
    assert_reads(&store, &one);
}

/// A collection goes into the store as a sequence whose first child is the list of names, and comes out as
/// it was; one tag keeps all of it.
pub fn a_collection_reads_back<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let contents = [
        ("b/x", bytes(1, 20_000)),
        ("a", bytes(2, 3)),
        ("", Vec::new()),
    ];
    let mut batch = store.batch();
    let none = ImportOptions::default();
    let mut entries = Vec::new();
    for (name, content) in &contents {
        let (hash, _) = batch.import_bytes(content, none).unwrap();
        entries.push(((*name).to_owned(), hash));
    }
    let collection = Collection::new(entries).unwrap();
    let root = batch.import_collection(&collection).unwrap();
    drop(batch.commit().unwrap());
    let other = put(&store, b"no part of it");
    store.set_tag(tag("collection"), seq(root)).unwrap();
    assert_eq!(removed(&collect(&store)), [other]);
    drop(store);

    let store = open(&harness);
    let root = store.tag(&tag("collection")).unwrap().hash;
    let list = HashSeq::decode(&store.read(root, 1 << 20).unwrap()).unwrap();
    let meta = store.read(list.hashes()[0], 1 << 20).unwrap();
    let found = Collection::decode(&meta, &list).unwrap();
    assert_eq!(found, collection);
    assert_eq!(store.collection(root).unwrap(), collection);
    assert_eq!(store.sequence(root).unwrap(), list);
    let child = Hash::of(&contents[1].1);
    assert_fails!(store.collection(child), Error::HashSeq { hash, .. } if hash == child);
    let no_names = put(&store, &sequence(&[child]));
    assert_fails!(store.collection(no_names), Error::Collection { hash, .. } if hash == no_names);
    let empty = Hash::of(b"");
    assert_fails!(store.collection(empty), Error::Collection { hash, .. } if hash == empty);
    for (name, content) in &contents {
        assert_eq!(found.get(name), Some(Hash::of(content)));
        assert_reads(&store, content);
    }
}
