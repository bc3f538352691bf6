//! `chandlery plugin …`: a verb, a file. What authors need works without a server.

mod inspect;

use std::{fs, path::Path, process::ExitCode};

use clap::{Subcommand, ValueEnum};

use super::code;
use crate::error::{Error, Result};

/// The verbs.
#[derive(Subcommand)]
pub(super) enum PluginCommand {
    /// Says what a component is, what it imports and what it asks for
    Inspect(inspect::Inspect),
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Runs a verb.
pub(super) fn run(command: PluginCommand) -> ExitCode {
    match command {
        PluginCommand::Inspect(it) => code(it.run()),
    }
}

/// Reads a component that was named on the command line.
fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|it| {
        Error::invalid("component", format!("`{}` cannot be read: {it}", path.display()))
    })
}
