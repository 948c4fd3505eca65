//! Bearer tokens: who may use a part of the interface.

/// What wrong tokens cost.
mod refusals;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::refusals::Refusals;
use super::problem::Problem;
use crate::config::administrators::{Administrator, AdministratorToken};

/// The tokens of a part of the interface; only their hashes are kept, so that nothing can show them.
#[derive(Clone)]
pub(crate) struct BearerTokens(Arc<BearerParts>);

struct BearerParts {
    tokens: Vec<([u8; 32], Administrator)>,
    refusals: Refusals,
}

impl BearerTokens {
    /// The one token of the part of the interface that has this name.
    pub(crate) fn one(part: &'static str, token: SecretString) -> Self {
        Self::new(part, vec![AdministratorToken { whose: Administrator::unnamed(), token }])
    }

    /// The tokens of a part of the interface, each somebody's.
    pub(crate) fn new(part: &'static str, tokens: Vec<AdministratorToken>) -> Self {
        let hashed = |of: AdministratorToken| (hash(of.token.expose_secret()), of.whose);
        let tokens = tokens.into_iter().map(hashed).collect();
        Self(Arc::new(BearerParts { tokens, refusals: Refusals::new(part) }))
    }

    /// Whose token it is. Hashes have one length and all are compared, so the time that this takes tells nothing of a token. A wrong one waits for
    /// its answer.
    pub(crate) async fn holder(&self, given: &str) -> Option<Administrator> {
        let given = hash(given);
        let mut holder = None;
        for (token, whose) in &self.0.tokens {
            if bool::from(token.ct_eq(&given)) {
                holder = Some(whose.clone());
            }
        }
        if holder.is_none() {
            self.0.refusals.refuse().await;
        }
        holder
    }

    /// Whether somebody of this name and right still has a token.
    pub(crate) fn know(&self, who: &Administrator) -> bool {
        self.0.tokens.iter().any(|(_, whose)| whose == who)
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Lets a request with one of these tokens pass, and its handler know whose it is. Nothing of it is read before.
pub(crate) async fn require(
    State(tokens): State<BearerTokens>,
    mut request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, given)) = given.and_then(|value| value.split_once(' ')) else {
        return Problem::unauthorized("send the header `Authorization: Bearer TOKEN`").into_response();
    };
    let given = if scheme.eq_ignore_ascii_case("bearer") { given.trim() } else { "" };
    let Some(holder) = tokens.holder(given).await else {
        return Problem::unauthorized("the bearer token is not the one of this part of the interface")
            .into_response();
    };
    if !holder.may_act && !request.method().is_safe() {
        return Problem::forbidden(
            "view_only",
            "this token may look and not act; one with the right `act` may",
        )
        .into_response();
    }
    request.extensions_mut().insert(holder);
    next.run(request).await
}

impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let holder = parts.extensions.get::<Self>().cloned();
        holder.ok_or_else(|| Problem::unauthorized("send the header `Authorization: Bearer TOKEN`"))
    }
}
