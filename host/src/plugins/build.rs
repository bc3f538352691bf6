//! Makes a binding ready: read, compiled, linked, its settings checked. Nothing
//! that is in force is touched, and no request waits for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::component::Linker;

use super::{
    Binding, Kind,
    bound::{Bound, Linked},
    breaker::Breaker,
    cache::{self, Cache},
    custom_metrics::CustomMetrics,
    engine::{self, Machine},
    failure::Failure,
    filter::Filter,
    imports,
    limits::{COMPONENT_MEMORIES_MAX, Effective},
    load,
    meter::{Function, Meter},
    types::{Diagnostic, Severity},
};
use crate::{
    capabilities::Services,
    error::{Error, Result},
};

mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which is documented")]
    wasmtime::component::bindgen!({
        inline: "
            package chandlery:checks;
            world configurable {
                export chandlery:plugin/lifecycle@0.1.0;
            }
        ",
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        world: "chandlery:checks/configurable",
        with: {
            "chandlery:types/types@0.1.0": crate::plugins::bindings::chandlery::types::types,
        },
        exports: { default: async },
    });
}

const COMPILE_LIMIT: Duration = Duration::from_secs(120);
const CHECK_LIMIT: Duration = Duration::from_secs(5);
// A request does not wait for a check: it may take longer than a call.
const CHECK_BUDGET: Duration = Duration::from_secs(1);
const FINDINGS_MAX: usize = 20;

/// A component that is compiled and linked, and bound to nothing yet.
pub(super) struct Prepared {
    pub(super) component: load::Component,
    /// The SHA-256 of its bytes.
    pub(super) digest: String,
    pub(super) linked: Linked,
    /// Places in the pool that a guest takes.
    pub(super) weight: u32,
    /// How long it took to be compiled, or to be found in the cache.
    pub(super) compile_ms: u64,
}

/// A binding that is compiled, linked and checked. A copy is another handle to it.
#[derive(Clone)]
pub struct Ready {
    pub(super) bound: Arc<Bound>,
    pub(super) linked: Linked,
    pub(super) filter: Filter,
    plugin: Arc<(String, String)>,
}

impl Ready {
    /// The name in the component's manifest; empty without one.
    pub fn plugin(&self) -> &str {
        &self.plugin.0
    }

    /// The version in the component's manifest; empty without one.
    pub fn version(&self) -> &str {
        &self.plugin.1
    }

    /// The SHA-256 of the component.
    pub fn digest(&self) -> &str {
        &self.bound.digest
    }
}

/// Makes one binding ready. The error names the binding and says what to do.
pub(super) async fn ready(
    machine: &Arc<Machine>,
    cache: &Arc<Cache>,
    services: &Services,
    binding: &Binding,
) -> Result<Ready> {
    let name = binding.name.clone();
    let refused = |message: String| Error::Plugin { plugin: name.clone(), message, source: None };
    let bytes_max = Effective::of(binding.kind, &binding.limits).component_bytes;
    let (kind, grants) = (binding.kind, binding.grants.clone());
    let fits = move |it: &load::Component| it.check(kind, &grants);
    let prepared = prepared(machine, cache, &binding.component, bytes_max, fits).await;
    let (prepared, ()) = prepared.map_err(refused)?;
    let Prepared { component, digest, linked, weight, .. } = prepared;
    let manifest = component.manifest.unwrap_or_default();
    tracing::debug!(
        binding = binding.name,
        plugin = manifest.name,
        version = manifest.version,
        digest,
        "made a plugin ready"
    );
    let bound = bound(machine, services, binding, digest, weight);
    check_settings(&bound, &linked).await.map_err(refused)?;
    let plugin = Arc::new((manifest.name, manifest.version));
    Ok(Ready { bound, linked, filter: Filter::of(binding), plugin })
}

/// Reads a component, has `look` find out what it wants to know, compiles and links it.
/// The error is a sentence.
pub(super) async fn prepared<T: Send + 'static>(
    machine: &Arc<Machine>,
    cache: &Arc<Cache>,
    bytes: &Arc<[u8]>,
    bytes_max: usize,
    look: impl FnOnce(&load::Component) -> Result<T, String> + Send + 'static,
) -> Result<(Prepared, T), String> {
    let seen = bytes.clone();
    // A large one takes a while to be read, too.
    let reading = tokio::task::spawn_blocking(move || {
        let component = load::read(&seen, bytes_max)?;
        let found = look(&component)?;
        Ok::<_, String>((component, found, cache::digest(&seen)))
    });
    let (component, found, digest) =
        reading.await.map_err(|it| format!("reading it failed: {it}"))??;
    let (compiled, compile_ms) = compiled(machine, cache, &digest, bytes).await?;
    let weight = weight(&compiled)?;
    let linked = link(machine, &component, &compiled)?;
    Ok((Prepared { component, digest, linked, weight, compile_ms }, found))
}

/// Binds what is prepared.
pub(super) fn bound(
    machine: &Arc<Machine>,
    services: &Services,
    binding: &Binding,
    digest: String,
    weight: u32,
) -> Arc<Bound> {
    Arc::new(Bound {
        kind: binding.kind,
        digest,
        settings: match &binding.settings {
            serde_json::Value::Null => "{}".to_owned(),
            settings => settings.to_string(),
        },
        limits: Effective::of(binding.kind, &binding.limits),
        grants: binding.grants.clone(),
        secrets: binding.secrets.clone(),
        fail_mode: binding.fail_mode,
        weight,
        machine: machine.clone(),
        services: services.clone(),
        breaker: Breaker::of(binding.kind),
        meter: Meter::new(&binding.name),
        custom: CustomMetrics::new(&binding.name),
        name: binding.name.clone(),
    })
}

async fn compiled(
    machine: &Arc<Machine>,
    cache: &Arc<Cache>,
    digest: &str,
    bytes: &Arc<[u8]>,
) -> Result<(wasmtime::component::Component, u64), String> {
    let (machine, cache) = (machine.clone(), cache.clone());
    let (digest, bytes) = (digest.to_owned(), bytes.clone());
    let job = async move {
        let line = machine.compiling.clone();
        let turn = line.acquire_owned().await.expect("the line is never closed");
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let compiled = cache.compiled(&machine.engine, &digest, &bytes);
            // A compiler that nobody waits for any more keeps its turn to its end.
            drop(turn);
            compiled.map(|it| (it, began.elapsed().as_millis() as u64))
        })
        .await
    };
    match tokio::time::timeout(COMPILE_LIMIT, job).await {
        Ok(Ok(Ok(compiled))) => Ok(compiled),
        Ok(Ok(Err(error))) => Err(format!("it cannot be compiled: {error:#}")),
        Ok(Err(panic)) => Err(format!("the compiler failed: {panic}")),
        Err(_) => Err(format!("it takes longer than {} s to compile", COMPILE_LIMIT.as_secs())),
    }
}

fn weight(component: &wasmtime::component::Component) -> Result<u32, String> {
    let Some(needs) = component.resources_required() else {
        return Err("it imports core modules, which this server does not offer".into());
    };
    if needs.num_memories > COMPONENT_MEMORIES_MAX {
        return Err(format!(
            "it has {} memories (the limit is {COMPONENT_MEMORIES_MAX})",
            needs.num_memories
        ));
    }
    if needs.num_tables > 16 {
        return Err(format!("it has {} tables (the limit is 16)", needs.num_tables));
    }
    Ok(engine::weight(needs.num_memories, needs.num_tables))
}

/// What was not granted has been refused before; what is left to go wrong are
/// types that differ.
fn link(
    machine: &Machine,
    component: &load::Component,
    compiled: &wasmtime::component::Component,
) -> Result<Linked, String> {
    let mut linker = Linker::new(&machine.engine);
    imports::link(&mut linker, component).and_then(|()| linker.instantiate_pre(compiled)).map_err(
        |it| {
            format!(
                "what it imports differs from what this server offers: {it:#}; build it against \
                 the `wit/` of this server"
            )
        },
    )
}

/// Asks a guest of its own whether the settings are right, and has another take
/// them, so that what is wrong is found here and not in a request.
async fn check_settings(bound: &Arc<Bound>, linked: &Linked) -> Result<(), String> {
    let pre = configurable(linked)?;
    let findings = findings(bound, &pre).await?;
    let errors: Vec<String> =
        findings.iter().filter(|it| it.severity == Severity::Error).map(sentence).collect();
    if !errors.is_empty() {
        return Err(format!("its settings are wrong: {}", errors.join("; ")));
    }
    for finding in findings.iter().take(FINDINGS_MAX) {
        tracing::warn!(plugin = bound.name, finding = sentence(finding), "settings of a plugin");
    }
    let pre = &pre;
    bound
        .hosted_within(Function::Check, CHECK_BUDGET, CHECK_LIMIT, |mut store| async move {
            let guest = pre.instantiate_async(&mut store).await?;
            let lifecycle = guest.chandlery_plugin_lifecycle();
            lifecycle
                .call_configure(&mut store, &bound.settings)
                .await?
                .map_err(|why| Failure::Settings(why).carried())
        })
        .await
        .map_err(|it| it.to_string())
}

/// What a guest of its own says of the settings, a sentence a finding.
pub(super) async fn says_of_settings(
    bound: &Arc<Bound>,
    linked: &Linked,
) -> Result<Vec<String>, String> {
    let findings = findings(bound, &configurable(linked)?).await?;
    Ok(findings.iter().take(FINDINGS_MAX).map(sentence).collect())
}

fn configurable(linked: &Linked) -> Result<bindings::ConfigurablePre<super::guest::Guest>, String> {
    bindings::ConfigurablePre::new(linked.clone())
        .map_err(|it| format!("its `lifecycle` differs from this server's: {it:#}"))
}

async fn findings(
    bound: &Arc<Bound>,
    pre: &bindings::ConfigurablePre<super::guest::Guest>,
) -> Result<Vec<Diagnostic>, String> {
    bound
        .hosted_within(Function::Check, CHECK_BUDGET, CHECK_LIMIT, |mut store| async move {
            let guest = pre.instantiate_async(&mut store).await?;
            let lifecycle = guest.chandlery_plugin_lifecycle();
            lifecycle.call_check_settings(&mut store, &bound.settings).await
        })
        .await
        .map_err(|it| format!("checking its settings failed: {it}"))
}

fn sentence(finding: &Diagnostic) -> String {
    let place =
        if finding.place.is_empty() { String::new() } else { format!("`{}`: ", finding.place) };
    let hint = finding.hint.as_deref().map(|it| format!(" ({it})")).unwrap_or_default();
    format!("{place}{}{hint}", finding.message)
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] =
        [Kind::Policy, Kind::Renderer, Kind::Deployer, Kind::BeforeHook, Kind::AfterHook];

    /// The kind of that word.
    pub fn of(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|it| it.word() == word)
    }

    /// The kind in a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Policy => "policy",
            Kind::Renderer => "renderer",
            Kind::Deployer => "deployer",
            Kind::BeforeHook => "before-hook",
            Kind::AfterHook => "after-hook",
        }
    }

    /// The interface of `chandlery:plugin` that it must export.
    pub(super) fn interface(self) -> &'static str {
        match self {
            Kind::Policy => "policy",
            Kind::Renderer => "renderer",
            Kind::Deployer => "deployer",
            Kind::BeforeHook => "validating",
            Kind::AfterHook => "notifying",
        }
    }
}
