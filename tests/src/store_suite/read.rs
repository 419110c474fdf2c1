//! Verified reading: every byte right, or an error.

use std::io::{self, Read, Seek, SeekFrom};

use flatbao_core::{
    Backend as _, Damage, Error, FileName, Hash, ReadAt,
    io::read_full_at,
    store::{Location, State, Status},
};

use super::{
    Files, GROUP, StoreHarness, StoreOf, assert_external, assert_fails, assert_files, assert_gone,
    assert_reads, assert_there, bytes, collect, expect_outboard, expect_owned, external, files,
    fresh_uuid, no_files, open, open_read_only, paths_file, plant, plant_staged, put, put_external,
    sorted, uproot,
};

/// What a buffer holds before a read.
const UNTOUCHED: u8 = 0xaa;

/// `Read`, `Seek` and `ReadAt` see the same bytes as a slice does: in small and in huge steps, from any
/// position, at the end and past it.
pub fn a_reader_equals_a_slice<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    for size in [0, 1, 1000, GROUP, GROUP + 1, 3 * GROUP - 1, 100_000] {
        let data = bytes(size, size);
        let hash = put(&store, &data);
        for step in [1, 7, 1024, GROUP - 1, GROUP, GROUP + 1, 1 << 20] {
            // Single bytes of a large blob take long, and show nothing new.
            if step < 1024 && size > GROUP + 1 {
                continue;
            }
            let mut reader = store.reader(hash).unwrap();
            let mut found: Vec<u8> = Vec::new();
            let mut buf = vec![UNTOUCHED; step];
            loop {
                assert_eq!(reader.stream_position().unwrap(), found.len() as u64);
                let read = reader.read(&mut buf).unwrap();
                if read == 0 {
                    break;
                }
                found.extend(&buf[..read]);
            }
            assert!(found == data, "{size} bytes in steps of {step}");
            assert_eq!(reader.read(&mut buf).unwrap(), 0);
        }
        let reader = store.reader(hash).unwrap();
        for offset in [0, 1, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, size, size + 1] {
            for len in [0, 1, 100, GROUP, 2 * GROUP + 5, 1 << 20] {
                let mut buf = vec![UNTOUCHED; len];
                let read = read_full_at(&reader, &mut buf, offset as u64).unwrap();
                let end = (offset + len).min(size);
                let expected = data.get(offset..end).unwrap_or_default();
                assert_eq!(&buf[..read], expected, "{len} bytes at {offset} of {size}");
                assert!(buf[read..].iter().all(|byte| *byte == UNTOUCHED));
            }
        }
        for offset in [
            size as u64,
            size as u64 + 1,
            1 << 40,
            u64::MAX - 1,
            u64::MAX,
        ] {
            assert_eq!(reader.read_at(&mut [0; 9], offset).unwrap(), 0);
        }
    }
}

/// A seek goes where a cursor's goes, from the start, the end or here; past the end there is nothing, and
/// before the start is no position.
pub fn every_position_is_reached<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    for size in [0, 5, 50_000] {
        let data = bytes(size, size);
        let mut reader = store.reader(put(&store, &data)).unwrap();
        let mut cursor = io::Cursor::new(&data);
        for to in [
            SeekFrom::End(0),
            SeekFrom::End(-1),
            SeekFrom::Start(3),
            SeekFrom::Current(2),
            SeekFrom::Current(-5),
            SeekFrom::Current(-1),
            SeekFrom::End(-20_000),
            SeekFrom::Current(-1),
            SeekFrom::End(5),
            SeekFrom::End(i64::MAX),
            SeekFrom::End(i64::MIN),
            SeekFrom::Start(u64::MAX),
            SeekFrom::Current(1),
            SeekFrom::Current(i64::MIN),
            SeekFrom::Start(16_384),
        ] {
            let expected = cursor.seek(to).map_err(|e| e.kind());
            assert_eq!(
                reader.seek(to).map_err(|e| e.kind()),
                expected,
                "{to:?} of {size}"
            );
            let (mut found, mut right) = ([UNTOUCHED; 10], [UNTOUCHED; 10]);
            let is_at_end = cursor.position() >= data.len() as u64;
            let read = reader.read(&mut found).unwrap();
            assert_eq!(read == 0, is_at_end);
            assert_eq!(cursor.read(&mut right[..read]).unwrap(), read);
            assert_eq!(found, right);
            assert_eq!(reader.stream_position().unwrap(), cursor.position());
        }
    }
}

/// When a group is damaged, what comes before it is read, and what comes after it; the group itself is an
/// error that names file and offset, and not one of its bytes reaches a buffer.
pub fn no_unverified_byte_is_handed_out<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let hash = put(&open(&harness), &data);
    let mut damaged = data.clone();
    let bad = 3 * GROUP..4 * GROUP;
    damaged[bad.clone()].fill(0x55);
    plant(&harness, &FileName::Data(hash), &damaged);
    let store = open(&harness);
    let is_right = |error: &Error| {
        matches!(
            error,
            Error::Corrupt { hash: h, damage: Damage::Group { offset, home } }
                if *h == hash && *offset == bad.start as u64 && *home == format!("{hash}.data")
        )
    };
    let starts = [
        0,
        5,
        GROUP,
        bad.start - 1,
        bad.start,
        bad.start + 1,
        bad.end - 1,
        bad.end,
        99_999,
    ];
    for len in [1, 1000, GROUP, 2 * GROUP, 1 << 20] {
        let reader = store.reader(hash).unwrap();
        for at in starts {
            let mut buf = vec![UNTOUCHED; len];
            let read = match reader.read_verified(&mut buf, at as u64) {
                Err(error) => {
                    assert!(is_right(&error), "{error:?}");
                    assert!(bad.contains(&at), "an error at {at}");
                    0
                }
                Ok(read) => {
                    assert!(read > 0 && !bad.contains(&at));
                    assert!(at >= bad.end || at + read <= bad.start);
                    assert_eq!(buf[..read], data[at..at + read]);
                    read
                }
            };
            for (offset, byte) in buf.iter().enumerate().skip(read) {
                let right = data.get(at + offset).copied().unwrap_or(UNTOUCHED);
                assert!(
                    [UNTOUCHED, 0, right].contains(byte),
                    "{byte:#x} at {offset}"
                );
            }
        }
        assert_eq!(reader.proven_size().unwrap(), data.len() as u64);
    }
    let mut found = Vec::new();
    let mut reader = store.reader(hash).unwrap();
    let error = reader.read_to_end(&mut found).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(found == data[..bad.start], "the good groups before it");
    assert!(store.blobs().all(|blob| blob.damaged));
    // Nothing is moved or removed for it.
    assert!(files(&harness)[&FileName::Data(hash)] == damaged);
}

/// One wrong bit among many groups that are read at once is where it is: what comes before it is read and exported no
/// further than that, and where another home has the group right, all of it is.
pub fn damage_among_many_groups_stays_where_it_is<H: StoreHarness>() {
    let data = bytes(9, 130 * GROUP + 77);
    let hash = Hash::of(&data);
    for group in [0, 1, 15, 16, 63, 64, 100, 128, 129, 130] {
        let harness = H::fresh();
        put(&open(&harness), &data);
        let mut wrong = data.clone();
        wrong[group * GROUP + 76] ^= 4;
        plant(&harness, &FileName::Data(hash), &wrong);
        let store = open(&harness);
        if group < 130 {
            let reader = store.reader(hash).unwrap();
            let mut buf = vec![1; data.len()];
            let mut read = 0;
            let error = loop {
                match reader.read_verified(&mut buf[read..], read as u64) {
                    Ok(more) => read += more,
                    Err(error) => break error,
                }
                assert!(read <= group * GROUP);
                assert!(buf[read..].iter().all(|byte| *byte == 0), "unverified");
            };
            let at = (group * GROUP) as u64;
            assert!(
                matches!(error, Error::Corrupt { damage: Damage::Group { offset, .. }, .. } if offset == at),
                "{error:?}"
            );
            assert_eq!(read, group * GROUP);
            assert!(buf[..read] == data[..read]);
        }
        let out = external(&harness, "out");
        assert_fails!(store.export(hash, &out), Error::Corrupt { .. });
        assert!(harness.open().external(&out).is_err());
        drop(store);
        let path = put_external(&harness, "right", &data);
        plant(
            &harness,
            &FileName::Paths(hash),
            &paths_file(&[path.as_str()]),
        );
        let store = open(&harness);
        assert_reads(&store, &data);
        store.export(hash, &out).unwrap();
        assert_external(&harness, &out, &data);
    }
}

/// Whichever bit of a blob's files is flipped, every read gives the right bytes or an error, and the rest
/// of the store stays readable.
pub fn no_flipped_bit_gets_through<H: StoreHarness>() {
    let harness = H::fresh();
    let contents = [bytes(1, 300), bytes(2, 70_000)];
    let store = open(&harness);
    for content in &contents {
        put(&store, content);
    }
    drop(store);
    let before = files(&harness);
    for (name, content) in &before {
        let Some(hash) = name.hash() else { continue };
        let step = content.len() / 24 + 1;
        for at in (0..content.len()).step_by(step).chain([content.len() - 1]) {
            let mut damaged = content.clone();
            damaged[at] ^= 1 << (at % 8);
            plant(&harness, name, &damaged);
            let store = open_read_only(&harness);
            for data in &contents {
                let is_hurt = Hash::of(data) == hash && matches!(name, FileName::Data(_));
                match store.read(Hash::of(data), u64::MAX) {
                    Ok(found) => assert!(found == *data && !is_hurt),
                    Err(Error::Corrupt { .. }) => assert!(is_hurt, "bit in {at} of {name}"),
                    other => panic!("{other:?}"),
                }
            }
        }
        plant(&harness, name, content);
    }
}

/// Data that lost their end, or got another one, never pass for a shorter or longer blob: the end of the
/// file is not the end of the blob. PD-16.
/// BI-025, BI-027.
pub fn a_cut_blob_never_looks_shorter<H: StoreHarness>() {
    for size in [1000, GROUP, GROUP + 1, 2 * GROUP, 70_000] {
        let harness = H::fresh();
        let data = bytes(size, size);
        let hash = put(&open(&harness), &data);
        let name = FileName::Data(hash);
        for len in [
            0,
            1,
            GROUP - 1,
            GROUP,
            GROUP + 1,
            size - 1,
            size + 1,
            2 * size,
        ] {
            if len == size {
                continue;
            }
            let mut other = data.clone();
            other.resize(len, 0);
            plant(&harness, &name, &other);
            assert_never_wrong(&open_read_only(&harness), &data);
        }
        // Without the outboard there is only the hash to tell.
        if size > GROUP {
            uproot(&harness, &FileName::Outboard(hash));
            for len in [0, GROUP, size - 1, size + 1] {
                let mut other = data.clone();
                other.resize(len, 0);
                plant(&harness, &name, &other);
                let store = open_read_only(&harness);
                assert_fails!(store.read(hash, u64::MAX), Error::Corrupt { .. });
                assert_never_wrong(&store, &data);
            }
        }
    }
}

/// A size that an outboard or a file claims is not exposed before the last group has verified: a reader
/// says the right size, or none. PD-16.
/// BI-032.
pub fn a_lying_size_is_never_exposed<H: StoreHarness>() {
    let size = 70_000;
    let data = bytes(1, size);
    let harness = H::fresh();
    let hash = put(&open(&harness), &data);
    let outboard = files(&harness)[&FileName::Outboard(hash)].clone();
    let claims = [
        0,
        1,
        16384,
        16385,
        65536,
        65537,
        69_999,
        70_001,
        81_920,
        81_921,
        1 << 40,
        1 << 63,
        u64::MAX,
    ];
    for claim in claims {
        let mut lying = outboard.clone();
        lying[..8].copy_from_slice(&claim.to_le_bytes());
        plant(&harness, &FileName::Outboard(hash), &lying);
        let cut = usize::try_from(claim).unwrap_or(usize::MAX).min(200_000);
        for len in [size, cut, 0] {
            let mut other = data.clone();
            other.resize(len, 0);
            plant(&harness, &FileName::Data(hash), &other);
            let store = open_read_only(&harness);
            assert_never_wrong(&store, &data);
            if len == size {
                assert_reads(&store, &data);
            }
        }
    }
}

/// Whatever the files are like: sizes and bytes are right, or an error, and there is no false end.
fn assert_never_wrong<B: flatbao_core::Backend>(store: &flatbao_core::Store<B>, data: &[u8]) {
    let Ok(mut reader) = store.reader(Hash::of(data)) else {
        return;
    };
    if let Ok(size) = reader.proven_size() {
        assert_eq!(size, data.len() as u64);
    }
    if let Ok(end) = reader.seek(SeekFrom::End(0)) {
        assert_eq!(end, data.len() as u64);
        reader.seek(SeekFrom::Start(0)).unwrap();
    }
    for offset in (0..data.len() + 3 * GROUP).step_by(GROUP / 2) {
        let mut buf = vec![UNTOUCHED; GROUP];
        if let Ok(read) = reader.read_at(&mut buf, offset as u64) {
            let expected = data.get(offset..).unwrap_or_default();
            assert_eq!(buf[..read], expected[..read]);
            assert_eq!(read == 0, expected.is_empty(), "a false end at {offset}");
        }
    }
    let mut found = Vec::new();
    if reader.read_to_end(&mut found).is_ok() {
        assert!(found == data);
    } else {
        assert!(data.starts_with(&found));
    }
}

/// A missing outboard is made again when the blob is read, byte for byte; a read-only opening reads as well
/// and writes nothing. PD-09.
/// BI-030.
pub fn a_lost_outboard_is_made_again<H: StoreHarness>() {
    let harness = H::fresh();
    let mut expected = no_files();
    for size in [GROUP + 1, 100_000, 5_000_000] {
        let data = bytes(size, size);
        let hash = put(&open(&harness), &data);
        uproot(&harness, &FileName::Outboard(hash));
        let without = files(&harness);
        assert_reads(&open_read_only(&harness), &data);
        assert_files(&harness, &without);
        assert_reads(&open(&harness), &data);
        expect_owned(&mut expected, &data);
        assert_files(&harness, &expected);
    }
}

/// An outboard that is damaged, short, long or not even one does not matter as long as the data are right.
/// BI-031, BI-033, BI-034, PD-13.
pub fn a_damaged_outboard_does_not_matter<H: StoreHarness>() {
    let harness = H::fresh();
    let data = bytes(1, 100_000);
    let hash = put(&open(&harness), &data);
    let name = FileName::Outboard(hash);
    let good = files(&harness).remove(&name).unwrap();
    let mut expected = no_files();
    expect_owned(&mut expected, &data);
    let mut variants = vec![
        Vec::new(),
        good[..8].to_vec(),
        good[..good.len() - 1].to_vec(),
        vec![0; good.len()],
        [&good[..], &[0]].concat(),
    ];
    for at in (8..good.len()).step_by(32) {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        variants.push(flipped);
    }
    for variant in variants {
        plant(&harness, &name, &variant);
        assert_reads(&open_read_only(&harness), &data);
        let store = open(&harness);
        assert_reads(&store, &data);
        assert!(store.blobs().all(|blob| !blob.damaged));
        assert_files(&harness, &expected);
    }
}

/// An outboard without data is no blob; the opening reports it, and the next collection takes it away.
pub fn an_outboard_is_no_blob<H: StoreHarness>() {
    let harness = H::fresh();
    let hash = put(&open(&harness), &bytes(1, 100_000));
    uproot(&harness, &FileName::Data(hash));
    let (store, recovery) = super::recover(&harness);
    assert_eq!(recovery.orphan_outboards, [hash]);
    assert_fails!(store.reader(hash), Error::NotFound(h) if h == hash);
    assert_eq!(store.status(hash), Status::Missing);
    assert_eq!(store.blobs().count(), 0);
    assert_eq!(super::removed(&collect(&store)), [hash]);
    assert_gone(&harness, &store, hash);
}

/// A blob that is not there, one that is there in part, and one whose files went behind the store's back
/// are three errors.
pub fn what_is_not_there_is_told_apart<H: StoreHarness>() {
    let harness = H::fresh();
    let (part, gone) = (Hash::of(&bytes(1, 50_000)), Hash::of(&bytes(2, 50_000)));
    plant_staged(
        &harness,
        &FileName::PartialData(part, fresh_uuid()),
        &bytes(1, 50_000),
    );
    let store = open(&harness);
    put(&store, &bytes(2, 50_000));
    uproot(&harness, &FileName::Data(gone));
    let missing = Hash::of(b"missing");
    assert_fails!(store.reader(missing), Error::NotFound(h) if h == missing);
    assert_fails!(store.read(missing, 9), Error::NotFound(h) if h == missing);
    assert_fails!(store.claimed_size(missing), Error::NotFound(h) if h == missing);
    assert_fails!(store.reader(part), Error::Incomplete(h) if h == part);
    assert_fails!(store.read(gone, u64::MAX), Error::Unreadable { hash, .. } if hash == gone);
}

/// A whole blob is read into memory only up to the size that is allowed.
pub fn a_cap_bounds_what_is_read<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    for size in [0, 1, GROUP, GROUP + 1, 100_000] {
        let data = bytes(size, size);
        let (hash, size) = (put(&store, &data), size as u64);
        assert!(store.read(hash, size).unwrap() == data);
        assert!(store.read(hash, u64::MAX).unwrap() == data);
        if size > 0 {
            assert_fails!(store.read(hash, size - 1), Error::TooLarge { cap } if cap == size - 1);
            assert_fails!(store.read(hash, 0), Error::TooLarge { cap: 0 });
        }
    }
}

/// A reader that was opened before its blob was collected or deleted reads on.
pub fn a_reader_outlives_its_blob<H: StoreHarness>() {
    let harness = H::fresh();
    let store = open(&harness);
    let (one, two, three) = (bytes(1, 100_000), bytes(2, 100_000), bytes(3, 1000));
    let mut readers: Vec<_> = [&one, &two, &three]
        .map(|data| store.reader(put(&store, data)).unwrap())
        .into();
    store.delete(Hash::of(&one), false).unwrap();
    assert_eq!(collect(&store).removed.len(), 2);
    assert_files(&harness, &no_files());
    for (reader, data) in readers.iter_mut().zip([&one, &two, &three]) {
        let mut found = Vec::new();
        reader.read_to_end(&mut found).unwrap();
        assert!(found == *data);
        assert_gone(&harness, &store, Hash::of(data));
    }
}

/// Listings name every blob once, in order, with what is there of it and where; prefixes find them.
pub fn listings_tell_what_is_there<H: StoreHarness>() {
    let harness = H::fresh();
    let part = Hash::of(b"part");
    plant_staged(
        &harness,
        &FileName::PartialData(part, fresh_uuid()),
        &bytes(1, 50_000),
    );
    let store = open(&harness);
    let (owned, both, outside) = (bytes(2, 20), bytes(3, 20_000), bytes(4, 30_000));
    put(&store, &owned);
    put(&store, &both);
    for (name, data) in [("both", &both), ("outside", &outside)] {
        let path = put_external(&harness, name, data);
        drop(store.import_reference(&path).unwrap());
    }
    let expected = [
        (Hash::of(&owned), State::Complete, Location::Owned),
        (Hash::of(&both), State::Complete, Location::Both),
        (Hash::of(&outside), State::Complete, Location::External),
        (part, State::Partial, Location::Owned),
    ];
    let check = |store: &StoreOf<H>| {
        let listed: Vec<_> = store.blobs().collect();
        let hashes: Vec<_> = listed.iter().map(|blob| blob.hash).collect();
        assert_eq!(hashes, sorted(expected.iter().map(|blob| blob.0).collect()));
        for (hash, state, location) in expected {
            let blob = listed.iter().find(|blob| blob.hash == hash).unwrap();
            assert_eq!((blob.state, blob.location), (state, location));
            assert!(!blob.damaged);
            assert_eq!(store.status(hash), Status::Present(*blob));
        }
        for data in [&owned, &both, &outside] {
            let claimed = store.claimed_size(Hash::of(data)).unwrap();
            assert_eq!(claimed, data.len() as u64);
        }
        for hash in &hashes {
            let text = hash.to_string();
            assert_eq!(store.find_prefix(&text, 9), [*hash]);
            assert!(store.find_prefix(&text[..2], 9).contains(hash));
            assert!(store.find_prefix(&format!("{text}0"), 9).is_empty());
        }
        assert_eq!(store.find_prefix("", 9), hashes);
        assert_eq!(store.find_prefix("", 2), hashes[..2]);
        for odd in ["x", "é", "A", " "] {
            assert!(store.find_prefix(odd, 9).is_empty(), "{odd:?}");
        }
    };
    check(&store);
    assert_eq!(store.status(Hash::of(b"missing")), Status::Missing);
    drop(store);
    check(&open_read_only(&harness));
    let store = open(&harness);
    check(&store);
    assert_there(&store, &[Hash::of(&both), Hash::of(&outside)]);
    let mut outboards = Files::new();
    expect_outboard(&mut outboards, &outside);
    let found = files(&harness);
    assert!(outboards.iter().all(|(name, bytes)| found[name] == *bytes));
}
