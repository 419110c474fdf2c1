//! Tags: what lives beyond the process.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Backend, BlobFormat, Error, FileName, Hash, HashAndFormat, Result, Tag, TagMap,
    gather::gathered,
    index::Entry,
    kernel::{KnownTags, Tags, TempTag},
    progress::{Progress, Watch, unwatched},
    store::{Inner, Store, locked, open, shared, turns::Change},
};

/// Blobs whose files are made durable in one call.
const DURABLE_BATCH: usize = 256;

impl<B: Backend> Store<B> {
    /// Keeps `value` alive until the returned temporary tag is dropped; of a hash sequence also what it
    /// lists. The blob need not be there yet; but as long as a sequence is not, nothing is collected.
    pub fn temp_tag(&self, value: HashAndFormat) -> TempTag {
        self.inner.kernel.protect(value)
    }

    /// Gives a blob a name, or a name another blob; durable on return. The blob need not be there, but a
    /// missing hash sequence keeps collection from doing anything.
    ///
    /// # Errors
    /// When the store cannot be written, or the blob's files cannot be made durable; the tags are the
    /// old ones then.
    pub fn set_tag(&self, tag: Tag, value: HashAndFormat) -> Result<()> {
        self.set_tag_with(tag, value, &mut unwatched)
    }

    /// As [`set_tag`](Self::set_tag), watched: files that this opening found and did not write are synced
    /// first.
    ///
    /// # Errors
    /// Likewise; [`Error::Cancelled`] when `watch` says so.
    pub fn set_tag_with(
        &self,
        tag: Tag,
        value: HashAndFormat,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        self.inner.kernel.check_writable()?;
        // Protected first, before any I/O: a collection under way spares it from here on.
        let _held = self.inner.make_lasting(value, watch)?;
        self.inner.change_tags(Change::Set(tag, value)).map(drop)
    }

    /// Gives a blob the next free automatic name, `auto-` and the time (FORMAT.md, "Text forms").
    ///
    /// # Errors
    /// As [`set_tag`](Self::set_tag).
    pub fn auto_tag(&self, value: HashAndFormat) -> Result<Tag> {
        self.inner.kernel.check_writable()?;
        let _held = self.inner.make_lasting(value, &mut unwatched)?;
        let base = auto_name(self.inner.env.clock.now_millis());
        let (tag, _) = self.inner.change_tags(Change::SetFree(base, value))?;
        Ok(tag)
    }

    /// Removes a name, durably. The blob stays until nothing protects it and a collection comes by.
    ///
    /// # Errors
    /// [`Error::NoTag`]; or as [`set_tag`](Self::set_tag).
    pub fn remove_tag(&self, tag: &Tag) -> Result<HashAndFormat> {
        self.inner.kernel.check_writable()?;
        let (_, value) = self.inner.change_tags(Change::Remove(tag.clone()))?;
        Ok(value)
    }

    /// All tags, in the order of their bytes.
    ///
    /// # Errors
    /// When the tag database is missing or damaged: what is not known is not shown as empty.
    pub fn tags(&self) -> Result<Arc<TagMap>> {
        Ok(self.inner.known_tags()?.map)
    }

    /// What a tag names.
    ///
    /// # Errors
    /// [`Error::NoTag`], or as [`tags`](Self::tags).
    pub fn tag(&self, tag: &Tag) -> Result<HashAndFormat> {
        let tags = self.tags()?;
        tags.get(tag)
            .copied()
            .ok_or_else(|| Error::NoTag(tag.clone()))
    }

    /// Confirms that a store whose `tags.meta` is missing has no tags to lose: an empty one is written.
    /// Does nothing where there is one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn confirm_no_tags(&self) -> Result<()> {
        let inner = &*self.inner;
        inner.kernel.check_writable()?;
        let _writer = locked(&inner.tag_writer);
        if !matches!(inner.kernel.state().tags, Tags::Missing) {
            return Ok(());
        }
        // Restored meanwhile, as the hint says? Then there are tags to lose.
        if inner.backend.open(&FileName::Tags)?.is_some() {
            return Err(Error::TagsChanged);
        }
        inner.write_tags(TagMap::new())
    }
}

impl<B: Backend> Inner<B> {
    pub(crate) fn known_tags(&self) -> Result<KnownTags> {
        match &self.kernel.state().tags {
            Tags::Known(known) => Ok(known.clone()),
            Tags::Missing => Err(Error::TagsMissing),
            Tags::Damaged(damage) => Err(Error::NotWritable(crate::NotWritable::TagsDamaged(
                damage.clone(),
            ))),
        }
    }

    /// Writes the tags anew, as they are.
    pub(super) fn rewrite_tags(&self) -> Result<()> {
        let _writer = locked(&self.tag_writer);
        let known = self.known_tags()?;
        self.check_tags_on_disk(&known)?;
        self.write_tags(TagMap::clone(&known.map))
    }

    /// The caller holds `tag_writer`.
    pub(super) fn write_tags(&self, tags: TagMap) -> Result<()> {
        self.kernel.check_writable()?;
        let known = self.checked(open::publish_tags(&self.backend, &self.env, tags))?;
        self.kernel.state().tags = Tags::Known(known);
        Ok(())
    }

    /// The tags, when those in memory are those on disk.
    pub(crate) fn confirmed_tags(&self) -> Result<KnownTags> {
        // Between a writer's two steps, disk and memory differ for a moment.
        let _writer = locked(&self.tag_writer);
        let known = self.known_tags()?;
        self.check_tags_on_disk(&known)?;
        Ok(known)
    }

    /// The peer takes no lock: what it wrote meanwhile must neither be overwritten nor overlooked.
    pub(super) fn check_tags_on_disk(&self, known: &KnownTags) -> Result<()> {
        let Some(expected) = known.file else {
            return Ok(());
        };
        let found = open::read_tags_file(&self.backend)?;
        if Hash::of(&found) != expected {
            return Err(Error::TagsChanged);
        }
        Ok(())
    }

    /// Protects a blob, and makes durable what a tag on it will promise: its files and, of a hash
    /// sequence, those of its children.
    pub(super) fn make_lasting(
        self: &Arc<Self>,
        value: HashAndFormat,
        watch: &mut Watch<'_>,
    ) -> Result<TempTag> {
        let held = self.kernel.protect(value);
        let mut hashes: BTreeSet<Hash> = gathered([value.hash]);
        if value.format == BlobFormat::HashSeq
            && self.kernel.state().index.get(value.hash).is_complete()
        {
            hashes.extend(self.sequence(value.hash)?.hashes());
        }
        let hashes: Vec<Hash> = hashes.into_iter().collect();
        let (mut blobs, total) = (0, hashes.len() as u64);
        for batch in hashes.chunks(DURABLE_BATCH) {
            self.kernel.await_deletions(batch);
            self.ensure_durable(batch)?;
            blobs += batch.len() as u64;
            if watch(Progress::Settled { blobs, total }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        Ok(held)
    }

    /// Syncs the files of those blobs that this opening found and did not write.
    pub(super) fn ensure_durable(&self, hashes: &[Hash]) -> Result<()> {
        let mut pending = Vec::new();
        let mut names = Vec::new();
        // What the index has stays until it is synced.
        let _publishing = shared(&self.publishing);
        {
            let state = self.kernel.state();
            for hash in hashes {
                if !state.index.get(*hash).has(Entry::DURABLE) {
                    names.extend(state.index.complete_names(*hash));
                    pending.push(*hash);
                }
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        self.checked(self.backend.ensure_durable(&names))?;
        let mut state = self.kernel.state();
        for hash in pending {
            state.index.update(hash, |entry| entry.with(Entry::DURABLE));
        }
        Ok(())
    }
}

/// `auto-%Y-%m-%dT%H:%M:%S%.3fZ` of the time; a time that no calendar has is the nearest one.
fn auto_name(millis: i64) -> String {
    let (earliest, latest) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    let nearest = if millis < 0 { earliest } else { latest };
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(nearest);
    let time = jiff::tz::Offset::UTC.to_datetime(time);
    // Field by field: the formatter of patterns is as large as all tags take.
    format!(
        "auto-{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first line is the time of the fixture's automatic tag.
    /// BI-089.
    #[test]
    fn automatic_names_of_any_time() {
        for (millis, name) in [
            (1_795_403_512_254, "auto-2026-11-23T03:11:52.254Z"),
            (0, "auto-1970-01-01T00:00:00.000Z"),
            (-1, "auto-1969-12-31T23:59:59.999Z"),
            (18_446_744_073_709, "auto-2554-07-21T23:34:33.709Z"),
        ] {
            assert_eq!(auto_name(millis), name);
        }
        assert_eq!(auto_name(i64::MAX), "auto-9999-12-30T22:00:00.999Z");
        assert!(auto_name(i64::MIN).starts_with("auto--"));
    }
}
