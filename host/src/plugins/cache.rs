//! Compiled components on the disk, each under a seal.
//!
//! Compiled code is machine code, and wasmtime runs what it is given: a file that
//! somebody else wrote would run with all rights of the server. So each file
//! carries an HMAC-SHA-256 under a key that is kept elsewhere, over its own name
//! and its bytes, and one that does not match is deleted and made again.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use crate::error::{Error, Result};

const SEAL_BYTES: usize = 32;
const FILES_MAX: usize = 100;
// Code that an older patch release compiled is not run: it may have been a fix of
// the compiler.
const WASMTIME: &str = "48.0.8";

/// The cache.
pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
}

impl Cache {
    /// Opens a cache, for this user only.
    pub(super) fn open(folder: &Path, key: [u8; 32]) -> Result<Cache> {
        let failed =
            |it| Error::store(format!("opening the plugin cache {}", folder.display()), it);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        trim(folder).map_err(failed)?;
        Ok(Cache { folder: folder.to_owned(), key })
    }

    /// The compiled component: from the cache, or compiled now and kept there.
    /// Blocks for as long as a compiler does.
    pub(super) fn compiled(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> wasmtime::Result<Component> {
        let path = self.folder.join(name(engine, digest));
        if let Some(component) = self.load(engine, &path) {
            return Ok(component);
        }
        let began = std::time::Instant::now();
        let code = engine.precompile_component(bytes)?;
        tracing::info!(
            digest,
            duration_ms = began.elapsed().as_millis() as u64,
            code_bytes = code.len(),
            "compiled a plugin"
        );
        if let Err(error) = self.keep(&path, &code) {
            tracing::warn!(%error, path = %path.display(), "the compiled plugin could not be kept");
        }
        deserialize(engine, &code)
    }

    fn load(&self, engine: &Engine, path: &Path) -> Option<Component> {
        let sealed = fs::read(path).ok()?;
        let loaded = match self.unsealed(path, &sealed) {
            Some(code) => deserialize(engine, code).map_err(|it| format!("{it:#}")),
            None => Err("its seal is broken".to_owned()),
        };
        match loaded {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(error, path = %path.display(), "dropped a compiled plugin");
                let _ = fs::remove_file(path);
                None
            }
        }
    }

    fn unsealed<'a>(&self, path: &Path, sealed: &'a [u8]) -> Option<&'a [u8]> {
        let (seal, code) = sealed.split_at_checked(SEAL_BYTES)?;
        self.mac(path, code).verify_slice(seal).ok()?;
        Some(code)
    }

    fn keep(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        let unfinished = path.with_extension(format!("{}.unfinished", uuid::Uuid::new_v4()));
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(&self.mac(path, code).finalize().into_bytes())?;
        file.write_all(code)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    }

    // The name is under the seal, too: else one sealed file could stand in for
    // another.
    fn mac(&self, path: &Path, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length will do");
        mac.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        mac.update(&[0]);
        mac.update(code);
        mac
    }
}

/// Drops what an interrupted run left, and all but the newest files.
fn trim(folder: &Path) -> std::io::Result<()> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension().and_then(|it| it.to_str()) {
            Some("unfinished") => fs::remove_file(path)?,
            Some("compiled") => kept.push((fs::metadata(&path)?.modified()?, path)),
            _ => {}
        }
    }
    kept.sort();
    for (_, path) in kept.iter().rev().skip(FILES_MAX) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// The digest of a component's bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// One file for each component, engine settings and engine version.
fn name(engine: &Engine, digest: &str) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let settings = hex::encode(&hasher.0.finalize()[..8]);
    format!("{digest}-{settings}-{WASMTIME}.compiled")
}

#[expect(unsafe_code, reason = "the one place where compiled code becomes runnable")]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` was made by `precompile_component` of this very process, or
    // was read from a file whose seal, under a key that only this server has, says
    // that one of its processes made it so. Wasmtime checks that version and
    // settings match.
    unsafe { Component::deserialize(engine, code) }
}

/// Lets what implements [`Hash`] be hashed the same way in each run.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the whole digest is taken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The smallest component: a header, nothing in it.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn only_file(folder: &Path) -> PathBuf {
        let files: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    #[test]
    fn what_was_compiled_is_loaded_and_a_flipped_byte_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = Cache::open(folder.path(), [7; 32]).unwrap();
        cache.compiled(&engine, "digest", EMPTY).unwrap();
        let path = only_file(folder.path());
        let good = fs::read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        // Loaded, not compiled: these are not the bytes of a component.
        cache.compiled(&engine, "digest", b"rubbish").unwrap();

        for place in [0, SEAL_BYTES, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&path, bad).unwrap();
            assert!(cache.load(&engine, &path).is_none());
            assert!(!path.exists());
            cache.compiled(&engine, "digest", EMPTY).unwrap();
            assert!(cache.load(&engine, &path).is_some());
        }
    }

    #[test]
    fn a_file_under_another_key_or_another_name_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = Cache::open(folder.path(), [7; 32]).unwrap();
        cache.compiled(&engine, "digest", EMPTY).unwrap();
        let path = only_file(folder.path());
        let good = fs::read(&path).unwrap();

        let other_name = folder.path().join("other.compiled");
        fs::write(&other_name, &good).unwrap();
        assert!(cache.load(&engine, &other_name).is_none());

        let other_key = Cache::open(folder.path(), [8; 32]).unwrap();
        assert!(other_key.load(&engine, &path).is_none());
        assert!(!path.exists());
    }

    #[test]
    fn old_files_and_unfinished_ones_go_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..FILES_MAX + 5 {
            fs::write(folder.path().join(format!("{index}.compiled")), "x").unwrap();
        }
        fs::write(folder.path().join("x.unfinished"), "x").unwrap();
        Cache::open(folder.path(), [7; 32]).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), FILES_MAX);
        assert!(!folder.path().join("x.unfinished").exists());
    }

    #[test]
    fn the_version_is_that_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"wasmtime\"\nversion = \"{WASMTIME}\"\n");
        assert!(lock.contains(&entry), "update `WASMTIME`");
    }

    #[test]
    fn a_cut_off_file_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = Cache::open(folder.path(), [7; 32]).unwrap();
        cache.compiled(&engine, "digest", EMPTY).unwrap();
        let path = only_file(folder.path());
        for length in [0, 1, SEAL_BYTES - 1, SEAL_BYTES] {
            fs::write(&path, vec![0; length]).unwrap();
            cache.compiled(&engine, "digest", EMPTY).unwrap();
        }
    }
}
