//! What must hold of every state that a story may leave, each by a name of its own.

mod afterlife;
mod files;

use std::fmt;

use flatbao_core::{
    Error, FileName, PathSet, Recovery, Store, TagFile,
    progress::unwatched,
    store::{RepairOptions, Status},
};
use flatbao_mem::{Moment, SimDisk};

pub(super) use self::files::Files;
use super::{
    contents::{Blob, Blobs},
    promise::{Promise, Tags},
    run::{damaged_digests, is_complete, reads},
    step::Way,
    world::{self, Layout, Subject},
};
use crate::truth::GROUP;

/// One promise of the store. The numbers are those of the invariants in ARCHITECTURE.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// Under a final name there are whole files only: their bytes were synced before they got it (2).
    PublishedIsWhole,
    /// Where names reach the disk in order, no data are without their outboard (3).
    OutboardBeforeData,
    /// No wrong byte comes out, and what is listed as whole reads (4).
    ListedReads,
    /// What is there of a partial blob is right, and is proved again (5).
    PartsAreRight,
    /// What memory lists is what the disk lists (6).
    IndexIsListing,
    /// A collection removes nothing that a tag, a temporary tag or work since the plan keeps (7, 8).
    CollectionSparesTheLiving,
    /// The tags are the old ones or the new ones (9).
    TagsAreOldOrNew,
    /// No tag comes back whose blob was collected since it went (9).
    NoTagOutlivesItsBlob,
    /// Files outside the store are never changed (10).
    OutsideIsUntouched,
    /// The store opens, whatever is there (11).
    Opens,
    /// A blob that was acknowledged is there, whole.
    AcknowledgedStays,
    /// A blob that a tag keeps is there, whole.
    TaggedStays,
    /// A blob that was on its way is there as a whole or not at all.
    OldOrNew,
    /// A blob whose removal was acknowledged is gone.
    DeletedStaysDeleted,
    /// A file that a blob was exported to is whole from the moment that it has its name.
    ExportedIsWhole,
    /// A file whose export was acknowledged is there.
    ExportedStays,
    /// A blob that leaves the store for a file is in one of them.
    LeavingIsSomewhere,
    /// The good groups of a damaged blob are kept.
    GoodGroupsStay,
    /// Nothing is left of what was under way, once a store is opened.
    NothingIsLeftOver,
    /// What a killed process left and another one found and tagged is there after a power loss.
    FoundAndTaggedStays,
    /// What a killed process left and another one imported again is there after a power loss.
    FoundAndImportedStays,
    /// Calls do as they say.
    Works,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{check}: {told}")]
pub struct Violation {
    /// Which promise.
    pub check: Check,
    /// In which way.
    pub told: String,
}

pub(super) fn broken(check: Check, told: String) -> Violation {
    Violation { check, told }
}

fn hold(holds: bool, check: Check, told: impl FnOnce() -> String) -> Result<(), Violation> {
    match holds {
        true => Ok(()),
        false => Err(broken(check, told())),
    }
}

/// A state to be looked at.
pub(super) struct Scene<'a, S: Subject> {
    pub(super) subject: &'a S,
    pub(super) layout: Layout,
    pub(super) disk: SimDisk,
    pub(super) promise: Promise,
}

/// Randomness of openings that belong to no story.
const SEED: u64 = 1 << 32;

impl<S: Subject> Scene<'_, S> {
    /// Opens what is there and looks at everything; returns every moment of the opening. What a kill has left is lived with
    /// as well.
    pub(super) fn check(&self, is_killed: bool) -> Result<Vec<Moment>, Violation> {
        if is_killed {
            self.check_afterlife()?;
        }
        self.check_files()?;
        self.check_outside()?;
        self.disk.keep_moments(true);
        let (store, recovery) = self.open(&self.disk)?;
        self.disk.keep_moments(false);
        let moments = self.disk.take_moments();
        self.check_recovery(&recovery)?;
        self.check_tags(&store)?;
        self.check_blobs(&store)?;
        self.check_listing(&store)?;
        self.check_good_groups(&store)?;
        Ok(moments)
    }

    fn open(&self, disk: &SimDisk) -> Result<world::Opened<S>, Violation> {
        world::open(self.subject, self.layout, disk, SEED)
            .map_err(|error| broken(Check::Opens, format!("{error:?}")))
    }

    fn check_files(&self) -> Result<(), Violation> {
        let files = Files::of(self.layout, &self.disk);
        let promise = &self.promise;
        for blob in Blob::ALL {
            let hash = blob.hash();
            let [spoiled, garbage] = match promise.spoiled.and(promise.broken).has(blob) {
                true => damaged_digests(blob),
                false => [[0; 32]; 2],
            };
            let whole = |name: FileName, holds: bool| {
                hold(holds, Check::PublishedIsWhole, || name.to_string())
            };
            let is_careless = promise.careless.has(blob);
            if let Some(digest) = files.outboard(blob).filter(|_| !is_careless) {
                let is_known = promise.broken.has(blob) && digest == garbage;
                whole(
                    FileName::Outboard(hash),
                    digest == blob.outboard_digest() || is_known,
                )?;
            }
            if let Some(digest) = files.data(blob).filter(|_| !is_careless) {
                let is_known = promise.spoiled.has(blob) && digest == spoiled;
                whole(FileName::Data(hash), digest == *hash.as_bytes() || is_known)?;
                let is_proved = blob.outboard().is_empty() || files.outboard(blob).is_some();
                let told = || hash.to_string();
                hold(
                    is_proved || promise.is_jumbled,
                    Check::OutboardBeforeData,
                    told,
                )?;
            }
            if files.paths.has(blob) {
                let bytes = self.stored(&FileName::Paths(hash));
                let is_whole = bytes.is_some_and(|bytes| PathSet::decode(&bytes).is_ok());
                whole(FileName::Paths(hash), is_whole)?;
            }
        }
        if let Some(bytes) = self.stored(&FileName::Tags) {
            let is_whole = TagFile::decode(&bytes).is_ok_and(|tags| tags.protected);
            hold(is_whole, Check::PublishedIsWhole, || "tags.meta".to_owned())?;
        }
        Ok(())
    }

    fn check_outside(&self) -> Result<(), Violation> {
        for blob in Blob::ALL {
            let truth = Some(*blob.hash().as_bytes());
            let source = self.outside(&world::source(blob));
            hold(source == truth, Check::OutsideIsUntouched, || {
                format!("{blob:?}")
            })?;
            for way in [Way::Copy, Way::Reference, Way::Forget] {
                let found = self.outside(&world::target(blob, way));
                let told = || format!("{blob:?} by {way:?}");
                if self.promise.out[way as usize].has(blob) {
                    hold(found == truth, Check::ExportedStays, told)?;
                } else if found.is_some() {
                    // What is spoiled in the store is so in the file that shares its bytes.
                    let is_whole = found == truth || self.promise.spoiled.has(blob);
                    hold(is_whole, Check::ExportedIsWhole, told)?;
                }
            }
        }
        Ok(())
    }

    fn check_recovery(&self, recovery: &Recovery) -> Result<(), Violation> {
        let is_clean = recovery.not_removed.is_empty();
        hold(is_clean, Check::NothingIsLeftOver, || {
            format!("{:?}", recovery.not_removed)
        })?;
        let mut left = None;
        for dir in self.layout.areas(&self.disk) {
            dir.each_digest(&mut |name, _| {
                if world::is_scratch(name) {
                    left = Some(name.to_owned());
                }
            });
        }
        hold(left.is_none(), Check::NothingIsLeftOver, || {
            format!("{left:?}")
        })
    }

    fn check_tags(&self, store: &Store<S::Backend>) -> Result<(), Violation> {
        let known = store.tags();
        let known = known.map_err(|error| broken(Check::TagsAreOldOrNew, format!("{error:?}")))?;
        let tags = Tags::of(&known).filter(|tags| self.promise.allows(*tags));
        let Some(tags) = tags else {
            let told = format!("{known:?} instead of {:?}", self.promise.tags);
            return Err(broken(Check::TagsAreOldOrNew, told));
        };
        let kept = tags.reach().common(self.promise.going);
        let lost = kept.iter().find(|blob| !reads(store, *blob));
        hold(lost.is_none(), Check::NoTagOutlivesItsBlob, || {
            format!("{lost:?}")
        })
    }

    fn check_blobs(&self, store: &Store<S::Backend>) -> Result<(), Violation> {
        let promise = &self.promise;
        for blob in Blob::ALL {
            let is_whole = self.check_blob(store, blob)?;
            if promise.present.has(blob) {
                let tagged = promise.tags.reach().has(blob);
                let check = if tagged {
                    Check::TaggedStays
                } else {
                    Check::AcknowledgedStays
                };
                hold(is_whole, check, || format!("{blob:?}"))?;
            }
            if promise.gone.has(blob) {
                let is_gone = store.status(blob.hash()) == Status::Missing;
                hold(is_gone, Check::DeletedStaysDeleted, || format!("{blob:?}"))?;
            }
            if promise.leaving.has(blob) {
                let target = self.outside(&world::target(blob, Way::Forget));
                let is_out = target == Some(*blob.hash().as_bytes());
                hold(is_whole || is_out, Check::LeavingIsSomewhere, || {
                    format!("{blob:?}")
                })?;
            }
        }
        Ok(())
    }

    /// Reads a blob in its parts and as a whole; returns whether all of it is there.
    fn check_blob(&self, store: &Store<S::Backend>, blob: Blob) -> Result<bool, Violation> {
        let (hash, truth) = (blob.hash(), blob.bytes());
        let is_listed = is_complete(store, blob);
        match store.read(hash, u64::MAX) {
            Ok(bytes) => {
                hold(bytes == truth, Check::ListedReads, || {
                    format!("wrong bytes of {blob:?}")
                })?;
                hold(is_listed, Check::OldOrNew, || {
                    format!("{blob:?} reads and is not listed")
                })?;
                return Ok(true);
            }
            Err(error) => {
                let may_fail =
                    !is_listed || self.promise.spoiled.and(self.promise.careless).has(blob);
                hold(may_fail, Check::ListedReads, || {
                    format!("{blob:?}: {error:?}")
                })?;
            }
        }
        let told = |error: Error| broken(Check::PartsAreRight, format!("{blob:?}: {error:?}"));
        let Ok(reader) = store.partial_reader(hash) else {
            return Ok(false);
        };
        let found = store.available(hash).map_err(told)?;
        for group in found.groups.into_iter().flatten() {
            let start = usize::try_from(group)
                .unwrap_or(usize::MAX)
                .saturating_mul(GROUP);
            let expected = truth.get(start..).unwrap_or_default();
            let expected = &expected[..expected.len().min(GROUP)];
            let mut buf = vec![0; expected.len()];
            let read = reader.read_verified(&mut buf, start as u64).map_err(told)?;
            let is_right = read == expected.len() && buf == expected;
            hold(is_right, Check::PartsAreRight, || {
                format!("group {group} of {blob:?}")
            })?;
        }
        Ok(false)
    }

    fn check_listing(&self, store: &Store<S::Backend>) -> Result<(), Violation> {
        let files = Files::of(self.layout, &self.disk);
        for blob in Blob::ALL {
            let (has_data, has_paths) = (files.data(blob).is_some(), files.paths.has(blob));
            let is_listed = is_complete(store, blob);
            let told =
                || format!("{blob:?}: data {has_data}, paths {has_paths}, listed {is_listed}");
            hold(
                is_listed == (has_data || has_paths),
                Check::IndexIsListing,
                told,
            )?;
        }
        Ok(())
    }

    /// After everything else was looked at: mends what is damaged.
    fn check_good_groups(&self, store: &Store<S::Backend>) -> Result<(), Violation> {
        let lost = |blob: &Blob| !reads(store, *blob);
        let damaged: Blobs = self.promise.kept.iter().filter(lost).collect();
        if damaged.is_empty() {
            return Ok(());
        }
        let told = |error: Error| broken(Check::GoodGroupsStay, format!("{error:?}"));
        let options = RepairOptions::default();
        store
            .repair(&options, &mut |_| {}, &mut unwatched)
            .map_err(told)?;
        for blob in damaged.iter() {
            let last = (blob.bytes().len() - 1) / GROUP;
            let found = store.available(blob.hash()).map_err(told)?;
            let mut groups = found.groups.iter().cloned().flatten();
            let is_kept = groups.any(|group| group == last as u64) || reads(store, blob);
            hold(is_kept, Check::GoodGroupsStay, || {
                format!("the last one of {blob:?}")
            })?;
        }
        Ok(())
    }

    fn stored(&self, name: &FileName) -> Option<Vec<u8>> {
        world::stored(self.layout, &self.disk, name)
    }

    fn outside(&self, path: &str) -> Option<[u8; 32]> {
        world::outside(self.layout, &self.disk, path)
    }
}
