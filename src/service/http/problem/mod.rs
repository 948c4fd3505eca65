//! Errors of `/v1` and `/admin/api`: `application/problem+json` (RFC 9457). Every status code of those routes comes from here.

/// What the rules refuse.
mod refusals;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::ids::{CellName, InvalidUserId};

/// The content type of every refusal.
pub(crate) const CONTENT_TYPE: &str = "application/problem+json";

/// Why a request was not done, and what would help.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// The HTTP status code.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The status in words.
    title: &'static str,
    /// What is wrong with this request, and the remedy.
    detail: String,
    /// The reason in a word, for a program, where a status has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<&'static str>,
    /// The cell to ask, where the user belongs to another one than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    cell: Option<Box<CellName>>,
    /// Names that would have been right.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schema(required = false, value_type = Vec<String>)]
    known: Box<[String]>,
    /// All that is wrong with a file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<String>,
    /// How many things fit a filter now, where another number was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    fitting: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            status: status.as_u16(),
            title,
            detail: detail.into(),
            code: None,
            cell: None,
            known: Box::default(),
            errors: Vec::new(),
            fitting: None,
        }
    }

    /// 400, or what else the extractor found: the request cannot be read.
    pub(crate) fn unreadable(status: StatusCode, detail: String) -> Self {
        Self::new(status, detail)
    }

    /// 400: it cannot be read. The detail names the parameter.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: no token, or a wrong one.
    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// The status code.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What is wrong, with the names that would have been right.
    pub(crate) fn in_words(&self) -> String {
        match &self.known[..] {
            [] => self.detail.clone(),
            known => format!("{}; known are {}", self.detail, known.join(", ")),
        }
    }

    /// 403: the request is understood, and the answer is no. `code` is the reason for a program.
    pub(crate) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail).with_code(code)
    }

    /// 409: it does not fit what is there. `code` is the reason for a program.
    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail).with_code(code)
    }

    /// 409: a filter fits another number of things than the caller has confirmed.
    pub(crate) fn unexpected_number(expected: i64, fitting: i64) -> Self {
        let detail = format!(
            "{fitting} fit now, {expected} were expected: look again, then say \"expected\": {fitting}"
        );
        Self {
            fitting: Some(u32::try_from(fitting).unwrap_or(u32::MAX)),
            ..Self::conflict("unexpected_number", detail)
        }
    }

    fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// 404: what the path names is not there.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 404: nobody has this id.
    pub(crate) fn no_such_user() -> Self {
        Self::not_found("no such user; create it with PUT /v1/users/{user}")
    }

    /// 405: the path is there, the method is not.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods; see /openapi.json")
    }

    /// 421: the request was meant for another host, or for another cell.
    pub(crate) fn misdirected(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, detail)
    }

    /// 422: it can be read, and makes no sense. The detail names the field.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 503: the database is away or takes no writes; 500: it refuses our statement, which is an error of ours. Logged here, since no caller can do
    /// more about it.
    pub(crate) fn of_database(error: &sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        let Some(code) = code else {
            let is_away = matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::Protocol(_)
            );
            return if is_away {
                Self::unavailable(error, "the database does not answer; try again")
            } else {
                Self::ours(error)
            };
        };
        // Of the classes of SQLSTATE: connection, resources, an operator's stop, the system; and read-only, deadlock, serialization.
        match &*code {
            "25006" => Self::unavailable(error, "the database is read-only; try again"),
            "53100" => Self::unavailable(error, "the database's disk is full; try again"),
            code if ["08", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class)) => {
                Self::unavailable(error, "the database cannot do it now; try again")
            }
            _ => Self::ours(error),
        }
    }

    fn unavailable(error: &sqlx::Error, detail: &str) -> Self {
        tracing::error!(error = %error, "A request was not answered, the database said: {error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    fn ours(error: &sqlx::Error) -> Self {
        tracing::error!(error = %error, "A request failed by an error of ours, the database said: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "an error of the service itself; its log tells more")
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl From<InvalidUserId> for Problem {
    fn from(wrong: InvalidUserId) -> Self {
        Self::invalid(format!("user: {wrong}"))
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::of_database(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).expect("texts are JSON");
        let mut response = (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}
