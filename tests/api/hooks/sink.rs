//! A receiver of webhooks that answers as it is told and remembers what it got.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How long a test waits for what must come: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request that came in.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// With the query.
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Received {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The receiver. It is gone when this is dropped.
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
    received: watch::Receiver<Vec<Received>>,
    task: tokio::task::JoinHandle<()>,
}

/// What is answered: these first, then always the last.
struct Answers {
    first: VecDeque<(u16, String)>,
    then: (u16, String),
    headers: String,
}

impl Sink {
    /// Starts a receiver that answers with these statuses, then with 200.
    pub(super) async fn start(first: &[u16]) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let first = first.iter().map(|it| (*it, String::new())).collect();
        let answers = Arc::new(Mutex::new(Answers {
            first,
            then: (200, String::new()),
            headers: String::new(),
        }));
        let (sender, received) = watch::channel(Vec::new());
        let task = tokio::spawn(listen(listener, answers.clone(), sender));
        Sink { address, answers, received, task }
    }

    /// Answers everything that way from now on.
    pub(super) fn answer(&self, status: u16, body: &str) {
        let mut answers = self.answers.lock().expect("no test panicked in it");
        *answers = Answers {
            first: VecDeque::new(),
            then: (status, body.to_owned()),
            headers: String::new(),
        };
    }

    /// Answers everything with that status and these headers, each behind a line end.
    pub(super) fn answer_with(&self, status: u16, headers: &str) {
        self.answer(status, "");
        self.answers.lock().expect("no test panicked in it").headers = headers.to_owned();
    }

    /// Waits until there were so many requests, and gives all there were.
    pub(super) async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut received = self.received.clone();
        let waiting = received.wait_for(|it| it.len() >= count);
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        let got = self.received.borrow().clone();
        assert!(waited.is_ok(), "{count} requests are awaited, these came: {got:#?}");
        got
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(
    listener: TcpListener,
    answers: Arc<Mutex<Answers>>,
    received: watch::Sender<Vec<Received>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that goes away in the middle has sent nothing.
        let _ = exchange(stream, &answers, &received).await;
    }
}

async fn exchange(
    stream: TcpStream,
    answers: &Mutex<Answers>,
    received: &watch::Sender<Vec<Received>>,
) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    let mut headers = HashMap::new();
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;

    let ((status, answer), more) = {
        let mut answers = answers.lock().expect("no test panicked in it");
        let answer = answers.first.pop_front().unwrap_or_else(|| answers.then.clone());
        (answer, answers.headers.clone())
    };
    let body = String::from_utf8(body).expect("the body is UTF-8");
    received.send_modify(|it| it.push(Received { path, headers, body }));
    let length = answer.len();
    let answer = format!(
        "HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close{more}\r\n\r\n{answer}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await
}
