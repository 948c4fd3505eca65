//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::bodies::{AnswerBody, RequestBody};
use super::places::ConnectionPlace;
use super::progress::Progress;
use super::watched_stream::WatchedStream;
use super::{ConnectionLimits, Stop};

/// In a request's extensions: the address of ours to which its client is connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalAddress(pub(crate) SocketAddr);

/// What every connection of a listener shares.
#[derive(Clone)]
pub(super) struct ListenerState {
    /// Who answers. Its state is set, so a clone costs nothing.
    pub(super) router: Router,
    pub(super) limits: ConnectionLimits,
    pub(super) stop: Stop,
}

/// Serves a connection until it ends, is too slow, or is evicted. After the stop has begun, a request that has is still answered.
pub(super) async fn serve<S>(stream: S, local: SocketAddr, place: ConnectionPlace, shared: ListenerState)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (limits, progress) = (shared.limits, place.progress.clone());
    let mut ended = pin!(exchange(stream, local, &place, shared));
    let mut deadline = Deadline { progress, limits, timer: None };
    tokio::select! {
        () = place.evicted.cancelled() => {}
        // Polled together, since each step of the exchange may move the deadline.
        () = poll_fn(|cx| if ended.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { deadline.poll(cx) }) => {}
    }
}

/// Reads requests and writes answers.
async fn exchange<S>(stream: S, local: SocketAddr, place: &ConnectionPlace, shared: ListenerState)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ListenerState { router, limits, stop } = shared;
    let progress = &place.progress;
    let stream = TokioIo::new(WatchedStream::new(stream, progress.clone()));
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        progress.head_came(!request.body().is_end_stream());
        let gather = |incoming| RequestBody::new(incoming, progress.clone(), place.body(), limits.body_bytes);
        let request = request.map(|incoming| Body::new(gather(incoming)));
        answer(request, router.clone(), local, progress.clone(), stop.announced.clone())
    });
    let connection = http1::Builder::new()
        // The deadline is ours: hyper's knows no difference between silence and a slow head.
        .header_read_timeout(None)
        .max_header_size(limits.client.head_limit_bytes)
        .max_buf_size(limits.client.head_limit_bytes)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    tokio::select! {
        // An error is the client's: it hung up, or speaks something else.
        _ = connection.as_mut() => return,
        () = stop.begun.cancelled() => {}
    }
    if !progress.is_silent() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

async fn answer(
    mut request: Request<Body>,
    router: Router,
    local: SocketAddr,
    progress: Progress,
    is_last: CancellationToken,
) -> Result<Response<AnswerBody>, Infallible> {
    request.extensions_mut().insert(LocalAddress(local));
    let mut response = router.oneshot(request).await?;
    if is_last.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| AnswerBody::new(body, progress)))
}

/// Comes when we have waited for the client for too long.
struct Deadline {
    progress: Progress,
    limits: ConnectionLimits,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.progress.deadline(&self.limits) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests;
