//! Makes a component of a module, and looks at what it imports.

use wasm_encoder::{ComponentSection, CustomSection};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{Resolve, WorldId, WorldItem, WorldKey};

use crate::{Error, Manifest, Result};

/// The custom section that holds the manifest.
const MANIFEST: &str = "chandlery:manifest";

/// Wraps a module, checks it against its manifest, and puts the manifest in.
pub(crate) fn make(module: &[u8], manifest: &Manifest, json: &str) -> Result<Vec<u8>> {
    let component = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|it| it.encode())
        .map_err(|it| wrong(manifest, format!("does not make a component: {it:#}")))?;
    complete(component, manifest, json)
}

/// Checks a component against its manifest, and puts the manifest in.
pub(crate) fn complete(mut component: Vec<u8>, manifest: &Manifest, json: &str) -> Result<Vec<u8>> {
    let wrong = |what: String| wrong(manifest, what);
    let outside = Outside::of(&component).map_err(|it| wrong(format!("cannot be read: {it}")))?;
    outside.check(manifest).map_err(wrong)?;
    CustomSection { name: MANIFEST.into(), data: json.as_bytes().into() }
        .append_to_component(&mut component);
    Ok(component)
}

fn wrong(manifest: &Manifest, what: String) -> Error {
    Error(format!("the plugin `{}` {what}", manifest.name))
}

/// What the manifest asks for and the component does not import.
pub(crate) fn unused(component: &[u8], manifest: &Manifest) -> Vec<String> {
    let Ok(outside) = Outside::of(component) else { return Vec::new() };
    let asked = manifest.capabilities.keys().filter(|it| *it != "mutate" && *it != "documents");
    // Secrets may be used without being read, and then they are no import.
    let asked = asked.filter(|it| *it != "secrets");
    asked
        .filter(|it| !outside.imports.contains(&format!("chandlery:host/{it}")))
        .map(|it| format!("`capabilities.{it}` is asked for but never used"))
        .collect()
}

/// The names of what a component imports and exports, without their versions.
struct Outside {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Outside {
    fn of(component: &[u8]) -> std::result::Result<Outside, String> {
        match wit_component::decode(component) {
            Ok(DecodedWasm::Component(resolve, world)) => Ok(Outside {
                imports: names(&resolve, world, |world| &world.imports),
                exports: names(&resolve, world, |world| &world.exports),
            }),
            Ok(DecodedWasm::WitPackage(..)) => Err("it is a WIT package".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    fn check(&self, manifest: &Manifest) -> std::result::Result<(), String> {
        for kind in &manifest.kinds {
            let interface = kind.interface();
            if !self.exports.contains(&format!("chandlery:plugin/{interface}")) {
                return Err(format!("does not export `{interface}`, which its `kinds` promise"));
            }
        }
        for import in &self.imports {
            let Some(capability) = import.strip_prefix("chandlery:host/") else {
                if import == "chandlery:types/types" {
                    continue;
                }
                return Err(format!("imports `{import}`, which no host offers"));
            };
            let given = matches!(capability, "log" | "metrics");
            if !given && !manifest.capabilities.contains_key(capability) {
                return Err(format!(
                    "imports `{capability}`: ask for it under `capabilities` in `chandlery.toml`, \
                     with the reason, or do not call it"
                ));
            }
        }
        Ok(())
    }
}

fn names(
    resolve: &Resolve,
    world: WorldId,
    side: impl Fn(&wit_parser::World) -> &wit_parser::IndexMap<WorldKey, WorldItem>,
) -> Vec<String> {
    let keys = side(&resolve.worlds[world]).keys();
    keys.map(|key| {
        let name = resolve.name_world_key(key);
        name.split('@').next().unwrap_or_default().to_owned()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(kind: &str, capabilities: &[&str]) -> Manifest {
        Manifest {
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            kinds: vec![serde_json::from_str(&format!("{kind:?}")).unwrap()],
            description: "x".to_owned(),
            actions: Vec::new(),
            capabilities: capabilities.iter().map(|it| (it.to_string(), "so".into())).collect(),
            settings: None,
            requires_host: None,
        }
    }

    fn check(imports: &[&str], exports: &[&str], manifest: &Manifest) -> String {
        let owned = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let outside = Outside { imports: owned(imports), exports: owned(exports) };
        outside.check(manifest).err().unwrap_or_default()
    }

    #[test]
    fn what_is_imported_must_be_asked_for() {
        let exports = ["chandlery:plugin/notifying"];
        let imports = ["chandlery:types/types", "chandlery:host/log", "chandlery:host/http"];
        assert_eq!(check(&imports, &exports, &manifest("after-hook", &["http"])), "");
        let said = check(&imports, &exports, &manifest("after-hook", &[]));
        assert!(said.starts_with("imports `http`: ask for it"), "{said}");
        let said = check(&["wasi:cli/environment"], &exports, &manifest("after-hook", &[]));
        assert_eq!(said, "imports `wasi:cli/environment`, which no host offers");
    }

    #[test]
    fn what_is_promised_must_be_exported() {
        let said = check(&[], &["chandlery:plugin/lifecycle"], &manifest("policy", &[]));
        assert_eq!(said, "does not export `policy`, which its `kinds` promise");
    }

    #[test]
    fn what_is_no_module_makes_no_component() {
        let said = make(b"(module)", &manifest("policy", &[]), "{}").unwrap_err().to_string();
        assert!(said.starts_with("the plugin `x` does not make a component"), "{said}");
    }
}
