//! Listing a directory under preview 2.
//!
//! The C library's stream of entries goes on after an entry that cannot be told, one whose name is not UTF-8;
//! the safe libraries around it end there.

use std::{
    ffi::CStr,
    io,
    os::fd::{IntoRawFd as _, OwnedFd},
    ptr::NonNull,
};

use errno::{Errno, set_errno};

use crate::Kind;

/// What stands for a name that the host cannot tell.
const UNTELLABLE: &[u8] = "\u{fffd}".as_bytes();

/// Hands every entry but `.` and `..` to `each`, with its name in bytes; all of them are read before the first
/// one is handed over. `dir` is used up. An entry whose name is not UTF-8 has the name U+FFFD and no kind: the
/// interface has no other names.
///
/// # Errors
/// Whatever the host says; then nothing was handed over.
pub fn list(dir: OwnedFd, each: &mut dyn FnMut(&[u8], Kind)) -> io::Result<()> {
    let mut stream = Stream::open(dir)?;
    let mut entries = Vec::new();
    while let Some(entry) = stream.next()? {
        entries.push(entry);
    }
    for (name, kind) in &entries {
        if name != b"." && name != b".." {
            each(name, *kind);
        }
    }
    Ok(())
}

/// An open stream of directory entries.
struct Stream(NonNull<libc::DIR>);

impl Stream {
    fn open(dir: OwnedFd) -> io::Result<Self> {
        let fd = dir.into_raw_fd();
        #[expect(
            unsafe_code,
            reason = "no library goes on after an entry that cannot be told"
        )]
        // SAFETY: the descriptor is owned, so that nobody else uses it; the stream closes it, and where there
        // is no stream it stays open, which harms nothing.
        let stream = unsafe { libc::fdopendir(fd) };
        NonNull::new(stream)
            .map(Self)
            .ok_or_else(io::Error::last_os_error)
    }

    fn next(&mut self) -> io::Result<Option<(Vec<u8>, Kind)>> {
        // The end and an error are told apart by this alone.
        set_errno(Errno(0));
        #[expect(
            unsafe_code,
            reason = "no library goes on after an entry that cannot be told"
        )]
        // SAFETY: the stream is open until it is dropped, and nobody else has it.
        let entry = unsafe { libc::readdir(self.0.as_ptr()) };
        let Some(entry) = NonNull::new(entry) else {
            return match errno::errno().0 {
                0 => Ok(None),
                libc::EILSEQ => Ok(Some((UNTELLABLE.to_vec(), Kind::Other))),
                errno => Err(io::Error::from_raw_os_error(errno)),
            };
        };
        let entry = entry.as_ptr();
        #[expect(
            unsafe_code,
            reason = "no library goes on after an entry that cannot be told"
        )]
        // SAFETY: an entry stays valid until the next call on its stream, and is initialised.
        let kind = match unsafe { (*entry).d_type } {
            libc::DT_REG => Kind::File,
            libc::DT_DIR => Kind::Directory,
            libc::DT_LNK => Kind::Link,
            _ => Kind::Other,
        };
        #[expect(
            unsafe_code,
            reason = "no library goes on after an entry that cannot be told"
        )]
        // SAFETY: as before; only the address is taken, since the name is longer than its field.
        let name = unsafe { &raw const (*entry).d_name };
        #[expect(
            unsafe_code,
            reason = "no library goes on after an entry that cannot be told"
        )]
        // SAFETY: the C library ends the name with a zero, within the entry's allocation, from which the
        // pointer was derived.
        let name = unsafe { CStr::from_ptr(name.cast()) };
        Ok(Some((name.to_bytes().to_vec(), kind)))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "what closes the stream")]
        // SAFETY: the stream is open, and nobody has it any more. There is nothing to do about an error.
        let _ = unsafe { libc::closedir(self.0.as_ptr()) };
    }
}
