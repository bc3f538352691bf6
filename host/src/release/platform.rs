//! Platform accounts: what a release is installed on.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    app::App,
    capabilities::secrets,
    config::Config,
    error::{Error, Result},
    plugins::{PluginSet, deployer::Scope},
};

/// The platform that needs no settings: processes of this machine.
pub const LOCAL: &str = "local";
/// The account that it has when none is configured.
pub const DEFAULT: &str = "default";

/// The user that applications of an account know: ours to use, not the deployer's.
const APP_ADMIN: [&str; 2] = ["app-admin", "appAdmin"];

/// A platform account.
#[derive(Clone, Debug, PartialEq)]
pub struct Platform {
    /// The kind of platform: `local`, `kubernetes`.
    pub kind: String,
    /// The account's name: what requests call the platform.
    pub account: String,
    /// The account's settings, as the operator wrote them.
    pub settings: Value,
}

impl Platform {
    /// The binding whose deployer serves it.
    pub fn deployer(&self) -> String {
        format!("deployer-{}", self.kind)
    }

    /// What its deployer is told of it.
    pub fn scope(&self, operation_id: &str) -> Scope {
        let mut settings = self.settings.clone();
        if let Some(settings) = settings.as_object_mut() {
            settings.retain(|key, _| !APP_ADMIN.contains(&key.as_str()));
        }
        Scope {
            platform: self.kind.clone(),
            account: self.account.clone(),
            settings: settings.to_string(),
            operation_id: operation_id.to_owned(),
        }
    }

    /// What its applications take as `Authorization` where nobody says who they are:
    /// the user in `app-admin`, whose password may be `env:VARIABLE` or `file:PATH`.
    pub async fn app_admin(&self) -> Result<Option<String>> {
        let Some(admin) = APP_ADMIN.iter().find_map(|it| self.settings.get(it)) else {
            return Ok(None);
        };
        let text = |name: &str| admin.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(user), Some(password)) = (text("user"), text("password")) else {
            let message = "`app-admin` needs a `user` and a `password`";
            return Err(Error::Conflict(format!("Platform [{}]: {message}", self.account)));
        };
        let read = super::beside(move || match secrets::pointed_at(&password) {
            None => Ok(password.into_bytes()),
            Some(read) => read.map_err(Error::Conflict),
        });
        let credentials = [user.as_bytes(), b":", &read.await?].concat();
        Ok(Some(format!("Basic {}", STANDARD.encode(credentials))))
    }

    /// Its deployer, in that set of plugins.
    pub fn deployer_in(
        &self,
        plugins: &PluginSet,
    ) -> Result<std::sync::Arc<crate::plugins::Deployer>> {
        let name = self.deployer();
        plugins.deployer(&name).ok_or_else(|| {
            Error::Conflict(format!(
                "No deployer named '{}': no plugin is put to work as `{name}`",
                self.account
            ))
        })
    }
}

/// All accounts, by kind and name. Without a local one there is one of the name
/// `default`, unless another platform has that name.
pub fn all(config: &Config) -> Vec<Platform> {
    let mut platforms: Vec<Platform> = Vec::new();
    let no_local = config.platforms.get(LOCAL).is_none_or(|it| it.is_empty());
    if no_local && !config.platforms.values().any(|it| it.contains_key(DEFAULT)) {
        platforms.push(platform(LOCAL, DEFAULT, &json!({})));
    }
    for (kind, accounts) in &config.platforms {
        platforms.extend(accounts.iter().map(|(name, settings)| platform(kind, name, settings)));
    }
    platforms
}

/// The account of that name.
pub fn find(app: &App, account: &str) -> Result<Platform> {
    let found = all(&app.config).into_iter().find(|it| it.account == account);
    found.ok_or_else(|| Error::Conflict(format!("No deployer named '{account}'")))
}

fn platform(kind: &str, account: &str, settings: &Value) -> Platform {
    Platform { kind: kind.to_owned(), account: account.to_owned(), settings: settings.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &Config) -> Vec<String> {
        all(config).into_iter().map(|it| format!("{}/{}", it.kind, it.account)).collect()
    }

    #[test]
    fn a_local_account_is_there_before_anybody_configured_one() {
        assert_eq!(names(&Config::default()), ["local/default"]);
    }

    #[test]
    fn configured_local_accounts_take_its_place_and_others_do_not() {
        let mut config = Config::default();
        config.platforms.insert("k8s".into(), [("prod".to_owned(), json!({}))].into());
        assert_eq!(names(&config), ["local/default", "k8s/prod"]);
        config.platforms.insert(LOCAL.into(), [("here".to_owned(), json!({}))].into());
        assert_eq!(names(&config), ["k8s/prod", "local/here"]);
    }

    #[tokio::test]
    async fn the_user_of_applications_is_not_told_to_the_deployer() {
        let settings = json!({ "a": 1, "app-admin": { "user": "ana", "password": "x:y" } });
        let with = platform(LOCAL, DEFAULT, &settings);
        assert_eq!(with.app_admin().await.unwrap().unwrap(), "Basic YW5hOng6eQ==");
        assert_eq!(with.scope("op").settings, r#"{"a":1}"#);
        assert_eq!(platform(LOCAL, DEFAULT, &json!({})).app_admin().await.unwrap(), None);
        let odd = platform(LOCAL, DEFAULT, &json!({ "appAdmin": { "user": "ana" } }));
        assert!(odd.app_admin().await.is_err());
    }

    #[test]
    fn the_name_default_is_anybodys_to_take() {
        let mut config = Config::default();
        config.platforms.insert("dry-run".into(), [(DEFAULT.to_owned(), json!({}))].into());
        assert_eq!(names(&config), ["dry-run/default"]);
    }
}
