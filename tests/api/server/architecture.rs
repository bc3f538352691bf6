//! The edges of the server have one owner each, and nothing is left to be done.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// The files whose code, not comments, says `word`.
fn saying(folder: &str, word: &str) -> Vec<String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let mut found = Vec::new();
    sources(&top.join(folder), &mut found);
    assert!(!found.is_empty(), "`{folder}` has sources");
    let says = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|it| it.split("//").next().unwrap_or_default()).any(|it| it.contains(word))
    };
    let mut names: Vec<String> = found
        .into_iter()
        .filter(says)
        .map(|it| it.strip_prefix(&top).unwrap().display().to_string())
        .collect();
    names.sort();
    names
}

/// `word` appears in `host/src`, but only below `owner`.
fn owned(word: &str, owner: &str) {
    let files = saying("host/src", word);
    assert!(!files.is_empty(), "somebody says `{word}`");
    let strangers: Vec<&String> = files.iter().filter(|it| !it.starts_with(owner)).collect();
    assert!(strangers.is_empty(), "`{word}` outside of `{owner}`: {strangers:?}");
}

#[test]
fn each_edge_has_one_owner() {
    owned("axum::", "host/src/api/");
    owned("redb::", "host/src/store/");
    owned("wasmtime::", "host/src/plugins/");
}

/// What `routes` does not know would be missing in the OpenAPI document.
#[test]
fn routes_are_made_in_one_place() {
    owned(".route(", "host/src/api/route");
}

#[test]
fn nothing_is_left_to_be_done() {
    for folder in ["host", "sdk", "plugins", "tests/src"] {
        for word in [concat!("to", "do!"), concat!("unimpl", "emented!"), concat!("FIX", "ME")] {
            assert_eq!(saying(folder, word), Vec::<String>::new(), "`{word}` in `{folder}`");
        }
    }
}

#[test]
fn operations_know_no_http() {
    for folder in ["host/src/inventory", "host/src/release", "host/src/store"] {
        for word in ["http::StatusCode", "http::HeaderMap", "hyper::"] {
            assert_eq!(saying(folder, word), Vec::<String>::new(), "`{word}` in `{folder}`");
        }
    }
}
