//! Serves HTTP, and can close a connection without an answer, which an axum server cannot.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::api_error::ApiError;
use crate::state::SandboxState;
use crate::{
    cdn, configuration, control, create, inbound, list, media, page, recording, resource, same_origin, typing,
};

/// Put into a response's extensions, it closes the connection instead.
#[derive(Clone)]
pub(crate) struct Hangup;

impl IntoResponse for Hangup {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Debug, thiserror::Error)]
#[error("closed on request")]
struct Closed;

pub(crate) async fn serve(listener: TcpListener, sandbox: Arc<SandboxState>) {
    let router = router(sandbox.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sandbox.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream, router.clone(), sandbox.clone()))),
            // Out of file descriptors, say: it passes.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn answer(stream: TcpStream, router: Router, sandbox: Arc<SandboxState>) {
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            if !names_this_machine(&request) {
                return Ok(misdirected());
            }
            let Ok(response) = router.oneshot(request.map(axum::body::Body::new)).await;
            if response.extensions().get::<Hangup>().is_some() { Err(Closed) } else { Ok(response) }
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        () = sandbox.stop.cancelled() => {}
    }
}

/// Nobody has to sign in here, and a web page can give its own name our address (DNS rebinding). The name is what it cannot change.
fn names_this_machine(request: &hyper::Request<Incoming>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = host.and_then(|host| host.parse::<Authority>().ok()) else { return false };
    let name = authority.host().to_ascii_lowercase();
    match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

fn misdirected() -> Response {
    let reason = "the sandbox is for this machine: call it 127.0.0.1 or localhost\n";
    (StatusCode::MISDIRECTED_REQUEST, reason).into_response()
}

fn router(sandbox: Arc<SandboxState>) -> Router {
    let account = Router::new()
        .route("/Messages.json", post(create::create).get(list::list))
        .route("/Messages/{sid}", get(resource::fetch).post(resource::update).delete(resource::delete))
        .route("/Messages/{message}/Media.json", get(media::list))
        .route("/Messages/{message}/Media/{media}", get(media::fetch).delete(media::delete))
        .route("/Messages/{message}/Feedback.json", post(resource::feedback))
        .layer(axum::middleware::from_fn_with_state(sandbox.clone(), resource::authenticate))
        .layer(axum::middleware::map_response(twilio_headers))
        .layer(axum::middleware::from_fn_with_state(sandbox.clone(), recording::record));
    let products = Router::new()
        .route("/v1/Content/{sid}/ApprovalRequests", get(configuration::approval))
        .route("/v1/Webhooks/Rules", get(configuration::rules))
        .route("/v1/Webhooks/Settings", get(configuration::settings))
        .route("/v3/Indicators/Typing.json", post(typing::show))
        .layer(axum::middleware::map_response(twilio_headers))
        .layer(axum::middleware::from_fn_with_state(sandbox.clone(), recording::record));
    let media = Router::new()
        .route("/sandbox/media", post(media::put).put(media::put))
        .layer(DefaultBodyLimit::max(media::SIZE_LIMIT_BYTES));
    let control = Router::new()
        .merge(page::routes())
        .route("/sandbox/inbound", post(inbound::inject))
        .route("/sandbox/messages", get(control::messages).delete(control::clear))
        .route("/sandbox/faults", get(control::faults).put(control::set_faults).delete(control::no_faults))
        .layer(axum::middleware::map_response(browser_headers));
    Router::new()
        .nest("/2010-04-01/Accounts/{account}", account)
        .merge(products)
        .merge(media)
        .route("/sandbox/cdn/{link}", get(cdn::file))
        .merge(control)
        .merge(pages::routes(&[pages::STYLE, page::SCRIPT]))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(same_origin::check))
        .with_state(sandbox)
}

async fn not_found(request: Request) -> Response {
    ApiError::not_found(request.uri().path()).into_response()
}

async fn method_not_allowed(request: Request) -> Response {
    let reason = format!("The sandbox has no {} {}", request.method(), request.uri().path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, 20004, reason).into_response()
}

/// A browser keeps nothing of what people said, and takes it for nothing else than it is.
async fn browser_headers(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What Twilio adds to every answer of its API.
async fn twilio_headers(mut response: Response) -> Response {
    let request_id = format!("RQ{}", crate::resource::random_hex());
    if let Ok(value) = request_id.parse() {
        response.headers_mut().insert("Twilio-Request-Id", value);
    }
    response.headers_mut().insert("Twilio-Concurrent-Requests", 1.into());
    response
}
