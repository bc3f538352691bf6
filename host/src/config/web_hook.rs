//! The `web_hook` setting: Escape's one URL that is told of every upload, as a binding
//! of the shipped `hook-webhook`.

use std::net::IpAddr;

use serde_json::json;
use url::{Host, Url};

use super::PluginConfig;
use crate::{
    capabilities::{Grants, address, http, secrets},
    error::{Error, Result},
};

/// The binding's name. An entry of `plugins` with that name takes its place.
pub(super) const NAME: &str = "web-hook";

/// Networks where a name that the operator wrote down may lead. Link-local addresses
/// are none of them: where a machine's provider answers there, it hands out secrets.
const NETWORKS: [&str; 6] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128"];

/// Reads the setting.
pub(super) fn read(text: &str) -> Result<Url> {
    let wrong = |why: &str| Error::invalid("web_hook", format!("it is no URL to post to: {why}"));
    address::parse(text).map_err(|it| match it {
        address::Refusal::Denied(why) => wrong(&why),
        _ => wrong("write `https://host/path`"),
    })
}

/// What the setting stands for.
pub(super) fn binding(url: &Url) -> PluginConfig {
    let private = match url.host() {
        Some(Host::Ipv4(it)) => vec![IpAddr::V4(it).to_string()],
        Some(Host::Ipv6(it)) => vec![IpAddr::V6(it).to_string()],
        _ => NETWORKS.map(str::to_owned).to_vec(),
    };
    let origins = vec![url.origin().ascii_serialization()];
    let grants = Grants {
        http: Some(http::Grant { origins, private, ..http::Grant::default() }),
        // The component can sign, and needs the door to secrets, which shows none.
        secrets: Some(secrets::Grant::default()),
        clock: true,
        documents: true,
        ..Grants::default()
    };
    PluginConfig {
        name: NAME.to_owned(),
        shipped: Some("hook-webhook".to_owned()),
        kind: "after-hook".to_owned(),
        settings: json!({ "urls": [{ "url": url.as_str(), "format": "escape" }] }),
        grants,
        actions: vec!["inventory:version:upload".to_owned()],
        ..PluginConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_own_url_may_be_private_and_nothing_else_may() {
        let grant = |url: &str| binding(&read(url).unwrap()).grants.http.unwrap();
        let it = grant("http://127.0.0.1:8080/in?token=x");
        assert_eq!(it.origins, ["http://127.0.0.1:8080"]);
        assert_eq!(it.private, ["127.0.0.1"]);
        assert!(!it.public);
        assert!(it.check().is_ok());
        let it = grant("https://ci.internal/in");
        assert!(it.private.contains(&"10.0.0.0/8".to_owned()));
        assert!(it.check().is_ok());
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in ["", "ci", "ftp://a/b", "https://user:pass@a/", "https://"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
