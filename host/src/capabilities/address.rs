//! Which network addresses may be reached, and which URL a grant covers.
//!
//! A name is resolved once, every address behind it is checked, and the connection
//! is pinned to what was checked: a name server that answers differently the next
//! time gains nothing.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use url::{Host, Url};

use crate::error::{Error, Result};

/// Why an address or a URL is not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may not be; the text says why.
    Denied(String),
    /// The name does not resolve.
    Unresolved(String),
    /// The name was not resolved in time.
    Timeout,
}

/// Reads a list of networks in CIDR form.
pub fn networks(texts: &[String]) -> Result<Vec<IpNet>> {
    texts
        .iter()
        .map(|text| {
            text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                Error::invalid("private", format!("`{text}` is no network in CIDR form"))
            })
        })
        .collect()
}

/// Reads an absolute `http` or `https` URL without room for doubt: no user, and
/// the host spelt the way it is understood, so that `http://2130706433/`,
/// `http://0x7f.1/` or `http://good@evil/` are never taken for something else.
pub fn parse(text: &str) -> Result<Url, Refusal> {
    let denied = |why: &str| Err(Refusal::Denied(format!("the URL {why}")));
    if text.len() > 8192 {
        return denied("is longer than 8192 bytes");
    }
    if text.chars().any(|it| it.is_control() || it.is_whitespace() || it == '\\') {
        return denied("holds a control character, white space or a backslash");
    }
    let Ok(url) = Url::parse(text) else {
        return denied("is no absolute URL");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return denied("has a scheme other than `http` and `https`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return denied("holds a user or a password");
    }
    let host = url.host_str().unwrap_or_default();
    let plain = format!("{}://{host}", url.scheme());
    let spelt = text.to_ascii_lowercase();
    let rest = spelt.strip_prefix(&plain);
    if host.is_empty()
        || host.ends_with('.')
        || !rest.is_some_and(|it| it.is_empty() || it.starts_with([':', '/', '?', '#']))
    {
        return denied(&format!("does not spell its host as it is understood (`{host}`)"));
    }
    Ok(url)
}

/// Resolves the host of a URL and checks every address behind it with `allowed`.
pub async fn resolve(
    url: &Url,
    left: Duration,
    allowed: impl Fn(IpAddr) -> bool,
) -> Result<Vec<SocketAddr>, Refusal> {
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses = match url.host() {
        Some(Host::Ipv4(it)) => vec![SocketAddr::new(it.into(), port)],
        Some(Host::Ipv6(it)) => vec![SocketAddr::new(it.into(), port)],
        Some(Host::Domain(name)) => look_up(name, port, left).await?,
        None => return Err(Refusal::Denied("the URL has no host".into())),
    };
    check(url.host_str().unwrap_or_default(), &addresses, allowed)?;
    Ok(addresses)
}

/// Checks the host of a URL that is not resolved: a name stands for a public address,
/// `localhost` for this machine.
pub(super) fn check_unresolved(url: &Url, allowed: impl Fn(IpAddr) -> bool) -> Result<(), Refusal> {
    const PUBLIC: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(it)) => it.into(),
        Some(Host::Ipv6(it)) => it.into(),
        Some(Host::Domain("localhost")) => Ipv4Addr::LOCALHOST.into(),
        Some(Host::Domain(_)) => PUBLIC.into(),
        None => return Err(Refusal::Denied("the URL has no host".into())),
    };
    check(url.host_str().unwrap_or_default(), &[SocketAddr::new(address, 0)], allowed)
}

/// One forbidden address among many refuses them all: which one is taken would be
/// chance.
fn check(
    host: &str,
    addresses: &[SocketAddr],
    allowed: impl Fn(IpAddr) -> bool,
) -> Result<(), Refusal> {
    if addresses.is_empty() {
        return Err(Refusal::Unresolved(format!("`{host}` has no address")));
    }
    match addresses.iter().find(|it| !allowed(it.ip())) {
        Some(it) => Err(Refusal::Denied(format!(
            "`{host}` is at {}, which is not a public address: add its network to `private`",
            it.ip()
        ))),
        None => Ok(()),
    }
}

async fn look_up(name: &str, port: u16, left: Duration) -> Result<Vec<SocketAddr>, Refusal> {
    match tokio::time::timeout(left, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(it)) => Err(Refusal::Unresolved(format!("`{name}`: {it}"))),
        Err(_) => Err(Refusal::Timeout),
    }
}

/// Whether an address may be reached: it is public, or in one of the networks.
pub fn allowed(address: IpAddr, private: &[IpNet]) -> bool {
    let address = canonical(address);
    is_public(address) || private.iter().any(|it| it.contains(&address))
}

/// Whether an address is the machine itself.
pub fn is_loopback(address: IpAddr) -> bool {
    canonical(address).is_loopback()
}

/// Whether anybody on the internet would reach the same machine under it.
pub fn is_public(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(it) => is_public_v4(it),
        IpAddr::V6(it) => is_public_v6(it),
    }
}

// `::ffff:127.0.0.1` is 127.0.0.1 to the kernel, and so it is here.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(it) => it.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 224)
}

// Only 2000::/3 is handed out. Inside it, what embeds an IPv4 address (Teredo,
// 6to4) or is set apart stays out; NAT64, unique local, link-local, site-local and
// multicast addresses lie outside of it.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    (0x2000..0x4000).contains(&a)
        && !(a == 0x2001 && b < 0x0200)
        && !(a == 0x2001 && b == 0x0db8)
        && a != 0x2002
        && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address} is not public");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address} is public");
        }
    }

    #[test]
    fn a_private_network_is_reached_only_where_it_is_granted() {
        let private = networks(&["10.1.0.0/16".into(), "fd00::/8".into(), "127.0.0.1".into()]);
        let private = private.unwrap();
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd12::1", true),
            ("fc00::1", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
        ] {
            assert_eq!(allowed(address.parse().unwrap(), &private), expected, "{address}");
        }
        assert!(networks(&["10.0.0.0/33".into()]).is_err());
    }

    #[test]
    fn a_url_that_could_be_read_two_ways_is_refused() {
        for url in [
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://localhost./",
            "http://good@evil/",
            "http://a:b@evil/",
            "http://@evil/",
            "http://evil\\@good/",
            "http://%6cocalhost/",
            "http:/evil",
            "http:evil",
            "http://",
            "http:///evil",
            "ftp://evil/",
            "file:///etc/passwd",
            "//evil/",
            "evil",
            "http://ev\til/",
            " http://evil/",
            "http://evil/ ",
            "http://ｅvil/",
            "http://①②⑦.0.0.1/",
            "http://[::ffff:127.0.0.1]:80@x/",
            "http://[0:0::1]/",
            "gopher://x/",
        ] {
            assert!(matches!(parse(url), Err(Refusal::Denied(_))), "{url}");
        }
        for url in [
            "http://127.0.0.1/",
            "HTTP://Example.ORG:8080/a?b#c",
            "https://[::1]:1/",
            "https://xn--mnchen-3ya.example/",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_is_refused_when_one_of_its_addresses_is() {
        let at = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|it| SocketAddr::new(it.parse().unwrap(), 80)).collect()
        };
        let public = |it| allowed(it, &[]);
        assert_eq!(check("x", &at(&["8.8.8.8", "1.1.1.1"]), public), Ok(()));
        assert!(matches!(
            check("x", &at(&["8.8.8.8", "10.0.0.1"]), public),
            Err(Refusal::Denied(_))
        ));
        assert!(matches!(check("x", &[], public), Err(Refusal::Unresolved(_))));

        let url = parse("http://localhost:9/").unwrap();
        let refused = resolve(&url, Duration::from_secs(5), public).await;
        assert!(matches!(refused, Err(Refusal::Denied(_))), "{refused:?}");
    }
}
