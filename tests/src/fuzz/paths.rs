use std::{collections::BTreeSet, path::Path};

use flatbao_core::PathSet;

use super::{edit, input::Input};
use crate::files::{paths_file, paths_payload, sealed};

/// Bytes that read as a list of paths have the paths that are written again, each once and in order, and
/// none that may be opened leads out of what is granted by its form.
///
/// The bytes are tried as they are, with a trailer behind them, and as a script that makes such a file.
///
/// # Panics
/// When that is not so.
pub fn paths(bytes: &[u8]) {
    check(bytes);
    check(&sealed(bytes.to_vec()));
    let mut input = Input::new(bytes);
    let file = edit::paths(&mut input);
    check(&edit::edited(&mut input, &file));
}

fn check(file: &[u8]) {
    let Ok(set) = PathSet::decode(file) else {
        return;
    };
    let found: Vec<&str> = set.iter().map(|(path, _)| path).collect();
    let unique: BTreeSet<&str> = found.iter().copied().collect();
    assert_eq!((found.len(), set.len()), (unique.len(), unique.len()));
    assert_eq!(set.is_empty(), found.is_empty());
    let written = set.encode().unwrap();
    assert_eq!(written, paths_file(&found));
    assert_eq!(PathSet::decode(&written), Ok(set.clone()));
    assert_eq!(PathSet::decode(&paths_payload(&found)), Ok(set.clone()));
    for (path, parsed) in set.iter() {
        let Ok(parsed) = parsed else { continue };
        assert_eq!(parsed.as_str(), path);
        assert!(path.starts_with('/') && !path.contains('\0'), "{path:?}");
        // The standard library's reading of a path is the naive one: it has dropped nothing.
        let parts = Path::new(path).components().count();
        assert_eq!(parts, path.split('/').count(), "{path:?}");
        assert!(path.split('/').all(|part| part != ".."), "{path:?}");
    }
}
