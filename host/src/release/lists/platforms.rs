//! The platform accounts, as clients list them: their deployers.

use futures::{StreamExt, stream};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{
    app::App,
    authz::Permit,
    error::{Result, chain},
    release::platform::{self, Platform},
};

/// The operation id of a question that belongs to no operation.
const ASKING: &str = "describe";
/// Deployers that are asked at once.
const AT_ONCE: usize = 4;

/// A platform account and what its deployer says of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PlatformDeployer)]
pub struct Deployer {
    /// The same as long as the account's kind and name are.
    #[serde(skip)]
    pub id: String,
    /// The account's name: what a release's `platformName` says.
    pub name: String,
    /// The kind of platform.
    #[serde(rename = "type")]
    pub kind: String,
    /// What its deployer says of it.
    pub description: String,
}

/// Every account, by kind and name. Deployers are asked what they are, and one that
/// cannot say it is shown with the reason.
pub async fn deployers(app: &App, permit: &Permit) -> Vec<Deployer> {
    let accounts = platform::all(&app.config);
    let asked: Vec<_> = accounts.iter().map(|it| described(permit, it)).collect();
    stream::iter(asked).buffered(AT_ONCE).collect().await
}

/// The account that is wanted, if there is one.
pub async fn deployer(
    app: &App,
    permit: &Permit,
    is_wanted: impl Fn(&str, &str) -> bool,
) -> Option<Deployer> {
    let accounts = platform::all(&app.config);
    let account = accounts.iter().find(|it| is_wanted(&id(it), &it.account))?;
    Some(described(permit, account).await)
}

async fn described(permit: &Permit, account: &Platform) -> Deployer {
    let description = describe(permit, account).await.unwrap_or_else(|error| {
        tracing::warn!(platform = account.account, error = %chain(&error), "not described");
        error.to_string()
    });
    Deployer {
        id: id(account),
        name: account.account.clone(),
        kind: account.kind.clone(),
        description,
    }
}

async fn describe(permit: &Permit, account: &Platform) -> Result<String> {
    let deployer = account.deployer_in(&permit.caller.plugins)?;
    deployer.describe(&account.scope(ASKING)).await
}

/// In the form of a UUID, as the original's are.
fn id(account: &Platform) -> String {
    let digest = Sha256::digest(format!("{}\0{}", account.kind, account.account));
    let hex = hex::encode(&digest[..16]);
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_depends_on_kind_and_name_and_nothing_else() {
        let account = |kind: &str, name: &str, settings| {
            let (kind, account) = (kind.to_owned(), name.to_owned());
            id(&Platform { kind, account, settings })
        };
        let first = account("local", "default", json!({}));
        assert_eq!(first, account("local", "default", json!({ "a": 1 })));
        assert_ne!(first, account("local", "other", json!({})));
        assert_ne!(first, account("k8s", "default", json!({})));
        let lengths: Vec<_> = first.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
