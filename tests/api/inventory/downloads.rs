use axum::{body::Body, http::Request};
use chandlery_tests::{Answer, Host};
use sha2::{Digest, Sha256};

use super::{at, expect_empty, host_with};

const PATH: &str = "/api/v1/inventory/ns/units/app/versions/v1.0/download";
const BYTES: &[u8] = b"0123456789";

async fn host_with_package() -> Host {
    let host = host_with(["0.9", "1.0"]).await;
    host.upload(&PATH.replace("download", "upload"), BYTES).await.expect(200);
    host
}

fn etag() -> String {
    let digest = Sha256::digest(BYTES);
    let hex: String = digest.iter().map(|it| format!("{it:02x}")).collect();
    format!("\"{hex}\"")
}

async fn asked(host: &Host, method: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(PATH);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    host.send(request.body(Body::empty()).unwrap()).await
}

async fn downloads(host: &Host) -> u64 {
    let path = at("/ns/units/app/versions/v1.0/?full=1");
    host.get(&path).await.expect(200).json()["downloads"].as_u64().unwrap()
}

#[tokio::test]
async fn a_download_says_what_it_is() {
    let host = host_with_package().await;
    let answer = host.get(PATH).await.expect(200);
    assert_eq!(answer.bytes, BYTES);
    assert_eq!(answer.header("content-type"), "application/gzip");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"app-v1.0.tgz\"");
    assert_eq!(answer.header("content-length"), "10");
    assert_eq!(answer.header("etag"), etag());
    assert_eq!(answer.header("accept-ranges"), "bytes");
}

#[tokio::test]
async fn the_file_is_named_after_what_was_asked_for() {
    let host = host_with_package().await;
    for asked in ["latest", "v1.@", "1.0", "@"] {
        let path = at(&format!("/ns/units/app/versions/{asked}/download"));
        let answer = host.get(&path).await.expect(200);
        let expected = format!("attachment; filename=\"app-{asked}.tgz\"");
        assert_eq!(answer.header("content-disposition"), expected);
        assert_eq!(answer.bytes, BYTES);
    }
}

#[tokio::test]
async fn the_release_that_is_meant_must_have_the_package() {
    let host = host_with_package().await;
    super::register_version(&host, "ns", "app", "2.0").await;
    expect_empty(host.get(&at("/ns/units/app/versions/latest/download")).await, 404);
    expect_empty(host.get(&at("/ns/units/app/versions/v0.9/download")).await, 404);
}

#[tokio::test]
async fn head_tells_all_but_the_bytes() {
    let host = host_with_package().await;
    let answer = asked(&host, "HEAD", &[]).await.expect(200);
    assert_eq!((answer.text(), answer.header("content-length")), ("", "10"));
    assert_eq!(answer.header("etag"), etag());
    let answer = asked(&host, "HEAD", &[("range", "bytes=2-3")]).await.expect(206);
    assert_eq!((answer.text(), answer.header("content-length")), ("", "2"));
    assert_eq!(downloads(&host).await, 0);
}

#[tokio::test]
async fn a_range_is_answered_with_a_part() {
    let host = host_with_package().await;
    for (range, part, described) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=0-99", "0123456789", "bytes 0-9/10"),
    ] {
        let answer = asked(&host, "GET", &[("range", range)]).await.expect(206);
        assert_eq!((answer.text(), answer.header("content-range")), (part, described));
        let tag = etag();
        let same = [("range", range), ("if-range", tag.as_str())];
        assert_eq!(asked(&host, "GET", &same).await.expect(206).text(), part);
        let other = [("range", range), ("if-range", "\"other\"")];
        assert_eq!(asked(&host, "GET", &other).await.expect(200).bytes, BYTES);
    }
    for no_range in ["bytes=5-2", "bytes=0-1,3-4", "lines=1-2"] {
        assert_eq!(asked(&host, "GET", &[("range", no_range)]).await.expect(200).bytes, BYTES);
    }
}

#[tokio::test]
async fn a_range_outside_is_refused() {
    let host = host_with_package().await;
    for range in ["bytes=10-", "bytes=20-30", "bytes=-0"] {
        let answer = expect_empty(asked(&host, "GET", &[("range", range)]).await, 416);
        assert_eq!(answer.header("content-range"), "bytes */10");
    }
}

#[tokio::test]
async fn a_client_that_has_the_bytes_gets_none() {
    let host = host_with_package().await;
    let tag = etag();
    for known in [tag.as_str(), "*", &format!("\"x\", W/{tag}")] {
        let answer = expect_empty(asked(&host, "GET", &[("if-none-match", known)]).await, 304);
        assert_eq!(answer.header("etag"), tag);
    }
    assert_eq!(downloads(&host).await, 0);
    asked(&host, "GET", &[("if-none-match", "\"x\"")]).await.expect(200);
}

#[tokio::test]
async fn each_download_counts_once() {
    let host = host_with_package().await;
    assert_eq!(downloads(&host).await, 0);
    let gets = (0..100).map(|_| host.get(PATH));
    for answer in futures::future::join_all(gets).await {
        answer.expect(200);
    }
    assert_eq!(downloads(&host).await, 100);
    // A download that goes on where it broke off is the same one.
    asked(&host, "GET", &[("range", "bytes=0-4")]).await.expect(206);
    asked(&host, "GET", &[("range", "bytes=5-")]).await.expect(206);
    assert_eq!(downloads(&host).await, 101);
    assert_eq!(downloads(&host.restart().await).await, 101);
}

#[tokio::test]
async fn bytes_that_are_gone_are_the_servers_fault() {
    let host = host_with_package().await;
    let digest = etag().trim_matches('"').to_owned();
    let mut folders = vec![host.data().join("blobs")];
    let mut removed = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains(&digest) {
                std::fs::remove_file(path).unwrap();
                removed += 1;
            }
        }
    }
    assert_eq!(removed, 1);
    expect_empty(host.get(PATH).await, 500);
}
