//! Projects of plugins: what a new one is made of, and how one is built.
//!
//! The SDK, the interfaces and the templates are in the program, so that a project speaks
//! to the server that made it, wherever that is.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use chandlery_plugin_build::{Built, Toolchain, build_by_hand};

use crate::error::{Error, Result};

/// Path and text of each file in the program: `sdk/…`, `wit/…`, `templates/…`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The edition that the SDK is written in.
const EDITION: &str = "2024";

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// With the SDK.
    Rust,
}

impl Language {
    /// The language of the project in a folder, by the file that describes it.
    pub fn of(folder: &Path) -> Result<Language> {
        if folder.join("Cargo.toml").is_file() {
            return Ok(Language::Rust);
        }
        let message = format!(
            "`{}` holds no project of a plugin: there is no `Cargo.toml`; `chandlery plugin new` \
             makes one",
            folder.display()
        );
        Err(Error::invalid("folder", message))
    }

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
        }
    }

    /// The folder of its templates.
    fn folder(self) -> &'static str {
        match self {
            Language::Rust => "templates/rust/",
        }
    }
}

/// The files of a new project, by their paths in its folder.
pub fn files(name: &str, kind: &str, language: Language) -> Vec<(String, String)> {
    let filled = |text: &str| text.replace("__NAME__", name).replace("__KIND__", kind);
    let mut files = Vec::new();
    for (path, text) in FILES {
        if let Some(path) = path.strip_prefix(language.folder()) {
            let path = match path.split_once('/') {
                None => Some(path),
                Some((folder, path)) => Some(path).filter(|_| folder == kind),
            };
            files.extend(path.map(|it| (place(it, language).to_owned(), filled(text))));
        } else if let Some(path) = path.strip_prefix("sdk/") {
            let text = if path == "Cargo.toml" { alone(text) } else { (*text).to_owned() };
            files.push((format!("chandlery/sdk/{path}"), text));
        } else if path.starts_with("wit/") {
            files.push((format!("chandlery/{path}"), (*text).to_owned()));
        }
    }
    files
}

/// Where a file of a template goes.
fn place(path: &str, language: Language) -> &str {
    match (path, language) {
        ("gitignore", _) => ".gitignore",
        ("cases.toml", _) => "cases/first.toml",
        ("lib.rs", Language::Rust) => "src/lib.rs",
        (other, _) => other,
    }
}

/// The SDK's `Cargo.toml` outside of our workspace.
fn alone(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.strip_suffix(".workspace = true") {
            None if matches!(line, "[lints]" | "workspace = true") => {}
            None => lines.push(line.to_owned()),
            Some("version") => lines.push(format!("version = {:?}", env!("CARGO_PKG_VERSION"))),
            Some("edition") => lines.push(format!("edition = {EDITION:?}")),
            Some(_) => {}
        }
    }
    lines.join("\n") + "\n"
}

/// Builds the project in a folder.
pub fn build(folder: &Path) -> Result<Built> {
    let language = Language::of(folder)?;
    let target = env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| folder.join("target"), PathBuf::from);
    fs::create_dir_all(&target)
        .map_err(|it| Error::Internal(format!("`{}` cannot be made: {it}", target.display())))?;
    let target = fs::canonicalize(&target).unwrap_or(target);
    match language {
        Language::Rust => {
            let toolchain = Toolchain::find().map_err(failed)?;
            build_by_hand(folder, &target, &toolchain).map_err(failed)
        }
    }
}

fn failed(error: chandlery_plugin_build::Error) -> Error {
    Error::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [&str; 5] = ["before-hook", "after-hook", "renderer", "deployer", "policy"];

    #[test]
    fn a_new_project_has_all_that_it_takes() {
        for kind in KINDS {
            let files = files("my-plugin", kind, Language::Rust);
            let text = |path: &str| {
                let file = files.iter().find(|(it, _)| it == path);
                &file.unwrap_or_else(|| panic!("{kind} has no `{path}`")).1
            };
            assert!(text("Cargo.toml").contains("name = \"my-plugin\""));
            assert!(text("chandlery.toml").contains(&format!("kinds = [\"{kind}\"]")));
            assert!(text("src/lib.rs").contains("::export!(Plugin);"), "{kind}");
            assert!(text("cases/first.toml").contains("[[case]]"));
            assert!(text(".gitignore").contains("target/"));
            assert!(text("README.md").contains(&format!("kind = \"{kind}\"")));
            assert!(text("chandlery/wit/plugin/plugin.wit").contains("world access-policy"));
            assert!(text("chandlery/sdk/src/lib.rs").contains("pub mod policy;"));
            let mut paths: Vec<&String> = files.iter().map(|(it, _)| it).collect();
            paths.sort();
            paths.dedup();
            assert_eq!(paths.len(), files.len(), "a path comes twice");
            assert!(!files.iter().any(|(_, it)| it.contains("__NAME__")));
        }
    }

    #[test]
    fn the_sdk_needs_no_workspace() {
        let files = files("x", "policy", Language::Rust);
        let (_, text) = files.iter().find(|(it, _)| it == "chandlery/sdk/Cargo.toml").unwrap();
        assert!(!text.contains("workspace"), "{text}");
        let read: toml::Table = toml::from_str(text).unwrap();
        assert_eq!(read["package"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(read["package"]["edition"].as_str(), Some(EDITION));
    }
}
