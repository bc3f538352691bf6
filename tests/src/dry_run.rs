//! Releases on `deployer-dry-run`, which runs nothing and does what it is told.
//!
//! [`DryRun::host`] is a server whose platform `default` is a dry run, and which has the
//! package `apps`: its applications are what the values of a request say. What an
//! application can be told is in `plugins/deployer-dry-run/README.md`.
//!
//! ```no_run
//! # async fn example() {
//! use chandlery_tests::{DryRun, dry_run::{app, install}};
//! use serde_json::json;
//!
//! let host = DryRun::default().host().await;
//! let slow = app("web", json!({ "deployed-after": "never", "undeploy.fails": "retryable" }));
//! host.post("/api/package/install", &install("mine", &[slow])).await.expect(201);
//! # }
//! ```
//!
//! A guest remembers nothing, so "the first three times" cannot be said. Two things
//! change what is deployed already: time, and other settings of the plugin, with
//! [`DryRun::swap`].

use std::io::{Cursor, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use chandlery::{
    config::Config,
    plugins::{Binding, Kind, shipped::shipped},
};
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{Host, guest};

/// The package that [`DryRun::host`] has, in these versions.
pub const PACKAGE: &str = "apps";
/// The versions of the package, which differ in nothing else.
pub const VERSIONS: [&str; 2] = ["1.0.0", "1.1.0"];

const PREFIX: &str = "spring.cloud.deployer.dry-run.";

/// One document for each application of the values.
const TEMPLATE: &str = "{{#apps}}
---
apiVersion: v1
kind: SpringCloudDeployerApplication
metadata:
  name: {{name}}
spec:
  resource: '{{{resource}}}'
  version: '{{{version}}}'
  applicationProperties:
    {{#applicationProperties.entrySet}}
    '{{{key}}}': '{{{value}}}'
    {{/applicationProperties.entrySet}}
  deploymentProperties:
    {{#deploymentProperties.entrySet}}
    '{{{key}}}': '{{{value}}}'
    {{/deploymentProperties.entrySet}}
{{/apps}}
";

/// How a server with a dry run is set up.
#[derive(Clone, Debug, Default)]
pub struct DryRun {
    /// What the plugin is told, for all that has no word of its own.
    pub plugin: Value,
    /// What the account `default` is told.
    pub account: Value,
}

impl DryRun {
    /// Everything is allowed, the shipped renderer renders, and nothing runs.
    pub fn bindings(&self) -> Vec<Binding> {
        let of = |name: &str, kind| {
            let shipped = shipped(name).unwrap_or_else(|| panic!("`{name}` is not shipped"));
            guest::binding(name, kind, shipped.component.to_vec())
        };
        let mut deployer = of("deployer-dry-run", Kind::Deployer);
        deployer.grants.clock = true;
        if !self.plugin.is_null() {
            deployer.settings = self.plugin.clone();
        }
        vec![guest::allow_all(), of("template-mustache", Kind::Renderer), deployer]
    }

    /// A server with the package, and `default` as the only platform.
    pub async fn host(&self) -> Host {
        self.host_with(self.bindings()).await
    }

    /// The same with these plugins, of which one is `deployer-dry-run`.
    pub async fn host_with(&self, bindings: Vec<Binding>) -> Host {
        self.host_set(bindings, |_| {}).await
    }

    /// The same with other settings. Unless they say otherwise, what is new is looked at
    /// every 20 ms.
    pub async fn host_set(&self, bindings: Vec<Binding>, change: impl FnOnce(&mut Config)) -> Host {
        let account = if self.account.is_null() { json!({}) } else { self.account.clone() };
        let host = Host::builder().plugins(bindings).config(|config| {
            config.platforms.insert("dry-run".to_owned(), [("default".to_owned(), account)].into());
            config.releases.health_check_ms = 20;
            change(config);
        });
        let host = host.start().await;
        for version in VERSIONS {
            host.post("/api/package/upload", &upload(version)).await.expect(201);
        }
        host
    }

    /// Puts the plugin to work with these settings in place of those that it had: from
    /// now on, also for what is deployed already.
    pub async fn swap(&self, host: &Host) {
        let set = host.app.plugins.build(self.bindings()).await.expect("the settings are right");
        host.app.plugins.swap(set);
    }
}

/// An application that is told these things (without the prefix).
pub fn app(name: &str, told: Value) -> Value {
    let mut properties = json!({});
    for (key, value) in told.as_object().into_iter().flatten() {
        properties[format!("{PREFIX}{key}")] = value.clone();
    }
    json!({
        "name": name,
        "resource": "docker:none",
        "version": "1.0.0",
        "applicationProperties": {},
        "deploymentProperties": properties,
    })
}

/// The request that installs these applications as release `name`.
pub fn install(name: &str, apps: &[Value]) -> Value {
    json!({
        "packageIdentifier": { "packageName": PACKAGE, "packageVersion": VERSIONS[0] },
        "installProperties": {
            "releaseName": name,
            "platformName": "default",
            "configValues": { "raw": values(apps) },
        },
    })
}

/// The request that upgrades release `name` to these applications.
pub fn upgrade(name: &str, apps: &[Value]) -> Value {
    json!({
        "packageIdentifier": { "packageName": PACKAGE, "packageVersion": VERSIONS[1] },
        "upgradeProperties": { "releaseName": name, "configValues": { "raw": values(apps) } },
    })
}

/// The values that make these applications of the package.
pub fn values(apps: &[Value]) -> String {
    json!({ "apps": apps }).to_string()
}

/// The request that uploads the package in that version.
pub fn upload(version: &str) -> Value {
    package(PACKAGE, version, &[("templates/apps.yml", TEMPLATE)])
}

/// The request that uploads a package of these files, besides its `package.yml`.
pub fn package(name: &str, version: &str, files: &[(&str, &str)]) -> Value {
    let metadata = format!("apiVersion: v1\nkind: skipper\nname: {name}\nversion: {version}\n");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (file, text) in [("package.yml", metadata.as_str())].iter().chain(files) {
        let path = format!("{name}-{version}/{file}");
        let started = zip.start_file(path, SimpleFileOptions::default());
        started.and_then(|()| Ok(zip.write_all(text.as_bytes())?)).expect("memory takes it");
    }
    let bytes = zip.finish().expect("memory takes it").into_inner();
    json!({ "name": name, "repoName": "local", "version": version, "extension": "zip",
        "packageFileAsBytes": STANDARD.encode(bytes) })
}
