use axum::{body::Body, http::Request};
use chandlery::store::packages::{self, PackageRow, Repository};
use chandlery_tests::{Answer, Host, guest};
use futures::stream;
use serde_json::{Value, json};

use super::{FILES, SKIPPER, UPLOAD, failure, send_as, upload_of, zip};

const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";
const NOT_READABLE: &str = "org.springframework.http.converter.HttpMessageNotReadableException";

async fn host() -> Host {
    Host::with(vec![guest::allow_all()]).await
}

async fn kept(host: &Host) -> Option<PackageRow> {
    host.app.store.read(|view| packages::newest(view, "log")).await.unwrap()
}

/// Checks that a refused upload has left nothing behind.
async fn nothing_is_left(host: &Host) {
    assert_eq!(kept(host).await, None);
    for folder in ["objects", "staging"] {
        let blobs = host.data().join("blobs").join(folder);
        assert_eq!(files_below(&blobs), Vec::<std::path::PathBuf>::new());
    }
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// Uploads a zip that is refused, and gives the message.
async fn refused(zip: &[u8]) -> String {
    let host = host().await;
    let message = failure(host.post(UPLOAD, &upload_of(zip)).await, 409, SKIPPER);
    nothing_is_left(&host).await;
    message
}

#[tokio::test]
async fn a_package_is_kept_with_its_bytes() {
    let host = host().await;
    let zip = zip(&FILES);

    let body = host.post(UPLOAD, &upload_of(&zip)).await.expect(201).json();

    assert_eq!(body["repositoryName"], "local");
    assert_eq!(body["repositoryId"], 1);
    let row = kept(&host).await.unwrap();
    assert_eq!((row.id, row.object_version, row.size_bytes), (1, 0, zip.len() as u64));
    assert_eq!(host.app.blobs.size(&row.blob_sha256).await.unwrap(), Some(zip.len() as u64));
    let package = chandlery::release::package::load(&host.app, &row).await.unwrap();
    assert_eq!(package.metadata, row.metadata);
    assert_eq!(package.templates[0].data, "version: {{version}}\n");
}

#[tokio::test]
async fn a_package_outlives_a_restart() {
    let host = host().await;
    host.post(UPLOAD, &upload_of(&zip(&FILES))).await.expect(201);

    let host = host.restart().await;

    let row = kept(&host).await.unwrap();
    assert!(chandlery::release::package::load(&host.app, &row).await.is_ok());
}

#[tokio::test]
async fn links_come_in_the_form_that_is_asked_for() {
    let host = host().await;
    let href = "http://localhost:7577/api/package/install";
    let mut version = 0;
    let mut request = || {
        version += 1;
        let files = FILES.map(|(name, text)| {
            let version = format!("1.0.{version}");
            (name.replace("1.0.0", &version), text.replace("1.0.0", &version))
        });
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text)).collect();
        let mut request = upload_of(&zip(&files));
        request["version"] = format!("1.0.{version}").into();
        request
    };

    let plain = send_as(&host, "POST", UPLOAD, b"application/json", &request()).await.expect(201);
    assert_eq!(plain.header("content-type"), "application/json;charset=UTF-8");
    assert_eq!(plain.json()["links"], json!([{ "rel": "install", "href": href }]));
    assert_eq!(plain.json()["_links"], Value::Null);

    let odd: [&[u8]; 6] = [
        b"application/hal+json",
        b"*/*",
        b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        b"text/html",
        b";;,,q=",
        b"\xff\xfe\x80",
    ];
    for accept in odd {
        let hal = send_as(&host, "POST", UPLOAD, accept, &request()).await.expect(201);
        assert_eq!(hal.header("content-type"), "application/hal+json;charset=UTF-8");
        assert_eq!(hal.json()["_links"], json!({ "install": { "href": href } }));
        assert_eq!(hal.json()["links"], Value::Null);
    }
}

#[tokio::test]
async fn a_version_is_uploaded_once() {
    let host = host().await;
    let request = upload_of(&zip(&FILES));
    host.post(UPLOAD, &request).await.expect(201);

    let message = failure(host.post(UPLOAD, &request).await, 409, SKIPPER);

    assert_eq!(
        message,
        "Failed to upload the package. Package [log:1.0.0] in Repository [local] already exists."
    );
}

#[tokio::test]
async fn of_uploads_at_once_one_wins() {
    let host = host().await;
    let request = upload_of(&zip(&FILES));

    let answers = futures::future::join_all((0..8).map(|_| host.post(UPLOAD, &request))).await;

    let mut statuses: Vec<_> = answers.iter().map(|it| it.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(kept(&host).await.unwrap().id, 1);
}

#[tokio::test]
async fn what_the_request_leaves_out_is_named() {
    let host = host().await;
    let cases = [
        ("name", "Name of package can not be null"),
        ("version", "Version can not be null"),
        ("packageFileAsBytes", "Package file as bytes must not be null"),
    ];
    for (field, expected) in cases {
        let mut request = upload_of(&zip(&FILES));
        request[field] = Value::Null;
        assert_eq!(failure(host.post(UPLOAD, &request).await, 500, ILLEGAL_ARGUMENT), expected);
        request.as_object_mut().unwrap().remove(field);
        assert_eq!(failure(host.post(UPLOAD, &request).await, 500, ILLEGAL_ARGUMENT), expected);
    }
    let mut request = upload_of(b"");
    let message = failure(host.post(UPLOAD, &request).await, 500, ILLEGAL_ARGUMENT);
    assert_eq!(message, "Package file as bytes must not be empty");
    request["extension"] = "jar".into();
    let message = failure(host.post(UPLOAD, &request).await, 500, ILLEGAL_ARGUMENT);
    assert_eq!(message, "Extension must be 'zip', not jar");
    let other = zip(&[("log-1.0.1/package.yml", "")]);
    let message = failure(host.post(UPLOAD, &upload_of(&other)).await, 500, ILLEGAL_ARGUMENT);
    assert_eq!(message, "Package is expected to be unpacked, but it doesn't exist");
    nothing_is_left(&host).await;
}

#[tokio::test]
async fn the_extension_is_zip_where_none_is_given() {
    let host = host().await;
    let mut request = upload_of(&zip(&FILES));
    request.as_object_mut().unwrap().remove("extension");
    request["somethingElse"] = json!({ "is": "ignored" });
    host.post(UPLOAD, &request).await.expect(201);
}

#[tokio::test]
async fn the_repository_is_looked_up_before_anything_else() {
    let host = host().await;
    let message = failure(host.post(UPLOAD, &json!({})).await, 409, SKIPPER);
    assert_eq!(message, "Could not find local repository to upload to named null");
    let message = failure(host.post(UPLOAD, &json!({ "repoName": "x" })).await, 409, SKIPPER);
    assert_eq!(message, "Could not find local repository to upload to named x");

    let remote = Repository {
        name: "remote".into(),
        url: "http://localhost".into(),
        ..Repository::default()
    };
    let insert = host.app.store.write_unaudited(|it| packages::repository_insert(it, remote));
    insert.await.unwrap();
    let message = failure(host.post(UPLOAD, &json!({ "repoName": "remote" })).await, 409, SKIPPER);
    assert_eq!(message, "Repository to upload to is not a local database hosted repository.");
}

#[tokio::test]
async fn a_request_that_does_not_fit_its_package_is_refused() {
    let host = host().await;
    let files = [("log-1.0.0/package.yml", "name: time\nversion: 2.0.0")];
    let message = failure(host.post(UPLOAD, &upload_of(&zip(&files))).await, 409, SKIPPER);
    assert_eq!(
        message,
        "Package definition in the request [log:1.0.0] differs from one inside the package.yml \
         [time:2.0.0]"
    );
    let mut request = upload_of(&zip(&FILES));
    request["version"] = "1.0.0.RELEASE".into();
    assert_eq!(
        failure(host.post(UPLOAD, &request).await, 409, SKIPPER),
        "UploadRequest doesn't have a valid semantic version.  Version = 1.0.0.RELEASE"
    );
    request["version"] = "1.0.0".into();
    request["name"] = "../log".into();
    assert_eq!(
        failure(host.post(UPLOAD, &request).await, 409, SKIPPER),
        "Entry is outside of the target dir: ../log-1.0.0.zip"
    );
    nothing_is_left(&host).await;
}

#[tokio::test]
async fn archives_that_try_something_are_refused_and_leave_nothing() {
    let message = refused(b"this is no zip").await;
    assert!(message.starts_with("The package file is not a zip that can be taken"), "{message}");

    for name in ["../evil.yml", "/etc/evil.yml", "log-1.0.0/../../evil.yml", "C:\\evil.yml"] {
        let message = refused(&zip(&[FILES[0], (name, "")])).await;
        assert!(message.starts_with("Entry is outside of the target dir: "), "{name}: {message}");
    }

    let message = refused(&zip(&[FILES[0], ("LOG-1.0.0/package.yml", "")])).await;
    assert!(message.contains("two entries are named"), "{message}");

    let bomb = zip(&[("log-1.0.0/values.yml", vec![b' '; 16 << 20])]);
    assert!(bomb.len() < 17 << 10, "the bomb is 1000 times smaller than what is in it");
    let message = refused(&bomb).await;
    assert!(message.contains("more than 100 times"), "{message}");

    let message = refused(&zip(&[("log-1.0.0/package.yml", "!!javax.Evil []")])).await;
    assert!(message.contains("the tag `!!javax.Evil` is not known here"), "{message}");
}

#[tokio::test]
async fn a_body_that_is_not_the_right_json_is_refused() {
    let host = host().await;
    for body in [
        "{",
        "",
        "[]",
        "nonsense",
        r#"{"name":1,"repoName":"local"}"#,
        r#"{"packageFileAsBytes":"not base64!"}"#,
        r#"{"packageFileAsBytes":[1,2,"x"]}"#,
        &"[".repeat(100_000),
    ] {
        let answer = host.post_bytes(UPLOAD, "application/json", body.to_owned()).await;
        failure(answer, 400, NOT_READABLE);
    }
    nothing_is_left(&host).await;
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let host = host().await;
    for kind in ["text/plain", "application/octet-stream"] {
        let answer = host.post_bytes(UPLOAD, kind, "{}").await;
        let exception = "org.springframework.web.HttpMediaTypeNotSupportedException";
        assert_eq!(failure(answer, 415, exception), format!("Content type '{kind}' not supported"));
    }
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_refused() {
    let host = host().await;
    let whole = upload_of(&zip(&FILES)).to_string();
    let half = whole[..whole.len() / 2].to_owned();
    let cut = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let body = Body::from_stream(stream::iter([Ok(half), Err(cut)]));
    let request = Request::post(UPLOAD).header("content-type", "application/json");

    let answer = host.send(request.body(body).unwrap()).await;

    assert_eq!(failure(answer, 400, NOT_READABLE), "the body of the request ended too early");
    nothing_is_left(&host).await;
}

#[tokio::test]
async fn a_package_that_is_too_large_is_refused() {
    let small = |config: &mut chandlery::config::Config| config.limits.package_bytes_max = 1000;
    let host = Host::builder().config(small).plugins(vec![guest::allow_all()]).start().await;
    let told = |answer: Answer| failure(answer, 413, SKIPPER);

    let request = upload_of(&vec![0; 80 << 10]);
    assert!(told(host.post(UPLOAD, &request).await).starts_with("the package is larger than"));

    // The same without a length that could be looked at first.
    let text = request.to_string();
    let body = Body::from_stream(stream::iter([Ok::<_, std::io::Error>(text)]));
    let request = Request::post(UPLOAD).header("content-type", "application/json");
    let answer = host.send(request.body(body).unwrap()).await;
    assert!(told(answer).starts_with("the package is larger than"));

    // Small, but not when it is unpacked.
    let zip = zip(&[FILES[0], ("log-1.0.0/notes", &"x".repeat(2000))]);
    assert!(zip.len() < 1000);
    let message = told(host.post(UPLOAD, &upload_of(&zip)).await);
    assert_eq!(message, "the unpacked package is larger than the limit of 1000 bytes");
    nothing_is_left(&host).await;
}

#[tokio::test]
async fn the_policy_is_asked_before_anything_is_kept() {
    let host = Host::with(vec![guest::deny_action("package:upload")]).await;
    let denied = "org.springframework.security.access.AccessDeniedException";
    let answer = host.post(UPLOAD, &upload_of(&zip(&FILES))).await;
    assert_eq!(failure(answer, 403, denied), "not that");
    nothing_is_left(&host).await;
}

#[tokio::test]
async fn a_hook_can_refuse_a_package() {
    let mut hook = guest::refusing_hook();
    hook.actions = vec!["package:upload".to_owned()];
    let host = Host::with(vec![guest::allow_all(), hook]).await;
    let answer = host.post(UPLOAD, &upload_of(&zip(&FILES))).await;
    assert_eq!(failure(answer, 409, SKIPPER), "too much");
    nothing_is_left(&host).await;
}

#[tokio::test]
async fn a_hook_can_change_what_a_package_says_of_itself_but_not_what_it_is() {
    let patched = |patch: &str| {
        let mut hook = guest::patching_hook(patch);
        hook.actions = vec!["package:upload".to_owned()];
        Host::with(vec![guest::allow_all(), hook])
    };
    let request = upload_of(&zip(&FILES));

    let host = patched(r#"[{"op":"replace","path":"/maintainer","value":"ana"}]"#).await;
    let body = host.post(UPLOAD, &request).await.expect(201).json();
    assert_eq!(body["maintainer"], "ana");
    let row = kept(&host).await.unwrap();
    let package = chandlery::release::package::load(&host.app, &row).await.unwrap();
    assert_eq!(package.metadata.maintainer.as_deref(), Some("ana"));

    let host = patched(r#"[{"op":"replace","path":"/version","value":"2.0.0"}]"#).await;
    host.post(UPLOAD, &request).await.expect(500);
    nothing_is_left(&host).await;
}
