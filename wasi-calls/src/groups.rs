//! Hashing by the host, with all that its processor has, in the memory of the guest.

/// Bytes of a group.
const GROUP: usize = 16 * 1024;
/// Chunks of a group.
const GROUP_CHUNKS: u64 = 16;
/// Groups of a call: 4 MiB, of the 64 MiB that the host takes. A call that is longer is no faster, and a host
/// that is asked to stop does so between two of them.
const AT_ONCE: usize = 256;

/// Has the host compute the BLAKE3 chaining values of `groups`, which stand at chunk `first_chunk` of something
/// larger: one value for every 16 KiB, the last ones maybe fewer.
///
/// # Panics
/// When `out` is not of as many values as there are groups.
#[cfg(all(feature = "host-hash", target_os = "wasi", target_env = "p1"))]
pub fn hash_groups(groups: &[u8], first_chunk: u64, out: &mut [[u8; 32]]) {
    in_calls(groups, first_chunk, out, host::hash_groups);
}

/// Cuts the work into calls. Each is of at least one byte, and has a value for each of its groups.
fn in_calls(
    groups: &[u8],
    first_chunk: u64,
    out: &mut [[u8; 32]],
    mut call: impl FnMut(&[u8], u64, &mut [[u8; 32]]),
) {
    // Once a call, and not in debug builds only: the host writes as much as there are groups.
    assert_eq!(out.len(), groups.len().div_ceil(GROUP), "a value a group");
    let calls = groups.chunks(AT_ONCE * GROUP).zip(out.chunks_mut(AT_ONCE));
    for (nth, (groups, out)) in (0..).zip(calls) {
        call(
            groups,
            first_chunk + nth * AT_ONCE as u64 * GROUP_CHUNKS,
            out,
        );
    }
}

#[cfg(all(feature = "host-hash", target_os = "wasi", target_env = "p1"))]
mod host {
    use super::GROUP;

    #[expect(unsafe_code, reason = "the import that this module is about")]
    mod import {
        #[link(wasm_import_module = "flatbao_host_1")]
        unsafe extern "C" {
            /// Cuts the `len` bytes at `data`, 1 to 64 MiB of them, into groups of 16 KiB, and writes to
            /// `out + 32 * i` the non-root chaining value of the subtree that starts at chunk
            /// `first_chunk + 16 * i`.
            pub(super) fn hash_groups(data: *const u8, len: u32, first_chunk: u64, out: *mut u8);
        }
    }

    /// One call.
    #[expect(unsafe_code, reason = "the call of the import")]
    pub(super) fn hash_groups(groups: &[u8], first_chunk: u64, out: &mut [[u8; 32]]) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a call is of a few MiB, and addresses are of 32 bits here"
        )]
        let len = groups.len() as u32;
        let out = &mut out[..groups.len().div_ceil(GROUP)];
        // SAFETY: the host reads the `len` bytes of `groups`, and writes 32 bytes for each group of these, which is
        // what `out` has room for. Both are borrowed for the call, `out` by nobody else, and the host keeps neither.
        // Whatever bytes it writes are a value; whether it is the right one is the host's word.
        unsafe { import::hash_groups(groups.as_ptr(), len, first_chunk, out.as_mut_ptr().cast()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the calls are: bytes, first chunk, and for each value where it goes.
    fn calls(len: usize, first_chunk: u64) -> Vec<(usize, u64, usize)> {
        let data = vec![7; len];
        let mut out = vec![[0; 32]; len.div_ceil(GROUP)];
        let mut calls = Vec::new();
        in_calls(&data, first_chunk, &mut out, |groups, first, out| {
            assert!(!groups.is_empty() && groups.len() <= 64 << 20);
            assert_eq!(out.len(), groups.len().div_ceil(GROUP));
            out.fill([1; 32]);
            calls.push((groups.len(), first, out.len()));
        });
        assert!(
            out.iter().all(|value| *value == [1; 32]),
            "{len}: a value is left out"
        );
        calls
    }

    #[test]
    fn the_calls_cover_every_group_once() {
        let call = AT_ONCE * GROUP;
        assert_eq!(calls(0, 0), []);
        for len in [1, GROUP - 1, GROUP, GROUP + 1, call - 1, call] {
            assert_eq!(calls(len, 48), [(len, 48, len.div_ceil(GROUP))], "{len}");
        }
        let (first, second) = (1 << 40, (1 << 40) + 16 * 256);
        assert_eq!(calls(call + 1, first), [(call, first, 256), (1, second, 1)]);
        assert_eq!(
            calls(2 * call, first),
            [(call, first, 256), (call, second, 256)]
        );
    }

    #[test]
    #[should_panic(expected = "a value a group")]
    fn too_few_values_are_refused() {
        in_calls(&[0; GROUP + 1], 0, &mut [[0; 32]], |_, _, _| {});
    }

    #[test]
    #[should_panic(expected = "a value a group")]
    fn too_many_values_are_refused() {
        in_calls(&[0; GROUP], 0, &mut [[0; 32]; 2], |_, _, _| {});
    }
}
