//! Bodies of our own endpoints.

use axum::body::{Body, to_bytes};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::answer::{Answer, Failure};
use crate::{app::App, error::Error};

/// The object in a body. `what` it is to be stands in the sentence where it is none.
pub(super) async fn object(app: &App, body: Body, what: &str) -> Answer<Map<String, Value>> {
    let limit_bytes = app.config.limits.json_bytes_max;
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    let bytes =
        to_bytes(body, limit).await.map_err(|_| Error::TooLarge { what: "body", limit_bytes })?;
    serde_json::from_slice(&bytes).map_err(|it| wrong("", what, &it))
}

/// What an object says. Serde would take a list of its members as well.
pub(super) fn read<T: DeserializeOwned>(members: Map<String, Value>, what: &str) -> Answer<T> {
    serde_path_to_error::deserialize(Value::Object(members)).map_err(|it| {
        let field = match it.path().iter().next() {
            None | Some(Segment::Unknown) => String::new(),
            Some(_) => it.path().to_string(),
        };
        wrong(&field, what, it.inner())
    })
}

fn wrong(field: &str, what: &str, error: &serde_json::Error) -> Failure {
    Failure::invalid(field, format!("the body is not the JSON of {what}: {error}"))
}
