//! Everything a request can reach, built once at start-up.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, Notify, Semaphore};

use crate::{
    blobs::Blobs,
    capabilities::{Services, artifacts::Artifacts, http::Http, process::Processes},
    config::{Config, plugins},
    error::{Error, Result},
    events::Events,
    extend::Extend,
    inventory::{self, Downloads},
    login::Login,
    outbox,
    plugins::{Binding, Kind, Plugins},
    release::{
        engine::{self, Engine},
        repositories::{self, Repositories},
    },
    store::{Store, Table},
    tasks::Tasks,
};

/// One row, written to see whether writing works.
const READINESS: Table = Table("readiness");
/// How long the answer to "can the store be written to?" is believed.
const STORE_CHECK_KEPT: Duration = Duration::from_secs(1);
/// How long that question may take.
const STORE_CHECK_LIMIT: Duration = Duration::from_secs(5);
/// How often bytes that no record needs are looked for, and how old they have to be.
/// Those of uploads under way are held anyway; a crash leaves none for a minute.
const COLLECT_EVERY: Duration = Duration::from_secs(15);
const COLLECT_GRACE: Duration = Duration::from_secs(30);
/// How long background work may take to end.
const TASKS_LIMIT: Duration = Duration::from_secs(10);

/// The running server's parts.
pub struct App {
    /// The settings in force.
    pub config: Arc<Config>,
    /// Records: everything but bytes that outlives the process.
    pub store: Store,
    /// The user that the settings name, if they do.
    pub login: Option<Login>,
    /// Package bytes, by digest.
    pub blobs: Blobs,
    /// The plugin runtime and the set in force.
    pub plugins: Plugins,
    /// What is changed about plugins while the server runs.
    pub extend: Extend,
    /// What is known of package repositories besides what is stored.
    pub repositories: Repositories,
    /// What is being done to releases.
    pub engine: Engine,
    /// What changes, for those who watch.
    pub events: Events,
    /// Room for those who follow logs.
    pub log_followers: Arc<Semaphore>,
    /// Tells the work that deletes large namespaces that there is one.
    pub deletions: Arc<Notify>,
    /// Downloads that are being counted.
    pub downloads: Downloads,
    /// What runs beside the requests.
    pub tasks: Tasks,
    store_checked: Mutex<Option<(Instant, Option<String>)>>,
}

/// One answer to "is the server fit for work?"
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What is wrong with it, if anything.
    pub failure: Option<String>,
}

/// Starts the server's parts, with the plugins that the settings name.
pub async fn start(config: Config) -> Result<Arc<App>> {
    let bindings = plugins::bindings(&config).await?;
    let names: Vec<String> = config.plugins.iter().map(|it| it.name.clone()).collect();
    start_with(config, bindings).await.map_err(|it| plugins::blame(&names, it))
}

/// Starts the server's parts with exactly these plugins. For tests and tools.
pub async fn start_with(mut config: Config, bindings: Vec<Binding>) -> Result<Arc<App>> {
    let login = Login::take(&mut config)?;
    let repositories = Repositories::take(&mut config)?;
    make_folder(&config.data).await?;
    let store = Store::open(&config.data.join("store")).await?;
    repositories::enter(&store, &config).await?;
    let blobs = Blobs::open(&config.data.join("blobs")).await?;
    let services = services(&config, &store, &blobs).await?;
    let key = store.server_key("plugin-cache").await?;
    let plugins = Plugins::start(&config.data.join("cache"), key, services)?;
    let config = Arc::new(config);
    let extend = Extend::start(&config, &store, &blobs, &plugins, bindings).await?;

    let tasks = Tasks::default();
    let app = Arc::new(App {
        events: Events::start(store.clone(), config.events.clone(), &tasks),
        log_followers: Arc::new(Semaphore::new(
            config.releases.log_followers_max.min(Semaphore::MAX_PERMITS),
        )),
        config,
        login,
        deletions: Arc::default(),
        downloads: Downloads::new(store.clone()),
        store,
        blobs,
        plugins,
        extend,
        repositories,
        engine: Engine::default(),
        tasks,
        store_checked: Mutex::new(None),
    });
    engine::spawn(&app);
    repositories::spawn(&app);
    inventory::spawn_deletions(&app);
    spawn_collector(&app);
    outbox::spawn(&app);
    Ok(app)
}

impl App {
    /// Ends the background work and closes the store. What was acknowledged is
    /// durable already; this only makes the end a quiet one.
    pub async fn stop(&self) -> Result<()> {
        self.events.end();
        for late in self.tasks.stop(TASKS_LIMIT).await {
            tracing::warn!(task = late, "background work was cut off");
        }
        self.downloads.flush().await;
        self.store.close().await
    }

    /// Looks at everything that the server needs to be fit for work.
    pub async fn readiness(&self) -> Vec<Check> {
        let store = Check { name: "store", failure: self.store_failure().await };
        let plugins = Check { name: "plugins", failure: self.plugins_failure() };
        let tasks = self.tasks.states().into_iter().map(|(name, running)| Check {
            name,
            failure: (!running).then(|| "it does not run any more".to_owned()),
        });
        [store, plugins].into_iter().chain(tasks).collect()
    }

    /// What can be asked for needs a policy to allow it, and a release a renderer and
    /// a deployer.
    fn plugins_failure(&self) -> Option<String> {
        let names = self.plugins.set().names();
        let needed =
            [(Kind::Policy, "policy"), (Kind::Renderer, "renderer"), (Kind::Deployer, "deployer")];
        let missing = needed.into_iter().filter(|(kind, _)| names.iter().all(|it| it.1 != *kind));
        let missing: Vec<&str> = missing.map(|(_, name)| name).collect();
        (!missing.is_empty()).then(|| format!("no {} is in force", missing.join(", no ")))
    }

    /// Tries to write, but not more often than once a second.
    async fn store_failure(&self) -> Option<String> {
        let mut checked = self.store_checked.lock().await;
        if let Some((at, failure)) = checked.as_ref()
            && at.elapsed() < STORE_CHECK_KEPT
        {
            return failure.clone();
        }
        let write = self.store.write_unaudited(|change| {
            change.put(READINESS, b"written", vec![1]);
            Ok(())
        });
        let failure = match tokio::time::timeout(STORE_CHECK_LIMIT, write).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("a write took too long".to_owned()),
        };
        *checked = Some((Instant::now(), failure.clone()));
        failure
    }
}

fn spawn_collector(app: &App) {
    let (blobs, store) = (app.blobs.clone(), app.store.clone());
    app.tasks.spawn("blob collector", |stop| async move {
        let mut collector = blobs.spawn_collector(store, COLLECT_EVERY, COLLECT_GRACE);
        tokio::select! {
            () = stop.cancelled() => collector.abort(),
            _ = &mut collector => {}
        }
    });
}

async fn services(config: &Config, store: &Store, blobs: &Blobs) -> Result<Services> {
    let work = config.data.join("work");
    let limit = config.limits.output_bytes_max;
    let processes = Processes::open(store.clone(), blobs.clone(), work, limit).await?;
    Ok(Services {
        http: Arc::new(Http::new()),
        artifacts: Arc::new(Artifacts { store: store.clone(), blobs: blobs.clone(), faked: None }),
        processes: Arc::new(processes),
        faked: None,
    })
}

async fn make_folder(folder: &Path) -> Result<()> {
    tokio::fs::create_dir_all(folder).await.map_err(|it| {
        Error::invalid("data", format!("the folder `{}` cannot be made: {it}", folder.display()))
    })
}
