//! Writing an outboard in one pass over bytes of unknown length, in constant memory.
//!
//! Where a pair stands in pre-order depends on the size, which a stream does not tell beforehand. The pairs
//! of a page do stand together, only the handful above the pages come in between. So each page goes to the
//! file as if there were none above, and at the end the pages are shifted up, last one first, to let those
//! in. A shift never overtakes the page behind it: it is the number of pairs above the pages that come
//! before the page in pre-order, and that never decreases from one page to the next.

use std::io;

use crate::{
    Hash, ReadAt, WriteAt,
    hasher::Hashed,
    io::{read_full_at, write_all_at},
    leaves::group_values,
    tree::{Cv, GROUP, GROUP_LEN, PAGE_GROUPS, PAIR, PAIR_LEN, PREFIX, Subtree, groups, merge},
};

/// The hash of bytes in memory, and their outboard as a file has it: the size in front, then the pairs
/// (FORMAT.md, "`.obao4`"). Of at most one group that is the size alone, and no file.
///
/// Takes one 256th of the room of `bytes` for the outboard, and half of that meanwhile.
#[must_use]
pub fn outboard_of(bytes: &[u8]) -> (Hash, Vec<u8>) {
    let mut outboard = (bytes.len() as u64).to_le_bytes().to_vec();
    if bytes.len() as u64 <= GROUP {
        return (Hash::of(bytes), outboard);
    }
    let mut values = vec![[0; 32]; bytes.len().div_ceil(GROUP_LEN)];
    group_values(bytes, 0, &mut values);
    outboard.reserve_exact((values.len() - 1) * PAIR_LEN);
    let root = merge(&values, true, &mut outboard);
    (Hash::from_bytes(root), outboard)
}

/// Writes pages of group values as they come, then makes an outboard of them.
pub(crate) struct OutboardWriter {
    page_groups: u64,
}

impl OutboardWriter {
    pub(crate) fn new() -> Self {
        Self {
            page_groups: PAGE_GROUPS,
        }
    }

    /// Writes the pairs of a full page to where they stand as long as nothing is above the pages.
    pub(crate) fn page(&self, file: &mut impl WriteAt, page: u64, values: &[Cv]) -> io::Result<()> {
        let mut pairs = Vec::with_capacity(values.len() * PAIR_LEN);
        merge(values, false, &mut pairs);
        write_all_at(file, &pairs, self.preliminary(page))
    }

    fn preliminary(&self, page: u64) -> u64 {
        PREFIX + page * (self.page_groups - 1) * PAIR
    }

    /// Completes the file to the outboard of what was hashed, which is more than one group.
    pub(crate) fn finish(
        &self,
        file: &mut (impl ReadAt + WriteAt),
        hashed: &Hashed,
    ) -> io::Result<()> {
        let mut last = Vec::with_capacity(hashed.last_page.len() * PAIR_LEN);
        merge(&hashed.last_page, hashed.pages.is_empty(), &mut last);
        let mut above = Vec::new();
        if !hashed.pages.is_empty() {
            merge(&hashed.pages, true, &mut above);
        }
        let mut plan = Plan::default();
        plan.visit(Subtree::root(hashed.size), self.page_groups);
        debug_assert_eq!(plan.above.len() * PAIR_LEN, above.len());
        debug_assert_eq!(
            plan.pages.len() as u64,
            groups(hashed.size).div_ceil(self.page_groups)
        );

        let mut pages = plan.pages.iter().enumerate().rev();
        if let Some((_, offset)) = pages.next() {
            write_all_at(file, &last, *offset)?;
        }
        let mut block = Vec::new();
        for (page, to) in pages {
            let from = self.preliminary(page as u64);
            if from != *to {
                // A full page is at most 16 KiB.
                block.resize(
                    usize::try_from((self.page_groups - 1) * PAIR).map_err(io::Error::other)?,
                    0,
                );
                if read_full_at(file, &mut block, from)? != block.len() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                write_all_at(file, &block, *to)?;
            }
        }
        for (pair, offset) in above.chunks(PAIR_LEN).zip(&plan.above) {
            write_all_at(file, pair, *offset)?;
        }
        write_all_at(file, &hashed.size.to_le_bytes(), 0)
    }
}

/// Where everything goes, in pre-order.
#[derive(Default)]
struct Plan {
    /// Offsets of the pairs above the pages.
    above: Vec<u64>,
    /// Offsets of the pages.
    pages: Vec<u64>,
}

impl Plan {
    fn visit(&mut self, tree: Subtree, page_groups: u64) {
        if tree.groups <= page_groups {
            self.pages.push(tree.offset);
            return;
        }
        self.above.push(tree.offset);
        let (left, right) = tree.split();
        self.visit(left, page_groups);
        self.visit(right, page_groups);
    }
}

#[cfg(test)]
mod tests {
    use bao_tree::{BlockSize, io::outboard::PreOrderMemOutboard};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        hasher::TreeHasher,
        leaves::group_value,
        tree::{left_of, outboard_len},
    };

    #[derive(Default)]
    struct Mem(Vec<u8>);

    impl ReadAt for Mem {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            self.0[..].read_at(buf, offset)
        }

        fn size(&self) -> io::Result<u64> {
            self.0[..].size()
        }
    }

    impl WriteAt for Mem {
        fn write_at(&mut self, buf: &[u8], offset: u64) -> io::Result<usize> {
            let offset = usize::try_from(offset).unwrap();
            if self.0.len() < offset + buf.len() {
                self.0.resize(offset + buf.len(), 0xee);
            }
            self.0[offset..offset + buf.len()].copy_from_slice(buf);
            Ok(buf.len())
        }

        fn set_len(&mut self, _: u64) -> io::Result<()> {
            unreachable!("an outboard only grows")
        }
    }

    fn bytes(size: usize) -> Vec<u8> {
        (0..size)
            .map(|i| u8::try_from((i / 251 + i * 7) % 256).unwrap())
            .collect()
    }

    /// The writer under test, fed in pieces.
    fn written(data: &[u8], page_groups: u64, piece: usize) -> (Hash, Vec<u8>) {
        let mut hasher = TreeHasher::with_page_groups(usize::try_from(page_groups).unwrap());
        let writer = OutboardWriter { page_groups };
        let mut file = Mem::default();
        for piece in data.chunks(piece) {
            hasher
                .update(piece, |page, values| writer.page(&mut file, page, values))
                .unwrap();
        }
        let hashed = hasher.finish();
        assert_eq!(hashed.size, data.len() as u64);
        if hashed.size > GROUP {
            writer.finish(&mut file, &hashed).unwrap();
        } else {
            file.0 = hashed.size.to_le_bytes().to_vec();
        }
        (hashed.hash, file.0)
    }

    /// The plain recursive definition, kept as an oracle.
    fn naive(data: &[u8]) -> (Hash, Vec<u8>) {
        fn subtree(data: &[u8], first: u64, is_root: bool, out: &mut Vec<u8>) -> [u8; 32] {
            if data.len() <= GROUP_LEN {
                return match is_root {
                    true => *blake3::hash(data).as_bytes(),
                    false => group_value(first, data),
                };
            }
            let at = out.len();
            out.extend([0; 64]);
            let left = left_of(groups(data.len() as u64));
            let (l, r) = data.split_at(usize::try_from(left * GROUP).unwrap());
            let (l, r) = (
                subtree(l, first, false, out),
                subtree(r, first + left, false, out),
            );
            out[at..at + 32].copy_from_slice(&l);
            out[at + 32..at + 64].copy_from_slice(&r);
            crate::tree::parent(&l, &r, is_root)
        }
        let mut out = (data.len() as u64).to_le_bytes().to_vec();
        let hash = subtree(data, 0, true, &mut out);
        (Hash::from_bytes(hash), out)
    }

    /// Also what is made in memory is as it is written.
    fn checked(data: &[u8], page_groups: u64, piece: usize) -> (Hash, Vec<u8>) {
        let written = written(data, page_groups, piece);
        assert!(written == outboard_of(data));
        written
    }

    fn of_bao_tree(data: &[u8]) -> (Hash, Vec<u8>) {
        let outboard = PreOrderMemOutboard::create(data, BlockSize::from_chunk_log(4));
        (outboard.root.into(), outboard.into_inner_with_prefix())
    }

    #[test]
    fn both_sides_of_every_boundary_equal_bao_tree() {
        let mut sizes = vec![0, 1, 1023, 1024, 1025];
        for groups in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
            sizes.extend([
                groups * GROUP_LEN - 1,
                groups * GROUP_LEN,
                groups * GROUP_LEN + 1,
            ]);
        }
        for size in sizes {
            let data = bytes(size);
            let expected = of_bao_tree(&data);
            assert_eq!(expected.0, Hash::of(&data));
            assert_eq!(expected.1.len() as u64, outboard_len(size as u64));
            assert_eq!(naive(&data), expected, "{size}");
            for page_groups in [2, 4, 8, PAGE_GROUPS] {
                assert_eq!(
                    checked(&data, page_groups, 40_000),
                    expected,
                    "{size} {page_groups}"
                );
            }
        }
    }

    #[test]
    fn both_sides_of_a_page_equal_bao_tree() {
        let page = usize::try_from(PAGE_GROUPS).unwrap() * GROUP_LEN;
        for size in [
            page - 1,
            page,
            page + 1,
            2 * page + 1,
            3 * page,
            5 * page - GROUP_LEN,
        ] {
            let data = bytes(size);
            assert_eq!(
                checked(&data, PAGE_GROUPS, 1 << 20),
                of_bao_tree(&data),
                "{size}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_sizes_and_pieces_equal_bao_tree(
            size in 0..3_000_000usize, page_log in 1..6u32, piece in 1..100_000usize,
        ) {
            let data = bytes(size);
            prop_assert_eq!(checked(&data, 1 << page_log, piece), of_bao_tree(&data));
        }
    }
}
