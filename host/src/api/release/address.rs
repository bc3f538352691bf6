//! The address that links begin with.
//!
//! A proxy may say what the client called the server by. It is believed as far as the
//! same name would be answered to in `Host`, so that nobody's links lead elsewhere.

use axum::http::{HeaderMap, Uri};

use crate::{api::site, config::Config};

/// The address under which the client sees this server: scheme, host and port, and a
/// prefix if a proxy took one off.
pub(super) fn base(config: &Config, headers: &HeaderMap, uri: &Uri) -> String {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        // Each proxy adds to the end; the first was the client's own.
        value.split(',').next().map(str::trim).filter(|it| !it.is_empty())
    };
    let forwarded = |name: &str| {
        text("forwarded")?.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    };
    let scheme = forwarded("proto").or_else(|| text("x-forwarded-proto"));
    let scheme = match scheme {
        Some(it) if it.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let own = || text("host").or_else(|| uri.authority().map(|it| it.as_str()));
    let told = forwarded("host").or_else(|| text("x-forwarded-host"));
    let told = told.filter(|it| is_host(it) && site::answers_to(config, it));
    let host = told.or_else(|| own().filter(|it| is_host(it))).unwrap_or("localhost");
    let port = text("x-forwarded-port").filter(|it| {
        let default = if scheme == "https" { 443 } else { 80 };
        it.parse::<u16>().is_ok_and(|it| it != default) && told.is_some_and(|it| !has_port(it))
    });
    let prefix = text("x-forwarded-prefix").filter(|it| is_prefix(it)).unwrap_or_default();
    let prefix = prefix.trim_end_matches('/');
    match port {
        Some(port) => format!("{scheme}://{host}:{port}{prefix}"),
        None => format!("{scheme}://{host}{prefix}"),
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._:[]".contains(&it))
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        && !host.ends_with(']')
}

fn is_prefix(text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._~/".contains(&it))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn config() -> Config {
        Config { allowed_hosts: vec!["outer".to_owned()], ..Config::default() }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |it: &str| HeaderValue::from_bytes(it.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        for (name, text) in pairs {
            headers.append(*name, value(text));
        }
        headers
    }

    #[track_caller]
    fn check_base(pairs: &[(&'static str, &str)], expected: &str) {
        assert_eq!(base(&config(), &headers(pairs), &Uri::from_static("/api")), expected);
    }

    #[test]
    fn links_begin_with_the_address_that_the_client_used() {
        check_base(&[("host", "localhost:7577")], "http://localhost:7577");
        check_base(&[("host", "[::1]:7577")], "http://[::1]:7577");
        check_base(&[], "http://localhost");
        check_base(&[("host", "a/b?<c>")], "http://localhost");
        let uri = Uri::from_static("http://a:1/x");
        assert_eq!(base(&config(), &HeaderMap::new(), &uri), "http://a:1");
    }

    #[test]
    fn proxies_are_believed_in_where_they_stand() {
        let host = ("host", "inner:7577");
        check_base(
            &[host, ("x-forwarded-proto", "https"), ("x-forwarded-host", "outer")],
            "https://outer",
        );
        check_base(
            &[
                host,
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "outer, middle"),
                ("x-forwarded-port", "8443"),
                ("x-forwarded-prefix", "/skipper/"),
            ],
            "https://outer:8443/skipper",
        );
        check_base(
            &[host, ("x-forwarded-host", "outer"), ("x-forwarded-port", "80")],
            "http://outer",
        );
        check_base(
            &[host, ("forwarded", "for=1.2.3.4;proto=https;host=\"outer:1\", for=5.6.7.8")],
            "https://outer:1",
        );
        check_base(&[host, ("x-forwarded-proto", "gopher")], "http://inner:7577");
        check_base(&[host, ("x-forwarded-host", "evil\"<")], "http://inner:7577");
        // A name that would not be answered as `Host` does not come in by another door.
        check_base(&[host, ("x-forwarded-host", "evil.example")], "http://inner:7577");
        check_base(&[host, ("forwarded", "host=evil.example")], "http://inner:7577");
        check_base(&[host, ("x-forwarded-prefix", "//evil")], "http://inner:7577");
    }
}
