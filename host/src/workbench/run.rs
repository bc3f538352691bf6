//! Runs cases, each in a runtime of its own: what one does cannot reach another.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    answer,
    calls::Call,
    cases::Case,
    expect::differences,
    input::{self, Deployment},
    world::World,
};
use crate::{
    blobs::Blobs,
    capabilities::{
        Services, artifacts::Artifacts, faked::Faked, http::Http, process::Processes,
        secrets::Secrets,
    },
    error::{Error, Result},
    plugins::{
        Binding, Deployer, FailMode, Kind, PluginSet, Plugins, Used,
        inspect::{Facts, facts},
        notifying_hook::Event,
        policy::Question,
        renderer::{Job, Template},
        validating_hook::Operation,
    },
    store::Store,
};

/// The name of the binding that a case makes.
const NAME: &str = "plugin";

/// A component on the bench.
pub struct Workbench {
    /// What it says of itself.
    pub facts: Facts,
    component: Arc<[u8]>,
    // Compiled code, shared by all cases.
    folder: tempfile::TempDir,
    key: [u8; 32],
}

/// What became of a case.
#[derive(Debug)]
pub struct Tested {
    /// Whether all is as expected.
    pub outcome: Outcome,
    /// What the plugin answered, in the words of `wit/`.
    pub answer: Value,
    /// What it logged, a line each.
    pub log: Vec<String>,
    /// What it used in that call.
    pub used: Used,
}

/// Whether a case holds.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// All is as expected.
    Passed,
    /// What is not, a sentence each.
    Failed(Vec<String>),
}

impl Workbench {
    /// Lays a component on the bench.
    pub fn new(component: Vec<u8>) -> Result<Workbench> {
        let facts = facts(&component)
            .map_err(|why| Error::invalid("component", format!("it is no plugin: {why}")))?;
        let folder = tempfile::Builder::new()
            .prefix("chandlery-workbench-")
            .tempdir()
            .map_err(|it| Error::Internal(format!("no temporary folder: {it}")))?;
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|it| Error::Internal(format!("no randomness: {it}")))?;
        Ok(Workbench { facts, component: component.into(), folder, key })
    }

    /// Runs a case. An error is one of the case or of the machine, not of the plugin.
    pub async fn run(&self, case: &Case) -> Result<Tested> {
        let wrong = |why: String| Error::invalid("cases", format!("case `{}`: {why}", case.name));
        let (kind, call) = self.target(case).map_err(wrong)?;
        let input = Input::read(call, case).map_err(wrong)?;
        let world = Arc::new(World::of(case).map_err(wrong)?);
        let plugins = self.plugins(world.clone()).await?;
        let built = plugins.build(vec![self.binding(case, kind).map_err(wrong)?]).await;
        let answer = match built {
            Err(error) if call == Call::CheckSettings => refused(error)?,
            Err(error) => failure(error)?,
            Ok(_) if call == Call::CheckSettings => json!("accepted"),
            Ok(set) => {
                // What checking the settings took is not the call's.
                plugins.used();
                answer(&set, call, &input).await?.map_err(wrong)?
            }
        };
        let used = plugins.used();
        let seen = world.seen();
        let mut problems = seen.problems;
        if let Some(expected) = &case.expect {
            problems.extend(differences(expected, &answer));
        }
        problems.extend(missing_lines(&case.log, &seen.log));
        let outcome = if problems.is_empty() { Outcome::Passed } else { Outcome::Failed(problems) };
        Ok(Tested { outcome, answer, log: seen.log, used })
    }

    /// What a case is about: by its call, by its kind, or by what the plugin is.
    fn target(&self, case: &Case) -> std::result::Result<(Kind, Call), String> {
        let of_component = || match self.facts.kinds.as_slice() {
            [one] => Ok(Kind::of(one).expect("kinds have words")),
            [] => Err("the component exports no kind of plugin".to_owned()),
            some => {
                Err(format!("name a `kind` or a `call`: the component is {}", some.join(" and ")))
            }
        };
        let named = case
            .kind
            .as_deref()
            .map(|it| Kind::of(it).ok_or_else(|| format!("`{it}` is not a kind of plugin")));
        let kind = match (case.call.and_then(Call::kind), named.transpose()?) {
            (Some(kind), Some(named)) if case.kind.is_some() && kind != named => {
                return Err(format!("a {} has no such call", named.word()));
            }
            (Some(kind), _) | (None, Some(kind)) => kind,
            (None, None) => of_component()?,
        };
        Ok((kind, case.call.unwrap_or(Call::of(kind))))
    }

    fn binding(&self, case: &Case, kind: Kind) -> std::result::Result<Binding, String> {
        if let Some(http) = &case.grants.http {
            http.check().map_err(|it| format!("`grants.http`: {it}"))?;
        }
        Ok(Binding {
            name: NAME.to_owned(),
            kind,
            component: self.component.clone(),
            settings: case.settings.clone(),
            secrets: Secrets::of(case.grants.secrets.as_ref(), &case.secrets),
            grants: case.grants.clone(),
            actions: vec!["*".to_owned()],
            namespaces: Vec::new(),
            units: Vec::new(),
            fail_mode: FailMode::Closed,
            limits: case.limits.clone(),
        })
    }

    async fn plugins(&self, world: Arc<World>) -> Result<Plugins> {
        let faked: Arc<dyn Faked> = world;
        let store = Store::in_memory().await?;
        let blobs = Blobs::open(&self.folder.path().join("blobs")).await?;
        let root = self.folder.path().join("work");
        let processes = Processes::open(store.clone(), blobs.clone(), root, 1 << 20).await?;
        let services = Services {
            http: Arc::new(Http::faked(faked.clone())),
            artifacts: Arc::new(Artifacts { store, blobs, faked: Some(faked.clone()) }),
            processes: Arc::new(processes.faked(faked.clone())),
            faked: Some(faked),
        };
        Plugins::counting(&self.folder.path().join("cache"), self.key, services)
    }
}

/// What a call is given, read before anything runs.
enum Input {
    Nothing,
    Operation(Operation),
    Events(Vec<Event>),
    Question(Question),
    Job(Job),
    Templates(Vec<Template>),
    Deployment(Deployment),
}

impl Input {
    fn read(call: Call, case: &Case) -> std::result::Result<Input, String> {
        let it = &case.input;
        Ok(match call {
            Call::CheckSettings => Input::Nothing,
            Call::Review => Input::Operation(input::operation(it)?),
            Call::Deliver => Input::Events(input::events(it, case.now_ms)?),
            Call::Authorize => Input::Question(input::question(it)?),
            Call::Render => Input::Job(input::job(it, &case.folder)?),
            Call::Check => Input::Templates(input::to_check(it, &case.folder)?),
            _ => Input::Deployment(input::deployment(it)?),
        })
    }
}

/// Calls the plugin as the server does.
async fn answer(
    set: &PluginSet,
    call: Call,
    input: &Input,
) -> Result<std::result::Result<Value, String>> {
    let said = match input {
        Input::Nothing => Ok(Value::Null),
        Input::Operation(it) => set.ask_hook(NAME, it).await.map(answer::verdict),
        Input::Events(it) => set.deliver(NAME, it).await.map(|it| answer::outcomes(&it)),
        Input::Question(it) => set.ask(NAME, it).map(|it| answer::decision(&it)),
        Input::Job(it) => set.render(NAME, it).await.map(|it| answer::rendered(&it)),
        Input::Templates(it) => set.check_templates(NAME, it).await.map(|it| answer::found(&it)),
        Input::Deployment(it) => {
            let Some(deployer) = set.deployer(NAME) else {
                return Err(Error::not_found("deployer", NAME));
            };
            match deployed(&deployer, call, it).await {
                Ok(said) => said,
                Err(why) => return Ok(Err(why)),
            }
        }
    };
    said.or_else(failure).map(Ok)
}

/// The calls of deployers. The outer error is one of the input.
async fn deployed(
    deployer: &Deployer,
    call: Call,
    it: &Deployment,
) -> std::result::Result<Result<Value>, String> {
    let scope = &it.scope;
    Ok(match call {
        Call::Describe => deployer.describe(scope).await.map(Value::String),
        Call::Validate => deployer.validate(scope, it.apps()).await.map(|it| answer::found(&it)),
        Call::Deploy => {
            deployer.deploy(scope, it.app()?, it.current()).await.map(answer::placement)
        }
        Call::Undeploy => {
            let said = deployer.undeploy(scope, it.handle()?, Duration::ZERO).await;
            said.map(|it| answer::status(&it))
        }
        Call::Scale => {
            let said = deployer.scale(scope, it.handle()?, it.count, Duration::ZERO).await;
            said.map(answer::placement)
        }
        Call::Status => {
            let said = deployer.status(scope, it.handles()).await;
            said.map(|all| all.iter().map(answer::status).collect())
        }
        _ => {
            let (instance, cursor) = (it.instance.as_deref(), it.cursor.as_deref());
            let said = deployer.logs(scope, it.handle()?, instance, cursor, it.limit_bytes).await;
            said.map(answer::log_page)
        }
    })
}

/// A failure of the plugin is an answer, too; any other is the machine's.
fn failure(error: Error) -> Result<Value> {
    match error {
        Error::Plugin { message, .. } => Ok(json!({"failure": message})),
        other => Err(other),
    }
}

/// What the server says where it does not put settings to work.
fn refused(error: Error) -> Result<Value> {
    match error {
        Error::Plugin { message, .. } => Ok(json!({"refused": message})),
        other => Err(other),
    }
}

/// The expected lines that did not come, in their order.
fn missing_lines(expected: &[String], log: &[String]) -> Vec<String> {
    let mut lines = log.iter();
    let mut missing = Vec::new();
    for text in expected {
        if !lines.by_ref().any(|it| it.contains(text.as_str())) {
            missing.push(format!("log: no line contains {text:?}, or not in this order"));
            break;
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_expected_in_their_order() {
        let log = ["info a", "warn b", "info c"].map(str::to_owned);
        let check = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|it| (*it).to_owned()).collect();
            missing_lines(&texts, &log).len()
        };
        assert_eq!(check(&[]), 0);
        assert_eq!(check(&["a", "info c"]), 0);
        assert_eq!(check(&["c", "a"]), 1);
        assert_eq!(check(&["d"]), 1);
    }
}
