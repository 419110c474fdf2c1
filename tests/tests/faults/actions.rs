//! Everything that a store does for its users and that takes part in I/O, once each. What is struck elsewhere, since it
//! needs a scene of its own: opening, reading-only openings and their `refresh` (`opening.rs`), `confirm_no_tags`,
//! `salvage_tags`, `restore_tags` and a collection without tags (`no_tags.rs`), exports in all modes
//! (`tests/exports.rs`), and repair of all that can be damaged (`tests/repair_crashes.rs`).
//!
//! `tags`, `tag`, `tags_of`, `temp_tag`, `status`, `blobs` and `find_prefix` make no call of the system.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom},
    ops::{ControlFlow, Range},
};

use flatbao_core::{
    ChunkRanges, Collection, Error, Hash, Result, Store,
    io::ReadAt as _,
    progress::unwatched,
    store::{
        Checked, Depth, Finding, GcOptions, ImportOptions, Outcome, Reason, RepairOptions,
        Repairing, Subject, Swept, VerifyOptions, copy,
    },
};
use flatbao_mem::MemBackend;

use crate::{
    common::{GROUP, SimStore, bytes, external, fresh_env, raw, read, seq, sequence, tag},
    scene::Scene,
};

/// One thing that a store does.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) act: fn(&SimStore, &Scene) -> Result<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It changes the store: once a sync has failed, it is refused.
    Writes,
    /// It changes the store as well, and may stop before it comes to that.
    Collects,
    /// It answers, also in a store that cannot be written any more.
    Reads,
}

type Act = fn(&SimStore, &Scene) -> Result<()>;

const fn writes(name: &'static str, act: Act) -> Action {
    let role = Role::Writes;
    Action { name, role, act }
}

const fn reads(name: &'static str, act: Act) -> Action {
    let role = Role::Reads;
    Action { name, role, act }
}

pub(crate) const ACTIONS: &[Action] = &[
    writes("import a small blob", |store, _| {
        store.import_bytes(b"new").map(drop)
    }),
    writes("import several groups", |store, _| {
        store.import_bytes(&large()).map(drop)
    }),
    writes("import what was found at open", |store, scene| {
        store.import_bytes(&scene.kept[1].1).map(drop)
    }),
    writes("import a file", |store, _| {
        store.import_file(&external("new")).map(drop)
    }),
    writes("import by reference", |store, _| {
        store.import_reference(&external("new")).map(drop)
    }),
    writes("import another reference", |store, _| {
        store.import_reference(&external("again")).map(drop)
    }),
    writes("a batch", |store, _| {
        let mut batch = store.batch();
        batch.import_reader(&b"one"[..])?;
        batch.import_reader(&large()[..])?;
        batch.import_reader(&b"three"[..])?;
        batch.commit().map(drop)
    }),
    writes("a batch of files", |store, _| {
        let (mut batch, options) = (store.batch(), ImportOptions::default());
        batch.import_file_with(&external("new"), options, &mut unwatched)?;
        batch.import_reference_with(&external("again"), options, &mut unwatched)?;
        batch.commit().map(drop)
    }),
    writes("a collection", |store, scene| {
        let mut batch = store.batch();
        let (member, _) = batch.import_bytes(b"member", ImportOptions::default())?;
        let named = [("kept", scene.kept[0].0), ("member", member)];
        let named = named.map(|(name, hash)| (name.to_owned(), hash));
        batch.import_collection(&Collection::new(named).unwrap())?;
        batch.commit().map(drop)
    }),
    writes("set a tag", |store, scene| {
        store.set_tag(tag("new"), raw(scene.kept[1].0))
    }),
    writes("set a tag on a sequence", |store, scene| {
        store.set_tag(tag("new"), seq(scene.list))
    }),
    writes("set an automatic tag", |store, scene| {
        store.auto_tag(raw(scene.kept[0].0)).map(drop)
    }),
    writes("remove a tag", |store, _| {
        store.remove_tag(&tag("kept 0")).map(drop)
    }),
    writes("delete", |store, scene| {
        store.delete(scene.dead, false).map(drop)
    }),
    writes("delete by force", |store, scene| {
        store.delete(scene.kept[1].0, true).map(drop)
    }),
    Action {
        name: "collect",
        role: Role::Collects,
        act: |store, _| all_removed(store.sweep(store.plan_gc()?)?),
    },
    writes("receive a small blob", |store, _| {
        receive(store, b"sent", &ChunkRanges::all())
    }),
    writes("receive several groups", |store, _| {
        receive(store, &bytes(30, 3 * GROUP + 5), &ChunkRanges::all())
    }),
    writes("receive what is missing", |store, scene| {
        receive(store, &scene.part, &ChunkRanges::of_groups(2..))
    }),
    writes("feed a partial blob", |store, scene| {
        let hash = Hash::of(&scene.part);
        let ranges = ChunkRanges::of_groups(2..);
        let stream = stream_of(&scene.part, &ranges);
        let mut partial = store.partial_blob(hash)?;
        partial.begin(&ranges)?;
        for piece in stream.chunks(9000) {
            assert_eq!(partial.feed(piece)?, piece.len());
            partial.flush()?;
        }
        whole(partial.finish()?.is_complete, hash)
    }),
    writes("give a partial blob up", |store, _| {
        let content = bytes(32, 2 * GROUP + 1);
        let ranges = ChunkRanges::all();
        let stream = stream_of(&content, &ranges);
        let mut partial = store.partial_blob(Hash::of(&content))?;
        partial.begin(&ranges)?;
        partial.feed(&stream[..GROUP + 500])?;
        partial.flush()
    }),
    writes("copy a sequence", |store, _| {
        let (from, list) = source(&[b"child", &bytes(31, 2 * GROUP + 1)]);
        let copied = copy(&from, store, seq(list), &mut unwatched)?;
        assert!(copied.incomplete.is_empty());
        Ok(())
    }),
    writes("repair", |store, _| {
        let mut failed = None;
        let mut each = |step| match step {
            Repairing::Mended(_, Outcome::Failed(error)) => failed = Some(error),
            Repairing::Mended(..) => {}
            // What could not be looked at is left alone.
            Repairing::Left(finding) => assert_no_damage(&finding),
            other => panic!("{other:?}"),
        };
        store.repair(&RepairOptions::default(), &mut each, &mut unwatched)?;
        failed.map_or(Ok(()), Err)
    }),
    reads("read and mend an outboard", |store, scene| {
        let (hash, content) = &scene.kept[2];
        is_right(&read(store, *hash)?, content)
    }),
    reads("read outside", |store, scene| {
        let (hash, content) = &scene.kept[3];
        is_right(&read(store, *hash)?, content)
    }),
    reads("read at places", |store, scene| {
        let (hash, content) = &scene.kept[1];
        let mut reader = store.reader(*hash)?;
        let mut buf = [0; 9];
        for at in [GROUP - 4, 0] {
            let len = passed(reader.read_at(&mut buf, at as u64))?;
            is_right(&buf[..len], &content[at..at + len])?;
        }
        assert_eq!(reader.proven_size()?, content.len() as u64);
        assert_eq!(passed(reader.seek(SeekFrom::End(-3)))?, GROUP as u64 - 2);
        let mut end = Vec::new();
        passed(reader.read_to_end(&mut end))?;
        is_right(&end, &content[GROUP - 2..])
    }),
    reads("read a part", |store, scene| {
        let hash = Hash::of(&scene.part);
        let reader = store.partial_reader(hash)?;
        let mut buf = vec![0; GROUP];
        let len = passed(reader.read_at(&mut buf, GROUP as u64))?;
        is_right(&buf[..len], &scene.part[GROUP..GROUP + len])
    }),
    reads("tell what is there of a part", |store, scene| {
        let hash = Hash::of(&scene.part);
        let found = store.available(hash)?;
        let has_first = |groups: &Range<u64>| groups.start == 0 && groups.end >= 2;
        assert!(found.groups.first().is_none_or(has_first), "{found:?}");
        assert_eq!(store.missing(hash)?.is_empty(), found.is_whole());
        for partial in store.partials(hash)? {
            assert!(partial.groups.iter().all(|groups| groups.end <= 4));
        }
        Ok(())
    }),
    reads("send", |store, scene| {
        let (hash, content) = &scene.kept[2];
        let ranges = ChunkRanges::of_groups(1..3);
        sends(store, *hash, content, &ranges)
    }),
    reads("send a part", |store, scene| {
        let ranges = ChunkRanges::of_groups(..2);
        sends(store, Hash::of(&scene.part), &scene.part, &ranges)
    }),
    reads("be copied from", |store, scene| {
        let (to, _) = Store::open(MemBackend::new(), fresh_env()).unwrap();
        let copied = copy(store, &to, seq(scene.list), &mut unwatched)?;
        for (hash, content) in [&scene.kept[0], &scene.kept[1]] {
            if !copied.incomplete.iter().any(|(other, _)| other == hash) {
                is_right(&read(&to, *hash)?, content)?;
            }
        }
        match copied.incomplete.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }),
    reads("read a collection", |store, scene| {
        let (root, content) = &scene.kept[5];
        is_right(&store.sequence(*root)?.encode(), content)?;
        let found = store.collection(*root)?.get("a");
        assert_eq!(found, Some(scene.kept[0].0));
        Ok(())
    }),
    reads("tell usage", |store, scene| {
        let usage = store.usage()?;
        let blobs = scene.kept.len() as u64 + 1;
        assert!(usage.complete + usage.partial >= blobs, "{usage:?}");
        for share in [
            store.usage_of(&Subject::Blob(seq(scene.list)))?,
            store.usage_of(&Subject::Tag(tag("part")))?,
        ] {
            assert!(share.footprint.total <= 200_000);
        }
        Ok(())
    }),
    reads("tell places", |store, scene| {
        for (hash, content) in [&scene.kept[1], &scene.kept[3]] {
            for len in store.homes(*hash).into_iter().map(|home| home.len) {
                assert_eq!(len?, content.len() as u64);
            }
            assert_eq!(store.claimed_size(*hash)?, content.len() as u64);
            for file in store.files(*hash) {
                file.len?;
            }
        }
        let reached = store.reached_by(scene.kept[0].0)?;
        assert!(reached.by.iter().any(|by| by.tag == tag("kept 0")));
        match reached.unread.into_iter().next() {
            Some(unread) => Err(unread.error),
            None => Ok(()),
        }
    }),
    reads("plan a collection", |store, scene| {
        let plan = store.plan_gc_with(GcOptions::default(), &mut unwatched)?;
        assert!(plan.live() + 1 >= scene.kept.len() as u64);
        Ok(())
    }),
    reads("verify", |store, _| verify(store, Depth::Deep)),
    reads("verify quickly", |store, _| verify(store, Depth::Quick)),
];

pub(crate) fn large() -> Vec<u8> {
    bytes(20, 2 * GROUP + 9)
}

/// A store in memory with a sequence of these blobs.
fn source(contents: &[&[u8]]) -> (Store<MemBackend>, Hash) {
    let (store, _) = Store::open(MemBackend::new(), fresh_env()).unwrap();
    let put = |content: &[u8]| store.import_bytes(content).unwrap().hash;
    let hashes: Vec<Hash> = contents.iter().map(|content| put(content)).collect();
    let list = put(&sequence(&hashes));
    (store, list)
}

/// The stream of these chunks, from a store in which nothing fails.
fn stream_of(content: &[u8], ranges: &ChunkRanges) -> Vec<u8> {
    let mut stream = Vec::new();
    let (from, _) = source(&[content]);
    from.send(Hash::of(content), ranges, &mut stream).unwrap();
    stream
}

/// Receives these chunks of a content, which is whole with them.
pub(crate) fn receive(store: &SimStore, content: &[u8], ranges: &ChunkRanges) -> Result<()> {
    let (hash, stream) = (Hash::of(content), stream_of(content, ranges));
    let received = store.receive(hash, ranges, &stream[..])?;
    whole(received.is_complete, hash)
}

/// What was there cannot be read, and so is not.
fn whole(is_complete: bool, hash: Hash) -> Result<()> {
    match is_complete {
        true => Ok(()),
        false => Err(Error::Incomplete(hash)),
    }
}

/// Sends, and what went out is the stream, or its beginning.
fn sends(store: &SimStore, hash: Hash, content: &[u8], ranges: &ChunkRanges) -> Result<()> {
    let (expected, mut sent) = (stream_of(content, ranges), Vec::new());
    let outcome = store.send(hash, ranges, &mut sent);
    assert!(expected.starts_with(&sent), "a wrong byte was sent");
    outcome?;
    assert_eq!(sent.len(), expected.len());
    Ok(())
}

fn is_right(found: &[u8], content: &[u8]) -> Result<()> {
    assert!(found == content, "a wrong byte came out");
    Ok(())
}

/// The error of the store that came through a trait of the standard library.
fn passed<T>(result: io::Result<T>) -> Result<T> {
    result.map_err(Error::Source)
}

fn all_removed(swept: Swept) -> Result<()> {
    match swept.spared.into_iter().next() {
        Some(spared) => match spared.reason {
            Reason::Failed(error) => Err(error),
            other => panic!("{other:?}"),
        },
        None => Ok(()),
    }
}

fn verify(store: &SimStore, depth: Depth) -> Result<()> {
    let mut each = |checked| {
        if let Checked::Finding(finding) = checked {
            assert_no_damage(&finding);
        }
        ControlFlow::Continue(())
    };
    let options = VerifyOptions::default().depth(depth);
    store.verify(&options, &mut each, &mut unwatched).map(drop)
}

/// Nothing is damaged in the scene but an outboard: that something cannot be read is no damage.
fn assert_no_damage(finding: &Finding) {
    let is_damage = matches!(
        finding,
        Finding::CorruptData { .. }
            | Finding::ExternalChanged { .. }
            | Finding::CorruptPaths { .. }
    );
    assert!(!is_damage, "{finding:?}");
}
