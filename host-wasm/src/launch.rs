//! From a sandbox to what `wasmtime-wasi` wants to know.

use std::{convert::Infallible, path::Path};

use rand_core::TryRng;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, p2::pipe::MemoryInputPipe};

use crate::{
    FileAccess, Input, Name, Program, RunError, Sandbox,
    locks::{Locks, Wanted},
    output::Sink,
    sandbox::Access,
};

/// Refuses what cannot be kept, before anything is done.
pub(crate) fn check(sandbox: &Sandbox, program: &Program, args: &[String]) -> Result<(), RunError> {
    let runtime = &program.runtime;
    if sandbox.fuel.is_some() && !runtime.is_metered() {
        let (what, with) = ("a limit of fuel", "metered(true)");
        return Err(RunError::Runtime { what, with });
    }
    if sandbox.deadline.is_some() && !runtime.is_interruptible() {
        let (what, with) = ("a deadline", "interruptible(true)");
        return Err(RunError::Runtime { what, with });
    }
    if program.is_component() {
        if sandbox.written.is_some() {
            let what = "a limit on written bytes";
            return Err(RunError::NotForComponents { what });
        }
        let by_name = |access: &Access| matches!(access, Access::Files(_));
        if sandbox.grants.iter().any(|grant| by_name(&grant.access)) {
            let what = "a grant of single files";
            return Err(RunError::NotForComponents { what });
        }
    }
    let bad_variable = |(name, value): &(String, String)| {
        name.is_empty() || name.contains(['\0', '=']) || value.contains('\0')
    };
    if let Some((name, _)) = sandbox.variables.iter().find(|pair| bad_variable(pair)) {
        return Err(RunError::Text(name.clone()));
    }
    if let Some(arg) = args.iter().find(|arg| arg.contains('\0')) {
        return Err(RunError::Text(arg.clone()));
    }
    for grant in &sandbox.grants {
        if let Access::Files(names) = &grant.access
            && let Some(name) = names.iter().find_map(|(name, _)| not_a_name(name))
        {
            return Err(RunError::FileName { name: name.into() });
        }
    }
    Ok(())
}

/// Refuses grants that reach the compiled code. After the stores were locked, since that may make directories.
pub(crate) fn check_cache(sandbox: &Sandbox, program: &Program) -> Result<(), RunError> {
    let Some(cache) = program.runtime.cache_directory() else {
        return Ok(());
    };
    let real = |path: &Path| {
        path.canonicalize().map_err(|source| RunError::Grant {
            path: path.to_owned(),
            source,
        })
    };
    let cache = real(cache)?;
    for grant in sandbox.granted() {
        let grant = real(grant)?;
        if cache.starts_with(&grant) || grant.starts_with(&cache) {
            return Err(RunError::CacheGranted { cache, grant });
        }
    }
    Ok(())
}

pub(crate) fn lock_stores(sandbox: &Sandbox) -> Result<Locks, RunError> {
    let stores = sandbox.grants.iter().filter_map(|grant| {
        Some(Wanted {
            path: &grant.host,
            create: grant.lock?.create,
        })
    });
    Locks::take(&stores.collect::<Vec<_>>())
}

pub(crate) fn wasi(
    sandbox: &Sandbox,
    args: &[String],
    stdout: &Sink,
    stderr: &Sink,
) -> Result<WasiCtxBuilder, RunError> {
    let mut wasi = WasiCtxBuilder::new();
    // First of all, since it decides how the directories are opened below. Without, every operation goes to another
    // thread and back, at twice the cost.
    wasi.allow_blocking_current_thread(true);
    wasi.args(args).envs(&sandbox.variables);
    match &sandbox.stdin {
        Input::Closed => {}
        Input::Bytes(bytes) => {
            wasi.stdin(MemoryInputPipe::new(bytes.clone()));
        }
        Input::Inherited => {
            wasi.inherit_stdin();
        }
    }
    wasi.stdout(stdout.clone()).stderr(stderr.clone());
    if let Some(seed) = sandbox.seed {
        let stream = |what| Seeded(blake3::Hasher::new_keyed(&seed).update(what).finalize_xof());
        wasi.secure_random(stream(b"secure"))
            .insecure_random(stream(b"insecure"))
            .insecure_random_seed(u128::from_le_bytes(*seed.first_chunk().unwrap_or(&[0; 16])));
    }
    for grant in &sandbox.grants {
        let perms = match &grant.access {
            Access::ReadWrite => FsPerms::ReadWrite,
            Access::Files(names)
                if names.iter().any(|(_, access)| *access >= FileAccess::Write) =>
            {
                FsPerms::ReadWrite
            }
            Access::ReadOnly | Access::Files(_) => FsPerms::ReadOnly,
        };
        wasi.preopened_dir(&grant.host, &grant.guest, perms)
            .map_err(|error| RunError::Grant {
                path: grant.host.clone(),
                source: error.downcast().unwrap_or_else(std::io::Error::other),
            })?;
    }
    Ok(wasi)
}

/// What should be the name of a file and is not.
fn not_a_name(name: &Name) -> Option<&str> {
    let Name::Is(name) = name else {
        return None;
    };
    let is_cut = |c| matches!(c, '/' | '\0') || (cfg!(windows) && c == '\\');
    (matches!(name.as_str(), "" | "." | "..") || name.contains(is_cut)).then_some(name)
}

/// Random numbers out of a seed: BLAKE3's output stream, which never comes round again.
struct Seeded(blake3::OutputReader);

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(target);
        Ok(())
    }
}
