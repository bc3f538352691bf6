//! The processes of releases, as the machine knows them.

use std::{fs, path::Path};

use serde_json::Value;

/// The release and the application of each process that works below that folder, in
/// order. One that runs twice is there twice.
pub(crate) fn below(folder: &Path) -> Vec<(String, String)> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    let is_below = |pid: &u32| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|it| it.starts_with(folder))
    };
    let mut found: Vec<_> = pids.filter(is_below).filter_map(application).collect();
    found.sort();
    found
}

/// What its environment says that it is; nothing where it has just ended.
fn application(pid: u32) -> Option<(String, String)> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|it| *it == 0);
    let json = variables.find_map(|it| it.strip_prefix(b"SPRING_APPLICATION_JSON="))?;
    let told: Value = serde_json::from_slice(json).ok()?;
    // As in `release0.web-v3-0`.
    let guid = told["spring.cloud.application.guid"].as_str()?;
    let (release, definition) = guid.split_once('.')?;
    let (app, _) = definition.split_once("-v")?;
    Some((release.to_owned(), app.to_owned()))
}
