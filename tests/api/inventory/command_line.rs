//! Whole stories of the Escape command line: what each of its commands asks, in its
//! order, and what it reads of the answers. Then one by one what it cannot do without.

use std::collections::BTreeSet;

use chandlery_tests::{program, status};
use futures::future::join_all;
use serde_json::{Value, json};

use super::cli::{Answer, Cli};

/// A release's metadata as the command line writes it: every field, in its order, none
/// left out, and on one line.
fn written(unit: &str, version: &str, more: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("api_version", "15".to_owned()),
        ("built_with_core_version", json!("0.15.7").to_string()),
        ("built_with_escape_version", json!("0.28.1").to_string()),
        ("description", json!("").to_string()),
        ("files", json!({ "escape.yml": "8c5be3a1d7f5b0a6f1b5d5ba2a1e1c7d" }).to_string()),
        ("license", json!("").to_string()),
        ("logo", json!("").to_string()),
        ("name", json!(unit).to_string()),
        ("repository", json!("").to_string()),
        ("branch", json!("").to_string()),
        ("git_revision", json!("").to_string()),
        ("revision_message", json!("").to_string()),
        ("revision_author", json!("").to_string()),
        ("metadata", "{}".to_owned()),
        ("version", json!(version).to_string()),
        ("generates", "[]".to_owned()),
        ("consumes", "[]".to_owned()),
        ("downloads", "null".to_owned()),
        ("depends", "[]".to_owned()),
        ("errands", "{}".to_owned()),
        ("extends", "[]".to_owned()),
        ("inputs", "[]".to_owned()),
        ("outputs", "[]".to_owned()),
        ("project", json!("_").to_string()),
        ("provides", "[]".to_owned()),
        ("stages", "{}".to_owned()),
        ("templates", "[]".to_owned()),
        ("variable_context", "{}".to_owned()),
    ];
    for (name, value) in more {
        let field = fields.iter_mut().find(|it| it.0 == *name).expect("it is one of them");
        field.1 = (*value).to_owned();
    }
    let fields: Vec<_> = fields.iter().map(|(name, it)| format!("\"{name}\":{it}")).collect();
    format!("{{{}}}", fields.join(","))
}

impl Cli {
    /// `run release`, of a plan whose version is `0.0.@` and that was compiled to this.
    async fn release_written(&self, unit: &str, more: &[(&str, &str)]) -> String {
        let next = format!("/_/units/{unit}/next-version?prefix=0.0.");
        let version = self.get(&next).await.expect(200).body;
        let metadata = written(unit, &version, more);
        let register = "/api/v1/inventory/_/register";
        let kind = "application/json";
        self.call("POST", register, kind, metadata.as_bytes()).await.expect(200);
        let place = format!("/_/units/{unit}/versions/v{version}/upload");
        self.upload(&place, &format!("{unit}-v{version}")).await.expect(200);
        // What goes in as it is written comes back as it went in.
        let kept = self.get(&format!("/_/units/{unit}/versions/v{version}/")).await.expect(200);
        assert_eq!(kept.body, format!("{metadata}\n"));
        version
    }

    /// What a plan's `depends` is compiled to: the release that is meant, and fetched.
    async fn resolved(&self, unit: &str, query: &str) -> String {
        let found = self.get(&format!("/_/units/{unit}/versions/{query}/")).await.expect(200);
        let version = found.json()["version"].as_str().unwrap().to_owned();
        let package = format!("/_/units/{unit}/versions/v{version}/download");
        assert_eq!(self.get(&package).await.expect(200).body, format!("{unit}-v{version}"));
        format!("_/{unit}-v{version}")
    }
}

fn keys(answer: &Answer) -> Vec<String> {
    answer.json().as_object().expect("a list is an object").keys().cloned().collect()
}

/// A dependency as a plan is compiled to it.
fn dependency(release_id: &str, name: &str) -> String {
    format!(
        r#"{{"release_id":"{release_id}","mapping":{{}},"build_mapping":{{}},"deploy_mapping":{{}},"#
    ) + &format!(
        r#""consumes":{{}},"deployment_name":"{name}","variable":"{name}","scopes":["build","deploy"]}}"#
    )
}

#[tokio::test]
async fn two_namespaces_are_released_into_and_queried() {
    let cli = Cli::start();
    assert_eq!(cli.get("/").await.expect(200).body, "{}\n");
    cli.release("_", "release-one", "0.0.", json!([])).await;
    cli.release("two", "release-one", "0.0.", json!([])).await;
    cli.release("_", "release-two", "0.0.", json!([])).await;
    cli.release("_", "release-one", "0.0.", json!([])).await;
    assert_eq!(keys(&cli.get("/").await.expect(200)), ["_", "two"]);
    assert_eq!(keys(&cli.get("/_/units/").await.expect(200)), ["release-one", "release-two"]);
    assert_eq!(keys(&cli.get("/two/units/").await.expect(200)), ["release-one"]);
    let unit = cli.get("/_/units/release-one/").await.expect(200).json();
    assert_eq!(unit["versions"], json!(["0.0.1", "0.0.0"]));
    let release = cli.get("/_/units/release-one/versions/v0.0.0/").await.expect(200).json();
    assert_eq!((&release["name"], &release["project"]), (&json!("release-one"), &json!("_")));
    // The client has a text of its own for each of these.
    for missing in ["/three/units/", "/_/units/three/", "/_/units/release-one/versions/v0.0.2/"] {
        let answer = cli.get(missing).await.expect(404);
        assert_eq!((answer.body.as_str(), answer.header("content-type")), ("", ""), "{missing}");
    }
}

#[tokio::test]
async fn dependencies_of_dependencies_are_fetched_one_by_one() {
    let cli = Cli::start();
    cli.release_written("my-dependency", &[]).await;
    let first = cli.resolved("my-dependency", "latest").await;
    let depends = format!("[{}]", dependency(&first, "_/my-dependency"));
    cli.release_written("my-second-dependency", &[("depends", &depends)]).await;
    let second = cli.resolved("my-second-dependency", "v0.0.@").await;
    assert_eq!(second, "_/my-second-dependency-v0.0.0");
    // `my-second-dependency-latest as dep`, and `my-dependency:v0.0.0`.
    assert_eq!(cli.resolved("my-dependency", "v0.0.0").await, first);
    let depends =
        format!("[{},{}]", dependency(&second, "dep"), dependency(&first, "_/my-dependency"));
    cli.release_written("my-release", &[("depends", &depends)]).await;

    // A new version of the lowest changes nothing of those that are released.
    cli.release_written("my-dependency", &[]).await;
    let top = cli.get("/_/units/my-release/versions/latest/").await.expect(200).json();
    assert_eq!(top["depends"][1]["release_id"], "_/my-dependency-v0.0.0");
    let downstream = cli.get("/_/units/my-dependency/versions/v0.0.0/downstream").await.expect(200);
    let needed_by: BTreeSet<_> =
        downstream.json().as_array().unwrap().iter().map(|it| it["name"].to_string()).collect();
    assert_eq!(needed_by.len(), 2);
    // An unresolved one never comes this far; if it does, it is refused.
    let unresolved = format!("[{}]", dependency("my-dependency-latest", "x"));
    let metadata = written("my-release", "1", &[("depends", &unresolved)]);
    let path = "/api/v1/inventory/_/register";
    let refused = cli.call("POST", path, "application/json", metadata.as_bytes()).await.expect(400);
    assert_eq!(refused.body, "The dependency '_/my-dependency-latest' needs its version resolved.");
}

#[tokio::test]
async fn a_plan_with_everything_in_it_comes_back_as_it_was_written() {
    let cli = Cli::start();
    cli.release_written("base", &[]).await;
    let base = cli.resolved("base", "latest").await;
    let more = [
        ("description", json!("Uses <b>, & and \u{2028}").to_string()),
        ("consumes", r#"[{"name":"k8s","scopes":["deploy"],"variable":"cluster","skip_activate":true,"skip_deactivate":false}]"#.to_owned()),
        ("downloads", r#"[{"url":"https://example.org/a.tgz","dest":"a.tgz","overwrite":false,"if_not_exists":null,"unpack":true,"platform":"linux","arch":"amd64","scopes":["build"]}]"#.to_owned()),
        ("errands", r#"{"backup":{"name":"backup","description":"","script":"","exec_stage":{"script":"backup.sh"},"inputs":[]}}"#.to_owned()),
        ("extends", format!(r#"[{{"release_id":"{base}"}}]"#)),
        ("generates", r#"["dist/"]"#.to_owned()),
        ("inputs", r#"[{"id":"port","type":"integer","default":8080,"friendly":"Port","visible":true,"items":[8080,9090],"eval_before_dependencies":true,"scopes":["build","deploy"]},{"id":"hosts","type":"list","default":["a","$b.c"],"visible":true,"options":{"type":"string"},"sensitive":true,"items":null,"eval_before_dependencies":false,"scopes":["deploy"]}]"#.to_owned()),
        ("metadata", r#"{"co-author":"ana","team":"ops"}"#.to_owned()),
        ("outputs", r#"[{"id":"url","type":"string","default":"http://$port","visible":true,"items":null,"eval_before_dependencies":true,"scopes":["build","deploy"]}]"#.to_owned()),
        ("provides", r#"[{"name":"web"}]"#.to_owned()),
        ("stages", r#"{"build":{"cmd":"make","args":["all"]},"deploy":{"script":"deploy.sh"},"test":{"inline":"echo ok\n"}}"#.to_owned()),
        ("templates", r#"[{"file":"a.tpl","target":"a","scopes":["build","deploy"],"mapping":{"port":"$this.inputs.port"}}]"#.to_owned()),
    ];
    // Its encoder writes these four so, and the server's does.
    let escaped: Vec<_> = more
        .iter()
        .map(|(name, value)| {
            let value = value.replace('<', "\\u003c").replace('>', "\\u003e");
            (*name, value.replace('&', "\\u0026").replace('\u{2028}', "\\u2028"))
        })
        .collect();
    let fields: Vec<_> = escaped.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(cli.release_written("app", &fields).await, "0.0.0");
    let graph = cli.get("/_/units/app/versions/latest/dependency-graph").await.expect(200).json();
    let nodes: Vec<_> =
        graph["nodes"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
    let expected = ["main_/app-v0.0.0", "consumerk8s", "providerweb", "extension_/base-v0.0.0"];
    assert_eq!(nodes, expected);
}

#[tokio::test]
async fn a_tag_is_queried_depended_on_and_moved() {
    let cli = Cli::start();
    cli.release_written("my-tagged-release", &[]).await;
    let tag = json!({ "release_id": "_/my-tagged-release-latest", "tag": "my-tag" });
    let path = "/_/units/my-tagged-release/tags/";
    assert_eq!(cli.post(path, &tag).await.expect(200).body, "");
    let resolved = cli.resolved("my-tagged-release", "my-tag").await;
    let depends = format!("[{}]", dependency(&resolved, "_/my-tagged-release"));
    cli.release_written("my-parent", &[("depends", &depends)]).await;

    cli.release_written("my-tagged-release", &[]).await;
    assert_eq!(cli.resolved("my-tagged-release", "my-tag").await, "_/my-tagged-release-v0.0.0");
    cli.post(path, &tag).await.expect(200);
    assert_eq!(cli.resolved("my-tagged-release", "my-tag").await, "_/my-tagged-release-v0.0.1");

    // `tag` knows 200 and 400, and shows the text of a 400 as it is.
    for (release_id, tag, text) in [
        ("_/my-tagged-release-latest", "v1", "The tag 'v1' is invalid/not supported."),
        ("_/my-tagged-release-latest", "", "The tag '' is invalid/not supported."),
        (
            "two/my-tagged-release-latest",
            "x",
            "Mismatch between namespace from URL and namespace from release_id.",
        ),
        (
            "_/other-latest",
            "x",
            "Mismatch between application from URL and application from release_id.",
        ),
        ("nonsense", "x", "Invalid release format: nonsense."),
    ] {
        let body = json!({ "release_id": release_id, "tag": tag });
        let refused = cli.post(path, &body).await.expect(400);
        assert_eq!(refused.body, text);
        assert_eq!(refused.header("content-type"), "text/plain; charset=utf-8");
    }
}

#[tokio::test]
async fn providers_and_those_who_consume_them_find_each_other() {
    let cli = Cli::start();
    let provides = r#"[{"name":"test-provider"}]"#;
    cli.release_written("provider", &[("provides", provides)]).await;
    let consumes = r#"[{"name":"test-provider","scopes":["build","deploy"],"variable":"test-provider","skip_activate":false,"skip_deactivate":false}]"#;
    cli.release_written("consumer", &[("consumes", consumes)]).await;
    // `run deploy consumer-latest`: the metadata tells what is consumed.
    let consumer = cli.get("/_/units/consumer/versions/latest/").await.expect(200).json();
    assert_eq!(consumer["consumes"][0]["variable"], "test-provider");
    cli.resolved("provider", "latest").await;
    cli.release_written("provider", &[("provides", provides)]).await;
    let found = cli.get("/__providers?name=test-provider").await.expect(200);
    let expected = r#"{"_/provider-v0.0.1":{"application":"provider","project":"_","version":"0.0.1","description":""}}"#;
    assert_eq!(found.body, format!("{expected}\n"));
    assert_eq!(cli.get("/__providers?name=other").await.expect(200).body, "{}\n");
}

#[tokio::test]
async fn a_deployment_is_promoted_with_its_package_alone() {
    let cli = Cli::start();
    cli.release_written("my-app", &[]).await;
    // The state tells the version, so nothing is asked but the package, if that.
    let package = cli.get("/_/units/my-app/versions/v0.0.0/download").await.expect(200);
    assert_eq!(package.body, "my-app-v0.0.0");
    assert_eq!(package.header("content-type"), "application/gzip");
    let name = "attachment; filename=\"my-app-v0.0.0.tgz\"";
    assert_eq!(package.header("content-disposition"), name);
    // `errands list -d`, and `plan diff`.
    cli.get("/_/units/my-app/versions/v0.0.0/").await.expect(200);
    cli.get("/_/units/my-app/versions/latest/").await.expect(200);
    cli.get("/_/units/not-released/versions/latest/").await.expect(404);
}

#[tokio::test]
async fn builds_that_run_at_once_are_told_one_version_and_one_gets_it() {
    let cli = Cli::start();
    let asked = join_all((0..6).map(|_| cli.get("/_/units/app/next-version?prefix=0.0."))).await;
    let versions: BTreeSet<_> = asked.into_iter().map(|it| it.expect(200).body).collect();
    assert_eq!(versions, BTreeSet::from(["0.0.0".to_owned()]));
    let metadata = written("app", "0.0.0", &[]);
    let register = "/api/v1/inventory/_/register";
    let registers =
        (0..6).map(|_| cli.call("POST", register, "application/json", metadata.as_bytes()));
    let answers = join_all(registers).await;
    let won = answers.iter().filter(|it| it.body.is_empty()).count();
    assert_eq!(won, 1);
    for lost in answers.into_iter().filter(|it| !it.body.is_empty()) {
        assert_eq!(lost.expect(400).body, "Release app-v0.0.0 already exists");
    }
    // The build that lost is compiled again, to the next one.
    assert_eq!(cli.get("/_/units/app/next-version?prefix=0.0.").await.expect(200).body, "0.0.1");
}

#[tokio::test]
async fn a_suite_that_empties_the_server_before_each_scenario_starts_afresh() {
    let cli = Cli::start();
    for _ in 0..3 {
        // Go's own client, with no body and no length.
        let request = format!(
            "DELETE /api/v1/internal/database HTTP/1.1\r\nHost: {}\r\n\
             User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
            cli.server.address
        );
        assert_eq!(status(&cli.server.raw(request).await), 200);
        assert_eq!(cli.get("/").await.expect(200).body, "{}\n");
        assert_eq!(cli.release("_", "app", "0.0.", json!([])).await, "0.0.0");
    }
}

// What follows is what the command line fails without, one by one.

#[tokio::test]
async fn success_is_200_and_a_next_version_is_the_text_alone() {
    let cli = Cli::start();
    let next = cli.get("/_/units/app/next-version?prefix=").await.expect(200);
    assert_eq!((next.body.as_str(), next.header("content-length")), ("0", "1"));
    assert_eq!(next.header("content-type"), "text/plain; charset=utf-8");
    let done = cli.post("/_/register", &json!({ "name": "app", "version": "0" })).await;
    let uploaded = cli.upload("/_/units/app/versions/v0/upload", "bytes").await;
    let tag = json!({ "release_id": "_/app-v0", "tag": "live" });
    let tagged = cli.post("/_/units/app/tags/", &tag).await;
    for answer in [done, uploaded, tagged] {
        let answer = answer.expect(200);
        assert_eq!((answer.body.as_str(), answer.header("content-length")), ("", "0"));
        assert_eq!(answer.header("content-type"), "");
    }
    for list in ["/", "/_/", "/_/units/", "/_/units/app/", "/_/units/app/versions/v0/"] {
        let answer = cli.get(list).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json", "{list}");
        assert!(answer.json().is_object() && answer.body.ends_with("}\n"), "{list}");
        assert_eq!(answer.header("content-encoding"), "", "{list}");
    }
    let unit = cli.get("/_/units/app/").await.expect(200).json();
    assert_eq!(unit["versions"], json!(["0"]), "texts, without a `v`");
}

#[tokio::test]
async fn metadata_always_passes_the_clients_own_checks() {
    let cli = Cli::start();
    let least = json!({ "name": "app", "version": "1" });
    cli.post("/_/register", &least).await.expect(200);
    let kept = cli.get("/_/units/app/versions/v1/").await.expect(200);
    assert!(kept.body.starts_with(r#"{"api_version":15,"#), "{}", kept.body);
    for (field, value) in [
        ("api_version", json!(16)),
        ("api_version", json!("15")),
        ("name", json!("App")),
        ("project", json!("Bad")),
        ("version", json!("v1")),
        ("depends", json!([{ "release_id": "lib-latest" }])),
    ] {
        let mut release = json!({ "name": "app", "version": "2" });
        release[field] = value;
        cli.post("/_/register", &release).await.expect(400);
    }
    let unit = cli.get("/_/units/app/").await.expect(200).json();
    assert_eq!(unit["versions"], json!(["1"]), "nothing else was kept");
}

#[tokio::test]
async fn an_upload_comes_after_its_register_and_its_file_name_means_nothing() {
    let cli = Cli::start();
    let early = cli.upload("/_/units/app/versions/v1/upload", "early").await.expect(404);
    assert_eq!(early.body, "");
    cli.post("/_/register", &json!({ "name": "app", "version": "1" })).await.expect(200);
    // The file's name is the whole path on the client's machine.
    cli.upload("/_/units/app/versions/v1/upload", "bytes").await.expect(200);
    let package = cli.get("/_/units/app/versions/v1/download").await.expect(200);
    assert_eq!(package.header("content-disposition"), "attachment; filename=\"app-v1.tgz\"");
    assert_eq!(package.body, "bytes");
}

#[tokio::test]
async fn errors_are_plain_texts_and_what_is_missing_has_none() {
    let cli = Cli::start();
    cli.post("/_/register", &json!({ "name": "app", "version": "1" })).await.expect(200);
    let again = cli.post("/_/register", &json!({ "name": "app", "version": "1" })).await;
    let again = again.expect(400);
    assert_eq!(again.body, "Release app-v1 already exists");
    assert_eq!(again.header("content-type"), "text/plain; charset=utf-8");
    for missing in [
        "/no/",
        "/_/units/no/",
        "/_/units/no/versions/",
        "/_/units/app/versions/v2/",
        "/_/units/app/versions/v2/download",
        "/_/units/app/versions/v1/download",
        "/_/units/app/versions/v1/previous/",
    ] {
        let answer = cli.get(missing).await.expect(404);
        assert_eq!((answer.body.as_str(), answer.header("content-type")), ("", ""), "{missing}");
    }
}

#[tokio::test]
async fn the_ends_of_paths_are_as_they_are_asked_and_nothing_is_redirected() {
    let cli = Cli::start();
    let inventory = "/api/v1/inventory";
    let json_of = |it: Value| it.to_string().into_bytes();
    let release = json_of(json!({ "name": "app", "version": "1" }));
    let tag = json_of(json!({ "release_id": "_/app-v1", "tag": "live" }));
    let posts = [("/_/register", &release), ("/_/units/app/tags/", &tag)];
    for (path, body) in posts {
        let path = format!("{inventory}{path}");
        cli.call("POST", &path, "application/json", body).await.expect(200);
    }
    cli.upload("/_/units/app/versions/v1/upload", "bytes").await.expect(200);
    for path in [
        "/",
        "/_/",
        "/_/units/",
        "/_/units/app/",
        "/_/units/app/versions/",
        "/_/units/app/versions/v1/",
        "/_/units/app/versions/v1/downstream",
        "/_/units/app/versions/v1/dependency-graph",
        "/_/units/app/versions/v1/download",
        "/_/units/app/next-version?prefix=",
        "/_/units/app/hooks/",
        "/_/hooks/",
        "/__providers?name=",
    ] {
        cli.get(path).await.expect(200);
    }
}

#[tokio::test]
async fn an_at_sign_and_a_colon_may_be_encoded_or_not() {
    let cli = Cli::start();
    for version in ["0.0.1", "0.0.2", "1"] {
        let release = json!({ "name": "app", "version": version });
        cli.post("/_/register", &release).await.expect(200);
    }
    let tag = json!({ "release_id": "_/app-v0.0.1", "tag": "a:b" });
    cli.post("/_/units/app/tags/", &tag).await.expect(200);
    for (query, version) in [
        ("v0.0.@", "0.0.2"),
        ("v0.0.%40", "0.0.2"),
        ("0.0.@", "0.0.2"),
        ("@", "1"),
        ("%40", "1"),
        ("v@", "1"),
        ("a:b", "0.0.1"),
        ("a%3Ab", "0.0.1"),
        ("a%3ab", "0.0.1"),
    ] {
        let found = cli.get(&format!("/_/units/app/versions/{query}/")).await.expect(200);
        assert_eq!(found.json()["version"], version, "{query}");
    }
}

#[tokio::test]
async fn a_login_service_is_missing_where_no_password_is_and_asks_for_it_where_one_is() {
    let methods = "/api/v1/auth/login-methods";
    let open = program!().serve(&["--dev"]);
    assert_eq!(open.get(methods).await.0, 404);
    let protected = program!().variable("CHANDLERY_BASIC_AUTH_PASSWORD", "a:b").serve(&[]);
    let get = async |path: &str, password: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{password}");
        protected.raw(format!("{head}Connection: close\r\n\r\n")).await
    };
    for path in [methods, "/", "/api/v1/inventory/"] {
        let refused = get(path, "").await;
        assert_eq!(status(&refused), 401);
        let asks = refused.lines().find(|it| it.to_lowercase().starts_with("www-authenticate: "));
        let asks = asks.and_then(|it| it.split_once(": ")).map_or("", |(_, it)| it);
        assert!(asks.starts_with("Basic realm"), "{refused}");
        assert!(refused.ends_with("\r\n\r\nNot Authorized\n"), "{refused}");
    }
    // escape:a:b
    let password = "Authorization: Basic ZXNjYXBlOmE6Yg==\r\n";
    assert_eq!(status(&get("/", password).await), 200);
    assert_eq!(status(&get(methods, password).await), 404);
}

/// The original takes what no URI has as it is.
#[tokio::test]
async fn characters_that_no_uri_has_are_taken_as_they_are_sent() {
    let cli = Cli::start();
    cli.post("/_/register", &json!({ "name": "app", "version": "1" })).await.expect(200);
    let tag = json!({ "release_id": "_/app-v1", "tag": "<\"\u{e4}#`>" });
    cli.post("/_/units/app/tags/", &tag).await.expect(200);
    for (prefix, version) in
        [("<b>", "<b>0"), ("\"", "\"0"), ("\u{e4}", "\u{e4}0"), ("`#", "`#0"), ("%3C", "<0")]
    {
        let answer = cli.get(&format!("/_/units/app/next-version?prefix={prefix}")).await;
        let answer = answer.expect(200);
        assert_eq!(answer.body, version);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    let found = cli.get("/_/units/app/versions/<\"\u{e4}#`>/").await.expect(200).json();
    assert_eq!(found["version"], "1");
    cli.get("/_/units/app/versions/<script>/").await.expect(404);
    cli.get("/_/units/<app>/").await.expect(404);
}
