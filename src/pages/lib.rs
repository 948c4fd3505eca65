//! What all web pages of the service share: the style sheet, the script, and the headers that tell a browser to run and load nothing else.
//!
//! Pages work without the script. With it a page follows its own address: it is asked for again when the server's stream of events says so, and
//! what has changed is put in its place, but nothing under a pointer or with the focus moves.

mod assets;
/// Texts as WhatsApp shows them.
pub mod formatting;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

pub use assets::{Asset, SCRIPT, STYLE, routes};

/// What a page may load and do: its own files, its own forms, and nothing inline.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The same for pages that these origins may show in a frame.
#[must_use]
pub fn policy_within(origins: &[String]) -> String {
    if origins.is_empty() {
        return POLICY.to_owned();
    }
    POLICY.replace("frame-ancestors 'none'", &format!("frame-ancestors {}", origins.join(" ")))
}

/// A page: what its template gives, with the headers of all pages.
#[derive(Debug)]
pub struct Page<T>(pub T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(text) => {
                let headers = [
                    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
                    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
                    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
                ];
                (headers, text).into_response()
            }
            Err(error) => {
                tracing::error!(error = %error, "Could not write a page: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, "this page cannot be written; the log says why\n")
                    .into_response()
            }
        }
    }
}
