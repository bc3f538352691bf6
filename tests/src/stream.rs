//! An answer that goes on: server-sent events.

use axum::{
    body::{Body, BodyDataStream},
    http::{HeaderMap, Response},
};
use futures::StreamExt;
use serde_json::Value;
use tokio::time::timeout;

use crate::{Answer, PATIENCE};

/// A stream of server-sent events, read as it comes.
pub struct EventStream {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: BodyDataStream,
    text: String,
}

/// What stands between two empty lines of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The `id`.
    pub id: Option<String>,
    /// The `event`.
    pub event: Option<String>,
    /// The `data`.
    pub data: Option<String>,
}

impl Block {
    /// Reads one.
    pub fn read(text: &str) -> Block {
        let mut block = Block::default();
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => block.id = Some(id.to_owned()),
                Some(("event", event)) => block.event = Some(event.to_owned()),
                Some(("data", data)) => block.data = Some(data.to_owned()),
                _ => {}
            }
        }
        block
    }

    /// The data as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let data = self.data.as_deref().expect("it has data");
        serde_json::from_str(data).unwrap_or_else(|it| panic!("{it}: {data}"))
    }
}

impl EventStream {
    pub(crate) fn of(response: Response<Body>) -> EventStream {
        let (parts, body) = response.into_parts();
        EventStream {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.into_data_stream(),
            text: String::new(),
        }
    }

    /// The next block; none when the stream has ended.
    pub async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = Block::read(block);
                self.text = rest.to_owned();
                return Some(block);
            }
            let piece = timeout(PATIENCE, self.body.next()).await.expect("something comes");
            let piece = piece?.expect("the stream does not break");
            self.text.push_str(std::str::from_utf8(&piece).expect("it is UTF-8"));
        }
    }

    /// The next block with data.
    pub async fn event(&mut self) -> Option<Block> {
        loop {
            let block = self.block().await?;
            if block.data.is_some() {
                return Some(block);
            }
        }
    }

    /// The next line of a stream that is plain text; none when it has ended.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = line.to_owned();
                self.text = rest.to_owned();
                return Some(line);
            }
            let piece = timeout(PATIENCE, self.body.next()).await.expect("something comes");
            let piece = piece?.expect("the stream does not break");
            self.text.push_str(std::str::from_utf8(&piece).expect("it is UTF-8"));
        }
    }

    /// An answer that has an end after all.
    pub async fn answer(mut self) -> Answer {
        let mut bytes = Vec::new();
        while let Some(piece) = timeout(PATIENCE, self.body.next()).await.expect("it ends") {
            bytes.extend_from_slice(&piece.expect("the answer does not break"));
        }
        Answer { status: self.status, headers: self.headers, bytes: bytes.into() }
    }
}
