use std::ffi::OsStr;

use flatbao_core::{FileName, Hash, Uuid};

use super::names::{is_canonical, typed};

/// A name parses when it is one of the format's, and then it is what the parsed one prints; and every value
/// prints a name that parses to it.
///
/// # Panics
/// When that is not so.
pub fn file_name(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        let parsed = FileName::parse(OsStr::new(text));
        assert_eq!(parsed.is_some(), is_canonical(text), "{text:?}");
        if let Some(parsed) = parsed {
            assert_eq!(parsed.to_string(), text);
        }
    } else {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            assert_eq!(FileName::parse(OsStr::from_bytes(bytes)), None);
        }
    }
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let mut filled = [0; 48];
    filled
        .iter_mut()
        .zip(rest)
        .for_each(|(to, from)| *to = *from);
    let (mut hash, mut uuid) = ([0; 32], [0; 16]);
    hash.copy_from_slice(&filled[..32]);
    uuid.copy_from_slice(&filled[32..]);
    let (hash, uuid) = (Hash::from_bytes(hash), Uuid::from_bytes(uuid));
    let value = typed(*kind, hash, uuid, rest);
    let name = value.to_string();
    assert!(is_canonical(&name), "{name}");
    assert_eq!(FileName::parse(OsStr::new(&name)), Some(value.clone()));
    assert!(value.hash().is_none_or(|found| found == hash), "{name}");
}
