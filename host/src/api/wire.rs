//! One connection, between the socket and hyper: reads heads before hyper does,
//! refuses what could be misread, and loses patience with clients that are slow.
//!
//! A read never goes over the end of a message, so what the wire says of a head is
//! about the request that hyper makes of it. Instead of a head that is refused
//! hyper is given a harmless one, and the refusal waits in [`Shared`] for the
//! request that comes of it: so every refusal is answered, counted and logged like
//! any other request, with an id.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::http::StatusCode;
use bytes::{Buf, BytesMut};
use futures::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_util::io::poll_read_buf;

use super::framing::{self, Chunks, Frame, Refusal};
use crate::config::Config;

const BUFFER_BYTES: usize = 8 << 10;
/// How long a client may still send what nobody reads, so that it gets to read the
/// answer.
const LINGER: Duration = Duration::from_secs(2);

/// What the wire and the requests on it know of each other.
#[derive(Default)]
pub(super) struct Shared {
    refusal: Mutex<Option<Refusal>>,
    under_way: AtomicUsize,
    quiet: AtomicWaker,
}

/// A request on the connection, until its answer is through.
pub(super) struct UnderWay(Arc<Shared>);

impl Shared {
    /// Counts a request in.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(self.clone())
    }

    /// Why the request that has just come is refused, if it is.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_quiet(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) == 0
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.quiet.wake();
        }
    }
}

/// How long the wire waits for what.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    head: Duration,
    idle: Duration,
    write: Duration,
    head_bytes_max: usize,
}

impl Patience {
    pub(super) fn of(config: &Config) -> Patience {
        Patience {
            head: Duration::from_millis(config.timeouts.head_ms),
            idle: Duration::from_millis(config.timeouts.idle_ms),
            write: Duration::from_millis(config.timeouts.write_ms),
            head_bytes_max: config.limits.head_bytes_max,
        }
    }
}

/// The connection.
pub(super) struct Wire {
    stream: TcpStream,
    shared: Arc<Shared>,
    patience: Patience,
    buffer: BytesMut,
    phase: Phase,
    /// Of the buffer, what has been looked through for the end of a head.
    scanned: usize,
    first: bool,
    waiting: Alarm,
    waiting_for: Waiting,
    writing: Alarm,
    lingering: Alarm,
}

enum Phase {
    /// A head is coming.
    Head,
    /// So much of the buffer is a head; then its body comes.
    Deliver(usize, Next),
    /// So much of a body is still to come.
    Length(u64),
    /// A chunked body; so much of the buffer is known to be part of it.
    Chunked(Chunks, usize),
    /// Nothing that follows is read.
    Over,
}

enum Next {
    Body(Frame),
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Head,
    Idle,
    Nothing,
}

/// A timer that is set when it is first waited for.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    fn poll(&mut self, limit: Duration, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        sleep.as_mut().poll(context)
    }

    fn reset(&mut self) {
        self.0 = None;
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream, patience: Patience) -> (Wire, Arc<Shared>) {
        let shared = Arc::<Shared>::default();
        let wire = Wire {
            stream,
            shared: shared.clone(),
            patience,
            buffer: BytesMut::new(),
            phase: Phase::Head,
            scanned: 0,
            first: true,
            waiting: Alarm::default(),
            waiting_for: Waiting::Nothing,
            writing: Alarm::default(),
            lingering: Alarm::default(),
        };
        (wire, shared)
    }

    /// Reads until a head is whole or refused. False at the end of the connection.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            self.skip_empty_lines();
            if let Some(end) = framing::head_end(&self.buffer, self.scanned) {
                self.head(end);
                return Poll::Ready(Ok(true));
            }
            self.scanned = self.buffer.len();
            if self.buffer.len() > self.patience.head_bytes_max {
                self.refuse(too_large(&self.buffer, self.patience.head_bytes_max));
                return Poll::Ready(Ok(true));
            }
            self.buffer.reserve(BUFFER_BYTES);
            match poll_read_buf(Pin::new(&mut self.stream), context, &mut self.buffer) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(false)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.poll_patience(context));
                    if self.buffer.is_empty() {
                        return Poll::Ready(Ok(false));
                    }
                    let why = "the head of the request took too long";
                    self.refuse(Refusal::new(StatusCode::REQUEST_TIMEOUT, why));
                    return Poll::Ready(Ok(true));
                }
            }
        }
    }

    /// Clients may send an empty line between requests.
    fn skip_empty_lines(&mut self) {
        let empty = self.buffer.iter().take_while(|it| matches!(it, b'\r' | b'\n')).count();
        if empty > 0 {
            self.buffer.advance(empty);
            self.scanned = 0;
        }
    }

    fn head(&mut self, end: usize) {
        self.first = false;
        self.scanned = 0;
        self.wait_for(Waiting::Nothing);
        if end > self.patience.head_bytes_max {
            return self.refuse(too_large(&self.buffer[..end], self.patience.head_bytes_max));
        }
        let end = match framing::encoded(&self.buffer[..end]) {
            Some(head) => {
                let behind = self.buffer.split_off(end);
                self.buffer = BytesMut::from(&*head);
                self.buffer.unsplit(behind);
                head.len()
            }
            None => end,
        };
        match framing::read_head(&self.buffer[..end]) {
            Ok(frame) => self.phase = Phase::Deliver(end, Next::Body(frame)),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Gives hyper a harmless head, and the refusal to the request that comes of it.
    fn refuse(&mut self, refusal: Refusal) {
        let (method, target) = match &refusal.line {
            Some((method, target)) => (method.as_str(), target.as_str()),
            None => ("GET", "/"),
        };
        let head =
            format!("{method} {target} HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n");
        self.buffer.clear();
        self.buffer.extend_from_slice(head.as_bytes());
        self.phase = Phase::Deliver(head.len(), Next::Over);
        *self.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    /// Ready when the client has been waited for long enough. While a request is
    /// under way the client owes us nothing.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let begun = matches!(self.phase, Phase::Head) && (self.first || !self.buffer.is_empty());
        if !begun && !self.shared.is_quiet() {
            self.wait_for(Waiting::Nothing);
            self.shared.quiet.register(context.waker());
            if !self.shared.is_quiet() {
                return Poll::Pending;
            }
        }
        let (waiting, limit) = match begun {
            true => (Waiting::Head, self.patience.head),
            false => (Waiting::Idle, self.patience.idle),
        };
        self.wait_for(waiting);
        self.waiting.poll(limit, context)
    }

    fn wait_for(&mut self, waiting: Waiting) {
        if self.waiting_for != waiting {
            self.waiting_for = waiting;
            self.waiting.reset();
        }
    }

    /// Reads at most `limit` bytes of a body straight into hyper's buffer.
    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        limit: u64,
    ) -> Poll<io::Result<u64>> {
        if !self.buffer.is_empty() {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            return Poll::Ready(Ok(self.hand_over(out, limit) as u64));
        }
        let before = out.filled().len();
        ready!(Pin::new(&mut (&mut self.stream).take(limit)).poll_read(context, out))?;
        Poll::Ready(Ok((out.filled().len() - before) as u64))
    }

    /// Moves at most `limit` bytes from the buffer to hyper's.
    fn hand_over(&mut self, out: &mut ReadBuf<'_>, limit: usize) -> usize {
        let count = limit.min(self.buffer.len()).min(out.remaining());
        out.put_slice(&self.buffer[..count]);
        self.buffer.advance(count);
        count
    }

    /// Whether there may be bytes that nobody will read.
    fn has_unread(&self) -> bool {
        !matches!(self.phase, Phase::Head) || !self.buffer.is_empty()
    }
}

/// What is too large: the first line alone, or all of them together.
fn too_large(head: &[u8], head_bytes_max: usize) -> Refusal {
    match head.iter().take(head_bytes_max).any(|it| *it == b'\n') {
        true => Refusal::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the head of the request is too large",
        ),
        false => Refusal::new(StatusCode::URI_TOO_LONG, "the path is too long"),
    }
}

fn body(frame: Frame) -> Phase {
    match frame {
        Frame::Length(0) => Phase::Head,
        Frame::Length(length) => Phase::Length(length),
        Frame::Chunked => Phase::Chunked(Chunks::default(), 0),
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.phase, Phase::Over) {
                Phase::Head => {
                    this.phase = Phase::Head;
                    if !ready!(this.poll_head(context))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Phase::Deliver(left, next) => {
                    let left = left - this.hand_over(out, left);
                    this.phase = match (left, next) {
                        (0, Next::Body(frame)) => body(frame),
                        (0, Next::Over) => Phase::Over,
                        (left, next) => Phase::Deliver(left, next),
                    };
                    return Poll::Ready(Ok(()));
                }
                Phase::Length(left) => {
                    this.phase = Phase::Length(left);
                    let read = ready!(this.poll_body(context, out, left))?;
                    this.phase = match left - read {
                        0 => Phase::Head,
                        left => Phase::Length(left),
                    };
                    return Poll::Ready(Ok(()));
                }
                Phase::Chunked(chunks, 0) if chunks.is_over() => this.phase = Phase::Head,
                Phase::Chunked(chunks, known) if known > 0 => {
                    let known = known - this.hand_over(out, known);
                    this.phase = Phase::Chunked(chunks, known);
                    return Poll::Ready(Ok(()));
                }
                Phase::Chunked(mut chunks, _) => {
                    if this.buffer.is_empty() {
                        this.buffer.reserve(BUFFER_BYTES);
                        let read =
                            poll_read_buf(Pin::new(&mut this.stream), context, &mut this.buffer);
                        let Poll::Ready(read) = read else {
                            this.phase = Phase::Chunked(chunks, 0);
                            return Poll::Pending;
                        };
                        if read? == 0 {
                            return Poll::Ready(Ok(()));
                        }
                    }
                    // A body that is no chunked body ends here: hyper reports it cut
                    // off, and nothing behind it is taken for a request.
                    match chunks.advance(&this.buffer) {
                        Ok(known) => this.phase = Phase::Chunked(chunks, known),
                        Err(framing::Malformed) => return Poll::Ready(Ok(())),
                    }
                }
                Phase::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Wire {
    /// Passes a write's outcome on, unless the client has taken nothing for too long.
    fn unless_stalled<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.reset();
            return written;
        }
        ready!(self.writing.poll(self.patience.write, context));
        let why = "the client took nothing of the answer for too long";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.unless_stalled(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.unless_stalled(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    /// Closing a socket with unread bytes makes the kernel throw away what the
    /// client has not read yet, such as the answer that says why: so what still
    /// comes is read, for a while.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        if !this.has_unread() {
            return Poll::Ready(Ok(()));
        }
        let mut waste = [0; 4096];
        loop {
            let mut waste = ReadBuf::new(&mut waste);
            match Pin::new(&mut this.stream).poll_read(context, &mut waste) {
                Poll::Ready(Ok(())) if !waste.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return this.lingering.poll(LINGER, context).map(Ok),
            }
            if this.lingering.poll(LINGER, context).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    async fn wire(config: &Config) -> (TcpStream, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (client, Wire::new(server, Patience::of(config)).0)
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let mut config = Config::default();
        config.timeouts.write_ms = 50;
        let (_client, mut wire) = wire(&config).await;
        let much = vec![0; 64 << 20];
        let error = wire.write_all(&much).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_read_never_goes_over_the_end_of_a_message() {
        let (mut client, mut wire) = wire(&Config::default()).await;
        let pieces = [
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
            "abc",
            "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "GET /c HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        client.write_all(pieces.concat().as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut buffer = [0; 4096];
        for piece in pieces {
            let count = wire.read(&mut buffer).await.unwrap();
            assert_eq!(std::str::from_utf8(&buffer[..count]), Ok(piece));
        }
        assert_eq!(wire.read(&mut buffer).await.unwrap(), 0);
    }
}
