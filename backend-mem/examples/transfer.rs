//! A blob goes from one store to another in pieces, and the connection breaks: `cargo run --example transfer`.
//!
//! No network here: a stream is anything that is `Write` on one side, and bytes on the other.

use std::error::Error;

use flatbao_core::{ChunkRanges, FlatDir, HashAndFormat, Store, progress::unwatched, store::copy};
use flatbao_mem::{MemBackend, SimDisk, seeded_env};

fn main() -> Result<(), Box<dyn Error>> {
    let (here, _) = Store::open(MemBackend::new(), seeded_env(1))?;
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let hash = here.import_bytes(&content)?.hash;

    // Whoever wants it knows its hash, and nothing else.
    let disk = SimDisk::new();
    let open = || Store::open(FlatDir::new(disk.file_system("there")), seeded_env(2));
    let (there, _) = open()?;
    assert_eq!(there.missing(hash)?, ChunkRanges::all());

    // Bytes are fed as they arrive, each proved before it is kept; then the line goes dead.
    let mut stream = Vec::new();
    here.send(hash, &there.missing(hash)?, &mut stream)?;
    let mut partial = there.partial_blob(hash)?;
    partial.begin(&ChunkRanges::all())?;
    for packet in stream[..500_000].chunks(1400) {
        partial.feed(packet)?;
    }
    drop(partial);
    drop(there);

    // Another day. What came is there, and reads.
    let (there, _) = open()?;
    let found = there.available(hash)?;
    println!("{} of {} bytes came", found.verified(), content.len());
    let mut page = [0; 4096];
    let read = there
        .partial_reader(hash)?
        .read_verified(&mut page, 400_000)?;
    assert_eq!(page[..read], content[400_000..400_000 + read]);

    // Only what is missing moves now.
    let missing = there.missing(hash)?;
    let mut stream = Vec::new();
    let sent = here.send(hash, &missing, &mut stream)?;
    let received = there.receive(hash, &missing, &stream[..])?;
    println!("{} more, in a stream of {}", received.new, sent.stream);
    assert!(received.is_complete);
    assert_eq!(there.read(hash, 1 << 21)?, content);

    // Where both stores are at hand, one call does it.
    let (third, _) = Store::open(MemBackend::new(), seeded_env(3))?;
    let copied = copy(&there, &third, HashAndFormat::raw(hash), &mut unwatched)?;
    assert_eq!(copied.bytes, content.len() as u64);
    Ok(())
}
