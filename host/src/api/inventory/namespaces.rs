//! Endpoints for namespaces.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
};

use super::{
    answer::Answer,
    listing::{Rows, listing},
    target,
};
use crate::{
    app::App,
    authz::{self, Caller, Permit},
    error::{Error, Result},
    inventory::{self, Application, NamespaceName, wire},
};

/// `GET …/inventory/`: all namespaces, by name.
pub(super) async fn namespaces(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let permit =
        authz::authorize(&app, &caller, "inventory:namespace:list", target::all_namespaces())
            .await?;
    let page = move |after: Option<String>| {
        let (app, permit) = (app.clone(), permit.clone());
        async move {
            let after = after.unwrap_or_default();
            let (page, next) = inventory::namespaces(&app, &permit, after).await?;
            Ok(Rows::new(page.iter().map(|it| member(&it.name, it)), next))
        }
    };
    listing(b"{".to_vec(), page, b"}\n".to_vec()).await
}

/// `GET …/inventory/{namespace}/`: a namespace and its units.
pub(super) async fn namespace(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let name = existing_name(&namespace)?;
    let target = target::namespace(&name);
    let permit = authz::authorize(&app, &caller, "inventory:namespace:read", target).await?;
    let namespace = inventory::namespace(&app, &permit, &name).await?;
    let mut head = wire::json(&namespace);
    head.pop();
    head.extend(b",\"units\":{");
    listing(head, units_of(app, permit, name), b"}}\n".to_vec()).await
}

/// The pages of a namespace's units.
pub(super) fn units_of(
    app: Arc<App>,
    permit: Permit,
    namespace: NamespaceName,
) -> impl Fn(Option<String>) -> futures::future::BoxFuture<'static, Result<Rows<String>>> {
    move |after| {
        let (app, permit, namespace) = (app.clone(), permit.clone(), namespace.clone());
        Box::pin(async move {
            let after = after.unwrap_or_default();
            let page: Vec<Application> = inventory::units(&app, &permit, namespace, after).await?;
            let next =
                (page.len() == inventory::PAGE_ROWS).then(|| last_name(&page, |it| &it.name));
            Ok(Rows::new(page.iter().map(|it| member(&it.name, it)), next.flatten()))
        })
    }
}

/// The name of a namespace in a path: one that is no name does not exist.
pub(super) fn existing_name(text: &str) -> Result<NamespaceName> {
    NamespaceName::parse(text).map_err(|_| Error::not_found("namespace", text))
}

fn member(name: &str, value: &impl serde::Serialize) -> Vec<u8> {
    [wire::json(&name), b":".to_vec(), wire::json(value)].concat()
}

fn last_name<T>(page: &[T], name: impl Fn(&T) -> &String) -> Option<String> {
    page.last().map(|it| name(it).clone())
}
