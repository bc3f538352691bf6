//! `chandlery plugin …`: a verb, a file. What authors need works without a server.

mod build;
mod inspect;
mod new;
mod test;

use std::{fs, path::Path, process::ExitCode};

use clap::{Subcommand, ValueEnum};

use super::code;
use crate::error::{Error, Result};

/// The verbs.
#[derive(Subcommand)]
pub(super) enum PluginCommand {
    /// Makes a project of a new plugin
    New(new::New),
    /// Makes the component of a project
    Build(build::Build),
    /// Says what a component is, what it imports and what it asks for
    Inspect(inspect::Inspect),
    /// Holds a component against its cases, in the server's own runtime
    Test(test::Test),
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
        PluginCommand::New(it) => code(it.run()),
        PluginCommand::Build(it) => code(it.run()),
        PluginCommand::Inspect(it) => code(it.run()),
        PluginCommand::Test(it) => it.run(),
    }
}

/// Reads a component that was named on the command line.
fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|it| {
        Error::invalid("component", format!("`{}` cannot be read: {it}", path.display()))
    })
}

/// What runs the calls of a command.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|it| Error::Internal(format!("the runtime cannot be started: {it}")))
}
