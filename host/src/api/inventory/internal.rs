//! Endpoints below `/api/v1/internal`, for other services and for tests.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Extension,
    extract::{RawQuery, State},
    http::StatusCode,
};

use super::{
    answer::Answer,
    listing::{Rows, listing, member},
    target,
};
use crate::{
    app::App,
    authz::{self, Caller},
    inventory::{self, NamespaceName},
};

/// `GET …/get_namespaces_for_project?namespace=a,b&namespace=c`: the namespaces that
/// are named, and all public ones, by name.
pub(super) async fn namespaces_for_project(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let target = target::all_namespaces();
    let permit = authz::authorize(&app, &caller, "inventory:namespace:list", target).await?;
    let named = Arc::new(named(query.as_deref().unwrap_or_default()));
    let page = move |after: Option<String>| {
        let (app, permit, named) = (app.clone(), permit.clone(), named.clone());
        async move {
            let after = after.unwrap_or_default();
            let page = inventory::namespaces_named_or_public(&app, &permit, named, after);
            let (page, next) = page.await?;
            Ok(Rows::new(page.iter().map(|it| member(&it.name, it)), next))
        }
    };
    listing(b"{".to_vec(), page, b"}\n".to_vec()).await
}

/// `DELETE …/database`: empties the inventory of a test system.
pub(super) async fn wipe(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer<StatusCode> {
    let permit = authz::authorize(&app, &caller, "server:wipe", target::server()).await?;
    inventory::wipe(&app, permit).await?;
    Ok(StatusCode::OK)
}

/// The names in the parameters `namespace`, with commas between or one in each. What
/// cannot be a name is not there.
fn named(query: &str) -> BTreeSet<String> {
    let parameters = url::form_urlencoded::parse(query.as_bytes());
    let values = parameters.filter(|(key, _)| key == "namespace");
    let mut names = BTreeSet::new();
    for (_, value) in values {
        let proper = value.split(',').map(str::trim).filter(|it| NamespaceName::parse(it).is_ok());
        names.extend(proper.map(str::to_owned));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn names_are_repeated_or_have_commas_between() {
        let check = |query: &str, expected: &[&str]| {
            assert_eq!(named(query).into_iter().collect::<Vec<_>>(), expected, "{query}");
        };
        check("", &[]);
        check("namespace=", &[]);
        check("namespace=alpha", &["alpha"]);
        check("namespace=beta&namespace=alpha&other=gamma", &["alpha", "beta"]);
        check("namespace=beta,alpha,,_&namespace=alpha", &["_", "alpha", "beta"]);
        check("namespace=beta%2C+alpha", &["alpha", "beta"]);
        check("namespace=Bad,..,a%00b,list,%ff", &[]);
    }
}
