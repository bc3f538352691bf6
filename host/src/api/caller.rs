//! Finds out who is calling.
//!
//! Where the settings name a user, [`super::basic_auth`] has found out; everybody else
//! is `anonymous`. What either may do is the policy's business. Tokens that clients
//! send along (`X-Escape-Token`) are neither read nor logged.

use std::{cell::RefCell, net::SocketAddr, sync::Arc};

use axum::http::{HeaderMap, HeaderValue, header, request::Parts};

use crate::{
    app::App,
    authz::{Caller, Principal, PrincipalKind, RequestInfo, Warnings},
    clock::now_ms,
};

/// The address of the client, put beside each request by the accept loop.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The id of a request: the client's own if it makes sense, else a random one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestId(pub(super) String);

/// The header that carries a [`RequestId`] both ways.
pub(super) const REQUEST_ID: &str = "x-request-id";

const REQUEST_ID_BYTES_MAX: usize = 128;
const WARNING_CHARS_MAX: usize = 200;

impl RequestId {
    /// Takes the client's, or makes one.
    pub(super) fn of(headers: &HeaderMap) -> RequestId {
        let sane = |it: &&str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
            !it.is_empty() && it.len() <= REQUEST_ID_BYTES_MAX && it.bytes().all(plain)
        };
        let theirs = headers.get(REQUEST_ID).and_then(|it| it.to_str().ok()).filter(sane);
        RequestId(theirs.map_or_else(random_id, str::to_owned))
    }
}

/// 32 random hexadecimal digits. The system is asked for randomness in larger pieces:
/// asking costs more than all the rest of an id.
fn random_id() -> String {
    const BYTES: usize = 16;
    thread_local! {
        static POOL: RefCell<([u8; 64 * BYTES], usize)> = const { RefCell::new(([0; 64 * BYTES], 0)) };
    }
    let id = POOL.with_borrow_mut(|(pool, left)| {
        if *left == 0 && getrandom::fill(pool).is_ok() {
            *left = pool.len();
        }
        *left = left.checked_sub(BYTES)?;
        Some(hex::encode(&pool[*left..][..BYTES]))
    });
    // Where the system has none, it says so here.
    id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string())
}

/// Describes who is behind a request, with the plugins in force now.
///
/// A [`Principal`] beside the request is taken at its word: no client can put one
/// there, only code in this process, such as a test.
pub(super) fn caller(app: &App, parts: &mut Parts, id: &RequestId) -> Arc<Caller> {
    let principal = parts.extensions.remove::<Principal>();
    Arc::new(Caller {
        principal: principal.unwrap_or_else(anonymous),
        token: String::new(),
        request: RequestInfo {
            id: id.0.clone(),
            trace_parent: trace_parent(&parts.headers),
            remote: parts.extensions.get::<Peer>().map(|it| it.0.ip().to_string()),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            received_at: now_ms(),
        },
        plugins: app.plugins.set(),
        warnings: Warnings::default(),
    })
}

/// Puts what the before-hooks want the caller to know into the answer's head, a
/// `Warning` each.
pub(super) fn warn(caller: &Caller, headers: &mut HeaderMap) {
    for warning in caller.warnings.take() {
        headers.append(header::WARNING, warning_of(&warning));
    }
}

/// `299 chandlery "TEXT"`, cut to what a head has room for. A head is plain ASCII:
/// what is not is shown as `?`.
fn warning_of(text: &str) -> HeaderValue {
    let mut value = String::from("299 chandlery \"");
    for it in text.chars().take(WARNING_CHARS_MAX) {
        match it {
            '"' | '\\' => value.extend(['\\', it]),
            ' '..='~' => value.push(it),
            it if it.is_whitespace() => value.push(' '),
            _ => value.push('?'),
        }
    }
    value.push('"');
    HeaderValue::from_str(&value).expect("visible ASCII makes a header")
}

fn anonymous() -> Principal {
    Principal {
        id: "anonymous".to_owned(),
        kind: PrincipalKind::Anonymous,
        groups: Vec::new(),
        roles: Vec::new(),
        claims: Vec::new(),
    }
}

/// The `traceparent` header, if it has the form that W3C gave it.
fn trace_parent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = text.split('-');
    let mut hexadecimal = |digits: usize| {
        parts.next().is_some_and(|it| {
            it.len() == digits && it.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let whole = hexadecimal(2) && hexadecimal(32) && hexadecimal(16) && hexadecimal(2);
    (whole && parts.next().is_none()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_sane_request_id_is_kept() {
        let theirs = "build-17/step.3:a_b";
        assert_eq!(RequestId::of(&headers(REQUEST_ID, theirs)).0, theirs);
    }

    #[test]
    fn an_odd_request_id_is_replaced() {
        for odd in ["", "two words", "a\tb", "\"quoted\"", &"x".repeat(129)] {
            let id = RequestId::of(&headers(REQUEST_ID, odd));
            assert_ne!(id.0, odd);
            assert_eq!(id.0.len(), 32);
        }
    }

    #[test]
    fn request_ids_of_our_own_differ() {
        let none = HeaderMap::new();
        let ids: HashSet<_> = (0..1000).map(|_| RequestId::of(&none).0).collect();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn a_warning_is_one_quoted_line_whatever_a_hook_says() {
        assert_eq!(warning_of("mind the gap"), r#"299 chandlery "mind the gap""#);
        assert_eq!(warning_of("a \"b\" \\\r\nX: ü"), r#"299 chandlery "a \"b\" \\  X: ?""#);
        assert!(warning_of(&"\"".repeat(1_000)).len() < 450);
    }

    #[test]
    fn only_a_whole_trace_parent_is_passed_on() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(trace_parent(&headers("traceparent", good)).as_deref(), Some(good));
        for bad in ["00", "00-xx-yy-01", &format!("{good}-1"), &good.to_uppercase()] {
            assert_eq!(trace_parent(&headers("traceparent", bad)), None, "{bad}");
        }
    }
}
