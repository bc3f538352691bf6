//! Whom a request says it is for, and which page sent it.
//!
//! A page of any site can have a browser send requests to a loopback address. With
//! a name of its own that points there it could even read the answers, so such a
//! server answers to the names of the machine itself only. It could also change
//! things blindly, so what changes anything must not come from another site's page.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, StatusCode, header, request::Parts, uri::Authority};

use crate::{capabilities::address, config::Config};

const ELSEWHERE: &str = "this server does not answer to that `Host`: use a loopback address or \
    `localhost`, or add the name to the setting `allowed_hosts`";
const ANOTHER_SITE: &str = "a page of another site may not change anything here: `Origin` has to \
    name the same host as `Host`";

/// Why a request goes no further, if it is for somebody else or from another site.
pub(super) fn refusal(config: &Config, parts: &Parts) -> Option<(StatusCode, &'static str)> {
    if !is_for_us(config, parts) {
        return Some((StatusCode::MISDIRECTED_REQUEST, ELSEWHERE));
    }
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads && is_from_another_site(parts) {
        return Some((StatusCode::FORBIDDEN, ANOTHER_SITE));
    }
    None
}

/// Whether a request for that host, with or without a port, would be answered.
pub(super) fn answers_to(config: &Config, host: &str) -> bool {
    is_anything_ours(config) || authority(host.as_bytes()).is_some_and(|it| is_ours(config, &it))
}

fn is_for_us(config: &Config, parts: &Parts) -> bool {
    if is_anything_ours(config) {
        return true;
    }
    let in_target = parts.uri.authority().cloned().map(Some);
    let in_headers = parts.headers.get_all(header::HOST).iter().map(|it| authority(it.as_bytes()));
    // Old clients may leave the name out; browsers never do.
    in_target.into_iter().chain(in_headers).all(|it| it.is_some_and(|it| is_ours(config, &it)))
}

/// On a network the names that lead here are not known, unless the settings tell.
fn is_anything_ours(config: &Config) -> bool {
    !address::is_loopback(config.listen.ip()) && config.allowed_hosts.is_empty()
}

fn is_ours(config: &Config, authority: &Authority) -> bool {
    let host = bare(authority.host());
    if let Ok(address) = host.parse::<IpAddr>()
        && address::is_loopback(address)
    {
        return true;
    }
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || config.allowed_hosts.iter().any(|it| bare(it).eq_ignore_ascii_case(&host))
}

/// The host without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host)
}

fn authority(bytes: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(bytes).ok()?;
    (!authority.as_str().contains('@')).then_some(authority)
}

fn is_from_another_site(parts: &Parts) -> bool {
    let site = parts.headers.get("sec-fetch-site");
    if site.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"cross-site")) {
        return true;
    }
    let own = own(parts);
    let same = |origin: &[u8]| own.as_ref().is_some_and(|own| is_same(origin, own));
    !parts.headers.get_all(header::ORIGIN).iter().all(|it| same(it.as_bytes()))
}

/// What the request says it is for.
fn own(parts: &Parts) -> Option<Authority> {
    let in_headers = |it: &HeaderMap| authority(it.get(header::HOST)?.as_bytes());
    parts.uri.authority().cloned().or_else(|| in_headers(&parts.headers))
}

/// Whether an `Origin` is the host and port that the request is for. Where one of
/// them leaves the port out, it is that of the origin's scheme.
fn is_same(origin: &[u8], own: &Authority) -> bool {
    let origin = std::str::from_utf8(origin).ok().and_then(|it| it.split_once("://"));
    let Some((scheme, origin)) = origin else { return false };
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    authority(origin.as_bytes()).is_some_and(|it| {
        it.host().eq_ignore_ascii_case(own.host())
            && it.port_u16().unwrap_or(port) == own.port_u16().unwrap_or(port)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn config(listen: &str, allowed_hosts: &[&str]) -> Config {
        let allowed_hosts = allowed_hosts.iter().map(|it| (*it).to_owned()).collect();
        Config { listen: listen.parse().unwrap(), allowed_hosts, ..Config::default() }
    }

    fn status(config: &Config, method: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        refusal(config, &parts).map_or(200, |(status, _)| status.as_u16())
    }

    #[test]
    fn on_loopback_only_the_machines_own_names_are_answered() {
        for listen in ["127.0.0.1:7577", "[::1]:7577", "[::ffff:127.0.0.1]:7577"] {
            let config = config(listen, &["Releases.Example", "[2001:db8::7]"]);
            let get = |host| status(&config, "GET", "/", &[("host", host)]);
            for host in [
                "localhost",
                "LOCALHOST:1",
                "a.localhost:7577",
                "127.0.0.1",
                "127.9.9.9:80",
                "[::1]",
                "[::1]:7577",
                "[::ffff:127.0.0.1]:7577",
                "releases.example",
                "releases.EXAMPLE:443",
                "[2001:db8::7]:1",
            ] {
                assert_eq!(get(host), 200, "{host}");
            }
            for host in [
                "evil.example",
                "evil.example:7577",
                "localhost.evil.example",
                "notlocalhost",
                "127.0.0.1.evil.example",
                "localhost@evil.example",
                "evil@localhost",
                "10.0.0.1",
                "0.0.0.0:7577",
                "[::]",
                "[::1",
                "2130706433",
                "a.releases.example",
                "",
            ] {
                assert_eq!(get(host), 421, "{host}");
            }
            assert_eq!(status(&config, "GET", "/", &[]), 200, "HTTP/1.0");
        }
    }

    #[test]
    fn a_name_in_the_target_counts_as_well() {
        let config = config("127.0.0.1:7577", &[]);
        let get = |target, host| status(&config, "GET", target, &[("host", host)]);
        assert_eq!(get("http://localhost:7577/", "localhost:7577"), 200);
        assert_eq!(get("http://evil.example/", "localhost:7577"), 421);
        assert_eq!(get("http://localhost:7577/", "evil.example"), 421);
    }

    #[test]
    fn on_a_network_only_the_settings_limit_the_names() {
        let get = |config| status(&config, "GET", "/", &[("host", "releases.example")]);
        assert_eq!(get(config("0.0.0.0:7577", &[])), 200);
        assert_eq!(get(config("0.0.0.0:7577", &["releases.example"])), 200);
        assert_eq!(get(config("0.0.0.0:7577", &["other.example"])), 421);
    }

    #[test]
    fn what_changes_anything_does_not_come_from_another_site() {
        for listen in ["127.0.0.1:7577", "0.0.0.0:7577"] {
            let config = config(listen, &[]);
            let from = |method, origin| {
                let headers = [("host", "localhost:7577"), ("origin", origin)];
                status(&config, method, "/", &headers)
            };
            for origin in ["http://localhost:7577", "https://LOCALHOST:7577"] {
                assert_eq!(from("POST", origin), 200, "{origin}");
            }
            for origin in [
                "null",
                "",
                "http://evil.example",
                "http://localhost",
                "http://localhost:7578",
                "http://evil@localhost:7577",
                "ext://localhost:7577",
                "localhost:7577",
            ] {
                for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
                    assert_eq!(from(method, origin), 403, "{method} {origin}");
                }
                for method in ["GET", "HEAD", "OPTIONS"] {
                    assert_eq!(from(method, origin), 200, "{method} {origin}");
                }
            }
            let site = |method, site| {
                let headers = [("host", "localhost"), ("sec-fetch-site", site)];
                status(&config, method, "/", &headers)
            };
            assert_eq!(site("POST", "cross-site"), 403);
            assert_eq!(site("POST", "same-origin"), 200);
            assert_eq!(site("GET", "cross-site"), 200);
            let usual = [("host", "localhost"), ("origin", "http://localhost")];
            assert_eq!(status(&config, "POST", "/", &usual), 200, "the usual port is left out");
            let two = [usual[0], usual[1], ("origin", "http://evil.example")];
            assert_eq!(status(&config, "POST", "/", &two), 403);
            assert_eq!(status(&config, "POST", "/", &[("origin", "http://localhost")]), 403);
        }
    }
}
