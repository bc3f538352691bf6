//! Runs nothing yet: remembers what it was given, and says that all is well.
//!
//! A deployer keeps no state: the handle holds what it must remember. Calls may be made
//! again after a crash, so each must find what an earlier attempt has done.

use chandlery_sdk::{
    deployer::{
        self, App, AppStatus, Deployer, Diagnostic, Features, Instance, Lifecycle, LogLines,
        LogPage, LogWant, Placement, PluginError, Scope, State,
    },
    log,
};
use serde_json::{Value, json};

struct Plugin;

impl Lifecycle for Plugin {
    fn check_settings(_settings: String) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn configure(_settings: String) -> Result<(), String> {
        log::panics();
        Ok(())
    }
}

impl Deployer for Plugin {
    fn supports() -> Features {
        Features::SCALE
    }

    fn describe(scope: Scope) -> String {
        format!("{} {}", scope.platform, scope.account)
    }

    fn validate(_scope: Scope, apps: Vec<App>) -> Vec<Diagnostic> {
        let without = apps.iter().filter(|it| it.resource.is_empty());
        without.map(|it| Diagnostic::error("resource", &it.name, "it has no resource")).collect()
    }

    fn deploy(_: Scope, app: App, _: Option<String>) -> Result<Placement, PluginError> {
        let id = format!("{}.{}", app.group, app.definition_name);
        log::info(&format!("`{id}` would be started"));
        placement(&id, app.count)
    }

    fn undeploy(_scope: Scope, handle: String) -> Result<AppStatus, PluginError> {
        let (id, _) = read(&handle)?;
        Ok(AppStatus { state: State::Undeployed, ..status(&id, 0) })
    }

    fn scale(_scope: Scope, handle: String, count: u32) -> Result<Placement, PluginError> {
        placement(&read(&handle)?.0, count)
    }

    fn status(_: Scope, handles: Vec<String>) -> Vec<Result<AppStatus, PluginError>> {
        handles.iter().map(|it| read(it).map(|(id, count)| status(&id, count))).collect()
    }

    fn logs(
        _scope: Scope,
        _handle: String,
        _instance: Option<String>,
        _cursor: Option<String>,
        _limit_bytes: u32,
    ) -> Result<LogPage, PluginError> {
        Ok(LogPage { text: String::new(), next: None })
    }

    fn read_log(_: Scope, _handle: String, _want: LogWant) -> Result<LogLines, PluginError> {
        Ok(LogLines { texts: Vec::new(), more: false })
    }
}

fn placement(id: &str, count: u32) -> Result<Placement, PluginError> {
    let handle = json!({"id": id, "count": count}).to_string();
    Ok(Placement { handle, status: status(id, count) })
}

fn status(id: &str, count: u32) -> AppStatus {
    let instance = |index| Instance {
        id: format!("{id}-{index}"),
        state: State::Deployed,
        attributes: Vec::new(),
    };
    AppStatus {
        deployment_id: id.to_owned(),
        state: State::Deployed,
        message: None,
        instances: (0..count).map(instance).collect(),
        poll_after_ms: 0,
    }
}

fn read(handle: &str) -> Result<(String, u32), PluginError> {
    let wrong = || PluginError::permanent("handle", "it is not one of this deployer's");
    let handle: Value = serde_json::from_str(handle).map_err(|_| wrong())?;
    let id = handle["id"].as_str().ok_or_else(wrong)?;
    let count = handle["count"].as_u64().and_then(|it| it.try_into().ok()).ok_or_else(wrong)?;
    Ok((id.to_owned(), count))
}

deployer::export!(Plugin);
