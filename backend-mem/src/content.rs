//! The bytes of one simulated file: as they are read, and as a power loss leaves them.

use std::{io, sync::Arc};

/// No simulated file is longer: a wrong length must fail, not swallow the machine's memory.
const MAX_LEN: u64 = 1 << 32;

/// A file's bytes in the cache and on the disk. Copies are cheap: the bytes are shared until written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    cache: Arc<Vec<u8>>,
    disk: Arc<Vec<u8>>,
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
        let bytes = Arc::new(bytes);
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
        let mut all: Vec<Arc<Vec<u8>>> = Vec::new();
        let mut add = |bytes: Arc<Vec<u8>>| {
            if !all.contains(&bytes) {
                all.push(bytes);
            }
        };
        add(Arc::clone(&self.disk));
        add(Arc::clone(&self.cache));
        let mut cut = self.disk.as_ref().clone();
        let mut zeros = self.cache.as_ref().clone();
        for change in &self.dirty {
            if let Change::Write { start, end } = *change {
                let middle = Change::Write {
                    start,
                    end: start + (end - start) / 2,
                };
                let mut torn = cut.clone();
                middle.apply(&self.cache, &mut torn);
                add(Arc::new(torn));
                let end = end.min(zeros.len());
                let start = start.min(end);
                zeros[start..end].fill(0);
                let mut tail = self.cache.as_ref().clone();
                tail[start + (end - start) / 2..end].fill(0);
                add(Arc::new(tail));
            }
            change.apply(&self.cache, &mut cut);
            add(Arc::new(cut.clone()));
        }
        add(Arc::new(zeros));
        let found = |bytes: Arc<Vec<u8>>| Self {
            cache: Arc::clone(&bytes),
            disk: bytes,
            ..Self::default()
        };
        all.into_iter().map(found).collect()
    }

    /// What reads see.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.cache
    }

    pub(crate) fn write(&mut self, buf: &[u8], offset: u64) -> io::Result<()> {
        let start = checked(offset)?;
        let end = checked(offset.saturating_add(buf.len() as u64))?;
        if buf.is_empty() {
            return Ok(());
        }
        let cache = Arc::make_mut(&mut self.cache);
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
        Arc::make_mut(&mut self.cache).resize(len, 0);
        self.dirty.push(Change::Len(len));
        Ok(())
    }

    /// What is dirty reaches the disk, and nothing else: not what a failed sync has lost.
    pub(crate) fn sync(&mut self) {
        if !self.lost {
            self.disk = Arc::clone(&self.cache);
        } else if !self.dirty.is_empty() {
            let disk = Arc::make_mut(&mut self.disk);
            for change in &self.dirty {
                change.apply(&self.cache, disk);
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
