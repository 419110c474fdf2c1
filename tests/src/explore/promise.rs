//! What a story has been promised: what every state that it may leave has to hold.

use flatbao_core::{Tag, TagMap};

use super::{
    contents::{Blob, Blobs, Value},
    step::{Name, Way},
};

/// What both tags name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tags([Option<Value>; 2]);

impl Tags {
    /// These tags with one that names something else, or nothing.
    #[must_use]
    pub fn with(mut self, name: Name, value: Option<Value>) -> Self {
        self.0[name as usize] = value;
        self
    }

    /// What a tag names.
    #[must_use]
    pub const fn get(self, name: Name) -> Option<Value> {
        self.0[name as usize]
    }

    /// Everything that the tags keep.
    #[must_use]
    pub fn reach(self) -> Blobs {
        let values = self.0.into_iter().flatten();
        values.map(Value::reach).fold(Blobs::NONE, Blobs::and)
    }

    /// The tags of a store; `None` when they are no tags that any story sets.
    #[must_use]
    pub fn of(map: &TagMap) -> Option<Self> {
        let mut tags = Self::default();
        for (tag, value) in map {
            let is_it = |name: &Name| tag.as_str() == Some(name.text());
            let name = Name::ALL.into_iter().find(is_it)?;
            tags = tags.with(name, Some(Value::of(*value)?));
        }
        Some(tags)
    }
}

/// A tag by its name.
pub(super) fn tag(name: Name) -> Option<Tag> {
    Tag::try_from(name.text()).ok()
}

/// Sets of tags of which a power loss may show any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Others([Option<Tags>; 3]);

impl Others {
    /// Whether these tags are among them.
    #[must_use]
    pub fn has(self, tags: Tags) -> bool {
        self.0.contains(&Some(tags))
    }

    /// These and another one. Only the last few are known: no story has more of them in doubt.
    #[must_use]
    pub fn with(self, tags: Tags) -> Self {
        let [one, two, _] = self.0;
        match self.has(tags) {
            true => self,
            false => Self([Some(tags), one, two]),
        }
    }
}

/// What has been promised so far, and what is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Promise {
    /// The tags.
    pub tags: Tags,
    /// Tags that the disk may have instead: those that are being written, or that a process which died wrote or
    /// replaced.
    pub or_tags: Others,
    /// Blobs that are whole, whatever happens.
    pub present: Blobs,
    /// Blobs that are whole or not there at all: they are being imported or received, or were when a process died.
    pub coming: Blobs,
    /// Blobs that are being removed, likewise.
    pub going: Blobs,
    /// Blobs whose removal was acknowledged.
    pub gone: Blobs,
    /// Blobs that a file outside has as well, which the store was told of.
    pub referred: Blobs,
    /// Blobs of whose data a byte in the first group went wrong.
    pub spoiled: Blobs,
    /// Blobs of which at least the last group is there, whatever else went wrong.
    pub kept: Blobs,
    /// Blobs whose outboard went wrong.
    pub broken: Blobs,
    /// Blobs that a process wrote which syncs nothing: until somebody makes them durable, a power loss may leave anything
    /// under their names.
    pub careless: Blobs,
    /// Blobs whose export in some way was acknowledged: the file is there, whole. By [`Way`].
    pub out: [Blobs; 3],
    /// A blob that is leaving the store for a file: it is in either.
    pub leaving: Blobs,
    /// Names have reached the disk in another order than that of the calls: data may be without their outboard.
    pub is_jumbled: bool,
}

impl Promise {
    /// Whether the tags of a disk may be these.
    #[must_use]
    pub fn allows(&self, tags: Tags) -> bool {
        tags == self.tags || self.or_tags.has(tags)
    }

    /// Whether a tag on the blob promises what reads of it: not of damaged data, which read with the help of parts that
    /// came and are nobody's promise yet.
    #[must_use]
    pub fn may_promise(&self, blob: Blob) -> bool {
        !self.spoiled.has(blob) || self.present.has(blob)
    }

    /// A blob of which what is there is not known is there, whole and durable.
    pub(super) fn is_there(&mut self, blobs: Blobs) {
        self.present = self.present.and(blobs);
        self.coming = self.coming.without(blobs);
        self.going = self.going.without(blobs);
        self.gone = self.gone.without(blobs);
    }

    /// Own data of these blobs were written, proved, in place of what was there.
    pub(super) fn is_owned(&mut self, blobs: Blobs) {
        self.is_there(blobs);
        self.spoiled = self.spoiled.without(blobs);
        self.careless = self.careless.without(blobs);
    }

    /// These blobs are on their way in: where they are not there already, they may be there or not.
    pub(super) fn is_coming(&mut self, blobs: Blobs) {
        self.gone = self.gone.without(blobs);
        self.coming = self
            .coming
            .and(blobs.without(self.present).without(self.going));
    }

    /// Nothing keeps these blobs any more.
    pub(super) fn is_going(&mut self, blobs: Blobs) {
        self.going = self.going.and(blobs.common(self.present));
        self.present = self.present.without(blobs);
        self.kept = self.kept.without(blobs);
    }

    /// Every file of these blobs is gone.
    pub(super) fn is_gone(&mut self, blobs: Blobs) {
        self.is_going(blobs);
        self.going = self.going.without(blobs);
        self.coming = self.coming.without(blobs);
        self.gone = self.gone.and(blobs);
        for of in [
            &mut self.referred,
            &mut self.spoiled,
            &mut self.broken,
            &mut self.careless,
        ] {
            *of = of.without(blobs);
        }
    }

    /// A byte in the first group of the blob's own data went wrong.
    pub(super) fn is_spoiled(&mut self, blob: Blob) {
        self.kept = self.kept.and(self.present.common(blob.into()));
        if self.broken.has(blob) {
            self.proves_nothing(blob);
        }
        self.spoiled = self.spoiled.with(blob);
        if !self.referred.has(blob) {
            self.present = self.present.without(blob.into());
        }
    }

    /// The outboard of the blob went wrong.
    pub(super) fn is_broken(&mut self, blob: Blob) {
        if self.spoiled.has(blob) {
            self.proves_nothing(blob);
        }
        self.broken = self.broken.with(blob);
    }

    /// Data and outboard are wrong: no group can be told from the others.
    fn proves_nothing(&mut self, blob: Blob) {
        self.kept = self.kept.without(blob.into());
    }

    /// A file outside has the blob.
    pub(super) fn is_out(&mut self, blob: Blob, way: Way) {
        self.out[way as usize] = self.out[way as usize].with(blob);
    }

    /// The process died in the midst of something: what was on its way stays in doubt.
    pub(super) fn is_cut(&mut self, found: Tags) {
        if found != self.tags {
            self.or_tags = self.or_tags.with(self.tags);
            self.tags = found;
        }
        self.coming = self.coming.and(self.going);
        self.going = Blobs::NONE;
        self.leaving = Blobs::NONE;
    }

    /// What the tags are is settled.
    pub(super) fn tags_are(&mut self, tags: Tags) {
        self.tags = tags;
        self.or_tags = Others::default();
    }
}
