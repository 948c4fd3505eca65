//! What was not done, in words for the user.

use std::fmt;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use channel::conversation::dashboard::WriteRefusal;
use channel::inbound::claims::ClaimRefusal;
use channel::write_error::WriteError;
use pages::{Page, STYLE};

/// Why.
#[derive(Debug)]
pub(super) struct Failed {
    status: StatusCode,
    text: String,
}

#[derive(Template)]
#[template(path = "stopped.html")]
struct FailurePage {
    text: String,
}

impl Failed {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// The form is another site's.
    pub(super) fn foreign() -> Self {
        Self::new(StatusCode::FORBIDDEN, "This was sent by a page of another site, so nothing was done.")
    }

    /// There is no session, or not any more.
    pub(super) fn signed_out() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "You are signed out, so nothing was done. Open this page from CloudyBot once more.",
        )
    }

    /// There is no such user.
    pub(super) fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "This account does not exist here any more.")
    }

    /// The user writes faster than people do.
    pub(super) fn too_fast() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Not sent yet: that is too many messages at once. Wait a moment, and send it once more.",
        )
    }

    /// All streams that a user may have are open.
    pub(super) fn too_many_pages() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "This page is open too many times. Close some of them, and load it again.",
        )
    }

    /// What was given makes no sense.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    }

    /// Nobody's fault but ours, or the database's.
    pub(super) fn of(error: impl fmt::Display) -> Self {
        tracing::warn!(error = %error, "The dashboard could not answer: {error}");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "This does not work just now. Please try again in a minute.",
        )
    }

    /// For the page's script.
    pub(super) fn in_words(self) -> Response {
        (self.status, self.text).into_response()
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

impl From<WriteRefusal> for Failed {
    fn from(refusal: WriteRefusal) -> Self {
        match refusal {
            WriteRefusal::Blank => Self::invalid("Nothing was sent: the message is blank."),
            WriteRefusal::TooLong => {
                Self::invalid("Nothing was sent: a message has 20,000 characters at most.")
            }
            WriteRefusal::Paused => Self::new(
                StatusCode::CONFLICT,
                "Nothing was sent: your assistant is paused. CloudyBot's settings wake it.",
            ),
            WriteRefusal::KeyUsed => Self::new(
                StatusCode::CONFLICT,
                "Nothing was sent: this page is out of date. Load it again, and send once more.",
            ),
            WriteRefusal::Write(error) => error.into(),
        }
    }
}

impl From<ClaimRefusal> for Failed {
    fn from(refusal: ClaimRefusal) -> Self {
        match refusal {
            ClaimRefusal::Disabled => {
                Self::new(StatusCode::FORBIDDEN, "WhatsApp is closed for everybody at the moment.")
            }
            ClaimRefusal::Plan(_) => Self::new(StatusCode::FORBIDDEN, "WhatsApp is not part of your plan."),
            ClaimRefusal::LinkedElsewhere => Self::new(
                StatusCode::CONFLICT,
                "The phone that sent the last code is linked to another account. Say on the page whether it shall move.",
            ),
            ClaimRefusal::Unknown => Self::unknown(),
            ClaimRefusal::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.status, Page(FailurePage { text: self.text })).into_response()
    }
}
