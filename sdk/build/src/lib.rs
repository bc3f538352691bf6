//! Builds Chandlery plugins written in Rust: finds a toolchain, compiles the crate for
//! `wasm32-unknown-unknown`, makes the component and puts the manifest into it. What
//! other tools have made of other languages is checked and completed in the same way.
//!
//! It runs in build scripts, too, so it never installs anything: where no toolchain is
//! found, the error says what to install. Nothing that has not changed is compiled
//! again (cargo sees to that) or wrapped again (a digest does).

mod compile;
mod component;
mod manifest;
mod toolchain;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

pub use manifest::Manifest;
pub use toolchain::Toolchain;

/// A sentence for whoever runs the build.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Either it worked, or a sentence.
pub type Result<T> = std::result::Result<T, Error>;

/// A plugin, built.
pub struct Built {
    /// What the component says of itself.
    pub manifest: Manifest,
    /// The component's bytes, manifest included.
    pub component: Vec<u8>,
    /// Their SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// What is not wrong but probably not meant.
    pub warnings: Vec<String>,
}

/// Builds the plugin in `dir`: its `Cargo.toml`, with a `chandlery.toml` beside it.
///
/// Everything that is made on the way stays below `target`, which several builds may
/// share, also at the same time.
pub fn build(dir: &Path, target: &Path, toolchain: &Toolchain) -> Result<Built> {
    of_module(dir, target, compile::compile(dir, target, toolchain, Asked::ByScript)?)
}

/// The same for somebody who waits for it: what cargo says goes to standard error, and a
/// lock file is made where there is none.
pub fn build_by_hand(dir: &Path, target: &Path, toolchain: &Toolchain) -> Result<Built> {
    of_module(dir, target, compile::compile(dir, target, toolchain, Asked::ByHand)?)
}

/// Checks a component that another tool has made against the `chandlery.toml` in `dir`,
/// and puts the manifest in.
pub fn complete(dir: &Path, name: &str, version: &str, component: Vec<u8>) -> Result<Built> {
    let manifest = Manifest::read(dir, name.to_owned(), version.to_owned())?;
    let json = manifest.to_json();
    let component = component::complete(component, &manifest, &json)?;
    Ok(built(manifest, component))
}

/// Who asks for a build.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Asked {
    ByScript,
    ByHand,
}

fn of_module(dir: &Path, target: &Path, module: compile::Module) -> Result<Built> {
    let manifest = Manifest::read(dir, module.name, module.version)?;
    let bytes = read(&module.path)?;
    let json = manifest.to_json();

    let kept = target.join("components").join(format!("{}.wasm", manifest.name));
    let key = kept.with_extension("key");
    let digest = hex(&[env!("CARGO_PKG_VERSION").as_bytes(), &bytes, json.as_bytes()]);
    if fs::read_to_string(&key).is_ok_and(|it| it == digest)
        && let Ok(component) = fs::read(&kept)
    {
        return Ok(built(manifest, component));
    }

    let component = component::make(&bytes, &manifest, &json)?;
    // The key goes first and comes last: a key never stands beside bytes that are
    // not its own.
    let _ = fs::remove_file(&key);
    write(&kept, &component)?;
    write(&key, digest.as_bytes())?;
    Ok(built(manifest, component))
}

/// The folder for guests below the target folder that a build script's `OUT_DIR` is
/// in: the same one for all profiles, for clippy and for rustdoc.
pub fn shared_target(out_dir: &Path) -> PathBuf {
    let tagged = out_dir.ancestors().find(|it| it.join("CACHEDIR.TAG").is_file());
    tagged.unwrap_or(out_dir).join("guests")
}

/// Writes a file whole: nobody ever sees a part of it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |it: io::Error| Error(format!("cannot write `{}`: {it}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    fs::write(&temporary, bytes).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|it| Error(format!("cannot read `{}`: {it}", path.display())))
}

fn built(manifest: Manifest, component: Vec<u8>) -> Built {
    let sha256 = hex(&[&component]);
    let warnings = component::unused(&component, &manifest);
    Built { manifest, component, sha256, warnings }
}

fn hex(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        if parts.len() > 1 {
            hasher.update((part.len() as u64).to_le_bytes());
        }
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
