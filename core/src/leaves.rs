//! What data hash to: the one door through which the bytes of groups go to be hashed.
//!
//! Most of a store's work is done here. In a WASI sandbox the processor's wide instructions are out of reach, and
//! BLAKE3 is three times slower; with the feature `host-hash` the host hashes groups, in the memory of the guest.
//! It is asked for values and for nothing else: the guest merges them, and compares them with what it has proved.
//! A host that lies about them could write into that memory as well, so that it is trusted with nothing new.
//!
//! What is a root is hashed in here, and so is a blob of one group: a host gives only values of what is not.

use blake3::hazmat::HasherExt;

use crate::tree::{CHUNK, Cv, GROUP_CHUNKS, GROUP_LEN};

/// Computes the chaining values of neighbouring groups, from group `first` on, the last one maybe short. They are
/// not all of the blob. `values` has one for each of them.
///
/// The more groups at once, the better where a host is called. One alone is sent to it as well, also a short one:
/// a call takes 90 ns, a tenth of what a chunk does, and a second way would have to be tested as the first.
pub(crate) fn group_values(bytes: &[u8], first: u64, values: &mut [Cv]) {
    // Bytes without a value would be proved by nothing.
    assert_eq!(values.len(), bytes.len().div_ceil(GROUP_LEN));
    #[cfg(all(feature = "host-hash", target_os = "wasi", target_env = "p1"))]
    flatbao_wasi_calls::hash_groups(bytes, first * GROUP_CHUNKS, values);
    #[cfg(not(all(feature = "host-hash", target_os = "wasi", target_env = "p1")))]
    own_values(bytes, first, values);
}

#[cfg(not(all(feature = "host-hash", target_os = "wasi", target_env = "p1")))]
fn own_values(bytes: &[u8], first: u64, values: &mut [Cv]) {
    #[cfg(feature = "parallel")]
    if values.len() >= 2 * crate::beside::SHARE && crate::beside::has_more_cores() {
        let half = values.len() / 2;
        let (left, right) = bytes.split_at(half * GROUP_LEN);
        let (left_values, right_values) = values.split_at_mut(half);
        return crate::beside::both(
            || own_values(left, first, left_values),
            || own_values(right, first + half as u64, right_values),
        );
    }
    for (group, (bytes, value)) in (first..).zip(bytes.chunks(GROUP_LEN).zip(values)) {
        *value = own_value(group * GROUP_CHUNKS, bytes);
    }
}

/// The value of an aligned subtree of groups, the last one maybe short, that begins with group `first`. As one it is
/// hashed faster than group by group, by a fifteenth: all its parents are hashed side by side.
pub(crate) fn run_value(bytes: &[u8], first: u64) -> Cv {
    #[cfg(all(feature = "host-hash", target_os = "wasi", target_env = "p1"))]
    {
        let mut values = vec![[0; 32]; bytes.len().div_ceil(GROUP_LEN)];
        group_values(bytes, first, &mut values);
        crate::tree::merge(&values, false, &mut Vec::new())
    }
    #[cfg(not(all(feature = "host-hash", target_os = "wasi", target_env = "p1")))]
    own_value(first * GROUP_CHUNKS, bytes)
}

/// The chaining value of one group, which is not all of the blob.
pub(crate) fn group_value(group: u64, bytes: &[u8]) -> Cv {
    let mut value = [[0; 32]];
    group_values(bytes, group, &mut value);
    let [value] = value;
    value
}

/// The chaining value of a subtree of at most a group, from chunk `start` on, which is not all of the blob.
pub(crate) fn subtree_value(start: u64, bytes: &[u8]) -> Cv {
    match start % GROUP_CHUNKS {
        // As that of a group that ends there.
        0 => group_value(start / GROUP_CHUNKS, bytes),
        // Half a group at most, and rare: parts of groups are for peers that ask for them.
        _ => own_value(start, bytes),
    }
}

fn own_value(start: u64, bytes: &[u8]) -> Cv {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(start * CHUNK);
    hasher.update(bytes);
    hasher.finalize_non_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What values are is told by the hashes of wholes.
    #[test]
    fn values_merge_to_the_hash_of_all_bytes() {
        let data: Vec<u8> = (0..4 * GROUP_LEN)
            .map(|i| u8::try_from(i / 241 % 256).unwrap())
            .collect();
        for len in [
            1,
            1023,
            1024,
            1025,
            GROUP_LEN / 2 + 1,
            GROUP_LEN - 1,
            GROUP_LEN,
        ] {
            let data = &data[..3 * GROUP_LEN + len];
            let mut values = [[0; 32]; 4];
            group_values(data, 0, &mut values);
            let root = crate::tree::merge(&values, true, &mut Vec::new());
            assert_eq!(blake3::hash(data), root, "{len}");
            let mut last = [[0; 32]; 2];
            group_values(&data[2 * GROUP_LEN..], 2, &mut last);
            assert_eq!(last, values[2..]);
        }
    }

    /// The simple way, group by group, is the oracle of both others.
    #[test]
    fn many_groups_at_once_are_as_each_of_them() {
        let data: Vec<u8> = (0..70 * GROUP_LEN)
            .map(|i| u8::try_from(i / 239 % 256).unwrap())
            .collect();
        for (first, len) in [
            (0, 70 * GROUP_LEN),
            (64, 64 * GROUP_LEN),
            (3, 33 * GROUP_LEN + 1),
            (128, 31 * GROUP_LEN),
            (16, 16 * GROUP_LEN - 1),
            (16, 9 * GROUP_LEN + 1025),
            (7, GROUP_LEN),
            (8, 1),
        ] {
            let data = &data[..len];
            let simple = (first..).zip(data.chunks(GROUP_LEN));
            let simple: Vec<Cv> = simple
                .map(|(group, bytes)| group_value(group, bytes))
                .collect();
            let mut values = vec![[0; 32]; simple.len()];
            group_values(data, first, &mut values);
            assert_eq!(values, simple, "{first} {len}");
            if first % (simple.len() as u64).next_power_of_two() == 0 && first > 0 {
                let merged = crate::tree::merge(&simple, false, &mut Vec::new());
                assert_eq!(run_value(data, first), merged, "{first} {len}");
            }
        }
    }

    #[test]
    fn a_group_is_the_subtree_of_its_halves() {
        let data = [0x5a; GROUP_LEN];
        for group in [0, 1, 7, 1 << 40] {
            let (left, right) = data.split_at(GROUP_LEN / 2);
            let start = group * GROUP_CHUNKS;
            let halves = (subtree_value(start, left), subtree_value(start + 8, right));
            let whole = crate::tree::parent(&halves.0, &halves.1, false);
            assert_eq!(group_value(group, &data), whole);
            assert_eq!(subtree_value(start, &data), whole);
        }
    }
}
