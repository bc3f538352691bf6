//! One entry of an `http` grant: `scheme://host[:port][/path-prefix]`.

use url::{Host, Url};

use crate::error::{Error, Result};

/// What URLs a grant's entry covers.
#[derive(Debug)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    any_below: bool,
    port: u16,
    path: String,
}

impl Origin {
    /// Reads an entry.
    pub(super) fn parse(text: &str) -> Result<Origin> {
        let wrong = |why: &str| Error::invalid("origins", format!("`{text}` {why}"));
        let (plain, any_below) = match text.split_once("://*.") {
            Some((scheme, rest)) => (format!("{scheme}://{rest}"), true),
            None => (text.to_owned(), false),
        };
        let url = super::address::parse(&plain)
            .map_err(|_| wrong("is no origin: write `scheme://host[:port][/path-prefix]`"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must not have a query or a fragment"));
        }
        if url.host_str().is_some_and(|it| it.contains('*')) {
            return Err(wrong("has a `*` that is not the whole first part of its host"));
        }
        if any_below && !matches!(url.host(), Some(Host::Domain(_))) {
            return Err(wrong("has `*.` before an address"));
        }
        Ok(Origin {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            any_below,
            port: url.port_or_known_default().unwrap_or(0),
            path: url.path().to_owned(),
        })
    }

    /// Whether a URL lies in it.
    pub(super) fn covers(&self, url: &Url) -> bool {
        url.scheme() == self.scheme
            && url.port_or_known_default() == Some(self.port)
            && self.covers_host(url.host_str().unwrap_or_default())
            && self.covers_path(url.path())
    }

    fn covers_host(&self, host: &str) -> bool {
        match self.any_below {
            false => host == self.host,
            true => host
                .strip_suffix(self.host.as_str())
                .is_some_and(|it| it.len() > 1 && it.ends_with('.')),
        }
    }

    // A prefix ends where a segment does. An encoded slash or dot could be read as
    // one behind a proxy, so below a prefix there must be none.
    fn covers_path(&self, path: &str) -> bool {
        if self.path == "/" {
            return true;
        }
        let lower = path.to_ascii_lowercase();
        if ["%2f", "%5c", "%2e", "//"].iter().any(|it| lower.contains(it)) {
            return false;
        }
        let prefix = self.path.trim_end_matches('/');
        path.strip_prefix(prefix).is_some_and(|it| it.is_empty() || it.starts_with('/'))
    }
}

/// Whether a URL points at one of these ports of the machine itself.
pub(super) fn is_own_process(url: &Url, ports: &[u16]) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(it)) => it.is_loopback(),
        Some(Host::Ipv6(it)) => it.is_loopback(),
        Some(Host::Domain(it)) => it == "localhost",
        None => false,
    };
    let port = url.port_or_known_default().unwrap_or(0);
    loopback && url.scheme() == "http" && ports.contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: &str, url: &str, expected: bool) {
        let url = super::super::address::parse(url).unwrap();
        assert_eq!(Origin::parse(origin).unwrap().covers(&url), expected, "{origin} covers {url}");
    }

    #[test]
    fn an_origin_covers_its_scheme_host_port_and_path_only() {
        check("https://a.org", "https://a.org/", true);
        check("https://a.org", "https://A.ORG:443/x?y", true);
        check("https://a.org", "http://a.org/", false);
        check("https://a.org", "https://a.org:8443/", false);
        check("https://a.org", "https://b.a.org/", false);
        check("https://a.org", "https://a.org.evil.com/", false);
        check("http://a.org:8080", "http://a.org:8080/x", true);
        check("https://*.a.org", "https://b.a.org/", true);
        check("https://*.a.org", "https://c.b.a.org/", true);
        check("https://*.a.org", "https://a.org/", false);
        check("https://*.a.org", "https://evila.org/", false);
        check("https://a.org/api", "https://a.org/api", true);
        check("https://a.org/api/", "https://a.org/api/x", true);
        check("https://a.org/api", "https://a.org/apix", false);
        check("https://a.org/api", "https://a.org/api/../secret", false);
        check("https://a.org/api", "https://a.org/api/%2e%2e/secret", false);
        check("https://a.org/api", "https://a.org/api/..%2fsecret", false);
        check("https://a.org/api", "https://a.org/api/x%5c..", false);
    }

    #[test]
    fn an_entry_that_is_no_origin_is_refused() {
        for text in [
            "",
            "*",
            "a.org",
            "ftp://a.org",
            "https://*",
            "https://*.1.2.3.4",
            "https://a@b",
            "https://a.org/?x",
            "https://a.*.org",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }
}
