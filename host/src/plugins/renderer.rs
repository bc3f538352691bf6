//! Template renderers: the `chandlery:plugin/template-renderer` world. Called
//! inline; a job that is too long for that is done again on a thread of its own,
//! under a longer limit.

use std::{sync::Arc, time::Duration};

use super::{
    bound::{Bound, Linked},
    failure::Failure,
    limits::Limit,
    meter::Function,
    types::Diagnostic,
};

mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which is documented")]
    wasmtime::component::bindgen!({
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        world: "chandlery:plugin/template-renderer",
        with: {
            "chandlery:types/types@0.1.0": crate::plugins::bindings::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::plugins::bindings::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::plugins::bindings::chandlery::host::metrics,
        },
        imports: { default: trappable },
        additional_derives: [Clone, PartialEq, serde::Serialize, serde::Deserialize],
    });
}
pub use bindings::exports::chandlery::plugin::renderer::{Job, Output, Template};

/// The longer limit, where the operator has not set one above it.
const LONG: Duration = Duration::from_secs(1);

/// Findings that a job may come back with; the rest is cut.
const FINDINGS_MAX: usize = 1_000;

/// What a job comes to: all outputs, or all findings.
pub(super) type Rendered = Result<Vec<Output>, Vec<Diagnostic>>;

/// A renderer in force.
pub(super) struct Renderer {
    pub(super) bound: Arc<Bound>,
    pre: bindings::TemplateRendererPre<super::guest::Guest>,
}

impl Renderer {
    /// Takes a linked component whose exports are those of the world.
    pub(super) fn new(bound: Arc<Bound>, linked: Linked) -> wasmtime::Result<Renderer> {
        Ok(Renderer { bound, pre: bindings::TemplateRendererPre::new(linked)? })
    }

    /// Renders a job.
    pub(super) async fn render(self: &Arc<Self>, job: &Job) -> Result<Rendered, Failure> {
        match self.render_within(job, self.bound.limits.guest) {
            Err(Failure::Limit(Limit::Guest(_))) => {
                let job = job.clone();
                self.long(move |renderer, budget| renderer.render_within(&job, budget)).await
            }
            rendered => rendered,
        }
    }

    /// Parses templates.
    pub(super) async fn check(
        self: &Arc<Self>,
        templates: &[Template],
    ) -> Result<Vec<Diagnostic>, Failure> {
        match self.check_within(templates, self.bound.limits.guest) {
            Err(Failure::Limit(Limit::Guest(_))) => {
                let templates = templates.to_vec();
                self.long(move |renderer, budget| renderer.check_within(&templates, budget)).await
            }
            checked => checked,
        }
    }

    async fn long<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Renderer, Duration) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let _turn = self.bound.machine.long.acquire().await.expect("the line is never closed");
        let renderer = self.clone();
        let budget = self.bound.limits.guest.max(LONG);
        tokio::task::spawn_blocking(move || work(&renderer, budget))
            .await
            .unwrap_or_else(|panic| Err(Failure::Trap(format!("the host failed: {panic}"))))
    }

    fn render_within(&self, job: &Job, budget: Duration) -> Result<Rendered, Failure> {
        self.bound.inline(Function::Render, budget, |store| {
            let renderer = self.pre.instantiate(&mut *store)?;
            renderer
                .chandlery_plugin_lifecycle()
                .call_configure(&mut *store, &self.bound.settings)?
                .map_err(|why| Failure::Settings(why).carried())?;
            let rendered = renderer.chandlery_plugin_renderer().call_render(&mut *store, job)?;
            checked(job, rendered).map_err(Failure::carried)
        })
    }

    fn check_within(
        &self,
        templates: &[Template],
        budget: Duration,
    ) -> Result<Vec<Diagnostic>, Failure> {
        self.bound.inline(Function::CheckTemplates, budget, |store| {
            let renderer = self.pre.instantiate(&mut *store)?;
            renderer
                .chandlery_plugin_lifecycle()
                .call_configure(&mut *store, &self.bound.settings)?
                .map_err(|why| Failure::Settings(why).carried())?;
            let mut findings =
                renderer.chandlery_plugin_renderer().call_check(&mut *store, templates)?;
            findings.truncate(FINDINGS_MAX);
            Ok(findings)
        })
    }
}

/// One output a template, in their order, within the limit.
fn checked(job: &Job, rendered: Rendered) -> Result<Rendered, Failure> {
    let outputs = match rendered {
        Ok(outputs) => outputs,
        Err(findings) if findings.is_empty() => {
            return Err(Failure::Answer("it refused the job without a finding".into()));
        }
        Err(mut findings) => {
            findings.truncate(FINDINGS_MAX);
            return Ok(Err(findings));
        }
    };
    let names = outputs.iter().map(|it| &it.name);
    if !names.eq(job.templates.iter().map(|it| &it.name)) {
        return Err(Failure::Answer(format!(
            "it gave {} outputs for {} templates, or not in their order",
            outputs.len(),
            job.templates.len()
        )));
    }
    let bytes: usize = outputs.iter().map(|it| it.text.len()).sum();
    if bytes > job.max_output_bytes as usize {
        return Err(Failure::Answer(format!(
            "it gave {bytes} bytes of output (the limit is {})",
            job.max_output_bytes
        )));
    }
    Ok(Ok(outputs))
}
