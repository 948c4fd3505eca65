//! A page that cannot be shown, or an action that was not done, in words.

use std::fmt;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use channel::write_error::WriteError;
use pages::Page;

use super::layout::Layout;
use crate::config::administrators::Administrator;
use crate::http::problem::Problem;

/// Why.
pub(super) struct Failed {
    status: StatusCode,
    title: &'static str,
    text: String,
    who: Option<Administrator>,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    layout: Layout,
    title: &'static str,
    text: String,
}

impl Failed {
    /// There is no such thing, or not any more.
    pub(super) fn missing(text: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Not found", text: text.into(), who: None }
    }

    /// What was asked makes no sense.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            title: "Not understood",
            text: text.into(),
            who: None,
        }
    }

    /// Who asked may not.
    pub(super) fn view_only(who: Administrator) -> Self {
        let text = "Your token may look and not act. Log in with one that has the right `act`.".to_owned();
        Self { status: StatusCode::FORBIDDEN, title: "Nothing was done", text, who: Some(who) }
    }

    /// Nobody's fault but ours, or the database's.
    pub(super) fn of(error: impl fmt::Display) -> Self {
        tracing::warn!(error = %error, "A page could not be shown: {error}");
        let text = format!("{error}. If the database is at fault, `cloudybot check` says what helps.");
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "This does not work just now",
            text,
            who: None,
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::of(error)
    }
}

impl From<WriteError> for Failed {
    fn from(error: WriteError) -> Self {
        Self::of(error)
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        let (status, text) = (problem.status(), problem.in_words());
        Self { status, title: "Nothing was done", text, who: None }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let who = self.who.unwrap_or_else(Administrator::unnamed);
        let layout = Layout { is_live: false, ..Layout::of(&who, "", None) };
        (self.status, Page(FailurePage { layout, title: self.title, text: self.text })).into_response()
    }
}
