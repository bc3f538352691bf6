//! Where a remote repository's files are: in a folder of this machine, or behind
//! HTTP. The settings name the place, so it may be any; where it leads on to may not.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{
    app::App,
    blobs::Stored,
    error::{Error, Result},
    release::resource::{file, web},
    store::packages::Repository,
};

/// An index may have this many bytes.
const INDEX_BYTES_MAX: u64 = 16 << 20;
/// For the whole of an index.
const INDEX_TIME_MAX: Duration = Duration::from_secs(60);
/// For the whole of a zip.
const ZIP_TIME_MAX: Duration = Duration::from_secs(600);

/// What stays as it is in a part of a path.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'+');

/// Reads a repository's index; none where it has none.
pub(super) async fn index(app: &App, repository: &Repository) -> Result<Option<Vec<u8>>> {
    let deadline = Instant::now() + INDEX_TIME_MAX;
    let reading = async {
        let path = ["index.yml"];
        let Some(mut chunks) = open(app, repository, &path, deadline, INDEX_BYTES_MAX).await?
        else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() as u64 > INDEX_BYTES_MAX {
                return Err(Error::TooLarge { what: "index", limit_bytes: INDEX_BYTES_MAX });
            }
        }
        Ok(Some(bytes))
    };
    timeout_at(deadline, reading).await.map_err(|_| late(INDEX_TIME_MAX))?
}

/// Fetches a package's zip; none where the repository does not have it.
pub(super) async fn zip(
    app: &App,
    repository: &Repository,
    name: &str,
    version: &str,
) -> Result<Option<Stored>> {
    let deadline = Instant::now() + ZIP_TIME_MAX;
    let limit_bytes = app.config.limits.package_bytes_max;
    let fetching = async {
        let path = [name, &format!("{name}-{version}.zip")];
        match open(app, repository, &path, deadline, limit_bytes).await? {
            Some(chunks) => app.blobs.put(chunks, limit_bytes).await.map(Some),
            None => Ok(None),
        }
    };
    timeout_at(deadline, fetching).await.map_err(|_| late(ZIP_TIME_MAX))?
}

/// Begins to read what lies at that path below the repository's address.
async fn open(
    app: &App,
    repository: &Repository,
    path: &[&str],
    deadline: Instant,
    limit_bytes: u64,
) -> Result<Option<BoxStream<'static, Result<Bytes>>>> {
    if repository.url.starts_with("file:") {
        let root = folder(&repository.url)?;
        let file = path.iter().fold(root.clone(), |folder, it| folder.join(it));
        return match tokio::fs::try_exists(&file).await {
            Ok(false) => Ok(None),
            _ => file::read_below(file, vec![root]).await.map(Some),
        };
    }
    let login = app.repositories.login(&repository.name);
    let location = below(&repository.url, path);
    match web::read_own(app, &location, login, deadline, limit_bytes).await {
        Ok(chunks) => Ok(Some(chunks)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn folder(url: &str) -> Result<PathBuf> {
    let path = Url::parse(url).ok().filter(|it| it.scheme() == "file");
    let path = path.and_then(|it| it.to_file_path().ok());
    path.ok_or_else(|| Error::Conflict(format!("`{url}` is no folder's address")))
}

fn below(url: &str, path: &[&str]) -> String {
    let mut address = url.trim_end_matches('/').to_owned();
    for part in path {
        address.push('/');
        address.extend(utf8_percent_encode(part, PLAIN));
    }
    address
}

fn late(limit: Duration) -> Error {
    Error::Conflict(format!("it took longer than {} s", limit.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_an_address_whatever_it_holds() {
        assert_eq!(below("http://h/a/", &["index.yml"]), "http://h/a/index.yml");
        assert_eq!(
            below("http://h", &["my log?#%", "ä-1.0.0+b_1~x.zip"]),
            "http://h/my%20log%3F%23%25/%C3%A4-1.0.0+b_1~x.zip"
        );
        assert_eq!(folder("file:/a/b%20c").unwrap(), PathBuf::from("/a/b c"));
        assert_eq!(folder("file:///a").unwrap(), PathBuf::from("/a"));
        assert!(folder("classpath:/a").is_err());
    }
}
