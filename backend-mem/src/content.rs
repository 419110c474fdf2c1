//! The bytes of one simulated file: as they are read, and as a power loss leaves them.

use std::{
    io,
    sync::{Arc, OnceLock},
};

/// No simulated file is longer: a wrong length must fail, not swallow the machine's memory.
const MAX_LEN: u64 = 1 << 32;

/// Bytes that know their hash once somebody has asked for it.
#[derive(Debug, Default)]
struct Bytes {
    bytes: Vec<u8>,
    digest: OnceLock<[u8; 32]>,
}

impl Bytes {
    fn new(bytes: Vec<u8>) -> Arc<Self> {
        let digest = OnceLock::new();
        Arc::new(Self { bytes, digest })
    }

    /// The bytes, to be changed.
    fn edit(this: &mut Arc<Self>) -> &mut Vec<u8> {
        let own = Arc::make_mut(this);
        own.digest = OnceLock::new();
        &mut own.bytes
    }
}

/// Of what is about to be changed.
impl Clone for Bytes {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            digest: OnceLock::new(),
        }
    }
}

/// A file's bytes in the cache and on the disk. Copies are cheap: the bytes are shared until written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    cache: Arc<Bytes>,
    disk: Arc<Bytes>,
    /// What was changed since the last sync, in order.
    dirty: Vec<Change>,
    /// Whether a sync failed, after which cache and disk differ where nothing is dirty.
    lost: bool,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Write { start: usize, end: usize },
    Len(usize),
}

impl Change {
    /// Takes the change from the cache to the disk.
    fn apply(self, cache: &[u8], disk: &mut Vec<u8>) {
        match self {
            Self::Len(len) => disk.resize(len, 0),
            Self::Write { start, end } => {
                // What a later cut removed is not there to be copied.
                let end = end.min(cache.len());
                if let Some(bytes) = cache.get(start..end) {
                    disk.resize(disk.len().max(end), 0);
                    disk[start..end].copy_from_slice(bytes);
                }
            }
        }
    }
}

impl Content {
    /// Bytes that are already durable.
    pub(crate) fn durable(bytes: Vec<u8>) -> Self {
        let bytes = Bytes::new(bytes);
        Self {
            cache: Arc::clone(&bytes),
            disk: bytes,
            ..Self::default()
        }
    }

    /// The file as it is found after a power loss, in which the cache happens to be written out or not.
    pub(crate) fn image(&self, keeps_cache: bool) -> Self {
        let left = if keeps_cache { &self.cache } else { &self.disk };
        Self {
            cache: Arc::clone(left),
            disk: Arc::clone(left),
            ..Self::default()
        }
    }

    /// The file as it may be found after a power loss, each way once: as the last sync left it, as reads saw it, with the
    /// changes up to one of them or the middle of the last, with zeros for what was written, or for the end of it.
    /// Where bytes were written twice since the last sync, only the later ones are known.
    pub(crate) fn images(&self) -> Vec<Self> {
        let cache = &self.cache.bytes;
        let mut all = vec![Arc::clone(&self.disk)];
        if *cache != self.disk.bytes {
            all.push(Arc::clone(&self.cache));
        }
        let mut add = |bytes: Vec<u8>| {
            if all.iter().all(|other| other.bytes != bytes) {
                all.push(Bytes::new(bytes));
            }
        };
        let mut cut = self.disk.bytes.clone();
        let mut zeros = cache.clone();
        for change in &self.dirty {
            if let Change::Write { start, end } = *change {
                let middle = Change::Write {
                    start,
                    end: start + (end - start) / 2,
                };
                let mut torn = cut.clone();
                middle.apply(cache, &mut torn);
                add(torn);
                let end = end.min(zeros.len());
                let start = start.min(end);
                zeros[start..end].fill(0);
                let mut tail = cache.clone();
                tail[start + (end - start) / 2..end].fill(0);
                add(tail);
            }
            change.apply(cache, &mut cut);
            add(cut.clone());
        }
        add(zeros);
        let found = |bytes: Arc<Bytes>| Self {
            cache: Arc::clone(&bytes),
            disk: bytes,
            ..Self::default()
        };
        all.into_iter().map(found).collect()
    }

    /// Whether the file is on the disk as reads see it.
    pub(crate) fn is_settled(&self) -> bool {
        self.dirty.is_empty() && !self.lost
    }

    /// What reads see.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.cache.bytes
    }

    /// The BLAKE3 hash of what reads see, which is worked out once for all copies.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let hash = || *blake3::hash(self.bytes()).as_bytes();
        *self.cache.digest.get_or_init(hash)
    }

    pub(crate) fn write(&mut self, buf: &[u8], offset: u64) -> io::Result<()> {
        let start = checked(offset)?;
        let end = checked(offset.saturating_add(buf.len() as u64))?;
        if buf.is_empty() {
            return Ok(());
        }
        let cache = Bytes::edit(&mut self.cache);
        if cache.len() < end {
            cache.resize(end, 0);
        }
        cache[start..end].copy_from_slice(buf);
        match self.dirty.last_mut() {
            // Sequential writes are one: a long file has a short list.
            Some(Change::Write { end: last, .. }) if *last == start => *last = end,
            _ => self.dirty.push(Change::Write { start, end }),
        }
        Ok(())
    }

    pub(crate) fn set_len(&mut self, len: u64) -> io::Result<()> {
        let len = checked(len)?;
        Bytes::edit(&mut self.cache).resize(len, 0);
        self.dirty.push(Change::Len(len));
        Ok(())
    }

    /// What is dirty reaches the disk, and nothing else: not what a failed sync has lost.
    pub(crate) fn sync(&mut self) {
        if !self.lost {
            self.disk = Arc::clone(&self.cache);
        } else if !self.dirty.is_empty() {
            let disk = Bytes::edit(&mut self.disk);
            for change in &self.dirty {
                change.apply(&self.cache.bytes, disk);
            }
        }
        self.dirty.clear();
    }

    /// A sync fails: what was dirty counts as clean from now on, although it is not on the disk.
    pub(crate) fn fail_sync(&mut self) {
        self.lost |= !self.dirty.is_empty();
        self.dirty.clear();
    }
}

fn checked(position: u64) -> io::Result<usize> {
    usize::try_from(position)
        .ok()
        .filter(|_| position <= MAX_LEN)
        .ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_synced_is_left() {
        let mut content = Content::default();
        content.write(b"ab", 2).unwrap();
        assert_eq!(content.bytes(), b"\0\0ab");
        assert_eq!(content.image(false).bytes(), b"");
        assert_eq!(content.image(true).bytes(), b"\0\0ab");
        content.sync();
        content.set_len(3).unwrap();
        assert_eq!(content.image(false).bytes(), b"\0\0ab");
        content.sync();
        assert_eq!(content.image(false).bytes(), b"\0\0a");
    }

    #[test]
    fn a_failed_sync_cannot_be_made_good() {
        let mut content = Content::durable(b"old!".to_vec());
        content.write(b"new", 0).unwrap();
        content.fail_sync();
        content.sync();
        assert_eq!(content.bytes(), b"new!");
        assert_eq!(content.image(false).bytes(), b"old!");
        // What is written again does reach the disk.
        content.write(b"x", 1).unwrap();
        content.write(b"yz", 4).unwrap();
        content.sync();
        assert_eq!(content.image(false).bytes(), b"oxd!yz");
        content.write(b"gone", 2).unwrap();
        content.set_len(1).unwrap();
        content.sync();
        assert_eq!(content.image(false).bytes(), b"o");
    }

    #[test]
    fn a_hash_is_that_of_the_bytes_as_they_are_now() {
        let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
        let mut content = Content::durable(b"one".to_vec());
        let copy = content.clone();
        assert_eq!(content.digest(), hash(b"one"));
        content.write(b"t", 0).unwrap();
        assert_eq!(
            (content.digest(), copy.digest()),
            (hash(b"tne"), hash(b"one"))
        );
        content.set_len(1).unwrap();
        assert_eq!(content.digest(), hash(b"t"));
        assert_eq!(content.image(false).digest(), hash(b"one"));
    }

    #[test]
    fn absurd_lengths_are_refused() {
        let mut content = Content::default();
        for position in [MAX_LEN + 1, u64::MAX] {
            let error = content.write(b"x", position).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            assert!(content.set_len(position).is_err());
        }
        assert_eq!(content.bytes(), b"");
    }
}
