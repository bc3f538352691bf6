//! `chandlery plugin new`: a small complete project, out of the program itself.

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};

use crate::{
    cli::say,
    error::{Error, Result},
    workbench::project::{self, Language},
};

/// The arguments.
#[derive(Args)]
pub(in crate::cli) struct New {
    /// The plugin's name, and that of the new folder: small letters, digits and hyphens
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is put to work as
    #[arg(long, value_enum)]
    kind: Kind,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Asked before an operation: lets it pass, changes or refuses it
    #[value(alias = "before-hook")]
    Hook,
    /// Told after an operation
    AfterHook,
    /// Makes text of templates and values
    Renderer,
    /// Runs applications on a platform
    Deployer,
    /// Decides who may do what
    Policy,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Lang {
    Rust,
}

impl New {
    /// Makes the project. What is there already is left alone.
    pub(super) fn run(&self) -> Result<()> {
        check_name(&self.name)?;
        let folder = PathBuf::from(&self.name);
        if folder.exists() {
            let message = format!("`{}` is there already: choose another name", self.name);
            return Err(Error::invalid("name", message));
        }
        let language = match self.lang {
            Lang::Rust => Language::Rust,
        };
        let kind = match self.kind {
            Kind::Hook => "before-hook",
            Kind::AfterHook => "after-hook",
            Kind::Renderer => "renderer",
            Kind::Deployer => "deployer",
            Kind::Policy => "policy",
        };
        for (path, text) in project::files(&self.name, kind, language) {
            let path = folder.join(path);
            let failed = |it: std::io::Error| {
                Error::Internal(format!("`{}` cannot be written: {it}", path.display()))
            };
            fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(failed)?;
            fs::write(&path, text).map_err(failed)?;
        }
        say(&format!("`{0}` is a {kind} in {1}; what comes next:\n", self.name, language.word()));
        say(&format!("  cd {}", self.name));
        say("  chandlery plugin test      # builds it, and holds it against its cases");
        Ok(())
    }
}

fn check_name(name: &str) -> Result<()> {
    let is_fine = name.len() <= 64
        && name.starts_with(|it: char| it.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
    if is_fine {
        return Ok(());
    }
    let message = format!(
        "`{name}` is no name for a plugin: at most 64 small letters, digits and hyphens, a letter \
         first and no hyphen last"
    );
    Err(Error::invalid("name", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_a_crate_and_a_folder() {
        for name in ["a", "licence-check", "hook2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "Licence", "2hook", "a b", "../a", "a/b", "a-", "a_b", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
