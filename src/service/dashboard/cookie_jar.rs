//! What the page keeps in a browser: the session, the claim token that it shows, and what the last action came to.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use channel::dashboard_access::SESSION_LASTS;
use channel::inbound::claims;
use url::form_urlencoded;

use crate::cookies::{self, Site};

/// A cookie of the page.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    /// Who one is.
    Session,
    /// The claim token, of which the database has a hash alone. No address holds it.
    Claim,
    /// What the last action came to, told once.
    Said,
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "dashboard",
            Self::Claim => "dashboard-claim",
            Self::Said => "dashboard-said",
        }
    }

    fn lasts(self) -> Duration {
        match self {
            Self::Session => SESSION_LASTS,
            Self::Claim => claims::LIFETIME,
            Self::Said => Duration::from_secs(20),
        }
    }
}

/// Reads and sets the cookies.
#[derive(Clone, Copy)]
pub(super) struct CookieJar {
    site: Site,
}

impl CookieJar {
    /// `is_framed`: pages of other sites may show ours.
    pub(super) fn new(is_framed: bool) -> Self {
        Self { site: if is_framed { Site::Framed } else { Site::Own } }
    }

    /// What a request brings.
    pub(super) fn given(self, headers: &HeaderMap, kept: Kept) -> Option<String> {
        let value = cookies::given(headers, kept.name())?;
        let pair = format!("value={value}");
        form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
    }

    /// Has a browser keep a value, or nothing any more.
    pub(super) fn set(
        self,
        headers: &HeaderMap,
        kept: Kept,
        value: &str,
    ) -> Option<(HeaderName, HeaderValue)> {
        let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let cookie = cookies::set(headers, kept.name(), &value, kept.lasts(), self.site)?;
        Some((header::SET_COOKIE, cookie))
    }
}
