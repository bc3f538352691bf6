//! As much of an HTTP client as a tour needs: one request a connection.

use std::{
    error,
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use serde_json::Value;

/// A sentence for whoever takes the tour.
pub(crate) type Result<T, E = Box<dyn error::Error>> = std::result::Result<T, E>;

/// An install waits for its deployment.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server.
pub(crate) struct Client {
    /// `host:port`.
    authority: String,
}

impl Client {
    pub(crate) fn new(url: &str) -> Result<Client> {
        let rest = url.strip_prefix("http://").ok_or_else(|| format!("`{url}` is not http://"))?;
        let authority = rest.trim_end_matches('/').to_owned();
        let authority = if authority.contains(':') { authority } else { format!("{authority}:80") };
        Ok(Client { authority })
    }

    pub(crate) fn get(&self, path: &str) -> Result<String> {
        self.send("GET", path, "", &[])
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send("POST", path, "application/json", body.to_string().as_bytes())?;
        match answer.trim() {
            "" => Ok(Value::Null),
            text => Ok(serde_json::from_str(text)?),
        }
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.send("DELETE", path, "", &[])?)?)
    }

    /// Sends a file as a form, the way the inventory takes it.
    pub(crate) fn upload(&self, path: &str, file: &[u8]) -> Result<()> {
        const BOUNDARY: &str = "----------------hello-from-the-tour";
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"hello\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let body = [head.as_bytes(), file, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send("POST", path, &kind, &body).map(drop)
    }

    /// Sends a request and reads the answer, which must be a good one.
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<String> {
        println!("{method} http://{}{path}", self.authority);
        let mut stream = self.connect()?;
        let kind = match kind {
            "" => String::new(),
            some => format!("Content-Type: {some}\r\n"),
        };
        // HTTP/1.0: the answer ends with the connection, in one piece.
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n{kind}\r\n",
            self.authority,
            body.len()
        )?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is cut off")?;
        let status = head.split_whitespace().nth(1).unwrap_or_default();
        match status.starts_with('2') {
            true => Ok(body.to_owned()),
            false => Err(format!("{method} {path} answers {status}: {body}").into()),
        }
    }

    fn connect(&self) -> Result<TcpStream> {
        let mut last = None;
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        let why = last.map_or_else(|| "no address".to_owned(), |it| it.to_string());
        Err(format!("nobody answers at http://{}: {why}", self.authority).into())
    }
}
