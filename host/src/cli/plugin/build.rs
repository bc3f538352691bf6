//! `chandlery plugin build`: a component from a project.

use std::path::{Path, PathBuf};

use clap::Args;

use super::inspect::{grouped, table};
use crate::{
    cli::say,
    error::{Error, Result},
    plugins::{Limits, inspect::facts},
    workbench::project,
};

/// The arguments.
#[derive(Args)]
pub(in crate::cli) struct Build {
    /// The folder of the project
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Where the component goes [default: NAME.wasm in the folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Build {
    /// Builds it, and prints what it is.
    pub(super) fn run(&self) -> Result<()> {
        let (path, component) = built(&self.folder, self.out.as_deref())?;
        let facts = facts(&component).map_err(Error::Internal)?;
        say(table(&facts).trim_end());
        if component.len() > Limits::COMPONENT_BYTES_DEFAULT {
            say(&format!(
                "\nan operator has to allow its size: `limits.component_bytes` is {} by itself",
                grouped(Limits::COMPONENT_BYTES_DEFAULT as u64)
            ));
        }
        say(&format!("\n{}", path.display()));
        Ok(())
    }
}

/// Builds a project and writes its component. What is not wrong but probably not meant is
/// told on standard error.
pub(super) fn built(folder: &Path, out: Option<&Path>) -> Result<(PathBuf, Vec<u8>)> {
    let built = project::build(folder)?;
    for warning in &built.warnings {
        eprintln!("warning: {warning}");
    }
    let path = match out {
        Some(path) => path.to_owned(),
        None => folder.join(format!("{}.wasm", built.manifest.name)),
    };
    chandlery_plugin_build::write(&path, &built.component)
        .map_err(|it| Error::Internal(it.to_string()))?;
    Ok((path, built.component))
}
