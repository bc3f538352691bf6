//! The `repositories` section: where packages come from besides `local`.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Config, Secret};
use crate::{
    capabilities::address,
    error::{Error, Result},
    inventory::NamespaceName,
    store::packages::{LOCAL, Repository},
};

/// Repositories at the most.
const REPOSITORIES_MAX: usize = 100;
/// Their names, descriptions and addresses, in characters.
const TEXT_CHARS_MAX: usize = 255;

/// A repository of packages: a `local` one, one at a `url`, or one of a namespace of
/// the `inventory`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepositoryConfig {
    /// Where its `index.yml` is: `file:`, `http:` or `https:`. For people only where it
    /// is a local one.
    pub url: String,
    /// Where its sources are, for people.
    pub source_url: Option<String>,
    /// Whether packages can be uploaded to it, and are kept here.
    pub local: bool,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// The highest wins where several have the same package.
    pub repo_order: Option<i64>,
    /// A namespace of the inventory: its units' versions whose package holds a
    /// `package.yml` are packages of this repository.
    pub inventory: Option<String>,
    /// Who asks at `url`, where that wants to know, by HTTP Basic.
    pub username: String,
    /// That user's password, or where it is: `env:VARIABLE`, `file:PATH`.
    pub password: Secret,
}

/// The repositories of the settings, without ids.
pub fn repositories(config: &Config) -> Vec<Repository> {
    let one = |(name, it): (&String, &RepositoryConfig)| Repository {
        name: name.clone(),
        url: match &it.inventory {
            Some(namespace) => format!("inventory://{namespace}"),
            None => it.url.clone(),
        },
        source_url: it.source_url.clone(),
        local: it.local || name == LOCAL,
        description: it.description.clone(),
        repo_order: it.repo_order,
        inventory: it.inventory.clone(),
        ..Repository::default()
    };
    config.repositories.iter().map(one).collect()
}

/// Checks the section.
pub(super) fn check(config: &Config) -> Result<()> {
    if config.repositories.len() > REPOSITORIES_MAX {
        let message = format!("there may be {REPOSITORIES_MAX} repositories");
        return Err(Error::invalid("repositories", message));
    }
    config.repositories.iter().try_for_each(|(name, it)| check_one(name, it))
}

fn check_one(name: &str, repository: &RepositoryConfig) -> Result<()> {
    let key = format!("repositories.{name}");
    let wrong = |field: &str, message: &str| {
        let dot = if field.is_empty() { "" } else { "." };
        Err(Error::invalid(format!("{key}{dot}{field}"), message))
    };
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let begins = name.starts_with(|it: char| it.is_ascii_alphanumeric());
    if !begins || !name.chars().all(plain) || name.len() > TEXT_CHARS_MAX {
        return wrong(
            "",
            "its name must begin with a letter or a digit and have letters, digits, dots, dashes \
             and underscores only",
        );
    }
    let description = repository.description.as_deref().unwrap_or_default();
    if description.chars().count() > TEXT_CHARS_MAX {
        return wrong("description", "it has more than 255 characters");
    }
    if repository.username.is_empty() != repository.password.is_empty() {
        return wrong("username", "a `username` and a `password` come together");
    }
    if !repository.username.is_empty() && !is_web(&repository.url) {
        return wrong("username", "only an `http:` or `https:` repository asks for one");
    }
    if let Some(namespace) = &repository.inventory {
        if repository.local || !repository.url.is_empty() || name == LOCAL {
            return wrong("inventory", "a repository of the inventory has no `url` and no `local`");
        }
        if NamespaceName::parse(namespace).is_err() {
            return wrong("inventory", "it must be the name of a namespace");
        }
        return Ok(());
    }
    if repository.local || name == LOCAL {
        return Ok(());
    }
    match check_url(&repository.url) {
        Ok(()) => Ok(()),
        Err(why) => wrong("url", &why),
    }
}

fn check_url(text: &str) -> Result<(), String> {
    let form = "it must be `http://…`, `https://…` or `file:/…`, an absolute address below which \
                `index.yml` is; without one a repository is `local = true` or has `inventory`";
    if text.starts_with("file:") {
        let url = Url::parse(text).map_err(|_| form.to_owned())?;
        let absolute = text.starts_with("file:/") && !text.contains('\\');
        return match absolute && url.host_str().is_none() && url.to_file_path().is_ok() {
            true => Ok(()),
            false => Err(form.to_owned()),
        };
    }
    if !is_web(text) {
        return Err(form.to_owned());
    }
    let url = address::parse(text).map_err(|it| match it {
        address::Refusal::Denied(why) => why,
        _ => form.to_owned(),
    })?;
    match url.query().or(url.fragment()) {
        None => Ok(()),
        Some(_) => Err("it must not have a query or a fragment".to_owned()),
    }
}

fn is_web(url: &str) -> bool {
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, change: impl FnOnce(&mut RepositoryConfig)) -> Result<(), String> {
        let mut repository = RepositoryConfig::default();
        change(&mut repository);
        check_one(name, &repository).map_err(|it| match it {
            Error::Invalid { field, message } => format!("{field}: {message}"),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_repository_is_local_or_at_an_address_or_of_the_inventory() {
        assert_eq!(checked("local", |_| ()), Ok(()));
        assert_eq!(checked("team", |it| it.local = true), Ok(()));
        assert_eq!(checked("team", |it| it.inventory = Some("acme".into())), Ok(()));
        for url in ["http://h:1/a", "https://h", "file:/a/b", "file:///a"] {
            assert_eq!(checked("team", |it| it.url = url.into()), Ok(()), "{url}");
        }
        for url in [
            "",
            "ftp://h",
            "http:",
            "http://u:p@h/",
            "http://h/?a",
            "http://h/#a",
            "file:a",
            "file://h/a",
            "classpath:/a",
            "/a",
        ] {
            let why = checked("team", |it| it.url = url.into()).unwrap_err();
            assert!(why.starts_with("repositories.team.url: "), "{url}: {why}");
        }
        let both = |it: &mut RepositoryConfig| {
            it.inventory = Some("acme".into());
            it.local = true;
        };
        assert!(checked("team", both).unwrap_err().starts_with("repositories.team.inventory: "));
        let odd = checked("team", |it| it.inventory = Some(String::new()));
        assert!(odd.unwrap_err().starts_with("repositories.team.inventory: "));
    }

    #[test]
    fn a_name_fits_into_an_address() {
        for name in ["", "a/b", "..", "a b", "-a", "ä"] {
            let why = checked(name, |it| it.local = true).unwrap_err();
            assert!(why.starts_with("repositories."), "{why}");
        }
    }

    #[test]
    fn a_user_has_a_password_and_somewhere_to_show_it() {
        let user = |url: &str, password: &str| {
            checked("team", |it| {
                it.url = url.into();
                it.username = "me".into();
                it.password = password.into();
            })
        };
        assert_eq!(user("https://h", "env:PASSWORD"), Ok(()));
        for (url, password) in [("https://h", ""), ("file:/a", "x")] {
            assert!(user(url, password).unwrap_err().starts_with("repositories.team.username: "));
        }
    }
}
