//! The one user that the settings may name, in the manner of the Escape Inventory:
//! HTTP Basic, a name and a password for everybody who may come in.
//!
//! Only a digest is kept, under a key of this process.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{
    authz::{Label, Principal, PrincipalKind},
    capabilities::secrets,
    config::{Config, Secret},
    error::{Error, Result},
};

const KEY: &str = "basic_auth_password";

/// Marks a principal that several people are behind.
const SHARED: (&str, &str) = ("account", "shared");

/// The user that the settings name.
pub struct Login {
    username: String,
    key: [u8; 32],
    digest: [u8; 32],
}

impl Login {
    /// The user of these settings, if they set a password, which is taken out of them.
    pub fn take(config: &mut Config) -> Result<Option<Login>> {
        let given = std::mem::take(&mut config.basic_auth_password);
        if given.is_empty() {
            return Ok(None);
        }
        let password = password(&given)?;
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|it| Error::Internal(format!("there is no randomness: {it}")))?;
        let username = config.basic_auth_username.clone();
        let whole = [username.as_bytes(), b":", &password].concat();
        Ok(Some(Login { digest: digest(&key, &whole), username, key }))
    }

    /// Whether `name:password` is the right one. Says so in the same time wherever the
    /// two differ.
    pub fn accepts(&self, credentials: &[u8]) -> bool {
        digest(&self.key, credentials).ct_eq(&self.digest).into()
    }

    /// Who comes in with it.
    pub fn principal(&self) -> Principal {
        let (key, value) = SHARED;
        Principal {
            id: format!("user:{}", self.username),
            kind: PrincipalKind::User,
            groups: Vec::new(),
            roles: Vec::new(),
            claims: vec![Label { key: key.to_owned(), value: value.to_owned() }],
        }
    }
}

/// The name that is shown for what somebody did; empty for nobody in particular, such
/// as whoever has the password that all share.
pub fn shown_name(principal: &Principal) -> &str {
    let shared = principal.claims.iter().any(|it| (&*it.key, &*it.value) == SHARED);
    match principal.kind {
        PrincipalKind::Anonymous => "",
        _ if shared => "",
        _ => principal.id.split_once(':').map_or(&*principal.id, |(_, name)| name),
    }
}

/// The password itself, or what `env:VARIABLE` and `file:PATH` point at.
fn password(given: &Secret) -> Result<Vec<u8>> {
    let password = match secrets::pointed_at(given.expose()) {
        None => given.expose().as_bytes().to_vec(),
        Some(read) => read.map_err(|why| Error::invalid(KEY, why))?,
    };
    match password.is_empty() {
        true => Err(Error::invalid(KEY, "what it points at is empty")),
        false => Ok(password),
    }
}

fn digest(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(username: &str, password: &str) -> Login {
        let mut config = Config {
            basic_auth_username: username.to_owned(),
            basic_auth_password: password.into(),
            ..Config::default()
        };
        let login = Login::take(&mut config).unwrap().unwrap();
        assert!(config.basic_auth_password.is_empty(), "the settings forget it");
        login
    }

    #[test]
    fn only_the_whole_name_and_password_are_accepted() {
        let login = login("escape", "a:b:c ä");
        assert!(login.accepts("escape:a:b:c ä".as_bytes()));
        for wrong in
            ["escape:a:b", "escape:a:b:c ä:", "Escape:a:b:c ä", "escape:", "escape", ":", ""]
        {
            assert!(!login.accepts(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_password_may_be_pointed_at() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from a file\n").unwrap();
        let login = login("escape", &format!("file:{}", file.path().display()));
        assert!(login.accepts(b"escape:from a file"));
        assert!(!login.accepts(format!("escape:file:{}", file.path().display()).as_bytes()));
    }

    #[test]
    fn a_password_that_is_not_there_leaves_no_door_open() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let empty = format!("file:{}", empty.path().display());
        for nowhere in ["env:CHANDLERY_NO_SUCH_VARIABLE", "file:/no/such/file", &empty] {
            let mut config = Config { basic_auth_password: nowhere.into(), ..Config::default() };
            assert!(Login::take(&mut config).is_err(), "{nowhere}");
        }
        assert!(Login::take(&mut Config::default()).unwrap().is_none());
    }

    #[test]
    fn whoever_shares_an_account_has_no_name() {
        let mut principal = login("escape", "x").principal();
        assert_eq!(shown_name(&principal), "");
        principal.claims.clear();
        assert_eq!(shown_name(&principal), "escape");
        principal.kind = PrincipalKind::Anonymous;
        assert_eq!(shown_name(&principal), "");
    }
}
