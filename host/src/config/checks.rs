//! Settings that have the right form and still make no sense.

use std::net::IpAddr;

use tracing_subscriber::EnvFilter;

use super::{Config, repositories, web_hook};
use crate::{
    capabilities::address::{self, Refusal},
    error::{Error, Result},
};

/// What may be seen without a password, if the settings say so.
const OPEN_PATHS: [&str; 3] = ["/health", "/ready", "/metrics"];

/// Looks at each setting by itself.
pub(super) fn check(config: &Config) -> Result<()> {
    let limits = &config.limits;
    let timeouts = &config.timeouts;
    at_least("limits.json_bytes_max", limits.json_bytes_max, 1)?;
    at_least("limits.package_bytes_max", limits.package_bytes_max, 1)?;
    at_least("limits.component_bytes_max", limits.component_bytes_max, 1)?;
    at_least("limits.import_bytes_max", limits.import_bytes_max, 1)?;
    at_least("limits.output_bytes_max", limits.output_bytes_max, 4096)?;
    at_least("limits.connections_max", limits.connections_max as u64, 1)?;
    at_least("limits.requests_max", limits.requests_max as u64, 1)?;
    at_least("limits.head_bytes_max", limits.head_bytes_max as u64, 1024)?;
    at_least("timeouts.head_ms", timeouts.head_ms, 1)?;
    at_least("timeouts.idle_ms", timeouts.idle_ms, 1)?;
    at_least("timeouts.body_ms", timeouts.body_ms, 1)?;
    at_least("timeouts.write_ms", timeouts.write_ms, 1)?;
    at_least("releases.health_check_ms", config.releases.health_check_ms, 10)?;
    at_least("events.kept_max", config.events.kept_max, 1)?;
    at_least("events.kept_hours", config.events.kept_hours, 1)?;
    at_least("events.heartbeat_ms", config.events.heartbeat_ms, 100)?;

    for (index, host) in config.allowed_hosts.iter().enumerate() {
        allowed_host(&format!("allowed_hosts.{index}"), host)?;
    }

    username(config)?;
    for (index, path) in config.open_paths.iter().enumerate() {
        if !OPEN_PATHS.contains(&&**path) {
            let message =
                format!("`{path}` cannot be open; these can: `{}`", OPEN_PATHS.join("`, `"));
            return Err(Error::invalid(format!("open_paths.{index}"), message));
        }
    }

    for (name, source) in &config.secrets {
        // The text is not repeated: it may be the secret itself.
        if !source.starts_with("env:") && !source.starts_with("file:") {
            let message = "it must be `env:VARIABLE` or `file:PATH`, not a secret itself";
            return Err(Error::invalid(format!("secrets.{name}"), message));
        }
    }
    if !config.web_hook.is_empty() {
        web_hook::read(&config.web_hook)?;
    }
    EnvFilter::try_new(&config.log.level).map_err(|it| {
        let message = format!("`{}` is not a filter like `info`: {it}", config.log.level);
        Error::invalid("log.level", message)
    })?;
    address::networks(&config.resources.http_private)
        .map_err(|it| Error::invalid("resources.http_private", it.to_string()))?;
    for (index, repository) in config.resources.maven_repositories.iter().enumerate() {
        if let Err(Refusal::Denied(why)) = address::parse(repository.url()) {
            let field = format!("resources.maven_repositories.{index}");
            return Err(Error::invalid(field, why));
        }
    }
    if (1..1000).contains(&config.repository_refresh_ms) {
        let message = "must be 0 or at least 1000";
        return Err(Error::invalid("repository_refresh_ms", message));
    }
    repositories::check(config)
}

/// HTTP Basic ends the name at the first colon.
fn username(config: &Config) -> Result<()> {
    let name = &config.basic_auth_username;
    if name.is_empty() || name.contains(|it: char| it == ':' || it.is_control()) {
        let message = "a user has a name, without colons and control characters";
        return Err(Error::invalid("basic_auth_username", message));
    }
    if config.basic_auth_password.is_empty() && *name != Config::default().basic_auth_username {
        let message = "there is a user and no password: set `basic_auth_password` as well";
        return Err(Error::invalid("basic_auth_username", message));
    }
    Ok(())
}

/// A name or an address as a `Host` has it, without the port.
fn allowed_host(key: &str, host: &str) -> Result<()> {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let proper = |it: u8| it.is_ascii_alphanumeric() || b"-._".contains(&it);
    match bare.parse::<IpAddr>().is_ok() || (!host.is_empty() && host.bytes().all(proper)) {
        true => Ok(()),
        false => {
            let message = format!(
                "`{host}` is no name of a host like `releases.example.org`, without scheme, port \
                 and path"
            );
            Err(Error::invalid(key, message))
        }
    }
}

fn at_least(key: &str, value: u64, least: u64) -> Result<()> {
    match value < least {
        true => Err(Error::invalid(key, format!("must be at least {least}"))),
        false => Ok(()),
    }
}
