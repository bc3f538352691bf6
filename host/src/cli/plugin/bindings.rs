//! `chandlery plugin bindings`, and what changes one of them: `enable`, `disable`,
//! `swap`, `grant`, `rollback`, `unbind`.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    bind::json_or_file,
    client::{Client, Remote, cell, columns},
};
use crate::error::Result;

const BINDINGS: &str = "/api/v1/bindings";

/// The arguments of `bindings`.
#[derive(Args)]
pub(in crate::cli) struct Bindings {
    /// Only this one, with what it was
    binding: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// The arguments of `enable`, `disable` and `unbind`.
#[derive(Args)]
pub(in crate::cli) struct One {
    /// The binding
    binding: String,
    #[command(flatten)]
    remote: Remote,
}

/// The arguments of `swap`.
#[derive(Args)]
pub(in crate::cli) struct Swap {
    /// The binding
    binding: String,
    /// The version of its plugin that is to work from now on
    version: String,
    #[command(flatten)]
    remote: Remote,
}

/// The arguments of `grant`.
#[derive(Args)]
pub(in crate::cli) struct Grant {
    /// The binding
    binding: String,
    /// What is granted: JSON, or `@FILE`; `false` decides against something
    #[arg(value_name = "JSON")]
    grants: String,
    #[command(flatten)]
    remote: Remote,
}

/// The arguments of `rollback`.
#[derive(Args)]
pub(in crate::cli) struct Rollback {
    /// The binding
    binding: String,
    /// The revision to go back to [default: the one before]
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

impl Bindings {
    /// Lists them, or tells what one was.
    pub(super) fn run(&self) -> Result<()> {
        match &self.binding {
            None => self.remote.run(
                async |it| it.all(BINDINGS).await,
                |it| table(&it.as_array().into_iter().flatten().collect::<Vec<_>>()),
            ),
            Some(name) => {
                let read = async |it: &Client| {
                    let mut shown = it.get(&at(name)).await?;
                    shown["history"] = it.all(&format!("{}/history", at(name))).await?;
                    Ok(shown)
                };
                self.remote.run(read, |it| format!("{}{}", table(&[it]), history(&it["history"])))
            }
        }
    }
}

impl One {
    /// Puts it in force, or takes it out.
    pub(super) fn set_enabled(&self, enabled: bool) -> Result<()> {
        patch(&self.remote, &self.binding, json!({ "enabled": enabled }))
    }

    /// Deletes it.
    pub(super) fn unbind(&self) -> Result<()> {
        let name = &self.binding;
        let unbind =
            async |it: &Client| it.change(Method::DELETE, &at(name), &Value::Null, None).await;
        self.remote.run(unbind, |_| format!("deleted the binding {name}"))
    }
}

impl Swap {
    /// Puts another version to work.
    pub(super) fn run(&self) -> Result<()> {
        patch(&self.remote, &self.binding, json!({ "version": self.version }))
    }
}

impl Grant {
    /// Grants what waits for it.
    pub(super) fn run(&self) -> Result<()> {
        let grants = json_or_file("grants", &self.grants)?;
        let path = format!("{}/grant", at(&self.binding));
        let body = json!({ "grants": grants });
        let grant = async |it: &Client| it.change(Method::POST, &path, &body, None).await;
        self.remote.run(grant, |it| table(&[it]))
    }
}

impl Rollback {
    /// Goes back.
    pub(super) fn run(&self) -> Result<()> {
        let path = format!("{}/rollback", at(&self.binding));
        let body = json!({ "revision": self.to });
        let back = async |it: &Client| it.change(Method::POST, &path, &body, None).await;
        self.remote.run(back, |it| table(&[it]))
    }
}

/// Changes a binding, as it was when it was looked at.
fn patch(remote: &Remote, name: &str, patch: Value) -> Result<()> {
    let change = async |it: &Client| {
        let (_, tag) = it.tagged(&at(name)).await?;
        it.change(Method::PATCH, &at(name), &patch, Some(&tag)).await
    };
    remote.run(change, |it| table(&[it]))
}

fn at(name: &str) -> String {
    format!("{BINDINGS}/{name}")
}

/// A line for each binding, and one for each that waits for a grant.
pub(super) fn table(bindings: &[&Value]) -> String {
    let mut rows = Vec::new();
    for it in bindings {
        let row = |state: String, revision: &Value, spec: &Value| {
            [
                cell(&it["name"]),
                cell(&spec["kind"]),
                format!("{} {}", cell(&spec["plugin"]), cell(&spec["version"])),
                state,
                cell(&it["origin"]),
                cell(&spec["order"]),
                cell(revision),
                cell(&spec["actions"]),
            ]
        };
        rows.push(row(cell(&it["state"]), &it["revision"], &it["spec"]));
        let pending = &it["pending"];
        if !pending.is_null() {
            let needs = pending["needs"].as_array().into_iter().flatten();
            let needs: Vec<_> = needs.map(|it| cell(&it["name"])).collect();
            let state = format!("needs-grant: {}", needs.join(","));
            rows.push(row(state, &pending["revision"], &pending["spec"]));
        }
    }
    let names = ["name", "kind", "plugin", "state", "origin", "order", "revision", "actions"];
    columns(names, &rows)
}

fn history(revisions: &Value) -> String {
    let row = |it: &Value| {
        let spec = &it["spec"];
        [
            cell(&it["revision"]),
            cell(&it["state"]),
            format!("{} {}", cell(&spec["plugin"]), cell(&spec["version"])),
            cell(&it["at"]),
            cell(&it["by"]),
        ]
    };
    let rows: Vec<_> = revisions.as_array().into_iter().flatten().map(row).collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("\n{}", columns(["revision", "state", "plugin", "at", "by"], &rows)),
    }
}
