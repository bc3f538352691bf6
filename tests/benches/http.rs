//! What the server does in a second over real sockets, as ratios within one run.
//!
//! Absolute figures depend on the machine and on its disk; the aims are of the
//! issue that built the server. Clients and server share the machine, and all
//! sides of a ratio the same client. Run with
//! `cargo bench -p chandlery-tests --bench http`.

use std::{
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::header, routing::get};
use chandlery::{
    api::{Answers, Api, Server},
    config::Config,
};
use chandlery_tests::Host;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
const READ_ROUNDS: usize = 5;
const READERS: usize = 16;
const VERSION: &str = "/api/v1/inventory/bench/units/read/versions/v1.0.0/";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { tokio::spawn(run()).await.expect("no panic") });
}

async fn run() {
    let shipped = chandlery::config::plugins::bindings(&Config::default()).await;
    let shipped = shipped.expect("the shipped plugins are built");
    let policy = shipped.iter().find(|it| it.kind == chandlery::plugins::Kind::Policy);
    let policy = policy.expect("a policy is among the shipped plugins");
    println!("policy `{}`", policy.name);
    let host = Host::with(shipped).await;
    let api = serve(Api::new(host.app.clone())).await;
    registers(api).await;
    reads(api).await;
}

async fn registers(api: SocketAddr) {
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        alone.push(registers_a_second(api, 1, &format!("one-{round}")).await);
        together.push(registers_a_second(api, 64, &format!("many-{round}")).await);
    }
    let (alone, together) = (median(alone), median(together));
    println!("registers a second, every answer durable");
    println!("   1 client     {alone:>10.0}");
    println!("  64 clients    {together:>10.0}");
    println!("  ratio         {:>10.2}   (aim: at least 15)", together / alone);
}

async fn reads(api: SocketAddr) {
    let mut client = Client::connect(api).await;
    let release = r#"{"name":"read","version":"1.0.0","description":"read a lot"}"#;
    client.send(&post("/api/v1/inventory/bench/register", release)).await;
    let body = client.send(&request_for(VERSION)).await;
    let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], body) };
    let bare = serve(Router::new().route(VERSION, get(move || answer.clone()()))).await;

    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..READ_ROUNDS {
        bares.push(reads_a_second(bare).await);
        ours.push(reads_a_second(api).await);
    }
    let of = |rounds: &[(f64, f64)]| {
        let (rates, micros) = rounds.iter().copied().unzip();
        (median(rates), median(micros))
    };
    let ((ours, ours_micros), (bare, bare_micros)) = (of(&ours), of(&bares));
    println!(
        "reads of a version, {READERS} clients   a second   µs of computing, the client's too"
    );
    println!("  policy asked            {ours:>10.0}   {ours_micros:>10.1}");
    println!("  bare axum               {bare:>10.0}   {bare_micros:>10.1}");
    let (ratio, by_micros) = (ours / bare, bare_micros / ours_micros);
    println!("  ratio (aim: 0.5)        {ratio:>10.2}   {by_micros:>10.2}");
}

async fn registers_a_second(api: SocketAddr, clients: usize, label: &str) -> f64 {
    a_second(clients, |client| {
        let unit = format!("{label}-{client}");
        async move {
            let mut connection = Client::connect(api).await;
            let mut done = 0u64;
            let until = Instant::now() + ROUND;
            while Instant::now() < until {
                let release = format!(r#"{{"name":"{unit}","version":"1.0.{done}"}}"#);
                connection.send(&post("/api/v1/inventory/bench/register", &release)).await;
                done += 1;
            }
            done
        }
    })
    .await
}

/// How many there are in a second, and the computing time of each: that is the same on a
/// machine that is busy with other things.
async fn reads_a_second(address: SocketAddr) -> (f64, f64) {
    let (began, computed) = (Instant::now(), computing_time());
    let rate = a_second(READERS, |_| async move {
        let mut connection = Client::connect(address).await;
        let request = request_for(VERSION);
        let mut done = 0;
        let until = Instant::now() + ROUND;
        while Instant::now() < until {
            connection.send(&request).await;
            done += 1;
        }
        done
    })
    .await;
    let computed = computing_time() - computed;
    (rate, computed.as_secs_f64() * 1e6 / (rate * began.elapsed().as_secs_f64()))
}

/// What this process has computed until now.
fn computing_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells it");
    // Behind the program's name, which may hold anything.
    let (_, fields) = stat.rsplit_once(") ").expect("a name is in parentheses");
    let ticks = fields.split(' ').skip(11).take(2).map(|it| it.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

async fn a_second<F>(clients: usize, client: impl Fn(usize) -> F) -> f64
where
    F: Future<Output = u64> + Send + 'static,
{
    let begun = Instant::now();
    let clients: Vec<_> = (0..clients).map(|it| tokio::spawn(client(it))).collect();
    let mut done = 0;
    for client in clients {
        done += client.await.expect("the client ends well");
    }
    done as f64 / begun.elapsed().as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn serve(answers: impl Answers + Sync) -> SocketAddr {
    let mut config = Config::default();
    config.listen.set_port(0);
    let server = Server::bind(&config).await.expect("a port is free");
    let address = server.address();
    tokio::spawn(server.serve(answers, std::future::pending()));
    address
}

fn request_for(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A client that keeps its connection and does as little as it can.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("an option of every socket");
        Client { stream, buffer: vec![0; 64 << 10] }
    }

    /// Sends a request and reads its answer, which must be a 200.
    async fn send(&mut self, request: &str) -> Bytes {
        self.stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut read = 0;
        loop {
            let more =
                self.stream.read(&mut self.buffer[read..]).await.expect("the server answers");
            assert_ne!(more, 0, "the server hung up");
            read += more;
            let text = &self.buffer[..read];
            let Some(end) = text.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&text[..end]).expect("a head is text");
            assert!(head.starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(text));
            if read >= end + 4 + length(head) {
                return Bytes::copy_from_slice(&text[end + 4..]);
            }
        }
    }
}

fn length(head: &str) -> usize {
    let lines = head.lines().filter_map(|it| it.split_once(": "));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().map_or(0, |(_, value)| value.parse().expect("a length is a number"))
}
