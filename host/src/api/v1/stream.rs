//! Answers that go on until the client leaves.
//!
//! They are pulled: what comes next is looked for when the client has taken what came
//! before, so that a slow one is behind and holds nothing.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures::Stream;
use metrics::gauge;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// Server-sent events.
pub(super) const EVENTS: &str = "text/event-stream";
/// The header in which a client that comes back says where it was.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";
/// How long a client that lost its stream waits before it comes back, in milliseconds.
pub(super) const RETRY_MS: u64 = 1000;

/// What the connection may hold of a stream that its client does not take, in pieces.
const PIECES: usize = 2;

/// Where a stream comes from.
pub(super) trait Source: Send + 'static {
    /// The metric that says how many there are.
    const COUNTED: &'static str;

    /// What is sent next, and whether it is the last.
    fn next(&mut self) -> impl Future<Output = (String, bool)> + Send;
}

/// An answer of that type that begins with `first`.
pub(super) fn answer(kind: &'static str, first: String, source: impl Source) -> Response {
    let mut response = Response::new(Body::from_stream(pieces(first, source)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // What a proxy would hold back until it has more.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The event that ends a stream.
pub(super) fn end(reason: &str) -> String {
    format!("event: end\ndata: {}\n\n", json!({ "reason": reason }))
}

/// One more of its kind, in the metrics.
struct Counted(&'static str);

impl Counted {
    fn begin(name: &'static str) -> Counted {
        gauge!(name).increment(1.0);
        Counted(name)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1.0);
    }
}

fn pieces<S: Source>(first: String, source: S) -> impl Stream<Item = Result<Bytes, Error>> {
    let room = Arc::new(Semaphore::new(PIECES));
    let first = Some(first).filter(|it| !it.is_empty());
    let begun = (first, Some(source), room, Counted::begin(S::COUNTED));
    futures::stream::unfold(begun, |(first, source, room, counted)| async move {
        // Waits until the connection has sent what it holds.
        let place = room.clone().acquire_owned().await.ok()?;
        let mut source = source?;
        let (text, is_last) = match first {
            Some(text) => (text, false),
            None => source.next().await,
        };
        let piece = Bytes::from_owner(Piece { text, _place: place });
        Some((Ok(piece), (None, Some(source).filter(|_| !is_last), room, counted)))
    })
}

/// A piece of the stream, which has its place until the connection has sent it.
struct Piece {
    text: String,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}
