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
        Machine::this().find(&wish)
    }

    /// The compiler, where cargo does not watch it by itself: when it changes, plugins
    /// are to be built again.
    pub fn watched(&self) -> Option<&Path> {
        (!self.current).then_some(&self.rustc)
    }
}

/// What there is to choose from.
struct Machine {
    /// The Rust that runs this build.
    cargo: PathBuf,
    rustc: PathBuf,
    sysroot: Option<PathBuf>,
    /// Where Debian's packages are: `/`.
    root: PathBuf,
    /// What Debian's compiler says of itself: `rustc -vV`.
    debian: Option<String>,
}

impl Machine {
    fn this() -> Machine {
        let tool = |name: &str, fallback: &str| {
            PathBuf::from(env::var_os(name).unwrap_or_else(|| fallback.into()))
        };
        let rustc = tool("RUSTC", "rustc");
        let sysroot = said(&rustc, &["--print", "sysroot"]).map(PathBuf::from);
        let debian = said(Path::new("/usr/bin/rustc"), &["-vV"]);
        Machine { cargo: tool("CARGO", "cargo"), rustc, sysroot, root: "/".into(), debian }
    }

    fn find(&self, wish: &str) -> Result<Toolchain> {
        let only = |missing: String| {
            Error(format!(
                "plugins cannot be compiled: `CHANDLERY_WASM_TOOLCHAIN` asks for `{wish}`, but \
                 that needs something first: {missing}"
            ))
        };
        match wish {
            "rustup" => self.installed_target().map_err(only),
            "debian" => self.debian().map_err(only),
            "" => self.installed_target().or_else(|target| {
                self.debian().map_err(|debian| {
                    Error(format!(
                        "plugins cannot be compiled: there is no Rust for `{TARGET}`; `make setup` \
                         in the source of Chandlery installs one where it may, or do one of these\n  \
                         {target}\n  {debian}"
                    ))
                })
            }),
            other => Err(Error(format!(
                "`CHANDLERY_WASM_TOOLCHAIN` is `{other}`: set it to `rustup` or `debian`, or unset it"
            ))),
        }
    }

    /// The target beside the Rust that runs this build, else what to run to have it.
    fn installed_target(&self) -> std::result::Result<Toolchain, String> {
        let missing = || format!("run `rustup target add {TARGET}`");
        let sysroot = self.sysroot.as_ref().ok_or_else(missing)?;
        let folder = sysroot.join("lib/rustlib").join(TARGET).join("lib");
        let is_std = |it: fs::DirEntry| it.file_name().to_string_lossy().starts_with("libstd-");
        if !fs::read_dir(&folder).is_ok_and(|it| it.flatten().any(is_std)) {
            return Err(missing());
        }
        Ok(Toolchain {
            name: format!("the target {TARGET} in {}", sysroot.display()),
            cargo: self.cargo.clone(),
            rustc: self.rustc.clone(),
            linker: None,
            build_std: false,
            current: true,
        })
    }

    /// Debian's packages, else what to run to have them.
    fn debian(&self) -> std::result::Result<Toolchain, String> {
        let version = self.debian.as_deref().and_then(|it| it.lines().next()).unwrap_or_default();
        let cargo = self.root.join("usr/bin/cargo");
        let source = self.root.join("usr/lib/rustlib/src/rust/library/std/Cargo.toml");
        let linker = self.linker();

        let mut missing = Vec::new();
        if minor(version).is_none_or(|it| it < MINOR_MIN) {
            missing.push("rustc-web".to_owned());
        }
        if !cargo.is_file() {
            missing.push("cargo-web".to_owned());
        }
        if !source.is_file() {
            missing.push("rust-web-src".to_owned());
        }
        if linker.is_none() {
            missing.push("rust-web-llvm".to_owned());
            missing.push(format!("lld-{}", self.llvm().unwrap_or("22")));
        }
        if !missing.is_empty() {
            return Err(format!("run `apt-get install {}` as root", missing.join(" ")));
        }
        Ok(Toolchain {
            name: format!("Debian's {version} with the standard library built from source"),
            cargo,
            rustc: self.root.join("usr/bin/rustc"),
            linker,
            build_std: true,
            current: false,
        })
    }

    /// The linker that `rust-lld` stands for, else the one of the compiler's LLVM, else
    /// the one inside the Rust that runs this build.
    fn linker(&self) -> Option<PathBuf> {
        let named = || fs::canonicalize(self.root.join("usr/bin/rust-lld")).ok();
        let versioned = || Some(self.root.join(format!("usr/bin/lld-{}", self.llvm()?)));
        let inside = || {
            let hosts = fs::read_dir(self.sysroot.as_ref()?.join("lib/rustlib")).ok()?;
            hosts.flatten().map(|it| it.path().join("bin/rust-lld")).find(|it| it.is_file())
        };
        named().or_else(|| versioned().filter(|it| it.is_file())).or_else(inside)
    }

    /// The major version of the LLVM inside Debian's compiler.
    fn llvm(&self) -> Option<&str> {
        let lines = self.debian.as_deref()?.lines();
        lines.filter_map(|it| it.strip_prefix("LLVM version: ")).next()?.split('.').next()
    }
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

#[cfg(test)]
mod tests {
    use tempfile::{TempDir, tempdir};

    use super::*;

    /// A machine with these files, as `rustc -vV` describes its compilers.
    fn machine(root: &TempDir, files: &[&str], debian: Option<&str>) -> Machine {
        let root = root.path().to_owned();
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Machine {
            cargo: "cargo".into(),
            rustc: "rustc".into(),
            sysroot: Some(root.join("sysroot")),
            debian: debian.map(|it| format!("rustc {it} (x)\nhost: y\nLLVM version: 22.1.8")),
            root,
        }
    }

    const WASM: &str = "sysroot/lib/rustlib/wasm32-unknown-unknown/lib/libstd-1.rlib";
    const CARGO: &str = "usr/bin/cargo";
    const SOURCE: &str = "usr/lib/rustlib/src/rust/library/std/Cargo.toml";

    #[test]
    fn an_installed_target_comes_before_debian() {
        let folder = tempdir().unwrap();
        let both = machine(&folder, &[WASM, CARGO, SOURCE, "usr/bin/lld-22"], Some("1.96.0"));
        assert!(!both.find("").unwrap().build_std);
        assert!(!both.find("rustup").unwrap().build_std);
        let debian = both.find("debian").unwrap();
        assert!(debian.build_std);
        assert_eq!(debian.linker, Some(both.root.join("usr/bin/lld-22")));
        assert_eq!(debian.watched(), Some(both.root.join("usr/bin/rustc").as_path()));
    }

    #[test]
    fn the_linker_inside_the_rust_in_use_will_do() {
        let inside = "sysroot/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld";
        let folder = tempdir().unwrap();
        let debian = machine(&folder, &[CARGO, SOURCE, inside], Some("1.96.0"));
        assert_eq!(debian.find("").unwrap().linker, Some(debian.root.join(inside)));
    }

    #[test]
    fn what_is_missing_is_named_as_a_command() {
        let check = |machine: &Machine, wish: &str, expected: &[&str]| {
            let said = machine.find(wish).unwrap_err().to_string();
            for part in expected {
                assert!(said.contains(part), "{said}");
            }
        };
        let add = "`rustup target add wasm32-unknown-unknown`";
        let folders = [(); 3].map(|()| tempdir().unwrap());
        let bare = machine(&folders[0], &[], None);
        let all = "`apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld-22` as root";
        check(&bare, "", &["make setup", add, all]);
        check(&bare, "rustup", &["asks for `rustup`", add]);
        check(&bare, "nightly", &["set it to `rustup` or `debian`"]);
        let old = machine(&folders[1], &[CARGO, SOURCE, "usr/bin/lld-22"], Some("1.63.0"));
        check(&old, "debian", &["`apt-get install rustc-web` as root"]);
        let unlinked = machine(&folders[2], &[CARGO, SOURCE], Some("1.96.0"));
        check(&unlinked, "", &["`apt-get install rust-web-llvm lld-22` as root"]);
    }
}
