//! `maven://group:artifact[:ext[:classifier]]:version` — from the configured
//! repositories in their order, and never without its checksum.

mod snapshot;

use futures::StreamExt;
use sha1::Sha1;
use sha2::Digest;

use self::snapshot::{Metadata, Newest};
use super::{
    cached,
    web::{self, Login},
};
use crate::{
    app::App,
    blobs::Stored,
    capabilities::secrets,
    clock::now_ms,
    config::MavenRepository,
    error::{Error, Result},
    release::beside,
};

const CENTRAL: &str = "https://repo1.maven.org/maven2";
const CHECKSUM_BYTES_MAX: usize = 4096;
const METADATA_BYTES_MAX: usize = 256 << 10;

/// Where an artifact lies in a repository.
#[derive(Clone, Debug, PartialEq)]
struct Coordinates {
    group: String,
    artifact: String,
    extension: String,
    classifier: Option<String>,
    version: String,
}

/// Fetches an artifact from the first repository that has it. A release never changes
/// under its name, so one that is here already is not asked for again. A snapshot does.
pub(super) async fn fetch(app: &App, location: &str) -> Result<Stored> {
    let wanted = Coordinates::parse(location)?;
    let repositories = Repositories::of(app);
    match wanted.is_snapshot() {
        false => fetch_release(app, location, &wanted, &repositories).await,
        true => fetch_snapshot(app, location, &wanted, &repositories).await,
    }
}

async fn fetch_release(
    app: &App,
    location: &str,
    wanted: &Coordinates,
    repositories: &Repositories,
) -> Result<Stored> {
    if let Some((resource, held)) = cached::find(app, location).await? {
        cached::used(app, location, resource).await?;
        return Ok(held);
    }
    let stored = repositories.first(app, wanted).await?;
    cached::keep(app, location, &stored, None).await?;
    Ok(stored)
}

/// Fetches the newest file of a snapshot, whichever repository has it. It is asked for again
/// when it was last looked at long enough ago; its file, once it has a name of its own, is
/// not fetched again.
async fn fetch_snapshot(
    app: &App,
    location: &str,
    wanted: &Coordinates,
    repositories: &Repositories,
) -> Result<Stored> {
    let check_ms = app.config.resources.snapshot_check_ms;
    if let Some((resource, held)) = cached::find(app, location).await?
        && now_ms().saturating_sub(resource.checked_ms) < check_ms
    {
        cached::used(app, location, resource).await?;
        return Ok(held);
    }
    let stored = match repositories.newest(app, wanted).await? {
        Some((newest, at)) if newest.version != wanted.version => {
            let named = Coordinates { version: newest.version, ..wanted.clone() };
            fetch_release(app, &named.location(), &named, &at).await?
        }
        Some((_, at)) => at.first(app, wanted).await?,
        // A folder of files that nobody has deployed to says nothing of them.
        None => repositories.first(app, wanted).await?,
    };
    if check_ms > 0 {
        cached::keep(app, location, &stored, None).await?;
    }
    Ok(stored)
}

/// The repositories that are asked, in their order.
struct Repositories {
    all: Vec<MavenRepository>,
    /// Their addresses are of the operator's own choice.
    trusted: bool,
}

impl Repositories {
    fn of(app: &App) -> Repositories {
        match app.config.resources.maven_repositories.as_slice() {
            [] => {
                Repositories { all: vec![MavenRepository::Url(CENTRAL.to_owned())], trusted: false }
            }
            some => Repositories { all: some.to_vec(), trusted: true },
        }
    }

    /// The file of the first one that has it.
    async fn first(&self, app: &App, wanted: &Coordinates) -> Result<Stored> {
        let path = wanted.path();
        for repository in &self.all {
            let url = format!("{}/{path}", repository.url().trim_end_matches('/'));
            let login = login(repository).await?;
            match web::fetch_from(app, &url, self.trusted, login.as_ref()).await {
                Err(Error::NotFound { .. }) => continue,
                Err(error) => return Err(error),
                Ok(stored) => {
                    check(app, &url, self.trusted, login.as_ref(), &stored).await?;
                    return Ok(stored);
                }
            }
        }
        let asked: Vec<&str> = self.all.iter().map(MavenRepository::url).collect();
        Err(Error::Conflict(format!("none of {} has `{path}`", asked.join(", "))))
    }

    /// The newest file of a snapshot, and who has it.
    async fn newest(
        &self,
        app: &App,
        wanted: &Coordinates,
    ) -> Result<Option<(Newest, Repositories)>> {
        let path = format!("{}/maven-metadata.xml", wanted.folder());
        let mut newest: Option<(Newest, Repositories)> = None;
        for repository in &self.all {
            let url = format!("{}/{path}", repository.url().trim_end_matches('/'));
            let login = login(repository).await?;
            let ask = web::text(app, &url, self.trusted, login.as_ref(), METADATA_BYTES_MAX);
            let Some(text) = ask.await? else { continue };
            let Some(found) = Metadata::read(&text)?.newest(wanted)? else { continue };
            if newest.as_ref().is_none_or(|(it, _)| found.updated > it.updated) {
                let at = Repositories { all: vec![repository.clone()], trusted: self.trusted };
                newest = Some((found, at));
            }
        }
        Ok(newest)
    }
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
    let text = async |kind: &str| {
        web::text(app, &format!("{url}.{kind}"), trusted, login, CHECKSUM_BYTES_MAX).await
    };
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
        let at = |index: usize| parts.get(index).filter(|_| index < parts.len() - 1);
        Ok(Coordinates {
            group: parts[0].to_owned(),
            artifact: parts[1].to_owned(),
            extension: at(2).map_or("jar", |it| it).to_owned(),
            classifier: at(3).map(|it| (*it).to_owned()),
            version: version.to_owned(),
        })
    }

    fn location(&self) -> String {
        let Coordinates { group, artifact, extension, classifier, version } = self;
        let classifier = classifier.as_ref().map(|it| format!(":{it}")).unwrap_or_default();
        format!("maven://{group}:{artifact}:{extension}{classifier}:{version}")
    }

    fn is_snapshot(&self) -> bool {
        self.version.ends_with("-SNAPSHOT")
    }

    /// The folder of its version: that of the snapshot for one of its files.
    fn folder(&self) -> String {
        let Coordinates { group, artifact, version, .. } = self;
        let folder = group.replace('.', "/");
        match without_timestamp(version) {
            Some(base) => format!("{folder}/{artifact}/{base}-SNAPSHOT"),
            None => format!("{folder}/{artifact}/{version}"),
        }
    }

    fn path(&self) -> String {
        let Coordinates { artifact, extension, classifier, version, .. } = self;
        let classifier = classifier.as_ref().map(|it| format!("-{it}")).unwrap_or_default();
        format!("{}/{artifact}-{version}{classifier}.{extension}", self.folder())
    }
}

/// `1.0` of `1.0-20260102.030405-6`, the name of one file of `1.0-SNAPSHOT`.
fn without_timestamp(version: &str) -> Option<&str> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let (rest, build) = version.rsplit_once('-')?;
    let (base, timestamp) = rest.rsplit_once('-')?;
    let (date, time) = timestamp.split_once('.')?;
    let is_timestamp =
        date.len() == 8 && time.len() == 6 && [date, time, build].map(digits) == [true; 3];
    is_timestamp.then_some(base)
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
        assert_eq!(
            path("maven://g:web:1.0-20260102.030405-6").unwrap(),
            "g/web/1.0-SNAPSHOT/web-1.0-20260102.030405-6.jar"
        );
        for other in ["1.0-2", "20260102.030405-6", "1.0-20260102.0304-6", "1.0-20260102.030405-"] {
            assert_eq!(without_timestamp(other), None, "{other}");
        }
        let exec = "maven://g:web:jar:exec:1.0";
        assert_eq!(Coordinates::parse(exec).unwrap().location(), exec);
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
        ] {
            assert!(path(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_checksum_may_be_followed_by_a_name() {
        assert_eq!(first_word("ABC  web.jar\n"), "abc");
    }
}
