//! Stores that the peer wrote, and the contents that they were made of.
//!
//! `tests/fixtures/iroh-flat` holds them with a manifest of what is in them; its `external` folder is what
//! their `.paths` files call `/external`.

use std::path::PathBuf;

/// The folder with the peer's stores and their `manifest.json`.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/iroh-flat"))
}

/// `len` bytes that count up to 250 and begin anew.
#[must_use]
pub fn mod251(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

/// `len` bytes of the linear congruential generator that starts with `len` itself.
#[must_use]
pub fn lcg(len: u32) -> Vec<u8> {
    let mut state = len;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..len).map(next).collect()
}

/// The bytes that the manifest describes as `mod251(n)`, `lcg(n)` or `text "…"`; `None` for anything else.
#[must_use]
pub fn content(description: &str) -> Option<Vec<u8>> {
    if let Some(text) = description.strip_prefix("text ") {
        return Some(text.trim_matches('"').as_bytes().to_vec());
    }
    let (generator, len) = description.strip_suffix(')')?.split_once('(')?;
    let len = len.parse().ok()?;
    match generator {
        "mod251" => Some(mod251(usize::try_from(len).ok()?)),
        "lcg" => Some(lcg(len)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use flatbao_core::Hash;

    use super::*;

    /// Sizes and hashes of the manifest.
    #[test]
    fn contents_hash_to_what_the_peer_stored() {
        for (description, hash) in [
            (
                "lcg(1025)",
                "04668733ab9e282b9fab9bd46eabb572f1a9fb6b7d853a0c27095ec5bbab15ad",
            ),
            (
                "mod251(1023)",
                "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
            ),
            (
                "text \"untagged\"",
                "685e1c1ce938fd4b2fb6a4bbe47d6f0dd3e77a83a4f8eae3575773d42ca458f2",
            ),
        ] {
            let content = content(description).unwrap();
            assert_eq!(Hash::of(&content).to_string(), hash, "{description}");
        }
        assert_eq!(content("meta of collection-v0"), None);
        assert_eq!(content("lcg(x)"), None);
    }
}
