//! Takes the hello application the whole way through a running server. Each step is
//! one request, shown as it is sent: the same can be done with any HTTP client.
//!
//! Run it by `run.sh`, which builds the application first.

mod client;
mod events;

use std::{
    env, fs,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{Client, Result};
use events::Events;
use serde_json::{Value, json};
use zip::write::{SimpleFileOptions, ZipWriter};

const UNIT: &str = "/api/v1/inventory/examples/units/hello";
const RELEASE: &str = "hello";
const GREETING: &str = "Hello from the tour";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let url = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:7577".to_owned());
    let told = env::args().nth(2).is_some_and(|it| it == "told");
    match tour(&url, told) {
        Ok(()) => {
            println!("\nthe whole way: done");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("\nfailed: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn tour(url: &str, told: bool) -> Result<()> {
    let server = Client::new(url)?;
    let events = if told { Some(Events::listen()?) } else { None };

    step("the inventory says which version comes next");
    let version = server.get(&format!("{UNIT}/next-version?prefix=1.0."))?;

    step(&format!("register hello {version} and upload the program"));
    let unit = json!({ "name": "hello", "version": version, "project": "examples",
        "description": "Says hello over HTTP" });
    server.post("/api/v1/inventory/examples/register", &unit)?;
    server.upload(&format!("{UNIT}/versions/v{version}/upload"), &fs::read(program()?)?)?;

    step(&format!("upload package hello {version}"));
    let package = json!({ "repoName": "local", "name": "hello", "version": version,
        "extension": "zip", "packageFileAsBytes": STANDARD.encode(package(&version)?) });
    server.post("/api/package/upload", &package)?;

    step("install it");
    let values = format!(
        "resource: inventory://examples/hello/{version}\nproperties:\n  greeting: {GREETING}\n"
    );
    let install = json!({
        "packageIdentifier": { "packageName": "hello", "packageVersion": version },
        "installProperties": { "releaseName": RELEASE, "platformName": "default",
            "configValues": { "raw": values } },
    });
    let release = server.post("/api/package/install", &install)?;
    let installed = tell(&server, &release, &version);

    // Whatever happened in between, nothing is left running.
    step("delete it");
    let deleted = server.delete(&format!("/api/release/{RELEASE}"));
    installed?;
    expect(&deleted?, "/info/status/statusCode", "DELETED")?;

    if let Some(events) = events {
        step("what the hook was told of");
        events.wait_for("release:delete", RELEASE)?;
    }
    Ok(())
}

/// From the installation to the answer, the status and the manifest.
fn tell(server: &Client, release: &Value, version: &str) -> Result<()> {
    expect(release, "/info/status/statusCode", "DEPLOYED")?;
    step("wait until it answers");
    let url = application_url(server)?;
    let answer = Client::new(&url)?.get("/")?;
    if answer.trim() != GREETING {
        return Err(format!("it says `{}`", answer.trim()).into());
    }

    step("its status");
    println!("{}", server.get(&format!("/api/release/status/{RELEASE}"))?);
    step("its manifest");
    let manifest: Value =
        serde_json::from_str(&server.get(&format!("/api/release/manifest/{RELEASE}"))?)?;
    let text = manifest["data"].as_str().unwrap_or_default();
    println!("{text}");
    match text.contains(&format!("inventory://examples/hello/{version}")) {
        true => Ok(()),
        false => Err("the manifest does not name the program".into()),
    }
}

/// Waits until the platform says that the application is deployed, and where.
fn application_url(server: &Client) -> Result<String> {
    let since = Instant::now();
    loop {
        let info: Value =
            serde_json::from_str(&server.get(&format!("/api/release/status/{RELEASE}"))?)?;
        let text = info["status"]["platformStatus"].as_str().unwrap_or("[]");
        let apps: Value = serde_json::from_str(text)?;
        let instances = apps[0]["instances"].as_object();
        let instance = instances.and_then(|it| it.values().next()).unwrap_or(&Value::Null);
        match instance["state"].as_str() {
            Some("deployed") => {
                let url = instance["attributes"]["url"].as_str();
                return Ok(url.ok_or("the instance has no url")?.to_owned());
            }
            Some("failed") => return Err(format!("the application failed: {text}").into()),
            state if since.elapsed() > PATIENCE => {
                return Err(
                    format!("the application is still `{}`", state.unwrap_or("nowhere")).into()
                );
            }
            _ => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// The application's program, which cargo puts beside this one.
fn program() -> Result<PathBuf> {
    let program = env::current_exe()?.with_file_name("hello");
    match program.is_file() {
        true => Ok(program),
        false => Err(format!("`{}` is not built: use run.sh", program.display()).into()),
    }
}

/// The package's folder as a zip, under this version.
fn package(version: &str) -> Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hello-1.0.0");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for file in ["package.yml", "values.yml", "templates/hello.yml"] {
        let text = fs::read_to_string(folder.join(file))?;
        let text = match file {
            "package.yml" => text.replace("version: 1.0.0", &format!("version: {version}")),
            _ => text,
        };
        zip.start_file(format!("hello-{version}/{file}"), SimpleFileOptions::default())?;
        zip.write_all(text.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

fn expect(answer: &Value, pointer: &str, expected: &str) -> Result<()> {
    match answer.pointer(pointer).and_then(Value::as_str) {
        Some(it) if it == expected => Ok(()),
        other => Err(format!("`{pointer}` is {other:?} and should be `{expected}`").into()),
    }
}

fn step(what: &str) {
    println!("\n# {what}");
}
