//! Runs cargo for a plugin's crate.
//!
//! The cargo (and clippy, and rustdoc) that runs the build script speaks to its own
//! children through the environment. None of that may reach the cargo that is started
//! here: it works for another target, with another profile, maybe with another Rust.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{Asked, Error, Result, Toolchain, toolchain::TARGET};

/// A compiled crate.
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

/// Small and slim: no unwinding, no debug information, but the names of functions,
/// which make the report of a trap readable.
const PROFILE: [&str; 8] = [
    "inherits='release'",
    "opt-level='s'",
    "lto=true",
    "codegen-units=1",
    "panic='abort'",
    "debug=false",
    "strip='debuginfo'",
    "incremental=false",
];

/// What cargo may still hear from outside: how to reach its registries, and how many
/// jobs it may run.
const KEPT: [&str; 6] = [
    "CARGO_HOME",
    "CARGO_MAKEFLAGS",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
];

/// Everything else that a build script is told, besides `CARGO_*`.
const TOLD: [&str; 18] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTDOC",
    "RUSTC",
    "RUSTC_LINKER",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_BOOTSTRAP",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "TARGET",
    "HOST",
    "OUT_DIR",
    "OPT_LEVEL",
    "DEBUG",
    "PROFILE",
    "NUM_JOBS",
    "__CARGO_DEFAULT_LIB_METADATA",
];

/// Compiles the crate in `dir`, below `target`.
pub(crate) fn compile(
    dir: &Path,
    target: &Path,
    toolchain: &Toolchain,
    asked: Asked,
) -> Result<Module> {
    let mut cargo = command(dir, target, toolchain);
    match asked {
        Asked::ByScript => cargo.arg("--locked"),
        Asked::ByHand => cargo.stderr(Stdio::inherit()),
    };
    let output = cargo
        .output()
        .map_err(|it| Error(format!("cannot run `{}`: {it}", toolchain.cargo.display())))?;
    if !output.status.success() {
        return Err(Error(format!(
            "the plugin in `{}` does not compile with {}{}",
            dir.display(),
            toolchain.name,
            match String::from_utf8_lossy(&output.stderr).trim_end() {
                "" => String::new(),
                said => format!("\n{said}"),
            }
        )));
    }
    let manifest = fs::canonicalize(dir).unwrap_or(dir.to_owned()).join("Cargo.toml");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .find_map(|message| message.module(&manifest))
        .ok_or_else(|| {
            Error(format!(
                "the crate in `{}` makes no module: set `crate-type = [\"cdylib\"]` under `[lib]`",
                dir.display()
            ))
        })
}

fn command(dir: &Path, target: &Path, toolchain: &Toolchain) -> Command {
    let mut cargo = Command::new(&toolchain.cargo);
    for (name, _) in env::vars_os() {
        if is_ours(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    if !toolchain.current {
        // What cargo adds for its own Rust's libraries is wrong for another Rust's.
        cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("LD_LIBRARY_PATH");
    }
    cargo
        .current_dir(dir)
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain).join("\u{1f}"))
        .args(["build", "--lib", "--profile", "guest", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics", "--target-dir"])
        .arg(target);
    for setting in PROFILE {
        cargo.arg("--config").arg(format!("profile.guest.{setting}"));
    }
    if toolchain.build_std {
        // The library's source counts as nightly's. No features: no unwinding and no
        // symbolizer, neither of which a guest could use.
        cargo
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="]);
    }
    cargo
}

fn is_ours(name: &str) -> bool {
    let kept = KEPT.iter().any(|it| name == *it || (it.ends_with('_') && name.starts_with(it)));
    (name.starts_with("CARGO") && !kept) || TOLD.contains(&name)
}

fn flags(toolchain: &Toolchain) -> Vec<String> {
    // The stack lies below the data: small, so that a fresh guest touches few pages.
    let mut flags = vec!["-Clink-arg=-zstack-size=65536".to_owned()];
    if let Some(linker) = &toolchain.linker {
        flags.push(format!("-Clinker={}", linker.display()));
    }
    // The same source makes the same bytes, whoever's home the crates are in.
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(default_home);
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    flags
}

fn default_home() -> Option<PathBuf> {
    env::var_os("HOME").map(|home: OsString| PathBuf::from(home).join(".cargo"))
}

/// What cargo says of a crate that it has compiled, now or earlier.
#[derive(Deserialize)]
struct Message {
    package_id: String,
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

impl Message {
    fn module(self, manifest: &Path) -> Option<Module> {
        let path =
            self.filenames.iter().find(|it| it.extension().is_some_and(|it| it == "wasm"))?;
        if self.manifest_path != manifest {
            return None;
        }
        let (name, version) = name_and_version(&self.package_id)?;
        Some(Module { name, version, path: path.clone() })
    }
}

/// Reads a package id: `path+file:///a/name#1.0.0` or `path+file:///a/b#name@1.0.0`.
fn name_and_version(package_id: &str) -> Option<(String, String)> {
    let (url, fragment) = package_id.split_once('#')?;
    let (name, version) = match fragment.split_once('@') {
        Some(both) => both,
        None => (url.rsplit('/').next()?, fragment),
    };
    Some((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_id_holds_name_and_version() {
        let check = |id: &str, name: &str, version: &str| {
            assert_eq!(name_and_version(id), Some((name.to_owned(), version.to_owned())));
        };
        check("path+file:///w/plugins/policy-rbac#0.1.0", "policy-rbac", "0.1.0");
        check("path+file:///w/plugins/x#policy-rbac@0.1.0-rc.1", "policy-rbac", "0.1.0-rc.1");
        assert_eq!(name_and_version("nothing"), None);
    }

    #[test]
    fn what_cargo_tells_a_build_script_stays_there() {
        for name in [
            "CARGO",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PROFILE_RELEASE_LTO",
            "RUSTC",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "RUSTC_WORKSPACE_WRAPPER",
            "OUT_DIR",
        ] {
            assert!(is_ours(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_MAKEFLAGS",
            "CARGO_HTTP_PROXY",
            "PATH",
            "HOME",
            "CARGO_NET_OFFLINE",
            "RUSTUP_HOME",
            "CHANDLERY_WASM_TOOLCHAIN",
        ] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
