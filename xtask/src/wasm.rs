//! The command as a WASI program, and what that takes.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::steps::{cargo, output, root, run, target_dir};

/// The most bytes that the plain module may weigh.
const MAX_MODULE: u64 = 1_000_000;

/// What makes the module small, besides its profile.
const SMALL: [&str; 5] = [
    // The linker writes numbers no longer than they are.
    "link-arg=-O2",
    "link-arg=--compress-relocations",
    // 896 KiB of stack, below the constants: with more of it their addresses would take a byte more each.
    "link-arg=-zstack-size=917504",
    // A call is shorter than what it calls. What is built on the stack first (every argument of the command line is)
    // counts for nothing when LLVM weighs what to put in place of a call, and would be put there each time.
    "llvm-args=-inline-threshold=0",
    "llvm-args=-inline-max-stacksize=400",
];

/// A WASI target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    P1,
    P2,
}

impl Target {
    pub(crate) const ALL: [Self; 2] = [Self::P1, Self::P2];

    pub(crate) fn triple(self) -> &'static str {
        match self {
            Self::P1 => "wasm32-wasip1",
            Self::P2 => "wasm32-wasip2",
        }
    }

    /// The environment variable that names cargo's runner for it.
    pub(crate) fn runner_variable(self) -> &'static str {
        match self {
            Self::P1 => "CARGO_TARGET_WASM32_WASIP1_RUNNER",
            Self::P2 => "CARGO_TARGET_WASM32_WASIP2_RUNNER",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.triple())
    }
}

/// The modules that were built.
pub(crate) struct Modules {
    /// `flatbao.wasm`, which needs nothing but preview 1.
    pub(crate) plain: PathBuf,
    /// `flatbao-assisted.wasm`, for which the host hashes.
    pub(crate) assisted: PathBuf,
}

/// Builds the modules into `target/wasm/` and says what they weigh.
pub(crate) fn modules() -> Result<Modules> {
    let place = target_dir().join("wasm");
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let plain = module(&place, "flatbao.wasm", "")?;
    let assisted = module(&place, "flatbao-assisted.wasm", " --features host-hash")?;
    let weight = size(&plain)?;
    ensure!(
        weight < MAX_MODULE,
        "{} is to stay below {MAX_MODULE} bytes",
        plain.display()
    );
    Ok(Modules { plain, assisted })
}

fn module(place: &Path, name: &str, features: &str) -> Result<PathBuf> {
    let target = Target::P1;
    let args = format!(
        "build --locked --profile wasm --package flatbao --bin flatbao --target {target}{features}"
    );
    run(name, cargo(&args).arg("--config").arg(flags(target)))?;
    let built = target_dir().join(target.triple()).join("wasm/flatbao.wasm");
    let path = place.join(name);
    fs::copy(&built, &path).with_context(|| built.display().to_string())?;
    println!("xtask: {}: {} bytes", path.display(), size(&path)?);
    Ok(path)
}

/// What the compiler is told besides: what makes the module small, and not to tell where the sources lay when it was
/// built.
fn flags(target: Target) -> String {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let sources = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let places = [sources.map(|home| home.join("registry/src")), Some(root())];
    let remap = |place: PathBuf| format!("--remap-path-prefix={}=", place.display());
    let flags: Vec<_> = SMALL
        .iter()
        .flat_map(|flag| ["-C".to_owned(), (*flag).to_owned()])
        .chain(places.into_iter().flatten().map(remap))
        .map(|flag| format!("{flag:?}"))
        .collect();
    format!("target.{target}.rustflags=[{}]", flags.join(","))
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)
        .with_context(|| path.display().to_string())?
        .len())
}

/// Makes sure that the compiler has the WASI targets, and has rustup add those that it lacks.
pub(crate) fn targets() -> Result<()> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
    let missing: Vec<_> = Target::ALL
        .map(Target::triple)
        .into_iter()
        .filter(|triple| !libraries.join(triple).is_dir())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    println!("xtask: adding {list}");
    let added = Command::new("rustup")
        .args(["target", "add"])
        .args(&missing)
        .status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!(
            "`rustup target add {list}` failed, and the WASI programs cannot be built without: is there a \
             network, and may rustup write to {}?",
            libraries.display()
        ),
        Err(_) => bail!(
            "this compiler has no {list}, and there is no rustup to add it: install the standard library for \
             it the way the compiler was installed"
        ),
    }
}

/// Whether there is a Node whose WASI is good enough.
pub(crate) fn node() -> Option<String> {
    let version = Command::new("node")
        .arg("--version")
        .stderr(Stdio::null())
        .output();
    let version = version.ok().filter(|output| output.status.success())?;
    let version = String::from_utf8(version.stdout).ok()?.trim().to_owned();
    let major: u32 = version
        .trim_start_matches('v')
        .split('.')
        .next()?
        .parse()
        .ok()?;
    // `node:wasi` takes its `version` option from this one on.
    (major >= 20).then_some(version)
}
