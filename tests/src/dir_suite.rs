//! The conformance suite of [`Dir`]: one test for every promise that the trait makes.
//!
//! A directory of your own takes part with a harness and one line:
//!
//! ```
//! use flatbao_tests::dir_suite::{DirHarness, Plant};
//! # use flatbao_core::*;
//! # use std::{ffi::OsStr, io, path::Path};
//! # struct MyDir;
//! # struct MyFile;
//! # impl ReadAt for MyFile {
//! #     fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> { unimplemented!() }
//! #     fn size(&self) -> io::Result<u64> { unimplemented!() }
//! # }
//! # impl DirFile for MyFile {
//! #     fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> { unimplemented!() }
//! #     fn set_len(&self, _: u64) -> io::Result<()> { unimplemented!() }
//! #     fn sync(&self) -> io::Result<()> { unimplemented!() }
//! #     fn stamp(&self) -> io::Result<Stamp> { unimplemented!() }
//! # }
//! # impl Dir for MyDir {
//! #     type File = MyFile;
//! #     type Lock = ();
//! #     fn create_new(&self, _: &OsStr) -> io::Result<MyFile> { unimplemented!() }
//! #     fn open(&self, _: &OsStr, _: Access) -> io::Result<Opened<MyFile>> { unimplemented!() }
//! #     fn rename(&self, _: &OsStr, _: &Self, _: &OsStr) -> io::Result<()> { unimplemented!() }
//! #     fn link(&self, _: &OsStr, _: &Self, _: &OsStr) -> io::Result<()> { unimplemented!() }
//! #     fn make_dir(&self, _: &OsStr) -> io::Result<()> { unimplemented!() }
//! #     fn unlink(&self, _: &OsStr) -> io::Result<()> { unimplemented!() }
//! #     fn list(&self, _: &mut dyn FnMut(&OsStr, EntryKind)) -> io::Result<()> { unimplemented!() }
//! #     fn sync(&self) -> io::Result<()> { unimplemented!() }
//! #     fn try_lock(&self, _: &OsStr) -> io::Result<Option<()>> { unimplemented!() }
//! #     fn descend(&self, _: &Path) -> io::Result<Self> { unimplemented!() }
//! #     fn is_same(&self, _: &Self) -> io::Result<bool> { unimplemented!() }
//! # }
//! struct MyHarness;
//!
//! impl DirHarness for MyHarness {
//!     type Dir = MyDir;
//!     fn fresh() -> Self { MyHarness }
//!     fn open(&self) -> MyDir { MyDir }
//!     fn open_other(&self) -> MyDir { MyDir }
//!     fn plant(&self, _at: &str, _what: Plant<'_>) -> bool { false }
//! }
//!
//! flatbao_tests::dir_conformance!(my_dir, MyHarness);
//! # fn main() {}
//! ```
//!
//! Every promise is then a `#[test]` of its own, named after what it says, in the module `my_dir`. The
//! functions can also be called one by one.
//!
//! Where a promise allows two outcomes ("`Unsupported` where the platform cannot do it"), so does its
//! test. What a platform does not have, such as symbolic links, the harness declines to plant; the test
//! then says on its output that it was skipped.

// A suite speaks by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    sync::mpsc,
    thread,
    time::Duration,
};

use flatbao_core::{Access, Dir, DirFile, EntryKind, Opened, ReadAt};

pub mod directory;
pub mod files;
pub mod listing;
pub mod lock;
pub mod names;

/// What the suite needs to know of a [`Dir`]: where to get one.
pub trait DirHarness: Sized + 'static {
    /// The directory to be tested.
    type Dir: Dir;

    /// A world with two empty directories, *home* and *other*, that no other harness shares.
    /// They are there at least until the harness is dropped.
    fn fresh() -> Self;

    /// A handle to *home*, independent of all earlier ones.
    fn open(&self) -> Self::Dir;

    /// A handle to *other*, which is on the same file system as *home* and not below it.
    fn open_other(&self) -> Self::Dir;

    /// Puts something at `at`, a path below *home* with `/` between its components, behind the back of
    /// all handles. `false` when the platform does not have such a thing; nothing was done then.
    fn plant(&self, at: &str, what: Plant<'_>) -> bool;

    /// Moves *home* elsewhere and puts a new, empty directory in its place. `false` when directories have
    /// no place from which they could be moved.
    fn displace(&self) -> bool {
        false
    }

    /// The same world after its process has ended in good order and another has begun. All handles were
    /// dropped before.
    #[must_use]
    fn restart(self) -> Self {
        self
    }
}

/// What no [`Dir`] makes, but every one may find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant<'a> {
    /// A symbolic link with this target, which need not exist.
    Link(&'a str),
    /// An empty directory.
    Directory,
    /// A FIFO that nobody has opened.
    Fifo,
}

/// Expands to a module of that name with a `#[test]` for every promise of [`Dir`], run on a
/// [`DirHarness`].
#[macro_export]
macro_rules! dir_conformance {
    ($name:ident, $harness:ty) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::__dir_promises! { $harness, files:
                a_new_file_is_empty_and_writable
                bytes_are_read_where_they_were_written
                an_overwrite_leaves_the_rest
                a_gap_reads_as_zeros
                nothing_written_is_no_gap
                there_is_nothing_past_the_end
                set_len_cuts_and_extends_with_zeros
                every_handle_sees_what_one_wrote
                a_reading_handle_writes_nothing
                sync_keeps_content_and_length
                a_stamp_stays_while_nothing_changes
                a_stamp_shows_a_new_length
                a_stamp_shows_new_bytes_of_the_same_length
                a_stamp_shows_another_file_under_the_name
            }
            $crate::__dir_promises! { $harness, names:
                creation_refuses_a_taken_name
                creation_refuses_links_and_special_files
                a_missing_name_is_missing
                a_name_opens_its_own_file
                odd_names_are_names
                a_link_is_never_opened
                a_directory_is_never_opened
                a_fifo_is_never_opened_nor_waited_for
                rename_gives_a_new_name
                rename_replaces_a_file
                rename_replaces_a_link_and_not_its_target
                rename_never_replaces_a_directory
                rename_of_nothing_is_not_found
                rename_crosses_directories
                rename_across_replaces_a_file
                an_open_file_goes_along_with_its_new_name
                link_gives_a_second_name
                link_crosses_directories
                link_refuses_a_taken_name
                link_of_nothing_is_not_found
                link_never_follows_a_link
                unlink_removes_a_name
                unlink_of_nothing_is_not_found
                unlink_removes_a_link_and_not_its_target
                unlink_removes_a_fifo
                unlink_refuses_a_directory
                groups_are_unlinked_and_what_is_gone_counts
                a_group_that_stops_keeps_no_other
                hundreds_of_groups_are_told_in_their_order
                lengths_are_those_of_regular_files
                a_file_is_readable_after_unlink
                a_file_is_readable_after_it_was_replaced
                a_removed_name_is_free_again
            }
            $crate::__dir_promises! { $harness, listing:
                a_new_directory_is_empty
                a_listing_has_every_entry_once_with_its_kind
                a_listing_of_thousands_is_whole
                a_listing_starts_anew
                a_listing_does_not_descend
                a_listing_shows_what_other_handles_did
            }
            $crate::__dir_promises! { $harness, lock:
                a_lock_is_exclusive
                a_lock_ends_when_it_is_dropped
                a_lock_outlives_the_handle_of_its_directory
                a_lock_ends_with_the_process
                a_lock_makes_its_file_and_keeps_its_content
                locks_of_other_names_and_directories_are_free
                a_lock_follows_no_link
                a_lock_is_no_directory_and_no_fifo
            }
            $crate::__dir_promises! { $harness, directory:
                sync_is_done_or_not_supported
                a_sync_of_everything_is_done_where_it_is_said
                a_restart_keeps_everything
                a_handle_outlives_its_path
                handles_of_one_directory_are_the_same
                different_directories_are_not_the_same
                a_made_directory_is_empty_and_there
                making_a_directory_refuses_a_taken_name
                descend_reaches_what_is_below
                descend_tells_what_is_not_there
                descend_tells_what_is_no_directory
                descend_never_goes_up
                descend_follows_no_link_outside
                descend_may_follow_a_link_inside
            }
        }
    };
}

/// The tests of one module of promises.
#[doc(hidden)]
#[macro_export]
macro_rules! __dir_promises {
    ($harness:ty, $area:ident: $($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::dir_suite::$area::$promise::<$harness>();
            }
        )*
    };
}

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

/// Makes a file with this content.
fn create<D: Dir>(dir: &D, at: &str, bytes: &[u8]) -> D::File {
    let file = dir.create_new(name(at)).expect("a free name can be taken");
    write(&file, bytes, 0);
    file
}

/// Writes all of `bytes`, over short writes.
fn write(file: &impl DirFile, mut bytes: &[u8], mut offset: u64) {
    while !bytes.is_empty() {
        let written = file.write_at(bytes, offset).expect("the file is writable");
        assert!(
            (1..=bytes.len()).contains(&written),
            "{written} of {} bytes",
            bytes.len()
        );
        bytes = &bytes[written..];
        offset += written as u64;
    }
}

/// The whole content, which must be as long as the file claims.
fn content(file: &impl ReadAt) -> Vec<u8> {
    let size = file.size().expect("a file has a size");
    let mut bytes = vec![0xa5; usize::try_from(size).expect("test files are small") + 1];
    let read = flatbao_core::io::read_full_at(file, &mut bytes, 0).expect("the file is readable");
    assert_eq!(
        read as u64, size,
        "there are as many bytes as the size says"
    );
    bytes.truncate(read);
    bytes
}

/// The file of this name, which must be one.
fn open<D: Dir>(dir: &D, at: &str, access: Access) -> D::File {
    match dir.open(name(at), access) {
        Ok(Opened::File(file)) => file,
        other => panic!("{at} is no file but {}", outcome(&other)),
    }
}

/// The content of the file of this name.
fn read<D: Dir>(dir: &D, at: &str) -> Vec<u8> {
    content(&open(dir, at, Access::Read))
}

#[track_caller]
fn assert_missing<D: Dir>(dir: &D, at: &str) {
    for access in [Access::Read, Access::ReadWrite] {
        let opened = dir.open(name(at), access);
        assert!(
            matches!(opened, Ok(Opened::Missing)),
            "{at} for {access:?}: {}",
            outcome(&opened)
        );
    }
}

#[track_caller]
fn assert_not_a_file<D: Dir>(dir: &D, at: &str, kind: EntryKind) {
    for access in [Access::Read, Access::ReadWrite] {
        let opened = dir.open(name(at), access);
        assert!(
            matches!(opened, Ok(Opened::NotAFile(found)) if found == kind),
            "{at} for {access:?}, which is {kind}: {}",
            outcome(&opened)
        );
    }
}

fn outcome<F>(opened: &io::Result<Opened<F>>) -> String {
    match opened {
        Ok(Opened::File(_)) => "an open file".into(),
        Ok(Opened::Missing) => "missing".into(),
        Ok(Opened::NotAFile(kind)) => format!("not opened, because it is {kind}"),
        Err(e) => format!("an error, {:?}: {e}", e.kind()),
    }
}

/// Asserts that something failed, and how.
#[track_caller]
fn assert_refused<T>(result: io::Result<T>, kind: io::ErrorKind, what: impl fmt::Display) {
    match result {
        Ok(_) => panic!("{what} must fail with {kind:?}, but it was done"),
        Err(e) => assert_eq!(e.kind(), kind, "{what}: {e}"),
    }
}

/// What a listing hands over, in order.
fn entries<D: Dir>(dir: &D) -> Vec<(OsString, EntryKind)> {
    let mut entries = Vec::new();
    dir.list(&mut |name, kind| entries.push((name.to_owned(), kind)))
        .expect("the directory can be listed");
    entries.sort();
    entries
}

/// The same, of files only.
fn assert_files<D: Dir>(dir: &D, names: &[&str]) {
    let mut expected: Vec<_> = names
        .iter()
        .map(|at| (OsString::from(at), EntryKind::File))
        .collect();
    expected.sort();
    assert_eq!(entries(dir), expected);
}

fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// Runs what could wait forever, and fails when it does.
fn promptly(body: fn()) {
    if cfg!(target_os = "wasi") {
        // There are no threads; whoever runs a test there gives it so much time.
        return body();
    }
    let (done, waiting) = mpsc::channel();
    let running = thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match waiting.recv_timeout(Duration::from_secs(20)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("this waits for something"),
        // The sender is gone without a word when `body` has failed.
        _ => {
            if let Err(failure) = running.join() {
                std::panic::resume_unwind(failure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    /// A promise that is not in the macro would be tested by nobody.
    #[test]
    fn the_macro_lists_every_promise() {
        let here = include_str!("dir_suite.rs");
        let listed = |area: &str| {
            let list = here
                .split(&format!("$harness, {area}:\n"))
                .nth(1)
                .expect("every area is listed");
            list.split('}')
                .next()
                .into_iter()
                .flat_map(str::split_whitespace)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for (area, source) in [
            ("files", include_str!("dir_suite/files.rs")),
            ("names", include_str!("dir_suite/names.rs")),
            ("listing", include_str!("dir_suite/listing.rs")),
            ("lock", include_str!("dir_suite/lock.rs")),
            ("directory", include_str!("dir_suite/directory.rs")),
        ] {
            let promises: Vec<_> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub fn "))
                .filter_map(|line| line.split('<').next())
                .map(str::to_owned)
                .collect();
            assert!(!promises.is_empty());
            assert_eq!(listed(area), promises, "{area}");
        }
    }
}
