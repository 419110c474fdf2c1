//! What each step does, and what it promises from then on.

use flatbao_core::{
    ChunkRanges, Error, ExternalPath, FileName, Result,
    progress::unwatched,
    store::{ExportMode, ExportOptions, RepairOptions},
};
use flatbao_mem::SimDisk;

use super::{GARBAGE, Planned, Run, reads, spoiled};
use crate::{
    explore::{
        check::{Check, Files, Violation, broken},
        contents::{Blob, Blobs, Value},
        promise::tag,
        step::{End, Name, Part, Step, Way},
        world::{self, Subject},
    },
    oracle,
};

impl<S: Subject> Run<'_, S> {
    pub(super) fn act(&mut self, step: Step) -> Result<(), Trouble> {
        match step {
            Step::Import(blob) => {
                drop(self.subject.import(self.store()?, blob.bytes())?);
                self.touch(blob.into());
                self.promise.is_owned(blob.into());
            }
            Step::Batch => {
                let mut batch = self.store()?.batch();
                for blob in Step::BATCH {
                    batch.import_reader(blob.bytes())?;
                }
                drop(batch.commit()?);
                let all = Step::BATCH.into_iter().collect();
                self.touch(all);
                self.promise.is_owned(all);
            }
            Step::Refer(blob) => {
                drop(
                    self.store()?
                        .import_reference(&path(&world::source(blob))?)?,
                );
                self.touch(blob.into());
                self.promise.is_there(blob.into());
                self.promise.referred = self.promise.referred.with(blob);
            }
            Step::Receive(blob, part) => self.receive(blob, part)?,
            Step::SetTag(name, value) => self.set_tag(name, value)?,
            Step::RemoveTag(name) => {
                if let Some(tag) = tag(name) {
                    self.store()?.remove_tag(&tag)?;
                }
                let tags = self.promise.tags.with(name, None);
                self.promise.tags_are(tags);
            }
            Step::Delete(blob) => {
                self.store()?.delete(blob.hash(), false)?;
                self.promise.is_gone(blob.into());
                self.promise.tags_are(self.promise.tags);
            }
            Step::Hold(value) => {
                let held = self.store()?.temp_tag(value.to_core());
                self.held.push((held, value));
                self.touch(value.reach());
            }
            Step::LetGo => self.held.clear(),
            Step::Plan => {
                let plan = self.store()?.plan_gc()?;
                let items = plan.items().iter().filter_map(|item| Blob::of(item.hash));
                let items = items.collect();
                let touched = Blobs::NONE;
                self.plan = Some(Planned {
                    plan,
                    items,
                    touched,
                });
            }
            Step::Sweep => self.sweep()?,
            Step::Export(blob, way) => self.export(blob, way)?,
            Step::Repair => {
                let options = RepairOptions::default();
                self.store()?
                    .repair(&options, &mut |_| {}, &mut unwatched)?;
                // What could not be put right is no complete blob any more.
                self.promise.spoiled = Blobs::NONE;
            }
            Step::Reopen(end) => self.reopen(end)?,
            Step::Spoil(blob) => {
                let disk = self.damaged(&FileName::Data(blob.hash()), &spoiled(blob));
                self.restart(disk)?;
            }
            Step::Break(blob) => {
                let disk = self.damaged(&FileName::Outboard(blob.hash()), GARBAGE);
                self.restart(disk)?;
            }
            Step::Careless(blob) => {
                let disk = self.disk.kill();
                world::import_carelessly(self.layout, &disk, blob.bytes(), self.openings)?;
                self.restart(disk.kill())?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, blob: Blob, part: Part) -> Result<(), Trouble> {
        let ranges = match part {
            Part::All => ChunkRanges::all(),
            Part::First => ChunkRanges::of_groups(..1),
            Part::Last => ChunkRanges::of_groups(1..),
        };
        let stream = oracle::stream(blob.bytes(), &ranges);
        let received = self.store()?.receive(blob.hash(), &ranges, &stream[..])?;
        let is_complete = received.is_complete;
        drop(received);
        self.touch(blob.into());
        // A blob that is there by its name is taken for whole until somebody reads it.
        let is_whole = is_complete && reads(self.store()?, blob);
        if is_whole && !self.promise.careless.has(blob) {
            self.promise.is_there(blob.into());
        }
        Ok(())
    }

    fn set_tag(&mut self, name: Name, value: Value) -> Result<(), Trouble> {
        let store = self.store()?;
        // A tag promises what is there, also what nobody has acknowledged before.
        let mut whole: Blobs = value
            .reach()
            .iter()
            .filter(|blob| self.promise.may_promise(*blob) && reads(store, *blob))
            .collect();
        if value == Value::Sequence && !whole.has(Blob::List) {
            // What it lists is not known.
            whole = Blobs::NONE;
        }
        if let Some(tag) = tag(name) {
            store.set_tag(tag, value.to_core())?;
        }
        self.touch(value.reach());
        self.promise.is_there(whole);
        let files = Files::of(self.layout, &self.disk);
        let right = whole.iter().filter(|blob| files.is_right(*blob)).collect();
        self.promise.careless = self.promise.careless.without(right);
        let tags = self.promise.tags.with(name, Some(value));
        self.promise.tags_are(tags);
        Ok(())
    }

    fn sweep(&mut self) -> Result<(), Trouble> {
        let doomed = self.doomed();
        let Some(planned) = self.plan.take() else {
            return Ok(());
        };
        let removed = self.subject.sweep(self.store()?, planned.plan)?;
        let removed: Blobs = removed.into_iter().filter_map(Blob::of).collect();
        let wrong = removed.without(doomed);
        if !wrong.is_empty() {
            let told = format!("{wrong:?} went, of which {doomed:?} might");
            return Err(broken(Check::CollectionSparesTheLiving, told).into());
        }
        let spared = self.promise.going.without(removed);
        self.promise.is_there(spared);
        self.promise.is_gone(removed);
        self.promise.tags_are(self.promise.tags);
        Ok(())
    }

    fn export(&mut self, blob: Blob, way: Way) -> Result<(), Trouble> {
        let mode = match way {
            Way::Copy => ExportMode::Copy,
            Way::Reference => ExportMode::Reference,
            Way::Forget => ExportMode::Forget,
        };
        let options = ExportOptions::default().mode(mode).threshold(0);
        let path = path(&world::target(blob, way))?;
        let store = self.store()?;
        store.export_with(blob.hash(), &path, options, &mut unwatched)?;
        let promise = &mut self.promise;
        promise.is_out(blob, way);
        match way {
            Way::Copy => {}
            Way::Reference => {
                promise.is_there(blob.into());
                promise.referred = promise.referred.with(blob);
                // The store keeps no data of its own.
                promise.spoiled = promise.spoiled.without(blob.into());
                promise.careless = promise.careless.without(blob.into());
            }
            Way::Forget => {
                promise.leaving = Blobs::NONE;
                promise.is_gone(blob.into());
                promise.tags_are(promise.tags);
            }
        }
        Ok(())
    }

    fn reopen(&mut self, end: End) -> Result<(), Violation> {
        let disk = match end {
            End::Close => self.disk.clone(),
            End::Kill => self.disk.kill(),
            End::PowerLoss => self.disk.crash(),
        };
        self.restart(disk)
    }

    /// The disk after the end of the process and some damage.
    fn damaged(&self, name: &FileName, bytes: &[u8]) -> SimDisk {
        let disk = self.disk.kill();
        world::damage(self.layout, &disk, name, bytes);
        disk
    }
}

fn path(below: &str) -> Result<ExternalPath, Violation> {
    let path = format!("/outside/{below}");
    ExternalPath::parse(&path).map_err(|error| broken(Check::Works, error.to_string()))
}

/// Why a step did not go well.
pub(super) enum Trouble {
    Refused(Error),
    Violation(Violation),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Violation> for Trouble {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
