//! Hears what the server's `hook-webhook` posts, where it runs with `server.toml`.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::client::Result;

/// Where `server.toml` posts events to.
const ADDRESS: &str = "127.0.0.1:7578";
const PATIENCE: Duration = Duration::from_secs(30);
/// Far above any event of this tour.
const BODY_BYTES_MAX: u64 = 4 << 20;

/// The events heard since it was made.
pub(crate) struct Events(Receiver<Value>);

impl Events {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Events> {
        let listener = TcpListener::bind(ADDRESS).map_err(|it| format!("{ADDRESS}: {it}"))?;
        let (heard, events) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // What is not answered is posted again.
                if let Ok(event) = take(&stream) {
                    let _ = heard.send(event);
                }
            }
        });
        Ok(Events(events))
    }

    /// Waits for an event and prints those that come before it.
    pub(crate) fn wait_for(&self, action: &str, name: &str) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = self.0.recv_timeout(left).map_err(|_| {
                format!("nobody told of `{action}`: is the server run with server.toml?")
            })?;
            let (done, to) = (&event["action"], &event["target"]["name"]);
            println!("told of {} {}", text(done), text(to));
            if done == action && to == name {
                return Ok(());
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn take(mut stream: &TcpStream) -> io::Result<Value> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    reader.take(length.min(BODY_BYTES_MAX)).read_to_end(&mut body)?;
    let event = serde_json::from_slice(&body)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(event)
}
