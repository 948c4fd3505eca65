//! Keeps the service's calls of Twilio's API for whoever looks at them, with what they were answered.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{self, Request};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::clock;
use crate::exchanges::{Exchange, ExchangeKind, Outcome, Try};
use crate::server::Hangup;
use crate::state::SandboxState;

/// Of a call's body; Twilio's forms are far smaller.
const BODY_LIMIT_BYTES: usize = 2 << 20;

pub(crate) async fn record(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    // The path of the whole request: a nested router sees the rest alone.
    let uri = parts.extensions.get::<extract::OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let mut fields: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    fields.extend(body_fields(content_type.unwrap_or_default(), &body));
    let exchange =
        Exchange::new(ExchangeKind::Call, clock::now(), parts.method.as_str(), uri.path(), &fields);
    let call = Call { id: sandbox.begin_exchange(exchange), begun: Instant::now(), sandbox, is_over: false };

    let response = next.run(Request::from_parts(parts, Body::from(body))).await;

    if response.extensions().get::<Hangup>().is_some() {
        call.end(Outcome::Unanswered("the connection was closed on request".to_owned()));
        return response;
    }
    let (parts, body) = response.into_parts();
    // Twilio's answers are in memory as a whole; none of them streams.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    call.end(Outcome::answered(parts.status.as_u16(), &String::from_utf8_lossy(&body)));
    Response::from_parts(parts, Body::from(body))
}

fn body_fields(content_type: &str, body: &Bytes) -> Vec<(String, String)> {
    if content_type.starts_with("application/x-www-form-urlencoded") {
        return url::form_urlencoded::parse(body).into_owned().collect();
    }
    let text = String::from_utf8_lossy(body);
    if text.is_empty() { Vec::new() } else { vec![("body".to_owned(), text.into_owned())] }
}

/// A call that is under way. Dropped, its client has gone.
struct Call {
    sandbox: Arc<SandboxState>,
    id: u64,
    begun: Instant,
    is_over: bool,
}

impl Call {
    fn end(mut self, outcome: Outcome) {
        self.note(outcome);
    }

    fn note(&mut self, outcome: Outcome) {
        self.is_over = true;
        self.sandbox.exchange_tried(self.id, Try { took: self.begun.elapsed(), outcome }, true);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_over {
            self.note(Outcome::Unanswered("the client gave up before the answer".to_owned()));
        }
    }
}
