//! Names that are taken before the store comes to them.

use std::{fs, os::unix::fs::symlink};

use flatbao_core::{FileName, Store, TagFile, TagMap, Uuid};
use flatbao_mem::SeededEnv;

use crate::{
    Real, STRANGE,
    common::{GROUP, assert_reads, bytes, raw, tag},
    is_strange, make_strange,
};

/// Somebody who can guess has put something under the very temporary name that comes next: nothing is written through
/// it and nothing replaces it, and the import and the tag get other names.
/// BI-017, BI-042.
#[test]
fn a_temporary_name_that_is_taken() {
    let content = bytes(1, 2 * GROUP);
    for what in STRANGE {
        let real = Real::new();
        let target = real.outside().join("target");
        fs::write(&target, b"target").unwrap();
        let env = SeededEnv::new(1);
        let (store, _) = Store::open(real.backend(), env.env()).unwrap();
        let taken = {
            let mut bytes = [0; 16];
            env.env().entropy.fill(&mut bytes).unwrap();
            Uuid::from_bytes(bytes)
        };
        let planted = [
            real.path(FileName::Temp(taken)),
            real.path(FileName::TagsTemp(taken)),
        ];
        for path in &planted {
            make_strange(what, path, &target);
        }
        // It comes next, twice over.
        env.entropy.stick(2);
        let hash = store.import_bytes(&content).unwrap().hash;
        env.entropy.stick(1);
        store.set_tag(tag("a"), raw(hash)).unwrap();
        assert_reads(&store, hash, &content);
        assert_eq!(fs::read(&target).unwrap(), b"target", "{what}");
        for path in &planted {
            assert!(is_strange(what, path), "{what} is gone");
        }
        let expected = TagMap::from([(tag("a"), raw(hash))]);
        let written = fs::read(real.path(FileName::Tags)).unwrap();
        assert_eq!(written, TagFile::encode(&expected).unwrap(), "{what}");
    }
}

/// A link appears under the final name of an entry while its bytes are staged: the rename puts the file in the place of
/// the link, and not where that leads.
/// BI-016, BI-022.
#[test]
fn a_link_appears_where_a_file_is_published() {
    let real = Real::new();
    let target = real.outside().join("target");
    fs::write(&target, b"target").unwrap();
    let store = real.open();
    let content = bytes(1, 2 * GROUP);
    let mut batch = store.batch();
    let (hash, _) = batch.import_reader(&content[..]).unwrap();
    for name in [FileName::Data(hash), FileName::Outboard(hash)] {
        symlink(&target, real.path(name)).unwrap();
    }
    batch.commit().unwrap();
    assert_reads(&store, hash, &content);
    assert_eq!(fs::read(&target).unwrap(), b"target");
    let kind = fs::symlink_metadata(real.path(FileName::Data(hash))).unwrap();
    assert!(kind.is_file());
}
