//! Streams between flatbao and today's peer, in both directions.
//!
//! Every test runs over a directory and over memory. What is to be expected is told by the chunk ranges
//! of the peer's own crate, not by ours.

use std::{error::Error as _, io::Read};

use anyhow::{Context, Result, ensure};
use bao_tree::{ChunkNum, ChunkRanges as PeerRanges};
use flatbao_core::{
    Backend, BlobFormat, ChunkRanges, Error, Hash, HashAndFormat, Store, StreamError, Tag,
    progress::unwatched,
    store::{ReceiveOptions, Received, SendOptions},
};
use flatbao_fs::{FsBackend, open_ambient, system_env};
use flatbao_interop::{
    HashBytes,
    fixtures::lcg,
    today::{Peer, chunk_ranges},
};
use flatbao_mem::{MemBackend, seeded_env};
use tempfile::TempDir;

const GROUP: usize = 16 * 1024;

/// Both sides of a chunk and of a group, and some trees.
const SIZES: [usize; 11] = [
    0, 1, 1023, 1024, 1025, 16_383, 16_384, 16_385, 40_000, 100_000, 1_000_003,
];

/// Boundaries of chunks; a group has 16 of them.
const RANGES: [&[u64]; 21] = [
    &[],
    &[0],
    // The last chunk, wherever it is.
    &[u64::MAX],
    // Whole groups.
    &[0, 16],
    &[16, 32],
    &[96, 112],
    &[16],
    &[32, 64, 496, 608],
    &[0, 16, 32, 48, 64, 80, 960],
    // Parts of groups.
    &[0, 1],
    &[1, 3],
    &[15, 17],
    &[7, 25],
    &[3, 4, 40, 41],
    &[5, 6, 9, 10, 90],
    &[1, 15, 16, 32, 33, 34, 39, 97],
    // Past the end of some blob or of all of them.
    &[97, 98],
    &[2000, 2001],
    &[2000],
    &[0, 1, 2000, 2001],
    &[0, 16, 5000],
];

/// More groups than a page of an outboard has.
const LARGE: usize = 5 * 1024 * 1024 + 1;

const RANGES_OF_LARGE: [&[u64]; 5] = [
    &[0],
    &[u64::MAX],
    &[4080, 4112],
    &[5119],
    &[1, 16, 100, 4095, 4097, 5000],
];

/// Where flatbao's stores are made.
trait Place {
    type Backend: Backend;

    /// A new store, empty.
    fn store(&self) -> Result<Store<Self::Backend>>;
}

struct Directory(TempDir);

impl Place for Directory {
    type Backend = FsBackend;

    fn store(&self) -> Result<Store<FsBackend>> {
        let dir = tempfile::tempdir_in(&self.0)?.keep();
        Ok(Store::open(open_ambient(dir)?, system_env())?.0)
    }
}

struct Memory;

impl Place for Memory {
    type Backend = MemBackend;

    fn store(&self) -> Result<Store<MemBackend>> {
        Ok(Store::open(MemBackend::new(), seeded_env(1))?.0)
    }
}

macro_rules! tests {
    ($($name:ident)*) => {
        mod in_a_directory {
            $(#[test]
            fn $name() -> anyhow::Result<()> {
                super::$name(&super::Directory(tempfile::tempdir()?))
            })*
        }

        mod in_memory {
            $(#[test]
            fn $name() -> anyhow::Result<()> {
                super::$name(&super::Memory)
            })*
        }
    };
}

tests! {
    streams_are_the_same_bytes
    we_receive_what_the_peer_exports
    the_peer_receives_what_we_send
    parts_come_in_pieces_and_make_a_whole
    halves_make_a_whole_on_either_side
    what_is_missing_ends_our_stream
    what_the_peer_gets_wrong_is_refused
    what_we_get_wrong_the_peer_refuses
    an_answer_without_a_chunk_is_refused
    a_collection_goes_there_and_back
}

/// A blob that both sides have.
struct Both<B: Backend> {
    content: Vec<u8>,
    hash: HashBytes,
    ours: Store<B>,
    peers: Peer,
}

impl<B: Backend> Both<B> {
    fn new(place: &impl Place<Backend = B>, size: usize) -> Result<Self> {
        let (content, ours, peers) = (lcg(size), place.store()?, Peer::new()?);
        let hash = peers.add(&content)?;
        ensure!(ours.import_bytes(&content)?.hash == Hash::from(hash));
        Ok(Self {
            content,
            hash,
            ours,
            peers,
        })
    }

    fn send(&self, ranges: &[u64]) -> Result<Vec<u8>> {
        send(&self.ours, &self.hash, ranges)
    }

    fn export(&self, ranges: &[u64]) -> Result<Vec<u8>> {
        self.peers.export_bao(&self.hash, ranges)
    }

    /// That a store has these groups and no other, and that they are right.
    fn check_groups(&self, store: &Store<impl Backend>, expected: &[u64]) -> Result<()> {
        let hash = Hash::from(self.hash);
        let found: Vec<u64> = store.available(hash)?.groups.into_iter().flatten().collect();
        ensure!(found == expected, "{found:?} are there, not {expected:?}");
        for group in expected {
            let start = usize::try_from(*group)? * GROUP;
            let right = &self.content[start..self.content.len().min(start + GROUP)];
            let mut read = vec![0; right.len()];
            let reader = store.partial_reader(hash)?;
            ensure!(reader.read_verified(&mut read, *group * GROUP as u64)? == right.len());
            ensure!(read == right, "group {group} is wrong");
        }
        Ok(())
    }

    /// Brings a store what it says is missing, which makes its blob whole.
    fn complete(&self, store: &Store<impl Backend>) -> Result<Received> {
        let hash = Hash::from(self.hash);
        let missing = store.missing(hash)?;
        let rest = self.export(missing.boundaries())?;
        let received = store.receive(hash, &missing, &rest[..])?;
        ensure!(received.is_complete && received.missing.is_empty());
        ensure!(received.size == self.content.len() as u64);
        ensure!(store.read(hash, u64::MAX)? == self.content);
        Ok(received)
    }

    /// Brings the peer what it does not have, which makes its blob whole.
    fn complete_peer(&self, peer: &Peer) -> Result<()> {
        let missing = complement(&peer.present(&self.hash)?);
        peer.import_bao(&self.hash, &missing, &self.send(&missing)?)?;
        ensure!(peer.present(&self.hash)? == [0]);
        ensure!(peer.read(&self.hash)? == self.content);
        Ok(())
    }
}

/// Runs a check for every blob and ranges.
fn each<P: Place>(
    place: &P,
    check: impl Fn(&Both<P::Backend>, &[u64]) -> Result<()>,
) -> Result<()> {
    let small = SIZES.map(|size| (size, &RANGES[..]));
    for (size, sets) in small.into_iter().chain([(LARGE, &RANGES_OF_LARGE[..])]) {
        let both = Both::new(place, size)?;
        for ranges in sets {
            check(&both, ranges).with_context(|| format!("{size} bytes, {ranges:?}"))?;
        }
    }
    Ok(())
}

fn ours(ranges: &[u64]) -> Result<ChunkRanges> {
    Ok(ChunkRanges::from_boundaries(ranges)?)
}

fn send(store: &Store<impl Backend>, hash: &HashBytes, ranges: &[u64]) -> Result<Vec<u8>> {
    let mut stream = Vec::new();
    let sent = store.send(Hash::from(*hash), &ours(ranges)?, &mut stream)?;
    ensure!(sent.stream == stream.len() as u64);
    Ok(stream)
}

fn receive(
    store: &Store<impl Backend>,
    hash: &HashBytes,
    ranges: &[u64],
    stream: impl Read,
) -> Result<Received> {
    Ok(store.receive(Hash::from(*hash), &ours(ranges)?, stream)?)
}

/// One after the last chunk; the empty blob has one as well.
fn end_of(size: usize) -> ChunkNum {
    ChunkNum::chunks(size as u64).max(ChunkNum(1))
}

/// All that is not in a set.
fn complement(ranges: &[u64]) -> Vec<u64> {
    match ranges.strip_prefix(&[0]) {
        Some(rest) => rest.to_vec(),
        None => [&[0], ranges].concat(),
    }
}

/// The chunks that a stream carries: what lies past the end means the last one.
fn carried(size: usize, ranges: &[u64]) -> Result<PeerRanges> {
    let requested = chunk_ranges(ranges)?;
    let end = end_of(size);
    let mut chunks = &requested & &PeerRanges::from(..end);
    if requested.intersects(&PeerRanges::from(end - 1..)) {
        chunks |= PeerRanges::from(end - 1..end);
    }
    Ok(chunks)
}

/// The groups of which a stream carries every chunk.
fn whole_groups(size: usize, ranges: &[u64]) -> Result<Vec<u64>> {
    let carried = carried(size, ranges)?;
    let end = end_of(size);
    let is_whole = |group: &u64| {
        let chunks = ChunkNum(group * 16)..ChunkNum(group * 16 + 16).min(end);
        PeerRanges::from(chunks).is_subset(&carried)
    };
    Ok((0..end.0.div_ceil(16)).filter(is_whole).collect())
}

/// Bytes of some groups.
fn bytes_of(size: usize, groups: &[u64]) -> u64 {
    let bytes = |group: &u64| (size as u64 - group * GROUP as u64).min(GROUP as u64);
    groups.iter().map(bytes).sum()
}

/// What a peer has after it has received these ranges, with the rounding of [`Peer::present`].
fn present(size: usize, ranges: &[u64]) -> Result<Vec<u64>> {
    if size == 0 {
        return Ok(vec![0]);
    }
    let mut chunks = carried(size, ranges)?;
    let end = end_of(size);
    if chunks.contains(&(end - 1)) {
        chunks |= PeerRanges::from(end..);
    }
    Ok(chunks.boundaries().iter().map(|chunk| chunk.0).collect())
}

/// What is wrong with a stream that was refused; any other outcome is an error.
fn refusal(outcome: Result<Received>) -> Result<StreamError> {
    let error = outcome.err().context("a wrong stream was taken")?;
    let Some(Error::Stream { source, .. }) = error.downcast_ref() else {
        return Err(error.context("refused for another reason"));
    };
    Ok(*source)
}

/// For any blob and any ranges there is one stream, whoever sends it.
fn streams_are_the_same_bytes(place: &impl Place) -> Result<()> {
    each(place, |both, ranges| {
        let stream = both.send(ranges)?;
        ensure!(stream == both.export(ranges)?, "the peer exports another");
        let provided = both.peers.provide(&both.hash, ranges)?;
        if ranges.is_empty() {
            // To the peer's provider that is no request, and gets no answer. We send the size.
            ensure!(provided.is_empty() && stream.len() == 8);
        } else {
            ensure!(provided == stream, "the peer provides another");
        }

        let options = SendOptions::default().with_size(false);
        let (hash, ranges) = (Hash::from(both.hash), ours(ranges)?);
        let mut bare = Vec::new();
        both.ours
            .send_with(hash, &ranges, &mut bare, options, &mut unwatched)?;
        ensure!(bare == stream[8..], "without its size it is another");
        ensure!(ranges.stream_len(both.content.len() as u64) == bare.len() as u64);
        Ok(())
    })
}

/// What the peer exports is taken, as far as it is of whole groups, and nothing less than a group is kept; what is
/// missing then makes the blob whole.
fn we_receive_what_the_peer_exports(place: &impl Place) -> Result<()> {
    each(place, |both, ranges| {
        let size = both.content.len();
        let store = place.store()?;
        let received = receive(&store, &both.hash, ranges, &both.export(ranges)?[..])?;
        let kept = whole_groups(size, ranges)?;
        both.check_groups(&store, &kept)?;
        ensure!(received.new == bytes_of(size, &kept));
        let is_whole = kept.len() == size.div_ceil(GROUP).max(1);
        ensure!(received.is_complete == is_whole);
        ensure!(store.read(received.hash, u64::MAX).is_ok() == is_whole);
        ensure!(received.missing == store.missing(received.hash)?);
        let rest = both.complete(&store)?;
        ensure!(rest.new == size as u64 - received.new, "something came twice");
        Ok(())
    })
}

/// What we send the peer's store imports and its getter fetches: it has the chunks that were asked for, which may
/// be less than a group, and the others make its blob whole.
fn the_peer_receives_what_we_send(place: &impl Place) -> Result<()> {
    each(place, |both, ranges| {
        let stream = both.send(ranges)?;
        let expected = present(both.content.len(), ranges)?;
        let imported = Peer::new()?;
        imported.import_bao(&both.hash, ranges, &stream)?;
        ensure!(imported.present(&both.hash)? == expected);
        ensure!(imported.is_complete(&both.hash)? == (expected == [0]));
        both.complete_peer(&imported)?;
        // No ranges are no request.
        if !ranges.is_empty() {
            let fetched = Peer::new()?;
            fetched.fetch(&both.hash, ranges, &stream)?;
            ensure!(fetched.present(&both.hash)? == expected);
            both.complete_peer(&fetched)?;
        }
        Ok(())
    })
}

/// Streams of the peer that come in pieces, one after the other, make a blob, also where each of two has only a
/// part of a group.
fn parts_come_in_pieces_and_make_a_whole(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 1_000_003)?;
    let parts: [&[u64]; 4] = [&[600], &[3, 40], &[0, 3, 500, 600], &[40, 500]];
    for piece in [1, 63, 5000, 2_000_000] {
        let store = place.store()?;
        let mut partial = store.partial_blob(Hash::from(both.hash))?;
        for (done, ranges) in parts.into_iter().enumerate() {
            ensure!(!partial.is_whole(), "whole after {done} parts");
            partial.begin(&ours(ranges)?)?;
            // What comes behind the end is left alone.
            let stream = [&both.export(ranges)?[..], b"more"].concat();
            let mut taken = 0;
            for piece in stream.chunks(piece) {
                taken += partial.feed(piece)?;
            }
            ensure!(taken == stream.len() - 4 && partial.remaining() == Some(0));
        }
        ensure!(partial.missing().is_empty() && partial.finish()?.is_complete);
        ensure!(store.read(Hash::from(both.hash), u64::MAX)? == both.content);
    }
    Ok(())
}

/// Ways to halve a blob of 62 groups.
const HALVES: [&[u64]; 6] = [
    &[0, 480],
    &[480],
    &[0, 16],
    &[976],
    &[16, 32, 64, 128, 480, 496, 960, 976],
    &[0, 16, 32, 48, 304, 800, 816],
];

/// Either side sends on what it has of a blob, and that together with what the other one has is the blob.
fn halves_make_a_whole_on_either_side(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 1_000_003)?;
    let hash = Hash::from(both.hash);
    for half in HALVES {
        let (store, peer) = (place.store()?, Peer::new()?);
        receive(&store, &both.hash, half, &both.export(half)?[..])?;
        let other = complement(half);
        peer.import_bao(&both.hash, &other, &both.send(&other)?)?;

        let available = store.available(hash)?;
        let (have, has) = (available.ranges(), peer.present(&both.hash)?);
        ensure!(has == other, "{has:?}");
        ensure!(available.is_size_proved == (half.len() % 2 == 1));
        // Where the last group is on the other side, the end of the blob is not known here.
        let missing = store.missing(hash)?;
        ensure!(missing.intersection(&have).is_empty());
        ensure!(carried(both.content.len(), missing.boundaries())? == carried(both.content.len(), &has)?);

        let sent = send(&store, &both.hash, have.boundaries())?;
        ensure!(sent == both.export(half)?, "a part sends another stream");
        let exported = peer.export_bao(&both.hash, &has)?;
        ensure!(exported == both.send(&other)?);
        ensure!(exported == peer.provide(&both.hash, &has)?);

        peer.import_bao(&both.hash, have.boundaries(), &sent)?;
        ensure!(peer.read(&both.hash)? == both.content);
        ensure!(receive(&store, &both.hash, &has, &exported[..])?.is_complete);
        ensure!(store.read(hash, u64::MAX)? == both.content);
    }
    Ok(())
}

/// Asked for more than it has, a part of a blob sends what comes before, and the peer keeps that.
fn what_is_missing_ends_our_stream(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 1_000_003)?;
    let store = place.store()?;
    let has = &[0, 160, 320];
    receive(&store, &both.hash, has, &both.export(has)?[..])?;
    let mut stream = Vec::new();
    let outcome = store.send(Hash::from(both.hash), &ChunkRanges::all(), &mut stream);
    let is_missing = |error: &Error| matches!(error, Error::MissingGroup { offset: 163_840, .. });
    ensure!(outcome.err().as_ref().is_some_and(is_missing));
    ensure!(both.send(&[0])?.starts_with(&stream));

    let (imported, fetched) = (Peer::new()?, Peer::new()?);
    ensure!(imported.import_bao(&both.hash, &[0], &stream).is_err());
    ensure!(fetched.fetch(&both.hash, &[0], &stream).is_err());
    for peer in [imported, fetched] {
        ensure!(peer.present(&both.hash)? == [0, 160]);
        both.complete_peer(&peer)?;
    }
    Ok(())
}

/// Streams of a blob with one byte flipped, and the groups that come before that byte.
fn flipped<B: Backend>(both: &Both<B>, stream: &[u8]) -> Result<Vec<(usize, Vec<u8>, Vec<u64>)>> {
    let groups = both.content.len().div_ceil(GROUP) as u64;
    // What comes before the end of a group is the stream of the groups up to it.
    let ends = (1..=groups).map(|count| Ok(both.export(&[0, count * 16])?.len()));
    let ends = ends.collect::<Result<Vec<_>>>()?;
    let tree = 8..stream.len();
    let starts = ends.iter().flat_map(|end| [end - GROUP / 2, end - 1, *end]);
    let places = (0..8).chain([8, 39, 40, 71, 72, 135]).chain(starts);
    let places = places.chain(tree.clone().step_by(4999));
    let each = places.filter(|at| *at < 8 || tree.contains(at)).map(|at| {
        let mut flipped = stream.to_vec();
        flipped[at] ^= 1;
        let before = (0..groups).filter(|group| ends[*group as usize] <= at);
        (at, flipped, before.collect())
    });
    Ok(each.collect())
}

/// A byte of the peer's stream that is wrong is refused. What was proved before it is there, and nothing else; the
/// rest from a stream that is right makes the blob whole.
fn what_the_peer_gets_wrong_is_refused(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    for (at, stream, before) in flipped(&both, &both.export(&[0])?)? {
        let store = place.store()?;
        let refused = refusal(receive(&store, &both.hash, &[0], &stream[..]))?;
        dbg_print(at, &refused);
        // Of a blob that is one byte or 256 longer, all groups but the last are the same.
        let kept = if at < 2 { (0..6).collect() } else { before };
        both.check_groups(&store, &kept)
            .and_then(|()| both.complete(&store))
            .with_context(|| format!("byte {at}: {refused}"))?;
    }
    Ok(())
}
fn dbg_print(at: usize, e: &StreamError) { println!("{at} {e}"); }

/// The peer refuses a byte of our stream that is wrong, and goes on with a stream that is right.
fn what_we_get_wrong_the_peer_refuses(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    for (at, stream, before) in flipped(&both, &both.send(&[0])?)? {
        let (imported, fetched) = (Peer::new()?, Peer::new()?);
        ensure!(imported.import_bao(&both.hash, &[0], &stream).is_err());
        ensure!(fetched.fetch(&both.hash, &[0], &stream).is_err());
        for peer in [imported, fetched] {
            println!("{at} {:?} {before:?}", peer.present(&both.hash)?);
            println!("{:?}", both.complete_peer(&peer).err());
        }
    }
    Ok(())
}

fn an_answer_without_a_chunk_is_refused(_: &impl Place) -> Result<()> {
    Ok(())
}

fn a_collection_goes_there_and_back(_: &impl Place) -> Result<()> {
    Ok(())
}
