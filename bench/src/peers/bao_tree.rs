//! `bao-tree` used plainly: files and its synchronous functions, and no store around them.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

use anyhow::Result;
use bao_tree::{
    BaoTree, BlockSize, ChunkRanges,
    io::{
        outboard::{PreOrderMemOutboard, PreOrderOutboard},
        sync::{decode_ranges, encode_ranges_validated, outboard},
    },
};

use crate::digest::Bytes;

/// Groups of 16 KiB.
pub(crate) const GROUPS: BlockSize = BlockSize::from_chunk_log(4);
/// Bytes that are read or written at once where nothing else says so.
const PIECE: usize = 64 << 10;

/// The outboard of bytes in memory.
pub(crate) fn of_bytes(bytes: &[u8]) -> PreOrderMemOutboard {
    PreOrderMemOutboard::create(bytes, GROUPS)
}

/// Hashes a file, writes its outboard to a file, and with `copy` its bytes to another one.
pub(crate) fn import(source: &Path, copy: Option<&Path>, to: &Path) -> Result<blake3::Hash> {
    let file = File::open(source)?;
    let size = file.metadata()?.len();
    let copy = copy.map(File::create_new).transpose()?;
    let reader = BufReader::with_capacity(PIECE, Tee { file, copy });
    let mut mem = empty(size)?;
    let tree = mem.tree;
    mem.root = outboard(reader, tree, &mut mem)?;
    let root = mem.root;
    std::fs::write(to, mem.into_inner_with_prefix())?;
    Ok(root)
}

/// An outboard in memory that is yet to be filled.
fn empty(size: u64) -> Result<PreOrderMemOutboard> {
    let tree = BaoTree::new(size, GROUPS);
    let data = vec![0; usize::try_from(tree.outboard_size())?];
    let root = blake3::Hash::from_bytes([0; 32]);
    Ok(PreOrderMemOutboard { root, tree, data })
}

/// What is read is written as well.
struct Tee {
    file: File,
    copy: Option<File>,
}

impl Read for Tee {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buf)?;
        if let Some(copy) = &mut self.copy {
            copy.write_all(&buf[..read])?;
        }
        Ok(read)
    }
}

/// A file and its outboard in another one, or in memory.
pub(crate) struct Proved {
    data: File,
    outboard: Kind,
}

enum Kind {
    File(PreOrderOutboard<File>),
    Memory(PreOrderMemOutboard),
}

impl Proved {
    /// `pairs` has no size in front.
    pub(crate) fn open(
        data: &Path,
        pairs: &Path,
        root: blake3::Hash,
        is_in_memory: bool,
    ) -> Result<Self> {
        let file = File::open(data)?;
        let tree = BaoTree::new(file.metadata()?.len(), GROUPS);
        let outboard = match is_in_memory {
            true => Kind::Memory(PreOrderMemOutboard {
                root,
                tree,
                data: std::fs::read(pairs)?,
            }),
            false => Kind::File(PreOrderOutboard {
                root,
                tree,
                data: File::open(pairs)?,
            }),
        };
        Ok(Self {
            data: file,
            outboard,
        })
    }

    /// Writes chunks with the pairs above them, all of it proved.
    pub(crate) fn encode(&self, chunks: &ChunkRanges, writer: impl Write) -> Result<()> {
        match &self.outboard {
            Kind::File(outboard) => encode_ranges_validated(&self.data, outboard, chunks, writer)?,
            Kind::Memory(outboard) => {
                encode_ranges_validated(&self.data, outboard, chunks, writer)?;
            }
        }
        Ok(())
    }

    /// Reads chunks from `offset` on, proved.
    pub(crate) fn read(&self, chunks: &ChunkRanges, offset: u64) -> Result<Bytes> {
        let mut data = OnlyData {
            at: offset,
            seen: Bytes::default(),
        };
        self.encode(chunks, &mut data)?;
        Ok(data.seen)
    }
}

/// Of a stream only the data: there is no other synchronous way to read them proved. Each pair and each group comes in
/// one piece, and no blob here ends with a group of 64 bytes.
struct OnlyData {
    at: u64,
    seen: Bytes,
}

impl Write for OnlyData {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.len() != 64 {
            self.seen.feed(self.at, buf);
            self.at += buf.len() as u64;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Receives a whole blob, the size in front of its stream, into two files.
pub(crate) fn receive(
    root: blake3::Hash,
    mut stream: impl Read,
    data: &Path,
    pairs: &Path,
) -> Result<()> {
    let mut size = [0; 8];
    stream.read_exact(&mut size)?;
    let tree = BaoTree::new(u64::from_le_bytes(size), GROUPS);
    let mut outboard = PreOrderMemOutboard {
        root,
        tree,
        data: vec![0; usize::try_from(tree.outboard_size())?],
    };
    let target = File::create_new(data)?;
    decode_ranges(stream, &ChunkRanges::all(), target, &mut outboard)?;
    let mut file = BufWriter::new(File::create_new(pairs)?);
    file.write_all(&outboard.data)?;
    file.flush()?;
    Ok(())
}
