//! The OpenAPI document, made of the routes and of the types that they take and give.

mod content;
mod refusals;

use std::{collections::BTreeMap, sync::Arc, sync::LazyLock};

use axum::{
    Extension,
    extract::State,
    http::Method,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use utoipa::openapi::{
    Components, HttpMethod, Info, OpenApi, OpenApiBuilder, PathItem, Paths, Ref, RefOr, Required,
    Schema, Tag,
    path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    response::{Response as Answer, ResponseBuilder, ResponsesBuilder},
    schema::{ObjectBuilder, Type},
    security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

pub(super) use self::content::{
    Content, either, file, hal, json, list_of, map_of, nothing, text, typed,
};
use super::{
    family::Family,
    inventory::{self, server_target},
    router,
    routes::{Parameter, Place, Route, Routes},
};
use crate::{
    app::App,
    authz::{self, Caller},
};

const TITLE: &str = "Chandlery";
const ABOUT: &str = "One server for two APIs: the inventory keeps releases, as Escape's clients \
    know it, and the release API puts packages to work, as Skipper's clients know it; releases, \
    events, plugins and bindings have endpoints of our own beside both, under `/api/v1/`. Every GET \
    answers HEAD as well. Every answer carries the request's id as `X-Request-Id`. A path of the \
    inventory is the same with and without a final slash, unless it says otherwise.";

/// Parts of paths, and what they are.
const PATH_PARTS: [(&str, &str); 12] = [
    ("namespace", "The name of a namespace."),
    ("unit", "The name of a unit."),
    (
        "version",
        "A version (`v1.0`), `latest`, a prefix (`v1.@`) or a tag; for a release, its number; for a plugin, \
         its version.",
    ),
    ("tag", "A tag."),
    ("resource", "What the links of a list have in that place: an id, or a name."),
    ("old", "The version to compare with, told as `version` is."),
    ("name", "The name of a release, a plugin or a binding."),
    ("app", "The id of an application on its platform, such as `shop.web-v1`."),
    ("id", "The `guid` of an instance of it."),
    ("repository", "The name of a repository of packages."),
    ("package", "The name of a package."),
    ("file", "A package's zip, as `log-1.0.0.zip`."),
];

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| written(false));
static DOCUMENT_WITH_DEV: LazyLock<Bytes> = LazyLock::new(|| written(true));

fn written(dev: bool) -> Bytes {
    let document = serde_json::to_vec(&document(&router::all(dev)));
    Bytes::from(document.expect("a document of plain data can be written"))
}

/// `GET /api/v1/openapi.json`: this document.
pub(super) async fn openapi(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Response {
    match authz::authorize(&app, &caller, "server:read", server_target()).await {
        Ok(_) if app.config.dev => inventory::json(DOCUMENT_WITH_DEV.clone()),
        Ok(_) => inventory::json(DOCUMENT.clone()),
        Err(error) => inventory::Failure::from(error).into_response(),
    }
}

/// The document that describes these routes.
fn document(families: &[Routes]) -> OpenApi {
    let routes = || families.iter().flat_map(Routes::iter);
    let mut components = Components::new();
    components.add_security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
    let mut paths = Paths::new();
    let mut tags: Vec<Tag> = Vec::new();
    for route in routes() {
        for (name, schema) in route.schemas() {
            components.schemas.insert(name, schema);
        }
        for status in route.failures() {
            let (name, answer) = refusals::component(Family::of(&route.path), status);
            components.responses.insert(name, answer.into());
        }
        if tags.iter().all(|it| it.name != route.group) {
            tags.push(TagBuilder::new().name(route.group).build());
        }
        let method = http_method(&route.method);
        let item = PathItem::new(method, operation(route));
        paths.paths.entry(route.path.clone()).or_default().merge_operations(item);
    }
    for (name, schema) in refusals::schemas() {
        components.schemas.insert(name, schema);
    }
    let mut info = Info::new(TITLE, env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .tags(Some(tags))
        .security(Some([SecurityRequirement::default(), basic()]))
        .build()
}

/// Who a caller is is only asked where the settings name a user.
fn basic() -> SecurityRequirement {
    SecurityRequirement::new("basic", Vec::<String>::new())
}

fn operation(route: &Route) -> Operation {
    let mut operation = OperationBuilder::new()
        .tag(route.group)
        .summary(Some(route.summary))
        .operation_id(Some(route.id))
        .responses(answers(route));
    for part in path_parts(&route.path) {
        operation = operation.parameter(path_part(part));
    }
    for it in &route.parameters {
        operation = operation.parameter(parameter(it));
    }
    if let Some(body) = &route.takes {
        let mut request = RequestBodyBuilder::new().required(Some(Required::True));
        for (kind, content) in body.parts() {
            request = request.content(kind, content);
        }
        operation = operation.request_body(Some(request.build()));
    }
    operation.build()
}

fn answers(route: &Route) -> ResponsesBuilder {
    let mut answers = ResponsesBuilder::new();
    for (status, body) in &route.gives {
        let mut answer = ResponseBuilder::new().description(refusals::reason(*status));
        for (kind, content) in body.parts() {
            answer = answer.content(kind, content);
        }
        answers = answers.response(status.to_string(), answer.build());
    }
    let family = Family::of(&route.path);
    for status in route.failures() {
        let name = refusals::component(family, status).0;
        let shared: RefOr<Answer> = Ref::from_response_name(name).into();
        answers = answers.response(status.to_string(), shared);
    }
    answers
}

/// The names between braces in a path.
fn path_parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'))
}

fn path_part(name: &str) -> utoipa::openapi::path::Parameter {
    let says = PATH_PARTS.iter().find(|(part, _)| *part == name).map(|(_, says)| *says);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(says)
        .schema(Some(string()))
        .build()
}

fn parameter(it: &Parameter) -> utoipa::openapi::path::Parameter {
    let place = match it.place {
        Place::Query => ParameterIn::Query,
        Place::Header => ParameterIn::Header,
    };
    ParameterBuilder::new()
        .name(it.name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(it.says))
        .schema(Some(string()))
        .build()
}

fn string() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

impl Route {
    /// The named types in its bodies.
    fn schemas(&self) -> BTreeMap<String, RefOr<Schema>> {
        let bodies = self.takes.iter().chain(self.gives.iter().map(|(_, it)| it));
        bodies.flat_map(|it| it.schemas.iter().cloned()).collect()
    }

    /// Everything that may go wrong with it.
    fn failures(&self) -> Vec<u16> {
        let mut all = self.refuses.clone();
        all.push(401);
        if self.asks {
            all.extend([403, 500, 503]);
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests;
