//! Requests to management endpoints of applications, passed on.
//!
//! Where an instance is, its deployer says (`url`); where a request may go, the grant
//! of that deployer says, as for the deployer itself: `deployer-local` reaches the ports
//! of its own processes and nothing else. The caller names an endpoint below
//! `/actuator/`, and cannot lead the request out of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{model::StatusCode, platform, status};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    plugins::{
        deployer::{AppStatus, State},
        types::{HttpError, HttpRequest, HttpResponse, Label},
    },
    store::{
        outbox::{self, Announcement},
        releases::ReleaseRow,
    },
};

const TIME_MAX: Duration = Duration::from_secs(30);
const ENDPOINT_BYTES_MAX: usize = 1024;

/// What a caller wants to reach.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The release.
    pub release: String,
    /// The application, by its id on its platform.
    pub app: String,
    /// The instance, by its `guid`.
    pub instance: String,
    /// Below `/actuator/`.
    pub endpoint: String,
    /// The caller's own `Authorization`, passed on; else the account's user, where it
    /// has one.
    pub authorization: Option<String>,
}

/// Asks an endpoint.
pub async fn read(app: &App, permit: &Permit, wanted: Wanted) -> Result<HttpResponse> {
    send(app, permit, &wanted, None).await
}

/// Posts to an endpoint. It may change anything over there, so it is put to the hooks
/// as a change, and leaves an audit record whatever comes of it.
pub async fn write(
    app: &App,
    permit: &Permit,
    wanted: Wanted,
    body: Value,
) -> Result<HttpResponse> {
    path(&wanted.endpoint)?;
    let Wanted { release, app: application, instance, endpoint, .. } = &wanted;
    let object = |body: Option<&Value>| {
        let mut object = json!({ "release": release, "application": application,
            "instance": instance, "endpoint": endpoint });
        if let Some(body) = body {
            object["body"] = body.clone();
        }
        object
    };
    let fixed = |_, _: &()| Err("what is posted can only be let pass or kept".to_owned());
    permit.reviewed(app, (), object(Some(&body)), None, fixed).await?;
    match send(app, permit, &wanted, Some(&body)).await {
        Ok(response) => {
            // Without the body, which may hold secrets: hooks are told later, and others.
            let told = Announcement::of(permit, Some(object(None)));
            let kept =
                app.store.write(permit.audit(), move |change| outbox::announce(change, &told));
            kept.await?;
            Ok(response)
        }
        Err(error) => {
            app.store.refused(permit.audit(), error.to_string()).await?;
            Err(error)
        }
    }
}

async fn send(
    app: &App,
    permit: &Permit,
    wanted: &Wanted,
    body: Option<&Value>,
) -> Result<HttpResponse> {
    let path = path(&wanted.endpoint)?;
    let row = status::find(app, &wanted.release, None).await?;
    let url = format!("{}/actuator/{path}", instance_url(app, permit, wanted, &row).await?);
    let platform = platform::find(app, &row.release.platform_name)?;
    let deployer = platform.deployer_in(&permit.caller.plugins)?;

    let label = |key: &str, value: &str| Label { key: key.to_owned(), value: value.to_owned() };
    let mut headers = vec![label("accept", "application/json, text/plain;q=0.9, */*;q=0.1")];
    let authorization = match &wanted.authorization {
        Some(it) => Some(it.clone()),
        None => platform.app_admin().await?,
    };
    headers.extend(authorization.map(|it| label("authorization", &it)));
    if body.is_some() {
        headers.push(label("content-type", "application/json"));
    }
    let request = HttpRequest {
        method: if body.is_some() { "POST" } else { "GET" }.to_owned(),
        url,
        headers,
        body: body.map(|it| it.to_string().into_bytes()),
        timeout_ms: None,
        max_response_bytes: None,
    };
    let what = format!("Actuator endpoint [{}] of [{}]", wanted.endpoint, wanted.instance);
    let answer = deployer.send(request, TIME_MAX).await;
    let response = answer.map_err(|it| Error::Conflict(format!("{what} {}", unanswered(&it))))?;
    match response.status {
        200..=299 => Ok(response),
        status => Err(Error::Conflict(format!("{what} answered with status {status}"))),
    }
}

/// Where the instance answers, by what its platform says now.
async fn instance_url(
    app: &App,
    permit: &Permit,
    wanted: &Wanted,
    row: &ReleaseRow,
) -> Result<String> {
    let Wanted { release, app: id, instance, .. } = wanted;
    let deleted = row.status() == StatusCode::Deleted;
    let index = row.apps.iter().position(|it| it.deployment_id == *id && !deleted);
    let no_app = || Error::invalid("app", format!("app {id} is not found in release {release}"));
    let index = index.ok_or_else(no_app)?;
    let rows = std::slice::from_ref(row);
    let looked = status::look(app, &permit.caller.plugins, rows).await.pop().flatten();
    let no_answer = || Error::Conflict(format!("The platform does not say how [{id}] is"));
    let now = looked.ok_or_else(no_answer)?.swap_remove(index);
    find_url(&now, instance)
}

fn find_url(app: &AppStatus, guid: &str) -> Result<String> {
    let refused = |why: &str| {
        Error::invalid("id", format!("instance {guid} of app {} {why}", app.deployment_id))
    };
    let of = |labels: &[Label], name: &str| {
        labels.iter().find(|it| it.key == name).map(|it| it.value.clone())
    };
    let mut instances = app.instances.iter();
    let found = instances.find(|it| of(&it.attributes, "guid").as_deref() == Some(guid));
    let instance = found.ok_or_else(|| refused("is not found"))?;
    if instance.state != State::Deployed {
        return Err(refused("is not deployed"));
    }
    let url = of(&instance.attributes, "url").ok_or_else(|| refused("has no url"))?;
    Ok(url.trim_end_matches('/').to_owned())
}

/// An endpoint as the rest of a path: nothing in it leads out of `/actuator/`, also not
/// for a server that reads paths in its own way.
fn path(endpoint: &str) -> Result<&str> {
    let refused = |why: &str| {
        Error::invalid("endpoint", format!("endpoint `{}` {why}", endpoint.escape_debug()))
    };
    if endpoint.len() > ENDPOINT_BYTES_MAX {
        return Err(Error::invalid("endpoint", "the endpoint is too long"));
    }
    let rest = endpoint.strip_prefix('/').unwrap_or(endpoint);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let plain = |it: char, more: &str| {
        it.is_ascii_alphanumeric() || "-._~:,@".contains(it) || more.contains(it)
    };
    if !path.chars().all(|it| plain(it, "/")) || !query.chars().all(|it| plain(it, "/?&=+%")) {
        return Err(refused("holds what an endpoint cannot"));
    }
    if path.split('/').any(|it| it.is_empty() || it.chars().all(|it| it == '.')) {
        return Err(refused("is no path"));
    }
    Ok(rest)
}

fn unanswered(error: &HttpError) -> String {
    match error {
        HttpError::Denied(why) => format!("may not be reached: {why}"),
        HttpError::Dns(why) | HttpError::Connect(why) | HttpError::Tls(why) => {
            format!("cannot be reached: {why}")
        }
        HttpError::Timeout => "did not answer in time".to_owned(),
        HttpError::TooLarge => "answered with more than is passed on".to_owned(),
        HttpError::Protocol(why) => format!("gave no HTTP answer: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_stays_below_actuator() {
        for good in ["health", "/info", "metrics/jvm.memory.used?tag=area:heap", "env/a.b-c"] {
            assert!(path(good).is_ok(), "{good}");
        }
        assert_eq!(path("/health").unwrap(), "health");
        let long = "a".repeat(2000);
        for bad in [
            "",
            "/",
            "//x",
            "..",
            "a/../b",
            "a/..",
            "./a",
            "a//b",
            "a/",
            "%2e%2e/x",
            "a%2fb",
            "a\\b",
            "a;b",
            "a#b",
            "a b",
            "a\r\nX: y",
            "@h/..",
            "ä",
            &long,
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
