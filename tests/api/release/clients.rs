//! The calls of Skipper's Java client and of Data Flow, as they send them: their headers,
//! their explicit nulls, and what they read of the answers.

use axum::{body::Body, http::Request};
use chandlery_tests::{Answer, DryRun, Host};
use serde_json::{Value, json};

use super::{SKIPPER, failure, install::until, upload_of, zip};

const NO_RELEASE: &str = "org.springframework.cloud.skipper.ReleaseNotFoundException";

const TEMPLATE: &str = "\
apiVersion: skipper.spring.io/v1
kind: SpringCloudDeployerApplication
metadata:
  name: log
spec:
  resource: docker:log
  version: \"{{version}}\"
  applicationProperties:
  deploymentProperties:
";

/// What Java's clients send for an answer that they make an object of.
const TYPED: &str = "application/json, application/*+json";
/// What Java's built-in client sends where nobody says what is wanted.
const UNTYPED: &str = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";

async fn call(host: &Host, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let accept = if method == "DELETE" { UNTYPED } else { TYPED };
    let request = Request::builder()
        .method(method)
        .uri(format!("/api{path}"))
        .header("host", "localhost:7577")
        .header("accept", accept)
        .header("user-agent", "Java/17.0.2")
        .header("connection", "keep-alive");
    let request = match body {
        Some(body) => {
            request.header("content-type", "application/json").body(Body::from(body.to_string()))
        }
        None => request.body(Body::empty()),
    };
    host.send(request.unwrap()).await
}

async fn get(host: &Host, path: &str) -> Value {
    call(host, "GET", path, None).await.expect(200).json()
}

fn package(version: &str) -> Value {
    let folder = format!("log-{version}");
    let file = |name: &str| format!("{folder}/{name}");
    let zip = zip(&[
        (&file("package.yml"), written_by_java(version)),
        (&file("values.yml"), format!("version: \"{version}\"\n")),
        (&file("templates/log.yml"), TEMPLATE.to_owned()),
    ]);
    let mut upload = upload_of(&zip);
    upload["version"] = version.into();
    upload
}

/// `package.yml` as the Java writer has it.
fn written_by_java(version: &str) -> String {
    format!(
        "!!org.springframework.cloud.skipper.domain.PackageMetadata\napiVersion: v1\n\
         description: null\ndisplayName: null\niconUrl: null\nkind: \
         SpringCloudDeployerApplication\nmaintainer: null\nname: log\norigin: null\n\
         packageFile: null\npackageHomeUrl: null\npackageSourceUrl: null\nrepositoryId: null\n\
         repositoryName: null\nsha256: null\ntags: null\nversion: {version}\n"
    )
}

/// The call with the fields that Java has and nobody set.
fn identifier(version: &str) -> Value {
    json!({ "repositoryName": null, "packageName": "log", "packageVersion": version })
}

#[tokio::test]
async fn the_java_client_goes_through_its_calls() {
    let host = DryRun::default().host().await;
    let about = get(&host, "/about").await;
    assert!(about["versionInfo"]["server"]["name"].is_string(), "{about}");
    assert!(about["versionInfo"]["server"]["version"].is_string(), "{about}");
    let deployers = get(&host, "/deployers?size=2000").await;
    assert_eq!(deployers["_embedded"]["deployers"][0]["name"], "default");
    let repositories = get(&host, "/repositories?size=2000").await;
    assert_eq!(repositories["_embedded"]["repositories"][0]["name"], "local");

    for version in ["1.0.0", "1.1.0"] {
        let kept = call(&host, "POST", "/package/upload", Some(&package(version))).await;
        assert_eq!(kept.expect(201).json()["version"], version);
    }
    let summaries = get(&host, "/packageMetadata?size=2000&projection=summary&sort=name,asc").await;
    let summaries = summaries["_embedded"]["packageMetadata"].as_array().unwrap();
    assert!(summaries.iter().any(|it| it["name"] == "log"), "{summaries:?}");
    let by_part = "/packageMetadata/search/findByNameContainingIgnoreCase?size=2000&name=LO";
    let found = get(&host, by_part).await;
    assert_eq!(found["_embedded"]["packageMetadata"].as_array().unwrap().len(), 2);

    assert_eq!(get(&host, "/release/list").await, json!({}));
    let properties =
        json!({ "releaseName": "mine", "configValues": null, "platformName": "default" });
    let install =
        json!({ "packageIdentifier": identifier("1.0.0"), "installProperties": properties });
    let installed = call(&host, "POST", "/package/install", Some(&install)).await.expect(201);
    assert!(installed.json()["pkg"]["metadata"].is_object());

    let upgrade = json!({
        "packageIdentifier": identifier("1.1.0"),
        "upgradeProperties": { "releaseName": "mine", "configValues": { "raw": "" } },
        "timeout": null, "force": false, "appNames": null,
    });
    let upgraded = call(&host, "POST", "/release/upgrade", Some(&upgrade)).await.expect(201);
    assert_eq!(upgraded.json()["version"], 2);
    deployed(&host, 2).await;
    let rollback = json!({ "releaseName": "mine", "version": 0, "timeout": null });
    let back = call(&host, "POST", "/release/rollback", Some(&rollback)).await.expect(201);
    assert_eq!(back.json()["version"], 3);
    deployed(&host, 3).await;

    let scale = json!({ "scale": [{ "name": "log", "count": 2, "properties": {} }] });
    let scaled = call(&host, "POST", "/release/scale/mine", Some(&scale)).await.expect(201);
    assert_eq!(scaled.json()["name"], "mine");
    let cancel = json!({ "releaseName": "mine" });
    let cancelled = call(&host, "POST", "/release/cancel", Some(&cancel)).await.expect(200);
    assert_eq!(cancelled.json(), json!({ "accepted": false }));

    let info = get(&host, "/release/status/mine").await;
    let apps = info["status"]["platformStatus"].as_str().unwrap();
    let apps: Value = serde_json::from_str(apps).unwrap();
    let id = apps[0]["deploymentId"].as_str().unwrap();
    assert!(apps[0]["state"].is_string() && apps[0]["instances"].is_object(), "{apps}");
    assert!(get(&host, "/release/statuses?names=mine,other").await["mine"]["status"].is_object());
    let states = get(&host, "/release/states?names=mine,other").await;
    assert!(states["mine"][id].is_string(), "{states}");
    assert!(get(&host, "/release/logs/mine").await["logs"].is_object());
    assert!(get(&host, "/release/manifest/mine").await["data"].is_string());
    assert!(get(&host, "/release/manifest/mine/2").await["data"].is_string());
    let list = get(&host, "/release/list/MIN").await;
    assert_eq!(list["_embedded"]["releases"].as_array().unwrap().len(), 1);
    let history = "findByNameIgnoreCaseContainingOrderByNameAscVersionDesc";
    let history = get(&host, &format!("/releases/search/{history}?name=mine")).await;
    let versions = history["_embedded"]["releases"].as_array().unwrap().iter();
    assert_eq!(versions.map(|it| it["version"].clone()).collect::<Vec<_>>(), [3, 2, 1]);

    let deleted = call(&host, "DELETE", "/release/mine/package", None).await.expect(200);
    assert_eq!(deleted.json()["info"]["status"]["statusCode"], "DELETED");
    let gone = failure(call(&host, "DELETE", "/release/mine", None).await, 404, NO_RELEASE);
    assert_eq!(gone, "Release with the name [mine] doesn't exist");
    let unknown = call(&host, "DELETE", "/package/nothing", None).await;
    assert_eq!(failure(unknown, 409, SKIPPER), "Can not find a package named 'nothing'");
}

/// The first client of all finds its way by links.
#[tokio::test]
async fn an_old_client_follows_the_links_from_the_index() {
    let host = DryRun::default().host().await;
    let mut at = "/api".to_owned();
    for rel in ["packageMetadata", "search", "findByNameContainingIgnoreCase"] {
        let request = Request::get(&at).header("host", "localhost:7577");
        let request = request.header("accept", "application/hal+json");
        let answer = host.send(request.body(Body::empty()).unwrap()).await.expect(200).json();
        let href = answer["_links"][rel]["href"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let path = href.strip_prefix("http://localhost:7577").unwrap();
        at = path.split('{').next().unwrap().to_owned();
    }
    let found = host.get(&format!("{at}?name=")).await.expect(200).json();
    assert!(!found["_embedded"]["packageMetadata"].as_array().unwrap().is_empty());
}

async fn deployed(host: &Host, version: u32) {
    let open = async || {
        let read = host.app.store.read(|view| chandlery::store::operations::open_of(view, "mine"));
        read.await.unwrap()
    };
    until("deployed", async || {
        let info = get(host, &format!("/release/status/mine/{version}")).await;
        info["status"]["statusCode"] == "DEPLOYED" && open().await.is_none()
    })
    .await;
}
