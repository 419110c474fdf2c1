//! A damaged or missing tag database, and how its owner gets out of it. Nothing here happens unasked.

use std::sync::Arc;

use crate::{
    Backend, BackendError, BlobFormat, Error, FileName, Hash, NotWritable, Result, Tag, TagFile,
    TagMap,
    io::{read_capped, write_all_at},
    kernel::Tags,
    limits::MAX_TAGS_FILE,
    progress::unwatched,
    store::{
        Inner, Store, locked,
        open::{Listing, load_tags, publish_tags, read_tags_file},
    },
    tag_file::salvage,
};

/// Tags that were found where the tag database is damaged or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// The tags.
    pub tags: TagMap,
    /// Where they were found.
    pub from: SalvagedFrom,
    /// How many more there were, as the damaged file says: what they named is not in the store, or their
    /// hash is damaged.
    pub lost: u64,
}

/// Where tags were found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SalvagedFrom {
    /// In a whole tag database under a temporary name, with a good checksum, which is that of a change that was
    /// interrupted just before it took its place, or an older one; and in the damaged file, if there is one.
    Leftover(FileName),
    /// In the damaged file, by the hashes in it that are those of blobs in the store. The hashes are proved by
    /// that; names are as they stand there, and one that cannot be told is made up.
    Damaged,
}

impl<B: Backend> Store<B> {
    /// Looks for tags that can be proved, where `tags.meta` is damaged or missing: in leftover temporary
    /// files, then in the damaged file itself. Changes nothing; see [`restore_tags`](Self::restore_tags).
    ///
    /// # Errors
    /// [`Error::TagsNotDamaged`]; [`Error::TagsMissing`] when there is neither file; or what the back end
    /// says.
    pub fn salvage_tags(&self) -> Result<Salvaged> {
        let inner = &self.inner;
        if matches!(inner.tags_now(), Tags::Known(_)) {
            return Err(Error::TagsNotDamaged);
        }
        let leftover = inner.leftover_tags()?;
        let bytes = match (read_tags_file(&inner.backend), &leftover) {
            (Err(BackendError::Missing { .. }), None) => return Err(Error::TagsMissing),
            (Err(_), Some(_)) => Vec::new(),
            (read, _) => read?,
        };
        let is_there = |hash: &Hash| !inner.kernel.state().index.names(*hash).is_empty();
        let format = |hash: &Hash| {
            let mut lists = false;
            let read = inner.peek_children(*hash, |child| lists |= is_there(&child));
            match (read, lists) {
                (Ok(()), true) => BlobFormat::HashSeq,
                _ => BlobFormat::Raw,
            }
        };
        let (mut tags, mut lost) = salvage(&bytes, is_there, format);
        let mut from = SalvagedFrom::Damaged;
        if let Some((file, older)) = leftover {
            // It may be older than what is damaged: neither says which tags there were at last.
            let count = tags.len() as u64 + lost;
            for (tag, value) in older {
                match tags.get(&tag) {
                    Some(newer) if *newer != value => tags.insert(Tag::made_up(value), value),
                    _ => tags.insert(tag, value),
                };
            }
            lost = count.saturating_sub(tags.len() as u64);
            from = SalvagedFrom::Leftover(file);
        }
        Ok(Salvaged { tags, from, lost })
    }

    /// Gives a store whose `tags.meta` is damaged or missing these tags, and makes it writable again. They
    /// come from a copy (see [`TagFile::decode`]), or from [`salvage_tags`](Self::salvage_tags).
    ///
    /// A damaged file is kept beside the new one, as named metadata, whose name is returned: what is wrong
    /// about it may be found out later.
    ///
    /// # Errors
    /// [`Error::TagsNotDamaged`], so that good tags are not lost; when the store is not open for writing;
    /// what the back end says when the file cannot be read, or something else bears its name: move it away
    /// first, since it cannot be kept.
    pub fn restore_tags(&self, tags: TagMap) -> Result<Option<FileName>> {
        let inner = &self.inner;
        match inner.kernel.check_writable() {
            Err(Error::NotWritable(NotWritable::TagsDamaged(_))) => {}
            other => other?,
        }
        inner.check_lock()?;
        inner.settle_tagged(&tags)?;
        let _writer = locked(&inner.tag_writer);
        match inner.tags_now() {
            // Restored meanwhile by other hands: the next opening sees those.
            Tags::Known(_) if matches!(inner.kernel.state().tags, Tags::Known(_)) => {
                return Err(Error::TagsNotDamaged);
            }
            Tags::Known(_) => return Err(Error::TagsChanged),
            Tags::Missing | Tags::Damaged(_) => {}
        }
        let kept = inner.keep_damaged_tags()?;
        let known = inner.checked(publish_tags(&inner.backend, &inner.env, tags))?;
        let mut state = inner.kernel.state();
        state.tags = Tags::Known(known);
        state.forgive_tags();
        Ok(kept)
    }
}

impl<B: Backend> Inner<B> {
    /// The tag database as it is on the disk.
    fn tags_now(&self) -> Tags {
        let has_data = self.kernel.state().index.has_data();
        load_tags(&self.backend, has_data)
    }

    /// Makes durable what tags will promise, as far as it is there.
    fn settle_tagged(self: &Arc<Self>, tags: &TagMap) -> Result<()> {
        for value in tags.values() {
            let settled = self
                .make_lasting(*value, &mut unwatched)
                .map(drop)
                // What a sequence lists may not be told; it has a claim to be kept all the same.
                .or_else(|error| match error.poisons() {
                    true => Err(error),
                    false => self.ensure_durable(&[value.hash]),
                });
            match settled {
                Err(error) if error.poisons() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The newest whole tag database under a temporary name.
    fn leftover_tags(&self) -> Result<Option<(FileName, TagMap)>> {
        let listing = Listing::read(&self.backend, &mut unwatched)?;
        let mut found = Vec::new();
        for name in listing.leftovers {
            if !matches!(name, FileName::TagsTemp(_)) {
                continue;
            }
            let Ok(Some(file)) = self.backend.open(&name) else {
                continue;
            };
            let modified = self
                .backend
                .stamp(&file)
                .ok()
                .and_then(|stamp| stamp.modified);
            let read = read_capped(&file, MAX_TAGS_FILE);
            if let Ok(Ok(file)) = read.map(|bytes| TagFile::decode(&bytes))
                && file.protected
            {
                found.push((modified, name, file.tags));
            }
        }
        let newest = found.into_iter().max_by_key(|(modified, ..)| *modified);
        Ok(newest.map(|(_, name, tags)| (name, tags)))
    }

    /// Copies a damaged `tags.meta` to named metadata. The name comes from the content: doing it twice is
    /// doing it once.
    fn keep_damaged_tags(&self) -> Result<Option<FileName>> {
        let bytes = match read_tags_file(&self.backend) {
            Ok(bytes) if !bytes.is_empty() => bytes,
            Ok(_) | Err(BackendError::Missing { .. }) => return Ok(None),
            // It may be good all the same: somebody has to move it away first.
            Err(error) => return Err(error.into()),
        };
        let digits = Hash::of(&bytes).to_string();
        let name = FileName::NamedMeta(
            format!("damaged-tags-{}", &digits[..16])
                .into_bytes()
                .into(),
        );
        let mut stage = self.stage(FileName::TagsTemp)?;
        write_all_at(stage.file(), &bytes, 0).map_err(BackendError::io("write", &name))?;
        if let Some(staged) = stage.into_inner() {
            self.checked(self.backend.publish(vec![(staged, name.clone())]))?;
        }
        Ok(Some(name))
    }
}
