//! Copies from one store to another.

use flatbao_core::{
    Error, FileName, Hash, HashAndFormat,
    progress::unwatched,
    store::{Copied, State, Status, copy},
};

use super::{
    Files, GROUP, StoreHarness, StoreOf, assert_fails, assert_files, assert_reads, assert_there,
    bytes, collect, expect_owned, files, flip, no_files, open, open_read_only, put, put_sequence,
    raw, removed, seq, sequence, tag, tags_file,
};
use crate::store_suite::send::{groups, plant_two_parts, stream};

fn copied<H: StoreHarness>(from: &StoreOf<H>, to: &StoreOf<H>, value: HashAndFormat) -> Copied {
    copy(from, to, value, &mut unwatched).unwrap()
}

/// A blob of any size arrives as an import would have left it; what is there is not moved again.
pub fn a_copy_is_an_import<H: StoreHarness>() {
    let (here, there) = (H::fresh(), H::fresh());
    let (from, to) = (open(&here), open(&there));
    let mut expected: Files = no_files();
    for size in [0, 1, GROUP, GROUP + 1, 300_000] {
        let data = bytes(size, size);
        let hash = put(&from, &data);
        let done = copied::<H>(&from, &to, raw(hash));
        assert_eq!((done.blobs, done.known, done.bytes), (1, 0, size as u64));
        assert!(done.incomplete.is_empty());
        let again = copied::<H>(&open_read_only(&here), &to, raw(hash));
        assert_eq!((again.known, again.bytes), (1, 0));
        assert_reads(&to, &data);
        expect_owned(&mut expected, &data);
    }
    assert_files(&there, &expected);
}

/// A sequence comes with all that it lists, and is kept with it.
pub fn a_sequence_is_copied_with_its_children<H: StoreHarness>() {
    let (here, there) = (H::fresh(), H::fresh());
    let (from, to) = (open(&here), open(&there));
    let contents = [10, 10, 20_000, 100_000].map(|size| bytes(size, size));
    let children: Vec<Hash> = contents.iter().map(|data| put(&from, data)).collect();
    put(&to, &contents[2]);
    let list = put_sequence(&from, &children);
    let done = copied::<H>(&from, &to, seq(list));
    assert_eq!((done.blobs, done.known), (4, 1));
    assert_eq!(done.bytes, 10 + 100_000 + 4 * 32);
    assert!(removed(&collect(&to)).is_empty());
    assert_there(&to, &children);
    assert_eq!(to.sequence(list).unwrap().encode(), sequence(&children));
    to.set_tag(tag("list"), seq(list)).unwrap();
    drop(done);
    assert!(removed(&collect(&to)).is_empty());
    let mut expected = no_files();
    for data in contents.iter().chain([&sequence(&children)]) {
        expect_owned(&mut expected, data);
    }
    expected.insert(FileName::Tags, tags_file(&[(b"list", seq(list))]));
    assert_files(&there, &expected);
    // Of a raw blob only itself.
    let other = H::fresh();
    let to = open(&other);
    assert_eq!(copied::<H>(&from, &to, raw(list)).blobs, 1);
    assert_eq!(to.status(children[0]), Status::Missing);
}

/// Only what is missing moves, and of a blob that the source has in part no more than that; two sources make one
/// blob.
pub fn a_copy_moves_what_is_missing<H: StoreHarness>() {
    let (here, there) = (H::fresh(), H::fresh());
    let data = plant_two_parts(&here);
    let hash = Hash::of(&data);
    let (from, to) = (open(&here), open(&there));
    let done = copied::<H>(&from, &to, raw(hash));
    assert_eq!(done.bytes, 3 * GROUP as u64 + 1696);
    assert!(matches!(&done.incomplete[..], [(h, Error::Incomplete(_))] if *h == hash));
    assert_eq!(to.available(hash).unwrap(), from.available(hash).unwrap());
    let again = copied::<H>(&from, &to, raw(hash));
    assert_eq!((again.bytes, again.incomplete.len()), (0, 1));
    let other = H::fresh();
    let second = open(&other);
    put(&second, &data);
    let done = copied::<H>(&second, &to, raw(hash));
    assert_eq!(done.bytes, 3 * GROUP as u64);
    assert!(done.incomplete.is_empty());
    assert_reads(&to, &data);
    let mut expected = no_files();
    expect_owned(&mut expected, &data);
    assert_files(&there, &expected);
}

/// What cannot be read of a source is told, and everything else copied; nothing damaged arrives.
pub fn a_damaged_source_gives_what_is_good<H: StoreHarness>() {
    let (here, there) = (H::fresh(), H::fresh());
    let contents = [100_000, 90_000, 5000].map(|size| bytes(size, size));
    let from = open(&here);
    let mut children: Vec<Hash> = contents.iter().map(|data| put(&from, data)).collect();
    children.push(Hash::of(b"missing"));
    let list = put_sequence(&from, &children);
    drop(from);
    flip(&here, &FileName::Data(children[0]), 2 * GROUP);
    flip(&here, &FileName::Data(children[2]), 0);
    let from = open_read_only(&here);
    let to = open(&there);
    let done = copied::<H>(&from, &to, seq(list));
    let told: Vec<Hash> = done.incomplete.iter().map(|(hash, _)| *hash).collect();
    assert_eq!(told, [children[0], children[2], children[3]]);
    assert!(matches!(done.incomplete[0].1, Error::Corrupt { .. }));
    assert!(matches!(done.incomplete[2].1, Error::NotFound(_)));
    assert_reads(&to, &contents[1]);
    assert_eq!(to.available(children[0]).unwrap().groups, [0..2, 3..7]);
    assert_eq!(to.status(children[2]), Status::Missing);
    let done = copied::<H>(&from, &to, raw(children[0]));
    assert_eq!((done.incomplete.len(), done.bytes), (1, 0));
    let good = groups(3..7);
    assert!(stream(&to, children[0], &good) == stream(&from, children[0], &good));
}

/// A copy that is stopped goes on the next time. A target that is not written to is told before anything else.
pub fn a_stopped_copy_goes_on<H: StoreHarness>() {
    let (here, there) = (H::fresh(), H::fresh());
    let (from, to) = (open(&here), open(&there));
    let data = bytes(1, 500_000);
    let hash = put(&from, &data);
    let outcome = copy(&from, &open_read_only(&there), raw(hash), &mut unwatched);
    assert_fails!(outcome, Error::NotWritable(_));
    let mut steps = 0;
    let outcome = copy(&from, &to, raw(hash), &mut |_| {
        steps += 1;
        match steps > 20 {
            true => std::ops::ControlFlow::Break(()),
            false => std::ops::ControlFlow::Continue(()),
        }
    });
    assert_fails!(outcome, Error::Cancelled);
    let came = to.available(hash).unwrap().verified();
    assert!(came > 0 && came < 500_000);
    assert!(matches!(to.status(hash), Status::Present(info) if info.state == State::Partial));
    let done = copied::<H>(&from, &to, raw(hash));
    assert_eq!(done.bytes, 500_000 - came);
    assert_reads(&to, &data);
    assert!(
        files(&there)
            .keys()
            .all(|name| !matches!(name, FileName::PartialData(..)))
    );
}
