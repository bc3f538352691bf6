//! The command line; what a command does lies in a file of its own.
//!
//! Exit codes: 0 done, 1 it failed while running, 2 the command or the settings
//! are wrong.

mod plugin;

use std::{future::Future, io::Write, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    api::{Api, Server},
    app,
    config::{self, Config, Flag, Loaded, Secret, Sources},
    error::{Error, Result, chain},
    log, open_files,
};

/// How long work on other threads may take to end, once everything else has.
const RUNTIME_LIMIT: Duration = Duration::from_secs(2);

/// Keeps an organisation's releases and puts them to work.
#[derive(Parser)]
#[command(name = "chandlery", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server until it is told to stop (SIGTERM or SIGINT)
    Serve(Settings),
    /// Looks at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Writes, tests and looks at plugins
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Prints each setting in force and where it came from, secrets masked
    Show(Settings),
}

/// Every setting can also be given in the file and as a variable of the
/// environment: `limits.json_bytes_max` is `CHANDLERY_LIMITS__JSON_BYTES_MAX`.
#[derive(Args, Default)]
struct Settings {
    /// The settings file (TOML) [environment: CHANDLERY_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:7577]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The folder that holds everything the server keeps [default: ./data]
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// Marks a test system. Nothing asks for it yet; wiping the store will
    #[arg(long)]
    dev: bool,
    /// What is logged: `info`, or finer, `info,chandlery::plugins=debug`
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// How it is logged: `human` or `json`
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any setting by its key; a list or a table as TOML or JSON. May be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(settings) => serve(&settings),
        Command::Config(ConfigCommand::Show(settings)) => show(&settings),
        Command::Plugin(command) => return plugin::run(command),
    };
    code(outcome)
}

/// The exit code, after the error has been told.
fn code(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(if matches!(error, Error::Invalid { .. }) { 2 } else { 1 })
        }
    }
}

fn show(settings: &Settings) -> Result<()> {
    say(config::show(&settings.load()?).trim_end());
    Ok(())
}

fn serve(settings: &Settings) -> Result<()> {
    let mut loaded = settings.load()?;
    log::start(&loaded.config.log);
    open_files::fit(&mut loaded.config.limits, open_files::raise());
    let config = loaded.config.clone();
    loaded.config.basic_auth_password = Secret::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("chandlery")
        .build()
        .map_err(|it| Error::Internal(format!("the runtime cannot be started: {it}")))?;
    let outcome = runtime.block_on(run(config)).map_err(|it| loaded.blame(it));
    runtime.shutdown_timeout(RUNTIME_LIMIT);
    outcome
}

async fn run(mut config: Config) -> Result<()> {
    let stop = stop_signal()?;
    let server = Server::bind(&config).await?;
    let address = server.address();
    // What the parts say of where the server is must be so with port 0, too.
    config.listen = address;
    let app = app::start(config).await?;
    say(&format!("listening on http://{address}"));
    say(&format!("try it: curl http://{address}/api/v1/inventory/"));

    server.serve(Api::new(app.clone()), stop).await;
    app.stop().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Ends with the first signal to stop; the second ends the process at once.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let listen = |kind| {
        signal(kind).map_err(|it| Error::Internal(format!("signals cannot be received: {it}")))
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: requests under way are finished; a second signal cuts them off");
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            std::process::exit(1);
        });
    })
}

async fn either(left: &mut Signal, right: &mut Signal) {
    tokio::select! {
        _ = left.recv() => {}
        _ = right.recv() => {}
    }
}

/// Writes to standard output. Whoever started the server may have stopped reading.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

impl Settings {
    fn load(&self) -> Result<Loaded> {
        Sources::of_process(self.config.clone(), self.flags()?)?.load()
    }

    fn flags(&self) -> Result<Vec<Flag>> {
        let flag = |name: &str, key: &str, text: &Option<String>| {
            let text = text.clone()?;
            Some(Flag { name: name.to_owned(), key: key.to_owned(), text })
        };
        let dev = self.dev.then(|| "true".to_owned());
        let named = [
            flag("--listen", "listen", &self.listen),
            flag("--data", "data", &self.data),
            flag("--dev", "dev", &dev),
            flag("--log-level", "log.level", &self.log_level),
            flag("--log-format", "log.format", &self.log_format),
        ];
        let mut flags: Vec<Flag> = Vec::new();
        for setting in &self.set {
            let Some((key, text)) = setting.split_once('=') else {
                let message = format!("flag --set: `{setting}` is not of the form KEY=VALUE");
                return Err(Error::invalid("set", message));
            };
            let key = key.trim().to_owned();
            flags.push(Flag { name: format!("--set {key}"), key, text: text.to_owned() });
        }
        flags.extend(named.into_iter().flatten());
        Ok(flags)
    }
}
