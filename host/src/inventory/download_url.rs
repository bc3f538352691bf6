//! Whether a download's URL can be read, by the rules that Escape reads it with.
//!
//! These are looser than a browser's: `mailto:x` and `http:///x` pass, and so do
//! hosts that no name server would take. A URL is kept as it was sent.

use crate::error::{Error, Result};

/// Checks a download's URL.
pub(super) fn check(url: &str) -> Result<()> {
    match scheme(url) {
        Err(why) => Err(invalid(url, why)),
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let message = format!("Missing URL scheme in download config '{url}'");
            Err(Error::invalid("downloads", message))
        }
    }
}

fn invalid(url: &str, why: &str) -> Error {
    Error::invalid("downloads", format!("Invalid URL '{url}' in download config: {why}"))
}

fn scheme(url: &str) -> Result<Option<&str>, &'static str> {
    if url.bytes().any(|it| it.is_ascii_control()) {
        return Err("it holds a control character");
    }
    let whole = url.split('#').next().unwrap_or_default();
    let (scheme, rest) = split_scheme(whole)?;
    let rest = rest.split('?').next().unwrap_or_default();
    if scheme.is_some() && !rest.starts_with('/') {
        return Ok(scheme);
    }
    let path = match rest.strip_prefix("//") {
        Some(rest) if scheme.is_some() || !rest.starts_with('/') => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            check_authority(authority)?;
            path
        }
        _ => rest,
    };
    if scheme.is_none() && path.split('/').next().is_some_and(|it| it.contains(':')) {
        return Err("its first segment holds a colon");
    }
    check_escapes(path)?;
    Ok(scheme)
}

fn split_scheme(url: &str) -> Result<(Option<&str>, &str), &'static str> {
    let is_inner = |it: char| it.is_ascii_alphanumeric() || matches!(it, '+' | '-' | '.');
    match url.find(|it| !is_inner(it)) {
        Some(at) if url[at..].starts_with(':') => {
            if at == 0 {
                return Err("it starts with a colon, without a scheme");
            }
            let starts_with_a_letter = url.starts_with(|it: char| it.is_ascii_alphabetic());
            Ok(if starts_with_a_letter { (Some(&url[..at]), &url[at + 1..]) } else { (None, url) })
        }
        _ => Ok((None, url)),
    }
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    let host = authority.rsplit('@').next().unwrap_or_default();
    check_escapes(host)?;
    if host.contains([' ', '<', '>', '"', '\\', '^', '`', '{', '|', '}']) {
        return Err("its host holds a character that no host has");
    }
    let port = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("a `]` is missing in its host")?.1,
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err("its port is no number");
    }
    Ok(())
}

fn check_escapes(text: &str) -> Result<(), &'static str> {
    for (at, _) in text.match_indices('%') {
        let is_hex = |it: &[u8]| it.iter().all(u8::is_ascii_hexdigit);
        if !text.as_bytes().get(at + 1..at + 3).is_some_and(is_hex) {
            return Err("a `%` in it is not followed by two hexadecimal digits");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn urls_with_a_scheme_pass() {
        for url in [
            "http://a",
            "https://a.b:80/c?d=%#e",
            "file:///x",
            "mailto:x",
            "http:///x",
            "s3+x.y-z://a/%20",
            "http://u:p@[::1]:8/x",
            "a:b",
        ] {
            assert!(check(url).is_ok(), "{url}: {:?}", check(url));
        }
    }

    #[test]
    fn urls_that_cannot_be_read_are_refused() {
        for url in [
            ":a",
            "http://a:x/",
            "http://[::1/",
            "http://a b/",
            "http://a/%zz",
            "http://a/%2",
            "1http://x",
            "http://a\n",
        ] {
            let message = check(url).unwrap_err().to_string();
            let expected = format!("Invalid URL '{url}' in download config: ");
            assert!(message.starts_with(&expected), "{message}");
        }
        for url in ["a", "a/b", "/a", "//a/b", "?a:b", "a.b/c:d"] {
            let expected = format!("Missing URL scheme in download config '{url}'");
            assert_eq!(check(url).unwrap_err().to_string(), expected);
        }
    }
}
