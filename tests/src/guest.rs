//! Plugins written in WAT: no guest toolchain is needed, and each does one thing.
//!
//! A guest is a core module with a bump allocator. The functions that a test cares
//! about are given as bodies; all others trap, but for the two of `lifecycle`,
//! which agree to any settings. Parameters are `$p0`, `$p1`, ...; strings and other
//! bytes are put at fixed addresses with [`Wat::data`]. The page from 0 is free
//! for answers; it is all zeros at the start of each call.

use std::{fmt::Write, path::Path, sync::LazyLock};

use chandlery::{
    capabilities::{Grants, secrets::Secrets},
    plugins::{Binding, FailMode, Kind, Limits},
};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{
    Resolve, WorldId, WorldItem,
    abi::{AbiVariant, WasmSignature, WasmType},
};

/// A policy that allows everything.
pub fn allow_all() -> Binding {
    binding("allow-all", Kind::Policy, policy("(i32.const 0)"))
}

/// A policy that denies everything, with the reason `not today`.
pub fn deny_all() -> Binding {
    let body = format!("{}(i32.const 0)", deny("(i32.const 1024)", "(i32.const 9)"));
    let guest = Wat::new("access-policy").on("policy#authorize", &body).data(1024, b"not today");
    binding("deny-all", Kind::Policy, guest.component())
}

/// A policy that has nothing to say.
pub fn abstain_all() -> Binding {
    let body = "(i32.store8 (i32.const 4) (i32.const 2)) (i32.const 0)";
    binding("abstain-all", Kind::Policy, policy(body))
}

/// A policy that allows whoever said who they are, and denies `anonymous` with the
/// reason `who are you`.
pub fn named_only() -> Binding {
    // The kind of the principal is the byte at 8 of the question.
    let body = format!(
        "(if (i32.eq (i32.load8_u (i32.add (local.get $p0) (i32.const 8))) (i32.const 3))
           (then {}))
         (i32.const 0)",
        deny("(i32.const 1024)", "(i32.const 11)")
    );
    let guest = Wat::new("access-policy").on("policy#authorize", &body).data(1024, b"who are you");
    binding("named-only", Kind::Policy, guest.component())
}

/// A policy that denies exactly this action, with the reason `not that`, and allows
/// all others.
pub fn deny_action(action: &str) -> Binding {
    // The action is the string at 36 of the question.
    binding("deny-action", Kind::Policy, deny_text(36, action))
}

/// A policy that denies exactly this version, with the reason `not that`, and allows
/// everything else.
pub fn deny_version(version: &str) -> Binding {
    // The target's version is the optional string at 68 of the question.
    binding("deny-version", Kind::Policy, deny_text(72, version))
}

/// Denies questions that have this text at that offset.
fn deny_text(offset: usize, text: &str) -> Vec<u8> {
    let length = text.len();
    let body = format!(
        "(local $at i32) (local $i i32)
         (local.set $at (i32.load (i32.add (local.get $p0) (i32.const {offset}))))
         (if (i32.ne (i32.load (i32.add (local.get $p0) (i32.const {}))) (i32.const {length}))
           (then (return (i32.const 0))))
         (loop $next
           (if (i32.ne
                 (i32.load8_u (i32.add (local.get $at) (local.get $i)))
                 (i32.load8_u (i32.add (i32.const 2048) (local.get $i))))
             (then (return (i32.const 0))))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $next (i32.lt_u (local.get $i) (i32.const {length}))))
         {}(i32.const 0)",
        offset + 4,
        deny("(i32.const 1024)", "(i32.const 8)")
    );
    let guest = Wat::new("access-policy").on("policy#authorize", &body);
    guest.data(1024, b"not that").data(2048, text.as_bytes()).component()
}

/// A policy component that answers with this body, which gives the address of a
/// `result<decision, plugin-error>`.
pub fn policy(authorize: &str) -> Vec<u8> {
    Wat::new("access-policy").on("policy#authorize", authorize).component()
}

/// A before-hook that lets everything pass.
pub fn passing_hook() -> Binding {
    let guest = Wat::new("validating-hook").on("validating#review", "(i32.const 0)");
    binding("passing-hook", Kind::BeforeHook, guest.component())
}

/// A before-hook that refuses everything: code `quota.exceeded`, message
/// `too much`.
pub fn refusing_hook() -> Binding {
    // result<verdict, plugin-error>: a verdict's case at 4, its payload from 8.
    let body = "(i32.store8 (i32.const 4) (i32.const 3))
         (i32.store (i32.const 8) (i32.const 1024)) (i32.store (i32.const 12) (i32.const 14))
         (i32.store (i32.const 16) (i32.const 1040)) (i32.store (i32.const 20) (i32.const 8))
         (i32.const 0)";
    let guest = Wat::new("validating-hook")
        .on("validating#review", body)
        .data(1024, b"quota.exceeded")
        .data(1040, b"too much");
    binding("refusing-hook", Kind::BeforeHook, guest.component())
}

/// A before-hook that wants to apply this RFC 6902 patch. It is granted `mutate`.
pub fn patching_hook(patch: &str) -> Binding {
    let body = format!(
        "(i32.store8 (i32.const 4) (i32.const 2))
         (i32.store (i32.const 8) (i32.const 4096)) (i32.store (i32.const 12) (i32.const {}))
         (i32.const 0)",
        patch.len()
    );
    let guest =
        Wat::new("validating-hook").on("validating#review", &body).data(4096, patch.as_bytes());
    let mut binding = binding("patching-hook", Kind::BeforeHook, guest.component());
    binding.grants.mutate = true;
    binding
}

/// A before-hook that lets everything pass with the warning `mind the gap`.
pub fn warning_hook() -> Binding {
    let body = "(i32.store8 (i32.const 4) (i32.const 1))
         (i32.store (i32.const 8) (i32.const 256)) (i32.store (i32.const 12) (i32.const 1))
         (i32.store (i32.const 256) (i32.const 1024)) (i32.store (i32.const 260) (i32.const 12))
         (i32.const 0)";
    let guest =
        Wat::new("validating-hook").on("validating#review", body).data(1024, b"mind the gap");
    binding("warning-hook", Kind::BeforeHook, guest.component())
}

/// An after-hook that takes everything.
pub fn listening_hook() -> Binding {
    // One outcome of 12 bytes an event; zeros are `done`.
    let body = "(i32.store (i32.const 0) (i32.const 8192))
         (i32.store (i32.const 4) (local.get $p1))
         (i32.const 0)";
    let guest = Wat::new("notifying-hook").on("notifying#deliver", body);
    binding("listening-hook", Kind::AfterHook, guest.component())
}

/// A renderer whose outputs are the templates as they are.
pub fn echoing_renderer() -> Binding {
    // The first four of a job's members are given one by one: it has ten flat
    // values. A template has 16 bytes, an output 24: name, text, findings.
    let body = "(local $out i32) (local $i i32) (local $from i32) (local $to i32)
         (local.set $out (call $alloc (i32.mul (local.get $p1) (i32.const 24))))
         (block $done
           (loop $next
             (br_if $done (i32.ge_u (local.get $i) (local.get $p1)))
             (local.set $from (i32.add (local.get $p0) (i32.mul (local.get $i) (i32.const 16))))
             (local.set $to (i32.add (local.get $out) (i32.mul (local.get $i) (i32.const 24))))
             (i64.store (local.get $to) (i64.load (local.get $from)))
             (i64.store offset=8 (local.get $to) (i64.load offset=8 (local.get $from)))
             (local.set $i (i32.add (local.get $i) (i32.const 1)))
             (br $next)))
         (i32.store (i32.const 4) (local.get $out))
         (i32.store (i32.const 8) (local.get $p1))
         (i32.const 0)";
    let check = "(i32.const 0)";
    let guest =
        Wat::new("template-renderer").on("renderer#render", body).on("renderer#check", check);
    binding("echoing-renderer", Kind::Renderer, guest.component())
}

/// A deployer that starts nothing and says that all is `deployed`, with the handle
/// `{}`.
pub fn pretending_deployer() -> Binding {
    // app-status, see below: state `undeployed`.
    let gone = "(i32.store (i32.const 4) (i32.const 1040)) (i32.store (i32.const 8) (i32.const 4))
         (i32.store8 (i32.const 12) (i32.const 5))
         (i32.const 0)";
    binding("pretending-deployer", Kind::Deployer, pretending(gone))
}

/// The same, but nothing can be ended now: `undeploy` fails with a passing `not now`.
pub fn stuck_deployer() -> Binding {
    // plugin-error: code, message at 8, retryable at 16.
    let not_now = "(i32.store8 (i32.const 0) (i32.const 1))
         (i32.store (i32.const 4) (i32.const 1056)) (i32.store (i32.const 8) (i32.const 7))
         (i32.store (i32.const 12) (i32.const 1056)) (i32.store (i32.const 16) (i32.const 7))
         (i32.store8 (i32.const 20) (i32.const 1))
         (i32.const 0)";
    binding("stuck-deployer", Kind::Deployer, pretending(not_now))
}

fn pretending(undeploy: &str) -> Vec<u8> {
    // app-status: deployment-id, state at 8, message at 12, instances at 24,
    // poll-after-ms at 32; 36 bytes. A placement has the handle before it.
    let placement =
        "(i32.store (i32.const 4) (i32.const 1024)) (i32.store (i32.const 8) (i32.const 2))
         (i32.store (i32.const 12) (i32.const 1040)) (i32.store (i32.const 16) (i32.const 4))
         (i32.store8 (i32.const 20) (i32.const 2))
         (i32.const 0)";
    // result<app-status, plugin-error>: 4 and then the larger of 36 and 40 bytes.
    let status = "(local $out i32) (local $i i32) (local $to i32)
         (local.set $out (call $alloc (i32.mul (local.get $p9) (i32.const 44))))
         (block $done
           (loop $next
             (br_if $done (i32.ge_u (local.get $i) (local.get $p9)))
             (local.set $to (i32.add (local.get $out) (i32.mul (local.get $i) (i32.const 44))))
             (i32.store offset=4 (local.get $to) (i32.const 1040))
             (i32.store offset=8 (local.get $to) (i32.const 4))
             (i32.store8 offset=12 (local.get $to) (i32.const 2))
             (local.set $i (i32.add (local.get $i) (i32.const 1)))
             (br $next)))
         (i32.store (i32.const 0) (local.get $out))
         (i32.store (i32.const 4) (local.get $p9))
         (i32.const 0)";
    let describe =
        "(i32.store (i32.const 0) (i32.const 1048)) (i32.store (i32.const 4) (i32.const 7))
         (i32.const 0)";
    Wat::new("deployment-platform")
        .on("deployer#supports", "(i32.const 0)")
        .on("deployer#describe", describe)
        .on("deployer#validate", "(i32.const 0)")
        .on("deployer#deploy", placement)
        .on("deployer#undeploy", undeploy)
        .on("deployer#status", status)
        .data(1024, b"{}")
        .data(1040, b"id-1")
        .data(1048, b"pretend")
        .data(1056, b"not now")
        .component()
}

/// A binding with no grants, all actions, the default limits and fail mode.
pub fn binding(name: &str, kind: Kind, component: Vec<u8>) -> Binding {
    Binding {
        name: name.to_owned(),
        kind,
        component: component.into(),
        settings: serde_json::Value::Null,
        grants: Grants::default(),
        secrets: Secrets::default(),
        actions: vec!["*".to_owned()],
        namespaces: Vec::new(),
        units: Vec::new(),
        fail_mode: FailMode::Closed,
        limits: Limits::default(),
    }
}

/// Bodies that do what a guest must not. Each fits any function.
pub mod attack {
    /// Never comes back.
    pub const LOOP: &str = "(loop $forever (br $forever)) (unreachable)";
    /// Traps.
    pub const TRAP: &str = "(unreachable)";
    /// Takes memory until there is none, and then traps.
    pub const ALLOCATE: &str = "(loop $more
         (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
         (br $more))
         (unreachable)";
    /// Calls itself until the stack ends.
    pub const RECURSE: &str = "(call $recurse) (unreachable)";
    /// Points outside of its memory.
    pub const POINT_OUTSIDE: &str = "(i32.const -16)";
}

/// A component in the making.
pub struct Wat {
    world: String,
    functions: Vec<(String, String)>,
    imports: Vec<(String, String)>,
    data: Vec<(u32, Vec<u8>)>,
    pages: u32,
    more: String,
}

impl Wat {
    /// A guest of that world of `wit/plugin`.
    pub fn new(world: &str) -> Wat {
        Wat {
            world: world.to_owned(),
            functions: Vec::new(),
            imports: Vec::new(),
            data: Vec::new(),
            pages: 1,
            more: String::new(),
        }
    }

    /// The body of an export: `policy#authorize`.
    pub fn on(mut self, export: &str, body: &str) -> Wat {
        self.functions.push((export.to_owned(), body.to_owned()));
        self
    }

    /// Imports a function of `chandlery:host`, callable as `$interface-function`:
    /// `log`, `write` is `$log-write`.
    pub fn import(mut self, interface: &str, function: &str) -> Wat {
        self.imports.push((interface.to_owned(), function.to_owned()));
        self
    }

    /// Bytes at an address.
    pub fn data(mut self, at: u32, bytes: &[u8]) -> Wat {
        self.data.push((at, bytes.to_owned()));
        self
    }

    /// The size of the memory, in pages of 64 KiB.
    pub fn pages(mut self, pages: u32) -> Wat {
        self.pages = pages;
        self
    }

    /// More of the module, as it is.
    pub fn module(mut self, text: &str) -> Wat {
        self.more.push_str(text);
        self
    }

    /// The component's bytes.
    pub fn component(&self) -> Vec<u8> {
        let (resolve, package) = &*WIT;
        let world = resolve.select_world(&[*package], Some(&self.world)).expect("a world of ours");
        let text = self.text(resolve, world);
        let mut module = wat::parse_str(&text).unwrap_or_else(|it| panic!("{it}\n{text}"));
        let utf8 = StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut module, resolve, world, utf8)
            .expect("the metadata fits");
        let encoded = ComponentEncoder::default().module(&module).and_then(|it| it.encode());
        encoded.unwrap_or_else(|it| panic!("{it:?}\n{text}"))
    }

    fn text(&self, resolve: &Resolve, world: WorldId) -> String {
        let mut text = String::from("(module\n");
        for (interface, function) in &self.imports {
            let signature = imported(resolve, world, interface, function);
            let _ = writeln!(
                text,
                r#"(import "chandlery:host/{interface}@0.1.0" "{function}" (func ${interface}-{function} {}))"#,
                head(&signature, false)
            );
        }
        let _ = writeln!(text, "(memory (export \"memory\") {})", self.pages);
        // From the second half of the first page on: answers and data come before.
        text.push_str(ALLOCATOR);
        text.push_str("(func $recurse (call $recurse))\n");
        let mut wanted: Vec<&(String, String)> = self.functions.iter().collect();
        for (interface, function, signature) in exported(resolve, world) {
            let name = format!("{interface}#{function}");
            let place = wanted.iter().position(|(it, _)| *it == name);
            let body = match place {
                Some(place) => wanted.remove(place).1.as_str(),
                None if interface == "lifecycle" => "(i32.const 256)",
                None => "(unreachable)",
            };
            let _ = writeln!(
                text,
                r#"(func ${name} (export "chandlery:plugin/{interface}@0.1.0#{function}") {} {body})"#,
                head(&signature, true)
            );
        }
        assert!(wanted.is_empty(), "no such exports in `{}`: {wanted:?}", self.world);
        for (at, bytes) in &self.data {
            let escaped: String = bytes.iter().map(|it| format!("\\{it:02x}")).collect();
            let _ = writeln!(text, "(data (i32.const {at}) \"{escaped}\")");
        }
        text + &self.more + ")"
    }
}

const ALLOCATOR: &str = r#"
(global $free (mut i32) (i32.const 32768))
(func $alloc (param $size i32) (result i32)
  (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
  (global.set $free (i32.add (local.get $at) (local.get $size)))
  (block $fits
    (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
    (br_if $fits (i32.ne (i32.const -1) (memory.grow
      (i32.add (i32.const 1) (i32.div_u (local.get $size) (i32.const 65536))))))
    (unreachable))
  (local.get $at))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (call $alloc (local.get 3)))
"#;

static WIT: LazyLock<(Resolve, wit_parser::PackageId)> = LazyLock::new(|| {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let mut resolve = Resolve::default();
    let mut last = None;
    for package in ["types", "host", "plugin"] {
        last = Some(resolve.push_path(wit.join(package)).expect("our WIT parses").0);
    }
    (resolve, last.expect("three packages"))
});

/// A denial with the string at `at` as its reason.
fn deny(at: &str, length: &str) -> String {
    format!(
        "(i32.store8 (i32.const 4) (i32.const 1)) (i32.store8 (i32.const 8) (i32.const 1))
         (i32.store (i32.const 12) {at}) (i32.store (i32.const 16) {length})"
    )
}

fn exported(resolve: &Resolve, world: WorldId) -> Vec<(String, String, WasmSignature)> {
    let mut functions = Vec::new();
    for item in resolve.worlds[world].exports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = &resolve.interfaces[*id];
        let Some(name) = &interface.name else { continue };
        for function in interface.functions.values() {
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
            functions.push((name.clone(), function.name.clone(), signature));
        }
    }
    functions
}

fn imported(resolve: &Resolve, world: WorldId, interface: &str, function: &str) -> WasmSignature {
    for item in resolve.worlds[world].imports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        let found = &resolve.interfaces[*id];
        if found.name.as_deref() == Some(interface) {
            let function = &found.functions[function];
            return resolve.wasm_signature(AbiVariant::GuestImport, function);
        }
    }
    panic!("the world does not import `{interface}`")
}

fn head(signature: &WasmSignature, named: bool) -> String {
    let word = |it: &WasmType| match it {
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
    };
    let params = signature.params.iter().enumerate().map(|(index, it)| match named {
        true => format!("(param $p{index} {})", word(it)),
        false => format!("(param {})", word(it)),
    });
    let results = signature.results.iter().map(|it| format!("(result {})", word(it)));
    params.chain(results).collect::<Vec<_>>().join(" ")
}
