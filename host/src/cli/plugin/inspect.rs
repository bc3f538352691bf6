//! `chandlery plugin inspect`: what a component says of itself, or what a server knows of
//! a plugin.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;

use serde_json::Value;

use super::{
    Output,
    client::{Client, Named, Remote, cell},
    read,
};
use crate::{
    cli::say,
    error::{Error, Result},
    plugins::inspect::{Facts, facts},
};

/// The arguments.
#[derive(Args)]
pub(in crate::cli) struct Inspect {
    /// The component, a `.wasm` file; or a plugin on the server, `name` or `name@version`
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

impl Inspect {
    /// Prints it.
    pub(super) fn run(&self) -> Result<()> {
        let named = self.component.to_str().and_then(|it| it.parse::<Named>().ok());
        match named.filter(|it| !self.component.exists() && !it.name.contains(['/', '\\'])) {
            Some(plugin) => self.ask(&plugin),
            None => self.look(),
        }
    }

    /// Prints what the server knows.
    fn ask(&self, plugin: &Named) -> Result<()> {
        let path = match &plugin.version {
            Some(version) => format!("/api/v1/plugins/{}/{version}", plugin.name),
            None => format!("/api/v1/plugins/{}", plugin.name),
        };
        let read = async |client: &Client| {
            let found = client.get(&path).await?;
            match found["versions"][0]["version"].as_str() {
                Some(greatest) => client.get(&format!("{path}/{greatest}")).await,
                None => Ok(found),
            }
        };
        self.remote.run(read, known)
    }

    fn look(&self) -> Result<()> {
        let facts = facts(&read(&self.component)?).map_err(|why| {
            let message = format!("`{}` is no plugin: {why}", self.component.display());
            Error::invalid("component", message)
        })?;
        match self.remote.output {
            Output::Table => say(table(&facts).trim_end()),
            Output::Json => {
                let text = serde_json::to_string_pretty(&facts);
                say(&text.map_err(|it| Error::Internal(format!("the facts: {it}")))?);
            }
        }
        Ok(())
    }
}

/// What a server knows, for people.
fn known(it: &Value) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            // A string takes everything.
            let _ = writeln!(text, "{name:<13}{value}");
        }
    };
    for name in ["name", "version", "description", "kinds", "origin", "imports"] {
        row(name, cell(&it[name]));
    }
    for capability in it["capabilities"].as_array().into_iter().flatten() {
        let granted = cell(&capability["granted"]);
        let granted = if granted.is_empty() { "nobody".to_owned() } else { granted };
        let reason = cell(&capability["reason"]);
        row("wants", format!("{:<10}granted to {granted}  {reason}", cell(&capability["name"])));
    }
    row("host", cell(&it["requires_host"]));
    row("guests", "made anew for each call".to_owned());
    row("size", format!("{} bytes", cell(&it["size"])));
    row("sha256", cell(&it["sha256"]));
    row("compiled in", it["compile_ms"].as_u64().map_or(String::new(), |it| format!("{it} ms")));
    row(
        "installed",
        format!("{} {}", cell(&it["installed_at"]), cell(&it["installed_by"])).trim().to_owned(),
    );
    for used in it["uses"].as_array().into_iter().flatten() {
        row("bound", format!("{} ({})", cell(&used["binding"]), cell(&used["kind"])));
        for failure in used["failures"].as_array().into_iter().flatten() {
            let (at, function) = (cell(&failure["at"]), cell(&failure["function"]));
            row("failed", format!("{at} {function}: {}", cell(&failure["why"])));
        }
    }
    text
}

/// The facts for people, a line each.
pub(super) fn table(facts: &Facts) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            // A string takes everything.
            let _ = writeln!(text, "{name:<13}{value}");
        }
    };
    let or_none = |it: String| if it.is_empty() { "none".to_owned() } else { it };
    row("name", &or_none(facts.name.clone()));
    row("version", &facts.version);
    row("description", &facts.description);
    row("kinds", &or_none(facts.kinds.join(", ")));
    row("actions", &facts.actions.join(", "));
    row("imports", &or_none(facts.imports.join(", ")));
    row("not offered", &facts.foreign.join(", "));
    for (index, it) in facts.capabilities.iter().enumerate() {
        let name = if index == 0 { "asks for" } else { "" };
        let why = if it.reason.is_empty() { String::new() } else { format!("  {}", it.reason) };
        row(name, &format!("{:<10}{why}", it.name));
    }
    let settings = facts.settings.as_ref();
    row("settings", settings.map_or("any", |_| "by a JSON Schema (`-o json` shows it)"));
    row("host", facts.requires_host.as_deref().unwrap_or_default());
    row("guests", "made anew for each call");
    row("size", &format!("{} bytes", grouped(facts.size_bytes as u64)));
    row("sha256", &facts.sha256);
    text
}

/// 1234567 → `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::shipped::shipped;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_fact() {
        let text = table(&facts(shipped("policy-rbac").unwrap().component).unwrap());
        for line in ["name         policy-rbac", "kinds        policy", "imports      none"] {
            assert!(text.contains(line), "{text}");
        }
        let text = table(&facts(shipped("deployer-local").unwrap().component).unwrap());
        assert!(text.contains("asks for     artifacts"), "{text}");
        assert!(!text.contains("actions"), "{text}");
    }
}
