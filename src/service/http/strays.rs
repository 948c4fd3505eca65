//! Webhooks that Twilio sends where none is. Twilio's debugger tells its user; our log tells the operator.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::public_url::{STATUS_PATH, WEBHOOK_PATH};

/// Of a path that anybody may have asked for no more is told.
const TOLD: usize = 100;

/// These routes, with a line in the log for a request that looks like Twilio's and was for none of them.
pub(crate) fn told(routes: Router) -> Router {
    routes.layer(middleware::from_fn(tell))
}

async fn tell(request: Request, next: Next) -> Response {
    let signed = request.headers().contains_key("x-twilio-signature");
    let called = signed.then(|| {
        let path: String = request.uri().path().chars().take(TOLD).collect();
        format!("{} {path}", request.method())
    });
    let response = next.run(request).await;
    let astray = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::MISDIRECTED_REQUEST];
    if let Some(called) = called.filter(|_| astray.contains(&response.status())) {
        tracing::warn!(
            error = "no webhook there",
            "Twilio, or somebody in its name, called {called}, where no webhook is: it is POST {WEBHOOK_PATH} (statuses: {STATUS_PATH}), also \
             behind the path of TWILIO_WEBHOOK_PUBLIC_URL"
        );
    }
    response
}
