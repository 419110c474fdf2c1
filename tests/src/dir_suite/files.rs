//! What an open file promises.

use std::{io, thread, time::Duration};

use flatbao_core::{Access, Dir, DirFile, ReadAt, Stamp};

use super::{DirHarness, content, create, name, open, read, write};

/// "Creates a file that did not exist, for reading and writing."
pub fn a_new_file_is_empty_and_writable<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = dir.create_new(name("a")).unwrap();
    assert_eq!(file.size().unwrap(), 0);
    assert_eq!(content(&file), b"");
    write(&file, b"hello", 0);
    assert_eq!(file.size().unwrap(), 5);
    assert_eq!(content(&file), b"hello");
    assert_eq!(read(&dir, "a"), b"hello");
}

/// Reading and writing have positions and no cursor: neither depends on what was done before.
pub fn bytes_are_read_where_they_were_written<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    // More than a page and than any buffer, in a pattern that no shift maps to itself.
    let bytes: Vec<u8> = (0u32..70_000)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let file = create(&dir, "a", &bytes[..30_000]);
    write(&file, &bytes[50_000..], 50_000);
    write(&file, &bytes[30_000..50_000], 30_000);
    assert_eq!(content(&file), bytes);
    for (at, len) in [(65_536, 100), (0, 1), (4_095, 2), (69_999, 1), (0, 70_000)] {
        let mut buf = vec![0; len];
        let read = flatbao_core::io::read_full_at(&file, &mut buf, at as u64).unwrap();
        assert_eq!(read, len);
        assert_eq!(buf, bytes[at..at + len], "{len} bytes at {at}");
    }
}

/// A write changes the bytes that it was given and no others.
pub fn an_overwrite_leaves_the_rest<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = create(&dir, "a", b"0123456789");
    write(&file, b"abc", 4);
    assert_eq!(content(&file), b"0123abc789");
    write(&file, b"xyz", 8);
    assert_eq!(content(&file), b"0123abc7xyz");
}

/// "A gap before them reads as zeros."
pub fn a_gap_reads_as_zeros<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = create(&dir, "a", b"ab");
    write(&file, b"z", 100_000);
    assert_eq!(file.size().unwrap(), 100_001);
    let mut expected = vec![0; 100_001];
    expected[..2].copy_from_slice(b"ab");
    expected[100_000] = b'z';
    assert_eq!(content(&file), expected);
    assert_eq!(read(&dir, "a"), expected);
}

/// A write of no bytes writes none, wherever; and so does a read.
pub fn nothing_written_is_no_gap<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = create(&dir, "a", b"ab");
    assert_eq!(file.write_at(b"", 1000).unwrap(), 0);
    assert_eq!(file.write_at(b"", 1).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
    assert_eq!(content(&file), b"ab");
}

/// "Fewer may come; none means the end", however far past it.
pub fn there_is_nothing_past_the_end<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = create(&dir, "a", b"0123456789");
    let mut buf = [0xa5; 8];
    let read = file.read_at(&mut buf, 7).unwrap();
    assert!((1..=3).contains(&read), "{read} bytes of 3");
    assert_eq!(buf[..read], b"789"[..read]);
    assert_eq!(buf[read..], [0xa5; 8][read..], "no more is touched");
    for offset in [10, 11, 4096, u64::from(u32::MAX), u64::MAX / 2, u64::MAX] {
        let mut buf = [0xa5; 8];
        assert_eq!(file.read_at(&mut buf, offset).unwrap(), 0, "at {offset}");
        assert_eq!(buf, [0xa5; 8], "at {offset}");
    }
    assert_eq!(file.size().unwrap(), 10);
}

/// "Cuts the file, or extends it with zeros": bytes that were cut off do not come back.
pub fn set_len_cuts_and_extends_with_zeros<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = create(&dir, "a", b"0123456789");
    file.set_len(4).unwrap();
    assert_eq!(content(&file), b"0123");
    file.set_len(8).unwrap();
    assert_eq!(content(&file), b"0123\0\0\0\0");
    file.set_len(3).unwrap();
    write(&file, b"x", 5);
    assert_eq!(content(&file), b"012\0\0x");
    file.set_len(0).unwrap();
    assert_eq!(content(&file), b"");
    file.set_len(70_000).unwrap();
    assert_eq!(content(&file), vec![0; 70_000]);
    assert_eq!(read(&dir, "a"), vec![0; 70_000]);
}

/// What is written can be read at once, through every handle and without a sync.
pub fn every_handle_sees_what_one_wrote<H: DirHarness>() {
    let world = H::fresh();
    let (one, two) = (world.open(), world.open());
    let written = create(&one, "a", b"first");
    let other = open(&two, "a", Access::ReadWrite);
    let reader = open(&two, "a", Access::Read);
    assert_eq!(content(&reader), b"first");
    write(&written, b"FI", 0);
    write(&other, b"ST!", 3);
    for file in [&written, &other, &reader] {
        assert_eq!(content(file), b"FIrST!");
    }
    written.set_len(2).unwrap();
    assert_eq!(content(&reader), b"FI");
}

/// A file opened for [`Access::Read`] cannot be written through that handle.
pub fn a_reading_handle_writes_nothing<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    create(&dir, "a", b"hello");
    let file = open(&dir, "a", Access::Read);
    assert!(file.write_at(b"x", 0).is_err());
    assert!(file.write_at(b"x", 5).is_err());
    assert!(file.set_len(2).is_err());
    assert!(file.set_len(9).is_err());
    assert_eq!(read(&dir, "a"), b"hello");
}

/// A sync changes nothing that can be read; a file that another wrote, and that is only open for reading,
/// can be synced too.
pub fn sync_keeps_content_and_length<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = create(&dir, "a", b"hello");
    file.sync().unwrap();
    assert_eq!(content(&file), b"hello");
    write(&file, b"J", 0);
    open(&dir, "a", Access::Read).sync().unwrap();
    file.set_len(4).unwrap();
    file.sync().unwrap();
    assert_eq!(read(&dir, "a"), b"Jell");
}

/// Two looks at a file that nobody changed show the same, through any handle.
pub fn a_stamp_stays_while_nothing_changes<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = create(&dir, "a", b"hello");
    create(&dir, "b", b"world");
    let stamp = file.stamp().unwrap();
    assert_eq!(stamp.len, 5);
    assert_eq!(content(&file), b"hello");
    assert_eq!(read(&dir, "b"), b"world");
    assert_eq!(file.stamp().unwrap(), stamp);
    let again = open(&world.open(), "a", Access::Read);
    assert_eq!(again.stamp().unwrap(), stamp);
}

/// A stamp has the length.
pub fn a_stamp_shows_a_new_length<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = create(&dir, "a", b"hello");
    let reader = open(&dir, "a", Access::Read);
    let before = reader.stamp().unwrap();
    write(&file, b"!", 5);
    assert_eq!(reader.stamp().unwrap().len, 6);
    file.set_len(1).unwrap();
    assert_eq!(reader.stamp().unwrap().len, 1);
    assert_ne!(reader.stamp().unwrap(), before);
}

/// "What tells whether a file was changed": also when the length is the same.
pub fn a_stamp_shows_new_bytes_of_the_same_length<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let file = create(&dir, "a", b"hello");
    let reader = open(&dir, "a", Access::Read);
    let before = reader.stamp().unwrap();
    // Times are as coarse as the file system makes them; the coarsest in use has steps of two seconds.
    let mut after = before;
    for _ in 0..250 {
        write(&file, b"HELLO", 0);
        after = reader.stamp().unwrap();
        if after != before {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_ne!(after, before);
    assert_eq!(after.len, before.len);
    assert_eq!(after.id, before.id, "it is the same file");
    assert!(
        after.modified > before.modified || after.changed > before.changed,
        "{before:?} {after:?}"
    );
}

/// A file that was put under the name instead is told from the one before, where files have an identity,
/// even when it has the same length; who has the old one open still has the old one.
pub fn a_stamp_shows_another_file_under_the_name<H: DirHarness>() {
    let world = H::fresh();
    let dir = world.open();
    let old = create(&dir, "a", b"hello");
    let before = old.stamp().unwrap();
    create(&dir, "b", b"HELLO");
    dir.rename(name("b"), &dir, name("a")).unwrap();
    let after = open(&dir, "a", Access::Read).stamp().unwrap();
    if before.id.is_some() {
        assert_ne!(after.id, before.id);
    }
    let kept: io::Result<Stamp> = old.stamp();
    assert_eq!(kept.unwrap().id, before.id);
    assert_eq!(content(&old), b"hello");
}
