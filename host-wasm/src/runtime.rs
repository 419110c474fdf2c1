//! The compiler and where it keeps its code.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::Duration,
};

use wasmtime::{Cache, CacheConfig, Config, Engine, Strategy};

/// How often running programs look whether their time is up.
const TICK: Duration = Duration::from_millis(10);

/// Compiles programs and runs them. Cheap to clone; all clones share one compiler.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    cache: Option<PathBuf>,
    interruptible: bool,
    metered: bool,
    /// Started with the first deadline. Dropping it ends the ticking thread.
    ticker: OnceLock<mpsc::Sender<()>>,
}

/// Where compiled code is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CodeCache {
    /// In the user's cache directory; nowhere if the system does not tell where that is, or it cannot be used.
    #[default]
    User,
    /// In this directory, which must be the user's alone: what is in there is run as machine code.
    Directory(PathBuf),
    /// Nowhere.
    None,
}

/// How a runtime is made.
#[derive(Debug, Clone)]
#[must_use]
pub struct RuntimeBuilder {
    cache: CodeCache,
    interruptible: bool,
    metered: bool,
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The directory for compiled code cannot be used.
    #[error("compiled code cannot be kept in {}; choose another directory, or none", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The compiler cannot be set up for this machine.
    #[error("the compiler cannot be set up")]
    Compiler(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Runtime {
    /// A runtime that can stop programs after some time, and keeps compiled code in the user's cache directory.
    ///
    /// # Errors
    /// When the compiler cannot be set up for this machine.
    pub fn new() -> Result<Self, RuntimeError> {
        Self::builder().build()
    }

    /// A runtime that is made in another way.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder {
            cache: CodeCache::default(),
            interruptible: true,
            metered: false,
        }
    }

    /// Where compiled code is kept, if it is.
    #[must_use]
    pub fn cache_directory(&self) -> Option<&Path> {
        self.inner.cache.as_deref()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn is_interruptible(&self) -> bool {
        self.inner.interruptible
    }

    pub(crate) fn is_metered(&self) -> bool {
        self.inner.metered
    }

    /// From now on running programs look at the clock. One thread does for all of them.
    pub(crate) fn start_ticking(&self) {
        self.inner.ticker.get_or_init(|| {
            let (alive, ended) = mpsc::channel();
            let engine = self.inner.engine.weak();
            let tick = move || {
                while ended.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    match engine.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => break,
                    }
                }
            };
            // Without the thread a deadline is still seen at every call to the host.
            let _ = thread::Builder::new()
                .name("flatbao-host-ticker".into())
                .spawn(tick);
            alive
        });
    }
}

impl RuntimeBuilder {
    /// Keeps compiled code elsewhere, or not at all.
    pub fn cache(mut self, cache: CodeCache) -> Self {
        self.cache = cache;
        self
    }

    /// Whether programs can be given a deadline. They can unless told otherwise; without, they run about a tenth faster.
    pub fn interruptible(mut self, interruptible: bool) -> Self {
        self.interruptible = interruptible;
        self
    }

    /// Whether programs can be given a limit of fuel. They cannot unless asked for; with it, they run about a tenth
    /// slower.
    pub fn metered(mut self, metered: bool) -> Self {
        self.metered = metered;
        self
    }

    /// Makes the runtime.
    ///
    /// # Errors
    /// When a directory was given for compiled code and cannot be used, or the compiler cannot be set up for this
    /// machine.
    pub fn build(self) -> Result<Runtime, RuntimeError> {
        let cache = match self.cache {
            CodeCache::None => None,
            CodeCache::User => Cache::new(CacheConfig::new()).ok(),
            CodeCache::Directory(path) => Some(open_cache(&path)?),
        };
        let mut config = Config::new();
        config
            .strategy(Strategy::Cranelift)
            .epoch_interruption(self.interruptible)
            .consume_fuel(self.metered)
            // Nothing that our programs are compiled to needs these, and what is off cannot be attacked.
            .wasm_memory64(false)
            .wasm_multi_memory(false)
            .wasm_relaxed_simd(false);
        let directory = cache.as_ref().map(|cache| cache.directory().clone());
        config.cache(cache);
        let engine = Engine::new(&config).map_err(|e| RuntimeError::Compiler(e.into()))?;
        Ok(Runtime {
            inner: Arc::new(Inner {
                engine,
                cache: directory,
                interruptible: self.interruptible,
                metered: self.metered,
                ticker: OnceLock::new(),
            }),
        })
    }
}

fn open_cache(path: &Path) -> Result<Cache, RuntimeError> {
    let open = || -> Result<Cache, Box<dyn std::error::Error + Send + Sync>> {
        let mut config = CacheConfig::new();
        config.with_directory(std::path::absolute(path)?);
        Ok(Cache::new(config)?)
    };
    open().map_err(|source| RuntimeError::Cache {
        path: path.to_owned(),
        source,
    })
}
