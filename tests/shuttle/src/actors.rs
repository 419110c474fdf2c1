//! Those who do something with the store: each of them one thread.

use flatbao_core::{
    BlobFormat, ChunkRanges, Error, Hash, HashAndFormat, Result,
    progress::unwatched,
    store::{ExportMode, ExportOptions, ImportOptions, Imported},
};

use crate::{
    facts::Fact,
    world::{BLOB, CHILD, Kept, LIST, PointStore, path, raw, said, stream, tag},
};

/// Calls of one thread, and what may be said of them.
#[derive(Clone, Copy)]
pub struct Actor {
    /// What it does.
    pub name: &'static str,
    /// Call by call; each tells how it went.
    pub steps: &'static [Step],
    /// What is so from then on, given what the calls told.
    pub facts: fn(&str) -> Vec<Fact>,
    /// What it takes back of what others have done.
    pub undoes: &'static [Fact],
}

/// A call of the store.
pub type Step = fn(&PointStore, &mut Kept) -> String;

/// All there are.
pub const ALL: &[Actor] = &[
    IMPORT,
    IMPORT_REFERENCE,
    IMPORT_LIST,
    RECEIVE,
    COLLECT,
    DELETE,
    TAG,
    TAG_OTHER,
    TAG_CHILD,
    TAG_LIST,
    UNTAG,
    DROP,
    READ,
    EXPORT,
    EXPORT_REFERENCE,
    EXPORT_OTHER,
    EXPORT_FORGET,
];

/// Imports the blob, and holds it.
pub const IMPORT: Actor = Actor {
    name: "import",
    steps: &[|store, kept| hold(store.import_bytes(&BLOB), kept)],
    facts: |_| vec![Fact::Whole],
    undoes: &[Fact::Gone],
};

/// Imports the file `source` by reference, and holds it.
pub const IMPORT_REFERENCE: Actor = Actor {
    name: "import by reference",
    steps: &[|store, kept| hold(store.import_reference(&path("source")), kept)],
    ..IMPORT
};

/// Receives the blob, and holds it.
pub const RECEIVE: Actor = Actor {
    name: "receive",
    steps: &[|store, kept| {
        let all = ChunkRanges::all();
        let received = store.receive(Hash::of(&BLOB), &all, &stream(&all)[..]);
        told(received.map(|received| {
            let outcome = match received.is_complete {
                true => "whole".to_owned(),
                false => format!("{} bytes", received.verified),
            };
            kept.tags.push(received.tag);
            outcome
        }))
    }],
    ..IMPORT
};

/// Plans a collection, and sweeps.
pub const COLLECT: Actor = Actor {
    name: "collection",
    steps: &[
        |store, kept| {
            told(store.plan_gc().map(|plan| {
                kept.plan = Some(plan);
                "plans".into()
            }))
        },
        |store, kept| match kept.plan.take() {
            Some(plan) => {
                let swept = store.sweep(plan);
                told(swept.map(|swept| format!("removes {}", swept.removed.len())))
            }
            None => String::new(),
        },
    ],
    facts: |told| match told.contains("removes 1") {
        true => vec![Fact::Gone],
        false => Vec::new(),
    },
    undoes: &[Fact::Whole],
};

/// Deletes the blob, if nothing reaches it.
pub const DELETE: Actor = Actor {
    name: "delete",
    steps: &[|store, _| told(store.delete(Hash::of(&BLOB), false).map(|_| "done".into()))],
    facts: |_| vec![Fact::Gone],
    undoes: &[],
};

/// Gives the blob the tag `t`.
pub const TAG: Actor = Actor {
    name: "tag",
    steps: &[|store, _| told(store.set_tag(tag("t"), raw(&BLOB)).map(|()| "done".into()))],
    facts: |_| vec![Fact::Tag("t")],
    undoes: &[Fact::NoTag("t")],
};

/// Gives the blob the tag `u`.
pub const TAG_OTHER: Actor = Actor {
    name: "another tag",
    steps: &[|store, _| told(store.set_tag(tag("u"), raw(&BLOB)).map(|()| "done".into()))],
    facts: |_| vec![Fact::Tag("u")],
    undoes: &[],
};

/// Gives another blob the tag `t`.
pub const TAG_CHILD: Actor = Actor {
    name: "the same tag",
    steps: &[|store, _| told(store.set_tag(tag("t"), raw(&CHILD)).map(|()| "done".into()))],
    ..TAG
};

/// Tags the sequence, as one.
pub const TAG_LIST: Actor = Actor {
    name: "tag a list",
    steps: &[|store, _| {
        let value = HashAndFormat::hash_seq(Hash::of(&LIST));
        told(store.set_tag(tag("l"), value).map(|()| "done".into()))
    }],
    facts: |_| vec![Fact::Tag("l")],
    undoes: &[],
};

/// Imports the sequence, as one, and holds it.
pub const IMPORT_LIST: Actor = Actor {
    name: "import a list",
    steps: &[|store, kept| {
        let options = ImportOptions::default().format(BlobFormat::HashSeq);
        let imported = store.import_reader_with(&LIST[..], options, &mut unwatched);
        hold(imported, kept)
    }],
    facts: |_| Vec::new(),
    undoes: &[],
};

/// Removes the tag `t`.
pub const UNTAG: Actor = Actor {
    name: "untag",
    steps: &[|store, _| told(store.remove_tag(&tag("t")).map(|_| "done".into()))],
    facts: |_| vec![Fact::NoTag("t")],
    undoes: &[Fact::Tag("t")],
};

/// Lets go of a temporary tag.
pub const DROP: Actor = Actor {
    name: "drop of a temporary tag",
    steps: &[|_, kept| {
        kept.tags.clear();
        "done".into()
    }],
    facts: |_| Vec::new(),
    undoes: &[],
};

/// Reads the blob.
pub const READ: Actor = Actor {
    name: "read",
    steps: &[|store, _| {
        told(store.read(Hash::of(&BLOB), 1 << 20).map(|bytes| {
            assert!(bytes == *BLOB, "wrong bytes");
            "the blob".into()
        }))
    }],
    facts: |_| Vec::new(),
    undoes: &[],
};

/// Exports a copy to `out`.
pub const EXPORT: Actor = Actor {
    name: "export",
    steps: &[|store, _| export(store, "out", ExportMode::Copy)],
    facts: |_| vec![Fact::File("out")],
    undoes: &[],
};

/// Exports to `out`, and refers to it.
pub const EXPORT_REFERENCE: Actor = Actor {
    name: "export by reference",
    steps: &[|store, _| export(store, "out", ExportMode::Reference)],
    ..EXPORT
};

/// Exports to `other`, and refers to it.
pub const EXPORT_OTHER: Actor = Actor {
    name: "another export by reference",
    steps: &[|store, _| export(store, "other", ExportMode::Reference)],
    facts: |_| vec![Fact::File("other")],
    undoes: &[],
};

/// Exports to `out`, and forgets the blob.
pub const EXPORT_FORGET: Actor = Actor {
    name: "export and forget",
    steps: &[|store, _| export(store, "out", ExportMode::Forget)],
    ..EXPORT
};

fn export(store: &PointStore, name: &str, mode: ExportMode) -> String {
    let options = ExportOptions::default().mode(mode).threshold(0);
    let exported = store.export_with(Hash::of(&BLOB), &path(name), options, &mut unwatched);
    told(exported.map(|_| "done".into()))
}

/// Whether it was new is not told: of two imports at once each may find nothing there.
fn hold(imported: Result<Imported>, kept: &mut Kept) -> String {
    told(imported.map(|imported| {
        kept.tags.push(imported.tag);
        "done".into()
    }))
}

/// How a call went.
fn told(outcome: Result<String, Error>) -> String {
    match outcome {
        Ok(told) => told,
        Err(error) => format!("fails: {}", said(&error)),
    }
}
