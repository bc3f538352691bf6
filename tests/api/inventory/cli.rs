//! The Escape command line, request by request: what it sends for each of its
//! commands, in its order, with its headers and a new connection for each request,
//! against a server that was started with an empty folder and `dev`.

use axum::http::StatusCode;
use chandlery_tests::{Running, program, status};
use serde_json::{Value, json};

/// What came back.
pub(super) struct Answer {
    status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Answer {
        let what = StatusCode::from_u16(status).unwrap();
        assert_eq!(self.status, status, "{what}: {}\n{}", self.head, self.body);
        self
    }

    /// A header's value, empty where it is missing.
    pub(super) fn header(&self, name: &str) -> &str {
        let named = |line: &&str| {
            line.split_once(": ").is_some_and(|(it, _)| it.eq_ignore_ascii_case(name))
        };
        let line = self.head.lines().find(named).unwrap_or_default();
        line.split_once(": ").map_or("", |(_, value)| value)
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|it| panic!("{it}: {}", self.body))
    }
}

pub(super) struct Cli {
    pub(super) server: Running,
}

impl Cli {
    pub(super) fn start() -> Cli {
        Cli { server: program!().serve(&["--dev"]) }
    }

    /// The headers that the command line puts on each call of the inventory.
    pub(super) async fn call(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Go-http-client/1.1\r\n\
             Content-Type: {kind}\r\nX-Escape-Token: \r\nAccept-Encoding: gzip\r\n",
            self.server.address
        );
        if method != "GET" {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        // Its own way of a connection for each request.
        request += "Connection: close\r\n\r\n";
        let answer = self.server.raw([request.as_bytes(), body].concat()).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Answer { status: status(&answer), head: head.to_owned(), body }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", &format!("/api/v1/inventory{path}"), "application/json", b"").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let path = format!("/api/v1/inventory{path}");
        self.call("POST", &path, "application/json", body.as_bytes()).await
    }

    pub(super) async fn upload(&self, path: &str, package: &str) -> Answer {
        let boundary = "0c9f1d4b7a3e5f60718293a4b5c6d7e8f9";
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"/home/ana/project/.escape/target/app.tgz\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{package}\r\n--{boundary}--\r\n"
        );
        let path = format!("/api/v1/inventory{path}");
        let kind = format!("multipart/form-data; boundary={boundary}");
        self.call("POST", &path, &kind, body.as_bytes()).await
    }

    /// `escape run release` of a plan whose version ends in `@`.
    pub(super) async fn release(
        &self,
        namespace: &str,
        unit: &str,
        prefix: &str,
        depends: Value,
    ) -> String {
        let next = format!("/{namespace}/units/{unit}/next-version?prefix={prefix}");
        let version = self.get(&next).await.expect(200).body;
        assert_eq!(self.get(&next).await.expect(200).body, version, "the plan is compiled twice");
        let metadata = json!({
            "api_version": 15, "built_with_core_version": "0.15.7",
            "built_with_escape_version": "0.28.1", "name": unit, "project": namespace,
            "version": version, "depends": depends, "metadata": {}, "files": {},
            "stages": { "build": { "script": "build.sh" } },
        });
        let registered = self.post(&format!("/{namespace}/register"), &metadata).await.expect(200);
        assert_eq!(registered.body, "");
        let place = format!("/{namespace}/units/{unit}/versions/v{version}/upload");
        let package = format!("{unit}-{version}");
        assert_eq!(self.upload(&place, &package).await.expect(200).body, "");
        version
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk has a size");
        body += &more[..size];
        rest = more[size..].trim_start_matches("\r\n");
    }
    body
}

#[tokio::test]
async fn login_finds_a_server_without_passwords() {
    let cli = Cli::start();
    // Without token and type: these are of the inventory's calls alone.
    let request = format!(
        "GET /api/v1/auth/login-methods HTTP/1.1\r\nHost: {}\r\n\
         User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
        cli.server.address
    );
    assert_eq!(status(&cli.server.raw(request).await), 404);
}

#[tokio::test]
async fn login_asks_for_the_password_of_a_protected_server() {
    let program = program!().variable("CHANDLERY_BASIC_AUTH_PASSWORD", "hunter2");
    let server = program.serve(&["--dev"]);
    let get = async |path: &str, more: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{more}", server.address);
        server.raw(format!("{head}Connection: close\r\n\r\n")).await
    };
    let methods = get("/api/v1/auth/login-methods", "").await;
    assert_eq!(status(&methods), 401);
    assert!(methods.to_lowercase().contains("www-authenticate: basic realm"), "{methods}");
    // escape:hunter2
    assert_eq!(status(&get("/", "Authorization: Basic ZXNjYXBlOmh1bnRlcjI=\r\n").await), 200);
    assert_eq!(status(&get("/", "Authorization: Basic ZXNjYXBlOnJvbmc=\r\n").await), 401);
}

#[tokio::test]
async fn a_release_goes_in_and_out_as_the_command_line_sends_it() {
    let cli = Cli::start();

    // inventory query, of an empty server: an object, and only its keys are read.
    assert_eq!(cli.get("/").await.expect(200).json(), json!({}));

    // plan preview, then run release, twice: the next version is the bare text.
    let next = cli.get("/_/units/lib/next-version?prefix=0.0.").await.expect(200);
    assert_eq!(next.body, "0.0.0");
    assert_eq!(cli.release("_", "lib", "0.0.", json!([])).await, "0.0.0");
    assert_eq!(cli.release("_", "lib", "0.0.", json!([])).await, "0.0.1");

    // run release of a plan that depends on lib-latest: the compile resolves it first.
    let lib = cli.get("/_/units/lib/versions/latest/").await.expect(200).json();
    assert_eq!(lib["version"], "0.0.1");
    let package = cli.get("/_/units/lib/versions/v0.0.1/download").await.expect(200);
    assert_eq!(package.body, "lib-0.0.1");
    let resolved = format!("_/lib-v{}", lib["version"].as_str().unwrap());
    let depends = json!([{ "release_id": resolved }]);
    assert_eq!(cli.release("team", "app", "", depends).await, "0");

    // run release --skip-if-exists looks first: 200 stops it, 404 lets it go on.
    cli.get("/team/units/app/versions/v0/").await.expect(200);
    let missing = cli.get("/team/units/app/versions/v1/").await.expect(404);
    assert_eq!(missing.body, "");

    // run release of a version that exists: 400, and the text is shown as it is.
    let again = json!({ "name": "app", "project": "team", "version": "0" });
    let refused = cli.post("/team/register", &again).await.expect(400);
    assert_eq!(refused.body, "Release app-v0 already exists");
    assert!(refused.head.to_lowercase().contains("content-type: text/plain"), "{}", refused.head);

    // inventory query in its four forms.
    let namespaces = cli.get("/").await.expect(200).json();
    assert_eq!(namespaces.as_object().unwrap().keys().collect::<Vec<_>>(), ["_", "team"]);
    let units = cli.get("/_/units/").await.expect(200).json();
    assert_eq!(units.as_object().unwrap().keys().collect::<Vec<_>>(), ["lib"]);
    let unit = cli.get("/_/units/lib/").await.expect(200).json();
    assert_eq!(unit["versions"], json!(["0.0.1", "0.0.0"]), "without a `v`, greatest first");
    for (query, version) in
        [("v0.0.0", "0.0.0"), ("latest", "0.0.1"), ("v0.0.@", "0.0.1"), ("v0.@", "0.0.1")]
    {
        let found = cli.get(&format!("/_/units/lib/versions/{query}/")).await.expect(200).json();
        assert_eq!(found["version"], version, "{query}");
    }

    // What the client's own validation asks of a release's metadata.
    let app = cli.get("/team/units/app/versions/latest/").await.expect(200).json();
    assert!(app["api_version"].as_i64().is_some_and(|it| (1..=15).contains(&it)), "{app}");
    assert_eq!((&app["name"], &app["project"]), (&json!("app"), &json!("team")));
    assert_eq!(app["depends"][0]["release_id"], "_/lib-v0.0.1");
    assert_eq!(app["depends"][0]["scopes"], json!(["build", "deploy"]));

    // run deploy team/app-latest, and pull: the release, then what it depends on.
    let download = cli.get("/team/units/app/versions/v0/download").await.expect(200);
    assert_eq!(download.body, "app-0");
    assert!(download.head.to_lowercase().contains("content-type: application/gzip"));
    assert!(download.head.contains("filename=\"app-v0.tgz\""), "{}", download.head);
    cli.get("/_/units/lib/versions/v0.0.1/download").await.expect(200);

    // run deploy team/app-v7 of what is not there; errands list -d of the same.
    cli.get("/team/units/app/versions/v7/download").await.expect(404);
    cli.get("/team/units/app/versions/v7/").await.expect(404);

    // plan diff compares with the latest by itself.
    cli.get("/_/units/lib/versions/latest/").await.expect(200);

    // tag, again and again; then a query and a deployment by the tag.
    for (release_id, version) in [("_/lib-v0.0.0", "0.0.0"), ("_/lib-latest", "0.0.1")] {
        let tag = json!({ "release_id": release_id, "tag": "production" });
        assert_eq!(cli.post("/_/units/lib/tags/", &tag).await.expect(200).body, "");
        let found = cli.get("/_/units/lib/versions/production/").await.expect(200).json();
        assert_eq!(found["version"], version);
    }
    let bad = json!({ "release_id": "_/lib-latest", "tag": "latest" });
    let refused = cli.post("/_/units/lib/tags/", &bad).await.expect(400);
    assert_eq!(refused.body, "The tag 'latest' is invalid/not supported.");

    // A second upload of the same version leaves the first.
    let second = cli.upload("/_/units/lib/versions/v0.0.1/upload", "other").await.expect(409);
    assert_eq!(second.body, "Resource already exists");
    assert_eq!(cli.get("/_/units/lib/versions/v0.0.1/download").await.body, "lib-0.0.1");
}

/// Between two scenarios the original's own suite empties the server.
#[tokio::test]
async fn a_wipe_leaves_nothing() {
    let cli = Cli::start();
    cli.release("ns", "app", "", json!([])).await;
    let tag = json!({ "release_id": "ns/app-v0", "tag": "production" });
    cli.post("/ns/units/app/tags/", &tag).await.expect(200);
    let database = "/api/v1/internal/database";
    assert_eq!(cli.call("DELETE", database, "application/json", b"").await.expect(200).body, "");
    assert_eq!(cli.get("/").await.expect(200).json(), json!({}));
    assert_eq!(cli.release("ns", "app", "", json!([])).await, "0", "numbers start again");
    cli.get("/ns/units/app/versions/production/").await.expect(404);
}

#[tokio::test]
async fn queries_of_what_is_not_there_are_empty_404s() {
    let cli = Cli::start();
    cli.release("ns", "app", "", json!([])).await;
    for path in
        ["/nobody/units/", "/nobody/units/app/", "/ns/units/none/", "/ns/units/app/versions/v9/"]
    {
        let answer = cli.get(path).await.expect(404);
        assert_eq!(answer.body, "", "{path}");
    }
    // These two have no text for a 404.
    cli.get("/").await.expect(200);
    assert_eq!(cli.get("/no/units/no/next-version?prefix=1.").await.expect(200).body, "1.0");
}

#[tokio::test]
async fn a_bad_register_is_a_400_with_its_text() {
    let cli = Cli::start();
    for (release, text) in [
        (json!({ "name": "app" }), "Missing version field in release metadata"),
        (json!({ "version": "1" }), "Missing name field in release metadata"),
        (json!({ "name": "A", "version": "1" }), "Invalid name 'A'"),
        (json!({ "name": "app", "version": "v1" }), "Invalid version string 'v1'."),
    ] {
        assert_eq!(cli.post("/ns/register", &release).await.expect(400).body, text);
    }
    assert_eq!(cli.get("/").await.expect(200).json(), json!({}), "nothing was kept");
}
