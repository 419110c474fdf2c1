//! A check behind the payload of `tags.meta` and `.paths`: the peer's reader stops at the end of the
//! payload and never sees it, ours tells damage from content (FORMAT.md, "Trailer").

/// Marks a trailer, and its version.
const MAGIC: [u8; 8] = *b"fbtrail1";
const LEN: usize = MAGIC.len() + 32;

/// Appends the trailer: the magic, then the BLAKE3 hash of all bytes before it.
pub(crate) fn seal(mut payload: Vec<u8>) -> Vec<u8> {
    let hash = blake3::hash(&payload);
    payload.extend(MAGIC);
    payload.extend(hash.as_bytes());
    payload
}

/// The payload of a sealed file, when the last bytes are the trailer of those before them.
pub(crate) fn unseal(file: &[u8]) -> Option<&[u8]> {
    let (payload, trailer) = file.split_at_checked(file.len().checked_sub(LEN)?)?;
    let hash = trailer.strip_prefix(&MAGIC)?;
    (blake3::hash(payload).as_bytes() == hash).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_payload_comes_back_and_no_flipped_bit_does() {
        for len in [0, 1, 5, 300] {
            let payload = vec![7; len];
            let mut file = seal(payload.clone());
            assert_eq!(unseal(&file), Some(&payload[..]));
            for bit in 0..file.len() * 8 {
                file[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(unseal(&file), None, "bit {bit}");
                file[bit / 8] ^= 1 << (bit % 8);
            }
            for short in 0..file.len() {
                assert_eq!(unseal(&file[..short]), None, "cut to {short}");
            }
        }
    }
}
