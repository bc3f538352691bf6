use std::collections::BTreeMap;

use axum::body::Bytes;
use chandlery_tests::{Answer, Host, guest};
use serde_json::json;

use super::{at, expect_empty, expect_text, host_with, patient};

const UPLOAD: &str = "/api/v1/inventory/ns/units/app/versions/v1/upload";
const DOWNLOAD: &str = "/api/v1/inventory/ns/units/app/versions/v1/download";
const FORM: &str = "multipart/form-data; boundary=XX";

async fn nothing_is_kept(host: &Host) {
    expect_empty(host.get(DOWNLOAD).await, 404);
}

#[tokio::test]
async fn what_is_uploaded_is_downloaded() {
    let host = host_with(["1"]).await;
    nothing_is_kept(&host).await;
    let bytes: Vec<u8> = (0..3_000_000u32).map(|it| (it % 251) as u8).collect();
    expect_empty(host.upload(UPLOAD, &bytes).await, 200);
    assert!(host.get(DOWNLOAD).await.expect(200).bytes == bytes);
    let host = host.restart().await;
    assert!(host.get(DOWNLOAD).await.expect(200).bytes == bytes);
}

#[tokio::test]
async fn an_empty_file_and_other_fields_are_accepted() {
    let host = host_with(["1", "2"]).await;
    host.upload(UPLOAD, b"").await.expect(200);
    assert_eq!(host.get(DOWNLOAD).await.expect(200).text(), "");
    let body = "--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n--XX\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"../../x\"\r\n\r\nbytes\r\n--XX\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"second\"\r\n\r\nother\r\n--XX--\r\n";
    let path = at("/ns/units/app/versions/v2");
    host.post_bytes(&format!("{path}/upload"), FORM, body).await.expect(200);
    assert_eq!(host.get(&format!("{path}/download")).await.expect(200).text(), "bytes");
}

#[tokio::test]
async fn the_first_bytes_win() {
    let host = host_with(["1"]).await;
    host.upload(UPLOAD, b"first").await.expect(200);
    for again in [&b"second"[..], b"first"] {
        expect_text(host.upload(UPLOAD, again).await, 409, "Resource already exists");
        assert_eq!(host.get(DOWNLOAD).await.expect(200).text(), "first");
    }
}

#[tokio::test]
async fn of_uploads_at_once_one_wins() {
    let host = host_with(["1"]).await;
    let bodies: Vec<_> = (0..8).map(|it| vec![b'a' + it; 100_000]).collect();
    let uploads = bodies.iter().map(|it| host.upload(UPLOAD, it));
    let answers = futures::future::join_all(uploads).await;
    let mut statuses = BTreeMap::new();
    for answer in &answers {
        *statuses.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(200, 1), (409, 7)]));
    let winner = answers.iter().position(|it| it.status == 200).unwrap();
    assert!(host.get(DOWNLOAD).await.expect(200).bytes == bodies[winner]);
}

#[tokio::test]
async fn an_upload_needs_its_release() {
    let host = host_with(["1"]).await;
    for place in
        ["/ns/units/app/versions/v2", "/ns/units/other/versions/v1", "/other/units/app/versions/v1"]
    {
        expect_empty(host.upload(&at(&format!("{place}/upload")), b"x").await, 404);
        expect_empty(host.get(&at(&format!("{place}/download"))).await, 404);
    }
    expect_empty(host.get(&at("/other/")).await, 404);
}

#[tokio::test]
async fn an_upload_names_its_version_with_a_v() {
    let host = host_with(["1.0"]).await;
    for segment in ["1.0", "production", "vX", "v1.0-x", "x-v1.0"] {
        let expected = format!(
            "Invalid version string in release ID 'app-{segment}': '{segment}' is not a valid version."
        );
        let path = at(&format!("/ns/units/app/versions/{segment}/upload"));
        expect_text(host.upload(&path, b"x").await, 400, &expected);
    }
    for segment in ["latest", "@", "v@", "v1.@"] {
        let expected =
            format!("Can't upload package against unresolved version 'ns/app-{segment}'");
        let path = at(&format!("/ns/units/app/versions/{segment}/upload"));
        expect_text(host.upload(&path, b"x").await, 400, &expected);
    }
}

#[tokio::test]
async fn what_is_no_whole_file_is_refused_and_leaves_nothing() {
    let host = host_with(["1"]).await;
    let other = "request Content-Type isn't multipart/form-data";
    expect_text(host.post_bytes(UPLOAD, "application/json", "{}").await, 400, other);
    expect_text(host.post_bytes(UPLOAD, "multipart/mixed; boundary=XX", "").await, 400, other);
    let answer = host.post_bytes(UPLOAD, "multipart/form-data", "x").await;
    expect_text(answer, 400, "no multipart boundary param in Content-Type");

    let head = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    let whole = format!("{head}bytes\r\n--XX--\r\n");
    let other_field = whole.replace("name=\"file\"", "name=\"data\"");
    let value = whole.replace("; filename=\"a\"", "");
    let mut bodies = vec![String::new(), "nothing".to_owned(), other_field, value];
    bodies.extend((0..whole.len() - 2).map(|at| whole[..at].to_owned()));
    for body in bodies {
        let begun = body.contains("--XX");
        let text = if begun { "http: no such file" } else { "multipart: NextPart: EOF" };
        expect_text(host.post_bytes(UPLOAD, FORM, body).await, 400, text);
    }
    nothing_is_kept(&host).await;
    host.post_bytes(UPLOAD, FORM, whole).await.expect(200);
}

#[tokio::test]
async fn a_file_that_is_missing_comes_before_a_release_that_is() {
    let host = host_with(["1"]).await;
    let path = at("/ns/units/app/versions/v9/upload");
    expect_text(host.post_bytes(&path, FORM, "--XX--").await, 400, "http: no such file");
}

#[tokio::test]
async fn a_package_beyond_the_limit_is_refused() {
    let host = Host::builder()
        .plugins(vec![patient(guest::allow_all())])
        .config(|it| it.limits.package_bytes_max = 100_000)
        .start()
        .await;
    super::register_version(&host, "ns", "app", "1").await;
    let answer = host.upload(UPLOAD, &[b'x'; 100_001]).await;
    let expected = "the package is larger than the limit of 100000 bytes";
    expect_text(answer, 413, expected);
    nothing_is_kept(&host).await;
    host.upload(UPLOAD, &[b'x'; 100_000]).await.expect(200);
}

// A body that comes in two pieces, with something done between them.
async fn upload_in_two(
    host: &Host,
    pieces: [&'static str; 2],
    between: impl Future<Output = ()>,
) -> Answer {
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    let body = axum::body::Body::from_stream(receiver);
    let request = axum::http::Request::post(UPLOAD).header("content-type", FORM).body(body);
    let sends = async {
        sender.unbounded_send(Ok(Bytes::from_static(pieces[0].as_bytes()))).unwrap();
        between.await;
        sender.unbounded_send(Ok(Bytes::from_static(pieces[1].as_bytes()))).ok();
        drop(sender);
    };
    futures::future::join(host.send(request.unwrap()), sends).await.0
}

#[tokio::test]
async fn an_upload_that_is_overtaken_changes_nothing() {
    let host = host_with(["1"]).await;
    let pieces = [
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nslow",
        " bytes\r\n--XX--\r\n",
    ];
    let overtake = async { drop(host.upload(UPLOAD, b"quick").await.expect(200)) };
    let answer = upload_in_two(&host, pieces, overtake).await;
    expect_text(answer, 409, "Resource already exists");
    assert_eq!(host.get(DOWNLOAD).await.expect(200).text(), "quick");
}

#[tokio::test]
async fn a_body_that_breaks_off_with_an_error_leaves_nothing() {
    let host = host_with(["1"]).await;
    let head = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx";
    let pieces = futures::stream::iter([
        Ok(Bytes::from_static(head.as_bytes())),
        Err(std::io::Error::other("the network is gone")),
    ]);
    let body = axum::body::Body::from_stream(pieces);
    let request = axum::http::Request::post(UPLOAD).header("content-type", FORM).body(body);
    host.send(request.unwrap()).await.expect(400);
    nothing_is_kept(&host).await;
}

#[tokio::test]
async fn the_same_bytes_may_belong_to_many_releases() {
    let host = host_with(["1", "2"]).await;
    for version in ["v1", "v2"] {
        let path = at(&format!("/ns/units/app/versions/{version}"));
        host.upload(&format!("{path}/upload"), b"same").await.expect(200);
    }
    let payload = host.get(&at("/ns/units/app/versions/v2/?full=1")).await.expect(200).json();
    assert_eq!(payload["versions"], json!(["2", "1"]));
    assert_eq!(host.get(DOWNLOAD).await.expect(200).text(), "same");
}
