//! Positioned input and output, the only kind the core does.

use std::io;

/// Bytes of data that are written at once, where there are so many. Of the sizes from 4 KiB to a MiB this one was the
/// fastest, and the steadiest: there are more calls for less, and more does not stay in the cache of a core.
pub(crate) const WRITE_PIECE: usize = 128 * 1024;

/// Reads at a position, without a cursor.
pub trait ReadAt {
    /// Reads at most `buf.len()` bytes from `offset` on. Fewer may come; none means the end, which any offset
    /// at or behind it is.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// How many bytes there are: for a file what the file system claims, for a verified reader what
    /// has been proved.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn size(&self) -> io::Result<u64>;

    /// The same, for reads that come from several threads at once and in no order, where that is well: for what is
    /// slower than a core, and has no order of calls to keep.
    fn as_shared(&self) -> Option<&(dyn ReadAt + Sync)> {
        None
    }
}

/// Writes at a position, without a cursor.
pub trait WriteAt {
    /// Writes at most `buf.len()` bytes at `offset`, growing the file where needed; a gap reads as zeros.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn write_at(&mut self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file, or extends it with zeros, to `len` bytes.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn as_shared(&self) -> Option<&(dyn ReadAt + Sync)> {
        (**self).as_shared()
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.get(offset..))
            .unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// Fills as much of `buf` as there is, over short reads and interruptions. Less than the whole buffer
/// means the end of the file.
///
/// # Errors
/// Whatever `from` says, but for interruptions.
pub fn read_full_at(
    from: &(impl ReadAt + ?Sized),
    buf: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match from.read_at(&mut buf[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Reads a whole file that is expected to be small: at most `cap` bytes, whatever its claimed size.
///
/// # Errors
/// Whatever `from` says; `FileTooLarge` when there are more than `cap` bytes.
pub fn read_capped(from: &(impl ReadAt + ?Sized), cap: u64) -> io::Result<Vec<u8>> {
    let claimed = from.size()?;
    if claimed > cap {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{claimed} bytes, where at most {cap} are sensible"),
        ));
    }
    let claimed = usize::try_from(claimed).map_err(io::Error::other)?;
    let mut bytes = vec![0; claimed];
    let filled = read_full_at(from, &mut bytes, 0)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Writes all of `buf`, over short writes and interruptions.
///
/// # Errors
/// Whatever `to` says, but for interruptions; `WriteZero` when it takes nothing.
pub fn write_all_at(to: &mut (impl WriteAt + ?Sized), buf: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while written < buf.len() {
        match to.write_at(&buf[written..], offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interrupts every other call and moves one byte in the others.
    struct Stutter {
        bytes: Vec<u8>,
        calls: std::cell::Cell<usize>,
    }

    impl Stutter {
        fn hiccup(&self) -> io::Result<()> {
            self.calls.set(self.calls.get() + 1);
            if self.calls.get() % 2 == 1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            Ok(())
        }
    }

    impl ReadAt for Stutter {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            self.hiccup()?;
            let len = buf.len().min(1);
            self.bytes[..].read_at(&mut buf[..len], offset)
        }

        fn size(&self) -> io::Result<u64> {
            // A file that shrinks after it was measured.
            Ok(self.bytes.len() as u64 + 3)
        }
    }

    impl WriteAt for Stutter {
        fn write_at(&mut self, buf: &[u8], offset: u64) -> io::Result<usize> {
            self.hiccup()?;
            assert_eq!(offset, self.bytes.len() as u64);
            self.bytes.push(buf[0]);
            Ok(1)
        }

        fn set_len(&mut self, _: u64) -> io::Result<()> {
            unreachable!("not called here")
        }
    }

    #[test]
    fn short_and_interrupted_calls_are_made_whole() {
        let mut file = Stutter {
            bytes: vec![],
            calls: 0.into(),
        };
        write_all_at(&mut file, b"hello", 0).unwrap();
        let mut buf = [0; 8];
        assert_eq!(read_full_at(&file, &mut buf, 1).unwrap(), 4);
        assert_eq!(&buf[..4], b"ello");
        assert_eq!(read_capped(&file, 8).unwrap(), b"hello");
        let error = read_capped(&file, 7).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_read_past_the_end_of_a_slice_is_the_end() {
        assert_eq!(b"abc"[..].read_at(&mut [0; 4], u64::MAX).unwrap(), 0);
        assert_eq!(b"abc"[..].read_at(&mut [0; 4], 3).unwrap(), 0);
    }
}
