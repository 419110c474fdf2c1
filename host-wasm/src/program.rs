//! Compiled programs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use wasmtime::{InstancePre, Linker, Module, component};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::{
    Runtime, gate, hashing,
    run::{ComponentState, CoreState},
};

/// The four bytes that every WebAssembly binary begins with.
const MAGIC: &[u8] = b"\0asm";
/// Version and layer of a core module.
const CORE: [u8; 4] = [1, 0, 0, 0];
/// Version and layer of a component.
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// A program, compiled and with its imports resolved. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    pub(crate) runtime: Runtime,
    pub(crate) code: Code,
}

#[derive(Clone)]
pub(crate) enum Code {
    Core(InstancePre<CoreState>),
    Component(CommandPre<ComponentState>),
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no WebAssembly.
    #[error("this is no WebAssembly binary: neither a core module nor a component")]
    Header,
    /// It cannot be compiled.
    #[error("the program cannot be compiled")]
    Compile(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It wants what this host does not have.
    #[error(
        "the program imports what is not there; it must be made for WASI preview 1, or be a WASI 0.2 command"
    )]
    Imports(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has no beginning.
    #[error("the module exports no function `_start`; it is a library, not a program")]
    NoStart,
}

impl Program {
    /// Compiles a core module or a component. Neither is trusted.
    ///
    /// # Errors
    /// When it is neither, does not compile, or cannot be run by this host.
    pub fn compile(runtime: &Runtime, binary: &[u8]) -> Result<Self, ProgramError> {
        let header = binary
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.first_chunk());
        let code = match header {
            Some(&CORE) => Code::Core(compile_core(runtime, binary)?),
            Some(&COMPONENT) => Code::Component(compile_component(runtime, binary)?),
            _ => return Err(ProgramError::Header),
        };
        Ok(Self {
            runtime: runtime.clone(),
            code,
        })
    }

    /// As [`compile`](Self::compile), from a file.
    ///
    /// # Errors
    /// As for [`compile`](Self::compile), and when the file cannot be read.
    pub fn from_file(runtime: &Runtime, path: impl AsRef<Path>) -> Result<Self, ProgramError> {
        let path = path.as_ref();
        let binary = fs::read(path).map_err(|source| ProgramError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::compile(runtime, &binary)
    }

    /// Whether this is a component, for which some limits cannot be enforced.
    #[must_use]
    pub fn is_component(&self) -> bool {
        matches!(self.code, Code::Component(_))
    }
}

fn compile_core(runtime: &Runtime, binary: &[u8]) -> Result<InstancePre<CoreState>, ProgramError> {
    let engine = runtime.engine();
    let module =
        Module::from_binary(engine, binary).map_err(|e| ProgramError::Compile(e.into()))?;
    match module.get_export("_start") {
        Some(start) if start.func().is_some() => {}
        _ => return Err(ProgramError::NoStart),
    }
    let link = || {
        let mut linker = Linker::new(engine);
        gate::add_to_linker(&mut linker)?;
        hashing::add_to_linker(&mut linker)?;
        linker.instantiate_pre(&module)
    };
    link().map_err(|e| ProgramError::Imports(e.into()))
}

fn compile_component(
    runtime: &Runtime,
    binary: &[u8],
) -> Result<CommandPre<ComponentState>, ProgramError> {
    let engine = runtime.engine();
    let component = component::Component::from_binary(engine, binary)
        .map_err(|e| ProgramError::Compile(e.into()))?;
    let link = || {
        let mut linker = component::Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        CommandPre::new(linker.instantiate_pre(&component)?)
    };
    link().map_err(|e| ProgramError::Imports(e.into()))
}
