use flatbao_core::{HashAndFormat, TagFile};

use super::{edit, input::Input};
use crate::files::{sealed, tags_payload};

/// Bytes that read as a tag database are those that its tags are written as, with a trailer or without.
///
/// The bytes are tried as they are, with a trailer behind them, and as a script that makes such a file.
///
/// # Panics
/// When that is not so.
pub fn tags(bytes: &[u8]) {
    check(bytes);
    check(&sealed(bytes.to_vec()));
    let mut input = Input::new(bytes);
    let file = edit::tags(&mut input);
    check(&edit::edited(&mut input, &file));
}

fn check(file: &[u8]) {
    let Ok(TagFile { tags, protected }) = TagFile::decode(file) else {
        return;
    };
    let list: Vec<(&[u8], HashAndFormat)> = tags
        .iter()
        .map(|(tag, value)| (tag.as_bytes(), *value))
        .collect();
    let payload = tags_payload(&list);
    let written = TagFile::encode(&tags).unwrap();
    assert_eq!(written, sealed(payload.clone()));
    match protected {
        true => assert_eq!(file, written),
        false => assert_eq!(file, payload),
    }
    let again = TagFile {
        tags,
        protected: true,
    };
    assert_eq!(TagFile::decode(&written), Ok(again));
}
