//! What a [`Store`] promises on every back end, as tests that anybody can run on their own.
//!
//! Implement [`StoreHarness`] beside [`BackendHarness`], and expand
//! [`store_conformance!`](crate::store_conformance) once in a test file: each promise becomes one
//! `#[test]`. A function here is a promise; its text is the sentence that is held. Where it is a row of
//! `tests/PEER-DEFECTS.md` or `tests/BAD-INPUTS.md`, the text says so: `PD-07`, `BI-041`.
//!
//! Damage and other programs come through further openings of the same place: what they publish or remove
//! is news to the store that is tested.

// A conformance suite reports by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    io::{self, Read},
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
};

use bao_tree::{BlockSize, io::outboard::PreOrderMemOutboard};
use flatbao_core::{
    Backend, EntryKind, Env, ExternalPath, FileName, Hash, HashAndFormat, HashSeq, ListedName,
    OpenOptions, Progress, ReadAt, Recovery, Store, Tag, Uuid,
    io::{read_full_at, write_all_at},
    progress::unwatched,
    store::{GcPlan, Imported, Locking, Status, Swept},
};

use crate::backend_suite::BackendHarness;
pub(crate) use crate::files::{paths_file, tags_file, tags_payload};

mod care;
mod collect;
mod copy;
mod delete;
mod export;
mod external;
mod import;
mod open;
mod read;
mod receive;
mod send;
mod tags;

pub use care::*;
pub use collect::*;
pub use copy::*;
pub use delete::*;
pub use export::*;
pub use external::*;
pub use import::*;
pub use open::*;
pub use read::*;
pub use receive::*;
pub use send::*;
pub use tags::*;

/// A place for one store, with all that a store needs besides.
pub trait StoreHarness: BackendHarness {
    /// Time and randomness for one opening; it may be shared by all openings of the place.
    fn env(&self) -> Env;

    /// Who keeps other writers out: on a platform without locks, the harness.
    fn locking(&self) -> Locking {
        Locking::Exclusive
    }
}

/// Expands to one `#[test]` for each promise, in a module of this name, on this [`StoreHarness`].
///
/// ```text
/// flatbao_tests::store_conformance!(my_store, MyHarness);
/// ```
#[macro_export]
macro_rules! store_conformance {
    ($module:ident, $harness:ty) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;

            $crate::store_conformance!(@tests $harness:
                imports_have_the_files_of_the_format
                imports_beyond_a_page_have_the_files_of_the_format
                short_and_interrupted_reads_are_one_import
                a_file_is_imported_by_copy
                a_wrong_claim_leaves_nothing
                a_cap_ends_an_endless_source
                a_failing_source_leaves_nothing
                a_missing_file_is_no_import
                a_cancelled_import_leaves_nothing
                what_was_proved_is_not_written_again
                what_was_not_proved_is_replaced
                damage_that_was_read_is_mended_by_an_import
                a_batch_lands_in_order
                a_dropped_batch_leaves_nothing
                a_failed_import_does_not_spoil_its_batch
                a_batch_of_any_size_lands
                a_pending_import_survives_collection
                an_import_is_held_until_its_tag_is_dropped
                poor_randomness_is_an_error_and_no_loss
                a_collection_reads_back
                a_reader_equals_a_slice
                every_position_is_reached
                no_unverified_byte_is_handed_out
                damage_among_many_groups_stays_where_it_is
                no_flipped_bit_gets_through
                a_cut_blob_never_looks_shorter
                a_lying_size_is_never_exposed
                a_lost_outboard_is_made_again
                a_damaged_outboard_does_not_matter
                an_outboard_is_no_blob
                what_is_not_there_is_told_apart
                a_cap_bounds_what_is_read
                a_reader_outlives_its_blob
                listings_tell_what_is_there
                an_external_file_is_imported_by_reference
                references_beyond_a_page_have_the_files_of_the_format
                a_second_reference_adds_a_path
                a_changed_external_file_is_told
                a_missing_external_file_is_told
                the_next_path_is_tried
                two_homes_make_one_blob
                a_blob_has_both_homes
                a_path_without_a_grant_is_told
                a_path_that_is_never_opened_is_told
                a_damaged_list_of_paths_hurts_its_blob_only
                a_file_that_changes_while_it_is_read_is_refused
                an_external_file_is_never_touched
                the_first_opening_writes_an_empty_database
                tags_are_set_replaced_and_removed
                a_tag_needs_no_blob
                a_tag_that_cannot_be_set_changes_nothing
                automatic_tags_are_unique_whatever_the_clock_says
                a_database_without_checksum_gets_one
                a_database_that_another_program_changed_is_not_overwritten
                a_missing_database_is_not_an_empty_one
                a_damaged_database_makes_the_store_read_only
                what_nothing_reaches_is_collected
                hundreds_are_collected
                a_sequence_keeps_its_children_one_level_deep
                raw_and_sequence_tag_on_one_blob_keep_the_children
                a_root_that_is_also_a_child_keeps_its_children
                a_temporary_tag_keeps_blob_and_children
                a_raw_root_may_be_missing_or_partial
                an_unreadable_root_sequence_stops_everything
                an_unreadable_temporary_sequence_stops_everything
                what_is_protected_after_the_mark_is_spared
                what_was_protected_after_the_mark_is_spared_once
                plans_overlap
                a_sequence_that_was_protected_after_the_mark_must_be_readable
                a_plan_of_another_opening_removes_nothing
                a_dropped_plan_changes_nothing
                tags_that_went_missing_stop_everything
                damaged_tags_stop_everything
                tags_that_another_program_changed_stop_everything
                a_collection_without_tags_is_confirmed_first
                damage_is_not_collected
                a_callback_may_use_the_store
                a_cancelled_collection_stops_where_it_is
                without_a_lock_nothing_is_deleted
                an_unreached_blob_is_deleted
                what_is_in_use_is_not_deleted
                force_overrides_tags_only
                an_export_copies_a_blob
                an_export_by_reference_gives_the_data_away
                the_threshold_decides_what_is_given_away
                an_external_blob_gains_a_path
                a_forgotten_blob_is_only_outside
                what_is_in_use_is_not_forgotten
                an_existing_target_is_replaced_only_when_asked
                an_export_onto_its_own_file_is_right
                a_damaged_blob_exports_nothing
                damaged_data_are_not_given_away
                what_is_not_there_exports_nothing
                an_export_needs_a_grant
                a_read_only_opening_only_copies
                a_cancelled_export_leaves_nothing
                a_store_persists
                what_a_dead_writer_left_is_removed
                an_interrupted_completion_is_finished
                an_incomplete_completion_is_kept
                half_entries_are_kept_and_reported
                what_is_not_the_stores_is_left_alone
                damaged_files_do_not_keep_a_store_from_opening
                a_second_opening_is_busy
                a_cancelled_opening_changes_nothing
                work_that_is_stopped_is_done_the_next_time
                a_read_only_opening_changes_nothing
                a_read_only_opening_works_beside_a_writer
                a_read_only_opening_refuses_to_write
                an_opening_without_lock_removes_no_leftovers
                a_whole_store_is_found_whole
                looking_changes_nothing
                damaged_data_keep_their_good_groups
                two_homes_are_put_together
                outboards_are_made_again
                the_last_path_stays
                an_interrupted_demotion_is_finished
                what_tags_name_is_looked_for
                damaged_tags_are_salvaged
                missing_tags_are_restored
                streams_are_those_of_bao_tree
                no_damage_is_sent
                a_failing_writer_is_told
                what_is_there_of_a_blob_is_served
                a_claimed_size_is_not_exposed
                a_stream_becomes_a_blob
                a_stream_that_goes_on_is_told
                the_size_may_be_told
                a_blob_comes_in_parts
                partial_entries_have_the_format
                a_broken_stream_is_resumed
                a_wrong_stream_is_refused
                a_lying_size_does_no_harm
                what_came_under_a_wrong_size_is_kept
                parts_of_several_entries_are_put_together
                what_is_damaged_of_a_part_is_missing
                small_partial_blobs_survive
                a_part_with_a_final_outboard_is_completed
                a_complete_blob_stays
                a_damaged_group_is_received
                a_demoted_blob_lacks_its_damage_only
                a_partial_blob_is_fed
                few_parts_of_groups_are_held
                a_partial_blob_outlives_a_wrong_stream
                two_receive_one_blob
                what_is_received_is_kept_while_it_is_held
                a_received_sequence_keeps_its_children
                receiving_needs_a_store_that_is_written
                receiving_can_be_stopped
                a_completed_blob_is_durable
                a_copy_is_an_import
                a_sequence_is_copied_with_its_children
                a_copy_moves_what_is_missing
                a_damaged_source_gives_what_is_good
                a_stopped_copy_goes_on
            );
        }
    };
    (@tests $harness:ty: $($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::store_suite::$promise::<$harness>();
            }
        )*
    };
}

/// Asserts that a result is an error of this pattern.
macro_rules! assert_fails {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern $(if $guard)?)),
        }
    };
}
pub(crate) use assert_fails;

pub(crate) type StoreOf<H> = Store<<H as BackendHarness>::Backend>;

/// Files by name.
pub(crate) type Files = BTreeMap<FileName, Vec<u8>>;

/// Bytes of one chunk group.
pub(crate) const GROUP: usize = 16 * 1024;

pub(crate) fn open<H: StoreHarness>(harness: &H) -> StoreOf<H> {
    recover(harness).0
}

pub(crate) fn recover<H: StoreHarness>(harness: &H) -> (StoreOf<H>, Recovery) {
    recover_in(harness, harness.env())
}

/// As [`recover`], with this time and randomness.
pub(crate) fn recover_in<H: StoreHarness>(harness: &H, env: Env) -> (StoreOf<H>, Recovery) {
    let options = writing(harness);
    Store::open_with(harness.open(), env, options, &mut unwatched).unwrap()
}

/// How this place is opened for writing.
pub(crate) fn writing<H: StoreHarness>(harness: &H) -> OpenOptions {
    OpenOptions::default().locking(harness.locking())
}

pub(crate) fn open_read_only<H: StoreHarness>(harness: &H) -> StoreOf<H> {
    Store::open_read_only(harness.open(), harness.env())
        .unwrap()
        .0
}

/// Bytes that differ from position to position and from seed to seed, and are never zero at two places in
/// a row.
pub(crate) fn bytes(seed: usize, len: usize) -> Vec<u8> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Hash and outboard file by bao-tree.
pub(crate) fn oracle(data: &[u8]) -> (Hash, Vec<u8>) {
    let outboard = PreOrderMemOutboard::create(data, BlockSize::from_chunk_log(4));
    let hash = Hash::from_bytes(outboard.root.into());
    (hash, outboard.into_inner_with_prefix())
}

/// A store without a blob or tag.
pub(crate) fn no_files() -> Files {
    [(FileName::Tags, tags_file(&[]))].into()
}

pub(crate) fn expect_outboard(files: &mut Files, data: &[u8]) {
    let (hash, outboard) = oracle(data);
    if data.len() > GROUP {
        files.insert(FileName::Outboard(hash), outboard);
    }
}

pub(crate) fn expect_owned(files: &mut Files, data: &[u8]) {
    files.insert(FileName::Data(Hash::of(data)), data.to_vec());
    expect_outboard(files, data);
}

/// Every file of the place but the lock, as another program sees it.
pub(crate) fn files<H: BackendHarness>(harness: &H) -> Files {
    let backend = harness.open();
    let mut names = Vec::new();
    backend
        .list(&mut |entry| {
            if let ListedName::Typed(name) = entry.name
                && entry.kind == EntryKind::File
                && *name != FileName::Lock
            {
                names.push(name.clone());
            }
        })
        .unwrap();
    names
        .into_iter()
        .map(|name| {
            let object = backend.open(&name).unwrap().expect("it was listed");
            (name, read_object(&object))
        })
        .collect()
}

pub(crate) fn read_object(object: &impl ReadAt) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(object.size().unwrap()).unwrap()];
    let read = read_full_at(object, &mut content, 0).unwrap();
    assert_eq!(read, content.len());
    content
}

/// The place has these files with these bytes, and no others.
#[track_caller]
pub(crate) fn assert_files<H: BackendHarness>(harness: &H, expected: &Files) {
    let found = files(harness);
    let (names, expected_names): (Vec<_>, Vec<_>) =
        (found.keys().collect(), expected.keys().collect());
    assert_eq!(names, expected_names);
    for (name, content) in &found {
        assert!(*content == expected[name], "the content of {name}");
    }
}

/// A uuid that no other call returns.
pub(crate) fn fresh_uuid() -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let mut id = [0xfe; 16];
    id[8..].copy_from_slice(&LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Uuid::from_bytes(id)
}

/// Another program puts a file into the place, in one step.
pub(crate) fn plant<H: BackendHarness>(harness: &H, name: &FileName, content: &[u8]) {
    let backend = harness.open();
    let mut staged = backend.stage_new(&FileName::Temp(fresh_uuid())).unwrap();
    write_all_at(&mut staged, content, 0).unwrap();
    backend.publish(vec![(staged, name.clone())]).unwrap();
}

/// Another program leaves a temporary or partial file in the place.
pub(crate) fn plant_staged<H: BackendHarness>(harness: &H, name: &FileName, content: &[u8]) {
    let mut staged = harness.open().stage_new(name).unwrap();
    write_all_at(&mut staged, content, 0).unwrap();
}

/// Another program takes a file out of the place.
pub(crate) fn uproot<H: BackendHarness>(harness: &H, name: &FileName) {
    harness.open().remove(std::slice::from_ref(name)).unwrap();
}

/// Flips one bit of a file of the place.
pub(crate) fn flip<H: BackendHarness>(harness: &H, name: &FileName, at: usize) {
    let mut content = files(harness).remove(name).unwrap();
    content[at] ^= 1;
    plant(harness, name, &content);
}

pub(crate) fn external<H: BackendHarness>(harness: &H, below: &str) -> ExternalPath {
    ExternalPath::parse(&format!("{}/{below}", harness.granted())).unwrap()
}

/// An external file with this content.
pub(crate) fn put_external<H: BackendHarness>(
    harness: &H,
    below: &str,
    content: &[u8],
) -> ExternalPath {
    let path = external(harness, below);
    harness.put_external(&path, content);
    path
}

#[track_caller]
pub(crate) fn assert_external<H: BackendHarness>(harness: &H, path: &ExternalPath, content: &[u8]) {
    let object = harness.open().external(path).unwrap();
    assert!(read_object(&object) == content, "{path} was touched");
}

pub(crate) fn tag(name: &str) -> Tag {
    Tag::try_from(name).unwrap()
}

pub(crate) fn raw(hash: Hash) -> HashAndFormat {
    HashAndFormat::raw(hash)
}

pub(crate) fn seq(hash: Hash) -> HashAndFormat {
    HashAndFormat::hash_seq(hash)
}

pub(crate) fn sequence(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().copied().collect::<HashSeq>().encode()
}

/// Imports bytes that nothing protects afterwards.
pub(crate) fn put<B: Backend>(store: &Store<B>, data: &[u8]) -> Hash {
    let Imported { hash, .. } = store.import_bytes(data).unwrap();
    hash
}

/// The same for a hash sequence.
pub(crate) fn put_sequence<B: Backend>(store: &Store<B>, hashes: &[Hash]) -> Hash {
    put(store, &sequence(hashes))
}

pub(crate) fn plan<B: Backend>(store: &Store<B>) -> GcPlan {
    store.plan_gc().unwrap()
}

pub(crate) fn collect<B: Backend>(store: &Store<B>) -> Swept {
    store.sweep(plan(store)).unwrap()
}

pub(crate) fn planned(plan: &GcPlan) -> Vec<Hash> {
    plan.items().iter().map(|item| item.hash).collect()
}

pub(crate) fn removed(swept: &Swept) -> Vec<Hash> {
    swept.removed.iter().map(|item| item.hash).collect()
}

pub(crate) fn spared(swept: &Swept) -> Vec<Hash> {
    swept.spared.iter().map(|item| item.hash).collect()
}

pub(crate) fn sorted(mut hashes: Vec<Hash>) -> Vec<Hash> {
    hashes.sort();
    hashes
}

/// The blob reads back, whole and through every kind of call.
#[track_caller]
pub(crate) fn assert_reads<B: Backend>(store: &Store<B>, data: &[u8]) {
    let mut reader = store.reader(Hash::of(data)).unwrap();
    let mut found = Vec::new();
    reader.read_to_end(&mut found).unwrap();
    assert!(found == data, "{} bytes read back", data.len());
    assert_eq!(reader.proven_size().unwrap(), data.len() as u64);
    assert_eq!(ReadAt::size(&reader).unwrap(), data.len() as u64);
    assert!(read_object(&reader) == data);
}

/// Every one of these blobs can be read.
#[track_caller]
pub(crate) fn assert_there<B: Backend>(store: &Store<B>, hashes: &[Hash]) {
    for hash in hashes {
        assert_eq!(Hash::of(&store.read(*hash, u64::MAX).unwrap()), *hash);
    }
}

/// The blob and every file of it are gone.
#[track_caller]
pub(crate) fn assert_gone<H: StoreHarness>(harness: &H, store: &StoreOf<H>, hash: Hash) {
    assert_fails!(store.reader(hash), flatbao_core::Error::NotFound(h) if h == hash);
    assert_eq!(store.status(hash), Status::Missing);
    assert!(files(harness).keys().all(|name| name.hash() != Some(hash)));
}

/// A watch that stops at the first step of a kind.
pub(crate) fn stop_at(kind: impl Fn(Progress) -> bool) -> impl FnMut(Progress) -> ControlFlow<()> {
    move |step| match kind(step) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// A reader that fails.
pub(crate) struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

#[cfg(test)]
mod tests {
    /// A promise that is not in the macro would not be held anywhere.
    #[test]
    fn every_promise_is_in_the_macro() {
        let list = include_str!("mod.rs");
        let sources = [
            include_str!("care.rs"),
            include_str!("collect.rs"),
            include_str!("copy.rs"),
            include_str!("delete.rs"),
            include_str!("export.rs"),
            include_str!("external.rs"),
            include_str!("import.rs"),
            include_str!("open.rs"),
            include_str!("read.rs"),
            include_str!("receive.rs"),
            include_str!("send.rs"),
            include_str!("tags.rs"),
        ];
        let mut count = 0;
        for line in sources.iter().flat_map(|source| source.lines()) {
            if let Some(rest) = line.strip_prefix("pub fn ") {
                let (name, _) = rest.split_once('<').unwrap();
                let entry = format!("\n                {name}\n");
                assert!(list.contains(&entry), "{name} is not in the macro");
                count += 1;
            }
        }
        assert!(count > 80);
    }
}
