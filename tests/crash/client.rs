//! A client that remembers what the server has acknowledged.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Whole, digest};

/// What one client did to a unit of its own.
pub(crate) struct Work {
    client: usize,
    versions: Vec<Version>,
    // Those before this one have been looked at since the last kill.
    checked: usize,
}

/// How far a version came, as the client knows.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Unknown,
    Acknowledged,
    NotSent,
}

struct Version {
    registered: State,
    uploaded: State,
}

impl Work {
    pub(crate) fn new(client: usize) -> Work {
        Work { client, versions: Vec::new(), checked: 0 }
    }

    /// How many answers said that it was done.
    pub(crate) fn acknowledged(&self) -> usize {
        let states = self.versions.iter().flat_map(|it| [it.registered, it.uploaded]);
        states.filter(|it| *it == State::Acknowledged).count()
    }

    /// Registers the next version and uploads its bytes; says whether the server is
    /// still there.
    pub(crate) async fn one_round(&mut self, address: SocketAddr) -> bool {
        let number = self.versions.len();
        self.versions.push(Version { registered: State::Unknown, uploaded: State::NotSent });
        let json = format!(
            r#"{{"api_version":1,"name":"unit{}","version":"1.0.{number}","project":"acme"}}"#,
            self.client
        );
        let path = "/api/v1/inventory/acme/register";
        let Some((status, body)) = post(address, path, "application/json", json.as_bytes()).await
        else {
            return false;
        };
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        self.versions[number].registered = State::Acknowledged;

        self.versions[number].uploaded = State::Unknown;
        let form = form(&self.bytes(number));
        let path = format!("{}/upload", self.path(number));
        let Some((status, body)) =
            post(address, &path, "multipart/form-data; boundary=edge", &form).await
        else {
            return false;
        };
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        self.versions[number].uploaded = State::Acknowledged;
        true
    }

    /// Checks what was done since the last check.
    pub(crate) async fn check_recent(&mut self, address: SocketAddr) {
        for number in self.checked..self.versions.len() {
            self.check(address, number).await;
        }
        self.checked = self.versions.len();
    }

    /// Checks everything, and gives the digests of the bytes that are there.
    pub(crate) async fn check_all(&mut self, address: SocketAddr) -> Vec<String> {
        let mut digests = Vec::new();
        for number in 0..self.versions.len() {
            digests.extend(self.check(address, number).await);
        }
        digests
    }

    /// What is acknowledged is there; what is not is there whole or not at all; and
    /// what was seen once stays.
    async fn check(&mut self, address: SocketAddr, number: usize) -> Option<String> {
        let path = self.path(number);
        let (status, _) = get(address, &path).await.expect("the server answers");
        let version = &mut self.versions[number];
        match (status, version.registered) {
            (200, _) => version.registered = State::Acknowledged,
            (404, State::Unknown) => version.registered = State::NotSent,
            (404, State::NotSent) => {}
            _ => panic!("version {path} was acknowledged and answers {status}"),
        }
        let (status, body) =
            get(address, &format!("{path}/download")).await.expect("the server answers");
        let bytes = self.bytes(number);
        let version = &mut self.versions[number];
        if status != 200 {
            assert!(
                version.uploaded != State::Acknowledged,
                "{path}: its bytes are lost: {status}"
            );
            assert!((400..500).contains(&status), "{path} answers {status}");
            version.uploaded = State::NotSent;
            return None;
        }
        assert!(version.uploaded != State::NotSent, "{path}: bytes that were never sent");
        assert!(version.registered == State::Acknowledged, "{path}: bytes without a version");
        assert_eq!(digest(&body), digest(&bytes), "{path}: other bytes");
        version.uploaded = State::Acknowledged;
        Some(digest(&bytes))
    }

    fn path(&self, number: usize) -> String {
        format!("/api/v1/inventory/acme/units/unit{}/versions/v1.0.{number}", self.client)
    }

    // No two versions have the same, and their sizes are far apart.
    fn bytes(&self, number: usize) -> Vec<u8> {
        let size = [10, 3_000, 70_000, 600_000][(number + self.client) % 4];
        let name = format!("{} {number} ", self.client);
        name.bytes().cycle().take(size.max(name.len())).collect()
    }
}

/// Puts a unit of that name into the namespace `acme`, with these bytes as its only
/// version.
pub(crate) async fn put_unit(address: SocketAddr, name: &str, bytes: &[u8]) {
    let json = format!(r#"{{"name":"{name}","version":"1.0"}}"#);
    let register = "/api/v1/inventory/acme/register";
    let registered = post(address, register, "application/json", json.as_bytes()).await;
    assert_eq!(registered.expect("the server answers").0, 200);
    let path = format!("/api/v1/inventory/acme/units/{name}/versions/v1.0/upload");
    let uploaded = post(address, &path, "multipart/form-data; boundary=edge", &form(bytes)).await;
    assert_eq!(uploaded.expect("the server answers").0, 200);
}

/// A form whose boundary is `edge`.
fn form(bytes: &[u8]) -> Vec<u8> {
    [
        &b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.tgz\"\r\n\r\n"[..],
        bytes,
        b"\r\n--edge--\r\n",
    ]
    .concat()
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Whole {
    bodiless("GET", address, path).await
}

pub(crate) async fn delete(address: SocketAddr, path: &str) -> Whole {
    bodiless("DELETE", address, path).await
}

async fn bodiless(method: &str, address: SocketAddr, path: &str) -> Whole {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    request(address, head.as_bytes()).await
}

pub(crate) async fn post(address: SocketAddr, path: &str, kind: &str, body: &[u8]) -> Whole {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    request(address, &[head.as_bytes(), body].concat()).await
}

/// Sends a request; none where no whole answer came, because the server was killed.
async fn request(address: SocketAddr, bytes: &[u8]) -> Whole {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
    let length: usize = length.unwrap_or("0").trim().parse().ok()?;
    let body = &answer[end + 4..];
    (body.len() == length).then(|| (status, body.into()))
}
