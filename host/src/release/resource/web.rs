//! `http(s)://` — public addresses, or those that the settings name.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::cached;
use crate::{
    app::App,
    blobs::Stored,
    capabilities::address::{self, Refusal},
    error::{Error, Result},
};

const NOT_MODIFIED: reqwest::StatusCode = reqwest::StatusCode::NOT_MODIFIED;
const ETAG_BYTES_MAX: usize = 256;
const REDIRECTS_MAX: usize = 5;
/// For the whole of a resource.
const TIME_MAX: Duration = Duration::from_secs(600);
/// Without a byte.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Who asks, where a server wants to know.
#[derive(Clone)]
pub(in crate::release) struct Login {
    pub(in crate::release) username: String,
    pub(in crate::release) password: String,
}

/// Fetches a URL into the blob store.
pub(super) async fn fetch(app: &App, location: &str) -> Result<Stored> {
    let deadline = Instant::now() + TIME_MAX;
    let before = cached::find(app, location).await?;
    let known = before.as_ref().and_then(|(it, _)| it.etag.clone());
    let ask = Ask { etag: known.as_deref(), ..Ask::default() };
    let response = get(app, location, ask, deadline).await?;
    if let Some((resource, held)) = before.filter(|_| response.status() == NOT_MODIFIED) {
        cached::used(app, location, resource).await?;
        return Ok(held);
    }
    let etag = strong_etag(&response);
    let stored = receive(app, response, deadline).await?;
    if etag.is_some() {
        cached::keep(app, location, &stored, etag).await?;
    }
    Ok(stored)
}

/// Only a strong one says that not a byte has changed.
fn strong_etag(response: &reqwest::Response) -> Option<String> {
    let etag = response.headers().get(reqwest::header::ETAG)?.to_str().ok()?;
    Some(etag.to_owned()).filter(|it| it.starts_with('"') && it.len() <= ETAG_BYTES_MAX)
}

/// The same without looking at what is here; an operator's own repository may be at any
/// address.
pub(super) async fn fetch_from(
    app: &App,
    location: &str,
    trusted: bool,
    login: Option<&Login>,
) -> Result<Stored> {
    let deadline = Instant::now() + TIME_MAX;
    let ask = Ask { trusted, login, etag: None };
    let response = get(app, location, ask, deadline).await?;
    receive(app, response, deadline).await
}

async fn receive(app: &App, response: reqwest::Response, deadline: Instant) -> Result<Stored> {
    let limit = app.config.limits.package_bytes_max;
    if response.content_length().is_some_and(|it| it > limit) {
        return Err(Error::TooLarge { what: "resource", limit_bytes: limit });
    }
    let chunks = response.bytes_stream().map_err(|it| failed(&it.without_url()));
    timeout_at(deadline, app.blobs.put(chunks.boxed(), limit)).await.map_err(|_| late())?
}

/// Fetches a small text.
pub(super) async fn text(
    app: &App,
    location: &str,
    trusted: bool,
    login: Option<&Login>,
    bytes_max: usize,
) -> Result<Option<String>> {
    let deadline = Instant::now() + IDLE_MAX;
    let ask = Ask { trusted, login, etag: None };
    let response = match get(app, location, ask, deadline).await {
        Ok(response) => response,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut chunks = response.bytes_stream();
    let mut bytes = Vec::new();
    let late = |_| {
        let (shown, seconds) = (location, IDLE_MAX.as_secs());
        Error::Conflict(format!("`{shown}` took over {seconds} s"))
    };
    while let Some(chunk) = timeout_at(deadline, chunks.next()).await.map_err(late)? {
        bytes.extend_from_slice(&chunk.map_err(|it| failed(&it.without_url()))?);
        if bytes.len() > bytes_max {
            let what = "text beside a resource";
            return Err(Error::TooLarge { what, limit_bytes: bytes_max as u64 });
        }
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Reads a URL of an operator's own choice, as the user that the settings name for it:
/// it may be at any address, but not lead to any.
pub(in crate::release) async fn read_own(
    app: &App,
    location: &str,
    login: Option<&Login>,
    deadline: Instant,
    limit_bytes: u64,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let ask = Ask { trusted: true, login, etag: None };
    let response = get(app, location, ask, deadline).await?;
    if response.content_length().is_some_and(|it| it > limit_bytes) {
        return Err(Error::TooLarge { what: "resource", limit_bytes });
    }
    Ok(response.bytes_stream().map_err(|it| failed(&it.without_url())).boxed())
}

/// How to ask.
#[derive(Clone, Copy, Default)]
struct Ask<'a> {
    /// The first address is of the operator's own choice.
    trusted: bool,
    login: Option<&'a Login>,
    /// What is known already; the answer may then be 304.
    etag: Option<&'a str>,
}

async fn get(
    app: &App,
    location: &str,
    ask: Ask<'_>,
    deadline: Instant,
) -> Result<reqwest::Response> {
    let Ask { trusted, login, etag } = ask;
    let private = address::networks(&app.config.resources.http_private)?;
    let mut url = address::parse(location).map_err(refused)?;
    let home = url.origin();
    for hop in 0..=REDIRECTS_MAX {
        let allowed = |it: IpAddr| (trusted && hop == 0) || address::allowed(it, &private);
        // A password is for whom it was given, and for nobody that they send us to.
        let login = login.filter(|_| url.origin() == home);
        let ask = Ask { trusted, login, etag };
        let response = send(&url, ask, deadline, allowed).await?;
        let is_known = etag.is_some() && response.status() == NOT_MODIFIED;
        if is_known || !response.status().is_redirection() {
            return match response.status().as_u16() {
                304 => Ok(response),
                200..=299 => Ok(response),
                404 | 410 => Err(Error::not_found("resource", shown(&url))),
                status => Err(Error::Conflict(format!("`{}` answers {status}", shown(&url)))),
            };
        }
        url = next(&url, &response)?;
    }
    Err(Error::Conflict(format!("more than {REDIRECTS_MAX} redirects")))
}

async fn send(
    url: &Url,
    ask: Ask<'_>,
    deadline: Instant,
    allowed: impl Fn(IpAddr) -> bool,
) -> Result<reqwest::Response> {
    let left = deadline.saturating_duration_since(Instant::now());
    let addresses =
        address::resolve(url, left, allowed).await.map_err(|it| unreachable(url, it))?;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .connect_timeout(IDLE_MAX)
        .read_timeout(IDLE_MAX)
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &addresses)
        .build()
        .map_err(|it| failed(&it))?;
    let mut request = client.get(url.clone());
    if let Some(Login { username, password }) = ask.login {
        request = request.basic_auth(username, Some(password));
    }
    if let Some(etag) = ask.etag {
        request = request.header(reqwest::header::IF_NONE_MATCH, etag);
    }
    let sent = timeout_at(deadline, request.send()).await.map_err(|_| late())?;
    sent.map_err(|it| failed(&it.without_url()))
}

fn next(url: &Url, response: &reqwest::Response) -> Result<Url> {
    let location = response.headers().get(reqwest::header::LOCATION);
    let location = location.and_then(|it| it.to_str().ok());
    let location = location.ok_or_else(|| Error::Conflict("a redirect leads nowhere".into()))?;
    let joined =
        url.join(location).map_err(|_| Error::Conflict("a redirect leads nowhere".into()))?;
    if url.scheme() == "https" && joined.scheme() != "https" {
        return Err(Error::Conflict("a redirect leads from `https` to `http`".into()));
    }
    address::parse(joined.as_str()).map_err(refused)
}

// A query may hold a token.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn failed(error: &reqwest::Error) -> Error {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(it) = source {
        text = it.to_string();
        source = it.source();
    }
    Error::Conflict(text)
}

fn late() -> Error {
    Error::Conflict(format!("it took longer than {} s", TIME_MAX.as_secs()))
}

/// Which address a name of the inside has is for the log, and not for clients.
fn unreachable(url: &Url, refusal: Refusal) -> Error {
    let host = url.host_str().unwrap_or_default();
    match refusal {
        Refusal::Denied(why) => {
            tracing::warn!(why, "a resource is not fetched");
            Error::Conflict(format!(
                "`{host}` leads to what is not a public address: add its network to \
                 `resources.http_private`"
            ))
        }
        other => refused(other),
    }
}

fn refused(refusal: Refusal) -> Error {
    Error::Conflict(match refusal {
        Refusal::Denied(why) => why,
        Refusal::Unresolved(why) => why,
        Refusal::Timeout => "its host was not resolved in time".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_of_the_inside_is_not_told() {
        let url = address::parse("http://localhost:1/x").unwrap();
        let deadline = Instant::now() + IDLE_MAX;
        let error =
            send(&url, Ask::default(), deadline, address::is_public).await.unwrap_err().to_string();
        assert!(error.contains("resources.http_private"), "{error}");
        assert!(!error.contains("127.0.0.1") && !error.contains("::1"), "{error}");
    }
}
