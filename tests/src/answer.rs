//! What came back.

use axum::{
    body::{Bytes, to_bytes},
    http::{HeaderMap, Response},
};
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Bytes,
}

impl Answer {
    /// Reads a response to its end. One that has none, a stream of events, is not read.
    pub async fn of(response: Response<axum::body::Body>) -> Answer {
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get("content-type");
        if kind.is_some_and(|it| it == "text/event-stream") {
            let bytes = Bytes::new();
            return Answer { status: parts.status.as_u16(), headers: parts.headers, bytes };
        }
        let bytes = to_bytes(body, usize::MAX).await.expect("the body ends well");
        Answer { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    /// Checks the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("the body is UTF-8")
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let shown = String::from_utf8_lossy(&self.bytes);
        serde_json::from_slice(&self.bytes).unwrap_or_else(|it| panic!("{it}: {shown}"))
    }

    /// A header's value, empty where it is missing.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().expect("the header is text"))
    }
}
