//! A whole server without a socket.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{Method, Request, header},
};
use chandlery::{
    api::Api,
    app::{self, App},
    authz::{Principal, PrincipalKind},
    config::Config,
    error::Result,
    plugins::Binding,
    store::Store,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Answer, EventStream, PATIENCE};

/// A server over a data folder of its own, which goes when it does.
pub struct Host {
    /// The server's parts, for looking behind the API.
    pub app: Arc<App>,
    api: Api,
    config: Config,
    bindings: Option<Vec<Binding>>,
    folder: TempDir,
}

/// What stays of a server that was killed.
pub struct Remains {
    config: Config,
    bindings: Option<Vec<Binding>>,
    folder: TempDir,
}

/// Chooses how a [`Host`] is set up.
#[derive(Default)]
pub struct HostBuilder {
    config: Config,
    bindings: Option<Vec<Binding>>,
    memory: bool,
}

impl HostBuilder {
    /// Puts exactly these plugins to work, instead of the shipped ones and those of
    /// the settings.
    pub fn plugins(mut self, bindings: Vec<Binding>) -> Self {
        self.bindings = Some(bindings);
        self
    }

    /// Changes settings. `data` and `listen` are the harness's own.
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Keeps its data in memory where the machine has a file system there: for what
    /// writes often and does not ask whether a disk keeps it.
    pub fn in_memory(mut self) -> Self {
        self.memory = true;
        self
    }

    /// Starts the server.
    pub async fn start(self) -> Host {
        self.try_start().await.unwrap_or_else(|it| panic!("the server starts: {it:?}"))
    }

    /// Starts the server, for tests of what keeps it from starting.
    pub async fn try_start(mut self) -> Result<Host> {
        let in_memory = self.memory.then(|| tempfile::tempdir_in("/dev/shm").ok()).flatten();
        let folder = in_memory.map_or_else(tempfile::tempdir, Ok).expect("a folder can be made");
        self.config.data = folder.path().join("data");
        let app = assemble(&self.config, &self.bindings).await?;
        let api = Api::new(app.clone());
        Ok(Host { app, api, config: self.config, bindings: self.bindings, folder })
    }
}

async fn assemble(config: &Config, bindings: &Option<Vec<Binding>>) -> Result<Arc<App>> {
    match bindings {
        Some(bindings) => app::start_with(config.clone(), bindings.clone()).await,
        None => app::start(config.clone()).await,
    }
}

impl Host {
    /// Starts a server with the shipped plugins.
    pub async fn start() -> Host {
        Host::builder().start().await
    }

    /// Starts a server with exactly these plugins.
    pub async fn with(bindings: Vec<Binding>) -> Host {
        Host::builder().plugins(bindings).start().await
    }

    /// Chooses more.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// The folder that holds everything the server keeps.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Ends the server in peace and starts it again over the same data.
    pub async fn restart(self) -> Host {
        let Host { app, api, config, bindings, folder } = self;
        app.stop().await.expect("the server stops");
        drop((api, app));
        let app = assemble(&config, &bindings).await.expect("the server starts again");
        let api = Api::new(app.clone());
        Host { app, api, config, bindings, folder }
    }

    /// Lets go of the server as it is. It is as if it was killed when the runtime that
    /// it runs on is shut down: whatever it was doing ends where it waits for something.
    pub fn killed(self) -> Remains {
        let Host { config, bindings, folder, .. } = self;
        Remains { config, bindings, folder }
    }

    /// Ends the server in peace.
    pub async fn stop(self) {
        self.app.stop().await.expect("the server stops");
    }

    /// A client that says it is the user of that name. The server takes its word;
    /// without this a client is `anonymous`.
    pub fn as_user(&self, name: &str) -> Client<'_> {
        let principal = Principal {
            id: format!("user:{name}"),
            kind: PrincipalKind::User,
            groups: Vec::new(),
            roles: Vec::new(),
            claims: Vec::new(),
        };
        Client { host: self, principal: Some(principal) }
    }

    /// A client of that description.
    pub fn as_principal(&self, principal: Principal) -> Client<'_> {
        Client { host: self, principal: Some(principal) }
    }

    fn anonymous(&self) -> Client<'_> {
        Client { host: self, principal: None }
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.anonymous().get(path).await
    }

    /// Sends a HEAD.
    pub async fn head(&self, path: &str) -> Answer {
        self.anonymous().send(request(Method::HEAD, path, Body::empty())).await
    }

    /// Sends a DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.anonymous().delete(path).await
    }

    /// Sends a POST with JSON.
    pub async fn post(&self, path: &str, json: &Value) -> Answer {
        self.anonymous().post(path, json).await
    }

    /// Sends a PUT with JSON.
    pub async fn put(&self, path: &str, json: &Value) -> Answer {
        self.anonymous().put(path, json).await
    }

    /// Sends a POST with bytes of that type.
    pub async fn post_bytes(&self, path: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
        self.anonymous().post_bytes(path, kind, body).await
    }

    /// Uploads a file the way the Escape client does: multipart, one part named `file`.
    pub async fn upload(&self, path: &str, file: &[u8]) -> Answer {
        self.anonymous().upload(path, file).await
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        self.anonymous().send(request).await
    }

    /// Sends a GET whose answer goes on.
    pub async fn stream(&self, path: &str) -> EventStream {
        EventStream::of(self.api.answer(request(Method::GET, path, Body::empty())).await)
    }

    /// The same, going on behind the event of that id.
    pub async fn stream_after(&self, path: &str, last: &str) -> EventStream {
        let mut request = request(Method::GET, path, Body::empty());
        let last = last.parse().expect("an id is a header's value");
        request.headers_mut().insert("last-event-id", last);
        EventStream::of(self.api.answer(request).await)
    }

    /// The same for an answer of that type.
    pub async fn stream_as(&self, path: &str, accept: &str) -> EventStream {
        let mut request = request(Method::GET, path, Body::empty());
        let accept = accept.parse().expect("a type is a header's value");
        request.headers_mut().insert(header::ACCEPT, accept);
        EventStream::of(self.api.answer(request).await)
    }

    /// What answers, to be served over a socket.
    pub fn api(&self) -> Api {
        self.api.clone()
    }
}

impl Remains {
    /// Opens its store, to look at what it has left or to change that.
    pub async fn store(&self) -> Store {
        let folder = self.folder.path().join("data").join("store");
        self.when_free(|| Store::open(&folder)).await
    }

    /// Changes settings.
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Remains {
        change(&mut self.config);
        self
    }

    /// Starts it again.
    pub async fn start(self) -> Host {
        let app = self.when_free(|| assemble(&self.config, &self.bindings)).await;
        let api = Api::new(app.clone());
        let Remains { config, bindings, folder } = self;
        Host { app, api, config, bindings, folder }
    }

    /// Waits until the writer of the one that was killed has let go of the data.
    async fn when_free<T, F: Future<Output = Result<T>>>(&self, open: impl Fn() -> F) -> T {
        let started = Instant::now();
        loop {
            match open().await {
                Ok(it) => return it,
                Err(error) if started.elapsed() > PATIENCE => panic!("it does not open: {error:?}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
}

/// A client of a [`Host`].
pub struct Client<'a> {
    host: &'a Host,
    principal: Option<Principal>,
}

impl Client<'_> {
    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, Body::empty())).await
    }

    /// Sends a DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(request(Method::DELETE, path, Body::empty())).await
    }

    /// Sends a POST with JSON.
    pub async fn post(&self, path: &str, json: &Value) -> Answer {
        self.post_bytes(path, "application/json", json.to_string()).await
    }

    /// Sends a PUT with JSON.
    pub async fn put(&self, path: &str, json: &Value) -> Answer {
        let body = Body::from(json.to_string());
        self.send(typed(request(Method::PUT, path, body), "application/json")).await
    }

    /// Sends a POST with bytes of that type.
    pub async fn post_bytes(&self, path: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
        let body = Body::from(body.into());
        self.send(typed(request(Method::POST, path, body), kind)).await
    }

    /// Uploads a file the way the Escape client does: multipart, one part named `file`.
    pub async fn upload(&self, path: &str, file: &[u8]) -> Answer {
        let boundary = "a-boundary-that-no-test-file-holds";
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"/home/ana/app-v1.0.tgz\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let body = [head.as_bytes(), file, tail.as_bytes()].concat();
        self.post_bytes(path, &format!("multipart/form-data; boundary={boundary}"), body).await
    }

    /// Sends a GET whose answer goes on.
    pub async fn stream(&self, path: &str) -> EventStream {
        let mut request = request(Method::GET, path, Body::empty());
        if let Some(principal) = &self.principal {
            request.extensions_mut().insert(principal.clone());
        }
        EventStream::of(self.host.api.answer(request).await)
    }

    /// Sends any request.
    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        if let Some(principal) = &self.principal {
            request.extensions_mut().insert(principal.clone());
        }
        Answer::of(self.host.api.answer(request).await).await
    }
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    request.body(body).unwrap_or_else(|it| panic!("`{path}` is a path: {it}"))
}

fn typed(mut request: Request<Body>, kind: &str) -> Request<Body> {
    let kind = kind.parse().expect("the type is a header's value");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    request
}
