//! Streams over sockets: clients that do not listen, servers that are killed.

use std::time::{Duration, Instant};

use chandlery::{api::Server, config::Config, store::Audit};
use chandlery_tests::{Block, Host, PATIENCE, Running, guest, program, read_to_end};
use futures::future::join_all;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    time::timeout,
};

const EVENTS: &str = "/api/v1/events";

/// Reads the stream until that many events are there.
async fn events(stream: &mut TcpStream, how_many: usize) -> Vec<Block> {
    let mut text = String::new();
    let mut buffer = vec![0; 64 << 10];
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The lengths of the chunks stand on lines of their own, where no field is.
        let plain = text.replace("\r\n", "\n\n");
        let found: Vec<Block> =
            plain.split("\n\n").map(Block::read).filter(|it| it.data.is_some()).collect();
        if found.len() >= how_many && text.ends_with("\r\n") {
            return found;
        }
        assert!(Instant::now() < deadline, "{how_many} events come: {text}");
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("something comes");
        let read = read.expect("the server sends");
        assert_ne!(read, 0, "the server hung up after `{text}`");
        text.push_str(std::str::from_utf8(&buffer[..read]).expect("it is UTF-8"));
    }
}

async fn watch(server: &Running, after: &str) -> TcpStream {
    let mut stream = server.connect().await;
    let request =
        format!("GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {after}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn register(server: &Running, version: &str) {
    let body = json!({ "name": "web", "version": version }).to_string();
    let request = format!(
        "POST /api/v1/inventory/acme/register HTTP/1.1\r\nHost: localhost\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(server.raw(request).await.starts_with("HTTP/1.1 200"));
}

fn version(block: &Block) -> String {
    block.json()["target"]["version"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_that_is_killed_loses_no_event() {
    let program = program!();
    let server = program.serve(&[]);
    register(&server, "1").await;
    let mut stream = watch(&server, "0").await;
    let heard = events(&mut stream, 1).await;
    assert_eq!(version(&heard[0]), "1");
    register(&server, "2").await;
    server.kill();

    let server = program.serve(&[]);
    register(&server, "3").await;
    let mut stream = watch(&server, heard[0].id.as_deref().unwrap()).await;
    let heard = events(&mut stream, 2).await;
    assert_eq!(heard.iter().map(version).collect::<Vec<_>>(), ["2", "3"]);
}

#[tokio::test]
async fn those_who_watch_do_not_keep_a_server_from_stopping() {
    let mut server = program!().serve(&["--set", "timeouts.drain_ms=30000"]);
    // From the first on: what is registered may come before the watch has begun.
    let mut stream = watch(&server, "0").await;
    register(&server, "1").await;
    events(&mut stream, 1).await;
    server.signal("TERM");
    let rest = read_to_end(&mut stream).await;
    assert!(rest.contains("event: end\ndata: {\"reason\":\"the server is stopping\"}"), "{rest}");
    assert!(rest.ends_with("0\r\n\r\n"), "it ends in good order: {rest}");
    assert!(server.wait().success());
    assert!(!server.log().contains("cut off"), "{}", server.log());
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_goes_on_where_it_was() {
    const EVENTS_MADE: usize = 20_000;
    let one = |it: &mut Config| it.events.watchers_max = 1;
    let host = Host::builder().plugins(vec![guest::allow_all()]).config(one).start().await;
    let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    config.timeouts.write_ms = 300;
    let server = Server::bind(&config).await.unwrap();
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(host.api(), async {
        let _ = stopped.await;
    }));

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(address).await.unwrap();
    let request = format!("GET {EVENTS}?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    let audit = |at: usize| Audit {
        action: "inventory:tag:set".to_owned(),
        resource: format!("tag/acme/{}/{at}", "x".repeat(400)),
        ..Audit::default()
    };
    let begun = Instant::now();
    for chunk in (0..EVENTS_MADE).collect::<Vec<_>>().chunks(1000) {
        let writes = chunk.iter().map(|at| host.app.store.write(audit(*at), |_| Ok(())));
        join_all(writes).await.into_iter().for_each(|it| it.unwrap());
    }
    assert!(begun.elapsed() < PATIENCE, "nobody waits for it");
    // It reads only after the server has given it up, and its place is free.
    while host.stream(EVENTS).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it is cut off");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let text = read_to_end(&mut slow).await;
    let heard: Vec<Block> = text
        .replace("\r\n", "\n\n")
        .split("\n\n")
        .map(Block::read)
        .filter(|it| it.id.is_some() && it.data.as_ref().is_some_and(|it| it.ends_with('}')))
        .collect();
    assert!(heard.len() < EVENTS_MADE, "it was cut off");
    drop(slow);
    for (at, event) in heard.iter().enumerate() {
        assert_eq!(version(event), at.to_string());
    }

    let last = heard.last().and_then(|it| it.id.clone()).unwrap_or_else(|| "0".to_owned());
    let mut again = host.stream_after(EVENTS, &last).await;
    for at in heard.len()..EVENTS_MADE {
        let event = again.event().await.unwrap();
        assert_eq!(version(&event), at.to_string());
    }
    stop.send(()).unwrap();
    serving.await.unwrap();
}
