//! A client over one socket that does as little as it can, so that what is measured
//! is the server.

use std::net::SocketAddr;

use axum::body::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    // How much of the buffer is filled.
    read: usize,
}

impl Connection {
    /// Connects.
    pub async fn to(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("an option of every socket");
        Connection { stream, buffer: vec![0; 64 << 10], read: 0 }
    }

    /// Sends a GET: the status and the body.
    pub async fn get(&mut self, path: &str) -> (u16, Bytes) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    /// Sends a POST with JSON.
    pub async fn post(&mut self, path: &str, json: &str) -> (u16, Bytes) {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{json}",
            json.len()
        );
        self.send(&request).await
    }

    /// Sends a request and reads its answer.
    pub async fn send(&mut self, request: &str) -> (u16, Bytes) {
        self.stream.write_all(request.as_bytes()).await.expect("the server reads");
        self.read = 0;
        let mut at = self.until(0, b"\r\n\r\n").await;
        let head = String::from_utf8_lossy(&self.buffer[..at]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|it| it.parse().ok()).expect("it has a status");
        let field = |name| head.lines().find_map(|it| it.strip_prefix(name));
        if field("transfer-encoding: chunked").is_none() {
            let length = field("content-length: ").map_or(0, |it| it.parse().expect("a number"));
            self.fill(at + length).await;
            return (status, Bytes::copy_from_slice(&self.buffer[at..at + length]));
        }
        let mut body = Vec::new();
        loop {
            let end = self.until(at, b"\r\n").await;
            let size = std::str::from_utf8(&self.buffer[at..end - 2]).expect("a size is text");
            let size = usize::from_str_radix(size, 16).expect("a size is a number");
            self.fill(end + size + 2).await;
            if size == 0 {
                return (status, body.into());
            }
            body.extend_from_slice(&self.buffer[end..end + size]);
            at = end + size + 2;
        }
    }

    /// Reads until `what` is there behind `from`: where it ends.
    async fn until(&mut self, from: usize, what: &[u8]) -> usize {
        loop {
            let here = &self.buffer[from..self.read.max(from)];
            if let Some(at) = here.windows(what.len()).position(|it| it == what) {
                return from + at + what.len();
            }
            self.fill(self.read.max(from) + 1).await;
        }
    }

    /// Reads until so much is there.
    async fn fill(&mut self, end: usize) {
        if self.buffer.len() < end {
            self.buffer.resize(end + (256 << 10), 0);
        }
        while self.read < end {
            let read = self.stream.read(&mut self.buffer[self.read..]).await;
            let read = read.expect("the server answers");
            assert_ne!(read, 0, "the server hung up");
            self.read += read;
        }
    }
}
