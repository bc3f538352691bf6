//! Endpoints for namespaces.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
};

use super::{
    answer::Answer,
    body,
    listing::{Rows, listing, member},
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

/// `POST …/inventory/{anything}/add-namespace` and
/// `POST /api/v1/internal/add-namespace`: adds the namespace that the body names.
pub(super) async fn add_namespace(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Body,
) -> Answer<StatusCode> {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    let (name, record) = inventory::read_new_namespace(&body)?;
    let target = target::namespace(&name);
    let permit = authz::authorize(&app, &caller, "inventory:namespace:create", target).await?;
    inventory::add_namespace(&app, &permit, name, record).await?;
    Ok(StatusCode::OK)
}

/// `PUT …/inventory/{namespace}/`: puts what is said of a namespace in the place of
/// what was.
pub(super) async fn update_namespace(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Body,
) -> Answer<StatusCode> {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    let record = inventory::read_namespace_update(&body, &namespace)?;
    let name = existing_name(&namespace)?;
    let target = target::namespace(&name);
    let permit = authz::authorize(&app, &caller, "inventory:namespace:update", target).await?;
    inventory::update_namespace(&app, &permit, name, record).await?;
    Ok(StatusCode::CREATED)
}

/// `DELETE …/{namespace}/hard-delete`: deletes a namespace with all that is in it,
/// and answers when nothing is left. One that is not there has been deleted.
pub(super) async fn hard_delete(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer<StatusCode> {
    let target = target::named_namespace(&namespace);
    let permit = authz::authorize(&app, &caller, "inventory:namespace:delete", target).await?;
    if let Ok(name) = NamespaceName::parse(&namespace) {
        inventory::hard_delete(&app, permit, name).await?;
    }
    Ok(StatusCode::OK)
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

fn last_name<T>(page: &[T], name: impl Fn(&T) -> &String) -> Option<String> {
    page.last().map(|it| name(it).clone())
}
