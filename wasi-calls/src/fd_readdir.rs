//! Listing a directory under preview 1.
//!
//! The C library's `readdir` asks for 4 KiB of entries at a time, and a host may read the whole directory anew
//! for every such piece: wasmtime does, so that 20,000 entries take 53 s. It is no snapshot either: with
//! entries that are removed meanwhile, others are left out. One call with a buffer that is large enough is
//! both fast and a snapshot.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use crate::Kind;

/// Bytes of a first buffer: room for some 40,000 entries of a store, since a host may take long for each call.
const FIRST_BUFFER: usize = 4 * 1024 * 1024;
/// Bytes of an entry before its name: `dirent` of preview 1.
const HEAD: usize = 24;

#[link(wasm_import_module = "wasi_snapshot_preview1")]
#[expect(
    unsafe_code,
    reason = "the import of preview 1, as its witx file has it"
)]
unsafe extern "C" {
    #[link_name = "fd_readdir"]
    fn raw_fd_readdir(fd: i32, buf: *mut u8, len: usize, cookie: u64, used: *mut usize) -> u16;
}

/// Hands every entry but `.` and `..` to `each`, with its name in bytes. All of them are read before the first
/// one is handed over.
///
/// # Errors
/// Whatever the host says; then nothing was handed over. Some hosts (wasmtime) refuse the whole directory when
/// the name of one entry is not UTF-8 (`EILSEQ`).
pub fn list(dir: BorrowedFd<'_>, each: &mut dyn FnMut(&[u8], Kind)) -> io::Result<()> {
    let mut buf = vec![0; FIRST_BUFFER];
    loop {
        let used = read(dir, &mut buf)?;
        if used < buf.len() {
            buf.truncate(used);
            break;
        }
        // There are more. Going on from here would be another listing; so all of it again.
        let len = buf.len().checked_mul(4).ok_or(io::ErrorKind::OutOfMemory)?;
        buf.clear();
        buf.try_reserve_exact(len)?;
        buf.resize(len, 0);
    }
    let mut rest = &buf[..];
    while let Some((name, kind, after)) = first_entry(rest)? {
        if name != b"." && name != b".." {
            each(name, kind);
        }
        rest = after;
    }
    Ok(())
}

/// Fills a buffer with entries from the first one on, and says how much of it.
fn read(dir: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    let mut used = 0;
    #[expect(
        unsafe_code,
        reason = "no library has the call with a buffer of one's own"
    )]
    // SAFETY: `buf` is valid for writes of its length, `used` for one `usize`; the host writes no more than
    // that and keeps neither. A descriptor that is none is an error of the call.
    let errno = unsafe {
        raw_fd_readdir(
            dir.as_raw_fd(),
            buf.as_mut_ptr(),
            buf.len(),
            0,
            &raw mut used,
        )
    };
    match errno {
        0 if used <= buf.len() => Ok(used),
        0 => Err(malformed()),
        errno => Err(io::Error::from_raw_os_error(errno.into())),
    }
}

/// An entry, and what comes after it.
type Entry<'a> = (&'a [u8], Kind, &'a [u8]);

fn first_entry(bytes: &[u8]) -> io::Result<Option<Entry<'_>>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    // `d_next` and `d_ino` of eight bytes each, `d_namlen` of four, `d_type` of one; then padding.
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or_else(malformed)?;
    let len: [u8; 4] = head[16..20].try_into().map_err(|_| malformed())?;
    let len = usize::try_from(u32::from_le_bytes(len)).map_err(|_| malformed())?;
    let (name, rest) = rest.split_at_checked(len).ok_or_else(malformed)?;
    let kind = match head[20] {
        3 => Kind::Directory,
        4 => Kind::File,
        7 => Kind::Link,
        _ => Kind::Other,
    };
    Ok(Some((name, kind, rest)))
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the host's listing of a directory is malformed",
    )
}
