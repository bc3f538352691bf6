//! Finds a Rust toolchain that compiles for `wasm32-unknown-unknown`.
//!
//! In this order: the wasm target of the Rust that runs this build; Debian's
//! `rustc-web` family, which has no wasm target but the library's source, so that it is
//! built from that. Nothing is ever fetched.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, Result};

/// The compile target of all plugins.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The least version that reads the workspace.
const MINOR_MIN: u32 = 95;

/// A way to compile for wasm.
#[derive(Clone, Debug, PartialEq)]
pub struct Toolchain {
    /// Which was taken, for a person.
    pub name: String,
    pub(crate) cargo: PathBuf,
    pub(crate) rustc: PathBuf,
    /// Where the compiler does not find one by itself.
    pub(crate) linker: Option<PathBuf>,
    /// Whether the standard library has to be built first.
    pub(crate) build_std: bool,
    /// Whether it is the Rust that runs this build.
    pub(crate) current: bool,
}

impl Toolchain {
    /// Finds one. `CHANDLERY_WASM_TOOLCHAIN` set to `rustup` or `debian` leaves out the
    /// other.
    pub fn find() -> Result<Toolchain> {
        let wish = env::var("CHANDLERY_WASM_TOOLCHAIN").unwrap_or_default();
        let tool = |name: &str, fallback: &str| {
            PathBuf::from(env::var_os(name).unwrap_or_else(|| fallback.into()))
        };
        let rustc = tool("RUSTC", "rustc");
        let sysroot = said(&rustc, &["--print", "sysroot"]).map(PathBuf::from);
        let current = Current { cargo: tool("CARGO", "cargo"), rustc, sysroot };
        find(&wish, &current, Path::new("/"))
    }

    /// The compiler, where cargo does not watch it by itself: when it changes, plugins
    /// are to be built again.
    pub fn watched(&self) -> Option<&Path> {
        (!self.current).then_some(&self.rustc)
    }
}

/// The Rust that runs this build.
struct Current {
    cargo: PathBuf,
    rustc: PathBuf,
    sysroot: Option<PathBuf>,
}

fn find(wish: &str, current: &Current, root: &Path) -> Result<Toolchain> {
    match wish {
        "" => installed_target(current).or_else(|missing| {
            debian(current, root).map_err(|also| {
                Error(format!(
                    "plugins cannot be compiled: no Rust for `{TARGET}` is here\n  \
                     - with rustup: {missing}\n  - with Debian: {also}\n\
                     either will do; `make` in the top folder installs what fits this machine"
                ))
            })
        }),
        "rustup" => installed_target(current).map_err(|missing| wanted("rustup", &missing)),
        "debian" => debian(current, root).map_err(|missing| wanted("debian", &missing)),
        other => Err(Error(format!(
            "`CHANDLERY_WASM_TOOLCHAIN` is `{other}`: set it to `rustup` or `debian`, or unset it"
        ))),
    }
}

fn wanted(wish: &str, missing: &str) -> Error {
    Error(format!(
        "plugins cannot be compiled: `CHANDLERY_WASM_TOOLCHAIN` asks for `{wish}`, but {missing}"
    ))
}

fn installed_target(current: &Current) -> std::result::Result<Toolchain, String> {
    let install = format!("run `rustup target add {TARGET}`");
    let Some(sysroot) = &current.sysroot else {
        return Err(format!(
            "`{}` does not run: install rustup, {install}",
            current.rustc.display()
        ));
    };
    let folder = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let has_std = fs::read_dir(&folder).is_ok_and(|it| {
        it.flatten().any(|it| it.file_name().to_string_lossy().starts_with("libstd-"))
    });
    if !has_std {
        return Err(format!("`{}` has no standard library: {install}", folder.display()));
    }
    Ok(Toolchain {
        name: format!("the target {TARGET} in {}", sysroot.display()),
        cargo: current.cargo.clone(),
        rustc: current.rustc.clone(),
        linker: None,
        build_std: false,
        current: true,
    })
}

fn debian(current: &Current, root: &Path) -> std::result::Result<Toolchain, String> {
    let rustc = root.join("usr/bin/rustc");
    let cargo = root.join("usr/bin/cargo");
    let source = root.join("usr/lib/rustlib/src/rust/library/std/Cargo.toml");
    let version = said(&rustc, &["--version"]).unwrap_or_default();
    let fits = minor(&version).is_some_and(|it| it >= MINOR_MIN);
    let linker = linker(current, root);

    let lld = format!("lld-{}", llvm(&rustc).unwrap_or_else(|| "NN".into()));
    let missing: Vec<&str> = [
        (fits, "rustc-web"),
        (cargo.is_file(), "cargo-web"),
        (source.is_file(), "rust-web-src"),
        (linker.is_some(), lld.as_str()),
    ]
    .into_iter()
    .filter_map(|(here, package)| (!here).then_some(package))
    .collect();
    if !missing.is_empty() {
        let hint = if fits { "" } else { " (`rust-web-llvm` says which `lld-NN` goes with it)" };
        return Err(format!("run `apt-get install {}` as root{hint}", missing.join(" ")));
    }
    Ok(Toolchain {
        name: format!("Debian's {version} with the standard library built from source"),
        cargo,
        rustc,
        linker,
        build_std: true,
        current: false,
    })
}

/// The linker that `rust-lld` stands for, else one of the compiler's LLVM version, else
/// the one inside the Rust that runs this build.
fn linker(current: &Current, root: &Path) -> Option<PathBuf> {
    let named = fs::canonicalize(root.join("usr/bin/rust-lld")).ok();
    let versioned = llvm(&root.join("usr/bin/rustc"))
        .map(|major| root.join(format!("usr/bin/lld-{major}")))
        .filter(|it| it.is_file());
    let inside = || {
        let hosts = fs::read_dir(current.sysroot.as_ref()?.join("lib/rustlib")).ok()?;
        hosts.flatten().map(|it| it.path().join("bin/rust-lld")).find(|it| it.is_file())
    };
    named.or(versioned).or_else(inside)
}

/// The major version of the LLVM inside a compiler.
fn llvm(rustc: &Path) -> Option<String> {
    let verbose = said(rustc, &["-vV"])?;
    let version = verbose.lines().find_map(|it| it.strip_prefix("LLVM version: "))?;
    version.split('.').next().map(str::to_owned)
}

/// `rustc 1.96.0 (…)` → 96.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}

/// What a program says, trimmed. Nothing where it cannot run or fails.
fn said(program: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).env_remove("LD_LIBRARY_PATH").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
