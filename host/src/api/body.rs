//! A request's body, with an eye on how fast it comes and whether it comes whole.
//!
//! Only time spent waiting for the client counts, so that a handler may take its
//! own time over each piece.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, http::StatusCode};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::config::Config;

/// What became of a body.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

/// Why a body did not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It came too slowly.
    Slow = 1,
    /// It ended too early.
    Cut = 2,
}

impl Trouble {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Trouble::Slow => StatusCode::REQUEST_TIMEOUT,
            Trouble::Cut => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) fn why(self) -> &'static str {
        match self {
            Trouble::Slow => "the body of the request came too slowly",
            Trouble::Cut => "the body of the request ended too early",
        }
    }
}

impl Progress {
    /// What went wrong with the body, if anything.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(Trouble::Slow),
            2 => Some(Trouble::Cut),
            _ => None,
        }
    }
}

/// Watches over a body.
pub(super) fn paced(body: Body, config: &Config) -> (Body, Progress) {
    let progress = Progress::default();
    if body.is_end_stream() {
        return (body, progress);
    }
    let window = Duration::from_millis(config.timeouts.body_ms);
    let rate = config.limits.body_bytes_per_second_min as f64;
    let paced = Paced {
        body,
        progress: progress.clone(),
        window,
        bytes_min: (rate * window.as_secs_f64()) as u64,
        left: window,
        bytes: 0,
        waiting: None,
    };
    (Body::new(paced), progress)
}

struct Paced {
    body: Body,
    progress: Progress,
    /// The waiting over which the rate is judged, and what must come within it.
    window: Duration,
    bytes_min: u64,
    /// Of this window.
    left: Duration,
    bytes: u64,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Paced {
    fn arrived(&mut self) {
        if let Some((since, _)) = self.waiting.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// Ready when too little came while we waited for a whole window.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let left = self.left;
            let (_, sleep) = self
                .waiting
                .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
            ready!(sleep.as_mut().poll(context));
            if self.bytes < self.bytes_min {
                return Poll::Ready(());
            }
            (self.waiting, self.left, self.bytes) = (None, self.window, 0);
        }
    }

    fn trouble(&self, trouble: Trouble) {
        self.progress.0.store(trouble as u8, Ordering::Relaxed);
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.arrived();
                this.bytes += frame.data_ref().map_or(0, |it| it.len() as u64);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.trouble(Trouble::Cut);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(this.poll_patience(context));
                this.trouble(Trouble::Slow);
                Poll::Ready(Some(Err(axum::Error::new(Trouble::Slow.why()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
