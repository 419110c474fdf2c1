//! Hashing for programs: natively, in their own memory.

use blake3::hazmat::HasherExt as _;
use wasmtime::{Caller, Error, Extern, Linker, Result, Trap, bail};

use crate::run::CoreState;

/// The module that the function is imported from.
pub const HASH_MODULE: &str = "flatbao_host_1";

/// The name of the function: `hash_groups(data: i32, len: i32, first_chunk: i64, out: i32)`.
///
/// The `len` bytes at `data` are cut into groups of [`GROUP_SIZE`] bytes; the last one may be shorter. For group *i* the
/// BLAKE3 chaining value of the subtree that begins at chunk `first_chunk + 16 i`, which is never taken for the root, is
/// written to `out + 32 i`. `out` may overlap `data`.
///
/// It traps if `len` is zero or more than [`MAX_HASHED`], if `first_chunk` is negative, no multiple of 16, or so large
/// that no file reaches that far, and if a range is not all in memory. With a fuel limit, four bytes cost one unit, and
/// each call costs 100.
pub const HASH_FUNCTION: &str = "hash_groups";

/// Length of a group in bytes: 16 chunks.
pub const GROUP_SIZE: usize = 16 << 10;

/// The most bytes that one call hashes: a deadline does not interrupt it.
pub const MAX_HASHED: usize = 64 << 20;

const CHUNK_SIZE: u64 = 1024;
const CHUNKS_PER_GROUP: u64 = 16;

/// Chaining values of the groups of `data`, whose first one begins at chunk `first_chunk` of its file. What
/// programs get from [`HASH_FUNCTION`].
///
/// `None` if `data` is empty, if `first_chunk` is no multiple of 16, or if a file cannot reach that far.
#[must_use]
pub fn hash_groups(data: &[u8], first_chunk: u64) -> Option<Vec<[u8; 32]>> {
    let start = first_chunk.checked_mul(CHUNK_SIZE)?;
    start.checked_add(data.len() as u64)?;
    if data.is_empty() || !first_chunk.is_multiple_of(CHUNKS_PER_GROUP) {
        return None;
    }
    let values = data.chunks(GROUP_SIZE).zip((start..).step_by(GROUP_SIZE));
    Some(
        values
            .map(|(group, offset)| {
                blake3::Hasher::new()
                    .set_input_offset(offset)
                    .update(group)
                    .finalize_non_root()
            })
            .collect(),
    )
}

pub(crate) fn add_to_linker(linker: &mut Linker<CoreState>) -> Result<()> {
    linker.func_wrap(HASH_MODULE, HASH_FUNCTION, in_program)?;
    Ok(())
}

fn in_program(
    mut caller: Caller<'_, CoreState>,
    data: u32,
    len: u32,
    first_chunk: i64,
    out: u32,
) -> Result<()> {
    let (data, len, out) = (data as usize, len as usize, out as usize);
    if len > MAX_HASHED {
        bail!("{HASH_FUNCTION} hashes at most {MAX_HASHED} bytes at once, not {len}");
    }
    burn(&mut caller, 100 + len as u64 / 4)?;
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        bail!("a module that imports {HASH_FUNCTION} must export its memory");
    };
    let memory = memory.data_mut(&mut caller);
    let outside = || Error::from(Trap::MemoryOutOfBounds);
    let out_end = out.checked_add(len.div_ceil(GROUP_SIZE) * 32);
    // Before the work, which would be for nothing.
    if out_end.is_none_or(|end| end > memory.len()) {
        return Err(outside());
    }
    let end = data.checked_add(len).ok_or_else(outside)?;
    let input = memory.get(data..end).ok_or_else(outside)?;
    let values = u64::try_from(first_chunk)
        .ok()
        .and_then(|first_chunk| hash_groups(input, first_chunk));
    let Some(values) = values else {
        bail!(
            "{HASH_FUNCTION} needs bytes, and a first chunk that is a multiple of 16: {len}, {first_chunk}"
        );
    };
    let target = out_end
        .and_then(|end| memory.get_mut(out..end))
        .ok_or_else(outside)?;
    target.copy_from_slice(values.as_flattened());
    Ok(())
}

/// Takes fuel, where it is limited.
fn burn(caller: &mut Caller<'_, CoreState>, cost: u64) -> Result<()> {
    // Asking where it is not would make an error each time, which costs more than hashing.
    if !caller.data().meter.burns_fuel {
        return Ok(());
    }
    let left = caller.get_fuel()?;
    caller.set_fuel(left.saturating_sub(cost))?;
    if left < cost {
        return Err(Trap::OutOfFuel.into());
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
mod tests {
    use blake3::hazmat::{HasherExt as _, Mode, merge_subtrees_root};

    use super::{GROUP_SIZE, hash_groups};

    #[test]
    fn groups_merge_to_the_hash_of_the_whole() {
        let data: Vec<u8> = (0..2 * GROUP_SIZE as u32 - 5)
            .map(|i| (i * 7) as u8)
            .collect();
        let values = hash_groups(&data, 0).unwrap();
        let root = merge_subtrees_root(&values[0], &values[1], Mode::Hash);
        assert_eq!(root, blake3::hash(&data));
    }

    #[test]
    fn later_groups_know_where_they_are() {
        let data = vec![3; 3 * GROUP_SIZE + 1];
        let all = hash_groups(&data, 32).unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!(
            all[3..],
            hash_groups(&data[3 * GROUP_SIZE..], 80).unwrap()[..]
        );
        let mut hasher = blake3::Hasher::new();
        hasher
            .set_input_offset(32 * 1024)
            .update(&data[..GROUP_SIZE]);
        assert_eq!(all[0], hasher.finalize_non_root());
        assert_ne!(all[0], all[1]);
    }

    #[test]
    fn what_is_no_place_of_a_group_is_refused() {
        assert!(hash_groups(b"", 0).is_none());
        assert!(hash_groups(b"a", 1).is_none());
        assert!(hash_groups(b"a", u64::MAX - 15).is_none());
        assert!(hash_groups(&[0; 1024], (1 << 54) - 16).is_some());
        assert!(hash_groups(&[0; 20000], (1 << 54) - 16).is_none());
    }
}
