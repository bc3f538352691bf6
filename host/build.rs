//! Builds the plugins that the server ships with and lays them where
//! `plugins/shipped.rs` takes them from; and lays what new projects of plugins are made
//! of where `workbench/project` takes it from.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::exit,
};

use chandlery_plugin_build::{Built, Result, Toolchain, build, shared_target, write};

fn main() {
    println!("cargo::rerun-if-env-changed=CHANDLERY_WASM_TOOLCHAIN");
    if let Err(error) = ship() {
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
        exit(1);
    }
}

const WATCHED: [&str; 7] =
    ["Cargo.toml", "Cargo.lock", "sdk/Cargo.toml", "sdk/src", "sdk/templates", "wit", "plugins"];

/// Builds every folder of `plugins/` that has a `chandlery.toml`.
fn ship() -> Result<()> {
    // Asked for when it runs: with a target folder that came from another tree, what it
    // was compiled with is the other tree's.
    let set = |name| PathBuf::from(env::var_os(name).expect("cargo sets it"));
    let top = set("CARGO_MANIFEST_DIR").join("..");
    let out = set("OUT_DIR");
    for shared in WATCHED {
        println!("cargo::rerun-if-changed={}", top.join(shared).display());
    }
    lay_files(&top, &out)?;

    let toolchain = Toolchain::find()?;
    if let Some(compiler) = toolchain.watched() {
        println!("cargo::rerun-if-changed={}", compiler.display());
    }
    println!("plugins are compiled with {}", toolchain.name);

    let mut list = String::from("&[\n");
    for plugin in plugins(&top.join("plugins")) {
        let built = build(&plugin, &shared_target(&out), &toolchain)?;
        list += &lay(&built, &out)?;
    }
    write(&out.join("shipped.rs"), format!("{list}]\n").as_bytes())
}

/// Lays the SDK, the interfaces and the templates into `out`, with a list of them.
fn lay_files(top: &Path, out: &Path) -> Result<()> {
    let mut files = vec![("sdk/Cargo.toml".to_owned(), top.join("sdk/Cargo.toml"))];
    for (name, folder) in [("sdk/src", "sdk/src"), ("wit", "wit"), ("templates", "sdk/templates")] {
        walk(name, &top.join(folder), &mut files);
    }
    files.sort();
    let mut list = String::from("&[\n");
    for (name, path) in files {
        let text = fs::read(&path).unwrap_or_else(|it| panic!("{}: {it}", path.display()));
        write(&out.join("files").join(&name), &text)?;
        list +=
            &format!("({name:?}, include_str!(concat!(env!(\"OUT_DIR\"), \"/files/{name}\"))),\n");
    }
    write(&out.join("files.rs"), format!("{list}]\n").as_bytes())
}

fn walk(name: &str, folder: &Path, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        match entry.path() {
            path if path.is_dir() => walk(&name, &path, files),
            path => files.push((name, path)),
        }
    }
}

fn plugins(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut plugins: Vec<PathBuf> =
        entries.map(|it| it.path()).filter(|it| it.join("chandlery.toml").is_file()).collect();
    plugins.sort();
    plugins
}

/// Lays a component into `out` and returns its line of the list.
fn lay(built: &Built, out: &Path) -> Result<String> {
    let Built { manifest, component, sha256, warnings } = built;
    for warning in warnings {
        println!("cargo::warning=plugin `{}`: {warning}", manifest.name);
    }
    println!("{} {}: {} bytes", manifest.name, manifest.version, component.len());
    let file = format!("{}.wasm", manifest.name);
    write(&out.join(&file), component)?;
    Ok(format!(
        "Shipped {{ name: {:?}, version: {:?}, sha256: {sha256:?}, \
         component: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\")) }},\n",
        manifest.name, manifest.version,
    ))
}
