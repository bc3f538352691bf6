//! `chandlery plugin …`: a verb, a file. What authors need works without a server; what
//! operators need speaks to a running one (`client`).

mod add;
mod bind;
mod bindings;
mod build;
mod client;
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
    /// Says what a component, or a plugin on a server, is and what it wants
    Inspect(inspect::Inspect),
    /// Holds a component against its cases, in the server's own runtime
    Test(test::Test),
    /// Installs a component on a server
    Add(add::Add),
    /// Lists the plugins on a server
    List(add::List),
    /// Removes a version of a plugin that nothing uses
    Remove(add::Remove),
    /// Puts a plugin to work under a name
    Bind(bind::Bind),
    /// Lists the bindings of a server, or tells what one is and was
    Bindings(bindings::Bindings),
    /// Puts a binding in force
    Enable(bindings::One),
    /// Takes a binding out of force, and keeps it
    Disable(bindings::One),
    /// Puts another version of a binding's plugin to work
    Swap(bindings::Swap),
    /// Grants what a new version waits for
    Grant(bindings::Grant),
    /// Puts the revision before in force again
    Rollback(bindings::Rollback),
    /// Deletes a binding
    Unbind(bindings::One),
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
        PluginCommand::Add(it) => code(it.run()),
        PluginCommand::List(it) => code(it.run()),
        PluginCommand::Remove(it) => code(it.run()),
        PluginCommand::Bind(it) => code(it.run()),
        PluginCommand::Bindings(it) => code(it.run()),
        PluginCommand::Enable(it) => code(it.set_enabled(true)),
        PluginCommand::Disable(it) => code(it.set_enabled(false)),
        PluginCommand::Swap(it) => code(it.run()),
        PluginCommand::Grant(it) => code(it.run()),
        PluginCommand::Rollback(it) => code(it.run()),
        PluginCommand::Unbind(it) => code(it.unbind()),
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
