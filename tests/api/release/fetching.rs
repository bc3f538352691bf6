//! Where the programs of applications come from, with web servers of the tests' own.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use chandlery::config::{Config, MavenRepository};
use chandlery_tests::{
    DryRun, Host,
    dry_run::{app, install, upload},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{SKIPPER, failure};

const INSTALL: &str = "/api/package/install";
const JAR: &str = "/org/acme/web/1.0/web-1.0.jar";
/// `printf jar | sha1sum`.
const SHA1_OF_JAR: &str = "f92e777f4341930bad9b2422283c4680d00dbc06";

/// A web server that gives out what it was given, and remembers what was asked.
#[derive(Clone)]
struct Site {
    url: String,
    files: Arc<Mutex<BTreeMap<String, File>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Default)]
struct File {
    body: String,
    etag: Option<String>,
    /// What `Authorization` must be.
    authorization: Option<String>,
    location: Option<String>,
}

impl From<&str> for File {
    fn from(body: &str) -> File {
        File { body: body.to_owned(), ..File::default() }
    }
}

impl Site {
    fn open() -> Site {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://127.0.0.1:{}", socket.local_addr().unwrap().port());
        let site = Site { url, files: Arc::default(), asked: Arc::default() };
        let serving = site.clone();
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                serving.answer(stream);
            }
        });
        site
    }

    fn put(&self, path: &str, file: impl Into<File>) {
        self.files.lock().unwrap().insert(path.to_owned(), file.into());
    }

    /// What was asked since the last time: paths, and which of them were known already.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn answer(&self, mut stream: TcpStream) {
        let head = read_head(&mut stream);
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|it| it.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, it)| it.to_owned())
        };
        let known = header("if-none-match");
        let seen = known.as_ref().map_or(path.clone(), |it| format!("{path} {it}"));
        self.asked.lock().unwrap().push(seen);
        let file = self.files.lock().unwrap().get(&path).cloned();
        let (status, body, more) = match file {
            None => ("404 Not Found", String::new(), String::new()),
            Some(it)
                if it.authorization.is_some() && it.authorization != header("authorization") =>
            {
                ("401 Unauthorized", String::new(), String::new())
            }
            Some(File { location: Some(it), .. }) => {
                ("302 Found", String::new(), format!("Location: {it}\r\n"))
            }
            Some(File { etag: Some(etag), .. }) if known.as_ref() == Some(&etag) => {
                ("304 Not Modified", String::new(), format!("ETag: {etag}\r\n"))
            }
            Some(File { body, etag, .. }) => {
                let etag = etag.map(|it| format!("ETag: {it}\r\n")).unwrap_or_default();
                ("200 OK", body, etag)
            }
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n{body}"
        );
        let _ = stream.write_all(answer.as_bytes());
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    while !bytes.windows(4).any(|it| it == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A server on which nothing runs, with these settings.
async fn host(change: impl FnOnce(&mut Config)) -> Host {
    let host = Host::builder().plugins(DryRun::default().bindings()).config(|config| {
        let accounts = [("default".to_owned(), json!({}))];
        config.platforms.insert("dry-run".to_owned(), accounts.into());
        config.resources.http_private = vec!["127.0.0.0/8".to_owned()];
        change(config);
    });
    let host = host.start().await;
    host.post("/api/package/upload", &upload("1.0.0")).await.expect(201);
    host
}

/// The same with these Maven repositories.
async fn maven(sites: &[&Site]) -> Host {
    let urls = sites.iter().map(|it| MavenRepository::Url(it.url.clone())).collect();
    host(|config| {
        config.resources.http_private.clear();
        config.resources.maven_repositories = urls;
    })
    .await
}

fn request(release: &str, resource: &str, version: Value) -> Value {
    let mut web = app("web", json!({}));
    web["resource"] = json!(resource);
    web["version"] = version;
    install(release, &[web])
}

/// Installs what lies there, and gives the digest of what was found.
async fn installed(host: &Host, release: &str, resource: &str, version: &str) -> String {
    host.post(INSTALL, &request(release, resource, json!(version))).await.expect(201);
    let info = host.get(&format!("/api/release/status/{release}")).await.expect(200).json();
    let text = info["status"]["platformStatus"].as_str().unwrap().to_owned();
    let apps: Value = serde_json::from_str(&text).unwrap();
    let instance = apps[0]["instances"].as_object().unwrap().values().next().unwrap().clone();
    instance["attributes"]["artifact.sha256"].as_str().unwrap().to_owned()
}

async fn refused(host: &Host, resource: &str) -> String {
    let request = request("refused", resource, json!("1.0"));
    failure(host.post(INSTALL, &request).await, 409, SKIPPER)
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[tokio::test]
async fn a_release_of_a_maven_repository_is_fetched_once_and_checked() {
    let (empty, full) = (Site::open(), Site::open());
    full.put(JAR, "jar");
    full.put(&format!("{JAR}.sha1"), format!("{SHA1_OF_JAR}  web-1.0.jar\n").as_str());
    let host = maven(&[&empty, &full]).await;

    let found = installed(&host, "a", "maven://org.acme:web", "1.0").await;

    assert_eq!(found, sha256("jar"));
    assert_eq!(empty.asked(), [JAR]);
    assert_eq!(full.asked(), [JAR, &format!("{JAR}.sha256"), &format!("{JAR}.sha1")]);
    assert_eq!(installed(&host, "b", "maven://org.acme:web", "1.0").await, found);
    host.delete("/api/release/a").await.expect(200);
    host.delete("/api/release/b").await.expect(200);
    let host = host.restart().await;
    assert_eq!(installed(&host, "c", "maven://org.acme:web:1.0", "1.0").await, found);
    assert_eq!((empty.asked().len(), full.asked().len()), (0, 0), "it is here already");
}

#[tokio::test]
async fn what_its_repository_does_not_vouch_for_is_not_taken() {
    let site = Site::open();
    let host = maven(&[&site]).await;
    assert!(
        refused(&host, "maven://org.acme:web").await.contains("has `org/acme/web/1.0/web-1.0.jar`")
    );
    site.put(JAR, "jar");
    let message = refused(&host, "maven://org.acme:web").await;
    assert!(message.contains("has neither `.sha256` nor `.sha1`"), "{message}");
    site.put(&format!("{JAR}.sha1"), SHA1_OF_JAR);
    site.put(&format!("{JAR}.sha256"), sha256("other").as_str());
    let message = refused(&host, "maven://org.acme:web").await;
    let expected = format!(
        "Could not load Resource maven://org.acme:web:1.0. Message = its checksum is {}, and \
         should be {}",
        sha256("jar"),
        sha256("other")
    );
    assert_eq!(message, expected);

    // What was refused is not taken from here the next time.
    site.put(&format!("{JAR}.sha256"), sha256("jar").to_uppercase().as_str());
    assert_eq!(installed(&host, "a", "maven://org.acme:web", "1.0").await, sha256("jar"));
}

#[tokio::test]
async fn a_repository_that_wants_a_password_gets_it_and_nobody_else_does() {
    let (site, elsewhere) = (Site::open(), Site::open());
    let secret =
        |body: &str| File { authorization: Some("Basic YW5hOng=".to_owned()), ..File::from(body) };
    site.put(JAR, secret("jar"));
    site.put(&format!("{JAR}.sha1"), secret(SHA1_OF_JAR));
    let moved = File { location: Some(format!("{}/moved", elsewhere.url)), ..File::default() };
    site.put("/org/acme/moved/1.0/moved-1.0.jar", moved);
    elsewhere.put("/moved", secret("jar"));
    let url = site.url.clone();
    let host = host(|config| {
        let repository = json!({ "url": url, "username": "ana", "password": "x" });
        config.resources.maven_repositories = vec![serde_json::from_value(repository).unwrap()];
    });
    let host = host.await;

    assert_eq!(installed(&host, "a", "maven://org.acme:web", "1.0").await, sha256("jar"));
    let message = refused(&host, "maven://org.acme:moved").await;
    assert!(message.contains("/moved` answers 401"), "{message}");
}

const SNAPSHOTS: &str = "/org/acme/web/1.0-SNAPSHOT";
const METADATA: &str = "/org/acme/web/1.0-SNAPSHOT/maven-metadata.xml";

/// Puts a snapshot into a repository, as the one that came on that day of January.
fn deploy(site: &Site, day: u32, body: &str) -> String {
    let version = format!("1.0-202601{day:02}.030405-{day}");
    site.put(
        METADATA,
        format!(
            "<metadata><versioning><lastUpdated>202601{day:02}030405</lastUpdated>\
             <snapshotVersions><snapshotVersion><extension>jar</extension>\
             <value>{version}</value><updated>202601{day:02}030405</updated></snapshotVersion>\
             </snapshotVersions></versioning></metadata>"
        )
        .as_str(),
    );
    let jar = format!("{SNAPSHOTS}/web-{version}.jar");
    site.put(&jar, body);
    site.put(&format!("{jar}.sha256"), sha256(body).as_str());
    jar
}

#[tokio::test]
async fn a_snapshot_is_the_newest_file_that_a_repository_names() {
    let (one, other) = (Site::open(), Site::open());
    let first = deploy(&one, 1, "first");
    let host = maven(&[&one, &other]).await;
    let found = async |release: &str, version: &str| {
        installed(&host, release, "maven://org.acme:web", version).await
    };

    assert_eq!(found("a", "1.0-SNAPSHOT").await, sha256("first"));
    assert_eq!(one.asked(), [METADATA, &first, &format!("{first}.sha256")]);
    assert_eq!(other.asked(), [METADATA]);
    assert_eq!(found("b", "1.0-SNAPSHOT").await, sha256("first"));
    assert_eq!(one.asked(), [METADATA], "its file is here already");

    deploy(&other, 2, "second");
    assert_eq!(found("c", "1.0-SNAPSHOT").await, sha256("second"));
    deploy(&one, 3, "third");
    assert_eq!(found("d", "1.0-SNAPSHOT").await, sha256("third"));
    // One that is named by its own name stays what it is.
    assert_eq!(found("e", "1.0-20260101.030405-1").await, sha256("first"));
}

#[tokio::test]
async fn how_long_a_snapshot_is_taken_as_it_was_found_is_a_setting() {
    let site = Site::open();
    deploy(&site, 1, "first");
    let url = site.url.clone();
    let host = host(|config| {
        config.resources.maven_repositories = vec![MavenRepository::Url(url)];
        config.resources.snapshot_check_ms = 3_600_000;
    });
    let host = host.await;
    let resource = "maven://org.acme:web:1.0-SNAPSHOT";

    assert_eq!(installed(&host, "a", resource, "1.0-SNAPSHOT").await, sha256("first"));
    deploy(&site, 2, "second");
    site.asked();
    assert_eq!(installed(&host, "b", resource, "1.0-SNAPSHOT").await, sha256("first"));
    let host = host.restart().await;
    assert_eq!(installed(&host, "c", resource, "1.0-SNAPSHOT").await, sha256("first"));
    assert_eq!(site.asked().len(), 0);
}

#[tokio::test]
async fn a_snapshot_without_a_name_of_its_own_is_fetched_each_time() {
    let site = Site::open();
    let jar = format!("{SNAPSHOTS}/web-1.0-SNAPSHOT.jar");
    let host = maven(&[&site]).await;
    let copy = "<metadata><versioning><snapshot><localCopy>true</localCopy></snapshot>\
                </versioning></metadata>";
    for (release, metadata, body) in
        [("a", None, "one"), ("b", None, "two"), ("c", Some(copy), "three")]
    {
        if let Some(metadata) = metadata {
            site.put(METADATA, metadata);
        }
        site.put(&jar, body);
        site.put(&format!("{jar}.sha256"), sha256(body).as_str());
        let found = installed(&host, release, "maven://org.acme:web", "1.0-SNAPSHOT").await;
        assert_eq!(found, sha256(body));
        assert_eq!(site.asked(), [METADATA, &jar, &format!("{jar}.sha256")]);
    }
}

#[tokio::test]
async fn a_snapshot_that_nobody_vouches_for_or_that_leads_elsewhere_is_not_taken() {
    let site = Site::open();
    let host = maven(&[&site]).await;
    let refused = async || {
        let request = request("a", "maven://org.acme:web", json!("1.0-SNAPSHOT"));
        failure(host.post(INSTALL, &request).await, 409, SKIPPER)
    };
    assert!(refused().await.contains("has `org/acme/web/1.0-SNAPSHOT/web-1.0-SNAPSHOT.jar`"));
    let jar = deploy(&site, 1, "first");
    site.put(&format!("{jar}.sha256"), sha256("other").as_str());
    assert!(refused().await.contains("its checksum is"));
    site.put(METADATA, "<metadata><versioning>");
    let message = refused().await;
    let expected = "Could not load Resource maven://org.acme:web:1.0-SNAPSHOT. Message = its \
                    `maven-metadata.xml` cannot be read";
    assert_eq!(message, expected);
    let elsewhere = "<metadata><versioning><snapshotVersions><snapshotVersion><extension>jar\
                     </extension><value>1.0-/../../x</value></snapshotVersion>\
                     </snapshotVersions></versioning></metadata>";
    site.put(METADATA, elsewhere);
    assert!(refused().await.contains("names a file that is no snapshot of it"));
}

#[tokio::test]
async fn a_snapshot_of_a_repository_that_wants_a_password_is_asked_for_with_it() {
    let site = Site::open();
    let jar = deploy(&site, 1, "first");
    for path in [METADATA, &jar, &format!("{jar}.sha256")] {
        let mut files = site.files.lock().unwrap();
        files.get_mut(path).unwrap().authorization = Some("Basic YW5hOng=".to_owned());
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "x").unwrap();
    let (url, secret) = (site.url.clone(), folder.path().join("password"));
    let host = host(|config| {
        let password = format!("file:{}", secret.display());
        let repository = json!({ "url": url, "username": "ana", "password": password });
        config.resources.maven_repositories = vec![serde_json::from_value(repository).unwrap()];
    });
    let host = host.await;

    let found = installed(&host, "a", "maven://org.acme:web", "1.0-SNAPSHOT").await;

    assert_eq!(found, sha256("first"));
}

#[tokio::test]
async fn what_a_web_server_still_has_is_not_fetched_again() {
    let site = Site::open();
    let at = |body: &str, etag: &str| File { etag: Some(etag.to_owned()), ..File::from(body) };
    site.put("/web-1.0.jar", at("one", "\"1\""));
    let host = host(|_| {}).await;
    let resource = format!("{}/web", site.url);
    let found = async |release: &str| installed(&host, release, &resource, "1.0").await;

    assert_eq!(found("a").await, sha256("one"));
    assert_eq!(found("b").await, sha256("one"));
    assert_eq!(site.asked(), ["/web-1.0.jar", "/web-1.0.jar \"1\""]);

    site.put("/web-1.0.jar", at("two", "\"2\""));
    assert_eq!(found("c").await, sha256("two"));
    assert_eq!(found("d").await, sha256("two"));
    assert_eq!(site.asked(), ["/web-1.0.jar \"1\"", "/web-1.0.jar \"2\""]);

    // A weak one does not say that every byte is the same.
    site.put("/web-1.0.jar", at("three", "W/\"3\""));
    assert_eq!(found("e").await, sha256("three"));
    assert_eq!(found("f").await, sha256("three"));
    assert_eq!(site.asked(), ["/web-1.0.jar \"2\""; 2]);
}

#[tokio::test]
async fn whoever_names_a_yanked_version_is_warned() {
    let host = host(|_| {}).await;
    let unit = "/api/v1/inventory/acme/units/web/versions";
    for version in ["1.0", "1.1"] {
        let metadata = json!({ "name": "web", "version": version });
        host.post("/api/v1/inventory/acme/register", &metadata).await.expect(200);
        host.upload(&format!("{unit}/v{version}/upload"), version.as_bytes()).await.expect(200);
    }
    let yank = json!({ "reason": "it leaks", "replacement": "1.0" });
    host.post(&format!("{unit}/v1.1/yank"), &yank).await.expect(200);

    let named = request("a", "inventory://acme/web", json!("v1.1"));
    let answer = host.post(INSTALL, &named).await.expect(201);
    let warning = r#"299 chandlery "acme/web-v1.1 is yanked, use v1.0 instead: it leaks""#;
    assert_eq!(answer.header("warning"), warning);

    let latest = request("b", "inventory://acme/web", json!("latest"));
    let answer = host.post(INSTALL, &latest).await.expect(201);
    assert!(answer.headers.get("warning").is_none());
}
