//! What all programs are run with.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};

use flatbao_host::{CodeCache, Runtime, Sandbox};

/// What is the same for every instance.
pub(crate) struct Setting {
    pub(crate) runtime: Runtime,
    workspace: PathBuf,
    variables: Vec<(String, String)>,
    memory: u64,
    timeout: Duration,
}

impl Setting {
    pub(crate) fn from_environment() -> Result<Self, Box<dyn Error>> {
        let cache = match env::var_os("FLATBAO_RUNNER_CACHE") {
            None => CodeCache::User,
            Some(none) if none == "none" => CodeCache::None,
            Some(directory) => CodeCache::Directory(directory.into()),
        };
        let workspace = workspace()?;
        let mut runtime = Runtime::builder().cache(cache).build()?;
        // No program is granted a look at the machine code of others. Without a cache it all works, only slower.
        if let Some(cache) = runtime.cache_directory()
            && (cache.starts_with(&workspace) || workspace.starts_with(cache))
        {
            runtime = Runtime::builder().cache(CodeCache::None).build()?;
        }
        Ok(Self {
            runtime,
            workspace,
            variables: variables(),
            memory: number("FLATBAO_RUNNER_MEMORY")?.unwrap_or(2 << 30),
            timeout: Duration::from_secs(number("FLATBAO_RUNNER_TIMEOUT")?.unwrap_or(120)),
        })
    }

    /// A sandbox with `scratch` at `/tmp` and the workspace at its own path, to read.
    pub(crate) fn sandbox(&self, scratch: &Path) -> Sandbox {
        let mut sandbox = Sandbox::new()
            .directory(scratch, "/tmp")
            .memory_limit(self.memory)
            .open_files(4096);
        if let Some(path) = self.workspace.to_str() {
            sandbox = sandbox.directory_read_only(&self.workspace, path);
        }
        for (name, value) in &self.variables {
            sandbox = sandbox.variable(name, value);
        }
        sandbox
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// The nearest directory above with a lock file, since cargo runs tests in the directory of their package.
fn workspace() -> std::io::Result<PathBuf> {
    let current = env::current_dir()?;
    let found = current
        .ancestors()
        .find(|dir| dir.join("Cargo.lock").is_file());
    Ok(found.unwrap_or(&current).to_owned())
}

/// Those that say how tests are to be done, and no others.
fn variables() -> Vec<(String, String)> {
    let ours = |name: &str| name.starts_with("PROPTEST_") || name.starts_with("FLATBAO_");
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| ours(name))
        .collect()
}

fn number(name: &str) -> Result<Option<u64>, String> {
    let Some(text) = env::var_os(name) else {
        return Ok(None);
    };
    let number = text.to_str().and_then(|text| text.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| format!("{name} must be a number, not {text:?}"))
}
