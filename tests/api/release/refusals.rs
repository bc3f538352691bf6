//! Every message of the release API as a client gets it: the status, the class that Java's
//! clients dispatch on, the text, the path, and what a missing release says besides.

use axum::http::{Method, Request, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use chandlery::{
    config::{Config, RepositoryConfig},
    store::packages,
};
use chandlery_tests::{
    DryRun, Host,
    dry_run::{app, install, upgrade},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    FILES, SKIPPER, UPLOAD,
    install::until,
    upgrade::{INSTALL, NOT_FOUND, UPGRADE, never, plain, settled_of, versioned},
    upload_of, zip,
};

const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";
const UNCHANGED: &str = "org.springframework.cloud.skipper.ReleaseUpgradeException";
const IN_USE: &str = "org.springframework.cloud.skipper.PackageDeleteException";

/// A request that is refused, and how.
struct Refusal {
    method: Method,
    path: String,
    body: Value,
    status: u16,
    class: &'static str,
    message: String,
    /// What is told of a release that is missing.
    release: Option<(&'static str, Option<i64>)>,
}

fn get(path: &str) -> Refusal {
    request(Method::GET, path, Value::Null)
}

fn post(path: &str, body: Value) -> Refusal {
    request(Method::POST, path, body)
}

fn delete(path: &str) -> Refusal {
    request(Method::DELETE, path, Value::Null)
}

fn request(method: Method, path: &str, body: Value) -> Refusal {
    Refusal {
        method,
        path: path.to_owned(),
        body,
        status: 409,
        class: SKIPPER,
        message: String::new(),
        release: None,
    }
}

impl Refusal {
    fn says(self, message: impl Into<String>) -> Refusal {
        Refusal { message: message.into(), ..self }
    }

    fn with(self, status: u16, class: &'static str) -> Refusal {
        Refusal { status, class, ..self }
    }

    /// Nobody knows the release, or that version of it.
    fn misses(self, name: &'static str, version: Option<i64>) -> Refusal {
        let message = match version {
            None => format!("Release with the name [{name}] doesn't exist"),
            Some(it) => format!("Release with the name [{name}] and version [{it}] doesn't exist"),
        };
        Refusal { release: Some((name, version)), ..self.with(404, NOT_FOUND).says(message) }
    }

    fn expected(&self, timestamp: &Value) -> Value {
        let reason = match self.status {
            404 => "Not Found",
            409 => "Conflict",
            500 => "Internal Server Error",
            other => panic!("no row is a {other}"),
        };
        let mut body = json!({
            "timestamp": timestamp, "status": self.status, "error": reason,
            "exception": self.class, "message": self.message,
            "path": self.path.split('?').next(),
        });
        if let Some((name, version)) = self.release {
            body["releaseName"] = name.into();
            if let Some(version) = version {
                body["version"] = version.into();
            }
        }
        body
    }
}

/// Sends each request in the ways that clients ask for answers, and compares the whole body.
async fn check(host: &Host, refusals: impl IntoIterator<Item = Refusal>) {
    for refusal in refusals {
        for accept in ["application/json", "application/hal+json", "text/html, */*;q=.2"] {
            let sent = Request::builder()
                .method(refusal.method.clone())
                .uri(&refusal.path)
                .header(header::HOST, "localhost:7577")
                .header(header::ACCEPT, accept)
                .header(header::CONTENT_TYPE, "application/json");
            let text =
                if refusal.body.is_null() { String::new() } else { refusal.body.to_string() };
            let answer = host.send(sent.body(text.into()).unwrap()).await;
            let place = format!("{} {} as `{accept}`", refusal.method, refusal.path);
            let body = answer.json();
            assert!(body["timestamp"].is_u64(), "{place}: {body}");
            let expected = refusal.expected(&body["timestamp"]);
            assert_eq!(body.to_string(), expected.to_string(), "{place}");
            assert_eq!(answer.status, refusal.status, "{place}");
            assert_eq!(answer.header("content-type"), "application/json;charset=UTF-8", "{place}");
        }
    }
}

/// The request that uploads a package of one template.
fn package(name: &str, values: &str, template: &str) -> Value {
    let at = |file: &str| format!("{name}-1.0.0/{file}");
    let zip = zip(&[
        (at("package.yml").as_str(), format!("name: {name}\nversion: 1.0.0\n").as_str()),
        (&at("values.yml"), values),
        (&at("templates/app.yml"), template),
    ]);
    let mut upload = upload_of(&zip);
    upload["name"] = name.into();
    upload
}

/// The request that installs package `name` as `new`.
fn install_of(name: &str) -> Value {
    json!({
        "packageIdentifier": { "packageName": name, "packageVersion": "1.0.0" },
        "installProperties": { "releaseName": "new", "platformName": "default" },
    })
}

fn with(mut request: Value, pointer: &str, value: Value) -> Value {
    *request.pointer_mut(pointer).unwrap_or_else(|| panic!("no `{pointer}`")) = value;
    request
}

/// A server where `a` runs, `gone` is deleted, `failed` has failed in version 2, and `busy`
/// is being upgraded for ever.
async fn furnished() -> Host {
    let host = DryRun::default().host().await;
    for name in ["a", "gone", "failed", "busy"] {
        host.post(INSTALL, &install(name, &[plain("web")])).await.expect(201);
    }
    host.delete("/api/release/gone").await.expect(200);
    let mut failing = upgrade("failed", &[never("web")]);
    failing["timeout"] = 1.into();
    host.post(UPGRADE, &failing).await.expect(201);
    settled_of(&host, "failed").await;
    host.post(UPGRADE, &upgrade("busy", &[never("web")])).await.expect(201);
    host
}

#[tokio::test]
async fn a_release_that_is_missing_is_told_with_its_name() {
    let host = furnished().await;
    let rollback = |name: &str, version: i64| json!({ "releaseName": name, "version": version });
    let scale = json!({ "scale": [{ "name": "web", "count": 2 }] });
    let posted = json!({ "endpoint": "loggers", "body": { "a": 1 } });
    let unknown = [
        get("/api/release/status/nobody"),
        get("/api/release/manifest/nobody"),
        get("/api/release/logs/nobody"),
        get("/api/release/logs/nobody/nobody.web-v1"),
        get("/api/release/actuator/nobody/nobody.web-v1/x?endpoint=health"),
        post("/api/release/actuator/nobody/nobody.web-v1/x", posted),
        post(UPGRADE, upgrade("nobody", &[plain("web")])),
        post("/api/release/rollback", rollback("nobody", 0)),
        post("/api/release/rollback", rollback("nobody", 3)),
        post("/api/release/rollback/nobody/0", Value::Null),
        post("/api/release/rollback/nobody/3", Value::Null),
        post("/api/release/scale/nobody", scale),
        delete("/api/release/nobody"),
        delete("/api/release/nobody/package"),
    ];
    check(&host, unknown.map(|it| it.misses("nobody", None))).await;
    let no_version = [
        get("/api/release/status/a/9"),
        get("/api/release/manifest/a/9"),
        post("/api/release/rollback", rollback("a", 9)),
        post("/api/release/rollback/a/9", Value::Null),
    ];
    check(&host, no_version.map(|it| it.misses("a", Some(9)))).await;
    let nothing = [
        delete("/api/release/gone").misses("gone", None),
        delete("/api/release/gone/package").misses("gone", None),
        // There is only one version, so none to go back to.
        post("/api/release/rollback", rollback("a", 0)).misses("a", None),
        post("/api/release/rollback/a/0", Value::Null).misses("a", None),
    ];
    check(&host, nothing).await;
}

#[tokio::test]
async fn what_an_install_names_wrongly_is_told_in_the_original_words() {
    let host = furnished().await;
    let good = install("new", &[plain("web")]);
    let properties = &good["installProperties"];
    let taken = "Release with the name [a] already exists and it is not deleted.";
    let at_id = |id: &str| format!("/api/package/install/{id}");
    let of_a = with(properties.clone(), "/releaseName", json!("a"));
    let refusals = [
        post(INSTALL, install("a", &[plain("web")])).says(taken),
        post(&at_id("1"), of_a).says(taken),
        post(&at_id("999"), properties.clone()).says("Package with id='999' can not be found."),
        post(&at_id("-1"), properties.clone()).says("Package with id='-1' can not be found."),
        post(INSTALL, with(good.clone(), "/packageIdentifier", json!({ "packageName": "none" })))
            .says("Can not find a package named 'none'"),
        post(INSTALL, with(good.clone(), "/packageIdentifier/packageVersion", json!("9.9.9")))
            .says("Can not find package 'apps', version '9.9.9'"),
        post(INSTALL, with(good.clone(), "/installProperties/platformName", json!("moon")))
            .says("No deployer named 'moon'"),
        post(INSTALL, with(good.clone(), "/installProperties", Value::Null))
            .says("Install properties must not be null"),
        post(INSTALL, with(good.clone(), "/packageIdentifier", Value::Null))
            .says("Package identifier must not be null"),
        post(INSTALL, with(good.clone(), "/packageIdentifier/packageName", json!(" ")))
            .says("Package name must not be empty"),
        post(INSTALL, with(good.clone(), "/installProperties/releaseName", Value::Null))
            .says("Release name must not be empty"),
        post(INSTALL, with(good.clone(), "/installProperties/platformName", json!("")))
            .says("Platform name must not be empty"),
        post(&at_id("1"), json!({ "platformName": "default" }))
            .says("Release name must not be empty"),
    ];
    check(&host, refusals).await;
}

#[tokio::test]
async fn what_an_upgrade_or_a_rollback_names_wrongly_is_told_in_the_original_words() {
    let host = furnished().await;
    let good = upgrade("a", &[versioned("web", "2", json!({}))]);
    let same = upgrade("a", &[plain("web")]);
    let mut lost = same.clone();
    lost["force"] = true.into();
    lost["appNames"] = json!(["bd"]);
    let refusals = [
        post(UPGRADE, same)
            .with(409, UNCHANGED)
            .says("Package to upgrade has no difference than existing deployed/deleted package. Not upgrading."),
        post(UPGRADE, lost).says(
            "Did not find existing application name [bd] in list of replacing applications [web].",
        ),
        post(UPGRADE, with(good.clone(), "/packageIdentifier", json!({ "packageName": "none" })))
            .says("Can not find package 'none', version 'null'"),
        post(UPGRADE, with(good.clone(), "/packageIdentifier/packageVersion", json!("9.9.9")))
            .says("Can not find package 'apps', version '9.9.9'"),
        post(UPGRADE, with(good.clone(), "/packageIdentifier/packageName", Value::Null))
            .says("Package name must not be empty"),
        post(UPGRADE, with(good.clone(), "/upgradeProperties/releaseName", json!("")))
            .says("Release name must not be empty"),
        post("/api/release/rollback", json!({ "releaseName": "failed", "version": 2 }))
            .says("Rollback version should either be in deployed or deleted status."),
        post("/api/release/rollback/failed/2", Value::Null)
            .says("Rollback version should either be in deployed or deleted status."),
        post("/api/release/rollback", json!({ "releaseName": "a", "version": -1 }))
            .says("Rollback version can not be less than zero.  Value = -1"),
        post("/api/release/rollback/a/-1", Value::Null)
            .says("Rollback version can not be less than zero.  Value = -1"),
        post("/api/release/rollback", json!({ "releaseName": "a", "version": null }))
            .says("Rollback version must not be null"),
        post("/api/release/rollback", json!({ "version": 1 })).says("Release name must not be empty"),
    ];
    check(&host, refusals).await;
}

#[tokio::test]
async fn who_meets_another_operation_is_told_so_in_the_original_words() {
    let host = furnished().await;
    let busy = |word: &str| format!("Statemachine is not in state ready to do {word}");
    let scale = json!({ "scale": [{ "name": "web", "count": 2 }] });
    let refusals = [
        post(INSTALL, install("busy", &[plain("web")])).says(busy("INSTALL")),
        post(UPGRADE, upgrade("busy", &[plain("web")])).says(busy("UPGRADE")),
        post("/api/release/rollback", json!({ "releaseName": "busy", "version": 1 }))
            .says(busy("ROLLBACK")),
        post("/api/release/rollback/busy/1", Value::Null).says(busy("ROLLBACK")),
        post("/api/release/scale/busy", scale).says(busy("SCALE")),
        delete("/api/release/busy").says(busy("DELETE")),
        delete("/api/release/busy/package").says(busy("DELETE")),
    ];
    check(&host, refusals).await;
    let held = host.get("/api/v1/releases/busy").await.expect(200).json();
    assert_eq!(held["in_progress"]["holder"], "anonymous", "{held}");
    assert_eq!(held["in_progress"]["action"], "release:upgrade", "{held}");
}

#[tokio::test]
async fn what_a_platform_or_a_resource_does_not_give_is_told_in_the_original_words() {
    let host = furnished().await;
    let mut astray = plain("web");
    astray["resource"] = "ftp://x/web".into();
    let fails = json!({ "deploy.fails": "permanent", "deploy.message": "no room" });
    let refusals = [
        post(INSTALL, install("new", &[astray])).says(
            "Could not load Resource ftp://x/web-1.0.0.jar. Message = its scheme must be \
             `inventory`, `file`, `http`, `https`, `maven` or `docker`",
        ),
        post(INSTALL, install("new", &[app("web", fails)])).says(
            "Could not install AppDeployRequest [web-v1, resource = docker:none:1.0.0]  to \
             platform [default].  Error Message = [no room]",
        ),
        get("/api/release/actuator/a/web/x?endpoint=health")
            .with(500, ILLEGAL_ARGUMENT)
            .says("app web is not found in release a"),
        post("/api/release/actuator/a/web/x", json!({ "endpoint": "loggers", "body": { "a": 1 } }))
            .with(500, ILLEGAL_ARGUMENT)
            .says("app web is not found in release a"),
    ];
    check(&host, refusals).await;
}

#[tokio::test]
async fn what_is_wrong_with_values_or_a_manifest_is_told_in_the_original_words() {
    let host = furnished().await;
    let good = "kind: SpringBootApp\nmetadata: {name: web}\nspec: {resource: 'docker:x'}\n";
    for (name, values, template) in [
        ("good", "a: 1\n", good),
        ("listed", "- a\n", good),
        ("other-kind", "", "kind: CloudFoundryApplication\nmetadata: {name: web}\n"),
        ("no-map", "", "- a\n"),
        ("empty", "", "\n"),
        (
            "no-name",
            "",
            "kind: SpringBootApp\nmetadata: {type: sink}\nspec: {resource: 'docker:x'}\n",
        ),
        ("unbound", "", "a: {{nobody}}\n"),
    ] {
        host.post(UPLOAD, &package(name, values, template)).await.expect(201);
    }
    let values = |raw: &str| {
        let mut request = install_of("good");
        request["installProperties"]["configValues"] = json!({ "raw": raw });
        request
    };
    let no_map = |class: &str| {
        format!("Was expecting override values to produce a Map, instead got class = class {class}")
    };
    let mut upgrade = upgrade("a", &[]);
    upgrade["upgradeProperties"]["configValues"] = json!({ "raw": "- a" });
    let refusals = [
        post(INSTALL, values("- a")).says(no_map("java.util.ArrayList")),
        post(INSTALL, values("text")).says(no_map("java.lang.String")),
        post(INSTALL, values("17")).says(no_map("java.lang.Integer")),
        post(INSTALL, values("yes")).says(no_map("java.lang.Boolean")),
        post(UPGRADE, upgrade).says(no_map("java.util.ArrayList")),
        post(INSTALL, install_of("listed"))
            .says("Config Values that are not a map are not yet supported."),
        post(INSTALL, install_of("other-kind"))
            .says("No release manager available for 'CloudFoundryApplication'"),
        post(INSTALL, install_of("no-map"))
            .says("Can't parse manifest, it is not a map.  Manifest = [\"a\"]"),
        post(INSTALL, install_of("empty")).says("Can't parse manifest, it is empty"),
        post(INSTALL, install_of("no-name")).says(
            "SpringCloudDeployerApplicationManifest must define a 'name' property in the metadata",
        ),
        post(INSTALL, install_of("unbound")).says(
            "Could not render package [unbound:1.0.0]: template `app.yml`, line 1: No method or \
             field with name 'nobody' on line 1",
        ),
    ];
    check(&host, refusals).await;
    host.post(INSTALL, &values("a: 2")).await.expect(201);
}

#[tokio::test]
async fn what_is_wrong_with_an_upload_is_told_in_the_original_words() {
    let (host, _folder) = with_remote().await;
    let good = upload_of(&zip(&FILES));
    host.post(UPLOAD, &good).await.expect(201);
    let mut next = upload_of(&zip(&[("log-1.1.0/package.yml", "name: log\nversion: 1.1.1\n")]));
    next["version"] = "1.1.0".into();
    let refusal = |field: &str, value: Value| post(UPLOAD, with(good.clone(), field, value));
    let argument = |it: Refusal| it.with(500, ILLEGAL_ARGUMENT);
    let refusals = [
        refusal("/repoName", json!("x"))
            .says("Could not find local repository to upload to named x"),
        refusal("/repoName", Value::Null)
            .says("Could not find local repository to upload to named null"),
        refusal("/repoName", json!("far"))
            .says("Repository to upload to is not a local database hosted repository."),
        // The repository is looked up before anything else.
        post(UPLOAD, json!({ "repoName": "x", "extension": "jar" }))
            .says("Could not find local repository to upload to named x"),
        refusal("/version", json!("1.0.0.RELEASE"))
            .says("UploadRequest doesn't have a valid semantic version.  Version = 1.0.0.RELEASE"),
        refusal("/name", json!("../log"))
            .says("Entry is outside of the target dir: ../log-1.0.0.zip"),
        post(UPLOAD, good.clone()).says(
            "Failed to upload the package. Package [log:1.0.0] in Repository [local] already \
             exists.",
        ),
        post(UPLOAD, next.clone()).says(
            "Package definition in the request [log:1.1.0] differs from one inside the \
             package.yml [log:1.1.1]",
        ),
        argument(refusal("/name", Value::Null)).says("Name of package can not be null"),
        argument(refusal("/version", Value::Null)).says("Version can not be null"),
        argument(refusal("/extension", Value::Null)).says("Extension can not be null"),
        argument(refusal("/extension", json!("jar"))).says("Extension must be 'zip', not jar"),
        argument(refusal("/packageFileAsBytes", Value::Null))
            .says("Package file as bytes must not be null"),
        argument(refusal("/packageFileAsBytes", json!("")))
            .says("Package file as bytes must not be empty"),
        argument(refusal("/packageFileAsBytes", json!([])))
            .says("Package file as bytes must not be empty"),
        argument(post(
            UPLOAD,
            with(
                next,
                "/packageFileAsBytes",
                json!(STANDARD.encode(zip(&[("x-1.1.0/package.yml", "name: x\n")]))),
            ),
        ))
        .says("Package is expected to be unpacked, but it doesn't exist"),
    ];
    check(&host, refusals).await;
}

/// A server whose repository `far` has two packages in its index, and the zip of `there`.
async fn with_remote() -> (Host, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let index = "name: there\nversion: 1.0.0\n---\nname: lost\nversion: 1.0.0\n";
    std::fs::write(folder.path().join("index.yml"), index).unwrap();
    std::fs::create_dir(folder.path().join("there")).unwrap();
    let template = "kind: SpringBootApp\nmetadata: {name: web}\nspec: {resource: 'docker:x'}\n";
    let upload = package("there", "", template);
    let zip = STANDARD.decode(upload["packageFileAsBytes"].as_str().unwrap()).unwrap();
    std::fs::write(folder.path().join("there/there-1.0.0.zip"), zip).unwrap();
    let url = format!("file:{}", folder.path().display());
    let far = RepositoryConfig { url, ..RepositoryConfig::default() };
    let configure = |it: &mut Config| drop(it.repositories.insert("far".into(), far));
    let run = DryRun::default();
    let host = run.host_set(run.bindings(), configure).await;
    let read = async || host.app.store.read(|view| packages::newest(view, "lost")).await.unwrap();
    until("the index is read", async || read().await.is_some()).await;
    (host, folder)
}

#[tokio::test]
async fn why_a_package_stays_or_does_not_come_is_told_in_the_original_words() {
    let (host, _folder) = with_remote().await;
    let template = "kind: SpringBootApp\nmetadata: {name: web}\nspec: {resource: 'docker:x'}\n";
    host.post(UPLOAD, &package("shared", "", template)).await.expect(201);
    for (package, release) in [("shared", "one"), ("shared", "two"), ("there", "three")] {
        let request = with(install_of(package), "/installProperties/releaseName", json!(release));
        host.post(INSTALL, &request).await.expect(201);
    }
    let in_use = |releases: &str| {
        format!(
            "Can not delete Package Metadata [shared:1.0.0] in Repository [local]. Not all \
             releases of this package have the status DELETED. Active Releases [{releases}]"
        )
    };
    let refusals = [
        delete("/api/package/none").says("Can not find a package named 'none'"),
        delete("/api/package/there")
            .with(409, IN_USE)
            .says("Can not delete package [there], associated repository [far] is remote."),
        delete("/api/package/shared").with(409, IN_USE).says(in_use("one,two")),
        delete("/api/release/one/package").with(409, IN_USE).says(in_use("two")),
        delete("/api/release/three/package")
            .with(409, IN_USE)
            .says("Can't delete package: there from non-local repository"),
        post(INSTALL, install_of("lost")).says(
            "Could not download an deserialize package. Resource lost-1.0.0 in package \
             repository far does not exist.",
        ),
    ];
    check(&host, refusals).await;
}
