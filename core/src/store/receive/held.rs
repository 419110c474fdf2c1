//! Less than a group: kept in memory until the rest of it comes.

use crate::tree::{CHUNK, GROUP, GROUP_CHUNKS, chunks, group_range};

/// Groups that are kept at once: 1 MiB.
const HELD_GROUPS: usize = 64;

/// Groups of which some chunks have come.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The size of the blob, as was claimed when they came: of another size they are other groups.
    size: u64,
    /// The number of the stream that is coming.
    stream: u64,
    groups: Vec<HeldGroup>,
}

#[derive(Debug)]
struct HeldGroup {
    group: u64,
    bytes: Vec<u8>,
    /// The chunks that have come, a bit each.
    chunks: u32,
    /// The last stream that had some of it.
    stream: u64,
}

impl Held {
    /// Another stream begins.
    pub(super) fn begin(&mut self) {
        self.stream += 1;
    }

    pub(super) fn forget(&mut self, group: u64) {
        self.groups.retain(|held| held.group != group);
    }

    /// Takes chunks that were proved under this size, and returns their group when it is whole. Where there is no
    /// room they are not kept, and can be received once more: room is made of what the stream before had nothing of.
    pub(super) fn take(&mut self, size: u64, offset: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.size != size {
            self.groups.clear();
            self.size = size;
        }
        let group = offset / GROUP;
        let range = group_range(group, size);
        let index = match self.groups.iter().position(|held| held.group == group) {
            Some(index) => index,
            None => {
                if self.groups.len() == HELD_GROUPS {
                    let is_old = |held: &HeldGroup| held.stream + 1 < self.stream;
                    let old = self.groups.iter().position(is_old)?;
                    self.groups.swap_remove(old);
                }
                self.groups.push(HeldGroup {
                    group,
                    // At most a group.
                    bytes: vec![0; usize::try_from(range.end - range.start).ok()?],
                    chunks: 0,
                    stream: self.stream,
                });
                self.groups.len() - 1
            }
        };
        let held = &mut self.groups[index];
        held.stream = self.stream;
        let at = usize::try_from(offset - range.start).ok()?;
        let place = held.bytes.get_mut(at..at.checked_add(bytes.len())?)?;
        place.copy_from_slice(bytes);
        let first = (offset - range.start) / CHUNK;
        for chunk in first..first + chunks(bytes.len() as u64) {
            held.chunks |= 1 << chunk;
        }
        let all = GROUP_CHUNKS.min(chunks(size) - group * GROUP_CHUNKS);
        match u64::from(held.chunks.count_ones()) == all {
            true => Some(self.groups.swap_remove(index).bytes),
            false => None,
        }
    }
}
