//! The release API, in its own words.

mod about;
mod cancel;
mod changes;
mod clients;
mod dry_run;
mod errors;
mod examples;
mod fetching;
mod index;
mod install;
mod local;
mod model;
mod package_deletion;
mod refusals;
mod releases;
mod rendering;
mod repositories;
mod resources;
mod resume;
mod rollback;
mod scale;
mod upgrade;
mod upload;
mod watch;

use std::io::{Cursor, Write};

use axum::{
    body::Body,
    http::{Request, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chandlery::plugins::{Binding, Kind, shipped::shipped};
use chandlery_tests::{Answer, Host, guest};
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

const UPLOAD: &str = "/api/package/upload";
const SKIPPER: &str = "org.springframework.cloud.skipper.SkipperException";

/// The files of a small package.
const FILES: [(&str, &str); 3] = [
    ("log-1.0.0/package.yml", "apiVersion: v1\nkind: skipper\nname: log\nversion: 1.0.0\n"),
    ("log-1.0.0/values.yml", "version: 1.10\n"),
    ("log-1.0.0/templates/log.yml", "version: {{version}}\n"),
];

/// Everything is allowed, the shipped renderer renders, and a deployer pretends.
fn bindings() -> Vec<Binding> {
    bindings_with(guest::pretending_deployer())
}

/// The same with another deployer.
fn bindings_with(mut deployer: Binding) -> Vec<Binding> {
    let mustache = shipped("template-mustache").expect("it is shipped");
    let renderer = guest::binding("template-mustache", Kind::Renderer, mustache.component.to_vec());
    deployer.name = "deployer-local".to_owned();
    vec![guest::allow_all(), renderer, deployer]
}

fn zip<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes.as_ref()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The request that uploads `zip` as log 1.0.0.
fn upload_of(zip: &[u8]) -> Value {
    json!({
        "name": "log",
        "repoName": "local",
        "version": "1.0.0",
        "extension": "zip",
        "packageFileAsBytes": STANDARD.encode(zip),
    })
}

/// Sends a request with that `Accept`, as if to `localhost:7577`.
async fn send_as(host: &Host, method: &str, path: &str, accept: &[u8], body: &Value) -> Answer {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost:7577")
        .header(header::ACCEPT, accept)
        .header(header::CONTENT_TYPE, "application/json");
    host.send(request.body(body).unwrap()).await
}

/// Checks an error's body, and gives its message.
#[track_caller]
fn failure(answer: Answer, status: u16, exception: &str) -> String {
    let answer = answer.expect(status);
    assert_eq!(answer.header("content-type"), "application/json;charset=UTF-8");
    let body = answer.json();
    let keys: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys[..4], ["timestamp", "status", "error", "exception"], "{body}");
    assert_eq!(keys[4..6], ["message", "path"], "{body}");
    assert!(body["timestamp"].is_u64(), "{body}");
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(body["exception"], exception, "{body}");
    body["message"].as_str().unwrap().to_owned()
}
