//! Opening a file below a directory, under preview 1.
//!
//! The C library asks only for the rights that the directory's descriptor passes on, and under wasmtime a directory
//! that was itself opened passes on none to write. The host does not care: it gives what is asked for.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

/// Rights of preview 1, as its witx file numbers them: `fd_datasync`, `fd_read`, `fd_seek`, `fd_fdstat_set_flags`,
/// `fd_sync`, `fd_tell`, `fd_advise` and `fd_filestat_get`.
const READ: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 21;
/// `fd_write`, `fd_allocate` and `fd_filestat_set_size`.
const WRITE: u64 = 1 << 6 | 1 << 8 | 1 << 22;

#[link(wasm_import_module = "wasi_snapshot_preview1")]
#[expect(
    unsafe_code,
    reason = "the import of preview 1, as its witx file has it"
)]
unsafe extern "C" {
    #[link_name = "path_open"]
    fn raw_path_open(
        dir: i32,
        lookup_flags: u32,
        path: *const u8,
        path_len: usize,
        open_flags: u32,
        rights: u64,
        inherited_rights: u64,
        fd_flags: u32,
        opened: *mut i32,
    ) -> u16;
}

/// Opens what bears the name, for reading and perhaps for writing. A link is not followed, as far as the host
/// keeps to that.
///
/// # Errors
/// Whatever the host says.
pub fn open_file(dir: BorrowedFd<'_>, name: &[u8], writable: bool) -> io::Result<OwnedFd> {
    let rights = if writable { READ | WRITE } else { READ };
    let mut opened = -1;
    #[expect(
        unsafe_code,
        reason = "no library lets one say which rights are wanted"
    )]
    // SAFETY: `name` is valid for reads of its length, `opened` for a write of one `i32`; the host keeps neither.
    let errno = unsafe {
        raw_path_open(
            dir.as_raw_fd(),
            0,
            name.as_ptr(),
            name.len(),
            0,
            rights,
            rights,
            0,
            &raw mut opened,
        )
    };
    if errno != 0 {
        return Err(io::Error::from_raw_os_error(errno.into()));
    }
    #[expect(
        unsafe_code,
        reason = "the descriptor comes from a call that no library makes"
    )]
    // SAFETY: the host has just opened it, so that nobody else has it.
    let file = unsafe { OwnedFd::from_raw_fd(opened) };
    Ok(file)
}
