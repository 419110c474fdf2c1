//! Today's peer on its own: what its streams are, before flatbao reads or writes one.

use anyhow::{Context, Result, ensure};
use bao_tree::{
    BlockSize, ChunkNum, ChunkRanges,
    io::{outboard::PreOrderMemOutboard, sync::encode_ranges_validated},
};
use flatbao_interop::{
    fixtures::lcg,
    today::{Peer, chunk_ranges},
};

/// Nothing, one chunk, one group, just more than that, and some trees.
const SIZES: [usize; 7] = [0, 1, 1024, 16_384, 16_385, 100_000, 1_000_003];

/// Boundaries of chunks; a group has 16 of them.
const RANGES: [&[u64]; 16] = [
    &[],
    &[0],
    // Parts of groups.
    &[0, 1],
    &[1, 3],
    &[15, 17],
    &[3, 4, 40, 41],
    &[5, 6, 9, 10, 90],
    // Whole groups.
    &[0, 16],
    &[16, 32],
    &[16],
    &[32, 64, 500, 600],
    // Past the end of some blob or of all of them.
    &[97, 98],
    &[2000, 2001],
    &[2000],
    &[0, 1, 2000, 2001],
    &[0, 2, 5000],
];

/// A stream as `bao-tree` makes it.
fn stream(content: &[u8], ranges: &[u64]) -> Result<Vec<u8>> {
    let outboard = PreOrderMemOutboard::create(content, BlockSize::from_chunk_log(4));
    let mut stream = (content.len() as u64).to_le_bytes().to_vec();
    encode_ranges_validated(content, &outboard, &chunk_ranges(ranges)?, &mut stream)?;
    Ok(stream)
}

/// What a peer has after it has received these ranges: no other chunk of the same group, the last
/// chunk for anything past the end, and the rounding of [`Peer::present`].
fn received(size: usize, ranges: &[u64]) -> Result<Vec<u64>> {
    if size == 0 {
        return Ok(vec![0]);
    }
    let requested = chunk_ranges(ranges)?;
    let end = ChunkNum::chunks(size as u64);
    let all = ChunkRanges::from(..end);
    let last = ChunkRanges::from(end - 1..);
    let mut chunks = &requested & &all;
    if requested.intersects(&last) {
        chunks |= last;
    }
    if all.is_subset(&chunks) {
        chunks = ChunkRanges::all();
    }
    Ok(chunks.boundaries().iter().map(|chunk| chunk.0).collect())
}

/// Whether some group is there in part. The peer hashes whole groups to export any chunk of them.
fn splits_a_group(size: usize, present: &[u64]) -> Result<bool> {
    let present = chunk_ranges(present)?;
    let end = ChunkNum::chunks(size as u64);
    let mut groups = (0..end.0).step_by(16).map(|start| {
        let group = ChunkNum(start)..ChunkNum(start + 16).min(end);
        ChunkRanges::from(group)
    });
    Ok(groups.any(|group| present.intersects(&group) && !group.is_subset(&present)))
}

/// Runs a check for every size and ranges, with a peer that has the blob.
fn each(check: impl Fn(&Peer, &[u8; 32], &[u8], &[u64]) -> Result<()>) -> Result<()> {
    let source = Peer::new()?;
    for size in SIZES {
        let content = lcg(size);
        let hash = source.add(&content)?;
        for ranges in RANGES {
            check(&source, &hash, &content, ranges)
                .with_context(|| format!("{size} bytes, {ranges:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_stream_is_the_size_and_the_encoding() -> Result<()> {
    each(|source, hash, content, ranges| {
        let exported = source.export_bao(hash, ranges)?;
        ensure!(exported == stream(content, ranges)?, "not bao-tree's bytes");
        let provided = source.provide(hash, ranges)?;
        if ranges.is_empty() {
            ensure!(provided.is_empty(), "nothing is an answer of its own");
        } else {
            ensure!(provided == exported, "the provider sends something else");
        }
        Ok(())
    })
}

#[test]
fn streams_round_trip() -> Result<()> {
    each(|source, hash, content, ranges| {
        let stream = source.export_bao(hash, ranges)?;
        let imported = Peer::new()?;
        imported.import_bao(hash, ranges, &stream)?;
        let expected = received(content.len(), ranges)?;
        ensure!(imported.present(hash)? == expected, "other chunks arrived");
        ensure!(imported.is_complete(hash)? == (expected == [0]));
        if expected == [0] {
            ensure!(imported.read(hash)? == content, "other bytes arrived");
        } else {
            ensure!(imported.read(hash).is_err(), "read a part as the whole");
            ensure!(imported.export_bao(hash, &[0]).is_err() || expected.is_empty());
        }
        if !ranges.is_empty() {
            let again = imported.export_bao(hash, ranges);
            if splits_a_group(content.len(), &expected)? {
                ensure!(again.is_err(), "sends on a part of a group");
            } else {
                ensure!(again? == stream, "sends on something else");
            }
            let fetched = Peer::new()?;
            fetched.fetch(hash, ranges, &stream)?;
            ensure!(fetched.present(hash)? == expected, "the getter differs");
        }
        Ok(())
    })
}

#[test]
fn parts_make_a_whole() -> Result<()> {
    let content = lcg(1_000_003);
    let (source, target) = (Peer::new()?, Peer::new()?);
    let hash = source.add(&content)?;
    let parts: [&[u64]; 4] = [&[600], &[3, 40], &[0, 3, 500, 600], &[40, 500]];
    for (done, ranges) in parts.into_iter().enumerate() {
        ensure!(!target.is_complete(&hash)?, "complete after {done} parts");
        target.import_bao(&hash, ranges, &source.export_bao(&hash, ranges)?)?;
    }
    ensure!(target.present(&hash)? == [0]);
    ensure!(target.read(&hash)? == content);
    Ok(())
}

#[test]
fn damage_is_noticed() -> Result<()> {
    let content = lcg(100_000);
    let source = Peer::new()?;
    let hash = source.add(&content)?;
    let stream = source.export_bao(&hash, &[0])?;

    let mut flipped = stream.clone();
    *flipped.last_mut().context("a byte")? ^= 1;
    let target = Peer::new()?;
    ensure!(target.import_bao(&hash, &[0], &flipped).is_err());
    ensure!(target.present(&hash)? == [0, 96], "the groups before stay");
    ensure!(Peer::new()?.fetch(&hash, &[0], &flipped).is_err());

    let short = &stream[..stream.len() - 1];
    ensure!(Peer::new()?.import_bao(&hash, &[0], short).is_err());
    ensure!(Peer::new()?.fetch(&hash, &[0], short).is_err());

    let long = [&stream[..], b"x"].concat();
    ensure!(Peer::new()?.import_bao(&hash, &[0], &long).is_err());
    ensure!(Peer::new()?.fetch(&hash, &[0], &long).is_ok());

    ensure!(Peer::new()?.import_bao(&hash, &[16], &stream).is_err());
    ensure!(Peer::new()?.import_bao(&hash, &[3, 2], &stream).is_err());
    Ok(())
}

/// What the peer makes of a hash of which it has no chunk.
#[test]
fn nothing_known_of_a_blob() -> Result<()> {
    let content = lcg(100_000);
    let source = Peer::new()?;
    let hash = source.add(&content)?;

    let target = Peer::new()?;
    ensure!(target.present(&hash)?.is_empty());
    ensure!(target.export_bao(&hash, &[0]).is_err(), "never heard of it");
    ensure!(target.provide(&hash, &[0]).is_err());

    // From here on it is known, and passes for an empty blob.
    target.import_bao(&hash, &[], &source.export_bao(&hash, &[])?)?;
    ensure!(target.present(&hash)?.is_empty());
    ensure!(target.export_bao(&hash, &[0])? == [0; 8]);
    ensure!(target.provide(&hash, &[0])? == [0; 8]);
    // No peer takes that for an answer.
    let other = Peer::new()?;
    ensure!(other.import_bao(&hash, &[0], &[0; 8]).is_err());
    ensure!(other.fetch(&hash, &[0], &[0; 8]).is_err());
    ensure!(other.present(&hash)?.is_empty());
    Ok(())
}
