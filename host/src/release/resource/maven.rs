//! `maven://group:artifact[:ext[:classifier]]:version` — from the configured
//! repositories in their order, and never without its checksum.

use futures::StreamExt;
use sha1::Sha1;
use sha2::Digest;

use super::{
    cached,
    web::{self, Login},
};
use crate::{
    app::App,
    blobs::Stored,
    capabilities::secrets,
    config::MavenRepository,
    error::{Error, Result},
    release::beside,
};

const CENTRAL: &str = "https://repo1.maven.org/maven2";

/// Where an artifact lies in a repository.
#[derive(Debug, PartialEq)]
struct Coordinates {
    group: String,
    artifact: String,
    extension: String,
    classifier: Option<String>,
    version: String,
}

/// Fetches an artifact from the first repository that has it. A release never changes
/// under its name, so one that is here already is not asked for again.
pub(super) async fn fetch(app: &App, location: &str) -> Result<Stored> {
    let path = Coordinates::parse(location)?.path();
    if let Some((resource, held)) = cached::find(app, location).await? {
        cached::used(app, location, resource).await?;
        return Ok(held);
    }
    let central = [MavenRepository::Url(CENTRAL.to_owned())];
    let (repositories, trusted) = match app.config.resources.maven_repositories.as_slice() {
        [] => (central.as_slice(), false),
        some => (some, true),
    };
    for repository in repositories {
        let url = format!("{}/{path}", repository.url().trim_end_matches('/'));
        let login = login(repository).await?;
        match web::fetch_from(app, &url, trusted, login.as_ref()).await {
            Err(Error::NotFound { .. }) => continue,
            Err(error) => return Err(error),
            Ok(stored) => {
                check(app, &url, trusted, login.as_ref(), &stored).await?;
                cached::keep(app, location, &stored, None).await?;
                return Ok(stored);
            }
        }
    }
    let asked: Vec<&str> = repositories.iter().map(MavenRepository::url).collect();
    Err(Error::Conflict(format!("none of {} has `{path}`", asked.join(", "))))
}

/// The user that a repository wants to know, with the password or what `env:VARIABLE`
/// and `file:PATH` point at.
async fn login(repository: &MavenRepository) -> Result<Option<Login>> {
    let MavenRepository::Login { username, password, .. } = repository else { return Ok(None) };
    let (username, password) = (username.clone(), password.clone());
    let read = beside(move || {
        let text = match secrets::pointed_at(password.expose()) {
            None => password.expose().to_owned(),
            Some(read) => String::from_utf8(read.map_err(Error::Conflict)?)
                .map_err(|_| Error::Conflict("a repository's password is not UTF-8".into()))?,
        };
        Ok(Login { username, password: text })
    });
    read.await.map(Some)
}

async fn check(
    app: &App,
    url: &str,
    trusted: bool,
    login: Option<&Login>,
    stored: &Stored,
) -> Result<()> {
    let text = async |kind: &str| web::text(app, &format!("{url}.{kind}"), trusted, login).await;
    let (expected, actual) = match text("sha256").await? {
        Some(text) => (text, stored.sha256.clone()),
        None => match text("sha1").await? {
            Some(text) => (text, sha1_of(app, stored).await?),
            None => {
                return Err(Error::Conflict(format!("`{url}` has neither `.sha256` nor `.sha1`")));
            }
        },
    };
    let expected = first_word(&expected);
    match expected == actual {
        true => Ok(()),
        false => {
            Err(Error::Conflict(format!("its checksum is {actual}, and should be {expected}")))
        }
    }
}

// Some tools write the file's name behind the checksum.
fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase()
}

async fn sha1_of(app: &App, stored: &Stored) -> Result<String> {
    let mut digest = Sha1::new();
    let mut chunks = app.blobs.get(&stored.sha256, 0..stored.size).await?;
    while let Some(chunk) = chunks.next().await {
        digest.update(&chunk?);
    }
    Ok(hex::encode(digest.finalize()))
}

impl Coordinates {
    fn parse(location: &str) -> Result<Coordinates> {
        let rest = location.strip_prefix("maven://").unwrap_or_default();
        let wrong = || {
            Error::Conflict("it must be `maven://group:artifact[:ext[:classifier]]:version`".into())
        };
        let parts: Vec<&str> = rest.split(':').collect();
        if !(3..=5).contains(&parts.len()) || !parts.iter().all(|it| is_plain(it)) {
            return Err(wrong());
        }
        let version = parts[parts.len() - 1];
        if version.ends_with("-SNAPSHOT") {
            return Err(Error::Conflict("snapshots change under their name: use a release".into()));
        }
        let at = |index: usize| parts.get(index).filter(|_| index < parts.len() - 1);
        Ok(Coordinates {
            group: parts[0].to_owned(),
            artifact: parts[1].to_owned(),
            extension: at(2).map_or("jar", |it| it).to_owned(),
            classifier: at(3).map(|it| (*it).to_owned()),
            version: version.to_owned(),
        })
    }

    fn path(&self) -> String {
        let Coordinates { group, artifact, extension, classifier, version } = self;
        let classifier = classifier.as_ref().map(|it| format!("-{it}")).unwrap_or_default();
        let folder = group.replace('.', "/");
        format!("{folder}/{artifact}/{version}/{artifact}-{version}{classifier}.{extension}")
    }
}

fn is_plain(part: &str) -> bool {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_.+".contains(it);
    !part.is_empty() && !part.contains("..") && !part.starts_with('.') && part.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(location: &str) -> Result<String> {
        Coordinates::parse(location).map(|it| it.path())
    }

    #[test]
    fn coordinates_say_where_an_artifact_lies() {
        assert_eq!(path("maven://org.acme:web:1.0").unwrap(), "org/acme/web/1.0/web-1.0.jar");
        assert_eq!(path("maven://g:web:zip:1.0").unwrap(), "g/web/1.0/web-1.0.zip");
        assert_eq!(path("maven://g:web:jar:exec:1.0").unwrap(), "g/web/1.0/web-1.0-exec.jar");
    }

    #[test]
    fn coordinates_that_lead_elsewhere_are_refused() {
        for odd in [
            "maven://g:a",
            "maven://g:a:b:c:d:1",
            "maven://g:..:1.0",
            "maven://g:a/b:1",
            "maven://g::1",
            "maven://.g:a:1",
            "maven:g:a:1",
            "maven://g:a:1?x",
            "maven://g:a:1-SNAPSHOT",
        ] {
            assert!(path(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_checksum_may_be_followed_by_a_name() {
        assert_eq!(first_word("ABC  web.jar\n"), "abc");
    }
}
