//! Reads a component before any of it runs: what it is, what it exports, what it
//! asks for, and for each thing that it cannot have, why not.

use std::collections::BTreeMap;

use serde::Deserialize;
use wasmparser::{Encoding, Parser, Payload};

use super::{Kind, examine::Wanted};
use crate::capabilities::Grants;

/// The track of `wit/` that this server offers: all of `0.1.z`.
const TRACK: &str = "0.1";
const MANIFEST: &str = "chandlery:manifest";
const MANIFEST_BYTES_MAX: usize = 256 << 10;

// What a compiler needs of time and memory grows with these faster than with the size
// of the file. The engines of JavaScript and Python stay well below all of them.
const FUNCTIONS_MAX: usize = 200_000;
const FUNCTION_BYTES_MAX: usize = 2 << 20;
const TYPES_MAX: usize = 100_000;
const PARTS_MAX: usize = 1_000;
const DEPTH_MAX: usize = 20;

/// What a component says about itself.
#[derive(Debug, Default)]
pub(super) struct Component {
    /// The names of its imports.
    pub(super) imports: Vec<String>,
    /// The names of its exports.
    pub(super) exports: Vec<String>,
    /// Its custom section, where it has one.
    pub(super) manifest: Option<Manifest>,
    /// The same as it is written.
    pub(super) written: Option<serde_json::Value>,
}

/// What a compiler has to look at.
#[derive(Default)]
struct Bulk {
    functions: usize,
    types: usize,
    parts: usize,
}

/// The custom section `chandlery:manifest`. Members that the runtime has no use
/// for are left to others.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Manifest {
    /// The plugin's name.
    pub(super) name: String,
    /// The plugin's version.
    pub(super) version: String,
    /// What it does, in a sentence.
    pub(super) description: String,
    /// For hooks: the actions that it wants to see.
    pub(super) actions: Vec<String>,
    /// The JSON Schema of its settings.
    pub(super) settings: Option<serde_json::Value>,
    /// The capabilities it asks for: a list of names, or names with reasons.
    capabilities: Option<Asked>,
    /// The versions of the server that it works with.
    #[serde(rename = "requires-host")]
    pub(super) requires_host: Option<String>,
}

impl Manifest {
    /// What it asks for, with the reasons where it has any.
    pub(super) fn asked(&self) -> Vec<(String, String)> {
        match &self.capabilities {
            None => Vec::new(),
            Some(Asked::Names(names)) => {
                names.iter().map(|it| (it.clone(), String::new())).collect()
            }
            Some(Asked::Reasons(reasons)) => reasons
                .iter()
                .map(|(name, why)| (name.clone(), why.as_str().unwrap_or_default().to_owned()))
                .collect(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Names(Vec<String>),
    Reasons(BTreeMap<String, serde_json::Value>),
}

/// Reads the outside of a component. The error is a sentence.
pub(super) fn read(bytes: &[u8], bytes_max: usize) -> Result<Component, String> {
    if bytes.len() > bytes_max {
        return Err(format!(
            "the component has {} bytes (limit `component_bytes` is {bytes_max})",
            bytes.len()
        ));
    }
    check_kind_of_file(bytes)?;
    let mut component = Component::default();
    let mut bulk = Bulk::default();
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|it| format!("the component is damaged: {it}"))?;
        bulk.add(&payload)?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(CORE_MODULE.into());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(format!("it nests its parts more than {DEPTH_MAX} deep"));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(|it| format!("the component is damaged: {it}"))?;
                    component.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(|it| format!("the component is damaged: {it}"))?;
                    component.exports.push(export.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if depth == 0 && section.name() == MANIFEST => {
                let written = manifest_json(section.data())?;
                component.manifest = Some(manifest(&written)?);
                component.written = Some(written);
            }
            _ => {}
        }
    }
    Ok(component)
}

impl Bulk {
    fn add(&mut self, payload: &Payload<'_>) -> Result<(), String> {
        let (counted, max, what) = match payload {
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len();
                if bytes > FUNCTION_BYTES_MAX {
                    return Err(format!(
                        "it has a function of {bytes} bytes (the limit is {FUNCTION_BYTES_MAX})"
                    ));
                }
                self.functions += 1;
                (self.functions, FUNCTIONS_MAX, "functions")
            }
            Payload::TypeSection(types) => {
                self.types += types.count() as usize;
                (self.types, TYPES_MAX, "types")
            }
            Payload::ComponentTypeSection(types) => {
                self.types += types.count() as usize;
                (self.types, TYPES_MAX, "types")
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.parts += 1;
                (self.parts, PARTS_MAX, "modules and components inside")
            }
            _ => return Ok(()),
        };
        match counted > max {
            true => Err(format!("it has more than {max} {what}")),
            false => Ok(()),
        }
    }
}

impl Component {
    /// The kinds that it can be put to work as, whatever it will be granted. The error
    /// says why there is none.
    pub(super) fn kinds(&self) -> Result<Vec<Kind>, String> {
        let offered: Vec<Kind> = Kind::ALL.into_iter().filter(|it| self.offers(*it)).collect();
        let Some(first) = offered.first() else {
            let interfaces = Kind::ALL.map(|it| format!("`chandlery:plugin/{}`", it.interface()));
            return Err(format!(
                "it is no plugin of any kind: it exports none of {}; it exports {}",
                interfaces.join(", "),
                listed(&self.exports)
            ));
        };
        let everything = Grants::everything();
        let fits = |it: &Kind| self.check(*it, &everything).is_ok();
        let kinds: Vec<Kind> = offered.iter().copied().filter(fits).collect();
        match kinds.is_empty() {
            true => self.check(*first, &everything).map(|()| kinds),
            false => Ok(kinds),
        }
    }

    /// Whether it has the interface of a kind, in whatever version.
    fn offers(&self, kind: Kind) -> bool {
        let names = self.exports.iter().filter_map(|it| parts(it));
        names
            .into_iter()
            .any(|it| it.package == "chandlery:plugin" && it.interface == kind.interface())
    }

    /// The capabilities that it imports or asks for, by name, with its reason where it
    /// gives one.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        let mut add = |name: &str, reason: Option<String>, imported: bool| {
            let new = Wanted { name: name.to_owned(), reason: None, imported: false };
            let entry = wanted.entry(name.to_owned()).or_insert(new);
            entry.reason = entry.reason.take().or(reason);
            entry.imported |= imported;
        };
        let host = self.imports.iter().filter_map(|it| parts(it));
        for it in host.filter(|it| it.package == "chandlery:host" && !is_free(it.interface)) {
            add(it.interface, None, true);
        }
        match self.manifest.as_ref().and_then(|it| it.capabilities.as_ref()) {
            None => {}
            Some(Asked::Names(names)) => names.iter().for_each(|it| add(it, None, false)),
            Some(Asked::Reasons(reasons)) => {
                for (name, reason) in reasons {
                    add(name, reason.as_str().map(str::to_owned), false);
                }
            }
        }
        wanted.into_values().collect()
    }

    /// Checks that it can be put to work as `kind` with `grants`. The error is all
    /// sentences at once, one a line.
    pub(super) fn check(&self, kind: Kind, grants: &Grants) -> Result<(), String> {
        let mut findings = Vec::new();
        findings.extend(self.wants_another_host(env!("CARGO_PKG_VERSION")));
        for interface in ["lifecycle", kind.interface()] {
            findings.extend(self.missing_export(interface, kind));
        }
        findings.extend(self.imports.iter().filter_map(|it| self.refuse(it, kind, grants)));
        if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
    }

    /// Whether it exports what a plugin of that kind must.
    pub(super) fn is_a(&self, kind: Kind) -> bool {
        self.missing_export(kind.interface(), kind).is_none()
    }

    /// Whether it imports an interface of `chandlery:host`.
    pub(super) fn imports_host(&self, interface: &str) -> bool {
        self.imports
            .iter()
            .filter_map(|it| parts(it))
            .any(|it| it.package == "chandlery:host" && it.interface == interface)
    }

    fn wants_another_host(&self, version: &str) -> Option<String> {
        let wanted = self.manifest.as_ref()?.requires_host.as_deref()?;
        let Ok(range) = semver::VersionReq::parse(wanted) else {
            return Some(format!("its manifest's `requires-host` is no range: `{wanted}`"));
        };
        let version = semver::Version::parse(version).ok()?;
        (!range.matches(&version))
            .then(|| format!("it needs a server of version `{wanted}`, and this is {version}"))
    }

    fn missing_export(&self, interface: &str, kind: Kind) -> Option<String> {
        let found: Vec<Name> = self
            .exports
            .iter()
            .filter_map(|it| parts(it))
            .filter(|it| it.package == "chandlery:plugin" && it.interface == interface)
            .collect();
        if found.iter().any(|it| it.fits()) {
            return None;
        }
        let kind = kind.word();
        Some(match found.first() {
            Some(it) => format!(
                "it exports `chandlery:plugin/{interface}` in version {}, and this server speaks \
                 {TRACK}: build it with an SDK of that version",
                it.version
            ),
            None => format!(
                "it does not export `chandlery:plugin/{interface}`, which a {kind} must; it \
                 exports {}",
                listed(&self.exports)
            ),
        })
    }

    /// Why an import cannot be had; `None` where it can.
    fn refuse(&self, import: &str, kind: Kind, grants: &Grants) -> Option<String> {
        let Some(name) = parts(import) else {
            return Some(format!("it imports `{import}`, which is no interface of this server"));
        };
        let package = name.package.split(':').next().unwrap_or_default();
        if package == "wasi" {
            return Some(format!(
                "it imports `{import}`, and this server offers no WASI: build it for \
                 `wasm32-unknown-unknown` with the SDK"
            ));
        }
        let known = match name.package {
            "chandlery:types" => name.interface == "types",
            "chandlery:host" => HOST.contains(&name.interface),
            _ => false,
        };
        if !known {
            return Some(format!("it imports `{import}`, which this server does not know"));
        }
        if !name.fits() {
            return Some(format!(
                "it imports `{import}`, and this server offers version {TRACK}: build it with an \
                 SDK of that version"
            ));
        }
        if name.package == "chandlery:types" {
            return None;
        }
        self.not_granted(name.interface, kind, grants)
    }

    fn not_granted(&self, interface: &str, kind: Kind, grants: &Grants) -> Option<String> {
        let granted = match interface {
            it if is_free(it) => return None,
            "http" => grants.http.is_some(),
            "secrets" => grants.secrets.is_some(),
            "clock" => grants.clock,
            "random" => grants.random,
            "artifacts" => grants.artifacts.is_some(),
            "process" => grants.process.is_some(),
            _ => false,
        };
        if matches!(kind, Kind::Policy | Kind::Renderer) {
            return Some(format!(
                "it imports `{interface}`, which no {} can have: equal calls must give equal \
                 answers",
                kind.word()
            ));
        }
        if interface == "process" && kind != Kind::Deployer {
            return Some(format!(
                "it imports `process`, which only deployers can have, and this is a {}",
                kind.word()
            ));
        }
        if !self.asks_for(interface) {
            return Some(format!(
                "it imports `{interface}`, which its own manifest does not ask for: list it there"
            ));
        }
        if !granted {
            return Some(format!(
                "it imports `{interface}`, which it was not granted: set `grants.{interface}` of \
                 this plugin"
            ));
        }
        None
    }

    /// Whether the manifest asks for a capability. One that lists none asks for
    /// all that is imported.
    fn asks_for(&self, interface: &str) -> bool {
        match self.manifest.as_ref().and_then(|it| it.capabilities.as_ref()) {
            None => true,
            Some(Asked::Names(names)) => names.iter().any(|it| it == interface),
            Some(Asked::Reasons(reasons)) => reasons.contains_key(interface),
        }
    }
}

/// What everybody has who asks.
fn is_free(interface: &str) -> bool {
    matches!(interface, "log" | "metrics")
}

/// What the host has, by the names of `wit/host`.
const HOST: [&str; 8] =
    ["log", "metrics", "http", "secrets", "clock", "random", "artifacts", "process"];

const CORE_MODULE: &str =
    "it is a core WebAssembly module, not a component: wrap it with `wit-component` or the SDK";

struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: &'a str,
}

impl Name<'_> {
    fn fits(&self) -> bool {
        self.version.strip_prefix(TRACK).is_some_and(|it| {
            it.strip_prefix('.').is_some_and(|patch| patch.bytes().all(|it| it.is_ascii_digit()))
        })
    }
}

/// `chandlery:host/log@0.1.0` in parts.
fn parts(name: &str) -> Option<Name<'_>> {
    let (package, rest) = name.split_once('/')?;
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    Some(Name { package, interface, version })
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".into();
    }
    let names: Vec<String> = names.iter().take(20).map(|it| format!("`{it}`")).collect();
    names.join(", ")
}

fn check_kind_of_file(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(&bytes[..bytes.len().min(64)]).unwrap_or_default().trim_start();
    let what = match bytes {
        [] => "it is empty",
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => CORE_MODULE,
        [0, b'a', b's', b'm', ..] => "it is WebAssembly of a version that this server cannot read",
        [0x7f, b'E', b'L', b'F', ..] => "it is a native program or compiled code, not a component",
        [0x1f, 0x8b, ..] | [b'P', b'K', 3, 4, ..] => "it is an archive: unpack it first",
        _ if text.starts_with("(component") || text.starts_with("(module") => {
            "it is WebAssembly text: turn it into a component first"
        }
        _ => "it is not WebAssembly",
    };
    Err(what.into())
}

fn manifest_json(data: &[u8]) -> Result<serde_json::Value, String> {
    if data.len() > MANIFEST_BYTES_MAX {
        return Err(format!(
            "its manifest has {} bytes (the limit is {MANIFEST_BYTES_MAX})",
            data.len()
        ));
    }
    serde_json::from_slice(data).map_err(|it| format!("its manifest cannot be read: {it}"))
}

fn manifest(json: &serde_json::Value) -> Result<Manifest, String> {
    Manifest::deserialize(json).map_err(|it| format!("its manifest cannot be read: {it}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn importing(imports: &[&str]) -> Component {
        Component {
            imports: imports.iter().map(|&it| it.into()).collect(),
            exports: ["lifecycle", "validating", "policy", "deployer"]
                .map(|it| format!("chandlery:plugin/{it}@0.1.0"))
                .into(),
            ..Component::default()
        }
    }

    fn saying(json: &str) -> Option<Manifest> {
        Some(manifest(&manifest_json(json.as_bytes()).unwrap()).unwrap())
    }

    #[track_caller]
    fn refused(component: &Component, kind: Kind, grants: &Grants, part: &str) {
        let why = component.check(kind, grants).unwrap_err();
        assert!(why.contains(part), "{why}");
    }

    #[test]
    fn what_is_no_component_is_named() {
        let check = |bytes: &[u8], part: &str| {
            let why = read(bytes, 1 << 20).unwrap_err();
            assert!(why.contains(part), "{why}");
        };
        check(b"", "empty");
        check(b"\0asm\x01\0\0\0", "core WebAssembly module");
        check(b"\0asm\x09\0\0\0", "version");
        check(b"(component)", "text");
        check(b"\x7fELF\x02", "native program");
        check(b"PK\x03\x04", "archive");
        check(b"hello", "not WebAssembly");
        check(b"\0asm\x0d\0\x01\0\xff\xff\xff\xff", "damaged");
        check(&vec![0; (1 << 20) + 1], "limit `component_bytes` is 1048576");
    }

    #[test]
    fn each_unsatisfied_import_says_why() {
        let none = Grants::default();
        let hook = Kind::BeforeHook;
        for interface in ["http", "secrets", "clock", "random", "artifacts"] {
            let component = importing(&[&format!("chandlery:host/{interface}@0.1.0")]);
            refused(&component, hook, &none, &format!("`grants.{interface}`"));
        }
        let process = importing(&["chandlery:host/process@0.1.0"]);
        refused(&process, Kind::Deployer, &none, "`grants.process`");
        refused(&process, hook, &none, "only deployers");
        let clock = importing(&["chandlery:host/clock@0.1.0"]);
        let granted = Grants { clock: true, ..Grants::default() };
        refused(&clock, Kind::Policy, &granted, "no policy can have");
        assert_eq!(clock.check(hook, &granted), Ok(()));
        refused(&importing(&["wasi:cli/environment@0.2.0"]), hook, &none, "no WASI");
        refused(&importing(&["chandlery:host/teleport@0.1.0"]), hook, &none, "does not know");
        refused(&importing(&["chandlery:host/log@0.2.0"]), hook, &none, "offers version 0.1");
        assert_eq!(importing(&["chandlery:host/log@0.1.7"]).check(hook, &none), Ok(()));
    }

    #[test]
    fn what_the_manifest_does_not_ask_for_cannot_be_granted() {
        let mut component = importing(&["chandlery:host/clock@0.1.0"]);
        component.manifest = saying(r#"{"name":"x","capabilities":["http"],"kinds":["hook"]}"#);
        let granted = Grants { clock: true, ..Grants::default() };
        refused(&component, Kind::BeforeHook, &granted, "manifest does not ask");
        component.manifest = saying(r#"{"capabilities":{"clock":"to stamp"}}"#);
        assert_eq!(component.check(Kind::BeforeHook, &granted), Ok(()));
    }

    #[test]
    fn a_plugin_may_need_another_server() {
        let mut component = importing(&[]);
        for (wanted, version, part) in [
            (">=0.2", "0.1.0", "needs a server of version `>=0.2`, and this is 0.1.0"),
            ("nonsense", "0.1.0", "no range"),
        ] {
            component.manifest = saying(&format!(r#"{{"requires-host":"{wanted}"}}"#));
            let why = component.wants_another_host(version).unwrap();
            assert!(why.contains(part), "{why}");
        }
        component.manifest = saying(r#"{"requires-host":"^0.1"}"#);
        assert_eq!(component.wants_another_host("0.1.7"), None);
    }

    #[test]
    fn a_kind_needs_its_exports() {
        let component = importing(&[]);
        refused(&component, Kind::Renderer, &Grants::default(), "`chandlery:plugin/renderer`");
        assert_eq!(component.check(Kind::Policy, &Grants::default()), Ok(()));
    }

    #[test]
    fn the_kinds_are_those_that_it_could_be_with_every_grant() {
        let all = [Kind::Policy, Kind::Deployer, Kind::BeforeHook];
        assert_eq!(importing(&[]).kinds(), Ok(all.to_vec()));
        let timely = importing(&["chandlery:host/clock@0.1.0"]);
        assert_eq!(timely.kinds(), Ok(vec![Kind::Deployer, Kind::BeforeHook]));
        let why = importing(&["wasi:cli/environment@0.2.0"]).kinds().unwrap_err();
        assert!(why.contains("no WASI"), "{why}");
        let none = Component { exports: vec!["a:b/c".into()], ..Component::default() };
        let why = none.kinds().unwrap_err();
        assert!(why.contains("no plugin of any kind") && why.contains("`a:b/c`"), "{why}");
    }

    #[test]
    fn what_is_wanted_is_what_is_imported_and_what_is_asked_for() {
        let mut component = importing(&["chandlery:host/clock@0.1.0", "chandlery:host/log@0.1.0"]);
        component.manifest = saying(r#"{"capabilities":{"clock":"to stamp","mutate":"to fix"}}"#);
        let wanted = component.wanted();
        let told: Vec<_> = wanted.iter().map(|it| (&*it.name, it.imported)).collect();
        assert_eq!(told, [("clock", true), ("mutate", false)]);
        assert_eq!(wanted[0].reason.as_deref(), Some("to stamp"));
    }
}
