//! Connections: who may hold one, for how long, and what becomes of them when the daemon stops.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, warn};

use super::{Listener, body::Arriving, patient::Patient};
use crate::{config, ports::Daemon};

/// The longest head of a request, in bytes; a longer one is answered with 431.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The most headers of a request; more are answered with 431.
const HEADERS_MAX: usize = 64;

/// How long an answer may wait for the other end to take some of it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// After a connection could not be accepted (no file descriptor is free), the next is tried so much later.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// That all places are taken is logged no more often than this.
const FULL_TOLD_INTERVAL: Duration = Duration::from_secs(60);

/// When the daemon stops, the rest of a request that is on its way already may still come within this time.
const STOP_GRACE: Duration = Duration::from_millis(200);

/// The connections of all listeners.
#[derive(Clone)]
pub(super) struct Connections {
    places: Arc<Semaphore>,
    max: usize,
    daemon: Arc<dyn Daemon>,
    told_full: Arc<Mutex<Option<Instant>>>,
    head: Duration,
    body_seconds: u64,
    drain: CancellationToken,
    tasks: TaskTracker,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepting {
    fn new(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Listener::Unix(listener, _) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    async fn next(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are short and written whole.
                let _ = stream.set_nodelay(true);
                Box::new(stream)
            }
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

impl Connections {
    pub(super) fn new(
        http: &config::Http,
        daemon: Arc<dyn Daemon>,
        drain: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            places: Arc::new(Semaphore::new(http.connections_max)),
            max: http.connections_max,
            daemon,
            told_full: Arc::default(),
            head: Duration::from_secs(http.header_seconds),
            body_seconds: http.body_seconds,
            drain,
            tasks,
        }
    }

    /// Answers what comes in here until the daemon stops, as a task of its own.
    ///
    /// # Errors
    /// Where the socket cannot be listened to.
    pub(super) fn answer(&self, listener: Listener, router: Router) -> io::Result<()> {
        let (accepting, connections) = (Accepting::new(listener)?, self.clone());
        self.tasks.spawn(async move {
            connections.drain.run_until_cancelled(connections.accept(&accepting, &router)).await;
        });
        Ok(())
    }

    async fn accept(&self, accepting: &Accepting, router: &Router) {
        loop {
            let stream = match accepting.next().await {
                Ok(stream) => stream,
                Err(problem) => {
                    warn!(error = %problem, "a connection cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Where all places are taken, this connection waits here and the next ones in the system's queue; whoever has a
            // place loses it in time.
            let Some(place) = self.place().await else { return error!("the HTTP interface ended") };
            self.tasks.spawn(self.clone().connection(stream, router.clone(), place));
        }
    }

    /// A place for a connection, as soon as there is one; `None` never comes while the daemon runs.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let mut told = self.told_full.lock().await;
        let is_news = told.is_none_or(|told| told.elapsed() > FULL_TOLD_INTERVAL);
        if is_news {
            *told = Some(Instant::now());
        }
        drop(told);
        self.daemon.connections_full(self.max, is_news);
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    async fn connection(self, stream: Box<dyn Stream>, router: Router, _place: OwnedSemaphorePermit) {
        // Whether all of the request at hand has arrived: only then is it worth an answer when the daemon stops.
        let whole = Arc::new(watch::Sender::new(false));
        let mut is_whole = whole.subscribe();
        let routes = TowerToHyperService::new(router);
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let whole = Arc::clone(&whole);
            let request = request.map(|body| Body::new(Arriving::new(body, self.body_seconds, Arc::clone(&whole))));
            let answer = hyper::service::Service::call(&routes, request);
            async move {
                let answer: Result<_, Infallible> = answer.await;
                whole.send_replace(true);
                answer
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head)
            .max_header_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(Patient::new(stream, ANSWER_PATIENCE)), service);
        let mut served = std::pin::pin!(served);
        tokio::select! {
            ended = served.as_mut() => return told(ended),
            () = self.drain.cancelled() => served.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            ended = served.as_mut() => return told(ended),
            // Half a request is not waited for; who sent it was told nothing, and sends it again.
            waited = timeout(STOP_GRACE, is_whole.wait_for(|whole| *whole)) => if waited.is_err() { return },
        }
        told(served.await);
    }
}

/// What broke off, or was no HTTP, is the other end's affair.
fn told(ended: hyper::Result<()>) {
    if let Err(problem) = ended {
        debug!(error = %problem, "a connection broke off");
    }
}
