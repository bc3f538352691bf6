//! Searching. `…/search/` with a final slash is a namespace of that name.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderValue, header},
};
use url::form_urlencoded::Serializer;

use super::{
    answer::{Answer, json},
    body,
    listing::member,
    query::parameter,
    target,
};
use crate::{
    app::App,
    authz::{self, Caller},
    error::Error,
    inventory::{self, Hit, Search, SearchRequest},
};

/// `GET …/inventory/search?q=`: the units that have all these words, best first.
pub(super) async fn search(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let parameter = |name| parameter(query.as_deref(), name);
    let request = SearchRequest {
        query: parameter("q").unwrap_or_default(),
        limit: parameter("limit"),
        cursor: parameter("cursor"),
    };
    found(app, caller, request).await
}

/// `POST …/inventory/search`: the same, asked for in JSON.
pub(super) async fn search_by_body(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Body,
) -> Answer {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    found(app, caller, SearchRequest::read(&body)?).await
}

async fn found(app: Arc<App>, caller: Arc<Caller>, request: SearchRequest) -> Answer {
    let search = Search::parse(&request)?;
    let target = target::every_unit();
    let permit = authz::authorize(&app, &caller, "inventory:search", target).await?;
    let limit = search.limit();
    let hits = inventory::search(&app, &permit, search).await?;
    let mut answer = json(body_of(&hits.hits));
    if let Some(cursor) = hits.next {
        let link = next_page(&request.query, limit, &cursor);
        let link = HeaderValue::from_str(&link).map_err(|it| Error::Internal(it.to_string()))?;
        answer.headers_mut().insert(header::LINK, link);
    }
    Ok(answer)
}

/// An object whose members are in the order of the hits.
fn body_of(hits: &[Hit]) -> Vec<u8> {
    let members = hits.iter().map(|it| member(&it.release_id(), it));
    let members = members.collect::<Vec<_>>().join(&b',');
    [b"{", &members[..], b"}\n"].concat()
}

fn next_page(query: &str, limit: usize, cursor: &str) -> String {
    let mut parameters = Serializer::new(String::new());
    parameters.append_pair("q", query).append_pair("limit", &limit.to_string());
    let parameters = parameters.append_pair("cursor", cursor).finish();
    format!("</api/v1/inventory/search?{parameters}>; rel=\"next\"")
}
