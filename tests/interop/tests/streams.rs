//! Streams between flatbao and today's peer, in both directions.
//!
//! Every test runs over a directory and over memory. What is to be expected is told by the chunk ranges
//! of the peer's own crate, not by ours.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
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
    a_part_that_the_peer_gets_wrong_is_refused
    what_we_get_wrong_the_peer_refuses
    what_comes_behind_a_stream_is_left_alone
    answers_to_another_question_are_refused
    a_peer_that_has_nothing_is_refused
    a_size_is_believed_when_it_is_proved
    a_blob_that_is_there_stays
    of_a_part_of_a_group_the_peer_sends_nothing_on
    a_collection_comes_blob_by_blob_and_goes_back
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
        let found: Vec<u64> = store
            .available(hash)?
            .groups
            .into_iter()
            .flatten()
            .collect();
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
        ensure!(
            rest.new == size as u64 - received.new,
            "something came twice"
        );
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
        ensure!(
            carried(both.content.len(), missing.boundaries())?
                == carried(both.content.len(), &has)?
        );

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
    let Err(Error::MissingGroup { offset, .. }) = outcome else {
        bail!("{outcome:?}");
    };
    ensure!(offset == 10 * GROUP as u64);
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

/// A byte in the stream of all of a blob.
struct Spot {
    at: usize,
    /// The groups that come before it as a whole.
    before: Vec<u64>,
    /// The groups that are proved when it is wrong.
    proved: Vec<u64>,
}

/// All of the size, pairs, both sides of the end of each group, and some of the rest.
fn spots(both: &Both<impl Backend>) -> Result<Vec<Spot>> {
    let groups = both.content.len().div_ceil(GROUP) as u64;
    // What comes before the end of a group is the stream of the groups up to it.
    let ends = (1..=groups).map(|count| Ok(both.export(&[0, count * 16])?.len()));
    let ends = ends.collect::<Result<Vec<_>>>()?;
    let len = both.export(&[0])?.len();
    let near_ends = ends.iter().flat_map(|end| [end - 1, *end]);
    let places = (0..9).chain([39, 40, 71, 72, 135]).chain(near_ends);
    let spots = places.chain((8..len).step_by(4999)).filter(|at| *at < len);
    let spots = spots.map(|at| {
        let before = (0..).zip(&ends).filter(|(_, end)| **end <= at);
        let before: Vec<u64> = before.map(|(group, _)| group).collect();
        // A blob that is one byte longer, or 256, has the same groups but for the last one.
        let proved = match at < 2 {
            true => (0..groups - 1).collect(),
            false => before.clone(),
        };
        Spot { at, before, proved }
    });
    Ok(spots.collect())
}

fn flipped(stream: &[u8], at: usize) -> Vec<u8> {
    let mut stream = stream.to_vec();
    stream[at] ^= 1;
    stream
}

/// That a new store refuses a stream and has only these groups of it. The rest then comes from a stream that is
/// right.
fn check_refused<P: Place>(
    place: &P,
    both: &Both<P::Backend>,
    ranges: &[u64],
    stream: &[u8],
    kept: &[u64],
) -> Result<StreamError> {
    let store = place.store()?;
    let refused = refusal(receive(&store, &both.hash, ranges, stream))?;
    both.check_groups(&store, kept)?;
    both.complete(&store)?;
    Ok(refused)
}

/// A byte of the peer's stream that is wrong, or does not come, is refused; what was proved before it is there, and
/// nothing else.
fn what_the_peer_gets_wrong_is_refused(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    let stream = both.export(&[0])?;
    for Spot { at, before, proved } in spots(&both)? {
        check_refused(place, &both, &[0], &flipped(&stream, at), &proved).context(at)?;
        let refused = check_refused(place, &both, &[0], &stream[..at], &before).context(at)?;
        let end = if at < 8 { 8 } else { stream.len() };
        let missing = (end - at) as u64;
        ensure!(refused == StreamError::Truncated { missing }, "byte {at}");
    }
    Ok(())
}

/// So is a wrong byte in the stream of one group, or of some chunks, pairs below the groups included.
fn a_part_that_the_peer_gets_wrong_is_refused(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    let parts: [&[u64]; 4] = [&[16, 32], &[96], &[3, 4, 40, 41], &[u64::MAX]];
    for ranges in parts {
        let stream = both.export(ranges)?;
        for at in (8..stream.len()).step_by(stream.len() / 40) {
            check_refused(place, &both, ranges, &flipped(&stream, at), &[])
                .with_context(|| format!("{ranges:?}, byte {at}"))?;
        }
    }
    Ok(())
}

/// The peer refuses a byte of our stream that is wrong, or does not come, and has what we would have.
fn what_we_get_wrong_the_peer_refuses(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    let check = |stream: &[u8], kept: &[u64]| {
        let (imported, fetched) = (Peer::new()?, Peer::new()?);
        ensure!(imported.import_bao(&both.hash, &[0], stream).is_err());
        ensure!(fetched.fetch(&both.hash, &[0], stream).is_err());
        let expected = kept.last().map_or(vec![], |last| vec![0, last * 16 + 16]);
        for peer in [imported, fetched] {
            ensure!(peer.present(&both.hash)? == expected);
            both.complete_peer(&peer)?;
        }
        Ok(())
    };
    let stream = both.send(&[0])?;
    for Spot { at, before, proved } in spots(&both)? {
        check(&flipped(&stream, at), &proved).context(at)?;
        check(&stream[..at], &before).context(at)?;
    }
    Ok(())
}

/// Nobody takes more than the stream, and nobody minds that something follows.
fn what_comes_behind_a_stream_is_left_alone(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    let (ours, theirs) = (both.send(&[0])?, both.export(&[0])?);
    let store = place.store()?;
    let theirs = [&theirs[..], b"more"].concat();
    let mut reader = &theirs[..];
    ensure!(receive(&store, &both.hash, &[0], &mut reader)?.is_complete);
    ensure!(reader == b"more" && store.read(Hash::from(both.hash), u64::MAX)? == both.content);

    let (imported, fetched) = (Peer::new()?, Peer::new()?);
    let ours = [&ours[..], b"more"].concat();
    // It is our wrapper that makes an error of what the import leaves.
    ensure!(imported.import_bao(&both.hash, &[0], &ours).is_err());
    fetched.fetch(&both.hash, &[0], &ours)?;
    ensure!(imported.read(&both.hash)? == both.content);
    ensure!(fetched.read(&both.hash)? == both.content);
    Ok(())
}

/// A stream of other ranges, or of another blob, is refused on either side.
fn answers_to_another_question_are_refused(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    let other = Peer::new()?;
    let other = other.export_bao(&other.add(&[0; 100_000])?, &[0])?;
    let questions: [(&[u64], _); 6] = [
        (&[0], other),
        (&[0], both.export(&[16])?),
        (&[16], both.export(&[0])?),
        (&[16, 32], both.export(&[32, 48])?),
        (&[1, 3], both.export(&[1, 2])?),
        (&[5, 6], both.export(&[4, 5])?),
    ];
    for (asked, answer) in questions {
        check_refused(place, &both, asked, &answer, &[]).with_context(|| format!("{asked:?}"))?;
        ensure!(Peer::new()?.import_bao(&both.hash, asked, &answer).is_err());
        ensure!(Peer::new()?.fetch(&both.hash, asked, &answer).is_err());
    }
    Ok(())
}

/// To a peer that has heard of a blob, and has no chunk of it, it passes for empty. Nobody takes that.
fn a_peer_that_has_nothing_is_refused(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    let peer = Peer::new()?;
    ensure!(
        peer.export_bao(&both.hash, &[0]).is_err(),
        "never heard of it"
    );
    ensure!(peer.provide(&both.hash, &[0]).is_err());
    peer.import_bao(&both.hash, &[], &both.send(&[])?)?;
    ensure!(peer.present(&both.hash)?.is_empty());
    let answer = peer.export_bao(&both.hash, &[0])?;
    ensure!(answer == [0; 8] && answer == peer.provide(&both.hash, &[0])?);

    check_refused(place, &both, &[0], &answer, &[])?;
    ensure!(Peer::new()?.import_bao(&both.hash, &[0], &answer).is_err());
    ensure!(Peer::new()?.fetch(&both.hash, &[0], &answer).is_err());

    // And we say of such a blob that it is not there, instead.
    let nothing = place.store()?;
    receive(&nothing, &both.hash, &[], &both.export(&[])?[..])?;
    let outcome = nothing.send(Hash::from(both.hash), &ChunkRanges::all(), Vec::new());
    ensure!(matches!(outcome, Err(Error::NotFound(_))), "{outcome:?}");
    Ok(())
}

/// A wrong size that no group disproves does no harm: it goes from side to side, and is corrected by the last group.
/// Where that is there, a wrong size is refused.
fn a_size_is_believed_when_it_is_proved(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    let start = &[0, 32];
    let wrong = flipped(&both.export(start)?, 0);
    let (store, peer) = (place.store()?, Peer::new()?);
    let received = receive(&store, &both.hash, start, &wrong[..])?;
    ensure!(received.size == 100_001 && !received.is_complete);
    both.check_groups(&store, &[0, 1])?;
    peer.import_bao(&both.hash, start, &send(&store, &both.hash, start)?)?;
    ensure!(peer.export_bao(&both.hash, start)? == wrong);

    let proved = place.store()?;
    receive(&proved, &both.hash, &[96], &both.export(&[96])?[..])?;
    let refused = refusal(receive(&proved, &both.hash, start, &wrong[..]))?;
    ensure!(matches!(
        refused,
        StreamError::Size {
            claimed: 100_001,
            proved: 100_000
        }
    ));
    both.check_groups(&proved, &[6])?;

    both.complete(&store)?;
    both.complete(&proved)?;
    both.complete_peer(&peer)
}

/// A blob that is all there is neither written again nor harmed, whatever stream comes.
fn a_blob_that_is_there_stays(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    let stream = both.export(&[0])?;
    let received = receive(&both.ours, &both.hash, &[0], &stream[..])?;
    ensure!(received.is_complete && received.new == 0);
    for at in [0, 7, 8, 100, 50_000, stream.len() - 1] {
        let wrong = flipped(&stream, at);
        refusal(receive(&both.ours, &both.hash, &[0], &wrong[..])).context(at)?;
        ensure!(both.peers.import_bao(&both.hash, &[0], &wrong).is_err());
    }
    both.check_groups(&both.ours, &[0, 1, 2, 3, 4, 5, 6])?;
    ensure!(both.ours.partials(Hash::from(both.hash))?.is_empty());
    ensure!(both.send(&[0])? == stream && both.export(&[0])? == stream);
    Ok(())
}

/// The peer keeps parts of groups, unlike us, but sends no chunk of such a group on: it hashes all of a group. We ask
/// it for whole groups, and get those that it has.
fn of_a_part_of_a_group_the_peer_sends_nothing_on(place: &impl Place) -> Result<()> {
    let both = Both::new(place, 100_000)?;
    let (store, peer) = (place.store()?, Peer::new()?);
    let part = &[0, 20, 64, 80];
    let stream = both.send(part)?;
    peer.import_bao(&both.hash, part, &stream)?;
    receive(&store, &both.hash, part, &stream[..])?;
    ensure!(peer.present(&both.hash)? == part);
    both.check_groups(&store, &[0, 4])?;

    ensure!(peer.export_bao(&both.hash, part).is_err());
    ensure!(peer.export_bao(&both.hash, &[16, 17]).is_err());
    let whole = store.available(Hash::from(both.hash))?.ranges();
    let exported = peer.export_bao(&both.hash, whole.boundaries())?;
    ensure!(exported == send(&store, &both.hash, whole.boundaries())?);
    let target = place.store()?;
    receive(&target, &both.hash, whole.boundaries(), &exported[..])?;
    both.check_groups(&target, &[0, 4])
}

/// The peer answers a request for a collection with all its streams in one; we take one blob after the other out of
/// it, keep the collection by one tag, and send the very same to the peer's getter.
fn a_collection_comes_blob_by_blob_and_goes_back(place: &impl Place) -> Result<()> {
    let source = Peer::new()?;
    let mut entries = Vec::new();
    for size in SIZES {
        entries.push((format!("lcg-{size}"), source.add(&lcg(size))?));
    }
    let root = source.add_collection(&entries)?;
    let wire = source.provide_all(&root)?;

    let store = place.store()?;
    let (id, all) = (Hash::from(root), ChunkRanges::all());
    let options = ReceiveOptions::default().format(BlobFormat::HashSeq);
    let mut rest = &wire[..];
    let sequence = store.receive_with(id, &all, &mut rest, options, &mut unwatched)?;
    let mut held = vec![sequence.tag];
    for child in store.sequence(id)?.hashes() {
        held.push(store.receive(*child, &all, &mut rest)?.tag);
    }
    ensure!(rest.is_empty(), "{} bytes are left", rest.len());
    store.set_tag(Tag::try_from("collection")?, HashAndFormat::hash_seq(id))?;
    drop(held);
    ensure!(store.plan_gc()?.items().is_empty(), "a blob is not kept");

    let names = entries
        .iter()
        .map(|(name, hash)| (name.clone(), Hash::from(*hash)));
    ensure!(store.collection(id)?.entries() == names.collect::<Vec<_>>());
    let mut back = send(&store, &root, &[0])?;
    for child in store.sequence(id)?.hashes() {
        back.extend(send(&store, child.as_bytes(), &[0])?);
    }
    ensure!(back == wire, "we send another collection");
    let target = Peer::new()?;
    target.fetch_all(&root, &back)?;
    for (size, (name, hash)) in SIZES.into_iter().zip(&entries) {
        ensure!(
            store.read(Hash::from(*hash), u64::MAX)? == lcg(size),
            "{name}"
        );
        ensure!(target.read(hash)? == lcg(size), "{name}");
    }
    Ok(())
}
