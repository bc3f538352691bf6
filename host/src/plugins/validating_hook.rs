//! Hooks that are asked before: the `chandlery:plugin/validating-hook` world.

use std::sync::Arc;

use super::{
    bound::{Bound, Linked},
    failure::Failure,
    meter::Function,
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

/// A hook in force.
pub(super) struct ValidatingHook {
    pub(super) bound: Arc<Bound>,
    actions: Vec<String>,
    pre: bindings::ValidatingHookPre<super::guest::Guest>,
}

/// A hook's yes: the object where it was changed, and its warnings.
#[derive(Debug)]
pub(super) struct Reviewed {
    pub(super) object: Option<String>,
    pub(super) warnings: Vec<String>,
}

impl ValidatingHook {
    /// Takes a linked component whose exports are those of the world.
    pub(super) fn new(
        bound: Arc<Bound>,
        actions: Vec<String>,
        linked: Linked,
    ) -> wasmtime::Result<ValidatingHook> {
        Ok(ValidatingHook { bound, actions, pre: bindings::ValidatingHookPre::new(linked)? })
    }

    /// Whether it is to be asked.
    pub(super) fn wants(&self, action: &str) -> bool {
        super::wants(&self.actions, action)
    }

    /// Asks, and applies what it wants to change.
    pub(super) async fn review(
        &self,
        operation: &Operation,
    ) -> Result<Result<Reviewed, Denial>, Failure> {
        let verdict = self.verdict(operation).await?;
        let object = match verdict {
            Verdict::Deny(denial) => return Ok(Err(denial)),
            Verdict::Allow => None,
            Verdict::AllowWithWarnings(mut warnings) => {
                warnings.truncate(WARNINGS_MAX);
                let cut = |it: String| it.chars().take(WARNING_CHARS_MAX).collect();
                let warnings = warnings.into_iter().map(cut).collect();
                return Ok(Ok(Reviewed { object: None, warnings }));
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
        Ok(Ok(Reviewed { object, warnings: Vec::new() }))
    }

    async fn verdict(&self, operation: &Operation) -> Result<Verdict, Failure> {
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
    let mut value: serde_json::Value =
        serde_json::from_str(object).map_err(|it| format!("the object is not JSON: {it}"))?;
    let mut copied_bytes = 0;
    for step in &patch.0 {
        // Copying the whole into a part of itself doubles it each time.
        if let json_patch::PatchOperation::Copy(copy) = step {
            let part = value.pointer(copy.from.as_str());
            copied_bytes += part.map_or(0, |it| it.to_string().len());
            if copied_bytes > bytes_max {
                return Err(format!(
                    "its patch copies too much (limit `transfer_bytes` is {bytes_max})"
                ));
            }
        }
        json_patch::patch(&mut value, std::slice::from_ref(step))
            .map_err(|it| format!("its patch cannot be applied: {it}"))?;
    }
    Ok(value.to_string())
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
}
