//! Brings requests from the network to the [`Api`]: our own accept loop, since
//! axum's has no limits.
//!
//! What one connection may do is [`super::wire`]'s business; here are the limits on
//! all of them, and the end of the server.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::Request,
    response::Response,
};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use metrics::{counter, gauge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::ServiceExt;

use super::{
    caller::Peer,
    router::Api,
    wire::{Patience, Shared, UnderWay, Wire},
};
use crate::{
    capabilities::address,
    config::{Config, Secret},
    error::{Error, Result},
};

/// Clients that are told at once that there are too many; the others are just cut off.
const TURNED_AWAY_MAX: usize = 64;
const TURNED_AWAY_LIMIT: Duration = Duration::from_secs(1);
const TURNED_AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 31\r\n\r\n\
    too many connections, try again";
/// After the system has run out of something, for instance of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests, whatever happens on the way.
pub trait Answers: Clone + Send + 'static {
    /// Answers one request.
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response> + Send;

    /// Ends the answers that have no end of their own: the server is stopping.
    fn end(&self) {}
}

impl Answers for Api {
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response> + Send {
        Api::answer(self, request)
    }

    fn end(&self) {
        Api::end(self);
    }
}

/// Bare routes, with none of what the [`Api`] does around them: what it costs is
/// measured against these.
impl Answers for Router {
    async fn answer(&self, request: Request<Body>) -> Response {
        let Ok(answer) = self.clone().oneshot(request).await;
        answer
    }
}

/// A socket that clients can reach.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: Config,
}

impl Server {
    /// Takes the address that the settings name.
    ///
    /// Without a password everybody is anonymous, and that must be a loopback address, unless the
    /// settings say that everybody who can reach it may be trusted.
    pub async fn bind(config: &Config) -> Result<Server> {
        let wished = config.listen;
        let known = !config.basic_auth_password.is_empty();
        if !address::is_loopback(wished.ip()) && !known && !config.allow_unauthenticated_network {
            let why = format!(
                "the server would listen on `{wished}`, where others can reach it, while nobody \
                 has to say who they are: listen on a loopback address such as `127.0.0.1:{}`, \
                 set `basic_auth_password`, or set `allow_unauthenticated_network = true` if everybody who can reach it may do \
                 what the policy in force lets `anonymous` do",
                wished.port()
            );
            return Err(Error::invalid("listen", why));
        }
        let listener = TcpListener::bind(wished).await.map_err(|it| cannot_listen(wished, &it))?;
        let address = listener.local_addr().map_err(|it| cannot_listen(wished, &it))?;
        let mut config = config.clone();
        config.basic_auth_password = Secret::default();
        Ok(Server { listener, address, config })
    }

    /// The address taken, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` ends. Then takes no more connections, finishes the requests
    /// that are under way, and cuts off those that take too long.
    pub async fn serve(self, api: impl Answers, stop: impl Future<Output = ()>) {
        let crowd = Crowd::new(&self.config);
        let graceful = GracefulShutdown::new();
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        let mut stop = pin!(stop);
        loop {
            let (stream, remote) = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        pause_after(&error).await;
                        continue;
                    }
                },
                () = &mut stop => break,
            };
            match crowd.enter(remote.ip()) {
                Some(place) => self.connect(&api, &graceful, stream, remote, place),
                None => turn_away(stream, &turned_away),
            }
        }
        drop(self.listener);
        api.end();
        let limit = Duration::from_millis(self.config.timeouts.drain_ms);
        if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
            tracing::warn!(connections = crowd.count(), "requests under way were cut off");
        }
    }

    /// Serves one connection, beside the others.
    fn connect(
        &self,
        api: &impl Answers,
        graceful: &GracefulShutdown,
        stream: TcpStream,
        remote: SocketAddr,
        place: Place,
    ) {
        // Only makes small answers wait for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        let (wire, shared) = Wire::new(stream, Patience::of(&self.config));
        let service = TowerToHyperService::new(Connection { api: api.clone(), shared, remote });
        let connection = http().serve_connection(TokioIo::new(wire), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(%remote, error, "a connection broke off");
            }
        });
    }
}

/// HTTP/1.1 and nothing newer: what a client of HTTP/2 takes, it takes stream by
/// stream, and one that takes nothing looks like one that is there.
fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    // The wire waits for heads; hyper cannot tell a slow head from a quiet client.
    // A client that is done sending still gets its answer.
    http.timer(TokioTimer::new()).header_read_timeout(None).half_close(true);
    http
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program listens on `{address}` already: stop it, or listen elsewhere, for \
             instance on `127.0.0.1:0` for any free port"
        ),
        _ => format!("the server cannot listen on `{address}`: {error}"),
    };
    Error::invalid("listen", why)
}

/// Waits a little where the system, and not the client, is in trouble.
async fn pause_after(error: &io::Error) {
    let client = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
    ];
    if !client.contains(&error.kind()) {
        tracing::error!(%error, "a connection cannot be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Tells a client that there are too many.
fn turn_away(mut stream: TcpStream, turned_away: &Arc<Semaphore>) {
    counter!("chandlery_connections_refused_total").increment(1);
    let Ok(permit) = turned_away.clone().try_acquire_owned() else { return };
    tokio::spawn(async move {
        let _permit = permit;
        let tell = async {
            stream.write_all(TURNED_AWAY).await?;
            stream.shutdown().await?;
            let mut waste = [0; 1024];
            while stream.read(&mut waste).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        // Whether the client listened is its own business.
        let _ = tokio::time::timeout(TURNED_AWAY_LIMIT, tell).await;
    });
}

/// How many connections there are, in all and from each address.
#[derive(Clone)]
struct Crowd(Arc<CrowdState>);

struct CrowdState {
    connections_max: usize,
    per_address_max: usize,
    connections: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One connection's place in the crowd, until it is dropped.
struct Place(Crowd, IpAddr);

impl Crowd {
    fn new(config: &Config) -> Crowd {
        Crowd(Arc::new(CrowdState {
            connections_max: config.limits.connections_max,
            per_address_max: match config.limits.connections_per_address_max {
                0 => usize::MAX,
                max => max,
            },
            connections: Mutex::default(),
        }))
    }

    /// Takes a place, if there is one.
    fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = household(address);
        let mut connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_address) = &mut *connections;
        let here = by_address.get(&address).copied().unwrap_or_default();
        if *all >= self.0.connections_max || here >= self.0.per_address_max {
            return None;
        }
        *all += 1;
        by_address.insert(address, here + 1);
        gauge!("chandlery_connections").set(*all as f64);
        Some(Place(self.clone(), address))
    }

    fn count(&self) -> usize {
        self.0.connections.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.0.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_address) = &mut *connections;
        *all -= 1;
        gauge!("chandlery_connections").set(*all as f64);
        if let Some(here) = by_address.get_mut(&self.1) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&self.1);
            }
        }
    }
}

/// Whom an address belongs to: with IPv6 everybody has at least a /64.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(network).into()
        }
    }
}

/// Answers the requests of one connection.
#[derive(Clone)]
struct Connection<A> {
    api: A,
    shared: Arc<Shared>,
    remote: SocketAddr,
}

impl<A: Answers> tower::Service<Request<Incoming>> for Connection<A> {
    type Response = axum::http::Response<Counted>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let under_way = self.shared.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(self.remote));
        if let Some(refusal) = self.shared.refusal() {
            request.extensions_mut().insert(refusal);
        }
        let api = self.api.clone();
        Box::pin(async move {
            let answer = api.answer(request).await;
            Ok(answer.map(|body| Counted { body, _under_way: under_way }))
        })
    }
}

/// An answer's body. Its request is under way until it is dropped.
struct Counted {
    body: Body,
    _under_way: UnderWay,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
