//! What becomes of what a killed process has left.

use flatbao_core::{Error, HashAndFormat, Tag, store::Status};
use flatbao_mem::SimDisk;

use super::{Check, Files, Scene, Violation, broken, hold};
use crate::explore::{
    contents::{Blob, Blobs},
    promise::Tags,
    run::{is_complete, reads},
    world::Subject,
};

impl<S: Subject> Scene<'_, S> {
    /// What a killed process left, in the cache and not on the disk: whatever the next process acknowledges of it
    /// survives a power loss.
    pub(super) fn check_afterlife(&self) -> Result<(), Violation> {
        self.found_and_tagged()?;
        self.found_and_imported()?;
        self.found_and_collected()
    }

    fn found_and_tagged(&self) -> Result<(), Violation> {
        let disk = self.disk.fork();
        let (store, _) = self.open(&disk)?;
        let told = |error: Error| broken(Check::FoundAndTaggedStays, format!("{error:?}"));
        let found: Blobs = Blob::ALL
            .into_iter()
            .filter(|blob| self.promise.may_promise(*blob) && reads(&store, *blob))
            .collect();
        for blob in found.iter() {
            let name = Tag::new(blob.hash().as_bytes().as_slice());
            let name = name.map_err(|error| broken(Check::Works, error.to_string()))?;
            let value = HashAndFormat::raw(blob.hash());
            store.set_tag(name, value).map_err(told)?;
        }
        drop(store);
        let files = Files::of(self.layout, &disk);
        let right = found.iter().filter(|blob| files.is_right(*blob)).collect();
        self.all_last(&disk.crash(), found, right, Check::FoundAndTaggedStays)
    }

    /// Only what was found: another import would make the names of all durable.
    fn found_and_imported(&self) -> Result<(), Violation> {
        let disk = self.disk.fork();
        let (store, _) = self.open(&disk)?;
        let told = |error: Error| broken(Check::FoundAndImportedStays, format!("{error:?}"));
        let found: Blobs = Blob::ALL
            .into_iter()
            .filter(|blob| is_complete(&store, *blob))
            .collect();
        for blob in found.iter() {
            drop(self.subject.import(&store, blob.bytes()).map_err(told)?);
        }
        drop(store);
        self.all_last(&disk.crash(), found, found, Check::FoundAndImportedStays)
    }

    /// A collection by tags that are in the cache only must not let them come back.
    fn found_and_collected(&self) -> Result<(), Violation> {
        let disk = self.disk.fork();
        let (store, _) = self.open(&disk)?;
        let whole: Blobs = Blob::ALL
            .into_iter()
            .filter(|blob| reads(&store, *blob))
            .collect();
        let Ok(plan) = store.plan_gc() else {
            // A root that cannot be read: nothing goes.
            return Ok(());
        };
        let told = |error: Error| broken(Check::Works, format!("{error:?}"));
        let removed = self.subject.sweep(&store, plan).map_err(told)?;
        let removed: Blobs = removed.into_iter().filter_map(Blob::of).collect();
        drop(store);
        let (store, _) = self.open(&disk.crash())?;
        let tags = store.tags().map_err(told)?;
        let tags = Tags::of(&tags).unwrap_or_default();
        let kept = tags.reach().common(whole).common(removed);
        hold(kept.is_empty(), Check::NoTagOutlivesItsBlob, || {
            format!("{kept:?}")
        })?;
        let came_back = removed
            .iter()
            .find(|blob| store.status(blob.hash()) != Status::Missing);
        hold(came_back.is_none(), Check::DeletedStaysDeleted, || {
            format!("{came_back:?}")
        })
    }

    /// These blobs are there, and under the names of those that were right are whole files.
    fn all_last(
        &self,
        disk: &SimDisk,
        blobs: Blobs,
        right: Blobs,
        check: Check,
    ) -> Result<(), Violation> {
        let mut promise = self.promise;
        promise.careless = promise.careless.without(right);
        let after = Scene {
            subject: self.subject,
            layout: self.layout,
            disk: disk.clone(),
            promise,
        };
        let told = |violation: Violation| broken(check, violation.to_string());
        after.check_files().map_err(told)?;
        let (store, _) = self.open(disk)?;
        let lost = blobs.iter().find(|blob| !reads(&store, *blob));
        hold(lost.is_none(), check, || format!("{lost:?}"))
    }
}
