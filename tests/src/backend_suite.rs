//! What every [`Backend`] promises, as tests that anybody can run on their own.
//!
//! Implement [`BackendHarness`] for a type that makes places for stores, and expand
//! [`backend_conformance!`](crate::backend_conformance) once in a test file: each promise of the trait's
//! documentation becomes one `#[test]`. A function here is a promise; its text is the sentence that is
//! held. What a harness cannot bring about (see its provided methods) is not tested, and passes.

// A conformance suite reports by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, ffi::OsStr, io};

use flatbao_core::{
    Backend, BackendError, BatchError, EntryKind, ExternalPath, FileName, Hash, ListedName, ReadAt,
    Uuid, WriteAt, io::read_full_at, io::write_all_at,
};

mod outgoing;

pub use outgoing::*;

/// A place for one store, and what a test does to it from outside.
pub trait BackendHarness: Sized {
    /// What is tested.
    type Backend: Backend;

    /// A fresh, empty place.
    fn fresh() -> Self;

    /// Opens the place, as a process of its own would: every call is another opening of the same store.
    fn open(&self) -> Self::Backend;

    /// An absolute directory that every opening is granted, without a slash at its end. It need not exist
    /// under this name anywhere but for the back end. Its parent is not granted.
    fn granted(&self) -> String {
        "/granted".into()
    }

    /// Makes `bytes` the content of the external file at `path`, which lies below
    /// [`granted`](Self::granted), perhaps in directories that do not exist yet. A file that is there
    /// keeps its identity and gets other content; where stamps come from a clock, that has to move.
    fn put_external(&self, path: &ExternalPath, bytes: &[u8]);

    /// Puts an entry of this kind under a name into the store, behind the back end's back. `false` when
    /// that cannot be done.
    fn plant(&self, name: &OsStr, kind: EntryKind) -> bool {
        let _ = (name, kind);
        false
    }

    /// Puts an entry of this kind outside the store, at a path below [`granted`](Self::granted), perhaps in
    /// directories that do not exist yet. `false` when that cannot be done.
    fn plant_external(&self, path: &ExternalPath, kind: EntryKind) -> bool {
        let _ = (path, kind);
        false
    }

    /// An external path, covered by a grant, that is on the medium of the store itself where there is such a
    /// path.
    fn path_on_the_medium(&self, below: &str) -> ExternalPath {
        external(self, below)
    }

    /// Two files for one external path, which two nested grants cover: `outer` lies there by the shorter
    /// one and `inner` by the longer one. `None` when that cannot be done.
    fn put_shadowed(&self, outer: &[u8], inner: &[u8]) -> Option<ExternalPath> {
        let _ = (outer, inner);
        None
    }

    /// An external path, covered by a grant, that leads to this file of the store itself. `None` when
    /// there is no such path.
    fn path_inside(&self, name: &FileName) -> Option<ExternalPath> {
        let _ = name;
        None
    }

    /// Loses everything that is not durable, and every opening so far with it. `false` when that cannot
    /// be done.
    fn lose_power(&mut self) -> bool {
        false
    }

    /// Ends the process of every opening so far; what it wrote stays, durable or not. `false` when that
    /// cannot be done.
    fn kill(&mut self) -> bool {
        false
    }
}

/// Expands to one `#[test]` for each promise, in a module of this name, on this [`BackendHarness`].
///
/// ```text
/// flatbao_tests::backend_conformance!(my_backend, MyHarness);
/// ```
#[macro_export]
macro_rules! backend_conformance {
    ($module:ident, $harness:ty) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;

            $crate::backend_conformance!(@tests $harness:
                a_fresh_place_is_empty
                the_lock_is_exclusive
                the_lock_is_released_when_dropped
                the_lock_takes_nothing_away
                every_entry_is_listed_once_with_its_kind
                foreign_entries_are_listed_as_such
                what_is_no_file_is_never_opened
                a_name_that_is_not_there_opens_as_none
                an_object_reads_back
                every_kind_of_file_has_its_own_place
                openings_share_one_store
                staging_refuses_a_taken_name
                a_staged_file_reads_back_as_written
                a_staged_file_is_cut_and_extended
                what_is_staged_is_not_served_as_complete
                dropping_a_staged_file_keeps_it
                resuming_a_missing_file_says_so
                discarding_removes_the_file
                publishing_moves_the_content
                publishing_replaces_and_old_handles_read_on
                publishing_is_in_order
                an_empty_batch_publishes
                two_hundred_files_publish_at_once
                a_batch_that_fails_says_how_far_it_came
                a_batch_that_fails_keeps_partial_files
                ensuring_durability_wants_the_files
                demoting_takes_the_file_back
                demoting_a_missing_file_says_so
                demoting_never_overwrites
                removing_takes_names_away
                removing_is_idempotent
                groups_are_removed_and_told_in_their_order
                a_group_that_cannot_go_keeps_no_other
                lengths_are_those_of_the_files
                a_removed_object_stays_readable
                an_external_file_is_read
                an_external_path_needs_a_grant
                a_missing_external_file_says_so
                the_longest_grant_decides
                no_external_path_leads_into_the_store
                an_outgoing_file_appears_when_it_is_released
                what_goes_out_needs_a_grant
                missing_directories_are_made
                nothing_goes_out_through_a_link
                what_bears_an_outside_name_stays
                only_a_file_is_replaced
                a_discarded_outgoing_file_leaves_nothing
                a_linked_file_is_the_published_one
                what_is_released_survives_a_power_loss
                a_stamp_stays_while_a_file_does
                a_stamp_tells_a_changed_external_file
                what_is_published_survives_a_power_loss
                what_is_removed_stays_removed
                what_a_dead_process_left_is_made_durable
                what_a_dead_process_removed_stays_removed
                what_is_demoted_survives_a_power_loss
            );
        }
    };
    (@tests $harness:ty: $($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::backend_suite::$promise::<$harness>();
            }
        )*
    };
}

/// The lock, which nobody holds; `None` where the platform has none, which is all that it says and does.
fn lock<B: Backend>(backend: &B) -> Option<B::Lock> {
    match backend.lock() {
        Ok(lock) => Some(lock),
        Err(BackendError::NoLocks { .. }) => {
            println!("skipped: the platform has no locks");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A place that nothing was written to lists nothing, but perhaps its lock.
pub fn a_fresh_place_is_empty<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    assert_eq!(own_names(&backend), []);
    let _lock = lock(&backend);
    assert_eq!(own_names(&backend), []);
}

/// While one opening holds the lock, another gets `Busy`, even when the opening that holds it is gone but
/// for the lock.
pub fn the_lock_is_exclusive<H: BackendHarness>() {
    let harness = H::fresh();
    let (one, two) = (harness.open(), harness.open());
    let Some(lock) = lock(&one) else {
        return;
    };
    assert!(matches!(two.lock(), Err(BackendError::Busy)));
    drop(one);
    assert!(matches!(two.lock(), Err(BackendError::Busy)));
    assert!(matches!(harness.open().lock(), Err(BackendError::Busy)));
    drop(lock);
}

/// The lock is held until it is dropped, and no longer.
pub fn the_lock_is_released_when_dropped<H: BackendHarness>() {
    let harness = H::fresh();
    let (one, two) = (harness.open(), harness.open());
    if lock(&one).is_none() {
        return;
    }
    for _ in 0..2 {
        drop(one.lock().expect("nobody holds it"));
        drop(two.lock().expect("the other one dropped it"));
    }
    let held = one.lock().unwrap();
    assert!(two.lock().is_err());
    // A refused attempt takes nothing from the holder.
    assert!(two.lock().is_err());
    drop(held);
    two.lock().expect("released");
}

/// Locking and unlocking leaves the files as they are, and needs no empty store.
pub fn the_lock_takes_nothing_away<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), b"content");
    for _ in 0..2 {
        let lock = lock(&backend);
        assert_holds(&backend, &data(1), b"content");
        drop(lock);
    }
    assert_eq!(own_names(&backend), [data(1)]);
}

/// The listing has every file once, staged ones included, typed, as a regular file.
pub fn every_entry_is_listed_once_with_its_kind<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let finals = [data(1), outboard(1), paths(1), data(2), FileName::Tags];
    for (n, name) in (1..).zip(&finals) {
        put(&backend, n, name, &bytes(n, 10));
    }
    let staging = every_staging_name(1, 100);
    let held = backend.stage_new(&staging[0]).unwrap();
    for name in &staging[1..] {
        stage(&backend, name, b"x");
    }
    let mut expected = finals.to_vec();
    expected.extend(staging);
    expected.sort();
    assert_eq!(own_names(&backend), expected);
    assert_eq!(own_names(&harness.open()), expected);
    drop(held);
}

/// An entry with a name that is not the store's own is listed as foreign, with its kind, and nothing is
/// the worse for it.
pub fn foreign_entries_are_listed_as_such<H: BackendHarness>() {
    let harness = H::fresh();
    let upper = format!("{}.data", hash(0xab).to_string().to_uppercase());
    let planted = [
        ("README", EntryKind::File),
        (&*upper, EntryKind::File),
        ("..data", EntryKind::File),
        ("sub", EntryKind::Directory),
        ("link", EntryKind::Link),
        ("pipe", EntryKind::Other),
    ];
    let mut expected: Vec<_> = planted
        .into_iter()
        .filter(|(name, kind)| harness.plant(OsStr::new(name), *kind))
        .map(|(name, kind)| (name.to_owned(), kind))
        .collect();
    expected.sort();
    let backend = harness.open();
    put(&backend, 1, &data(1), b"mine");
    let mut foreign = Vec::new();
    backend
        .list(&mut |entry| {
            if let ListedName::Foreign(name) = entry.name {
                foreign.push((name.to_str().unwrap().to_owned(), entry.kind));
            }
        })
        .unwrap();
    foreign.sort();
    assert_eq!(foreign, expected);
    assert_eq!(own_names(&backend), [data(1)]);
    assert_holds(&backend, &data(1), b"mine");
}

/// What bears a name of the store and is no regular file is listed with its kind, opens as `NotAFile`, and
/// takes the name for staging.
pub fn what_is_no_file_is_never_opened<H: BackendHarness>() {
    for kind in [EntryKind::Directory, EntryKind::Link, EntryKind::Other] {
        let harness = H::fresh();
        let planted =
            [data(1), partial(1, 1)].map(|n| harness.plant(OsStr::new(&n.to_string()), kind));
        if planted == [false; 2] {
            continue;
        }
        let backend = harness.open();
        let not_a_file = |error: BackendError| match error {
            BackendError::NotAFile {
                name: _,
                kind: found,
            } => assert_eq!(found, kind),
            other => panic!("{kind:?}: {other:?}"),
        };
        not_a_file(backend.open(&data(1)).err().unwrap());
        not_a_file(backend.open(&partial(1, 1)).err().unwrap());
        not_a_file(backend.resume(&partial(1, 1)).err().unwrap());
        let taken = backend.stage_new(&partial(1, 1)).err().unwrap();
        assert!(
            matches!(taken, BackendError::Exists { .. }),
            "{kind:?}: {taken:?}"
        );
        let mut listed = Vec::new();
        backend
            .list(&mut |entry| {
                if let ListedName::Typed(name) = entry.name {
                    listed.push((name.clone(), entry.kind));
                }
            })
            .unwrap();
        listed.sort();
        assert_eq!(listed, [(data(1), kind), (partial(1, 1), kind)]);
    }
}

/// A name that is not there opens as `None`, whatever kind of name, in an empty store and in a full one.
pub fn a_name_that_is_not_there_opens_as_none<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let mut names = every_staging_name(1, 1);
    names.extend([data(1), outboard(1), paths(1), FileName::Tags]);
    for name in &names {
        assert!(backend.open(name).unwrap().is_none(), "{name}");
    }
    put(&backend, 9, &data(2), b"another");
    for name in &names {
        assert!(backend.open(name).unwrap().is_none(), "{name}");
    }
}

/// An object has exactly the bytes that were published, from every position; past its end there are none.
pub fn an_object_reads_back<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    for (n, len) in (1..).zip([0, 1, 1000, 16384, 65536 + 1, 3 << 20]) {
        let content = bytes(n, len);
        put(&backend, n, &data(n), &content);
        let object = backend.open(&data(n)).unwrap().expect("published");
        assert_eq!(object.size().unwrap(), len as u64);
        assert_eq!(read_all(&object), content, "{len} bytes");
        for start in [1, len / 2, len.saturating_sub(1), len] {
            let mut piece = vec![0; 100];
            let read = read_full_at(&object, &mut piece, start as u64).unwrap();
            let expected = &content[start.min(len)..(start + 100).min(len)];
            assert_eq!(&piece[..read], expected, "{len} bytes from {start}");
        }
        for beyond in [len as u64, len as u64 + 1, 1 << 40] {
            assert_eq!(object.read_at(&mut [0; 8], beyond).unwrap(), 0);
        }
    }
}

/// Files of one hash or one uuid, but of different kinds, are different files.
pub fn every_kind_of_file_has_its_own_place<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let named = FileName::NamedMeta(Box::from(*b"name"));
    let finals = [data(1), outboard(1), paths(1), FileName::Tags, named];
    let mut expected = BTreeMap::new();
    for (n, name) in (10..).zip(&finals) {
        put(&backend, n, name, &bytes(n, 50));
        expected.insert(name.clone(), bytes(n, 50));
    }
    for (n, name) in (50..).zip(every_staging_name(1, 1)) {
        stage(&backend, &name, &bytes(n, 60));
        expected.insert(name, bytes(n, 60));
    }
    for (name, content) in expected {
        assert_holds(&backend, &name, &content);
    }
}

/// What one opening publishes, stages or removes, another one sees.
pub fn openings_share_one_store<H: BackendHarness>() {
    let harness = H::fresh();
    let (one, two) = (harness.open(), harness.open());
    put(&one, 1, &data(1), b"first");
    stage(&one, &temp(7), b"under way");
    assert_holds(&two, &data(1), b"first");
    let mut resumed = two.resume(&temp(7)).unwrap();
    write_all_at(&mut resumed, b"!", 9).unwrap();
    publish(&two, vec![(resumed, data(2))]).unwrap();
    assert_holds(&one, &data(2), b"under way!");
    two.remove(&[data(1)]).unwrap();
    assert!(one.open(&data(1)).unwrap().is_none());
    assert_eq!(own_names(&one), [data(2)]);
}

/// Staging under a name that is taken says so, and leaves the file that has it alone.
pub fn staging_refuses_a_taken_name<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    for name in every_staging_name(1, 1) {
        let mut staged = backend.stage_new(&name).unwrap();
        write_all_at(&mut staged, b"mine", 0).unwrap();
        for opening in [&backend, &harness.open()] {
            match opening.stage_new(&name) {
                Err(BackendError::Exists { name: taken }) => assert_eq!(taken, name),
                Err(other) => panic!("{name}: {other:?}"),
                Ok(_) => panic!("{name} was staged twice"),
            }
        }
        assert_eq!(read_all(&staged), b"mine");
        drop(staged);
        assert!(matches!(
            backend.stage_new(&name),
            Err(BackendError::Exists { .. })
        ));
        assert_holds(&backend, &name, b"mine");
    }
}

/// A staged file reads back what was written to it, in any order of pieces; a gap reads as zeros.
pub fn a_staged_file_reads_back_as_written<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let mut staged = backend.stage_new(&temp(1)).unwrap();
    assert_eq!(staged.size().unwrap(), 0);
    assert_eq!(staged.read_at(&mut [0; 4], 0).unwrap(), 0);
    let mut expected = Vec::new();
    for (n, (offset, len)) in (1..).zip([
        (100_000, 10),
        (0, 10),
        (5, 10),
        (99_995, 10),
        (70_000, 40_000),
        (3, 1),
        (110_000, 1),
        (200_000, 0),
    ]) {
        let piece = bytes(n, len);
        write_all_at(&mut staged, &piece, offset as u64).unwrap();
        if len > 0 {
            expected.resize(expected.len().max(offset + len), 0);
            expected[offset..offset + len].copy_from_slice(&piece);
        }
        assert_eq!(staged.size().unwrap(), expected.len() as u64);
        assert!(read_all(&staged) == expected, "after piece {n}");
    }
    publish(&backend, vec![(staged, data(1))]).unwrap();
    assert_holds(&backend, &data(1), &expected);
}

/// A staged file is cut, and extended with zeros, also where it had other bytes before.
pub fn a_staged_file_is_cut_and_extended<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let mut staged = backend.stage_new(&temp(1)).unwrap();
    write_all_at(&mut staged, b"abcdef", 0).unwrap();
    staged.set_len(3).unwrap();
    assert_eq!(read_all(&staged), b"abc");
    staged.set_len(5).unwrap();
    assert_eq!(read_all(&staged), b"abc\0\0");
    staged.set_len(0).unwrap();
    assert_eq!(read_all(&staged), b"");
    staged.set_len(2).unwrap();
    write_all_at(&mut staged, b"z", 3).unwrap();
    assert_eq!(read_all(&staged), b"\0\0\0z");
    publish(&backend, vec![(staged, data(1))]).unwrap();
    assert_holds(&backend, &data(1), b"\0\0\0z");
}

/// What is staged is never served under a final name; what was published there before stays.
pub fn what_is_staged_is_not_served_as_complete<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &outboard(1), b"old");
    for name in every_staging_name(1, 2) {
        stage(&backend, &name, b"not complete");
    }
    for name in [data(1), paths(1), FileName::Tags] {
        assert!(backend.open(&name).unwrap().is_none(), "{name}");
    }
    assert_holds(&backend, &outboard(1), b"old");
}

/// Dropping a staged file keeps it, to be read and resumed, in this opening and in another.
pub fn dropping_a_staged_file_keeps_it<H: BackendHarness>() {
    let harness = H::fresh();
    let content = bytes(1, 70_000);
    {
        let backend = harness.open();
        stage(&backend, &partial(1, 1), &content[..30_000]);
    }
    let backend = harness.open();
    assert_holds(&backend, &partial(1, 1), &content[..30_000]);
    let mut staged = backend.resume(&partial(1, 1)).unwrap();
    assert_eq!(read_all(&staged), &content[..30_000]);
    write_all_at(&mut staged, &content[30_000..], 30_000).unwrap();
    assert_eq!(staged.size().unwrap(), content.len() as u64);
    publish(&backend, vec![(staged, data(1))]).unwrap();
    assert_holds(&backend, &data(1), &content);
    assert_eq!(own_names(&backend), [data(1)]);
}

/// Resuming what was never staged, or is gone, says `Missing`.
pub fn resuming_a_missing_file_says_so<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    stage(&backend, &partial(1, 3), b"");
    backend.remove(&[partial(1, 3)]).unwrap();
    for name in [partial(1, 1), partial(1, 3), temp(1)] {
        match backend.resume(&name) {
            Err(BackendError::Missing { name: missing }) => assert_eq!(missing, name),
            Err(other) => panic!("{name}: {other:?}"),
            Ok(_) => panic!("{name} was resumed"),
        }
    }
    assert_eq!(own_names(&backend), []);
}

/// Discarding removes the staged file, and only that; its name is free again.
pub fn discarding_removes_the_file<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), b"kept");
    stage(&backend, &temp(3), b"kept, too");
    let mut staged = backend.stage_new(&temp(2)).unwrap();
    write_all_at(&mut staged, b"discarded", 0).unwrap();
    backend.discard(staged).unwrap();
    assert_eq!(own_names(&backend), [data(1), temp(3)]);
    assert!(backend.open(&temp(2)).unwrap().is_none());
    assert!(matches!(
        backend.resume(&temp(2)),
        Err(BackendError::Missing { .. })
    ));
    let again = backend.stage_new(&temp(2)).unwrap();
    assert_eq!(again.size().unwrap(), 0);
    // One that is gone already is no failure.
    backend.remove(&[temp(2)]).unwrap();
    backend.discard(again).unwrap();
    assert_holds(&backend, &temp(3), b"kept, too");
}

/// Publishing gives the content its final name and takes the staging name away, for every kind of file.
pub fn publishing_moves_the_content<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let moves = [
        (temp(1), data(1)),
        (temp(2), outboard(1)),
        (partial(2, 3), data(2)),
        (FileName::PartialOutboard(hash(2), uuid(3)), outboard(2)),
        (FileName::PathsTemp(hash(3), uuid(4)), paths(3)),
        (FileName::TagsTemp(uuid(5)), FileName::Tags),
    ];
    for (n, (from, to)) in (1..).zip(&moves) {
        let content = bytes(n, 40_000);
        let mut staged = backend.stage_new(from).unwrap();
        write_all_at(&mut staged, &content, 0).unwrap();
        publish(&backend, vec![(staged, to.clone())]).unwrap();
        assert!(backend.open(from).unwrap().is_none(), "{from}");
        assert_holds(&backend, to, &content);
    }
    let mut expected = moves.map(|(_, to)| to);
    expected.sort();
    assert_eq!(own_names(&backend), expected);
}

/// Publishing replaces what bears the final name. An object that was opened before reads the old bytes.
pub fn publishing_replaces_and_old_handles_read_on<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let (old, new) = (bytes(1, 30_000), bytes(2, 100));
    put(&backend, 1, &data(1), &old);
    let object = backend.open(&data(1)).unwrap().unwrap();
    put(&backend, 2, &data(1), &new);
    assert_holds(&backend, &data(1), &new);
    assert_eq!(object.size().unwrap(), old.len() as u64);
    assert_eq!(read_all(&object), old);
    assert_eq!(own_names(&backend), [data(1)]);
}

/// A batch is published in its order: of two files with one final name, the later one stays.
pub fn publishing_is_in_order<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let batch = vec![
        (staged(&backend, 1, b"one"), data(1)),
        (staged(&backend, 2, b"two"), data(2)),
        (staged(&backend, 3, b"three"), data(1)),
    ];
    publish(&backend, batch).unwrap();
    assert_holds(&backend, &data(1), b"three");
    assert_holds(&backend, &data(2), b"two");
    assert_eq!(own_names(&backend).len(), 2);
}

/// Publishing, ensuring and removing nothing is no failure and changes nothing.
pub fn an_empty_batch_publishes<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    stage(&backend, &temp(1), b"untouched");
    publish(&backend, Vec::new()).unwrap();
    backend.ensure_durable(&[]).unwrap();
    backend.remove(&[]).unwrap();
    assert_holds(&backend, &temp(1), b"untouched");
    assert_eq!(own_names(&backend), [temp(1)]);
}

/// A batch may be long, and of all kinds.
pub fn two_hundred_files_publish_at_once<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let to = |n| if n % 2 == 0 { data(n) } else { outboard(n) };
    let batch = (0..200)
        .map(|n| (staged(&backend, n, &bytes(n, usize::from(n) * 10)), to(n)))
        .collect();
    publish(&backend, batch).unwrap();
    for n in 0..200 {
        assert_holds(&backend, &to(n), &bytes(n, usize::from(n) * 10));
    }
    assert_eq!(own_names(&backend).len(), 200);
}

/// When a batch stops in the middle, the files that count as done are there, what is unknown is at most
/// there, and the others are discarded, and what their final names meant before stays.
pub fn a_batch_that_fails_says_how_far_it_came<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 50, &data(4), b"before");
    let batch: Vec<_> = (0..5)
        .map(|n| (staged(&backend, n, &[b'0' + n]), data(n)))
        .collect();
    // Somebody takes a staged file away. A back end that does not need its name any more may go on.
    backend.remove(&[temp(2)]).unwrap();
    let Err(error) = publish(&backend, batch) else {
        for n in 0..5 {
            assert_holds(&backend, &data(n), &[b'0' + n]);
        }
        return;
    };
    assert!(error.done <= 3, "{error:?}");
    for n in 0..5 {
        let found = backend.open(&data(n)).unwrap().map(|o| read_all(&o));
        let (new, old) = (vec![b'0' + n], (n == 4).then(|| b"before".to_vec()));
        match usize::from(n) {
            index if index < error.done => assert_eq!(found, Some(new)),
            index if index < error.done + error.unknown => {
                assert!(found == Some(new) || found == old, "{n}: {found:?}");
            }
            _ => assert_eq!(found, old, "{n} was not reached"),
        }
    }
    let mut names = own_names(&backend);
    names.retain(|name| !matches!(name, FileName::Data(_)));
    assert_eq!(names, [], "what was staged is discarded");
}

/// When a batch fails, what had an ephemeral name is discarded, and partial files stay: they may be all there
/// is of their blobs.
pub fn a_batch_that_fails_keeps_partial_files<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    if !harness.plant(OsStr::new(&data(1).to_string()), EntryKind::Directory) {
        return;
    }
    let partial = FileName::PartialData(hash(1), uuid(1));
    let mut first = backend.stage_new(&partial).unwrap();
    write_all_at(&mut first, b"all there is", 0).unwrap();
    let batch = vec![(first, data(1)), (staged(&backend, 2, b"two"), data(2))];
    let error = publish(&backend, batch).unwrap_err();
    assert_eq!((error.done, error.unknown), (0, 0));
    assert_holds(&backend, &partial, b"all there is");
    assert!(backend.open(&data(2)).unwrap().is_none());
    assert!(backend.open(&temp(2)).unwrap().is_none());
}

/// Files that are there can be made durable, as often as one likes; one that is not is `Missing`.
pub fn ensuring_durability_wants_the_files<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), b"one");
    put(&backend, 2, &outboard(1), b"two");
    put(&backend, 3, &FileName::Tags, b"three");
    let names = [data(1), outboard(1), FileName::Tags, data(1)];
    harness.open().ensure_durable(&names).unwrap();
    backend.ensure_durable(&names).unwrap();
    match backend.ensure_durable(&[data(1), data(2), outboard(1)]) {
        Err(BackendError::Missing { name }) => assert_eq!(name, data(2)),
        other => panic!("{other:?}"),
    }
    assert_holds(&backend, &data(1), b"one");
    assert_holds(&backend, &outboard(1), b"two");
    assert_holds(&backend, &FileName::Tags, b"three");
}

/// Demoting gives a published file a partial name, under which it is read and resumed.
pub fn demoting_takes_the_file_back<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let content = bytes(1, 50_000);
    put(&backend, 1, &data(1), &content);
    put(&backend, 2, &outboard(1), b"outboard");
    let object = backend.open(&data(1)).unwrap().unwrap();
    backend.demote(&data(1), &partial(1, 9)).unwrap();
    assert!(backend.open(&data(1)).unwrap().is_none());
    assert_eq!(read_all(&object), content);
    assert_holds(&backend, &partial(1, 9), &content);
    let to = FileName::PartialOutboard(hash(1), uuid(9));
    backend.demote(&outboard(1), &to).unwrap();
    assert_eq!(own_names(&backend), [partial(1, 9), to]);
    drop(object);
    let mut resumed = backend.resume(&partial(1, 9)).unwrap();
    assert_eq!(read_all(&resumed), content);
    write_all_at(&mut resumed, b"mended", 0).unwrap();
    publish(&backend, vec![(resumed, data(1))]).unwrap();
    let expected = [b"mended", &content[6..]].concat();
    assert_holds(&backend, &data(1), &expected);
}

/// Demoting what is not there says `Missing`, and makes nothing.
pub fn demoting_a_missing_file_says_so<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    match backend.demote(&data(1), &partial(1, 1)) {
        Err(BackendError::Missing { name }) => assert_eq!(name, data(1)),
        other => panic!("{other:?}"),
    }
    assert_eq!(own_names(&backend), []);
}

/// Demoting to a name that is taken says `Exists`, and leaves both files alone.
pub fn demoting_never_overwrites<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), b"published");
    stage(&backend, &partial(1, 1), b"partial");
    match backend.demote(&data(1), &partial(1, 1)) {
        Err(BackendError::Exists { name }) => assert_eq!(name, partial(1, 1)),
        other => panic!("{other:?}"),
    }
    assert_holds(&backend, &data(1), b"published");
    assert_holds(&backend, &partial(1, 1), b"partial");
}

/// Removing takes away what it is told, published, partial or temporary, and nothing else.
pub fn removing_takes_names_away<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    for n in 0..4 {
        put(&backend, n, &data(n), b"data");
        put(&backend, n, &outboard(n), b"outboard");
    }
    put(&backend, 9, &FileName::Tags, b"tags");
    let mut staged = every_staging_name(1, 1);
    for name in &staged {
        stage(&backend, name, b"staged");
    }
    backend
        .remove(&[data(1), outboard(1), outboard(3)])
        .unwrap();
    backend.remove(&staged.split_off(2)).unwrap();
    let mut expected = vec![data(0), data(2), data(3), outboard(0), outboard(2)];
    expected.push(FileName::Tags);
    expected.extend(staged);
    expected.sort();
    assert_eq!(own_names(&backend), expected);
    assert!(backend.open(&data(1)).unwrap().is_none());
    assert_holds(&backend, &data(3), b"data");
    // The name is free again.
    put(&backend, 1, &data(1), b"again");
    assert_holds(&backend, &data(1), b"again");
}

/// A name that is gone already counts as removed: alone, twice in one batch, and among others.
pub fn removing_is_idempotent<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), b"one");
    put(&backend, 2, &data(2), b"two");
    backend.remove(&[data(9), temp(9), FileName::Tags]).unwrap();
    backend
        .remove(&[data(9), data(1), data(1), temp(9)])
        .unwrap();
    backend.remove(&[data(1)]).unwrap();
    assert_eq!(own_names(&backend), [data(2)]);
    assert_holds(&backend, &data(2), b"two");
}

/// Names of a group may be of several areas; one that is gone counts as removed.
pub fn groups_are_removed_and_told_in_their_order<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let mut groups = Vec::new();
    for n in 0..40 {
        put(&backend, n, &data(n), &[n]);
        let mut group = vec![data(n)];
        if n % 2 == 0 {
            put(&backend, n, &outboard(n), b"outboard");
            group.push(outboard(n));
        }
        if n % 5 == 0 {
            stage(&backend, &partial(n, n), b"partial");
            group.push(partial(n, n));
        }
        groups.push(group);
    }
    stage(&backend, &temp(99), b"temporary");
    groups.push(vec![temp(99), data(98)]);
    groups.push(Vec::new());
    let kept = groups.remove(7);
    let outcomes = backend.remove_groups(&groups);
    assert_eq!(outcomes.len(), groups.len());
    for outcome in outcomes {
        outcome.unwrap();
    }
    assert_eq!(own_names(&backend), kept);
    assert_holds(&backend, &data(7), &[7]);
    assert!(backend.remove_groups(&[]).is_empty());
}

/// "Up to the first that cannot be removed, which keeps no other group from going."
pub fn a_group_that_cannot_go_keeps_no_other<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    if !harness.plant(OsStr::new(&data(2).to_string()), EntryKind::Directory) {
        return;
    }
    for n in [1, 3] {
        put(&backend, n, &data(n), b"data");
    }
    for n in [1, 2, 3] {
        put(&backend, n, &outboard(n), b"outboard");
        put(&backend, n, &paths(n), b"paths");
    }
    let groups = [1, 2, 3].map(|n| vec![paths(n), data(n), outboard(n)]);
    let outcomes = backend.remove_groups(&groups);
    let [Ok(()), Err(error), Ok(())] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!((error.done, error.unknown), (1, 0), "{error:?}");
    for n in [1, 2, 3] {
        let left = backend.open(&outboard(n)).unwrap().is_some();
        assert_eq!(left, n == 2);
        assert!(backend.open(&paths(n)).unwrap().is_none());
    }
    assert!(backend.open(&data(3)).unwrap().is_none());
    assert_holds(&backend, &outboard(2), b"outboard");
}

/// "`None` of one that is not there or cannot be measured", in the order of the names.
pub fn lengths_are_those_of_the_files<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), &bytes(1, 20_000));
    put(&backend, 2, &FileName::Tags, b"tags");
    stage(&backend, &partial(1, 1), b"partial");
    harness.plant(OsStr::new(&data(5).to_string()), EntryKind::Directory);
    let names = [
        partial(1, 1),
        data(5),
        data(9),
        data(1),
        FileName::Tags,
        data(1),
    ];
    let expected = [Some(7), None, None, Some(20_000), Some(4), Some(20_000)];
    assert_eq!(backend.lens_of(&names), expected);
    assert_eq!(backend.lens_of(&[]), []);
}

/// An object that is open stays readable when its name is removed, and when the name is given again.
pub fn a_removed_object_stays_readable<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    let content = bytes(1, 200_000);
    put(&backend, 1, &data(1), &content);
    let object = backend.open(&data(1)).unwrap().unwrap();
    harness.open().remove(&[data(1)]).unwrap();
    assert_eq!(object.size().unwrap(), content.len() as u64);
    assert!(read_all(&object) == content);
    put(&backend, 2, &data(1), b"another");
    assert!(read_all(&object) == content);
}

/// A file outside the store is read under a granted directory, however deep, and is not listed.
pub fn an_external_file_is_read<H: BackendHarness>() {
    let harness = H::fresh();
    for (n, below) in (1..).zip(["file", "a/b/c/file", "a/b/name with spaces-ü"]) {
        let path = external(&harness, below);
        harness.put_external(&path, &bytes(n, 20_000));
        for backend in [harness.open(), harness.open()] {
            let object = backend.external(&path).unwrap();
            assert_eq!(object.size().unwrap(), 20_000);
            assert_eq!(read_all(&object), bytes(n, 20_000), "{path}");
            assert_eq!(own_names(&backend), []);
        }
    }
}

/// An external path without a grant is `NotGranted`, also where its text begins like a granted directory.
pub fn an_external_path_needs_a_grant<H: BackendHarness>() {
    let harness = H::fresh();
    harness.put_external(&external(&harness, "file"), b"granted");
    let backend = harness.open();
    let granted = harness.granted();
    for path in [
        format!("{granted}x/file"),
        format!("{granted}-file"),
        granted.clone(),
        "/nowhere-near/file".to_owned(),
    ] {
        let path = ExternalPath::parse(&path).unwrap();
        match backend.external(&path) {
            Err(BackendError::NotGranted { path: refused }) => assert_eq!(refused, path),
            Err(other) => panic!("{path}: {other:?}"),
            Ok(_) => panic!("{path} was opened"),
        }
    }
}

/// An external file that is not there, or lies in a directory that is not, is `NotFound`.
pub fn a_missing_external_file_says_so<H: BackendHarness>() {
    let harness = H::fresh();
    harness.put_external(&external(&harness, "file"), b"there");
    let backend = harness.open();
    for below in ["other", "no/such/directory"] {
        let error = backend.external(&external(&harness, below)).err().unwrap();
        assert_eq!(
            error.io_kind(),
            Some(io::ErrorKind::NotFound),
            "{below}: {error:?}"
        );
    }
}

/// Of several grants for one path the one with the longest prefix decides.
pub fn the_longest_grant_decides<H: BackendHarness>() {
    let harness = H::fresh();
    if let Some(path) = harness.put_shadowed(b"outer", b"inner") {
        let object = harness.open().external(&path).unwrap();
        assert_eq!(read_all(&object), b"inner");
    }
}

/// An external path that leads into the store is refused as `InsideStore`.
pub fn no_external_path_leads_into_the_store<H: BackendHarness>() {
    let harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), b"internal");
    if let Some(path) = harness.path_inside(&data(1)) {
        match harness.open().external(&path) {
            Err(BackendError::InsideStore { path: refused }) => assert_eq!(refused, path),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{path} was opened"),
        }
    }
    assert_holds(&backend, &data(1), b"internal");
}

/// A file that does not change has one stamp, through every handle, with its length in it.
pub fn a_stamp_stays_while_a_file_does<H: BackendHarness>() {
    let harness = H::fresh();
    let path = external(&harness, "file");
    harness.put_external(&path, b"content");
    let backend = harness.open();
    put(&backend, 1, &data(1), b"other content");
    let one = backend.external(&path).unwrap();
    let first = backend.stamp(&one).unwrap();
    assert_eq!(first.len, 7);
    read_all(&one);
    let two = backend.external(&path).unwrap();
    assert_eq!(backend.stamp(&two).unwrap(), first);
    assert_eq!(backend.stamp(&one).unwrap(), first);
    let object = backend.open(&data(1)).unwrap().unwrap();
    let stamp = backend.stamp(&object).unwrap();
    assert_eq!(stamp.len, 13);
    let again = backend.open(&data(1)).unwrap().unwrap();
    assert_eq!(backend.stamp(&again).unwrap(), stamp);
}

/// A change of an external file changes its stamp, through the old handle and a new one: longer, shorter,
/// or of the same length.
pub fn a_stamp_tells_a_changed_external_file<H: BackendHarness>() {
    let harness = H::fresh();
    let path = external(&harness, "file");
    harness.put_external(&path, b"content");
    let backend = harness.open();
    let old = backend.external(&path).unwrap();
    let mut before = backend.stamp(&old).unwrap();
    for content in [&b"longer content"[..], b"CONTENT", b"content", b""] {
        harness.put_external(&path, content);
        let new = backend.external(&path).unwrap();
        assert_eq!(read_all(&new), content);
        let after = backend.stamp(&new).unwrap();
        assert_ne!(after, before, "{}", content.escape_ascii());
        assert_eq!(after.len, content.len() as u64);
        assert_ne!(backend.stamp(&old).unwrap(), before);
        before = after;
    }
}

/// After `publish` returned `Ok`, a power loss keeps contents and names, and what was replaced stays so.
pub fn what_is_published_survives_a_power_loss<H: BackendHarness>() {
    let mut harness = H::fresh();
    let backend = harness.open();
    put(&backend, 60, &data(0), b"replaced");
    put(&backend, 61, &FileName::Tags, b"tags");
    let batch = (0..20)
        .map(|n| (staged(&backend, n, &bytes(n, 5000)), data(n)))
        .collect();
    publish(&backend, batch).unwrap();
    if harness.lose_power() {
        let backend = harness.open();
        for n in 0..20 {
            assert_holds(&backend, &data(n), &bytes(n, 5000));
        }
        assert_holds(&backend, &FileName::Tags, b"tags");
    }
}

/// After `remove` returned `Ok`, a power loss brings nothing back.
pub fn what_is_removed_stays_removed<H: BackendHarness>() {
    let mut harness = H::fresh();
    let backend = harness.open();
    for n in 0..4 {
        put(&backend, n, &data(n), b"data");
    }
    put(&backend, 9, &FileName::Tags, b"tags");
    backend.remove(&[data(0), FileName::Tags, data(2)]).unwrap();
    if harness.lose_power() {
        assert_eq!(own_names(&harness.open()), [data(1), data(3)]);
    }
}

/// What a process left that died, another one makes durable: contents and names.
pub fn what_a_dead_process_left_is_made_durable<H: BackendHarness>() {
    let mut harness = H::fresh();
    let backend = harness.open();
    stage(&backend, &partial(1, 1), b"never synced");
    if !harness.kill() {
        return;
    }
    harness.open().ensure_durable(&[partial(1, 1)]).unwrap();
    if harness.lose_power() {
        assert_holds(&harness.open(), &partial(1, 1), b"never synced");
    }
}

/// A removal that a process began and did not live to see done is done, and stays done, once another
/// process removed the name and was told `Ok`: being gone already is not being gone for good.
pub fn what_a_dead_process_removed_stays_removed<H: BackendHarness>() {
    let mut harness = H::fresh();
    let backend = harness.open();
    let names = [temp(1), partial(1, 1), FileName::TagsTemp(uuid(2))];
    for name in &names {
        stage(&backend, name, b"durable");
    }
    backend.ensure_durable(&names).unwrap();
    for name in &names {
        // `discard` promises no durability.
        backend.discard(backend.resume(name).unwrap()).unwrap();
    }
    if !harness.kill() {
        return;
    }
    harness.open().remove(&names).unwrap();
    if harness.lose_power() {
        assert_eq!(own_names(&harness.open()), []);
    }
}

/// After `demote` returned `Ok`, a power loss keeps the content under the partial name.
pub fn what_is_demoted_survives_a_power_loss<H: BackendHarness>() {
    let mut harness = H::fresh();
    let backend = harness.open();
    put(&backend, 1, &data(1), &bytes(1, 5000));
    backend.demote(&data(1), &partial(1, 1)).unwrap();
    if harness.lose_power() {
        let backend = harness.open();
        assert_eq!(own_names(&backend), [partial(1, 1)]);
        assert_holds(&backend, &partial(1, 1), &bytes(1, 5000));
    }
}

fn hash(n: u8) -> Hash {
    Hash::from_bytes([n; 32])
}

fn uuid(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

fn data(n: u8) -> FileName {
    FileName::Data(hash(n))
}

fn outboard(n: u8) -> FileName {
    FileName::Outboard(hash(n))
}

fn paths(n: u8) -> FileName {
    FileName::Paths(hash(n))
}

fn temp(n: u8) -> FileName {
    FileName::Temp(uuid(n))
}

fn partial(n: u8, id: u8) -> FileName {
    FileName::PartialData(hash(n), uuid(id))
}

/// One name of each kind that may be staged, in order.
fn every_staging_name(n: u8, id: u8) -> Vec<FileName> {
    vec![
        partial(n, id),
        FileName::PartialOutboard(hash(n), uuid(id)),
        FileName::PathsTemp(hash(n), uuid(id)),
        temp(id),
        FileName::TagsTemp(uuid(id)),
    ]
}

/// Bytes that differ from position to position and from `n` to `n`.
fn bytes(n: u8, len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32.wrapping_mul(u32::from(n) + 1);
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    })
    .take(len)
    .collect()
}

fn external<H: BackendHarness>(harness: &H, below: &str) -> ExternalPath {
    ExternalPath::parse(&format!("{}/{below}", harness.granted())).unwrap()
}

/// Stages a file and keeps it without its handle.
fn stage<B: Backend>(backend: &B, name: &FileName, content: &[u8]) {
    let mut staged = backend.stage_new(name).unwrap();
    write_all_at(&mut staged, content, 0).unwrap();
}

fn staged<B: Backend>(backend: &B, n: u8, content: &[u8]) -> B::Staged {
    let mut staged = backend.stage_new(&temp(n)).unwrap();
    write_all_at(&mut staged, content, 0).unwrap();
    staged
}

/// Publishes one file through the temporary name `n`.
fn put<B: Backend>(backend: &B, n: u8, name: &FileName, content: &[u8]) {
    let staged = staged(backend, n, content);
    publish(backend, vec![(staged, name.clone())]).unwrap();
}

fn publish<B: Backend>(backend: &B, batch: Vec<(B::Staged, FileName)>) -> Result<(), BatchError> {
    backend.publish(batch)
}

/// The typed names of the listing but the lock's, in order; each must be listed once, as a file.
fn own_names<B: Backend>(backend: &B) -> Vec<FileName> {
    let mut names = Vec::new();
    backend
        .list(&mut |entry| match entry.name {
            ListedName::Typed(FileName::Lock) | ListedName::Foreign(_) => {}
            ListedName::Typed(name) => {
                assert_eq!(entry.kind, EntryKind::File, "{name}");
                names.push(name.clone());
            }
        })
        .unwrap();
    names.sort();
    let listed = names.len();
    names.dedup();
    assert_eq!(names.len(), listed, "a name is listed twice");
    names
}

fn read_all(from: &impl ReadAt) -> Vec<u8> {
    let size = usize::try_from(from.size().unwrap()).unwrap();
    // One more than there should be, to see that there is no more.
    let mut content = vec![0; size + 1];
    let read = read_full_at(from, &mut content, 0).unwrap();
    assert_eq!(read, size, "as many bytes as the size says");
    content.truncate(read);
    content
}

fn assert_holds<B: Backend>(backend: &B, name: &FileName, content: &[u8]) {
    let object = backend.open(name).unwrap();
    let object = object.unwrap_or_else(|| panic!("{name} is not there"));
    assert!(read_all(&object) == content, "the content of {name}");
}
