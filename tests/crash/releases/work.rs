//! A client with one release, which knows what may have become of it.

use std::{
    fmt::{self, Display, Formatter},
    net::SocketAddr,
    time::{Duration, Instant},
};

use chandlery_tests::{
    PATIENCE,
    dry_run::{app, install, upgrade},
};
use serde_json::{Value, json};

use super::{
    super::client::{delete, get, post},
    Dice,
};

/// How long a client rests after it was refused, and between two looks.
const REST: Duration = Duration::from_millis(10);
/// How long an upgrade that is never healthy is waited for.
const NEVER_MS: u64 = 150;
/// What a deployer says that is told to fail.
const FAILURE: &str = "it is told to fail";

const DEPLOYED: &str = "DEPLOYED";
const DELETED: &str = "DELETED";
const FAILED: &str = "FAILED";

/// The final states of all versions of a release, the first first.
type Versions = Vec<String>;

/// Where releases run.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// On a platform that runs nothing.
    DryRun,
    /// As processes of this machine.
    Local,
}

/// The applications that each version has.
const APPS: [&str; 3] = ["db", "web", "job"];

/// One release, and what was done to it.
pub(super) struct Work {
    name: String,
    place: Place,
    dice: Dice,
    /// What the release comes to, by all that was answered; where something was not
    /// answered, also what it comes to with that.
    possible: Vec<Versions>,
    /// What it comes to if what waits is cancelled.
    cancelled: Option<Versions>,
    /// What was asked for last.
    last: String,
    /// Applications get a number each, so that no two are the same.
    number: u64,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    answered: usize,
    refused: usize,
    unanswered: usize,
    /// Of those that were not answered, how many came about.
    came_about: usize,
    /// Starts that found the release in between.
    in_between: usize,
}

/// How an application is told to be.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    Healthy,
    NeverHealthy,
    NotToStart,
}

/// A request, and what the release comes to with it.
struct Request {
    what: &'static str,
    path: String,
    /// A deletion has none.
    body: Option<Value>,
    then: Versions,
    /// What it comes to if it does not go well after it has begun.
    otherwise: Option<Versions>,
}

impl Work {
    pub(super) fn new(client: usize, place: Place, seed: u64) -> Work {
        Work {
            name: format!("release{client}"),
            place,
            dice: Dice(seed),
            possible: vec![Versions::new()],
            cancelled: None,
            last: "nothing".to_owned(),
            number: 0,
            counts: Counts::default(),
        }
    }

    /// How many answers said that it was done.
    pub(super) fn answered(&self) -> usize {
        self.counts.answered
    }

    /// The applications that run, each with its release's name.
    pub(super) fn running_apps(&self) -> Vec<(String, String)> {
        let apps = APPS.iter().filter(|_| self.running().is_some());
        apps.map(|app| (self.name.clone(), (*app).to_owned())).collect()
    }

    /// Deletes what runs.
    pub(super) async fn end(&mut self, address: SocketAddr) {
        if let Some(running) = self.running() {
            let request = self.delete(running);
            let status = self.ask(address, request).await.expect("the server answers");
            assert_eq!(status, 200, "`{}`: {}", self.name, self.last);
        }
    }

    /// Does one thing, and now and then cancels it; says whether the server is still there.
    pub(super) async fn one_round(&mut self, address: SocketAddr) -> bool {
        let request = self.some_request();
        match self.ask(address, request).await {
            None => return false,
            Some(409) => tokio::time::sleep(REST).await,
            Some(_) => {}
        }
        match self.dice.below(4) {
            0 => self.cancel(address).await,
            _ => true,
        }
    }

    /// By then nothing is in between, and what is there is what can have come of it.
    pub(super) async fn check_start(&mut self, address: SocketAddr, until: Instant) {
        let looks = self.check_final(address, until).await;
        self.counts.in_between += usize::from(looks > 1);
    }

    async fn check_final(&mut self, address: SocketAddr, until: Instant) -> u32 {
        let (found, looks) = self.settled(address, until).await;
        let Work { name, possible, last, counts, .. } = self;
        assert!(
            possible.contains(&found),
            "after {last}, `{name}` is {found:?} and none of {possible:?}"
        );
        counts.came_about += usize::from(possible[0] != found);
        self.possible = vec![found];
        self.cancelled = None;
        looks
    }

    /// The next operation is taken at once, and goes well.
    pub(super) async fn check_is_taken(&mut self, address: SocketAddr) {
        let request = match self.running() {
            Some(_) => self.upgrade(Told::Healthy),
            None => self.install(Told::Healthy),
        };
        let status = self.ask(address, request).await.expect("the server answers");
        assert_eq!(status, 201, "`{}`: {}", self.name, self.last);
        self.check_final(address, Instant::now() + PATIENCE).await;
    }

    fn some_request(&mut self) -> Request {
        let told = match self.dice.below(6) {
            0 => Told::NeverHealthy,
            1 if self.place == Place::DryRun => Told::NotToStart,
            _ => Told::Healthy,
        };
        let chosen = self.dice.below(10);
        let back = self.some_earlier();
        match (self.running(), back) {
            (Some(running), _) if chosen < 3 => self.delete(running),
            (_, Some(back)) if chosen < 6 => self.rollback(back),
            (Some(_), _) => self.upgrade(told),
            (None, _) if chosen < 7 && !self.now().is_empty() => self.upgrade(told),
            (None, _) => self.install(told),
        }
    }

    fn install(&mut self, told: Told) -> Request {
        // Nobody waits for an install to be healthy, and it could not come back later.
        let told = if told == Told::NeverHealthy { Told::Healthy } else { told };
        let apps = self.apps(told);
        let mut then = self.now().clone();
        // Of one that does not start there never was a version.
        if told != Told::NotToStart {
            then.push(DEPLOYED.to_owned());
        }
        let body = install(&self.name, &apps);
        let path = "/api/package/install".to_owned();
        Request { what: "install", path, body: Some(body), then, otherwise: None }
    }

    fn upgrade(&mut self, told: Told) -> Request {
        let apps = self.apps(told);
        let mut body = upgrade(&self.name, &apps);
        let then = match told {
            Told::Healthy => self.replaced(),
            Told::NeverHealthy | Told::NotToStart => self.and_failed(),
        };
        if told == Told::NeverHealthy {
            body["timeout"] = NEVER_MS.into();
        }
        let (path, otherwise) = ("/api/release/upgrade".to_owned(), Some(self.and_failed()));
        Request { what: "upgrade", path, body: Some(body), then, otherwise }
    }

    /// Brings back the version at that place; what was deleted is installed.
    fn rollback(&self, back: usize) -> Request {
        let path = "/api/release/rollback".to_owned();
        let body = json!({ "releaseName": self.name, "version": back + 1 });
        let then = self.replaced();
        let otherwise = self.running().map(|_| self.and_failed());
        Request { what: "rollback", path, body: Some(body), then, otherwise }
    }

    fn delete(&self, running: usize) -> Request {
        let mut then = self.now().clone();
        then[running] = DELETED.to_owned();
        let path = format!("/api/release/{}", self.name);
        Request { what: "delete", path, body: None, then, otherwise: None }
    }

    /// Three applications: one is as it always was, one is new, and one is as it is told.
    fn apps(&mut self, told: Told) -> [Value; 3] {
        self.number += 1;
        let is_never_healthy = told == Told::NeverHealthy;
        let soon = self.dice.below(200);
        let told = match told {
            _ if self.place == Place::Local => json!({}),
            Told::Healthy => json!({ "deployed-after": soon }),
            Told::NeverHealthy => json!({ "deployed-after": "never" }),
            Told::NotToStart => json!({ "deploy.fails": "permanent", "deploy.message": FAILURE }),
        };
        let mut apps = [app(APPS[0], json!({})), app(APPS[1], json!({})), app(APPS[2], told)];
        for changed in &mut apps[1..] {
            changed["version"] = self.number.to_string().into();
        }
        if self.place == Place::Local {
            apps.iter_mut().for_each(make_local);
            if is_never_healthy {
                // It never listens at the port that it is given.
                apps[2]["applicationProperties"]["server.port"] = "0".into();
            }
        }
        apps
    }

    /// What it comes to by all that was answered.
    fn now(&self) -> &Versions {
        &self.possible[0]
    }

    /// The place of the version that runs.
    fn running(&self) -> Option<usize> {
        self.now().iter().position(|it| it == DEPLOYED)
    }

    /// The place of some version that can come back.
    fn some_earlier(&mut self) -> Option<usize> {
        let deleted = |it: &usize| self.now()[*it] == DELETED;
        let earlier: Vec<usize> = (0..self.now().len()).filter(deleted).collect();
        let chosen = self.dice.below(earlier.len().max(1) as u64) as usize;
        earlier.get(chosen).copied()
    }

    fn replaced(&self) -> Versions {
        let mut versions = self.now().clone();
        if let Some(running) = self.running() {
            versions[running] = DELETED.to_owned();
        }
        versions.push(DEPLOYED.to_owned());
        versions
    }

    fn and_failed(&self) -> Versions {
        let failed = [FAILED.to_owned()];
        self.now().iter().cloned().chain(failed).collect()
    }

    /// Sends a request, and notes what can come of it now. None where the server is gone.
    async fn ask(&mut self, address: SocketAddr, request: Request) -> Option<u16> {
        let Request { what, path, body, then, otherwise } = request;
        self.last = what.to_owned();
        let answer = match &body {
            Some(body) => {
                post(address, &path, "application/json", body.to_string().as_bytes()).await
            }
            None => delete(address, &path).await,
        };
        let Some((status, answer)) = answer else {
            self.counts.unanswered += 1;
            self.possible.push(then);
            self.possible.extend(otherwise);
            return None;
        };
        let text = String::from_utf8_lossy(&answer);
        match status {
            200 | 201 => {
                self.counts.answered += 1;
                let told: Value = serde_json::from_str(&text).expect("it is JSON");
                let version = told["version"].as_u64().expect("it has a version");
                assert!(version as usize <= then.len(), "{what} made {version} of {then:?}");
                self.possible = vec![then];
                self.cancelled = otherwise;
            }
            409 => {
                self.counts.refused += 1;
                let is_known =
                    ["Statemachine is not in state", FAILURE].iter().any(|it| text.contains(it));
                // What came back already is not brought back once more.
                let is_same = what == "rollback" && text.contains("has no difference");
                assert!(is_known || is_same, "{what}: {text}");
            }
            _ => panic!("{what} answers {status}: {text}"),
        }
        Some(status)
    }

    /// Cancels what waits; says whether the server is still there.
    async fn cancel(&mut self, address: SocketAddr) -> bool {
        let body = json!({ "releaseName": self.name }).to_string();
        let path = "/api/release/cancel";
        let cancelled = self.cancelled.take();
        let Some((status, answer)) = post(address, path, "application/json", body.as_bytes()).await
        else {
            self.last = format!("{} and cancel", self.last);
            self.possible.extend(cancelled);
            return false;
        };
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(status, 200, "{text}");
        let told: Value = serde_json::from_str(&text).expect("it is JSON");
        if told["accepted"] == true {
            self.counts.answered += 1;
            self.possible = vec![cancelled.expect("something waits if it is cancelled")];
        }
        true
    }

    /// Waits until nothing is in between, and gives the states of all versions, and how
    /// often it had to look.
    async fn settled(&self, address: SocketAddr, until: Instant) -> (Versions, u32) {
        let mut looks = 0;
        loop {
            looks += 1;
            let path = format!("/api/v1/releases/{}", self.name);
            let (status, overview) = get(address, &path).await.expect("the server answers");
            let overview: Value = serde_json::from_slice(&overview).expect("it is JSON");
            assert!([200, 404].contains(&status), "{overview}");
            let versions = self.versions(address).await;
            let is_final = |it: &String| [DEPLOYED, DELETED, FAILED].contains(&it.as_str());
            if overview["in_progress"].is_null() && versions.iter().all(is_final) {
                return (versions, looks);
            }
            let Work { name, last, .. } = self;
            assert!(
                Instant::now() < until,
                "after {last}, `{name}` is still {versions:?}: {overview}"
            );
            tokio::time::sleep(REST).await;
        }
    }

    async fn versions(&self, address: SocketAddr) -> Versions {
        let base = format!("/api/v1/releases/{}/history?limit=100", self.name);
        let (mut path, mut found) = (base.clone(), Vec::new());
        loop {
            let (status, page) = get(address, &path).await.expect("the server answers");
            if status == 404 {
                return Versions::new();
            }
            let page: Value = serde_json::from_slice(&page).expect("it is JSON");
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().expect("there are items").iter();
            found.extend(items.filter(|it| it["type"] == "version").cloned());
            match page["next"].as_str() {
                Some(next) => path = format!("{base}&cursor={next}"),
                None => break,
            }
        }
        found.reverse();
        for (index, it) in found.iter().enumerate() {
            assert_eq!(it["version"], index + 1, "no version is left out");
        }
        found.iter().map(|it| it["status"].as_str().expect("it has a status").to_owned()).collect()
    }
}

/// Makes a process of an application: its version is a property of it then, since there
/// is one program only.
fn make_local(app: &mut Value) {
    let version = std::mem::replace(&mut app["version"], "1.0".into());
    app["resource"] = "inventory://acme/runs".into();
    app["applicationProperties"] = json!({ "server.port": "-1", "number": version });
}

impl Display for Work {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Work { name, counts, possible, .. } = self;
        write!(out, "{name}: {} versions, {counts:?}", possible[0].len())
    }
}
