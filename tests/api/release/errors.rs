//! What every endpoint of the family has in common when something is wrong.

use chandlery_tests::{
    DryRun, Host,
    dry_run::{app, install},
    guest,
};
use serde_json::json;

use super::{SKIPPER, UPLOAD, failure, upgrade::NOT_FOUND, upload_of, zip};

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_told_in_json() {
    let host = Host::with(vec![guest::allow_all()]).await;
    for path in [UPLOAD, "/api/about", "/api/release/mine", "/api/release/list/mine"] {
        let answer = host.put(path, &json!({})).await;
        let exception = "org.springframework.web.HttpRequestMethodNotSupportedException";
        assert_eq!(super::failure(answer, 405, exception), "Request method 'PUT' not supported");
    }
}

#[tokio::test]
async fn a_final_slash_means_nothing() {
    let host = DryRun::default().host().await;
    host.post("/api/package/install/", &install("a", &[app("web", json!({}))])).await.expect(201);
    for path in [
        "/api",
        "/api/about",
        "/api/release",
        "/api/release/list",
        "/api/release/list/a",
        "/api/release/status/a",
        "/api/release/manifest/a/1",
        "/api/package",
        "/api/packageMetadata",
        "/api/repositories/1",
        "/actuator/info",
    ] {
        let (one, other) = (host.get(path).await, host.get(&format!("{path}/")).await);
        assert_eq!((one.status, one.text()), (200, other.text()), "{path}");
    }
    let states = host.get("/api/release/states/?names=a").await.expect(200).json();
    assert_eq!(states, json!({ "a": { "a.web-v1": "deployed" } }));
    for (path, status) in [("/api/release/status/nobody/", 404), ("/api/about/us/", 404)] {
        assert_eq!(host.get(path).await.expect(status).json()["path"], path);
    }
    host.delete("/api/release/a/").await.expect(200);
}

/// What a route says is no name that is taken.
#[tokio::test]
async fn a_name_may_be_a_word_of_a_route() {
    let host = DryRun::default().host().await;
    for name in ["list", "statuses", "states", "upgrade", "rollback", "cancel", "status", "package"]
    {
        let request = install(name, &[app("web", json!({}))]);
        host.post("/api/package/install", &request).await.expect(201);
        let deleted = host.delete(&format!("/api/release/{name}")).await.expect(200).json();
        assert_eq!((&deleted["name"], &deleted["version"]), (&json!(name), &json!(1)));
        let again = failure(host.delete(&format!("/api/release/{name}")).await, 404, NOT_FOUND);
        assert_eq!(again, format!("Release with the name [{name}] doesn't exist"));
    }
    for name in ["upload", "install"] {
        let files =
            [(format!("{name}-1.0.0/package.yml"), format!("name: {name}\nversion: 1.0.0\n"))];
        let files = files.each_ref().map(|(path, text)| (path.as_str(), text));
        let mut upload = upload_of(&zip(&files));
        upload["name"] = name.into();
        host.post(UPLOAD, &upload).await.expect(201);
        host.delete(&format!("/api/package/{name}")).await.expect(200);
        let again = host.delete(&format!("/api/package/{name}")).await;
        assert_eq!(again.json()["path"], format!("/api/package/{name}"));
        let message = failure(again, 409, SKIPPER);
        assert_eq!(message, format!("Can not find a package named '{name}'"));
    }
    for name in ["list", "logs"] {
        let request = install(name, &[app("web", json!({}))]);
        host.post("/api/package/install", &request).await.expect(201);
    }
    let in_use = "org.springframework.cloud.skipper.PackageDeleteException";
    failure(host.delete("/api/release/list/package").await, 409, in_use);
    host.delete("/api/release/logs").await.expect(200);
    host.delete("/api/release/list/package").await.expect(200);
}

#[tokio::test]
async fn an_unknown_path_is_told_in_json() {
    let host = Host::with(vec![guest::allow_all()]).await;
    for path in ["/api/package/nothing/else", "/api/release/nothing/at/all/here", "/api/about/us"] {
        let answer = host.get(path).await.expect(404);
        assert_eq!(answer.header("content-type"), "application/json;charset=UTF-8");
        let body = answer.json();
        assert_eq!(body["error"], "Not Found");
        assert_eq!(body["path"], path);
        assert!(body["timestamp"].is_u64(), "{body}");
    }
}
