//! The paths of the release API in the one spelling that routes are matched in.
//!
//! A final slash means nothing, as in the original. And a name may be a word that other
//! routes have: a package `upload`, a release `list`. A route is looked for by its path
//! alone, and a word of its own comes before any name; so where a path that is deleted has a
//! name, its first letter is written as its code, which no route's word is.

use axum::http::{Method, Uri, request::Parts, uri::PathAndQuery};

/// The path as the client has sent it, where routes are matched in another spelling.
#[derive(Clone, Debug)]
pub(in crate::api) struct Sent(pub(in crate::api) String);

/// Brings the path of a request into the spelling of routes.
pub(in crate::api) fn respell(parts: &mut Parts) {
    let Some(path) = spelt(&parts.method, parts.uri.path()) else { return };
    let with_query = match parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let sent = Sent(parts.uri.path().to_owned());
    let mut of_uri = parts.uri.clone().into_parts();
    of_uri.path_and_query = PathAndQuery::try_from(with_query).ok();
    if let Ok(uri) = Uri::from_parts(of_uri) {
        parts.uri = uri;
        parts.extensions.insert(sent);
    }
}

/// The other spelling of a path, if routes need it.
fn spelt(method: &Method, path: &str) -> Option<String> {
    let bare = path.strip_suffix('/');
    let named = match *method {
        Method::DELETE => with_coded_name(bare.unwrap_or(path)),
        _ => None,
    };
    named.or_else(|| bare.map(str::to_owned))
}

/// `/api/release/list` as `/api/release/%6Cist`, and the same before `/package`.
fn with_coded_name(path: &str) -> Option<String> {
    let of = |root: &'static str| Some((root, path.strip_prefix(root)?));
    let (root, rest) = of("/api/package/").or_else(|| of("/api/release/"))?;
    let (name, more) = match rest.split_once('/') {
        None => (rest, ""),
        Some((name, "package")) if root == "/api/release/" => (name, "/package"),
        Some(_) => return None,
    };
    let first = name.bytes().next().filter(u8::is_ascii_alphanumeric)?;
    Some(format!("{root}%{first:02X}{}{more}", &name[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling_whatever_words_its_names_are() {
        for (method, path, expected) in [
            (Method::GET, "/api/release/list", None),
            (Method::GET, "/api/release/list/", Some("/api/release/list")),
            (Method::POST, "/api/package/upload", None),
            (Method::POST, "/api/package/upload/", Some("/api/package/upload")),
            (Method::DELETE, "/api/package/upload", Some("/api/package/%75pload")),
            (Method::DELETE, "/api/package/upload/", Some("/api/package/%75pload")),
            (Method::DELETE, "/api/release/list/package", Some("/api/release/%6Cist/package")),
            (Method::DELETE, "/api/package/list/package", None),
            (Method::DELETE, "/api/release/list/other", None),
            (Method::DELETE, "/api/release/%6Cist", None),
            (Method::DELETE, "/api/release/", Some("/api/release")),
            (Method::DELETE, "/api/packageMetadata/1", None),
        ] {
            assert_eq!(spelt(&method, path).as_deref(), expected, "{method} {path}");
        }
    }
}
