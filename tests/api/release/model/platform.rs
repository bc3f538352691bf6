//! A platform that remembers what it runs, and does what it is told.
//!
//! Its deployer is a guest that passes each call on to it over HTTP. So the test can
//! see what runs, make any call fail, and hold one while the server is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use chandlery::{
    capabilities::http,
    plugins::{Binding, Kind},
};
use chandlery_tests::guest;

use super::forwarding::forwarding;

/// What a deployer is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    Validate,
    Deploy,
    Undeploy,
    Scale,
    Status,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// For good, and nothing was done.
    Permanent,
    /// In passing, each time. What was to be started runs all the same.
    Passing,
    /// The same, once.
    PassingOnce,
    /// The guest dies: each time where something is to be ended, and it has ended then;
    /// once everywhere else, and nothing was done.
    Trap,
}

impl Fault {
    /// Whether it has passed when it has happened.
    pub(super) fn is_over(self, call: Call) -> bool {
        self == Fault::PassingOnce || self == Fault::Trap && call != Call::Undeploy
    }
}

/// What is broken, by the call, the release and the application's name.
pub(super) type Faults = BTreeMap<(Call, String, String), Fault>;

/// A call to be held.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gate {
    pub(super) release: String,
    pub(super) call: Call,
    /// So many calls pass before.
    pub(super) passes: u32,
    /// Whether it is held when it is done and not yet answered.
    pub(super) is_done: bool,
}

/// What is done to a call at a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Held {
    #[default]
    Nothing,
    Held,
}

#[derive(Default)]
struct State {
    /// Calls of earlier servers are not answered.
    life: u64,
    /// How many instances run, by the id.
    running: BTreeMap<String, u32>,
    /// Whatever ran once.
    known: BTreeSet<String>,
    faults: Faults,
    /// Applications that are not healthy, by release and name.
    sick: BTreeSet<(String, String)>,
    gate: Option<Gate>,
    held: Held,
    wrong: Vec<String>,
}

/// The platform.
pub(super) struct Platform {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Platform {
    /// A platform, for as long as the test runs.
    pub(super) fn start() -> Platform {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let shared = Arc::<Shared>::default();
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Platform { address, shared }
    }

    /// Its deployer.
    pub(super) fn deployer(&self) -> Binding {
        let component = forwarding(&format!("http://{}/", self.address));
        let mut binding = guest::binding("deployer-model", Kind::Deployer, component);
        binding.grants.http = Some(http::Grant {
            origins: vec![format!("http://{}", self.address)],
            private: vec!["127.0.0.0/8".to_owned()],
            ..http::Grant::default()
        });
        binding
    }

    /// From now on only calls of the server of that number are answered. What is held
    /// comes to nothing any more.
    pub(super) fn begin(&self, life: u64) {
        let mut state = self.shared.lock();
        (state.life, state.gate, state.held) = (life, None, Held::Nothing);
        self.shared.changed.notify_all();
    }

    /// What runs of a release, by the id.
    pub(super) fn running(&self, release: &str) -> BTreeMap<String, u32> {
        let state = self.shared.lock();
        let of = |id: &str| id.split('/').next() == Some(release);
        state.running.iter().filter(|(id, _)| of(id)).map(|(id, it)| (id.clone(), *it)).collect()
    }

    /// What is broken.
    pub(super) fn faults(&self) -> Faults {
        self.shared.lock().faults.clone()
    }

    /// Breaks these things and no others.
    pub(super) fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// These are not healthy, and all others are.
    pub(super) fn set_sick(&self, sick: BTreeSet<(String, String)>) {
        self.shared.lock().sick = sick;
    }

    /// Holds a call when it comes.
    pub(super) fn hold(&self, gate: Gate) {
        self.shared.lock().gate = Some(gate);
    }

    /// Whether a call is held now.
    pub(super) fn is_held(&self) -> bool {
        self.shared.lock().held == Held::Held
    }

    /// Lets pass what is held, and holds nothing any more.
    pub(super) fn let_go(&self) {
        let mut state = self.shared.lock();
        (state.gate, state.held) = (None, Held::Nothing);
        self.shared.changed.notify_all();
    }

    /// Fails where it was asked for what nobody should ask for.
    pub(super) fn check(&self) {
        let state = self.shared.lock();
        assert!(state.wrong.is_empty(), "{:?}", state.wrong);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let body = read_body(&mut stream)?;
        let Some(answer) = self.answer(&body) else { return Ok(()) };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            answer.len()
        );
        stream.write_all([head, answer].concat().as_bytes())
    }

    fn answer(&self, body: &str) -> Option<String> {
        let mut lines = body.lines();
        let mut next = || lines.next().unwrap_or_default().to_owned();
        let (word, life, operation, whose) = (next(), next(), next(), next());
        let call = match word.as_str() {
            "validate" => Call::Validate,
            "deploy" => Call::Deploy,
            "undeploy" => Call::Undeploy,
            "scale" => Call::Scale,
            "status" => Call::Status,
            other => panic!("`{other}` is no call"),
        };
        let id = match call {
            Call::Validate | Call::Deploy => format!("{whose}/{}#{operation}", next()),
            _ => whose.trim_matches('"').to_owned(),
        };
        let count = next().bytes().next().map(u32::from);
        let life: u64 = life.parse().ok()?;

        let state = self.lock();
        let mut state = self.pass(state, life, call, &id, false)?;
        let said = state.carry_out(call, &id, count);
        drop(self.pass(state, life, call, &id, true)?);
        Some(format!("{said}\"{id}\""))
    }

    /// Waits while the call is to be held; none where its server is gone.
    fn pass<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        life: u64,
        call: Call,
        id: &str,
        is_done: bool,
    ) -> Option<MutexGuard<'a, State>> {
        if state.life != life {
            return None;
        }
        let release = id.split('/').next().unwrap_or_default();
        let is_meant =
            |it: &&mut Gate| it.call == call && it.release == release && it.is_done == is_done;
        match state.gate.as_mut().filter(is_meant) {
            None => return Some(state),
            Some(gate) if gate.passes > 0 => {
                gate.passes -= 1;
                return Some(state);
            }
            Some(_) => {}
        }
        (state.gate, state.held) = (None, Held::Held);
        let waited = self.changed.wait_while(state, |it| it.life == life && it.held == Held::Held);
        waited.ok().filter(|it| it.life == life)
    }
}

impl State {
    /// Does it, and gives the letter of the answer: a state's number, `P` and `R` for a
    /// permanent and a passing failure, `T` for a guest that is to die.
    fn carry_out(&mut self, call: Call, id: &str, count: Option<u32>) -> char {
        let (release, app) = named(id);
        let broken = (call, release.to_owned(), app.to_owned());
        let fault = self.faults.get(&broken).copied();
        if fault.is_some_and(|it| it.is_over(call)) {
            self.faults.remove(&broken);
        }
        let is_done = match (call, fault) {
            (_, None) => true,
            (Call::Deploy, Some(it)) => matches!(it, Fault::Passing | Fault::PassingOnce),
            (Call::Undeploy, Some(it)) => it == Fault::Trap,
            (Call::Validate | Call::Scale | Call::Status, Some(_)) => false,
        };
        if is_done {
            self.take_effect(call, id, count.unwrap_or(1));
        }
        let is_sick = self.sick.contains(&(release.to_owned(), app.to_owned()));
        match fault {
            Some(Fault::Permanent) => 'P',
            Some(Fault::Passing | Fault::PassingOnce) => 'R',
            Some(Fault::Trap) => 'T',
            None if !self.running.contains_key(id) => '5',
            None if is_sick => '1',
            None => '2',
        }
    }

    fn take_effect(&mut self, call: Call, id: &str, count: u32) {
        match call {
            Call::Deploy => {
                self.known.insert(id.to_owned());
                self.running.entry(id.to_owned()).or_insert(count);
            }
            Call::Undeploy => drop(self.running.remove(id)),
            Call::Scale => drop(self.running.insert(id.to_owned(), count)),
            Call::Validate | Call::Status => return,
        }
        if !self.known.contains(id) {
            self.wrong.push(format!("{call:?} of `{id}`, which never ran"));
        }
    }
}

/// The release and the application of an id: `release/app-v1#operation`.
pub(super) fn named(id: &str) -> (&str, &str) {
    let (release, rest) = id.split_once('/').unwrap_or((id, ""));
    let definition = rest.split('#').next().unwrap_or_default();
    (release, definition.rsplit_once("-v").map_or(definition, |(app, _)| app))
}

fn read_body(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|it| it.lines().next());
            if length.and_then(|it| it.parse().ok()).unwrap_or(0) <= body.len() {
                return Ok(body.to_owned());
            }
        }
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
