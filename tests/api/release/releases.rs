use chandlery::store::{
    View,
    operations::{self, Phase},
};
use chandlery_tests::{Host, guest};
use serde_json::{Value, json};

use super::{
    SKIPPER, UPLOAD, bindings, bindings_with, failure, install::until, send_as, upload_of, zip,
};

const INSTALL: &str = "/api/package/install";
const NOT_FOUND: &str = "org.springframework.cloud.skipper.ReleaseNotFoundException";

const PACKAGE: &str = "name: log\nversion: 1.0.0\n";
const VALUES: &str = "version: 1.10\nprops:\n  z: 010\n  a: on\n";
const TEMPLATE: &str = "\
apiVersion: v1
kind: SpringBootApp
metadata:
  name: log
spec:
  resource: docker:log
  version: {{version}}
  applicationProperties:
    {{#props.entrySet}}
    {{key}}: {{{value}}}
    {{/props.entrySet}}
";

async fn host() -> Host {
    host_with_template(TEMPLATE).await
}

/// A server that has package log 1.0.0 with that template.
async fn host_with_template(template: &str) -> Host {
    let host = Host::with(bindings()).await;
    let zip = zip(&[
        ("log-1.0.0/package.yml", PACKAGE),
        ("log-1.0.0/values.yml", VALUES),
        ("log-1.0.0/templates/log.yml", template),
    ]);
    host.post(UPLOAD, &upload_of(&zip)).await.expect(201);
    host
}

fn install(values: Option<&str>) -> Value {
    json!({
        "packageIdentifier": { "packageName": "log" },
        "installProperties": {
            "releaseName": "mine",
            "platformName": "default",
            "configValues": { "raw": values },
        },
    })
}

#[track_caller]
fn same(left: &Value, right: &str) {
    assert_eq!(left.as_str().unwrap(), right);
}

/// Installs what cannot be installed, and gives the message.
async fn refused(host: &Host, request: &Value) -> String {
    let message = failure(host.post(INSTALL, request).await, 409, SKIPPER);
    assert_eq!(host.get("/api/release/list").await.expect(200).text(), "{}");
    message
}

#[tokio::test]
async fn a_manifest_is_rendered_with_the_text_of_numbers_and_the_order_of_keys() {
    let host = host().await;
    host.post(INSTALL, &install(Some("props: {b: 0x1F, a: off}"))).await.expect(201);

    let manifest = host.get("/api/release/manifest/mine").await.expect(200).json();

    let expected = "\n---\n# Source: log.yml\napiVersion: v1\nkind: SpringBootApp\nmetadata:\n  \
                    name: log\nspec:\n  resource: docker:log\n  version: 1.10\n  \
                    applicationProperties:\n    z: 010\n    a: false\n    b: 0x1F\n";
    same(&manifest["data"], expected);
}

#[tokio::test]
async fn a_release_that_cannot_be_taken_off_for_a_while_is_deleted_by_the_engine() {
    let host = Host::with(bindings_with(guest::stuck_deployer())).await;
    let files = [("log-1.0.0/package.yml", PACKAGE), ("log-1.0.0/templates/log.yml", TEMPLATE)];
    host.post(UPLOAD, &upload_of(&zip(&files))).await.expect(201);
    host.post(INSTALL, &install(Some(VALUES))).await.expect(201);

    let message = failure(host.delete("/api/release/mine").await, 409, SKIPPER);

    assert!(message.starts_with("Release [mine] is not deleted yet, and the server"), "{message}");
    assert!(message.ends_with("log: plugin `deployer-local`: not now"), "{message}");
    let code = async || {
        let info = host.get("/api/release/status/mine").await.expect(200).json();
        info["status"]["statusCode"].as_str().unwrap().to_owned()
    };
    assert_eq!(code().await, "DEPLOYED");
    let message = failure(host.delete("/api/release/mine").await, 409, SKIPPER);
    assert_eq!(message, "Statemachine is not in state ready to do DELETE");

    host.app.plugins.swap(host.app.plugins.build(bindings()).await.unwrap());

    until("deleted", async || code().await == "DELETED").await;
    let read = |view: &dyn View| operations::history(view, "mine", 1);
    let ended = host.app.store.read(read).await.unwrap().remove(0);
    assert_eq!((ended.phase, ended.message), (Phase::Done, None));
    assert!(ended.attempts >= 2);
}

#[tokio::test]
async fn a_release_goes_from_install_to_delete() {
    let host = host().await;

    let release = host.post(INSTALL, &install(None)).await.expect(201).json();
    assert_eq!(release["version"], 1);
    same(&release["info"]["status"]["statusCode"], "DEPLOYED");
    same(&release["info"]["description"], "Install complete");
    assert_eq!(release["configValues"], json!({ "raw": null }));

    let message = failure(host.post(INSTALL, &install(None)).await, 409, SKIPPER);
    assert_eq!(message, "Release with the name [mine] already exists and it is not deleted.");

    let gone = host.delete("/api/release/mine").await.expect(200).json();
    same(&gone["info"]["status"]["statusCode"], "DELETED");
    same(&gone["info"]["description"], "Delete complete");
    assert_eq!(gone["info"]["status"]["platformStatus"], Value::Null);

    let status = host.get("/api/release/status/mine").await.expect(200).json();
    same(&status["status"]["statusCode"], "DELETED");
    assert_eq!(host.get("/api/release/list").await.expect(200).text(), "{}");
    failure(host.delete("/api/release/mine").await, 404, NOT_FOUND);

    let again = host.post(INSTALL, &install(None)).await.expect(201).json();
    assert_eq!(again["version"], 2);
}

#[tokio::test]
async fn a_list_is_hal_whatever_is_asked_for() {
    let host = host().await;
    let empty = host.get("/api/release/list").await.expect(200);
    assert_eq!(empty.header("content-type"), "application/hal+json;charset=UTF-8");
    assert_eq!(empty.text(), "{}");
    host.post(INSTALL, &install(None)).await.expect(201);

    for accept in [&b"application/json, application/*+json"[..], b"text/html", b"\xff", b"*/*"] {
        let path = "/api/release/list/MIN";
        let list = send_as(&host, "GET", path, accept, &Value::Null).await.expect(200).json();
        let release = &list["_embedded"]["releases"][0];
        same(&release["name"], "mine");
        let href = "http://localhost:7577/api/release/status/{name}";
        assert_eq!(release["_links"], json!({ "status": { "href": href, "templated": true } }));
    }
    assert_eq!(host.get("/api/release/list/other").await.expect(200).text(), "{}");
}

#[tokio::test]
async fn both_link_forms_are_spoken() {
    let host = host().await;
    host.post(INSTALL, &install(None)).await.expect(201);
    for (path, rel) in [
        ("/api/release/status/mine", "manifest"),
        ("/api/release/status/mine/1", "manifest"),
        ("/api/release/manifest/mine", "status"),
        ("/api/release/manifest/mine/1", "status"),
    ] {
        let href = format!("http://localhost:7577/api/release/{rel}/{{name}}");
        let plain = send_as(&host, "GET", path, b"application/json", &Value::Null).await;
        assert_eq!(plain.expect(200).json()["links"], json!([{ "rel": rel, "href": href }]));
        let odd = b"text/html, image/gif, image/jpeg, */*; q=0.2";
        let hal = send_as(&host, "GET", path, odd, &Value::Null).await.expect(200).json();
        let mut links = json!({});
        links[rel] = json!({ "href": href, "templated": true });
        assert_eq!(hal["_links"], links);
    }
}

#[tokio::test]
async fn a_release_that_is_not_there_is_told_by_name_and_version() {
    let host = host().await;
    host.post(INSTALL, &install(None)).await.expect(201);

    for path in ["/api/release/status/nobody", "/api/release/manifest/nobody"] {
        let answer = host.get(path).await;
        let body = answer.json();
        let message = failure(answer, 404, NOT_FOUND);
        assert_eq!(message, "Release with the name [nobody] doesn't exist");
        same(&body["releaseName"], "nobody");
        assert_eq!(body["version"], Value::Null);
    }
    for (version, told) in [("7", 7), ("0", 0), ("-1", -1)] {
        let answer = host.get(&format!("/api/release/status/mine/{version}")).await;
        let body = answer.json();
        let message = failure(answer, 404, NOT_FOUND);
        assert_eq!(
            message,
            format!("Release with the name [mine] and version [{told}] doesn't exist")
        );
        assert_eq!(body["version"], told);
    }
    for path in ["/api/release/status/a%00b", "/api/release/manifest/a%0Ab"] {
        failure(host.get(path).await, 404, NOT_FOUND);
    }
    let exception = "org.springframework.web.method.annotation.MethodArgumentTypeMismatchException";
    for version in ["x", "1.0", "99999999999", "%20"] {
        failure(host.get(&format!("/api/release/status/mine/{version}")).await, 400, exception);
    }
}

#[tokio::test]
async fn a_template_that_names_a_missing_value_is_told_with_its_line() {
    let host = host_with_template("a: 1\nb: {{nobody}}\n").await;
    let message = refused(&host, &install(None)).await;
    assert!(message.contains("template `log.yml`, line 2: "), "{message}");
    assert!(message.contains("nobody"), "{message}");
}

#[tokio::test]
async fn a_template_that_gives_no_yaml_is_told_with_its_line() {
    let host = host_with_template("a: 1\nb: \"{{{version}}}\n").await;
    let message = refused(&host, &install(None)).await;
    assert!(message.contains("template `log.yml` gives no YAML"), "{message}");
}

#[tokio::test]
async fn what_a_request_gets_wrong_is_told() {
    let host = host().await;
    let mut request = install(Some("- a"));
    assert!(refused(&host, &request).await.starts_with("Was expecting override values"));
    request = install(Some("a: b: c"));
    assert!(refused(&host, &request).await.starts_with("Config values are no YAML: line 1"));
    request = install(None);
    request["installProperties"]["platformName"] = "nowhere".into();
    assert_eq!(refused(&host, &request).await, "No deployer named 'nowhere'");
    request["installProperties"]["platformName"] = Value::Null;
    assert_eq!(refused(&host, &request).await, "Platform name must not be empty");
    request["installProperties"] = Value::Null;
    assert_eq!(refused(&host, &request).await, "Install properties must not be null");

    request = install(None);
    request["packageIdentifier"]["packageName"] = "x".into();
    assert_eq!(refused(&host, &request).await, "Can not find a package named 'x'");
    request["packageIdentifier"]["packageVersion"] = "2.0.0".into();
    assert_eq!(refused(&host, &request).await, "Can not find package 'x', version '2.0.0'");
    request["packageIdentifier"]["packageName"] = "log\u{0}1.0.0".into();
    request["packageIdentifier"]["packageVersion"] = "local".into();
    assert!(refused(&host, &request).await.starts_with("Can not find package 'log"));
}

#[tokio::test]
async fn wrong_types_and_too_much_are_refused() {
    let host = host().await;
    let unreadable = "org.springframework.http.converter.HttpMessageNotReadableException";
    for body in
        ["{", "[]", r#"{"installProperties":[]}"#, r#"{"packageIdentifier":{"packageName":1}}"#]
    {
        let answer = host.post_bytes(INSTALL, "application/json", body.to_owned()).await;
        failure(answer, 400, unreadable);
    }
    for (field, body) in [
        ("packageIdentifier", json!({ "packageIdentifier": { "packageName": 1 } })),
        ("installProperties", {
            json!({ "installProperties": { "configValues": { "raw": [] } } })
        }),
    ] {
        let told = failure(host.post(INSTALL, &body).await, 400, unreadable);
        assert!(told.contains(&format!(" `{field}")), "{told}");
    }
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(1 << 20));
    failure(host.post_bytes(INSTALL, "application/json", large).await, 413, SKIPPER);
    let method = "org.springframework.web.HttpRequestMethodNotSupportedException";
    failure(host.get("/api/release/mine").await, 405, method);
}

#[tokio::test]
async fn the_policy_is_asked_for_each() {
    let denied = "org.springframework.security.access.AccessDeniedException";
    let cases = [
        ("release:read", "GET", "/api/release/status/mine"),
        ("release:read", "GET", "/api/release/status/mine/1"),
        ("release:read", "GET", "/api/release/manifest/mine"),
        ("release:read", "GET", "/api/release/manifest/mine/1"),
        ("release:list", "GET", "/api/release/list"),
        ("release:list", "GET", "/api/release/list/mine"),
        ("release:delete", "DELETE", "/api/release/mine"),
        ("release:install", "POST", INSTALL),
        ("release:upgrade", "POST", "/api/release/upgrade"),
        ("release:rollback", "POST", "/api/release/rollback"),
        ("release:rollback", "POST", "/api/release/rollback/mine/1"),
        ("release:scale", "POST", "/api/release/scale/mine"),
        ("release:cancel", "POST", "/api/release/cancel"),
    ];
    for (action, method, path) in cases {
        let host = Host::with(vec![guest::deny_action(action)]).await;
        let body = if method == "POST" { install(None) } else { Value::Null };
        let answer = send_as(&host, method, path, b"*/*", &body).await;
        assert_eq!(failure(answer, 403, denied), "not that", "{action}");
    }
}

#[tokio::test]
async fn a_list_of_many_pages_is_whole() {
    let host = host().await;
    let mut names: Vec<String> = (0..42).map(|it| format!("r{it:02}")).collect();
    for name in &names {
        let mut request = install(None);
        request["installProperties"]["releaseName"] = json!(format!(" {name} "));
        host.post(INSTALL, &request).await.expect(201);
    }

    for (part, expected) in [("", 42), ("R0", 10), ("r", 42), ("41", 1)] {
        let path = format!("/api/release/list/{part}");
        let list = host.get(path.trim_end_matches('/')).await.expect(200).json();
        let found = list["_embedded"]["releases"].as_array().unwrap().clone();
        let found: Vec<String> =
            found.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        let part = part.to_lowercase();
        let wanted: Vec<String> = names.iter().filter(|it| it.contains(&part)).cloned().collect();
        assert_eq!(found, wanted);
        assert_eq!(found.len(), expected);
    }

    // A page that is exactly full is the last one, too.
    for name in names.split_off(40) {
        host.delete(&format!("/api/release/{name}")).await.expect(200);
    }
    let list = host.get("/api/release/list").await.expect(200).json();
    assert_eq!(list["_embedded"]["releases"].as_array().unwrap().len(), 40);
}

#[tokio::test]
async fn a_long_name_is_refused_with_its_field() {
    let host = host().await;
    let mut request = install(None);
    request["installProperties"]["releaseName"] = json!("n".repeat(100_000));
    let message = refused(&host, &request).await;
    assert_eq!(message, "`releaseName` may have 255 characters, and has more");
}
