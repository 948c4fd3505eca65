//! What requests bring, read at the edge. Whatever cannot be read is refused with a problem that names the field.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::openapi::operations::Operation;
use super::problem::Problem;

/// The pattern of texts that may have any character but NUL, which neither the database nor a phone takes.
pub(crate) const NO_NUL: &str = r"^[^\x00]*$";

/// A JSON body, within the bounds of its description.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, bytes) = received(request).await?;
        read(parts, bytes).await.map(Self)
    }
}

/// A JSON body that may be left out altogether.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, bytes) = received(request).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        read(parts, bytes).await.map(Self)
    }
}

async fn received(request: Request) -> Result<(Parts, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    Ok((parts, bytes))
}

async fn read<T: DeserializeOwned>(parts: Parts, bytes: Bytes) -> Result<T, Problem> {
    let operation = parts.extensions.get::<Arc<Operation>>().cloned();
    let request = Request::from_parts(parts, Body::from(bytes.clone()));
    let axum::Json(value) = axum::Json::from_request(request, &()).await?;
    if let (Some(operation), Ok(body)) = (operation, serde_json::from_slice(&bytes)) {
        operation.check_body(&body)?;
    }
    Ok(value)
}

/// The query string.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(crate) struct Query<T>(pub(crate) T);

/// Parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub(crate) T);

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::unreadable(rejection.status(), rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::unreadable(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::unreadable(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::unreadable(rejection.status(), rejection.body_text())
    }
}
