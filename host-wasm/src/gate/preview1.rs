//! Every function of preview 1: what the gate does itself, what it checks first, and what it only passes on.

use wasmtime_wasi::{
    I32Exit,
    p1::{types::*, wasi_snapshot_preview1::WasiSnapshotPreview1},
};
use wiggle::{GuestMemory, GuestPtr};

use super::{Gate, Result, paths::Asked};

/// Random bytes are made in pieces of this length, whatever the program asks for.
const PIECE: u32 = 4096;

/// Functions that go to the implementation as they are.
macro_rules! pass_on {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {$(
        fn $name(&mut self, mem: &mut GuestMemory<'_>, $($arg: $ty),*) -> Result<$ret> {
            self.inner.$name(mem, $($arg),*)
        }
    )*};
}

/// The same for those that may wait. In braces stands what is checked before.
macro_rules! pass_on_after {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty { |$gate:ident, $mem:ident| $($check:expr);* })*) => {$(
        async fn $name(&mut self, $mem: &mut GuestMemory<'_>, $($arg: $ty),*) -> Result<$ret> {
            let $gate = &*self;
            $($check?;)*
            self.inner.$name($mem, $($arg),*).await
        }
    )*};
}

impl WasiSnapshotPreview1 for Gate {
    pass_on! {
        fn args_get(argv: GuestPtr<GuestPtr<u8>>, buf: GuestPtr<u8>) -> ();
        fn args_sizes_get() -> (Size, Size);
        fn environ_get(environ: GuestPtr<GuestPtr<u8>>, buf: GuestPtr<u8>) -> ();
        fn environ_sizes_get() -> (Size, Size);
        fn clock_res_get(id: Clockid) -> Timestamp;
        fn clock_time_get(id: Clockid, precision: Timestamp) -> Timestamp;
        fn fd_allocate(fd: Fd, offset: Filesize, len: Filesize) -> ();
        fn fd_fdstat_set_flags(fd: Fd, flags: Fdflags) -> ();
        fn fd_fdstat_set_rights(fd: Fd, base: Rights, inheriting: Rights) -> ();
        fn fd_prestat_get(fd: Fd) -> Prestat;
        fn fd_prestat_dir_name(fd: Fd, path: GuestPtr<u8>, len: Size) -> ();
        fn fd_tell(fd: Fd) -> Filesize;
        fn proc_raise(signal: Signal) -> ();
        fn sched_yield() -> ();
        fn sock_accept(fd: Fd, flags: Fdflags) -> Fd;
        fn sock_recv(fd: Fd, data: IovecArray, flags: Riflags) -> (Size, Roflags);
        fn sock_send(fd: Fd, data: CiovecArray, flags: Siflags) -> Size;
        fn sock_shutdown(fd: Fd, how: Sdflags) -> ();
    }

    pass_on_after! {
        fn fd_advise(fd: Fd, offset: Filesize, len: Filesize, advice: Advice) -> () { |_gate, mem| }
        fn fd_filestat_get(fd: Fd) -> Filestat { |_gate, mem| }
        fn fd_seek(fd: Fd, offset: Filedelta, whence: Whence) -> Filesize { |_gate, mem| }
        fn fd_filestat_set_times(fd: Fd, atim: Timestamp, mtim: Timestamp, flags: Fstflags) -> () {
            |gate, mem| gate.may_change(fd)
        }
        fn path_filestat_set_times(
            fd: Fd, flags: Lookupflags, path: GuestPtr<str>, atim: Timestamp, mtim: Timestamp, set: Fstflags
        ) -> () {
            |gate, mem| gate.may_change_names(fd)
        }
        fn path_remove_directory(fd: Fd, path: GuestPtr<str>) -> () { |gate, mem| gate.may_replace(fd, mem, path) }
        fn path_unlink_file(fd: Fd, path: GuestPtr<str>) -> () { |gate, mem| gate.may_replace(fd, mem, path) }
        fn path_symlink(to: GuestPtr<str>, fd: Fd, path: GuestPtr<str>) -> () {
            |gate, mem| gate.may_change_names(fd)
        }
        fn path_readlink(fd: Fd, path: GuestPtr<str>, buf: GuestPtr<u8>, len: Size) -> Size {
            |gate, mem| gate.may_read_links(fd)
        }
    }

    async fn fd_fdstat_get(&mut self, mem: &mut GuestMemory<'_>, fd: Fd) -> Result<Fdstat> {
        self.status(mem, fd).await
    }

    async fn fd_close(&mut self, mem: &mut GuestMemory<'_>, fd: Fd) -> Result<()> {
        self.inner.fd_close(mem, fd).await?;
        self.open.remove(fd);
        Ok(())
    }

    async fn fd_renumber(&mut self, mem: &mut GuestMemory<'_>, from: Fd, to: Fd) -> Result<()> {
        self.inner.fd_renumber(mem, from, to).await?;
        self.open.renumber(from, to);
        Ok(())
    }

    async fn fd_datasync(&mut self, mem: &mut GuestMemory<'_>, fd: Fd) -> Result<()> {
        if self.sync_directory(fd)? {
            return Ok(());
        }
        self.inner.fd_datasync(mem, fd).await
    }

    async fn fd_sync(&mut self, mem: &mut GuestMemory<'_>, fd: Fd) -> Result<()> {
        if self.sync_directory(fd)? {
            return Ok(());
        }
        self.inner.fd_sync(mem, fd).await
    }

    async fn fd_read(&mut self, mem: &mut GuestMemory<'_>, fd: Fd, to: IovecArray) -> Result<Size> {
        self.read(mem, fd, to).await
    }

    async fn fd_pread(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: Fd,
        to: IovecArray,
        offset: Filesize,
    ) -> Result<Size> {
        self.read_at(mem, fd, to, offset).await
    }

    async fn fd_write(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: Fd,
        from: CiovecArray,
    ) -> Result<Size> {
        self.write(mem, fd, from, None).await
    }

    async fn fd_pwrite(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: Fd,
        from: CiovecArray,
        offset: Filesize,
    ) -> Result<Size> {
        self.write(mem, fd, from, Some(offset)).await
    }

    async fn fd_filestat_set_size(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: Fd,
        size: Filesize,
    ) -> Result<()> {
        self.set_size(mem, fd, size).await
    }

    async fn fd_readdir(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: Fd,
        buf: GuestPtr<u8>,
        len: Size,
        cookie: Dircookie,
    ) -> Result<Size> {
        self.list(mem, fd, buf, len, cookie)
    }

    async fn path_open(
        &mut self,
        mem: &mut GuestMemory<'_>,
        dirfd: Fd,
        dirflags: Lookupflags,
        path: GuestPtr<str>,
        oflags: Oflags,
        rights: Rights,
        inheriting: Rights,
        fdflags: Fdflags,
    ) -> Result<Fd> {
        let asked = Asked {
            dirfd,
            dirflags,
            path,
            oflags,
            rights: &rights,
            inheriting,
            fdflags,
        };
        self.open(mem, asked).await
    }

    async fn path_rename(
        &mut self,
        mem: &mut GuestMemory<'_>,
        from: Fd,
        old: GuestPtr<str>,
        to: Fd,
        new: GuestPtr<str>,
    ) -> Result<()> {
        self.give_name(mem, (from, old), (to, new), None).await
    }

    async fn path_link(
        &mut self,
        mem: &mut GuestMemory<'_>,
        from: Fd,
        flags: Lookupflags,
        old: GuestPtr<str>,
        to: Fd,
        new: GuestPtr<str>,
    ) -> Result<()> {
        self.give_name(mem, (from, old), (to, new), Some(flags))
            .await
    }

    async fn path_create_directory(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: Fd,
        path: GuestPtr<str>,
    ) -> Result<()> {
        self.make_directory(mem, fd, path).await
    }

    async fn path_filestat_get(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: Fd,
        flags: Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<Filestat> {
        self.look_at(mem, fd, flags, path).await
    }

    async fn poll_oneoff(
        &mut self,
        mem: &mut GuestMemory<'_>,
        subscriptions: GuestPtr<Subscription>,
        events: GuestPtr<Event>,
        count: Size,
    ) -> Result<Size> {
        self.poll(mem, subscriptions, events, count)
    }

    /// The implementation takes codes from 126 on for a mistake. A shell does not.
    fn proc_exit(&mut self, _: &mut GuestMemory<'_>, code: Exitcode) -> wasmtime::Error {
        I32Exit(code.cast_signed()).into()
    }

    fn random_get(
        &mut self,
        mem: &mut GuestMemory<'_>,
        buf: GuestPtr<u8>,
        len: Size,
    ) -> Result<()> {
        for start in (0..len).step_by(PIECE as usize) {
            self.inner
                .random_get(mem, buf.add(start)?, PIECE.min(len - start))?;
        }
        Ok(())
    }

    fn set_hostcall_fuel(&mut self, fuel: usize) {
        self.inner.set_hostcall_fuel(fuel);
    }
}
