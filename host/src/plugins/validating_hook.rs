//! Hooks that are asked before: the `chandlery:plugin/validating-hook` world.

use std::sync::Arc;

use json_patch::PatchOperation;
use serde_json::Value;

use super::{
    bound::{Bound, Linked},
    failure::Failure,
    filter::Filter,
    limits::Limit,
    meter::Function,
    types::Target,
};

mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which is documented")]
    wasmtime::component::bindgen!({
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        world: "chandlery:plugin/validating-hook",
        with: {
            "chandlery:types/types@0.1.0": crate::plugins::bindings::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::plugins::bindings::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::plugins::bindings::chandlery::host::metrics,
            "chandlery:host/http@0.1.0": crate::plugins::bindings::chandlery::host::http,
            "chandlery:host/secrets@0.1.0": crate::plugins::bindings::chandlery::host::secrets,
            "chandlery:host/clock@0.1.0": crate::plugins::bindings::chandlery::host::clock,
            "chandlery:host/random@0.1.0": crate::plugins::bindings::chandlery::host::random,
            "chandlery:host/artifacts@0.1.0": crate::plugins::bindings::chandlery::host::artifacts,
        },
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [Clone, PartialEq, serde::Serialize, serde::Deserialize],
    });
}
pub use bindings::exports::chandlery::plugin::validating::{Denial, Operation, Verdict};

/// Warnings of one hook, at most; the rest is cut.
const WARNINGS_MAX: usize = 100;
/// A warning, in characters; the rest is cut.
const WARNING_CHARS_MAX: usize = 1_000;
/// Steps of a patch, at most.
const PATCH_STEPS_MAX: usize = 10_000;
/// How deep a patch may nest an object: what reads, writes or drops one goes down
/// by recursion.
const DEPTH_MAX: usize = 100;

/// A hook in force.
pub(super) struct ValidatingHook {
    pub(super) bound: Arc<Bound>,
    filter: Filter,
    pre: bindings::ValidatingHookPre<super::guest::Guest>,
}

/// A hook's yes.
#[derive(Debug)]
pub struct Looked {
    /// The object, where it was changed.
    pub object: Option<String>,
    /// What the caller is to know.
    pub warnings: Vec<String>,
}

impl ValidatingHook {
    /// Takes a linked component whose exports are those of the world.
    pub(super) fn new(
        bound: Arc<Bound>,
        filter: Filter,
        linked: Linked,
    ) -> wasmtime::Result<ValidatingHook> {
        Ok(ValidatingHook { bound, filter, pre: bindings::ValidatingHookPre::new(linked)? })
    }

    /// Whether it is to be asked.
    pub(super) fn wants(&self, action: &str, target: &Target) -> bool {
        self.filter.wants(action, target)
    }

    /// Asks, and applies what it wants to change.
    pub(super) async fn review(
        &self,
        operation: &Operation,
    ) -> Result<Result<Looked, Denial>, Failure> {
        let verdict = self.verdict(operation).await?;
        let object = match verdict {
            Verdict::Deny(denial) => return Ok(Err(denial)),
            Verdict::Allow => None,
            Verdict::AllowWithWarnings(mut warnings) => {
                warnings.truncate(WARNINGS_MAX);
                let cut = |it: String| it.chars().take(WARNING_CHARS_MAX).collect();
                let warnings = warnings.into_iter().map(cut).collect();
                return Ok(Ok(Looked { object: None, warnings }));
            }
            Verdict::Mutate(_) if !self.bound.grants.mutate => {
                return Err(Failure::Answer(
                    "it wants to change the object, which it was not granted: set `grants.mutate` \
                     of this plugin"
                        .into(),
                ));
            }
            Verdict::Mutate(patch) => {
                let limit = self.bound.limits.transfer_bytes;
                Some(patched(&operation.object, &patch, limit).map_err(Failure::Answer)?)
            }
        };
        Ok(Ok(Looked { object, warnings: Vec::new() }))
    }

    async fn verdict(&self, operation: &Operation) -> Result<Verdict, Failure> {
        self.check_size(operation)?;
        let wall = self.bound.limits.wall;
        self.bound
            .hosted(Function::Review, wall, |mut store| async move {
                let hook = self.pre.instantiate_async(&mut store).await?;
                hook.chandlery_plugin_lifecycle()
                    .call_configure(&mut store, &self.bound.settings)
                    .await?
                    .map_err(|why| Failure::Settings(why).carried())?;
                hook.chandlery_plugin_validating()
                    .call_review(&mut store, operation)
                    .await?
                    .map_err(|own| Failure::Own(own).carried())
            })
            .await
    }

    /// Refuses what is too large to be shown to it, before the breaker is asked: the
    /// size is the caller's doing, and no failure of the plugin.
    fn check_size(&self, operation: &Operation) -> Result<(), Failure> {
        let bytes = operation.object.len() + operation.previous.as_ref().map_or(0, String::len);
        let limit = self.bound.limits.transfer_bytes;
        if bytes > limit {
            return Err(Failure::Limit(Limit::Object { bytes, limit }));
        }
        Ok(())
    }
}

/// The object with an RFC 6902 patch applied to it.
fn patched(object: &str, patch: &str, bytes_max: usize) -> Result<String, String> {
    let patch: json_patch::Patch = serde_json::from_str(patch)
        .map_err(|it| format!("its patch is not one of RFC 6902: {it}"))?;
    if patch.0.len() > PATCH_STEPS_MAX {
        return Err(format!(
            "its patch has {} steps (the limit is {PATCH_STEPS_MAX})",
            patch.0.len()
        ));
    }
    let mut value: Value =
        serde_json::from_str(object).map_err(|it| format!("the object is not JSON: {it}"))?;
    let mut taken_bytes = 0;
    for step in &patch.0 {
        if let Some((part, is_taken, depth)) = put(&value, step) {
            // Copying the whole into a part of itself doubles it each time, and what
            // is taken has to be walked through each time to see how deep it is.
            if is_taken {
                taken_bytes += part.to_string().len();
            }
            if taken_bytes > bytes_max {
                return Err(format!(
                    "its patch copies too much (limit `transfer_bytes` is {bytes_max})"
                ));
            }
            if DEPTH_MAX.checked_sub(depth).is_none_or(|left| nests_beyond(part, left)) {
                return Err(format!("its patch nests the object deeper than {DEPTH_MAX} levels"));
            }
        }
        json_patch::patch(&mut value, std::slice::from_ref(step))
            .map_err(|it| format!("its patch cannot be applied: {it}"))?;
    }
    Ok(value.to_string())
}

/// What a step puts somewhere, whether it takes it out of the object itself, and how
/// deep the place lies.
fn put<'a>(object: &'a Value, step: &'a PatchOperation) -> Option<(&'a Value, bool, usize)> {
    let taken = |from: &str| object.pointer(from);
    match step {
        PatchOperation::Add(it) => Some((&it.value, false, it.path.count())),
        PatchOperation::Replace(it) => Some((&it.value, false, it.path.count())),
        PatchOperation::Copy(it) => Some((taken(it.from.as_str())?, true, it.path.count())),
        // What moves no further down can only get shallower.
        PatchOperation::Move(it) if it.path.count() <= it.from.count() => None,
        PatchOperation::Move(it) => Some((taken(it.from.as_str())?, true, it.path.count())),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
    }
}

/// Whether a value has more than so many levels of lists and objects in each other.
fn nests_beyond(value: &Value, levels: usize) -> bool {
    let beyond = |it: &Value| nests_beyond(it, levels - 1);
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(beyond),
        Value::Object(fields) => levels == 0 || fields.values().any(beyond),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_keeps_the_order_of_keys_and_the_text_of_numbers() {
        let object = r#"{"version":1.10,"name":"web","big":12345678901234567890123}"#;
        let patch = r#"[{"op":"add","path":"/labels","value":{"team":"a"}}]"#;
        assert_eq!(
            patched(object, patch, 1 << 20).unwrap(),
            r#"{"version":1.10,"name":"web","big":12345678901234567890123,"labels":{"team":"a"}}"#
        );
    }

    #[test]
    fn a_bad_patch_is_a_sentence() {
        for (patch, part) in [
            ("nonsense", "not one of RFC 6902"),
            (r#"[{"op":"explode"}]"#, "not one of RFC 6902"),
            (r#"[{"op":"remove","path":"/none"}]"#, "cannot be applied"),
            (r#"[{"op":"test","path":"/a","value":2}]"#, "cannot be applied"),
        ] {
            let why = patched(r#"{"a":1}"#, patch, 1 << 20).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn a_patch_that_doubles_the_object_again_and_again_is_stopped() {
        let copies: Vec<String> =
            (0..100).map(|it| format!(r#"{{"op":"copy","from":"","path":"/k{it}"}}"#)).collect();
        let why = patched(r#"{"a":1}"#, &format!("[{}]", copies.join(",")), 1 << 16).unwrap_err();
        assert!(why.contains("copies too much"), "{why}");
    }

    fn deep(patch: &[String]) -> Result<String, String> {
        patched(r#"{"a":{},"b":[]}"#, &format!("[{}]", patch.join(",")), 1 << 24)
    }

    #[test]
    fn a_patch_that_nests_the_object_again_and_again_is_stopped() {
        let copies: Vec<String> =
            (0..200).map(|_| r#"{"op":"copy","from":"/a","path":"/a/a"}"#.to_owned()).collect();
        assert!(deep(&copies[..98]).is_ok(), "a hundred levels are allowed");
        let moves = [
            r#"{"op":"copy","from":"/a","path":"/c"}"#,
            r#"{"op":"move","from":"/c","path":"/a/a"}"#,
        ];
        let moves: Vec<String> =
            moves.iter().map(|it| (*it).to_owned()).cycle().take(400).collect();
        let sixty = format!("{}{}", "[".repeat(60), "]".repeat(60));
        let adds = |op: &str, last: &str| {
            let path = "/0".repeat(59);
            vec![
                format!(r#"{{"op":"replace","path":"/b","value":{sixty}}}"#),
                format!(r#"{{"op":"{op}","path":"/b{path}{last}","value":{sixty}}}"#),
            ]
        };
        for patch in [copies, moves, adds("add", "/-"), adds("replace", "")] {
            let why = deep(&patch).unwrap_err();
            assert!(why.contains("deeper than 100 levels"), "{why}");
        }
        let path = "/a".repeat(5_000);
        let far = format!(r#"{{"op":"add","path":"{path}","value":1}}"#);
        assert!(deep(&[far]).unwrap_err().contains("deeper than 100 levels"));
    }
}
