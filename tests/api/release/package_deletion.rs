//! Packages leave, unless somebody needs them.

use chandlery::{
    authz::{Principal, PrincipalKind},
    config::{Config, RepositoryConfig},
    plugins::{self, Binding},
    store::{
        Change, blob_refs,
        operations::{self, Asked, Kind, Operation, Step, StepState},
        outbox, packages, releases,
    },
};
use chandlery_tests::{Host, guest};
use serde_json::{Value, json};

use super::{SKIPPER, UPLOAD, bindings, failure, install::until, send_as, upload_of, zip};

const IN_USE: &str = "org.springframework.cloud.skipper.PackageDeleteException";
const NOT_FOUND: &str = "org.springframework.cloud.skipper.ReleaseNotFoundException";
const TEMPLATE: &str = "apiVersion: v1\nkind: SpringBootApp\nmetadata: {name: app}\nspec: \
                        {resource: 'docker:app', version: '1'}\n";

async fn upload(host: &Host, version: &str) {
    let root = format!("log-{version}");
    let zip = zip(&[
        (
            format!("{root}/package.yml").as_str(),
            format!("name: log\nversion: {version}\n").as_str(),
        ),
        (&format!("{root}/templates/app.yml"), TEMPLATE),
    ]);
    let mut upload = upload_of(&zip);
    upload["version"] = version.into();
    host.post(UPLOAD, &upload).await.expect(201);
}

async fn install(host: &Host, release: &str, version: &str) {
    let request = json!({
        "packageIdentifier": { "packageName": "log", "packageVersion": version },
        "installProperties": { "releaseName": release, "platformName": "default" },
    });
    host.post("/api/package/install", &request).await.expect(201);
}

async fn is_there(host: &Host) -> bool {
    host.app.store.read(|view| packages::newest(view, "log")).await.unwrap().is_some()
}

#[tokio::test]
async fn a_package_that_is_being_installed_stays() {
    let host = Host::with(bindings()).await;
    upload(&host, "1.0.0").await;
    install(&host, "a", "1.0.0").await;
    host.delete("/api/release/a").await.expect(200);
    let row = host.app.store.read(|view| releases::latest(view, "a")).await.unwrap().unwrap();
    // As an install is on its way, on a platform that does not answer: it stays open.
    let asked = Asked {
        principal: Principal {
            id: "user:ana".into(),
            kind: PrincipalKind::User,
            groups: Vec::new(),
            roles: Vec::new(),
            claims: Vec::new(),
        },
        token: String::new(),
        request_id: String::new(),
        policy_digest: String::new(),
    };
    let mut step = Step::of_deployed(&row.apps[0]);
    step.state = StepState::Begun;
    let mut operation = Operation::new("op".into(), Kind::Install, asked, &row, vec![step]);
    (operation.release, operation.platform) = ("b".into(), "nowhere".into());
    let begin = move |change: &mut dyn Change| operations::begin(change, &mut operation);
    host.app.store.write_unaudited(begin).await.unwrap();

    let message = failure(host.delete("/api/package/log").await, 409, IN_USE);

    assert!(message.ends_with("Active Releases [b]"), "{message}");
    assert!(is_there(&host).await);
}

#[tokio::test]
async fn all_versions_of_a_package_leave_with_their_bytes() {
    let host = Host::with(bindings()).await;
    upload(&host, "1.0.0").await;
    upload(&host, "2.0.0").await;
    let row = host.app.store.read(|view| packages::newest(view, "log")).await.unwrap().unwrap();
    install(&host, "a", "1.0.0").await;
    host.delete("/api/release/a").await.expect(200);

    let answer = host.delete("/api/package/log").await.expect(200);

    assert_eq!(answer.text(), "");
    assert!(!is_there(&host).await);
    let sha256 = row.blob_sha256.clone();
    let needed = host.app.store.read(move |view| blob_refs::is_needed(view, &sha256)).await;
    assert!(!needed.unwrap());
    let message = failure(host.delete("/api/package/log").await, 409, SKIPPER);
    assert_eq!(message, "Can not find a package named 'log'");
    upload(&host, "1.0.0").await;
}

#[tokio::test]
async fn a_package_that_releases_need_stays() {
    let host = Host::with(bindings()).await;
    upload(&host, "1.0.0").await;
    upload(&host, "2.0.0").await;
    for (release, version) in [("b", "1.0.0"), ("a", "1.0.0"), ("c", "2.0.0"), ("d", "2.0.0")] {
        install(&host, release, version).await;
    }
    host.delete("/api/release/d").await.expect(200);

    let message = failure(host.delete("/api/package/log").await, 409, IN_USE);

    let of = |version: &str, releases: &str| {
        format!(
            "Can not delete Package Metadata [log:{version}] in Repository [local]. Not all \
             releases of this package have the status DELETED. Active Releases [{releases}]"
        )
    };
    assert_eq!(message, format!("{},{}", of("1.0.0", "a,b"), of("2.0.0", "c")));
    assert!(is_there(&host).await);
    for release in ["a", "b", "c"] {
        host.delete(&format!("/api/release/{release}")).await.expect(200);
    }
    host.delete("/api/package/log").await.expect(200);
}

#[tokio::test]
async fn a_package_of_a_remote_repository_cannot_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("log")).unwrap();
    std::fs::write(folder.path().join("index.yml"), "name: log\nversion: 1.0.0\n").unwrap();
    std::fs::write(
        folder.path().join("log/log-1.0.0.zip"),
        zip(&[
            ("log-1.0.0/package.yml", "name: log\nversion: 1.0.0\n"),
            ("log-1.0.0/templates/app.yml", TEMPLATE),
        ]),
    )
    .unwrap();
    let url = format!("file:{}", folder.path().display());
    let files = RepositoryConfig { url, ..RepositoryConfig::default() };
    let configure = |it: &mut Config| drop(it.repositories.insert("files".into(), files));
    let host = Host::builder().plugins(bindings()).config(configure).start().await;
    until("the index is read", async || is_there(&host).await).await;

    let message = failure(host.delete("/api/package/log").await, 409, IN_USE);

    assert_eq!(message, "Can not delete package [log], associated repository [files] is remote.");
    install(&host, "a", "1.0.0").await;
    let message = failure(host.delete("/api/release/a/package").await, 409, IN_USE);
    assert_eq!(message, "Can't delete package: log from non-local repository");
    let status = host.get("/api/release/status/a").await.expect(200).json();
    assert_eq!(status["status"]["statusCode"], "DEPLOYED");
}

#[tokio::test]
async fn a_release_leaves_with_its_package() {
    let host = Host::with(bindings()).await;
    upload(&host, "1.0.0").await;
    upload(&host, "2.0.0").await;
    install(&host, "a", "1.0.0").await;
    install(&host, "b", "2.0.0").await;

    let message = failure(host.delete("/api/release/a/package").await, 409, IN_USE);

    assert!(message.ends_with("Active Releases [b]"), "{message}");
    let status = host.get("/api/release/status/a").await.expect(200).json();
    assert_eq!(status["status"]["statusCode"], "DEPLOYED", "nothing was touched");
    host.delete("/api/release/b").await.expect(200);

    let release = host.delete("/api/release/a/package").await.expect(200).json();

    assert_eq!(release["info"]["status"]["statusCode"], "DELETED");
    assert_eq!(release["pkg"]["metadata"]["name"], "log", "it keeps its own copy");
    assert!(!is_there(&host).await);
    failure(host.delete("/api/release/a/package").await, 404, NOT_FOUND);
    failure(host.delete("/api/release/nobody/package").await, 404, NOT_FOUND);
}

#[tokio::test]
async fn a_deletion_asks_its_policy_and_hooks_and_is_told() {
    let denied = "org.springframework.security.access.AccessDeniedException";
    for path in ["/api/package/log", "/api/release/a/package"] {
        let with = |mut others: Vec<Binding>| {
            let mut all = bindings();
            all.append(&mut others);
            all
        };
        let mut refusing = guest::refusing_hook();
        refusing.actions = vec!["package:delete".to_owned()];
        let host = Host::with(bindings()).await;
        upload(&host, "1.0.0").await;
        if path.starts_with("/api/release") {
            install(&host, "a", "1.0.0").await;
        }
        let put = async |plugins: Vec<Binding>| {
            host.app.plugins.swap(host.app.plugins.build(plugins).await.unwrap());
        };

        let mut all = bindings();
        all[0] = guest::deny_action("package:delete");
        put(all).await;
        failure(send_as(&host, "DELETE", path, b"*/*", &Value::Null).await, 403, denied);
        put(with(vec![refusing])).await;
        failure(host.delete(path).await, 409, SKIPPER);
        assert!(is_there(&host).await);

        let component = guest::Wat::new("notifying-hook").component();
        let mut deaf = guest::binding("deaf", plugins::Kind::AfterHook, component);
        deaf.actions = vec!["package:delete".to_owned()];
        put(with(vec![deaf])).await;
        host.delete(path).await.expect(200);
        let queues = host.app.store.read(|view| outbox::queues(view)).await.unwrap();
        let queue = queues.into_iter().find(|it| it.0 == "deaf").expect("it is told");
        assert_eq!(queue.1.waiting, 1, "{path}");
        assert!(!is_there(&host).await);
    }
}
