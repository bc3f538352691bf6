//! `/api/profile`: what is told of the form of each resource.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};

use super::super::{
    answer::{Answer, Failure},
    links::{self, Object, View, by_rel},
    releases::Part,
};
use crate::{
    api::inventory::server_target,
    app::App,
    authz::{self, Caller},
};

const ALPS: &str = "application/alps+json;charset=UTF-8";
const SCHEMA: &str = "application/schema+json;charset=UTF-8";

const TEXT: &str = "string";

/// A resource: its name, what one of it is called, its properties and their types.
type Form = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const FORMS: [Form; 4] = [
    (
        "packageMetadata",
        "packageMetadata",
        &[
            ("apiVersion", TEXT),
            ("origin", TEXT),
            ("repositoryId", "integer"),
            ("repositoryName", TEXT),
            ("kind", TEXT),
            ("name", TEXT),
            ("displayName", TEXT),
            ("version", TEXT),
            ("packageSourceUrl", TEXT),
            ("packageHomeUrl", TEXT),
            ("tags", TEXT),
            ("maintainer", TEXT),
            ("description", TEXT),
            ("sha256", TEXT),
            ("iconUrl", TEXT),
        ],
    ),
    (
        "repositories",
        "repository",
        &[
            ("name", TEXT),
            ("url", TEXT),
            ("sourceUrl", TEXT),
            ("local", "boolean"),
            ("description", TEXT),
            ("repoOrder", "integer"),
        ],
    ),
    ("deployers", "deployer", &[("name", TEXT), ("type", TEXT), ("description", TEXT)]),
    (
        "releases",
        "release",
        &[
            ("name", TEXT),
            ("version", "integer"),
            ("info", "object"),
            ("pkg", "object"),
            ("configValues", "object"),
            ("manifest", "object"),
            ("platformName", TEXT),
        ],
    ),
];

/// `GET /api/profile`: a link for each resource.
pub(super) async fn index(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    authz::authorize(&app, &caller, "server:read", server_target()).await?;
    let profiles = FORMS.iter().map(|(resource, ..)| (*resource, address(&view, resource)));
    let links = [("self", view.href("/api/profile"))].into_iter().chain(profiles);
    let mut body = Object::new();
    body.insert("_links".to_owned(), by_rel(links).into());
    Ok(view.resource(body))
}

/// `GET /api/profile/{resource}`: its form, as ALPS or, for who asks for that, as a JSON
/// schema.
pub(super) async fn profile(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    headers: HeaderMap,
    part: Part<String>,
) -> Answer {
    let Path(name) = part.map_err(|it| Failure::path(it.body_text()))?;
    authz::authorize(&app, &caller, "server:read", server_target()).await?;
    let form = FORMS.iter().find(|(resource, ..)| *resource == name);
    let form = form.ok_or_else(|| Failure::no_resource("profile", &name))?;
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let wants_schema = accepted.into_iter().any(|it| it.contains("application/schema+json"));
    let told = |kind, body: &Value| -> Response { links::answer(StatusCode::OK, kind, body) };
    Ok(match wants_schema {
        true => told(SCHEMA, &schema(form)),
        false => told(ALPS, &alps(&view, form)),
    })
}

fn alps(view: &View, (resource, one, properties): &Form) -> Value {
    let representation = format!("{one}-representation");
    let members = properties.iter().map(|(name, _)| json!({ "name": name, "type": "SEMANTIC" }));
    let read = |id: String, name: &str| json!({ "id": id, "name": name, "type": "SAFE", "rt": format!("#{representation}") });
    json!({
        "alps": {
            "version": "1.0",
            "descriptor": [
                {
                    "id": representation,
                    "href": address(view, resource),
                    "descriptor": members.collect::<Vec<_>>(),
                },
                read(format!("get-{resource}"), resource),
                read(format!("get-one-{one}"), one),
            ],
        },
    })
}

fn schema((resource, _, properties): &Form) -> Value {
    let properties = properties.iter().map(|(name, kind)| {
        let kind = json!({ "title": name, "readOnly": true, "type": kind });
        ((*name).to_owned(), kind)
    });
    json!({
        "title": resource,
        "properties": properties.collect::<Object>(),
        "definitions": {},
        "type": "object",
        "$schema": "http://json-schema.org/draft-04/schema#",
    })
}

fn address(view: &View, resource: &str) -> String {
    view.href(&format!("/api/profile/{resource}"))
}
