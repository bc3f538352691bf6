use std::collections::BTreeMap;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::capabilities::secrets;

const LEFT: Duration = Duration::from_secs(10);

/// Answers every connection with `answer` and hands over what was asked.
async fn serve(answer: Vec<u8>) -> (u16, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, receiver) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 16 << 10];
            let length = stream.read(&mut request).await.unwrap_or(0);
            request.truncate(length);
            let _ = asked.send(String::from_utf8_lossy(&request).into_owned()).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    (port, receiver)
}

fn get(url: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: None,
        timeout_ms: None,
        max_response_bytes: None,
    }
}

fn granted(origin: &str) -> Grant {
    Grant { origins: vec![origin.into()], private: vec!["127.0.0.0/8".into()], ..Grant::default() }
}

async fn send(grant: &Grant, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    Http::new().send(grant, &[], &Secrets::default(), request, LEFT).await
}

fn is_denied<T: std::fmt::Debug>(result: Result<T, HttpError>) {
    assert!(matches!(result, Err(HttpError::Denied(_))), "{result:?}");
}

#[tokio::test]
async fn an_empty_grant_reaches_nothing() {
    let (port, mut asked) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    is_denied(send(&Grant::default(), get(&format!("http://127.0.0.1:{port}/"))).await);
    let own = [port];
    let url = format!("http://127.0.0.1:{port}/");
    is_denied(
        Http::new().send(&Grant::default(), &own, &Secrets::default(), get(&url), LEFT).await,
    );
    assert!(asked.try_recv().is_err(), "nothing was sent");
}

#[tokio::test]
async fn a_loopback_address_needs_more_than_its_origin() {
    let (port, mut asked) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()).await;
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{port}/");
        let mut grant = granted(&url);
        grant.private.clear();
        is_denied(send(&grant, get(&url)).await);
        assert!(asked.try_recv().is_err(), "nothing was sent");
    }
    let url = format!("http://127.0.0.1:{port}/");
    let answer = send(&granted(&url), get(&url)).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"hi".as_slice()));
}

#[tokio::test]
async fn own_processes_are_reached_at_their_ports_and_nowhere_else() {
    let (port, _asked) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let (other, mut other_asked) = serve(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()).await;
    let grant = Grant { own_processes: true, ..Grant::default() };
    let secrets = Secrets::default();
    let to = |port: u16| get(&format!("http://127.0.0.1:{port}/"));
    let answer = Http::new().send(&grant, &[port], &secrets, to(port), LEFT).await.unwrap();
    assert_eq!(answer.status, 200);
    is_denied(Http::new().send(&grant, &[port], &secrets, to(other), LEFT).await);
    assert!(other_asked.try_recv().is_err(), "nothing was sent");
    for url in [format!("http://10.0.0.1:{port}/"), format!("http://example.org:{port}/")] {
        is_denied(Http::new().send(&grant, &[port], &secrets, get(&url), LEFT).await);
    }
}

#[tokio::test]
async fn hosts_that_are_not_public_are_never_reached_by_their_origin_alone() {
    for host in [
        "0.0.0.0",
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "[::]",
        "[::1]",
        "[::ffff:7f00:1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::7f00:1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[ff02::1]",
        "[2002:7f00:1::1]",
        "localhost",
    ] {
        let url = format!("http://{host}:9/");
        let grant = Grant { origins: vec![url.clone()], ..Grant::default() };
        is_denied(send(&grant, get(&url)).await);
    }
}

#[tokio::test]
async fn a_redirect_is_handed_over_and_not_followed() {
    let (inner, mut inner_asked) =
        serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let location = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner}/\r\nContent-Length: 0\r\n\r\n"
    );
    let (port, _asked) = serve(location.into_bytes()).await;
    let url = format!("http://127.0.0.1:{port}/");
    let answer = send(&granted(&url), get(&url)).await.unwrap();
    assert_eq!(answer.status, 302);
    assert!(inner_asked.try_recv().is_err(), "the redirect was not followed");
}

#[tokio::test]
async fn methods_and_headers_beyond_the_grant_are_refused() {
    let (port, mut asked) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let url = format!("http://127.0.0.1:{port}/");
    let grant = granted(&url);
    for method in ["DELETE", "CONNECT", "get", "G T", ""] {
        is_denied(send(&grant, HttpRequest { method: method.into(), ..get(&url) }).await);
    }
    for (key, value) in [
        ("Host", "evil"),
        ("Transfer-Encoding", "chunked"),
        ("content-length", "1"),
        ("Connection", "close"),
        ("Upgrade", "x"),
        ("a b", "c"),
        ("x", "a\r\nHost: evil"),
        ("x", "{secret:key}"),
    ] {
        let headers = vec![Label { key: key.into(), value: value.into() }];
        is_denied(send(&grant, HttpRequest { headers, ..get(&url) }).await);
    }
    assert!(asked.try_recv().is_err(), "nothing was sent");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_cut_off_while_it_streams() {
    let lying = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"400\r\n".as_slice(), &[b'x'; 0x400], b"\r\n"].concat();
    let endless = [lying, chunk.repeat(64)].concat();
    let (port, _asked) = serve(endless).await;
    let url = format!("http://127.0.0.1:{port}/");
    let grant = Grant { response_bytes_max: 4096, ..granted(&url) };
    assert_eq!(send(&grant, get(&url)).await, Err(HttpError::TooLarge));

    let (port, _asked) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n".to_vec()).await;
    let url = format!("http://127.0.0.1:{port}/");
    let request = HttpRequest { max_response_bytes: Some(10), ..get(&url) };
    assert_eq!(send(&granted(&url), request).await, Err(HttpError::TooLarge));
}

#[tokio::test]
async fn time_runs_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let request = HttpRequest { timeout_ms: Some(50), ..get(&url) };
    assert_eq!(send(&granted(&url), request).await, Err(HttpError::Timeout));
}

#[tokio::test]
async fn a_secret_is_filled_in_for_the_wire_only() {
    let (port, mut asked) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret").unwrap();
    let sources: BTreeMap<_, _> =
        [("key".to_owned(), format!("file:{}", file.path().display()))].into();
    let grant = secrets::Grant { r#use: vec!["key".into()], reveal: Vec::new() };
    let secrets = Secrets::read(Some(&grant), &sources).unwrap();

    let url = format!("http://127.0.0.1:{port}/");
    let headers = vec![Label { key: "Authorization".into(), value: "Bearer {secret:key}".into() }];
    let request = HttpRequest { headers, ..get(&url) };
    Http::new().send(&granted(&url), &[], &secrets, request, LEFT).await.unwrap();
    let asked = asked.recv().await.unwrap();
    assert!(asked.contains("Bearer s3cret"), "{asked}");
}

#[tokio::test]
async fn nobody_there_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let answer = send(&granted(&url), get(&url)).await;
    assert!(matches!(answer, Err(HttpError::Connect(_))), "{answer:?}");
}

#[tokio::test]
async fn a_grant_of_all_public_origins_reaches_no_private_one() {
    let (port, mut asked) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let elsewhere = granted(&format!("http://127.0.0.1:{}", port.wrapping_add(1).max(1)));
    let grant = Grant { public: true, ..elsewhere };
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://10.0.0.1/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "ftp://example.org/".to_owned(),
    ] {
        is_denied(send(&grant, get(&url)).await);
    }
    assert!(asked.try_recv().is_err());

    // Named as well, it is the named one that counts.
    let grant = Grant { public: true, ..granted(&format!("http://127.0.0.1:{port}")) };
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(send(&grant, get(&url)).await.unwrap().status, 200);
}

#[test]
fn a_grant_of_all_public_origins_covers_each_of_them() {
    let elsewhere = granted("http://127.0.0.1:1");
    let grant = Grant { public: true, ..elsewhere };
    for (url, address, expected) in [
        ("http://192.0.9.1:8080/x", "192.0.9.1", true),
        ("https://hooks.example.org/x", "192.0.9.1", true),
        ("https://hooks.example.org/x", "127.0.0.1", false),
        ("https://hooks.example.org/x", "fd00::1", false),
    ] {
        let reach = Reach::of(&grant, &[], &address::parse(url).unwrap(), "POST").unwrap();
        assert_eq!(reach.allows(address.parse().unwrap()), expected, "{url} at {address}");
    }
    let url = address::parse("https://hooks.example.org/").unwrap();
    assert!(Reach::of(&grant, &[], &url, "PUT").is_err());
}
